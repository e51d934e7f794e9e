"""Reading a capture for a command: batch by batch, with a progress bar where somebody looks."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from encap.capture import Source
from encap.capture import open as open_capture
from encap.capture.context import Context
from encap.errors import CaptureError
from encap.packets import Packets

__all__ = ["Input"]


class Input(Context):
    """A capture that is read to its end, or to where it is cut short or wrong.

    failure: what ended it early, or None.  packets: how many there were so far.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.failure: CaptureError | None = None
        self.packets = 0
        self.source: Source = open_capture(path)

    @property
    def name(self) -> str:
        """What the file is called in messages."""
        return "standard input" if self.path == "-" else self.path

    def batches(self) -> Iterator[Packets]:
        """The packets in batches. CaptureError where not even the first one can be read."""
        with self._bar() as advance:
            try:
                for packets in self.source.batches():
                    self.packets += len(packets)
                    yield packets
                    advance(packets.data.size)
            except CaptureError as error:
                if not self.packets and not self.source.cut:
                    raise
                self.failure = error

    def _bar(self) -> AbstractContextManager[Any]:
        if not sys.stderr.isatty():
            return nullcontext(_no_bar)
        return _Bar(self.name, self.source.size)

    def close(self) -> None:
        self.source.close()

    def _leave(self, *, failed: bool) -> None:
        self.close()


def _no_bar(octets: int) -> None:
    """Nobody looks."""


class _Bar:
    """A bar on standard error, gone when it ends."""

    def __init__(self, name: str, total: int | None) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
        self._progress = Progress(*columns, console=Console(stderr=True), transient=True)
        self._task = self._progress.add_task(name, total=total)

    def __enter__(self) -> Any:
        self._progress.start()
        return lambda octets: self._progress.advance(self._task, octets)

    def __exit__(self, *exception: object) -> None:
        self._progress.stop()
