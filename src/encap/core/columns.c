/* Fields of many packets as columns. Which slot of a packet's layers a name
 * means depends on its path alone, so it is looked up once a path. */

#define BLOCK 128 /* rows walked, then gathered from, while their headers are in the cache */

/* --- which slot ------------------------------------------------------------ */

/* What a path says of its tunnels. */
typedef struct path_parts {
    uint32_t outer_end;   /* slots before are outer */
    uint32_t inner_begin; /* slots from here on are inner */
    uint32_t tunnels;     /* a bit for each slot with a tunnel header */
} path_parts;

INLINE int is_ip(uint32_t kind)
{
    return kind == ENCAP_IPV4 || kind == ENCAP_IPV6;
}

static path_parts part_path(const uint8_t kind[ENCAP_MAX_LAYERS])
{
    path_parts parts = {ENCAP_MAX_LAYERS, 0, 0};
    int network = 0;
    for (uint32_t slot = 0; slot < ENCAP_MAX_LAYERS && kind[slot] != ENCAP_NONE; slot++) {
        uint32_t next = slot + 1 < ENCAP_MAX_LAYERS ? kind[slot + 1] : (uint32_t)ENCAP_NONE;
        uint32_t inner = slot + 1;
        if (is_ip(kind[slot])) {
            if (!network) {
                network = 1;
                continue;
            }
            inner = slot; /* IP in IP: the inner header begins the inner packet */
        } else if (kind[slot] < ENCAP_GRE || (kind[slot] == ENCAP_GRE && next == ENCAP_ERSPAN)) {
            continue;
        } else {
            network = 0;
        }
        if (!parts.tunnels)
            parts.outer_end = inner;
        parts.inner_begin = inner;
        parts.tunnels |= 1u << slot;
    }
    return parts;
}

/* The slot that a column's name means in packets of this path, or -1. */
static int8_t find_slot(const uint8_t kind[ENCAP_MAX_LAYERS], const encap_column *column)
{
    uint32_t from = 0, to = ENCAP_MAX_LAYERS, tunnels = ~0u;
    if (column->part != ENCAP_WHOLE || column->tunnels_only) {
        path_parts parts = part_path(kind);
        if (column->part == ENCAP_OUTER)
            to = parts.outer_end;
        if (column->part == ENCAP_INNER)
            from = parts.inner_begin;
        if (column->tunnels_only)
            tunnels = parts.tunnels;
    }
    int8_t found[ENCAP_MAX_LAYERS];
    int count = 0;
    for (uint32_t slot = from; slot < to && kind[slot] != ENCAP_NONE; slot++)
        if (column->kinds >> kind[slot] & 1 && tunnels >> slot & 1)
            found[count++] = (int8_t)slot;
    int index = column->index < 0 ? count + column->index : column->index;
    return index >= 0 && index < count ? found[index] : -1;
}

void encap_find_slots(const encap_paths *paths, uint32_t begin, const encap_column *columns,
                      uint32_t column_count, int8_t *slots)
{
    for (uint64_t id = begin; id < paths->count; id++)
        for (uint32_t column = 0; column < column_count; column++)
            slots[id * column_count + column] =
                find_slot((const uint8_t *)&paths->kinds[2 * id], &columns[column]);
}

/* --- one value --------------------------------------------------------------- */

/* Does the test hold for a header of which `size` octets are there? */
INLINE int holds(const encap_test *test, const uint8_t *header, uint64_t size)
{
    const uint8_t *at = span(header, size, test->at, 2);
    return at && ((load_be16(at) & test->mask) == test->value) != test->negate;
}

/* Address of a field's octets, or NULL where the field is absent or not captured. */
INLINE const uint8_t *locate(const encap_field *field, const uint8_t *header, uint64_t size)
{
    uint64_t at = field->at;
    if (field->optional) {
        if (!holds(&field->present, header, size))
            return NULL;
        for (uint32_t word = 0; word < field->words; word++)
            if (holds(&field->before[word], header, size))
                at += field->before[word].octets;
    }
    return span(header, size, at, field->width);
}

INLINE uint64_t load_wide(const uint8_t *at, uint32_t width)
{
    switch (width) {
    case 1: return *at;
    case 2: return load_be16(at);
    case 4: return load_be32(at);
    case 8: return load_be64(at);
    default: return 0;
    }
}

INLINE void store_native(uint8_t *to, uint64_t value, uint32_t size)
{
    switch (size) {
    case 1: *to = (uint8_t)value; break;
    case 2: { uint16_t part = (uint16_t)value; memcpy(to, &part, sizeof part); break; }
    case 4: { uint32_t part = (uint32_t)value; memcpy(to, &part, sizeof part); break; }
    case 8: memcpy(to, &value, sizeof value); break;
    default: break;
    }
}

/* Octets of an address; an IPv4 address in a column of either family as ::ffff:a.b.c.d. */
INLINE void store_address(uint8_t *to, const uint8_t *at, uint32_t width, uint32_t size)
{
    memset(to, 0, size);
    if (at && width < size)
        memset(to + size - width - 2, 0xff, 2);
    if (at)
        memcpy(to + size - width, at, width);
}

/* --- columns over rows ------------------------------------------------------- */

/* Rows whose layers are at hand: layers[i] and path_ids[i] are those of row first + i. */
typedef struct walked_rows {
    const encap_batch *batch;
    uint64_t first;
    uint64_t count;
    const encap_layers *layers;
    const uint16_t *path_ids;
    const int8_t *slots; /* of column 0 for path 0; `stride` apart for the next path */
    uint64_t stride;
    uint64_t paths; /* how many have slots */
} walked_rows;

