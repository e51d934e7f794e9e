/* Which octets of a datagram there are: spans that do not overlap, as a tree.
 *
 * The tree is ordered by where a span begins, and a node stands above another by what its beginning
 * is mixed to, which makes it a treap whose shape does not depend on the order in which fragments
 * come. There are no more than 8,192 beginnings, so whoever chooses them gets no path longer than
 * the longest run in that order among them, some 180 nodes. */

INLINE uint32_t rank_of(uint32_t begin)
{
    uint32_t rank = begin * 0x85ebca6bu;
    rank = (rank ^ rank >> 13) * 0xc2b2ae35u;
    return rank ^ rank >> 16;
}

/* The last node that begins at `at` or before; 0: none does. */
static uint32_t node_before(const encap_shard *shards, uint32_t node, uint32_t at)
{
    uint32_t found = 0;
    while (node) {
        const int fits = shards[node].begin <= at;
        found = fits ? node : found;
        node = fits ? shards[node].higher : shards[node].lower;
    }
    return found;
}

/* The first node that begins at `at` or behind; 0: none does. */
static uint32_t node_from(const encap_shard *shards, uint32_t node, uint32_t at)
{
    uint32_t found = 0;
    while (node) {
        const int fits = shards[node].begin >= at;
        found = fits ? node : found;
        node = fits ? shards[node].lower : shards[node].higher;
    }
    return found;
}

/* Makes a shard a node, which covers what no other does. */
static void add_node(encap_shard *shards, encap_datagram *d, uint32_t number, uint32_t begin,
                     uint32_t end)
{
    encap_shard *shard = &shards[number];
    uint32_t *link = &d->root, *lower = &shard->lower, *higher = &shard->higher, node;
    shard->begin = begin;
    shard->end = end;
    while (*link && rank_of(shards[*link].begin) >= rank_of(begin))
        link = shards[*link].begin < begin ? &shards[*link].higher : &shards[*link].lower;
    /* What was there is parted into what is below the new node on either side. */
    for (node = *link, *link = number; node;) {
        if (shards[node].begin < begin) {
            *lower = node;
            lower = &shards[node].higher;
            node = *lower;
        } else {
            *higher = node;
            higher = &shards[node].lower;
            node = *higher;
        }
    }
    *lower = *higher = 0;
    if (!d->tail || begin > shards[d->tail].begin)
        d->tail = number;
}

/* Covers the octets of a shard where none of them is covered yet. ENCAP_LOSTS, or why they cannot
 * be taken. With `runs` a shard that continues the last one becomes part of its node, as in Linux:
 * net/ipv4/inet_fragment.c, inet_frag_queue_insert. */
static uint32_t cover_new(encap_shard *shards, encap_datagram *d, uint32_t number, int runs)
{
    encap_shard *shard = &shards[number];
    const uint32_t begin = shard->offset, end = begin + shard->size;
    if (d->tail && shards[d->tail].end <= begin) {
        if (runs && shards[d->tail].end == begin)
            shards[d->tail].end = end;
        else
            add_node(shards, d, number, begin, end);
    } else {
        const uint32_t before = node_before(shards, d->root, begin);
        const encap_shard *there = &shards[before];
        if (before && there->end > begin) {
            const int same = there->begin == begin && there->end == end;
            return (runs ? end <= there->end : same) ? ENCAP_LOST_DUPLICATE : ENCAP_LOST_OVERLAP;
        }
        const uint32_t after = node_from(shards, d->root, begin);
        if (after && shards[after].begin < end)
            return ENCAP_LOST_OVERLAP;
        add_node(shards, d, number, begin, end);
    }
    d->covered += shard->size;
    return ENCAP_LOSTS;
}

/* Covers the octets of a shard whether or not others do: gaps are filled by the node in front of
 * each, or by a new one where the first of them has none. */
static void cover_any(encap_shard *shards, encap_datagram *d, uint32_t number)
{
    const encap_shard *shard = &shards[number];
    const uint32_t end = shard->offset + shard->size;
    uint32_t at = shard->offset, before = node_before(shards, d->root, at);
    if (before && shards[before].end >= at)
        at = shards[before].end;
    else
        before = 0;
    while (at < end) { /* each time round a node is passed, or the end reached */
        const uint32_t after = node_from(shards, d->root, at);
        const uint32_t stop = after && shards[after].begin < end ? shards[after].begin : end;
        d->covered += stop - at;
        if (before)
            shards[before].end = stop;
        else if (stop > at)
            add_node(shards, d, number, at, stop);
        before = after;
        at = stop < end ? shards[after].end : end;
    }
}
