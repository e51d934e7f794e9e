"""GRE, and its version 1 for PPTP.  Source: RFC 2784, RFC 2890, RFC 1701, RFC 2637 section 4.1.

flags (13 bits: C R K S s, recursion (3), A, flags (4)) version (3) | protocol (2)
checksum (2) offset (2) | key (4) | seq (4) | ack (4, version 1) | routing
"""

from __future__ import annotations

from typing import Annotated, Any

from encap.fields import (
    U3,
    Bits,
    Check,
    Checksum,
    Header,
    Next,
    View,
    When,
    header,
    when_bit,
)  # fmt: skip
from encap.headers.options import Octets

C, R, K, S, A = 0x1000, 0x0800, 0x0400, 0x0200, 0x0010
"""Bits of `flags`: checksum, routing, key, sequence number, acknowledgment number."""
TRANSPARENT, ERSPAN_II, ERSPAN_III, WCCP = 0x6558, 0x88BE, 0x22EB, 0x883E
MAX_ROUTING_LEN = 1024

WITH_CHECKSUM = When((("flags", C | R, 0),), sets=C, negate=True)
WITH_ACK = When((("flags", A, A), ("version", 7, 1)), sets=A)


def tail_len(data: bytes | memoryview, at: int, end: int, flags: int, protocol: int) -> int:
    """Octets behind the optional words, `at` being where they would start.

    A list of source routes that does not end within `MAX_ROUTING_LEN` octets, or within the
    packet, gives more than there are. Source: RFC 1701; draft-wilson-wrec-wccp-v2-01 section 4.3.
    """
    size = 0
    if flags & R:
        while True:
            if end - at - size < 4:
                return size + 4
            if size >= MAX_ROUTING_LEN:
                return end - at + 1
            family, length = data[at + size] << 8 | data[at + size + 1], data[at + size + 3]
            size += 4 + length
            if not family and not length:
                break
    # A redirect header is there unless an IPv4 header follows at once.
    if protocol == WCCP and end - at - size > 0 and data[at + size] >> 4 != 4:
        size += 4
    return size


def _nvgre(gre: Any) -> bool:
    """Ethernet and a key is all that NVGRE is known by.  Source: RFC 7637 section 3.2."""
    return bool(gre.protocol == TRANSPARENT and gre.version == 0)


def _pptp(gre: Any) -> bool:
    return bool(gre.version == 1)


@header("gre")
class GRE(Header):
    """Generic routing encapsulation.  Source: RFC 2784 section 2, RFC 2890 section 2.

    flags: the 13 bits in front of the version; 0x1000 C, 0x0800 R, 0x0400 K, 0x0200 S
    version: 0, or 1 for PPTP (RFC 2637 section 4.1)
    protocol: EtherType of what follows
    checksum: of header and payload, without a pseudo header; there when C or R is set, valid with C
    offset: of the current source route (RFC 1701); reserved and 0 without R
    key: which flow, or tenant: NVGRE keeps vsid and flow_id in it, PPTP payload_len and call_id
    seq: sequence number
    ack: acknowledgment number, in version 1 only
    routing: source routes (RFC 1701), or the redirect header of WCCP, as octets
    """

    tunnel = True
    length = "need + tail_len(buffer, at + need, end, flags, protocol)"
    tail_len = staticmethod(tail_len)
    reserved_bits = {"flags": 0x01EF}  # noqa: RUF012  nobody writes to it
    checks = (Check("version", "version <= 1", unsupported=True),)

    flags: Annotated[int, Bits(13)] = 0
    version: U3 = 0
    protocol: Annotated[int | None, Bits(16), Next("ethertype")] = None
    checksum: Annotated[
        int | None, Bits(16), WITH_CHECKSUM, Checksum("rest", valid=("flags", C))
    ] = None
    offset: Annotated[int | None, Bits(16), WITH_CHECKSUM] = None
    key: Annotated[int | None, Bits(32), when_bit("flags", K)] = None
    seq: Annotated[int | None, Bits(32), when_bit("flags", S)] = None
    ack: Annotated[int | None, Bits(32), WITH_ACK] = None
    routing: Annotated[bytes, Octets()] = b""

    vsid = View("key", 24, 8, when=_nvgre)
    flow_id = View("key", 8, when=_nvgre)
    payload_len = View("key", 16, 16, when=_pptp)
    call_id = View("key", 16, when=_pptp)

    def follows(self, registry: Any, rest: memoryview) -> str | None:
        if self.protocol == ERSPAN_III or (self.protocol == ERSPAN_II and self.flags & S):
            return "erspan"
        if self.protocol == ERSPAN_II:
            return "eth"  # type I: no sequence number, no header
        if self.protocol == WCCP:
            return "ipv4"
        name: str | None = registry.name("ethertype", self.protocol)
        return name
