"""Building one packet: octets from the payload outwards, open fields filled in on the way.

A number that was given is written as given, right or wrong. Only fields left open are
computed: lengths, next protocols, checksums.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import TYPE_CHECKING

from encap.checksum import crc32c, ones_sum, pseudo_header
from encap.errors import FieldError
from encap.fields import Checksum, Field, Header, Length, Next, Own
from encap.headers.ipv6_extensions import Routing
from encap.headers.sll import LLC_FRAME
from encap.registry import Registry

if TYPE_CHECKING:
    from encap.packet import Packet

NO_NEXT_HEADER = 59
"""The protocol of what is not known (RFC 8200 section 4.7)."""
LOCAL_EXPERIMENT = 0x88B5
"""The EtherType of what is not known: IEEE's first for local experiments."""
_UNKNOWN = {"protocol": NO_NEXT_HEADER, "ethertype": LOCAL_EXPERIMENT}


@cache
def dependent(kind: type[Header]) -> tuple[Field, ...]:
    """The fields of a header that a packet fills in where they are open."""
    return tuple(
        field
        for field in kind.fields.values()
        if isinstance(field.role, Length | Next | Checksum) or (kind.path == "udp" and field.open)
    )


def build(packet: Packet) -> bytes:
    """The octets of a packet."""
    headers, registry = packet.headers, packet.registry
    body = packet.payload
    trailers = dict(packet.trailers)
    follower: Header | None = None
    for index in range(len(headers) - 1, -1, -1):
        header = headers[index]
        if packet.broken and follower is None:
            body = header._build_fixed() + body
        else:
            opened = _opened(header, follower, body, registry)
            octets = header._build(**opened) if opened else header._build()
            body = _close(headers[:index], header, octets, body, registry)
        if index in trailers:
            body += trailers[index]
        follower = header
    return body


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


def _opened(
    header: Header, follower: Header | None, body: bytes, registry: Registry
) -> dict[str, int]:
    """Values for the lengths and next protocols that are open, as `_build` takes them."""
    found = {}
    for field in dependent(type(header)):
        if getattr(header, field.name) is not None or not present(header, field):
            continue
        if isinstance(field.role, Length):
            value = (header.header_len if field.role.of == "packet" else 0) + len(body)
        elif isinstance(field.role, Next):
            value = _number(header, field.role.space, follower, body, registry)
        elif field.name == "dport" and follower is not None:
            value = follower.number(registry, "port") or 0
        else:
            continue
        if value > field.maximum:
            raise FieldError(
                f"{header.path}.{field.name}: {value} octets do not fit {field.bits} bits",
                layer=header.path,
                field=field.name,
                value=value,
            )
        found[f"open_{field.name}"] = value
    return found


def present(header: Header, field: Field) -> bool:
    """True when the field is there: it is not optional, or what announces it is set."""
    if field.when is None:
        return True
    held = all(getattr(header, name) & mask == value for name, mask, value in field.when.tests)
    return held != field.when.negate


def _number(
    header: Header, space: str, follower: Header | None, body: bytes, registry: Registry
) -> int:
    """What `header` is to say when `follower` is next."""
    if follower is None:
        return _UNKNOWN.get(space, 0)
    if follower.path == "llc" and space == "ethertype":
        # IEEE 802.3: the type is a length; where there is none, Linux has a number of its own.
        return LLC_FRAME if header.path in ("sll", "sll2") else len(body)
    number = follower.number(registry, space)
    return _UNKNOWN.get(space, 0) if number is None else number


def _close(
    before: Sequence[Header], header: Header, octets: bytes, body: bytes, registry: Registry
) -> bytes:
    """Header and body, with the header's checksum in place where it is open."""
    for field in dependent(type(header)):
        if isinstance(field.role, Checksum) and getattr(header, field.name) is None:
            at = position(header, field)
            if at is not None:
                value = compute(field.role, before, header, octets, body, registry)
                size = field.bits // 8
                octets = octets[:at] + value.to_bytes(size, "big") + octets[at + size :]
    return octets + body


def position(header: Header, field: Field) -> int | None:
    """Octets from the header's start to a checksum; None where an optional one is absent."""
    if not present(header, field):
        return None
    # No optional field stands in front of a checksum.
    return field.offset // 8 + (header.fixed_len if field.optional else 0)


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
    """The sum of the pseudo header: that of the nearest IP header in front, or 0 without one."""
    final: bytes | None = None
    for outer in reversed(before):
        if isinstance(outer, Routing):
            final = final or outer.final_destination()
        elif outer.path in ("ipv4", "ipv6"):
            octets = outer._build_fixed()
            middle = len(octets) // 2 + (6 if outer.path == "ipv4" else 4)
            size = 4 if outer.path == "ipv4" else 16
            source, destination = octets[middle - size : middle], octets[middle : middle + size]
            return ones_sum(pseudo_header(source, final or destination, protocol, length))
    return 0
