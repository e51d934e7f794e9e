/* Octets put into frames, or taken out of them, while they are copied. */

INLINE int splice_rows(const encap_batch *batch, uint64_t begin, uint64_t end, const uint32_t *at,
                       const uint32_t *removed, const uint32_t *inserted, const uint8_t *octets,
                       uint64_t stride, uint32_t width, const int64_t *targets, uint8_t *out,
                       uint64_t out_size, copy_kernel *copy)
{
    for (uint64_t row = begin; row < end; row++) {
        prefetch_row(batch, row, end);
        const frame_span frame = row_octets(batch, row);
        const uint64_t target = (uint64_t)targets[row];
        const uint64_t head = at[row] < frame.size ? at[row] : frame.size;
        const uint64_t left = frame.size - head;
        const uint64_t gone = removed[row] < left ? removed[row] : left;
        const uint64_t added = inserted[row] < width ? inserted[row] : width;
        const uint64_t tail = left - gone;

        /* The sum does not wrap: each part is below 2^32. */
        if (target > out_size || out_size - target < head + added + tail)
            return -1;
        if (head)
            copy(out + target, frame.at, head);
        if (added)
            memcpy(out + target + head, octets + row * stride, (size_t)added);
        if (tail)
            copy(out + target + head + added, frame.at + head + gone, tail);
    }
    return 0;
}
