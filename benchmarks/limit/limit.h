/* What a program written for one purpose reaches: the yardstick that encap is held against.
 * It trusts its input and knows these workloads alone. Read by the compiler and by cffi. */

typedef struct limit_batch {
    const uint8_t *data;
    uint64_t size;
    const int64_t *starts;
    const uint32_t *lengths;
    uint64_t count;
} limit_batch;

/* One packet in 32 octets; numbers as the machine counts. */
typedef struct limit_record {
    uint32_t src, dst, id, inner_src, inner_dst;
    uint16_t sport, dport;
    uint16_t inner;             /* where the inner packet starts */
    uint8_t tunnel;             /* 0: none */
    uint8_t protocol;           /* of the inner packet */
    uint32_t unused;
} limit_record;

void limit_copy(const uint8_t *data, uint64_t size, uint8_t *out);

/* Outer and inner headers of the first `count` packets; the cache lines of the packet
 * `ahead` of each are fetched, 0: none. */
void limit_walk(const limit_batch *batch, uint64_t count, uint64_t ahead, limit_record *records);

/* Inner packets, back to back; returns their octets. `out` is as large as the batch's data. */
uint64_t limit_decap(const limit_batch *batch, uint64_t ahead, uint8_t *out, uint64_t out_size,
                     int64_t *starts, uint32_t *lengths);

/* Internet checksums of all packets, by multiplying and adding words or by widening them. */
void limit_checksums_madd(const limit_batch *batch, uint16_t *sums);
void limit_checksums_widen(const limit_batch *batch, uint16_t *sums);
