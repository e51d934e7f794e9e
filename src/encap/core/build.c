/* Packets into tunnels: headers by a plan, then the packet.
 *
 * Octets by packet, values by column: of a block of rows with one plan, first each packet gets the
 * template and its payload, which is summed on its way. Then whatever differs from packet to packet
 * is computed a word at a time for all rows, stored over the template, and added to the checksums
 * that cover it; these are closed last, from the innermost outwards. The block is in the
 * first-level cache all the time, and nothing that was written is read again. */

#define DEFAULT_TTL 64
#define PREFETCHED 1024 /* octets */

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
        put_block(b, b->count); /* not apart: were the block's address known elsewhere, every octet
                                 * written could be one of its own */
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
