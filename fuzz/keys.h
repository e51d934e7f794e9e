/* Numbers are found where they are, in whatever table. */

static void fuzz_keys(input *in)
{
    const uint32_t bits = 1 + (uint32_t)take(in, 1) % 6, count = (uint32_t)take(in, 1);
    uint64_t known_count = 0;
    uint64_t *known = keep(8 * (count + 1)), *keys = keep(8 * (count + 1));
    for (uint32_t i = 0; i < count; i++) {
        keys[i] = take(in, 1 + i % 8);
        if (i % 2 && (!known_count || keys[i] > known[known_count - 1]))
            known[known_count++] = keys[i];
    }
    uint32_t *table = keep(4u << bits);
    int64_t *found = keep(8 * (count + 1));
    if (encap_find_keys(known, known_count, table, bits, keys, count, found)) {
        HOLDS(known_count > 1u << bits);
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        int64_t place = -1;
        for (uint64_t at = 0; at < known_count; at++)
            place = known[at] == keys[i] ? (int64_t)at : place;
        HOLDS(found[i] == place);
    }
}
