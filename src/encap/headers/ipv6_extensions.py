"""IPv6 extension headers.  Source: RFC 8200 section 4.

    hopopt, dstopts  next_header | len | options
    routing          next_header | len | type | segments_left | data
    fragment         next_header | reserved | offset (13 bits) reserved2 (2) more (1) | id (4)

`len` counts units of 8 octets without the first one.
"""

from __future__ import annotations

from typing import Annotated, Any

from encap.fields import U1, U2, U8, U13, U32, Bits, Header, Next, Own, header
from encap.headers.options import Octets, Option, Options

PAD1, PADN, JUMBO, ENCAPSULATION_LIMIT = 0, 1, 0xC2, 4
"""Option types: padding (RFC 8200 section 4.2), RFC 2675 section 2, RFC 2473 section 4.1.1."""


class _Options(Options):
    """Options that are padded by an option."""

    def pad(self, count: int) -> bytes:
        return bytes((PADN, count - 2)) + bytes(count - 2) if count > 1 else bytes((PAD1,))


OPTIONS = _Options(single=(PAD1,), end=None, counts_itself=False, unit=8, head=2, most=2046)
NO_OPTIONS = (Option(PADN, bytes(4)),)
LEN = Own(lambda _, size: size // 8 - 1)


@header("hopopt")
class HopByHop(Header):
    """Options for every node on the way.  Source: RFC 8200 section 4.3.

    next_header: number of the protocol, or extension header, that follows
    len: length of the header in units of 8 octets, not counting the first
    options: tuple of Option and bytes; padded to a multiple of 8 octets
    """

    length = "len * 8 + 8"

    next_header: Annotated[int | None, Bits(8), Next("protocol")] = None
    len: Annotated[int | None, Bits(8), LEN] = None
    options: Annotated[tuple[Option | bytes, ...], OPTIONS] = NO_OPTIONS


@header("dstopts")
class DestinationOptions(Header):
    """Options for the destination.  Source: RFC 8200 section 4.6.

    next_header: number of the protocol, or extension header, that follows
    len: length of the header in units of 8 octets, not counting the first
    options: tuple of Option and bytes; padded to a multiple of 8 octets
    """

    length = "len * 8 + 8"

    next_header: Annotated[int | None, Bits(8), Next("protocol")] = None
    len: Annotated[int | None, Bits(8), LEN] = None
    options: Annotated[tuple[Option | bytes, ...], OPTIONS] = NO_OPTIONS


@header("routing")
class Routing(Header):
    """Nodes to be visited on the way.  Source: RFC 8200 section 4.4.

    next_header: number of the protocol, or extension header, that follows
    len: length of the header in units of 8 octets, not counting the first
    type: routing type: 2 mobility (RFC 6275), 3 RPL (RFC 6554), 4 segments (RFC 8754)
    segments_left: nodes still to be visited
    data: what the type defines, as octets; 4 more than a multiple of 8
    """

    length = "len * 8 + 8"

    next_header: Annotated[int | None, Bits(8), Next("protocol")] = None
    len: Annotated[int | None, Bits(8), LEN] = None
    type: U8 = 0
    segments_left: U8 = 0
    data: Annotated[bytes, Octets(unit=8, head=4, most=2044)] = bytes(4)

    def final_destination(self) -> bytes | None:
        """The last address on the way, which a pseudo header counts (RFC 8200 section 8.1).

        None where the type is not known to list it whole, or no node is left to be visited.
        """
        addresses = self.data[4:]
        if not self.segments_left or len(addresses) < 16:
            return None
        if self.type in (2, 4):  # mobility has one; segments are listed last first
            return addresses[:16]
        return addresses[len(addresses) // 16 * 16 - 16 :][:16] if self.type == 0 else None


@header("fragment")
class Fragment(Header):
    """One piece of a datagram.  Source: RFC 8200 section 4.5.

    next_header: number of the protocol that the whole datagram's fragmentable part begins with
    reserved: 0
    offset: where this fragment's data belong, in units of 8 octets
    reserved2: 0
    more: 1 in all fragments but the last
    id: identification, the same in all fragments of a datagram
    """

    next_header: Annotated[int | None, Bits(8), Next("protocol")] = None
    reserved: U8 = 0
    offset: U13 = 0
    reserved2: U2 = 0
    more: U1 = 0
    id: U32 = 0

    def fragment(self) -> tuple[int, int]:
        return self.offset, self.more

    def follows(self, registry: Any, rest: memoryview) -> str | None:
        return None if self.offset else super().follows(registry, rest)
