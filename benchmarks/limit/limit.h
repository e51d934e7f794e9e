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

/* What is put before each packet: 50 octets of Ethernet, IPv4, UDP and VXLAN, whose lengths, IPv4
 * id, checksums and source port are 0; and the VNI of each. */
typedef struct limit_tunnel {
    const uint8_t *headers;
    const uint32_t *vnis;
} limit_tunnel;

void limit_copy(const uint8_t *data, uint64_t size, uint8_t *out);

/* Outer and inner headers of the first `count` packets; the cache lines of the packet
 * `ahead` of each are fetched, 0: none. */
void limit_walk(const limit_batch *batch, uint64_t count, uint64_t ahead, limit_record *records);

/* Inner packets, back to back; returns their octets. `out` is as large as the batch's data. */
uint64_t limit_decap(const limit_batch *batch, uint64_t ahead, uint8_t *out, uint64_t out_size,
                     int64_t *starts, uint32_t *lengths);

/* Packets in VXLAN, back to back: lengths filled in, row numbers as IPv4 ids, a source port for
 * each flow, the IPv4 checksum, and for `summed` that of UDP, summed while copying. Returns their
 * octets. */
uint64_t limit_encap(const limit_batch *batch, const limit_tunnel *tunnel, uint64_t ahead,
                     uint8_t *out, uint64_t out_size, int64_t *starts, uint32_t *lengths);
uint64_t limit_encap_summed(const limit_batch *batch, const limit_tunnel *tunnel, uint64_t ahead,
                            uint8_t *out, uint64_t out_size, int64_t *starts, uint32_t *lengths);

/* Bits of the outer and inner IPv4 addresses turned round in `data`, which is what the batch
 * lies over; the checksums of IPv4, TCP and UDP that are there follow. */
void limit_rewrite(const limit_batch *batch, uint64_t ahead, uint32_t mask, uint8_t *data);

/* Internet checksums of all packets, by multiplying and adding words or by widening them. */
void limit_checksums_madd(const limit_batch *batch, uint16_t *sums);
void limit_checksums_widen(const limit_batch *batch, uint16_t *sums);
