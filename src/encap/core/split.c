/* Packets split into fragments: RFC 791 section 3.2, RFC 8200 section 4.5. */

#define COPIED 0x80 /* of an IPv4 option's type: every fragment has it */

/* How a packet is split. Offsets are from the start of the frame. */
typedef struct split_plan {
    encap_layers layers; /* looked at once, so that what was checked holds */
    uint32_t ip;
    uint32_t head_end; /* of the headers that each fragment has */
    uint32_t end; /* of the packet */
    uint32_t next_at; /* IPv6: the octet that says what follows those headers */
    uint32_t six;
    uint32_t first_step; /* octets of payload in the first fragment, and in later ones */
    uint32_t step;
    uint32_t later_len; /* octets of later IPv4 headers */
    uint8_t options[40]; /* of these */
} split_plan;

/* The options of an IPv4 header that every fragment has, filled up with zeros to whole words; how
 * many octets that is. Behind an option that has no length there are none. */
static uint32_t copied_options(const uint8_t *header, uint32_t size, uint8_t options[40])
{
    uint32_t at = 20, used = 0;
    memset(options, 0, 40);
    while (at < size && header[at]) {
        uint32_t length = 1;
        if (header[at] != 1) {
            length = size - at < 2 ? 0 : header[at + 1];
            if (length < 2 || length > size - at)
                break;
        }
        if (header[at] & COPIED) {
            memcpy(options + used, header + at, length);
            used += length;
        }
        at += length;
    }
    return (used + 3) & ~3u;
}

/* Where the part of IPv6 ends that cannot be split: behind the last routing header, or else behind
 * hop-by-hop options. */
static void find_unsplit(const uint8_t *frame, uint32_t slot, split_plan *plan)
{
    const encap_layers *layers = &plan->layers;
    plan->head_end = plan->ip + 40;
    plan->next_at = plan->ip + 6;
    for (uint32_t after = slot + 1; after < layers->count; after++) {
        const uint32_t kind = layers->kind[after], at = layers->offset[after];
        if (kind != ENCAP_HOPOPT && kind != ENCAP_ROUTING && kind != ENCAP_DSTOPTS)
            break;
        if (kind == ENCAP_DSTOPTS)
            continue;
        plan->head_end = at + 8 + 8u * frame[at + 1];
        plan->next_at = at;
    }
}

/* True where one of IPv6's extension headers is a fragment header. */
INLINE int has_fragment(const encap_layers *layers, uint32_t slot)
{
    for (uint32_t after = slot + 1; after < layers->count && !is_ip(layers->kind[after]); after++)
        if (layers->kind[after] == ENCAP_FRAGMENT)
            return 1;
    return 0;
}

/* How many octets of payload a fragment has: all of it, or a multiple of 8. */
INLINE uint32_t step_of(uint32_t mtu, uint32_t headers)
{
    return mtu < headers ? 0 : (mtu - headers) & ~7u;
}

static uint32_t plan_ipv4(const uint8_t *frame, const encap_split *split, split_plan *plan)
{
    const uint8_t *header = frame + plan->ip;
    const uint32_t size = (header[0] & 15u) * 4, field = load_be16(header + 6);
    plan->head_end = plan->ip + size;
    if (field & 0x4000 && !split->ignore_df)
        return ENCAP_UNSPLIT_DF;
    if (size < 20 || plan->head_end > plan->end)
        return ENCAP_UNSPLIT_CUT;
    if ((field & 0x1fff) * 8 + (plan->end - plan->ip) > MAX_IP_LEN)
        return ENCAP_UNSPLIT_LONG;
    plan->later_len = 20 + copied_options(header, size, plan->options);
    plan->first_step = step_of(split->mtu, size);
    plan->step = step_of(split->mtu, plan->later_len);
    return plan->first_step ? ENCAP_SPLIT : ENCAP_UNSPLIT_ROOM;
}

