"""Writing a batch while the next one is read: what a file costs is mostly the kernel's copying."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self

from encap._lib import thread_count
from encap.capture import Sink
from encap.packets import Packets

__all__ = ["Writing"]


class Writing:
    """Hands batches to `write`, in order, one behind; a context manager.

    What `write` raises is raised by the call after, or at the end.
    To a pipe every batch goes at once, and by this thread: somebody waits for it.
    """

    def __init__(self, sink: Sink, write: Callable[[Packets], None]) -> None:
        self._write = write
        self._last: Future[None] | None = None
        behind = sink._writer._temporary is not None and thread_count() > 1
        self._thread = ThreadPoolExecutor(1, "encap-writing") if behind else None

    def put(self, packets: Packets) -> None:
        """Write a batch, some time before the one after the next is put."""
        if self._thread is None:
            self._write(packets)
            return
        self._wait()
        self._last = self._thread.submit(self._write, packets)

    def _wait(self) -> None:
        if self._last is not None:
            self._last.result()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._thread is not None:
            self._thread.shutdown()
        if kind is None:
            self._wait()
