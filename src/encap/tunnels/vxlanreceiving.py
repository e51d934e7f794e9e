"""What a VXLAN device takes of what arrives, in the order in which the kernel looks at it.

Source: Linux, vxlan_rcv, vxlan_set_mac and vxlan_snoop; RFC 7348 sections 5 and 6.1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from encap.headers.gpe import I_FLAG as GPE_I
from encap.headers.gpe import O_FLAG, P_FLAG
from encap.headers.vxlan import G_FLAG, I_FLAG, VXLAN
from encap.tunnels.forwarding import GROUP, same
from encap.tunnels.frames import (
    TAGS,
    check_ethernet,
    check_inner,
    check_own,
    check_packet,
    refuse_rows,
)
from encap.tunnels.iptunnel import number_or
from encap.tunnels.reasons import Reason
from encap.tunnels.remcsum import RCO, beyond

if TYPE_CHECKING:
    from encap.tunnels.forwarding import Uint64s
    from encap.tunnels.receiving import Array, Int64s, Receiving
    from encap.tunnels.vxlan import VXLANTunnel

__all__ = ["GBP_BITS", "GPE_FIELDS", "check_gpe", "check_vxlan", "learn"]

HEADER_LEN = 8
GBP_BITS = 0x48FFFF
"""Of the first reserved field, what a group policy has: D, A, and the group."""
GPE_FIELDS = (
    "gpe.reserved0", "gpe.version", "gpe.flags", "gpe.reserved1", "gpe.next_protocol", "gpe.vni",
    "gpe.reserved2",
)  # fmt: skip
IPV4, IPV6, FRAME = 1, 2, 3
NEXT = (IPV4, IPV6, FRAME, 4, 5)
"""Next protocols that there are: those, NSH and MPLS."""
IP_LEN = {IPV4: 20, IPV6: 40}


class Seen(NamedTuple):
    """Where frames came from that a device learns from.

    rows: int64[m].  macs: uint64[m], inner sources.  sources: outer ones, as columns have them.
    times: int64[m], of the packets.  most: how many entries may be learned; None for any number.
    """

    rows: Int64s
    macs: Uint64s
    sources: Array
    times: Int64s
    most: int | None


def check_vxlan(tunnel: VXLANTunnel, going: Receiving) -> None:
    """Refuses what the device does not take; notes what it can learn from the rest."""
    header = going.inner
    going.refuse(going.said - header < HEADER_LEN, Reason.TOO_SHORT)
    going.inner = header + HEADER_LEN
    common = np.uint64(int.from_bytes(bytes(VXLAN(vni=number_or(tunnel.id, 0))), "big"))
    # What a device of the common kind sends is taken at a glance, by all others.
    if tunnel.external or (going.peeked[0] != common).any():
        _check_header(tunnel, going)
    else:
        check_ethernet(going)
    _check_sources(tunnel, going)
    check_inner(going)
    if tunnel.profile == "rfc":
        _check_tags(going)


def _field(headers: npt.NDArray[np.uint64], name: str) -> npt.NDArray[np.uint32]:
    """uint32[n]: a field of VXLAN headers that are numbers of 64 bits."""
    field = VXLAN.fields[name]
    lowest = np.uint64(64 - field.offset - field.bits)
    return (headers >> lowest).astype(np.uint32) & np.uint32(field.maximum)


def _check_header(tunnel: VXLANTunnel, going: Receiving) -> None:
    """Refuses by what the header says."""
    flags, reserved1, vni, reserved2 = (
        _field(going.peeked[0], name) for name in ("flags", "reserved1", "vni", "reserved2")
    )
    going.refuse(flags & I_FLAG == 0, Reason.NO_ID_FLAG)
    if not tunnel.external:
        going.refuse(vni != np.uint32(number_or(tunnel.id, 0)), Reason.UNKNOWN_ID)
    check_ethernet(going)
    allowed, used = I_FLAG, 0
    if tunnel.remcsumrx:
        going.refuse(beyond(reserved1, reserved2, going.said - going.inner), Reason.TOO_SHORT)
        used |= RCO
        reserved2 = reserved2 & np.uint32(0)
    if tunnel.gbp:
        allowed, used = allowed | G_FLAG, used | GBP_BITS
    if tunnel.profile == "linux":
        wrong = (reserved1 & np.uint32(0xFFFFFF ^ used) != 0) | (reserved2 != 0)
        going.refuse(wrong | (flags & ~np.uint32(allowed) != 0), Reason.RESERVED_BITS)


def _check_sources(tunnel: VXLANTunnel, going: Receiving) -> None:
    """Where learning is on, nobody has a group's address or 0, and some addresses never move."""
    if tunnel.address is None and not tunnel.learns:
        return
    rows, macs = check_own(going, tunnel.address, peeked=going.peeked[1])
    if not tunnel.learns:
        return
    nobody = (macs & np.uint64(GROUP) != 0) | (macs == 0)
    sources: Array = going.taken(going.columns[f"{going.family}.src"], rows)
    fixed = tunnel._destinations()
    if len(fixed.macs):
        entry = fixed.find(macs)
        held = np.flatnonzero((entry >= 0) & ~nobody)
        if len(held):
            at = fixed.end[entry[held]] - 1
            nobody[held] = ~(same(fixed.dst[at], sources[held]) & fixed.known[at])
    if nobody.any():
        refuse_rows(going, rows[nobody], Reason.INNER_SOURCE)
    free = ~nobody if not len(fixed.macs) else ~nobody & (entry < 0)
    if not free.all():
        rows, macs, sources = rows[free], macs[free], sources[free]
    most = number_or(tunnel.maxaddress, 0)
    going.header = Seen(
        rows,
        macs,
        sources,
        going.taken(going.packets.times, rows),
        max(most - len(fixed.macs), 0) if most else None,
    )


