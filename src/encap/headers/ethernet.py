"""Ethernet II and IEEE 802.3 frames.  Source: IEEE 802.3-2018 section 3.2.

    dst (6) | src (6) | type (2)

No preamble and no frame check sequence: captures have neither.
"""

from __future__ import annotations

from typing import Annotated, Any

from encap.fields import Bits, Header, MACField, Next, header

TRANSPARENT_BRIDGING = 0x6558
"""The EtherType by which GRE and Geneve carry Ethernet (RFC 1701)."""
MAX_LENGTH = 1500
"""A type up to this is the length of an LLC payload."""


@header("eth")
class Ethernet(Header):
    """The start of an Ethernet frame.  Source: IEEE 802.3-2018 section 3.2.

    dst: destination address
    src: source address
    type: EtherType of what follows; up to 1500 it is the length of an LLC payload
    """

    dst: MACField = MACField()
    src: MACField = MACField()
    type: Annotated[int | None, Bits(16), Next("ethertype")] = None

    def extent(self) -> tuple[int, str] | None:
        length = self.type
        return (14 + length, "length") if length is not None and length <= MAX_LENGTH else None

    def follows(self, registry: Any, rest: memoryview) -> str | None:
        return ethertype(registry, self.type)


def ethertype(registry: Any, number: int | None) -> str | None:
    """What follows an EtherType; a length (IEEE 802.3) says LLC."""
    if number is not None and number <= MAX_LENGTH:
        return "llc"
    name: str | None = registry.name("ethertype", number)
    return name
