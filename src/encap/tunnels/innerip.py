"""Fields of inner IP headers, read from packets that begin with them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from encap.tunnels.halves import Halves
from encap.tunnels.sums import numbers_at

if TYPE_CHECKING:
    from encap.packets import Packets

__all__ = ["DESTINATION", "SOURCE", "addresses", "ipv4_destinations"]

Int64s = npt.NDArray[np.int64]
SOURCE, DESTINATION, IPV4_DESTINATION = 8, 24, 16
"""Where the addresses of IPv6 headers are, and those of IPv4."""


def addresses(packets: Packets, rows: Int64s, at: int) -> Halves:
    """Addresses of rows that begin with a whole IPv6 header; `at` says which."""
    return Halves.at(packets.data, packets.starts[rows] + at)


def ipv4_destinations(packets: Packets, rows: Int64s) -> npt.NDArray[np.uint32]:
    """uint32[m]: destinations of rows that begin with a whole IPv4 header."""
    at = packets.starts[rows] + IPV4_DESTINATION
    return numbers_at(packets.data, at, 4).astype(np.uint32)
