"""The twin of `Packets.encap` in Python, one packet at a time, out of `Packet` alone.

What a row of a batch must become: the octets of the template's headers with the row's values,
in front of the inner packet.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import encap
from encap import Header, IPv4, IPv6
from encap.layout import Next, Port
from encap.names import parse_name
from encap.packet import Packet

ECT_0, CE = 2, 3


def tunnelled(
    template: Packet,
    frame: bytes,
    linktype: int = 1,
    values: Mapping[str, Any] | None = None,
    **options: Any,
) -> bytes:
    """The outer frame: `frame` in `template`, with values by field name and encap's options."""
    inner = encap.parse(frame, linktype, strict=False)
    found = next((h for h in inner if isinstance(h, IPv4 | IPv6)), None)
    headers = [_inheriting(header, found, **options) for header in template]
    for name, value in (values or {}).items():
        place(headers, name, value)
    follower = kind_of(frame, linktype)
    headers[-1] = announcing(headers[-1], follower)
    return bytes(Packet(*headers, frame))


def kind_of(frame: bytes, linktype: int) -> str:
    """Path name of what an inner packet begins with."""
    if linktype == 1:
        return "eth"
    return "ipv6" if frame[:1] and frame[0] >> 4 == 6 else "ipv4"


def with_fields(header: Header, **changes: Any) -> Header:
    """The header, made again with other values for some fields."""
    kept = {name: getattr(header, name) for name in header.fields}
    return type(header)(**(kept | changes))


def place(headers: list[Header], name: str, value: Any) -> None:
    """Puts a value into the field of that name."""
    wanted = parse_name(name)
    at = [i for i, header in enumerate(headers) if header.path == wanted.protocol][wanted.index]
    field, view = wanted.field_in(type(headers[at]))
    if view is not None:
        mask = (1 << view.bits) - 1 << view.shift
        value = getattr(headers[at], field.name) & ~mask | value << view.shift
    headers[at] = with_fields(headers[at], **{field.name: value})


def announcing(header: Header, follower: str) -> Header:
    """The last header of a template, saying what follows where that was left open."""
    for name, field in header.fields.items():
        if getattr(header, name) is not None:
            continue
        if isinstance(field.role, Next):
            number = encap.registry.DEFAULT.number(field.role.space, follower)
            return with_fields(header, **{name: number})
        if isinstance(field.role, Port) and field.role.known:
            return with_fields(header, **{name: 0})
    return header


def _inheriting(
    header: Header,
    inner: Header | None,
    ttl: int | str | None = None,
    tos: int | str | None = None,
    ecn: str | None = None,
    df: str | None = None,
) -> Header:
    """An IP header of the template, with what it takes from the inner packet."""
    if not isinstance(header, IPv4 | IPv6):
        return header
    v4 = isinstance(header, IPv4)
    inner_tos = inner_ttl = None
    if inner is not None:
        inner_tos = inner.tos if isinstance(inner, IPv4) else inner.traffic_class
        inner_ttl = inner.ttl if isinstance(inner, IPv4) else inner.hop_limit
    changes: dict[str, Any] = {}
    hops = "ttl" if v4 else "hop_limit"
    service = "tos" if v4 else "traffic_class"
    if ttl is not None:
        changes[hops] = (64 if inner_ttl is None else inner_ttl) if ttl == "inherit" else ttl
    value = getattr(header, service)
    if tos is not None:
        value = (inner_tos or 0) if tos == "inherit" else tos
    if ecn is not None:
        bits = (inner_tos or 0) & 3
        value = value & ~3 | (ECT_0 if bits == CE and ecn == "linux" else bits)
    changes[service] = value
    if v4 and df is not None:
        own = isinstance(inner, IPv4) and bool(inner.flags & 2)
        wanted = {"set": True, "unset": False, "inherit": own or isinstance(inner, IPv6)}[df]
        changes["flags"] = header.flags & ~2 | 2 * wanted
    return with_fields(header, **changes)
