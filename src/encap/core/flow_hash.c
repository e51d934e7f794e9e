/* Flow hashes as columns: of the innermost flow, or of the header that a name means. */

/* --- hashes beside the fast one --------------------------------------------------- */

/* The same flow for both directions: the lower of the two endpoints, as octets, comes first. */
INLINE flow sort_endpoints(const flow *of, uint8_t room[32])
{
    flow sorted = *of;
    const uint8_t *from = of->addresses, *to = from + of->size;
    const uint32_t sport = of->ports >> 16, dport = of->ports & 0xffff;
    const int order = memcmp(from, to, of->size);
    if (order < 0 || (order == 0 && sport <= dport))
        return sorted;
    memcpy(room, to, of->size);
    memcpy(room + of->size, from, of->size);
    sorted.addresses = room;
    sorted.ports = dport << 16 | sport;
    return sorted;
}

/* Toeplitz, as network cards compute it for RSS, over addresses and ports; of a packet without IP
 * it is 0. The table holds a word for each value of each input octet: a linear function is the sum
 * of what its parts give. */
INLINE uint32_t toeplitz(const flow *of, const uint32_t *table)
{
    uint32_t hash = 0, size = 2 * of->size;
    if (of->size == 6)
        return 0;
    for (uint32_t i = 0; i < size; i++, table += 256)
        hash ^= table[of->addresses[i]];
    hash ^= table[of->ports >> 24] ^ table[256 + (of->ports >> 16 & 0xff)];
    return hash ^ table[512 + (of->ports >> 8 & 0xff)] ^ table[768 + (of->ports & 0xff)];
}

INLINE uint32_t hash_of(flow found, const encap_flow_wanted *wanted)
{
    uint8_t room[32];
    if (!found.addresses)
        return wanted->toeplitz ? 0 : flow_hash(&found);
    if (!wanted->ports)
        found.ports = 0;
    if (wanted->toeplitz)
        return toeplitz(&found, wanted->toeplitz);
    if (wanted->symmetric)
        found = sort_endpoints(&found, room);
    return flow_hash(&found);
}

/* --- columns ------------------------------------------------------------------------ */

INLINE uint32_t kind_of_row(const encap_batch *batch, const encap_rules *rules, uint64_t row)
{
    return first_of(rules, linktype_of(batch, row));
}

/* Of the innermost flow. `plain`, a constant: the fast hash and nothing asked for, so that a
 * shortcut may do. Behind a packet that needed a walk others are likely to, so it is tried for one
 * in sixteen until it serves again. */
INLINE void hash_innermost(const encap_batch *batch, const encap_rules *rules, uint64_t begin,
                           uint64_t end, const encap_flow_wanted *wanted, int plain, uint32_t *out)
{
    encap_layers layers = {.payload = 0};
    int usual = 0;
    for (uint64_t row = begin; row < end; row++) {
        const frame_span frame = row_octets(batch, row);
        const uint32_t size = (uint32_t)frame.size, kind = kind_of_row(batch, rules, row);
        flow found = NO_FLOW;
        prefetch_headers(batch, row, end, layers.payload);
        if (plain && (usual || row % ROUND == 0)) {
            found = shortcut(rules, frame.at, size, kind);
            usual = found.addresses != NULL;
        }
        if (!found.addresses) {
            walk_apart(rules, frame.at, size, kind, &layers);
            found = innermost_flow(frame.at, size, &layers);
        }
        out[row] = plain ? flow_hash(&found) : hash_of(found, wanted);
    }
}

/* Of the header in the slot that `column` means in the packets of each path; 0 where none is. */
INLINE void hash_named(const encap_batch *batch, const encap_rules *rules, uint64_t begin,
                       uint64_t end, const encap_flow_wanted *wanted, const encap_column *column,
                       encap_paths *paths, int8_t *slots, rows_kernel *walk_rows, uint32_t *out)
{
    encap_layers layers[ROUND];
    uint16_t path_ids[ROUND];
    uint32_t known = 0;
    for (uint64_t first = begin; first < end; first += ROUND) {
        const uint64_t count = end - first < ROUND ? end - first : ROUND;
        walk_rows(batch, rules, first, first + count, end, paths, layers, path_ids);
        encap_find_slots(paths, known, column, 1, slots);
        known = paths->count;
        for (uint64_t i = 0; i < count; i++) {
            const frame_span frame = row_octets(batch, first + i);
            const int slot =
                path_ids[i] < known ? slots[path_ids[i]] : find_slot(layers[i].kind, column);
            out[first + i] = slot < 0 ? 0
                                      : hash_of(flow_of_slot(frame.at, (uint32_t)frame.size,
                                                             &layers[i], (uint32_t)slot),
                                                wanted);
        }
    }
}

INLINE void hash_rows(const encap_batch *batch, const encap_rules *rules, uint64_t begin,
                      uint64_t end, const encap_flow_wanted *wanted, const encap_column *column,
                      encap_paths *paths, int8_t *slots, rows_kernel *walk_rows, uint32_t *out)
{
    if (column)
        hash_named(batch, rules, begin, end, wanted, column, paths, slots, walk_rows, out);
    else if (wanted->toeplitz || wanted->symmetric || !wanted->ports)
        hash_innermost(batch, rules, begin, end, wanted, 0, out);
    else
        hash_innermost(batch, rules, begin, end, wanted, 1, out);
}

void encap_entropy_ports(const uint32_t *hashes, uint64_t begin, uint64_t end,
                         const encap_entropy *how, uint16_t *out)
{
    for (uint64_t i = begin; i < end; i++)
        out[i] = entropy_port(hashes[i], how);
}
