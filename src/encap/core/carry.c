/* Checksums brought along with what they cover, from the innermost header outwards. */

/* --- what the checksums are, before anything changes -------------------------- */

/* The sum of the pseudo header of a header that no routing header is in front of, if its IP header
 * says how long it is; 0 where that is not simple. */
INLINE uint32_t simple_pseudo_sum(const rewrite_block *b, uint32_t row, const encap_step *step,
                                  const encap_cover *cover, const uint8_t *header)
{
    const encap_layers *layers = &b->rows.layers[row];
    const uint32_t start = layers->offset[step->network];
    const uint8_t *ip = b->octets[row] + start;
    const int six = layers->kind[step->network] == ENCAP_IPV6;
    uint32_t length = load_be16(header + 4);
    if (step->kind != ENCAP_UDP) {
        length = load_be16(ip + (six ? 4 : 2));
        if (length)
            length -= layers->offset[step->slot] - start - (six ? 40u : 0u);
    }
    if (!length)
        return 0;
    uint64_t sum = (uint64_t)big16(cover->protocol) + big16((uint16_t)length);
    if (six)
        for (uint32_t at = 8; at < 40; at += 4)
            sum += words_32(ip + at);
    else
        sum += words_32(ip + 12) + words_32(ip + 16);
    return fold_sum(sum);
}

/* True where the checksum `stored` is that of the pseudo header alone, and so not the right one:
 * computing it was left to a NIC. */
static int is_partial(const rewrite_block *b, uint32_t row, const encap_step *step,
                      const encap_cover *cover, uint16_t stored, sum_kernel *sum)
{
    const encap_layers *layers = &b->rows.layers[row];
    const uint8_t *frame = b->octets[row];
    const uint32_t size = b->rows.sizes[row], start = layers->offset[step->slot];
    reach reaches[ENCAP_MAX_LAYERS];
    find_reaches(frame, size, b->batch->wire_lengths[b->first + row], layers, reaches);
    const reach *mine = &reaches[step->slot];
    if (mine->flags & (REACH_FRAGMENT | REACH_BROKEN))
        return 0;
    const uint64_t pseudo = pseudo_sum(frame, size, layers, mine, cover, step->slot);
    if (fold_sum(pseudo) != stored)
        return 0;
    if (missing(mine, cover))
        return 1;
    return fold_sum(pseudo + sum(frame + start, mine->end - start)) != 0xffff;
}

/* Notes what each row's checksum in the header of a step is. */
static void note_checksums(rewrite_block *b, const path_group *group, uint32_t number,
                           sum_kernel *sum)
{
    const encap_step *step = &b->program->steps[number];
    const encap_cover *cover = &b->job->covers[step->kind];
    const uint16_t bit = (uint16_t)(1u << number);
    const int pseudo = cover->pseudo && step->network != NO_SLOT;
    if (cover->covers == ENCAP_COVERS_NOTHING)
        return;
    EACH_MEMBER
    {
        uint32_t left;
        const uint8_t *header = header_at(b, row, step->slot, &left);
        if (!span(header, left, cover->at, cover->size) || !has_checksum(cover, header, left))
            continue;
        if (cover->algorithm == ENCAP_CRC32C) {
            memcpy(b->sctp[row], header,
                   sizeof b->sctp[row]); /* 12 octets: at and size end there */
            if (words_32(header + cover->at)) /* with 0 it is left to a NIC */
                b->live[row] |= bit;
            continue;
        }
        const uint16_t stored = (uint16_t)words_16(header + cover->at);
        if (cover->zero && !stored)
            continue;
        b->live[row] |= bit;
        if (!pseudo)
            continue;
        const encap_layers *layers = &b->rows.layers[row];
        uint32_t simple = 0;
        int routed = 0;
        for (uint32_t slot = step->network + 1u; slot < step->slot; slot++)
            routed |= layers->kind[slot] == ENCAP_ROUTING;
        if (LIKELY(!routed))
            simple = simple_pseudo_sum(b, row, step, cover, header);
        else if (step->network_step != NO_STEP &&
                 routed_to(b->octets[row], b->rows.sizes[row], layers, step->network, step->slot))
            b->routed[row] |= (uint16_t)(1u << step->network_step);
        if (UNLIKELY(!simple || simple == stored) && is_partial(b, row, step, cover, stored, sum))
            b->partial[row] |= bit;
    }
}

/* --- checksums updated ---------------------------------------------------------- */

/* The checksum at `at` after what it covers changed. One that is not there for a value of 0 never
 * becomes 0. */
INLINE void move_checksum(uint8_t *at, uint32_t change, uint16_t zero)
{
    if (is_zero(change))
        return;
    const uint16_t stored = (uint16_t)words_16(at);
    uint16_t made = (uint16_t)~fold_sum((uint64_t)(uint16_t)~stored + change);
    if (!made)
        made = zero;
    memcpy(at, &made, sizeof made);
}

/* True where AH or ESP in this row cover something that changed. */
static int breaks_integrity(const rewrite_block *b, uint32_t row, uint32_t number)
{
    const encap_step *step = &b->program->steps[number];
    const uint32_t inside = b->changed[row] & ((2u << number) - 1);
    if (step->kind == ENCAP_ESP || step->network_step == NO_STEP)
        return inside != 0;
    return inside || b->addressed[row] >> step->network_step & 1;
}

