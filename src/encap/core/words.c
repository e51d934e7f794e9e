/* What differs from packet to packet, for a block of rows with one plan: a word at a time for all
 * rows, stored over the template, and added to the checksums that cover it. */

#define BUILD_ROWS 8

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
