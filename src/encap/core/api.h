/* What the C core exports. Read by the C compiler and by cffi alike, so it
 * holds declarations only: no includes, no conditionals, no inline functions.
 *
 * Every function takes whole batches, allocates nothing, touches no Python
 * object and reads no octet outside the buffers it is given, whatever the
 * arrays say. `begin` and `end` are a range of rows, so that several threads
 * can share one batch. */

/* --- protocols and verdicts: the order is the numbering used in columns --- */

/* clang-format off */
enum encap_kind {
    ENCAP_NONE, ENCAP_ETH, ENCAP_SLL, ENCAP_SLL2, ENCAP_NULL, ENCAP_LLC, ENCAP_VLAN, ENCAP_ARP,
    ENCAP_MPLS, ENCAP_IPV4, ENCAP_IPV6, ENCAP_HOPOPT, ENCAP_ROUTING, ENCAP_FRAGMENT,
    ENCAP_DSTOPTS, ENCAP_AH, ENCAP_ESP, ENCAP_ICMP, ENCAP_ICMPV6, ENCAP_IGMP, ENCAP_TCP,
    ENCAP_UDP, ENCAP_SCTP, ENCAP_GUE, ENCAP_GRE, ENCAP_ERSPAN, ENCAP_VXLAN, ENCAP_GPE, ENCAP_GENEVE,
    ENCAP_KINDS
};
/* clang-format on */

/* What stopped the walk of a packet. */
enum encap_status {
    ENCAP_OK,           /* nothing: the walk ended where the known headers end */
    ENCAP_TRUNCATED,    /* a header is cut short by the capture or by an outer length */
    ENCAP_MALFORMED,    /* a version, flag or length that cannot be */
    ENCAP_UNSUPPORTED,  /* a link type or a version of a protocol that is not known */
    ENCAP_DEPTH,        /* more than ENCAP_MAX_LAYERS headers */
    ENCAP_INCOMPLETE,   /* a fragment: what the datagram carries is not all here */
    ENCAP_STATUSES
};

#define ENCAP_MAX_LAYERS 16
#define ENCAP_PATH_OTHER 65535  /* the path id of a packet whose path was not interned */

/* --- batches ------------------------------------------------------------- */

/* Frames: row i is data[starts[i], starts[i] + lengths[i]). A row that does
 * not lie inside the buffer counts as a frame of no octets. */
typedef struct encap_batch {
    const uint8_t *data;
    uint64_t size;
    const int64_t *starts;
    const uint32_t *lengths;
    const uint32_t *wire_lengths;
    const uint16_t *linktypes;
    uint64_t linktype_step;     /* 0: linktypes[0] stands for every row; 1: one a row */
    uint64_t count;
} encap_batch;

/* What the walk found in one packet: one cache line. */
typedef struct encap_layers {
    uint8_t kind[16];           /* enum encap_kind of each header, then zeros */
    uint16_t offset[16];        /* where each header starts, from the start of the frame */
    uint32_t payload;           /* where the payload of the last header starts */
    uint32_t end;               /* where it ends: by the innermost length, or by the capture */
    uint32_t status_offset;     /* where the walk stopped */
    uint8_t count;              /* headers found */
    uint8_t status;             /* enum encap_status */
    uint8_t status_layer;       /* the slot that the status is about */
    uint8_t reserved;
} encap_layers;

#define ENCAP_LINKTYPES 512     /* link types above are not known */

/* Which header follows which: made from encap.registry. Each octet is an
 * enum encap_kind, ENCAP_NONE where nothing known follows; in `linktype`
 * ENCAP_KINDS stands for IPv4 or IPv6, as the packet's first octet says. */
typedef struct encap_rules {
    uint8_t ethertype[65536];
    uint8_t port[65536];        /* by UDP destination port */
    uint8_t protocol[256];
    uint8_t gpe[256];
    uint8_t linktype[ENCAP_LINKTYPES];
} encap_rules;

/* Distinct paths in order of first appearance, found through a hash table. */
typedef struct encap_paths {
    uint64_t *kinds;            /* two words a path: the octets of encap_layers.kind */
    uint32_t *table;            /* `slots` entries: 0 free, else id + 1 */
    uint64_t slots;             /* a power of two, above `capacity` */
    uint32_t capacity;          /* paths at the most; later ones become ENCAP_PATH_OTHER */
    uint32_t count;
} encap_paths;

/* Tunnels that a decapsulation can be asked for, as bits. */
#define ENCAP_TUNNEL_GRE 0x01       /* without ERSPAN in it */
#define ENCAP_TUNNEL_ERSPAN 0x02
#define ENCAP_TUNNEL_VXLAN 0x04
#define ENCAP_TUNNEL_GPE 0x08
#define ENCAP_TUNNEL_GENEVE 0x10
#define ENCAP_TUNNEL_IPIP 0x20      /* IPv4 in IPv4 */
#define ENCAP_TUNNEL_SIT 0x40       /* IPv6 in IPv4 */
#define ENCAP_TUNNEL_IP6TNL 0x80    /* IPv4 or IPv6 in IPv6 */

/* --- the walk -------------------------------------------------------------- */

/* Walks rows [begin, end): layers[row] and path_ids[row]. New paths are added to `paths`. */
void encap_parse(const encap_batch *batch, const encap_rules *rules, uint64_t begin, uint64_t end,
                 encap_paths *paths, encap_layers *layers, uint16_t *path_ids);

/* What is left of a decapsulated batch: one entry a packet that had such a tunnel. */
typedef struct encap_unwrapped {
    int64_t *starts;
    uint32_t *lengths;
    uint32_t *wire_lengths;
    uint16_t *linktypes;
    int64_t *rows;              /* the row of `batch` it comes from */
    uint8_t *octets;            /* NULL, or where the inner packets are copied, back to back */
    uint64_t octets_size;
} encap_unwrapped;

typedef struct encap_wanted {
    uint32_t tunnels;           /* ENCAP_TUNNEL_ bits */
    uint32_t depth;             /* how many of them to take off at the most; not 0 */
    uint32_t keep;              /* 1: rows without such a tunnel stay as they are */
} encap_wanted;

/* The inner packets of rows [begin, end): entries from index `begin` on, octets from
 * out->octets + at on. Returns how many entries were written. */
uint64_t encap_decap(const encap_batch *batch, const encap_rules *rules, uint64_t begin,
                     uint64_t end, const encap_wanted *wanted, uint64_t at,
                     const encap_unwrapped *out);

/* --- columns --------------------------------------------------------------- */

#define ENCAP_ALTERNATIVES 6

