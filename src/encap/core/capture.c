/* Capture files: where the packets of pcap and pcapng stand, and the same back.
 * draft-ietf-opsawg-pcap, draft-ietf-opsawg-pcapng.
 *
 * The functions see one piece of a file at a time and take up again where they
 * stopped. What is rare (file, section and interface headers) is left to the
 * caller, so that no option is ever parsed here. */

#define CAPTURE_NO_TIME INT64_MIN
#define CAPTURE_AHEAD 4096 /* octets: the chain of records is one load behind another */

enum {
    PCAP_RECORD_LEN = 16,
    BLOCK_SECTION = 0x0A0D0D0A, /* the same in both byte orders */
    BLOCK_INTERFACE = 1,
    BLOCK_OLD_PACKET = 2,
    BLOCK_SIMPLE = 3,
    BLOCK_PACKET = 6,
    BLOCK_LEN = 12,        /* type, total length, total length again */
    BLOCK_PACKET_LEN = 32, /* of a packet without octets and options */
    BLOCK_SIMPLE_LEN = 16
};

INLINE uint32_t capture_load32(const uint8_t *at, int big_endian)
{
    const uint32_t value = load_be32(at);
    return big_endian ? value : SWAP32(value);
}

INLINE uint16_t capture_load16(const uint8_t *at, int big_endian)
{
    const uint16_t value = load_be16(at);
    return big_endian ? value : SWAP16(value);
}

INLINE void capture_store32(uint8_t *at, uint32_t value, int big_endian)
{
    const uint32_t stored = big32(big_endian ? value : SWAP32(value));
    memcpy(at, &stored, sizeof stored);
}

INLINE void capture_store16(uint8_t *at, uint16_t value, int big_endian)
{
    const uint16_t stored = big16(big_endian ? value : SWAP16(value));
    memcpy(at, &stored, sizeof stored);
}

/* --- reading pcap -------------------------------------------------------- */

INLINE int pcap_index(const uint8_t *data, uint64_t size, int big_endian, uint32_t unit_ns,
                      uint32_t limit, encap_records *records)
{
    uint64_t position = records->position, row = records->count;
    int status = ENCAP_CAPTURE_MORE;
    records->need = PCAP_RECORD_LEN;
    for (;;) {
        const uint8_t *head = span(data, size, position, PCAP_RECORD_LEN);
        if (head == NULL)
            break;
        prefetch((uintptr_t)head + CAPTURE_AHEAD);
        const uint32_t length = capture_load32(head + 8, big_endian);
        if (UNLIKELY(length > limit)) {
            status = ENCAP_CAPTURE_LENGTH;
            break;
        }
        /* No wrap: `limit` is 32 bits, and the header lies inside. */
        if (length > size - position - PCAP_RECORD_LEN) {
            records->need = (uint64_t)length + PCAP_RECORD_LEN;
            break;
        }
        if (UNLIKELY(row == records->capacity)) {
            status = ENCAP_CAPTURE_FULL;
            break;
        }
        /* At most 2^32 * 10^9 + 2^32 * 1000, which fits. */
        records->times[row] = (int64_t)capture_load32(head, big_endian) * 1000000000 +
                              (int64_t)capture_load32(head + 4, big_endian) * unit_ns;
        records->starts[row] = (int64_t)(position + PCAP_RECORD_LEN);
        records->lengths[row] = length;
        records->wire_lengths[row] = capture_load32(head + 12, big_endian);
        row++;
        position += PCAP_RECORD_LEN + (uint64_t)length;
    }
    records->position = position;
    records->count = row;
    return status;
}

int encap_pcap_index(const uint8_t *data, uint64_t size, int big_endian, uint32_t unit_ns,
                     uint32_t limit, encap_records *records)
{
    return big_endian ? pcap_index(data, size, 1, unit_ns, limit, records)
                      : pcap_index(data, size, 0, unit_ns, limit, records);
}

/* --- reading pcapng ------------------------------------------------------ */

/* count * 10^9 >> shift, in 96 bits: the result fits 64 unless the seconds do not. */
static int binary_ns(uint64_t count, uint32_t shift, uint64_t *ns)
{
    const uint64_t seconds = shift < 64 ? count >> shift : 0;
    const uint64_t rest = shift < 64 ? count & (((uint64_t)1 << shift) - 1) : count;
    const uint64_t low = (rest & 0xffffffff) * 1000000000;
    const uint64_t high =
        (rest >> 32) * 1000000000 + (low >> 32); /* of the product, above 32 bits */
    uint64_t part;
    if (shift < 32)
        part = low >> shift; /* `rest` has no more than 31 bits */
    else
        part = shift - 32 < 64 ? high >> (shift - 32) : 0;
    if (seconds > (uint64_t)INT64_MAX / 1000000000)
        return 0;
    *ns = seconds * 1000000000 + part;
    return 1;
}

