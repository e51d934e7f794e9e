"""What all formats of a capture are written with: the file, packets as the core sees them, a count.

Nothing here knows how a record or a block looks.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from encap import memory
from encap._lib import Batch, ffi, lib, pointer
from encap.capture.formats import DEFAULT_SNAPLEN
from encap.capture.kept import Likeness
from encap.capture.paths import PathOrFile
from encap.capture.streams import Writer
from encap.errors import CaptureError
from encap.packets import NO_TIME, Packets

BUFFER_LEN = 3 << 20  # a batch that was read as one is written as one
BAD_TIME = "time that the format cannot hold"


@dataclass(slots=True)
class Tally:
    """What became of the packets, and of the blocks around them."""

    packets: int = 0
    octets: int = 0
    left_out: dict[str, int] = field(default_factory=dict)
    dropped: dict[str, int] = field(default_factory=dict)

    def leave_out(self, reason: str, count: int) -> None:
        """Count packets that are not written."""
        if count:
            self.left_out[reason] = self.left_out.get(reason, 0) + count

    def drop(self, what: str, count: int = 1) -> None:
        """Count what is not written beside the packets."""
        if count:
            self.dropped[what] = self.dropped.get(what, 0) + count


@dataclass(frozen=True, slots=True)
class Wishes:
    """How the file is to be, None where the caller does not say it.

    like: what to take over.  order: of octets, ">" or "<".
    """

    like: Likeness | None
    order: str
    snaplen: int | None
    nanoseconds: bool | None


class Output:
    """The file, with a buffer that the core fills; `position` is how many octets it has."""

    def __init__(self, path: PathOrFile, compression: str) -> None:
        self.writer = Writer(path, compression)
        self.position = 0
        self._enlarge(BUFFER_LEN)

    def _enlarge(self, room: int) -> None:
        self._buffer: npt.NDArray[np.uint8] = memory.empty(room, np.uint8)
        self.room = room
        self.target = pointer(self._buffer, "uint8_t", writable=True)

    def put(self, octets: bytes | memoryview) -> None:
        """Write these octets."""
        self.writer.write(octets)
        self.position += len(octets)

    def put_filled(self, used: int, need: int) -> None:
        """Write what the core has filled; where it is nothing, make room for `need` octets."""
        if used:
            self.put(self._buffer.data[:used])
        elif need > self.room:
            self._enlarge(need)
        else:
            raise CaptureError(f"a packet is too long to be written: {need} octets")


class Rows:
    """Packets that are to be written, as the core sees them, and what they need."""

    __slots__ = ("extent", "packets", "source", "stamps", "times")

    def __init__(self, packets: Packets) -> None:
        self.packets = packets
        self.times = np.ascontiguousarray(packets.times)
        self.source = Batch(packets)
        self.stamps = pointer(self.times, "int64_t")
        self.extent: Any = ffi.new("encap_extent *")
        lib.encap_capture_measure(self.source.pointer, self.stamps, self.extent)

    @property
    def kinds(self) -> list[int]:
        """The link types."""
        linktypes = self.packets.linktypes
        return np.unique(linktypes).tolist() if self.extent.mixed else [int(linktypes[0])]

    def timed(self, end: int, tally: Tally) -> Rows:
        """Those whose times can be written, from 1970 on and before `end`; the others counted."""
        if self.extent.first >= 0 and self.extent.last < end:
            return self
        good = (self.times == NO_TIME) | (self.times >= 0)
        if self.extent.last >= end:
            good &= self.times < end
        tally.leave_out(BAD_TIME, len(good) - int(good.sum()))
        return Rows(self.packets[good])


class Snaplen:
    """The snap length that a header says, corrected where packets turn out to be longer.

    unlimited: whether 0 says that packets are not cut.
    """

    def __init__(self, output: Output, wishes: Wishes, *, unlimited: bool) -> None:
        self._writer = output.writer
        self._wishes = wishes
        self._unlimited = unlimited
        self._longest = 0
        self._fields: list[tuple[int, str]] = []  # where in the file it stands, and in what order
        self.value: int | None = None

    def check(self, longest: int) -> None:
        """Readers cut or refuse packets that are longer. CaptureError where nothing can be done."""
        if self.value is None:
            self.value = self._choose(longest)
        limit = longest if self._unlimited and not self.value else self.value
        if longest <= limit or longest <= self._longest:
            return
        if self._wishes.snaplen is not None or not self._writer.patchable:
            raise CaptureError(
                f"a packet of {longest} octets in a file of snap length {self.value}"
            )
        self._longest = longest

    def _choose(self, longest: int) -> int:
        if self._wishes.snaplen is not None:
            return self._wishes.snaplen
        wanted = 0 if self._unlimited else DEFAULT_SNAPLEN
        if self._wishes.like is not None:
            wanted = self._wishes.like.snaplen
        if wanted == 0 and self._unlimited:
            return 0
        # Longer packets may come, and not everywhere can this be corrected then.
        fits = longest <= wanted and self._writer.patchable
        return wanted if fits else max(wanted, longest, DEFAULT_SNAPLEN)

    def written(self, position: int, order: str) -> int:
        """The number to write; it will stand at `position`."""
        self._fields.append((position, order))
        return self.value or 0

    def end(self) -> None:
        """Correct what was written."""
        if self.value is None or self._longest <= self.value:
            return
        for position, order in self._fields:
            octets = self._longest.to_bytes(4, "big" if order == ">" else "little")
            self._writer.patch(position, octets)