/* Holds where (the 16 bits at `at` & mask) == value, or does not with `negate`. */
typedef struct encap_test {
    uint8_t at;
    uint8_t negate;
    uint8_t octets;             /* of the words that the test announces */
    uint8_t reserved;
    uint16_t mask;
    uint16_t value;
} encap_test;

/* Where a field sits in its header: made from the Python description. The value is
 * ((`width` octets at `at`, big-endian) >> shift & mask) * scale. */
typedef struct encap_field {
    uint64_t mask;
    uint16_t at; /* for an optional field: had none of the words before it been there */
    uint8_t kind;
    uint8_t width;
    uint8_t shift;
    uint8_t scale;
    uint8_t optional;
    uint8_t words; /* how many of `before` count */
    encap_test present;
    encap_test before[4];
} encap_field;

enum encap_part { ENCAP_WHOLE, ENCAP_OUTER, ENCAP_INNER };

/* What a column gives. */
enum encap_form {
    ENCAP_VALUE, /* the field as an unsigned integer of the machine */
    ENCAP_OCTETS, /* the field's octets, at the end of `size`: an address */
    ENCAP_PRESENCE, /* 1 where the field is there */
    ENCAP_HEADER, /* 1 where the header is there */
    ENCAP_KIND, /* enum encap_kind of the header */
    ENCAP_SLOT, /* which slot of encap_layers holds the header; all ones: none */
    ENCAP_STATUS, /* of the packet: enum encap_status */
    ENCAP_PATH_ID /* of the packet: its path's number in encap_paths */
};

typedef struct encap_column {
    uint32_t kinds; /* 1 << kind for each header that counts */
    int16_t index; /* which of them; from the end where negative */
    uint8_t part;
    uint8_t tunnels_only; /* 1: only those that are tunnel headers */
    uint8_t form;
    uint8_t size; /* octets of one value in the result */
    uint8_t field_count;
    uint8_t reserved;
    encap_field fields[ENCAP_ALTERNATIVES]; /* one for each of `kinds` that has it */
} encap_column;

/* slots[id * column_count + column] for the paths from `begin` on: the slot of
 * encap_layers that holds the column's header, or -1. */
void encap_find_slots(const encap_paths *paths, uint32_t begin, const encap_column *columns,
                      uint32_t column_count, int8_t *slots);

/* One column of rows that are walked; `slots` holds one entry a path. */
void encap_gather(const encap_batch *batch, uint64_t begin, uint64_t end, const encap_paths *paths,
                  const encap_layers *layers, const uint16_t *path_ids, const int8_t *slots,
                  const encap_column *column, uint8_t *out);

/* Walk and columns in one pass: outs[column] holds a value for each row of the batch.
 * `slots` has room for column_count entries for each of paths->capacity paths. */
void encap_columns(const encap_batch *batch, const encap_rules *rules, uint64_t begin, uint64_t end,
                   encap_paths *paths, int8_t *slots, const encap_column *columns,
                   uint32_t column_count, uint8_t *const *outs);

/* --- receiving ------------------------------------------------------------- */

/* The first of a host's checks that a packet does not pass, in their order. */
enum encap_refusal {
    ENCAP_NOT_REFUSED,
    ENCAP_REFUSED_NO_IP, /* it does not begin with the IP version that is wanted */
    ENCAP_REFUSED_OTHER_HOST, /* by the destination MAC address */
    ENCAP_REFUSED_IP_HEADER, /* it could not be read whole */
    ENCAP_REFUSED_IP_CHECKSUM,
    ENCAP_REFUSED_IP_LENGTH, /* it says more than there was */
    ENCAP_REFUSED_NOT_OURS, /* by the destination IP address */
    ENCAP_REFUSED_FRAGMENT,
    ENCAP_REFUSALS
};

/* More that is found in passing, as bits. */
#define ENCAP_BROKEN_ABOVE 1 /* what IP carries could not be read whole */
#define ENCAP_UDP_LENGTH 2   /* its length is less than its header's, or more than IP's */
#define ENCAP_UDP_ZERO 4     /* there is no checksum */
#define ENCAP_UDP_CHECKSUM 8 /* it is wrong */
#define ENCAP_EXTENDED 16    /* IPv6 has extension headers, more than an encapsulation limit */

#define ENCAP_PEEKS 2

/* The host that receives. */
typedef struct encap_receiver {
    const uint8_t *addresses; /* of the host, 4 or 16 octets each */
    uint64_t address_count;
    uint32_t family;            /* ENCAP_IPV4 or ENCAP_IPV6 */
    uint32_t udp;               /* 1: UDP is looked at, and its length ends packets */
    uint32_t peek_at[ENCAP_PEEKS];    /* octets from what IP carries to numbers that are wanted */
    uint32_t peek_width[ENCAP_PEEKS]; /* octets of each, 8 at the most; 0: there are no more */
    uint8_t mac[6];
    uint8_t has_mac; /* 0: frames for everybody are taken */
    uint8_t any_address; /* 1: packets for every address are ours */
    uint8_t reasons[ENCAP_REFUSALS]; /* what is written for each */
} encap_receiver;

/* What was found, one a row. Offsets are octets from the start of the frame. */
typedef struct encap_received {
    int64_t *ip;                /* the outer IP header; 0 where there is none */
    int64_t *upper;             /* what it carries, behind extension headers */
    int64_t *end;               /* where the lengths end: in what is here, and as they say */
    int64_t *said;
    uint8_t *protocol;          /* of what IP carries */
    uint8_t *tos;
    uint8_t *reasons;           /* receiver->reasons[enum encap_refusal] */
    uint8_t *flags;             /* ENCAP_BROKEN_ABOVE and so on */
    uint64_t *peeked[ENCAP_PEEKS]; /* those numbers; 0 where one is not all there */
} encap_received;

/* encap_columns, and in the same pass what the host makes of rows [begin, end). */
void encap_receive(const encap_batch *batch, const encap_rules *rules, uint64_t begin, uint64_t end,
                   encap_paths *paths, int8_t *slots, const encap_column *columns,
                   uint32_t column_count, uint8_t *const *outs, const encap_receiver *host,
                   const encap_received *out);

/* --- congestion ------------------------------------------------------------- */

/* How the marks of outer IP headers go into the packets inside. */
typedef struct encap_marking {
    const int64_t *inner;    /* one a row: where the inner packet begins in the frame, and ends */
    const int64_t *end;
    const uint16_t *carried; /* EtherTypes by which packets without Ethernet are taken; or NULL:
                              * their first four bits count */
    const uint8_t *outer;    /* the outer type of service, or traffic class */
    const uint8_t *table;    /* 16: for inner mark * 4 + outer mark the new one; above 3: drop */
    uint32_t dscp;           /* 1: the outer DSCP goes inside too */
    uint8_t reason;          /* what is written where a packet is dropped */
} encap_marking;

