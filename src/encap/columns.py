"""The table from which the core reads what a column's name means.

Where a field sits inside its header comes from the header's description alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from encap._lib import ffi, lib
from encap.errors import FieldError
from encap.fields import Field, Header, View
from encap.layout import When
from encap.names import GROUPS, Name, known_protocol, parse_name
from encap.registry import header_class
from encap.walk import KINDS

__all__ = ["Column", "column", "field_column", "place_test", "slot_column"]

_PARTS = {"": lib.ENCAP_WHOLE, "outer": lib.ENCAP_OUTER, "inner": lib.ENCAP_INNER}


@dataclass(frozen=True, slots=True)
class Column:
    """What a name means: for the core, and as a numpy result.

    dtype and octets describe one value: `octets` is 0 for a number, else the width of a row.
    """

    name: str
    spec: Any
    dtype: np.dtype[Any]
    octets: int = 0

    @property
    def width(self) -> int:
        """Octets of one row."""
        return self.octets or self.dtype.itemsize

    def typed(self, raw: npt.NDArray[np.uint8]) -> npt.NDArray[Any]:
        """The octets that the core has written as the array that they are."""
        return raw.reshape(-1, self.octets) if self.octets else raw.view(self.dtype)


@lru_cache(maxsize=1024)
def column(text: str, *others: str) -> Column:
    """What a column's name means. FieldError, with the names that exist, when nothing.

    others: names beside those of fields that exist where this one was given.
    """
    name = parse_name(text)
    known_protocol(name, *others)
    spec = _spec(name)
    kind_of_tunnel = name.protocol == "tunnel" and name.field == "kind"
    if name.field is None or (kind_of_tunnel and name.presence):
        spec.form, spec.size = lib.ENCAP_HEADER, 1
        return Column(text, spec, np.dtype(np.bool_))
    if kind_of_tunnel:
        spec.form, spec.size = lib.ENCAP_KIND, 1
        return Column(text, spec, np.dtype(np.uint8))
    return _of_fields(name, spec)


def _spec(name: Name) -> Any:
    """Which header a name means, as the core's `encap_column`; what to give of it is left open."""
    spec = ffi.new("encap_column *")
    spec.part = _PARTS[name.part]
    spec.index = name.index
    spec.tunnels_only = name.protocol == "tunnel"
    for member in name.protocols:
        spec.kinds |= 1 << KINDS.index(member)
    return spec


def field_column(name: Name) -> Column:
    """The column of the field that a name means; not shared with anybody."""
    return _of_fields(name, _spec(name))


@lru_cache(maxsize=1024)
def address_column(text: str, member: str, bits: int, shift: int = 0) -> Column:
    """An address, or up to 64 bits of it, as a number; 0 where the name means another header.

    member: path name of the header that has it: `ip.src` of `ipv4` is 0 in IPv6 packets.
    bits, shift: which of its bits, from the lowest on.
    With `?` behind the name: whether the address is there, in such a header.
    """
    name = parse_name(text)
    spec, kind = _spec(name), header_class(member)
    field, _ = name.field_in(kind)
    _place(spec.fields[0], kind, field, View(field.name, bits, shift))
    spec.field_count = 1
    dtype: np.dtype[Any] = np.min_scalar_type((1 << bits) - 1)
    spec.form = lib.ENCAP_VALUE
    if name.presence:
        spec.form, dtype = lib.ENCAP_PRESENCE, np.dtype(np.bool_)
    spec.size = dtype.itemsize
    return Column(f"{text} of {member}, {bits} bits from {shift}", spec, dtype)


@lru_cache
def packet_column(name: str) -> Column:
    """What the walk says of a packet as a whole: its `status`, or the number of its `path`."""
    spec = ffi.new("encap_column *")
    forms = {"path": (lib.ENCAP_PATH_ID, np.uint16), "status": (lib.ENCAP_STATUS, np.uint8)}
    spec.form, dtype = forms[name][0], np.dtype(forms[name][1])
    spec.size = dtype.itemsize
    return Column(name, spec, dtype)


def slot_column(name: str) -> Column:
    """Which slot of the layers holds the header that `name` (without a field) means; -1: none."""
    found = column(name)
    if parse_name(name).field is not None:
        raise FieldError(f"{name!r} names a field where a header is meant", field=name)
    spec = ffi.new("encap_column *", found.spec[0])
    spec.form = lib.ENCAP_SLOT
    return Column(name, spec, np.dtype(np.int8))


