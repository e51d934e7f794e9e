/* Verdicts: all CPU variants judge alike, a row is worth the same whatever stands around it, the
 * walk in passing finds what find_reaches does, and a repair leaves nothing that could be repaired
 * and touches no octet but those of checksums. */

static const encap_cover *all_covers;

typedef struct worth {
    walked found;
    uint8_t *verdicts;
} worth;

static worth judge_all(const encap_batch *batch, uint32_t capacity, uint64_t middle)
{
    worth made = {{make_paths(capacity), keep(batch->count * sizeof(encap_layers)),
                   keep(batch->count * sizeof(uint16_t))},
                  keep(batch->count * ENCAP_MAX_LAYERS)};
    encap_judge(batch, &rules, all_covers, 0, middle, &made.found.paths, made.found.layers,
                made.found.ids, made.verdicts);
    encap_judge(batch, &rules, all_covers, middle, batch->count, &made.found.paths,
                made.found.layers, made.found.ids, made.verdicts);
    return made;
}

/* What the walk notes in passing is what looking closer gives. */
static void check_reaches(const encap_batch *batch, uint64_t row)
{
    const encap_batch alone = make_alone(batch, row);
    encap_layers layers;
    reaches_noted noted;
    reach reaches[ENCAP_MAX_LAYERS];
    reach_frame(&rules, alone.data, (uint32_t)alone.size, first_of(&rules, alone.linktypes[0]),
                &layers, &noted);
    if (noted.odd)
        return;
    find_reaches(alone.data, (uint32_t)alone.size, alone.wire_lengths[0], &layers, reaches);
    uint8_t network = NO_SLOT;
    for (uint32_t slot = 0; slot < layers.count; slot++) {
        const uint8_t in_front = network;
        if (layers.kind[slot] == ENCAP_IPV4 || layers.kind[slot] == ENCAP_IPV6)
            network = (uint8_t)slot;
        if (all_covers[layers.kind[slot]].covers != ENCAP_COVERS_REST)
            continue;
        const reach plain = plain_reach(&layers, &noted, slot, in_front), *close = &reaches[slot];
        HOLDS(plain.end == close->end && plain.length == close->length);
        HOLDS(plain.network == close->network && plain.flags == close->flags);
    }
}

/* Octets of a frame that belong to a checksum, as 1. */
static uint8_t *mark_checksums(const encap_batch *batch, const worth *made, uint64_t row)
{
    const uint32_t size = row_is_inside(batch, row) ? batch->lengths[row] : 0;
    const encap_layers *layers = &made->found.layers[row];
    uint8_t *marks = keep(size);
    memset(marks, 0, size);
    for (uint32_t slot = 0; slot < ENCAP_MAX_LAYERS; slot++) {
        const encap_cover *cover = &all_covers[layers->kind[slot]];
        for (uint32_t i = 0; made->verdicts[row * 16 + slot] && i < cover->size; i++)
            if (layers->offset[slot] + cover->at + i < size)
                marks[layers->offset[slot] + cover->at + i] = 1;
    }
    return marks;
}

/* Copies of all rows, one behind the other, to be written to. */
static encap_batch make_copy(const encap_batch *batch)
{
    encap_batch copy = *batch;
    int64_t *starts = keep(8 * batch->count);
    uint32_t *lengths = keep(4 * batch->count);
    int64_t at = 0;
    for (uint64_t row = 0; row < batch->count; row++) {
        starts[row] = at;
        lengths[row] = row_is_inside(batch, row) ? batch->lengths[row] : 0;
        at += lengths[row];
    }
    copy.data = keep((size_t)at);
    copy.size = (uint64_t)at;
    copy.starts = starts;
    copy.lengths = lengths;
    return copy;
}

static void check_fix(const encap_batch *batch, const worth *before, uint32_t wanted)
{
    const uint8_t *first = NULL;
    const encap_batch copy = make_copy(batch);
    encap_fixes plain = {0};
    EVERY_VARIANT(i)
    {
        encap_batch fixed = copy;
        uint8_t *octets = keep((size_t)copy.size);
        encap_fixes fixes = {0};
        fixed.data = octets;
        HOLDS(
            !encap_fix(batch, &fixed, &rules, all_covers, 0, batch->count, wanted, octets, &fixes));
        HOLDS(encap_fix(batch, &fixed, &rules, all_covers, 0, batch->count + 1, wanted, octets,
                        &fixes));
        if (!i) {
            first = octets;
            plain = fixes;
        }
        HOLDS(!memcmp(first, octets, (size_t)copy.size) && !memcmp(&plain, &fixes, sizeof fixes));
    }
    encap_batch fixed = copy;
    fixed.data = first;
    const worth after = judge_all(&fixed, 1, 0);
    for (uint64_t row = 0; row < batch->count; row++) {
        const uint8_t *marks = mark_checksums(batch, before, row);
        const uint8_t *was = copy.lengths[row] ? batch->data + batch->starts[row] : NULL;
        for (uint32_t i = 0; i < copy.lengths[row]; i++)
            HOLDS(marks[i] || was[i] == first[copy.starts[row] + i]);
        for (uint32_t slot = 0; slot < ENCAP_MAX_LAYERS; slot++) {
            const uint32_t old = before->verdicts[row * 16 + slot];
            const uint32_t now = after.verdicts[row * 16 + slot];
            HOLDS((old == ENCAP_CHECKSUM_NONE) == (now == ENCAP_CHECKSUM_NONE));
            if (old == ENCAP_CHECKSUM_GOOD || (wanted >> old & 1 && old == ENCAP_CHECKSUM_BAD))
                HOLDS(now == ENCAP_CHECKSUM_GOOD);
        }
    }
}

static void fuzz_verdicts(input *in)
{
    static const uint32_t wishes[] = {1u << ENCAP_CHECKSUM_BAD, 1u << ENCAP_CHECKSUM_PARTIAL,
                                      1u << ENCAP_CHECKSUM_BAD | 1u << ENCAP_CHECKSUM_PARTIAL |
                                          1u << ENCAP_CHECKSUM_ZERO_ILLEGAL};
    const uint32_t capacity = 1 + (uint32_t)take(in, 1) % 16;
    const uint32_t wanted = wishes[take(in, 1) % 3];
    const encap_batch batch = make_batch(in);
    worth first = {0};
    all_covers = make_covers();
    EVERY_VARIANT(i)
    {
        worth made = judge_all(&batch, capacity, i * batch.count / 3);
        first = i ? first : made;
        HOLDS(!memcmp(made.verdicts, first.verdicts, batch.count * 16));
        walked plain = walk_all(&batch, capacity, 0);
        HOLDS(!memcmp(made.found.layers, plain.layers, batch.count * sizeof(encap_layers)));
        HOLDS(!memcmp(made.found.ids, plain.ids, batch.count * 2));
    }
    for (uint64_t row = 0; row < batch.count; row++) {
        const encap_batch alone = make_alone(&batch, row);
        const worth made = judge_all(&alone, 1, 0);
        HOLDS(!memcmp(made.verdicts, first.verdicts + 16 * row, 16));
        check_reaches(&batch, row);
    }
    check_fix(&batch, &first, wanted);
}
