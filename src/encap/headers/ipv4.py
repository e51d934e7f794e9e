"""IPv4.  Source: RFC 791 section 3.1, RFC 2474 section 3, RFC 3168 section 5.

version ihl | tos | total_len (2) | id (2) | flags fragment_offset (2)
ttl | protocol | checksum (2) | src (4) | dst (4) | options (0 to 40)
"""

from __future__ import annotations

from typing import Annotated

from encap.fields import (
    U3,
    U4,
    U8,
    U13,
    U16,
    Bits,
    Check,
    Checksum,
    Header,
    IPv4Field,
    Length,
    Next,
    Own,
    View,
    header,
)  # fmt: skip
from encap.headers.options import Option, Options

DF, MF = 2, 1
"""Bits of `flags`: do not fragment, more fragments follow."""

OPTIONS = Options(single=(0, 1), end=0, counts_itself=True)


@header("ipv4")
class IPv4(Header):
    """An IPv4 header.  Source: RFC 791 section 3.1.

    version: 4
    ihl: length of the header in words of 32 bits
    tos: type of service: DSCP (6 bits) and ECN (2 bits)
    total_len: octets of the header and all that follows; 0 where segmentation was left to a NIC
    id: identification, the same in all fragments of a datagram
    flags: reserved, DF, MF
    fragment_offset: where this fragment's data belong, in units of 8 octets
    ttl: time to live
    protocol: number of the protocol that follows
    checksum: of the header
    src: source address
    dst: destination address
    options: tuple of Option and bytes; padded with zeros to whole words
    """

    length = "ihl * 4"
    reserved_bits = {"flags": 4}  # noqa: RUF012  nobody writes to it
    checks = (
        Check("version", "version == 4"),
        Check("ihl", "ihl >= 5"),
        Check("total_len", "total_len == 0 or total_len >= ihl * 4"),
    )

    version: U4 = 4
    ihl: Annotated[int | None, Bits(4), Own(lambda _, size: size // 4)] = None
    tos: U8 = 0
    total_len: Annotated[int | None, Bits(16), Length("packet")] = None
    id: U16 = 0
    flags: U3 = 0
    fragment_offset: U13 = 0
    ttl: U8 = 64
    protocol: Annotated[int | None, Bits(8), Next("protocol")] = None
    checksum: Annotated[int | None, Bits(16), Checksum("header")] = None
    src: IPv4Field = IPv4Field()
    dst: IPv4Field = IPv4Field()
    options: Annotated[tuple[Option | bytes, ...], OPTIONS] = ()

    dscp = View("tos", 6, 2)
    ecn = View("tos", 2)

    def extent(self) -> tuple[int, str] | None:
        return (self.total_len, "total_len") if self.total_len else None

    def fragment(self) -> tuple[int, int]:
        return self.fragment_offset, self.flags & MF
