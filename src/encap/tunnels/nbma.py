"""Tunnels with many other ends: where each packet goes, and whether it may come from there.

Source: Linux, ipip6_tunnel_xmit, ipip6_tunnel_dst_find, ip_tunnel_xmit and packet_is_spoofed of
net/ipv6/sit.c and net/ipv4/ip_tunnel.c; RFC 3056 section 5.3, RFC 5969 section 8, RFC 5214
sections 7 and 9.
"""

from __future__ import annotations

from ipaddress import IPv6Network
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from encap.tunnels.carried import IPIP, IPV6, MPLS_IN_IP, protocols
from encap.tunnels.embedded import SIX_TO_FOUR, identified, is_global
from encap.tunnels.halves import Halves
from encap.tunnels.innerip import DESTINATION, SOURCE, Heads, ipv4_destinations
from encap.tunnels.inside import Inside
from encap.tunnels.reasons import Reason
from encap.tunnels.replies import HOST, answers
from encap.tunnels.scopes import Scopes

if TYPE_CHECKING:
    from encap.packets import Packets
    from encap.tunnels.departing import Wrapping
    from encap.tunnels.receiving import Receiving
    from encap.tunnels.routes import Routes
    from encap.tunnels.sit import SITTunnel

__all__ = ["aim", "aim_ipv4", "check_sources"]

LINK_LOCAL = IPv6Network("fe80::/64")
Uint8s = npt.NDArray[np.uint8]
Uint32s = npt.NDArray[np.uint32]
Bools = npt.NDArray[np.bool_]


def aim(tunnel: SITTunnel, wrapping: Wrapping, packets: Packets) -> None:
    """Gives each packet its outer destination, or refuses it."""
    heads = Heads(packets, DESTINATION + 16)
    carried, inner = protocols(packets, heads), heads.addresses(DESTINATION)
    sixth = carried == IPV6
    target = _sixth(tunnel, inner) * sixth
    if tunnel.remote is None:
        fourth = aim_ipv4(tunnel.routes, wrapping, packets, carried)
        target[fourth] = wrapping.columns["ipv4.dst"][fourth]
    else:
        target[~sixth] = int(tunnel.remote)
    wrapping.columns["ipv4.dst"] = target
    lost = sixth & (target == 0)
    if lost.any():
        wrapping.refuse(np.flatnonzero(lost), Reason.NO_DESTINATION, len(packets))
    # A route that leads nowhere is told to the sender; that there is no address is not.
    lost = sixth & _nowhere(target)
    if tunnel.profile == "rfc" and tunnel.domain == SIX_TO_FOUR:
        embedded, of = SIX_TO_FOUR.within(inner)
        lost |= sixth & of & ~is_global(embedded)
    if lost.any():
        gone = wrapping.refuse(np.flatnonzero(lost), Reason.NO_DESTINATION, len(packets))
        wrapping.replies.append(answers(tunnel, packets, Inside.of(packets, gone), HOST))


def _sixth(tunnel: SITTunnel, inner: Halves) -> Uint32s:
    """uint32[m]: where IPv6 packets go, by their destinations; 0 where nothing says so."""
    hops = tunnel.routes.near((LINK_LOCAL, *tunnel.prefixes)).next_hops(inner)
    scopes = Scopes.of(hops)
    last, of_isatap = identified(hops)
    embedded, of = tunnel.domain.within(inner)
    compatible = np.where(scopes.compatible, last, np.uint32(0))
    found = np.where(of & (embedded != 0), embedded, compatible)
    if tunnel.isatap:
        known = of_isatap & scopes.unicast
        found = np.where(known, np.where(last != 0, last, found), np.uint32(0))
    return found


def aim_ipv4(
    routes: Routes, wrapping: Wrapping, packets: Packets, carried: Uint8s
) -> npt.NDArray[np.int64]:
    """Sends IPv4 to its next hop, in `wrapping.columns["ipv4.dst"]`; labels have none.

    Gives the rows of IPv4.
    """
    rows = np.flatnonzero(carried == IPIP)
    target = np.zeros(len(packets), np.uint32)
    target[rows] = routes.next_ipv4_hops(ipv4_destinations(packets, rows))
    wrapping.columns["ipv4.dst"] = target
    lost = rows[(target[rows] == 0) | _nowhere(target[rows])]
    lost = np.concatenate([lost, np.flatnonzero(carried == MPLS_IN_IP)])
    if len(lost):
        wrapping.refuse(lost, Reason.NO_DESTINATION, len(packets))
    return rows


def _nowhere(target: Uint32s) -> Bools:
    """bool[n]: destinations that no packet leaves the host for: 0/8, 127/8, groups, broadcast."""
    first = target >> 24
    found: Bools = (first == 0) | (first == 127) | (first >> 4 == 14) | (target == 0xFFFFFFFF)
    return found


def check_sources(tunnel: SITTunnel, going: Receiving) -> None:
    """Refuses IPv6 packets whose addresses do not belong to the outer ones."""
    rows = going.rows(going.protocol == IPV6)
    source, target = (_inner_addresses(going, rows, place) for place in (SOURCE, DESTINATION))
    theirs, ours = going.columns["ipv4.src"][rows], going.columns["ipv4.dst"][rows]
    if tunnel.isatap:
        spoofed = ~_believed(tunnel, theirs, source)
    else:
        spoofed = _spoofed(tunnel, source, theirs, mine=False)
        spoofed |= _spoofed(tunnel, target, ours, mine=True)
    wrong = np.zeros(len(going), np.bool_)
    wrong[rows] = spoofed
    going.refuse(wrong, Reason.SPOOFED)


def _inner_addresses(going: Receiving, rows: npt.NDArray[np.int64], place: int) -> Halves:
    """The addresses of IPv6 headers behind the outer one, whatever their version bits are."""
    name = "ipv6.src" if place == SOURCE else "ipv6.dst"
    column = going.columns[name]
    found = Halves.of(column if len(rows) == len(going) else column[rows])
    # A column has those of the first header that is one.
    strange = np.flatnonzero(going.broken_above()[rows])
    if len(strange):
        there = rows[strange]
        at = going.packets.starts[there] + going.inner[there] + place
        found.upper[strange], found.lower[strange] = Halves.at(going.packets.data, at)
    return found


def _believed(tunnel: SITTunnel, theirs: Uint32s, source: Halves) -> Bools:
    """bool[m]: from a router of the list, or from the host itself, on the link.

    Source: RFC 5214 section 7.3; Linux, isatap_chksrc.
    """
    embedded, of_isatap = identified(source)
    near = source.within(LINK_LOCAL)
    for network in tunnel.prefixes:
        near |= source.within(network)
    routers = np.array([int(one) for one in tunnel.prl], np.uint32)
    found: Bools = np.isin(theirs, routers) | (of_isatap & near & (embedded == theirs))
    return found


def _spoofed(tunnel: SITTunnel, inner: Halves, outer: Uint32s, *, mine: bool) -> Bools:
    """bool[m]: addresses of the domain that are not the outer ones.

    mine: they are destinations: those of the device itself are right whatever a NAT made outside.
    Source: Linux, is_spoofed_6rd and only_dnatted; RFC 3964 section 5.
    """
    embedded, of = tunnel.domain.within(inner)
    found: Bools = of & (embedded != outer)
    if mine and found.any():
        length = tunnel.domain.length
        for one in tunnel.addresses:
            if one.version == 6:
                found &= ~inner.within(IPv6Network((int(one), length), strict=False))
    if tunnel.profile == "rfc" and tunnel.domain == SIX_TO_FOUR:
        found |= of & ~is_global(embedded)
    return found
