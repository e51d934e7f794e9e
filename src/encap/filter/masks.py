"""Conditions over the rows of a batch, made into arrays of true and false.

Each has `test(rows)`, which gives a new bool[n]: a condition may change what another has given.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from encap.filter.ranges import Ranges, WideRanges
from encap.options import find
from encap.walk import OTHER, path_name

if TYPE_CHECKING:
    from encap.filter.program import Program, Rows

__all__ = [
    "OPERATORS", "AllOf", "AnyOf", "Compared", "Condition", "NotSo", "OptionIs", "PathIs",
    "Present", "Somewhere", "Within", "WithinWide",
]  # fmt: skip

Mask: TypeAlias = npt.NDArray[np.bool_]

OPERATORS: Mapping[str, Callable[[Any, Any], Any]] = MappingProxyType({
    "==": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le,
    ">": operator.gt, ">=": operator.ge,
})  # fmt: skip
MOST_OCCURRENCES = 16


class Condition(Protocol):
    """Something that holds in some rows."""

    def test(self, rows: Rows) -> Mask: ...


@dataclass(frozen=True, slots=True)
class Present:
    """A column of truths."""

    key: str

    def test(self, rows: Rows) -> Mask:
        return rows[self.key].copy()


@dataclass(frozen=True, slots=True, eq=False)
class Within:
    """A number is in a set.  there: the column that says where it is, if 0 is in the set.

    bits: those of the number that count; 0: all.
    """

    key: str
    ranges: Ranges
    there: str = ""
    bits: int = 0

    def test(self, rows: Rows) -> Mask:
        values = rows[self.key]
        if self.bits:
            values = values & values.dtype.type(self.bits)
        found = self.ranges.test(values)
        if self.there:
            found &= rows[self.there]
        return found


@dataclass(frozen=True, slots=True, eq=False)
class WithinWide:
    """A number of two columns is in a set; `low` is the same as `high` where that says all."""

    high: str
    low: str
    ranges: WideRanges
    there: str = ""

    def test(self, rows: Rows) -> Mask:
        found = self.ranges.test(rows[self.high], rows[self.low])
        if self.there:
            found &= rows[self.there]
        return found


@dataclass(frozen=True, slots=True)
class Compared:
    """Two numbers, each of one or two columns, compare as `operator` has it."""

    operator: str
    left: tuple[str, ...]
    right: tuple[str, ...]

    def test(self, rows: Rows) -> Mask:
        compare = OPERATORS[self.operator]
        found: Mask = compare(rows[self.left[-1]], rows[self.right[-1]])
        if len(self.left) == 1:
            return found
        high, other = rows[self.left[0]], rows[self.right[0]]
        if self.operator == "==":
            found &= high == other
            return found
        strict: Mask = OPERATORS[self.operator[0]](high, other)
        found &= high == other
        found |= strict
        return found


@dataclass(frozen=True, slots=True, eq=False)
class PathIs:
    """The path in words is one that `accepts` takes."""

    key: str
    accepts: Callable[[str], bool]

    def test(self, rows: Rows) -> Mask:
        ids = rows[self.key]
        table = np.zeros(OTHER + 1, np.bool_)
        names = rows.paths.names()
        table[: len(names)] = [self.accepts(name) for name in names]
        found = table[ids]
        lost = np.flatnonzero(ids == OTHER)
        if lost.size:
            kinds = rows.packets[lost].parse(threads=1).kinds
            found[lost] = [self.accepts(path_name(row)) for row in kinds]
        return found


@dataclass(frozen=True, slots=True, eq=False)
class OptionIs:
    """A header has an option, with data among `wanted`, or none of these with `others`."""

    header: str
    numbers: tuple[int, ...]
    wanted: frozenset[bytes] | None = None
    others: bool = False

    def test(self, rows: Rows) -> Mask:
        starts, lengths, found = find(rows.layers, self.header, self.numbers)
        if self.wanted is None:
            return found
        data = rows.packets.data
        equal = np.zeros(len(found), np.bool_)
        for length in {len(octets) for octets in self.wanted}:
            which = np.flatnonzero(found & (lengths == length))
            if length == 0:
                equal[which] = True
                continue
            octets = data[starts[which, None] + np.arange(length)].view(f"S{length}").reshape(-1)
            known = [one for one in self.wanted if len(one) == length]
            equal[which] = np.isin(octets, np.array(known, f"S{length}"))
        return found & ~equal if self.others else equal


@dataclass(frozen=True, slots=True)
class NotSo:
    """The opposite of a condition."""

    part: Condition

    def test(self, rows: Rows) -> Mask:
        found = self.part.test(rows)
        return np.logical_not(found, out=found)


@dataclass(frozen=True, slots=True)
class AllOf:
    """Every condition holds."""

    parts: tuple[Condition, ...]

    def test(self, rows: Rows) -> Mask:
        found = self.parts[0].test(rows)
        for part in self.parts[1:]:
            if not found.any():
                break
            found &= part.test(rows)
        return found


@dataclass(frozen=True, slots=True)
class AnyOf:
    """Some condition holds."""

    parts: tuple[Condition, ...]

    def test(self, rows: Rows) -> Mask:
        found = self.parts[0].test(rows)
        for part in self.parts[1:]:
            if found.all():
                break
            found |= part.test(rows)
        return found


@dataclass(frozen=True, slots=True, eq=False)
class Somewhere:
    """A condition on the first of several headers, or on a later one, holds.

    there: the column that says where the first header is.
    later: the condition on the header with an index, whose columns are its own.
    """

    first: Condition
    there: str
    later: Callable[[int], tuple[Program, str]]

    def test(self, rows: Rows) -> Mask:
        found = self.first.test(rows)
        left = np.flatnonzero(rows[self.there] & ~found)
        for index in range(1, MOST_OCCURRENCES):
            if not left.size:
                break
            program, there = self.later(index)
            with program.on(rows.packets[left]) as deeper:
                holds = program.condition.test(deeper)
                found[left[holds]] = True
                left = left[deeper[there] & ~holds]
        return found
