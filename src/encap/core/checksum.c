/* One's complement sums (RFC 1071), by themselves or while copying.
 *
 * A sum is of 16-bit words as they lie in memory, whatever the byte order of
 * the machine: RFC 1071 section 2 (B) lets the two octets be swapped once, at
 * the end. The pass of each variant sums a block, and copies it where `copying`:
 * a constant at every call, so that there are two functions in the end.
 *
 * All of them read and write exactly [0, size): what is left after the last
 * whole vector is read again with octets from before it, and masked. */

/* Octets in a block: 2^15 words of less than 2^16 stay within a 32-bit lane,
 * even when all lanes are added up. Even, so that no word is split. */
#define SUM_BLOCK 65536

typedef uint64_t pass_kernel(int copying, uint8_t *to, const uint8_t *from, uint64_t size);

/* The words of `sum` added up, carries and all; 0 only if `sum` is. Adding a
 * number with its halves swapped leaves their sum in the upper half, and the
 * carry that comes in from the lower half is the end-around one. */
INLINE uint16_t fold_sum(uint64_t sum)
{
    const uint32_t half = (uint32_t)((sum + (sum << 32 | sum >> 32)) >> 32);

    return (uint16_t)((half + (half << 16 | half >> 16)) >> 16);
}

/* The sum of a span of any size, the copying pass included; below 2^48. */
INLINE uint64_t sum_span(int copying, uint8_t *to, const uint8_t *from, uint64_t size,
                         pass_kernel *pass)
{
    uint64_t sum = 0;

    while (UNLIKELY(size > SUM_BLOCK)) {
        sum += fold_sum(pass(copying, to, from, SUM_BLOCK));
        from += SUM_BLOCK;
        if (copying)
            to += SUM_BLOCK;
        size -= SUM_BLOCK;
    }
    return sum + pass(copying, to, from, size);
}

/* The same, folded. */
INLINE uint16_t sum_blocks(int copying, uint8_t *to, const uint8_t *from, uint64_t size,
                           pass_kernel *pass)
{
    return fold_sum(sum_span(copying, to, from, size, pass));
}

/* The last octet of an odd span: a word whose second octet is 0. */
INLINE uint64_t last_word(uint8_t octet)
{
    return big16((uint16_t)(octet << 8));
}

/* --- generic ------------------------------------------------------------- */

INLINE uint64_t words_32(const uint8_t *at)
{
    uint32_t words;

    memcpy(&words, at, sizeof words);
    return words;
}

INLINE uint64_t words_16(const uint8_t *at)
{
    uint16_t word;

    memcpy(&word, at, sizeof word);
    return word;
}

/* Copies first: compilers make vectors of a loop that only sums. */
INLINE uint64_t pass_generic(int copying, uint8_t *to, const uint8_t *from, uint64_t size)
{
    uint64_t sum = 0, at = 0;

    if (copying && size != 0)
        memcpy(to, from, (size_t)size);
    for (; size - at >= 4; at += 4)
        sum += words_32(from + at);
    if (size & 2)
        sum += words_16(from + at);
    if (size & 1)
        sum += last_word(from[size - 1]);
    return sum;
}

#if ENCAP_X86

/* --- x86 ------------------------------------------------------------------
 * Long spans: the one instruction that adds neighbouring words takes them as
 * signed, so 0x8000 is subtracted from each (by flipping its top bit), and the
 * lanes start with what that takes from them. What is left, and short spans:
 * 32-bit words widened to 64 bits, which wants no constants to be made ready. */

#define AVX2 TARGET("avx2")
#define AVX512 TARGET("avx512f,avx512bw,avx512vl,bmi2")

/* 32 octets from `KEEP + n` keep the last n of a vector. */
static const uint8_t KEEP[64] = {
    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,
    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
};

/* What `vectors` vectors of biased words take from each 32-bit lane: two words each. */
INLINE int bias_lane(uint64_t vectors)
{
    return (int)(vectors << 16);
}

AVX2 INLINE __m256i load_avx2(const uint8_t *at)
{
    return _mm256_loadu_si256((const __m256i *)(const void *)at);
}

AVX2 INLINE void store_avx2(uint8_t *at, __m256i vector)
{
    _mm256_storeu_si256((__m256i *)(void *)at, vector);
}

