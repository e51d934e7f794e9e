/* Fragments put together: RFC 791 section 3.2, RFC 8200 section 4.5, RFC 5722, RFC 815. */

#define ECN_CE 3
#define READ_AHEAD 16 /* fragments that are read before the first of them is looked up */

/* What a call works with. */
typedef struct joining {
    const encap_batch *batch;
    const encap_layers *layers;
    const encap_cover *covers;
    encap_fragments *state;
    encap_joined *out;
    copy_kernel *copy;
    sum_kernel *sum;
    int full; /* 1: there was less room for octets than there are */
} joining;

/* --- whole datagrams ----------------------------------------------------------------- */

/* The octets of a datagram one behind the other: those that came later over those that came before
 * them, or with `first` the other way round. */
static void paint_shards(const joining *j, encap_datagram *d, uint8_t *to, int first)
{
    encap_shard *shards = j->state->shards;
    uint32_t number = d->first, other = 0;
    if (first) { /* the list is turned round */
        for (uint32_t next; number; other = number, number = next) {
            next = shards[number].next;
            shards[number].next = other;
        }
        number = d->first = other;
    }
    for (; number; number = shards[number].next) {
        const encap_shard *shard = &shards[number];
        j->copy(to + shard->offset, (shard->held ? j->state->log : j->batch->data) + shard->at,
                shard->size);
    }
}

/* Puts the IPv4 header at `ip` in front of `total` octets of payload. */
static void head_ipv4(uint8_t *ip, uint32_t total, uint32_t ecn)
{
    uint8_t made[8];
    memcpy(made, ip, sizeof made);
    made[1] |= (uint8_t)ecn;
    store_wide(made + 2, (ip[0] & 15u) * 4 + total, 2);
    store_wide(made + 6, load_be16(ip + 6) & 0xc000u, 2);
    change_ipv4(ip, made, sizeof made);
}

/* The same for IPv6. The fragment header at `header`, which is not in the frame any more, said what
 * follows; it is said by the one in front of it instead: RFC 8200 section 4.5. */
static void head_ipv6(uint8_t *frame, const encap_layers *layers, const encap_datagram *d,
                      uint32_t next, uint32_t total, uint32_t ecn)
{
    const uint32_t ip = layers->offset[d->slot], own = layers->offset[d->own];
    const uint32_t before = layers->offset[d->own - 1]; /* there is one: that of IPv6 */
    frame[ip + 1] |= (uint8_t)(ecn << 4);
    store_wide(frame + ip + 4, own - ip - 40 + total, 2);
    frame[d->own - 1 == d->slot ? ip + 6 : before] = (uint8_t)next;
}

/* ECN of a datagram from that of its fragments: RFC 3168 section 5.3, as Linux does it
 * (net/ipv4/ip_fragment.c, ip_frag_ecn_table). All ones where it cannot be. */
INLINE uint32_t join_ecn(uint32_t seen)
{
    if (seen & 1 && seen != 1)
        return UINT32_MAX;
    return seen >> ECN_CE & 1 ? ECN_CE : 0;
}

