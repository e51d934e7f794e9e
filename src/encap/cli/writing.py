"""Writing a batch while the next one is read: what a file costs is mostly the kernel's copying."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from encap._lib import thread_count
from encap.capture import Sink
from encap.capture.context import Context
from encap.packets import Packets

__all__ = ["Writing"]


MOST_WAITING = 2  # batches: with one, each thread waits for the other to wake up


class Writing(Context):
    """Hands batches to `write`, in order, a little behind; a context manager.

    What `write` raises is raised by a later call, or at the end.
    To a pipe every batch goes at once, and by this thread: somebody waits for it.
    """

    def __init__(self, sink: Sink, write: Callable[[Packets], None]) -> None:
        self._write = write
        self._waiting: deque[Future[None]] = deque()
        behind = sink.atomic and thread_count() > 1
        self._thread = ThreadPoolExecutor(1, "encap-writing") if behind else None

    def put(self, packets: Packets) -> None:
        """Write a batch, at once or soon."""
        if self._thread is None:
            self._write(packets)
            return
        self._wait(MOST_WAITING - 1)
        self._waiting.append(self._thread.submit(self._write, packets))

    def _wait(self, most: int) -> None:
        """Until no more than `most` batches are still to be written."""
        while len(self._waiting) > most:
            self._waiting.popleft().result()

    def _leave(self, *, failed: bool) -> None:
        if self._thread is not None:
            self._thread.shutdown(cancel_futures=failed)
        if not failed:
            self._wait(0)
