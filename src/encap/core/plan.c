/* Plans: which one a packet gets, whether the core can work with it, and how long the packet will
 * be behind its headers. */

INLINE uint32_t carried(uint32_t kind)
{
    switch (kind) {
    case ENCAP_ETH:
        return ENCAP_CARRIES_ETH;
    case ENCAP_IPV4:
        return ENCAP_CARRIES_IPV4;
    case ENCAP_IPV6:
        return ENCAP_CARRIES_IPV6;
    default:
        return ENCAP_CARRIES_OTHER;
    }
}

/* The first header of a frame; of a raw IP packet only where it can be one. */
INLINE uint32_t begins_with(uint32_t kind, frame_span frame)
{
    if (kind != BY_VERSION)
        return kind;
    const uint32_t version = frame.size ? frame.at[0] >> 4 : 0;
    return version == 4 ? ENCAP_IPV4 : version == 6 ? ENCAP_IPV6 : ENCAP_NONE;
}

INLINE const encap_plan *plan_of(const encap_builder *builder, uint64_t row, uint32_t kind)
{
    const uint64_t template = builder->which ? builder->which[row] : 0;
    if (template >= builder->templates)
        return NULL;
    return builder->plans[template * ENCAP_CARRIED + carried(kind)];
}

/* The plan of all rows, at least one, where link type and template say so; NULL elsewhere. */
INLINE const encap_plan *plan_of_all(const encap_batch *batch, const encap_rules *rules,
                                     const encap_builder *builder)
{
    const uint32_t kind = first_of(rules, linktype_of(batch, 0));
    if (batch->linktype_step || builder->which || kind == BY_VERSION)
        return NULL;
    return plan_of(builder, 0, kind);
}

/* True where the core can work with a plan: whatever it says then stays within it. */
static int plan_holds(const encap_plan *plan)
{
    if (plan->word_count > ENCAP_MAX_WORDS || plan->check_count > ENCAP_MAX_CHECKS ||
        plan->hole_count > ENCAP_MAX_HOLES)
        return 0;
    const uint32_t checks = (1u << plan->check_count) - 1;
    for (uint32_t i = 0; i < plan->word_count; i++) {
        const encap_word *word = &plan->words[i];
        if (!span(plan->octets, plan->size, word->at, word->size) ||
            word->holes > plan->hole_count || word->first > plan->piece_count ||
            word->pieces > plan->piece_count - word->first ||
            (word->size > 4 && word->pieces != 1) || word->covers & ~checks ||
            (word->size != 0 && word->size != 2 && word->size != 4 && word->size != 6 &&
             word->size != 16))
            return 0;
    }
    for (uint32_t i = 0; i < plan->piece_count; i++)
        if (plan->pieces[i].shift > 31 || plan->pieces[i].hole > plan->hole_count)
            return 0;
    for (uint32_t i = 0; i < plan->check_count; i++)
        if (!span(plan->octets, plan->size, plan->checks[i].at, 2) ||
            plan->checks[i].holes > plan->hole_count || plan->checks[i].covers & ~checks)
            return 0;
    for (uint32_t i = 0; i < plan->hole_count; i++)
        if (plan->holes[i].at > plan->size || plan->holes[i].covers & ~checks ||
            (i && plan->holes[i].at < plan->holes[i - 1].at))
            return 0;
    return 1;
}

static int plans_hold(const encap_builder *builder)
{
    for (uint64_t i = 0; i < builder->templates * ENCAP_CARRIED; i++)
        if (builder->plans[i] && !plan_holds(builder->plans[i]))
            return 0;
    return 1;
}

/* --- how long ---------------------------------------------------------------------- */

INLINE uint32_t insert_of(const encap_hole *hole, uint64_t row, const uint8_t **at)
{
    const uint32_t length = hole->lengths[row]; /* once: the caller's array may change meanwhile */
    *at = span(hole->data, hole->size, (uint64_t)hole->starts[row], length);
    return *at ? length & ~3u : 0;
}

/* Octets that holes from `from` on take in a row. */
INLINE uint64_t inserted(const encap_plan *plan, uint64_t row, uint32_t from)
{
    const uint8_t *at;
    uint64_t size = 0;
    for (uint32_t i = from; i < plan->hole_count; i++)
        size += insert_of(&plan->holes[i], row, &at);
    return size;
}

