"""Packets of a pcapng file to another one, with the blocks around them and all their options.

Batches bring along the piece of the file that they were made from. What stands there before
a row that is written, and has not been written, is written before it: so every block keeps
its place, packets that are left out take nothing with them, and nothing comes twice. What
stands behind the last row waits for the next piece, or for the end of the file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import numpy as np

from encap._lib import Batch, ffi, lib, pointer
from encap.capture.blocks import PRIVATE_BLOCK
from encap.capture.formats import SECTION_TYPE, section_order
from encap.capture.kept import Int64s, Likeness, Piece
from encap.capture.losses import Losses, block_at
from encap.capture.output import BAD_TIME, Output, Tally
from encap.capture.sections import SectionWriter
from encap.errors import CaptureError
from encap.packets import Packets

DROPPED = {
    "dropped_hashes": "hashes of packets that were changed",
    "dropped_flags": "flags of packets that were changed: check sequence, checksums",
    "dropped_private": "custom options that are not to be copied",
    "dropped_blocks": PRIVATE_BLOCK,
}


class Copier:
    """Writes rows of one file, in the order in which they come.

    plain: what writes packets that have no place in the present section.
    """

    def __init__(
        self,
        output: Output,
        section: SectionWriter,
        losses: Losses,
        tally: Tally,
        plain: Callable[[Packets], None],
    ) -> None:
        self._output, self._section, self._plain = output, section, plain
        self._losses, self._tally = losses, tally
        self._piece: Piece | None = None  # the last one, where not all its blocks are written
        self._other = 0  # the next of its blocks that are no packets

    def write(
        self, packets: Packets, likeness: Likeness, piece: Piece, origins: Int64s | None
    ) -> None:
        """Append packets of a piece, after the blocks that stand before them."""
        if self._losses.meet(likeness, piece):
            self.finish()
            self._begin(piece)
        if origins is None:
            origins = np.arange(len(packets))
        present = piece.number == self._losses.last(likeness)
        other = self._other if present else piece.others.size
        for begin, end, here in self._runs(piece, origins):
            rows = packets if end - begin == len(packets) else packets[begin:end]
            if here:
                other = self._fill(rows, piece, origins[begin:end], other)
            else:
                # Their section has ended: its interfaces cannot be named any more.
                self._losses.lose_options(piece, origins[begin:end])
                self._plain(rows)
        if present:
            self._piece, self._other = piece if other < piece.others.size else None, other

    def _begin(self, piece: Piece) -> None:
        """Whatever the piece needs of what stands before it."""
        section, before = self._section, piece.before
        self._piece, self._other = piece, 0
        if before.number == 0:
            return
        if before.number != section.number:
            section.begin(before.header, before.order, before.number)
        for block in before.descriptions[len(section.descriptions) :]:
            section.copy_interface(block)

    def _runs(self, piece: Piece, origins: Int64s) -> Iterator[tuple[int, int, bool]]:
        """Rows in a row, and whether their section is one that is or will be written."""
        now, first, count = self._section.number or 0, piece.before.number, origins.size
        if piece.sections.size == 1 and piece.sections[0] == 0:
            first += 1  # as the first piece of most files begins
        elif piece.sections.size:
            first = -1
        if now <= first or not count:
            yield 0, count, True
            return
        sections = piece.sections_of(origins)
        here = sections >= np.maximum.accumulate(np.maximum(sections, now))
        bounds = [0, *(np.flatnonzero(here[1:] != here[:-1]) + 1).tolist(), count]
        for begin, end in pairwise(bounds):
            yield begin, end, bool(here[begin])

    def _fill(
        self, packets: Packets, piece: Piece, origins: Int64s, other: int, until: int = 0
    ) -> int:
        """The rows, and the blocks before `until`; which of the others is the next then."""
        output, origins = self._output, np.ascontiguousarray(origins)
        batch, times = Batch(packets), np.ascontiguousarray(packets.times)
        octets, stamps = pointer(piece.octets, "uint8_t"), pointer(times, "int64_t")
        arrays = [pointer(a, "int64_t") for a in (piece.packets, piece.others, origins)]
        state = ffi.new("encap_kept *", {"octets": octets, "other": other, "until": until})
        state.packets, state.others, state.origins = arrays
        state.size, state.end = piece.octets.size, len(packets)
        state.packet_count, state.other_count = piece.packets.size, piece.others.size
        status = -1
        while status != lib.ENCAP_KEPT_DONE:
            self._tell(state)
            order = self._section.order == ">"
            status = lib.encap_kept_fill(
                batch.pointer, stamps, order, state, output.target, output.room
            )
            if state.used or status == lib.ENCAP_KEPT_ROOM:
                output.put_filled(state.used, state.need)
            self._serve(status, state, piece)
        self._count(state)
        return int(state.other)

    def _tell(self, state: Any) -> None:
        """The interfaces that there are."""
        section = self._section
        if section.number is None:
            return
        state.interfaces, state.interface_count = section.scales.array, section.scales.count
        state.owners = section.owners.array
        state.variants, state.variant_count = section.variants.array, section.variants.count

    def _serve(self, status: int, state: Any, piece: Piece) -> None:
        """Do what the core has stopped for."""
        if status == lib.ENCAP_KEPT_STRUCTURE:
            self._copy_header(piece, int(piece.others[state.other]))
            state.other += 1
        elif status == lib.ENCAP_KEPT_OWNER:
            self._section.derive_interface(
                state.wanted, state.wanted_linktype, state.wanted_changes
            )
        elif status == lib.ENCAP_KEPT_WRONG:
            raise CaptureError("the octets of the file were changed after they were read")

    def _copy_header(self, piece: Piece, at: int) -> None:
        """A section or interface header of the piece."""
        head = piece.octets[at : at + 12].tobytes()
        if int.from_bytes(head[:4], "big") != SECTION_TYPE:
            self._section.copy_interface(block_at(piece.octets, at, self._section.order))
            return
        order = section_order(head)
        number = piece.before.number + 1 + int(np.searchsorted(piece.sections, at))
        self._section.begin(block_at(piece.octets, at, order), order, number)

    def _count(self, state: Any) -> None:
        self._tally.packets += state.written
        self._tally.octets += state.written_octets
        self._tally.leave_out(BAD_TIME, state.untimed)
        for name, what in DROPPED.items():
            self._tally.drop(what, getattr(state, name))

    def finish(self) -> None:
        """Write the blocks of the last piece that stand behind its last packet written."""
        piece, self._piece = self._piece, None
        if piece is not None:
            none = np.empty(0, np.int64)
            self._fill(Packets.from_frames([]), piece, none, self._other, piece.octets.size)
