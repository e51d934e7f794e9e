"""Batches over memory of their own: frames copied back to back, several batches as one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from encap import memory
from encap._lib import Batch, lib, pointer, spread, take_out
from encap.arrays import Octets
from encap.errors import FieldError
from encap.frames import Frames, Uint16s

__all__ = ["compact", "concat"]

_Kind = TypeVar("_Kind", bound=Frames)


def compact(frames: _Kind, *, out: Octets | None, threads: int | None) -> _Kind:
    """The same frames back to back; see `Packets.compact`."""
    ends = np.cumsum(frames.lengths, dtype=np.int64)
    starts = ends - frames.lengths
    total = int(ends[-1]) if len(ends) else 0
    given = take_out(out, total, np.uint8, apart=frames.data)
    data = memory.empty(total, np.uint8) if given is None else given
    source = Batch(frames)
    targets, target = pointer(starts, "int64_t"), pointer(data, "uint8_t", writable=True)

    def copy(begin: int, end: int) -> None:
        if lib.encap_compact(source.pointer, begin, end, targets, target, total):
            raise FieldError("an array of this batch was changed while it was copied")

    spread(copy, len(frames), threads)
    return frames._make(
        data,
        starts,
        frames.lengths,
        wire_lengths=frames.wire_lengths,
        times=frames.times,
        linktypes=frames.linktypes,
        rows=frames._rows,
        error=frames.error,
        ports=frames._ports,
        left_out=frames.left_out,
        record=frames._record and frames._record.compacted(len(frames), total),
    )


def concat(kind: type[_Kind], batches: Iterable[_Kind]) -> _Kind:
    """One batch of all rows in order; see `Packets.concat`."""
    parts = list(batches)
    if not parts:
        return kind.from_frames([])
    if any(part._ports != parts[0]._ports for part in parts):
        raise FieldError(
            "the batches are bound to different ports: bind them to the same with with_ports()",
            field="ports",
        )
    record = parts[0]._record and parts[0]._record.joined(parts)
    data = parts[0].data
    starts = [part.starts for part in parts]
    if any(part.data is not data for part in parts):
        parts = [part.compact() for part in parts]
        data = np.concatenate([part.data for part in parts])
        bases = np.cumsum([0] + [part.data.size for part in parts])
        starts = [part.starts + base for part, base in zip(parts, bases, strict=False)]
    errors = [part.error for part in parts if part.error is not None]
    left_out: Counter[str] = Counter()
    for part in parts:
        left_out.update(part.left_out)
    return kind._make(
        data,
        _joined(starts),
        _joined([part.lengths for part in parts]),
        wire_lengths=_joined([part.wire_lengths for part in parts]),
        times=_joined([part.times for part in parts]),
        linktypes=_joined_linktypes([part.linktypes for part in parts]),
        error=errors[0] if errors else None,
        ports=parts[0]._ports,
        left_out=dict(left_out),
        record=record,
    )


def _joined(arrays: list[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    """One array of all, in memory from the pool."""
    count = sum(map(len, arrays))
    return np.concatenate(arrays, out=memory.empty(count, arrays[0].dtype))


def _joined_linktypes(arrays: list[Uint16s]) -> Uint16s:
    """The same; one number that stands for all rows goes on standing for all."""
    said = {int(one[0]) if one.strides == (0,) else None for one in arrays if len(one)}
    if len(said) == 1 and None not in said:
        return np.broadcast_to(np.uint16(said.pop() or 0), (sum(map(len, arrays)),))
    return _joined(arrays)