/* True where every length fits; asked only where payload and holes together pass plan->most. */
static int lengths_fit(const encap_plan *plan, uint64_t row, uint64_t payload)
{
    for (uint32_t i = 0; i < plan->piece_count; i++) {
        const encap_piece *piece = &plan->pieces[i];
        if (piece->source == ENCAP_FROM_LENGTH &&
            payload + inserted(plan, row, piece->hole) + piece->add > piece->mask)
            return 0;
    }
    return 1;
}

/* Octets of the packet that row `row` becomes, and what is wrong with it. */
INLINE uint32_t measure_row(const encap_batch *batch, const encap_plan *plan, uint64_t row,
                            frame_span frame, const encap_built *out)
{
    const uint32_t wire = batch->wire_lengths[row];
    const uint64_t payload = wire > frame.size ? wire : frame.size;
    uint64_t added = 0, problem = ENCAP_NO_PROBLEM;
    if (!plan) {
        problem = ENCAP_NOT_CARRIED;
    } else {
        const uint64_t holes = plan->hole_count ? inserted(plan, row, 0) : 0;
        added = plan->size + holes;
        if (payload + added > UINT32_MAX)
            problem = ENCAP_TOO_LONG;
        else if (UNLIKELY(payload + holes > plan->most) && !lengths_fit(plan, row, payload))
            problem = ENCAP_TOO_LONG;
        else if (UNLIKELY(payload > frame.size))
            for (uint32_t i = 0; i < plan->check_count; i++)
                if (plan->checks[i].payload)
                    problem = ENCAP_CUT;
    }
    const uint32_t length = problem ? 0 : (uint32_t)(frame.size + added);
    out->lengths[row] = length;
    out->wire_lengths[row] = problem ? 0 : wire + (uint32_t)added;
    out->problems[row] = (uint8_t)problem;
    return length;
}

/* The same for all rows where they have one plan and it has no holes: no branch a row. */
INLINE uint64_t measure_alike(const encap_batch *batch, const encap_plan *plan, uint64_t begin,
                              uint64_t end, const encap_built *out, uint64_t *troubled)
{
    uint64_t total = 0, problems = 0;
    uint32_t summing = 0;
    for (uint32_t i = 0; i < plan->check_count; i++)
        summing |= plan->checks[i].payload;
    const uint64_t most = (uint64_t)UINT32_MAX - plan->size;
    const uint64_t limit = plan->most < most ? plan->most : most;
    for (uint64_t row = begin; row < end; row++) {
        const uint32_t size = (uint32_t)row_octets(batch, row).size;
        const uint32_t wire = batch->wire_lengths[row], payload = wire > size ? wire : size;
        const uint32_t cut = (summing != 0) & (payload > size);
        uint32_t problem = cut ? ENCAP_CUT : ENCAP_NO_PROBLEM;
        if (payload > limit)
            problem = ENCAP_TOO_LONG;
        const uint32_t length = problem ? 0 : size + plan->size;
        out->lengths[row] = length;
        out->wire_lengths[row] = problem ? 0 : wire + plan->size;
        out->problems[row] = (uint8_t)problem;
        problems += problem != 0;
        total += length;
    }
    *troubled = problems;
    return total;
}

INLINE uint64_t measure_rows(const encap_batch *batch, const encap_rules *rules,
                             const encap_builder *builder, uint64_t begin, uint64_t end,
                             const encap_built *out, uint64_t *troubled)
{
    uint64_t total = 0;
    const encap_plan *plan = begin < end ? plan_of_all(batch, rules, builder) : NULL;
    if (plan && !plan->hole_count)
        return measure_alike(batch, plan, begin, end, out, troubled);
    for (uint64_t row = begin; row < end; row++) {
        const frame_span frame = row_octets(batch, row);
        const encap_plan *own = plan;
        if (!plan)
            own =
                plan_of(builder, row, begins_with(first_of(rules, linktype_of(batch, row)), frame));
        total += measure_row(batch, own, row, frame, out);
        *troubled += out->problems[row] != ENCAP_NO_PROBLEM;
    }
    return total;
}
