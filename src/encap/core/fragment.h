#ifndef ENCAP_FRAGMENT_H
#define ENCAP_FRAGMENT_H

/* One fragment: where its octets are, and what tells which datagram they belong to.
 *
 * Fragments belong together by addresses, id and, of IPv4, protocol (RFC 791 section 3.2, RFC 8200
 * section 4.5), and by what stands in front: VLAN ids, MPLS labels, the id of every tunnel. A
 * tunnel without an id is known by its addresses. One with an id is not, since a host behind two
 * endpoints may send by both. */

typedef struct fragment {
    uint32_t key[ENCAP_KEY_WORDS];
    uint32_t words;
    uint32_t offset; /* of its octets in the datagram */
    uint32_t size;
    uint32_t more;
    uint32_t head; /* octets of the frame in front of them */
    uint32_t ecn;
    uint32_t six;
    uint32_t own; /* the slots of the header that says: a fragment, and of its IP header */
    uint32_t slot;
    uint64_t row;
    uint64_t hash;
    uint64_t at; /* of its octets in the batch's data */
} fragment;

INLINE uint64_t mix(uint64_t hash, uint64_t word)
{
    hash = (hash ^ word) * 0x9e3779b97f4a7c15u;
    return hash ^ hash >> 32;
}

/* In nests deeper than the key has room for, its last two words stand for all that follow. */
INLINE void key_add(fragment *f, uint32_t word)
{
    if (LIKELY(f->words < ENCAP_KEY_WORDS)) {
        f->key[f->words++] = word;
        return;
    }
    uint32_t *last = &f->key[ENCAP_KEY_WORDS - 2];
    const uint64_t mixed = mix((uint64_t)last[0] << 32 | last[1], word);
    last[0] = (uint32_t)(mixed >> 32);
    last[1] = (uint32_t)mixed;
}

INLINE void key_addresses(fragment *f, const uint8_t *header, uint32_t kind)
{
    const uint32_t at = kind == ENCAP_IPV4 ? 12 : 8, size = kind == ENCAP_IPV4 ? 8 : 32;
    for (uint32_t i = 0; i < size; i += 4)
        key_add(f, load_be32(header + at + i));
}

/* The key of a GRE header, where it has one. */
INLINE const uint8_t *gre_key(const uint8_t *frame, uint32_t size, uint32_t at)
{
    const uint32_t flags = load_be16(frame + at);
    return flags & 0x2000 ? span(frame, size, at + 4 + (flags & 0xc000 ? 4u : 0), 4) : NULL;
}

/* Adds what stands in front of the IP header in slot `slot`. */
INLINE void key_around(fragment *f, const uint8_t *frame, uint32_t size, const encap_layers *layers,
                       uint32_t slot)
{
    uint32_t network = NO_SLOT; /* of an IP header that carries what is not known by an id */
    for (uint32_t before = 0; before < slot; before++) {
        const uint32_t kind = layers->kind[before], at = layers->offset[before];
        const uint8_t *header = frame + at, *id = NULL;
        switch (kind) {
        case ENCAP_VLAN:
            key_add(f, kind << 24 | (load_be16(header) & 0xfffu));
            break;
        case ENCAP_MPLS:
            key_add(f, kind << 24 | load_be32(header) >> 12);
            break;
        case ENCAP_VXLAN:
        case ENCAP_GPE:
        case ENCAP_GENEVE:
            key_add(f, kind << 24 | load_be32(header + 4) >> 8);
            network = NO_SLOT;
            break;
        case ENCAP_ERSPAN:
            key_add(f, kind << 24 | (load_be16(header + 2) & 0x3ffu));
            network = NO_SLOT;
            break;
        case ENCAP_GRE:
            id = gre_key(frame, size, at);
            key_add(f, kind << 24 | (id != NULL));
            if (id) {
                key_add(f, load_be32(id));
                network = NO_SLOT;
            }
            break;
        case ENCAP_IPV4:
        case ENCAP_IPV6:
            if (network != NO_SLOT)
                key_addresses(f, frame + layers->offset[network], layers->kind[network]);
            key_add(f, kind << 24);
            network = before;
            break;
        default:
            break;
        }
    }
    if (network != NO_SLOT)
        key_addresses(f, frame + layers->offset[network], layers->kind[network]);
}