/* Writes a datagram that is whole; ENCAP_LOSTS, or why that cannot be. */
static uint32_t join_shards(joining *j, encap_datagram *d, uint64_t row)
{
    encap_joined *out = j->out;
    encap_layers layers;
    const uint8_t *head = (d->head_held ? j->state->log : j->batch->data) + d->head_at;
    memcpy(&layers, d->head_held ? (const void *)head : &j->layers[d->head_row], sizeof layers);
    if (d->head_held)
        head += sizeof layers;
    const uint32_t ecn = join_ecn(d->ecn), ip = layers.offset[d->slot];
    const uint32_t front = d->head_size - (d->six ? 8u : 0), size = front + d->total;
    if (!headers_stand(&layers, d->own, d->head_size)) /* they did when it came */
        return ENCAP_LOST_MALFORMED;
    if (ecn == UINT32_MAX)
        return ENCAP_LOST_ECN;
    if (size - ip - (d->six ? 40u : 0) > MAX_IP_LEN)
        return ENCAP_LOST_LONG;
    if (!fits_around(head, &layers, d->slot, size))
        return ENCAP_LOST_AROUND;
    if (out->size - out->used < size) {
        j->full = 1;
        return ENCAP_LOST_ROOM;
    }
    uint8_t *frame = out->octets + out->used;
    j->copy(frame, head, front);
    paint_shards(j, d, frame + front, !d->six && j->state->overlap == ENCAP_OVERLAP_FIRST);
    if (d->six)
        head_ipv6(frame, &layers, d, head[front], d->total, ecn);
    else
        head_ipv4(frame + ip, d->total, ecn);
    resize_around(frame, size, &layers, d->slot, j->covers, j->sum);
    out->starts[out->count] = (int64_t)out->used;
    out->lengths[out->count] = size;
    out->linktypes[out->count] = d->linktype;
    out->first_rows[out->count] = d->first_row;
    out->last_rows[out->count] = (int64_t)row;
    out->times[out->count++] = d->time;
    out->used += size;
    return ENCAP_LOSTS;
}

/* --- one fragment ----------------------------------------------------------------------- */

/* True where what came at `time` came too late for what a datagram has; without times nothing does.
 */
INLINE int is_late(const encap_fragments *state, const encap_datagram *d, int64_t time)
{
    return d->time != INT64_MIN && time > d->time &&
           (uint64_t)time - (uint64_t)d->time > (uint64_t)state->timeouts[d->six];
}

/* Drops what nobody waits for any more: the oldest ones, as far as they are too old. */
static void drop_late(encap_fragments *state, int64_t time)
{
    while (state->oldest && is_late(state, &state->datagrams[state->oldest], time))
        free_datagram(state, state->oldest, ENCAP_LOST_TIME);
}

INLINE int is_of(const encap_datagram *d, const fragment *f)
{
    return d->hash == f->hash && d->words == f->words &&
           !memcmp(d->key, f->key, f->words * sizeof *f->key);
}

/* The datagram that a fragment belongs to, or a new one, for which there is room. */
static uint32_t find_datagram(encap_fragments *state, const fragment *f, int64_t time)
{
    uint32_t length = 0, number = *bucket_of(state, f->hash), last = 0;
    for (; number; number = state->datagrams[number].chain, length++) {
        if (is_of(&state->datagrams[number], f))
            break;
        last = number;
    }
    if (number && is_late(state, &state->datagrams[number], time)) {
        free_datagram(state, number, ENCAP_LOST_TIME);
        number = 0;
    }
    if (number)
        return number;
    if (length >= MAX_CHAIN) /* the last in its bucket is the oldest there */
        free_datagram(state, last, ENCAP_LOST_ROOM);
    number = take_datagram(state);
    encap_datagram *d = &state->datagrams[number];
    memset(d, 0, sizeof *d);
    memcpy(d->key, f->key, f->words * sizeof *f->key);
    d->hash = f->hash;
    d->words = f->words;
    d->time = time;
    d->first_row = -1;
    d->total = NOT_KNOWN;
    d->six = (uint8_t)f->six;
    link_datagram(state, number);
    return number;
}

/* True where the fragment ends the datagram somewhere else than others do, or lies behind its end;
 * else notes what it says of the end. */
static int contradicts(encap_datagram *d, const fragment *f)
{
    const uint32_t end = f->offset + f->size;
    if (f->more ? d->total != NOT_KNOWN && end > d->total
                : end < d->reach || (d->total != NOT_KNOWN && end != d->total))
        return 1;
    if (!f->more)
        d->total = end;
    if (end > d->reach)
        d->reach = end;
    return 0;
}

/* Drops a datagram, with the fragment at hand. Of an overlap RFC 5722 section 4 wants what comes
 * later to be dropped too. */
