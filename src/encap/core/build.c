/* Packets into tunnels: headers by a plan, then the packet.
 *
 * Octets by packet, values by column: of a block of rows with one plan, first each packet gets the
 * template and its payload, which is summed on its way. Then whatever differs from packet to packet
 * is computed a word at a time for all rows, stored over the template, and added to the checksums
 * that cover it; these are closed last, from the innermost outwards. The block is in the
 * first-level cache all the time, and nothing that was written is read again. */

#define BUILD_ROWS 8
#define DEFAULT_TTL 64
#define PREFETCHED 1024 /* octets */

typedef struct build_block {
    const encap_plan *plan;
    uint64_t first; /* row */
    uint32_t count;
    const uint8_t *frames[BUILD_ROWS];
    uint32_t sizes[BUILD_ROWS]; /* octets captured */
    uint32_t wires[BUILD_ROWS]; /* octets on the wire */
    const uint8_t *inserts[ENCAP_MAX_HOLES][BUILD_ROWS];
    uint32_t insert_lens[ENCAP_MAX_HOLES][BUILD_ROWS];
    uint32_t criticals[ENCAP_MAX_HOLES][BUILD_ROWS]; /* 1: a Geneve option there is critical */
    uint32_t hashes[BUILD_ROWS]; /* what the payload gives, where the plan asks for it */
    uint32_t ttls[BUILD_ROWS];
    uint32_t classes[BUILD_ROWS]; /* DSCP and ECN */
    uint32_t dfs[BUILD_ROWS];
    uint64_t offsets[BUILD_ROWS]; /* where each goes */
    uint8_t *to[ENCAP_MAX_HOLES + 1][BUILD_ROWS]; /* where template octet 0 would be, seen from
                                                     behind so many holes */
    uint32_t payloads[BUILD_ROWS]; /* sums */
    uint32_t sums[ENCAP_MAX_CHECKS][BUILD_ROWS];
} build_block;

/* --- which plan ------------------------------------------------------------------ */

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
    for (uint32_t i = 0; i < plan->word_count; i++) {
        const encap_word *word = &plan->words[i];
        if (!span(plan->octets, plan->size, word->at, word->size) ||
            word->holes > plan->hole_count || word->first > plan->piece_count ||
            word->pieces > plan->piece_count - word->first ||
            (word->size > 4 && word->pieces != 1) ||
            (word->size != 0 && word->size != 2 && word->size != 4 && word->size != 6 &&
             word->size != 16))
            return 0;
    }
    for (uint32_t i = 0; i < plan->piece_count; i++)
        if (plan->pieces[i].shift > 31 || plan->pieces[i].hole > plan->hole_count)
            return 0;
    for (uint32_t i = 0; i < plan->check_count; i++)
        if (!span(plan->octets, plan->size, plan->checks[i].at, 2) ||
            plan->checks[i].holes > plan->hole_count)
            return 0;
    for (uint32_t i = 0; i < plan->hole_count; i++)
        if (plan->holes[i].at > plan->size || (i && plan->holes[i].at < plan->holes[i - 1].at))
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
    *at = span(hole->data, hole->size, (uint64_t)hole->starts[row], hole->lengths[row]);
    return *at ? hole->lengths[row] & ~3u : 0;
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
        const uint32_t problem = payload > limit                     ? ENCAP_TOO_LONG
                                 : (summing != 0) & (payload > size) ? ENCAP_CUT
                                                                     : ENCAP_NO_PROBLEM;
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

/* Loops over the rows of a block run over BUILD_ROWS where they can: with a constant they become
 * vectors, and what stands behind the last row is never used. */
#define EACH_ROW for (uint32_t i = 0; i < BUILD_ROWS; i++)

/* A sum of words with its two octets swapped: what it adds to a checksum at an odd place. */
INLINE uint32_t swapped(uint32_t sum)
{
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    return (sum & 0xff) << 8 | sum >> 8;
}

/* --- what the payload gives ----------------------------------------------------------- */

