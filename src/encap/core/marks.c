/* Congestion marks of outer IP headers, carried into the packets inside: which of these change, and
 * the changing. RFC 6040 section 4.2; RFC 1624 section 3 for the checksum that follows. */

#define TYPE_IPV4 0x0800
#define TYPE_IPV6 0x86dd
#define LINKTYPE_MPLS 219

/* An inner IP header: where in the octets of the row it is, and its version, 0 where there is none
 * that is whole. */
typedef struct inner_ip {
    const uint8_t *header;
    uint64_t at;
    uint32_t version;
} inner_ip;

/* The IP header with which a packet begins at `at` of a frame, or which its Ethernet header
 * announces; `named` is the EtherType that something in front of it said, 0 where nothing did. */
INLINE inner_ip find_inner_ip(const frame_span *frame, uint64_t at, uint64_t end, uint32_t linktype,
                              uint32_t named)
{
    inner_ip found = {NULL, at, 0};
    uint32_t type = named;
    if (linktype == LINKTYPE_ETHERNET) {
        const uint8_t *header = span(frame->at, frame->size, at, 14);
        type = header ? load_be16(header + 12) : 0;
        found.at += 14;
    } else if (!named && linktype != LINKTYPE_MPLS) {
        const uint8_t *first = span(frame->at, frame->size, at, 1);
        const uint32_t version = first ? *first >> 4 : 0;
        type = version == 4 ? TYPE_IPV4 : version == 6 ? TYPE_IPV6 : 0;
    }
    if (type != TYPE_IPV4 && type != TYPE_IPV6)
        return found;
    const uint64_t least = type == TYPE_IPV4 ? 20 : 40;
    found.header = end >= found.at && end - found.at >= least
                       ? span(frame->at, frame->size, found.at, least)
                       : NULL;
    found.version = found.header ? (type == TYPE_IPV4 ? 4 : 6) : 0;
    return found;
}

INLINE uint8_t tos_of(const uint8_t *header, uint32_t version)
{
    return version == 4 ? header[1] : (uint8_t)(load_be16(header) >> 4 & 0xff);
}

uint64_t encap_marks_find(const encap_batch *batch, uint64_t begin, uint64_t end,
                          const encap_marking *how, uint8_t *reasons, const encap_marks *out)
{
    uint64_t count = 0;
    if (!rows_exist(batch, begin, end))
        return 0;
    for (uint64_t row = begin; row < end; row++) {
        const uint8_t outside = how->outer[row];
        if (reasons[row] || !((outside & 3) || how->dscp))
            continue;
        const frame_span frame = row_octets(batch, row);
        const uint32_t named = how->carried ? how->carried[row] : 0;
        prefetch_near(later_row(batch, row, PREFETCH_ROWS, end) + 64);
        if (how->carried && !named && linktype_of(batch, row) != LINKTYPE_ETHERNET)
            continue; /* it is said to be nothing of IP's */
        const inner_ip inner =
            find_inner_ip(&frame, (uint64_t)how->inner[row], (uint64_t)how->end[row],
                          linktype_of(batch, row), named);
        if (!inner.version)
            continue;
        const uint8_t old = tos_of(inner.header, inner.version);
        const uint8_t mark = how->table[(old & 3) * 4 + (outside & 3)];
        const uint8_t tos = (uint8_t)(((how->dscp ? outside : old) & 0xfc) | (mark & 3));
        if (mark > 3) {
            reasons[row] = how->reason;
        } else if (tos != old) {
            out->places[count] = (int64_t)row;
            out->offsets[count] = (int64_t)inner.at - how->inner[row];
            out->ipv4[count] = inner.version == 4;
            out->tos[count++] = tos;
        }
    }
    return count;
}

/* Another type of service in an IPv4 header, whose checksum stays as right or wrong as it was. */
INLINE void write_tos_ipv4(uint8_t *header, uint8_t tos)
{
    const uint32_t old = header[1], checksum = load_be16(header + 10);
    uint32_t total = (0xffff - checksum) + (0xffff - old) + tos;
    header[1] = tos;
    if (old == tos)
        return;
    total = (total & 0xffff) + (total >> 16);
    total = 0xffff - ((total & 0xffff) + (total >> 16));
    header[10] = (uint8_t)(total >> 8);
    header[11] = (uint8_t)total;
}

int encap_marks_write(uint8_t *octets, uint64_t size, const int64_t *at, const uint8_t *ipv4,
                      const uint8_t *tos, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        const uint64_t later = i + PREFETCH_ROWS < count ? i + PREFETCH_ROWS : i;
        prefetch_written((uintptr_t)octets + (uintptr_t)at[later]);
        if (!span(octets, size, (uint64_t)at[i], ipv4[i] ? 12 : 2))
            return -1;
        uint8_t *header = octets + at[i];
        if (ipv4[i]) {
            write_tos_ipv4(header, tos[i]);
        } else { /* the traffic class lies across the first two octets */
            header[0] = (uint8_t)((header[0] & 0xf0) | tos[i] >> 4);
            header[1] = (uint8_t)((header[1] & 0x0f) | (tos[i] & 0x0f) << 4);
        }
    }
    return 0;
}
