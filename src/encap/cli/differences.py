"""Where two frames differ, octet by octet, with the fields that the octets belong to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import SequenceMatcher

from encap.assemble import present
from encap.packet import Packet, parse
from encap.packets import Packets

__all__ = ["describe"]

MOST_OCTETS = 16  # of one difference, on each side


def describe(number: int, before: Packets, after: Packets, row: int) -> list[str]:
    """Lines about a packet that was changed, `number` being its number in the capture; or none."""
    old, new = before[row], after[row]
    if old == new:
        return []
    linktype, ports = int(before.linktypes[row]), before._ports
    packet = parse(old, linktype, strict=False, ports=ports)
    size = f"{len(old)} octets" if len(old) == len(new) else f"{len(old)} to {len(new)} octets"
    lines = [f"packet {number:,}: {packet.path or 'no header'}, {size}"]
    names = _names(packet)
    for at, gone, came in _differences(old, new, names):
        label = names.get(at, "")
        what = f"{_hex(gone)} -> {_hex(came)}" if gone and came else f"-{_hex(gone)}"
        if not gone:
            what, label = f"+{_hex(came)}", label and f"in front of {label}"
        lines.append(f"  0x{at:04x}  {what}  {label}".rstrip())
    return lines


def _differences(
    old: bytes, new: bytes, names: Mapping[int, str]
) -> Iterator[tuple[int, bytes, bytes]]:
    """Where octets went, what they were, and what came in their place."""
    if len(old) == len(new):
        yield from _changes(old, new, names)
        return
    matcher = SequenceMatcher(None, old, new, autojunk=False)
    for tag, begin, end, first, last in matcher.get_opcodes():
        if tag == "replace" and end - begin == last - first:
            yield from _changes(old[begin:end], new[first:last], names, begin)
        elif tag != "equal":
            yield begin, old[begin:end], new[first:last]


def _changes(
    old: bytes, new: bytes, names: Mapping[int, str], base: int = 0
) -> Iterator[tuple[int, bytes, bytes]]:
    """Differences of octets side by side that belong to one field."""
    wrong = [at for at, pair in enumerate(zip(old, new, strict=True)) if pair[0] != pair[1]]
    while wrong:
        end = 1
        while (
            end < len(wrong)
            and wrong[end] == wrong[end - 1] + 1
            and names.get(base + wrong[end]) == names.get(base + wrong[0])
        ):
            end += 1
        begin, stop = wrong[0], wrong[end - 1] + 1
        yield base + begin, old[begin:stop], new[begin:stop]
        del wrong[:end]


def _hex(octets: bytes) -> str:
    text = octets[:MOST_OCTETS].hex(" ")
    return text + " ..." if len(octets) > MOST_OCTETS else text


def _names(packet: Packet) -> dict[int, str]:
    """The field that each octet belongs to: `ipv4[1].src`; the first where there are several."""
    found: dict[int, str] = {}
    at, seen = 0, dict.fromkeys([header.path for header in packet.headers], 0)
    for header in packet.headers:
        index = seen[header.path]
        seen[header.path] += 1
        where = f"{header.path}[{index}]" if index else header.path
        optional = header.fixed_len * 8
        for name, described in header.fields.items():
            if not described.bits or not present(header, described):
                continue
            first = described.offset
            if described.optional:  # those that are there stand one behind the other
                first, optional = optional, optional + described.bits
            for octet in range(first // 8, (first + described.bits - 1) // 8 + 1):
                found.setdefault(at + octet, f"{where}.{name}")
        at += header.header_len
        for octet in range(at - header.header_len, at):
            found.setdefault(octet, where)
    return found
