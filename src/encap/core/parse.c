/* Batches of packets through the walk: layers with interned paths, and the
 * inner packets of tunnels. */

#define ROUND 16 /* rows walked before their paths are looked up */

INLINE uint32_t linktype_of(const encap_batch *batch, uint64_t row)
{
    return batch->linktypes[row * batch->linktype_step];
}

INLINE void begin_walk(walk *w, const uint8_t *frame, uint32_t size)
{
    w->frame = frame;
    w->end = size;
    /* From status_offset to the end: one store. */
    memset(&w->layers->status_offset, 0, sizeof *w->layers - offsetof(encap_layers, status_offset));
}

/* The id of a path, which is added when it is new and there is room. */
INLINE uint16_t intern(encap_paths *paths, const uint64_t kinds[2])
{
    uint64_t mask = paths->slots - 1;
    uint64_t hash = (kinds[0] * 0x9e3779b97f4a7c15u) ^ (kinds[1] * 0xc2b2ae3d27d4eb4fu);
    uint64_t slot = (hash ^ hash >> 29) & mask;
    /* Ends: there are more slots than paths, so a free one comes. */
    for (;; slot = (slot + 1) & mask) {
        uint32_t id = paths->table[slot];
        if (UNLIKELY(!id)) {
            if (paths->count >= paths->capacity)
                return ENCAP_PATH_OTHER;
            paths->kinds[2 * (uint64_t)paths->count] = kinds[0];
            paths->kinds[2 * (uint64_t)paths->count + 1] = kinds[1];
            paths->table[slot] = ++paths->count;
            return (uint16_t)(paths->count - 1);
        }
        if (LIKELY(paths->kinds[2 * ((uint64_t)id - 1)] == kinds[0] &&
                   paths->kinds[2 * ((uint64_t)id - 1) + 1] == kinds[1]))
            return (uint16_t)(id - 1);
    }
}

/* Fills *layers from a frame whose first header is `kind`. */
INLINE void walk_frame(const encap_rules *rules, const uint8_t *frame, uint32_t size, uint32_t kind,
                       encap_layers *layers)
{
    walk w = {.rules = rules, .recording = 1, .layers = layers};
    memset(layers->kind, 0, sizeof layers->kind);
    begin_walk(&w, frame, size);
    walk_packet(&w, kind);
    layers->payload = w.at;
    layers->end = w.end;
    layers->count = (uint8_t)w.count;
}

/* The same, compiled once: for kernels that walk seldom, or have much else to do. */
APART void walk_apart(const encap_rules *rules, const uint8_t *frame, uint32_t size, uint32_t kind,
                      encap_layers *layers)
{
    walk_frame(rules, frame, size, kind, layers);
}

INLINE void parse_row(const encap_batch *batch, const encap_rules *rules, uint64_t row,
                      uint32_t kind, encap_layers *layers)
{
    const frame_span frame = row_octets(batch, row);
    walk_frame(rules, frame.at, (uint32_t)frame.size, kind, layers);
}

/* The path ids of `count` rows, at least one; often they are all the same. */
INLINE void intern_rows(encap_paths *paths, const encap_layers *layers, uint16_t *path_ids,
                        uint64_t count)
{
    uint64_t first[2], kinds[2], other = 0;
    memcpy(first, layers->kind, sizeof first);
    for (uint64_t i = 1; i < count; i++) {
        memcpy(kinds, layers[i].kind, sizeof kinds);
        other |= (kinds[0] ^ first[0]) | (kinds[1] ^ first[1]);
    }
    path_ids[0] = intern(paths, first);
    for (uint64_t i = 1; i < count; i++) {
        memcpy(kinds, layers[i].kind, sizeof kinds);
        path_ids[i] = other ? intern(paths, kinds) : path_ids[0];
    }
}

/* parse_rows below, compiled for one CPU variant. */
typedef void rows_kernel(const encap_batch *batch, const encap_rules *rules, uint64_t begin,
                         uint64_t end, uint64_t last, encap_paths *paths, encap_layers *layers,
                         uint16_t *path_ids);

/* Rows [begin, end) into layers[0] and path_ids[0] on. The kinds of a row are written octet by
 * octet; reading them back as words waits until they have reached the cache, so it is done a
 * round later. */
INLINE void parse_rows(const encap_batch *batch, const encap_rules *rules, uint64_t begin,
                       uint64_t end, uint64_t last, encap_paths *paths, encap_layers *layers,
                       uint16_t *path_ids)
{
    uint32_t kind = begin < end ? first_of(rules, linktype_of(batch, begin)) : (uint32_t)ENCAP_NONE;
    uint32_t reach = 0;
    for (uint64_t first = begin; first < end; first += ROUND) {
        uint64_t count = end - first < ROUND ? end - first : ROUND;
        for (uint64_t i = 0; i < count; i++) {
            prefetch_headers(batch, first + i, last, reach);
            if (batch->linktype_step)
                kind = first_of(rules, linktype_of(batch, first + i));
            parse_row(batch, rules, first + i, kind, &layers[first - begin + i]);
        }
        reach = layers[first - begin].payload;
        intern_rows(paths, layers + (first - begin), path_ids + (first - begin), count);
    }
}

/* The inner packet of a row; the whole row where it has none of the tunnels asked for. */
INLINE void unwrap_row(const encap_batch *batch, const encap_rules *rules, uint64_t row,
                       uint32_t tunnels, uint32_t depth, inner_packet *inner)
{
    encap_layers status;
    walk w = {
        .rules = rules, .layers = &status, .inner = inner, .tunnels = tunnels, .depth = depth};
    const frame_span frame = row_octets(batch, row);
    begin_walk(&w, frame.at, (uint32_t)frame.size);
    w.wire_end = batch->wire_lengths[row] > w.end ? batch->wire_lengths[row] : w.end;
    *inner = (inner_packet){.length = w.end,
                            .linktype = (uint16_t)linktype_of(batch, row),
                            .wire_length = batch->wire_lengths[row]};
    walk_packet(&w, first_of(rules, inner->linktype));
}

INLINE uint64_t unwrap_rows(const encap_batch *batch, const encap_rules *rules, uint64_t begin,
                            uint64_t end, const encap_wanted *wanted, uint64_t at,
                            const encap_unwrapped *out, copy_kernel *copy)
{
    uint64_t written = begin;
    for (uint64_t row = begin; row < end; row++) {
        inner_packet inner;
        prefetch_row(batch, row, end);
        unwrap_row(batch, rules, row, wanted->tunnels, wanted->depth, &inner);
        if (!inner.found && !wanted->keep)
            continue;
        int64_t start = batch->starts[row] + inner.start;
        if (out->octets) {
            if (!span(out->octets, out->octets_size, at, inner.length))
                break;
            if (inner.length)
                copy(out->octets + at, batch->data + start, inner.length);
            start = (int64_t)at;
            at += inner.length;
        }
        out->starts[written] = start;
        out->lengths[written] = inner.length;
        out->wire_lengths[written] = (uint32_t)inner.wire_length;
        out->linktypes[written] = inner.linktype;
        out->rows[written++] = (int64_t)row;
    }
    return written - begin;
}
