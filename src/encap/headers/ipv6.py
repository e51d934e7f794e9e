"""IPv6.  Source: RFC 8200 section 3, RFC 3168 section 5.

version (4 bits) traffic_class (8) flow_label (20) | payload_len (2) | next_header | hop_limit
src (16) | dst (16)
"""

from __future__ import annotations

from typing import Annotated

from encap.fields import (
    U4,
    U8,
    U20,
    Bits,
    Check,
    Header,
    IPv6Field,
    Length,
    Next,
    View,
    header,
)  # fmt: skip

NO_NEXT_HEADER = 59


@header("ipv6")
class IPv6(Header):
    """An IPv6 header.  Source: RFC 8200 section 3.

    version: 6
    traffic_class: DSCP (6 bits) and ECN (2 bits)
    flow_label: the same for all packets of a flow
    payload_len: octets after this header; 0 in jumbograms and where segmentation was left to a NIC
    next_header: number of the protocol, or extension header, that follows
    hop_limit: decremented by each router
    src: source address
    dst: destination address
    """

    checks = (Check("version", "version == 6"),)

    version: U4 = 6
    traffic_class: U8 = 0
    flow_label: U20 = 0
    payload_len: Annotated[int | None, Bits(16), Length("payload")] = None
    next_header: Annotated[int | None, Bits(8), Next("protocol")] = None
    hop_limit: U8 = 64
    src: IPv6Field = IPv6Field()
    dst: IPv6Field = IPv6Field()

    dscp = View("traffic_class", 6, 2)
    ecn = View("traffic_class", 2)

    def extent(self) -> tuple[int, str] | None:
        # A length of 0 is one where nothing follows, otherwise it says nothing (RFC 2675).
        if self.payload_len or self.next_header == NO_NEXT_HEADER:
            return 40 + (self.payload_len or 0), "payload_len"
        return None
