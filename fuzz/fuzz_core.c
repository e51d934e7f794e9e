/* Whatever the octets and arrays say, no kernel touches memory outside of what it is given, all CPU
 * variants give the same, and what two kernels say of one packet agrees.
 *
 * The first octets of an input choose the kernel and its arguments, the others are the packets.
 * Every buffer has exactly the size that the kernel is told, so that the sanitizer sees one octet
 * too many. */

#include "_core.c"

#include <stdlib.h>

#define HOLDS(claim) ((claim) ? (void)0 : abort())
#define MOST_ROWS 48
#define MOST_COLUMNS 6

/* --- the input ------------------------------------------------------------- */

typedef struct input {
    const uint8_t *at;
    size_t left;
} input;

/* The next `count` octets as a number; zeros behind the end. */
static uint64_t take(input *in, uint32_t count)
{
    uint64_t value = 0;
    for (; count; count--) {
        value = value << 8 | (in->left ? *in->at : 0);
        if (in->left) {
            in->at++;
            in->left--;
        }
    }
    return value;
}

/* Memory of exactly `size` octets, freed by `drop`. */
static void *block(size_t size)
{
    void *made = malloc(size ? size : 1);
    HOLDS(made != NULL);
    memset(made, 0xa5, size);
    return made;
}

/* At most so many in one input, each freed at its end. */
static void *blocks[4096];
static size_t block_count;

static void *keep(size_t size)
{
    HOLDS(block_count < sizeof blocks / sizeof *blocks);
    return blocks[block_count++] = block(size);
}

static void drop(void)
{
    while (block_count)
        free(blocks[--block_count]);
}

static void *copied(const void *from, size_t size)
{
    void *made = keep(size);
    if (size)
        memcpy(made, from, size);
    return made;
}

/* --- a batch --------------------------------------------------------------- */

static encap_rules rules;

static void make_rules(void)
{
    static const struct {
        uint16_t number;
        uint8_t kind;
    } types[] = {{0x0800, ENCAP_IPV4}, {0x0806, ENCAP_ARP},  {0x86dd, ENCAP_IPV6},
                 {0x6558, ENCAP_ETH},  {0x8100, ENCAP_VLAN}, {0x88a8, ENCAP_VLAN},
                 {0x9100, ENCAP_VLAN}, {0x9200, ENCAP_VLAN}, {0x8847, ENCAP_MPLS},
                 {0x8848, ENCAP_MPLS}},
      protocols[] = {{0, ENCAP_HOPOPT},  {1, ENCAP_ICMP},     {2, ENCAP_IGMP},
                     {4, ENCAP_IPV4},    {6, ENCAP_TCP},      {17, ENCAP_UDP},
                     {41, ENCAP_IPV6},   {43, ENCAP_ROUTING}, {44, ENCAP_FRAGMENT},
                     {47, ENCAP_GRE},    {50, ENCAP_ESP},     {51, ENCAP_AH},
                     {58, ENCAP_ICMPV6}, {60, ENCAP_DSTOPTS}, {132, ENCAP_SCTP}},
      ports[] = {{4789, ENCAP_VXLAN}, {8472, ENCAP_VXLAN}, {4790, ENCAP_GPE},  {6081, ENCAP_GENEVE},
                 {4500, ENCAP_ESP},   {6080, ENCAP_GUE},   {5555, ENCAP_IPV4}, {5556, ENCAP_IPV6},
                 {5557, ENCAP_GRE},   {5558, ENCAP_ERSPAN}},
      gpe[] = {{1, ENCAP_IPV4}, {2, ENCAP_IPV6}, {3, ENCAP_ETH}},
      links[] = {{0, ENCAP_NULL},    {1, ENCAP_ETH},    {12, ENCAP_KINDS},
                 {101, ENCAP_KINDS}, {108, ENCAP_NULL}, {113, ENCAP_SLL},
                 {228, ENCAP_IPV4},  {229, ENCAP_IPV6}, {276, ENCAP_SLL2}};
#define FILL(from, to)                                                                             \
    for (size_t i = 0; i < sizeof from / sizeof *from; i++)                                        \
    rules.to[from[i].number] = from[i].kind
    FILL(types, ethertype);
    FILL(protocols, protocol);
    FILL(ports, port);
    FILL(gpe, gpe);
    FILL(links, linktype);
}