AVX2 INLINE __m256i take_avx2(int copying, uint8_t *to, const uint8_t *from, uint64_t at)
{
    const __m256i vector = load_avx2(from + at);

    if (copying)
        store_avx2(to + at, vector);
    return vector;
}

AVX2 INLINE __m256i add_biased_avx2(__m256i lanes, __m256i words)
{
    const __m256i biased = _mm256_xor_si256(words, _mm256_set1_epi16(INT16_MIN));

    return _mm256_add_epi32(lanes, _mm256_madd_epi16(biased, _mm256_set1_epi16(1)));
}

AVX2 INLINE __m256i add_wide_avx2(__m256i sum, __m256i words)
{
    const __m256i zero = _mm256_setzero_si256();

    return _mm256_add_epi64(sum, _mm256_add_epi64(_mm256_unpacklo_epi32(words, zero),
                                                  _mm256_unpackhi_epi32(words, zero)));
}

AVX2 INLINE uint64_t add_lanes_avx2(__m256i sum)
{
    const __m128i two =
        _mm_add_epi64(_mm256_castsi256_si128(sum), _mm256_extracti128_si256(sum, 1));

    return (uint64_t)_mm_cvtsi128_si64(_mm_add_epi64(two, _mm_unpackhi_epi64(two, two)));
}

/* The 32-bit lanes of a multiple of 128 octets. */
AVX2 INLINE __m256i pass_long_avx2(int copying, uint8_t *to, const uint8_t *from, uint64_t size)
{
    __m256i a = _mm256_set1_epi32(bias_lane(size / 32)), b = _mm256_setzero_si256(), c = b, d = b;

    for (uint64_t at = 0; at < size; at += 128) {
        a = add_biased_avx2(a, take_avx2(copying, to, from, at));
        b = add_biased_avx2(b, take_avx2(copying, to, from, at + 32));
        c = add_biased_avx2(c, take_avx2(copying, to, from, at + 64));
        d = add_biased_avx2(d, take_avx2(copying, to, from, at + 96));
    }
    return _mm256_add_epi32(_mm256_add_epi32(a, b), _mm256_add_epi32(c, d));
}

AVX2 INLINE uint64_t pass_avx2(int copying, uint8_t *to, const uint8_t *from, uint64_t size)
{
    const uint64_t rest = size & 30;
    __m256i sum = _mm256_setzero_si256();
    uint64_t at = 0, last = 0;

    if (size < 32)
        return pass_generic(copying, to, from, size);
    if (size >= 128) {
        at = size & ~(uint64_t)127;
        sum = add_wide_avx2(sum, pass_long_avx2(copying, to, from, at));
    }
    for (; size - at >= 32; at += 32)
        sum = add_wide_avx2(sum, take_avx2(copying, to, from, at));
    if (copying && at < size)
        store_avx2(to + size - 32, load_avx2(from + size - 32));
    if (rest) {
        const __m256i words = load_avx2(from + at + rest - 32);

        sum = add_wide_avx2(sum, _mm256_and_si256(words, load_avx2(KEEP + rest)));
    }
    if (size & 1)
        last = last_word(from[size - 1]);
    return last + add_lanes_avx2(sum);
}

AVX512 INLINE __m512i take_avx512(int copying, uint8_t *to, const uint8_t *from, uint64_t at)
{
    const __m512i vector = _mm512_loadu_si512(from + at);

    if (copying)
        _mm512_storeu_si512(to + at, vector);
    return vector;
}

/* The last `size` octets, less than a vector, and zeros. */
AVX512 INLINE __m512i take_end_avx512(int copying, uint8_t *to, const uint8_t *from, uint64_t at,
                                      uint64_t size)
{
    const __mmask64 mask = _bzhi_u64(~0ULL, (unsigned)size);
    const __m512i vector = _mm512_maskz_loadu_epi8(mask, from + at);

    if (copying)
        _mm512_mask_storeu_epi8(to + at, mask, vector);
    return vector;
}

AVX512 INLINE __m512i add_biased_avx512(__m512i lanes, __m512i words)
{
    const __m512i biased = _mm512_xor_si512(words, _mm512_set1_epi16(INT16_MIN));

    return _mm512_add_epi32(lanes, _mm512_madd_epi16(biased, _mm512_set1_epi16(1)));
}

