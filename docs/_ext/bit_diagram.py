"""Bit diagrams as RFCs draw them, 32 bits a row, from the description of a header.

The part that is always there comes first. What may be absent follows group by group, each
below the condition under which it is there, and starts at the bit where the fixed part ends.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

from encap.fields import Field, Header
from encap.layout import When

ROW = 32
SCALE = (
    " 0                   1                   2                   3",
    " " + " ".join(str(bit % 10) for bit in range(ROW)),
)


class Cell(NamedTuple):
    """The part of a field that stands in one row: its bits, and the text in it."""

    name: str
    row: int
    first: int
    bits: int
    text: str


def diagram(kind: type[Header]) -> str:
    """The diagram of a header, as lines of at most 65 characters and conditions between them."""
    fields = list(kind.fields.values())
    fixed = [field for field in fields if field.when is None and field.variable is None]
    start = sum(field.bits for field in fixed) % ROW
    lines = [*SCALE, *_rows(fixed, 0)]
    later = [field for field in fields if field not in fixed]
    for when, members in groupby(later, lambda field: field.when):
        group = list(members)
        lines.append(f"{condition(when)}:" if when else "then a part of variable length:")
        bits = [field for field in group if field.variable is None]
        if bits:
            lines += _rows(bits, start)
        for field in group:
            if field.variable is not None:
                lines += _variable(field.name, bits)
    return "\n".join(lines)


def condition(when: When) -> str:
    """When a field is there, in words: `if flags & 0x0400`."""
    tests = [_test(name, mask, value) for name, mask, value in when.tests]
    if when.negate and len(tests) == 1:
        name, mask, value = when.tests[0]
        return f"if {name} & {_hex(mask)}" if value == 0 else f"unless {tests[0]}"
    return f"{'unless' if when.negate else 'if'} {' and '.join(tests)}"


def _test(name: str, mask: int, value: int) -> str:
    if mask & mask + 1 == 0 and mask > 3:  # all bits of the field
        return f"{name} is {value if value < 10 else _hex(value)}"
    found = f"{name} & {_hex(mask)}"
    return found if mask == value and mask & mask - 1 == 0 else f"{found} is {value}"


def _hex(value: int) -> str:
    """`value` as whole octets."""
    return f"0x{value.to_bytes(-(-value.bit_length() // 8), 'big').hex()}"


def _cells(fields: Sequence[Field], start: int) -> Iterator[Cell]:
    """The fields cut into rows; the name stands in the widest piece of each, the middle one."""
    at = start
    for field in fields:
        pieces = []
        end = at + field.bits
        while at < end:
            bits = min(end - at, ROW - at % ROW)
            pieces.append((at // ROW, at % ROW, bits))
            at += bits
        widest = max(bits for _, _, bits in pieces)
        candidates = [n for n, (_, _, bits) in enumerate(pieces) if bits == widest]
        named = candidates[(len(candidates) - 1) // 2]
        for number, (row, first, bits) in enumerate(pieces):
            yield Cell(field.name, row, first, bits, field.name if number == named else "")


def _rows(fields: Sequence[Field], start: int) -> list[str]:
    """The boxes of some fields, from bit `start` of the first row on."""
    rows = [list(group) for _, group in groupby(_cells(fields, start), lambda cell: cell.row)]
    owners = [_owners(row) for row in rows]
    lines = [_border([None] * ROW, owners[0])]
    for number, row in enumerate(rows):
        widths = [2 * cell.bits - 1 for cell in row]
        texts = [cell.text[:w].center(w) for cell, w in zip(row, widths, strict=True)]
        boxes = "".join(f"|{text}" for text in texts)
        lines.append(" " * (2 * row[0].first) + boxes + "|")
        below = owners[number + 1] if number + 1 < len(rows) else [None] * ROW
        lines.append(_border(owners[number], below))
    return lines


def _owners(row: Sequence[Cell]) -> list[str | None]:
    """The name of the field that each bit of a row belongs to."""
    owners: list[str | None] = [None] * ROW
    for cell in row:
        owners[cell.first : cell.first + cell.bits] = [cell.name] * cell.bits
    return owners


def _border(above: Sequence[str | None], below: Sequence[str | None]) -> str:
    """The line between two rows; open where a field goes on."""
    drawn = [a != b for a, b in zip(above, below, strict=True)]
    inside = [a is not None or b is not None for a, b in zip(above, below, strict=True)]
    line = ""
    for bit in range(ROW + 1):
        left = bit > 0 and drawn[bit - 1]
        right = bit < ROW and drawn[bit]
        edge = (bit > 0 and inside[bit - 1]) != (bit < ROW and inside[bit])
        line += "+" if left or right or edge else " "
        line += "-" if right else " "
    return line.rstrip()


def _variable(name: str, above: Sequence[Field]) -> list[str]:
    """A row for a part whose length varies."""
    border = "+-" * ROW + "+"
    box = "/" + name.center(2 * ROW - 1) + "/"
    return [box, border] if above else [border, box, border]
