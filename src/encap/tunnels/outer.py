"""What a host does with a packet before a tunnel sees it: link, IP and UDP headers are checked.

The order is the kernel's, so that a packet with several faults meets the same reason.
Source: Linux, ip_rcv_core, ip6_rcv_core, udp_rcv; RFC 1122 section 3.2.1, RFC 768.
"""

from __future__ import annotations

import numpy as np

from encap.tunnels.options import IPAddress
from encap.tunnels.reasons import Reason
from encap.tunnels.receiving import Array, Bools, Int64s, Receiving
from encap.tunnels.sums import fold, words
from encap.tunnels.underlay import Underlay

__all__ = ["check_host", "check_udp", "is_address"]

IPV6_LEN, UDP_LEN = 40, 8
UDP = 17


def is_address(column: Array, address: IPAddress) -> Bools:
    """bool[n]: where a column of addresses, of the same family, has this one."""
    if address.version == 4:
        found: Bools = column == np.uint32(int(address))
        return found
    same: Bools = (column == np.frombuffer(address.packed, np.uint8)).all(1)
    return same


def check_host(going: Receiving, underlay: Underlay, local: IPAddress | None) -> None:
    """Refuses what the host itself does not take, or cannot read."""
    _check_link(going, underlay)
    going.refuse(going.stopped_at(going.ways[0]), Reason.IP_HEADER)
    if going.family == "ipv4":
        _check_ipv4(going)
    else:
        said = going.ip + IPV6_LEN + going.columns["ipv6.payload_len"]
        going.refuse(said > going.said, Reason.IP_TRUNCATED)
        going.limit(said)
    ours = underlay.addresses or ((local,) if local is not None else ())
    if ours:
        destination = going.columns[f"{going.family}.dst"]
        version = 4 if going.family == "ipv4" else 6
        known = [is_address(destination, one) for one in ours if one.version == version]
        going.refuse(~np.logical_or.reduce(known, axis=0), Reason.NOT_OURS)


def _check_link(going: Receiving, underlay: Underlay) -> None:
    """Frames for others, which a network card would not have taken in."""
    if underlay.mac is None:
        return
    frames = going.packets.linktypes == 1
    if not frames.any():
        return
    destination = going.columns["eth.dst"]
    ours = (destination == np.frombuffer(bytes(underlay.mac), np.uint8)).all(1)
    groups = (destination[:, 0] & 1).astype(np.bool_)
    going.refuse(frames & ~ours & ~groups, Reason.OTHER_HOST)


def _check_ipv4(going: Receiving) -> None:
    """Header checksum, and the length, which must not be more than there is."""
    rows = going.rows()
    header_end = going.header_end()
    sums = going.sums(rows, going.ip[rows], header_end[rows])
    wrong = np.zeros(len(going), np.bool_)
    wrong[rows] = sums != 0xFFFF
    going.refuse(wrong, Reason.IP_CHECKSUM)
    total = going.columns["ipv4.total_len"].astype(np.int64)
    # Segmentation offload leaves 0 there: the frame's own end counts.
    said = np.where(total == 0, going.said, going.ip + total)
    going.refuse(said > going.said, Reason.IP_TRUNCATED)
    going.limit(said)


def check_udp(going: Receiving, dport: int, *, zero_ok: bool) -> None:
    """Lengths, checksum and destination port of a UDP header in front of the tunnel's.

    zero_ok: an IPv6 packet may go without a checksum, as one over IPv4 always may.
    The packet in it begins behind, and ends where the UDP length says.
    """
    going.refuse(going.protocol != UDP, Reason.OTHER_PROTOCOL)
    room = going.said - going.upper
    short = (room < UDP_LEN) | going.broken_above()
    length = going.columns["udp.len"].astype(np.int64)
    going.refuse(short | (length > room) | (length < UDP_LEN), Reason.UDP_LENGTH)
    going.limit(going.upper + length)
    stored = going.columns["udp.checksum"]
    if going.family == "ipv6" and not zero_ok:
        going.refuse(stored == 0, Reason.UDP_CHECKSUM)
    # What a capture cut off cannot be verified.
    rows = going.rows((stored != 0) & (going.end == going.said))
    if len(rows):
        end = going.end[rows]
        total = going.sums(rows, going.upper[rows], end)
        total += _pseudo(going, rows, (end - going.upper[rows]).astype(np.uint32))
        wrong = np.zeros(len(going), np.bool_)
        wrong[rows] = fold(total) != 0xFFFF
        going.refuse(wrong, Reason.UDP_CHECKSUM)
    going.refuse(going.columns["udp.dport"] != dport, Reason.NO_PORT)
    going.inner = going.upper + UDP_LEN


def _pseudo(going: Receiving, rows: Int64s, lengths: Array) -> Array:
    """uint32[m]: sums of the pseudo headers.  Source: RFC 768, RFC 8200 section 8.1."""
    total = lengths + np.uint32(UDP)
    for name in ("src", "dst"):
        column = going.columns[f"{going.family}.{name}"][rows]
        if column.ndim == 1:
            total = total + (column >> 16) + (column & 0xFFFF)
        else:
            total = total + words(column)
    return total
