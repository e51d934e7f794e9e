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
        if (column->kinds >> (kind[slot] & 31) & 1 && tunnels >> slot & 1)
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
    case 1:
        return *at;
    case 2:
        return load_be16(at);
    case 4:
        return load_be32(at);
    case 8:
        return load_be64(at);
    default:
        return 0;
    }
}

INLINE void store_native(uint8_t *to, uint64_t value, uint32_t size)
{
    switch (size) {
    case 1:
        *to = (uint8_t)value;
        break;
    case 2: {
        uint16_t part = (uint16_t)value;
        memcpy(to, &part, sizeof part);
        break;
    }
    case 4: {
        uint32_t part = (uint32_t)value;
        memcpy(to, &part, sizeof part);
        break;
    }
    case 8:
        memcpy(to, &value, sizeof value);
        break;
    default:
        break;
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

/* --- blocks of rows, grouped by path ------------------------------------------ */

#define BUCKETS 64

/* Rows of one path: members[begin .. end), all of them with the layers of the first. */
typedef struct path_group {
    uint32_t path; /* ENCAP_PATH_OTHER: a single row, whose path has no id */
    uint32_t begin;
    uint32_t end;
} path_group;

/* Rows whose layers are at hand: layers[i] and path_ids[i] are those of frame i. */
typedef struct walked_block {
    uint32_t count;
    const encap_layers *layers;
    const uint16_t *path_ids;
    uint32_t group_count;
    path_group groups[BLOCK];
    uint8_t members[BLOCK];
    const uint8_t *frames[BLOCK];
    uint32_t sizes[BLOCK];
} walked_block;

static const uint8_t NOTHING[8] = {0};

/* The group that row `i` belongs to: a new one when its path has not been seen in the block. */
INLINE uint32_t group_of(walked_block *block, uint8_t buckets[BUCKETS], uint32_t path)
{
    uint32_t bucket = path % BUCKETS;
    if (path != ENCAP_PATH_OTHER)
        for (uint32_t probe = 0; probe < BUCKETS; probe++, bucket = (bucket + 1) % BUCKETS) {
            if (!buckets[bucket])
                break;
            if (LIKELY(block->groups[buckets[bucket] - 1].path == path))
                return buckets[bucket] - 1u;
        }
    uint32_t group = block->group_count++; /* at most one a row, so there is room */
    block->groups[group] = (path_group){path, 0, 0};
    if (path != ENCAP_PATH_OTHER && !buckets[bucket])
        buckets[bucket] = (uint8_t)(group + 1);
    return group;
}

/* Sorts the rows by path, so that what depends on the path is looked up once a group. */
static void group_rows(walked_block *block)
{
    uint8_t buckets[BUCKETS] = {0}, group[BLOCK];
    block->group_count = 0;
    for (uint32_t i = 0; i < block->count; i++) {
        group[i] = (uint8_t)group_of(block, buckets, block->path_ids[i]);
        block->groups[group[i]].end++;
    }
    uint32_t begin = 0;
    for (uint32_t i = 0; i < block->group_count; i++) {
        uint32_t size = block->groups[i].end;
        block->groups[i].begin = block->groups[i].end = begin;
        begin += size;
    }
    for (uint32_t i = 0; i < block->count; i++)
        block->members[block->groups[group[i]].end++] = (uint8_t)i;
}

/* The frames of rows first, first + 1, ..., and which of them have one path. */
static void take_frames(walked_block *block, const encap_batch *batch, uint64_t first)
{
    uint32_t path = block->path_ids[0], same = path != ENCAP_PATH_OTHER;
    for (uint32_t i = 0; i < block->count; i++) {
        const frame_span frame = row_octets(batch, first + i);
        block->frames[i] = frame.at ? frame.at : NOTHING;
        block->sizes[i] = (uint32_t)frame.size;
        same &= block->path_ids[i] == path;
    }
    if (!same) {
        group_rows(block);
        return;
    }
    block->group_count = 1;
    block->groups[0] = (path_group){path, 0, block->count};
    for (uint32_t i = 0; i < block->count; i++)
        block->members[i] = (uint8_t)i;
}

/* --- columns over blocks --------------------------------------------------------- */

/* Integers that are always there, with constant sizes: the common case. Functions of their own,
 * since a loop this short is as fast as its registers are many. */
#define GATHER_FIXED(width, size)                                                                  \
    static void gather_##width##_##size(const walked_block *block, const path_group *group,        \
                                        uint32_t slot, const encap_field *field, uint8_t *out)     \
    {                                                                                              \
        const uint32_t at = field->at, shift = field->shift, scale = field->scale;                 \
        const uint64_t mask = field->mask;                                                         \
        for (uint32_t i = group->begin; i < group->end; i++) {                                     \
            uint32_t row = block->members[i];                                                      \
            uint32_t offset = block->layers[row].offset[slot] + at;                                \
            uint64_t value = 0;                                                                    \
            if (LIKELY(offset + (width) <= block->sizes[row]))                                     \
                value = (load_wide(block->frames[row] + offset, width) >> shift & mask) * scale;   \
            store_native(out + (uint64_t)row * (size), value, size);                               \
        }                                                                                          \
    }

GATHER_FIXED(1, 1)
GATHER_FIXED(2, 1)
GATHER_FIXED(2, 2)
GATHER_FIXED(4, 1)
GATHER_FIXED(4, 2)
GATHER_FIXED(4, 4)
GATHER_FIXED(8, 4)
GATHER_FIXED(8, 8)

/* Addresses that are always there, as they are. */
#define GATHER_OCTETS(size)                                                                        \
    static void gather_octets_##size(const walked_block *block, const path_group *group,           \
                                     uint32_t slot, const encap_field *field, uint8_t *out)        \
    {                                                                                              \
        const uint32_t at = field->at;                                                             \
        for (uint32_t i = group->begin; i < group->end; i++) {                                     \
            uint32_t row = block->members[i];                                                      \
            uint32_t offset = block->layers[row].offset[slot] + at;                                \
            uint8_t *to = out + (uint64_t)row * (size);                                            \
            if (LIKELY(offset + (size) <= block->sizes[row]))                                      \
                memcpy(to, block->frames[row] + offset, size);                                     \
            else                                                                                   \
                memset(to, 0, size);                                                               \
        }                                                                                          \
    }

