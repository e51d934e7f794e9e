"""ICMPv6.  Source: RFC 4443 section 2.1.

type | code | checksum (2) | rest (4)
"""

from __future__ import annotations

from typing import Annotated

from encap.fields import U8, U32, Bits, Checksum, Header, View, header

UNREACHABLE, PACKET_TOO_BIG, TIME_EXCEEDED, ECHO_REQUEST, ECHO_REPLY = 1, 2, 3, 128, 129


@header("icmpv6")
class ICMPv6(Header):
    """An ICMPv6 message; the packet that an error quotes is payload.  Source: RFC 4443 section 2.1.

    type: what the message is; below 128 an error
    code: which of its kinds
    checksum: of the IPv6 pseudo header and the message
    rest: what these 4 octets mean depends on the type: id and seq of an echo, mtu of an error
    """

    type: U8 = ECHO_REQUEST
    code: U8 = 0
    checksum: Annotated[int | None, Bits(16), Checksum("rest", pseudo=True)] = None
    rest: U32 = 0

    id = View("rest", 16, 16, when=lambda icmp: icmp.type in (ECHO_REQUEST, ECHO_REPLY))
    seq = View("rest", 16, when=lambda icmp: icmp.type in (ECHO_REQUEST, ECHO_REPLY))
    mtu = View("rest", 32, when=lambda icmp: icmp.type == PACKET_TOO_BIG)