INLINE int slot_of(const walked_rows *rows, uint64_t i, const encap_column *column)
{
    uint64_t id = rows->path_ids[i];
    if (LIKELY(id < rows->paths))
        return rows->slots[id * rows->stride];
    return find_slot(rows->layers[i].kind, column);
}

/* The header in `slot` of a row, and how many octets of the row are left from there on. */
INLINE const uint8_t *header_at(const walked_rows *rows, uint64_t i, int slot, uint64_t *size)
{
    const frame_span frame = row_octets(rows->batch, rows->first + i);
    uint64_t offset = rows->layers[i].offset[slot & (ENCAP_MAX_LAYERS - 1)];
    if (offset > frame.size)
        offset = frame.size;
    *size = frame.size - offset;
    return frame.at ? frame.at + offset : NULL;
}

/* Integers of one header kind that are always there: the common case, with constant sizes. */
INLINE void gather_fixed(const walked_rows *rows, const encap_column *column, uint8_t *out,
                         uint32_t width, uint32_t size)
{
    const encap_field field = column->fields[0];
    for (uint64_t i = 0; i < rows->count; i++) {
        uint64_t value = 0, there;
        int slot = slot_of(rows, i, column);
        if (LIKELY(slot >= 0)) {
            const uint8_t *header = header_at(rows, i, slot, &there);
            const uint8_t *at = span(header, there, field.at, width);
            if (LIKELY(at != NULL))
                value = (load_wide(at, width) >> field.shift & field.mask) * field.scale;
        }
        store_native(out + i * size, value, size);
    }
}

static const encap_field *field_for(const encap_column *column, uint32_t kind)
{
    for (uint32_t i = 0; i < column->field_count; i++)
        if (column->fields[i].kind == kind)
            return &column->fields[i];
    return NULL;
}

/* Everything else: optional fields, several header kinds, addresses, presence. */
static void gather_any(const walked_rows *rows, const encap_column *column, uint8_t *out)
{
    for (uint64_t i = 0; i < rows->count; i++) {
        uint8_t *to = out + i * column->size;
        int slot = slot_of(rows, i, column);
        const encap_field *field = NULL;
        const uint8_t *at = NULL;
        uint64_t there = 0, value = 0;
        uint32_t kind = slot < 0 ? (uint32_t)ENCAP_NONE : rows->layers[i].kind[slot & 15];
        if (slot >= 0 && column->form <= ENCAP_PRESENCE)
            field = field_for(column, kind);
        if (field) {
            const uint8_t *header = header_at(rows, i, slot, &there);
            at = header ? locate(field, header, there) : NULL;
        }
        switch (column->form) {
        case ENCAP_OCTETS:
            store_address(to, at, field ? field->width : 0, column->size);
            continue;
        case ENCAP_VALUE:
            if (at)
                value = (load_wide(at, field->width) >> field->shift & field->mask) * field->scale;
            break;
        case ENCAP_PRESENCE: value = at != NULL; break;
        case ENCAP_HEADER: value = slot >= 0; break;
        case ENCAP_KIND: value = kind; break;
        default: /* ENCAP_SLOT: all ones where there is none */
            value = (uint64_t)(int64_t)slot;
            break;
        }
        store_native(to, value, column->size);
    }
}

#define FIXED(width, size)                                                                         \
    case (width)*16 + (size):                                                                      \
        gather_fixed(rows, column, out, width, size);                                              \
        return

INLINE void gather(const walked_rows *rows, const encap_column *column, uint8_t *out)
{
    const encap_field *field = &column->fields[0];
    if (column->form == ENCAP_VALUE && column->field_count == 1 && !field->optional)
        switch (field->width * 16 + column->size) {
            FIXED(1, 1);
            FIXED(2, 1);
            FIXED(2, 2);
            FIXED(4, 1);
            FIXED(4, 2);
            FIXED(4, 4);
            FIXED(8, 4);
            FIXED(8, 8);
        default: break;
        }
    gather_any(rows, column, out);
}

void encap_gather(const encap_batch *batch, uint64_t begin, uint64_t end, const encap_paths *paths,
                  const encap_layers *layers, const uint16_t *path_ids, const int8_t *slots,
                  const encap_column *column, uint8_t *out)
{
    if (!rows_exist(batch, begin, end))
        return;
    walked_rows rows = {batch, begin, end - begin, layers + begin, path_ids + begin,
                        slots, 1,     paths->count};
    gather(&rows, column, out + begin * column->size);
}

/* Walk and gather in blocks, so that each packet's headers come from memory once. */
INLINE void columns_rows(const encap_batch *batch, const encap_rules *rules, uint64_t begin,
                         uint64_t end, encap_paths *paths, int8_t *slots,
                         const encap_column *columns, uint32_t column_count, uint8_t *const *outs)
{
    encap_layers layers[BLOCK];
    uint16_t path_ids[BLOCK];
    uint32_t known = 0;
    for (uint64_t first = begin; first < end; first += BLOCK) {
        uint64_t count = end - first < BLOCK ? end - first : BLOCK;
        for (uint64_t i = 0; i < count; i++) {
            prefetch_headers(batch, first + i, end);
            path_ids[i] = parse_row(batch, rules, first + i, paths, &layers[i]);
        }
        encap_find_slots(paths, known, columns, column_count, slots);
        known = paths->count;
        walked_rows rows = {batch, first, count, layers, path_ids, slots, column_count, known};
        for (uint32_t column = 0; column < column_count; column++, rows.slots++)
            gather(&rows, &columns[column], outs[column] + first * columns[column].size);
    }
}
