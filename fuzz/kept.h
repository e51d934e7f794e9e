/* pcapng files written anew: what comes out is whole blocks, each row in one, whatever the arrays
 * say of the blocks they come from. */

#define MOST_VARIANTS 8

static encap_interface make_interface(input *in)
{
    const uint32_t choice = (uint32_t)take(in, 1);
    return (encap_interface){.multiplier = choice & 1 ? 1000 : 1,
                             .divisor = choice & 2 ? take(in, 1) : 1,
                             .offset = choice & 4 ? (int64_t)take(in, 8) : 0,
                             .shift = choice & 8 ? (uint32_t)take(in, 1) & 127 : 0,
                             .snaplen = choice & 16 ? (uint32_t)take(in, 1) : 0,
                             .linktype = (uint16_t)(choice & 32 ? 101 : 1),
                             .timeless = choice >> 6 & 1};
}

/* The blocks of `data`, as far as they are some; in their place whatever the input says. */
static encap_records make_blocks(input *in, const uint8_t *data, size_t size, int big_endian,
                                 const encap_interface *interfaces, uint64_t count, int wild)
{
    encap_records records = make_records(size / 12 + 1);
    encap_pcapng_index(data, size, big_endian, UINT32_MAX, interfaces, count, &records);
    if (wild) {
        for (uint64_t row = 0; row < records.count; row++)
            if (take(in, 1) & 1)
                records.blocks[row] = (int64_t)take(in, 2) - 8;
        for (uint64_t other = 0; other < records.other_count; other++)
            if (take(in, 1) & 1)
                records.others[other] = (int64_t)take(in, 2) - 8;
    }
    return records;
}

/* The rows of a file: some as they are, some shorter, later, or of another link type. */
static encap_batch make_rows(input *in, const uint8_t *data, size_t size,
                             const encap_records *records)
{
    for (uint64_t row = 0; row < records->count; row++) {
        const uint32_t choice = (uint32_t)take(in, 1);
        if (choice & 1 && records->lengths[row]) {
            records->starts[row]++;
            records->lengths[row]--;
        }
        if (choice & 2)
            records->times[row] = choice & 4 ? (int64_t)take(in, 8) : records->times[row] + 1;
        if (choice & 8)
            records->linktypes[row] = 101;
        if (choice & 16)
            records->wire_lengths[row] = (uint32_t)take(in, 4);
        if ((choice & 0xe0) == 0xe0)
            records->starts[row] = (int64_t)take(in, 8);
    }
    return (encap_batch){data,
                         size,
                         records->starts,
                         records->lengths,
                         records->wire_lengths,
                         records->linktypes,
                         1,
                         records->count};
}

/* What was written, taken apart. */
static void check_blocks(const uint8_t *out, uint64_t used, int big_endian)
{
    uint64_t at = 0;
    while (at < used) {
        HOLDS(used - at >= BLOCK_LEN);
        const uint32_t total = capture_load32(out + at + 4, big_endian);
        HOLDS(total >= BLOCK_LEN && total % 4 == 0 && total <= used - at);
        HOLDS(capture_load32(out + at + total - 4, big_endian) == total);
        at += total;
    }
}

static void fill_kept(encap_kept kept, const encap_batch *batch, const int64_t *times,
                      int big_endian, uint64_t room, int check, uint8_t **whole, size_t *length)
{
    encap_owner *variants = keep(MOST_VARIANTS * sizeof *variants);
    encap_owner *owners = copied(kept.owners, kept.interface_count * sizeof *owners);
    uint8_t *out = keep(room);
    kept.owners = owners;
    kept.variants = variants;
    *whole = keep(0);
    *length = 0;
    for (;;) {
        const uint64_t row = kept.row, other = kept.other;
        int status = encap_kept_fill(batch, times, big_endian, &kept, out, room);
        HOLDS(kept.used <= room && kept.row >= row && kept.other >= other);
        if (check)
            check_blocks(out, kept.used, big_endian);
        uint8_t *longer = keep(*length + kept.used);
        memcpy(longer, *whole, *length);
        memcpy(longer + *length, out, kept.used);
        *whole = longer;
        *length += kept.used;
        if (status == ENCAP_KEPT_STRUCTURE) {
            kept.other++;
        } else if (status == ENCAP_KEPT_OWNER && kept.variant_count < MOST_VARIANTS) {
            encap_owner *origin = &owners[kept.wanted];
            variants[kept.variant_count++] =
                (encap_owner){99, origin->next, kept.wanted_linktype, kept.wanted_changes, 0};
            origin->next = (uint32_t)kept.variant_count;
        } else if (status != ENCAP_KEPT_ROOM || !kept.used || block_count > 2048) {
            break;
        }
    }
}

static void fuzz_kept(input *in)
{
    const uint32_t choice = (uint32_t)take(in, 1);
    const int big_endian = choice & 1, wild = choice & 2;
    const uint64_t room = take(in, 2) % 8192, count = take(in, 1) % 4;
    encap_interface *interfaces = keep(count * sizeof *interfaces);
    encap_owner *owners = keep(count * sizeof *owners);
    for (uint64_t i = 0; i < count; i++) {
        interfaces[i] = make_interface(in);
        owners[i] = (encap_owner){(uint32_t)(choice & 4 ? i : take(in, 3)), 0,
                                  interfaces[i].linktype, 0, choice & 8 ? 4 : 0};
        if (wild)
            owners[i].next = (uint32_t)take(in, 1);
    }
    const size_t size = in->left;
    const uint8_t *data = copied(in->at, size);
    encap_records records = make_blocks(in, data, size, big_endian, interfaces, count, wild);
    const encap_batch batch = make_rows(in, data, size, &records);
    int64_t *origins = keep(8 * records.count);
    for (uint64_t row = 0; row < records.count; row++)
        origins[row] = (int64_t)(choice & 16 ? records.count - 1 - row : take(in, 1) - 1);
    const encap_kept kept = {.octets = data,
                             .size = size,
                             .packets = records.blocks,
                             .packet_count = records.count,
                             .others = records.others,
                             .other_count = records.other_count,
                             .origins = choice & 32 ? origins : NULL,
                             .interfaces = interfaces,
                             .owners = owners,
                             .interface_count = count,
                             .end = records.count + (choice >> 6 & 1),
                             .until = choice & 128 ? (int64_t)size : 0};
    uint8_t *first = NULL, *whole;
    size_t first_length = 0, length;
    EVERY_VARIANT(i)
    {
        fill_kept(kept, &batch, records.times, big_endian, room, !wild, &whole, &length);
        first_length = i ? first_length : length;
        first = i ? first : whole;
        HOLDS(length == first_length && !memcmp(whole, first, length));
    }
}
