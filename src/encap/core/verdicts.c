/* Verdicts for the checksums of a packet: walked and judged in one pass.
 *
 * Innermost first: what an inner checksum covers is part of what an outer one does, so an outer
 * sum is the inner one and the octets around it (RFC 1071 section 2 (A): sums can be put together
 * in any order, and one that starts at an odd octet has its halves swapped). */

#define SLOTS ENCAP_MAX_LAYERS /* verdicts a packet */

/* The checksums that packets of one path may have, innermost first. What depends on the path alone
 * is looked up once for many packets: most of what they cost is not sums, but looking around. */
typedef struct path_checks {
    uint64_t kinds[2]; /* the path: the octets of encap_layers.kind */
    uint32_t count;
    struct {
        const encap_cover *cover;
        uint8_t slot;
        uint8_t network; /* the slot of the nearest IP header in front, or NO_SLOT */
    } checks[ENCAP_MAX_LAYERS];
} path_checks;

/* Paths that are remembered at a time. */
#define KNOWN_PATHS 8

/* Octets of one row that are asked for before it is its turn. */
#define MOST_FETCHED 2048

/* What is known of a packet that is judged. */
typedef struct judged {
    const uint8_t *frame;
    uint32_t size;
    const encap_layers *layers;
    const encap_rules *rules;
    /* The octets whose sum is known, in memory order, not folded: those of the last datagram. */
    uint32_t from;
    uint32_t to;
    uint64_t sum;
} judged;

static void find_checks(path_checks *path, const uint64_t kinds[2], const encap_cover *covers)
{
    uint8_t kind[ENCAP_MAX_LAYERS], network[ENCAP_MAX_LAYERS];
    memcpy(path->kinds, kinds, sizeof path->kinds);
    memcpy(kind, kinds, sizeof kind);
    for (uint32_t slot = 0, last = NO_SLOT; slot < ENCAP_MAX_LAYERS; slot++) {
        network[slot] = (uint8_t)last;
        last = is_ip(kind[slot]) ? slot : last;
    }
    path->count = 0;
    for (uint32_t slot = ENCAP_MAX_LAYERS; slot-- > 0;) {
        const encap_cover *cover = &covers[kind[slot]];
        if (cover->covers == ENCAP_COVERS_NOTHING)
            continue;
        path->checks[path->count].cover = cover;
        path->checks[path->count].slot = (uint8_t)slot;
        path->checks[path->count++].network = network[slot];
    }
}

/* The checks of the path that `layers` have: those of the row before, or from among those that are
 * known, or made so. */
INLINE const path_checks *checks_of(path_checks known[KNOWN_PATHS], const path_checks *before,
                                    const encap_layers *layers, const encap_cover *covers)
{
    uint64_t kinds[2];
    memcpy(kinds, layers->kind, sizeof kinds);
    if (LIKELY(before->kinds[0] == kinds[0] && before->kinds[1] == kinds[1]))
        return before;
    path_checks *path = &known[((kinds[0] ^ kinds[1] * 3) * 0x9e3779b97f4a7c15u) >> 61];
    if (path->kinds[0] != kinds[0] || path->kinds[1] != kinds[1])
        find_checks(path, kinds, covers);
    return path;
}

/* A sum of octets that start `distance` octets into what it becomes part of. */
INLINE uint64_t placed(uint64_t sum, uint32_t distance)
{
    return UNLIKELY(distance & 1) ? (uint64_t)SWAP16(fold_sum(sum)) : sum;
}

/* The sum of [from, to), by way of what is known; it is known from then on. No more than 16 spans
 * are put together, so it stays below 2^52. */
