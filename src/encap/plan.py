"""What a plan is: which octets stand in front of a packet, and which of them vary.

A plan is data for the core (`encap_plan` in core/api.h), made from a template by
`encap.planning`. Whatever depends on the packet (lengths, the next protocol, checksums, columns,
what is inherited) is a word made of pieces, or a checksum with all that counts in it; everything
else is octets.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from encap.fields import Field, View

__all__ = ["CARRIED", "MOST_OPTIONS", "Check", "Hole", "Piece", "Plan", "Slot", "Word"]

CARRIED = ("eth", "ipv4", "ipv6", None)
"""What a packet can begin with, in the order of the core's `encap_carried`; None is anything."""
MOST_OPTIONS = {"geneve": 252, "ipv4": 40}
"""Headers whose options may be a column, and how many octets of them there may be."""


class Piece(NamedTuple):
    """A number in a word, `source` being the name behind `ENCAP_FROM_` in the core.

    key: which of the caller's arrays it is, for a column.
    """

    source: str
    mask: int
    shift: int = 0
    add: int = 0
    hole: int = 0
    key: str = ""


class Word(NamedTuple):
    """Octets that vary; see `encap_word`."""

    at: int
    size: int
    pieces: tuple[Piece, ...]
    keep: int
    holes: int
    covers: int
    odd: int


class Check(NamedTuple):
    """A checksum; see `encap_check`."""

    at: int
    base: int
    holes: int
    payload: int
    zero: int
    covers: int
    odd: int


class Hole(NamedTuple):
    """Octets of a column of options, in front of template octet `at`; see `encap_hole`."""

    at: int
    key: str
    most: int
    covers: int
    odd: int


@dataclass(frozen=True, slots=True)
class Plan:
    """What the core needs to put a template's headers in front of a packet."""

    octets: bytes
    words: tuple[Word, ...]
    checks: tuple[Check, ...]
    holes: tuple[Hole, ...]
    most: int

    def uses(self, *sources: str) -> bool:
        """True when a piece comes from one of them."""
        return any(piece.source in sources for word in self.words for piece in word.pieces)


class Slot(NamedTuple):
    """A field of the template that varies, and what gives its number.

    header: its index.  view: the part of the field that is meant, or None.
    """

    header: int
    field: Field
    view: View | None
    source: str
    add: int = 0
    key: str = ""