/* Rows over what is left of the input: one behind the other, or wherever it says. */
static encap_batch make_batch(input *in)
{
    static const uint16_t common[] = {1, 101, 113, 276, 0, 1, 101, 1};
    const uint32_t shape = (uint32_t)take(in, 1), count = shape % MOST_ROWS;
    const int wild = take(in, 1) % 8 == 7;
    int64_t *starts = keep(count * sizeof *starts);
    uint32_t *lengths = keep(count * sizeof *lengths), *wires = keep(count * sizeof *wires);
    uint16_t *linktypes = keep((count + 1) * sizeof *linktypes);
    uint64_t at = 0;
    linktypes[0] = common[take(in, 1) % 8];
    for (uint32_t row = 0; row < count; row++) {
        lengths[row] = (uint32_t)take(in, wild ? 4 : 1 + shape % 2);
        starts[row] = wild ? (int64_t)take(in, 8) : (int64_t)at;
        wires[row] = lengths[row] + (uint32_t)(row % 3 ? 0 : shape);
        linktypes[row] = row % 4 ? linktypes[0] : common[row / 4 % 8];
        if (wild && row % 2)
            linktypes[row] = (uint16_t)take(in, 2);
        at += lengths[row];
    }
    const size_t size = in->left;
    const uint8_t *data = copied(in->at, size);
    return (encap_batch){data, size, starts, lengths, wires, linktypes, shape & 1, count};
}

/* Where a row lies, as the batch says. */
static int row_is_inside(const encap_batch *batch, uint64_t row)
{
    return span(batch->data, batch->size, (uint64_t)batch->starts[row], batch->lengths[row]) !=
           NULL;
}

static encap_paths make_paths(uint32_t capacity)
{
    uint64_t slots = 4;
    while (slots < 2 * (uint64_t)capacity)
        slots *= 2;
    encap_paths paths = {keep(16 * (size_t)capacity), keep(4 * slots), slots, capacity, 0};
    memset(paths.kinds, 0, 16 * (size_t)capacity);
    memset(paths.table, 0, 4 * slots);
    return paths;
}

/* Calls `again` once a variant; the first result is the plain one. */
#define EVERY_VARIANT(index)                                                                       \
    for (uint32_t index = 0; index < encap_implementation_count(); index++)                        \
        if (!encap_implementation_select(index))

/* --- the kernels ----------------------------------------------------------- */

typedef struct walked {
    encap_paths paths;
    encap_layers *layers;
    uint16_t *ids;
} walked;

/* Rows of a batch walked in two parts, as two calls would. */
static walked walk_all(const encap_batch *batch, uint32_t capacity, uint64_t middle)
{
    walked found = {make_paths(capacity), keep(batch->count * sizeof(encap_layers)),
                    keep(batch->count * sizeof(uint16_t))};
    encap_parse(batch, &rules, 0, middle, &found.paths, found.layers, found.ids);
    encap_parse(batch, &rules, middle, batch->count, &found.paths, found.layers, found.ids);
    return found;
}

static void check_layers(const encap_batch *batch, uint64_t row, const encap_layers *layers)
{
    const uint64_t length = row_is_inside(batch, row) ? batch->lengths[row] : 0;
    HOLDS(layers->count <= ENCAP_MAX_LAYERS && layers->status < ENCAP_STATUSES);
    HOLDS(layers->status_layer <= layers->count && layers->status_offset <= length);
    HOLDS(layers->payload <= layers->end && layers->end <= length);
    for (uint32_t slot = 0; slot < ENCAP_MAX_LAYERS; slot++) {
        HOLDS((layers->kind[slot] != ENCAP_NONE) == (slot < layers->count));
        HOLDS(layers->kind[slot] < ENCAP_KINDS);
        HOLDS(slot >= layers->count || layers->offset[slot] < length);
        HOLDS(!slot || slot >= layers->count || layers->offset[slot] > layers->offset[slot - 1]);
    }
}

