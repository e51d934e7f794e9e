"""Columns straight from packets: walk and gather fused, so that memory is read once.

What a call needs beside its results (which names mean what, room for paths) is kept for
the next call: for batches of a few thousand packets making it would cost as much as the work.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from encap import memory
from encap._lib import Batch, ffi, lib, pointer, spread, take_out
from encap.columns import Column, column
from encap.errors import FieldError
from encap.layers import of_packets, parse
from encap.names import OF_PACKETS
from encap.walk import PathTable, port_rules

if TYPE_CHECKING:
    from encap.packets import Packets

__all__ = ["Scratch", "columns", "give_back", "results", "specs_of", "take_scratch"]

Array: TypeAlias = npt.NDArray[Any]
ALIGNED = 64  # octets: a column starts on a cache line


class _Plan(NamedTuple):
    """What a list of names means."""

    of_packets: tuple[str, ...]
    wanted: tuple[Column, ...]
    specs: Any  # encap_column[], in the order of `wanted`


@lru_cache(maxsize=256)
def _plan(names: tuple[str, ...]) -> _Plan:
    of_fields = [name for name in dict.fromkeys(names) if name not in OF_PACKETS]
    wanted = tuple(column(name, *OF_PACKETS) for name in of_fields)
    return _Plan(tuple(name for name in names if name in OF_PACKETS), wanted, specs_of(wanted))


def specs_of(wanted: Sequence[Column]) -> Any:
    """Columns side by side, as the core takes them."""
    return ffi.new("encap_column[]", [made.spec[0] for made in wanted])


class Scratch:
    """Room for the paths of one range of rows, and for the slots of each column in each."""

    def __init__(self) -> None:
        self.paths = PathTable()
        self._room = np.empty(0, np.int8)
        self.slots = ffi.NULL

    def gather(
        self, source: Batch, rules: Any, begin: int, end: int, specs: Any, outs: Any
    ) -> None:
        """Runs the fused kernel; `paths` are then those of these rows."""
        columns = (*self._cleared(len(specs)), specs, len(specs), outs)
        lib.encap_columns(source.pointer, rules, begin, end, *columns)

    def receive(
        self, source: Batch, rules: Any, begin: int, end: int, specs: Any, outs: Any, host: Any,
        found: Any,
    ) -> None:  # fmt: skip
        """The same, with what a host finds in the packets, an `encap_received`."""
        columns = (*self._cleared(len(specs)), specs, len(specs), outs)
        lib.encap_receive(source.pointer, rules, begin, end, *columns, host, found)

    def _cleared(self, count: int) -> tuple[Any, Any]:
        """No paths, and room for their slots of so many columns."""
        self.paths.clear()
        if len(self._room) < self.paths.capacity * count:
            self._room = np.empty(self.paths.capacity * count, np.int8)
            self.slots = pointer(self._room, "int8_t", writable=True)
        return self.paths.pointer, self.slots


_idle: deque[Scratch] = deque(maxlen=8)  # its ends are atomic, so threads can share it


def take_scratch() -> Scratch:
    """Room that an earlier call has left, or new room."""
    try:
        return _idle.pop()
    except IndexError:
        return Scratch()


def give_back(scratch: Scratch) -> None:
    """Leaves room to the next call."""
    _idle.append(scratch)


def columns(
    packets: Packets,
    names: Sequence[str],
    *,
    ports: Mapping[int, str | None] | None = None,
    threads: int | None = None,
    out: Mapping[str, Array] | None = None,
) -> dict[str, Array]:
    """Walk and columns in one pass over memory; see `Packets.columns`."""
    for name in names:
        if not isinstance(name, str):
            raise TypeError(f"a column's name is text, not {type(name).__name__}")
    plan = _plan(tuple(names))
    found: dict[str, Array] = {}
    if "path" in plan.of_packets or "status" in plan.of_packets:
        layers = parse(packets, ports=ports, threads=threads)
        found = {name: layers[name] for name in plan.of_packets}
    elif plan.of_packets:
        found = {name: of_packets(packets, name) for name in plan.of_packets}
    if plan.wanted:
        arrays, targets = results(plan.wanted, len(packets), out)
        _fill(packets, plan, targets, port_rules(packets._ports_with(ports)), threads)
        found |= arrays
    return {name: found[name] for name in names}


def results(
    wanted: Sequence[Column], rows: int, out: Mapping[str, Array] | None
) -> tuple[dict[str, Array], list[Any]]:
    """The arrays that the columns go to, and where they are for C: those of `out`, or new ones."""
    given = {made.name: out[made.name] for made in wanted if out is not None and made.name in out}
    starts, size = {}, 0
    for made in wanted:
        if made.name not in given:
            starts[made.name] = size
            size += -(-rows * made.width // ALIGNED) * ALIGNED
    block = memory.empty(size, np.uint8)  # one for all: a dozen would take longer than the walk
    base = pointer(block, "uint8_t", writable=True)
    arrays, targets = {}, []
    for made in wanted:
        if made.name in given:
            raw = _given(made, rows, given[made.name])
            targets.append(pointer(raw, "uint8_t", writable=True))
        else:
            start = starts[made.name]
            raw = block[start : start + rows * made.width]
            targets.append(base + start if rows else ffi.NULL)
        arrays[made.name] = made.typed(raw)
    return arrays, targets


def _given(made: Column, rows: int, array: object) -> npt.NDArray[np.uint8]:
    """The octets of an array of the caller's for `rows` rows of a column."""
    if not isinstance(array, np.ndarray):
        raise TypeError(f"out[{made.name!r}] must be an array, not {type(array).__name__}")
    shape = (made.octets,) if made.octets else ()
    if array.dtype != made.dtype or not array.flags.c_contiguous or array.shape[1:] != shape:
        raise FieldError(
            f"out[{made.name!r}] must be a contiguous array of {made.dtype}"
            f" with rows of shape {shape}",
            field="out",
        )
    return take_out(array.reshape(-1).view(np.uint8), rows * made.width, np.uint8)


def _fill(
    packets: Packets, plan: _Plan, targets: list[Any], rules: Any, threads: int | None
) -> None:
    """Runs the fused kernel."""
    source, outs = Batch(packets), ffi.new("uint8_t *[]", targets)

    def fill(begin: int, end: int) -> None:
        scratch = take_scratch()
        scratch.gather(source, rules, begin, end, plan.specs, outs)
        give_back(scratch)

    spread(fill, len(packets), threads)