/* What is to be written: in packet places[i], octets from where its inner packet begins. */
typedef struct encap_marks {
    int64_t *places;
    int64_t *offsets;
    uint8_t *ipv4;           /* 1: an IPv4 header, 0: an IPv6 header */
    uint8_t *tos;
} encap_marks;

/* Of rows [begin, end) whose reason is 0 and of which the link types are those of the inner
 * packets. Gives how many are to be changed. */
uint64_t encap_marks_find(const encap_batch *batch, uint64_t begin, uint64_t end,
                          const encap_marking *how, uint8_t *reasons, const encap_marks *out);

/* Writes them, at[i] octets from the start; IPv4 checksums follow. Not 0: one lies outside; those
 * before it are written. */
int encap_marks_write(uint8_t *octets, uint64_t size, const int64_t *at, const uint8_t *ipv4,
                      const uint8_t *tos, uint64_t count);

/* --- flows ----------------------------------------------------------------- */

/* What is done with a hash before a port is made of it. */
enum encap_fold {
    ENCAP_FOLD_NONE, /* its high bits count */
    ENCAP_FOLD_LINUX, /* its low half is added to the high one, as Linux does */
    ENCAP_FOLD_LOW /* its low half takes the place of the high one */
};

/* UDP source ports from hashes: low + hash * span / 2^32, so the port low + span is never used. */
typedef struct encap_entropy {
    uint32_t low;
    uint32_t span;
    uint32_t fold; /* enum encap_fold */
} encap_entropy;

/* Which hash of a flow. */
typedef struct encap_flow_wanted {
    const uint32_t *toeplitz; /* NULL: the fast one. Else 36 times 256 words: what each value of
                               * each input octet adds */
    uint32_t ports; /* 1: those of the transport count, 0: addresses and protocol alone */
    uint32_t symmetric; /* 1: both directions give the same fast hash */
} encap_flow_wanted;

/* out[row] for rows [begin, end): the hash of the innermost flow, or with a `column` of the form
 * ENCAP_SLOT that of the header which it means, 0 where there is none. `slots` has room for one
 * entry for each of paths->capacity paths; both are needed for a column alone. */
void encap_flow_hash(const encap_batch *batch, const encap_rules *rules, uint64_t begin,
                     uint64_t end, const encap_flow_wanted *wanted, const encap_column *column,
                     encap_paths *paths, int8_t *slots, uint32_t *out);

/* out[i]: the source port that encapsulation makes of hashes[i], for i in [begin, end). */
void encap_entropy_ports(const uint32_t *hashes, uint64_t begin, uint64_t end,
                         const encap_entropy *how, uint16_t *out);

/* --- what checksums cover --------------------------------------------------- */

enum encap_covers {
    ENCAP_COVERS_NOTHING, /* headers of this kind have no checksum */
    ENCAP_COVERS_HEADER, /* the header with its options */
    ENCAP_COVERS_REST /* the header and what it carries, to the end of the datagram */
};

enum encap_algorithm { ENCAP_INTERNET, ENCAP_CRC32C };

/* The checksum in headers of one kind: made from the Python description. Kernels
 * take a table of them by enum encap_kind. */
typedef struct encap_cover {
    encap_test there; /* where `optional`: holds for a header that has one */
    uint16_t zero; /* not 0: a stored 0 says that there is none, and a sum of 0 is stored as this */
    uint8_t covers; /* enum encap_covers */
    uint8_t algorithm; /* enum encap_algorithm */
    uint8_t at; /* octets from the start of the header to the checksum */
    uint8_t size; /* octets of the checksum: 2, or 4 for a CRC */
    uint8_t optional;
    uint8_t pseudo; /* 1: with the pseudo header of the IP header in front */
    uint8_t protocol; /* the number of these headers in a pseudo header */
    uint8_t reserved[3];
} encap_cover;

/* --- rewriting ------------------------------------------------------------- */

/* A number of up to 128 bits, the high half first. */
typedef struct encap_wide {
    uint64_t high;
    uint64_t low;
} encap_wide;

/* One pair of a mapping: what becomes (old & keep) | value. */
typedef struct encap_mapped {
    encap_wide key; /* old & the mask of its class */
    encap_wide keep;
    encap_wide value;
} encap_mapped;

/* The pairs of a mapping whose keys look at the same bits: mapped[begin .. end), in order of key.
 */
typedef struct encap_mask {
    encap_wide mask;
    uint64_t begin;
    uint64_t end;
    uint64_t kinds; /* 1 << kind for each header whose values are looked up here */
} encap_mask;

/* One field to change: where it is, as a column says, and what it becomes. */
typedef struct encap_edit {
    encap_column column;
    const uint8_t *values; /* as the column would give them, `stride` octets apart; or NULL */
    uint64_t stride; /* 0: one value for all rows */
    const encap_mask
        *masks; /* where there are no values: the classes in the order they are tried */
    const encap_mapped *mapped;
    uint64_t mapped_count;
    uint32_t mask_count;
    uint32_t every; /* 1: each such header, whatever the column's index */
    uint32_t checksums; /* 1 << kind for each header in which the field is the checksum */
    uint32_t reserved;
    uint64_t matched_at; /* where its pairs begin in what the job says of all of them */
} encap_edit;

enum encap_checksums { ENCAP_CHECKSUMS_KEEP, ENCAP_CHECKSUMS_UPDATE, ENCAP_CHECKSUMS_RECOMPUTE };

/* What an edit comes to in a packet: the last of these that holds for one of its headers. */
enum encap_outcome {
    ENCAP_ABSENT, /* there is no such field */
    ENCAP_UNMAPPED, /* its value is not among those that a mapping changes */
    ENCAP_SAME, /* it has the value already */
    ENCAP_CHANGED,
    ENCAP_OUTCOMES
};

/* Why something that covers changed octets was left as it was. */
enum encap_left {
    ENCAP_LEFT_CRC, /* the length that the CRC covers is not known, or it is a fragment's */
    ENCAP_LEFT_SUM, /* it was to be recomputed, but octets are missing */
    ENCAP_LEFT_INTEGRITY, /* the check value of AH or ESP wants a key */
    ENCAP_LEFTS
};

