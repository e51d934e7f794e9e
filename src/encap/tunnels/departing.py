"""How packets leave through a tunnel: which can, in which headers, in how many pieces."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from encap._lib import lib
from encap.encapsulate import Run
from encap.errors import FieldError
from encap.fields import Header
from encap.headers.ipv4 import IPv4
from encap.headers.ipv6 import IPv6
from encap.packet import Packet
from encap.packets import Packets
from encap.tunnels.inside import Inside
from encap.tunnels.reasons import Reason
from encap.tunnels.replies import ETHERNET_LEN, LEAST_MTU, no_replies
from encap.tunnels.result import Result

if TYPE_CHECKING:
    from encap.tunnels.tunnel import Tunnel

__all__ = ["Wrapping", "send"]

PARTS = 3
"""Octets, starts and lengths: a column of options."""

_REASONS = {
    lib.ENCAP_NOT_CARRIED: Reason.NOT_CARRIED,
    lib.ENCAP_TOO_LONG: Reason.TOO_BIG,
    lib.ENCAP_CUT: Reason.INCOMPLETE,
}


@dataclass(slots=True)
class Wrapping:
    """What a tunnel puts in front of packets.

    templates: headers behind the link's; several of them where packets differ: `which` says, for
        each packet, which one it gets.
    columns, options: as `Packets.encap` has them.
    reasons: uint8[n], why a packet cannot be sent, or None where all can.
    packets: what is sent instead, where a device changes packets; None where it does not.
    rows: int64[m], which packets go out, in this order: one that goes to several has several
        rows. None where each goes out once. All the rest here is of these rows.
    heeds_df: an inner packet that must not be fragmented is not sent in fragments outside either.
    whole: no packet is sent in fragments.
    always: octets of an IPv6 packet that goes through whatever the MTU, in fragments if need be.
    fragments_outside: over IPv6 too, what may be fragmented goes in fragments.
    replies: what senders are told about packets that have a reason already.
    """

    templates: list[tuple[Header, ...]]
    columns: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    which: npt.NDArray[np.uint8] | None = None
    reasons: npt.NDArray[np.uint8] | None = None
    packets: Packets | None = None
    rows: npt.NDArray[np.int64] | None = None
    heeds_df: bool = True
    whole: bool = False
    always: int = 0
    fragments_outside: bool = False
    replies: list[Packets] = field(default_factory=list)

    def refuse(
        self, rows: npt.NDArray[np.int64], reason: Reason, count: int
    ) -> npt.NDArray[np.int64]:
        """Refuses rows of `count` packets; gives those of them that had no reason before."""
        if self.reasons is None:
            self.reasons = np.zeros(count, np.uint8)
        rows = rows[self.reasons[rows] == 0]
        self.reasons[rows] = reason
        return rows

    def select(self, rows: npt.NDArray[np.int64]) -> None:
        """Keeps these packets alone."""
        self.columns = {name: _taken(value, rows) for name, value in self.columns.items()}
        self.options = {name: _taken(value, rows) for name, value in self.options.items()}
        self.which = None if self.which is None else self.which[rows]


def _taken(value: Any, rows: npt.NDArray[np.int64]) -> Any:
    """Some rows of a column; what is one for all stays."""
    if isinstance(value, tuple):  # octets, starts and lengths
        return value[0], value[1][rows], value[2][rows]
    if isinstance(value, list):  # options of each packet
        return [value[row] for row in rows.tolist()]
    return value[rows] if isinstance(value, np.ndarray) and value.ndim else value


def send(
    tunnel: Tunnel,
    packets: Packets,
    link: tuple[Header, ...],
    columns: Mapping[str, Any],
    threads: int | None,
    out: npt.NDArray[np.uint8] | None,
) -> Result:
    """What the tunnel makes of packets; see `Tunnel.encap`."""
    wrapping = tunnel._wrap(packets)
    batch = packets = packets if wrapping.packets is None else wrapping.packets
    for name, value in columns.items():
        column = _whole(name, value, len(batch))
        wrapping.columns[name] = column if wrapping.rows is None else _taken(column, wrapping.rows)
    if wrapping.rows is not None:
        packets = packets[wrapping.rows]
    strange = np.flatnonzero(~tunnel._carries(packets))
    if len(strange):
        wrapping.refuse(strange, Reason.NOT_CARRIED, len(packets))
    tunnel._settle(wrapping, packets)
    tunnel._encapsulate(wrapping, packets)
    _want_source(tunnel, wrapping, len(packets))
    if tunnel.family == "ipv4" and "ipv4.id" not in wrapping.columns:
        wrapping.options["ip_id"] = tunnel.state.take_ids(len(packets))
    reasons = np.zeros(len(packets), np.uint8) if wrapping.reasons is None else wrapping.reasons
    replies = [*wrapping.replies, _refuse_too_big(tunnel, packets, wrapping, reasons)]
    chosen, rows = packets, None
    if reasons.any():
        rows = np.flatnonzero(reasons == 0)
        chosen = packets[rows]
        wrapping.select(rows)
    run = Run.of(
        chosen,
        [_template((*link, *headers)) for headers in wrapping.templates],
        wrapping.columns,
        which=wrapping.which,
        errors="skip",
        threads=threads,
        **wrapping.options,
    )
    made = run.packets(out)
    if len(made) < len(chosen):
        for problem, reason in _REASONS.items():
            met = np.flatnonzero(run.problems == problem)
            reasons[met if rows is None else rows[met]] = reason
    sent = _in_pieces(tunnel, made, link)
    if sent is not made:
        gone = _not_among(sent.rows, made)
        lost = made.rows[gone] if rows is None else rows[made.rows[gone]]
        cut = made.lengths[gone] < made.wire_lengths[gone]
        reasons[lost] = np.where(cut, Reason.INCOMPLETE, Reason.TOO_BIG)
    if sent is made and wrapping.rows is None and len(sent) == len(packets):
        origin = None
    else:
        origin = sent.rows if sent is made else made.rows[sent.rows]
        origin = origin if rows is None else rows[origin]
    if wrapping.rows is not None:
        origin, reasons = wrapping.rows[origin], _of_batch(reasons, wrapping.rows, len(batch))
    sent = batch._derived(
        origin,
        data=sent.data,
        starts=sent.starts,
        lengths=sent.lengths,
        wire_lengths=sent.wire_lengths,
        linktypes=sent.linktypes,
    )
    return Result(sent, reasons, Packets.concat(replies))


def _want_source(tunnel: Tunnel, wrapping: Wrapping, count: int) -> None:
    """Refuses packets whose outer source nothing says: a host has addresses to choose from."""
    network = wrapping.templates[0][0]
    open_ = isinstance(network, IPv4 | IPv6) and not int(network.src or 0)
    if open_ and f"{tunnel.family}.src" not in wrapping.columns:
        wrapping.refuse(np.arange(count, dtype=np.int64), Reason.NO_SOURCE, count)


def _whole(name: str, value: Any, count: int) -> Any:
    """A column as arrays, of which some rows can be taken.

    FieldError where it has others; TypeError for lists of different lengths, and for a tuple that
    is not octets, starts and lengths.
    """
    if isinstance(value, tuple) and len(value) != PARTS:
        raise TypeError(f"{name} is no tuple of {len(value)}: octets, starts and lengths are one")
    if isinstance(value, list) and not name.endswith(".options"):
        try:
            value = np.asarray(value)
        except ValueError:  # lists of different lengths
            raise TypeError(f"{name} must hold integers, one a row") from None
    parts = value[1:] if isinstance(value, tuple) else (value,)
    for part in parts:
        varies = isinstance(part, list) or (isinstance(part, np.ndarray) and part.ndim)
        if varies and len(part) != count:
            raise FieldError(f"{name} has {len(part)} values, {count} are needed", field=name)
    return value


def _of_batch(
    reasons: npt.NDArray[np.uint8], rows: npt.NDArray[np.int64], count: int
) -> npt.NDArray[np.uint8]:
    """uint8[count]: what became of packets, of which several copies went out, or none.

    One that left at least once went through; where nobody gets one, it had no destination.
    """
    found = np.full(count, Reason.NO_DESTINATION, np.uint8)
    found[rows] = reasons
    found[rows[reasons == 0]] = Reason.ACCEPTED
    return found


@lru_cache(maxsize=256)
def _template(headers: tuple[Header, ...]) -> Packet:
    """Headers as a template: the same ones come again with each call."""
    return Packet(*headers)


def _length(headers: tuple[Header, ...]) -> int:
    """Octets of some headers."""
    return sum(header.header_len for header in headers)


def _in_pieces(tunnel: Tunnel, made: Packets, link: tuple[Header, ...]) -> Packets:
    """What is longer than the underlay's MTU, in fragments: it may be, or it would not be here."""
    room = tunnel.underlay.mtu + _length(link)
    if not (made.wire_lengths > room).any():
        return made
    ids = tunnel.state.take_fragment_ids(len(made)) if tunnel.family == "ipv6" else 0
    return made.fragment(tunnel.underlay.mtu, df="ignore", ids=ids)


