"""VLAN tags.  Source: IEEE 802.1Q-2018 section 9.6.

    pcp (3 bits) dei (1) vid (12) | type (2 octets)

The tag protocol identifier in front of a tag (0x8100, 0x88a8, 0x9100, 0x9200) is the
`type` of the header before it.
"""

from __future__ import annotations

from typing import Annotated, Any

from encap.fields import U1, U3, U12, Bits, Header, Next, header
from encap.headers.ethernet import MAX_LENGTH, ethertype

TPIDS = (0x8100, 0x88A8, 0x9100, 0x9200)


@header("vlan")
class VLAN(Header):
    """A customer or service VLAN tag.  Source: IEEE 802.1Q-2018 section 9.6.

    pcp: priority code point
    dei: drop eligible indicator
    vid: VLAN identifier; 0 says priority only, 4095 is reserved
    type: EtherType of what follows
    """

    pcp: U3 = 0
    dei: U1 = 0
    vid: U12 = 0
    type: Annotated[int | None, Bits(16), Next("ethertype")] = None

    def extent(self) -> tuple[int, str] | None:
        length = self.type
        return (4 + length, "length") if length is not None and length <= MAX_LENGTH else None

    def follows(self, registry: Any, rest: memoryview) -> str | None:
        return ethertype(registry, self.type)
