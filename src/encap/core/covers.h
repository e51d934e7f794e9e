#ifndef ENCAP_COVERS_H
#define ENCAP_COVERS_H

/* How far the headers of a walked packet reach, and what the checksums in them cover. Whatever
 * judges or changes checksums asks here; encap.verify is the twin for single packets.
 *
 * A datagram ends where the innermost length around it says, whatever trails behind: UDP's own
 * length, or that of the IP header in front. Where that is further than what is there, be it the
 * capture or an outer length that ends before, octets are missing and no sum can be made.
 *
 * The packet may change while it is looked at, so what was read twice is never trusted to be the
 * same: every end lies in the frame, and not before the header that it belongs to. */

#define REACH_CUT 0x01      /* octets are missing at the end */
#define REACH_FRAGMENT 0x02 /* the header stands in a fragment */
#define REACH_BROKEN 0x04   /* it could not be read whole, so it does not say what it covers */
#define REACH_MISSING (REACH_CUT | REACH_FRAGMENT | REACH_BROKEN)
#define REACH_UNSURE 0x08   /* the IP header leaves the length to a NIC: the end is a guess */
#define REACH_ROUTED 0x10   /* a routing header stands between the IP header in front and here */

#define NO_SLOT 0xff

typedef struct reach {
    uint32_t end;    /* where the header and what it carries end, from the start of the frame */
    uint32_t length; /* how many octets that is from its start, the missing ones included */
    uint8_t network; /* the slot of the nearest IP header in front, or NO_SLOT */
    uint8_t flags;   /* REACH_ bits */
} reach;

/* What the headers so far have said. */
typedef struct reaching {
    uint32_t end;  /* of what is there */
    uint32_t said; /* the same, had nothing been cut */
    uint8_t network;
    uint8_t flags;
} reaching;

/* The header at `at` says that it and all it carries have `length` octets. */
INLINE void reach_to(reaching *now, uint32_t at, uint32_t length)
{
    now->said = at + length;
    if (now->said < now->end)
        now->end = now->said;
}

/* Takes over what the header in `slot`, of which the fixed part is there, says of its end. */
INLINE void reach_by(reaching *now, const uint8_t *header, uint32_t kind, uint32_t at)
{
    uint32_t length;
    switch (kind) {
    case ENCAP_ETH:
        length = load_be16(header + 12);
        if (UNLIKELY(length <= MAX_LLC_LENGTH))
            reach_to(now, at, 14 + length);
        break;
    case ENCAP_VLAN:
        length = load_be16(header + 2);
        if (UNLIKELY(length <= MAX_LLC_LENGTH))
            reach_to(now, at, 4 + length);
        break;
    case ENCAP_IPV4:
        length = load_be16(header + 2);
        now->flags &= REACH_FRAGMENT;
        if (LIKELY(length))
            reach_to(now, at, length);
        else
            now->flags |= REACH_UNSURE;
        break;
    case ENCAP_IPV6:
        length = load_be16(header + 4);
        now->flags &= REACH_FRAGMENT;
        if (LIKELY(length || header[6] == NO_NEXT_HEADER))
            reach_to(now, at, 40 + length);
        else
            now->flags |= REACH_UNSURE;
        break;
    case ENCAP_UDP:
        length = load_be16(header + 4);
        if (LIKELY(length)) {
            reach_to(now, at, length);
            now->flags &= (uint8_t)~REACH_UNSURE;
        }
        break;
    default:
        break;
    }
}

/* What the headers behind the one in `slot` find in front of them. */
INLINE void reach_on(reaching *now, const uint8_t *header, uint32_t kind, uint32_t slot)
{
    if (is_ip(kind))
        now->network = (uint8_t)slot;
    if (kind == ENCAP_IPV4 && UNLIKELY(load_be16(header + 6) & 0x3fff))
        now->flags |= REACH_FRAGMENT;
    if (UNLIKELY(kind == ENCAP_FRAGMENT) && load_be16(header + 2) & 0xfff9)
        now->flags |= REACH_FRAGMENT;
    if (UNLIKELY(kind == ENCAP_ROUTING))
        now->flags |= REACH_ROUTED;
}

/* True for the header at which the walk stopped because of the header itself. */
INLINE int is_broken(const encap_layers *layers, uint32_t slot)
{
    return layers->status >= ENCAP_TRUNCATED && layers->status <= ENCAP_UNSUPPORTED &&
           layers->status_layer == slot;
}

/* reaches[slot] for each header of a packet that was walked: `size` octets are there of
 * `wire_length` that there were. */
INLINE void find_reaches(const uint8_t *frame, uint32_t size, uint32_t wire_length,
                         const encap_layers *layers, reach reaches[ENCAP_MAX_LAYERS])
{
    reaching now = {size, wire_length > size ? wire_length : size, NO_SLOT, 0};
    for (uint32_t slot = 0; slot < layers->count; slot++) {
        const uint32_t kind = layers->kind[slot], at = layers->offset[slot];
        const uint8_t *header = frame + at;
        reach *mine = &reaches[slot];
        mine->network = now.network;
        if (UNLIKELY(is_broken(layers, slot))) /* the last one; its length means nothing */
            now.flags |= REACH_BROKEN;
        else
            reach_by(&now, header, kind, at);
        mine->end = now.end > at ? now.end : at;
        mine->length = now.said > at ? now.said - at : 0;
        mine->flags = (uint8_t)(now.flags | (now.said > now.end ? REACH_CUT : 0));
        reach_on(&now, header, kind, slot);
    }
}

