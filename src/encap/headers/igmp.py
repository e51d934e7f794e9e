"""IGMP, versions 1 to 3.  Source: RFC 1112 appendix I, RFC 2236 section 2, RFC 3376 section 4.

    type | max_resp | checksum (2) | group (4)

What version 3 adds behind these octets is payload.
"""

from __future__ import annotations

from typing import Annotated

from encap.fields import U8, Bits, Checksum, Header, IPv4Field, header

QUERY, REPORT_V1, REPORT_V2, LEAVE, REPORT_V3 = 0x11, 0x12, 0x16, 0x17, 0x22


@header("igmp")
class IGMP(Header):
    """A group membership message.  Source: RFC 2236 section 2, RFC 3376 section 4.

    type: 0x11 query, 0x12 0x16 0x22 reports of versions 1 to 3, 0x17 leave
    max_resp: in queries the longest time to answer, in units of 0.1 s; a code above 127 (version 3)
    checksum: of the message, without a pseudo header
    group: group address; in reports of version 3, 2 reserved octets and the number of records
    """

    type: U8 = QUERY
    max_resp: U8 = 0
    checksum: Annotated[int | None, Bits(16), Checksum("rest")] = None
    group: IPv4Field = IPv4Field()