/* TTL, traffic class and DF of the first IP header. */
INLINE void inherit(build_block *b, uint32_t i, const encap_layers *layers)
{
    b->ttls[i] = DEFAULT_TTL;
    b->classes[i] = 0;
    b->dfs[i] = 0;
    for (uint32_t slot = 0; slot < layers->count; slot++) {
        const uint8_t *header = b->frames[i] + layers->offset[slot];
        if (layers->kind[slot] == ENCAP_IPV4) {
            b->ttls[i] = header[8];
            b->classes[i] = header[1];
            b->dfs[i] = header[6] >> 6 & 1;
            return;
        }
        if (layers->kind[slot] == ENCAP_IPV6) {
            b->ttls[i] = header[7];
            b->classes[i] = load_be16(header) >> 4 & 0xff;
            b->dfs[i] = 1;
            return;
        }
    }
}

INLINE void read_payload(build_block *b, const encap_batch *batch, const encap_rules *rules,
                         uint32_t i)
{
    const encap_plan *plan = b->plan;
    const uint64_t row = b->first + i;
    const uint32_t kind = first_of(rules, linktype_of(batch, row));
    encap_layers layers;
    uint32_t hash;
    if (plan->inherit) {
        walk_apart(rules, b->frames[i], b->sizes[i], kind, &layers);
        inherit(b, i, &layers);
        hash = plan->flow ? flow_of(b->frames[i], b->sizes[i], &layers) : 0;
    } else {
        hash = flow_of_row(rules, b->frames[i], b->sizes[i], kind, &layers);
    }
    b->hashes[i] = hash;
}

/* The rows of a block: where they are and where they go, *at being the first's place in
 * out->octets, and then that behind the last. 0 where one is not as long as it was measured. */
INLINE int begin_block(build_block *b, const encap_batch *batch, int holes, uint64_t *at,
                       const encap_built *out)
{
    const encap_plan *plan = b->plan;
    const uint64_t begin = *at;
    uint64_t next = begin, wrong = 0;
    for (uint32_t k = 0; k < plan->check_count; k++)
        EACH_ROW b->sums[k][i] = plan->checks[k].base;
    for (uint32_t i = 0; i < b->count; i++) {
        const uint64_t row = b->first + i;
        const frame_span frame = row_octets(batch, row);
        const uint32_t wire = batch->wire_lengths[row];
        uint64_t length = plan->size + frame.size;
        b->frames[i] = frame.at;
        b->sizes[i] = (uint32_t)frame.size;
        b->wires[i] = wire > b->sizes[i] ? wire : b->sizes[i];
        if (holes)
            for (uint32_t k = 0; k < plan->hole_count; k++) {
                b->insert_lens[k][i] = insert_of(&plan->holes[k], row, &b->inserts[k][i]);
                length += b->insert_lens[k][i];
            }
        wrong |= length ^ out->lengths[row];
        b->offsets[i] = next;
        out->starts[row] = (int64_t)next;
        next += length;
    }
    *at = next;
    return !wrong && span(out->octets, out->size, begin, next - begin) != NULL;
}

/* --- octets by packet ------------------------------------------------------------------- */

INLINE void add_sum(build_block *b, uint32_t i, uint32_t covers, uint32_t odd, uint32_t sum)
{
    for (uint32_t k = 0; covers >> k; k++)
        if (covers >> k & 1)
            b->sums[k][i] += odd >> k & 1 ? swapped(sum) : sum;
}

/* Copies options word by word: they are short, and of any length. Gives their sum, and 1 in
 * *critical where one has the bit that makes a Geneve option critical. */
INLINE uint32_t copy_options(uint8_t *to, const uint8_t *from, uint32_t size, uint32_t *critical)
{
    uint64_t sum = 0;
    uint32_t found = 0, left = 0; /* words to the next option */
    for (uint32_t at = 0; at < size; at += 4) { /* a multiple of 4 */
        const uint32_t word = load_be32(from + at), begins = left == 0;
        memcpy(to + at, from + at, 4);
        sum += word;
        found |= begins & word >> 15;
        left = begins ? word & 31 : left - 1;
    }
    *critical = found;
    return fold_sum(sum);
}

