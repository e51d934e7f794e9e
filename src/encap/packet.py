"""Packet: one packet as headers and payload; parse one frame, build one frame.

The walk of `parse` is the twin of the one in the C core (core/walker.h): what it takes for a layer,
where an outer length ends an inner packet, and what stops it, is the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar, overload

from encap import assemble
from encap.errors import ChecksumError, DecodeError, DepthError, FieldError, TruncatedError
from encap.fields import Header, octets
from encap.names import GROUPS, Name, known_protocol, parse_name, split
from encap.registry import DEFAULT, Registry
from encap.verify import refuse_reserved, wrong_checksum

__all__ = ["MAX_LAYERS", "Packet", "parse"]

MAX_LAYERS = 16

_Header = TypeVar("_Header", bound=Header)


class Packet:
    """One packet: headers, payload, and what stood behind the end that a header's length gives.

    Made with `/`: `Ethernet() / IPv4(src=...) / UDP() / VXLAN(vni=42) / b"..."`, or by `parse`.
    Immutable. Open fields (None) are computed when the octets are asked for.
    """

    __slots__ = ("broken", "error", "headers", "payload", "registry", "trailers")

    headers: tuple[Header, ...]
    payload: bytes
    """What follows the last header."""
    trailers: tuple[tuple[int, bytes], ...]
    """Octets behind the end that the length of a header gives, by the header's index."""
    error: DecodeError | None
    """What stopped the parse, or None."""
    broken: bool
    """True when only the fixed part of the last header could be read."""
    registry: Registry

    def __init__(
        self,
        *parts: Header | bytes,
        trailers: tuple[tuple[int, bytes], ...] = (),
        error: DecodeError | None = None,
        broken: bool = False,
        registry: Registry = DEFAULT,
    ) -> None:
        payload = b""
        if parts and not isinstance(parts[-1], Header):
            payload = bytes(octets(parts[-1]))
            parts = parts[:-1]
        headers = tuple(part for part in parts if isinstance(part, Header))
        if len(headers) < len(parts):
            wrong = next(part for part in parts if not isinstance(part, Header))
            raise TypeError(f"a packet has headers, then octets; not {type(wrong).__name__}")
        self._set(headers, payload, trailers, error, broken, registry)

    def _set(
        self,
        headers: tuple[Header, ...],
        payload: bytes,
        trailers: tuple[tuple[int, bytes], ...],
        error: DecodeError | None,
        broken: bool,
        registry: Registry,
    ) -> None:
        put = object.__setattr__
        put(self, "headers", headers)
        put(self, "payload", payload)
        put(self, "trailers", trailers)
        put(self, "error", error)
        put(self, "broken", broken)
        put(self, "registry", registry)

    @classmethod
    def _made(
        cls,
        headers: tuple[Header, ...],
        payload: bytes,
        trailers: tuple[tuple[int, bytes], ...],
        error: DecodeError | None,
        broken: bool,
        registry: Registry,
    ) -> Packet:
        """A packet of parts that are known to fit: what `parse` found."""
        self = object.__new__(cls)
        self._set(headers, payload, trailers, error, broken, registry)
        return self

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a Packet is immutable: {name} cannot be set; see replace()")

    def __truediv__(self, other: object) -> Packet:
        if self.payload or self.trailers:
            raise TypeError("nothing can follow a packet's payload")
        if isinstance(other, Header):
            return self._like((*self.headers, other))
        if isinstance(other, Packet):
            shifted = tuple((index + len(self.headers), tail) for index, tail in other.trailers)
            return self._like(
                (*self.headers, *other.headers, other.payload), shifted, broken=other.broken
            )
        return self._like((*self.headers, bytes(octets(other))))

    def _like(
        self,
        parts: tuple[Header | bytes, ...],
        trailers: tuple[tuple[int, bytes], ...] = (),
        broken: bool = False,
    ) -> Packet:
        return Packet(*parts, trailers=trailers, broken=broken, registry=self.registry)

    @property
    def path(self) -> str:
        """The layers in words: `eth/ipv4/udp/vxlan/eth/ipv4/tcp`."""
        return "/".join([header.path for header in self.headers])

    @property
    def trailer(self) -> bytes:
        """Everything behind the payload: Ethernet padding, the innermost first."""
        return b"".join(tail for _, tail in sorted(self.trailers, reverse=True))

    @property
    def incomplete(self) -> bool:
        """True for a fragment: what its datagram carries is not all here."""
        return any(any(header.fragment() or ()) for header in self.headers)

    def __bytes__(self) -> bytes:
        return assemble.build(self)

    def __len__(self) -> int:
        """Octets of the whole packet."""
        tails = sum(len(tail) for _, tail in self.trailers)
        sizes = [header.header_len for header in self.headers]
        if self.broken:
            sizes[-1] = self.headers[-1].fixed_len
        return sum(sizes) + len(self.payload) + tails

    def __bool__(self) -> bool:
        return True

    def __iter__(self) -> Iterator[Header]:
        return iter(self.headers)

    def __contains__(self, wanted: Any) -> bool:
        """True when there is such a header (a class, or a name), or the field named is there."""
        try:
            return self[wanted] is not None
        except KeyError:
            return False

    @overload
    def __getitem__(self, wanted: type[_Header]) -> _Header: ...
    @overload
    def __getitem__(self, wanted: int) -> Header: ...
    @overload
    def __getitem__(self, wanted: str) -> Any: ...
    def __getitem__(self, wanted: Any) -> Any:
        """A header by class, index or name (`inner.ipv4`), or a field by name (`inner.ipv4.src`).

        KeyError when the packet has no such header, FieldError when no packet can.
        """
        if isinstance(wanted, int):
            return self.headers[wanted]
        if isinstance(wanted, type):
            for header in self.headers:
                if isinstance(header, wanted):
                    return header
            raise KeyError(f"{wanted.__name__} is not in {self.path}")
        name = parse_name(wanted)
        index = self._find(name)
        if name.presence:
            return index is not None and self._value(name, self.headers[index]) is not None
        if index is None:
            raise KeyError(f"{wanted} is not in {self.path}")
        return self._value(name, self.headers[index])

    def _find(self, name: Name) -> int | None:
        """Index of the header that a name means, or None."""
        paths = tuple(header.path for header in self.headers)
        if name.protocol not in paths:
            known_protocol(name)
        found = [index for index in split(paths).of(name) if paths[index] in name.protocols]
        try:
            return found[name.index]
        except IndexError:
            return None

    def _value(self, name: Name, header: Header) -> Any:
        if name.field is None:
            return header
        if name.protocol == "tunnel" and header.path not in GROUPS["tunnel"]["id"]:
            return header.path if name.field == "kind" else None
        if name.protocol == "tunnel" and name.field == "kind":
            return header.path
        field, view = name.field_in(type(header))
        return getattr(header, view.name if view else field.name)

    def replace(self, changes: Mapping[str, Any]) -> Packet:
        """A packet in which the named fields have other values; all other octets stay as they are.

        changes: values by field name. KeyError for a field that the packet has not.
        """
        headers = list(self.headers)
        for text, value in changes.items():
            name = parse_name(text)
            index = self._find(name)
            if index is None or name.field is None or self._value(name, headers[index]) is None:
                raise KeyError(f"{text} is not in {self.path}")
            headers[index] = _changed(headers[index], name, value)
        return self._like((*headers, self.payload), self.trailers, self.broken)

    def fill(self) -> Packet:
        """A packet in which every field that depends on others is open, and so is computed."""
        return self._like((*assemble.filled(self), self.payload), self.trailers, self.broken)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Packet):
            return NotImplemented
        return self._content() == other._content()

    def __hash__(self) -> int:
        return hash(self._content())

    def _content(self) -> tuple[object, ...]:
        return self.headers, self.payload, self.trailers, self.broken

    def __reduce__(self) -> tuple[object, ...]:
        state = (self.headers, self.payload, self.trailers, self.error, self.broken, self.registry)
        return _restore, state

    def __repr__(self) -> str:
        parts = [repr(header) for header in self.headers]
        if self.payload or not parts:
            parts.append(repr(self.payload))
        return " / ".join(parts)

    def __str__(self) -> str:
        from encap.show import line

        return line(self)

    def show(self) -> str:
        """A table of all fields and an annotated hexdump, as text."""
        from encap.show import table

        return table(self)


