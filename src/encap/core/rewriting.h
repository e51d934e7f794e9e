#ifndef ENCAP_REWRITING_H
#define ENCAP_REWRITING_H

/* Fields of many packets changed, and the checksums that cover them brought along.
 *
 * Rows are copied, where they are to be, and walked in long stretches, then taken in small blocks
 * and sorted by path; which edits apply to which headers, and which checksums may cover them, is
 * looked up once a path (a program). Then column by column: what every checksum is (none, partial,
 * ordinary) is noted before anything changes, the edits are made, and what they changed is carried
 * from the innermost header outwards.
 *
 * Changes are one's complement sums of new octets less old ones (RFC 1624 equation 3), of words as
 * they lie in memory and at even offsets from the start of the frame; where a checksum's octets
 * begin at an odd one, the halves are swapped (RFC 1071 section 2 (B)). */

/* Rows of a block: their headers and sums stay in the first-level cache. */
#define REWRITE_ROWS 32
#define NO_STEP 0xff

/* The folded sum of a span, by the CPU variant at hand. */
typedef uint16_t sum_kernel(const uint8_t *from, uint64_t size);

/* Rows of one path in which nothing is out of the ordinary: swift.c. */
#define SWIFT_STEPS 8 /* headers that are edited or have checksums, at the most */
#define SWIFT_PLACES 64 /* edits: sums of what they change have 32 bits */

typedef struct swift_rows {
    uint32_t count;
    uint8_t row[REWRITE_ROWS]; /* in the block */
    uint8_t *frame[REWRITE_ROWS];
    uint32_t size[REWRITE_ROWS];
    uint32_t odd[REWRITE_ROWS]; /* not 0: something is out of the ordinary */
    uint32_t offset[SWIFT_STEPS][REWRITE_ROWS]; /* of headers */
    uint32_t stored[SWIFT_STEPS][REWRITE_ROWS]; /* checksums */
    uint32_t summed[SWIFT_STEPS][REWRITE_ROWS]; /* all ones: it is one; 0: there is none */
    uint32_t own[SWIFT_STEPS][REWRITE_ROWS];    /* how the octets of a header changed, */
    uint32_t pseudo[SWIFT_STEPS][REWRITE_ROWS]; /* and how its addresses did */
    uint32_t carry[REWRITE_ROWS];
    uint32_t given[2][REWRITE_ROWS]; /* what an edit was given, one or two values, */
    uint64_t old[REWRITE_ROWS];      /* what it found, */
    uint64_t made[REWRITE_ROWS];     /* and what it makes of that */
} swift_rows;

typedef struct rewrite_block {
    walked_block rows;
    uint64_t first; /* the row of the batch that the block begins with */
    const encap_batch *batch;
    const encap_rewriting *job;
    const encap_program *program; /* of the group at work */
    const encap_place *places;
    uint8_t *octets[REWRITE_ROWS]; /* the frames, to be written to */
    union {
        struct {
            uint64_t own[ENCAP_MAX_LAYERS][REWRITE_ROWS]; /* how the octets of a step changed */
            uint64_t pseudo[ENCAP_MAX_LAYERS]
                           [REWRITE_ROWS]; /* how its addresses did, from its start */
            uint32_t carry[REWRITE_ROWS]; /* how all octets within the header at work changed */
            /* A bit for each step: */
            uint16_t live[REWRITE_ROWS]; /* it has a checksum */
            uint16_t partial[REWRITE_ROWS]; /* which is the sum of the pseudo header alone */
            uint16_t routed[REWRITE_ROWS]; /* its destination is not in the pseudo header */
            uint16_t given[REWRITE_ROWS]; /* its checksum is one of the fields that were set */
            uint16_t changed[REWRITE_ROWS];
            uint16_t
                addressed[REWRITE_ROWS]; /* an address of it did that is in the pseudo header */
            uint8_t outcome[REWRITE_ROWS];
            uint8_t sctp[REWRITE_ROWS][12]; /* an SCTP header as it was */
        };
        swift_rows swift;
    };
} rewrite_block;

/* Each row of a group in turn. */
#define EACH_MEMBER                                                                                \
    for (uint32_t m = group->begin, row; m < group->end && (row = b->rows.members[m], 1); m++)

/* The header in a slot, of which `*left` octets are there. */
INLINE uint8_t *header_at(const rewrite_block *b, uint32_t row, uint32_t slot, uint32_t *left)
{
    const uint32_t size = b->rows.sizes[row], offset = b->rows.layers[row].offset[slot];
    *left = offset < size ? size - offset : 0;
    return b->octets[row] + (offset < size ? offset : size);
}

/* Both stand for nothing. */
INLINE int is_zero(uint32_t sum)
{
    return sum == 0 || sum == 0xffff;
}

#endif
