"""Remote checksum offload: the receiver fills in the inner checksum, the sender says which.

    reserved1: bit 21 (RCO)
    reserved2: bit 7 UDP, else TCP | bits 6 to 0: half the octets to the transport header

The inner checksum stays what it was, the sum of the pseudo header alone; whoever reads it on the
other side takes it as one that a network card is to complete.
Source: draft-herbert-vxlan-rco-00; Linux, vxlan_build_skb and vxlan_remcsum.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from encap.verify import Verdict

if TYPE_CHECKING:
    from encap.packets import Packets
    from encap.tunnels.receiving import Array, Bools

__all__ = ["RCO", "Offload", "beyond", "offload", "partial_sums"]

RCO = 1 << 21
_UDP, _START = 0x80, 0x7F
_MOST = _START << 1
_CHECKSUM = {"tcp": (0, 16), "udp": (_UDP, 6)}
"""What says the protocol, and where in its header the checksum is."""


class Offload(NamedTuple):
    """What the headers of packets say: uint32[n] and uint8[n]."""

    reserved1: npt.NDArray[np.uint32]
    reserved2: npt.NDArray[np.uint8]


def offload(packets: Packets) -> Offload:
    """What is left to the receiver: checksums that are the sum of the pseudo header alone."""
    sums = packets.checksums()
    found = np.zeros(len(packets), np.uint8)
    for name, (kind, _) in _CHECKSUM.items():
        at = sums.layers.offset(name)
        partial = (sums.of(name) == Verdict.PARTIAL) & (at <= _MOST) & (at % 2 == 0)
        found[partial & (found == 0)] = (at >> 1 | kind)[partial & (found == 0)]
    return Offload(np.where(found, np.uint32(RCO), np.uint32(0)), found)


def partial_sums(packets: Packets) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """int64[n] each: where the transport header begins, and where in the packet its checksum is.

    Both are 0 where the checksum is whole, or there is none.
    """
    sums = packets.checksums()
    starts, places = (np.zeros(len(packets), np.int64) for _ in range(2))
    for name, (_, within) in _CHECKSUM.items():
        at = sums.layers.offset(name)
        chosen = (sums.of(name) == Verdict.PARTIAL) & (places == 0)
        starts[chosen], places[chosen] = at[chosen], at[chosen] + within
    return starts, places


def beyond(reserved1: Array, reserved2: Array, room: Array) -> Bools:
    """bool[n]: where the checksum that is to be filled in is not in the packet.

    room: int64[n], octets of the inner packet.
    """
    start = (reserved2 & _START).astype(np.int64) << 1
    last = start + np.where(reserved2 & _UDP, _CHECKSUM["udp"][1], _CHECKSUM["tcp"][1]) + 2
    found: Bools = (reserved1 & RCO != 0) & (last > room)
    return found
