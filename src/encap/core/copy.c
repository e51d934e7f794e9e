/* Exact copies: no octet is read or written outside [0, size).
 *
 * The last vector is masked, or cut into halves, so there is no loop over
 * single octets. The spans must not overlap each other. */

typedef void copy_kernel(uint8_t *to, const uint8_t *from, uint64_t size);

INLINE void copy_generic(uint8_t *to, const uint8_t *from, uint64_t size)
{
    memcpy(to, from, (size_t)size);
}

#if ENCAP_X86

/* Two pieces of a constant size, the second one ending where the span ends. */
#define COPY_ENDS(type)                                                                            \
    do {                                                                                           \
        type first, last;                                                                          \
        memcpy(&first, from, sizeof first);                                                        \
        memcpy(&last, from + size - sizeof last, sizeof last);                                     \
        memcpy(to, &first, sizeof first);                                                          \
        memcpy(to + size - sizeof last, &last, sizeof last);                                       \
    } while (0)

/* Up to 31 octets. */
INLINE void copy_short(uint8_t *to, const uint8_t *from, uint64_t size)
{
    if (size >= 16)
        COPY_ENDS(__m128i);
    else if (size >= 8)
        COPY_ENDS(uint64_t);
    else if (size >= 4)
        COPY_ENDS(uint32_t);
    else if (size >= 2)
        COPY_ENDS(uint16_t);
    else if (size == 1)
        *to = *from;
}

/* The last octets are stored by themselves: a vector that overlaps the one before it makes the
 * whole copy take half as long again. */
AVX2 INLINE void copy_avx2(uint8_t *to, const uint8_t *from, uint64_t size)
{
    uint64_t at = 0;
    for (; at + 32 <= size; at += 32) /* no wrap: a size is that of an object */
        store_avx2(to + at, load_avx2(from + at));
    copy_short(to + at, from + at, size - at);
}

/* Vectors of 32 octets here too: with packets of some hundred octets the wider ones gain nothing.
 */
AVX512 INLINE void copy_avx512(uint8_t *to, const uint8_t *from, uint64_t size)
{
    uint64_t at = 0;
    for (; at + 32 <= size; at += 32) /* no wrap: a size is that of an object */
        store_avx2(to + at, load_avx2(from + at));
    const __mmask32 rest = _bzhi_u32(~0U, (unsigned)(size - at));
    _mm256_mask_storeu_epi8(to + at, rest, _mm256_maskz_loadu_epi8(rest, from + at));
}

#endif

#if ENCAP_NEON
#define copy_neon copy_generic /* the C library's, which knows the processor */
#endif

INLINE int compact_rows(const encap_batch *batch, uint64_t begin, uint64_t end,
                        const int64_t *targets, uint8_t *out, uint64_t out_size, copy_kernel *copy)
{
    for (uint64_t row = begin; row < end; row++) {
        prefetch_row(batch, row, end);
        const frame_span frame = row_octets(batch, row);
        const uint64_t target = (uint64_t)targets[row];

        if (target > out_size || out_size - target < frame.size)
            return -1;
        if (frame.size != 0)
            copy(out + target, frame.at, frame.size);
    }
    return 0;
}

/* --- where rows are ---------------------------------------------------------- */

uint64_t encap_pack(const uint32_t *lengths, uint64_t count, int64_t *starts)
{
    uint64_t at = 0;
    for (uint64_t row = 0; row < count; row++) {
        starts[row] = (int64_t)at;
        at += lengths[row];
    }
    return at;
}

int encap_in_order(const int64_t *starts, const uint32_t *lengths, uint64_t count)
{
    uint64_t later = 0; /* the highest bit: a row is behind the next one's start */
    for (uint64_t row = 1; row < count; row++) /* no wrap: a start is that of octets in memory */
        later |= (uint64_t)starts[row] - (uint64_t)starts[row - 1] - lengths[row - 1];
    return !(later >> 63);
}