static uint32_t plan_ipv6(const uint8_t *frame, uint32_t slot, const encap_split *split,
                          split_plan *plan)
{
    if (has_fragment(&plan->layers, slot))
        return ENCAP_UNSPLIT_TWICE;
    find_unsplit(frame, slot, plan);
    if (plan->head_end > plan->end)
        return ENCAP_UNSPLIT_CUT;
    const uint32_t payload = plan->end - plan->head_end;
    if (plan->end - plan->ip - 40 > MAX_IP_LEN)
        return ENCAP_UNSPLIT_LONG;
    plan->first_step = plan->step = step_of(split->mtu, plan->head_end - plan->ip + 8);
    if (!plan->step || !payload)
        return ENCAP_UNSPLIT_ROOM;
    return chain_len(frame + plan->head_end, payload, frame[plan->next_at]) > plan->step
               ? ENCAP_UNSPLIT_CHAIN
               : ENCAP_SPLIT;
}

/* How the packet in a row is split, if it must be: *count is the number of fragments, 1 where it
 * stays as it is. Gives enum encap_unsplit. */
static uint32_t plan_split(const encap_batch *batch, uint64_t row, const encap_layers *layers,
                           const encap_split *split, uint32_t slot, split_plan *plan,
                           uint32_t *count)
{
    const frame_span frame = row_octets(batch, row);
    const uint32_t size = (uint32_t)frame.size;
    reach reaches[ENCAP_MAX_LAYERS];
    *count = 1;
    *plan = (split_plan){.layers = *layers};
    encap_layers known = plan->layers;
    if (slot >= known.count || known.count > ENCAP_MAX_LAYERS || is_broken(&known, slot) ||
        !is_ip(known.kind[slot]) || !headers_stand(&known, known.count - 1u, size))
        return ENCAP_SPLIT;
    known.count = (uint8_t)(slot + 1);
    known.status = ENCAP_OK;
    find_reaches(frame.at, size, batch->wire_lengths[row], &known, reaches);
    if (reaches[slot].length <= split->mtu)
        return ENCAP_SPLIT;
    plan->ip = known.offset[slot];
    plan->end = reaches[slot].end;
    plan->six = known.kind[slot] == ENCAP_IPV6;
    uint32_t problem =
        plan->six ? plan_ipv6(frame.at, slot, split, plan) : plan_ipv4(frame.at, split, plan);
    if (problem == ENCAP_SPLIT && reaches[slot].flags & REACH_CUT)
        problem = ENCAP_UNSPLIT_CUT;
    if (problem != ENCAP_SPLIT)
        return problem;
    const uint32_t payload = plan->end - plan->head_end;
    if (payload > plan->first_step)
        *count += (payload - plan->first_step + plan->step - 1) / plan->step;
    return ENCAP_SPLIT;
}

/* Octets of all fragments together. */
INLINE uint64_t split_size(const split_plan *plan, uint64_t count)
{
    const uint64_t head = plan->six ? plan->head_end + 8u : plan->ip + plan->later_len;
    return head * (count - 1) + (plan->six ? head : plan->head_end) + (plan->end - plan->head_end);
}

/* A slot as the caller says it, or one that no packet has. */
INLINE uint32_t slot_of(const encap_split *split, uint64_t row)
{
    const int slot = split->slots[row];
    return slot < 0 ? NO_SLOT : (uint32_t)slot;
}

/* Gives the IPv4 header at `ip` the options of a later fragment, in place of those of the packet,
 * which are at `options`. */
static void shorten_options(uint8_t *ip, const uint8_t *options, const split_plan *plan)
{
    uint8_t old[40] = {0};
    memcpy(old, options, plan->head_end - plan->ip - 20);
    move_checksum(ip + 10, octets_change(old, plan->options, sizeof old), 0);
    memcpy(ip + 20, plan->options, plan->later_len - 20);
}

/* Copies the headers of the fragment whose payload starts at `offset` and has `size` octets; gives
 * where they end. */
static uint32_t head_split_ipv4(uint8_t *to, const uint8_t *frame, const split_plan *plan,
                                uint32_t offset, uint32_t size, int last, copy_kernel *copy)
{
    const uint32_t head_len = offset ? plan->later_len : plan->head_end - plan->ip;
    uint8_t *ip = to + plan->ip, made[8];
    copy(to, frame, plan->ip + head_len);
    if (offset)
        shorten_options(ip, frame + plan->ip + 20, plan);
    memcpy(made, ip, sizeof made);
    made[0] = (uint8_t)(0x40 | head_len / 4);
    store_wide(made + 2, head_len + size, 2);
    store_wide(made + 6, (load_be16(ip + 6) + offset / 8) | (last ? 0u : 0x2000u), 2);
    change_ipv4(ip, made, sizeof made);
    return plan->ip + head_len;
}

