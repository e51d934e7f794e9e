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
#define TUNNEL_BIT(kind) (1u << ((kind)-ENCAP_GRE))

/* Where the inner packet is. */
typedef struct inner_packet {
    uint32_t found;
    uint32_t start;
    uint32_t length;
    uint16_t linktype;
    uint64_t wire_length;
} inner_packet;

typedef struct walk {
    const encap_rules *rules;
    const uint8_t *frame;
    uint32_t at;          /* start of the next header */
    uint32_t end;         /* end of what the outer lengths and the capture leave */
    uint64_t wire_end;    /* the same, had nothing been cut by the capture */
    uint64_t kinds[2];    /* encap_layers.kind, built in registers */
    uint32_t count;
    uint32_t network;     /* 4 or 6 when this packet already has an IP header, else 0 */
    uint32_t incomplete;  /* 1 + slot of the header that says: a first fragment */
    uint32_t status;
    uint32_t status_layer;
    uint32_t status_offset;
    encap_layers *layers; /* NULL when only a tunnel is looked for */
    inner_packet *inner;   /* NULL when the whole packet is wanted */
    uint32_t tunnels;     /* which tunnels to stop at, and how many more of them */
    uint32_t depth;
} walk;

/* The header's address when its `fixed` octets are there; it is a layer then. */
INLINE const uint8_t *enter(walk *w, uint32_t kind, uint32_t fixed)
{
    if (UNLIKELY(w->end - w->at < fixed)) {
        w->status = ENCAP_TRUNCATED;
        w->status_layer = w->count;
        w->status_offset = w->at;
        return NULL;
    }
    if (w->layers) {
        w->kinds[w->count >> 3] |= (uint64_t)kind << (8 * (w->count & 7));
        w->layers->offset[w->count] = (uint16_t)w->at;
    }
    w->count++;
    return w->frame + w->at;
}