/* IPv4: whatever changed in the header is made up for by its own checksum. */
static void carry_header(rewrite_block *b, const path_group *group, uint32_t number)
{
    const encap_step *step = &b->program->steps[number];
    const encap_cover *cover = &b->job->covers[step->kind];
    EACH_MEMBER
    {
        const uint32_t start = b->rows.layers[row].offset[step->slot];
        const uint32_t own = fold_sum(b->own[number][row]);
        if (b->live[row] & (uint16_t)~b->given[row] & 1u << number)
            move_checksum(b->octets[row] + start + cover->at, at_offset(own, start), cover->zero);
        else
            b->carry[row] = fold_sum((uint64_t)b->carry[row] + own);
    }
}

/* A checksum over all that is carried, which then changes as a whole by no more than what the
 * pseudo header did, in the other direction. */
static void carry_rest(rewrite_block *b, const path_group *group, uint32_t number)
{
    const encap_step *step = &b->program->steps[number];
    const encap_cover *cover = &b->job->covers[step->kind];
    const int pseudo = cover->pseudo && step->network_step != NO_STEP;
    EACH_MEMBER
    {
        const uint32_t start = b->rows.layers[row].offset[step->slot];
        const uint32_t inside = fold_sum(b->own[number][row] + b->carry[row]);
        const uint32_t outside = pseudo ? fold_sum(b->pseudo[step->network_step][row]) : 0;
        uint8_t *at = b->octets[row] + start + cover->at;
        b->carry[row] = inside;
        if (!(b->live[row] & (uint16_t)~b->given[row] & 1u << number))
            continue;
        if (UNLIKELY(b->partial[row] >> number & 1)) {
            const uint16_t moved = fold_sum(words_16(at) + (uint64_t)outside);
            if (is_zero(outside))
                continue;
            memcpy(at, &moved, sizeof moved);
            b->carry[row] = fold_sum((uint64_t)inside + at_offset(outside, start));
            continue;
        }
        move_checksum(at, fold_sum((uint64_t)at_offset(inside, start) + outside), cover->zero);
        b->carry[row] = is_zero(outside) ? 0 : (uint16_t)~at_offset(outside, start);
    }
}

/* No checksum of its own; AH and ESP have a check value, which nobody but their ends can make. */
static void carry_plain(rewrite_block *b, const path_group *group, uint32_t number, uint64_t *lefts)
{
    const encap_step *step = &b->program->steps[number];
    const int keyed = step->kind == ENCAP_AH || step->kind == ENCAP_ESP;
    EACH_MEMBER
    {
        const uint64_t own = b->own[number][row];
        if (own)
            b->carry[row] = fold_sum(b->carry[row] + own);
        if (keyed)
            lefts[ENCAP_LEFT_INTEGRITY] += (uint64_t)breaks_integrity(b, row, number);
    }
}

/* --- SCTP's CRC ------------------------------------------------------------------- */

#define CRC32C_POLYNOMIAL 0x82f63b78u /* bits reversed, as the octets go by */

/* The product of two polynomials modulo that of the CRC; the highest bit is that of x^0. */
static uint32_t crc_product(uint32_t a, uint32_t b)
{
    uint32_t product = 0;
    for (uint32_t bit = 1u << 31; bit; bit >>= 1) {
        if (a & bit)
            product ^= b;
        b = b >> 1 ^ (b & 1 ? CRC32C_POLYNOMIAL : 0);
    }
    return product;
}

/* What `count` octets of 0 make of a CRC without its complements: it times x^(8 * count). */
static uint32_t crc_zeros(uint32_t crc, uint32_t count)
{
    uint32_t power = 1u << 23; /* x^8 */
    for (; count; count >>= 1) {
        if (count & 1)
            crc = crc_product(power, crc);
        power = crc_product(power, power);
    }
    return crc;
}

/* How the CRC of an SCTP packet changes with its header. A CRC is linear: that of the difference,
 * which is 0 behind the header, is the difference. The checksum itself counts as 0. */
static uint32_t crc_change(const uint8_t old[12], const uint8_t *header, uint32_t length)
{
    uint8_t changed[8];
    for (uint32_t at = 0; at < sizeof changed; at++)
        changed[at] = old[at] ^ header[at];
    return crc_zeros(crc_generic(0, changed, sizeof changed), length - 8);
}

/* Changes a CRC along with the header, unless it is not known how much it covers. Of a whole packet
 * that was right it is right again, of one that was wrong as wrong as before. */
static void carry_crc(rewrite_block *b, const path_group *group, uint32_t number, uint64_t *lefts)
{
    const encap_step *step = &b->program->steps[number];
    const encap_cover *cover = &b->job->covers[step->kind];
    EACH_MEMBER
    {
        const encap_layers *layers = &b->rows.layers[row];
        const uint32_t start = layers->offset[step->slot], bit = 1u << number;
        uint8_t *header = b->octets[row] + start;
        reach reaches[ENCAP_MAX_LAYERS];
        b->carry[row] = fold_sum(b->own[number][row] + b->carry[row]);
        if (!(b->live[row] & b->changed[row] & (uint16_t)~b->given[row] & bit))
            continue;
        find_reaches(b->octets[row], b->rows.sizes[row], b->batch->wire_lengths[b->first + row],
                     layers, reaches);
        const reach *mine = &reaches[step->slot];
        if (mine->flags & (REACH_FRAGMENT | REACH_BROKEN | REACH_UNSURE) || mine->length < 12) {
            lefts[ENCAP_LEFT_CRC]++;
            continue;
        }
        const uint32_t change = crc_change(b->sctp[row], header, mine->length);
        for (uint32_t i = 0; i < 4; i++) /* the lowest octet stands first */
            header[cover->at + i] ^= (uint8_t)(change >> 8 * i);
        const uint32_t moved = octets_change(b->sctp[row] + cover->at, header + cover->at, 4);
        b->carry[row] = fold_sum((uint64_t)b->carry[row] + at_offset(moved, start + cover->at));
    }
}
