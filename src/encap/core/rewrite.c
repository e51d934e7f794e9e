/* Batches of packets rewritten: blocks of rows, walked, sorted by path, edited. */

static void update_group(rewrite_block *b, const path_group *group, uint64_t *lefts)
{
    EACH_MEMBER b->carry[row] = 0;
    for (uint32_t i = 0; i < b->program->step_count; i++) {
        const encap_cover *cover = &b->job->covers[b->program->steps[i].kind];
        if (cover->covers == ENCAP_COVERS_NOTHING)
            carry_plain(b, group, i, lefts);
        else if (cover->covers == ENCAP_COVERS_HEADER)
            carry_header(b, group, i);
        else if (cover->algorithm == ENCAP_CRC32C)
            carry_crc(b, group, i, lefts);
        else
            carry_rest(b, group, i);
    }
}

/* Rows of one path, of any kind. */
static void rewrite_carefully(rewrite_block *b, const path_group *group, uint64_t *outcomes,
                              uint64_t *lefts, sum_kernel *sum)
{
    const int closing = b->job->checksums != ENCAP_CHECKSUMS_KEEP && !b->job->trial;
    EACH_MEMBER
    {
        b->live[row] = b->partial[row] = b->routed[row] = 0;
        b->given[row] = b->changed[row] = b->addressed[row] = 0;
        b->outcome[row] = ENCAP_ABSENT;
    }
    for (uint32_t i = 0; i < b->program->step_count; i++) {
        EACH_MEMBER b->own[i][row] = b->pseudo[i][row] = 0;
        if (closing)
            note_checksums(b, group, i, sum);
    }
    make_edits(b, group, outcomes);
    if (!closing)
        return;
    if (b->job->checksums == ENCAP_CHECKSUMS_UPDATE)
        update_group(b, group, lefts);
    else
        EACH_MEMBER if (b->changed[row]) recompute_row(b, row, lefts, sum);
}

/* Rows of one path. */
INLINE void rewrite_group(rewrite_block *b, const path_group *group, uint64_t *outcomes,
                          uint64_t *lefts, sum_kernel *sum)
{
    path_group rest = *group;
    if (LIKELY(b->program->swift))
        rest.begin = rewrite_swiftly(b, group, outcomes);
    if (rest.begin < rest.end)
        rewrite_carefully(b, &rest, outcomes, lefts, sum);
}

/* Octets between those that are copied and those that are asked for: rows mostly lie one behind the
 * other. */
#define FETCH_AHEAD 2048
/* Rows that are copied before they are walked: the walk of a few is done while memory is at work.
 */
#define FETCH_ROWS 4

/* Copies rows to where the batch has them. Not 0: one does not fit. */
INLINE int fetch_rows(const encap_batch *from, const encap_batch *batch, uint64_t begin,
                      uint64_t end, uint8_t *octets, copy_kernel *copy)
{
    for (uint64_t row = begin; row < end; row++) {
        const frame_span frame = row_octets(from, row);
        const uint64_t target = (uint64_t)batch->starts[row];
        if (target > batch->size || batch->size - target < frame.size)
            return -1;
        for (uint64_t at = 0; at < frame.size; at += 64)
            prefetch((uintptr_t)frame.at + FETCH_AHEAD + at);
        if (frame.size)
            copy(octets + target, frame.at, frame.size);
    }
    return 0;
}

/* The layers of rows [begin, end), which are copied from `from` before if there is one. Not 0: one
 * does not fit. */
INLINE int walk_stretch(const encap_batch *from, const encap_batch *batch, const encap_rules *rules,
                        uint64_t begin, uint64_t end, uint64_t last, encap_paths *paths,
                        encap_layers *layers, uint16_t *path_ids, uint8_t *octets,
                        rows_kernel *walk_rows, copy_kernel *copy)
{
    if (!from) {
        walk_rows(batch, rules, begin, end, last, paths, layers, path_ids);
        return 0;
    }
    for (uint64_t row = begin, next; row < end; row = next) {
        next = end - row < FETCH_ROWS ? end : row + FETCH_ROWS;
        if (fetch_rows(from, batch, row, next, octets, copy))
            return -1;
        walk_rows(batch, rules, row, next, next, paths, layers + (row - begin),
                  path_ids + (row - begin));
    }
    return 0;
}

/* The frames of a block, and which rows have one path. */
static void take_rows(rewrite_block *b, uint8_t *octets, uint8_t *nothing)
{
    walked_block *rows = &b->rows;
    const uint32_t path = rows->path_ids[0];
    uint32_t other = path == ENCAP_PATH_OTHER;
    for (uint32_t i = 0; i < rows->count; i++) {
        const frame_span frame = row_octets(b->batch, b->first + i);
        rows->sizes[i] = (uint32_t)frame.size;
        b->octets[i] = frame.size ? octets + (frame.at - b->batch->data) : nothing;
        other |= rows->path_ids[i] ^ path;
    }
    if (other) {
        group_rows(rows);
        return;
    }
    rows->group_count = 1;
    rows->groups[0] = (path_group){path, 0, rows->count};
    for (uint32_t i = 0; i < rows->count; i++)
        rows->members[i] = (uint8_t)i;
}

/* Rows of a block, whose first `known` paths have programs. */
INLINE void rewrite_taken(rewrite_block *b, uint64_t known, const encap_paths *paths,
                          encap_program *programs, encap_place *places, uint64_t *outcomes,
                          uint64_t *lefts, sum_kernel *sum)
{
    for (uint32_t i = 0; i < b->rows.group_count; i++) {
        const path_group *group = &b->rows.groups[i];
        uint64_t path = group->path;
        if (path >= known) { /* one that has no id: a program for it alone */
            path = paths->capacity;
            make_program(b->job, b->rows.layers[b->rows.members[group->begin]].kind,
                         &programs[path], places + path * b->job->room);
        }
        b->program = &programs[path];
        b->places = places + path * b->job->room;
        rewrite_group(b, group, outcomes, lefts, sum);
    }
}

/* In stretches of rows: turning from copying to computing costs memory its stride. */
INLINE int rewrite_rows(const encap_batch *from, const encap_batch *batch, const encap_rules *rules,
                        uint64_t begin, uint64_t end, const encap_rewriting *job,
                        encap_paths *paths, encap_layers *layers, uint16_t *path_ids,
                        encap_program *programs, encap_place *places, uint8_t *octets,
                        uint64_t *outcomes, uint64_t *lefts, rows_kernel *walk_rows,
                        copy_kernel *copy, sum_kernel *sum)
{
    uint8_t nothing[8] = {0};
    rewrite_block b;
    uint64_t known = 0;
    b.batch = batch;
    b.job = job;
    for (uint64_t first = begin, stop; first < end; first = stop) {
        stop = end - first < ENCAP_STRETCH ? end : first + ENCAP_STRETCH;
        if (walk_stretch(from, batch, rules, first, stop, end, paths, layers, path_ids, octets,
                         walk_rows, copy))
            return -1;
        for (; known < paths->count; known++)
            make_program(job, (const uint8_t *)&paths->kinds[2 * known], &programs[known],
                         places + known * job->room);
        for (b.first = first; b.first < stop; b.first += REWRITE_ROWS) {
            const uint64_t left = stop - b.first;
            b.rows.count = (uint32_t)(left < REWRITE_ROWS ? left : REWRITE_ROWS);
            b.rows.layers = layers + (b.first - first);
            b.rows.path_ids = path_ids + (b.first - first);
            take_rows(&b, octets, nothing);
            rewrite_taken(&b, known, paths, programs, places, outcomes, lefts, sum);
        }
    }
    return 0;
}
