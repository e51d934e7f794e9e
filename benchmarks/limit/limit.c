#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "limit.h"

#ifdef __AVX2__
#include <immintrin.h>
#endif

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

void limit_copy(const uint8_t *data, uint64_t size, uint8_t *out)
{
    memcpy(out, data, size);
}

/* --- the walk ---------------------------------------------------------------- */

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
static inline uint32_t enter(const uint8_t *restrict packet, uint32_t length, uint32_t at,
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

static inline void inside(const uint8_t *restrict packet, uint32_t length, uint32_t at,
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

static inline void walk(const uint8_t *restrict packet, uint32_t length,
                        limit_record *restrict record)
{
    uint16_t type;
    uint32_t at;
    memset(record, 0, sizeof *record);
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

void limit_walk(const limit_batch *batch, uint64_t count, uint64_t ahead, limit_record *records)
{
    for (uint64_t row = 0; row < count; row++) {
        if (ahead)
            fetch(batch, row, ahead);
        walk(batch->data + batch->starts[row], batch->lengths[row], &records[row]);
    }
}

/* --- decapsulation ----------------------------------------------------------- */

/* Whole vectors where there is room to read and write too much. */
static inline void overcopy(const uint8_t *from, uint64_t left, uint8_t *to, uint64_t room,
                            uint64_t size)
{
#ifdef __AVX2__
    if (size + 32 <= left && size + 32 <= room) {
        for (uint64_t at = 0; at < size; at += 32)
            _mm256_storeu_si256((__m256i *)(to + at),
                                _mm256_loadu_si256((const __m256i *)(from + at)));
        return;
    }
#else
    (void)left, (void)room;
#endif
    memcpy(to, from, size);
}

uint64_t limit_decap(const limit_batch *batch, uint64_t ahead, uint8_t *out, uint64_t out_size,
                     int64_t *starts, uint32_t *lengths)
{
    uint64_t end = 0;
    for (uint64_t row = 0; row < batch->count; row++) {
        limit_record record;
        if (ahead)
            fetch(batch, row, ahead);
        uint64_t start = (uint64_t)batch->starts[row];
        walk(batch->data + start, batch->lengths[row], &record);
        starts[row] = (int64_t)end;
        lengths[row] = record.tunnel ? batch->lengths[row] - record.inner : 0;
        start += record.inner;
        overcopy(batch->data + start, batch->size - start, out + end, out_size - end, lengths[row]);
        end += lengths[row];
    }
    return end;
}

/* --- checksums --------------------------------------------------------------- */

static inline uint16_t finish(uint64_t sum, const uint8_t *at, uint64_t size)
{
    for (; size >= 8; at += 8, size -= 8) {
        uint64_t words;
        memcpy(&words, at, 8);
        sum += (words & 0xFFFFFFFF) + (words >> 32);
    }
    if (size) {
        uint64_t words = 0;
        memcpy(&words, at, size);
        sum += (words & 0xFFFFFFFF) + (words >> 32);
    }
    sum = (sum & 0xFFFFFFFF) + (sum >> 32);
    sum = (sum & 0xFFFFFFFF) + (sum >> 32);
    sum = (sum & 0xFFFF) + (sum >> 16);
    sum = (sum & 0xFFFF) + (sum >> 16);
    return (uint16_t)~__builtin_bswap16((uint16_t)sum);
}

#ifdef __AVX2__
static inline uint64_t lanes64(__m256i sums)
{
    __m128i pair = _mm_add_epi64(_mm256_castsi256_si128(sums), _mm256_extracti128_si256(sums, 1));
    return (uint64_t)_mm_cvtsi128_si64(pair) + (uint64_t)_mm_extract_epi64(pair, 1);
}

static inline __m256i load(const uint8_t *at)
{
    return _mm256_loadu_si256((const __m256i *)at);
}

/* Words made signed, 0x8000 less each, and added in pairs. Good for 64 KiB. */
static __attribute__((noinline)) uint16_t sum_madd(const uint8_t *at, uint64_t size)
{
    const __m256i bias = _mm256_set1_epi16((short)0x8000), ones = _mm256_set1_epi16(1);
    __m256i a = _mm256_setzero_si256(), b = a, c = a, d = a;
    uint64_t blocks = size / 64;
#define PAIRS(offset) _mm256_madd_epi16(_mm256_xor_si256(bias, load(at + (offset))), ones)
    for (; size >= 128; at += 128, size -= 128) {
        a = _mm256_add_epi32(a, PAIRS(0));
        b = _mm256_add_epi32(b, PAIRS(32));
        c = _mm256_add_epi32(c, PAIRS(64));
        d = _mm256_add_epi32(d, PAIRS(96));
    }
    if (size >= 64) {
        a = _mm256_add_epi32(a, PAIRS(0));
        b = _mm256_add_epi32(b, PAIRS(32));
        at += 64;
        size -= 64;
    }
#undef PAIRS
    a = _mm256_add_epi32(_mm256_add_epi32(a, b), _mm256_add_epi32(c, d));
    __m256i wide = _mm256_add_epi64(_mm256_cvtepi32_epi64(_mm256_castsi256_si128(a)),
                                    _mm256_cvtepi32_epi64(_mm256_extracti128_si256(a, 1)));
    return finish(lanes64(wide) + blocks * 32 * 0x8000, at, size);
}

/* 32-bit numbers added in 64-bit lanes. */
static __attribute__((noinline)) uint16_t sum_widen(const uint8_t *at, uint64_t size)
{
    const __m256i zero = _mm256_setzero_si256();
    __m256i a = zero, b = zero, c = zero, d = zero;
    for (; size >= 64; at += 64, size -= 64) {
        a = _mm256_add_epi64(a, _mm256_unpacklo_epi32(load(at), zero));
        b = _mm256_add_epi64(b, _mm256_unpackhi_epi32(load(at), zero));
        c = _mm256_add_epi64(c, _mm256_unpacklo_epi32(load(at + 32), zero));
        d = _mm256_add_epi64(d, _mm256_unpackhi_epi32(load(at + 32), zero));
    }
    a = _mm256_add_epi64(_mm256_add_epi64(a, b), _mm256_add_epi64(c, d));
    return finish(lanes64(a), at, size);
}
#else
static uint16_t sum_madd(const uint8_t *at, uint64_t size)
{
    return finish(0, at, size);
}
#define sum_widen sum_madd
#endif

void limit_checksums_madd(const limit_batch *batch, uint16_t *sums)
{
    for (uint64_t row = 0; row < batch->count; row++)
        sums[row] = sum_madd(batch->data + batch->starts[row], batch->lengths[row]);
}

void limit_checksums_widen(const limit_batch *batch, uint16_t *sums)
{
    for (uint64_t row = 0; row < batch->count; row++)
        sums[row] = sum_widen(batch->data + batch->starts[row], batch->lengths[row]);
}
