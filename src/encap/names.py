"""The names of fields, as one packet and a batch both read them.

    [outer.|inner.] protocol [index] [. field [?]]      ipv4.src   inner.vlan[1]   gre.key?

Outer are the layers up to and including the first tunnel header, inner those after the
last one; of IP in IP the inner header begins the inner packet. Without a tunnel both are
the whole packet.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from encap.errors import FieldError
from encap.fields import Field, Header, View
from encap.registry import HEADERS, header_class

__all__ = ["GROUPS", "MEMBERS", "OF_PACKETS", "Name", "Parts", "nearest", "parse_name", "split"]

OF_PACKETS = ("time", "length", "wire_length", "path", "status")
"""Names of what belongs to the packet itself."""

GROUPS: dict[str, dict[str, dict[str, str]]] = {
    "ip": {
        "src": {"ipv4": "src", "ipv6": "src"},
        "dst": {"ipv4": "dst", "ipv6": "dst"},
        "ttl": {"ipv4": "ttl", "ipv6": "hop_limit"},
        "protocol": {"ipv4": "protocol", "ipv6": "next_header"},
        "length": {"ipv4": "total_len", "ipv6": "payload_len"},
    },
    "l4": {
        "sport": {"tcp": "sport", "udp": "sport", "sctp": "sport"},
        "dport": {"tcp": "dport", "udp": "dport", "sctp": "dport"},
    },
    "tunnel": {
        "id": {
            "vxlan": "vni", "gpe": "vni", "geneve": "vni", "gre": "key", "erspan": "session_id",
        },
        "kind": {},
    },
}  # fmt: skip
"""Fields that stand for those of several protocols."""
MEMBERS = {
    "ip": ("ipv4", "ipv6"),
    "l4": ("tcp", "udp", "sctp"),
    "tunnel": ("vxlan", "gpe", "geneve", "gre", "erspan", "ipv4", "ipv6"),
}
"""The protocols that a group's name stands for."""

_NAME = re.compile(
    r"(?:(outer|inner)\.)?([a-z][a-z0-9_]*)(?:\[(-?\d{1,3}|\*)\])?(?:\.([a-z][a-z0-9_]*)(\?)?)?\Z"
)


@dataclass(frozen=True, slots=True)
class Name:
    """A name taken apart: `part` is "", "outer" or "inner"; `field` is None for a header's name.

    every: it means each such header, `[*]`, and not the one that `index` counts.
    """

    text: str
    part: str
    protocol: str
    index: int
    field: str | None
    presence: bool
    every: bool = False

    @property
    def protocols(self) -> tuple[str, ...]:
        """Path names of the headers that count."""
        return MEMBERS.get(self.protocol, (self.protocol,))

    def field_in(self, kind: type[Header]) -> tuple[Field, View | None]:
        """The field that the name means in a header of this class, or the view of one.

        FieldError, with the fields that exist, when it has none.
        """
        wanted = self.field or ""
        if self.protocol in GROUPS:
            wanted = GROUPS[self.protocol].get(wanted, {}).get(kind.path, wanted)
        view = kind.views.get(wanted)
        field = kind.fields.get(view.field if view else wanted)
        if field is None:
            raise unknown_field(self, kind)
        return field, view


@lru_cache(maxsize=1024)
def parse_name(text: str, *, every: bool = False) -> Name:
    """A field or header name taken apart; FieldError, with what exists, for an unknown protocol.

    every: `[*]`, each such header, is allowed; elsewhere a name means one header.
    """
    if not isinstance(text, str):
        raise TypeError(f"a field's name is text, not {type(text).__name__}")
    match = _NAME.match(text)
    if match is None:
        raise FieldError(
            f"{text!r} is no field name: it reads [outer.|inner.] protocol [index] . field"
            + (", in small letters" if _NAME.match(text.lower()) else ""),
            field=text,
        )
    part, protocol, index, field, presence = match.groups()
    if index == "*" and not every:
        raise FieldError(
            f"{text!r}: one header is meant here, so [*] cannot be: give its index, as [0] or [-1]",
            field=text,
        )
    all_of_them = index == "*"
    number = 0 if all_of_them else int(index or 0)
    name = Name(text, part or "", protocol, number, field, presence is not None, all_of_them)
    if protocol in GROUPS and field is not None and field not in GROUPS[protocol]:
        raise FieldError(
            f"{text!r}: {protocol} has no field {field!r}{nearest(field, GROUPS[protocol])};"
            f" it has {', '.join(GROUPS[protocol])}",
            layer=protocol,
            field=text,
        )
    return name


def nearest(wanted: str, known: Iterable[str]) -> str:
    """A question about the known word that is most like the one wanted; "" where none is."""
    from difflib import get_close_matches

    found = get_close_matches(wanted, known, 1)
    return f" (did you mean {found[0]!r}?)" if found else ""


def known_protocol(name: Name, *others: str) -> None:
    """FieldError, with those that exist, when `name` names no built-in protocol.

    others: names without a protocol that are known where this one was given.
    """
    if name.protocol in others:
        raise FieldError(
            f"{name.text!r}: {name.protocol} belongs to the packet as a whole, so it stands alone",
            field=name.text,
        )
    if name.protocol not in HEADERS and name.protocol not in GROUPS:
        known = [*HEADERS, *GROUPS, *others]
        having = [] if name.field else _having(name.protocol)
        if having:
            why = f" is a field, of which the header is said too: {', '.join(having)}"
        else:
            guess = nearest(name.protocol, known)
            why = f": no protocol is called {name.protocol!r}{guess}; known are {', '.join(known)}"
        raise FieldError(f"{name.text!r}{why}", field=name.text)


def _having(field: str) -> list[str]:
    """The names of the fields that are called so, of groups before those of headers."""
    kinds = ((path, header_class(path)) for path in HEADERS)
    return [
        *(f"{group}.{field}" for group, fields in GROUPS.items() if field in fields),
        *(f"{path}.{field}" for path, kind in kinds if field in {*kind.fields, *kind.views}),
    ]


def unknown_field(name: Name, kind: type[Header]) -> FieldError:
    """The error for a field that a header has not."""
    known = [field.name for field in kind.fields.values() if field.variable is None]
    known += kind.views
    return FieldError(
        f"{name.text!r}: {kind.path} has no field {name.field!r}{nearest(name.field or '', known)};"
        f" it has {', '.join(known)}",
        layer=kind.path,
        field=name.text,
    )


@dataclass(frozen=True, slots=True)
class Parts:
    """Which layers of a path are outer, inner, and tunnel headers, by index."""

    outer: range
    inner: range
    tunnels: tuple[int, ...]

    def of(self, name: Name) -> Sequence[int]:
        """The layers among which `name` counts."""
        part = self.inner if name.part == "inner" else self.outer
        if not name.part:
            part = range(max(self.outer.stop, self.inner.stop))
        if name.protocol == "tunnel":
            return [index for index in part if index in self.tunnels]
        return part


def split(path: Sequence[str]) -> Parts:
    """The parts of a path, given as the names of its layers."""
    count = len(path)
    tunnels: list[int] = []
    outer_end, inner_begin, network = count, 0, False
    for index, name in enumerate(path):
        begin = index + 1
        if name in ("ipv4", "ipv6"):
            if not network:
                network = True
                continue
            begin = index
        elif name not in MEMBERS["tunnel"] or (
            name == "gre" and "erspan" in path[begin : begin + 1]
        ):
            continue
        else:
            network = False
        if not tunnels:
            outer_end = begin
        inner_begin = begin
        tunnels.append(index)
    return Parts(range(outer_end), range(inner_begin, count), tuple(tunnels))
