"""Where the kernel and the RFCs differ: one row for each difference, with its source."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from encap.errors import TunnelError

__all__ = ["DIFFERENCES", "Difference", "Profile", "profile"]

Profile = Literal["linux", "rfc"]


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that `profile="linux"` and `profile="rfc"` do differently.

    name: what the code asks for.  linux, rfc: what each does.  source: where that is written.
    """

    name: str
    linux: str
    rfc: str
    source: str


DIFFERENCES = {
    difference.name: difference
    for difference in (
        Difference(
            "outer_fragments",
            "a fragment is a duplicate where it lies within octets that came in order",
            "a fragment is a duplicate where it is the same again; what comes later of a datagram"
            " that an overlap has dropped is dropped too",
            "Linux, inet_frag_queue_insert; RFC 5722 section 4",
        ),
        Difference(
            "ecn_encap",
            "an inner CE becomes an outer ECT(0)",
            "the outer ECN bits are those of the inner packet, CE included",
            "Linux, INET_ECN_encapsulate; RFC 6040 section 4.1, normal mode",
        ),
        Difference(
            "sixtofour_private",
            "6to4 addresses with any IPv4 address in them are sent to, and taken",
            "those with an IPv4 address that is not unique in the world are not",
            "Linux, check_6rd; RFC 3056 section 9, RFC 3964 section 5",
        ),
        Difference(
            "ip6tnl_ipv4_too_big",
            "an IPv4 packet that does not fit is refused, with DF or without, and its sender told",
            "without DF it is sent in fragments of the outer packet",
            "Linux, ipxip6_tnl_xmit; RFC 2473 section 7.2",
        ),
        Difference(
            "vxlan_reserved",
            "a packet with a reserved bit set is dropped",
            "reserved bits are ignored on receipt",
            "Linux, vxlan_rcv; RFC 7348 section 5",
        ),
        Difference(
            "vxlan_port",
            "the UDP port is 8472 where none is given",
            "the UDP port is 4789 where none is given",
            "Linux, vxlan_port; RFC 7348 section 5",
        ),
        Difference(
            "vxlan_checksum",
            "outer checksums over IPv4 are computed unless that is switched off",
            "outer checksums over IPv4 are 0 unless they are asked for",
            "Linux, vxlan_nl2conf; RFC 7348 section 5",
        ),
        Difference(
            "vxlan_source_port",
            "source ports are those that the host has for connections of its own",
            "source ports are 49152 to 65535",
            "Linux, udp_flow_src_port; RFC 7348 section 5",
        ),
        Difference(
            "vxlan_fragments",
            "what does not fit is sent in fragments, over IPv4 and without DF",
            "what does not fit is refused",
            "Linux, ip_fragment; RFC 7348 section 4.3",
        ),
        Difference(
            "vxlan_inner_vlan",
            "frames with a VLAN tag are delivered as they are",
            "frames with a VLAN tag are dropped on receipt",
            "Linux, vxlan_rcv; RFC 7348 section 6.1",
        ),
        Difference(
            "gre_checksum",
            "a checksum where none is configured, or none where one is, drops the packet",
            "a checksum is verified where there is one",
            "Linux, __ipgre_rcv; RFC 2784 section 2.2",
        ),
        Difference(
            "gre_flags",
            "over IPv4, bits 9 to 12 drop the packet, those that nobody has a use for are ignored",
            "bits 4 and 5 drop the packet, bits 6 to 12 are ignored",
            "Linux, gre_rcv of net/ipv4/gre_demux.c; RFC 2784 section 2.3",
        ),
        Difference(
            "gre_least",
            "over IPv4, fewer than 12 octets drop the packet, whatever its header says",
            "a packet has to have the header that its flags announce",
            "Linux, gre_rcv of net/ipv4/gre_demux.c; RFC 2784 section 2",
        ),
        Difference(
            "gre_sequence",
            "behind the last sequence number there is any one is taken",
            "behind the last sequence number only those that follow it are taken",
            "Linux, ip_tunnel_rcv and __ip6_tnl_rcv; RFC 2890 section 2.2",
        ),
        Difference(
            "ip6gre_ecn",
            "GRE over IPv6 writes its own traffic class: ECN stays inside, and is copied with it"
            " where that is inherited",
            "the outer ECN bits are those of the inner packet",
            "Linux, prepare_ip6gre_xmit_ipv4 of net/ipv6/ip6_gre.c; RFC 6040 section 4.1",
        ),
        Difference(
            "geneve_critical",
            "the C bit drops the packet unless the device is external; options are not read",
            "a critical option that is not known drops the packet, whatever the C bit says",
            "Linux, geneve_rx; RFC 8926 sections 3.4 and 3.5",
        ),
        Difference(
            "geneve_critical_sent",
            "the C bit is never set on sending",
            "the C bit is set where an option is critical",
            "Linux, geneve_build_header; RFC 8926 section 3.4",
        ),
        Difference(
            "geneve_options",
            "options that do not fill their area exactly are accepted",
            "options that do not fill their area exactly drop the packet",
            "Linux, geneve_rx; RFC 8926 section 3.5",
        ),
        Difference(
            "esp_padding",
            "what padding is made of does not matter",
            "padding that is not 1, 2, 3 and so on drops the packet",
            "Linux, esp_remove_trailer; RFC 4303 section 2.4",
        ),
        Difference(
            "esp_ecn",
            "an outer CE on an inner packet that cannot say so is lost, an outer ECT(1) too",
            "as for all tunnels: the first drops the packet, the second goes into it",
            "Linux, ipip_ecn_decapsulate; RFC 6040 section 4.2, which updates RFC 4301",
        ),
    )
}
"""By name: all that `profile=` changes."""


def profile(value: object) -> Profile:
    """The profile of that name. TunnelError for another one."""
    if value == "linux" or value == "rfc":  # noqa: PLR1714  # mypy narrows this way alone
        return value
    raise TunnelError(f"profile is 'linux' or 'rfc', not {value!r}")
