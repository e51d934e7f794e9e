"""Frames inside of a tunnel, as a receiver looks at them.

Source: Linux, __iptunnel_pull_header, pskb_inet_may_pull and eth_type_trans.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from encap.tunnels.forwarding import mac_numbers
from encap.tunnels.inside import ETHERNET, ETHERNET_LEN
from encap.tunnels.reasons import Reason

if TYPE_CHECKING:
    from encap.addresses import MAC
    from encap.tunnels.forwarding import Uint64s
    from encap.tunnels.receiving import Array, Bools, Int64s, Receiving

__all__ = [
    "TAGS", "TAG_LEN", "WHOLE", "check_ethernet", "check_frames",
    "check_inner", "check_own", "check_packet", "refuse_rows",
]  # fmt: skip

RAW = 101
WHOLE = {0x0800: 20, 0x86DD: 40}
"""EtherTypes, and octets that must stand behind them: an IP header."""
TAGS = (0x8100, 0x88A8)
TAG_LEN = 4
CUT_TAGS = dict.fromkeys(TAGS, TAG_LEN)


def check_frames(going: Receiving) -> None:
    """Refuses frames without an Ethernet header, or without the IP header that they announce."""
    check_ethernet(going)
    check_inner(going)


def check_ethernet(
    going: Receiving, frames: Bools | bool = True, reason: Reason = Reason.TOO_SHORT
) -> None:
    """Refuses frames without an Ethernet header. frames: bool[n], the others are IP packets."""
    going.refuse((going.said - going.inner < ETHERNET_LEN) & frames, reason)
    linktypes = np.where(frames, np.uint16(ETHERNET), np.uint16(RAW))
    going.linktypes = np.broadcast_to(linktypes, (len(going),))


def check_own(
    going: Receiving,
    own: MAC | None,
    frames: Bools | bool = True,
    reason: Reason = Reason.INNER_SOURCE,
    *,
    peeked: Uint64s | None = None,
) -> tuple[Int64s, Uint64s]:
    """Refuses frames that come from the device itself: they went round in a circle.

    peeked: uint64[n], their sources, where they are known.

    Gives the rows of the frames that are still going and have their source here, and these
    sources, uint64[m].
    """
    rows = going.rows((going.end - going.inner >= ETHERNET_LEN) & frames)
    if peeked is not None:
        macs = going.taken(peeked, rows)
    else:
        starts, inner = going.taken(going.packets.starts, rows), going.taken(going.inner, rows)
        macs = mac_numbers(going.packets.data, starts + inner + 6)
    if own is not None:
        ours = macs == np.uint64(int(own))
        if ours.any():
            refuse_rows(going, rows[ours], reason)
            rows, macs = rows[~ours], macs[~ours]
    return rows, macs


def refuse_rows(going: Receiving, rows: Int64s, reason: Reason) -> None:
    """Refuses some packets by number."""
    wrong = np.zeros(len(going), np.bool_)
    wrong[rows] = True
    going.refuse(wrong, reason)


def check_inner(going: Receiving, frames: Bools | bool = True) -> None:
    """Refuses frames without the IP header, or the tag, that they announce."""
    length = going.said - going.inner
    rows = going.rows((length < ETHERNET_LEN + max(WHOLE.values())) & frames)
    rows = rows[(going.end - going.inner)[rows] >= ETHERNET_LEN]
    ethertype = going.numbers(rows, going.inner[rows] + 12)
    for kinds, reason in ((WHOLE, Reason.INNER_FRAME), (CUT_TAGS, Reason.INNER_TAG)):
        short = np.zeros(len(rows), np.bool_)
        for kind, least in kinds.items():
            short |= (ethertype == kind) & (length[rows] < ETHERNET_LEN + least)
        if short.any():
            refuse_rows(going, rows[short], reason)


def check_packet(going: Receiving, lengths: Mapping[int, int], protocol: Array) -> None:
    """Refuses inner packets without the whole header that the tunnel's announces.

    lengths: octets of the headers, by what `protocol` says.
    """
    short = np.zeros(len(going), np.bool_)
    for number_, least in lengths.items():
        short |= (protocol == number_) & (going.said - going.inner < least)
    going.refuse(short, Reason.INNER_FRAME)
