#include "vectors.h"
#include "walk.h"

void limit_copy(const uint8_t *data, uint64_t size, uint8_t *out)
{
    memcpy(out, data, size);
}

/* --- the walk ---------------------------------------------------------------- */

void limit_walk(const limit_batch *batch, uint64_t count, uint64_t ahead, limit_record *records)
{
    for (uint64_t row = 0; row < count; row++) {
        if (ahead)
            fetch(batch, row, ahead);
        walk(batch->data + batch->starts[row], batch->lengths[row], &records[row]);
    }
}

/* --- decapsulation ----------------------------------------------------------- */

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
    return (uint16_t)~__builtin_bswap16(fold(sum + words(at, size)));
}

#ifdef __AVX2__
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
