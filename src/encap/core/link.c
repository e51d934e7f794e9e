/* Steps of the walk over link layers: Ethernet, VLAN tags, LLC, MPLS, cooked
 * captures and loopback, and ARP. Each gives the kind of the next header. */

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