static void fuzz_parse(input *in)
{
    const uint32_t capacity = 1 + (uint32_t)take(in, 1) % 16;
    const encap_batch batch = make_batch(in);
    walked first = {0};
    EVERY_VARIANT(i)
    {
        walked found = walk_all(&batch, capacity, i * batch.count / 3);
        if (!i)
            first = found;
        HOLDS(found.paths.count <= capacity && found.paths.count == first.paths.count);
        for (uint64_t row = 0; row < batch.count; row++) {
            const encap_layers *layers = &found.layers[row];
            check_layers(&batch, row, layers);
            HOLDS(!memcmp(layers, &first.layers[row], sizeof *layers));
            HOLDS(found.ids[row] == first.ids[row]);
            if (found.ids[row] != ENCAP_PATH_OTHER)
                HOLDS(!memcmp(&found.paths.kinds[2 * found.ids[row]], layers->kind, 16));
        }
    }
}

static encap_test make_test(input *in)
{
    const uint64_t bits = take(in, 4);
    return (encap_test){(uint8_t)(bits & 7),       (uint8_t)(bits >> 3 & 1),
                        (uint8_t)(bits >> 4 & 15), 0,
                        (uint16_t)(bits >> 8),     (uint16_t)(bits >> 16 & bits >> 8)};
}

/* A column as encap.columns may describe one. */
static encap_column make_column(input *in)
{
    static const uint8_t widths[] = {1, 2, 4, 8}, octets[][2] = {{6, 6}, {16, 16}, {4, 16}, {4, 4}};
    encap_column column = {.kinds = (uint32_t)take(in, 4) & ((1u << ENCAP_KINDS) - 2),
                           .index = (int16_t)((int16_t)(take(in, 1) % 7) - 3),
                           .part = (uint8_t)(take(in, 1) % 3),
                           .tunnels_only = (uint8_t)(take(in, 1) % 2),
                           /* Not ENCAP_PATH_ID: a path's number depends on the rows before. */
                           .form = (uint8_t)(take(in, 1) % (ENCAP_STATUS + 1)),
                           .size = 1,
                           .field_count = (uint8_t)(take(in, 1) % (ENCAP_ALTERNATIVES + 1))};
    const uint8_t *pair = octets[take(in, 1) % 4];
    if (column.form == ENCAP_OCTETS)
        column.size = pair[1];
    if (column.form == ENCAP_VALUE)
        column.size = widths[take(in, 1) % 4];
    for (uint32_t i = 0; i < column.field_count; i++) {
        encap_field *field = &column.fields[i];
        const uint64_t bits = take(in, 4);
        field->kind = (uint8_t)(1 + bits % (ENCAP_KINDS - 1));
        column.kinds |= 1u << field->kind;
        field->at = (uint16_t)(bits >> 8 & (bits >> 31 ? 0xffff : 31));
        field->width = column.form == ENCAP_OCTETS ? pair[0] : widths[bits >> 24 & 3];
        field->shift = (uint8_t)(bits >> 26 & (8u * field->width - 1) & 63);
        field->mask = ~0ull >> (bits >> 16 & 63);
        field->scale = bits >> 30 & 1 ? 4 : 1;
        field->optional = (uint8_t)(bits >> 29 & 1);
        field->words = (uint8_t)(field->optional ? bits % 5 : 0);
        if (field->optional)
            field->present = make_test(in);
        for (uint32_t word = 0; word < field->words; word++)
            field->before[word] = make_test(in);
    }
    return column;
}