/* The template with what its holes take. Gives the octets written. */
INLINE uint32_t write_with_holes(build_block *b, uint32_t i, uint8_t *to, copy_kernel *copy)
{
    const encap_plan *plan = b->plan;
    uint32_t from = 0, shift = 0;
    for (uint32_t k = 0; k < plan->hole_count; k++) {
        const encap_hole *hole = &plan->holes[k];
        const uint32_t size = b->insert_lens[k][i];
        copy(to + from + shift, plan->octets + from, hole->at - from);
        from = hole->at;
        add_sum(b, i, hole->covers, hole->odd,
                copy_options(to + from + shift, b->inserts[k][i], size, &b->criticals[k][i]));
        shift += size;
        b->to[k + 1][i] = to + shift;
    }
    if (plan->size > from)
        copy(to + from + shift, plan->octets + from, plan->size - from);
    return plan->size + shift;
}

/* Template and payload of all packets of a block. */
INLINE void write_block(build_block *b, const encap_batch *batch, const encap_rules *rules,
                        uint64_t end, int holes, int summing, uint8_t *octets, copy_kernel *copy,
                        pass_kernel *pass)
{
    const encap_plan *plan = b->plan;
    for (uint32_t i = 0; i < b->count; i++) {
        uint8_t *to = octets + b->offsets[i];
        uint32_t head = plan->size;
        prefetch_row(batch, b->first + i, end);
        b->to[0][i] = to;
        if (holes)
            head = write_with_holes(b, i, to, copy);
        else
            copy(to, plan->octets, plan->size);
        if (summing)
            b->payloads[i] = big16(sum_blocks(1, to + head, b->frames[i], b->sizes[i], pass));
        else if (b->sizes[i])
            copy(to + head, b->frames[i], b->sizes[i]);
        if (plan->flow | plan->inherit)
            read_payload(b, batch, rules, i); /* while it comes to the cache */
    }
}

/* --- values by column ------------------------------------------------------------------ */

INLINE void load_column(const build_block *b, const encap_piece *piece, uint32_t count,
                        uint32_t *to)
{
    const uint8_t *at = piece->column + b->first * piece->stride;
    if (LIKELY(piece->width == 4 && piece->stride == 4)) {
        memcpy(to, at, 4 * (size_t)count);
    } else if (piece->width == 4) {
        for (uint32_t i = 0; i < count; i++)
            memcpy(&to[i], at + i * piece->stride, 4);
    } else if (piece->width == 2) {
        for (uint32_t i = 0; i < count; i++) {
            uint16_t value;
            memcpy(&value, at + i * piece->stride, 2);
            to[i] = value;
        }
    } else {
        for (uint32_t i = 0; i < count; i++)
            to[i] = at[i * piece->stride];
    }
}

INLINE void load_source(const build_block *b, const encap_piece *piece, uint32_t count,
                        uint32_t *to)
{
    static const uint8_t linux_ecn[4] = {0, 1, 2, 2};
    const uint32_t hole = piece->hole;
    switch (piece->source) {
    case ENCAP_FROM_COLUMN:
        EACH_ROW to[i] = 0;
        load_column(b, piece, count, to);
        break;
    case ENCAP_FROM_ROW:
        EACH_ROW to[i] = (uint32_t)b->first + i;
        break;
    case ENCAP_FROM_LENGTH:
        EACH_ROW to[i] = b->wires[i];
        for (uint32_t k = hole; k < b->plan->hole_count; k++)
            EACH_ROW to[i] += b->insert_lens[k][i];
        break;
    case ENCAP_FROM_HOLE:
        EACH_ROW to[i] = hole < ENCAP_MAX_HOLES ? b->insert_lens[hole][i] / 4 : 0;
        break;
    case ENCAP_FROM_CRITICAL:
        EACH_ROW to[i] = hole < ENCAP_MAX_HOLES ? b->criticals[hole][i] : 0;
        break;
    case ENCAP_FROM_FLOW:
        EACH_ROW to[i] = entropy_port(b->hashes[i], &b->plan->entropy);
        break;
    case ENCAP_FROM_TTL:
        EACH_ROW to[i] = b->ttls[i];
        break;
    case ENCAP_FROM_DSCP:
        EACH_ROW to[i] = b->classes[i] >> 2;
        break;
    case ENCAP_FROM_ECN:
        EACH_ROW to[i] = b->classes[i] & 3;
        break;
    case ENCAP_FROM_ECN_LINUX:
        EACH_ROW to[i] = linux_ecn[b->classes[i] & 3];
        break;
    default:
        EACH_ROW to[i] = b->dfs[i];
        break;
    }
}

