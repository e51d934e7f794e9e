/* Verdicts for the checksums of a packet: walked and judged in one pass.
 *
 * Innermost first: what an inner checksum covers is part of what an outer one does, so an outer
 * sum is the inner one and the octets around it (RFC 1071 section 2 (A): sums can be put together
 * in any order, and one that starts at an odd octet has its halves swapped). */

/* What is known of a packet that is judged. */
typedef struct judged {
    const uint8_t *frame;
    uint32_t size;
    const encap_layers *layers;
    const encap_rules *rules;
    /* The octets whose sum is known, in memory order and folded: those of the last datagram. */
    uint32_t from;
    uint32_t to;
    uint32_t sum;
} judged;

/* Kinds of headers with a checksum, as bits. */
INLINE uint32_t kinds_with_checksum(const encap_cover *covers)
{
    uint32_t kinds = 0;
    for (uint32_t kind = 0; kind < ENCAP_KINDS; kind++)
        if (covers[kind].covers != ENCAP_COVERS_NOTHING)
            kinds |= 1u << kind;
    return kinds;
}

/* A sum of octets that start `distance` octets into what it becomes part of. */
INLINE uint32_t placed(uint32_t sum, uint32_t distance)
{
    return distance & 1 ? (uint32_t)SWAP16((uint16_t)sum) : sum;
}

/* The sum of [from, to), by way of what is known; it is known from then on. */
INLINE uint32_t sum_datagram(judged *now, uint32_t from, uint32_t to, pass_kernel *pass)
{
    uint64_t sum;
    if (now->to != 0 && from <= now->from && now->to <= to) {
        sum = pass(0, NULL, now->frame + from, now->from - from);
        sum += placed(now->sum, now->from - from);
        if (now->to < to)
            sum += placed(sum_blocks(0, NULL, now->frame + now->to, to - now->to, pass),
                          now->to - from);
        now->sum = fold_sum(sum);
    } else {
        now->sum = sum_blocks(0, NULL, now->frame + from, to - from, pass);
    }
    now->from = from;
    now->to = to;
    return now->sum;
}

/* A header without options is summed without a loop. */
INLINE uint64_t sum_header(const uint8_t *header, uint32_t size, pass_kernel *pass)
{
    if (UNLIKELY(size != 20))
        return pass(0, NULL, header, size);
    return words_32(header) + words_32(header + 4) + words_32(header + 8) + words_32(header + 12) +
           words_32(header + 16);
}

/* A checksum of 0 where that says that there is none. Over IPv6 only a tunnel may do without:
 * RFC 8200 section 8.1, RFC 6935 section 5; what the port leads to tells whether it is one. */
INLINE uint32_t judge_zero(const judged *now, const uint8_t *header, const reach *mine)
{
    if (mine->network == NO_SLOT || now->layers->kind[mine->network] != ENCAP_IPV6 ||
        now->rules->port[load_be16(header + 2)] != ENCAP_NONE)
        return ENCAP_CHECKSUM_ZERO;
    return ENCAP_CHECKSUM_ZERO_ILLEGAL;
}

/* What a checksum is that is not right: where the length is a guess, so is the sum. */
INLINE uint32_t not_right(const reach *mine)
{
    return mine->flags & (REACH_MISSING | REACH_UNSURE) ? ENCAP_CHECKSUM_UNVERIFIABLE
                                                        : ENCAP_CHECKSUM_BAD;
}

/* The CRC32c of [start, end), the 4 octets at `at` counted as 0, as it is stored. */
INLINE uint32_t crc_around(const uint8_t *frame, uint32_t start, uint32_t at, uint32_t end,
                           crc_kernel *crc)
{
    static const uint8_t zeros[4] = {0};
    uint32_t found = crc(crc(~0u, frame + start, at - start), zeros, 4);
    return SWAP32(~crc(found, frame + at + 4, end - at - 4)); /* its lowest octet stands first */
}

INLINE uint32_t judge_crc(const judged *now, uint32_t start, const reach *mine,
                          const encap_cover *cover, crc_kernel *crc)
{
    const uint32_t at = start + cover->at, stored = load_be32(now->frame + at);
    if (!(mine->flags & REACH_CUT) && mine->end >= at + 4 &&
        crc_around(now->frame, start, at, mine->end, crc) == stored)
        return ENCAP_CHECKSUM_GOOD;
    /* A NIC starts from 0, as there is no pseudo header. */
    return stored ? not_right(mine) : (uint32_t)ENCAP_CHECKSUM_PARTIAL;
}

/* A one's complement sum over the header in `slot` and what it carries. */
INLINE uint32_t judge_sum(judged *now, uint32_t slot, uint32_t start, const reach *mine,
                          const encap_cover *cover, pass_kernel *pass)
{
    uint64_t pseudo = 0;
    if (cover->pseudo)
        pseudo = pseudo_sum(now->frame, now->size, now->layers, mine, cover, slot);
    if (LIKELY(!(mine->flags & REACH_CUT)) &&
        LIKELY(fold_sum(pseudo + sum_datagram(now, start, mine->end, pass)) == 0xffff))
        return ENCAP_CHECKSUM_GOOD;
    if (pseudo && words_16(now->frame + start + cover->at) == fold_sum(pseudo))
        return ENCAP_CHECKSUM_PARTIAL;
    return not_right(mine);
}