/* Fills *layers and *noted from a frame whose first header is `kind`. */
INLINE void reach_frame(const encap_rules *rules, const uint8_t *frame, uint32_t size,
                        uint32_t kind, encap_layers *layers, reaches_noted *noted)
{
    walk w = {.rules = rules, .recording = RECORD_REACHES, .layers = layers, .noted = noted};
    memset(layers->kind, 0, sizeof layers->kind);
    noted->odd = 0;
    begin_walk(&w, frame, size);
    walk_packet(&w, kind);
    noted->end[w.count] = w.end;
    noted->odd |= layers->status;
    layers->payload = w.at;
    layers->end = w.end;
    layers->count = (uint8_t)w.count;
}

/* What find_reaches gives for a header in a packet in which nothing is odd; `network` is the slot
 * of the nearest IP header in front. */
INLINE reach plain_reach(const encap_layers *layers, const reaches_noted *noted, uint32_t slot,
                         uint8_t network)
{
    const uint32_t end = noted->end[slot + 1];
    return (reach){end, end - layers->offset[slot], network, 0};
}

/* Where the header in `slot` ends, options and all; it is not broken. */
INLINE uint32_t header_end(const encap_layers *layers, uint32_t slot)
{
    return slot + 1 < layers->count ? layers->offset[slot + 1] : layers->payload;
}

/* True when the header has a checksum, be it one that says that there is none. */
INLINE int has_checksum(const encap_cover *cover, const uint8_t *header, uint64_t size)
{
    return cover->covers != ENCAP_COVERS_NOTHING &&
           (!cover->optional || holds(&cover->there, header, size));
}

/* The end of the octets that the checksum of the header in `slot` covers: they begin where the
 * header does. Those of a header alone are never missing, unless it is broken. */
INLINE uint32_t covered_end(const encap_layers *layers, const reach *mine, const encap_cover *cover,
                            uint32_t slot)
{
    return cover->covers == ENCAP_COVERS_HEADER ? header_end(layers, slot) : mine->end;
}

/* The REACH_ bits that say why the checksum of a header cannot be computed; 0 when it can. */
INLINE uint32_t missing(const reach *mine, const encap_cover *cover)
{
    const uint32_t matters = cover->covers == ENCAP_COVERS_HEADER ? REACH_BROKEN : REACH_MISSING;
    return mine->flags & matters;
}

/* --- the pseudo header -------------------------------------------------------- */

/* The last address on the way, which a routing header at `at` lists: RFC 8200 section 8.1. NULL
 * where it does not, or no node is left to be visited. */
static const uint8_t *final_destination(const uint8_t *frame, uint32_t size, uint32_t at)
{
    const uint8_t *header = span(frame, size, at, 8);
    if (!header || !header[3])
        return NULL;
    const uint32_t octets = 8u * header[1], type = header[2];
    if (octets < 16 || !span(frame, size, at, 8 + (uint64_t)octets))
        return NULL;
    if (type == 2 || type == 4) /* mobility has one; segments are listed last first */
        return header + 8;
    return type == 0 ? header + 8 + (octets / 16 - 1) * 16 : NULL;
}

/* The final destination by the routing headers between two slots, the last one that says one. */
static const uint8_t *routed_to(const uint8_t *frame, uint32_t size, const encap_layers *layers,
                                uint32_t network, uint32_t slot)
{
    for (uint32_t at = slot; at-- > network + 1;) {
        const uint8_t *found = NULL;
        if (layers->kind[at] == ENCAP_ROUTING)
            found = final_destination(frame, size, layers->offset[at]);
        if (found)
            return found;
    }
    return NULL;
}

INLINE uint64_t words_64(const uint8_t *at)
{
    return words_32(at) + words_32(at + 4);
}

/* The sum of the pseudo header of the header in `slot`, words as they lie in memory, not folded;
 * 0 where no IP header is in front. RFC 9293 section 3.1, RFC 768, RFC 8200 section 8.1. */
INLINE uint64_t pseudo_sum(const uint8_t *frame, uint32_t size, const encap_layers *layers,
                           const reach *mine, const encap_cover *cover, uint32_t slot)
{
    if (mine->network == NO_SLOT)
        return 0;
    const uint8_t *header = frame + layers->offset[mine->network], *final = NULL;
    const uint64_t sum = (uint64_t)big16(cover->protocol) + big16((uint16_t)mine->length) +
                         big16((uint16_t)(mine->length >> 16));
    if (UNLIKELY(mine->flags & REACH_ROUTED))
        final = routed_to(frame, size, layers, mine->network, slot);
    if (layers->kind[mine->network] == ENCAP_IPV4)
        return sum + words_32(header + 12) +
               (final ? words_64(final) + words_64(final + 8) : words_32(header + 16));
    final = final ? final : header + 24;
    return sum + words_64(header + 8) + words_64(header + 16) + words_64(final) +
           words_64(final + 8);
}

#endif
