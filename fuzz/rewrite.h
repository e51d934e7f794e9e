/* Rewriting: whatever edits, mappings and rows say, no octet outside of the rows changes, all CPU
 * variants and both ways to the result give the same, and every edit comes to something in every
 * packet. Splicing: as many octets as were announced. */

#define MOST_EDITS 5
#define MOST_PAIRS 6

/* Pairs in order of key, and classes that may reach behind them. */
static void make_mapping(input *in, encap_edit *edit)
{
    encap_mapped *mapped = keep(MOST_PAIRS * sizeof *mapped);
    encap_mask *masks = keep(2 * sizeof *masks);
    uint64_t key = 0;
    edit->mapped_count = take(in, 1) % (MOST_PAIRS + 1);
    edit->mask_count = (uint32_t)take(in, 1) % 3;
    for (uint64_t i = 0; i < MOST_PAIRS; i++) {
        key += take(in, 1);
        mapped[i] = (encap_mapped){{0, key}, {~0ull, take(in, 1) << 4}, {0, take(in, 2)}};
    }
    for (uint32_t i = 0; i < 2; i++)
        masks[i] = (encap_mask){
            {~0ull, take(in, 1)}, take(in, 1) % 8, take(in, 1), take(in, 1) % 3 ? ~0ull : 0};
    edit->mapped = mapped;
    edit->masks = masks;
}

static encap_edit make_edit(input *in, const encap_batch *batch)
{
    encap_edit edit = {.column = make_column(in)};
    edit.column.form = edit.column.form % 2 ? ENCAP_OCTETS : ENCAP_VALUE;
    edit.column.size = edit.column.form == ENCAP_OCTETS ? 16 : 4;
    for (uint32_t i = 0; i < edit.column.field_count; i++)
        if (edit.column.form == ENCAP_OCTETS)
            edit.column.fields[i].width = (uint8_t)(take(in, 1) % 20);
    const uint32_t shape = (uint32_t)take(in, 1);
    edit.every = shape & 1;
    edit.checksums = shape & 16 ? 1u << ENCAP_UDP | 1u << ENCAP_IPV4 : 0;
    if (shape & 2) {
        make_mapping(in, &edit);
        return edit;
    }
    edit.stride = shape & 4 ? edit.column.size : 0;
    uint8_t *values = keep(edit.column.size * (edit.stride ? batch->count : 1));
    for (size_t i = 0; i < edit.column.size * (edit.stride ? batch->count : 1); i++)
        values[i] = (uint8_t)(i * shape);
    edit.values = values;
    return edit;
}

typedef struct rewritten {
    uint8_t *octets;
    uint64_t outcomes[MOST_EDITS * ENCAP_OUTCOMES];
    uint64_t lefts[ENCAP_LEFTS];
    uint8_t matched[MOST_EDITS * MOST_PAIRS];
} rewritten;

/* `from` copied to where `batch` has its rows and rewritten there; without it, in its place. */
static rewritten rewrite_all(const encap_batch *from, encap_batch batch,
                             const encap_rewriting *given, uint32_t capacity)
{
    rewritten made = {0};
    encap_rewriting with = *given;
    const encap_rewriting *job = &with;
    if (with.matched_count)
        with.matched = copied(made.matched, (size_t)with.matched_count); /* no octet more */
    encap_paths paths = make_paths(capacity);
    encap_program *programs = keep((capacity + 1) * sizeof *programs);
    encap_place *places = keep((size_t)(capacity + 1) * job->room * sizeof *places);
    encap_layers *layers = keep(ENCAP_STRETCH * sizeof *layers);
    uint16_t *path_ids = keep(ENCAP_STRETCH * sizeof *path_ids);
    const uint64_t middle = batch.count / 2;
    if (from)
        made.octets = keep((size_t)batch.size);
    else
        made.octets = copied(batch.data, (size_t)batch.size);
    batch.data = made.octets;
    HOLDS(!encap_rewrite(from, &batch, &rules, 0, middle, job, &paths, layers, path_ids, programs,
                         places, made.octets, made.outcomes, made.lefts));
    paths = make_paths(capacity);
    HOLDS(!encap_rewrite(from, &batch, &rules, middle, batch.count, job, &paths, layers, path_ids,
                         programs, places, made.octets, made.outcomes, made.lefts));
    HOLDS(encap_rewrite(from, &batch, &rules, 0, batch.count + 1, job, &paths, layers, path_ids,
                        programs, places, made.octets, made.outcomes, made.lefts));
    if (with.matched_count)
        memcpy(made.matched, with.matched, (size_t)with.matched_count);
    return made;
}

/* The rows of a batch back to back: where each will be. */
static encap_batch make_target(const encap_batch *batch)
{
    encap_batch target = *batch;
    int64_t *starts = keep(batch->count * sizeof *starts);
    target.size = 0;
    for (uint64_t row = 0; row < batch->count; row++) {
        starts[row] = (int64_t)target.size;
        target.size += row_octets(batch, row).size;
    }
    target.starts = starts;
    HOLDS(encap_in_order(starts, batch->lengths, 0));
    int64_t *packed = keep(batch->count * sizeof *packed);
    const uint64_t end = encap_pack(batch->lengths, batch->count, packed);
    HOLDS(end >= target.size && encap_in_order(packed, batch->lengths, batch->count));
    return target;
}

