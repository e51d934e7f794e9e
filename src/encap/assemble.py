"""Building one packet: octets from the payload outwards, open fields filled in on the way.

A number that was given is written as given, right or wrong. Only fields left open are
computed: lengths, next protocols, checksums.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from encap.checksum import crc32c, ones_sum
from encap.errors import FieldError
from encap.fields import (
    Checksum,
    Dependent,
    Field,
    Header,
    Length,
    Next,
    Own,
    Port,
    Role,
)
from encap.registry import Registry

if TYPE_CHECKING:
    from encap.packet import Packet

NO_NEXT_HEADER = 59
"""The protocol of what is not known (RFC 8200 section 4.7)."""
LOCAL_EXPERIMENT = 0x88B5
"""The EtherType of what is not known: IEEE's first for local experiments."""
_UNKNOWN = {"protocol": NO_NEXT_HEADER, "ethertype": LOCAL_EXPERIMENT}


def build(packet: Packet) -> bytes:
    """The octets of a packet."""
    headers, registry = packet.headers, packet.registry
    body = packet.payload
    trailers = dict(packet.trailers) if packet.trailers else None
    follower: Header | None = None
    for index in range(len(headers) - 1, -1, -1):
        header = headers[index]
        opened = [entry for entry in header.dependent if getattr(header, entry[0]) is None]
        if packet.broken and follower is None:
            body = header._build_fixed() + body
        elif opened:
            body = _build_open(opened, headers[:index], header, follower, body, registry)
        else:
            body = header._build() + body
        if trailers and index in trailers:
            body += trailers[index]
        follower = header
    return body


def _build_open(
    opened: list[Dependent],
    before: Sequence[Header],
    header: Header,
    follower: Header | None,
    body: bytes,
    registry: Registry,
) -> bytes:
    """Header and body, with the fields of the header that are open filled in."""
    values = {}
    checksum: tuple[Checksum, int, int] | None = None
    for name, argument, role, maximum, field, at, size in opened:
        if field.when is not None and not present(header, field):
            continue
        if isinstance(role, Checksum):
            checksum = role, at, size
            continue
        value = _value(role, header, follower, body, registry)
        if value > maximum:
            raise FieldError(
                f"{header.path}.{name}: {value} octets do not fit {field.bits} bits",
                layer=header.path,
                field=name,
                value=value,
            )
        values[argument] = value
    octets = header._build(**values)
    if checksum is None:
        return octets + body
    role, at, size = checksum
    number = compute(role, before, header, octets, body, registry)
    return octets[:at] + number.to_bytes(size, "big") + octets[at + size :] + body


def _value(
    role: Role, header: Header, follower: Header | None, body: bytes, registry: Registry
) -> int:
    """The length, next protocol or port that is open."""
    if isinstance(role, Length):
        return (header._len() if role.of == "packet" else 0) + len(body)
    if isinstance(role, Next):
        return number_of(header, role.space, follower, body, registry)
    if isinstance(role, Port) and role.known and follower is not None:
        return follower.number(registry, "port") or 0
    return 0


def filled(packet: Packet) -> list[Header]:
    """The headers with every field that depends on others opened again.

    A number that leads to the header that follows stays, and so does one that nothing contradicts:
    there may be others for the same header, or none. A header cut short stays as it is.
    """
    whole = packet.headers[:-1] if packet.broken else packet.headers
    followers = (*packet.headers[1:], None)
    opened = [
        header._with(dict.fromkeys(_stale(header, follower, packet.registry)))
        for header, follower in zip(whole, followers, strict=False)
    ]
    return [*opened, *packet.headers[len(whole) :]]


def _stale(header: Header, follower: Header | None, registry: Registry) -> Iterator[str]:
    """Names of the fields that `filled` opens."""
    for name, field in header.fields.items():
        if not field.open:
            continue
        if isinstance(field.role, Length | Checksum | Own):
            yield name
        elif isinstance(field.role, Next) and follower is not None:
            leads = header.follows(registry, memoryview(b""))
            if leads != follower.path or leads == "llc":  # whose number may be a length
                yield name


def present(header: Header, field: Field) -> bool:
    """True when the field is there: it is not optional, or what announces it is set."""
    if field.when is None:
        return True
    held = all(getattr(header, name) & mask == value for name, mask, value in field.when.tests)
    return held != field.when.negate


def number_of(
    header: Header, space: str, follower: Header | None, body: bytes, registry: Registry
) -> int:
    """What `header` is to say when `follower` is next."""
    if follower is None:
        return _UNKNOWN.get(space, 0)
    if follower.path == "llc" and space == "ethertype":
        # IEEE 802.3: the type is a length; where there is none, Linux has a number of its own.
        from encap.headers.sll import LLC_FRAME  # not before it is needed

        return LLC_FRAME if header.path in ("sll", "sll2") else len(body)
    number = follower.number(registry, space)
    return _UNKNOWN.get(space, 0) if number is None else number


def compute(
    role: Checksum,
    before: Sequence[Header],
    header: Header,
    octets: bytes,
    body: bytes,
    registry: Registry,
) -> int:
    """The checksum that a header should have, its own field in `octets` being 0."""
    if role.algorithm == "crc32c":
        return crc32c(octets + body)
    covered = octets if role.covers == "header" else octets + body
    initial = 0
    if role.pseudo:
        initial = pseudo_sum(before, header.number(registry, "protocol") or 0, len(covered))
    return 0xFFFF - ones_sum(covered, initial) or role.zero


def pseudo_sum(before: Sequence[Header], protocol: int, length: int) -> int:
    """The sum of the pseudo header: that of the nearest IP header in front, or 0 without one.

    Not folded: 2**16 is 1 in one's complement, so addresses count as the numbers that they are.
    """
    final: bytes | None = None
    outer: Any  # addresses and the rest are not what every header has
    for outer in reversed(before):
        if outer.path in ("ipv4", "ipv6"):
            destination = outer._dst if final is None else final
            return _as_number(outer._src) + _as_number(destination) + protocol + length
        if outer.path == "routing":
            final = final or outer.final_destination()
    return 0


def _as_number(address: int | bytes | None) -> int:
    """An address as it is stored, as a number; 0 for one that is open."""
    if isinstance(address, bytes):
        return int.from_bytes(address, "big")
    return address or 0
