"""What a batch knows of the file it came from, so that it can be written as it was.

A batch of `open` or `read` carries a record of its origin, and so does what is made of it.
For pcap that is little: all that a file says of a packet is in the batch. For pcapng it is
the piece of the file that the batch was made from, which its frames lie in anyway, and
which of the packets there each row is. Nothing is looked up in it before somebody writes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from encap.capture.formats import Interface

if TYPE_CHECKING:
    from encap.frames import Frames as Batch
    from encap.packets import Packets

Octets = npt.NDArray[np.uint8]
Int64s = npt.NDArray[np.int64]
Uint32s = npt.NDArray[np.uint32]

MOST_SPARE = 1 << 16  # octets of a file that a compact batch may keep without using them


@dataclass(eq=False, slots=True)
class Likeness:
    """What `create(like=)` takes over: what a capture says of itself, as far as it was read.

    order: of its present section.  header: the first 24 octets of a pcap file.
    linktypes: those of all interfaces, in order of appearance; interfaces: of the section.
    """

    format: str
    order: str
    header: bytes = b""
    interfaces: list[Interface] = field(default_factory=list)
    linktypes: dict[int, None] = field(default_factory=dict)

    @property
    def resolution(self) -> int:
        """Units of time a second: of the finest interface that was described."""
        return max((interface.resolution for interface in self.interfaces), default=10**6)

    @property
    def snaplen(self) -> int:
        """Octets, the most of all interfaces; 0 where one does not cut packets."""
        sizes = [interface.snaplen for interface in self.interfaces]
        return 0 if 0 in sizes else max(sizes, default=0)


@dataclass(frozen=True, slots=True)
class Section:
    """The part of a pcapng section that stands before some place.

    number: which section of the file it is, from 1 on; 0 before the first one.
    header: its header block.  descriptions: its interface descriptions, as they stand there.
    """

    number: int = 0
    order: str = "<"
    header: bytes = b""
    descriptions: tuple[bytes, ...] = ()


@dataclass(frozen=True, eq=False, slots=True)
class Piece:
    """Whole blocks of a pcapng file, as they were read, and what stands before them.

    number: which piece of the file, from 0 on.
    packets: int64[n], where the block of each row stands, in octets from the start of the piece.
    lengths: uint32[n], octets of each packet.
    others: int64[m], where all other blocks stand.  sections: int64[s], those that begin one.
    passed: how many blocks before are neither packets nor section or interface headers, and
    inside: how many of these.
    """

    octets: Octets
    number: int
    before: Section
    packets: Int64s
    lengths: Uint32s
    others: Int64s
    sections: Int64s
    passed: int
    inside: int

    def sections_of(self, origins: Int64s) -> Int64s:
        """int64[n]: the number of the section that each of these packets stands in."""
        return self.before.number + np.searchsorted(self.sections, self.packets[origins])

    def reduced(self, origins: Int64s) -> tuple[Piece, Int64s]:
        """A piece with these packets alone, and which of them each one is now."""
        chosen, origins = np.unique(origins, return_inverse=True)
        bounds = np.append(np.sort(np.concatenate([self.packets, self.others])), self.octets.size)
        starts = np.sort(np.concatenate([self.packets[chosen], self.others]))
        lengths = bounds[np.searchsorted(bounds, starts) + 1] - starts
        targets = np.cumsum(lengths) - lengths

        def moved(positions: Int64s) -> Int64s:
            found: Int64s = targets[np.searchsorted(starts, positions)]
            return found

        piece = replace(
            self,
            octets=self.octets[np.repeat(starts, lengths) + _ramps(lengths)],
            packets=moved(self.packets[chosen]),
            lengths=self.lengths[chosen],
            others=moved(self.others),
            sections=moved(self.sections),
        )
        return piece, origins


def _ramps(lengths: Int64s) -> Int64s:
    """0, 1, 2, ... for each of the lengths, behind each other."""
    ends = np.cumsum(lengths)
    return np.arange(ends[-1] if ends.size else 0) - np.repeat(ends - lengths, lengths)


@dataclass(frozen=True, eq=False)
class Frames:
    """The frames of a pcap file each of which ends with a check sequence, before any change.

    octets, starts, lengths: as of `Packets`.  fcs_len: octets of the check sequence.
    """

    octets: Octets
    starts: Int64s
    lengths: Uint32s
    fcs_len: int

    def ends(self, packets: Packets, origins: Int64s | None) -> bool:
        """Whether each of the packets has its length still, and ends as it did."""
        rows = slice(None) if origins is None else origins
        lengths = self.lengths[rows]
        if not np.array_equal(packets.lengths, lengths):
            return False
        whole = lengths >= self.fcs_len
        back = lengths[whole].astype(np.int64)[:, None] - np.arange(1, self.fcs_len + 1)
        before = self.octets[self.starts[rows][whole][:, None] + back]
        return np.array_equal(packets.data[packets.starts[whole][:, None] + back], before)

    def reduced(self, origins: Int64s) -> tuple[Frames, Int64s]:
        """Those frames alone, and which of them each one is now."""
        starts, lengths = self.starts[origins], self.lengths[origins].astype(np.int64)
        octets = self.octets[np.repeat(starts, lengths) + _ramps(lengths)]
        kept = replace(
            self,
            octets=octets,
            starts=np.cumsum(lengths) - lengths,
            lengths=self.lengths[origins],
        )
        return kept, np.arange(len(origins))


@dataclass(frozen=True, eq=False, slots=True)
class Record:
    """Where the rows of a batch come from.

    of: what the batch itself does not say of them; None where it says everything.
    origins: int64[n], the packet of `of` that each row was; those of its own number where None.
    """

    likeness: Likeness
    of: Piece | Frames | None = None
    origins: Int64s | None = None

    def select(self, rows: Int64s) -> Record:
        """The record of a batch of these rows."""
        if self.of is None:
            return self
        origins = rows if self.origins is None else self.origins[rows]
        return Record(self.likeness, self.of, origins)

    def compacted(self, rows: int, octets: int) -> Record:
        """The same for as many rows of as many octets together, which may be few of all."""
        if self.of is None or self.of.octets.size <= MOST_SPARE + 2 * octets:
            return self
        origins = np.arange(rows) if self.origins is None else self.origins
        return Record(self.likeness, *self.of.reduced(origins))

    def ends(self, packets: Packets) -> bool:
        """Whether the frames of this batch end with the check sequences of their capture."""
        return isinstance(self.of, Frames) and self.of.ends(packets, self.origins)

    @classmethod
    def joined(cls, batches: Sequence[Batch]) -> Record | None:
        """The record of batches put together: nothing, unless they are of one piece."""
        records = [batch._record for batch in batches]
        first = records[0]
        if first is None or any(
            record is None or record.likeness is not first.likeness or record.of is not first.of
            for record in records
        ):
            return None
        if first.of is None:
            return first
        origins = [
            np.arange(len(batch)) if record is None or record.origins is None else record.origins
            for batch, record in zip(batches, records, strict=True)
        ]
        return cls(first.likeness, first.of, np.concatenate(origins))
