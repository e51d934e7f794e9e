"""Explicit congestion notification of inner and outer IP headers.

    inner \\ outer   Not-ECT    ECT(0)     ECT(1)     CE
    Not-ECT         Not-ECT    Not-ECT    Not-ECT    drop
    ECT(0)          ECT(0)     ECT(0)     ECT(1)     CE
    ECT(1)          ECT(1)     ECT(1)     ECT(1)     CE
    CE              CE         CE         CE         CE

Source: RFC 6040 section 4.2, figure 4. RFC 9601 extends it to GRE, VXLAN and Geneve.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from encap import memory
from encap._lib import Batch, ffi, lib, pointer

if TYPE_CHECKING:
    from encap.tunnels.receiving import Receiving

__all__ = ["DROP", "Marks", "find", "get_tos", "received", "set_tos"]

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


class Marks(NamedTuple):
    """Marks that are to be written into packets.

    places: int64[m], which of them.  offsets: int64[m], of their IP headers, from where each
    begins.  ipv4: bool[m].  tos: uint8[m].
    """

    places: Int64s
    offsets: Int64s
    ipv4: Bools
    tos: Uint8s


def find(going: Receiving, reason: int, *, dscp: bool) -> Marks | None:
    """What is to be written into the inner packets of those that are still going, if anything is.

    reason: what a packet meets that cannot say that it met congestion.
    dscp: the outer DSCP goes inside too.
    An inner packet is IP by its EtherType, by what `going.carried` says, or by its own version.
    """
    count = len(going)
    if not count:
        return None
    packets = going.packets
    inside = packets._make(
        packets.data, packets.starts, packets.lengths, wire_lengths=packets.wire_lengths,
        times=packets.times, linktypes=going.linktypes,
    )  # fmt: skip
    dtypes = (np.int64, np.int64, np.bool_, np.uint8)
    places, offsets, ipv4, tos = (memory.empty(count, dtype) for dtype in dtypes)
    carried = None if going.carried is None else np.ascontiguousarray(going.carried, np.uint16)
    given = (
        pointer(np.ascontiguousarray(going.inner), "int64_t"),
        pointer(np.ascontiguousarray(going.end), "int64_t"),
        ffi.NULL if carried is None else pointer(carried, "uint16_t"),
        pointer(np.ascontiguousarray(going.tos), "uint8_t"),
        pointer(_RECEIVED.reshape(-1), "uint8_t"),
    )
    how = ffi.new("encap_marking *", (*given, dscp, reason))
    room = (
        pointer(places, "int64_t", writable=True), pointer(offsets, "int64_t", writable=True),
        pointer(ipv4, "uint8_t", writable=True), pointer(tos, "uint8_t", writable=True),
    )  # fmt: skip
    source, out = Batch(inside), ffi.new("encap_marks *", room)
    reasons = pointer(going.reasons, "uint8_t", writable=True)
    found = lib.encap_marks_find(source.pointer, 0, count, how, reasons, out)
    return Marks(places[:found], offsets[:found], ipv4[:found], tos[:found]) if found else None


def set_tos(data: Uint8s, starts: Int64s, ipv4: Bools, tos: Uint8s) -> None:
    """Writes the type of service, or traffic class, of IP headers, in place.

    An IPv4 header checksum follows.  Source: RFC 1624 section 3.

    data: uint8[m], writable.  starts: int64[n], where the headers are.  ipv4: bool[n], which are
    IPv4: what their version says does not matter.  tos: uint8[n].
    """
    if len(starts) and lib.encap_marks_write(
        pointer(data, "uint8_t", writable=True), data.size,
        pointer(np.ascontiguousarray(starts), "int64_t"),
        pointer(np.ascontiguousarray(ipv4), "uint8_t"),
        pointer(np.ascontiguousarray(tos), "uint8_t"), len(starts),
    ):  # fmt: skip
        raise AssertionError("what is marked lies inside of its packet")
