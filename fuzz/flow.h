/* Flow hashes: the shortcut finds what the walk finds, and a row has the same hash whatever stands
 * around it. */

static encap_flow_wanted make_wanted(input *in)
{
    const uint32_t choice = (uint32_t)take(in, 1);
    uint32_t *table = keep(36 * 256 * sizeof *table);
    for (size_t i = 0; i < 36 * (size_t)256; i++)
        table[i] = (uint32_t)(i * 0x9e3779b9u);
    return (encap_flow_wanted){choice & 1 ? table : NULL, choice >> 1 & 1, choice >> 2 & 1};
}

/* The same row twice: with a walk, and without where that can be. */
static void check_shortcut(const encap_batch *batch, uint64_t row)
{
    const encap_batch alone = make_alone(batch, row);
    const uint32_t size = (uint32_t)alone.size;
    const uint32_t kind = first_of(&rules, alone.linktypes[0]);
    walked found = walk_all(&alone, 1, 0);
    encap_layers *room = keep(sizeof *room);
    HOLDS(flow_of_row(&rules, alone.data, size, kind, room) ==
          flow_of(alone.data, size, found.layers));
}

static void fuzz_flow(input *in)
{
    const uint32_t capacity = 1 + (uint32_t)take(in, 1) % 16;
    const encap_flow_wanted wanted = make_wanted(in);
    const encap_entropy how = {(uint32_t)take(in, 2), (uint32_t)take(in, 2),
                               (uint32_t)take(in, 1) % 3};
    encap_column *column = keep(sizeof *column);
    *column = (encap_column){.kinds = (uint32_t)take(in, 4), .size = 1, .form = ENCAP_SLOT};
    column->index = (int16_t)((int16_t)(take(in, 1) % 7) - 3);
    column->part = (uint8_t)(take(in, 1) % 3);
    const encap_batch batch = make_batch(in);
    uint32_t *first = NULL, *named = NULL;
    EVERY_VARIANT(i)
    {
        uint32_t *out = keep(4 * batch.count), *of_name = keep(4 * batch.count);
        encap_flow_hash(&batch, &rules, 0, batch.count, &wanted, NULL, NULL, NULL, out);
        encap_paths paths = make_paths(capacity);
        int8_t *slots = keep(capacity);
        encap_flow_hash(&batch, &rules, 0, batch.count, &wanted, column, &paths, slots, of_name);
        if (!i) {
            first = out;
            named = of_name;
        }
        HOLDS(!memcmp(first, out, 4 * batch.count));
        HOLDS(!memcmp(named, of_name, 4 * batch.count));
    }
    uint16_t *ports = keep(2 * batch.count);
    encap_entropy_ports(first, 0, batch.count, &how, ports);
    for (uint64_t row = 0; row < batch.count; row++) {
        const encap_batch alone = make_alone(&batch, row);
        uint32_t *hash = keep(sizeof *hash);
        encap_flow_hash(&alone, &rules, 0, 1, &wanted, NULL, NULL, NULL, hash);
        HOLDS(*hash == first[row]);
        HOLDS((uint16_t)(ports[row] - how.low) < (how.span ? how.span : 1));
        check_shortcut(&batch, row);
    }
    /* Layers that no walk has made: any value, but none from outside. */
    encap_layers *layers = copied(batch.data, batch.size < 64 ? 0 : sizeof *layers);
    if (batch.size >= sizeof *layers)
        for (uint32_t slot = 0; slot < ENCAP_MAX_LAYERS; slot++) {
            flow_of(batch.data, (uint32_t)batch.size, layers);
            flow_of_slot(batch.data, (uint32_t)batch.size, layers, slot);
        }
}
