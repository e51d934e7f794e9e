#ifndef ENCAP_WALKER_H
#define ENCAP_WALKER_H

/* What a walk of one packet carries from header to header. The structure of
 * packets (lengths, what follows what, where an outer length ends an inner
 * packet) is written down in link.c, network.c and tunnels.c, once for all
 * kernels; encap.packet is its twin for single packets, and a test holds the
 * two equal.
 *
 * A header is a layer when its fixed part is there. When its variable part is
 * not, or a field cannot be, the walk stops and what follows the fixed part is
 * payload. */

/* The longest list of GRE source routes that is followed, in octets, so that
 * 16 headers stay below the 16-bit offsets of encap_layers. */
#define MAX_ROUTING_LEN 1024
#define MAX_LLC_LENGTH 1500
#define NO_NEXT_HEADER 59
#define BY_VERSION ENCAP_KINDS /* in rules->linktype: IPv4 or IPv6 by the first four bits */

#define LINKTYPE_ETHERNET 1
#define LINKTYPE_PPP 9
#define LINKTYPE_RAW 101

/* ENCAP_TUNNEL_GRE and the like, of a header. */
#define TUNNEL_BIT(kind) (1u << ((kind) - ENCAP_GRE))

/* Where the inner packet is. */
typedef struct inner_packet {
    uint32_t found;
    uint32_t start;
    uint32_t length;
    uint16_t linktype;
    uint64_t wire_length;
} inner_packet;

/* What a walk records: nothing but a tunnel that it looks for, the layers, or the layers and how
 * far each of them reaches. */
#define RECORD_NOTHING 0
#define RECORD_LAYERS 1
#define RECORD_REACHES 2

/* How far the headers of a packet reach, as far as a walk can note it in passing. */
typedef struct reaches_noted {
    uint32_t end[ENCAP_MAX_LAYERS + 1]; /* of what is there: in front of each header, and behind */
    uint32_t odd; /* not 0: octets are missing, a length is open, or there is a fragment or a route,
                   * so that find_reaches in covers.h has to look closer */
} reaches_noted;

/* Few enough members to stay in registers. What stops a walk is rare and goes to memory at once. */
typedef struct walk {
    const encap_rules *rules;
    const uint8_t *frame;
    uint32_t at; /* start of the next header */
    uint32_t end; /* end of what the outer lengths and the capture leave */
    uint32_t count; /* headers so far */
    encap_layers *layers;
    int recording; /* a constant: RECORD_ something */
    reaches_noted *noted; /* only for RECORD_REACHES */
    /* Only when a tunnel is looked for: */
    inner_packet *inner;
    uint64_t wire_end; /* like `end`, had nothing been cut by the capture */
    uint32_t network; /* 4 or 6 when this packet already has an IP header, else 0 */
    uint32_t tunnels; /* which tunnels to stop at, and how many more of them */
    uint32_t depth;
} walk;

/* Notes what stops the walk: at the header in slot `slot`, which starts at `w->at`. */
INLINE uint32_t stop(walk *w, uint32_t status, uint32_t slot)
{
    w->layers->status = (uint8_t)status;
    w->layers->status_layer = (uint8_t)slot;
    w->layers->status_offset = w->at;
    return ENCAP_NONE;
}

/* Notes that there is something odd in how far headers reach. */
INLINE void odd(walk *w)
{
    if (w->recording == RECORD_REACHES)
        w->noted->odd = 1;
}

/* The header's address when its `fixed` octets are there; it is a layer then. */
INLINE const uint8_t *enter(walk *w, uint32_t kind, uint32_t fixed)
{
    if (UNLIKELY(w->count == ENCAP_MAX_LAYERS || w->end - w->at < fixed)) {
        stop(w, w->count == ENCAP_MAX_LAYERS ? ENCAP_DEPTH : ENCAP_TRUNCATED, w->count);
        return NULL;
    }
    if (w->recording) {
        w->layers->kind[w->count] = (uint8_t)kind;
        w->layers->offset[w->count] = (uint16_t)w->at;
    }
    if (w->recording == RECORD_REACHES)
        w->noted->end[w->count] = w->end;
    w->count++;
    return w->frame + w->at;
}

/* Ends the walk at the header just entered, whose first `fixed` octets are all that counts. */
INLINE uint32_t broken(walk *w, uint32_t status, uint32_t fixed)
{
    stop(w, status, w->count - 1);
    w->at += fixed;
    return ENCAP_NONE;
}

/* True after the header of a first fragment. */
INLINE int incomplete(const walk *w)
{
    return w->layers->status == ENCAP_INCOMPLETE;
}

/* Octets from the start of the next header to the end of what is there. */
INLINE uint32_t left(const walk *w)
{
    return w->end - w->at;
}

/* The header just entered says that it and all it carries have `length` octets. */
INLINE void limit(walk *w, uint32_t length)
{
    if (length < left(w))
        w->end = w->at + length;
    else if (UNLIKELY(length > left(w)))
        odd(w);
    if (!w->recording && (uint64_t)w->at + length < w->wire_end)
        w->wire_end = (uint64_t)w->at + length;
}

/* IPv4 or IPv6 by the version that the next octets begin with. */
INLINE uint32_t by_version(const walk *w)
{
    uint32_t version = left(w) ? w->frame[w->at] >> 4 : 0;
    return version == 4 ? ENCAP_IPV4 : version == 6 ? ENCAP_IPV6 : ENCAP_NONE;
}

/* Notes that an inner packet starts at `w->at`; true when the walk shall end there. */
INLINE int tunnel(walk *w, uint32_t bit, uint16_t linktype)
{
    if (w->recording || !(w->tunnels & bit))
        return 0;
    w->inner->found = 1;
    w->inner->start = w->at;
    w->inner->length = left(w);
    w->inner->wire_length = w->wire_end - w->at;
    w->inner->linktype = linktype;
    return --w->depth == 0;
}

/* What follows a tunnel header of `kind`: `next`, or nothing when the walk ends there. */
INLINE uint32_t after_tunnel(walk *w, uint32_t kind, uint32_t next)
{
    uint16_t linktype = next == ENCAP_ETH ? LINKTYPE_ETHERNET : LINKTYPE_RAW;
    w->network = 0;
    return tunnel(w, TUNNEL_BIT(kind), linktype) ? (uint32_t)ENCAP_NONE : next;
}

#endif
