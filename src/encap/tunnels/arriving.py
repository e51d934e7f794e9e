"""How packets arrive through a tunnel: piece by piece, fragments joined, ECN carried inward."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from encap.packets import Packets
from encap.tunnels import ecn
from encap.tunnels.inside import Inside
from encap.tunnels.reasons import Reason
from encap.tunnels.receiving import Int64s, Receiving
from encap.tunnels.result import Result

if TYPE_CHECKING:
    from encap.tunnels.state import State

__all__ = ["Delivery", "Receiver", "deliver", "inner_packets"]

PIECE = 1 << 14
"""Rows at a time: what was read of them is still near when it is read again."""


class Delivery(NamedTuple):
    """Packets that were accepted, and the rows of the input that they come from."""

    rows: Int64s
    packets: Packets


class Receiver(Protocol):
    """What receives packets: a tunnel, or what stands for one."""

    @property
    def state(self) -> State: ...
    def _receive(self, packets: Packets) -> Receiving: ...
    def _in_order(self, stages: Sequence[tuple[Receiving, Int64s]]) -> None: ...
    def _inner(self, going: Receiving, rows: Int64s) -> Delivery: ...


def deliver(tunnel: Receiver, packets: Packets) -> Result:
    """What the tunnel delivers of packets; see `Tunnel.decap`."""
    reasons = np.empty(len(packets), np.uint8)
    made: list[Delivery] = []
    replies: list[Packets] = []
    for first in range(0, len(packets), PIECE):
        piece = packets._piece(first, min(first + PIECE, len(packets)))
        rows = np.arange(first, first + len(piece), dtype=np.int64)
        _deliver_piece(tunnel, piece, rows, reasons, made, replies)
    return Result(_together(packets, made), reasons, Packets.concat(replies))


def _deliver_piece(
    tunnel: Receiver,
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


def inner_packets(going: Receiving, rows: Int64s) -> Delivery:
    """What is left of the packets that are still going, with the ECN bits that they get."""
    tos, changed = _congestion(going)
    accepted = np.flatnonzero(going.reasons == 0)
    packets, inner = going.packets, going.inner
    whole = len(accepted) == len(going)
    if not whole:
        inner = inner[accepted]
    end, said, starts, linktypes = (
        (going.end, going.said, packets.starts, going.linktypes)
        if whole
        else (going.end[accepted], going.said[accepted], packets.starts[accepted],
              going.linktypes[accepted])
    )  # fmt: skip
    made = packets._derived(
        None if whole else accepted,
        data=packets.data,
        starts=starts + inner,
        lengths=(end - inner).astype(np.uint32),
        wire_lengths=(said - inner).astype(np.uint32),
        linktypes=linktypes,
    )
    if len(changed.rows):
        octets = np.empty(int(made.lengths.sum(dtype=np.int64)), np.uint8)
        made = made.compact(out=octets)
        places = np.searchsorted(accepted, changed.rows)
        at = (
            made.starts[places]
            + (changed.ip - packets.starts[changed.rows])
            - (going.inner[changed.rows])
        )
        ecn.set_tos(octets, at, changed.ipv4, tos)
    return Delivery(rows[accepted], made)


def _congestion(going: Receiving) -> tuple[npt.NDArray[np.uint8], Inside]:
    """Refuses what met congestion and cannot say so; gives what is to be written, and where.

    Source: RFC 6040 section 4.2; Linux, INET_ECN_decapsulate.
    """
    rows = going.rows(going.tos & 3 != 0)
    packets = going.packets
    span = packets._make(
        packets.data,
        packets.starts[rows] + going.inner[rows],
        (going.end - going.inner)[rows].astype(np.uint32),
        wire_lengths=(going.said - going.inner)[rows].astype(np.uint32),
        times=packets.times[rows],
        linktypes=going.linktypes[rows],
    )
    carried = None if going.carried is None else going.carried[rows]
    inside = Inside.of(span, np.arange(len(rows), dtype=np.int64), carried)
    inside = inside.chosen(inside.ipv4 | inside.ipv6)
    mine = rows[inside.rows]
    old = ecn.get_tos(packets.data, inside.ip, inside.ipv4)
    new = ecn.received(old, going.tos[mine])
    lost = np.zeros(len(going), np.bool_)
    lost[mine[new == ecn.DROP]] = True
    going.refuse(lost, Reason.ECN)
    changed = (new != ecn.DROP) & (new != old & 3)
    at = inside.chosen(changed)
    return old[changed] & 0xFC | new[changed], Inside(
        rows[at.rows], at.ip, at.ipv4, at.ipv6, at.must_stay_whole
    )


def _together(packets: Packets, made: list[Delivery]) -> Packets:
    """All that was delivered, in the order of the input."""
    made = [one for one in made if len(one.rows)]
    rows = np.concatenate([one.rows for one in made]) if made else np.empty(0, np.int64)
    whole = Packets.concat(one.packets for one in made) if len(made) != 1 else made[0].packets
    if (rows[1:] < rows[:-1]).any():
        order = np.argsort(rows, kind="stable")
        rows, whole = rows[order], whole[order]
    return packets._derived(
        rows,
        data=whole.data,
        starts=whole.starts,
        lengths=whole.lengths,
        wire_lengths=whole.wire_lengths,
        linktypes=whole.linktypes,
        times=whole.times,
    )