static int64_t interface_ns(const encap_interface *interface, uint64_t count)
{
    uint64_t ns = 0;
    if (interface->timeless)
        return CAPTURE_NO_TIME;
    if (interface->shift) {
        if (!binary_ns(count, interface->shift, &ns))
            return CAPTURE_NO_TIME;
    } else if (interface->divisor > 1) {
        ns = count / interface->divisor;
    } else if (interface->divisor == 1) {
        /* In 96 bits, since a division would take longer than all the rest. */
        const uint64_t low = (count & 0xffffffff) * interface->multiplier;
        const uint64_t high = (count >> 32) * interface->multiplier + (low >> 32);
        if (high > INT32_MAX)
            return CAPTURE_NO_TIME;
        ns = high << 32 | (low & 0xffffffff);
    }
    if (ns > (uint64_t)INT64_MAX)
        return CAPTURE_NO_TIME;
    if (interface->offset > 0 && (int64_t)ns > INT64_MAX - interface->offset)
        return CAPTURE_NO_TIME;
    return (int64_t)ns + interface->offset; /* ns is not negative: no underflow */
}

/* One packet block, whole, whose lengths at both ends agree, into row `count`. */
INLINE int block_index(const uint8_t *block, uint64_t position, uint32_t total, uint32_t type,
                       int big_endian, const encap_interface *interfaces, uint64_t interface_count,
                       encap_records *records)
{
    const uint64_t row = records->count;
    uint64_t owner = 0;
    uint32_t length, wire_length;
    int64_t time = CAPTURE_NO_TIME;
    if (UNLIKELY(total < (type == BLOCK_SIMPLE ? BLOCK_SIMPLE_LEN : BLOCK_PACKET_LEN)))
        return ENCAP_CAPTURE_LENGTH;
    if (type == BLOCK_PACKET)
        owner = capture_load32(block + 8, big_endian);
    else if (type == BLOCK_OLD_PACKET)
        owner = capture_load16(block + 8, big_endian);
    if (UNLIKELY(owner >= interface_count))
        return ENCAP_CAPTURE_OWNER;
    const encap_interface *interface = &interfaces[owner];
    if (type == BLOCK_SIMPLE) {
        wire_length = capture_load32(block + 8, big_endian);
        length = wire_length;
        if (interface->snaplen != 0 && length > interface->snaplen)
            length = interface->snaplen;
        if (UNLIKELY(length > total - BLOCK_SIMPLE_LEN))
            return ENCAP_CAPTURE_LENGTH;
        records->starts[row] = (int64_t)(position + 12);
    } else {
        length = capture_load32(block + 20, big_endian);
        wire_length = capture_load32(block + 24, big_endian);
        if (UNLIKELY(length > total - BLOCK_PACKET_LEN))
            return ENCAP_CAPTURE_LENGTH;
        time = interface_ns(interface, (uint64_t)capture_load32(block + 12, big_endian) << 32 |
                                           capture_load32(block + 16, big_endian));
        records->starts[row] = (int64_t)(position + 28);
    }
    records->lengths[row] = length;
    records->wire_lengths[row] = wire_length;
    records->times[row] = time;
    records->linktypes[row] = interface->linktype;
    records->blocks[row] = (int64_t)position;
    records->count = row + 1;
    return ENCAP_CAPTURE_MORE;
}

INLINE int pcapng_index(const uint8_t *data, uint64_t size, int big_endian, uint32_t limit,
                        const encap_interface *interfaces, uint64_t interface_count,
                        encap_records *records)
{
    for (;;) {
        const uint64_t position = records->position;
        const uint8_t *block = span(data, size, position, BLOCK_LEN);
        records->need = BLOCK_LEN;
        if (block == NULL)
            return ENCAP_CAPTURE_MORE;
        prefetch((uintptr_t)block + CAPTURE_AHEAD);
        const uint32_t type = capture_load32(block, big_endian);
        if (type == BLOCK_SECTION)
            return ENCAP_CAPTURE_SECTION;
        const uint32_t total = capture_load32(block + 4, big_endian);
        if (UNLIKELY(total < BLOCK_LEN || total % 4 != 0 || total > limit))
            return ENCAP_CAPTURE_LENGTH;
        records->need = total;
        if (total > size - position)
            return ENCAP_CAPTURE_MORE;
        if (UNLIKELY(capture_load32(block + total - 4, big_endian) != total))
            return ENCAP_CAPTURE_TRAILER;
        if (type == BLOCK_PACKET || type == BLOCK_SIMPLE || type == BLOCK_OLD_PACKET) {
            if (UNLIKELY(records->count == records->capacity))
                return ENCAP_CAPTURE_FULL;
            const int status = block_index(block, position, total, type, big_endian, interfaces,
                                           interface_count, records);
            if (UNLIKELY(status != ENCAP_CAPTURE_MORE))
                return status;
        } else if (type == BLOCK_INTERFACE) {
            return ENCAP_CAPTURE_DESCRIPTION;
        } else {
            if (UNLIKELY(records->other_count == records->other_capacity))
                return ENCAP_CAPTURE_FULL;
            records->others[records->other_count++] = (int64_t)position;
            records->passed++;
        }
        records->position = position + total;
    }
}