def _of_fields(name: Name, spec: Any) -> Column:
    """A column of one field, or of those of several protocols that a group's name stands for."""
    members: tuple[str, ...] | dict[str, str] = (name.protocol,)
    if name.protocol in GROUPS and name.field is not None:
        members = GROUPS[name.protocol][name.field]
    found = []
    for member in members:
        kind = header_class(member)
        field, view = name.field_in(kind)
        if field.variable is not None:
            raise FieldError(
                f"{name.text!r} is a variable part, which is no column: see Layers.span and option",
                layer=member,
                field=name.text,
            )
        found.append((field, view))
        _place(spec.fields[spec.field_count], kind, field, view)
        spec.field_count += 1
    if name.presence:
        spec.form, spec.size = lib.ENCAP_PRESENCE, 1
        return Column(name.text, spec, np.dtype(np.bool_))
    addresses = [field.bits for field, _ in found if field.address is not None]
    if any(bits > 32 for bits in addresses):
        spec.form, spec.size = lib.ENCAP_OCTETS, max(addresses) // 8
        return Column(name.text, spec, np.dtype(np.uint8), spec.size)
    dtype = np.min_scalar_type(
        max((1 << view.bits) - 1 if view else field.maximum for field, view in found)
    )
    spec.form, spec.size = lib.ENCAP_VALUE, dtype.itemsize
    return Column(name.text, spec, dtype)


def _place(spec: Any, kind: type[Header], field: Field, view: View | None) -> None:
    """Tells the core where a field's bits are."""
    first, bits, scale = field.offset, field.bits, field.scale
    if view is not None:
        first, bits, scale = first + field.bits - view.shift - view.bits, view.bits, 1
    least, area = 0, kind.fixed_len
    if field.optional:
        group_first, group_bits = _place_words(spec, kind, field)
        first += kind.fixed_len * 8 - group_first
        least, area = kind.fixed_len, kind.fixed_len + group_bits // 8
    start, stop = first // 8, -(-(first + bits) // 8)
    if bits > 64 or (field.address is not None and view is None and bits > 32):
        width = bits // 8
    else:
        width = next(size for size in (1, 2, 4, 8) if size >= stop - start)
        # Octets that are loaded but not wanted must belong to the header too.
        start = max(least, min(start, area - width))
    spec.kind = KINDS.index(kind.path)
    spec.at, spec.width, spec.scale = start, width, scale
    if width <= 8:
        spec.shift = (start + width) * 8 - first - bits
        spec.mask = (1 << bits) - 1


def _place_words(spec: Any, kind: type[Header], wanted: Field) -> tuple[int, int]:
    """Tells the core when an optional field is there, and which words may stand before it.

    Gives the first bit, and the bits, of the words that are there with it.
    """
    groups: list[tuple[When, int, int]] = []  # condition, first bit, bits
    for field in kind.fields.values():
        if field.when is None:
            continue
        if groups and groups[-1][0].tests == field.when.tests:
            when, first, bits = groups.pop()
            groups.append((when, first, bits + field.bits))
        else:
            groups.append((field.when, field.offset, field.bits))
    spec.optional = 1
    for when, first, bits in groups:
        if first <= wanted.offset < first + bits:
            place_test(spec.present, kind, when, bits)
            return first, bits
        place_test(spec.before[spec.words], kind, when, bits)
        spec.words += 1
    raise AssertionError(f"{kind.path}.{wanted.name} is in no group")


def place_test(spec: Any, kind: type[Header], when: When, bits: int) -> None:
    """A condition over fields as one over 16 bits of the header."""
    fields = [kind.fields[name] for name, _, _ in when.tests]
    at = min(field.offset for field in fields) // 8
    at = max(0, min(at, kind.fixed_len - 2))
    for (_, mask, value), field in zip(when.tests, fields, strict=True):
        shift = (at + 2) * 8 - field.offset - field.bits
        if shift < 0 or field.offset < at * 8:
            raise AssertionError(f"{kind.path}: a condition reaches over more than 16 bits")
        spec.mask |= mask << shift
        spec.value |= value << shift
    spec.at, spec.octets = at, bits // 8
    spec.negate = when.negate
