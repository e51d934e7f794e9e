"""Where an endpoint is, by next hop: neighbours of a device that has no remote end.

A next hop is the gateway of a packet's route, or where the packet itself goes.
Source: ip-neighbour(8); Linux, ipgre_header and ip6gre_header.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from encap.errors import TunnelError
from encap.tunnels.carried import IPIP, IPV6, protocols
from encap.tunnels.innerip import DESTINATION, Heads, ipv4_destinations
from encap.tunnels.options import IPAddress, _Option, address

if TYPE_CHECKING:
    from encap.packets import Packets
    from encap.tunnels.host import Device
    from encap.tunnels.receiving import Family
    from encap.tunnels.routes import Routes

__all__ = ["Neighbours", "NeighboursOption", "endpoints", "neighbours_of"]

Neighbours = tuple[tuple[IPAddress, IPAddress], ...]
Array = npt.NDArray[Any]
GROUP = 0xE
"""The first four bits of an IPv4 address of a group."""


class NeighboursOption(_Option[Neighbours, "Mapping[Any, Any] | Iterable[tuple[Any, Any]]"]):
    """Pairs of a next hop and an endpoint, from a mapping or from pairs."""

    def __init__(self) -> None:
        super().__init__(_pairs, default=())


def _pairs(name: str, value: Any) -> Neighbours:
    pairs = value.items() if isinstance(value, Mapping) else value
    if not isinstance(pairs, Iterable) or isinstance(pairs, str | bytes):
        raise TunnelError(f"{name} are next hops and endpoints, not {value!r}")
    made = []
    for pair in pairs:
        try:
            hop, endpoint = pair
        except (TypeError, ValueError) as error:
            raise TunnelError(f"{name}: {pair!r} is no next hop and endpoint") from error
        made.append((address(name, hop), address(name, endpoint)))
    return tuple(sorted(made, key=lambda one: (one[0].version, int(one[0]))))


def neighbours_of(device: Device) -> list[tuple[str, str]]:
    """Pairs from `ip neigh add HOP lladdr ENDPOINT dev DEVICE`."""
    said = device.more.get("neigh", [])
    return [
        (words[0], words[words.index("lladdr") + 1]) for words in said if "lladdr" in words[:-1]
    ]


def endpoints(
    neighbours: Neighbours, routes: Routes, packets: Packets, family: Family
) -> tuple[Array, npt.NDArray[np.bool_]]:
    """Where packets go, as a column of outer destinations, and for which of them that is known.

    What goes to a group of IPv4 goes to the same group outside.
    """
    version, width = (6, 16) if family == "ipv6" else (4, 4)
    target = np.zeros((len(packets), width), np.uint8)
    told = np.zeros(len(packets), np.bool_)
    known = {hop: end.packed for hop, end in neighbours if end.version == version}
    heads = Heads(packets, DESTINATION + 16)
    carried = protocols(packets, heads)
    fourth, sixth = (np.flatnonzero(carried == number) for number in (IPIP, IPV6))
    inner = ipv4_destinations(packets, fourth)
    for rows, hops in (
        (fourth, routes.next_ipv4_hops(inner).astype(">u4").view(np.uint8).reshape(-1, 4)),
        (sixth, routes.next_hops(heads.addresses(DESTINATION)).column()[sixth]),
    ):
        distinct, which = np.unique(hops, axis=0, return_inverse=True)
        ends = [known.get(ip_address(hop.tobytes()), b"") for hop in distinct]
        there = np.array([bool(end) for end in ends], np.bool_)
        octets = b"".join(end or bytes(width) for end in ends)
        which = which.reshape(-1)
        target[rows] = np.frombuffer(octets, np.uint8).reshape(-1, width)[which]
        told[rows] = there[which]
    if version == 6:
        return target, told
    column = target.view(">u4")[:, 0].astype(np.uint32)
    groups = inner >> 28 == GROUP
    column[fourth[groups]] = inner[groups]
    told[fourth[groups]] = True
    return column, told
