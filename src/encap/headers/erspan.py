"""ERSPAN types II and III: mirrored frames in GRE.  Source: draft-foschiano-erspan-03 section 4.

    version (4 bits) vlan (12) | cos (3) en (2) truncated (1) session_id (10)
    type II   reserved (12) index (20)
    type III  timestamp (4) | sgt (2)
              p (1) frame_type (5) hw_id (6) direction (1) granularity (2) o (1)
              platform (8 octets, with o)

Type I has no header. The mirrored frame may end with its check sequence.
"""

from __future__ import annotations

from typing import Annotated, Any

from encap.fields import U1, U2, U3, U4, U10, U12, Bits, Check, Header, Own, When, header
from encap.headers.gre import ERSPAN_II, ERSPAN_III
from encap.headers.mpls import by_version
from encap.headers.options import Octets

TYPE_II, TYPE_III = 1, 2
"""Values of `version`."""
IP_FRAME = 2
"""The `frame_type` of IP packets without a link layer."""

IN_II = When((("version", 0xF, TYPE_II),))
IN_III = When((("version", 0xF, TYPE_III),))


def tail_len(data: bytes | memoryview, at: int, end: int, version: int) -> int:
    """Octets of `platform`: 8 when the last bit in front of `at`, where it would start, is set."""
    return 8 if version == TYPE_III and at <= end and data[at - 1] & 1 else 0


@header("erspan")
class ERSPAN(Header):
    """The header of a mirrored frame.  Source: draft-foschiano-erspan-03 section 4.

    A GRE header with a sequence number stands before type II, as in `GRE(seq=0) / ERSPAN()`:
    without the number a reader takes the packet for type I, which has no header.

    version: 1 for type II, 2 for type III
    vlan: VLAN of the mirrored frame, or 0
    cos: class of service of the mirrored frame
    en: how its VLAN tag was carried; type III calls it BSO: 1 short, 2 oversized, 3 bad frames
    truncated: 1 when the mirrored frame was cut
    session_id: which mirror session
    reserved: 0; type II
    index: source port and direction, as the platform defines it; type II
    timestamp: when the frame was mirrored, in units of `granularity`; type III, as all that follow
    sgt: security group tag
    p: 1 when the mirrored frame is Ethernet
    frame_type: 0 for Ethernet, 2 for IP
    hw_id: which engine of the device mirrored the frame
    direction: 0 ingress, 1 egress
    granularity: 0 for 100 us, 1 for 100 ns, 2 for IEEE 1588 time, 3 as the platform defines it
    o: 1 when `platform` is there
    platform: 8 octets that the platform defines
    """

    tunnel = True
    length = "need + tail_len(buffer, at + need, end, version)"
    tail_len = staticmethod(tail_len)
    checks = (Check("version", "1 <= version <= 2", unsupported=True),)

    version: U4 = TYPE_II
    vlan: U12 = 0
    cos: U3 = 0
    en: U2 = 0
    truncated: U1 = 0
    session_id: U10 = 0
    reserved: Annotated[int | None, Bits(12), IN_II] = None
    index: Annotated[int | None, Bits(20), IN_II] = None
    timestamp: Annotated[int | None, Bits(32), IN_III] = None
    sgt: Annotated[int | None, Bits(16), IN_III] = None
    p: Annotated[int | None, Bits(1), IN_III] = None
    frame_type: Annotated[int | None, Bits(5), IN_III] = None
    hw_id: Annotated[int | None, Bits(6), IN_III] = None
    direction: Annotated[int | None, Bits(1), IN_III] = None
    granularity: Annotated[int | None, Bits(2), IN_III] = None
    o: Annotated[int | None, Bits(1), IN_III, Own(lambda v, _: int(bool(v.platform)))] = None
    platform: Annotated[bytes, IN_III, Octets(unit=8, most=8)] = b""

    def number(self, registry: Any, space: str) -> int | None:
        if space != "ethertype":
            return None
        return ERSPAN_III if self.version == TYPE_III else ERSPAN_II

    def follows(self, registry: Any, rest: memoryview) -> str | None:
        return by_version(rest) if self.frame_type == IP_FRAME else "eth"
