"""An expression made ready: the columns that it needs and the condition over them.

Columns are gathered a block of rows at a time, into memory that stays in the cache, by the
kernel that `Packets.columns` uses; nothing is kept of a block but who matches.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from encap import memory
from encap._lib import Batch, ffi, spread
from encap.columns import Column
from encap.gather import give_back, results, specs_of, take_scratch
from encap.layers import Layers, of_packets
from encap.walk import PathTable, port_rules

if TYPE_CHECKING:
    from encap.filter.masks import Condition
    from encap.packets import Packets

__all__ = ["Program", "Rows"]

Array: TypeAlias = npt.NDArray[Any]
Mask: TypeAlias = npt.NDArray[np.bool_]

BLOCK = 1 << 15
"""Rows at a time: a column of them is smaller than a second-level cache."""


class Rows:
    """Some packets and their columns: `rows["vxlan.vni"]`; borrowed while the condition is tested.

    paths: what the numbers in the column `path` mean.
    """

    __slots__ = ("_columns", "_layers", "packets", "paths")

    def __init__(self, packets: Packets, columns: Mapping[str, Array], paths: PathTable) -> None:
        self.packets, self.paths = packets, paths
        self._columns = columns
        self._layers: Layers | None = None

    def __getitem__(self, key: str) -> Array:
        found = self._columns.get(key)
        return of_packets(self.packets, key) if found is None else found[: len(self.packets)]

    @property
    def layers(self) -> Layers:
        """Which header stands where; walked when first asked for."""
        if self._layers is None:
            self._layers = self.packets.parse(threads=1)
        return self._layers


class Program:
    """A condition, and the columns that it is about."""

    __slots__ = ("_specs", "columns", "condition")

    def __init__(self, condition: Condition, columns: Mapping[str, Column]) -> None:
        self.condition = condition
        self.columns = tuple(columns.values())
        self._specs = specs_of(self.columns)

    @contextmanager
    def on(
        self, packets: Packets, room: tuple[Mapping[str, Array], Any] | None = None
    ) -> Iterator[Rows]:
        """The columns of `packets`.  room: where they go, from `room`; new memory where None."""
        columns, outs = room or self.room(len(packets))
        scratch = take_scratch()
        if self.columns:
            rules = port_rules(packets._ports)
            scratch.gather(Batch(packets), rules, 0, len(packets), self._specs, outs)
        yield Rows(packets, columns, scratch.paths)
        give_back(scratch)

    def room(self, rows: int) -> tuple[Mapping[str, Array], Any]:
        """Memory for the columns of so many rows."""
        columns, targets = results(self.columns, rows, None)
        return columns, ffi.new("uint8_t *[]", targets)

    def match(self, packets: Packets, threads: int | None) -> Mask:
        """bool[n]: where the condition holds."""
        found: Mask = memory.empty(len(packets), np.bool_)

        def test(begin: int, end: int) -> None:
            room = self.room(min(BLOCK, end - begin))
            for first in range(begin, end, BLOCK):
                last = min(first + BLOCK, end)
                with self.on(packets._piece(first, last), room) as rows:
                    found[first:last] = self.condition.test(rows)

        spread(test, len(packets), threads)
        return found