typedef struct encap_rewriting {
    const encap_edit *edits;
    const encap_cover *covers;
    uint32_t edit_count;
    uint32_t checksums; /* enum encap_checksums */
    uint32_t trial; /* 1: outcomes are counted, nothing is written */
    uint32_t room; /* places that each path has room for */
    uint8_t *matched; /* of each pair of each mapping: becomes 1 where it applies to a packet */
    uint64_t matched_count;
} encap_rewriting;

/* What the edits come to in packets of one path: looked up once. */
typedef struct encap_place {
    uint16_t edit;
    uint8_t slot; /* 255: the path has no such header */
    uint8_t step;
    uint8_t field;
    uint8_t last; /* 1: the next place belongs to another edit */
    uint8_t address; /* of an IP header: 1 source, 2 destination */
    uint8_t reserved;
} encap_place;

/* A header that is edited, or whose checksum may cover what is. */
typedef struct encap_step {
    uint8_t slot;
    uint8_t kind;
    uint8_t network; /* the slot of the IP header in front; 255: none */
    uint8_t network_step; /* its step; 255: it has none, and so does not change */
    uint8_t need; /* octets of the header that are looked at where nothing in it is optional */
    uint8_t own; /* 1: fields other than addresses are edited */
    uint8_t addressed; /* 1: addresses of an IP header are */
    uint8_t reserved;
} encap_step;

typedef struct encap_program {
    encap_step steps[16]; /* from the innermost header outwards */
    uint32_t step_count;
    uint32_t place_count;
    uint32_t swift; /* 1: edits and checksums are all of the common kind */
    uint32_t reserved;
} encap_program;

/* Edits rows [begin, end) of `batch`, whose frames must not overlap, in `octets`, which is the
 * batch's own `data`. With `from`, its rows are copied there first. New paths are added to `paths`;
 * `layers` and `path_ids` are room for those of ENCAP_STRETCH rows; there is room for one more
 * program than paths, and for job->room places each. outcomes[edit * 4 + enum encap_outcome] and
 * lefts[enum encap_left] are counted up by packets. Not 0: there are no such rows, or one of `from`
 * did not fit. */
#define ENCAP_STRETCH 512
int encap_rewrite(const encap_batch *from, const encap_batch *batch, const encap_rules *rules,
                  uint64_t begin, uint64_t end, const encap_rewriting *job, encap_paths *paths,
                  encap_layers *layers, uint16_t *path_ids, encap_program *programs,
                  encap_place *places, uint8_t *octets, uint64_t *outcomes, uint64_t *lefts);

/* Why a packet was left with a checksum that is wrong, or may be. */
enum encap_unfixed {
    ENCAP_UNFIXED_FRAGMENT, /* it stands in a fragment */
    ENCAP_UNFIXED_CUT, /* octets that it covers are missing */
    ENCAP_UNFIXED_OPEN, /* the IP length is 0, so how much it covers is not known */
    ENCAP_UNFIXED_BROKEN, /* its header cannot be read whole */
    ENCAP_UNFIXEDS
};

/* What repairing came to. */
typedef struct encap_fixes {
    uint64_t packets; /* in which an octet changed */
    uint64_t fixed; /* checksums made anew */
    uint64_t moved; /* checksums brought along, since they cover one made anew */
    uint64_t left[ENCAP_UNFIXEDS]; /* packets, by each reason */
} encap_fixes;

/* Makes the checksums anew whose verdict is among `wanted` (1 << enum encap_verdict), in rows
 * [begin, end) of `batch` in `octets`, which is the batch's own `data`; with `from`, its rows are
 * copied there first. *fixes is counted up. Not 0: there are no such rows, or one of `from` did
 * not fit. */
int encap_fix(const encap_batch *from, const encap_batch *batch, const encap_rules *rules,
              const encap_cover *covers, uint64_t begin, uint64_t end, uint32_t wanted,
              uint8_t *octets, encap_fixes *fixes);

/* Copies row i to out + targets[i], without `removed[i]` octets from `at[i]` on, and with the first
 * `inserted[i]` of the `width` octets at octets + i * stride in their place; counts that are too
 * large are cut. Not 0: there are no such rows, or one did not fit. */
int encap_splice(const encap_batch *batch, uint64_t begin, uint64_t end, const uint32_t *at,
                 const uint32_t *removed, const uint32_t *inserted, const uint8_t *octets,
                 uint64_t stride, uint32_t width, const int64_t *targets, uint8_t *out,
                 uint64_t out_size);
/* --- verdicts ---------------------------------------------------------------- */

/* What is to be said of a checksum. */
enum encap_verdict {
    ENCAP_CHECKSUM_NONE, /* there is no such checksum */
    ENCAP_CHECKSUM_GOOD,
    ENCAP_CHECKSUM_BAD,
    ENCAP_CHECKSUM_ZERO, /* a UDP checksum of 0 that may be: there is none */
    ENCAP_CHECKSUM_ZERO_ILLEGAL, /* one over IPv6 that may not */
    ENCAP_CHECKSUM_PARTIAL, /* the sum of the pseudo header: the rest was left to a NIC */
    ENCAP_CHECKSUM_UNVERIFIABLE, /* octets that it covers are missing, or not known */
    ENCAP_VERDICTS
};

/* Walks rows [begin, end) as encap_parse does, and judges every checksum in them:
 * verdicts[row * 16 + slot] is an enum encap_verdict for each slot of layers[row]. */
void encap_judge(const encap_batch *batch, const encap_rules *rules, const encap_cover *covers,
                 uint64_t begin, uint64_t end, encap_paths *paths, encap_layers *layers,
                 uint16_t *path_ids, uint8_t *verdicts);

/* --- options --------------------------------------------------------------- */

enum encap_options { ENCAP_OPTIONS_GENEVE, ENCAP_OPTIONS_TLV, ENCAP_OPTIONS_IPV6 };

/* The first option with `key` in each of data[starts[i], starts[i] + lengths[i]): where its data
 * are, and whether there is one. The key of a Geneve option is class << 8 | type. */
void encap_find_options(const uint8_t *data, uint64_t size, const int64_t *starts,
                        const uint32_t *lengths, uint64_t begin, uint64_t end, uint32_t format,
                        uint32_t key, int64_t *found, uint32_t *found_lengths, uint8_t *present);

/* out[i]: the `width` octets, 8 at the most, at starts[i] as a number in network order; 0 where
 * they are not all there. */
void encap_numbers(const uint8_t *data, uint64_t size, const int64_t *starts, uint64_t begin,
                   uint64_t end, uint32_t width, uint64_t *out);

/* out[i * width]: the first `width` octets of each span, zeros behind its end. */
void encap_copy_spans(const uint8_t *data, uint64_t size, const int64_t *starts,
                      const uint32_t *lengths, uint64_t begin, uint64_t end, uint32_t width,
                      uint8_t *out);