AVX512 INLINE __m512i add_wide_avx512(__m512i sum, __m512i words)
{
    const __m512i zero = _mm512_setzero_si512();

    return _mm512_add_epi64(sum, _mm512_add_epi64(_mm512_unpacklo_epi32(words, zero),
                                                  _mm512_unpackhi_epi32(words, zero)));
}

/* The 32-bit lanes of a multiple of 256 octets. */
AVX512 INLINE __m512i pass_long_avx512(int copying, uint8_t *to, const uint8_t *from, uint64_t size)
{
    __m512i a = _mm512_set1_epi32(bias_lane(size / 64)), b = _mm512_setzero_si512(), c = b, d = b;

    for (uint64_t at = 0; at < size; at += 256) {
        a = add_biased_avx512(a, take_avx512(copying, to, from, at));
        b = add_biased_avx512(b, take_avx512(copying, to, from, at + 64));
        c = add_biased_avx512(c, take_avx512(copying, to, from, at + 128));
        d = add_biased_avx512(d, take_avx512(copying, to, from, at + 192));
    }
    return _mm512_add_epi32(_mm512_add_epi32(a, b), _mm512_add_epi32(c, d));
}

AVX512 INLINE uint64_t pass_avx512(int copying, uint8_t *to, const uint8_t *from, uint64_t size)
{
    __m512i sum = _mm512_setzero_si512();
    uint64_t at = 0;

    if (size >= 256) {
        at = size & ~(uint64_t)255;
        sum = add_wide_avx512(sum, pass_long_avx512(copying, to, from, at));
    }
    for (; size - at >= 64; at += 64)
        sum = add_wide_avx512(sum, take_avx512(copying, to, from, at));
    if (at < size)
        sum = add_wide_avx512(sum, take_end_avx512(copying, to, from, at, size - at));
    return add_lanes_avx2(
        _mm256_add_epi64(_mm512_castsi512_si256(sum), _mm512_extracti64x4_epi64(sum, 1)));
}

#endif

#if ENCAP_NEON

/* --- arm64 ---------------------------------------------------------------- */

INLINE uint32x4_t take_neon(uint32x4_t lanes, int copying, uint8_t *to, const uint8_t *from,
                            uint64_t at)
{
    const uint8x16_t words = vld1q_u8(from + at);

    if (copying)
        vst1q_u8(to + at, words);
    return vpadalq_u16(lanes, vreinterpretq_u16_u8(words));
}

INLINE uint64_t pass_neon(int copying, uint8_t *to, const uint8_t *from, uint64_t size)
{
    uint32x4_t a = vdupq_n_u32(0), b = a, c = a, d = a;
    uint64_t at = 0;

    for (; size - at >= 64; at += 64) {
        a = take_neon(a, copying, to, from, at);
        b = take_neon(b, copying, to, from, at + 16);
        c = take_neon(c, copying, to, from, at + 32);
        d = take_neon(d, copying, to, from, at + 48);
    }
    for (; size - at >= 16; at += 16)
        a = take_neon(a, copying, to, from, at);
    a = vaddq_u32(vaddq_u32(a, b), vaddq_u32(c, d));
    return vaddlvq_u32(a) + pass_generic(copying, copying ? to + at : NULL, from + at, size - at);
}

#endif

/* The pass for packets that are copied, most of them of some hundred octets to places that are not
 * aligned: vectors of 32 octets cross fewer cache lines. */
#define copy_pass_generic pass_generic
#define copy_pass_avx2 pass_avx2
#define copy_pass_avx512 pass_avx2
#define copy_pass_neon pass_neon

/* --- batches -------------------------------------------------------------- */

/* The sum in memory order as the number that goes into a header. */
INLINE uint16_t close_checksum(uint16_t sum)
{
    return (uint16_t)~big16(sum);
}

INLINE void checksum_rows(const encap_batch *batch, uint64_t begin, uint64_t end, uint16_t *sums,
                          pass_kernel *pass)
{
    for (uint64_t row = begin; row < end; row++) {
        prefetch_row(batch, row, end);
        const frame_span frame = row_octets(batch, row);

        sums[row] = close_checksum(sum_blocks(0, NULL, frame.at, frame.size, pass));
    }
}
