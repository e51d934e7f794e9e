/* What a host finds in packets: offsets lie where they can, and a row is found the same whatever
 * stands around it. */

static encap_receiver make_receiver(input *in)
{
    const uint32_t choice = (uint32_t)take(in, 1);
    encap_receiver host = {.family = choice & 1 ? ENCAP_IPV6 : ENCAP_IPV4,
                           .udp = choice >> 1 & 1,
                           .has_mac = choice >> 2 & 1,
                           .any_address = choice >> 3 & 1,
                           .address_count = choice >> 4 & 3,
                           .peek_at = {choice >> 6 ? 22 : UINT32_MAX, 8},
                           .peek_width = {choice >> 5 & 7, choice >> 7 ? 8 : 0}};
    uint8_t *addresses = keep(16 * host.address_count);
    for (uint64_t i = 0; i < 16 * host.address_count; i++)
        addresses[i] = (uint8_t)take(in, 1);
    host.addresses = addresses;
    for (uint8_t i = 0; i < ENCAP_REFUSALS; i++)
        host.reasons[i] = i;
    return host;
}

static encap_received make_received(uint64_t rows)
{
    return (encap_received){keep(8 * rows), keep(8 * rows), keep(8 * rows),
                            keep(8 * rows), keep(rows),     keep(rows),
                            keep(rows),     keep(rows),     {keep(8 * rows), keep(8 * rows)}};
}

static void check_received(const encap_batch *batch, uint64_t row, const encap_received *found)
{
    const int64_t length = row_is_inside(batch, row) ? batch->lengths[row] : 0;
    const int64_t wire = batch->wire_lengths[row];
    HOLDS(found->reasons[row] < ENCAP_REFUSALS && found->flags[row] < 32);
    HOLDS(found->ip[row] >= 0 && found->ip[row] <= found->upper[row]);
    HOLDS(found->upper[row] <= length && found->end[row] <= length);
    HOLDS(found->said[row] <= (wire > length ? wire : length));
    HOLDS(found->end[row] <= found->said[row]);
}

static int is_same_row(const encap_received *one, uint64_t row, const encap_received *other,
                       uint64_t its, int peeked)
{
    return one->ip[row] == other->ip[its] && one->upper[row] == other->upper[its] &&
           one->end[row] == other->end[its] && one->said[row] == other->said[its] &&
           one->protocol[row] == other->protocol[its] && one->tos[row] == other->tos[its] &&
           one->reasons[row] == other->reasons[its] && one->flags[row] == other->flags[its] &&
           (peeked < 1 || one->peeked[0][row] == other->peeked[0][its]) &&
           (peeked < 2 || one->peeked[1][row] == other->peeked[1][its]);
}

static void fuzz_receive(input *in)
{
    const encap_receiver host = make_receiver(in);
    const int peeked = !host.peek_width[0] ? 0 : host.peek_width[1] ? 2 : 1;
    encap_column *column = keep(sizeof *column);
    *column = make_column(in);
    const encap_batch batch = make_batch(in);
    encap_received first = {0};
    EVERY_VARIANT(i)
    {
        const encap_received found = make_received(batch.count);
        encap_paths paths = make_paths(4);
        int8_t *slots = keep(4);
        uint8_t *outs[1] = {keep(batch.count * column->size)};
        encap_receive(&batch, &rules, 0, batch.count, &paths, slots, column, 1, outs, &host,
                      &found);
        if (!i) {
            first = found;
            check_alone(&batch, column, 1, outs);
        }
        for (uint64_t row = 0; row < batch.count; row++) {
            check_received(&batch, row, &found);
            HOLDS(is_same_row(&first, row, &found, row, peeked));
        }
    }
    for (uint64_t row = 0; row < batch.count; row++) {
        const encap_batch alone = make_alone(&batch, row);
        const encap_received found = make_received(1);
        encap_paths paths = make_paths(1);
        encap_receive(&alone, &rules, 0, 1, &paths, NULL, NULL, 0, NULL, &host, &found);
        HOLDS(is_same_row(&first, row, &found, 0, peeked));
    }
}