/* Of the header in `slot`, which has a checksum and is not broken. */
INLINE uint32_t judge_slot(judged *now, const reach *mine, uint32_t slot, const encap_cover *cover,
                           pass_kernel *pass, crc_kernel *crc)
{
    const uint32_t start = now->layers->offset[slot];
    const uint8_t *header = now->frame + start;
    if (UNLIKELY(cover->optional) &&
        header_end(now->layers, slot) - start < (uint32_t)cover->at + cover->size)
        return ENCAP_CHECKSUM_UNVERIFIABLE; /* of a packet that changes: just now it had none */
    if (cover->zero && !words_16(header + cover->at))
        return judge_zero(now, header, mine);
    if (UNLIKELY(mine->flags & REACH_FRAGMENT))
        return ENCAP_CHECKSUM_UNVERIFIABLE;
    if (UNLIKELY(cover->algorithm == ENCAP_CRC32C))
        return judge_crc(now, start, mine, cover, crc);
    return judge_sum(now, slot, start, mine, cover, pass);
}

/* Of a header by itself. */
INLINE uint32_t judge_header(const judged *now, uint32_t slot, pass_kernel *pass)
{
    const uint32_t start = now->layers->offset[slot];
    const uint32_t size = header_end(now->layers, slot) - start;
    return LIKELY(fold_sum(sum_header(now->frame + start, size, pass)) == 0xffff)
               ? ENCAP_CHECKSUM_GOOD
               : ENCAP_CHECKSUM_BAD;
}

/* Which checksums there are in a packet, by slot, and what they are worth. `reaches` is for a
 * packet in which something is odd, else NULL. */
INLINE void judge_packet(judged *now, const encap_cover *covers, uint32_t kinds,
                         const reaches_noted *noted, const reach *reaches,
                         uint8_t verdicts[ENCAP_MAX_LAYERS], pass_kernel *pass, crc_kernel *crc)
{
    const encap_layers *layers = now->layers;
    memset(verdicts, ENCAP_CHECKSUM_NONE, ENCAP_MAX_LAYERS);
    for (uint32_t slot = layers->count; slot-- > 0;) {
        const uint32_t kind = layers->kind[slot];
        if (!(kinds >> kind & 1))
            continue;
        const encap_cover *cover = &covers[kind];
        if (!has_checksum(cover, now->frame + layers->offset[slot], 4))
            continue;
        if (UNLIKELY(reaches) && reaches[slot].flags & REACH_BROKEN) {
            verdicts[slot] = ENCAP_CHECKSUM_UNVERIFIABLE;
        } else if (cover->covers == ENCAP_COVERS_HEADER) {
            verdicts[slot] = (uint8_t)judge_header(now, slot, pass);
        } else {
            const reach mine = UNLIKELY(reaches) ? reaches[slot] : plain_reach(layers, noted, slot);
            verdicts[slot] = (uint8_t)judge_slot(now, &mine, slot, cover, pass, crc);
        }
    }
}

/* Walks a row and judges it; `reaches` is filled where something in it is odd. Gives its octets. */
INLINE frame_span judge_row(const encap_batch *batch, const encap_rules *rules,
                            const encap_cover *covers, uint32_t kinds, uint64_t row,
                            encap_layers *layers, reach reaches[ENCAP_MAX_LAYERS],
                            uint8_t *verdicts, pass_kernel *pass, crc_kernel *crc)
{
    const frame_span frame = row_octets(batch, row);
    reaches_noted noted;
    reach_frame(rules, frame.at, (uint32_t)frame.size, first_of(rules, linktype_of(batch, row)),
                layers, &noted);
    judged now = {
        .frame = frame.at, .size = (uint32_t)frame.size, .layers = layers, .rules = rules};
    if (UNLIKELY(noted.odd))
        find_reaches(frame.at, now.size, batch->wire_lengths[row], layers, reaches);
    judge_packet(&now, covers, kinds, &noted, noted.odd ? reaches : NULL, verdicts, pass, crc);
    return frame;
}

INLINE void judge_rows(const encap_batch *batch, const encap_rules *rules,
                       const encap_cover *covers, uint64_t begin, uint64_t end, encap_paths *paths,
                       encap_layers *layers, uint16_t *path_ids, uint8_t *verdicts,
                       pass_kernel *pass, crc_kernel *crc)
{
    const uint32_t kinds = kinds_with_checksum(covers);
    uint32_t deep = 0;
    for (uint64_t first = begin; first < end; first += ROUND) {
        const uint64_t last = end - first < ROUND ? end : first + ROUND;
        for (uint64_t row = first; row < last; row++) {
            prefetch_headers(batch, row, end, deep);
            reach reaches[ENCAP_MAX_LAYERS];
            judge_row(batch, rules, covers, kinds, row, &layers[row], reaches,
                      verdicts + row * ENCAP_MAX_LAYERS, pass, crc);
        }
        deep = layers[first].payload;
        intern_rows(paths, layers + first, path_ids + first, last - first);
    }
}
