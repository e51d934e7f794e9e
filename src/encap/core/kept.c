/* pcapng files written anew: the blocks of packets with other octets, all else as it was.
 * draft-ietf-opsawg-pcapng sections 4.3, 4.4, 4.6 and appendix A.
 *
 * The octets of a file stay in memory while its packets are worked on. Each row that is
 * written names the packet block it comes from; that block is copied, and what is not true
 * any more is written over. Blocks between those of packets are copied as they are. */

enum {
    BLOCK_STATISTICS = 5,
    BLOCK_STATISTICS_LEN = 24, /* without options */
    BLOCK_CUSTOM_PRIVATE = 0x40000BAD, /* not to be copied into another file */
    OPTION_END = 0,
    OPTION_FLAGS = 2,
    OPTION_HASH = 3,
    OPTION_CUSTOM_PRIVATE = 19372, /* and the next one: not to be copied */
    FLAGS_CHECKSUM = 0xE00, /* not ready, valid, segmentation offloaded */
    FLAGS_FCS_SHIFT = 5,
    FLAGS_FCS = 0xF << FLAGS_FCS_SHIFT
};

/* The whole block at `at`, and its length, or NULL. */
INLINE const uint8_t *block_at(const uint8_t *data, uint64_t size, uint64_t at, int big_endian,
                               uint32_t *total)
{
    const uint8_t *block = span(data, size, at, BLOCK_LEN);
    if (block == NULL)
        return NULL;
    *total = capture_load32(block + 4, big_endian);
    return *total >= BLOCK_LEN && *total % 4 == 0 ? span(data, size, at, *total) : NULL;
}

INLINE int is_packet(uint32_t type)
{
    return type == BLOCK_PACKET || type == BLOCK_SIMPLE || type == BLOCK_OLD_PACKET;
}

INLINE uint64_t padded(uint64_t size)
{
    return (size + 3) & ~(uint64_t)3;
}

/* --- one packet ---------------------------------------------------------- */

/* The block that a row comes from. */
typedef struct packet_block {
    const uint8_t *block;
    const uint8_t *octets;
    const uint8_t *options;
    uint64_t count;
    uint32_t total;
    uint32_t type;
    uint32_t owner;
    uint32_t length;
    uint32_t wire_length;
    uint32_t option_len;
} packet_block;

/* Not 0 where there is no such block: what was read once is read again, so there is. */
INLINE int packet_read(const encap_kept *kept, uint64_t number, int big_endian,
                       packet_block *packet)
{
    packet->block = block_at(kept->octets, kept->size, (uint64_t)kept->packets[number], big_endian,
                             &packet->total);
    if (packet->block == NULL)
        return -1;
    packet->type = capture_load32(packet->block, big_endian);
    packet->owner = 0;
    packet->count = 0;
    if (packet->type == BLOCK_SIMPLE) {
        if (packet->total < BLOCK_SIMPLE_LEN || kept->interface_count == 0)
            return -1;
        const uint32_t limit = kept->interfaces[0].snaplen;
        packet->wire_length = capture_load32(packet->block + 8, big_endian);
        packet->length = limit != 0 && packet->wire_length > limit ? limit : packet->wire_length;
        packet->octets = packet->block + 12;
        packet->option_len = 0;
        packet->options = packet->octets;
        return packet->length > packet->total - BLOCK_SIMPLE_LEN;
    }
    if (packet->total < BLOCK_PACKET_LEN || !is_packet(packet->type))
        return -1;
    packet->owner = packet->type == BLOCK_PACKET ? capture_load32(packet->block + 8, big_endian)
                                                 : capture_load16(packet->block + 8, big_endian);
    packet->count = (uint64_t)capture_load32(packet->block + 12, big_endian) << 32 |
                    capture_load32(packet->block + 16, big_endian);
    packet->length = capture_load32(packet->block + 20, big_endian);
    packet->wire_length = capture_load32(packet->block + 24, big_endian);
    packet->octets = packet->block + 28;
    if (packet->length > packet->total - BLOCK_PACKET_LEN || packet->owner >= kept->interface_count)
        return -1;
    /* No underflow: the total is a multiple of 4 too. */
    packet->option_len = (uint32_t)(packet->total - BLOCK_PACKET_LEN - padded(packet->length));
    packet->options = packet->octets + padded(packet->length);
    return 0;
}

