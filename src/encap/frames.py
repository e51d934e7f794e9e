"""What a batch of packets is made of: arrays over one buffer of octets.

Selecting makes new arrays over the same octets. What else can be done with a batch is said by
`encap.packets`.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NotRequired, Self, SupportsIndex, TypedDict, Unpack, overload

import numpy as np
import numpy.typing as npt

from encap import memory
from encap.arrays import Octets, column, octets, read_only, row_numbers
from encap.errors import EncapError, FieldError
from encap.registry import checked_ports

if TYPE_CHECKING:
    from encap.capture.kept import Record
    from encap.packet import Packet

__all__ = ["NO_TIME", "Frames", "Int64s", "Uint16s", "Uint32s"]

NO_TIME = -(1 << 63)  # nanoseconds: what numpy calls NaT
ETHERNET = 1
_NOTHING: Mapping[str, int] = MappingProxyType({})

Int64s = npt.NDArray[np.int64]
Uint32s = npt.NDArray[np.uint32]
Uint16s = npt.NDArray[np.uint16]


class _Fields(TypedDict):
    """What a batch has beside octets, starts and lengths; see `Packets`."""

    wire_lengths: Uint32s
    times: Int64s
    linktypes: Uint16s
    rows: NotRequired[Int64s | None]
    error: NotRequired[EncapError | None]
    ports: NotRequired[dict[int, str | None]]
    left_out: NotRequired[Mapping[str, int]]
    record: NotRequired[Record | None]


class Frames:
    """Many frames, immutable: see `Packets`, which this is the ground of."""

    __slots__ = (
        "__weakref__", "_ports", "_record", "_rows", "data", "error", "left_out", "lengths",
        "linktypes", "starts", "times", "wire_lengths",
    )  # fmt: skip

    data: Octets
    starts: Int64s
    lengths: Uint32s
    wire_lengths: Uint32s
    times: Int64s
    linktypes: Uint16s
    error: EncapError | None
    left_out: Mapping[str, int]
    _rows: Int64s | None
    _ports: dict[int, str | None]
    _record: Record | None  # where in a capture file the rows come from

    def __init__(
        self,
        data: Any,
        starts: npt.ArrayLike,
        lengths: npt.ArrayLike,
        *,
        wire_lengths: npt.ArrayLike | None = None,
        times: npt.ArrayLike = NO_TIME,
        linktypes: npt.ArrayLike = ETHERNET,
        rows: npt.ArrayLike | None = None,
        error: EncapError | None = None,
    ) -> None:
        whole = octets(data)
        count = np.size(starts)
        first = np.ascontiguousarray(column(starts, count, np.int64, "starts"))
        sizes = np.ascontiguousarray(column(lengths, count, np.uint32, "lengths"))
        # A subtraction: `first + sizes` could wrap.
        outside = (first < 0) | (first > whole.size)
        outside |= sizes > whole.size - np.where(outside, whole.size, first)
        if outside.any():
            row = int(outside.argmax())
            raise FieldError(
                f"row {row} (start {first[row]}, length {sizes[row]}) lies outside of the"
                f" {whole.size} octets of data",
                field="starts",
                value=int(first[row]),
            )
        wires = (
            sizes
            if wire_lengths is None
            else column(wire_lengths, count, np.uint32, "wire_lengths")
        )
        self._set(
            whole,
            read_only(first),
            read_only(sizes),
            wire_lengths=np.ascontiguousarray(wires),
            times=column(times, count, np.int64, "times"),
            linktypes=column(linktypes, count, np.uint16, "linktypes"),
            rows=None if rows is None else column(rows, count, np.int64, "rows"),
            error=error,
            ports={},
        )

    def _set(self, data: Octets, starts: Int64s, lengths: Uint32s, **rest: Unpack[_Fields]) -> None:
        put = object.__setattr__
        put(self, "data", data)
        put(self, "starts", read_only(starts))
        put(self, "lengths", read_only(lengths))
        put(self, "wire_lengths", read_only(rest["wire_lengths"]))
        put(self, "times", read_only(rest["times"]))
        put(self, "linktypes", read_only(rest["linktypes"]))
        put(self, "error", rest.get("error"))
        put(self, "left_out", rest.get("left_out", _NOTHING))
        put(self, "_rows", rest.get("rows"))
        put(self, "_ports", rest.get("ports", {}))
        put(self, "_record", rest.get("record"))

    @classmethod
    def _make(cls, data: Octets, starts: Int64s, lengths: Uint32s, **rest: Unpack[_Fields]) -> Self:
        """A batch from arrays that are known to fit: what the library itself has made."""
        self = cls.__new__(cls)
        self._set(data, starts, lengths, **rest)
        return self

    def _derived(
        self,
        rows: Int64s | None = None,
        *,
        data: Octets,
        starts: Int64s,
        lengths: Uint32s,
        wire_lengths: Uint32s,
        linktypes: Uint16s,
        times: Int64s | None = None,
        left_out: Mapping[str, int] = _NOTHING,
    ) -> Self:
        """What a method makes of these packets: other octets, and from here all the rest.

        rows: int64[m], the row here that each packet comes from; all rows in order where None.
        times: int64[m], those of the rows where None.
        """
        if times is None:
            times = self.times if rows is None else _taken(self.times, rows)
        return self._make(
            data,
            starts,
            lengths,
            wire_lengths=wire_lengths,
            times=times,
            linktypes=linktypes,
            rows=rows,
            error=self.error,
            ports=self._ports,
            left_out=left_out,
            record=self._record if rows is None else self._record_of(rows),
        )

    def _record_of(self, rows: Int64s) -> Record | None:
        return None if self._record is None else self._record.select(rows)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"Packets are immutable: {name} cannot be set; see replace()")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"Packets are immutable: {name} cannot be deleted")

    @classmethod
    def from_frames(
        cls,
        frames: Iterable[bytes | bytearray | memoryview | Packet],
        *,
        times: npt.ArrayLike = NO_TIME,
        linktypes: npt.ArrayLike = ETHERNET,
        wire_lengths: npt.ArrayLike | None = None,
    ) -> Self:
        """A batch of the given frames, octets or `Packet`, copied together.

        linktypes: what the frames begin with; 1 is Ethernet, 101 raw IP.
        """
        parts = [frame if isinstance(frame, bytes) else _frame(frame) for frame in frames]
        data = np.frombuffer(b"".join(parts), np.uint8)
        lengths = np.fromiter(map(len, parts), np.int64, len(parts))
        return cls(
            data,
            np.cumsum(lengths) - lengths,
            lengths,
            wire_lengths=wire_lengths,
            times=times,
            linktypes=linktypes,
        )

    @classmethod
    def concat(cls, batches: Iterable[Self]) -> Self:
        """One batch of all rows in order; octets are copied unless all share one buffer.

        What the batches counted in `left_out` is added up.

        FieldError for batches that are bound to different ports: frames of one would be read
        with those of another.
        """
        from encap.copies import concat

        return concat(cls, batches)

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def rows(self) -> Int64s:
        """int64[n]: the row each packet had in the batch that this one was made from."""
        rows = self._rows
        if rows is None:
            rows = np.arange(len(self), dtype=np.int64)
            object.__setattr__(self, "_rows", rows)
        return read_only(rows)

    # Before the next one: an array has an __index__ too.
    @overload
    def __getitem__(  # type: ignore[overload-overlap]
        self, index: slice | Sequence[int] | npt.NDArray[Any]
    ) -> Self: ...
    @overload
    def __getitem__(self, index: SupportsIndex) -> bytes: ...
    def __getitem__(self, index: Any) -> bytes | Self:
        """One frame as bytes, or the batch of the rows that a slice, mask or array names."""
        if isinstance(index, slice):
            return self._select(index, np.arange(*index.indices(len(self)), dtype=np.int64))
        if hasattr(index, "__index__") and not isinstance(index, np.ndarray):
            return bytes(self.view(index))
        rows = row_numbers(index, len(self))
        return self._select(rows, rows)

    def _select(self, index: Any, rows: Int64s) -> Self:
        return self._make(
            self.data,
            _taken(self.starts, index),
            _taken(self.lengths, index),
            wire_lengths=_taken(self.wire_lengths, index),
            times=_taken(self.times, index),
            linktypes=self._select_linktypes(index, len(rows)),
            rows=rows,
            error=self.error,
            ports=self._ports,
            record=self._record_of(rows),
        )

    def _piece(self, first: int, last: int) -> Self:
        """Rows `first` to `last`, to be looked at and dropped: it knows nothing of its origin."""
        piece = slice(first, last)
        return self._make(
            self.data,
            self.starts[piece],
            self.lengths[piece],
            wire_lengths=self.wire_lengths[piece],
            times=self.times[piece],
            linktypes=self.linktypes[piece],
            ports=self._ports,
        )

    def _select_linktypes(self, index: Any, count: int) -> Uint16s:
        # One number that stands for all rows goes on standing for all.
        if self.linktypes.strides == (0,) and len(self):
            return np.broadcast_to(self.linktypes[0], (count,))
        return _taken(self.linktypes, index)

    def view(self, index: SupportsIndex) -> memoryview:
        """The octets of one frame: a read-only view of the buffer, nothing copied."""
        row = operator.index(index)
        if not -len(self) <= row < len(self):
            raise IndexError(f"row {row} of {len(self)} packets")
        start = int(self.starts[row])
        return self.data.data[start : start + int(self.lengths[row])].toreadonly()

    def __iter__(self) -> Iterator[bytes]:
        whole = self.data.data
        for start, length in zip(self.starts.tolist(), self.lengths.tolist(), strict=True):
            yield bytes(whole[start : start + length])

    def __repr__(self) -> str:
        return f"<Packets: {len(self)} frames, {int(self.lengths.sum(dtype=np.int64))} octets>"

    def equals(self, other: Frames) -> bool:
        """True when both hold the same frames, times, wire lengths and link types, in order."""
        if not isinstance(other, Frames):
            raise TypeError(f"equals() compares with Packets, not {type(other).__name__}")
        pairs = (
            (self.lengths, other.lengths),
            (self.wire_lengths, other.wire_lengths),
            (self.times, other.times),
            (self.linktypes, other.linktypes),
        )
        if not all(np.array_equal(mine, theirs) for mine, theirs in pairs):
            return False
        return np.array_equal(self.compact().data, other.compact().data)

    def __reduce__(self) -> tuple[object, ...]:
        compact = self.compact()
        state: dict[str, object] = {
            name: np.array(getattr(compact, name))
            for name in ("wire_lengths", "times", "linktypes", "rows")
        }
        state |= {"error": self.error, "ports": self._ports, "left_out": dict(self.left_out)}
        return _unpickle, (type(self)._make, bytes(compact.data), compact.lengths, state)

    def replace(self, **changes: Any) -> Self:
        """The same frames with other `times`, `wire_lengths`, `linktypes`, `rows` or `error`."""
        known = ("times", "wire_lengths", "linktypes", "rows", "error")
        for name in changes:
            if name not in known:
                raise TypeError(f"replace() takes {', '.join(known)}, not {name}")
        given = {name: changes.get(name, getattr(self, name)) for name in known[:3]}
        if changes.get("rows", self._rows) is not None:
            given["rows"] = changes.get("rows", self._rows)
        made = type(self)(
            self.data, self.starts, self.lengths, error=changes.get("error", self.error), **given
        )
        for name in ("_ports", "_record", "left_out"):
            object.__setattr__(made, name, getattr(self, name))
        return made

    def compact(self, *, out: Octets | None = None, threads: int | None = None) -> Self:
        """The same frames back to back in memory of their own.

        out: uint8 array that takes the octets; memory from the pool where not given.
        threads: how many to use; all cores, or ENCAP_THREADS, where not given.
        """
        from encap.copies import compact

        return compact(self, out=out, threads=threads)

    def _ports_with(self, ports: Mapping[int, str | None] | None) -> dict[int, str | None]:
        """The UDP ports bound to the batch, `ports` added."""
        return self._ports if ports is None else self._ports | checked_ports(ports)

    def with_ports(self, ports: Mapping[int, str | None]) -> Self:
        """The same batch, for which UDP destination ports mean what `ports` says.

        ports: path names by number (`{8473: "vxlan", 5555: "ipip"}`); None forgets a port.
        """
        made = self._derived(
            data=self.data,
            starts=self.starts,
            lengths=self.lengths,
            wire_lengths=self.wire_lengths,
            linktypes=self.linktypes,
            left_out=self.left_out,
        )
        object.__setattr__(made, "_ports", self._ports_with(ports))
        object.__setattr__(made, "_rows", self._rows)
        return made


def _taken(array: npt.NDArray[Any], index: Any) -> npt.NDArray[Any]:
    """The rows of `array` that a slice, or an array of rows that there are, names; contiguous."""
    if isinstance(index, slice):
        return np.ascontiguousarray(array[index])
    # Memory from the pool, and no second look at rows that have been checked.
    return array.take(index, out=memory.empty(len(index), array.dtype), mode="clip")


def _frame(frame: object) -> bytes:
    """The octets of one frame; a number is no frame, though `bytes` would make one of it."""
    from encap.packet import Packet

    if isinstance(frame, bytearray | memoryview | Packet):
        return bytes(frame)
    raise TypeError(f"a frame is octets or a Packet, not {type(frame).__name__}")


def _unpickle(
    make: Callable[..., Frames], data: bytes, lengths: Uint32s, state: dict[str, Any]
) -> Frames:
    starts = np.cumsum(lengths, dtype=np.int64) - lengths
    octets = np.frombuffer(data, np.uint8)
    return make(octets, starts, lengths, **state)