/* --- keys ------------------------------------------------------------------- */

/* found[i]: where keys[i] is in known[0 .. count), which is sorted and has each number once; -1
 * where it is not. `table` has room for 1 << bits. Not 0: it is too small, or too large. */
int encap_find_keys(const uint64_t *known, uint64_t count, uint32_t *table, uint32_t bits,
                    const uint64_t *keys, uint64_t key_count, int64_t *found);

/* --- encapsulation --------------------------------------------------------- */

#define ENCAP_MAX_WORDS 64
#define ENCAP_MAX_CHECKS 16
#define ENCAP_MAX_HOLES 4

/* Where a number in a header comes from. */
enum encap_source {
    ENCAP_FROM_COLUMN, /* one a row */
    ENCAP_FROM_ROW, /* the row's own number */
    ENCAP_FROM_LENGTH, /* octets that follow: the payload's, and those of holes from `hole` on */
    ENCAP_FROM_HOLE, /* the words of 32 bits in hole `hole` */
    ENCAP_FROM_CRITICAL, /* 1 where hole `hole` has a Geneve option that is critical */
    ENCAP_FROM_FLOW, /* a port with the entropy of the payload's innermost flow */
    ENCAP_FROM_TTL, /* of the payload's first IP header, or 64 */
    ENCAP_FROM_DSCP, /* of that header, or 0; so for those that follow */
    ENCAP_FROM_ECN,
    ENCAP_FROM_ECN_LINUX, /* the same, but ECT(0) in place of CE */
    ENCAP_FROM_DF /* 1 where that header is IPv4 with DF, or IPv6 */
};

/* A piece of a word: ((the source's number + add) & mask) << shift. */
typedef struct encap_piece {
    const uint8_t *column; /* elements of `width` octets, as the machine counts, `stride` apart */
    uint64_t stride;
    uint32_t add;
    uint32_t mask;
    uint8_t source; /* enum encap_source */
    uint8_t width;
    uint8_t shift;
    uint8_t hole;
} encap_piece;

/* Octets that differ from packet to packet. `size` is 2 or 4: a number made of pieces; 6 or 16:
 * the octets of a column, that of its one piece; 0: a number that stands nowhere, but counts. */
typedef struct encap_word {
    uint32_t at; /* in the template */
    uint32_t keep; /* the bits that no piece gives */
    uint16_t covers; /* a bit for each checksum that it counts in */
    uint16_t odd; /* those of them in which it stands at an odd place */
    uint16_t first; /* of its pieces */
    uint16_t pieces;
    uint8_t size;
    uint8_t holes; /* how many holes are in front of it */
    uint16_t reserved;
} encap_word;

/* An Internet checksum. Those inside others come first. */
typedef struct encap_check {
    uint32_t at;
    uint32_t base; /* the sum of all that is the same in every packet, folded */
    uint16_t covers; /* the checksums that this one counts in */
    uint16_t odd;
    uint8_t holes; /* in front of it */
    uint8_t payload; /* 1: it covers the payload; 2: which begins at an odd place */
    uint8_t zero; /* 1: where it comes out as 0, all ones are written */
    uint8_t reserved;
} encap_check;

/* Octets that are put in front of template octet `at`: for each row a span of `data`, a multiple
 * of 4 octets; what is no span counts as none. */
typedef struct encap_hole {
    const uint8_t *data;
    uint64_t size;
    const int64_t *starts;
    const uint32_t *lengths;
    uint32_t at;
    uint16_t covers;
    uint16_t odd;
} encap_hole;

/* The headers to put in front of packets, made from a template in Python. */
typedef struct encap_plan {
    const uint8_t *octets;
    uint32_t size;
    uint32_t word_count;
    uint32_t piece_count;
    uint32_t check_count;
    uint32_t hole_count;
    uint32_t flow; /* 1: a piece comes from the flow */
    uint32_t inherit; /* 1: a piece comes from the payload's first IP header */
    uint32_t most; /* octets that payload and holes may have so that every length fits */
    const encap_word *words;
    const encap_piece *pieces;
    const encap_check *checks;
    const encap_hole *holes; /* in the order of `at` */
    encap_entropy entropy;
} encap_plan;

/* What a packet can begin with, as far as a plan cares. */
enum encap_carried {
    ENCAP_CARRIES_ETH,
    ENCAP_CARRIES_IPV4,
    ENCAP_CARRIES_IPV6,
    ENCAP_CARRIES_OTHER,
    ENCAP_CARRIED
};

/* Why a packet cannot be built. */
enum encap_problem {
    ENCAP_NO_PROBLEM,
    ENCAP_NOT_CARRIED, /* there is no plan for what it begins with */
    ENCAP_TOO_LONG, /* a length would not fit its field */
    ENCAP_CUT /* a checksum needs octets that were not captured */
};

/* The plan of row i is plans[which[i] * ENCAP_CARRIED + enum encap_carried]; NULL: there is none.
 * Without `which` all rows have template 0; numbers from `templates` on have none. */
typedef struct encap_builder {
    const encap_plan *const *plans;
    const uint8_t *which;
    uint64_t templates;
} encap_builder;

typedef struct encap_built {
    int64_t *starts;
    uint32_t *lengths;
    uint32_t *wire_lengths;
    uint8_t *problems; /* enum encap_problem */
    uint8_t *octets;
    uint64_t size;
} encap_built;

/* lengths, wire_lengths and problems of rows [begin, end); a row with a problem has no octets.
 * Gives the octets of all of them; *troubled, how many have a problem. */
uint64_t encap_build_measure(const encap_batch *batch, const encap_rules *rules,
                             const encap_builder *builder, uint64_t begin, uint64_t end,
                             const encap_built *out, uint64_t *troubled);

/* Writes the packets of rows [begin, end), none of which has a problem, from out->octets + at on,
 * and where each starts. Not 0: there are no such rows, a plan cannot be, or what was measured
 * does not hold any more; rows may have been written then. */
int encap_build_fill(const encap_batch *batch, const encap_rules *rules,
                     const encap_builder *builder, uint64_t begin, uint64_t end, uint64_t at,
                     const encap_built *out);

/* --- fragments ------------------------------------------------------------- */

#define ENCAP_KEY_WORDS 24

/* What becomes of a fragment with octets that others of its datagram have brought. */
enum encap_overlap {
    ENCAP_OVERLAP_LINUX, /* within octets that came in order it is a duplicate, else the datagram
                          * is dropped */
    ENCAP_OVERLAP_RFC, /* the same octets again are a duplicate, else the datagram is dropped, with
                        * what of it comes later */
    ENCAP_OVERLAP_FIRST, /* IPv4: what came first counts; IPv6 as before */
    ENCAP_OVERLAP_LAST /* IPv4: what came last counts; IPv6 as before */
};