INLINE int same_octets(const packet_block *packet, const frame_span *frame)
{
    return frame->size == packet->length && (frame->at == packet->octets || frame->size == 0 ||
                                             memcmp(frame->at, packet->octets, frame->size) == 0);
}

/* Whether the frame is as long as the packet, and ends with the same `size` octets. */
INLINE int same_end(const packet_block *packet, const frame_span *frame, uint64_t size)
{
    if (frame->size != packet->length)
        return 0;
    size = size < frame->size ? size : frame->size;
    return size == 0 || memcmp(frame->at + frame->size - size,
                               packet->octets + packet->length - size, size) == 0;
}

/* The count that stands for a time; 0 where the interface has none. */
static int interface_count(const encap_interface *interface, int64_t time, uint64_t *count)
{
    *count = 0;
    if (time == CAPTURE_NO_TIME)
        return 1;
    if (interface->timeless || interface->shift || interface->divisor == 0)
        return 0;
    if (time < interface->offset || (interface->offset < 0 && time > INT64_MAX + interface->offset))
        return 0;
    const uint64_t ns = (uint64_t)(time - interface->offset);
    if (interface->divisor > 1) {
        if (ns > UINT64_MAX / interface->divisor)
            return 0;
        *count = ns * interface->divisor;
    } else {
        if (interface->multiplier == 0 || ns % interface->multiplier != 0)
            return 0;
        *count = ns / interface->multiplier;
    }
    return interface_ns(interface, *count) == time;
}

/* The options of a packet that has changed, those left out that are not true any more or not
 * to be copied; their octets. What is no list of options is copied as it is. */
static uint32_t options_copy(const packet_block *packet, const frame_span *frame, int big_endian,
                             uint8_t *to, encap_kept *kept)
{
    const uint8_t *const from = packet->options;
    const uint32_t size = packet->option_len;
    uint32_t at = 0, used = 0;
    while (size - at >= 4) {
        const uint16_t code = capture_load16(from + at, big_endian);
        const uint16_t length = capture_load16(from + at + 2, big_endian);
        const uint32_t whole = 4 + (uint32_t)padded(length);
        if (code == OPTION_END || whole > size - at)
            break;
        const int private = code == OPTION_CUSTOM_PRIVATE || code == OPTION_CUSTOM_PRIVATE + 1;
        if (private || (code == OPTION_HASH && !same_octets(packet, frame))) {
            kept->dropped_private += (uint64_t)private;
            kept->dropped_hashes += (uint64_t)!private;
        } else {
            memcpy(to + used, from + at, whole);
            if (code == OPTION_FLAGS && length == 4) {
                const uint32_t flags = capture_load32(from + at + 4, big_endian);
                uint32_t stale = 0;
                if (flags & FLAGS_CHECKSUM && !same_octets(packet, frame))
                    stale |= FLAGS_CHECKSUM;
                if (flags & FLAGS_FCS &&
                    !same_end(packet, frame, (flags & FLAGS_FCS) >> FLAGS_FCS_SHIFT))
                    stale |= FLAGS_FCS;
                capture_store32(to + used + 4, flags & ~stale, big_endian);
                kept->dropped_flags += (flags & stale) != 0;
            }
            used += whole;
        }
        at += whole;
    }
    memcpy(to + used, from + at, size - at);
    return used + size - at;
}

/* The number of the interface that is described as `linktype` and `changes` say, made from
 * `owner`; 0: there is none yet. */
INLINE int owner_find(const encap_kept *kept, uint32_t owner, uint16_t linktype, uint16_t changes,
                      uint32_t *number)
{
    const encap_owner *found = &kept->owners[owner];
    uint64_t before = kept->variant_count;
    while (found->linktype != linktype || found->changes != changes) {
        /* Each one names one that was made before it, so this ends. */
        if (found->next == 0 || found->next > before)
            return 0;
        before = found->next - 1;
        found = &kept->variants[before];
    }
    *number = found->number;
    return 1;
}

/* --- a row ------------------------------------------------------------------ */

/* Where in the file a row goes. */
typedef struct destination {
    uint64_t count;
    uint32_t number;
    int skip; /* its time cannot be written */
} destination;

