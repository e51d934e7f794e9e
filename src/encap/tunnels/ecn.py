"""Explicit congestion notification of inner and outer IP headers.

    inner \\ outer   Not-ECT    ECT(0)     ECT(1)     CE
    Not-ECT         Not-ECT    Not-ECT    Not-ECT    drop
    ECT(0)          ECT(0)     ECT(0)     ECT(1)     CE
    ECT(1)          ECT(1)     ECT(1)     ECT(1)     CE
    CE              CE         CE         CE         CE

Source: RFC 6040 section 4.2, figure 4. RFC 9601 extends it to GRE, VXLAN and Geneve.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["DROP", "get_tos", "received", "set_tos"]

NOT_ECT, ECT_1, ECT_0, CE = range(4)
DROP = 255

_RECEIVED = np.empty((4, 4), np.uint8)
_RECEIVED[:] = np.arange(4)[:, None]
_RECEIVED[NOT_ECT, CE] = DROP
_RECEIVED[ECT_0, ECT_1] = ECT_1
_RECEIVED[[ECT_0, ECT_1], CE] = CE

Uint8s = npt.NDArray[np.uint8]
Int64s = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


def received(inner: Uint8s, outer: Uint8s) -> Uint8s:
    """uint8[n]: the ECN bits that a packet leaves the tunnel with, or `DROP`.

    inner, outer: uint8[n], the traffic classes of both headers.
    """
    found: Uint8s = _RECEIVED[inner & 3, outer & 3]
    return found


def get_tos(data: Uint8s, starts: Int64s, ipv4: Bools) -> Uint8s:
    """uint8[n]: the type of service, or traffic class, of the IP headers at `starts` in `data`.

    ipv4: bool[n], which are IPv4: what their version says does not matter.
    """
    first, second = data[starts], data[starts + 1]
    return np.where(ipv4, second, first << 4 | second >> 4)


def set_tos(data: Uint8s, starts: Int64s, ipv4: Bools, tos: Uint8s) -> None:
    """Writes it, in place; an IPv4 header checksum follows.  Source: RFC 1624 section 3.

    data: uint8[m], writable.  starts: int64[n].  ipv4: as above.  tos: uint8[n].
    """
    at, new = starts[ipv4], tos[ipv4].astype(np.uint32)
    old = data[at + 1].astype(np.uint32)
    data[at + 1] = new
    checksum = data[at + 10].astype(np.uint32) << 8 | data[at + 11]
    # ~(~HC + ~m + m'): what differs is the lower half of the first word.
    total = (0xFFFF - checksum) + (0xFFFF - old) + new
    total = (total & 0xFFFF) + (total >> 16)
    total = (total & 0xFFFF) + (total >> 16)
    checksum = np.where(old == new, checksum, 0xFFFF - total)
    data[at + 10], data[at + 11] = checksum >> 8, checksum & 0xFF
    at, new = starts[~ipv4], tos[~ipv4]  # type: ignore[assignment]  # uint8 this time
    # The traffic class lies across the first two octets.
    data[at] = data[at] & 0xF0 | new >> 4
    data[at + 1] = data[at + 1] & 0x0F | (new & 0x0F) << 4
