"""SCTP's common header.  Source: RFC 9260 section 3.1.

    sport (2) | dport (2) | verification_tag (4) | checksum (4)

The chunks behind it are payload.
"""

from __future__ import annotations

from typing import Annotated

from encap.fields import U16, U32, Bits, Checksum, Header, header


@header("sctp")
class SCTP(Header):
    """An SCTP common header.  Source: RFC 9260 section 3.1.

    sport: source port
    dport: destination port
    verification_tag: which association; 0 in the first packet of one
    checksum: CRC32c of the packet (RFC 9260 appendix A); its low octet stands first on the wire
    """

    sport: U16 = 0
    dport: U16 = 0
    verification_tag: U32 = 0
    checksum: Annotated[int | None, Bits(32), Checksum("rest", algorithm="crc32c")] = None
