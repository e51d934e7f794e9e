"""How packets leave through a device over IPsec: by which association, and in how many pieces.

Source: Linux, vti_xmit, vti6_xmit, xfrmi_xmit2; RFC 4301 section 5.1.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from encap.arrays import column
from encap.errors import FieldError
from encap.fields import Header
from encap.packet import Packet
from encap.packets import Packets
from encap.tunnels.carried import IPIP, IPV6, protocols
from encap.tunnels.esp.policy import Addresses
from encap.tunnels.esp.sealing import seal
from encap.tunnels.inside import IPV6_LEAST, Inside
from encap.tunnels.iptunnel import number_or
from encap.tunnels.reasons import Reason
from encap.tunnels.replies import too_big
from encap.tunnels.result import Result

if TYPE_CHECKING:
    from encap.tunnels.esp.association import SecurityAssociation
    from encap.tunnels.vti import VTITunnel

__all__ = ["send"]

DRAWN = ("ipv4.id", "esp.iv", "fragment.id")

Array = npt.NDArray[Any]
Reasons = npt.NDArray[np.uint8]


def send(
    tunnel: VTITunnel,
    packets: Packets,
    link: tuple[Header, ...],
    columns: Mapping[str, Any],
    threads: int | None,
    out: npt.NDArray[np.uint8] | None,
) -> Result:
    """What the device sends; see `VTITunnel.encap`."""
    drawn = {name: _column(name, value, len(packets)) for name, value in columns.items()}
    reasons = np.zeros(len(packets), np.uint8)
    which = _choose(tunnel, packets, reasons)
    replies, made = [], []
    for index, sa in enumerate(tunnel.sending):
        rows = np.flatnonzero((which == index) & (reasons == 0))
        if len(rows):
            replies += _refuse_too_big(tunnel, packets, rows, sa, reasons)
            rows = rows[reasons[rows] == 0]
            made.append(_sealed(tunnel, packets, rows, sa, drawn, reasons))
    sent = _together(packets, made)
    if (sent.lengths > tunnel.underlay.mtu).any():
        ids = drawn.get("fragment.id")
        given = tunnel.state.take_fragment_ids(len(sent)) if ids is None else ids[sent.rows]
        pieces = sent.fragment(tunnel.underlay.mtu, df="ignore", ids=given, threads=threads)
        sent = _placed(packets, sent.rows[pieces.rows], pieces)
    if link:
        frames = sent.encap(Packet(*link), threads=threads, out=out)
        sent = _placed(packets, sent.rows, frames)
    elif out is not None:
        sent = _placed(packets, sent.rows, sent.compact(out=out, threads=threads))
    return Result(sent, reasons, Packets.concat(replies))


def _column(name: str, value: Any, count: int) -> Array:
    """What a kernel would draw, one a packet."""
    if name not in DRAWN:
        raise FieldError(f"columns of ESP are {', '.join(DRAWN)}, not {name!r}", field=name)
    if name == "esp.iv":
        try:
            array = np.asarray(value)
        except ValueError:  # arrays of different shapes
            raise FieldError(f"esp.iv is one array, uint8[{count}, w]", field=name) from None
        if array.dtype != np.uint8 or array.ndim != 2 or len(array) != count:
            raise FieldError(f"esp.iv is uint8[{count}, w], not {array.dtype}", field=name)
        return array
    return column(value, count, np.uint16 if name == "ipv4.id" else np.uint32, name)


def _choose(tunnel: VTITunnel, packets: Packets, reasons: Reasons) -> npt.NDArray[np.int64]:
    """int64[n]: which of `tunnel.sending` each packet goes by; the others are refused."""
    inside, carried = Addresses(packets.data, packets.starts, packets.lengths), protocols(packets)
    for version, protocol in ((4, IPIP), (6, IPV6)):
        inside.version[(inside.version == version) & (carried != protocol)] = 0
    which = np.full(len(packets), -1)
    reasons[inside.version == 0] = Reason.NOT_CARRIED
    undecided = inside.version != 0
    chosen = tunnel._policies("out")
    for policy in [None] if chosen is None else chosen:
        covered = undecided & (True if policy is None else policy.covers(inside))
        undecided &= ~covered
        for version in (4, 6):
            rows = covered & (inside.version == version)
            fitting = (
                index
                for index, sa in enumerate(tunnel.sending)
                if (policy is None or policy.wants(sa))
                and ("af-unspec" in sa.flag or sa.src.version == version)
            )
            index = next(fitting, None)
            which[rows] = -1 if index is None else index
            if index is None:
                reasons[rows] = Reason.NO_STATE_OUT
    reasons[undecided] = Reason.NO_POLICY_OUT
    return which


def _refuse_too_big(
    tunnel: VTITunnel,
    packets: Packets,
    rows: npt.NDArray[np.int64],
    sa: SecurityAssociation,
    reasons: Reasons,
) -> list[Packets]:
    """Refuses packets that do not fit and must stay whole; gives what their senders are told.

    IPv6 packets of up to 1,280 octets always go: there are fragments outside.
    """
    mtu = sa.mtu(tunnel.underlay.mtu)
    rows = rows[packets.wire_lengths[rows] > mtu]
    if not len(rows):
        return []
    inside = Inside.of(packets, rows)
    fits = inside.ipv6 & (packets.wire_lengths[rows] <= IPV6_LEAST)
    refused = inside.must_stay_whole & ~fits
    reasons[rows[refused]] = Reason.TOO_BIG
    return [
        too_big(tunnel, packets, inside.chosen(refused & where), room)
        for where, room in ((inside.ipv4, mtu), (inside.ipv6, max(mtu, IPV6_LEAST)))
    ]


def _sealed(
    tunnel: VTITunnel,
    packets: Packets,
    rows: npt.NDArray[np.int64],
    sa: SecurityAssociation,
    drawn: Mapping[str, Array],
    reasons: Reasons,
) -> Packets:
    """Some packets in ESP, by one association."""
    whole = len(rows) == len(packets)
    ids, ivs = drawn.get("ipv4.id"), drawn.get("esp.iv")
    made, met = seal(
        tunnel.state.live(sa),
        packets if whole else packets[rows],
        ids=tunnel.state.take_ids(len(rows)) if ids is None else ids[rows],
        ivs=None if ivs is None else ivs[rows],
        ttl=number_or(tunnel.ttl, 0) or 64,
        mtu=tunnel.underlay.mtu,
        copy_ce=tunnel.profile == "rfc",
    )
    reasons[rows] = met
    return made if whole else _placed(packets, rows[made.rows], made)


def _together(packets: Packets, made: list[Packets]) -> Packets:
    """What goes by several associations, in the order of the input."""
    if len(made) == 1:
        return made[0]
    whole = Packets.concat(made)
    rows = np.concatenate([one.rows for one in made] or [np.empty(0, np.int64)])
    order = np.argsort(rows, kind="stable")
    return _placed(packets, rows[order], whole[order])


def _placed(packets: Packets, rows: npt.NDArray[np.int64], made: Packets) -> Packets:
    """What was made of these rows of the input, with all that the input knows about them."""
    return packets._derived(
        rows,
        data=made.data,
        starts=made.starts,
        lengths=made.lengths,
        wire_lengths=made.wire_lengths,
        linktypes=made.linktypes,
    )
