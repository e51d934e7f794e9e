"""One packet as text for people: `line` in one line, `table` with every field and a hexdump.

    eth 02:00:00:00:00:01 > 02:00:00:00:00:02 / ipv4 10.0.0.1 > 10.0.0.2 ttl 64 / udp ? > 4789 / ...

Made from the descriptions of the headers; only `WORDS` knows protocols. Nothing here prints.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Any

from encap.errors import DecodeError
from encap.fields import Field, Header
from encap.packet import Packet
from encap.template import in_hex, option_text, value_text

__all__ = ["Table", "line", "table"]

WIDTH = 100
"""Characters that no line of a table exceeds."""
WIDEST = 48
"""Characters of a value up to which it makes its column wider."""
LONGEST_OCTETS = 16
"""Octets of a value that a table writes out; the hexdump has them all."""

PAIRS = (("src", "dst"), ("sport", "dport"), ("spa", "tpa"))
"""Fields that a line shows as `from > to`."""
WORDS = {
    "vlan": "vid", "arp": "op", "mpls": "label ttl", "llc": "dsap ssap", "sll2": "ifindex",
    "ipv4": "ttl", "ipv6": "hop_limit", "routing": "segments_left", "fragment": "id",
    "ah": "spi seq", "esp": "spi seq", "icmp": "type code", "icmpv6": "type code",
    "igmp": "type group", "tcp": "flags", "gre": "key seq", "erspan": "session_id",
    "vxlan": "vni", "gpe": "vni", "geneve": "vni", "eth": "", "udp": "", "sctp": "", "null": "",
    "sll": "", "hopopt": "", "dstopts": "",
}  # fmt: skip
"""What else a line shows; of a header that is not listed, all that differs from its defaults."""


class Table(str):
    """Text that shows itself as it is when a prompt repeats it."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def line(packet: Packet) -> str:
    """The packet in one line: each header's addresses and ids, then the octets of its payload.

    `?` stands for a field that is still open; what stopped the parse comes last.
    """
    parts = [_in_line(header) for header in packet.headers]
    if packet.payload or not parts:
        parts.append(_count(packet.payload))
    if packet.trailers:
        parts.append(f"trailer {_count(packet.trailer)}")
    if packet.error is not None:
        parts.append(f"error: {packet.error}")
    return " / ".join(parts)


def _count(octets: bytes) -> str:
    return f"{len(octets)} octet{'' if len(octets) == 1 else 's'}"


def _in_line(header: Header) -> str:
    words = [header.path]
    pairs = [pair for pair in PAIRS if header.fields.keys() >= set(pair)]
    words += [" > ".join(_word(header, name) for name in pair) for pair in pairs]
    chosen = WORDS.get(header.path)
    shown = [name for pair in PAIRS for name in pair]
    for name in _different(header) if chosen is None else chosen.split():
        if name not in shown and getattr(header, name) is not None:
            words += [name, _word(header, name)]
    offset, more = header.fragment() or (0, 0)
    if offset or more:
        words.append(f"fragment at {offset * 8}{', more follow' if more else ''}")
    options = getattr(header, "options", ())
    if options and chosen is not None:
        words.append(f"options {len(options)}")
    return " ".join(words)


def _different(header: Header) -> list[str]:
    return [n for n, f in header.fields.items() if getattr(header, n) not in (None, f.default)]


def _word(header: Header, name: str) -> str:
    field, value = header.fields[name], getattr(header, name)
    if value is None:
        return "?"
    return flag_names(field, value) or value_text(field, value)


def flag_names(field: Field, value: Any) -> str:
    """The names of the bits that are set, where the field's meaning is one name for each bit."""
    names = field.meaning.replace(",", " ").split()
    if field.name != "flags" or len(names) != field.bits:
        return ""
    held = [name for bit, name in enumerate(reversed(names)) if value >> bit & 1]
    return ",".join(reversed(held)) or "none"


# --- the table ----------------------------------------------------------------------


def table(packet: Packet) -> Table:
    """Every header with all its fields, the payload, and a hexdump that says where what starts.

    A field that is open says so, and is shown with the value that building gives it.
    FieldError for a packet that cannot be built.
    """
    frame = bytes(packet)
    lines: list[str] = []
    marks: list[tuple[int, str]] = []
    at = 0
    for index, header in enumerate(packet.headers):
        broken = packet.broken and index == len(packet.headers) - 1
        size = header.fixed_len if broken else header.header_len
        marks.append((at, header.path))
        lines += [*_block(packet, header, frame, at, size, broken=broken), ""]
        at += size
    rest = [("payload", packet.payload)]
    names = [header.path for header in packet.headers]
    for index, tail in sorted(packet.trailers, reverse=True):
        rest.append((f"trailer of {names[index]}", tail))
    for name, octets in rest:
        if octets:
            marks.append((at, name.split()[0]))
            lines.append(f"{name}: {_where(at, len(octets))}")
            at += len(octets)
    lines += _error(packet.error)
    if lines and lines[-1]:
        lines.append("")
    return Table("\n".join([*lines, *hexdump(frame, marks)]))


