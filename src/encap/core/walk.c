/* The walk of one packet: which header stands where. The structure of packets
 * (lengths, what follows what, where an outer length ends an inner packet) is
 * written down here, once for all kernels; encap.packet is its twin for single
 * packets, and a test holds the two equal.
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

/* Few enough members to stay in registers. What stops a walk is rare and goes to memory at once. */
typedef struct walk {
    const encap_rules *rules;
    const uint8_t *frame;
    uint32_t at;          /* start of the next header */
    uint32_t end;         /* end of what the outer lengths and the capture leave */
    uint32_t count;       /* headers so far */
    encap_layers *layers;
    int recording;        /* a constant: 0 when only a tunnel is looked for */
    /* Only when a tunnel is looked for: */
    inner_packet *inner;
    uint64_t wire_end;    /* like `end`, had nothing been cut by the capture */
    uint32_t network;     /* 4 or 6 when this packet already has an IP header, else 0 */
    uint32_t tunnels;     /* which tunnels to stop at, and how many more of them */
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

/* --- link layer ------------------------------------------------------------ */

/* What follows an EtherType that ends a link header of `size` octets. */
INLINE uint32_t after_type(walk *w, uint32_t type, uint32_t size)
{
    if (UNLIKELY(type <= MAX_LLC_LENGTH)) {
        limit(w, size + type);
        w->at += size;
        return ENCAP_LLC;
    }
    w->at += size;
    return w->rules->ethertype[type];
}

INLINE uint32_t step_eth(walk *w)
{
    const uint8_t *header = enter(w, ENCAP_ETH, 14);
    return header ? after_type(w, load_be16(header + 12), 14) : (uint32_t)ENCAP_NONE;
}

INLINE uint32_t step_vlan(walk *w)
{
    const uint8_t *header = enter(w, ENCAP_VLAN, 4);
    return header ? after_type(w, load_be16(header + 2), 4) : (uint32_t)ENCAP_NONE;
}

/* Linux cooked captures: the protocol is an EtherType, or one of Linux's own below 1536. */
INLINE uint32_t step_cooked(walk *w, uint32_t kind, uint32_t size, uint32_t protocol_at)
{
    const uint8_t *header = enter(w, kind, size);
    if (!header)
        return ENCAP_NONE;
    uint32_t type = load_be16(header + protocol_at);
    w->at += size;
    if (type <= MAX_LLC_LENGTH)
        return type == 4 ? ENCAP_LLC : ENCAP_NONE;
    return w->rules->ethertype[type];
}

INLINE uint32_t step_null(walk *w)
{
    const uint8_t *header = enter(w, ENCAP_NULL, 4);
    if (!header)
        return ENCAP_NONE;
    uint32_t family = load_be32(header);
    w->at += 4;
    if (family > 0xffff) /* written by a little-endian machine */
        family = SWAP32(family);
    switch (family) {
    case 2:
        return ENCAP_IPV4;
    case 10: /* Linux, NetBSD and OpenBSD, FreeBSD, macOS */
    case 24:
    case 28:
    case 30:
        return ENCAP_IPV6;
    default:
        return ENCAP_NONE;
    }
}

INLINE uint32_t step_llc(walk *w)
{
    const uint8_t *header = enter(w, ENCAP_LLC, 3);
    if (!header)
        return ENCAP_NONE;
    uint32_t control = header[2];
    int snap = header[1] == 0xaa && control == 3;
    uint32_t need = snap ? 8 : (control & 3) == 3 ? 3 : 4;
    if (need > left(w))
        return broken(w, ENCAP_TRUNCATED, 3);
    w->at += need;
    if (!snap || load_be32(header + 2) & 0xffffff)
        return ENCAP_NONE;
    return w->rules->ethertype[load_be16(header + 6)];
}

INLINE uint32_t step_mpls(walk *w)
{
    const uint8_t *header = enter(w, ENCAP_MPLS, 4);
    if (!header)
        return ENCAP_NONE;
    w->at += 4;
    return header[2] & 1 ? by_version(w) : (uint32_t)ENCAP_MPLS;
}

INLINE uint32_t step_arp(walk *w)
{
    const uint8_t *header = enter(w, ENCAP_ARP, 8);
    if (!header)
        return ENCAP_NONE;
    uint32_t need = 8 + 2u * header[4] + 2u * header[5];
    if (need > left(w))
        return broken(w, ENCAP_TRUNCATED, 8);
    w->at += need;
    return ENCAP_NONE;
}

/* --- IP -------------------------------------------------------------------- */

/* What follows the IP protocol `number`; in a first fragment no tunnel does. */
INLINE uint32_t after_protocol(const walk *w, uint32_t number)
{
    uint32_t kind = w->rules->protocol[number & 0xff];
    if (incomplete(w) && (kind == ENCAP_GRE || kind == ENCAP_IPV4 || kind == ENCAP_IPV6))
        return ENCAP_NONE;
    return kind;
}

/* The header just entered, `size` octets long, says that its datagram is a fragment. */
INLINE uint32_t fragmented(walk *w, uint32_t size, uint32_t offset, uint32_t protocol)
{
    stop(w, ENCAP_INCOMPLETE, w->count - 1);
    w->at += size;
    return offset ? (uint32_t)ENCAP_NONE : after_protocol(w, protocol);
}

INLINE uint32_t step_ipv4(walk *w)
{
    static const uint32_t stops[2] = {ENCAP_TUNNEL_IPIP, ENCAP_TUNNEL_IP6TNL};
    if (!w->recording && w->network && tunnel(w, stops[w->network == 6], LINKTYPE_RAW))
        return ENCAP_NONE;
    const uint8_t *header = enter(w, ENCAP_IPV4, 20);
    if (!header)
        return ENCAP_NONE;
    uint32_t size = 20, total = load_be16(header + 2);
    if (UNLIKELY(header[0] != 0x45)) { /* so that usually nothing waits for the length */
        size = (header[0] & 15u) * 4;
        if (header[0] >> 4 != 4 || size < 20)
            return broken(w, ENCAP_MALFORMED, 20);
    }
    if (total < size && total)
        return broken(w, ENCAP_MALFORMED, 20);
    if (size > left(w))
        return broken(w, ENCAP_TRUNCATED, 20);
    if (LIKELY(total)) /* 0: segmentation was left to a NIC */
        limit(w, total);
    w->network = 4;
    uint32_t fragment = load_be16(header + 6) & 0x3fff;
    if (UNLIKELY(fragment))
        return fragmented(w, size, fragment & 0x1fff, header[9]);
    w->at += size;
    return w->rules
        ->protocol[header[9]]; /* nothing is entered behind a fragment, so this is none */
}

INLINE uint32_t step_ipv6(walk *w)
{
    static const uint32_t stops[2] = {ENCAP_TUNNEL_SIT, ENCAP_TUNNEL_IP6TNL};
    if (!w->recording && w->network && tunnel(w, stops[w->network == 6], LINKTYPE_RAW))
        return ENCAP_NONE;
    const uint8_t *header = enter(w, ENCAP_IPV6, 40);
    if (!header)
        return ENCAP_NONE;
    if (header[0] >> 4 != 6)
        return broken(w, ENCAP_MALFORMED, 40);
    uint32_t payload = load_be16(header + 4);
    if (LIKELY(payload || header[6] == NO_NEXT_HEADER))
        limit(w, 40 + payload);
    w->network = 6;
    w->at += 40;
    return w->rules->protocol[header[6]];
}

/* Hop-by-hop and destination options, and routing: RFC 8200 section 4. */
INLINE uint32_t step_extension(walk *w, uint32_t kind)
{
    /* One piece of code for the three: which of them comes next cannot be predicted. */
    uint32_t fixed = kind == ENCAP_ROUTING ? 4 : 2;
    const uint8_t *header = enter(w, kind, fixed);
    if (!header)
        return ENCAP_NONE;
    uint32_t size = 8 + 8u * header[1];
    if (size > left(w))
        return broken(w, ENCAP_TRUNCATED, fixed);
    w->at += size;
    return after_protocol(w, header[0]);
}

INLINE uint32_t step_fragment(walk *w)
{
    const uint8_t *header = enter(w, ENCAP_FRAGMENT, 8);
    if (!header)
        return ENCAP_NONE;
    uint32_t field = load_be16(header + 2);
    if (field & 0xfff9) /* neither is set in an atomic fragment: RFC 6946 */
        return fragmented(w, 8, field >> 3, header[0]);
    w->at += 8;
    return after_protocol(w, header[0]);
}

INLINE uint32_t step_ah(walk *w)
{
    const uint8_t *header = enter(w, ENCAP_AH, 12);
    if (!header)
        return ENCAP_NONE;
    uint32_t size = 8 + 4u * header[1];
    if (size < 12)
        return broken(w, ENCAP_MALFORMED, 12);
    if (size > left(w))
        return broken(w, ENCAP_TRUNCATED, 12);
    w->at += size;
    return after_protocol(w, header[0]);
}

/* --- transport --------------------------------------------------------------- */

/* A header of fixed size that nothing follows. */
INLINE uint32_t step_last(walk *w, uint32_t kind, uint32_t size)
{
    if (enter(w, kind, size))
        w->at += size;
    return ENCAP_NONE;
}

INLINE uint32_t step_tcp(walk *w)
{
    const uint8_t *header = enter(w, ENCAP_TCP, 20);
    if (!header)
        return ENCAP_NONE;
    uint32_t size = (header[12] >> 4) * 4u;
    if (size < 20)
        return broken(w, ENCAP_MALFORMED, 20);
    if (size > left(w))
        return broken(w, ENCAP_TRUNCATED, 20);
    w->at += size;
    return ENCAP_NONE;
}

INLINE uint32_t step_udp(walk *w)
{
    const uint8_t *header = enter(w, ENCAP_UDP, 8);
    if (!header)
        return ENCAP_NONE;
    uint32_t length = load_be16(header + 4);
    if (length && length < 8)
        return broken(w, ENCAP_MALFORMED, 8);
    if (LIKELY(length))
        limit(w, length);
    w->at += 8;
    if (incomplete(w))
        return ENCAP_NONE;
    uint32_t kind = w->rules->port[load_be16(header + 2)];
    if (UNLIKELY(kind == ENCAP_ESP) && (left(w) < 4 || !load_be32(header + 8)))
        return ENCAP_NONE; /* a keepalive, or IKE: RFC 3948 section 2 */
    return kind;
}

/* --- tunnels ----------------------------------------------------------------- */

INLINE uint32_t step_vxlan(walk *w)
{
    const uint8_t *header = enter(w, ENCAP_VXLAN, 8);
    if (!header)
        return ENCAP_NONE;
    if (!(header[0] & 0x08)) /* without I there is no network to deliver to */
        return broken(w, ENCAP_MALFORMED, 8);
    w->at += 8;
    return after_tunnel(w, ENCAP_VXLAN, ENCAP_ETH);
}

INLINE uint32_t step_gpe(walk *w)
{
    const uint8_t *header = enter(w, ENCAP_GPE, 8);
    if (!header)
        return ENCAP_NONE;
    if (header[0] & 0x30)
        return broken(w, ENCAP_UNSUPPORTED, 8);
    w->at += 8;
    uint32_t next = header[0] & 0x04 ? w->rules->gpe[header[3]] : (uint32_t)ENCAP_ETH;
    return after_tunnel(w, ENCAP_GPE, next);
}

INLINE uint32_t step_geneve(walk *w)
{
    const uint8_t *header = enter(w, ENCAP_GENEVE, 8);
    if (!header)
        return ENCAP_NONE;
    if (header[0] & 0xc0)
        return broken(w, ENCAP_UNSUPPORTED, 8);
    uint32_t size = 8 + 4u * (header[0] & 0x3f);
    if (size > left(w))
        return broken(w, ENCAP_TRUNCATED, 8);
    w->at += size;
    return after_tunnel(w, ENCAP_GENEVE, w->rules->ethertype[load_be16(header + 2)]);
}

/* Octets behind GRE's optional words, which end at `at`: source routes (RFC 1701) and WCCP's
 * redirect header. More than are left when a list of routes does not end. */
static uint32_t gre_tail(const walk *w, uint32_t at, uint32_t flags, uint32_t protocol)
{
    uint32_t size = 0, there = at <= w->end ? w->end - at : 0;
    if (flags & 0x4000) {
        uint32_t family, length;
        do {
            if (size >= MAX_ROUTING_LEN || there < size + 4)
                return there + 1;
            family = load_be16(w->frame + at + size);
            length = w->frame[at + size + 3];
            size += 4 + length;
        } while (family || length);
    }
    if (protocol == 0x883e && there > size && w->frame[at + size] >> 4 != 4)
        size += 4;
    return size;
}

INLINE uint32_t step_gre(walk *w)
{
    const uint8_t *header = enter(w, ENCAP_GRE, 4);
    if (!header)
        return ENCAP_NONE;
    uint32_t flags = load_be16(header), protocol = load_be16(header + 2);
    if ((flags & 7) > 1)
        return broken(w, ENCAP_UNSUPPORTED, 4);
    uint32_t size = 4 + 4u * !!(flags & 0xc000) + 4u * !!(flags & 0x2000) +
                    4u * !!(flags & 0x1000) + 4u * ((flags & 0x0087) == 0x0081);
    if (UNLIKELY(flags & 0x4000 || protocol == 0x883e))
        size += gre_tail(w, w->at + size, flags, protocol);
    if (size > left(w))
        return broken(w, ENCAP_TRUNCATED, 4);
    w->at += size;
    uint32_t next = w->rules->ethertype[protocol];
    switch (protocol) {
    case 0x22eb:
        return ENCAP_ERSPAN;
    case 0x88be: /* without a sequence number it is type I, which has no header */
        if (flags & 0x1000)
            return ENCAP_ERSPAN;
        next = ENCAP_ETH;
        break;
    case 0x883e:
        next = ENCAP_IPV4;
        break;
    case 0x880b:
        if (tunnel(w, TUNNEL_BIT(ENCAP_GRE), LINKTYPE_PPP))
            return ENCAP_NONE;
        w->network = 0;
        return ENCAP_NONE;
    default:
        break;
    }
    return after_tunnel(w, ENCAP_GRE, next);
}

INLINE uint32_t step_erspan(walk *w)
{
    const uint8_t *header = enter(w, ENCAP_ERSPAN, 4);
    if (!header)
        return ENCAP_NONE;
    uint32_t version = header[0] >> 4, size = version == 1 ? 8 : 12;
    if (version != 1 && version != 2)
        return broken(w, ENCAP_UNSUPPORTED, 4);
    if (version == 2 && left(w) >= 12 && header[11] & 1)
        size += 8;
    if (size > left(w))
        return broken(w, ENCAP_TRUNCATED, 4);
    w->at += size;
    uint32_t ip = version == 2 && (header[10] >> 2 & 31) == 2;
    return after_tunnel(w, ENCAP_ERSPAN, ip ? by_version(w) : (uint32_t)ENCAP_ETH);
}

/* --- the walk ---------------------------------------------------------------- */

/* What frames of this link type begin with: a kind, BY_VERSION or ENCAP_NONE. */
INLINE uint32_t first_of(const encap_rules *rules, uint32_t linktype)
{
    return linktype < ENCAP_LINKTYPES ? rules->linktype[linktype] : (uint32_t)ENCAP_NONE;
}

/* The one loop. What usually follows a header is reached by a plain branch: going through the
 * switch costs an indirect jump, which takes as long as a header. */
INLINE void walk_packet(walk *w, uint32_t kind)
{
    if (kind == ENCAP_NONE)
        stop(w, ENCAP_UNSUPPORTED, 0);
    if (kind == BY_VERSION)
        kind = by_version(w) == ENCAP_IPV6 ? ENCAP_IPV6 : ENCAP_IPV4;
    for (;;) {
        switch (kind) {
        case ENCAP_ETH:
        eth:
            kind = step_eth(w);
            if (LIKELY(kind == ENCAP_IPV4))
                goto ipv4;
            if (kind == ENCAP_IPV6)
                goto ipv6;
            break;
        case ENCAP_VLAN:
            kind = step_vlan(w);
            if (LIKELY(kind == ENCAP_IPV4))
                goto ipv4;
            break;
        case ENCAP_IPV4:
        ipv4:
            kind = step_ipv4(w);
            if (kind == ENCAP_TCP)
                goto tcp;
            if (kind == ENCAP_UDP)
                goto udp;
            break;
        case ENCAP_IPV6:
        ipv6:
            kind = step_ipv6(w);
            if (kind == ENCAP_TCP)
                goto tcp;
            if (kind == ENCAP_UDP)
                goto udp;
            break;
        case ENCAP_UDP:
        udp:
            kind = step_udp(w);
            if (kind == ENCAP_NONE)
                return;
            if (kind == ENCAP_VXLAN)
                goto vxlan;
            break;
        case ENCAP_VXLAN:
        vxlan:
            kind = step_vxlan(w);
            if (LIKELY(kind == ENCAP_ETH))
                goto eth;
            break;
        case ENCAP_GENEVE:
            kind = step_geneve(w);
            if (LIKELY(kind == ENCAP_ETH))
                goto eth;
            break;
        case ENCAP_GRE:
            kind = step_gre(w);
            if (LIKELY(kind == ENCAP_IPV4))
                goto ipv4;
            if (kind == ENCAP_ETH)
                goto eth;
            break;
        case ENCAP_TCP:
        tcp:
            step_tcp(w);
            return;
        case ENCAP_HOPOPT:
        case ENCAP_ROUTING:
        case ENCAP_DSTOPTS:
            kind = step_extension(w, kind);
            break;
        case ENCAP_SLL:
            kind = step_cooked(w, ENCAP_SLL, 16, 14);
            break;
        case ENCAP_SLL2:
            kind = step_cooked(w, ENCAP_SLL2, 20, 0);
            break;
        case ENCAP_NULL:
            kind = step_null(w);
            break;
        case ENCAP_LLC:
            kind = step_llc(w);
            break;
        case ENCAP_ARP:
            kind = step_arp(w);
            break;
        case ENCAP_MPLS:
            kind = step_mpls(w);
            break;
        case ENCAP_FRAGMENT:
            kind = step_fragment(w);
            break;
        case ENCAP_AH:
            kind = step_ah(w);
            break;
        case ENCAP_ESP:
            kind = step_last(w, ENCAP_ESP, 8);
            break;
        case ENCAP_ICMP:
            kind = step_last(w, ENCAP_ICMP, 8);
            break;
        case ENCAP_ICMPV6:
            kind = step_last(w, ENCAP_ICMPV6, 8);
            break;
        case ENCAP_IGMP:
            kind = step_last(w, ENCAP_IGMP, 8);
            break;
        case ENCAP_SCTP:
            kind = step_last(w, ENCAP_SCTP, 12);
            break;
        case ENCAP_ERSPAN:
            kind = step_erspan(w);
            break;
        case ENCAP_GPE:
            kind = step_gpe(w);
            break;
        default:
            return;
        }
    }
}
