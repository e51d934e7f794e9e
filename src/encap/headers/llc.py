"""LLC, with SNAP.  Source: IEEE 802.2-1998 sections 3.2 and 5.4, RFC 1042.

dsap | ssap | control | control_extended, or for SNAP: oui (3) | pid (2)
"""

from __future__ import annotations

from typing import Annotated, Any

from encap.fields import U8, Bits, Header, Next, When, header

SNAP_SAP = 0xAA
UNNUMBERED = 3
"""The control field of unnumbered information, and the two bits that say that it is one octet."""

WITH_EXTENDED = When((("control", 3, UNNUMBERED),), negate=True)
WITH_SNAP = When((("ssap", 0xFF, SNAP_SAP), ("control", 0xFF, UNNUMBERED)))


@header("llc")
class LLC(Header):
    """A logical link control header.  Source: IEEE 802.2-1998 section 3.2, RFC 1042.

    dsap: destination service access point, and the group bit (1)
    ssap: source service access point, and the response bit (1); 0xAA announces SNAP
    control: what kind of frame; 3 is unnumbered information
    control_extended: second octet of control; there in numbered formats
    oui: whose protocol numbers `pid` takes; 0 for EtherTypes; there in SNAP
    pid: protocol of what follows; there in SNAP
    """

    dsap: U8 = SNAP_SAP
    ssap: U8 = SNAP_SAP
    control: U8 = UNNUMBERED
    control_extended: Annotated[int | None, Bits(8), WITH_EXTENDED] = None
    oui: Annotated[int | None, Bits(24), WITH_SNAP] = None
    pid: Annotated[int | None, Bits(16), WITH_SNAP, Next("ethertype")] = None

    def follows(self, registry: Any, rest: memoryview) -> str | None:
        name: str | None = registry.name("ethertype", self.pid) if self.oui == 0 else None
        return name
