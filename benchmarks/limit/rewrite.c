#include "vectors.h"
#include "walk.h"

/* RFC 1624, equation 3. */
static ALWAYS uint16_t follow(uint8_t *checksum, uint32_t change)
{
    uint16_t stored;
    memcpy(&stored, checksum, 2);
    stored = (uint16_t)~fold32((uint16_t)~stored + change);
    memcpy(checksum, &stored, 2);
    return stored;
}

/* Both addresses of an IPv4 header, and its checksum; returns what changed in sum. */
static ALWAYS uint16_t readdress(uint8_t *ipv4, uint32_t mask)
{
    uint32_t src, dst;
    memcpy(&src, ipv4 + 12, 4);
    memcpy(&dst, ipv4 + 16, 4);
    uint32_t new_src = src ^ mask, new_dst = dst ^ mask;
    memcpy(ipv4 + 12, &new_src, 4);
    memcpy(ipv4 + 16, &new_dst, 4);
    uint64_t sum = (uint64_t)~src + ~dst + new_src + new_dst;
    uint16_t change = fold32((uint32_t)((sum & 0xFFFF) + (sum >> 16 & 0xFFFF) + (sum >> 32)));
    follow(ipv4 + 10, change);
    return change;
}

/* A UDP checksum where there is one; returns whether there is. */
static ALWAYS int follow_udp(uint8_t *udp, uint32_t change)
{
    if (!(udp[6] | udp[7]))
        return 0;
    if (!follow(udp + 6, change))
        udp[6] = udp[7] = 0xFF;
    return 1;
}

/* The checksum of what an IPv4 header carries; returns whether there is one. */
static ALWAYS int carried(uint8_t *packet, uint32_t length, uint32_t ipv4, uint16_t change)
{
    uint32_t at = ipv4 + (packet[ipv4] & 15u) * 4;
    uint8_t protocol = packet[ipv4 + 9];
    if (protocol == PROTOCOL_TCP && at + 18 <= length) {
        follow(packet + at + 16, change);
        return 1;
    }
    return protocol == PROTOCOL_UDP && at + 8 <= length && follow_udp(packet + at, change);
}

/* Both addresses of the inner IPv4 header at `at`; returns what changed in the sum over it. */
static ALWAYS uint16_t readdress_inner(uint8_t *packet, uint32_t length, uint32_t at, uint32_t mask)
{
    if (packet[at] >> 4 != 4)
        return 0;
    uint16_t change = readdress(packet + at, mask);
    /* The IPv4 checksum takes its addresses out of that sum, and one that covers them too turns
     * it round. */
    return carried(packet, length, at, change) ? (uint16_t)~change : 0;
}

static ALWAYS void rewrite(uint8_t *packet, uint32_t length, uint32_t mask)
{
    limit_record record;
    walk(packet, length, &record);
    if (!record.tunnel)
        return;
    uint32_t outer = get16(packet + 12) == TYPE_VLAN ? 18 : 14, inner = record.inner;
    uint32_t change = readdress(packet + outer, mask);
    if (record.tunnel > GENEVE) {
        readdress_inner(packet, length, inner, mask);
        return;
    }
    if (get16(packet + inner + 12) == TYPE_IPV4)
        change += readdress_inner(packet, length, inner + 14, mask);
    follow_udp(packet + outer + (packet[outer] & 15u) * 4, change);
}

void limit_rewrite(const limit_batch *batch, uint64_t ahead, uint32_t mask, uint8_t *data)
{
    mask = __builtin_bswap32(mask);
    for (uint64_t row = 0; row < batch->count; row++) {
        if (ahead) {
            uint64_t next = row + ahead < batch->count ? row + ahead : batch->count - 1;
            const uint8_t *packet = data + batch->starts[next];
            __builtin_prefetch(packet + 12, 1);
            __builtin_prefetch(packet + 76, 1);
        }
        rewrite(data + batch->starts[row], batch->lengths[row], mask);
    }
}