/* For checksums in which the words stand at odd places, which is rare. */
static void add_swapped(uint32_t *to, const uint32_t *sums)
{
    EACH_ROW to[i] += swapped(sums[i]);
}

INLINE void add_sums(build_block *b, uint32_t covers, uint32_t odd, const uint32_t *sums)
{
    for (uint32_t k = 0; covers; k++, covers >>= 1, odd >>= 1) {
        if (!(covers & 1))
            continue;
        if (UNLIKELY(odd & 1))
            add_swapped(b->sums[k], sums);
        else
            EACH_ROW b->sums[k][i] += sums[i];
    }
}

/* Addresses from a column, stored as they are. */
INLINE void put_octets(build_block *b, const encap_word *word, uint32_t count)
{
    const encap_piece *piece = &b->plan->pieces[word->first];
    uint32_t sums[BUILD_ROWS] = {0};
    for (uint32_t i = 0; i < count; i++) {
        const uint8_t *from = piece->column + (b->first + i) * piece->stride;
        uint8_t *to = b->to[word->holes][i] + word->at;
        memcpy(to, from, word->size == 6 ? 6 : 16);
        if (word->covers)
            for (uint32_t octet = 0; octet < word->size; octet += 2)
                sums[i] += load_be16(from + octet);
    }
    if (word->covers)
        add_sums(b, word->covers, word->odd, sums);
}

INLINE void store_words(const build_block *b, const encap_word *word, uint32_t count,
                        uint32_t *values)
{
    uint8_t *const *to = b->to[word->holes];
    if (word->size == 4) {
        EACH_ROW values[i] = big32(values[i]);
        for (uint32_t i = 0; i < count; i++)
            memcpy(to[i] + word->at, &values[i], 4);
    } else if (word->size == 2) {
        for (uint32_t i = 0; i < count; i++) {
            const uint16_t value = big16((uint16_t)values[i]);
            memcpy(to[i] + word->at, &value, 2);
        }
    }
}

/* One word of all rows: its pieces together, stored, and counted in the checksums that cover it. */
INLINE void put_word(build_block *b, const encap_word *word, uint32_t count)
{
    uint32_t values[BUILD_ROWS], from[BUILD_ROWS], sums[BUILD_ROWS];
    if (word->size > 4) {
        put_octets(b, word, count);
        return;
    }
    EACH_ROW values[i] = word->keep;
    for (uint32_t k = 0; k < word->pieces; k++) {
        const encap_piece *piece = &b->plan->pieces[word->first + k];
        const uint32_t add = piece->add, mask = piece->mask, shift = piece->shift;
        load_source(b, piece, count, from);
        EACH_ROW values[i] |= ((from[i] + add) & mask) << shift;
    }
    if (word->covers) {
        EACH_ROW sums[i] = (values[i] & 0xffff) + (values[i] >> 16);
        add_sums(b, word->covers, word->odd, sums);
    }
    store_words(b, word, count, values);
}

INLINE void put_check(build_block *b, uint32_t number, uint32_t count)
{
    const encap_check *check = &b->plan->checks[number];
    uint32_t values[BUILD_ROWS];
    const uint32_t *sums = b->sums[number], *payloads = b->payloads;
    uint8_t *const *to = b->to[check->holes];
    EACH_ROW values[i] = sums[i];
    if (check->payload == 1)
        EACH_ROW values[i] += payloads[i];
    else if (check->payload)
        add_swapped(values, payloads);
    EACH_ROW values[i] = (values[i] & 0xffff) + (values[i] >> 16);
    EACH_ROW values[i] = ((values[i] & 0xffff) + (values[i] >> 16)) ^ 0xffff;
    if (check->zero)
        EACH_ROW values[i] = values[i] ? values[i] : 0xffff;
    if (check->covers)
        add_sums(b, check->covers, check->odd, values);
    for (uint32_t i = 0; i < count; i++) {
        const uint16_t value = big16((uint16_t)values[i]);
        memcpy(to[i] + check->at, &value, 2);
    }
}

