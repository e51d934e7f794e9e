"""The columns that a caller gives for fields of a template: told apart, checked, and converted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from encap.arrays import column, is_one_of, looks, octets
from encap.errors import FieldError
from encap.fields import Field, View
from encap.native import Array, Spans
from encap.plan import MOST_OPTIONS

__all__ = ["Columns"]


class Columns:
    """Values by field name, one a packet or one for all.

    varying: names of those that differ from packet to packet.  scalars: the others, with values.
    """

    __slots__ = ("arrays", "given", "rows", "scalars", "varying")

    def __init__(self, rows: int, columns: Mapping[str, Any]) -> None:
        self.rows = rows
        self.given = {name: value for name, value in columns.items() if _varies(value)}
        self.varying = tuple(self.given)
        self.scalars = tuple((n, _plain(v)) for n, v in columns.items() if n not in self.given)
        self.arrays: dict[str, Array | Spans] = {}

    def option(self, name: str, value: Any, words: tuple[str, ...]) -> Any:
        """An option that may be an array: "column" then, and the array is kept under its name."""
        if _varies(value):
            dtype, most = {
                "ip_id": (np.uint16, 0xFFFF), "sport": (np.uint16, 0xFFFF),
                "seq": (np.uint32, 0xFFFFFFFF),
            }[name]  # fmt: skip
            self.arrays[name] = _numbers(value, self.rows, dtype, most, name)
            return "column"
        if value is None or is_one_of(value, words):
            return value
        if not isinstance(value, int | np.integer):
            allowed = ", ".join([*map(repr, words), "a number"])
            raise FieldError(f"{name} is {allowed} or a column, not {value!r}", field=name)
        return int(value)

    def fit(self, fields: Iterable[tuple[str, Field, View | None]]) -> None:
        """Convert each column to what its field needs. FieldError or TypeError where it cannot be.

        fields: what each name means in each of the templates.
        """
        needs: dict[str, tuple[Field, View | None]] = {}
        for name, field, view in fields:
            if name in self.arrays and name not in needs:
                continue  # an option's
            before = needs.setdefault(name, (field, view))
            if _storage(*before) != _storage(field, view):
                raise FieldError(
                    f"{name} is not of one kind in all templates: name the protocol", field=name
                )
        for name, (field, view) in needs.items():
            self.arrays[name] = _converted(name, self.given[name], self.rows, field, view)

    def select(self, rows: npt.NDArray[np.int64]) -> Columns:
        """The same columns for some of the rows."""
        made = Columns(len(rows), {})
        made.varying, made.scalars = self.varying, self.scalars
        for key, array in self.arrays.items():
            if isinstance(array, tuple):
                made.arrays[key] = array[0], array[1][rows], array[2][rows]
            else:
                made.arrays[key] = array[rows]
        return made


def _varies(value: Any) -> bool:
    """True for values that are one a packet."""
    if isinstance(value, np.ndarray):
        return value.ndim > 0
    spans = isinstance(value, tuple) and len(value) == 3
    return isinstance(value, list) or (
        spans and all(isinstance(part, np.ndarray) for part in value)
    )


def _plain(value: Any) -> Any:
    """A number of numpy's as one of Python's: they hash and compare alike, but print otherwise."""
    return value.item() if isinstance(value, np.ndarray | np.generic) else value


def _storage(field: Field, view: View | None) -> tuple[object, ...]:
    """What arrays of a field's values look like."""
    bits = view.bits if view else field.bits
    scale = 1 if view else field.scale
    return type(field.variable), type(field.address), bits, scale, field.little


