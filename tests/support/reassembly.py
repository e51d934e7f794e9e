"""Reassembly as it is written down, octet by octet: what the core is held against."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple


class Piece(NamedTuple):
    """A fragment: where in the datagram its octets are, whether more follow, and its ECN field."""

    offset: int
    octets: bytes
    more: bool
    ecn: int = 0

    @property
    def end(self) -> int:
        return self.offset + len(self.octets)


@dataclass
class Datagram:
    """What there is of a datagram. runs: spans of octets that came in order."""

    pieces: list[Piece] = field(default_factory=list)
    runs: list[list[int]] = field(default_factory=list)
    total: int | None = None

    def overlaps(self, piece: Piece) -> bool:
        return any(a < piece.end and piece.offset < b for a, b in self.runs)

    def contradicts(self, piece: Piece) -> bool:
        reach = max((one.end for one in self.pieces), default=0)
        if piece.more:
            return self.total is not None and piece.end > self.total
        return piece.end < reach or self.total not in (None, piece.end)

    def place(self, piece: Piece) -> None:
        last = max(self.runs, default=None)
        if last and last[1] == piece.offset:
            last[1] = piece.end
        else:
            self.runs.append([piece.offset, piece.end])

    def duplicates(self, piece: Piece, overlap: str) -> bool:
        if overlap == "linux":
            return any(a <= piece.offset and piece.end <= b for a, b in self.runs)
        if overlap == "rfc":
            return any((a.offset, a.end) == (piece.offset, piece.end) for a in self.pieces)
        present = {at for one in self.pieces for at in range(one.offset, one.end)}
        return overlap == "first" and present >= set(range(piece.offset, piece.end))

    def whole(self, overlap: str) -> bytes | None:
        if self.total is None:
            return None
        octets: dict[int, int] = {}
        for piece in self.pieces if overlap != "first" else reversed(self.pieces):
            octets.update(enumerate(piece.octets, piece.offset))
        if len(octets) < self.total:
            return None
        return bytes(octets[at] for at in range(self.total))


class Twin:
    """One datagram's fragments, one after the other; those behind a whole datagram begin another.

    whole: octets and ECN of the datagrams.  lost: fragments that are part of none, by reason.
    """

    def __init__(self, overlap: str, *, six: bool) -> None:
        self.overlap = "rfc" if six and overlap in ("first", "last") else overlap
        self.now: Datagram | None = None
        self.dropped = False
        self.whole: list[tuple[bytes, int]] = []
        self.lost: Counter[str] = Counter()

    def add(self, piece: Piece) -> None:
        if not piece.octets or (piece.more and len(piece.octets) % 8):
            self.lost["malformed fragments"] += 1
            return
        if self.dropped:
            self.lost["overlapping fragments"] += 1
            return
        now = self.now = self.now or Datagram()
        if now.contradicts(piece):
            self.drop("fragments that disagree on the length", 1)
            return
        if now.duplicates(piece, self.overlap):
            self.note_end(piece)
            self.lost["duplicates of fragments"] += 1
            return
        if self.overlap in ("linux", "rfc") and now.overlaps(piece):
            self.drop("overlapping fragments", 1)
            self.dropped = self.overlap == "rfc"
            return
        self.note_end(piece)
        now.place(piece)
        now.pieces.append(piece)
        self.finish()

    def note_end(self, piece: Piece) -> None:
        assert self.now is not None
        if not piece.more:
            self.now.total = piece.end

    def drop(self, reason: str, more: int = 0) -> None:
        assert self.now is not None
        self.lost[reason] += len(self.now.pieces) + more
        self.now = None

    def finish(self) -> None:
        assert self.now is not None
        octets = self.now.whole(self.overlap)
        if octets is None:
            return
        marks = {piece.ecn for piece in self.now.pieces}
        if 0 in marks and len(marks) > 1:
            self.drop("fragments that disagree on ECN")
            return
        self.whole.append((octets, 3 if 3 in marks else self.first_ecn()))
        self.now = None

    def first_ecn(self) -> int:
        assert self.now is not None
        return next(piece.ecn for piece in self.now.pieces if not piece.offset)

    def flush(self) -> None:
        if self.now is not None:
            self.drop("fragments of incomplete datagrams")
