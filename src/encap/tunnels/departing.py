"""How packets leave through a tunnel: which can, in which headers, in how many pieces."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from encap._lib import lib
from encap.encapsulate import Run
from encap.fields import Header
from encap.packet import Packet
from encap.tunnels.inside import Inside
from encap.tunnels.reasons import Reason
from encap.tunnels.replies import no_replies, too_big
from encap.tunnels.result import Result

if TYPE_CHECKING:
    from encap.packets import Packets
    from encap.tunnels.tunnel import Tunnel

__all__ = ["Wrapping", "send"]

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
    heeds_df: an inner packet that must not be fragmented is not sent in fragments outside either.
    """

    templates: list[tuple[Header, ...]]
    columns: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    which: npt.NDArray[np.uint8] | None = None
    reasons: npt.NDArray[np.uint8] | None = None
    packets: Packets | None = None
    heeds_df: bool = True

    def select(self, rows: npt.NDArray[np.int64]) -> None:
        """Keeps these packets alone."""
        self.columns = {name: _taken(value, rows) for name, value in self.columns.items()}
        self.options = {name: _taken(value, rows) for name, value in self.options.items()}
        self.which = None if self.which is None else self.which[rows]


def _taken(value: Any, rows: npt.NDArray[np.int64]) -> Any:
    """Some rows of a column; what is one for all stays."""
    if isinstance(value, tuple):  # octets, starts and lengths
        return value[0], value[1][rows], value[2][rows]
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
    packets = packets if wrapping.packets is None else wrapping.packets
    wrapping.columns |= {
        name: np.asarray(value) if isinstance(value, list) else value
        for name, value in columns.items()
    }
    tunnel._settle(wrapping, packets)
    if tunnel.family == "ipv4" and "ipv4.id" not in wrapping.columns:
        wrapping.options["ip_id"] = tunnel.state.take_ids(len(packets))
    reasons = np.zeros(len(packets), np.uint8) if wrapping.reasons is None else wrapping.reasons
    replies = _refuse_too_big(tunnel, packets, wrapping, reasons)
    chosen, rows = packets, None
    if reasons.any():
        rows = np.flatnonzero(reasons == 0)
        chosen = packets[rows]
        wrapping.select(rows)
    run = Run.of(
        chosen,
        [Packet(*link, *headers) for headers in wrapping.templates],
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
    origin = sent.rows if sent is made else made.rows[sent.rows]
    sent = packets._derived(
        origin if rows is None else rows[origin],
        data=sent.data,
        starts=sent.starts,
        lengths=sent.lengths,
        wire_lengths=sent.wire_lengths,
        linktypes=sent.linktypes,
    )
    return Result(sent, reasons, replies)


def _length(headers: tuple[Header, ...]) -> int:
    """Octets of some headers."""
    return sum(header.header_len for header in headers)


def _in_pieces(tunnel: Tunnel, made: Packets, link: tuple[Header, ...]) -> Packets:
    """What is longer than the underlay's MTU, in fragments: it may be, or it would not be here."""
    room = tunnel.underlay.mtu + _length(link)
    if not (made.wire_lengths > room).any():
        return made
    return made.fragment(tunnel.underlay.mtu, df="ignore")


def _refuse_too_big(
    tunnel: Tunnel, packets: Packets, wrapping: Wrapping, reasons: npt.NDArray[np.uint8]
) -> Packets:
    """Refuses what does not fit and must stay whole; gives what the sender is told about it.

    Source: Linux, tnl_update_pmtu and ip_fragment; RFC 2003 section 3.1, RFC 2473 section 7.
    """
    room = tunnel.underlay.mtu - max(map(_length, wrapping.templates))
    rows = np.flatnonzero((packets.wire_lengths > room) & (reasons == 0))
    if not len(rows):
        return no_replies()
    inside = Inside.of(packets, rows)
    whole = np.full(len(rows), tunnel.family == "ipv6" or wrapping.options.get("df") == "set")
    if wrapping.options.get("df") == "inherit":
        whole |= inside.must_stay_whole
    if wrapping.heeds_df:
        whole |= inside.must_stay_whole
    reasons[rows[whole]] = Reason.TOO_BIG
    return too_big(tunnel, packets, inside.chosen(whole), room)
