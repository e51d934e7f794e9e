"""What a tunnel asks of the outer headers behind what the host has asked already."""

from __future__ import annotations

import numpy as np

from encap._lib import lib
from encap.tunnels.options import IPAddress
from encap.tunnels.reasons import Reason
from encap.tunnels.receiving import Array, Bools, Receiving
from encap.tunnels.replies import unreachable

__all__ = ["UDP", "UDP_LEN", "check_udp", "is_address"]

UDP_LEN = 8
UDP = 17


def is_address(column: Array, address: IPAddress) -> Bools:
    """bool[n]: where a column of addresses, of the same family, has this one."""
    if address.version == 4:
        found: Bools = column == np.uint32(int(address))
        return found
    halves = np.ascontiguousarray(column).view(np.uint64)
    first, last = np.frombuffer(address.packed, np.uint64)
    same: Bools = (halves[:, 0] == first) & (halves[:, 1] == last)
    return same


def check_udp(going: Receiving, dport: int, *, zero_ok: bool, verify: bool = True) -> None:
    """Lengths, checksum and destination port of a UDP header in front of the tunnel's.

    zero_ok: an IPv6 packet for that port may go without a checksum, as one over IPv4 always may.
    verify: checksums are looked at; see `Underlay.udp_checksums`.
    The packet in it begins behind, and ends where the UDP length says. What a capture cut off
    cannot be verified. Who sends to another port is told that nobody listens there.
    Source: Linux, udp_rcv; RFC 768, RFC 6935 section 5.
    """
    going.refuse(going.protocol != UDP, Reason.OTHER_PROTOCOL)
    flags = going.flags
    other = going.columns["udp.dport"] != dport
    if flags.any():
        going.refuse(flags & lib.ENCAP_UDP_LENGTH != 0, Reason.UDP_LENGTH)
        if going.family == "ipv6":
            missing = flags & lib.ENCAP_UDP_ZERO != 0
            going.refuse(missing & other if zero_ok else missing, Reason.UDP_CHECKSUM)
        if verify:
            going.refuse(flags & lib.ENCAP_UDP_CHECKSUM != 0, Reason.UDP_CHECKSUM)
    if other.any():
        rows = going.rows(other)
        if len(rows):
            going.replies.append(unreachable(going, rows))
        going.refuse(other, Reason.NO_PORT)
    going.inner = going.upper + UDP_LEN
