/* Fragments: what is put together does not depend on the CPU variant, nor on how the rows are
 * spread over calls, as long as there is room and time; no more memory is in use than may be. */

#define MOST_FRAGMENTS 40

/* Appends an IP header whose datagram has `size` octets behind it; gives the end. */
static size_t put_ip(uint8_t *to, uint32_t six, uint32_t protocol, size_t size)
{
    memset(to, 0, 40);
    if (six) {
        to[0] = 0x60;
        to[5] = (uint8_t)size;
        to[6] = (uint8_t)protocol;
        return 40;
    }
    to[0] = 0x45;
    to[3] = (uint8_t)(20 + size);
    to[9] = (uint8_t)protocol;
    return 20;
}

/* One raw IP packet: a fragment of one of few datagrams, maybe in a tunnel. */
static size_t put_fragment(input *in, uint8_t *to)
{
    const uint64_t bits = take(in, 3);
    const uint32_t six = bits & 1, tunnel = bits >> 1 & 3, offset = bits >> 8 & 7;
    const uint32_t more = bits >> 3 & 1, id = bits >> 4 & 1, size = 8 * (1 + (bits >> 11 & 3));
    const uint32_t odd = (bits >> 13 & 7) == 7 ? bits >> 16 & 7 : 0;
    const size_t inner = size - odd + (six ? 48 : 20);
    size_t at = 0;
    if (tunnel == 1)
        at = put_ip(to, bits >> 5 & 1, six ? 41 : 4, inner);
    if (tunnel == 2) {
        at = put_ip(to, bits >> 5 & 1, 47, inner + 8);
        memset(to + at, 0, 8);
        to[at] = 0x80;
        memcpy(to + at + 2, six ? "\x86\xdd" : "\x08", 2);
        at += 8;
    }
    const size_t ip = at;
    at += put_ip(to + at, six, six ? 44 : 99, size - odd + (six ? 8 : 0));
    to[ip + 1] = (uint8_t)(six ? (bits >> 18 & 3) << 4 : bits >> 18 & 3);
    if (six) {
        const uint8_t header[8] = {99, 0, 0, (uint8_t)(offset << 3 | more), 0, 0, 0, (uint8_t)id};
        memcpy(to + at, header, sizeof header);
        at += sizeof header;
    } else {
        to[ip + 5] = (uint8_t)id;
        to[ip + 6] = (uint8_t)(more << 5);
        to[ip + 7] = (uint8_t)offset;
    }
    for (uint32_t i = 0; i < size - odd; i++)
        to[at++] = (uint8_t)(bits >> 16 ^ i);
    return at;
}

/* Fragments back to back, behind them whatever the input has left. */
static encap_batch make_train(input *in)
{
    const uint32_t count = (uint32_t)take(in, 1) % MOST_FRAGMENTS;
    uint8_t *room = keep(count * 200);
    int64_t *starts = keep(count * sizeof *starts);
    uint32_t *lengths = keep(count * sizeof *lengths);
    uint16_t *linktype = keep(sizeof *linktype);
    size_t at = 0;
    for (uint32_t row = 0; row < count; row++) {
        starts[row] = (int64_t)at;
        lengths[row] = (uint32_t)put_fragment(in, room + at);
        at += lengths[row];
    }
    for (uint32_t flips = (uint32_t)take(in, 1) % 8; flips && at; flips--)
        room[take(in, 2) % at] ^= (uint8_t)take(in, 1);
    *linktype = LINKTYPE_RAW;
    return (encap_batch){copied(room, at), at, starts, lengths, lengths, linktype, 0, count};
}

static encap_fragments make_waiting(uint32_t datagrams, uint32_t shards, uint64_t log,
                                    uint32_t overlap)
{
    uint32_t buckets = 1;
    while (buckets < datagrams)
        buckets *= 2;
    encap_fragments state = {.datagrams = keep((datagrams + 1) * sizeof *state.datagrams),
                             .shards = keep((shards + 1) * sizeof *state.shards),
                             .buckets = keep(4 * (size_t)buckets),
                             .log = log ? keep(log) : NULL,
                             .log_size = log,
                             .most_live = log / 4 * 3,
                             .timeouts = {1000, 1000},
                             .datagram_capacity = datagrams + 1,
                             .shard_capacity = shards + 1,
                             .bucket_mask = buckets - 1,
                             .overlap = overlap};
    memset(state.buckets, 0, 4 * (size_t)buckets);
    return state;
}

