"""How packets arrive through a tunnel: piece by piece, fragments joined, ECN carried inward."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from encap import memory
from encap.packets import Packets
from encap.tunnels import ecn
from encap.tunnels.reasons import Reason
from encap.tunnels.receiving import Int64s, Receiving
from encap.tunnels.replies import no_replies
from encap.tunnels.result import Result

if TYPE_CHECKING:
    from encap.tunnels.state import State

__all__ = ["Delivery", "Endpoint", "deliver", "inner_packets"]

PIECE = 1 << 16
"""Rows at a time, so that what is found out about them takes little memory."""


class Delivery(NamedTuple):
    """Packets that were accepted, and the rows of the input that they come from.

    marks: what is to be written into them once they are in memory of their own, if anything is.
    """

    rows: Int64s
    packets: Packets
    marks: ecn.Marks | None = None


class Endpoint(Protocol):
    """What receives packets: a tunnel, or what stands for one."""

    @property
    def state(self) -> State: ...
    def _receive(self, packets: Packets) -> Receiving: ...
    def _in_order(self, stages: Sequence[tuple[Receiving, Int64s]]) -> None: ...
    def _inner(self, going: Receiving, rows: Int64s) -> Delivery: ...


def deliver(tunnel: Endpoint, packets: Packets) -> Result:
    """What the tunnel delivers of packets; see `Tunnel.decap`."""
    reasons = memory.empty(len(packets), np.uint8)
    made: list[Delivery] = []
    replies: list[Packets] = []
    every = np.arange(len(packets), dtype=np.int64)
    bounds = range(0, len(packets), PIECE)
    for first in bounds:
        last = min(first + PIECE, len(packets))
        piece = packets if len(bounds) == 1 else packets._piece(first, last)
        _deliver_piece(tunnel, piece, every[first:last], reasons, made, replies)
    # More deliveries than pieces: datagrams, whose fragments came in any order.
    in_order = len(made) == len(bounds)
    return Result(
        _together(packets, made, in_order=in_order),
        reasons,
        Packets.concat(replies) if replies else no_replies(),
    )


def _deliver_piece(
    tunnel: Endpoint,
    piece: Packets,
    rows: Int64s,
    reasons: npt.NDArray[np.uint8],
    made: list[Delivery],
    replies: list[Packets],
) -> None:
    """One piece: whole packets, and then the datagrams that its fragments make whole."""
    stages: list[tuple[Receiving, Int64s]] = []
    while len(piece):
        going = tunnel._receive(piece)
        stages.append((going, rows))
        pieces = np.flatnonzero(going.reasons == Reason.HELD)
        if not len(pieces):
            break
        joined = tunnel.state.fragments._add(piece[pieces])
        going.reasons[pieces[joined.lost]] = Reason.FRAGMENTS
        piece, rows = joined.packets, rows[pieces[joined.rows]]
    tunnel._in_order(stages)
    for going, origin in stages:
        made.append(tunnel._inner(going, origin))
        reasons[origin] = going.reasons
        replies += going.replies


def inner_packets(going: Receiving, rows: Int64s, *, dscp: bool = False) -> Delivery:
    """What is left of the packets that are still going, with the ECN bits that they get.

    dscp: they get the outer DSCP too.
    """
    # A header may be whole on the wire, and the capture end in it: nothing behind is ours to read.
    going.refuse(going.end < going.inner, Reason.INCOMPLETE)
    marks = _congestion(going, dscp)
    packets, starts, linktypes = going.packets, going.packets.starts, going.linktypes
    inner, end, said, times = going.inner, going.end, going.said, going.packets.times
    if going.reasons.any():
        accepted = np.flatnonzero(going.reasons == 0)
        rows, starts, times = rows[accepted], starts[accepted], times[accepted]
        inner, end, said = inner[accepted], end[accepted], said[accepted]
        # A number that stands for all rows stands for some of them.
        uniform = linktypes.strides == (0,)
        linktypes = linktypes[: len(rows)] if uniform else linktypes[accepted]
        if marks is not None:
            marks = marks._replace(places=np.searchsorted(accepted, marks.places))
    lengths = (end - inner).astype(np.uint32)
    made = packets._make(
        packets.data,
        starts + inner,
        lengths,
        # Mostly nothing was cut.
        wire_lengths=lengths if (said == end).all() else (said - inner).astype(np.uint32),
        times=times,
        linktypes=linktypes,
        ports=packets._ports,
    )
    return Delivery(rows, made, marks)


def _congestion(going: Receiving, dscp: bool) -> ecn.Marks | None:
    """Refuses what met congestion and cannot say so; gives what is to be written, by row.

    Source: RFC 6040 section 4.2; Linux, INET_ECN_decapsulate.
    """
    # Without a mark outside nothing is to be done, whatever is inside.
    if not (dscp or (going.tos & np.uint8(3)).any()):
        return None
    return ecn.find(going, Reason.ECN, dscp=dscp)


def _together(packets: Packets, made: list[Delivery], *, in_order: bool) -> Packets:
    """All that was delivered, in the order of the input."""
    made = [one for one in made if len(one.rows)]
    if not made:
        return packets[:0]
    whole = made[0].packets if len(made) == 1 else Packets.concat(one.packets for one in made)
    whole = _marked(whole, made)
    rows = None
    # A row gives one packet at the most: as many as there are rows are all of them.
    if not in_order or len(whole) < len(packets):
        rows = np.concatenate([one.rows for one in made])
    if rows is not None and not in_order and (rows[1:] < rows[:-1]).any():
        order = np.argsort(rows, kind="stable")
        rows, whole = rows[order], whole[order]
    return packets._derived(
        rows,
        data=whole.data,
        starts=whole.starts,
        lengths=whole.lengths,
        wire_lengths=whole.wire_lengths,
        linktypes=whole.linktypes,
    )


def _marked(whole: Packets, made: list[Delivery]) -> Packets:
    """The packets of all deliveries with their congestion marks, in memory of their own."""
    if all(one.marks is None for one in made):
        return whole
    octets = memory.empty(int(whole.lengths.sum(dtype=np.int64)), np.uint8)
    whole = whole.compact(out=octets)
    first = 0
    for one in made:
        if one.marks is not None:
            at = whole.starts[first + one.marks.places] + one.marks.offsets
            ecn.set_tos(octets, at, one.marks.ipv4, one.marks.tos)
        first += len(one.rows)
    return whole
