/* Steps of the walk over IP, its extension headers and the transports above. */

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
    odd(w);
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
    else
        odd(w);
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
    else
        odd(w);
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
    if (kind == ENCAP_ROUTING)
        odd(w);
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
    else
        odd(w);
    w->at += 8;
    if (incomplete(w))
        return ENCAP_NONE;
    uint32_t kind = w->rules->port[load_be16(header + 2)];
    if (UNLIKELY(kind == ENCAP_GUE) && left(w) && header[8] >> 6 == 1)
        return by_version(w); /* version 1 has no header of its own */
    if (UNLIKELY(kind == ENCAP_ESP) && (left(w) < 4 || !load_be32(header + 8)))
        return ENCAP_NONE; /* a keepalive, or IKE: RFC 3948 section 2 */
    return kind;
}

/* Generic UDP encapsulation: draft-ietf-intarea-gue section 3. A control message carries nothing.
 */
INLINE uint32_t step_gue(walk *w)
{
    const uint8_t *header = enter(w, ENCAP_GUE, 4);
    if (!header)
        return ENCAP_NONE;
    const uint32_t first = header[0], size = 4 + 4 * (first & 31u);
    if (first >> 6)
        return broken(w, ENCAP_UNSUPPORTED, 4);
    if (size > left(w))
        return broken(w, ENCAP_TRUNCATED, 4);
    w->at += size;
    return first & 0x20 ? (uint32_t)ENCAP_NONE : after_protocol(w, header[1]);
}
