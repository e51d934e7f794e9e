"""The names of an expression: what each one holds, and in which columns it comes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np

from encap.addresses import IPv4Field, IPv6Field, MACField
from encap.columns import Column, address_column, column, packet_column
from encap.errors import FieldError
from encap.fields import Field, View
from encap.filter.tokens import Token, fail, shown
from encap.filter.values import KIND, MACS, STATUS, TIME, Sort, Value, address, number
from encap.names import GROUPS, OF_PACKETS, Name, known_protocol, parse_name
from encap.options import check_option
from encap.registry import header_class

__all__ = ["HEADER", "OPTION", "PATH", "TRUTH", "Operand", "Source", "operand"]

Key: TypeAlias = Column | str
"""A column of the core's, or the name of one that the batch has already."""

_LONGEST_NAME = 100
_EVERY = "[*]"
_OPTION = re.compile(r"([^*]*(?:\[\*\])?)\.option\[([^\]]*)\]")
_NUMBER = re.compile(r"\s*((0[xX])[0-9a-fA-F]{1,4}|[0-9]{1,5})\s*")


def _no_values(_text: str) -> list[Value]:
    return []


HEADER = Sort("a header", {}, _no_values)
TRUTH = Sort("true or false", {}, _no_values)
PATH = Sort("a text", {}, _no_values)
OPTION = Sort("an option's data", {}, _no_values)


@dataclass(frozen=True, slots=True)
class Source:
    """Where a value comes: one column of type `kind`, or two with its upper and its lower half.

    there: the column that says in which packets there is such a value; None: in all.
    """

    columns: tuple[Key, ...]
    kind: np.dtype[Any]
    there: Column | None = None


@dataclass(frozen=True, slots=True)
class Operand:
    """A name in an expression.

    sources: for each family of headers that has such a value; "" for all but IP addresses.
    there: where any of them is; None: in all packets.
    every: for `[*]`, the name of the header whose occurrences count.
    header, numbers: of an option.
    """

    name: str
    position: int
    sort: Sort
    sources: Mapping[str, Source] = field(default_factory=dict)
    there: Column | None = None
    every: str = ""
    header: str = ""
    numbers: tuple[int, ...] = ()


def operand(token: Token, occurrence: int = 0) -> Operand:
    """What a name means. ExpressionError, with what exists, when it means nothing.

    occurrence: the index that `[*]` stands for.
    """
    text = token.text
    if len(text) > _LONGEST_NAME:
        fail(f"{shown(text)} is no field name", token.position)
    if not text[0].isalpha():
        fail(f"{shown(text)} is no field name, and the field comes first", token.position)
    head, star, tail = text.partition(_EVERY)
    every = f"{head}[{occurrence}]" if star else ""
    name = every + tail if star else text
    option = _OPTION.fullmatch(text)
    try:
        if option is not None:
            found = _option(option[1].replace(_EVERY, f"[{occurrence}]"), option[2])
        else:
            found = _of_packet(name) if name in OF_PACKETS else _of_header(name)
    except FieldError as error:
        fail(str(error).replace(repr(name), repr(text)), token.position)
    return replace(found, name=text, position=token.position, every=every)


def _of_packet(name: str) -> Operand:
    if name in ("path", "status"):
        made = packet_column(name)
        return Operand(name, 0, PATH if name == "path" else STATUS, _source(made))
    if name == "time":
        return Operand(name, 0, TIME, {"": Source((name,), np.dtype(np.int64))})
    return Operand(name, 0, number((1 << 32) - 1), {"": Source((name,), np.dtype(np.uint32))})


def _source(made: Column, there: Column | None = None) -> Mapping[str, Source]:
    return {"": Source((made,), made.dtype, there)}


def _of_header(text: str) -> Operand:
    name = parse_name(text)
    known_protocol(name, *OF_PACKETS)
    if name.field is not None and name.protocol not in GROUPS:
        described = header_class(name.protocol).fields.get(name.field)
        if described is not None and described.variable is not None:
            ask = f": ask for one, {name.protocol}.option[...]" if name.field == "options" else ""
            raise FieldError(f"{text!r} has no fixed length, and is no column{ask}")
    made = column(text)
    if made.dtype == np.bool_:
        return Operand(text, 0, HEADER if name.field is None else TRUTH, _source(made))
    there = column(text + "?")
    if name.protocol == "tunnel" and name.field == "kind":
        return Operand(text, 0, KIND, _source(made), there)
    found = _fields(name)
    kinds = {type(field.address) for field, _ in found.values()}
    if kinds == {MACField}:
        (member,) = found
        return Operand(text, 0, MACS, _source(address_column(text, member, 48), there), there)
    if kinds <= {IPv4Field, IPv6Field}:
        sources = dict(_address(text, member, field) for member, (field, _) in found.items())
        return Operand(text, 0, address(*sources), sources, there)
    most = max((1 << view.bits) - 1 if view else field.maximum for field, view in found.values())
    return Operand(text, 0, number(most), _source(made, there), there)


def _fields(name: Name) -> dict[str, tuple[Field, View | None]]:
    """The fields that a name stands for, by the path names of their headers."""
    members = GROUPS[name.protocol][name.field or ""] if name.protocol in GROUPS else name.protocols
    return {member: name.field_in(header_class(member)) for member in members}


def _address(text: str, member: str, field: Field) -> tuple[str, Source]:
    """The family of an address, and where it comes."""
    if field.bits == 32:
        made, there = address_column(text, member, 32), address_column(text + "?", member, 32)
        return "ipv4", Source((made,), made.dtype, there)
    high, low = address_column(text, member, 64, 64), address_column(text, member, 64)
    return "ipv6", Source((high, low), high.dtype, address_column(text + "?", member, 64))


def _option(header: str, text: str) -> Operand:
    """`geneve.option[0x0108,3]`"""
    name = parse_name(header)
    known_protocol(name)
    if name.field is not None:
        raise FieldError(f"{header!r} names a field where a header is meant")
    column(header)
    matches = [_NUMBER.fullmatch(part) for part in text.split(",")]
    numbers = tuple(int(match[1], 16 if match[2] else 10) for match in matches if match)
    shape = (0, 0) if name.protocol == "geneve" else (0,)
    check_option(name.protocol, shape)
    if not len(numbers) == len(matches) == len(shape):
        what = "a class and a type, as in geneve.option[0x0108,3]"
        if len(shape) == 1:
            what = f"a type, as in {name.protocol}.option[2]"
        raise FieldError(f"an option of {name.protocol} is named by {what}")
    check_option(name.protocol, numbers)
    return Operand(header, 0, OPTION, header=header, numbers=numbers)
