"""The twin of `Packets.encap` in Python, one packet at a time, out of `Packet` alone.

What a row of a batch must become: the octets of the template's headers with the row's values,
in front of the inner packet.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import encap
from encap import UDP, Header, IPv4, IPv6
from encap.assemble import present
from encap.layout import Checksum, Next, Port
from encap.names import parse_name
from encap.packet import Packet
from encap.registry import DEFAULT

ECT_0, CE = 2, 3
FIRST_OCTETS = {"eth": bytes(14), "ipv4": b"\x45", "ipv6": b"\x60"}


class NotCarriedError(Exception):
    """The template cannot carry what a packet begins with."""


class CutError(Exception):
    """A checksum would need octets that were not captured."""


def tunnelled(
    template: Packet,
    frame: bytes,
    linktype: int = 1,
    values: Mapping[str, Any] | None = None,
    *,
    wire_length: int = 0,
    **options: Any,
) -> bytes:
    """The outer frame: `frame` in `template`, with values by field name and encap's options.

    wire_length: octets that the frame had before it was cut.  NotCarriedError, CutError, or
    FieldError for a length that does not fit.
    """
    headers = put_together(template, frame, linktype, values or {}, **options)
    missing = max(wire_length - len(frame), 0)
    made = bytes(Packet(*headers, frame + bytes(missing)))
    if missing and any(map(_sums_payload, headers)):
        raise CutError
    return made[: len(made) - missing]


def put_together(
    template: Packet, frame: bytes, linktype: int, values: Mapping[str, Any], **options: Any
) -> list[Header]:
    """The headers for one packet."""
    inner = encap.parse(frame, linktype, strict=False)
    found = next((header for header in inner if isinstance(header, IPv4 | IPv6)), None)
    headers = [_with_options(header, found, **options) for header in template]
    given = {place(headers, name, value) for name, value in values.items()}
    last = len(headers) - 1
    open_names = [
        name
        for name in template[last].fields
        if getattr(headers[last], name) is None and (last, name) not in given
    ]
    headers[last] = announcing(headers[last], template[last], open_names, kind_of(frame, linktype))
    return headers


def kind_of(frame: bytes, linktype: int) -> str | None:
    """Path name of what an inner packet begins with, of those that can be announced."""
    name = DEFAULT.table("linktype").get(linktype)
    if name == "ip":
        return {4: "ipv4", 6: "ipv6"}.get(frame[0] >> 4) if frame else None
    return name if name in FIRST_OCTETS else None


def with_fields(header: Header, **changes: Any) -> Header:
    """The header, made again with other values for some fields."""
    kept = {name: getattr(header, name) for name in header.fields}
    return type(header)(**(kept | changes))


def place(headers: list[Header], text: str, value: Any) -> tuple[int, str] | None:
    """Puts a value into the field of that name, if there is one, and says where that is."""
    name = parse_name(text)
    found = [at for at, header in enumerate(headers) if header.path == name.protocol]
    if name.index >= len(found):
        return None
    at = found[name.index]
    field, view = name.field_in(type(headers[at]))
    if field.variable is None and not present(headers[at], field):
        return None
    if view is not None:
        mask = (1 << view.bits) - 1 << view.shift
        value = getattr(headers[at], field.name) & ~mask | value << view.shift
    headers[at] = with_fields(headers[at], **{field.name: value})
    return at, field.name


def announcing(last: Header, template: Header, open_names: list[str], kind: str | None) -> Header:
    """The last header, saying what follows where that was left open.

    NotCarriedError where no number says it, or where the header of the template says otherwise.
    """
    leads = [
        (name, field.role)
        for name, field in last.fields.items()
        if isinstance(field.role, Next) or (isinstance(field.role, Port) and field.role.known)
    ]
    told = {}
    for name, role in leads:
        if name in open_names and present(last, last.fields[name]):
            space = role.space if isinstance(role, Next) else "port"
            number = None if kind is None else DEFAULT.number(space, kind)
            if number is None:
                raise NotCarriedError
            told[name] = number
    if told or not leads:
        says = with_fields(template, **told)
        if says.follows(DEFAULT, memoryview(FIRST_OCTETS.get(kind or "", b""))) != kind or not kind:
            raise NotCarriedError
    return with_fields(last, **told)


def _sums_payload(header: Header) -> bool:
    """True when a checksum of the header is to be computed over all that follows."""
    return any(
        isinstance(field.role, Checksum)
        and field.role.covers == "rest"
        and getattr(header, name) is None
        and present(header, field)
        for name, field in header.fields.items()
    )


def _with_options(header: Header, inner: IPv4 | IPv6 | None, **options: Any) -> Header:
    """A header of the template as the options of a call make it."""
    if isinstance(header, IPv4 | IPv6):
        wanted = {name: options.get(name) for name in ("ttl", "tos", "ecn", "df")}
        header = _inheriting(header, inner, **wanted)
    summed = options.get("udp_checksum")
    if isinstance(header, UDP) and (summed or (summed is False and header.checksum is None)):
        header = with_fields(header, checksum=None if summed else 0)
    return header


def _inheriting(
    header: IPv4 | IPv6,
    inner: IPv4 | IPv6 | None,
    ttl: int | str | None,
    tos: int | str | None,
    ecn: str | None,
    df: str | None,
) -> Header:
    """An IP header of the template, with what it takes from the inner packet."""
    inner_tos, inner_ttl, inner_df = 0, 64, False
    if isinstance(inner, IPv4):
        inner_tos, inner_ttl, inner_df = inner.tos, inner.ttl, bool(inner.flags & 2)
    elif isinstance(inner, IPv6):
        inner_tos, inner_ttl, inner_df = inner.traffic_class, inner.hop_limit, True
    changes: dict[str, Any] = {}
    hops, service = ("ttl", "tos") if isinstance(header, IPv4) else ("hop_limit", "traffic_class")
    if ttl is not None:
        changes[hops] = inner_ttl if ttl == "inherit" else ttl
    value = getattr(header, service)
    if tos is not None:
        value = inner_tos if tos == "inherit" else tos
    if ecn is not None:
        bits = inner_tos & 3
        value = value & ~3 | (ECT_0 if bits == CE and ecn == "linux" else bits)
    changes[service] = value
    if isinstance(header, IPv4) and df is not None:
        wanted = {"set": True, "unset": False, "inherit": inner_df}[df]
        changes["flags"] = header.flags & ~2 | 2 * wanted
    return with_fields(header, **changes)
