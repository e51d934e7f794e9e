"""The door to the C core: the only importer of `encap._ffi` beside `implementations`.

What C is told about an array (dtype, contiguity, length) is checked here, and a
kernel is spread over threads here: contiguous ranges of rows, so that a result
does not depend on how many there are.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from functools import partial
from operator import index
from typing import TYPE_CHECKING, Any, TypeVar, overload

import numpy as np
import numpy.typing as npt

from encap.errors import FieldError
from encap.implementations import ffi, lib  # which has chosen among the CPU variants

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

    from encap.frames import Frames

__all__ = ["Batch", "ffi", "lib", "pointer", "spread", "take_out", "thread_count"]

_Result = TypeVar("_Result")

ROWS_A_THREAD = 8192  # fewer are not worth handing over


def pointer(array: npt.NDArray[Any], kind: str, *, writable: bool = False) -> Any:
    """A C pointer of type `kind *` to a contiguous array; it keeps the array alive.

    Raises TypeError where the array's element size does not match `kind`, and
    what `ffi.from_buffer` raises for arrays that are strided or read-only.
    """
    if array.dtype.itemsize != ffi.sizeof(kind):
        raise TypeError(f"an array of {kind} is needed, this one holds {array.dtype}")
    if array.size == 0:
        return ffi.NULL
    return ffi.from_buffer(f"{kind}[]", array, require_writable=writable)


@overload
def take_out(
    out: None, count: int, dtype: npt.DTypeLike, apart: npt.NDArray[Any] | None = None
) -> None: ...
@overload
def take_out(
    out: npt.NDArray[Any], count: int, dtype: npt.DTypeLike, apart: npt.NDArray[Any] | None = None
) -> npt.NDArray[Any]: ...
def take_out(
    out: npt.NDArray[Any] | None,
    count: int,
    dtype: npt.DTypeLike,
    apart: npt.NDArray[Any] | None = None,
) -> npt.NDArray[Any] | None:
    """`out` cut to `count` elements, or None where none was given.

    apart: an array that is read while `out` is written.  FieldError when `out` cannot serve.
    """
    if out is None:
        return None
    kind = np.dtype(dtype)
    if not isinstance(out, np.ndarray):
        raise TypeError(f"out must be a numpy array, not {type(out).__name__}")
    if out.dtype != kind or not out.flags.c_contiguous or not out.flags.writeable:
        raise FieldError(f"out must be a writable contiguous array of {kind}", field="out")
    if out.ndim != 1:
        raise FieldError(f"out must be one-dimensional, not of shape {out.shape}", field="out")
    if len(out) < count:
        raise FieldError(f"out holds {len(out)} elements, {count} are needed", field="out")
    if apart is not None and np.may_share_memory(out[:count], apart):
        raise FieldError("out must not overlap what is read", field="out")
    return out[:count]


class Batch:
    """Packets as the core's `encap_batch`: `pointer` for C, and what it borrows kept alive."""

    __slots__ = ("_keep", "pointer")

    def __init__(self, packets: Frames) -> None:
        linktypes = packets.linktypes
        uniform = linktypes.strides == (0,) and len(linktypes) > 0
        self._keep = (
            pointer(packets.data, "uint8_t"),
            pointer(packets.starts, "int64_t"),
            pointer(packets.lengths, "uint32_t"),
            pointer(packets.wire_lengths, "uint32_t"),
            pointer(linktypes[:1] if uniform else linktypes, "uint16_t"),
        )
        data, *arrays = self._keep
        self.pointer = ffi.new(
            "encap_batch *", (data, packets.data.size, *arrays, not uniform, len(packets))
        )


def thread_count(threads: int | None = None) -> int:
    """How many threads to use: as told, else ENCAP_THREADS, else the cores of this process."""
    if threads is None:
        text = os.environ.get("ENCAP_THREADS", "")
        if not text:
            return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
        if not text.isdigit():
            raise FieldError(f"ENCAP_THREADS is not a number: {text!r}", field="threads")
        threads = int(text)
    threads = index(threads)
    if threads < 1:
        raise FieldError(f"threads must be at least 1, not {threads}", field="threads")
    return threads


_executor: ThreadPoolExecutor | None = None
_here = threading.local()  # `busy`: a kernel runs in this thread


def _forget_executor() -> None:
    """A forked child has none of its parent's threads."""
    global _executor
    _executor = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_executor)


def spread(
    kernel: Callable[[int, int], _Result], count: int, threads: int | None = None
) -> list[_Result]:
    """What `kernel(begin, end)` gives for contiguous ranges that cover `count` rows, in order.

    What a kernel spreads itself runs in its own thread: the others are at work already.
    """
    global _executor
    wanted = min(thread_count(threads), max(1, count // ROWS_A_THREAD))
    if wanted == 1 or getattr(_here, "busy", False):
        return [_alone(kernel, 0, count)]
    if _executor is None or _executor._max_workers < wanted:
        from concurrent.futures import ThreadPoolExecutor

        _executor = ThreadPoolExecutor(wanted, "encap")
    bounds = [count * part // wanted for part in range(wanted + 1)]
    return list(_executor.map(partial(_alone, kernel), bounds[:-1], bounds[1:]))


def _alone(kernel: Callable[[int, int], _Result], begin: int, end: int) -> _Result:
    """Runs a kernel in this thread, and what it spreads too."""
    before, _here.busy = getattr(_here, "busy", False), True
    try:
        return kernel(begin, end)
    finally:
        _here.busy = before
