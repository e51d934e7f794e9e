/* What the C core exports. Read by the C compiler and by cffi alike, so it
 * holds declarations only: no includes, no conditionals, no inline functions.
 *
 * Every function takes whole batches, allocates nothing, touches no Python
 * object and reads no octet outside the buffers it is given, whatever the
 * arrays say. `begin` and `end` are a range of rows, so that several threads
 * can share one batch. */

/* --- protocols and verdicts: the order is the numbering used in columns --- */

enum encap_kind {
    ENCAP_NONE, ENCAP_ETH, ENCAP_SLL, ENCAP_SLL2, ENCAP_NULL, ENCAP_LLC, ENCAP_VLAN, ENCAP_ARP,
    ENCAP_MPLS, ENCAP_IPV4, ENCAP_IPV6, ENCAP_HOPOPT, ENCAP_ROUTING, ENCAP_FRAGMENT,
    ENCAP_DSTOPTS, ENCAP_AH, ENCAP_ESP, ENCAP_ICMP, ENCAP_ICMPV6, ENCAP_IGMP, ENCAP_TCP,
    ENCAP_UDP, ENCAP_SCTP, ENCAP_GRE, ENCAP_ERSPAN, ENCAP_VXLAN, ENCAP_GPE, ENCAP_GENEVE,
    ENCAP_KINDS
};

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

/* Which header follows which: made from encap.registry. Each octet is an
 * enum encap_kind, ENCAP_NONE where nothing known follows. */
typedef struct encap_rules {
    uint8_t ethertype[65536];
    uint8_t protocol[256];
    uint8_t port[65536];        /* by UDP destination port */
} encap_rules;

/* Distinct paths in order of first appearance, found through a hash table. */
typedef struct encap_paths {
    uint64_t *kinds;            /* two words a path: the octets of encap_layers.kind */
    uint32_t *table;            /* `slots` entries: 0 free, else id + 1 */
    uint64_t slots;             /* a power of two, above `capacity` */
    uint32_t capacity;          /* paths at the most; later ones become ENCAP_PATH_OTHER */
    uint32_t count;
} encap_paths;
