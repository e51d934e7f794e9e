"""Sets of numbers as ranges, and which elements of an array are in one.

Whatever is compared with constants becomes such a set: `== 5`, `!= 5`, `< 5`, a prefix, a list.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = ["Pairs", "Ranges", "WideRanges", "inverse", "union"]

Pairs: TypeAlias = tuple[tuple[int, int], ...]
"""Lowest and highest member of each range, in order, with gaps between them."""
Array: TypeAlias = npt.NDArray[Any]
Mask: TypeAlias = npt.NDArray[np.bool_]

FEW = 12  # ranges that are looked at one by one
WHOLE = (0, (1 << 64) - 1)  # half a number of 128 bits


def union(pairs: Iterable[tuple[int, int]]) -> Pairs:
    """The ranges in order, those that touch made one."""
    found: list[tuple[int, int]] = []
    for low, high in sorted(pairs):
        if found and low <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(high, found[-1][1]))
        else:
            found.append((low, high))
    return tuple(found)


def inverse(pairs: Pairs, least: int, most: int) -> Pairs:
    """What lies between the ranges, from `least` to `most`."""
    found, begin = [], least
    for low, high in pairs:
        if begin < low:
            found.append((begin, low - 1))
        begin = high + 1
    if begin <= most:
        found.append((begin, most))
    return tuple(found)


class Ranges:
    """A set of numbers of a type, of at most 64 bits."""

    __slots__ = ("_bounds", "_ends", "_few", "_flip", "_kind", "pairs")

    def __init__(self, pairs: Iterable[tuple[int, int]], kind: np.dtype[Any]) -> None:
        ends = np.iinfo(kind)
        self.pairs = union(pairs)
        self._ends, self._kind = (int(ends.min), int(ends.max)), kind
        others = inverse(self.pairs, *self._ends)
        self._flip = len(others) < len(self.pairs)
        self._few = others if self._flip else self.pairs
        self._bounds = np.empty(0, kind)
        if len(self._few) > FEW and kind.itemsize > 2:
            # Every second number begins a range, the others follow the end of one.
            bounds = (end for low, high in self.pairs for end in (low, high + 1))
            self._bounds = np.array([end for end in bounds if end <= ends.max], kind)

    @property
    def has_zero(self) -> bool:
        """True when 0, what a column holds where a field is absent, is in the set."""
        return bool(self.pairs) and self.pairs[0][0] == 0

    def test(self, values: Array) -> Mask:
        """bool[n]: which elements are in the set; a new array."""
        if len(self._few) > FEW:
            return self._test_many(values)
        if not self._few:
            return np.full(len(values), self._flip)
        found = self._test_one(values, *self._few[0])
        for low, high in self._few[1:]:
            found |= self._test_one(values, low, high)
        return np.logical_not(found, out=found) if self._flip else found

    def _test_one(self, values: Array, low: int, high: int) -> Mask:
        number, (least, most) = self._kind.type, self._ends
        found: Mask
        if low == high:
            found = values == number(low)
        elif low <= least:
            found = values <= number(high)
        elif high >= most:
            found = values >= number(low)
        else:
            # What is below `low` wraps and becomes larger than any.
            unsigned = np.dtype(f"u{self._kind.itemsize}")
            found = (values - number(low)).view(unsigned) <= unsigned.type(high - low)
        return found

    def _test_many(self, values: Array) -> Mask:
        if self._kind.itemsize <= 2:
            return _table(self, self._kind.itemsize)[values]
        return (np.searchsorted(self._bounds, values, "right") & 1).astype(np.bool_)


@lru_cache(maxsize=64)
def _table(ranges: Ranges, octets: int) -> Mask:
    """For every number of so many octets whether it is in the set."""
    table = np.zeros(1 << 8 * octets, np.bool_)
    for low, high in ranges.pairs:
        table[low : high + 1] = True
    return table


class WideRanges:
    """A set of numbers of 128 bits, which come as two arrays of 64."""

    __slots__ = ("_bounds", "_high", "_pieces", "pairs")

    def __init__(self, pairs: Iterable[tuple[int, int]]) -> None:
        self.pairs = union(pairs)
        pieces = [piece for low, high in self.pairs for piece in _pieces(low, high)]
        self._high = _half(upper for upper, lower in pieces if lower == WHOLE)
        self._pieces = [
            (np.uint64(upper[0]), _half([lower])) for upper, lower in pieces if lower != WHOLE
        ]
        ends = (end for low, high in self.pairs for end in (low, high + 1) if end >> 128 == 0)
        self._bounds = np.frombuffer(b"".join(end.to_bytes(16, "big") for end in ends), "S16")

    @property
    def has_zero(self) -> bool:
        """True when 0 is in the set."""
        return bool(self.pairs) and self.pairs[0][0] == 0

    @property
    def needs_low(self) -> bool:
        """False when the upper half of a number says all."""
        return bool(self._pieces)

    def test(self, high: Array, low: Array) -> Mask:
        """bool[n]: which numbers are in the set, given their upper and lower halves, uint64[n]."""
        if len(self._pieces) > FEW:
            return self._test_many(high, low)
        found = self._high.test(high)
        for upper, lower in self._pieces:
            piece = high == upper
            # Few packets are of the very network that is asked for.
            if piece.any():
                piece &= lower.test(low)
                found |= piece
        return found

    def _test_many(self, high: Array, low: Array) -> Mask:
        octets = np.empty((len(high), 2), ">u8")
        octets[:, 0], octets[:, 1] = high, low
        # numpy compares texts octet by octet; that zeros at their end do not count is no harm.
        places = np.searchsorted(self._bounds, octets.reshape(-1).view("S16"), "right")
        return (places & 1).astype(np.bool_)


def _half(pairs: Iterable[tuple[int, int]]) -> Ranges:
    return Ranges(pairs, np.dtype(np.uint64))


def _pieces(low: int, high: int) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """A range of 128-bit numbers as ranges of upper halves, each with the range of lower halves
    that goes with all of them: WHOLE, unless there is but one upper half.
    """
    (first, begin), (last, end) = divmod(low, WHOLE[1] + 1), divmod(high, WHOLE[1] + 1)
    if first == last:
        return [((first, first), (begin, end))]
    found = []
    if begin:
        found.append(((first, first), (begin, WHOLE[1])))
        first += 1
    if end != WHOLE[1]:
        found.append(((last, last), (0, end)))
        last -= 1
    if first <= last:
        found.append(((first, last), WHOLE))
    return found
