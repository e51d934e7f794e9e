"""Fields of inner IP headers, read from packets that begin with them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from encap.packets import Packets

__all__ = ["DESTINATION", "SOURCE", "addresses", "first_words", "ipv4_destinations"]

Int64s = npt.NDArray[np.int64]
SOURCE, DESTINATION = 8, 24
"""Where the addresses of an IPv6 header are."""


def addresses(packets: Packets, rows: Int64s, at: int) -> npt.NDArray[np.uint8]:
    """uint8[m, 16]: addresses of rows that begin with a whole IPv6 header; `at` says which."""
    found: npt.NDArray[np.uint8] = packets.data[
        (packets.starts[rows] + at)[:, None] + np.arange(16)
    ]
    return found


def first_words(packets: Packets, rows: Int64s) -> npt.NDArray[np.uint32]:
    """uint32[m]: the first four octets of rows that have as many."""
    octets = packets.data[packets.starts[rows][:, None] + np.arange(4)]
    found: npt.NDArray[np.uint32] = octets.view(">u4")[:, 0].astype(np.uint32)
    return found


def ipv4_destinations(packets: Packets, rows: Int64s) -> npt.NDArray[np.uint32]:
    """uint32[m]: destinations of rows that begin with a whole IPv4 header."""
    octets = packets.data[(packets.starts[rows] + 16)[:, None] + np.arange(4)]
    found: npt.NDArray[np.uint32] = octets.view(">u4")[:, 0].astype(np.uint32)
    return found