int encap_pcapng_index(const uint8_t *data, uint64_t size, int big_endian, uint32_t limit,
                       const encap_interface *interfaces, uint64_t interface_count,
                       encap_records *records)
{
    return big_endian ? pcapng_index(data, size, 1, limit, interfaces, interface_count, records)
                      : pcapng_index(data, size, 0, limit, interfaces, interface_count, records);
}

/* --- writing ------------------------------------------------------------- */

void encap_capture_measure(const encap_batch *batch, const int64_t *times, encap_extent *extent)
{
    encap_extent found = {.first = INT64_MAX, .last = INT64_MIN};
    for (uint64_t row = 0; row < batch->count; row++) {
        const uint32_t length = batch->lengths[row];
        const int64_t time = times[row];
        found.mixed |= batch->linktypes[row * batch->linktype_step] != batch->linktypes[0];
        found.octets += length;
        found.longest = length > found.longest ? length : found.longest;
        if (time == CAPTURE_NO_TIME)
            continue;
        found.first = time < found.first ? time : found.first;
        found.last = time > found.last ? time : found.last;
        found.finer |= time % 1000 != 0;
    }
    *extent = found;
}

uint64_t encap_pcap_fill(const encap_batch *batch, const int64_t *times, uint64_t *row,
                         uint64_t end, int big_endian, uint32_t unit_ns, uint8_t *out,
                         uint64_t room)
{
    copy_kernel *const copy = current_implementation()->copy;
    uint64_t used = 0;
    if (end > batch->count)
        end = batch->count;
    for (; *row < end; ++*row) {
        prefetch_row(batch, *row, end);
        const frame_span frame = row_octets(batch, *row);
        const uint32_t length = (uint32_t)frame.size;
        if (room - used < PCAP_RECORD_LEN || room - used - PCAP_RECORD_LEN < length)
            break;
        const uint64_t ns = times[*row] == CAPTURE_NO_TIME ? 0 : (uint64_t)times[*row];
        uint8_t *head = out + used;
        capture_store32(head, (uint32_t)(ns / 1000000000), big_endian);
        capture_store32(head + 4, (uint32_t)(ns % 1000000000) / unit_ns, big_endian);
        capture_store32(head + 8, length, big_endian);
        capture_store32(head + 12, batch->wire_lengths[*row], big_endian);
        if (length)
            copy(head + PCAP_RECORD_LEN, frame.at, length);
        used += PCAP_RECORD_LEN + (uint64_t)length;
    }
    return used;
}

uint64_t encap_pcapng_fill(const encap_batch *batch, const int64_t *times, const uint16_t *owners,
                           uint64_t owner_step, uint64_t *row, uint64_t end, int big_endian,
                           uint32_t unit_ns, uint8_t *out, uint64_t room)
{
    copy_kernel *const copy = current_implementation()->copy;
    uint64_t used = 0;
    if (end > batch->count)
        end = batch->count;
    for (; *row < end; ++*row) {
        prefetch_row(batch, *row, end);
        const frame_span frame = row_octets(batch, *row);
        const uint32_t length = (uint32_t)frame.size;
        const uint64_t total = BLOCK_PACKET_LEN + (((uint64_t)length + 3) & ~(uint64_t)3);
        if (total > room - used || total > UINT32_MAX)
            break;
        const uint64_t count = times[*row] == CAPTURE_NO_TIME ? 0 : (uint64_t)times[*row] / unit_ns;
        uint8_t *block = out + used;
        memset(block + total - 8, 0, 4); /* where the padding ends; the rest is written over */
        capture_store32(block, BLOCK_PACKET, big_endian);
        capture_store32(block + 4, (uint32_t)total, big_endian);
        capture_store32(block + 8, owners[*row * owner_step], big_endian);
        capture_store32(block + 12, (uint32_t)(count >> 32), big_endian);
        capture_store32(block + 16, (uint32_t)count, big_endian);
        capture_store32(block + 20, length, big_endian);
        capture_store32(block + 24, batch->wire_lengths[*row], big_endian);
        if (length)
            copy(block + 28, frame.at, length);
        capture_store32(block + total - 4, (uint32_t)total, big_endian);
        used += total;
    }
    return used;
}
