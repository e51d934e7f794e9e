/* What the host below a tunnel makes of its packets, in the pass that walks them and gathers
 * columns: where the outer IP header is and what it carries, where that ends, and which of the
 * checks that all tunnels share a packet does not pass. Their order is the kernel's: ip_rcv_core,
 * ip6_rcv_core and udp_rcv in Linux; RFC 1122 section 3.2.1, RFC 768.
 *
 * What was walked is read a second time here, and may have changed meanwhile: each read is checked
 * against the octets of the row. */

#define KIND_BIT(kind) (1u << (kind))
#define LINKS                                                                                      \
    (KIND_BIT(ENCAP_ETH) | KIND_BIT(ENCAP_SLL) | KIND_BIT(ENCAP_SLL2) | KIND_BIT(ENCAP_NULL) |     \
     KIND_BIT(ENCAP_VLAN))
#define EXTENSIONS                                                                                 \
    (KIND_BIT(ENCAP_HOPOPT) | KIND_BIT(ENCAP_ROUTING) | KIND_BIT(ENCAP_FRAGMENT) |                 \
     KIND_BIT(ENCAP_DSTOPTS) | KIND_BIT(ENCAP_AH))
#define PROTOCOL_UDP 17
#define FETCHED_ROWS 4 /* whose payload is asked for before it is summed */

/* A packet whose outer IP header is there. */
typedef struct arrived {
    const uint8_t *frame;
    uint64_t size;
    const encap_layers *layers;
    const uint8_t *header; /* of IP; its fixed part */
    uint32_t slot; /* its own, and that of what it carries */
    uint32_t upper_slot;
    uint32_t ip;
    uint32_t upper;
    uint64_t end; /* in what is here, and as the lengths say */
    uint64_t said;
    uint8_t protocol;
    uint8_t summed; /* 1: it has a UDP checksum */
} arrived;

/* The first slot from `slot` on whose kind is none of `kinds`. */
INLINE uint32_t skip_kinds(const encap_layers *layers, uint32_t slot, uint32_t kinds)
{
    while (slot < layers->count && kinds >> (layers->kind[slot] & 31) & 1)
        slot++;
    return slot;
}

/* Where the header in a slot begins, or behind the last one the payload. */
INLINE uint32_t slot_offset(const encap_layers *layers, uint32_t slot)
{
    return slot < layers->count ? layers->offset[slot] : layers->payload;
}

/* True where the header in a slot could not be read whole. */
INLINE int stopped_at(const encap_layers *layers, uint32_t slot)
{
    return layers->status != ENCAP_OK && layers->status != ENCAP_INCOMPLETE &&
           layers->status_layer == slot;
}

/* Finds the outer IP header of the kind `family`; 0 where the packet does not begin with one. */
INLINE int find_outer(arrived *now, uint32_t family)
{
    const encap_layers *layers = now->layers;
    now->slot = skip_kinds(layers, 0, LINKS);
    if (now->slot >= layers->count || layers->kind[now->slot] != family)
        return 0;
    now->ip = layers->offset[now->slot];
    now->header = span(now->frame, now->size, now->ip, family == ENCAP_IPV4 ? 20 : 40);
    if (!now->header)
        return 0;
    now->upper_slot = skip_kinds(layers, now->slot + 1, EXTENSIONS);
    now->upper = slot_offset(layers, now->upper_slot);
    return 1;
}

/* The protocol number of what IP carries, behind extension headers, all of which begin with it. */
INLINE uint8_t carried_protocol(const arrived *now, uint32_t family)
{
    if (family == ENCAP_IPV4)
        return now->header[9];
    if (LIKELY(now->upper_slot == now->slot + 1))
        return now->header[6];
    const uint32_t last = now->upper_slot - 1;
    const uint8_t *extension = span(now->frame, now->size, now->layers->offset[last], 1);
    return extension && !stopped_at(now->layers, last) ? *extension : NO_NEXT_HEADER;
}

/* True where behind an IPv6 header there is, or should be, an extension header to be looked at: any
 * but one of 8 octets with an encapsulation limit alone, which says nothing to the receiver.
 * RFC 2473 section 5.1. */
INLINE int is_extended(const arrived *now)
{
    static const uint8_t limit[7] = {0, 4, 1, 0, 1, 1, 0};
    const uint64_t behind = (uint64_t)now->ip + 40;
    if (LIKELY(now->upper == behind && now->protocol != NO_NEXT_HEADER))
        return 0;
    const uint8_t *at = span(now->frame, now->size, behind, 8);
    return !at || now->upper != behind + 8 || now->end < now->upper || now->header[6] != 60 ||
           memcmp(at + 1, limit, 3) || memcmp(at + 5, limit + 4, 3);
}