def _where(at: int, size: int) -> str:
    counted = f"{size} octet{'' if size == 1 else 's'} at {at}"
    return f"{counted} (0x{at:x})" if at > 9 else counted


def _error(error: DecodeError | None) -> list[str]:
    return [] if error is None else textwrap.wrap(f"error: {error}", WIDTH, subsequent_indent="  ")


def _block(
    packet: Packet, header: Header, frame: bytes, at: int, size: int, *, broken: bool
) -> list[str]:
    """The lines of one header."""
    built = header if broken else type(header)._parse(frame, at, len(frame))[0]
    rows = list(_rows(header, built))
    names = max((len(name) for name, _, _ in rows), default=0)
    values = max((len(value) for _, value, _ in rows if len(value) <= WIDEST), default=0)
    lines = [f"{header.path}: {type(header).__name__}, {_where(at, size)}{', cut short' * broken}"]
    for name, value, meaning in rows:
        lines += _row(f"  {name:{names}}  {value:{values}}  ", meaning)
        if name in header.fields and isinstance(options := getattr(header, name), tuple):
            for option in options:
                lines += _row(" " * (names + 4), _option(packet, option))
    return lines


def _row(start: str, rest: str) -> list[str]:
    """`rest` behind `start`, wrapped below where it begins."""
    indent = len(start)
    if indent > 2 * WIDTH // 3:  # a long value: its meaning goes below it
        folded = textwrap.wrap(start.rstrip(), WIDTH, subsequent_indent=" " * 8)
        return [*folded, *_row(" " * 8, rest)]
    wrapped = textwrap.wrap(rest, WIDTH - indent)
    return (
        [start + wrapped[0], *(" " * indent + text for text in wrapped[1:])]
        if wrapped
        else [start.rstrip()]
    )


def _rows(header: Header, built: Header) -> Iterator[tuple[str, str, str]]:
    """Name, value and meaning of fields and views that are there; open ones as in `built`."""
    for name, field in header.fields.items():
        value = getattr(header, name)
        opened = value is None
        value = getattr(built, name) if opened else value
        if value is not None and value != b"":
            yield name, _said(field, value) + (" (open)" if opened else ""), field.meaning
    for name, view in header.views.items():
        applies = view.when is None or view.when(built)
        if applies and (value := getattr(header, name)) is not None:
            yield name, str(value), f"in {view.field}"


def _option(packet: Packet, option: Any) -> str:
    """An option as a template has it, and what is known to be in it."""
    text = _short(option, option_text(option))
    known = packet.registry.geneve_option(option)
    return f"{text}  {known!r}" if isinstance(known, Header) else text


def _said(field: Field, value: Any) -> str:
    """A value as a table shows it: hexadecimal beside the number where that says more."""
    if isinstance(value, tuple):
        return str(len(value))
    if field.address is not None or field.variable is not None:
        return _short(value, value_text(field, value))
    names = flag_names(field, value)
    if names:
        return f"{value:#x} {names}"
    if in_hex(field):
        return f"{value:#0{2 + -(-field.bits // 4)}x}"
    return f"{value} ({value:#x})" if value > 9 and field.bits >= 16 else str(value)


def _short(value: Any, text: str) -> str:
    """The text of octets, or of an option's, with long ones cut and counted."""
    data = value if isinstance(value, bytes) else getattr(value, "data", None)
    if data is None or len(data) <= LONGEST_OCTETS:
        return text
    whole = data.hex()
    return text.replace(whole, f"{whole[: 2 * LONGEST_OCTETS]}... ({_count(data)})")


def hexdump(frame: bytes, marks: list[tuple[int, str]]) -> Iterator[str]:
    """16 octets a line: offset, hexadecimal, ASCII, and what starts in it at which octet."""
    digits = max(4, len(f"{len(frame):x}"))
    for start in range(0, len(frame), 16):
        row = frame[start : start + 16]
        pairs = [f"{octet:02x}" for octet in row]
        octets = f"{' '.join(pairs[:8]):23}  {' '.join(pairs[8:]):23}"
        ascii_ = "".join(chr(octet) if 32 <= octet < 127 else "." for octet in row)
        text = f"{start:0{digits}x}  {octets}  {ascii_:16}"
        notes = [f"{name}@{at}" for at, name in marks if start <= at < start + 16]
        for note in textwrap.wrap(" ".join(notes), WIDTH - len(text) - 2) or [""]:
            yield f"{text}  {note}".rstrip()
            text = " " * len(text)
