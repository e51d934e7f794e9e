"""TCP.  Source: RFC 9293 section 3.1, RFC 3168 section 6.1, RFC 3540.

sport (2) | dport (2) | seq (4) | ack (4) | data_offset reserved flags (2) | window (2)
checksum (2) | urgent (2) | options (0 to 40)
"""

from __future__ import annotations

from typing import Annotated

from encap.fields import U3, U9, U16, U32, Bits, Check, Checksum, Header, Own, header
from encap.headers.options import Option, Options

OPTIONS = Options(single=(0, 1), end=0, counts_itself=True)


@header("tcp")
class TCP(Header):
    """A TCP header.  Source: RFC 9293 section 3.1.

    sport: source port
    dport: destination port
    seq: sequence number
    ack: acknowledgment number
    data_offset: length of the header in words of 32 bits
    reserved: 3 bits, zero
    flags: NS CWR ECE URG ACK PSH RST SYN FIN
    window: octets that the sender can take
    checksum: of pseudo header, header and payload
    urgent: urgent pointer
    options: tuple of Option and bytes; padded with zeros to whole words
    """

    length = "data_offset * 4"
    checks = (Check("data_offset", "data_offset >= 5"),)

    sport: U16 = 0
    dport: U16 = 0
    seq: U32 = 0
    ack: U32 = 0
    data_offset: Annotated[int | None, Bits(4), Own(lambda _, size: size // 4)] = None
    reserved: U3 = 0
    flags: U9 = 0x002
    window: U16 = 65535
    checksum: Annotated[int | None, Bits(16), Checksum("rest", pseudo=True)] = None
    urgent: U16 = 0
    options: Annotated[tuple[Option | bytes, ...], OPTIONS] = ()