INLINE void make_key(fragment *f, const uint8_t *frame, uint32_t size, const encap_layers *layers,
                     uint32_t own, uint32_t slot)
{
    const uint8_t *ip = frame + layers->offset[slot], *header = frame + layers->offset[own];
    f->words = 2;
    f->key[0] = f->six ? 0x600u : 0x400u | ip[9];
    f->key[1] = f->six ? load_be32(header + 4) : load_be16(ip + 4);
    key_addresses(f, ip, layers->kind[slot]);
    key_around(f, frame, size, layers, slot);
    f->hash = 0;
    for (uint32_t i = 0; i < f->words; i++)
        f->hash = mix(f->hash, f->key[i]);
}

/* Octets from `at` to the end of the first header above IPv6, through extension headers: as much
 * of it as Linux wants in a first fragment (RFC 8200 section 4.5, RFC 7112). More than `left` where
 * it is not all there. */
static uint32_t chain_len(const uint8_t *at, uint32_t left, uint32_t next)
{
    uint32_t used = 0; /* grows by 8 or more each time round, and stays within `left` */
    for (;;) {
        uint32_t size;
        switch (next) {
        case 0:
        case 43:
        case 44:
        case 51:
        case 60:
            break;
        case 6:
            return used + 20;
        case 17:
        case 58:
            return used + 8;
        case NO_NEXT_HEADER:
            return used;
        default:
            return used + 1;
        }
        if (left - used < 8)
            return left + 1;
        size = next == 44 ? 8 : next == 51 ? 8 + 4u * at[used + 1] : 8 + 8u * at[used + 1];
        if (left - used < size)
            return left + 1;
        next = at[used];
        used += size;
    }
}

/* The slot of the header that says that the packet is a fragment: the first one that does. */
INLINE uint32_t find_own(const uint8_t *frame, uint32_t size, const encap_layers *layers)
{
    for (uint32_t slot = 0; slot < layers->count && slot < ENCAP_MAX_LAYERS; slot++) {
        const uint32_t kind = layers->kind[slot];
        const uint8_t *header = NULL;
        if (kind == ENCAP_IPV4)
            header = span(frame, size, layers->offset[slot], 20);
        else if (kind == ENCAP_FRAGMENT)
            header = span(frame, size, layers->offset[slot], 8);
        if (header &&
            (kind == ENCAP_IPV4 ? load_be16(header + 6) & 0x3fff : load_be16(header + 2) & 0xfff9))
            return slot;
    }
    return NO_SLOT;
}

/* Reads a fragment; ENCAP_LOSTS, or why it cannot be part of a datagram. */
static uint32_t read_fragment(const encap_batch *batch, uint64_t row, const encap_layers *layers,
                              uint32_t own, uint32_t slot, fragment *f)
{
    const frame_span frame = row_octets(batch, row);
    const uint32_t size = (uint32_t)frame.size;
    reach reaches[ENCAP_MAX_LAYERS];
    encap_layers known = *layers;
    f->row = row;
    if (own >= ENCAP_MAX_LAYERS || slot > own || !headers_stand(&known, own, size))
        return ENCAP_LOST_MALFORMED;
    known.count = (uint8_t)(own + 1);
    known.status = ENCAP_OK;
    find_reaches(frame.at, size, batch->wire_lengths[row], &known, reaches);
    const uint32_t ip_at = known.offset[slot], at = known.offset[own], end = reaches[own].end;
    const uint8_t *ip = frame.at + ip_at, *header = frame.at + at;
    f->own = own;
    f->slot = slot;
    f->six = known.kind[slot] == ENCAP_IPV6;
    if (known.kind[own] != (f->six ? ENCAP_FRAGMENT : ENCAP_IPV4) || (!f->six && own != slot))
        return ENCAP_LOST_MALFORMED;
    const uint32_t field = load_be16(header + (f->six ? 2 : 6));
    f->offset = f->six ? field & 0xfff8 : (field & 0x1fff) * 8;
    f->more = f->six ? field & 1 : field >> 13 & 1;
    f->ecn = 1u << (f->six ? ip[1] >> 4 & 3 : ip[1] & 3);
    f->head = at + (f->six ? 8 : (header[0] & 15u) * 4);
    if (reaches[own].flags & REACH_UNSURE || (!f->six && f->head < at + 20))
        return ENCAP_LOST_MALFORMED;
    if (reaches[own].flags & REACH_CUT)
        return ENCAP_LOST_CUT;
    if (f->head >= end || (f->more && (end - f->head) & 7))
        return ENCAP_LOST_MALFORMED;
    f->size = end - f->head;
    f->at = (uint64_t)(frame.at - batch->data) + f->head;
    if (f->six && !f->offset && chain_len(header + 8, f->size, header[0]) > f->size)
        return ENCAP_LOST_CHAIN;
    make_key(f, frame.at, size, &known, own, slot);
    return ENCAP_LOSTS;
}

#endif