/* Why a fragment does not become part of a datagram. */
enum encap_lost {
    ENCAP_LOST_CUT, /* octets of it were not captured */
    ENCAP_LOST_MALFORMED, /* it has none, no length, or more follow and it is no multiple of 8 */
    ENCAP_LOST_LONG, /* the datagram would have more than 65,535 octets */
    ENCAP_LOST_CHAIN, /* IPv6: the first one ends before its headers do */
    ENCAP_LOST_DUPLICATE,
    ENCAP_LOST_OVERLAP,
    ENCAP_LOST_END, /* the datagram would end in two places */
    ENCAP_LOST_ECN, /* their ECN fields cannot be put together */
    ENCAP_LOST_AROUND, /* a length in front of the datagram cannot say how long it is */
    ENCAP_LOST_TIME, /* others did not come in time */
    ENCAP_LOST_ROOM, /* there was no room to wait for others */
    ENCAP_LOST_INCOMPLETE, /* others did not come */
    ENCAP_LOSTS
};

/* A fragment that waits for others. As a node of a tree it stands for octets that its datagram
 * has: from `begin` to `end`, which others may have brought. 0 is the number of no shard. */
typedef struct encap_shard {
    uint64_t at; /* of its octets, in the batch or in the log */
    uint32_t offset; /* of them in the datagram */
    uint32_t size;
    uint32_t begin;
    uint32_t end;
    uint32_t lower;
    uint32_t higher;
    uint32_t next; /* the one that came after it, or the next free one */
    uint32_t held; /* 1: its octets are in the log */
} encap_shard;

/* A datagram of which fragments have come. 0 is the number of none. */
typedef struct encap_datagram {
    uint64_t hash;
    uint64_t head_at; /* of the first fragment's octets in front of its payload, see `at` above; in
                       * the log its encap_layers stand before them */
    uint64_t head_row;
    uint64_t call; /* the last call in which a fragment came */
    int64_t time; /* of the fragment that came first */
    int64_t first_row; /* the first of this call's rows that is part of it; -1: none is */
    uint32_t key[ENCAP_KEY_WORDS]; /* what its fragments have in common */
    uint32_t words; /* of them that count */
    uint32_t chain; /* the next one with such a hash, or the next free one */
    uint32_t older;
    uint32_t newer;
    uint32_t root; /* of the tree */
    uint32_t tail; /* the node that ends last */
    uint32_t first; /* shards as they came */
    uint32_t last;
    uint32_t count;
    uint32_t covered; /* octets that there are */
    uint32_t reach; /* where the last of them ends */
    uint32_t total; /* where the datagram does; all ones: that is not known */
    uint32_t head_size; /* 0: the first fragment has not come */
    uint8_t head_held;
    uint8_t slot; /* of the IP header in the first fragment's layers */
    uint8_t own; /* of the header there that says: a fragment */
    uint8_t ecn; /* 1 << ECN of each fragment */
    uint8_t six; /* 1: IPv6 */
    uint8_t dropped; /* 1: nothing of it is wanted any more */
    uint16_t linktype;
} encap_datagram;

/* Where fragments wait. Whoever makes one gives the memory and the limits, with all else 0; the
 * core alone changes it. */
typedef struct encap_fragments {
    encap_datagram *datagrams; /* datagrams[0] and shards[0] are never used */
    encap_shard *shards;
    uint32_t *buckets; /* one more than bucket_mask, all 0 at first */
    uint8_t *log; /* entries behind each other; none: what waits stays where it is, for one call */
    uint32_t *touched; /* room for one a row of the call */
    uint8_t
        *fates; /* one a row of the call: why it is lost, ENCAP_LOSTS where it is not; or NULL */
    uint64_t log_size;
    uint64_t most_live; /* octets of the log that may be in use; well below log_size */
    int64_t timeouts[2]; /* nanoseconds, of IPv4 and of IPv6 */
    uint32_t datagram_capacity; /* including number 0 */
    uint32_t shard_capacity;
    uint32_t bucket_mask;
    uint32_t overlap; /* enum encap_overlap */
    uint64_t log_used;
    uint64_t live;
    uint64_t call;
    uint32_t datagrams_used; /* numbers given out so far, and those free again */
    uint32_t shards_used;
    uint32_t free_datagrams;
    uint32_t free_shards;
    uint32_t oldest;
    uint32_t newest;
    uint32_t waiting; /* datagrams */
    uint32_t touched_count;
    uint64_t lost[ENCAP_LOSTS]; /* fragments, counted up */
} encap_fragments;

/* Datagrams that were put together: row i of each array from `count` on, octets from `used` on. */
typedef struct encap_joined {
    int64_t *starts;
    uint32_t *lengths;
    uint16_t *linktypes;
    int64_t *first_rows; /* of this batch, that are part of it */
    int64_t *last_rows; /* the row that made it whole */
    int64_t *times; /* of the fragment that came first */
    uint64_t count;
    uint8_t *octets;
    uint64_t size;
    uint64_t used;
} encap_joined;

/* Which of these rows are fragments: own[i] is the slot of the header that says so, IPv4 or
 * Fragment, and slots[i] that of its IP header; 255 where there is none. Not 0: a row is none of
 * the batch. */
int encap_fragments_find(const encap_batch *batch, const encap_layers *layers, const int64_t *rows,
                         uint64_t count, uint8_t *own, uint8_t *slots);

/* Adds the fragments in these rows, in order, each found as above, and writes the datagrams that
 * become whole. With a log, all that waits is in it afterwards. Not 0: a row is none of the batch,
 * or there was less room than the fragments have octets. */
int encap_fragments_add(const encap_batch *batch, const encap_layers *layers, const int64_t *times,
                        const int64_t *rows, const uint8_t *own, const uint8_t *slots,
                        uint64_t count, const encap_cover *covers, encap_fragments *state,
                        encap_joined *out);

/* Forgets all that waits, counted as incomplete. */
void encap_fragments_flush(encap_fragments *state);

/* Why a packet is not split. */
enum encap_unsplit {
    ENCAP_SPLIT, /* it is, or need not be */
    ENCAP_UNSPLIT_DF,
    ENCAP_UNSPLIT_CUT, /* octets of it were not captured */
    ENCAP_UNSPLIT_ROOM, /* not even 8 octets fit behind the headers */
    ENCAP_UNSPLIT_LONG, /* it has more than an offset can say */
    ENCAP_UNSPLIT_TWICE, /* IPv6: it has a Fragment header */
    ENCAP_UNSPLIT_CHAIN, /* IPv6: the first fragment would end before the headers do */
    ENCAP_UNSPLITS
};

