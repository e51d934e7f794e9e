"""Numbers out of many packets at once, and sums.  Source of the latter: RFC 1071."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from encap._lib import Batch, lib, pointer

if TYPE_CHECKING:
    from encap.packets import Packets

__all__ = ["fold", "numbers_at", "octet_sums", "words"]

Uint32s = npt.NDArray[np.uint32]


def numbers_at(
    octets: npt.NDArray[np.uint8], at: npt.NDArray[np.int64], width: int
) -> npt.NDArray[np.uint64]:
    """uint64[n]: numbers of `width` octets, 8 at the most, in network order.

    octets: uint8[m].  at: int64[n], where in them; what lies outside gives 0.
    """
    found = np.empty(len(at), np.uint64)
    if len(at):
        lib.encap_numbers(
            pointer(octets, "uint8_t"), octets.size, pointer(np.ascontiguousarray(at), "int64_t"),
            0, len(at), width, pointer(found, "uint64_t", writable=True),
        )  # fmt: skip
    return found


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
