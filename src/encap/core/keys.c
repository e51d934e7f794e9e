/* Which of a sorted list of numbers others are: through a hash table, and by halving the list where
 * too many of them fall on each other, as somebody may have chosen them. */

#define MOST_PROBES 16

/* Where `key` is among known[0 .. count), or -1. */
static int64_t halve(const uint64_t *known, uint64_t count, uint64_t key)
{
    uint64_t low = 0, high = count;
    while (low < high) { /* it is in known[low .. high), or nowhere */
        const uint64_t middle = low + (high - low) / 2;
        if (known[middle] < key)
            low = middle + 1;
        else
            high = middle;
    }
    return low < count && known[low] == key ? (int64_t)low : -1;
}

/* The first slot of a key in a table of 1 << bits. */
INLINE uint64_t key_slot(uint64_t key, uint32_t bits)
{
    return key * 0x9e3779b97f4a7c15u >> (64 - bits);
}

/* A slot is 0 while it is free, else a place among `known` + 1. A key without a free slot among its
 * MOST_PROBES has none: who looks for it finds these taken, and halves the list. */
static void fill_table(const uint64_t *known, uint64_t count, uint32_t *table, uint32_t bits)
{
    const uint64_t mask = (1ull << bits) - 1;
    for (uint64_t place = 0; place < count; place++) {
        uint64_t slot = key_slot(known[place], bits);
        for (uint32_t probe = 0; probe < MOST_PROBES; probe++, slot = (slot + 1) & mask)
            if (!table[slot]) {
                table[slot] = (uint32_t)place + 1;
                break;
            }
    }
}

INLINE int64_t find_key(const uint64_t *known, uint64_t count, const uint32_t *table, uint32_t bits,
                        uint64_t key)
{
    const uint64_t mask = (1ull << bits) - 1;
    uint64_t slot = key_slot(key, bits);
    for (uint32_t probe = 0; probe < MOST_PROBES; probe++, slot = (slot + 1) & mask) {
        if (!table[slot])
            return -1;
        if (LIKELY(known[table[slot] - 1] == key))
            return table[slot] - 1;
    }
    return halve(known, count, key);
}

int encap_find_keys(const uint64_t *known, uint64_t count, uint32_t *table, uint32_t bits,
                    const uint64_t *keys, uint64_t key_count, int64_t *found)
{
    if (!bits || bits > 32 || count > 1ull << bits || count >= UINT32_MAX)
        return -1;
    memset(table, 0, sizeof *table << bits);
    fill_table(known, count, table, bits);
    for (uint64_t i = 0; i < key_count; i++)
        found[i] = find_key(known, count, table, bits, keys[i]);
    return 0;
}