GATHER_OCTETS(6)
GATHER_OCTETS(16)

/* Of a header that stopped the walk the fixed part is all that counts. */
INLINE int lacks_options(const encap_layers *layers, int slot)
{
    return layers->status_layer == slot && layers->status >= ENCAP_TRUNCATED &&
           layers->status <= ENCAP_UNSUPPORTED;
}

/* Optional fields, addresses, and what is said of the packet. */
static void gather_any(const walked_block *block, const path_group *group, int slot,
                       const encap_field *field, const encap_column *column, uint8_t *out)
{
    for (uint32_t i = group->begin; i < group->end; i++) {
        uint32_t row = block->members[i];
        uint8_t *to = out + (uint64_t)row * column->size;
        const uint8_t *at = NULL;
        uint64_t value = 0;
        if (field && !(field->optional && lacks_options(&block->layers[row], slot))) {
            uint32_t offset = block->layers[row].offset[slot], left = block->sizes[row];
            offset = offset < left ? offset : left;
            at = locate(field, block->frames[row] + offset, left - offset);
        }
        switch (column->form) {
        case ENCAP_OCTETS:
            store_address(to, at, field ? field->width : 0, column->size);
            continue;
        case ENCAP_VALUE:
            if (at)
                value = (load_wide(at, field->width) >> field->shift & field->mask) * field->scale;
            break;
        case ENCAP_PRESENCE:
            value = at != NULL;
            break;
        case ENCAP_PATH_ID:
            value = block->path_ids[row];
            break;
        case ENCAP_STATUS:
            value = block->layers[row].status;
            break;
        default: /* ENCAP_SLOT: all ones where there is none */
            value = (uint64_t)(int64_t)slot;
            break;
        }
        store_native(to, value, column->size);
    }
}

#define CLEAR(size)                                                                                \
    case size:                                                                                     \
        for (uint32_t i = group->begin; i < group->end; i++)                                       \
            memset(out + block->members[i] * (uint64_t)(size), 0, size);                           \
        return

/* Zeros, for rows that have no such header. */
static void gather_nothing(const walked_block *block, const path_group *group, uint32_t size,
                           uint8_t *out)
{
    switch (size) {
        CLEAR(1);
        CLEAR(2);
        CLEAR(4);
        CLEAR(6);
        CLEAR(8);
        CLEAR(16);
    default:
        return;
    }
}

/* One octet, the same for all rows of a group: what is said of the header rather than by it. */
static void gather_same(const walked_block *block, const path_group *group, uint8_t value,
                        uint8_t *out)
{
    for (uint32_t i = group->begin; i < group->end; i++)
        out[block->members[i]] = value;
}

static const encap_field *field_for(const encap_column *column, uint32_t kind)
{
    if (column->form > ENCAP_PRESENCE)
        return NULL;
    for (uint32_t i = 0; i < column->field_count; i++)
        if (column->fields[i].kind == kind)
            return &column->fields[i];
    return NULL;
}

