/* Rows of a batch as octets, and the lines that the next rows will need.
 * Comes after api.h, which has no guard of its own and is included once. */

#ifndef ENCAP_BATCH_H
#define ENCAP_BATCH_H

/* Rows between the one at work and the one whose lines are asked for. */
#define PREFETCH_ROWS 12

typedef struct frame_span {
    const uint8_t *at;
    uint64_t size;
} frame_span;

/* The octets of a row: none where it does not lie inside the buffer, as a
 * negative start does not. The caller has checked `row < batch->count`. */
INLINE frame_span row_octets(const encap_batch *batch, uint64_t row)
{
    const uint64_t size = batch->lengths[row];
    const uint8_t *at = span(batch->data, batch->size, (uint64_t)batch->starts[row], size);

    return (frame_span){at, at != NULL ? size : 0};
}

/* Where the row `ahead` of this one starts, or this one where that is behind `end`. */
INLINE uintptr_t later_row(const encap_batch *batch, uint64_t row, uint64_t ahead, uint64_t end)
{
    const uint64_t later = row + ahead < end ? row + ahead : row;

    return (uintptr_t)batch->data + (uintptr_t)batch->starts[later];
}

/* Asks for the first two lines of the row PREFETCH_ROWS further on, before `end`. */
INLINE void prefetch_row(const encap_batch *batch, uint64_t row, uint64_t end)
{
    const uintptr_t address = later_row(batch, row, PREFETCH_ROWS, end);

    prefetch(address);
    prefetch(address + 64);
}

/* Rows ahead whose lines come to the second-level cache, and from there to the first. */
#define WALK_FAR 16
#define WALK_NEAR 3

/* The same for a walk whose headers reach `reach` octets into a frame, as those before did. */
INLINE void prefetch_headers(const encap_batch *batch, uint64_t row, uint64_t end, uint32_t reach)
{
    const uintptr_t far = later_row(batch, row, WALK_FAR, end);
    const uintptr_t near = later_row(batch, row, WALK_NEAR, end);

    prefetch(far);
    prefetch(far + 64);
    prefetch(far + 100);
    prefetch_near(near);
    prefetch_near(near + 64);
    prefetch_near(near + 100);
    if (UNLIKELY(reach > 128)) {
        prefetch(far + 160);
        prefetch(far + 224);
    }
}

INLINE int rows_exist(const encap_batch *batch, uint64_t begin, uint64_t end)
{
    return begin <= end && end <= batch->count;
}

#endif