typedef struct encap_split {
    const int8_t *slots; /* of the IP header to split at, in each row's layers; -1: none */
    const uint32_t *ids; /* of IPv6 fragments, one a row; not needed for measuring */
    uint32_t mtu; /* octets of the longest IP packet */
    uint32_t ignore_df;
    uint32_t *counts; /* of each row: 1 where it stays as it is, 0 where it has a problem */
    uint64_t *sizes; /* octets of all that becomes of it */
    uint8_t *problems; /* enum encap_unsplit */
} encap_split;

/* counts, sizes and problems of rows [begin, end). Not 0: there are no such rows. */
int encap_split_measure(const encap_batch *batch, const encap_layers *layers, uint64_t begin,
                        uint64_t end, const encap_split *split);

/* Writes what becomes of rows [begin, end) from octets + at on, and of each part where it starts
 * and how long it is, from starts[index] and lengths[index] on. Not 0: there are no such rows, or
 * what was measured does not hold any more; rows may have been written then. */
int encap_split_fill(const encap_batch *batch, const encap_layers *layers, uint64_t begin,
                     uint64_t end, const encap_split *split, const encap_cover *covers,
                     uint64_t index, uint64_t at, int64_t *starts, uint32_t *lengths,
                     uint8_t *octets, uint64_t size);

/* --- captures ------------------------------------------------------------ */

/* Why an index function came back. */
enum encap_capture_status {
    ENCAP_CAPTURE_MORE, /* what is left is less than a record */
    ENCAP_CAPTURE_FULL, /* the arrays are: of rows, or of other blocks */
    ENCAP_CAPTURE_SECTION, /* a pcapng section header stands at `position`, maybe cut */
    ENCAP_CAPTURE_DESCRIPTION, /* a whole pcapng interface description stands at `position` */
    ENCAP_CAPTURE_LENGTH, /* the record at `position` has a length that cannot be */
    ENCAP_CAPTURE_TRAILER, /* the lengths at both ends of the block at `position` differ */
    ENCAP_CAPTURE_OWNER /* the packet at `position` names an interface not described */
};

/* How an interface of a pcapng section counts time and cuts packets:
 * nanoseconds = (count * multiplier / divisor) + offset, or, with a shift,
 * (count * 10^9 >> shift) + offset; whatever does not fit is no time. */
typedef struct encap_interface {
    uint64_t multiplier;
    uint64_t divisor; /* 0: no count reaches a nanosecond */
    int64_t offset;
    uint32_t shift;
    uint32_t snaplen; /* 0: packets are not cut */
    uint16_t linktype;
    uint16_t timeless; /* not 0: the offset is beyond what int64 nanoseconds hold */
} encap_interface;

/* Rows of an index, filled from `count` on, and where it stands in the file's octets. */
typedef struct encap_records {
    uint64_t position; /* where the next record starts */
    uint64_t need; /* with ENCAP_CAPTURE_MORE: octets from there that are wanted */
    uint64_t count; /* rows filled */
    uint64_t capacity;
    int64_t *starts;
    uint32_t *lengths;
    uint32_t *wire_lengths;
    int64_t *times; /* nanoseconds; the smallest int64 is no time */
    uint16_t *linktypes; /* pcapng alone */
    int64_t *blocks; /* pcapng: where the block of each row stands */
    int64_t *others; /* pcapng: where blocks stand that are no packets, in order */
    uint64_t other_count;
    uint64_t other_capacity;
    uint64_t passed; /* and how many of them the index has gone over by itself, ever */
} encap_records;

/* Index the records of data[position, size). Call again with more octets, more
 * room, or behind the block that the caller has to read. `limit`: octets that
 * a packet (pcap) or a block (pcapng) may have. */
int encap_pcap_index(const uint8_t *data, uint64_t size, int big_endian, uint32_t unit_ns,
                     uint32_t limit, encap_records *records);
int encap_pcapng_index(const uint8_t *data, uint64_t size, int big_endian, uint32_t limit,
                       const encap_interface *interfaces, uint64_t interface_count,
                       encap_records *records);

/* What a file has to hold so that these rows can be written to it. */
typedef struct encap_extent {
    int64_t first; /* the earliest time, among those that are one */
    int64_t last; /* and the latest; `first` is above `last` where there is none */
    uint64_t octets; /* of all frames */
    uint32_t longest; /* frame */
    uint32_t finer; /* not 0: a time has parts of a microsecond */
    uint32_t mixed; /* not 0: there is more than one link type */
} encap_extent;

void encap_capture_measure(const encap_batch *batch, const int64_t *times, encap_extent *extent);

/* Records of rows [*row, end) into `out`, as many as have room; `*row` is then
 * the first one left, and the octets written are returned. Times are counted
 * in `unit_ns` from 1970; the smallest int64 is written as 0. `owners` holds
 * the pcapng interface of each row, or of all where `owner_step` is 0. */
uint64_t encap_pcap_fill(const encap_batch *batch, const int64_t *times, uint64_t *row,
                         uint64_t end, int big_endian, uint32_t unit_ns, uint8_t *out,
                         uint64_t room);
uint64_t encap_pcapng_fill(const encap_batch *batch, const int64_t *times, const uint16_t *owners,
                           uint64_t owner_step, uint64_t *row, uint64_t end, int big_endian,
                           uint32_t unit_ns, uint8_t *out, uint64_t room);

/* What an interface says that is not true of a packet that is written. */
#define ENCAP_OWNER_SNAPLEN 1 /* how long packets are */
#define ENCAP_OWNER_FCS 2 /* that they end with a check sequence */
#define ENCAP_OWNER_TIME 4 /* how time is counted: in nanoseconds from 1970 then */

/* An interface of the section that is written. */
typedef struct encap_owner {
    uint32_t number;
    uint32_t next; /* 1 + the index among `variants` of another one made from the same; 0: none */
    uint16_t linktype;
    uint16_t changes; /* ENCAP_OWNER_ bits, against the one it was made from */
    uint32_t fcs_len; /* octets that end each packet, as the interface says */
} encap_owner;

enum encap_kept_status {
    ENCAP_KEPT_DONE,
    ENCAP_KEPT_ROOM, /* `need` octets are wanted at the least */
    ENCAP_KEPT_STRUCTURE, /* others[other] is a section or interface header: for the caller */
    ENCAP_KEPT_OWNER, /* an interface is wanted: `wanted`, `wanted_linktype`, `wanted_changes` */
    ENCAP_KEPT_WRONG /* the arrays name what is no block, or a packet is too long for one */
};

