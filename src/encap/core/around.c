/* What stands around a datagram that became longer or shorter: the lengths in front of it say so,
 * and the checksums of tunnels, which cover it, are made anew. */

#define MAX_IP_LEN 65535

/* Where a header counts octets: in the two at `at`, those from `base` on, `most` of them. */
typedef struct counting {
    uint32_t at;
    uint32_t base;
    uint32_t most;
} counting;

/* How many octets of a header are looked at here. */
INLINE uint32_t looked_at(uint32_t kind)
{
    switch (kind) {
    case ENCAP_ETH:
        return 14;
    case ENCAP_IPV4:
        return 20;
    case ENCAP_IPV6:
        return 40;
    case ENCAP_UDP:
    case ENCAP_FRAGMENT:
    case ENCAP_VXLAN:
    case ENCAP_GPE:
    case ENCAP_GENEVE:
        return 8;
    case ENCAP_VLAN:
    case ENCAP_MPLS:
    case ENCAP_GUE:
    case ENCAP_GRE:
    case ENCAP_ERSPAN:
        return 4;
    default:
        return 2; /* no header is shorter */
    }
}

/* True where the headers up to slot `last` stand behind each other in `size` octets, as those that
 * a walk has found do. */
INLINE int headers_stand(const encap_layers *layers, uint32_t last, uint32_t size)
{
    uint32_t end = 0;
    for (uint32_t slot = 0; slot <= last; slot++) {
        const uint32_t kind = layers->kind[slot];
        if (kind == ENCAP_NONE || kind >= ENCAP_KINDS || layers->offset[slot] < end)
            return 0;
        end = layers->offset[slot] + looked_at(kind);
    }
    return end <= size;
}

/* Whether and where a header counts what it carries. A length of 0 was left to a NIC and stays. */
INLINE int is_counting(const uint8_t *header, uint32_t kind, counting *found)
{
    switch (kind) {
    case ENCAP_ETH:
        *found = (counting){12, 14, MAX_LLC_LENGTH};
        return load_be16(header + 12) <= MAX_LLC_LENGTH;
    case ENCAP_VLAN:
        *found = (counting){2, 4, MAX_LLC_LENGTH};
        return load_be16(header + 2) <= MAX_LLC_LENGTH;
    case ENCAP_IPV4:
        *found = (counting){2, 0, MAX_IP_LEN};
        return load_be16(header + 2) != 0;
    case ENCAP_IPV6:
        *found = (counting){4, 40, MAX_IP_LEN};
        return load_be16(header + 4) || header[6] == NO_NEXT_HEADER;
    case ENCAP_UDP:
        *found = (counting){4, 0, MAX_IP_LEN};
        return load_be16(header + 4) != 0;
    default:
        return 0;
    }
}

/* True where the headers in front of slot `slot` can say that the frame has `size` octets. */
INLINE int fits_around(const uint8_t *frame, const encap_layers *layers, uint32_t slot,
                       uint64_t size)
{
    counting c;
    for (uint32_t before = 0; before < slot; before++) {
        const uint32_t at = layers->offset[before];
        if (is_counting(frame + at, layers->kind[before], &c) && size - at - c.base > c.most)
            return 0;
    }
    return 1;
}

/* Changes the `width` octets in front of an IPv4 header's checksum that begin at `header`, and the
 * checksum with them (RFC 1624): a wrong one stays as wrong. */
INLINE void change_ipv4(uint8_t *header, const uint8_t *made, uint32_t width)
{
    const uint32_t change = octets_change(header, made, width);
    memcpy(header, made, width);
    move_checksum(header + 10, change, 0);
}

/* Checksums over the datagram, of the headers in front of slot `slot`, innermost first. */
static void sum_around(uint8_t *frame, uint32_t size, const encap_layers *layers, uint32_t slot,
                       const encap_cover *covers, sum_kernel *sum)
{
    encap_layers known = *layers;
    reach reaches[ENCAP_MAX_LAYERS];
    known.count = (uint8_t)slot;
    known.status = ENCAP_OK;
    find_reaches(frame, size, size, &known, reaches);
    for (uint32_t before = slot; before-- > 0;) {
        const encap_cover *cover = &covers[layers->kind[before]];
        const uint32_t start = layers->offset[before], end = reaches[before].end;
        if (cover->covers != ENCAP_COVERS_REST || cover->algorithm != ENCAP_INTERNET ||
            end - start < cover->at + 2u || !has_checksum(cover, frame + start, size - start) ||
            missing(&reaches[before], cover))
            continue;
        if (!cover->zero || words_16(frame + start + cover->at))
            recompute(frame, size, layers, &reaches[before], cover, before, sum);
    }
}

/* Makes the headers in front of slot `slot` say that the frame has `size` octets, which they can.
 * They stand, and in front of the header in `slot`. */
static void resize_around(uint8_t *frame, uint32_t size, const encap_layers *layers, uint32_t slot,
                          const encap_cover *covers, sum_kernel *sum)
{
    uint32_t summed = 0;
    counting c;
    for (uint32_t before = 0; before < slot; before++) {
        const uint32_t at = layers->offset[before], kind = layers->kind[before];
        uint8_t made[4];
        summed |= covers[kind].covers == ENCAP_COVERS_REST;
        if (!is_counting(frame + at, kind, &c))
            continue;
        if (kind != ENCAP_IPV4) {
            store_wide(frame + at + c.at, size - at - c.base, 2);
            continue;
        }
        memcpy(made, frame + at, sizeof made);
        store_wide(made + c.at, size - at, 2);
        change_ipv4(frame + at, made, sizeof made);
    }
    if (summed)
        sum_around(frame, size, layers, slot, covers, sum);
}