/* One column by way of layers. */
static uint8_t *gathered(const encap_batch *batch, const walked *found, const encap_column *column)
{
    uint8_t *out = keep(batch->count * column->size);
    int8_t *slots = keep(found->paths.count);
    encap_find_slots(&found->paths, 0, column, 1, slots);
    encap_gather(batch, 0, batch->count, &found->paths, found->layers, found->ids, slots, column,
                 out);
    return out;
}

/* One row as a batch of its own, in memory that ends where the row does. */
static encap_batch make_alone(const encap_batch *batch, uint64_t row)
{
    encap_batch alone = *batch;
    int64_t *start = keep(sizeof *start);
    *start = row_is_inside(batch, row) ? 0 : -1;
    alone.size = *start ? 0 : batch->lengths[row];
    alone.data = copied(batch->data + (*start ? 0 : batch->starts[row]), alone.size);
    alone.starts = start;
    alone.lengths = batch->lengths + row;
    alone.wire_lengths = batch->wire_lengths + row;
    alone.linktypes = batch->linktypes + row * batch->linktype_step;
    alone.count = 1;
    return alone;
}

/* What stands around a row does not matter. */
static void check_alone(const encap_batch *batch, const encap_column *columns, uint32_t count,
                        uint8_t *const *outs)
{
    for (uint64_t row = 0; row < batch->count; row++) {
        const encap_batch alone = make_alone(batch, row);
        walked found = walk_all(&alone, 1, 0);
        for (uint32_t column = 0; column < count; column++)
            HOLDS(!memcmp(gathered(&alone, &found, &columns[column]),
                          outs[column] + row * columns[column].size, columns[column].size));
    }
}

static void fuzz_columns(input *in)
{
    const uint32_t capacity = 1 + (uint32_t)take(in, 1) % 16;
    const uint32_t count = 1 + (uint32_t)take(in, 1) % MOST_COLUMNS;
    encap_column *columns = keep(count * sizeof *columns);
    for (uint32_t i = 0; i < count; i++)
        columns[i] = make_column(in);
    const encap_batch batch = make_batch(in);
    walked found = walk_all(&batch, capacity, 0);
    EVERY_VARIANT(i)
    {
        uint8_t *outs[MOST_COLUMNS];
        encap_paths paths = make_paths(capacity);
        int8_t *slots = keep((size_t)capacity * count);
        for (uint32_t column = 0; column < count; column++)
            outs[column] = keep(batch.count * columns[column].size);
        encap_columns(&batch, &rules, 0, batch.count, &paths, slots, columns, count, outs);
        if (!i)
            check_alone(&batch, columns, count, outs);
        for (uint32_t column = 0; column < count; column++)
            HOLDS(!memcmp(outs[column], gathered(&batch, &found, &columns[column]),
                          batch.count * columns[column].size));
    }
    /* Layers that no walk has made: any value, but none from outside. */
    for (size_t i = 0; i < batch.count * sizeof *found.layers; i++)
        ((uint8_t *)found.layers)[i] ^= batch.size ? batch.data[i % batch.size] : 0;
    for (uint64_t row = 0; row < batch.count; row++)
        found.ids[row] = (uint16_t)(row * 7 % 5 ? row : ENCAP_PATH_OTHER);
    for (uint32_t column = 0; column < count; column++)
        gathered(&batch, &found, &columns[column]);
}

static encap_unwrapped make_unwrapped(uint64_t rows, uint64_t octets)
{
    return (encap_unwrapped){keep(8 * rows), keep(4 * rows), keep(4 * rows),
                             keep(2 * rows), keep(8 * rows), octets ? keep(octets) : NULL,
                             octets};
}