static encap_joined make_joined(uint64_t rows, uint64_t octets)
{
    return (encap_joined){.starts = keep(8 * rows),
                          .lengths = keep(4 * rows),
                          .linktypes = keep(2 * rows),
                          .first_rows = keep(8 * rows),
                          .last_rows = keep(8 * rows),
                          .times = keep(8 * rows),
                          .octets = keep(octets),
                          .size = octets};
}

typedef struct found_fragments {
    int64_t *rows;
    uint8_t *own;
    uint8_t *slots;
    uint64_t count;
} found_fragments;

static found_fragments find_all(const encap_batch *batch, const encap_layers *layers)
{
    found_fragments found = {keep(8 * batch->count), keep(batch->count), keep(batch->count), 0};
    for (uint64_t row = 0; row < batch->count; row++)
        found.rows[row] = (int64_t)row;
    HOLDS(!encap_fragments_find(batch, layers, found.rows, batch->count, found.own, found.slots));
    for (uint64_t row = 0; row < batch->count; row++)
        if (found.own[row] != NO_SLOT) {
            HOLDS(found.slots[row] <= found.own[row]);
            found.rows[found.count] = (int64_t)row;
            found.own[found.count] = found.own[row];
            found.slots[found.count++] = found.slots[row];
        }
    return found;
}

/* Octets that may be needed for what the batch makes whole. */
static uint64_t octets_of(const encap_batch *batch)
{
    uint64_t octets = 0;
    for (uint64_t row = 0; row < batch->count; row++)
        octets += row_is_inside(batch, row) ? batch->lengths[row] : 0;
    return octets;
}

/* Adds the fragments `step` at a time, and gives up what waits at the end. */
static encap_joined join_all(const encap_batch *batch, const encap_layers *layers,
                             const found_fragments *found, const int64_t *times,
                             encap_fragments *state, uint64_t step)
{
    encap_joined out = make_joined(found->count, octets_of(batch) + state->log_size);
    state->touched = keep(4 * found->count);
    for (uint64_t at = 0; at < found->count; at += step) {
        const uint64_t some = found->count - at < step ? found->count - at : step;
        HOLDS(!encap_fragments_add(batch, layers, times, found->rows + at, found->own + at,
                                   found->slots + at, some, make_covers(), state, &out));
        HOLDS(out.used <= out.size && out.count <= at + some);
        HOLDS(!state->log ||
              (state->live <= state->most_live && state->log_used <= state->log_size));
        HOLDS(state->waiting < state->datagram_capacity);
    }
    encap_fragments_flush(state);
    HOLDS(!state->live && !state->waiting && !state->oldest && !state->newest);
    return out;
}

static int same_joined(const encap_joined *a, const encap_joined *b)
{
    return a->count == b->count && a->used == b->used &&
           !memcmp(a->lengths, b->lengths, 4 * a->count) &&
           !memcmp(a->last_rows, b->last_rows, 8 * a->count) &&
           !memcmp(a->times, b->times, 8 * a->count) && !memcmp(a->octets, b->octets, a->used);
}