/* Not 0 where an interface is wanted that is not described yet. */
INLINE int row_place(const packet_block *packet, const frame_span *frame, int64_t time,
                     uint16_t linktype, encap_kept *kept, destination *place)
{
    const encap_interface *interface = &kept->interfaces[packet->owner];
    const encap_owner *owner = &kept->owners[packet->owner];
    uint16_t changes = 0;
    place->skip = 0;
    place->count = packet->count;
    if (frame->size > interface->snaplen && interface->snaplen != 0 && frame->size > packet->length)
        changes |= ENCAP_OWNER_SNAPLEN;
    if (owner->fcs_len != 0 && !same_end(packet, frame, owner->fcs_len))
        changes |= ENCAP_OWNER_FCS;
    const int64_t before =
        packet->type == BLOCK_SIMPLE ? CAPTURE_NO_TIME : interface_ns(interface, packet->count);
    if (UNLIKELY(time != before) && !interface_count(interface, time, &place->count)) {
        place->skip = time < 0;
        place->count = (uint64_t)time;
        changes |= ENCAP_OWNER_TIME;
    }
    if (place->skip || owner_find(kept, packet->owner, linktype, changes, &place->number))
        return 0;
    kept->wanted = packet->owner;
    kept->wanted_linktype = linktype;
    kept->wanted_changes = changes;
    return -1;
}

/* The row in a block like the one it comes from; how many octets it has. */
INLINE uint64_t row_write(const packet_block *packet, const frame_span *frame,
                          const destination *place, uint32_t wire_length, int64_t time,
                          int big_endian, copy_kernel *copy, uint8_t *out, encap_kept *kept)
{
    const uint32_t length = (uint32_t)frame->size, limit = kept->interfaces[0].snaplen;
    const int simple = packet->type == BLOCK_SIMPLE && place->number == 0 &&
                       kept->owners[0].number == 0 && time == CAPTURE_NO_TIME &&
                       length == (limit != 0 && wire_length > limit ? limit : wire_length);
    const int old = packet->type == BLOCK_OLD_PACKET && place->number <= UINT16_MAX;
    uint8_t *to = out + (simple ? 12 : 28), *end = to + padded(length);
    if (simple) {
        capture_store32(out, BLOCK_SIMPLE, big_endian);
        capture_store32(out + 8, wire_length, big_endian);
    } else {
        capture_store32(out, old ? BLOCK_OLD_PACKET : BLOCK_PACKET, big_endian);
        capture_store32(out + 8, place->number, big_endian);
        if (old) {
            capture_store16(out + 8, (uint16_t)place->number, big_endian);
            memcpy(out + 10, packet->block + 10, 2); /* packets lost before this one */
        }
        capture_store32(out + 12, (uint32_t)(place->count >> 32), big_endian);
        capture_store32(out + 16, (uint32_t)place->count, big_endian);
        capture_store32(out + 20, length, big_endian);
        capture_store32(out + 24, wire_length, big_endian);
    }
    if (length % 4) {
        /* The octets that fill up the last word, and are written over where they do not. */
        uint32_t last = 0;
        if (length == packet->length)
            memcpy(&last, packet->octets + padded(length) - 4, 4);
        memcpy(end - 4, &last, 4);
    }
    if (length)
        copy(to, frame->at, length);
    if (packet->option_len)
        end += options_copy(packet, frame, big_endian, end, kept);
    const uint64_t total = (uint64_t)(end - out) + 4;
    capture_store32(out + 4, (uint32_t)total, big_endian);
    capture_store32(end, (uint32_t)total, big_endian);
    return total;
}

/* --- all rows ------------------------------------------------------------- */

