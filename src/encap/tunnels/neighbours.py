"""Where an endpoint is, by next hop: neighbours of a device that has no remote end.

A route says which next hop a packet has; here that is where the packet itself goes, as on a link
that all of them share. Source: ip-neighbour(8); Linux, ipgre_header and ip6gre_header.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from encap.errors import TunnelError
from encap.tunnels.options import IPAddress, _Option, address

if TYPE_CHECKING:
    from encap.packets import Packets
    from encap.tunnels.host import Device
    from encap.tunnels.receiving import Family

__all__ = ["Neighbours", "NeighboursOption", "endpoints", "neighbours_of"]

Neighbours = tuple[tuple[IPAddress, IPAddress], ...]
GROUPS = 0xE0000000, 0xF0000000
MAPPED = bytes(10) + b"\xff\xff"


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
    neighbours: Neighbours, packets: Packets, family: Family
) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_]]:
    """Where packets go, as a column of outer destinations, and for which of them that is known.

    What goes to a group of IPv4 goes to the same group outside.
    """
    sixth = family == "ipv6"
    known = {_mapped(hop): end for hop, end in neighbours if (end.version == 6) == sixth}
    found, where, begins = _destinations(packets)
    targets = np.zeros((len(found), 16 if sixth else 4), np.uint8)
    told = np.zeros(len(found), np.bool_)
    for row, hop in enumerate(map(bytes, found)):
        end = known.get(hop)
        if end is not None:
            targets[row], told[row] = np.frombuffer(end.packed, np.uint8), True
        elif not sixth and hop[:12] == MAPPED and hop[12] >> 4 == 14:
            targets[row], told[row] = np.frombuffer(hop[12:], np.uint8), True
    column, present = targets[where], told[where] & begins
    if sixth:
        return column, present
    return column.view(">u4")[:, 0].astype(np.uint32), present


def _mapped(address: IPAddress) -> bytes:
    """An address as `ip.dst` columns have it."""
    return address.packed if address.version == 6 else MAPPED + address.packed


def _destinations(
    packets: Packets,
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Destinations of IP packets, each once: uint8[k, 16], which one each has, and who has one."""
    columns = packets.columns("ip.dst", "ipv4", "ipv6")
    found, where = np.unique(columns["ip.dst"], axis=0, return_inverse=True)
    return found, where.reshape(-1), columns["ipv4"] | columns["ipv6"]
