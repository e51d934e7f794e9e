/* Where fragments wait for others: the numbers of datagrams and shards that are given out, a table
 * by hash, a list by age, and the log that keeps octets from one call to the next. */

#define NOT_KNOWN UINT32_MAX /* the end of a datagram whose last fragment has not come */
#define MAX_CHAIN 64         /* datagrams of one bucket: more come by no chance */

/* What stands in front of every entry of the log; entries begin at multiples of 8. */
typedef struct log_entry {
    uint32_t owner; /* a shard, or a datagram's head */
    uint32_t is_head;
    uint64_t size; /* of the octets behind it */
} log_entry;

INLINE uint64_t entry_size(uint64_t size)
{
    return sizeof(log_entry) + ((size + 7) & ~(uint64_t)7);
}

INLINE uint64_t head_entry_size(uint32_t head_size)
{
    return head_size ? entry_size(sizeof(encap_layers) + head_size) : 0;
}

/* --- datagrams by hash and by age ------------------------------------------------ */

INLINE uint32_t *bucket_of(const encap_fragments *state, uint64_t hash)
{
    return &state->buckets[(uint32_t)(hash >> 32 ^ hash) & state->bucket_mask];
}

/* Puts a datagram in front of its bucket and at the young end of the list. */
static void link_datagram(encap_fragments *state, uint32_t number)
{
    encap_datagram *d = &state->datagrams[number];
    uint32_t *bucket = bucket_of(state, d->hash);
    d->chain = *bucket;
    *bucket = number;
    d->older = state->newest;
    d->newer = 0;
    *(state->newest ? &state->datagrams[state->newest].newer : &state->oldest) = number;
    state->newest = number;
    state->waiting++;
}

static void unlink_datagram(encap_fragments *state, uint32_t number)
{
    encap_datagram *d = &state->datagrams[number];
    uint32_t *link = bucket_of(state, d->hash);
    while (*link != number) /* ends: it is in its bucket */
        link = &state->datagrams[*link].chain;
    *link = d->chain;
    *(d->older ? &state->datagrams[d->older].newer : &state->oldest) = d->newer;
    *(d->newer ? &state->datagrams[d->newer].older : &state->newest) = d->older;
    state->waiting--;
}

/* --- what is given out and comes back ------------------------------------------- */

/* Gives back all that a datagram has waiting. */
static void empty_datagram(encap_fragments *state, encap_datagram *d)
{
    for (uint32_t number = d->first, next; number; number = next) {
        encap_shard *shard = &state->shards[number];
        next = shard->next;
        state->live -= entry_size(shard->size);
        shard->held = 0;
        shard->next = state->free_shards;
        state->free_shards = number;
    }
    state->live -= head_entry_size(d->head_size);
    d->first = d->last = d->root = d->tail = d->count = d->head_size = 0;
}

/* A datagram that is no more: put together, or dropped for the reason `lost`. */
static void free_datagram(encap_fragments *state, uint32_t number, uint32_t lost)
{
    encap_datagram *d = &state->datagrams[number];
    if (lost < ENCAP_LOSTS)
        state->lost[lost] += d->count;
    empty_datagram(state, d);
    unlink_datagram(state, number);
    d->chain = state->free_datagrams;
    state->free_datagrams = number;
}

INLINE int has_room(const encap_fragments *state, uint64_t need)
{
    return (state->free_datagrams || state->datagrams_used + 1 < state->datagram_capacity) &&
           (state->free_shards || state->shards_used + 1 < state->shard_capacity) &&
           (!state->log || state->live + need <= state->most_live);
}

/* Room for a datagram, a shard and `need` octets, though the oldest datagrams must go for it. */
static int make_room(encap_fragments *state, uint64_t need)
{
    while (!has_room(state, need)) {
        if (!state->oldest)
            return 0;
        free_datagram(state, state->oldest, ENCAP_LOST_ROOM);
    }
    return 1;
}

/* A number for a shard; there is room. */
static uint32_t take_shard(encap_fragments *state)
{
    const uint32_t number = state->free_shards;
    if (!number)
        return ++state->shards_used;
    state->free_shards = state->shards[number].next;
    return number;
}

static uint32_t take_datagram(encap_fragments *state)
{
    const uint32_t number = state->free_datagrams;
    if (!number)
        return ++state->datagrams_used;
    state->free_datagrams = state->datagrams[number].chain;
    return number;
}

/* --- the log ------------------------------------------------------------------------ */

/* Where the owner of an entry keeps its place, or NULL when the entry is not wanted any more. No
 * two entries have one place, so an owner that was given out again is not taken for the one before.
 */
static uint64_t *owner_of(const encap_fragments *state, const log_entry *entry, uint64_t at)
{
    if (entry->is_head) {
        encap_datagram *d = &state->datagrams[entry->owner];
        return d->head_size && d->head_held && d->head_at == at ? &d->head_at : NULL;
    }
    encap_shard *shard = &state->shards[entry->owner];
    return shard->held && shard->at == at ? &shard->at : NULL;
}

/* Moves what is wanted to the front. */
static void tidy_log(encap_fragments *state)
{
    uint64_t to = 0, size;
    for (uint64_t from = 0; from < state->log_used; from += size) {
        log_entry entry;
        memcpy(&entry, state->log + from, sizeof entry);
        size = entry_size(entry.size);
        uint64_t *owner = owner_of(state, &entry, from + sizeof entry);
        if (!owner)
            continue;
        if (to != from)
            memmove(state->log + to, state->log + from, (size_t)size);
        *owner = to + sizeof entry;
        to += size;
    }
    state->log_used = to;
}

/* A new entry for `size` octets; there is room, as no more than most_live octets are wanted. */
static uint64_t open_entry(encap_fragments *state, uint32_t owner, uint32_t is_head, uint64_t size)
{
    const log_entry entry = {owner, is_head, size};
    if (state->log_size - state->log_used < entry_size(size))
        tidy_log(state);
    const uint64_t at = state->log_used + sizeof entry;
    memcpy(state->log + state->log_used, &entry, sizeof entry);
    state->log_used += entry_size(size);
    return at;
}

/* Copies what a datagram has in the batch into the log. */
static void hold_datagram(encap_fragments *state, uint32_t number, const encap_batch *batch,
                          const encap_layers *layers, copy_kernel *copy)
{
    encap_datagram *d = &state->datagrams[number];
    if (d->head_size && !d->head_held) {
        const uint64_t at = open_entry(state, number, 1, sizeof *layers + d->head_size);
        memcpy(state->log + at, &layers[d->head_row], sizeof *layers);
        copy(state->log + at + sizeof *layers, batch->data + d->head_at, d->head_size);
        d->head_at = at;
        d->head_held = 1;
    }
    for (uint32_t next = d->first; next; next = state->shards[next].next) {
        encap_shard *shard = &state->shards[next];
        if (shard->held)
            continue;
        const uint64_t at = open_entry(state, next, 0, shard->size);
        copy(state->log + at, batch->data + shard->at, shard->size);
        shard->at = at;
        shard->held = 1;
    }
}