static uint32_t drop_datagram(encap_fragments *state, uint32_t number, uint32_t lost)
{
    encap_datagram *d = &state->datagrams[number];
    if (lost == ENCAP_LOST_OVERLAP && state->overlap != ENCAP_OVERLAP_LINUX) {
        state->lost[lost] += d->count;
        empty_datagram(state, d);
        d->dropped = 1;
    } else {
        free_datagram(state, number, lost);
    }
    return lost;
}

/* Adds the octets of a fragment to its datagram; ENCAP_LOSTS, or why they are not wanted. */
static uint32_t add_shard(const joining *j, encap_datagram *d, const fragment *f)
{
    encap_fragments *state = j->state;
    const uint32_t number = take_shard(state);
    encap_shard *shard = &state->shards[number];
    uint32_t lost = ENCAP_LOSTS;
    *shard = (encap_shard){.at = f->at, .offset = f->offset, .size = f->size};
    if (d->six || state->overlap < ENCAP_OVERLAP_FIRST) {
        lost = cover_new(state->shards, d, number, state->overlap == ENCAP_OVERLAP_LINUX);
    } else {
        const uint32_t covered = d->covered;
        cover_any(state->shards, d, number);
        if (d->covered == covered && state->overlap == ENCAP_OVERLAP_FIRST)
            lost = ENCAP_LOST_DUPLICATE;
    }
    if (lost != ENCAP_LOSTS) {
        shard->next = state->free_shards;
        state->free_shards = number;
        return lost;
    }
    *(d->last ? &state->shards[d->last].next : &d->first) = number;
    d->last = number;
    d->count++;
    state->live += entry_size(shard->size);
    return ENCAP_LOSTS;
}

/* Notes what a fragment that was taken says of its datagram. */
static void note_fragment(const joining *j, uint32_t number, const fragment *f)
{
    encap_fragments *state = j->state;
    encap_datagram *d = &state->datagrams[number];
    if (d->call != state->call) {
        d->call = state->call;
        d->first_row = (int64_t)f->row;
        state->touched[state->touched_count++] = number;
    }
    d->ecn |= (uint8_t)f->ecn;
    if (f->offset || d->head_size)
        return;
    d->head_row = f->row;
    d->head_at = f->at - f->head;
    d->head_size = f->head;
    d->slot = (uint8_t)f->slot;
    d->own = (uint8_t)f->own;
    d->linktype = (uint16_t)linktype_of(j->batch, f->row);
    state->live += head_entry_size(f->head);
}

/* Takes the fragment in a row; ENCAP_LOSTS, or why it is lost. */
static uint32_t add_fragment(joining *j, int64_t time, const fragment *f)
{
    encap_fragments *state = j->state;
    if (!make_room(state, entry_size(f->size) + (f->offset ? 0 : head_entry_size(f->head))))
        return ENCAP_LOST_ROOM;
    const uint32_t number = find_datagram(state, f, time);
    encap_datagram *d = &state->datagrams[number];
    if (d->dropped)
        return ENCAP_LOST_OVERLAP;
    if (f->offset + f->size > MAX_IP_LEN)
        return drop_datagram(state, number, ENCAP_LOST_LONG);
    if (contradicts(d, f))
        return drop_datagram(state, number, ENCAP_LOST_END);
    const uint32_t lost = add_shard(j, d, f);
    if (lost == ENCAP_LOST_OVERLAP)
        return drop_datagram(state, number, lost);
    if (lost != ENCAP_LOSTS)
        return lost;
    note_fragment(j, number, f);
    if (d->covered == d->total)
        free_datagram(state, number, join_shards(j, d, f->row));
    return ENCAP_LOSTS;
}

/* --- entries --------------------------------------------------------------------------- */

INLINE int row_exists(const encap_batch *batch, int64_t row)
{
    return row >= 0 && (uint64_t)row < batch->count;
}

/* Asks for what the fragment in one of the next rows needs: its frame's first octets and layers. */
INLINE void prefetch_fragment(const encap_batch *batch, const encap_layers *layers,
                              const int64_t *rows, uint64_t i, uint64_t count)
{
    const int64_t row = rows[i + PREFETCH_ROWS < count ? i + PREFETCH_ROWS : i];
    if (row_exists(batch, row)) {
        prefetch_row(batch, (uint64_t)row, 0);
        prefetch((uintptr_t)&layers[row]);
    }
}