def _restore(
    headers: tuple[Header, ...],
    payload: bytes,
    trailers: tuple[tuple[int, bytes], ...],
    error: DecodeError | None,
    broken: bool,
    registry: Registry,
) -> Packet:
    return Packet(
        *headers, payload, trailers=trailers, error=error, broken=broken, registry=registry
    )


def _changed(header: Header, name: Name, value: Any) -> Header:
    """The header with one field changed, the value checked as a constructor would."""
    field, view = name.field_in(type(header))
    if view is not None:
        if not 0 <= value < 1 << view.bits:
            raise FieldError(
                f"{name.text} cannot be {value!r}: 0 to {(1 << view.bits) - 1}",
                layer=header.path, field=name.text, value=value,
            )  # fmt: skip
        mask = (1 << view.bits) - 1 << view.shift
        value = getattr(header, field.name) & ~mask | value << view.shift
    announced = {}
    if field.when is not None:
        announced = {test: getattr(header, test) for test, _, _ in field.when.tests}
        if value is None and field.role is None:
            raise FieldError(
                f"{name.text} cannot be None: {field.when.tests[0][0]} says that it is there",
                layer=header.path, field=name.text,
            )  # fmt: skip
    checked = type(header)(**announced, **{field.name: value})
    return _agreed(header._with({field.name: getattr(checked, field.slot)}))