/* The blocks that stand before `until`, from the next one on. */
INLINE int others_copy(encap_kept *kept, int64_t until, int big_endian, uint8_t *out, uint64_t room)
{
    for (; kept->other < kept->other_count && kept->others[kept->other] < until; kept->other++) {
        uint32_t total;
        const uint64_t at = (uint64_t)kept->others[kept->other];
        const uint8_t *block = span(kept->octets, kept->size, at, BLOCK_LEN);
        if (block == NULL)
            return ENCAP_KEPT_WRONG;
        const uint32_t type = capture_load32(block, big_endian);
        if (type == BLOCK_SECTION || type == BLOCK_INTERFACE)
            return ENCAP_KEPT_STRUCTURE;
        if (block_at(kept->octets, kept->size, at, big_endian, &total) == NULL)
            return ENCAP_KEPT_WRONG;
        kept->need = total;
        if (type == BLOCK_CUSTOM_PRIVATE) {
            kept->dropped_blocks++;
            continue;
        }
        if (total > room - kept->used)
            return ENCAP_KEPT_ROOM;
        memcpy(out + kept->used, block, total);
        if (type == BLOCK_STATISTICS && total >= BLOCK_STATISTICS_LEN) {
            const uint32_t owner = capture_load32(block + 8, big_endian);
            if (owner < kept->interface_count)
                capture_store32(out + kept->used + 8, kept->owners[owner].number, big_endian);
        }
        kept->used += total;
    }
    return ENCAP_KEPT_DONE;
}

/* Asks for the head of the block of a later row: what is left of the packet may start behind. */
INLINE void prefetch_block(const encap_kept *kept, uint64_t row, uint64_t end)
{
    const uint64_t later = row + PREFETCH_ROWS < end ? row + PREFETCH_ROWS : row;
    const uint64_t number = kept->origins ? (uint64_t)kept->origins[later] : later;

    if (number < kept->packet_count)
        prefetch((uintptr_t)kept->octets + (uintptr_t)kept->packets[number]);
}

INLINE int kept_fill(const encap_batch *batch, const int64_t *times, int big_endian,
                     encap_kept *kept, uint8_t *out, uint64_t room)
{
    copy_kernel *const copy = current_implementation()->copy;
    const uint64_t end = kept->end < batch->count ? kept->end : batch->count;
    kept->used = 0;
    for (; kept->row < end; kept->row++) {
        const uint64_t row = kept->row;
        const uint64_t number = kept->origins ? (uint64_t)kept->origins[row] : row;
        packet_block packet;
        destination place;
        prefetch_row(batch, row, end);
        prefetch_block(kept, row, end);
        if (UNLIKELY(number >= kept->packet_count))
            return ENCAP_KEPT_WRONG;
        /* They come first: one of them may describe the row's own interface. */
        const int status = others_copy(kept, kept->packets[number], big_endian, out, room);
        if (UNLIKELY(status != ENCAP_KEPT_DONE))
            return status;
        if (UNLIKELY(packet_read(kept, number, big_endian, &packet) != 0))
            return ENCAP_KEPT_WRONG;
        const frame_span frame = row_octets(batch, row);
        const uint16_t linktype = batch->linktypes[row * batch->linktype_step];
        if (UNLIKELY(row_place(&packet, &frame, times[row], linktype, kept, &place) != 0))
            return ENCAP_KEPT_OWNER;
        if (UNLIKELY(place.skip)) {
            kept->untimed++;
            continue;
        }
        /* At most what the row's own block adds, whatever becomes of its options. */
        kept->need = BLOCK_PACKET_LEN + padded(frame.size) + packet.option_len;
        if (kept->need > UINT32_MAX)
            return ENCAP_KEPT_WRONG;
        kept->need = kept->need > packet.total ? kept->need : packet.total;
        if (kept->need > room - kept->used)
            return ENCAP_KEPT_ROOM;
        if (frame.at == packet.octets && frame.size == packet.length &&
            batch->wire_lengths[row] == packet.wire_length && place.count == packet.count &&
            place.number == packet.owner && linktype == kept->interfaces[packet.owner].linktype) {
            copy(out + kept->used, packet.block, packet.total);
            kept->used += packet.total;
        } else {
            kept->used += row_write(&packet, &frame, &place, batch->wire_lengths[row], times[row],
                                    big_endian, copy, out + kept->used, kept);
        }
        kept->written++;
        kept->written_octets += frame.size;
    }
    return others_copy(kept, kept->until, big_endian, out, room);
}

int encap_kept_fill(const encap_batch *batch, const int64_t *times, int big_endian,
                    encap_kept *kept, uint8_t *out, uint64_t room)
{
    return big_endian ? kept_fill(batch, times, 1, kept, out, room)
                      : kept_fill(batch, times, 0, kept, out, room);
}
