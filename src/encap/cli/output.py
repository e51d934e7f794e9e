"""OUT made of IN: what every command that reads a capture and writes one does.

    with Output(path, target, ports) as output:
        for packets in output.batches():
            output.put(packets.where(expression))
    return output.finish("selected")

`batches` gives IN bound to its ports, `put` writes a batch soon and counts what `left_out` of
it says, `count` takes other packets that the summary is to speak of, `finish` prints the
summary and gives the exit status. Whatever is raised between the two leaves OUT as it was.

Writing goes on behind, by another core: octets that were given to `put` must not change, and
methods are best called with `threads=output.threads`.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import Self

import numpy as np

from encap._lib import thread_count
from encap.capture import Sink, create
from encap.cli.arguments import Target
from encap.cli.progress import Input
from encap.cli.words import count
from encap.cli.writing import Writing
from encap.errors import CaptureError
from encap.packets import Packets

__all__ = ["LEFT_OUT", "Output", "nothing_written", "say"]

LEFT_OUT = "left out"
NOT_WRITTEN = "not written"
NOT_KEPT = "not kept"


class Output:
    """The capture that a command writes while it reads another; a context manager.

    path: IN.  target: OUT and how it is written.
    ports: UDP ports and what they carry, for every batch.

    Nothing is opened before the context is entered. OSError and CaptureError of OUT have its
    name in front.
    """

    def __init__(
        self, path: str, target: Target, ports: Mapping[int, str | None] | None = None
    ) -> None:
        self._path, self._target, self._ports = path, target, ports
        self._open = ExitStack()
        self._notes: dict[str, Counter[str] | None] = {}  # None: a line of its own
        self._unhandled = False

    def __enter__(self) -> Self:
        with self._open as stack:
            self._source = stack.enter_context(Input(self._path))
            self._sink = stack.enter_context(_sink(self._target, self._source))
            self._writing = stack.enter_context(Writing(self._sink, self._write))
            self._open = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._open.__exit__(kind, error, trace)

    @property
    def threads(self) -> int | None:
        """What methods are to be told as `threads`: one core is writing, unless to a pipe."""
        return max(1, thread_count() - 1) if self._sink.atomic else None

    @property
    def read(self) -> int:
        """How many packets of IN there were so far."""
        return self._source.packets

    def batches(self) -> Iterator[Packets]:
        """The packets of IN, to its end or to where it is cut short or wrong."""
        for packets in self._source.batches():
            yield packets.with_ports(self._ports) if self._ports else packets

    def put(self, packets: Packets, fate: str | None = LEFT_OUT) -> None:
        """Write a batch, at once or soon.

        fate: what became of the packets that the batch counts in `left_out`: "left as they were";
            None where they are counted by other means.
        """
        if fate is not None:
            self.count(fate, packets.left_out)
        self._writing.put(packets)

    def count(self, fate: str, reasons: Mapping[str, int], *, as_told: bool = False) -> None:
        """Count packets by reason; the summary has a line for each fate, in order of appearance.

        as_told: that they are not written, or not changed, was asked for. Without it packets
            should have been handled and could not be, and the exit status is 1.
        """
        found = Counter({reason: number for reason, number in reasons.items() if number})
        if not found:
            return
        self._unhandled |= not as_told
        known = self._notes.setdefault(fate, Counter())
        if known is not None:
            known.update(found)

    def remark(self, line: str) -> None:
        """Say this in the summary, once."""
        self._notes.setdefault(line, None)

    def finish(self, *done: str) -> int:
        """Prints what was read, `done` and written on standard error; the exit status.

        done: what else became of the packets: "5 decapsulated". After the context has ended.
        """
        written = self._sink.summary
        octets = count(written.octets, "octet")
        parts = (
            f"{count(self.read, 'packet')} read", *done, f"{written.packets:,} written ({octets})",
        )  # fmt: skip
        self.count(NOT_WRITTEN, written.left_out)
        self.count(NOT_KEPT, written.dropped, as_told=True)
        failure = self._source.failure
        say(", ".join(parts), *self._lines(), *([str(failure)] if failure else []))
        return 1 if failure or self._unhandled else 0

    def _lines(self) -> Iterator[str]:
        for fate, reasons in self._notes.items():
            if reasons is None:
                yield fate
                continue
            parts = [f"{reason} ({number:,})" for reason, number in reasons.most_common()]
            yield f"{fate}: {', '.join(parts)}"

    def _write(self, packets: Packets) -> None:
        with _named(self._target):
            _write_or_advise(self._sink, packets, self._target)


def say(*lines: str) -> None:
    """Print lines on standard error, as all that a command says of its work."""
    for line in lines:
        print("encap:", line, file=sys.stderr)


def nothing_written(option: str, out: str | None, *others: object) -> None:
    """Say so where a file to write was named, or how, beside an option that writes none."""
    if out is not None or any(others):
        say(f"{option}: nothing is written{f' to {out}' if out is not None else ''}")


@contextmanager
def _sink(target: Target, source: Input) -> Iterator[Sink]:
    """The capture to write; it gets its name when nothing went wrong."""
    with _named(target):
        sink = _create(target, source)
    try:
        yield sink
    except BaseException:
        sink.discard()
        raise
    with _named(target):
        sink.close()


def _create(target: Target, source: Input) -> Sink:
    try:
        return create(
            target.path,
            like=source.source,
            format=target.format,
            link=target.link,
            src=target.src,
            dst=target.dst,
        )
    except CaptureError as error:
        # An argument of the library is an option of the same name here.
        raise CaptureError(str(error).replace("format=", "--format ")) from error


def _write_or_advise(sink: Sink, packets: Packets, target: Target) -> None:
    """Write a batch; what does not fit a pcap file is refused with the ways out."""
    try:
        sink.write(packets)
    except CaptureError as error:
        kinds = set(np.unique(packets.linktypes).tolist()) | set(sink.linktypes)
        if len(kinds) < 2:
            raise
        found = ", ".join(str(kind) for kind in sorted(kinds))
        way = (
            "give --format pcapng"
            if target.path == "-"
            else "write a .pcapng file (--format pcapng)"
        )
        raise CaptureError(
            f"a pcap file has one link type, the packets to write have several ({found}): {way},"
            " or give --link ethernet --src MAC --dst MAC, or --link raw"
        ) from error


@contextmanager
def _named(target: Target) -> Iterator[None]:
    """Errors of the output file have its own name, not that of the one that becomes it."""
    name = "standard output" if target.path == "-" else target.path
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), name) from error
    except CaptureError as error:
        raise CaptureError(f"{name}: {error}") from error
