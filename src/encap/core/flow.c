/* Flows: who talks to whom, as 32 bits that are the same for every packet of a conversation and
 * spread evenly over different ones. */

/* What a hash is made of. Of a fragment the ports do not count, not even in the first, which alone
 * has them: all fragments of a datagram belong to one flow. */
typedef struct flow {
    const uint8_t *addresses; /* two of them, one behind the other; NULL: no flow */
    uint32_t size;            /* octets of one: 4, 16, or 6 for MAC addresses */
    uint32_t protocol;        /* IP protocol, or EtherType */
    uint32_t ports;           /* of the transport: source << 16 | destination, or 0 */
} flow;

/* --- hashes ------------------------------------------------------------------ */

/* A product mixes upwards only; the shift brings its high half down again. */
INLINE uint64_t flow_mix(uint64_t hash, uint64_t word)
{
    hash = (hash ^ word) * 0x9fb21c651e98df25u;
    return hash ^ hash >> 32;
}

INLINE uint32_t flow_end(uint64_t hash)
{
    hash *= 0xd6e8feb86659fd93u;
    hash ^= hash >> 29;
    return (uint32_t)((hash * 0x9e3779b97f4a7c15u) >> 32);
}

/* The fast hash: not keyed, so whoever chooses the packets can choose the hash. */
INLINE uint32_t flow_hash(const flow *of)
{
    const uint8_t *at = of->addresses;
    uint64_t hash = 0x2545f4914f6cdd1du + of->size;
    if (!at) {
        /* no flow: a constant */
    } else if (of->size == 4) {
        hash = flow_mix(hash, load_be64(at));
    } else if (of->size == 16) {
        hash = flow_mix(hash, load_be64(at));
        hash = flow_mix(hash, load_be64(at + 8));
        hash = flow_mix(hash, load_be64(at + 16));
        hash = flow_mix(hash, load_be64(at + 24));
    } else if (of->size == 6) {
        hash = flow_mix(hash, load_be64(at));
        hash = flow_mix(hash, load_be32(at + 8));
    }
    return flow_end(flow_mix(hash, (uint64_t)of->ports << 32 | of->protocol));
}

/* --- the flow of a header ---------------------------------------------------------- */

static const flow NO_FLOW = {NULL, 0, 0, 0};

/* Is there an extension header, or AH, in front of what an IP header carries? */
INLINE int precedes_transport(uint32_t kind)
{
    return kind >= ENCAP_HOPOPT && kind <= ENCAP_AH;
}

INLINE int has_ports(uint32_t kind)
{
    return kind >= ENCAP_TCP && kind <= ENCAP_SCTP;
}

/* The flow of the IP header in slot `slot`: for IPv6 the protocol is that behind the extension
 * headers, in a fragment as far as every fragment has them. */
INLINE flow flow_of_ip(const uint8_t *frame, uint32_t size, const encap_layers *layers,
                       uint32_t slot)
{
    const uint32_t old = layers->kind[slot] == ENCAP_IPV4;
    const uint8_t *header = span(frame, size, layers->offset[slot], old ? 20 : 40);
    if (!header)
        return NO_FLOW;
    flow found = {header + (old ? 12 : 8), old ? 4 : 16, header[old ? 9 : 6], 0};
    if (old && load_be16(header + 6) & 0x3fff)
        return found;
    for (slot++; slot < ENCAP_MAX_LAYERS; slot++) {
        const uint32_t kind = layers->kind[slot];
        const uint8_t *at = span(frame, size, layers->offset[slot], 4);
        if (!at)
            break;
        if (has_ports(kind))
            found.ports = load_be32(at);
        if (!precedes_transport(kind))
            break;
        found.protocol = at[0];
        if (kind == ENCAP_FRAGMENT && load_be16(at + 2) & 0xfff9)
            break;
    }
    return found;
}

INLINE flow flow_of_eth(const uint8_t *frame, uint32_t size, const encap_layers *layers,
                        uint32_t slot)
{
    const uint8_t *header = span(frame, size, layers->offset[slot], 14);
    return header ? (flow){header, 6, load_be16(header + 12), 0} : NO_FLOW;
}

INLINE flow flow_of_slot(const uint8_t *frame, uint32_t size, const encap_layers *layers,
                         uint32_t slot)
{
    switch (layers->kind[slot]) {
    case ENCAP_IPV4:
    case ENCAP_IPV6:
        return flow_of_ip(frame, size, layers, slot);
    case ENCAP_ETH:
        return flow_of_eth(frame, size, layers, slot);
    default:
        return NO_FLOW;
    }
}

