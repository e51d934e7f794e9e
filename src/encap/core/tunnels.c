/* Steps of the walk over tunnel headers. */

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
