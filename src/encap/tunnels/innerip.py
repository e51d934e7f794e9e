"""Fields of inner IP headers, read from packets that begin with them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from encap._lib import lib, pointer
from encap.tunnels.halves import Halves
from encap.tunnels.inside import Octets
from encap.tunnels.sums import numbers_at

if TYPE_CHECKING:
    from encap.packets import Packets

__all__ = ["DESTINATION", "SOURCE", "Heads", "ipv4_destinations", "versions"]

Int64s = npt.NDArray[np.int64]
SOURCE, DESTINATION, IPV4_DESTINATION = 8, 24, 16
"""Where the addresses of IPv6 headers are, and those of IPv4."""


class Heads:
    """The first octets of the packets of a batch, copied once: uint64[n] numbers of 8 octets.

    What lies behind the end of a packet is 0.
    """

    __slots__ = ("words",)

    def __init__(self, packets: Packets, octets: int) -> None:
        count = len(packets)
        room = np.zeros((count, octets), np.uint8)
        if count and packets.data.size:
            lib.encap_copy_spans(
                pointer(packets.data, "uint8_t"), packets.data.size,
                pointer(packets.starts, "int64_t"), pointer(packets.lengths, "uint32_t"),
                0, count, octets, pointer(room.reshape(-1), "uint8_t", writable=True),
            )  # fmt: skip
        self.words = room.view(">u8")

    def numbers(self, at: int) -> npt.NDArray[np.uint64]:
        """uint64[n]: the 8 octets at a multiple of 8."""
        return self.words[:, at // 8].astype(np.uint64)

    def shorts(self, at: int) -> npt.NDArray[np.uint64]:
        """uint64[n]: the 2 octets at an even place, as numbers."""
        return self.numbers(at) >> np.uint64(48 - at % 8 * 8) & np.uint64(0xFFFF)

    def addresses(self, at: int) -> Halves:
        """The IPv6 addresses at `SOURCE` or `DESTINATION`, of packets that begin with that."""
        return Halves(self.numbers(at), self.numbers(at + 8))


def versions(packets: Packets, heads: Heads | None = None) -> npt.NDArray[np.uint8]:
    """uint8[n]: the first four bits of each packet; 0 where it has no octet."""
    if heads is None:
        first = numbers_at(packets.data, packets.starts, 1) >> np.uint64(4)
        return np.where(packets.lengths == 0, np.uint8(0), first.astype(np.uint8))
    return (heads.numbers(0) >> np.uint64(60)).astype(np.uint8)


def ipv4_destinations(packets: Packets, rows: Int64s) -> npt.NDArray[np.uint32]:
    """uint32[m]: destinations of rows that begin with an IPv4 header; 0 where it is cut short."""
    return Octets(packets, rows).numbers(packets.starts[rows] + IPV4_DESTINATION, 4)