static void fuzz_decap(input *in)
{
    const encap_wanted wanted = {(uint32_t)take(in, 1), 1 + (uint32_t)take(in, 1) % 4,
                                 (uint32_t)take(in, 1) % 2};
    const uint32_t tight = (uint32_t)take(in, 1);
    const encap_batch batch = make_batch(in);
    encap_unwrapped plain = {0};
    uint64_t plain_count = 0, room = 0;
    for (uint64_t row = 0; row < batch.count; row++)
        room += row_is_inside(&batch, row) ? batch.lengths[row] : 0;
    EVERY_VARIANT(i)
    {
        encap_unwrapped found = make_unwrapped(batch.count, 0);
        uint64_t count = encap_decap(&batch, &rules, 0, batch.count, &wanted, 0, &found);
        HOLDS(count <= batch.count && (!wanted.keep || count == batch.count));
        for (uint64_t k = 0; k < count; k++) {
            const uint64_t row = (uint64_t)found.rows[k];
            HOLDS(row < batch.count && (!k || row > (uint64_t)found.rows[k - 1]));
            if (!row_is_inside(&batch, row)) {
                HOLDS(!found.lengths[k]);
                continue;
            }
            HOLDS(found.starts[k] >= batch.starts[row]);
            HOLDS((uint64_t)found.starts[k] + found.lengths[k] <=
                  (uint64_t)batch.starts[row] + batch.lengths[row]);
        }
        if (!i) {
            plain = found;
            plain_count = count;
        }
        HOLDS(count == plain_count && !memcmp(found.starts, plain.starts, 8 * count) &&
              !memcmp(found.lengths, plain.lengths, 4 * count) &&
              !memcmp(found.wire_lengths, plain.wire_lengths, 4 * count) &&
              !memcmp(found.linktypes, plain.linktypes, 2 * count));
        /* The same with the octets copied; into too little room as many as fit. */
        encap_unwrapped copies = make_unwrapped(batch.count, tight % 3 ? room : room * tight / 255);
        if (!copies.octets)
            continue;
        uint64_t copied_count = encap_decap(&batch, &rules, 0, batch.count, &wanted, 0, &copies);
        HOLDS(copied_count <= count && (copied_count == count || tight % 3 == 0));
        for (uint64_t k = 0; k < copied_count; k++) {
            HOLDS(copies.lengths[k] == plain.lengths[k] && copies.rows[k] == plain.rows[k]);
            HOLDS(!copies.lengths[k] || !memcmp(copies.octets + copies.starts[k],
                                                batch.data + plain.starts[k], plain.lengths[k]));
        }
    }
}

static encap_records make_records(uint64_t capacity)
{
    return (encap_records){.capacity = capacity,
                           .starts = keep(8 * capacity),
                           .lengths = keep(4 * capacity),
                           .wire_lengths = keep(4 * capacity),
                           .times = keep(8 * capacity),
                           .linktypes = keep(2 * capacity),
                           .blocks = keep(8 * capacity),
                           .others = keep(8 * capacity),
                           .other_capacity = capacity};
}

/* Rows of an index lie inside, one behind the other. */
static void check_records(const encap_records *records, uint64_t size)
{
    uint64_t end = 0;
    HOLDS(records->count <= records->capacity && records->position <= size);
    HOLDS(records->other_count <= records->other_capacity);
    for (uint64_t row = 0; row < records->count; row++) {
        HOLDS(records->starts[row] >= 0 && (uint64_t)records->starts[row] >= end);
        end = (uint64_t)records->starts[row] + records->lengths[row];
        HOLDS(end <= size);
    }
}