static uint32_t head_split_ipv6(uint8_t *to, const uint8_t *frame, const split_plan *plan,
                                uint32_t offset, uint32_t size, int last, uint32_t id,
                                copy_kernel *copy)
{
    uint8_t *header = to + plan->head_end;
    copy(to, frame, plan->head_end);
    store_wide(header, (uint32_t)to[plan->next_at] << 24 | offset | (last ? 0u : 1u), 4);
    store_wide(header + 4, id, 4);
    to[plan->next_at] = 44;
    store_wide(to + plan->ip + 4, plan->head_end - plan->ip - 40 + 8 + size, 2);
    return plan->head_end + 8;
}

/* What a filling works with. */
typedef struct splitting {
    const encap_split *split;
    const encap_cover *covers;
    copy_kernel *copy;
    sum_kernel *sum;
    uint64_t index; /* of the next part */
    int64_t *starts;
    uint32_t *lengths;
    uint8_t *octets;
    uint64_t at;
} splitting;

/* Writes the fragments of a packet; there is room. */
static void write_parts(splitting *s, const uint8_t *frame, const split_plan *plan, uint32_t slot,
                        uint32_t id)
{
    const uint32_t payload = plan->end - plan->head_end;
    uint32_t size;
    for (uint32_t offset = 0; offset < payload; offset += size) {
        const uint32_t step = offset ? plan->step : plan->first_step, left = payload - offset;
        uint8_t *to = s->octets + s->at;
        size = left < step ? left : step;
        const uint32_t head =
            plan->six ? head_split_ipv6(to, frame, plan, offset, size, size == left, id, s->copy)
                      : head_split_ipv4(to, frame, plan, offset, size, size == left, s->copy);
        s->copy(to + head, frame + plan->head_end + offset, size);
        resize_around(to, head + size, &plan->layers, slot, s->covers, s->sum);
        s->starts[s->index] = (int64_t)s->at;
        s->lengths[s->index++] = head + size;
        s->at += head + size;
    }
}

/* --- entries --------------------------------------------------------------------------- */

int encap_split_measure(const encap_batch *batch, const encap_layers *layers, uint64_t begin,
                        uint64_t end, const encap_split *split)
{
    if (!rows_exist(batch, begin, end))
        return -1;
    for (uint64_t row = begin; row < end; row++) {
        split_plan plan;
        uint32_t count;
        prefetch_row(batch, row, end);
        const uint32_t problem =
            plan_split(batch, row, &layers[row], split, slot_of(split, row), &plan, &count);
        split->problems[row] = (uint8_t)problem;
        split->counts[row] = problem == ENCAP_SPLIT ? count : 0;
        split->sizes[row] = problem != ENCAP_SPLIT ? 0
                            : count == 1           ? row_octets(batch, row).size
                                                   : split_size(&plan, count);
    }
    return 0;
}

int encap_split_fill(const encap_batch *batch, const encap_layers *layers, uint64_t begin,
                     uint64_t end, const encap_split *split, const encap_cover *covers,
                     uint64_t index, uint64_t at, int64_t *starts, uint32_t *lengths,
                     uint8_t *octets, uint64_t size)
{
    const implementation *kernels = current_implementation();
    splitting s = {split, covers, kernels->copy, kernels->sum, index, starts, lengths, octets, at};
    if (!rows_exist(batch, begin, end))
        return -1;
    for (uint64_t row = begin; row < end; row++) {
        const frame_span frame = row_octets(batch, row);
        const uint32_t slot = slot_of(split, row);
        split_plan plan;
        uint32_t count;
        prefetch_row(batch, row, end);
        if (!split->counts[row])
            continue;
        if (plan_split(batch, row, &layers[row], split, slot, &plan, &count) != ENCAP_SPLIT ||
            count != split->counts[row] || s.at > size ||
            size - s.at < (count == 1 ? frame.size : split_size(&plan, count)))
            return -1;
        if (count > 1) {
            write_parts(&s, frame.at, &plan, slot, split->ids[row]);
            continue;
        }
        if (frame.size)
            s.copy(octets + s.at, frame.at, frame.size);
        starts[s.index] = (int64_t)s.at;
        lengths[s.index++] = (uint32_t)frame.size;
        s.at += frame.size;
    }
    return 0;
}
