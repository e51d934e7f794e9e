"""The IP authentication header.  Source: RFC 4302 section 2.

next_header | len | reserved (2) | spi (4) | seq (4) | icv
"""

from __future__ import annotations

from typing import Annotated

from encap.fields import U16, U32, Bits, Check, Header, Next, Own, header
from encap.headers.options import Octets


@header("ah")
class AH(Header):
    """An authentication header.  Source: RFC 4302 section 2.

    next_header: number of the protocol that follows
    len: length of the header in words of 32 bits, minus 2
    reserved: 0
    spi: security parameters index
    seq: sequence number
    icv: integrity check value, with its padding; a multiple of 4 octets
    """

    length = "len * 4 + 8"
    checks = (Check("len", "len >= 1"),)

    next_header: Annotated[int | None, Bits(8), Next("protocol")] = None
    len: Annotated[int | None, Bits(8), Own(lambda _, size: size // 4 - 2)] = None
    reserved: U16 = 0
    spi: U32 = 0
    seq: U32 = 0
    icv: Annotated[bytes, Octets(unit=4, most=1016)] = b""
