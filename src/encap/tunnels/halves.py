"""IPv6 addresses as pairs of numbers: a whole column is asked in 64 bits at once."""

from __future__ import annotations

from ipaddress import IPv6Network
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from encap.tunnels.sums import numbers_at

if TYPE_CHECKING:
    from encap.tunnels.options import IPAddress

__all__ = ["Halves"]

Uint8s = npt.NDArray[np.uint8]
Uint64s = npt.NDArray[np.uint64]
Bools = npt.NDArray[np.bool_]
MASK = (1 << 64) - 1


class Halves(NamedTuple):
    """Addresses by their first and their last 64 bits: uint64[n] each."""

    upper: Uint64s
    lower: Uint64s

    @classmethod
    def of(cls, column: Uint8s) -> Halves:
        """Of addresses as columns have them, uint8[n, 16]."""
        pairs = np.ascontiguousarray(column).view(">u8").astype(np.uint64)
        return cls(pairs[:, 0], pairs[:, 1])

    @classmethod
    def at(cls, octets: Uint8s, at: npt.NDArray[np.int64]) -> Halves:
        """Read from octets, at int64[n] of them; 0 where there are none."""
        return cls(numbers_at(octets, at, 8), numbers_at(octets, at + 8, 8))

    def column(self) -> Uint8s:
        """uint8[n, 16]: the addresses as columns have them."""
        made = np.empty((len(self.upper), 2), ">u8")
        made[:, 0], made[:, 1] = self.upper, self.lower
        return made.view(np.uint8)

    def are(self, address: IPAddress) -> Bools:
        """bool[n]: where it is this address."""
        whole = int(address)
        found: Bools = (self.upper == np.uint64(whole >> 64)) & (
            self.lower == np.uint64(whole & MASK)
        )
        return found

    def within(self, network: IPv6Network) -> Bools:
        """bool[n]: where they are of a network."""
        first, mask = int(network.network_address), int(network.netmask)
        found: Bools = self.upper & np.uint64(mask >> 64) == np.uint64(first >> 64)
        if mask & MASK:
            found &= self.lower & np.uint64(mask & MASK) == np.uint64(first & MASK)
        return found

    def put(self, where: Bools, address: IPAddress) -> None:
        """Writes one address where it is meant, in place."""
        self.upper[where], self.lower[where] = int(address) >> 64, int(address) & MASK

    def words(self) -> npt.NDArray[np.uint32]:
        """uint32[n]: the last 32 bits of each."""
        return self.lower.astype(np.uint32)