def learn(tunnel: VXLANTunnel, stages: Sequence[tuple[Receiving, Int64s]]) -> None:
    """Takes in where frames came from, in the order in which they came.

    A datagram came with the fragment that made it whole, the last of its rows.
    """
    known = [(going.header, origin) for going, origin in stages if going.header is not None]
    if not known:
        return
    parts = [seen for seen, _ in known]
    seen = parts[0]
    if len(parts) > 1:
        arrived = np.concatenate([origin[one.rows] for one, origin in known])
        order = np.argsort(arrived, kind="stable")
        macs, sources, times = (
            np.concatenate(each)[order]
            for each in zip(*((one.macs, one.sources, one.times) for one in parts), strict=True)
        )
        seen = Seen(arrived[order], macs, sources, times, seen.most)
    tunnel.state.learned.learn(seen.macs, seen.sources, seen.times, tunnel._ageing, seen.most)


def _check_tags(going: Receiving) -> None:
    """Frames with a VLAN tag belong to nobody.  Source: RFC 7348 section 6.1."""
    rows = going.rows(going.end - going.inner >= 14)
    tagged = np.isin(going.numbers(rows, going.inner[rows] + 12), TAGS)
    if tagged.any():
        refuse_rows(going, rows[tagged], Reason.INNER_PROTOCOL)


def check_gpe(tunnel: VXLANTunnel, going: Receiving) -> None:
    """Refuses what a device that carries more than frames does not take.

    Source: Linux, vxlan_parse_gpe_proto; draft-ietf-nvo3-vxlan-gpe-13 section 3.
    """
    header = going.inner
    going.refuse(going.said - header < HEADER_LEN, Reason.TOO_SHORT)
    reserved0, version, flags, reserved1, following, vni, reserved2 = (
        going.columns[name] for name in GPE_FIELDS
    )
    going.refuse(flags & GPE_I == 0, Reason.NO_ID_FLAG)
    if not tunnel.external:
        going.refuse(vni != np.uint32(number_or(tunnel.id, 0)), Reason.UNKNOWN_ID)
    going.refuse(flags & P_FLAG == 0, Reason.INNER_PROTOCOL)
    going.refuse(version != 0, Reason.VERSION)
    going.refuse(flags & O_FLAG != 0, Reason.RESERVED_BITS)
    going.refuse(~np.isin(following, NEXT), Reason.INNER_PROTOCOL)
    if tunnel.profile == "linux":
        wrong = (reserved0 != 0) | (reserved1 != 0) | (reserved2 != 0)
        going.refuse(wrong | (flags & ~np.uint8(GPE_I | P_FLAG) != 0), Reason.RESERVED_BITS)
    going.inner = header + HEADER_LEN
    check_packet(going, IP_LEN, following)
    going.linktypes = np.where(following == FRAME, np.uint16(1), np.uint16(101))