/* The host's own address, or one of a group, is what its network card takes in. */
INLINE int is_taken_in(const arrived *now, const encap_receiver *host)
{
    const uint8_t *mac = span(now->frame, now->size, 0, 6);
    return !host->has_mac || now->layers->kind[0] != ENCAP_ETH || !mac || *mac & 1 ||
           (words_32(mac) == words_32(host->mac) && words_16(mac + 4) == words_16(host->mac + 4));
}

INLINE int is_ours(const arrived *now, const encap_receiver *host)
{
    const int four = host->family == ENCAP_IPV4;
    const uint8_t *mine = now->header + (four ? 16 : 24), *its = host->addresses;
    int found = host->any_address;
    for (uint64_t i = 0; i < host->address_count && !found; i++, its += four ? 4 : 16)
        found =
            four ? words_32(mine) == words_32(its)
                 : load_be64(mine) == load_be64(its) && load_be64(mine + 8) == load_be64(its + 8);
    return found;
}

INLINE int is_header_sum_right(const arrived *now, pass_kernel *pass)
{
    const uint32_t end = slot_offset(now->layers, now->slot + 1);
    const uint64_t size = end - now->ip;
    return end > now->ip && span(now->frame, now->size, now->ip, size) &&
           fold_sum(sum_header(now->header, (uint32_t)size, pass)) == 0xffff;
}

/* Says where the IP header lets the packet end; 0 where that is behind all there was. */
INLINE int end_by_ip(arrived *now, uint32_t family)
{
    uint64_t said = now->said;
    if (family == ENCAP_IPV6)
        said = (uint64_t)now->ip + 40 + load_be16(now->header + 4);
    else if (load_be16(now->header + 2)) /* segmentation offload leaves 0 there */
        said = (uint64_t)now->ip + load_be16(now->header + 2);
    if (said > now->said)
        return 0;
    now->said = said;
    if (said < now->end)
        now->end = said;
    return 1;
}

/* The first check that a packet does not pass: enum encap_refusal. */
INLINE uint32_t refusal_by_host(arrived *now, const encap_receiver *host, pass_kernel *pass)
{
    if (!is_taken_in(now, host))
        return ENCAP_REFUSED_OTHER_HOST;
    if (stopped_at(now->layers, now->slot))
        return ENCAP_REFUSED_IP_HEADER;
    if (host->family == ENCAP_IPV4 && !is_header_sum_right(now, pass))
        return ENCAP_REFUSED_IP_CHECKSUM;
    if (!end_by_ip(now, host->family))
        return ENCAP_REFUSED_IP_LENGTH;
    if (!is_ours(now, host))
        return ENCAP_REFUSED_NOT_OURS;
    return now->layers->status == ENCAP_INCOMPLETE && now->layers->status_layer < now->upper_slot
               ? ENCAP_REFUSED_FRAGMENT
               : ENCAP_NOT_REFUSED;
}

/* The sum of a datagram and of its pseudo header: RFC 768, RFC 8200 section 8.1. */
INLINE int is_udp_sum_right(const arrived *now, uint32_t family, pass_kernel *pass)
{
    const uint32_t size = (uint32_t)(now->end - now->upper);
    const uint8_t *header = now->header;
    uint64_t sum = (uint64_t)big16(PROTOCOL_UDP) + big16((uint16_t)size) +
                   sum_span(0, NULL, now->frame + now->upper, size, pass);
    if (family == ENCAP_IPV4)
        sum += words_32(header + 12) + words_32(header + 16);
    else
        sum += words_64(header + 8) + words_64(header + 16) + words_64(header + 24) +
               words_64(header + 32);
    return fold_sum(sum) == 0xffff;
}

/* ENCAP_UDP_ bits of a packet that carries UDP; its length ends the packet. */
INLINE uint8_t look_at_udp(arrived *now, uint32_t family, pass_kernel *pass)
{
    const uint8_t *udp = span(now->frame, now->size, now->upper, 8);
    const uint32_t length = udp ? load_be16(udp + 4) : 0;
    if (now->said < now->upper || length > now->said - now->upper || length < 8 ||
        stopped_at(now->layers, now->upper_slot))
        return ENCAP_UDP_LENGTH;
    now->said = now->upper + length;
    if (now->said < now->end)
        now->end = now->said;
    if (!words_16(udp + 6))
        return ENCAP_UDP_ZERO;
    now->summed = 1;
    /* What a capture has cut off cannot be verified. */
    if (now->end < now->said || now->end > now->size)
        return 0;
    return is_udp_sum_right(now, family, pass) ? 0 : ENCAP_UDP_CHECKSUM;
}

