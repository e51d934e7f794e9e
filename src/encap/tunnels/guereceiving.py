"""GUE headers of packets that arrived, looked at as Linux does.

Source: Linux, gue_udp_recv and validate_gue_flags; draft-ietf-intarea-gue-09 section 3.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from encap.headers.gue import PRIVATE, REMCSUM
from encap.tunnels.reasons import Reason

if TYPE_CHECKING:
    from encap.tunnels.receiving import Array, Bools, Int64s, Receiving

__all__ = ["open_gue"]

HEADER_LEN, PRIVATE_LEN, REMCSUM_LEN, SUM_LEN = 4, 4, 4, 2
BY_VERSION = {4: 4, 6: 41}
"""Protocols of what follows UDP directly (version 1), by its IP version."""


def open_gue(
    going: Receiving, where: Bools, protocol: npt.NDArray[np.uint8], inner: Int64s
) -> None:
    """Refuses GUE headers that are wrong; says what stands behind them.

    where: bool[n], packets with such a header at `inner`; protocol: uint8[n], inner: int64[n],
    which are written to.
    """
    rows = going.rows(where)
    room = going.said[rows] - inner[rows]
    here = going.end[rows] - inner[rows] >= HEADER_LEN
    word = np.zeros(len(rows), np.uint32)
    word[here] = going.numbers(rows[here], inner[rows][here], 4)
    version = word >> 30
    _refuse(going, rows, (room < HEADER_LEN) | ~here, Reason.TOO_SHORT)
    _refuse(going, rows, version > 1, Reason.VERSION)
    direct = version == 1
    followed = np.zeros(16, np.uint8)
    followed[list(BY_VERSION)] = list(BY_VERSION.values())
    said = followed[word >> 28]
    _refuse(going, rows, direct & (said == 0), Reason.VERSION)
    size = np.where(direct, 0, HEADER_LEN + (word >> 24 & 31).astype(np.int64) * 4)
    _refuse(going, rows, size > room, Reason.TOO_SHORT)
    _check_flags(going, rows, np.where(direct, 0, word & 0xFFFF), size, inner[rows])
    _refuse(going, rows, ~direct & (word >> 29 & 1 != 0), Reason.INNER_PROTOCOL)
    protocol[rows] = np.where(direct, said, word >> 16 & 0xFF)
    inner[rows] += size


def _check_flags(going: Receiving, rows: Int64s, flags: Array, size: Int64s, begin: Int64s) -> None:
    """Flags that nobody knows, fields that do not fit, and a checksum that is not in the packet.

    size: int64[m], octets of the header.  begin: int64[m], where it begins.
    """
    _refuse(going, rows, flags & ~np.uint32(PRIVATE) != 0, Reason.RESERVED_BITS)
    private = flags & PRIVATE != 0
    _refuse(going, rows, private & (size < HEADER_LEN + PRIVATE_LEN), Reason.TOO_SHORT)
    chosen = np.flatnonzero(private & (going.reasons[rows] == 0))
    if not len(chosen):
        return
    more = np.zeros(len(rows), np.uint32)
    here = chosen[going.end[rows[chosen]] - begin[chosen] >= size[chosen]]
    more[here] = going.numbers(rows[here], begin[here] + HEADER_LEN, 4)
    _refuse(going, rows, more & ~np.uint32(REMCSUM) != 0, Reason.RESERVED_BITS)
    offloaded = more & np.uint32(REMCSUM) != 0
    least = HEADER_LEN + PRIVATE_LEN + REMCSUM_LEN
    _refuse(going, rows, offloaded & (size < least), Reason.TOO_SHORT)
    here = np.flatnonzero(offloaded & (going.reasons[rows] == 0))
    at = begin[here] + HEADER_LEN + PRIVATE_LEN
    start, offset = (going.numbers(rows[here], at + by).astype(np.int64) for by in (0, 2))
    reach = np.zeros(len(rows), np.int64)
    reach[here] = size[here] + np.maximum(start, offset + SUM_LEN)
    _refuse(going, rows, reach > going.said[rows] - begin, Reason.TOO_SHORT)


def _refuse(going: Receiving, rows: Int64s, where: Bools, reason: Reason) -> None:
    """Refuses some of these rows."""
    if where.any():
        wrong = np.zeros(len(going), np.bool_)
        wrong[rows[where]] = True
        going.refuse(wrong, reason)
