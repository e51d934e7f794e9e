/* Copies and sums in vectors of 32 octets. Sums are of 16-bit words as they lie in memory. */

#pragma once

#include <stdint.h>
#include <string.h>

#ifdef __AVX2__
#include <immintrin.h>
#endif

static inline uint16_t fold32(uint32_t sum)
{
    sum = (sum & 0xFFFF) + (sum >> 16);
    return (uint16_t)((sum & 0xFFFF) + (sum >> 16));
}

static inline uint16_t fold(uint64_t sum)
{
    sum = (sum & 0xFFFFFFFF) + (sum >> 32);
    sum = (sum & 0xFFFFFFFF) + (sum >> 32);
    return fold32((uint32_t)sum);
}

/* The words of up to 64 KiB, in halves of 64 bits. */
static inline uint64_t words(const uint8_t *at, uint64_t size)
{
    uint64_t sum = 0, eight = 0;
    for (; size >= 8; at += 8, size -= 8) {
        memcpy(&eight, at, 8);
        sum += (eight & 0xFFFFFFFF) + (eight >> 32);
    }
    eight = 0;
    memcpy(&eight, at, size);
    return sum + (eight & 0xFFFFFFFF) + (eight >> 32);
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

static inline void store(uint8_t *at, __m256i octets)
{
    _mm256_storeu_si256((__m256i *)at, octets);
}

/* Pairs of words, made signed: 0x8000 less each. */
static inline __m256i pairs(__m256i octets)
{
    octets = _mm256_xor_si256(octets, _mm256_set1_epi16((short)0x8000));
    return _mm256_madd_epi16(octets, _mm256_set1_epi16(1));
}
#endif

/* Whole vectors where there is room to read and write too much. */
static inline void overcopy(const uint8_t *from, uint64_t left, uint8_t *to, uint64_t room,
                            uint64_t size)
{
#ifdef __AVX2__
    if (size + 32 <= left && size + 32 <= room) {
        for (uint64_t at = 0; at < size; at += 32)
            store(to + at, load(from + at));
        return;
    }
#else
    (void)left, (void)room;
#endif
    memcpy(to, from, size);
}

/* The same for up to 64 KiB; returns their sum. */
static inline uint16_t overcopy_summed(const uint8_t *from, uint64_t left, uint8_t *to,
                                       uint64_t room, uint64_t size)
{
#ifdef __AVX2__
    if (size + 32 <= left && size + 32 <= room) {
        const __m256i places =
            _mm256_setr_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19,
                             20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31);
        __m256i even = _mm256_setzero_si256(), odd = even;
        uint64_t at = 0, vectors = (size + 31) / 32;
        for (; at + 64 <= size; at += 64) {
            __m256i first = load(from + at), second = load(from + at + 32);
            store(to + at, first);
            store(to + at + 32, second);
            even = _mm256_add_epi32(even, pairs(first));
            odd = _mm256_add_epi32(odd, pairs(second));
        }
        if (at + 32 <= size) {
            __m256i first = load(from + at);
            store(to + at, first);
            even = _mm256_add_epi32(even, pairs(first));
            at += 32;
        }
        if (at < size) {
            __m256i last = load(from + at);
            store(to + at, last);
            last = _mm256_and_si256(last,
                                    _mm256_cmpgt_epi8(_mm256_set1_epi8((char)(size - at)), places));
            odd = _mm256_add_epi32(odd, pairs(last));
        }
        even = _mm256_add_epi32(even, odd);
        __m128i four =
            _mm_add_epi32(_mm256_castsi256_si128(even), _mm256_extracti128_si256(even, 1));
        four = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0x4E));
        four = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0xB1));
        return fold((uint64_t)(_mm_cvtsi128_si32(four) + (int64_t)vectors * 16 * 0x8000));
    }
#else
    (void)left, (void)room;
#endif
    memcpy(to, from, size);
    return fold(words(from, size));
}