#define FIXED(width, size)                                                                         \
    case (width) * 16 + (size):                                                                    \
        gather_##width##_##size(block, group, (uint32_t)slot, field, out);                         \
        return

static void gather_group(const walked_block *block, const path_group *group, int slot,
                         const encap_column *column, uint8_t *out)
{
    uint32_t kind = ENCAP_NONE;
    if (slot >= 0)
        kind = block->layers[block->members[group->begin]].kind[slot];
    const encap_field *field = slot >= 0 ? field_for(column, kind) : NULL;
    if (!field && column->form <= ENCAP_PRESENCE) {
        gather_nothing(block, group, column->size, out);
        return;
    }
    /* A header that counts is captured up to the end of its fixed part. */
    if (column->form == ENCAP_HEADER || (column->form == ENCAP_PRESENCE && !field->optional)) {
        gather_same(block, group, slot >= 0, out);
        return;
    }
    if (column->form == ENCAP_KIND) {
        gather_same(block, group, (uint8_t)kind, out);
        return;
    }
    if (column->form == ENCAP_VALUE && !field->optional)
        switch (field->width * 16 + column->size) {
            FIXED(1, 1);
            FIXED(2, 1);
            FIXED(2, 2);
            FIXED(4, 1);
            FIXED(4, 2);
            FIXED(4, 4);
            FIXED(8, 4);
            FIXED(8, 8);
        default:
            break;
        }
    if (column->form == ENCAP_OCTETS && !field->optional && field->width == column->size) {
        if (column->size == 6) {
            gather_octets_6(block, group, (uint32_t)slot, field, out);
            return;
        }
        if (column->size == 16) {
            gather_octets_16(block, group, (uint32_t)slot, field, out);
            return;
        }
    }
    gather_any(block, group, slot, field, column, out);
}

/* One column of a block. `slots` are those of the column, `stride` apart, for `paths` paths. */
static void gather(const walked_block *block, const int8_t *slots, uint64_t stride, uint64_t paths,
                   const encap_column *column, uint8_t *out)
{
    for (uint32_t i = 0; i < block->group_count; i++) {
        const path_group *group = &block->groups[i];
        int slot = group->path < paths
                       ? slots[group->path * stride]
                       : find_slot(block->layers[block->members[group->begin]].kind, column);
        gather_group(block, group, slot, column, out);
    }
}

void encap_gather(const encap_batch *batch, uint64_t begin, uint64_t end, const encap_paths *paths,
                  const encap_layers *layers, const uint16_t *path_ids, const int8_t *slots,
                  const encap_column *column, uint8_t *out)
{
    if (!rows_exist(batch, begin, end))
        return;
    walked_block block;
    for (uint64_t first = begin; first < end; first += BLOCK) {
        block.count = (uint32_t)(end - first < BLOCK ? end - first : BLOCK);
        block.layers = layers + first;
        block.path_ids = path_ids + first;
        take_frames(&block, batch, first);
        gather(&block, slots, 1, paths->count, column, out + first * column->size);
    }
}

/* The columns of a block that was walked. Slots are looked up for paths from `known` on; gives how
 * many paths are known then. */
INLINE uint32_t columns_block(walked_block *block, const encap_batch *batch, uint64_t first,
                              const encap_paths *paths, uint32_t known, int8_t *slots,
                              const encap_column *columns, uint32_t column_count,
                              uint8_t *const *outs)
{
    encap_find_slots(paths, known, columns, column_count, slots);
    take_frames(block, batch, first);
    for (uint32_t i = 0; i < column_count; i++)
        gather(block, slots + i, column_count, paths->count, &columns[i],
               outs[i] + first * columns[i].size);
    return paths->count;
}

/* Walk and gather in blocks, so that each packet's headers come from memory once. */
INLINE void columns_rows(const encap_batch *batch, const encap_rules *rules, uint64_t begin,
                         uint64_t end, encap_paths *paths, int8_t *slots,
                         const encap_column *columns, uint32_t column_count, uint8_t *const *outs,
                         rows_kernel *walk_rows)
{
    encap_layers layers[BLOCK];
    uint16_t path_ids[BLOCK];
    walked_block block;
    uint32_t known = 0;
    block.layers = layers;
    block.path_ids = path_ids;
    for (uint64_t first = begin; first < end; first += BLOCK) {
        block.count = (uint32_t)(end - first < BLOCK ? end - first : BLOCK);
        walk_rows(batch, rules, first, first + block.count, end, paths, layers, path_ids);
        known =
            columns_block(&block, batch, first, paths, known, slots, columns, column_count, outs);
    }
}