/* Ends the walk at the header just entered, whose first `fixed` octets are all that counts. */
INLINE uint32_t broken(walk *w, uint32_t status, uint32_t fixed)
{
    w->status = status;
    w->status_layer = w->count - 1;
    w->status_offset = w->at;
    w->at += fixed;
    return ENCAP_NONE;
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
    if ((uint64_t)w->at + length < w->wire_end)
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
    if (!w->inner || !(w->tunnels & bit))
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

/* True for what may follow in a first fragment: no tunnel is entered in it. */
INLINE int opens_tunnel(const walk *w, uint32_t kind)
{
    return kind == ENCAP_GRE || (w->network && (kind == ENCAP_IPV4 || kind == ENCAP_IPV6));
}

/* What follows the IP protocol `number`. */
INLINE uint32_t after_protocol(const walk *w, uint32_t number)
{
    uint32_t kind = w->rules->protocol[number & 0xff];
    return UNLIKELY(w->incomplete) && opens_tunnel(w, kind) ? (uint32_t)ENCAP_NONE : kind;
}

/* The header just entered, `size` octets long, says that its datagram is a fragment. */
INLINE uint32_t fragmented(walk *w, uint32_t size, uint32_t offset, uint32_t protocol)
{
    w->incomplete = w->count;
    w->status_offset = w->at;
    w->at += size;
    return offset ? (uint32_t)ENCAP_NONE : after_protocol(w, protocol);
}

INLINE uint32_t step_ipv4(walk *w)
{
    static const uint32_t stops[2] = {ENCAP_TUNNEL_IPIP, ENCAP_TUNNEL_IP6TNL};
    if (w->network && tunnel(w, stops[w->network == 6], LINKTYPE_RAW))
        return ENCAP_NONE;
    const uint8_t *header = enter(w, ENCAP_IPV4, 20);
    if (!header)
        return ENCAP_NONE;
    uint32_t size = (header[0] & 15u) * 4, total = load_be16(header + 2);
    if (header[0] >> 4 != 4 || size < 20 || (total && total < size))
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
    return after_protocol(w, header[9]);
}

INLINE uint32_t step_ipv6(walk *w)
{
    static const uint32_t stops[2] = {ENCAP_TUNNEL_SIT, ENCAP_TUNNEL_IP6TNL};
    if (w->network && tunnel(w, stops[w->network == 6], LINKTYPE_RAW))
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
    return after_protocol(w, header[6]);
}

/* Hop-by-hop and destination options, and routing: RFC 8200 section 4. */
INLINE uint32_t step_extension(walk *w, uint32_t kind, uint32_t fixed)
{
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
    if (UNLIKELY(w->incomplete))
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

/* What a frame of this link type begins with; ENCAP_NONE and a status when that is not known. */
INLINE uint32_t first_kind(walk *w, uint32_t linktype)
{
    uint32_t kind = linktype < ENCAP_LINKTYPES ? w->rules->linktype[linktype] : (uint32_t)ENCAP_NONE;
    if (kind == BY_VERSION)
        return by_version(w) == ENCAP_IPV6 ? ENCAP_IPV6 : ENCAP_IPV4;
    if (kind == ENCAP_NONE)
        w->status = ENCAP_UNSUPPORTED;
    return kind;
}

INLINE uint32_t step(walk *w, uint32_t kind)
{
    switch (kind) {
    case ENCAP_ETH: return step_eth(w);
    case ENCAP_SLL: return step_cooked(w, ENCAP_SLL, 16, 14);
    case ENCAP_SLL2: return step_cooked(w, ENCAP_SLL2, 20, 0);
    case ENCAP_NULL: return step_null(w);
    case ENCAP_LLC: return step_llc(w);
    case ENCAP_VLAN: return step_vlan(w);
    case ENCAP_ARP: return step_arp(w);
    case ENCAP_MPLS: return step_mpls(w);
    case ENCAP_IPV4: return step_ipv4(w);
    case ENCAP_IPV6: return step_ipv6(w);
    case ENCAP_HOPOPT: return step_extension(w, ENCAP_HOPOPT, 2);
    case ENCAP_ROUTING: return step_extension(w, ENCAP_ROUTING, 4);
    case ENCAP_FRAGMENT: return step_fragment(w);
    case ENCAP_DSTOPTS: return step_extension(w, ENCAP_DSTOPTS, 2);
    case ENCAP_AH: return step_ah(w);
    case ENCAP_ESP: return step_last(w, ENCAP_ESP, 8);
    case ENCAP_ICMP: return step_last(w, ENCAP_ICMP, 8);
    case ENCAP_ICMPV6: return step_last(w, ENCAP_ICMPV6, 8);
    case ENCAP_IGMP: return step_last(w, ENCAP_IGMP, 8);
    case ENCAP_TCP: return step_tcp(w);
    case ENCAP_UDP: return step_udp(w);
    case ENCAP_SCTP: return step_last(w, ENCAP_SCTP, 12);
    case ENCAP_GRE: return step_gre(w);
    case ENCAP_ERSPAN: return step_erspan(w);
    case ENCAP_VXLAN: return step_vxlan(w);
    case ENCAP_GPE: return step_gpe(w);
    case ENCAP_GENEVE: return step_geneve(w);
    default: return ENCAP_NONE;
    }
}

INLINE void walk_packet(walk *w, uint32_t linktype)
{
    uint32_t kind = first_kind(w, linktype);
    while (kind != ENCAP_NONE) {
        if (UNLIKELY(w->count == ENCAP_MAX_LAYERS)) {
            w->status = ENCAP_DEPTH;
            w->status_layer = w->count;
            w->status_offset = w->at;
            break;
        }
        kind = step(w, kind);
    }
    if (UNLIKELY(w->incomplete) && w->status == ENCAP_OK) {
        w->status = ENCAP_INCOMPLETE;
        w->status_layer = w->incomplete - 1;
    }
}