INLINE uint64_t sum_datagram(judged *now, uint32_t from, uint32_t to, pass_kernel *pass)
{
    if (now->to != 0 && from <= now->from && now->to <= to) {
        const uint64_t head = pass(0, NULL, now->frame + from, now->from - from);
        now->sum = head + placed(now->sum, now->from - from);
        if (UNLIKELY(now->to < to))
            now->sum +=
                placed(sum_span(0, NULL, now->frame + now->to, to - now->to, pass), now->to - from);
    } else {
        now->sum = sum_span(0, NULL, now->frame + from, to - from, pass);
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

/* Of the header in `slot`, which may have a checksum and is not broken. */
INLINE uint32_t judge_slot(judged *now, const reach *mine, uint32_t slot, const encap_cover *cover,
                           pass_kernel *pass, crc_kernel *crc)
{
    const uint32_t start = now->layers->offset[slot];
    const uint8_t *header = now->frame + start;
    if (cover->optional) {
        if (!has_checksum(cover, header, 4))
            return ENCAP_CHECKSUM_NONE;
        /* Of a packet that changes: just now it had none. */
        if (UNLIKELY(header_end(now->layers, slot) - start < (uint32_t)cover->at + cover->size))
            return ENCAP_CHECKSUM_UNVERIFIABLE;
    }
    if (cover->zero && !words_16(header + cover->at))
        return judge_zero(now, header, mine);
    if (UNLIKELY(mine->flags & REACH_FRAGMENT))
        return ENCAP_CHECKSUM_UNVERIFIABLE;
    if (UNLIKELY(cover->algorithm == ENCAP_CRC32C))
        return judge_crc(now, start, mine, cover, crc);
    return judge_sum(now, slot, start, mine, cover, pass);
}

/* Of a header by itself, an even number of octets. Where what is known begins behind it, it is
 * known from then on. */
INLINE uint32_t judge_header(judged *now, uint32_t slot, pass_kernel *pass)
{
    const uint32_t start = now->layers->offset[slot], end = header_end(now->layers, slot);
    const uint64_t sum = sum_header(now->frame + start, end - start, pass);
    if (now->from == end) {
        now->sum += sum;
        now->from = start;
    }
    return LIKELY(fold_sum(sum) == 0xffff) ? ENCAP_CHECKSUM_GOOD : ENCAP_CHECKSUM_BAD;
}

/* Which checksums there are in a packet, by slot, and what they are worth. `reaches` is for a
 * packet in which something is odd, else NULL: a constant, so that the others pay nothing. */
INLINE void judge_packet(judged *now, const path_checks *path, const reaches_noted *noted,
                         const reach *reaches, uint8_t verdicts[SLOTS], pass_kernel *pass,
                         crc_kernel *crc)
{
    memset(verdicts, ENCAP_CHECKSUM_NONE, SLOTS);
    for (uint32_t i = 0; i < path->count; i++) {
        const encap_cover *cover = path->checks[i].cover;
        const uint32_t slot = path->checks[i].slot;
        uint32_t verdict;
        if (reaches && reaches[slot].flags & REACH_BROKEN) {
            verdict = has_checksum(cover, now->frame + now->layers->offset[slot], 4)
                          ? ENCAP_CHECKSUM_UNVERIFIABLE
                          : ENCAP_CHECKSUM_NONE;
        } else if (cover->covers == ENCAP_COVERS_HEADER) {
            verdict = judge_header(now, slot, pass);
        } else {
            const reach mine = reaches
                                   ? reaches[slot]
                                   : plain_reach(now->layers, noted, slot, path->checks[i].network);
            verdict = judge_slot(now, &mine, slot, cover, pass, crc);
        }
        verdicts[slot] = (uint8_t)verdict;
    }
}

/* judge_odd_packet below, compiled for one CPU variant. */
typedef void odd_kernel(judged *now, const path_checks *path, uint32_t wire_length,
                        uint8_t verdicts[SLOTS]);

/* A packet in which something is odd: it is looked at more closely. */
INLINE void judge_odd_packet(judged *now, const path_checks *path, uint32_t wire_length,
                             uint8_t verdicts[SLOTS], pass_kernel *pass, crc_kernel *crc)
{
    reach reaches[ENCAP_MAX_LAYERS];
    find_reaches(now->frame, now->size, wire_length, now->layers, reaches);
    judge_packet(now, path, NULL, reaches, verdicts, pass, crc);
}

/* Asks for the lines of a row further on, and for those of the next headers in the first level. */
INLINE void prefetch_frame(const encap_batch *batch, uint64_t row, uint64_t end)
{
    const uint64_t later = row + WALK_FAR < end ? row + WALK_FAR : row;
    const uintptr_t far = (uintptr_t)batch->data + (uintptr_t)batch->starts[later];
    const uintptr_t near = later_row(batch, row, WALK_NEAR, end);
    const uint32_t length = batch->lengths[later];
    const uint32_t size = length < MOST_FETCHED ? length : MOST_FETCHED;
    prefetch(far);
    prefetch(far + 64);
    for (uint32_t at = 128; at < size; at += 64)
        prefetch(far + at);
    prefetch_near(near);
    prefetch_near(near + 64);
}

/* judge_rows below, compiled for one CPU variant. */
typedef void judge_kernel(const encap_batch *batch, const encap_rules *rules,
                          const encap_cover *covers, uint64_t begin, uint64_t end, uint64_t last,
                          encap_paths *paths, encap_layers *layers, uint16_t *path_ids,
                          frame_span frames[ROUND], uint8_t *verdicts);

/* Rows [begin, end) into layers[0], path_ids[0] and verdicts[0] on; without `paths` none is looked
 * up. A round is walked, then judged: by then it has come into the cache. `frames` is where those
 * of the last round are: arrays that change meanwhile may say something else later. */
INLINE void judge_rows(const encap_batch *batch, const encap_rules *rules,
                       const encap_cover *covers, uint64_t begin, uint64_t end, uint64_t last,
                       encap_paths *paths, encap_layers *layers, uint16_t *path_ids,
                       frame_span frames[ROUND], uint8_t *verdicts, pass_kernel *pass,
                       crc_kernel *crc, odd_kernel *judge_odd)
{
    path_checks known[KNOWN_PATHS];
    const path_checks *path = known;
    reaches_noted noted[ROUND];
    uint32_t kind = begin < end ? first_of(rules, linktype_of(batch, begin)) : (uint32_t)ENCAP_NONE;
    memset(known, 0, sizeof known);
    for (uint64_t first = begin; first < end; first += ROUND) {
        const uint64_t count = end - first < ROUND ? end - first : ROUND;
        for (uint64_t i = 0; i < count; i++) {
            prefetch_frame(batch, first + i, last);
            if (batch->linktype_step)
                kind = first_of(rules, linktype_of(batch, first + i));
            frames[i] = row_octets(batch, first + i);
            reach_frame(rules, frames[i].at, (uint32_t)frames[i].size, kind, &layers[i], &noted[i]);
        }
        for (uint64_t i = 0; i < count; i++) {
            judged now = {.frame = frames[i].at,
                          .size = (uint32_t)frames[i].size,
                          .layers = &layers[i],
                          .rules = rules};
            path = checks_of(known, path, &layers[i], covers);
            if (LIKELY(!noted[i].odd))
                judge_packet(&now, path, &noted[i], NULL, verdicts + i * SLOTS, pass, crc);
            else
                judge_odd(&now, path, batch->wire_lengths[first + i], verdicts + i * SLOTS);
        }
        if (paths) {
            intern_rows(paths, layers, path_ids, count);
            path_ids += count;
        }
        layers += count;
        verdicts += count * SLOTS;
    }
}