def _agreed(header: Header) -> Header:
    """The header with the optional fields that are announced (0 where new), and no others."""
    changes: dict[str, Any] = {}
    for name, field in header.fields.items():
        if field.when is None:
            continue
        value = getattr(header, field.slot)
        if not assemble.present(header, field):
            changes[name] = field.variable.default if field.variable else None
        elif value is None and field.role is None:
            changes[name] = field.address.zero if field.address else 0
    return header._with(changes) if changes else header


def parse(
    frame: object,
    linktype: int = 1,
    *,
    strict: bool | str = True,
    ports: Mapping[int, str | None] | None = None,
    registry: Registry = DEFAULT,
    verify: bool = False,
) -> Packet:
    """The headers of one frame.

    frame: its octets, bytes or another buffer.  linktype: the LINKTYPE number of what it begins
    with; 1 is Ethernet, 101 raw IP.
    strict: True raises on the first thing wrong, False goes as far as it can and leaves that in
    `error`, "reserved" raises for reserved bits that are set too.
    ports: UDP destination ports to know beside the registry's; None in place of a name forgets one.
    verify: ChecksumError for a checksum that is wrong and can be checked.

    DecodeError when strict; UnsupportedError for an unknown link type.
    """
    if strict not in (True, False, "reserved"):
        raise FieldError(f"strict is True, False or 'reserved', not {strict!r}", field="strict")
    data = octets(frame)
    known = registry.extend(ports=ports) if ports else registry
    packet = _walk(data, known.first(linktype, data), known)
    if packet.error is not None and strict:
        raise packet.error
    if strict == "reserved":
        refuse_reserved(packet)
    if verify:
        wrong = wrong_checksum(packet)
        if wrong is not None:
            raise ChecksumError(f"{wrong} is wrong")
    return packet


def _walk(data: bytes | memoryview, name: str | None, registry: Registry) -> Packet:
    """As many headers as there are; twin of walk_packet in core/walk.c."""
    view = memoryview(data)
    headers: list[Header] = []
    cuts: list[tuple[int, int, int]] = []  # index of a header, and the octets behind its end
    at, end, limit = 0, len(data), "capture"
    error: DecodeError | None = None
    network = incomplete = broken = False
    header_class = registry.header
    while name is not None:
        if len(headers) == MAX_LAYERS:
            error = DepthError(f"more than {MAX_LAYERS} headers", layer=name, offset=at)
            break
        kind = header_class(name)
        try:
            header, error = kind._parse(data, at, end, limit)
        except TruncatedError as short:
            error = short
            break
        headers.append(header)
        if error is not None:
            broken, at = True, at + kind.fixed_len
            break
        extent = header.extent() if kind.bounded else None
        if extent is not None and at + extent[0] < end:
            cuts.append((len(headers) - 1, at + extent[0], end))
            end, limit = at + extent[0], f"{name}.{extent[1]}"
        at += header._len() if kind.varies else kind.fixed_len
        fragment = header.fragment() if kind.splits else None
        if fragment is not None and any(fragment):
            incomplete = True
            if fragment[0]:
                break
        network = (network or name in _IP) and not kind.tunnel
        if incomplete and name == "udp":
            break
        name = header.follows(registry, view[at:end])
        if incomplete and (name == "gre" or (network and name in _IP)):
            break
    trailers = tuple([(index, bytes(data[start:stop])) for index, start, stop in cuts])
    return Packet._made(tuple(headers), bytes(data[at:end]), trailers, error, broken, registry)


_IP = ("ipv4", "ipv6")