/* Octets in no row are as they were. */
static void check_outside(const encap_batch *batch, const uint8_t *octets)
{
    uint8_t *inside = keep((size_t)batch->size);
    memset(inside, 0, (size_t)batch->size);
    for (uint64_t row = 0; row < batch->count; row++) {
        const frame_span frame = row_octets(batch, row);
        if (frame.size)
            memset(inside + (frame.at - batch->data), 1, (size_t)frame.size);
    }
    for (uint64_t at = 0; at < batch->size; at++)
        HOLDS(inside[at] || octets[at] == batch->data[at]);
}

static void fuzz_rewrite(input *in)
{
    encap_edit *edits = keep(MOST_EDITS * sizeof *edits);
    encap_rewriting job = {.edits = edits, .covers = make_covers()};
    const uint32_t capacity = (uint32_t)take(in, 1) % 9;
    job.edit_count = (uint32_t)take(in, 1) % (MOST_EDITS + 1);
    job.checksums = (uint32_t)take(in, 1) % 3;
    job.room = (uint32_t)take(in, 1) % (MOST_EDITS * 16 + 1);
    job.matched_count = take(in, 1) % (MOST_EDITS * MOST_PAIRS + 1);
    const uint32_t size = (uint32_t)take(in, 1); /* of what describes the edits */
    input described = {in->at, in->left < size ? in->left : size};
    in->at += described.left;
    in->left -= described.left;
    const encap_batch batch = make_batch(in), target = make_target(&batch);
    for (uint32_t i = 0; i < job.edit_count; i++)
        edits[i] = make_edit(&described, &batch);
    for (uint32_t i = 0; i < job.edit_count; i++)
        edits[i].matched_at = i ? edits[i - 1].matched_at + edits[i - 1].mapped_count : 0;
    rewritten first = {0}, copy = {0};
    EVERY_VARIANT(i)
    {
        const rewritten made = rewrite_all(NULL, batch, &job, capacity);
        const rewritten other = rewrite_all(&batch, target, &job, capacity);
        if (!i) {
            first = made;
            copy = other;
        }
        HOLDS(!memcmp(made.octets, first.octets, (size_t)batch.size));
        HOLDS(!memcmp(made.outcomes, first.outcomes, sizeof made.outcomes));
        HOLDS(!memcmp(made.lefts, first.lefts, sizeof made.lefts));
        HOLDS(!memcmp(made.matched, first.matched, sizeof made.matched));
        HOLDS(!memcmp(other.matched, copy.matched, sizeof other.matched));
        HOLDS(!memcmp(other.octets, copy.octets, (size_t)target.size));
    }
    check_outside(&batch, first.octets);
    if (job.room >= 16 * MOST_EDITS)
        for (uint32_t i = 0; i < job.edit_count; i++) {
            uint64_t sum = 0;
            for (uint32_t outcome = 0; outcome < ENCAP_OUTCOMES; outcome++)
                sum += copy.outcomes[i * ENCAP_OUTCOMES + outcome];
            HOLDS(sum == batch.count);
        }
    job.trial = 1;
    HOLDS(!memcmp(rewrite_all(NULL, batch, &job, capacity).octets, batch.data, (size_t)batch.size));
}

static void fuzz_splice(input *in)
{
    const uint32_t width = 1 + (uint32_t)take(in, 1) % 9, stride = take(in, 1) % 2 ? width : 0;
    const uint64_t lacking = take(in, 1) % 8;
    const encap_batch batch = make_batch(in);
    uint32_t *at = keep(batch.count * 4), *removed = keep(batch.count * 4);
    uint32_t *inserted = keep(batch.count * 4);
    int64_t *targets = keep(batch.count * 8);
    const uint8_t *octets = keep(stride ? batch.count * width : width);
    uint64_t total = 0;
    for (uint64_t row = 0; row < batch.count; row++) {
        const uint64_t size = row_octets(&batch, row).size;
        at[row] = (uint32_t)take(in, row % 5 ? 1 : 4);
        removed[row] = (uint32_t)take(in, row % 7 ? 1 : 4);
        inserted[row] = (uint32_t)take(in, 1) % 12;
        const uint64_t head = at[row] < size ? at[row] : size;
        const uint64_t gone = removed[row] < size - head ? removed[row] : size - head;
        targets[row] = (int64_t)total;
        total += size - gone + (inserted[row] < width ? inserted[row] : width);
    }
    const uint64_t room = total > lacking ? total - lacking : 0;
    uint8_t *first = NULL;
    EVERY_VARIANT(i)
    {
        uint8_t *out = keep((size_t)room);
        const int failed = encap_splice(&batch, 0, batch.count, at, removed, inserted, octets,
                                        stride, width, targets, out, room);
        HOLDS(!failed == (room == total));
        if (!i)
            first = out;
        HOLDS(!memcmp(out, first, (size_t)room));
    }
}