/* --- blocks ------------------------------------------------------------------------------- */

/* The rows from b->first on, before `end`, that have one plan; false where there is none.
 * `of_all`: that of all rows, or NULL where they have to be asked. */
INLINE int take_block(build_block *b, const encap_plan *of_all, const encap_batch *batch,
                      const encap_rules *rules, const encap_builder *builder, uint64_t end)
{
    const uint64_t most = end - b->first < BUILD_ROWS ? end - b->first : BUILD_ROWS;
    b->plan = of_all;
    b->count = (uint32_t)most;
    if (LIKELY(of_all != NULL))
        return 1;
    for (b->count = 0; b->count < most; b->count++) {
        const uint64_t row = b->first + b->count;
        const uint32_t kind = first_of(rules, linktype_of(batch, row));
        const encap_plan *plan = plan_of(builder, row, begins_with(kind, row_octets(batch, row)));
        if (b->count && plan != b->plan)
            break;
        b->plan = plan;
    }
    return b->plan != NULL;
}

/* All that differs from packet to packet, over what was written of a block of `count` rows. */
INLINE void put_block(build_block *b, uint32_t count)
{
    const encap_plan *plan = b->plan;
    for (uint32_t k = 0; k < plan->word_count; k++)
        put_word(b, &plan->words[k], count);
    for (uint32_t k = 0; k < plan->check_count; k++)
        put_check(b, k, count);
}

/* Asks for the beginning of the next block's packets and of the place that they go to: memory works
 * while the values of this block are computed. */
INLINE void prefetch_next(const encap_batch *batch, uint64_t row, uint64_t end, uintptr_t to)
{
    if (row >= end)
        return;
    const uintptr_t from = (uintptr_t)batch->data + (uintptr_t)batch->starts[row];
    for (uint32_t at = 0; at < PREFETCHED; at += 64) {
        prefetch(from + at);
        prefetch_written(to + at);
    }
}

/* For the last block of a range, whose rows are fewer. */
APART void put_few(build_block *b)
{
    put_block(b, b->count);
}

INLINE int build_block_of(build_block *b, const encap_batch *batch, const encap_rules *rules,
                          uint64_t end, uint64_t *at, const encap_built *out, copy_kernel *copy,
                          pass_kernel *pass)
{
    const encap_plan *plan = b->plan;
    const int holes = plan->hole_count != 0;
    int summing = 0;
    for (uint32_t k = 0; k < plan->check_count; k++)
        summing |= plan->checks[k].payload;
    if (!begin_block(b, batch, holes, at, out))
        return 0;
    if (holes)
        write_block(b, batch, rules, end, 1, summing, out->octets, copy, pass);
    else if (summing)
        write_block(b, batch, rules, end, 0, 1, out->octets, copy, pass);
    else
        write_block(b, batch, rules, end, 0, 0, out->octets, copy, pass);
    prefetch_next(batch, b->first + b->count, end, (uintptr_t)out->octets + *at);
    if (LIKELY(b->count == BUILD_ROWS))
        put_block(b, BUILD_ROWS); /* whose loops are unrolled */
    else
        put_few(b);
    return 1;
}

INLINE int build_rows(const encap_batch *batch, const encap_rules *rules,
                      const encap_builder *builder, uint64_t begin, uint64_t end, uint64_t at,
                      const encap_built *out, copy_kernel *copy, pass_kernel *pass)
{
    build_block b;
    const encap_plan *of_all = begin < end ? plan_of_all(batch, rules, builder) : NULL;
    memset(&b, 0, sizeof b); /* loops over BUILD_ROWS read what no row has written */
    for (b.first = begin; b.first < end; b.first += b.count)
        if (!take_block(&b, of_all, batch, rules, builder, end) ||
            !build_block_of(&b, batch, rules, end, &at, out, copy, pass))
            return -1;
    return 0;
}