static void fuzz_capture_index(input *in, int next_generation)
{
    const uint32_t choice = (uint32_t)take(in, 1), limit = (uint32_t)take(in, 3);
    const uint64_t capacity = take(in, 1) % 32, interface_count = take(in, 1) % 4;
    encap_interface *interfaces = keep(interface_count * sizeof *interfaces);
    for (uint64_t i = 0; i < interface_count; i++)
        interfaces[i] = (encap_interface){1 + take(in, 8) % 1000000000, take(in, 4),
                                          (int64_t)take(in, 8),         (uint32_t)take(in, 1) & 127,
                                          (uint32_t)take(in, 2),        (uint16_t)take(in, 2),
                                          (uint16_t)(take(in, 1) & 1)};
    encap_records records = make_records(capacity);
    const size_t size = in->left;
    const uint8_t *data = copied(in->at, size);
    for (;;) {
        const uint64_t position = records.position, count = records.count;
        int status = next_generation ? encap_pcapng_index(data, size, choice & 1, limit, interfaces,
                                                          interface_count, &records)
                                     : encap_pcap_index(data, size, choice & 1,
                                                        choice & 2 ? 1 : 1000, limit, &records);
        check_records(&records, size);
        HOLDS(records.position >= position && records.count >= count);
        if (status != ENCAP_CAPTURE_FULL || !capacity)
            break;
        HOLDS(records.position > position);
        records.count = records.other_count = 0;
    }
}

static void fuzz_checksum(input *in)
{
    const encap_batch batch = make_batch(in);
    uint32_t sum = 0;
    for (uint64_t i = 0; i < batch.size; i++) {
        sum += i % 2 ? batch.data[i] : (uint32_t)batch.data[i] << 8;
        sum = (sum & 0xffff) + (sum >> 16);
    }
    const uint16_t expected = (uint16_t)~sum;
    uint16_t *first = NULL;
    EVERY_VARIANT(i)
    {
        uint8_t *out = keep(batch.size);
        HOLDS(encap_checksum(batch.data, batch.size) == expected);
        HOLDS(encap_copy_checksum(batch.data, batch.size, out) == expected);
        HOLDS(!memcmp(out, batch.data, batch.size));
        uint16_t *sums = keep(2 * batch.count);
        HOLDS(!encap_checksums(&batch, 0, batch.count, sums));
        HOLDS(encap_checksums(&batch, 0, batch.count + 1, sums));
        first = i ? first : sums;
        HOLDS(!memcmp(first, sums, 2 * batch.count));
    }
}

static void fuzz_compact(input *in)
{
    const uint32_t wild = (uint32_t)take(in, 1) % 4;
    const uint64_t room = take(in, 2);
    const encap_batch batch = make_batch(in);
    int64_t *targets = keep(8 * batch.count);
    int64_t at = 0;
    for (uint64_t row = 0; row < batch.count; row++) {
        targets[row] = wild || !batch.size ? at : (int64_t)(batch.data[row % batch.size] * 31u) - 9;
        at += row_is_inside(&batch, row) ? batch.lengths[row] : 0;
    }
    const uint64_t size = wild ? (uint64_t)at : room;
    uint8_t *first = NULL;
    EVERY_VARIANT(i)
    {
        uint8_t *out = keep(size);
        int refused = encap_compact(&batch, 0, batch.count, targets, out, size);
        HOLDS(!refused || !wild);
        first = i ? first : out;
        HOLDS(!memcmp(first, out, size));
    }
}

static void fuzz_capture_fill(input *in)
{
    const uint32_t choice = (uint32_t)take(in, 1);
    const uint64_t room = take(in, 2) % 4096;
    const encap_batch batch = make_batch(in);
    const uint32_t unit = choice & 2 ? 1 : 1000;
    int64_t *times = keep(8 * batch.count);
    uint16_t *owners = keep(2 * (batch.count + 1));
    memset(owners, 0, 2 * (batch.count + 1));
    for (uint64_t row = 0; row < batch.count; row++)
        times[row] = row % 5 ? (int64_t)(row * 1000000007u) : INT64_MIN;
    encap_extent extent;
    encap_capture_measure(&batch, times, &extent);
    uint8_t *out = keep(room), *first = NULL;
    uint64_t used = 0, row = 0;
    EVERY_VARIANT(i)
    {
        row = 0;
        memset(out, 0, room);
        used = choice & 4
                   ? encap_pcapng_fill(&batch, times, owners, choice >> 3 & 1, &row, batch.count,
                                       choice & 1, unit, out, room)
                   : encap_pcap_fill(&batch, times, &row, batch.count, choice & 1, unit, out, room);
        HOLDS(used <= room && row <= batch.count);
        first = i ? first : copied(out, room);
        HOLDS(!memcmp(first, out, room));
    }
    /* What was written is read again. */
    const encap_interface interface = {unit, 1, 0, 0, 0, 1, 0};
    encap_records records = make_records(row + 1);
    int status =
        choice & 4 ? encap_pcapng_index(out, used, choice & 1, UINT32_MAX, &interface, 1, &records)
                   : encap_pcap_index(out, used, choice & 1, unit, UINT32_MAX, &records);
    HOLDS(status == ENCAP_CAPTURE_MORE && records.position == used && records.count == row);
}

