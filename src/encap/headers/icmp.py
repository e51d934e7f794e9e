"""ICMP.  Source: RFC 792.

type | code | checksum (2) | rest (4)
"""

from __future__ import annotations

from typing import Annotated

from encap.fields import U8, U32, Bits, Checksum, Header, View, header

ECHO_REPLY, UNREACHABLE, ECHO_REQUEST, TIME_EXCEEDED = 0, 3, 8, 11
FRAGMENTATION_NEEDED = 4
"""The code of UNREACHABLE that carries an MTU."""

NUMBERED = (ECHO_REPLY, ECHO_REQUEST, 13, 14, 15, 16, 17, 18)
"""Types with id and seq: echo, timestamp, information, address mask (RFC 792, RFC 950)."""
TOO_LONG = (UNREACHABLE, FRAGMENTATION_NEEDED)


@header("icmp")
class ICMP(Header):
    """An ICMP message; the packet that an error quotes is payload.  Source: RFC 792.

    type: what the message is
    code: which of its kinds
    checksum: of the message, without a pseudo header
    rest: what these 4 octets mean depends on the type: id and seq of an echo, mtu of an error
    """

    type: U8 = ECHO_REQUEST
    code: U8 = 0
    checksum: Annotated[int | None, Bits(16), Checksum("rest")] = None
    rest: U32 = 0

    id = View("rest", 16, 16, when=lambda icmp: icmp.type in NUMBERED)
    seq = View("rest", 16, when=lambda icmp: icmp.type in NUMBERED)
    mtu = View("rest", 16, when=lambda icmp: (icmp.type, icmp.code) == TOO_LONG)