static void fuzz_join(input *in)
{
    const uint32_t choice = (uint32_t)take(in, 1), overlap = choice & 3;
    const uint32_t few = 1 + (uint32_t)take(in, 1) % 12, step = 1 + (uint32_t)take(in, 1) % 16;
    const encap_batch batch = choice & 4 ? make_batch(in) : make_train(in);
    walked walk = walk_all(&batch, 1, 0);
    found_fragments found = find_all(&batch, walk.layers);
    const uint32_t rows = (uint32_t)found.count;
    int64_t *times = keep(8 * batch.count);
    for (uint64_t row = 0; row < batch.count; row++)
        times[row] = choice & 8 ? (int64_t)(row * 100) : row % 3 ? INT64_MIN : INT64_MAX;
    encap_joined first = {0};
    uint64_t lost[ENCAP_LOSTS];
    EVERY_VARIANT(i)
    {
        encap_fragments state = make_waiting(rows, rows, 0, overlap);
        encap_joined out = join_all(&batch, walk.layers, &found, times, &state, rows + 1u);
        if (!i) {
            first = out;
            memcpy(lost, state.lost, sizeof lost);
        }
        HOLDS(same_joined(&first, &out) && !memcmp(lost, state.lost, sizeof lost));
    }
    encap_fragments roomy = make_waiting(rows, rows, 1 << 17, overlap);
    encap_joined out = join_all(&batch, walk.layers, &found, times, &roomy, step);
    if (!roomy.lost[ENCAP_LOST_ROOM])
        HOLDS(same_joined(&first, &out) && !memcmp(lost, roomy.lost, sizeof lost));
    encap_fragments tight = make_waiting(few, 2 * few, 256 * (uint64_t)few, overlap);
    join_all(&batch, walk.layers, &found, times, &tight, step);
    /* Layers that no walk has made: any value, but none from outside. */
    for (size_t i = 0; i < batch.count * sizeof *walk.layers; i++)
        ((uint8_t *)walk.layers)[i] ^=
            (uint8_t)(batch.size ? batch.data[i * 7 % batch.size] & 3 : 0);
    encap_fragments wild = make_waiting(rows, rows, 0, overlap);
    join_all(&batch, walk.layers, &found, times, &wild, rows + 1u);
}

static void fuzz_split(input *in)
{
    const uint32_t choice = (uint32_t)take(in, 1);
    encap_split split = {.mtu = 28 + (uint32_t)take(in, 1), .ignore_df = choice & 1};
    const encap_batch batch = choice & 2 ? make_batch(in) : make_train(in);
    walked walk = walk_all(&batch, 1, 0);
    int8_t *slots = keep(batch.count);
    uint32_t *ids = keep(4 * batch.count), *counts = keep(4 * batch.count);
    for (uint64_t row = 0; row < batch.count; row++)
        slots[row] = (int8_t)((choice >> 2 & 3) + (row % 5 == 4 ? -2 : 0));
    if (choice & 0x80) /* layers that no walk has made */
        for (size_t i = 0; i < batch.count * sizeof *walk.layers; i++)
            ((uint8_t *)walk.layers)[i] ^=
                (uint8_t)(batch.size ? batch.data[i * 7 % batch.size] & 3 : 0);
    split.slots = slots;
    split.ids = ids;
    split.counts = counts;
    split.sizes = keep(8 * batch.count);
    split.problems = keep(batch.count);
    HOLDS(!encap_split_measure(&batch, walk.layers, 0, batch.count, &split));
    uint64_t parts = 0, octets = 0;
    for (uint64_t row = 0; row < batch.count; row++) {
        HOLDS((split.problems[row] == ENCAP_SPLIT) == (counts[row] != 0));
        parts += counts[row];
        octets += split.sizes[row];
    }
    if (octets > 1 << 20)
        return;
    uint8_t *first = NULL;
    EVERY_VARIANT(i)
    {
        int64_t *starts = keep(8 * parts);
        uint32_t *lengths = keep(4 * parts);
        uint8_t *out = keep(octets);
        HOLDS(!encap_split_fill(&batch, walk.layers, 0, batch.count, &split, make_covers(), 0, 0,
                                starts, lengths, out, octets));
        uint64_t at = 0;
        for (uint64_t part = 0; part < parts; at += lengths[part++])
            HOLDS(starts[part] == (int64_t)at);
        HOLDS(at == octets);
        first = first ? first : out;
        HOLDS(!memcmp(first, out, octets));
        if (octets)
            HOLDS(encap_split_fill(&batch, walk.layers, 0, batch.count, &split, make_covers(), 0, 0,
                                   starts, lengths, out, octets - 1));
    }
}
