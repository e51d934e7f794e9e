"""Memory for large results: one bounded pool of huge pages.

A fresh page costs more than the work done on it, so what a dropped array leaves
behind is handed to the next one. `empty` is `numpy.empty` for everything else.
"""

from __future__ import annotations

import mmap
import os
import threading
import weakref
from collections import deque
from typing import Any

import numpy as np
import numpy.typing as npt

from encap.errors import FieldError

HUGE = 1 << 21
SMALLEST = 1 << 18  # octets; below it malloc reuses its memory by itself
LIMIT = 1 << 28  # octets kept for reuse at the most


class _Pool:
    """Blocks of anonymous memory, taken by size and given back when their array dies."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._free: list[mmap.mmap] = []
        # Finalizers run whenever a collection happens, in the middle of `take` too: a lock
        # could be held by the very thread that wants it, an atomic append can not.
        self._returned: deque[mmap.mmap] = deque()
        self._taking = threading.Lock()

    def take(self, size: int) -> npt.NDArray[np.uint8]:
        """An array of at least `size` octets, whose content is undefined."""
        block = self._reuse(size) or _fresh(-(-size // HUGE) * HUGE + HUGE)
        whole = np.frombuffer(block, np.uint8)
        # Every view of this array keeps it alive, so its death means that nobody can see the block.
        skip = -whole.ctypes.data % HUGE
        weakref.finalize(whole, self._returned.append, block).atexit = False
        return whole[skip : skip + size]

    def _reuse(self, size: int) -> mmap.mmap | None:
        """A block that fits and nobody else has, or None."""
        # Who comes while another thread chooses, or from a collection in between, need not wait.
        if not self._taking.acquire(blocking=False):
            return None
        try:
            self._drain()
            most = 2 * size + HUGE
            fitting = [block for block in self._free if size <= len(block) - HUGE <= most]
            if not fitting:
                return None
            block = min(fitting, key=len)
            self._free.remove(block)
            return block
        finally:
            self._taking.release()

    def _drain(self) -> None:
        while self._returned:
            self._free.append(self._returned.popleft())
        # Newest first: what was used last is most likely to be in a cache.
        kept, total = [], 0
        for block in reversed(self._free):
            total += len(block)
            if total <= self.limit:
                kept.append(block)
        self._free = kept[::-1]


def _fresh(size: int) -> mmap.mmap:
    """New memory, of this process alone: what a forked child writes must not be seen here."""
    if not hasattr(mmap, "MAP_PRIVATE"):
        return mmap.mmap(-1, size)
    block = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        block.madvise(mmap.MADV_HUGEPAGE)
    return block


def _limit() -> int:
    text = os.environ.get("ENCAP_POOL", str(LIMIT))
    if not text.isdigit():
        raise FieldError(f"ENCAP_POOL is a number of octets, not {text!r}", field="ENCAP_POOL")
    return int(text)


_pool = _Pool(_limit())


def empty(count: int, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """A one-dimensional array of `count` undefined elements, from the pool when large."""
    kind = np.dtype(dtype)
    size = count * kind.itemsize
    if size < SMALLEST:
        return np.empty(count, kind)
    return _pool.take(size).view(kind)
