/* Checksums repaired: those of a packet that have a verdict that is asked for, innermost first.
 *
 * What an inner checksum becomes is covered by the outer ones. One that was right, or could not be
 * judged, is moved along (RFC 1624), so that it is as right as before; one that was wrong is judged
 * again before it is made anew, for a kernel that leaves the inner sum to a NIC computes the outer
 * one as if it were complete. */

typedef struct packet_repair {
    uint8_t *frame;
    uint32_t size;
    const encap_layers *layers;
    const reach *reaches;
    const encap_cover *covers;
    uint32_t wanted;
    sum_kernel *sum;
    encap_fixes *fixes;
    /* Words that were changed, as they lie in memory: two for a CRC. */
    uint32_t count;
    uint32_t at[2 * ENCAP_MAX_LAYERS];
    uint16_t old[2 * ENCAP_MAX_LAYERS];
    uint16_t now[2 * ENCAP_MAX_LAYERS];
} packet_repair;

/* How the sum of [start, end) has changed, folded. */
static uint32_t change_within(const packet_repair *p, uint32_t start, uint32_t end)
{
    uint64_t change = 0;
    for (uint32_t i = 0; i < p->count; i++)
        if (p->at[i] >= start && p->at[i] < end)
            change +=
                placed(fold_sum((uint64_t)(uint16_t)~p->old[i] + p->now[i]), p->at[i] - start);
    return fold_sum(change);
}

/* The reason why a checksum is left, as a bit. */
static uint32_t why_left(uint32_t flags)
{
    if (flags & REACH_BROKEN)
        return 1u << ENCAP_UNFIXED_BROKEN;
    if (flags & REACH_FRAGMENT)
        return 1u << ENCAP_UNFIXED_FRAGMENT;
    if (flags & REACH_CUT)
        return 1u << ENCAP_UNFIXED_CUT;
    return 1u << (flags & REACH_UNSURE ? ENCAP_UNFIXED_OPEN : ENCAP_UNFIXED_BROKEN);
}

/* True where the checksum in `slot`, a sum, is right as the octets are by now. */
static int is_right(const packet_repair *p, uint32_t slot, const encap_cover *cover, uint32_t end)
{
    const uint32_t start = p->layers->offset[slot];
    uint64_t total = p->sum(p->frame + start, end - start);
    if (cover->pseudo)
        total += pseudo_sum(p->frame, p->size, p->layers, &p->reaches[slot], cover, slot);
    return fold_sum(total) == 0xffff;
}

/* Makes the checksum in `slot` anew, or moves it by what changed within it. */
static void repair_slot(packet_repair *p, uint32_t slot, uint32_t verdict, int whole)
{
    const encap_cover *cover = &p->covers[p->layers->kind[slot]];
    const reach *mine = &p->reaches[slot];
    const uint32_t start = p->layers->offset[slot], at = start + cover->at;
    const uint32_t end = covered_end(p->layers, mine, cover, slot);
    const uint32_t change = change_within(p, start, end);
    const int crc = cover->algorithm == ENCAP_CRC32C;
    uint8_t old[4];
    memcpy(old, p->frame + at, cover->size);
    if (p->wanted >> verdict & 1 && whole) {
        if (change && verdict == ENCAP_CHECKSUM_BAD && is_right(p, slot, cover, end))
            return;
        if (crc)
            recompute_crc(p->frame, start, end, at);
        else
            recompute(p->frame, p->size, p->layers, mine, cover, slot, p->sum);
        p->fixes->fixed++;
    } else if (change && !crc &&
               (verdict == ENCAP_CHECKSUM_GOOD || verdict == ENCAP_CHECKSUM_UNVERIFIABLE)) {
        move_checksum(p->frame + at, change, cover->zero);
        p->fixes->moved++;
    }
    for (uint32_t i = 0; i < cover->size; i += 2) {
        p->at[p->count] = at + i;
        p->old[p->count] = (uint16_t)words_16(old + i);
        p->now[p->count] = (uint16_t)words_16(p->frame + at + i);
        p->count += p->old[p->count] != p->now[p->count];
    }
}

static void repair_packet(packet_repair *p, const uint8_t verdicts[ENCAP_MAX_LAYERS])
{
    uint32_t left = 0;
    for (uint32_t slot = p->layers->count; slot-- > 0;) {
        const uint32_t verdict = verdicts[slot];
        if (verdict == ENCAP_CHECKSUM_NONE)
            continue;
        const encap_cover *cover = &p->covers[p->layers->kind[slot]];
        const reach *mine = &p->reaches[slot];
        const uint32_t at = p->layers->offset[slot] + cover->at;
        uint32_t flags = missing(mine, cover);
        if (cover->covers == ENCAP_COVERS_REST)
            flags |= mine->flags & REACH_UNSURE;
        /* Only a packet that changes meanwhile can have an end before its checksum. */
        const uint32_t end = flags & REACH_BROKEN ? 0 : covered_end(p->layers, mine, cover, slot);
        const int there = end >= at && end - at >= cover->size;
        if (verdict == ENCAP_CHECKSUM_UNVERIFIABLE ||
            (p->wanted >> verdict & 1 && (flags || !there)))
            left |= why_left(flags);
        if (there)
            repair_slot(p, slot, verdict, !flags);
    }
    p->fixes->packets += p->count != 0;
    for (uint32_t i = 0; i < ENCAP_UNFIXEDS; i++)
        p->fixes->left[i] += left >> i & 1;
}

/* Repairs a row, which was judged just now, where its verdicts call for it. */
INLINE void fix_row(const encap_batch *batch, const encap_cover *covers, uint64_t row,
                    uint32_t wanted, frame_span frame, const encap_layers *layers,
                    const uint8_t *verdicts, uint8_t *octets, encap_fixes *fixes, sum_kernel *sum)
{
    reach reaches[ENCAP_MAX_LAYERS];
    uint32_t found = 0;
    for (uint32_t slot = 0; slot < layers->count; slot++)
        found |= 1u << verdicts[slot];
    if (LIKELY(!(found & (wanted | 1u << ENCAP_CHECKSUM_UNVERIFIABLE))))
        return;
    find_reaches(frame.at, (uint32_t)frame.size, batch->wire_lengths[row], layers, reaches);
    packet_repair repair = {.frame = octets + (frame.at - batch->data),
                            .size = (uint32_t)frame.size,
                            .layers = layers,
                            .reaches = reaches,
                            .covers = covers,
                            .wanted = wanted,
                            .sum = sum,
                            .fixes = fixes};
    repair_packet(&repair, verdicts);
}

INLINE int fix_rows(const encap_batch *from, const encap_batch *batch, const encap_rules *rules,
                    const encap_cover *covers, uint64_t begin, uint64_t end, uint32_t wanted,
                    uint8_t *octets, encap_fixes *fixes, copy_kernel *copy, sum_kernel *sum,
                    judge_kernel *judge)
{
    encap_layers layers[ROUND];
    frame_span frames[ROUND];
    uint8_t verdicts[ROUND * SLOTS];
    for (uint64_t first = begin; first < end; first += ROUND) {
        const uint64_t stop = end - first < ROUND ? end : first + ROUND;
        if (from && fetch_rows(from, batch, first, stop, octets, copy))
            return -1;
        judge(batch, rules, covers, first, stop, from ? stop : end, NULL, layers, NULL, frames,
              verdicts);
        for (uint64_t row = first; row < stop; row++)
            fix_row(batch, covers, row, wanted, frames[row - first], &layers[row - first],
                    verdicts + (row - first) * SLOTS, octets, fixes, sum);
    }
    return 0;
}
