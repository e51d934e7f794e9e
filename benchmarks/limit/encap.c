#include "vectors.h"
#include "walk.h"

enum { HEADERS_LEN = 50, IPV4_AT = 14, UDP_AT = 34, VXLAN_AT = 42 };

static inline void put16(uint8_t *at, uint32_t value)
{
    uint16_t octets = __builtin_bswap16((uint16_t)value);
    memcpy(at, &octets, 2);
}

static inline void put32(uint8_t *at, uint32_t value)
{
    value = __builtin_bswap32(value);
    memcpy(at, &value, 4);
}

/* One of 16,384 ports for each flow of Ethernet, IPv4 and ports behind each other. */
static inline uint32_t flow_port(const uint8_t *packet, uint32_t length)
{
    if (length < 38 || get16(packet + 12) != TYPE_IPV4 || packet[14] != 0x45)
        return 0xC000;
    uint32_t mixed = get32(packet + 26) ^ get32(packet + 30) ^ get32(packet + 34) ^ packet[23];
    return 0xC000 | (mixed * 0x9E3779B1u) >> 18;
}

/* What differs from packet to packet, the UDP checksum aside. */
static inline void fill(uint8_t *headers, const uint8_t *packet, uint32_t length, uint32_t id,
                        uint32_t vni, uint32_t ipv4_sum)
{
    uint32_t total_len = length + HEADERS_LEN - IPV4_AT;
    put16(headers + IPV4_AT + 2, total_len);
    put16(headers + IPV4_AT + 4, id);
    put16(headers + IPV4_AT + 10, (uint16_t)~fold32(ipv4_sum + total_len + (id & 0xFFFF)));
    put16(headers + UDP_AT, flow_port(packet, length));
    put16(headers + UDP_AT + 4, total_len - 20);
    put32(headers + VXLAN_AT + 4, vni << 8);
}

/* Over the addresses, UDP and VXLAN as they are now, and the packet, whose sum is known. */
static inline void close_udp(uint8_t *headers, uint32_t udp_len, uint16_t packet_sum)
{
    uint32_t sum = packet_sum + __builtin_bswap16(PROTOCOL_UDP);
    sum += __builtin_bswap16((uint16_t)udp_len);
    for (int at = IPV4_AT + 12; at < HEADERS_LEN; at += 2) {
        uint16_t word;
        memcpy(&word, headers + at, 2);
        sum += word;    /* the checksum itself is 0 yet */
    }
    uint16_t checksum = (uint16_t)~fold32(sum);
    checksum = checksum ? checksum : 0xFFFF;
    memcpy(headers + UDP_AT + 6, &checksum, 2);
}

/* Written behind the headers; room and left: octets that are there from here on. */
static ALWAYS void carry(const uint8_t *restrict packet, uint64_t left, uint32_t length,
                         uint8_t *restrict to, uint64_t room, int summed)
{
    if (summed) {
        uint16_t sum = overcopy_summed(packet, left, to + HEADERS_LEN, room - HEADERS_LEN, length);
        close_udp(to, length + HEADERS_LEN - UDP_AT, sum);
    } else {
        overcopy(packet, left, to + HEADERS_LEN, room - HEADERS_LEN, length);
    }
}

static ALWAYS uint64_t encapsulate(const limit_batch *batch, const limit_tunnel *tunnel, int summed,
                                   uint64_t ahead, uint8_t *restrict out, uint64_t out_size,
                                   int64_t *restrict starts, uint32_t *restrict lengths)
{
    const uint8_t *restrict data = batch->data;
    const int64_t *restrict from = batch->starts;
    const uint32_t *restrict sizes = batch->lengths;
    const uint32_t *restrict vnis = tunnel->vnis;
    const uint64_t size = batch->size, count = batch->count;
    uint8_t headers[64] __attribute__((aligned(64))) = {0};
    memcpy(headers, tunnel->headers, HEADERS_LEN);
    uint32_t ipv4_sum = 0;
    for (int at = IPV4_AT; at < UDP_AT; at += 2)
        ipv4_sum += get16(headers + at);
    uint64_t end = 0;
    for (uint64_t row = 0; row < count; row++) {
        if (ahead)
            __builtin_prefetch(data + from[row + ahead < count ? row + ahead : count - 1]);
        const uint8_t *packet = data + from[row];
        uint64_t left = size - (uint64_t)from[row], room = out_size - end;
        uint32_t length = sizes[row];
        uint8_t *to = out + end;
        if (room >= 64)
            memcpy(to, headers, 64);
        else
            memcpy(to, headers, HEADERS_LEN);
        fill(to, packet, length, (uint32_t)row, vnis[row], ipv4_sum);
        carry(packet, left, length, to, room, summed);
        starts[row] = (int64_t)end;
        lengths[row] = length + HEADERS_LEN;
        end += length + HEADERS_LEN;
    }
    return end;
}

uint64_t limit_encap(const limit_batch *batch, const limit_tunnel *tunnel, uint64_t ahead,
                     uint8_t *out, uint64_t out_size, int64_t *starts, uint32_t *lengths)
{
    return encapsulate(batch, tunnel, 0, ahead, out, out_size, starts, lengths);
}

uint64_t limit_encap_summed(const limit_batch *batch, const limit_tunnel *tunnel, uint64_t ahead,
                            uint8_t *out, uint64_t out_size, int64_t *starts, uint32_t *lengths)
{
    return encapsulate(batch, tunnel, 1, ahead, out, out_size, starts, lengths);
}
