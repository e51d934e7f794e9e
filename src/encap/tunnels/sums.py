"""Ones' complement sums of many spans at once.  Source: RFC 1071."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from encap._lib import Batch, lib, pointer

if TYPE_CHECKING:
    from encap.packets import Packets

__all__ = ["fold", "octet_sums", "words"]

Uint32s = npt.NDArray[np.uint32]


def octet_sums(spans: Packets) -> Uint32s:
    """uint32[n]: the sum of each packet's 16-bit words, folded.

    0xFFFF where a checksum among them is right.
    """
    sums = np.empty(len(spans), np.uint16)
    source = Batch(spans)
    if lib.encap_checksums(source.pointer, 0, len(spans), pointer(sums, "uint16_t", writable=True)):
        raise AssertionError("all rows are there")
    return 0xFFFF - sums.astype(np.uint32)


def words(octets: npt.NDArray[np.uint8]) -> Uint32s:
    """uint32[n]: the sum of the 16-bit words in each row of uint8[n, m], m even; not folded."""
    total: Uint32s = np.ascontiguousarray(octets).view(">u2").sum(1, dtype=np.uint32)
    return total


def fold(total: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """uint32[n]: sums of less than 2**32 as ones' complement numbers of 16 bits."""
    total = (total & 0xFFFF) + (total >> 16)
    return (total & 0xFFFF) + (total >> 16)