/* Asks for what will be looked up for a fragment, and copied. */
INLINE void prefetch_found(const joining *j, const fragment *f)
{
    prefetch_near((uintptr_t)bucket_of(j->state, f->hash));
    for (uint32_t at = 128; at < f->size && at < 1536; at += 64)
        prefetch((uintptr_t)j->batch->data + (uintptr_t)f->at + at);
}

int encap_fragments_find(const encap_batch *batch, const encap_layers *layers, const int64_t *rows,
                         uint64_t count, uint8_t *own, uint8_t *slots)
{
    for (uint64_t i = 0; i < count; i++) {
        const int64_t row = rows[i];
        if (!row_exists(batch, row))
            return -1;
        const frame_span frame = row_octets(batch, (uint64_t)row);
        const encap_layers *found = &layers[row];
        prefetch_fragment(batch, layers, rows, i, count);
        uint32_t slot = find_own(frame.at, (uint32_t)frame.size, found);
        own[i] = (uint8_t)slot;
        if (slot != NO_SLOT)
            while (slot && !is_ip(found->kind[slot]))
                slot--;
        slots[i] = (uint8_t)slot;
    }
    return 0;
}

/* Reads `count` fragments, from the one in rows[first] on. Not 0: a row is none of the batch. */
static int read_some(const joining *j, const int64_t *rows, const uint8_t *own,
                     const uint8_t *slots, uint64_t first, uint64_t count, uint64_t end,
                     fragment *found, uint32_t *lost)
{
    for (uint64_t i = 0; i < count; i++) {
        const int64_t row = rows[first + i];
        if (!row_exists(j->batch, row))
            return -1;
        prefetch_fragment(j->batch, j->layers, rows, first + i, end);
        lost[i] = read_fragment(j->batch, (uint64_t)row, &j->layers[row], own[first + i],
                                slots[first + i], &found[i]);
        if (lost[i] == ENCAP_LOSTS)
            prefetch_found(j, &found[i]);
    }
    return 0;
}

int encap_fragments_add(const encap_batch *batch, const encap_layers *layers, const int64_t *times,
                        const int64_t *rows, const uint8_t *own, const uint8_t *slots,
                        uint64_t count, const encap_cover *covers, encap_fragments *state,
                        encap_joined *out)
{
    const implementation *kernels = current_implementation();
    joining j = {batch, layers, covers, state, out, kernels->copy, kernels->sum, 0};
    fragment found[READ_AHEAD];
    uint32_t lost[READ_AHEAD];
    int wrong = 0;
    state->call++;
    state->touched_count = 0;
    for (uint64_t first = 0; first < count && !wrong; first += READ_AHEAD) {
        const uint64_t some = count - first < READ_AHEAD ? count - first : READ_AHEAD;
        wrong = read_some(&j, rows, own, slots, first, some, count, found, lost);
        for (uint64_t i = 0; i < some && !wrong; i++) {
            const int64_t time = times[found[i].row];
            drop_late(state, time);
            if (lost[i] == ENCAP_LOSTS)
                lost[i] = add_fragment(&j, time, &found[i]);
            if (lost[i] < ENCAP_LOSTS)
                state->lost[lost[i]]++;
            if (state->fates)
                state->fates[first + i] = (uint8_t)lost[i];
        }
    }
    /* Even if something was wrong: nothing that waits may be looked for in this batch later. */
    if (state->log)
        for (uint32_t i = 0; i < state->touched_count; i++)
            hold_datagram(state, state->touched[i], batch, layers, kernels->copy);
    return wrong || j.full ? -1 : 0;
}

void encap_fragments_flush(encap_fragments *state)
{
    while (state->oldest)
        free_datagram(state, state->oldest, ENCAP_LOST_INCOMPLETE);
    state->log_used = 0;
}