def _converted(name: str, value: Any, rows: int, field: Field, view: View | None) -> Array | Spans:
    if field.variable is not None:
        return _options(name, value, rows, field)
    if isinstance(value, tuple):
        raise TypeError(f"{name} is one value a packet, not octets with starts and lengths")
    if field.address is not None:
        return _addresses(name, value, rows, field)
    bits = view.bits if view else field.bits
    if bits > 32:
        raise FieldError(f"{name} is too wide for a column", field=name)
    dtype = np.uint8 if bits <= 8 else np.uint16 if bits <= 16 else np.uint32
    scale = 1 if view else field.scale
    most = ((1 << bits) - 1) * scale
    wide = dtype if most <= np.iinfo(dtype).max else np.uint32
    numbers = _numbers(value, rows, wide, most, name)
    if scale > 1:
        if (numbers % scale).any():
            raise FieldError(f"{name} has a value that is no multiple of {scale}", field=name)
        numbers = (numbers // scale).astype(dtype)
    return numbers.byteswap() if field.little else numbers


def _numbers(value: Any, rows: int, dtype: type, most: int, name: str) -> Array:
    numbers = np.ascontiguousarray(column(value, rows, dtype, name))
    if rows and most < np.iinfo(dtype).max and int(numbers.max()) > most:
        row = int(numbers.argmax())
        raise FieldError(
            f"{name} of packet {row} cannot be {int(numbers[row])}: 0 to {most}",
            field=name,
            value=int(numbers[row]),
        )
    return numbers


def _addresses(name: str, value: Any, rows: int, field: Field) -> Array:
    """IPv4 addresses as numbers, others as rows of octets."""
    address: Any = field.address
    size = field.bits // 8
    array = value if isinstance(value, np.ndarray) and value.dtype.kind in "iubf" else None
    if array is None:
        stored = [address.store(one, "", name) for one in value]
        if len(stored) != rows:
            raise FieldError(f"{name} has {len(stored)} values, {rows} are needed", field=name)
        if size == 4:
            return np.array(stored, np.uint32)
        return np.frombuffer(b"".join(stored), np.uint8).reshape(rows, size)
    if size == 4 and array.ndim == 1 and array.dtype.kind in "iu":
        return _numbers(array, rows, np.uint32, 0xFFFFFFFF, name)
    if array.dtype != np.uint8 or array.shape != (rows, size):
        kind = {4: "an IPv4", 6: "a MAC", 16: "an IPv6"}.get(size, "an")
        wanted = "uint32[n] or uint8[n, 4]" if size == 4 else f"uint8[n, {size}]"
        count = "" if len(array) == rows else f", with n = {len(array)} where {rows} are needed"
        raise FieldError(
            f"{name} is {kind} address: {wanted} is needed, not {looks(array)}{count}", field=name
        )
    table = np.ascontiguousarray(array)
    return table.view(">u4").reshape(rows).astype(np.uint32) if size == 4 else table


def _options(name: str, value: Any, rows: int, field: Field) -> Spans:
    """Options of each packet: a list of what the constructor takes, or spans of octets."""
    layer = name.rpartition(".")[0].rpartition(".")[2].partition("[")[0]
    most = MOST_OPTIONS.get(layer)
    if most is None:
        raise FieldError(f"{name} cannot be a column", field=name)
    if isinstance(value, np.ndarray) and value.dtype.kind != "O":
        raise FieldError(
            f"{name} are octets of any length: a list of options, or octets with starts and"
            f" lengths, are needed, not {looks(value)}",
            field=name,
        )
    if isinstance(value, tuple):
        data = octets(value[0])
        starts = np.ascontiguousarray(column(value[1], rows, np.int64, name))
        lengths = np.ascontiguousarray(column(value[2], rows, np.uint32, name))
        if rows:
            _refuse_outside(name, data.size, starts, lengths)
    else:
        codec: Any = field.variable
        parts = [codec.build(codec.check(one, layer, "options")) for one in value]
        if len(parts) != rows:
            raise FieldError(f"{name} has {len(parts)} values, {rows} are needed", field=name)
        data = np.frombuffer(b"".join(parts), np.uint8)
        lengths = np.fromiter(map(len, parts), np.uint32, rows)
        starts = np.cumsum(lengths, dtype=np.int64) - lengths
    # Whether any is wrong is asked first: it takes no array of the answers.
    if rows and (int(np.bitwise_or.reduce(lengths)) % 4 or int(lengths.max()) > most):
        row = int(((lengths % 4 != 0) | (lengths > most)).argmax())
        raise FieldError(
            f"{name} of packet {row} has {int(lengths[row])} octets: a multiple of 4 up to {most}"
            " is allowed",
            field=name,
            value=int(lengths[row]),
        )
    return data, starts, lengths


def _refuse_outside(
    name: str, size: int, starts: npt.NDArray[np.int64], lengths: npt.NDArray[np.uint32]
) -> None:
    """FieldError for the first span, of at least one, that is not within `size` octets."""
    if int(starts.min()) >= 0 and int(starts.max()) <= size and (starts + lengths).max() <= size:
        return
    outside = (starts < 0) | (starts > size)
    outside |= lengths > size - np.where(outside, size, starts)
    raise FieldError(f"{name} of packet {int(outside.argmax())} lies outside", field=name)
