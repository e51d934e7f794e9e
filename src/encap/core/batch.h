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

/* Asks for the first two lines of the row PREFETCH_ROWS further on, before `end`. */
INLINE void prefetch_row(const encap_batch *batch, uint64_t row, uint64_t end)
{
    const uint64_t ahead = end - row > PREFETCH_ROWS ? row + PREFETCH_ROWS : end - 1;
    const uintptr_t address = (uintptr_t)batch->data + (uintptr_t)batch->starts[ahead];

    prefetch(address);
    prefetch(address + 64);
}

/* The same for a walk whose headers reach `reach` octets into a frame, as those before did. */
INLINE void prefetch_headers(const encap_batch *batch, uint64_t row, uint64_t end, uint32_t reach)
{
    const uint64_t ahead = row + PREFETCH_ROWS < end ? row + PREFETCH_ROWS : row;
    const uintptr_t address = (uintptr_t)batch->data + (uintptr_t)batch->starts[ahead];

    prefetch(address);
    prefetch(address + 64);
    prefetch(address + 100);
    if (UNLIKELY(reach > 128)) {
        prefetch(address + 160);
        prefetch(address + 224);
    }
}

INLINE int rows_exist(const encap_batch *batch, uint64_t begin, uint64_t end)
{
    return begin <= end && end <= batch->count;
}

#endif