static void fuzz_options(input *in)
{
    const uint32_t format = (uint32_t)take(in, 1) % 3, key = (uint32_t)take(in, 3);
    const uint32_t width = (uint32_t)take(in, 1) % 64;
    const encap_batch batch = make_batch(in);
    int64_t *found = keep(8 * batch.count);
    uint32_t *lengths = keep(4 * batch.count);
    uint8_t *present = keep(batch.count), *out = keep(batch.count * width);
    encap_find_options(batch.data, batch.size, batch.starts, batch.lengths, 0, batch.count, format,
                       format ? key & 0xff : key, found, lengths, present);
    for (uint64_t row = 0; row < batch.count; row++) {
        HOLDS(present[row] <= 1 && (present[row] || !lengths[row]));
        if (present[row])
            HOLDS(found[row] > batch.starts[row] &&
                  (uint64_t)found[row] + lengths[row] <=
                      (uint64_t)batch.starts[row] + batch.lengths[row]);
    }
    uint64_t *numbers = keep(8 * batch.count);
    encap_numbers(batch.data, batch.size, batch.starts, 0, batch.count, 1 + width % 8, numbers);
    for (uint64_t row = 0; row < batch.count; row++)
        HOLDS(width % 8 == 7 || numbers[row] < 1ull << 8 * (1 + width % 8));
    encap_copy_spans(batch.data, batch.size, found, lengths, 0, batch.count, width, out);
    encap_copy_spans(batch.data, batch.size, batch.starts, batch.lengths, 0, batch.count, width,
                     out);
}

#include "build.h"
#include "covers.h"
#include "esp.h"
#include "flow.h"
#include "fragments.h"
#include "kept.h"
#include "keys.h"
#include "marks.h"
#include "receive.h"
#include "rewrite.h"
#include "verdicts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_pcap_index(input *in)
{
    fuzz_capture_index(in, 0);
}

static void fuzz_pcapng_index(input *in)
{
    fuzz_capture_index(in, 1);
}

/* By the first octet of an input. Those that came later have the high values, so that what the
 * corpus found for the first ones stays found. */
#define LATER 225

typedef void part(input *in);

static part *const parts[] = {
    fuzz_parse,    fuzz_columns, fuzz_decap,        fuzz_pcap_index, fuzz_pcapng_index,
    fuzz_checksum, fuzz_compact, fuzz_capture_fill, fuzz_options,
};
static part *const later_parts[] = {
    fuzz_flow,     fuzz_kept,    fuzz_build, fuzz_join,  fuzz_split,   fuzz_rewrite,    fuzz_splice,
    fuzz_verdicts, fuzz_receive, fuzz_keys,  fuzz_marks, fuzz_esp_lay, fuzz_esp_replay,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    input in = {data, size};
    if (rules.protocol[17] == ENCAP_NONE)
        make_rules();
    const uint32_t choice = (uint32_t)take(&in, 1);
    if (choice < LATER)
        parts[choice % (sizeof parts / sizeof *parts)](&in);
    else
        later_parts[(choice - LATER) % (sizeof later_parts / sizeof *later_parts)](&in);
    drop();
    return 0;
}