/* Packets of a pcapng file on their way to another one, with the blocks around them. */
typedef struct encap_kept {
    const uint8_t *octets; /* whole blocks of the file */
    uint64_t size;
    const int64_t *packets; /* where those of packets stand, and the others */
    uint64_t packet_count;
    const int64_t *others;
    uint64_t other_count;
    const int64_t *origins; /* which of `packets` each row was; NULL: that of its own number */
    const encap_interface *interfaces; /* of the section as it was, and what became of them */
    const encap_owner *owners;
    uint64_t interface_count;
    const encap_owner *variants;
    uint64_t variant_count;
    uint64_t row; /* the next one to write */
    uint64_t end; /* and where to stop */
    uint64_t other; /* the next one of `others` */
    int64_t until; /* behind the rows come those that stand before this position */
    uint64_t used; /* octets written by the last call */
    uint64_t need;
    uint32_t wanted;
    uint16_t wanted_linktype;
    uint16_t wanted_changes;
    uint64_t written; /* rows, and the octets of their frames */
    uint64_t written_octets;
    uint64_t untimed; /* rows passed over, whose time cannot be written */
    uint64_t dropped_hashes; /* options that were about other octets */
    uint64_t dropped_flags;
    uint64_t dropped_private; /* options and blocks that are not to be copied */
    uint64_t dropped_blocks;
} encap_kept;

/* Rows [kept->row, kept->end) into `out`, each in a block like its own, with all blocks before
 * it that were not written yet. Starts at `row` again with what is left; a status that is not
 * DONE says what for. */
int encap_kept_fill(const encap_batch *batch, const int64_t *times, int big_endian,
                    encap_kept *kept, uint8_t *out, uint64_t room);

/* --- ESP --- */

enum encap_esp_flags {
    ENCAP_ESP_NO_ECN = 1, /* the outer ECN bits are 0 */
    ENCAP_ESP_NO_DSCP = 2, /* the outer DSCP is 0 */
    ENCAP_ESP_NO_DF = 4, /* the outer DF is 0, and not that of the packet */
    ENCAP_ESP_COPY_CE = 8 /* a CE is copied, and does not become ECT(0) */
};

/* What all packets of a security association have in common. */
typedef struct encap_esp {
    uint8_t outer[48]; /* IPv4 or IPv6, then UDP or nothing; lengths are written over */
    uint32_t outer_size; /* 20, 28, 40 or 48 */
    uint32_t spi;
    uint32_t iv_size;
    uint32_t icv_size;
    uint32_t align; /* the plaintext is a multiple of this */
    uint32_t
        pad_to; /* packets are at least as long as this, by zeros behind them; 0: as they are */
    uint32_t flags;
} encap_esp;

/* What differs from row to row of the batch. */
typedef struct encap_esp_rows {
    const uint64_t *numbers; /* sequence numbers, of which the lower word is written */
    const uint16_t *ids; /* IPv4 identifications, for packets without DF */
    const uint8_t *ivs; /* `iv_size` octets each */
    const int64_t *targets; /* where in `out` the outer packet begins */
    const int64_t *clears; /* where in `clear` the plaintext begins */
} encap_esp_rows;

/* Writes the headers of each row, up to the initialization vector, to `out`, and what is to be
 * encrypted, with padding and trailer, to `clear`. Room is left in `out` for the ciphertext and
 * its check value, whose octets stay as they are. Not 0: there are no such rows, the template
 * cannot be one, or a row did not fit, and neither it nor those behind it were written. */
int encap_esp_lay(const encap_batch *batch, uint64_t begin, uint64_t end, const encap_esp *esp,
                  const encap_esp_rows *rows, uint8_t *clear, uint64_t clear_size, uint8_t *out,
                  uint64_t out_size);

#define ENCAP_ESP_RING 4096 /* the largest window */

/* What a receiver knows of the sequence numbers that came (RFC 4303 section 3.4.3). */
typedef struct encap_esp_window {
    uint64_t top; /* the highest number; of more than 32 bits with extended ones */
    uint32_t size; /* numbers from the top downwards that are told apart; 0: all are taken */
    uint32_t esn; /* not 0: extended numbers */
    uint64_t seen[64]; /* a bit each, by the number modulo ENCAP_ESP_RING */
} encap_esp_window;

enum encap_esp_verdict { ENCAP_ESP_NEW, ENCAP_ESP_SEEN, ENCAP_ESP_OLD };

/* Judges the numbers of rows [begin, end) in order, and moves the window for those that are new
 * and genuine. `highs` are the upper words by which genuine ones were told; the first row for which
 * it would be another one is where this stops. Gives the row behind the last one judged. Without
 * `genuine` all are, and `highs` is written: what would be if all went well. */
uint64_t encap_esp_replay(encap_esp_window *window, const uint32_t *numbers, uint64_t begin,
                          uint64_t end, const uint8_t *genuine, uint32_t *highs, uint8_t *verdicts);

/* --- checksums and copies --- */

/* CPU variants of the kernels: names by index, best last. `select` sets the
 * one in use for the whole process; not 0 where this machine lacks it. */
uint32_t encap_implementation_count(void);
const char *encap_implementation_name(uint32_t index);
int encap_implementation_supported(uint32_t index);
uint32_t encap_implementation_current(void);
int encap_implementation_select(uint32_t index);

/* The Internet checksum of a span (RFC 1071), as the number to be stored in
 * network order; the second one copies the span to `out` in the same pass. */
uint16_t encap_checksum(const uint8_t *data, uint64_t size);
uint16_t encap_copy_checksum(const uint8_t *data, uint64_t size, uint8_t *out);

/* sums[i] = the checksum of all octets of row i. Not 0: there are no such rows. */
int encap_checksums(const encap_batch *batch, uint64_t begin, uint64_t end, uint16_t *sums);

/* Copies row i to out + targets[i]. Not 0: there are no such rows, or one did
 * not fit, and neither it nor those behind it were copied. `out` must not
 * overlap the batch. */
int encap_compact(const encap_batch *batch, uint64_t begin, uint64_t end, const int64_t *targets,
                  uint8_t *out, uint64_t out_size);

/* Where rows of these lengths start that lie one behind the other; gives where the last one ends.
 */
uint64_t encap_pack(const uint32_t *lengths, uint64_t count, int64_t *starts);

/* 1 where no row begins before the one in front of it ends. */
int encap_in_order(const int64_t *starts, const uint32_t *lengths, uint64_t count);
