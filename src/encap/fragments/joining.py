"""Fragments of a batch, or of one batch after the other, put together."""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Mapping
from threading import Lock
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from encap._lib import Batch, ffi, lib, pointer, spread, take_out
from encap.covers import covers
from encap.errors import FieldError
from encap.fragments.places import Found, find, ip_header
from encap.fragments.waiting import LEAST_MEMORY, Waiting, timeouts_ns
from encap.layers import Layers, parse
from encap.memory import empty

if TYPE_CHECKING:
    from encap.packets import Packets

__all__ = ["Reassembler", "reassemble"]

TIMES = ("first", "last")
_CHANGED = "an array of this batch was changed while it was read"

Array = npt.NDArray[Any]
Octets = npt.NDArray[np.uint8]
Ports = Mapping[int, str | None]


class Reassembler:
    """Puts fragments together that are spread over batches.

    layer, overlap, times, timeout: see `Packets.reassemble`.
    memory: octets that are used at the most, whatever comes; half of them for octets of fragments.
        Where there is no room for another fragment, the datagrams that began first are given up.

    left_out: fragments given up so far, by reason.
    """

    __slots__ = ("_header", "_left_out", "_lock", "_times", "_waiting", "memory")

    def __init__(
        self,
        layer: str = "outer",
        *,
        overlap: str = "linux",
        times: str = "last",
        timeout: float | None = None,
        memory: int = 1 << 26,
    ) -> None:
        self.memory = operator.index(memory)
        if not LEAST_MEMORY <= self.memory < 1 << 38:
            raise FieldError(
                f"memory is {LEAST_MEMORY} to {(1 << 38) - 1} octets, not {memory}",
                field="memory",
                value=memory,
            )
        self._header, self._times = ip_header(layer), _checked_times(times)
        self._waiting = Waiting.within(self.memory, overlap, timeouts_ns(timeout))
        self._left_out: Counter[str] = Counter()
        self._lock = Lock()  # threads take turns: the core changes what waits in place

    def __repr__(self) -> str:
        return f"<Reassembler: {self.waiting} datagrams are waiting>"

    @property
    def waiting(self) -> int:
        """How many datagrams wait for fragments."""
        return self._waiting.datagrams

    @property
    def joined(self) -> int:
        """How many datagrams were put together so far."""
        return self._waiting.joined

    @property
    def left_out(self) -> Mapping[str, int]:
        """Fragments that became part of no datagram so far, by reason."""
        return MappingProxyType(self._left_out)

    def add(
        self,
        packets: Packets,
        *,
        ports: Ports | None = None,
        threads: int | None = None,
        out: Octets | None = None,
    ) -> Packets:
        """The packets, each datagram that is whole now where its last fragment was.

        As `Packets.reassemble` has it, but that what is not whole yet waits for the next batch, and
        that `out` needs room for what waits too. `rows` is the first row of this batch that is part
        of a datagram; `left_out` counts what was given up in this call.
        """
        return self._add(packets, ports, threads, out).packets

    def _add(
        self,
        packets: Packets,
        ports: Ports | None = None,
        threads: int | None = None,
        out: Octets | None = None,
    ) -> Joined:
        """What `add` gives, and what became of each row."""
        layers = parse(packets, ports=ports, threads=threads)
        found = find(layers, self._header)
        with self._lock:
            made = _joined(layers, found, self._waiting, self._times, threads, out)
            self._left_out.update(made.packets.left_out)
        return made

    def flush(self) -> Mapping[str, int]:
        """Gives up what waits, at the end of a stream; how many fragments that are, by reason."""
        with self._lock:
            self._waiting.flush()
            lost = self._waiting.lost()
            self._left_out.update(lost)
        return lost


def reassemble(
    packets: Packets,
    layer: str = "outer",
    *,
    overlap: str = "linux",
    times: str = "last",
    timeout: float | None = None,
    ports: Ports | None = None,
    threads: int | None = None,
    out: Octets | None = None,
) -> Packets:
    """The datagrams of one batch; see `Packets.reassemble`."""
    header, which = ip_header(layer), _checked_times(times)
    layers = parse(packets, ports=ports, threads=threads)
    found = find(layers, header)
    waiting = Waiting.beside(len(found.rows), overlap, timeouts_ns(timeout))
    return _joined(layers, found, waiting, which, threads, out, flush=True).packets


def _checked_times(times: str) -> str:
    if not isinstance(times, str):
        raise TypeError(f"times is text, not {type(times).__name__}")
    if times not in TIMES:
        raise FieldError(f"times is 'first' or 'last', not {times!r}", field="times", value=times)
    return times


class Joined(NamedTuple):
    """What came of a call.

    packets: those that are whole now.  rows: int64[n], the row that made each of them whole.
    lost: int64[k], rows of fragments that are part of none, and not because others repeat them.
    """

    packets: Packets
    rows: Array
    lost: Array


class _Whole(NamedTuple):
    """Datagrams that were put together: one element each.

    first, last: rows of the first fragment in the batch, and of the one that made it whole.
    """

    starts: Array
    lengths: Array
    linktypes: Array
    first: Array
    last: Array
    times: Array


