/* Where checksums are, for the kernels that are told. */

/* What encap.covers says. */
static const encap_cover *make_covers(void)
{
    static encap_cover covers[ENCAP_KINDS];
    static const struct {
        uint8_t kind, at, pseudo, protocol, covers;
    } sums[] = {
        {ENCAP_IPV4, 10, 0, 0, ENCAP_COVERS_HEADER}, {ENCAP_TCP, 16, 1, 6, ENCAP_COVERS_REST},
        {ENCAP_UDP, 6, 1, 17, ENCAP_COVERS_REST},    {ENCAP_ICMP, 2, 0, 0, ENCAP_COVERS_REST},
        {ENCAP_ICMPV6, 2, 1, 58, ENCAP_COVERS_REST}, {ENCAP_IGMP, 2, 0, 0, ENCAP_COVERS_REST},
        {ENCAP_GRE, 4, 0, 0, ENCAP_COVERS_REST},     {ENCAP_SCTP, 8, 0, 0, ENCAP_COVERS_REST},
    };
    for (size_t i = 0; i < sizeof sums / sizeof *sums; i++)
        covers[sums[i].kind] = (encap_cover){.covers = sums[i].covers,
                                             .size = sums[i].kind == ENCAP_SCTP ? 4 : 2,
                                             .at = sums[i].at,
                                             .pseudo = sums[i].pseudo,
                                             .protocol = sums[i].protocol};
    covers[ENCAP_UDP].zero = 0xffff;
    covers[ENCAP_SCTP].algorithm = ENCAP_CRC32C;
    covers[ENCAP_GRE].optional = 1;
    covers[ENCAP_GRE].there = (encap_test){0, 0, 4, 0, 0x8000, 0x8000};
    return covers;
}
