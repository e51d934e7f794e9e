"""Which packets of a batch would be too long for a link once they are in a tunnel.

Each packet is judged as it was on the wire, snap lengths aside. What was joined before it was
captured (segmentation offload) is as long as it looks here, and would be cut by the device.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

from encap.layers import Layers
from encap.mtu import ETHERNET_LEN, plan
from encap.walk import OTHER, Kind

if TYPE_CHECKING:
    from encap.fields import Header
    from encap.packet import Packet
    from encap.packets import Packets

__all__ = ["Oversize", "PathSize", "oversize"]

DONT_FRAGMENT, MORE_FRAGMENTS = 2, 1
IPV6_LEN = 40
LINKTYPE_ETHERNET = 1
OTHER_PATHS = "other paths"

Bools: TypeAlias = npt.NDArray[np.bool_]
Int64s: TypeAlias = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class PathSize:
    """The packets of one path: how many there are and are too long, and the longest one.

    longest: octets of the outer IP packet that it becomes, so what the link must carry for it.
    """

    path: str
    packets: int
    too_long: int
    longest: int


@dataclass(frozen=True, slots=True, eq=False)
class Oversize:
    """What does not fit into a tunnel over a link.

    mask: bool[n], the packets that would be too long.
    sizes: uint32[n], octets of the outer IP packet that each would become; 0 where the tunnel
        could not carry it.
    link_mtu, overhead, inner_mtu: of the link and the tunnel, as `encap.mtu.plan` has them.
    packets, too_long, not_carried: how many there are, would be too long, could not be carried.
    needed: the MTU of a link that carries all of them; 0 without packets.
    df: of those too long, IPv4 with "don't fragment" set: whoever routes them into the tunnel must
        drop them and tell the sender.
    fragmentable: IPv4 without it: a router may fragment them first, a bridge cannot.
    ipv6: never fragmented on the way; the sender is told.
    other: neither IPv4 nor IPv6; dropped, and nobody is told.
    fragments: of the IPv4 and IPv6 ones, those that are fragments already. Each is judged by its
        own length: the datagram that it is part of may be longer than any of them.
    paths: the same by path, those with the most packets too long first.
    """

    mask: Bools = field(repr=False)
    sizes: npt.NDArray[np.uint32] = field(repr=False)
    link_mtu: int
    overhead: int
    inner_mtu: int
    packets: int
    too_long: int
    not_carried: int
    needed: int
    df: int
    fragmentable: int
    ipv6: int
    other: int
    fragments: int
    paths: tuple[PathSize, ...]


def oversize(
    packets: Packets,
    template: Packet | Header | str,
    link_mtu: int = 1500,
    *,
    carries: str | None = None,
    threads: int | None = None,
) -> Oversize:
    """What of a batch would not fit; see `Packets.oversize`."""
    made = plan(template, link_mtu, carries=carries)
    layers = packets.parse(threads=threads)
    network = layers.slot("ip")
    old, new, fragment = _families(layers, network)
    sizes = _lengths(packets, layers, network, new)
    if made.carries == "ethernet":
        frames = packets.linktypes == LINKTYPE_ETHERNET
        sizes = np.where(frames, _wire(packets) - ETHERNET_LEN, sizes)
    sizes = np.where(sizes > 0, sizes + made.overhead, 0)
    mask = sizes > link_mtu
    df = old & (layers["ipv4.flags"] & DONT_FRAGMENT != 0)
    return Oversize(
        mask=mask,
        sizes=sizes.astype(np.uint32),
        link_mtu=link_mtu,
        overhead=made.overhead,
        inner_mtu=made.inner_mtu,
        packets=len(packets),
        too_long=int(mask.sum()),
        not_carried=int((sizes == 0).sum()),
        needed=int(sizes.max(initial=0)),
        df=int((mask & df).sum()),
        fragmentable=int((mask & old & ~df).sum()),
        ipv6=int((mask & new).sum()),
        other=int((mask & ~old & ~new).sum()),
        fragments=int((mask & fragment).sum()),
        paths=_by_path(layers, mask, sizes),
    )


def _wire(packets: Packets) -> Int64s:
    """int64[n]: octets on the wire, which are no fewer than were captured."""
    return np.maximum(packets.wire_lengths, packets.lengths).astype(np.int64)


def _families(layers: Layers, network: npt.NDArray[np.int8]) -> tuple[Bools, Bools, Bools]:
    """Whose first IP header is IPv4, whose is IPv6, and of which of them that says: a fragment."""
    kinds = layers.kinds[np.arange(len(layers)), np.maximum(network, 0)]
    old, new = kinds == Kind["ipv4"], kinds == Kind["ipv6"]
    more = layers["ipv4.flags"] & MORE_FRAGMENTS != 0
    fragment = old & (more | (layers["ipv4.fragment_offset"] != 0))
    header, second = layers.slot("fragment"), layers.slot("ip[1]")
    own = (header >= 0) & ((second < 0) | (header < second))
    real = (layers["fragment.offset"] != 0) | (layers["fragment.more"] != 0)
    return old, new, fragment | (new & own & real)


def _lengths(packets: Packets, layers: Layers, network: npt.NDArray[np.int8], new: Bools) -> Int64s:
    """int64[n]: octets of the IP packet in each frame, without padding; 0 where there is none."""
    there = network >= 0
    rest = _wire(packets) - layers.offset("ip")
    said = layers["ip.length"].astype(np.int64)
    # 0 is no length: segmentation was left to a network card.
    said = np.where(said == 0, rest, said + np.where(new, IPV6_LEN, 0))
    return np.where(there, np.minimum(said, rest), 0)


def _by_path(layers: Layers, mask: Bools, sizes: Int64s) -> tuple[PathSize, ...]:
    ids = layers.path_ids
    packets = np.bincount(ids)
    too_long = np.bincount(ids[mask], minlength=len(packets))
    longest = np.zeros(len(packets), np.int64)
    np.maximum.at(longest, ids, sizes)
    names = layers.paths
    found = [
        PathSize(
            names[path] if path != OTHER else OTHER_PATHS,
            int(packets[path]), int(too_long[path]), int(longest[path]),
        )
        for path in np.flatnonzero(packets).tolist()
    ]  # fmt: skip
    return tuple(sorted(found, key=lambda one: (-one.too_long, one.path)))
