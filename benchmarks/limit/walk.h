/* The packets of these workloads: octets, and where their headers stand. */

#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "limit.h"

/* So that what nobody asks for is not stored. */
#define ALWAYS inline __attribute__((always_inline))

enum { NO_TUNNEL, VXLAN, GENEVE, GRE, IPIP, SIT };
enum {
    PROTOCOL_IPIP = 4,
    PROTOCOL_TCP = 6,
    PROTOCOL_UDP = 17,
    PROTOCOL_SIT = 41,
    PROTOCOL_GRE = 47
};
enum {
    TYPE_IPV4 = 0x0800,
    TYPE_IPV6 = 0x86DD,
    TYPE_VLAN = 0x8100,
    TYPE_QINQ = 0x88A8,
    TYPE_ETHERNET = 0x6558
};

static inline uint16_t get16(const uint8_t *at)
{
    uint16_t value;
    memcpy(&value, at, 2);
    return __builtin_bswap16(value);
}

static inline uint32_t get32(const uint8_t *at)
{
    uint32_t value;
    memcpy(&value, at, 4);
    return __builtin_bswap32(value);
}

static inline uint32_t get128(const uint8_t *at)    /* an IPv6 address in 32 bits */
{
    return get32(at) ^ get32(at + 4) ^ get32(at + 8) ^ get32(at + 12);
}

/* Behind an Ethernet header and its tags; 0 where the packet ends first. */
static inline uint32_t skip_ethernet(const uint8_t *packet, uint32_t length, uint32_t at,
                                     uint16_t *type)
{
    at += 12;
    if (at + 2 > length)
        return 0;
    *type = get16(packet + at);
    while (*type == TYPE_VLAN || *type == TYPE_QINQ) {
        at += 4;
        if (at + 2 > length)
            return 0;
        *type = get16(packet + at);
    }
    return at + 2;
}

/* Behind the tunnel header that starts at `at`; 0 where there is none. */
static ALWAYS uint32_t enter(const uint8_t *restrict packet, uint32_t length, uint32_t at,
                             uint8_t protocol, limit_record *restrict record, uint16_t *type)
{
    if (protocol == PROTOCOL_UDP && at + 16 <= length) {
        uint16_t port = get16(packet + at + 2);
        if (port == 4789 && packet[at + 8] & 0x08) {
            record->tunnel = VXLAN;
            record->id = get32(packet + at + 12) >> 8;
            *type = TYPE_ETHERNET;
            return at + 16;
        }
        if (port == 6081 && packet[at + 8] >> 6 == 0) {
            record->tunnel = GENEVE;
            record->id = get32(packet + at + 12) >> 8;
            *type = get16(packet + at + 10);
            return at + 16 + (packet[at + 8] & 0x3Fu) * 4;
        }
    } else if (protocol == PROTOCOL_GRE && at + 16 <= length) {
        uint16_t flags = get16(packet + at);
        if (flags & 0x4007)     /* routing, or another version */
            return 0;
        record->tunnel = GRE;
        *type = get16(packet + at + 2);
        at += 4 + (flags >> 15) * 4u;
        if (flags & 0x2000) {
            record->id = get32(packet + at);
            at += 4;
        }
        return at + (flags >> 12 & 1) * 4u;
    } else if (protocol == PROTOCOL_IPIP || protocol == PROTOCOL_SIT) {
        record->tunnel = protocol == PROTOCOL_IPIP ? IPIP : SIT;
        *type = protocol == PROTOCOL_IPIP ? TYPE_IPV4 : TYPE_IPV6;
        return at;
    }
    return 0;
}

static ALWAYS void inside(const uint8_t *restrict packet, uint32_t length, uint32_t at,
                          uint16_t type, limit_record *restrict record)
{
    if (type == TYPE_ETHERNET && !(at = skip_ethernet(packet, length, at, &type)))
        return;
    if (type == TYPE_IPV4 && at + 20 <= length) {
        record->protocol = packet[at + 9];
        record->inner_src = get32(packet + at + 12);
        record->inner_dst = get32(packet + at + 16);
        if (get16(packet + at + 6) & 0x1FFF)
            return;
        at += (packet[at] & 15u) * 4;
    } else if (type == TYPE_IPV6 && at + 40 <= length) {
        record->protocol = packet[at + 6];
        record->inner_src = get128(packet + at + 8);
        record->inner_dst = get128(packet + at + 24);
        at += 40;
    } else {
        return;
    }
    if ((record->protocol == PROTOCOL_TCP || record->protocol == PROTOCOL_UDP) &&
        at + 4 <= length) {
        record->sport = get16(packet + at);
        record->dport = get16(packet + at + 2);
    }
}

static ALWAYS void walk(const uint8_t *restrict packet, uint32_t length,
                        limit_record *restrict record)
{
    uint16_t type;
    uint32_t at;
    *record = (limit_record){0};
    if (length < 34 || !(at = skip_ethernet(packet, length, 0, &type)))
        return;
    if (type != TYPE_IPV4 || at + 20 > length || packet[at] >> 4 != 4)
        return;
    uint32_t header_len = (packet[at] & 15u) * 4;
    uint8_t protocol = packet[at + 9];
    record->src = get32(packet + at + 12);
    record->dst = get32(packet + at + 16);
    if (header_len < 20 || get16(packet + at + 6) & 0x1FFF)
        return;
    at = enter(packet, length, at + header_len, protocol, record, &type);
    if (!at)
        return;
    record->inner = (uint16_t)at;
    inside(packet, length, at, type, record);
}

static inline void fetch(const limit_batch *batch, uint64_t row, uint64_t ahead)
{
    uint64_t next = row + ahead < batch->count ? row + ahead : batch->count - 1;
    const uint8_t *packet = batch->data + batch->starts[next];
    __builtin_prefetch(packet + 12);
    __builtin_prefetch(packet + 76);
}