/* The innermost flow: of the last IP header, or of an Ethernet header behind it. */
INLINE flow innermost_flow(const uint8_t *frame, uint32_t size, const encap_layers *layers)
{
    uint32_t slot = layers->count < ENCAP_MAX_LAYERS ? layers->count : ENCAP_MAX_LAYERS;
    while (slot--) {
        const uint32_t kind = layers->kind[slot];
        if (kind == ENCAP_IPV4 || kind == ENCAP_IPV6 || kind == ENCAP_ETH)
            return flow_of_slot(frame, size, layers, slot);
    }
    return NO_FLOW;
}

/* The fast hash of a walked packet's innermost flow. */
INLINE uint32_t flow_of(const uint8_t *frame, uint32_t size, const encap_layers *layers)
{
    const flow found = innermost_flow(frame, size, layers);
    return flow_hash(&found);
}

/* --- without a walk ------------------------------------------------------------- */

/* The flow of a transport that begins at `at`, of `size` octets; none where only a walk can tell.
 */
INLINE flow shortcut_ports(const encap_rules *rules, flow found, const uint8_t *at, uint64_t size)
{
    const uint32_t kind = rules->protocol[found.protocol];
    if (!(kind == ENCAP_TCP && size >= 20) && !(kind == ENCAP_UDP && size >= 8))
        return NO_FLOW;
    found.ports = load_be32(at);
    if (kind == ENCAP_UDP && rules->port[found.ports & 0xffff])
        return NO_FLOW;
    return found;
}

INLINE flow shortcut_ipv4(const encap_rules *rules, const uint8_t *header, uint64_t size)
{
    if (size < 28 || header[0] != 0x45 || load_be16(header + 6) & 0x3fff)
        return NO_FLOW;
    const uint32_t total = load_be16(header + 2);
    if (total && total < size)
        size = total < 20 ? 20 : total; /* too little for a transport: the walk shall tell */
    const flow found = {header + 12, 4, header[9], 0};
    return shortcut_ports(rules, found, header + 20, size - 20);
}

INLINE flow shortcut_ipv6(const encap_rules *rules, const uint8_t *header, uint64_t size)
{
    if (size < 48 || header[0] >> 4 != 6)
        return NO_FLOW;
    const uint32_t payload = load_be16(header + 4);
    if (payload && payload < size - 40)
        size = 40 + payload;
    const flow found = {header + 8, 16, header[6], 0};
    return shortcut_ports(rules, found, header + 40, size - 40);
}

/* What the walk would find in the usual packet: Ethernet with up to two tags, IPv4 without options
 * or IPv6, not a fragment, TCP or UDP that carries no tunnel. None for every other. */
INLINE flow shortcut(const encap_rules *rules, const uint8_t *frame, uint64_t size, uint32_t kind)
{
    uint64_t at = 0;
    if (UNLIKELY(size < 28)) /* of the shortest: IPv4 and UDP; two tags lie before that too */
        return NO_FLOW;
    if (kind == ENCAP_ETH) {
        at = 14;
        kind = rules->ethertype[load_be16(frame + 12)];
        for (int tags = 0; UNLIKELY(kind == ENCAP_VLAN) && tags < 2; tags++, at += 4)
            kind = rules->ethertype[load_be16(frame + at + 2)];
    } else if (kind == BY_VERSION) {
        kind = frame[0] >> 4 == 6 ? ENCAP_IPV6 : ENCAP_IPV4;
    }
    if (LIKELY(kind == ENCAP_IPV4))
        return shortcut_ipv4(rules, frame + at, size - at);
    if (kind == ENCAP_IPV6)
        return shortcut_ipv6(rules, frame + at, size - at);
    return NO_FLOW;
}

/* Every doubt ends here: apart, so that what is usual stays short. */
static uint32_t flow_by_walk(const encap_rules *rules, const uint8_t *frame, uint32_t size,
                             uint32_t kind, encap_layers *layers)
{
    walk_apart(rules, frame, size, kind, layers);
    return flow_of(frame, size, layers);
}

/* `flow_of` for a frame that no walk has seen, whose first header is `kind`, as `first_of` gives
 * it. `layers` is room for a walk where one is needed; what it holds afterwards means nothing. */
INLINE uint32_t flow_of_row(const encap_rules *rules, const uint8_t *frame, uint32_t size,
                            uint32_t kind, encap_layers *layers)
{
    const flow found = shortcut(rules, frame, size, kind);
    if (LIKELY(found.addresses != NULL))
        return flow_hash(&found);
    return flow_by_walk(rules, frame, size, kind, layers);
}

/* --- source ports ------------------------------------------------------------------ */

/* A UDP source port that tells the network the flow: RFC 7348 section 5, RFC 8926 section 3.3. */
INLINE uint16_t entropy_port(uint32_t hash, const encap_entropy *how)
{
    if (how->fold)
        hash = (how->fold == ENCAP_FOLD_LINUX ? hash : 0) ^ hash << 16;
    return (uint16_t)(how->low + (uint32_t)((uint64_t)hash * how->span >> 32));
}