def _not_among(rows: npt.NDArray[np.int64], packets: Packets) -> npt.NDArray[np.int64]:
    """Rows of packets that are not among some."""
    missing = np.ones(len(packets), np.bool_)
    missing[rows] = False
    return np.flatnonzero(missing)


def _refuse_too_big(
    tunnel: Tunnel, packets: Packets, wrapping: Wrapping, reasons: npt.NDArray[np.uint8]
) -> Packets:
    """Refuses what does not fit and must stay whole; gives what the sender is told about it.

    Source: Linux, tnl_update_pmtu and ip_fragment; RFC 2003 section 3.1, RFC 2473 section 7.
    """
    room = _room(tunnel, wrapping, len(packets))
    rows = np.flatnonzero((packets.wire_lengths > room) & (reasons == 0))
    if not len(rows):
        return no_replies()
    inside, room = Inside.of(packets, rows), room[rows]
    room = np.maximum(room, _granted(tunnel, wrapping, inside))
    sixth = tunnel.family == "ipv6" and not wrapping.fragments_outside
    whole = np.full(len(rows), sixth or wrapping.options.get("df") == "set" or wrapping.whole)
    if wrapping.options.get("df") == "inherit":
        whole |= inside.must_stay_whole
    elif wrapping.heeds_df:
        # Who sends IPv6 is not told of less than any link takes: it goes as if it had no DF.
        least = LEAST_MTU[6] + (ETHERNET_LEN if tunnel.frames else 0)
        whole |= inside.must_stay_whole & ~(inside.ipv6 & (room < least))
    whole |= tunnel._insists(packets, inside, room)
    whole &= packets.wire_lengths[rows] > room
    reasons[rows[whole]] = Reason.TOO_BIG
    # What might have been fragmented is refused in silence, but by tunnels over IPv6.
    told = whole if sixth else whole & inside.must_stay_whole
    return tunnel._too_big(packets, inside.chosen(told), room[told])


def _granted(tunnel: Tunnel, wrapping: Wrapping, inside: Inside) -> npt.NDArray[np.int64]:
    """int64[m]: octets of packets that go through whatever the MTU; over IPv6 not of IPv6 alone.

    Source: Linux, ip6_tnl_xmit, where they are those that every link takes.
    """
    other = wrapping.always - LEAST_MTU[6] + LEAST_MTU[4]
    other = other if wrapping.always and tunnel.family == "ipv6" else 0
    return np.where(inside.ipv6, np.int64(wrapping.always), np.int64(other))


def _room(tunnel: Tunnel, wrapping: Wrapping, count: int) -> npt.NDArray[np.int64]:
    """int64[n]: octets of each packet that fit behind the headers that it gets."""
    lengths = np.array([*map(_length, wrapping.templates)], np.int64)
    taken = lengths[0] if wrapping.which is None else lengths[wrapping.which]
    for value in wrapping.columns.values():
        if isinstance(value, tuple):
            taken = taken + value[2]
    return np.broadcast_to(tunnel.underlay.mtu - taken, (count,))
