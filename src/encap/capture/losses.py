"""A count of what stands in a pcapng file and does not come into the file that is written."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from encap.capture.blocks import OPTIONS_OF, name_of_type, says_more
from encap.capture.formats import BYTE_ORDER_MAGIC, INTERFACE_TYPE, SECTION_TYPE
from encap.capture.kept import Frames, Int64s, Likeness, Piece, Record
from encap.capture.output import Tally

PACKET_LEN = 32  # octets of the block of a packet without octets and options
NOT_GIVEN = "blocks of batches that were not written, or not in order"
PACKET_OPTIONS = "options of packets"
CHECK_SEQUENCE = "length of the check sequence that ends each frame"


class Losses:
    """Counts blocks once, whatever becomes of the batches they stand around.

    kept: what the records of the file that is copied hold, where it can be copied.
    """

    def __init__(self, tally: Tally, like: Likeness | None, kept: type[Piece | Frames]) -> None:
        self._tally, self._like, self._kept = tally, like, kept
        self._met: dict[Likeness, tuple[int, int]] = {}  # the last piece, and blocks up to its end
        self._framed: set[Likeness] = set()

    def last(self, likeness: Likeness) -> int:
        """The number of the last piece of a capture that was met; -1 where there was none."""
        return self._met.get(likeness, (-1, 0))[0]

    def meet(self, likeness: Likeness, piece: Piece) -> bool:
        """Whether the piece comes for the first time; those in between never came."""
        number, passed = self._met.get(likeness, (-1, 0))
        if piece.number <= number:
            return False
        if likeness is self._like:
            self._tally.drop(NOT_GIVEN, piece.passed - passed)
        self._met[likeness] = piece.number, piece.passed + piece.inside
        return True

    def keeps(self, record: Record | None) -> bool:
        """Whether nothing of what the record holds is lost."""
        if record is None or record.of is None:
            return True
        return record.likeness is self._like and isinstance(record.of, self._kept)

    def lose(self, record: Record | None) -> None:
        """Count what is lost where rows are written without what the record holds, if it is."""
        if record is None or self.keeps(record):
            return
        if isinstance(record.of, Frames):
            self.lose_ends(record.likeness)
        elif record.of is not None:
            if self.meet(record.likeness, record.of):
                for what, count in _others(record.of).items():
                    self._tally.drop(what, count)
            self.lose_options(record.of, slice(None) if record.origins is None else record.origins)

    def lose_ends(self, likeness: Likeness) -> None:
        """Count that it is lost how long the check sequences of a capture are; once."""
        if likeness not in self._framed:
            self._framed.add(likeness)
            self._tally.drop(CHECK_SEQUENCE)

    def lose_options(self, piece: Piece, origins: Int64s | slice) -> None:
        """Count the packets whose options are lost."""
        ends = np.append(piece.packets, piece.octets.size)[1:]
        plain = piece.packets + PACKET_LEN + 3 + piece.lengths  # the last place for the end of one
        rows = np.arange(ends.size)[origins]
        rows = rows[(ends > plain)[rows]]  # or it has blocks of another kind behind it
        starts = piece.packets[rows]
        totals = _words(piece, starts + 4, _orders(piece, starts))
        self._tally.drop(PACKET_OPTIONS, int(np.count_nonzero(starts + totals > plain[rows])))


def _orders(piece: Piece, positions: Int64s) -> npt.NDArray[np.bool_]:
    """bool[n]: whether the blocks that stand there are in big-endian order."""
    magics = piece.octets[piece.sections[:, None] + np.arange(8, 12)].view(">u4").ravel()
    big = np.concatenate([[piece.before.order == ">"], magics == BYTE_ORDER_MAGIC])
    return big[np.searchsorted(piece.sections, positions, side="right")]


def _words(piece: Piece, at: Int64s, orders: npt.NDArray[np.bool_]) -> Int64s:
    """int64[n]: the 32 bits that stand at each of the positions."""
    octets = piece.octets[at[:, None] + np.arange(4)]
    big, little = octets.view(">u4").ravel(), octets.view("<u4").ravel()
    found: Int64s = np.where(orders, big, little).astype(np.int64)
    return found


def _others(piece: Piece) -> dict[str, int]:
    """How many blocks there are of each kind, but for packets; headers count by their options."""
    found = dict[str, int]()
    orders = _orders(piece, piece.others)
    kinds = _words(piece, piece.others, orders)
    for kind, count in zip(*np.unique(kinds, return_counts=True), strict=True):
        if kind not in OPTIONS_OF:
            name = name_of_type(int(kind))
            found[name] = found.get(name, 0) + int(count)
    for row in np.flatnonzero((kinds == SECTION_TYPE) | (kinds == INTERFACE_TYPE)):
        order = ">" if orders[row] else "<"
        if says_more(block_at(piece.octets, int(piece.others[row]), order), order):
            name = OPTIONS_OF[int(kinds[row])]
            found[name] = found.get(name, 0) + 1
    return found


def block_at(octets: npt.NDArray[np.uint8], at: int, order: str) -> bytes:
    """The whole block that stands at `at`."""
    total = int.from_bytes(octets[at + 4 : at + 8].tobytes(), "big" if order == ">" else "little")
    return octets[at : at + total].tobytes()