/* A number that is wanted, too, of a packet that has an outer IP header. */
INLINE uint64_t peek(const arrived *now, uint64_t at, uint64_t width)
{
    const uint8_t *found = span(now->frame, now->size, now->upper + at, width);
    if (!found)
        return 0;
    if (LIKELY(width == 8))
        return load_be64(found);
    if (width == 6)
        return (uint64_t)load_be16(found) << 32 | load_be32(found + 2);
    uint64_t value = 0;
    for (uint64_t i = 0; i < width; i++)
        value = value << 8 | found[i];
    return value;
}

/* One row into out->...[row]. */
INLINE void receive_row(arrived *now, const encap_receiver *host, const encap_received *out,
                        uint64_t row, pass_kernel *pass)
{
    uint32_t refused = ENCAP_REFUSED_NO_IP;
    uint8_t flags = 0, tos = 0;
    if (LIKELY(find_outer(now, host->family))) {
        refused = refusal_by_host(now, host, pass);
        now->protocol = carried_protocol(now, host->family);
        tos = host->family == ENCAP_IPV4 ? now->header[1]
                                         : (uint8_t)(load_be16(now->header) >> 4 & 0xff);
        if (stopped_at(now->layers, now->upper_slot))
            flags = ENCAP_BROKEN_ABOVE;
        if (host->family == ENCAP_IPV6 && is_extended(now))
            flags |= ENCAP_EXTENDED;
        if (host->udp && refused == ENCAP_NOT_REFUSED && now->protocol == PROTOCOL_UDP)
            flags |= look_at_udp(now, host->family, pass);
    }
    for (uint32_t i = 0; i < ENCAP_PEEKS && host->peek_width[i]; i++) {
        const uint32_t width = host->peek_width[i] < 8 ? host->peek_width[i] : 8;
        out->peeked[i][row] =
            refused == ENCAP_REFUSED_NO_IP ? 0 : peek(now, host->peek_at[i], width);
    }
    out->ip[row] = now->ip;
    out->upper[row] = now->upper;
    out->end[row] = (int64_t)now->end;
    out->said[row] = (int64_t)now->said;
    out->protocol[row] = now->protocol;
    out->tos[row] = tos;
    out->reasons[row] = host->reasons[refused];
    out->flags[row] = flags;
}

/* Asks for the octets of a row that may be summed, of which the first ones have been read. */
INLINE void prefetch_payload(const walked_block *block, uint32_t i)
{
    if (i >= block->count)
        return;
    const uint32_t size = block->sizes[i] < MOST_FETCHED ? block->sizes[i] : MOST_FETCHED;
    for (uint32_t at = 128; at < size; at += 64)
        prefetch((uintptr_t)block->frames[i] + at);
}

/* The rows of a block, which begins with row `first`; `summed`: those before had UDP checksums.
 * Gives whether these have. */
INLINE int receive_block(const walked_block *block, const encap_batch *batch, uint64_t first,
                         const encap_receiver *host, const encap_received *out, int summed,
                         pass_kernel *pass)
{
    int found = 0;
    for (uint32_t i = 0; i < block->count; i++) {
        const uint64_t size = block->sizes[i], wire = batch->wire_lengths[first + i];
        arrived now = {.frame = block->frames[i],
                       .size = size,
                       .layers = &block->layers[i],
                       .end = size,
                       .said = wire > size ? wire : size};
        if (summed)
            prefetch_payload(block, i + FETCHED_ROWS);
        receive_row(&now, host, out, first + i, pass);
        found |= now.summed;
    }
    return found;
}

/* Columns as columns_rows gathers them, and what is received. */
INLINE void receive_rows(const encap_batch *batch, const encap_rules *rules, uint64_t begin,
                         uint64_t end, encap_paths *paths, int8_t *slots,
                         const encap_column *columns, uint32_t column_count, uint8_t *const *outs,
                         const encap_receiver *host, const encap_received *out,
                         rows_kernel *walk_rows, pass_kernel *pass)
{
    /* Copies of its own: no octet that is written can change them. */
    const encap_receiver me = *host;
    const encap_received to = *out;
    encap_layers layers[BLOCK];
    uint16_t path_ids[BLOCK];
    walked_block block;
    uint32_t known = 0;
    int summed = 0;
    block.layers = layers;
    block.path_ids = path_ids;
    for (uint64_t first = begin; first < end; first += BLOCK) {
        block.count = (uint32_t)(end - first < BLOCK ? end - first : BLOCK);
        walk_rows(batch, rules, first, first + block.count, end, paths, layers, path_ids);
        known =
            columns_block(&block, batch, first, paths, known, slots, columns, column_count, outs);
        summed = receive_block(&block, batch, first, &me, &to, summed, pass);
    }
}