def _joined(
    layers: Layers,
    found: Found,
    waiting: Waiting,
    times: str,
    threads: int | None,
    out: Octets | None,
    *,
    flush: bool = False,
) -> Joined:
    """The packets that are no fragments, and the datagrams that the others make whole."""
    packets = layers.packets
    if not len(found.rows) and out is None:
        same = packets._derived(
            data=packets.data,
            starts=packets.starts,
            lengths=packets.lengths,
            wire_lengths=packets.wire_lengths,
            linktypes=packets.linktypes,
        )
        return Joined(same, same.rows, found.rows)
    others = np.ones(len(packets), np.bool_)
    others[found.rows] = False
    kept = np.flatnonzero(others)
    lengths = packets.lengths.take(kept)
    ends = np.cumsum(lengths, dtype=np.int64)
    used = int(ends[-1]) if len(ends) else 0
    room = used + int(packets.lengths.take(found.rows).sum(dtype=np.int64)) + waiting.octets
    given = take_out(out, room, np.uint8, apart=packets.data)
    data = empty(room, np.uint8) if given is None else given
    starts = ends - lengths
    _copy(packets, kept, starts, lengths, data, threads)
    fates = np.full(len(found.rows), lib.ENCAP_LOSTS, np.uint8)
    whole, used = _join(layers, found, waiting, data, used, fates)
    if flush:
        waiting.flush()
    made, rows = _in_order(packets, kept, starts, whole, data[:used], times, waiting.lost())
    gone = (fates != lib.ENCAP_LOSTS) & (fates != lib.ENCAP_LOST_DUPLICATE)
    return Joined(made, rows, found.rows[gone])


def _copy(
    packets: Packets,
    rows: Array,
    starts: Array,
    lengths: Array,
    data: Octets,
    threads: int | None,
) -> None:
    """Copies packets to where they shall start."""
    chosen = packets[rows]
    source = Batch(chosen)
    targets, room = pointer(starts, "int64_t"), pointer(data, "uint8_t", writable=True)

    def copy(begin: int, end: int) -> None:
        if lib.encap_compact(source.pointer, begin, end, targets, room, len(data)):
            raise FieldError(_CHANGED)

    spread(copy, len(lengths), threads)


def _join(
    layers: Layers, found: Found, waiting: Waiting, data: Octets, used: int, fates: Octets
) -> tuple[_Whole, int]:
    """Adds the fragments; gives the datagrams that are whole now, and where they end in `data`.

    fates: why each fragment is lost, written where it is.
    """
    packets, count = layers.packets, len(found.rows)
    whole = _Whole(*(
        np.empty(count, dtype)
        for dtype in (np.int64, np.uint32, np.uint16, np.int64, np.int64, np.int64)
    ))  # fmt: skip
    kinds = ("int64_t", "uint32_t", "uint16_t", "int64_t", "int64_t", "int64_t")
    arrays = [pointer(one, kind, writable=True) for one, kind in zip(whole, kinds, strict=True)]
    octets = pointer(data, "uint8_t", writable=True)
    joined = ffi.new("encap_joined *", (*arrays, 0, octets, len(data), used))
    touched = np.empty(count, np.uint32)
    waiting.pointer.touched = pointer(touched, "uint32_t", writable=True)
    waiting.pointer.fates = pointer(fates, "uint8_t", writable=True)
    times = np.ascontiguousarray(packets.times)
    batch = Batch(packets)
    if lib.encap_fragments_add(
        batch.pointer,
        ffi.from_buffer("encap_layers[]", layers._records) if len(layers) else ffi.NULL,
        pointer(times, "int64_t"),
        pointer(found.rows, "int64_t"),
        pointer(found.own, "uint8_t"),
        pointer(found.slots, "uint8_t"),
        count,
        covers(),
        waiting.pointer,
        joined,
    ):
        raise FieldError(_CHANGED)
    waiting.joined += joined.count
    return _Whole(*(array[: joined.count] for array in whole)), int(joined.used)


def _in_order(
    packets: Packets,
    kept: Array,
    starts: Array,
    whole: _Whole,
    data: Octets,
    times: str,
    lost: Mapping[str, int],
) -> tuple[Packets, Array]:
    """The packets that were kept, and each datagram in the place of the row that made it whole."""
    here = np.zeros(len(packets), np.bool_)
    here[kept] = here[whole.last] = True
    rows = np.flatnonzero(here)
    # Of each row in the result: which of those that were kept, or of the datagrams behind them.
    number = np.empty(len(packets), np.int64)
    number[kept] = np.arange(len(kept))
    number[whole.last] = np.arange(len(kept), len(kept) + len(whole.last))
    number = number[rows]

    def merged(mine: Array, others: Array) -> Array:
        found: Array = np.concatenate([mine, others]).take(number)
        return found

    linktypes = merged(packets.linktypes[kept], whole.linktypes)
    if packets.linktypes.strides == (0,) and (linktypes == packets.linktypes[:1]).all():
        linktypes = np.broadcast_to(packets.linktypes[0], (len(rows),))  # one for all, as before
    ended = packets.times[whole.last] if times == "last" else whole.times
    made = packets._derived(
        merged(kept, whole.first),
        data=data,
        starts=merged(starts, whole.starts),
        lengths=merged(packets.lengths[kept], whole.lengths),
        wire_lengths=merged(packets.wire_lengths[kept], whole.lengths),
        linktypes=linktypes,
        times=merged(packets.times[kept], ended),
        left_out=lost,
    )
    return made, rows
