/* Checksums over changed octets made anew, where all that they cover is there. */

INLINE int is_touched(const rewrite_block *b, uint32_t row, uint32_t number, uint32_t inner)
{
    const encap_step *step = &b->program->steps[number];
    const encap_cover *cover = &b->job->covers[step->kind];
    const uint32_t own = b->changed[row] >> number & 1u;
    if (cover->covers == ENCAP_COVERS_HEADER)
        return own != 0;
    if (cover->pseudo && step->network_step != NO_STEP)
        inner |= b->addressed[row] >> step->network_step & 1u;
    return (own | inner) != 0;
}

/* The checksum of a header made anew, its octets being all there. */
static void recompute(uint8_t *frame, uint32_t size, const encap_layers *layers, const reach *mine,
                      const encap_cover *cover, uint32_t slot, sum_kernel *sum)
{
    const uint32_t start = layers->offset[slot];
    const uint32_t end = covered_end(layers, mine, cover, slot);
    uint8_t *at = frame + start + cover->at;
    uint64_t total = cover->pseudo ? pseudo_sum(frame, size, layers, mine, cover, slot) : 0;
    memset(at, 0, 2);
    total += sum(frame + start, end - start);
    uint16_t made = (uint16_t)~fold_sum(total);
    if (!made)
        made = cover->zero;
    memcpy(at, &made, sizeof made);
}

/* The same for SCTP's CRC; few packets have one, so the plain variant does. */
static void recompute_crc(uint8_t *frame, uint32_t start, uint32_t end, uint32_t at)
{
    const uint32_t made = big32(crc_around(frame, start, at, end, crc_generic));
    memcpy(frame + at, &made, sizeof made);
}

/* Recomputes one checksum, or gives why it was left as it was: 1 << enum encap_left. */
static uint32_t recompute_step(rewrite_block *b, uint32_t row, const encap_step *step,
                               const reach *mine, sum_kernel *sum)
{
    const encap_layers *layers = &b->rows.layers[row];
    const encap_cover *cover = &b->job->covers[step->kind];
    uint8_t *frame = b->octets[row];
    const uint32_t start = layers->offset[step->slot], at = start + cover->at;
    const uint32_t end = covered_end(layers, mine, cover, step->slot);
    const int crc = cover->algorithm == ENCAP_CRC32C;
    if (missing(mine, cover) || end < at || end - at < cover->size)
        return 1u << (crc ? ENCAP_LEFT_CRC : ENCAP_LEFT_SUM);
    if (crc)
        recompute_crc(frame, start, end, at);
    else
        recompute(frame, b->rows.sizes[row], layers, mine, cover, step->slot, sum);
    return 0;
}

/* Recomputes what covers changed octets in one row, innermost first. */
static void recompute_row(rewrite_block *b, uint32_t row, uint64_t *lefts, sum_kernel *sum)
{
    reach reaches[ENCAP_MAX_LAYERS];
    uint32_t inner = 0, left = 0;
    find_reaches(b->octets[row], b->rows.sizes[row], b->batch->wire_lengths[b->first + row],
                 &b->rows.layers[row], reaches);
    for (uint32_t i = 0; i < b->program->step_count; i++) {
        const encap_step *step = &b->program->steps[i];
        const uint32_t touched = (uint32_t)is_touched(b, row, i, inner);
        inner |= touched;
        if (touched && (b->live[row] & (uint16_t)~b->given[row]) >> i & 1)
            left |= recompute_step(b, row, step, &reaches[step->slot], sum);
        if (step->kind == ENCAP_AH || step->kind == ENCAP_ESP)
            left |= (uint32_t)breaks_integrity(b, row, i) << ENCAP_LEFT_INTEGRITY;
    }
    for (uint32_t i = 0; i < ENCAP_LEFTS; i++)
        lefts[i] += left >> i & 1;
}
