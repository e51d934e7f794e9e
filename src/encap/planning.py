"""From a template to a plan, by the headers' descriptions.

What a field means is read as `Packet` reads it: for every row the result is
`bytes(template / packet)`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Any, NamedTuple

from encap.assemble import pseudo_sum
from encap.checksum import fold, ones_sum
from encap.errors import FieldError
from encap.fields import Checksum, Header, Length, Next
from encap.plan import MOST_OPTIONS, Check, Hole, Piece, Plan, Slot, Word
from encap.registry import Registry
from encap.template_octets import TemplateOctets

__all__ = ["compile_plan"]

LARGEST_LEN = 0xFFFF
MOST_WORDS, MOST_CHECKS, MOST_HOLES, MOST_LAYERS = 64, 16, 4, 16


class _Request(NamedTuple):
    """Bits of the template that vary: `first` counts from its start, as do the octets of the header
    that they belong to, from `begin` to `end`.
    """

    first: int
    bits: int
    source: str
    add: int
    hole: int
    key: str
    begin: int
    end: int


class _Range(NamedTuple):
    """What a checksum covers: template octets, and words of a pseudo header by where they are."""

    header: int
    role: Checksum
    at: int
    start: int
    stop: int | None
    pseudo: tuple[int, ...]


def compile_plan(
    headers: Iterable[Header], registry: Registry, slots: Iterable[Slot], carried: str | None
) -> Plan:
    """The plan for packets that begin with the header called `carried`, None being any other.

    FieldError for what cannot be built: an address that is missing, a last header that cannot
    carry such packets, columns that share octets in a way the core cannot write.
    """
    return _Compiler(tuple(headers), registry, tuple(slots), carried).plan()


class _Compiler(TemplateOctets):
    """One template for one kind of packets."""

    # --- what varies ------------------------------------------------------------------

    def _requests(self) -> list[_Request]:
        """Every run of bits that differs from packet to packet."""
        found = [self._of_slot(slot) for slot in self.slots]
        for index in range(len(self.headers)):
            found += self._of_lengths(index)
        for number, (index, slot) in enumerate(self.holes):
            found += self._of_options(number, index, slot)
        return found

    def _of_slot(self, slot: Slot) -> _Request:
        first, bits = self._bit(slot.header, slot.field), slot.field.bits
        if slot.view is not None:
            first, bits = first + bits - slot.view.shift - slot.view.bits, slot.view.bits
        return self._request(slot.header, first, bits, slot.source, slot.add, 0, slot.key)

    def _request(
        self, index: int, first: int, bits: int, source: str, add: int, hole: int, key: str = ""
    ) -> _Request:
        begin, end = self.starts[index : index + 2]
        return _Request(first, bits, source, add, hole, key, begin, end)

    def _of_lengths(self, index: int) -> Iterator[_Request]:
        header = self.headers[index]
        end = self.starts[index + 1]
        for name, _, role, _, field, _, _ in self._open(index):
            follower = self.headers[index + 1].path if index + 1 < len(self.headers) else ""
            if isinstance(role, Length) and role.of == "packet":
                begin = self.starts[index]
            elif isinstance(role, Length) or (
                isinstance(role, Next)
                and role.space == "ethertype"
                and follower == "llc"
                and header.path not in ("sll", "sll2")
            ):
                begin = end
            else:
                continue
            first = self._bit(index, header.fields[name])
            add = len(self.octets) - begin
            hole = self._holes_before(begin)
            yield self._request(index, first, field.bits, "LENGTH", add, hole)

    def _of_options(self, number: int, index: int, slot: Slot) -> Iterator[_Request]:
        """The fields that say how long options are, and what they are."""
        header = self.headers[index]
        told = {"geneve": (("opt_len", "HOLE", 0), ("critical", "CRITICAL", 0)),
                "ipv4": (("ihl", "HOLE", header.fixed_len // 4),)}  # fmt: skip
        for name, source, add in told.get(header.path, ()):
            if getattr(header, name) is None and (index, name) not in self.given:
                field = header.fields[name]
                first = self._bit(index, field)
                yield self._request(index, first, field.bits, source, add, number)

    # --- checksums ------------------------------------------------------------------------

    def _ranges(self) -> list[_Range]:
        """What is covered by the checksums to compute, those inside others first."""
        found = []
        for index in range(len(self.headers) - 1, -1, -1):
            for name, _, role, _, _, at, _ in self._open(index):
                if not isinstance(role, Checksum):
                    continue
                if role.algorithm != "internet":
                    raise FieldError(
                        f"{self.headers[index].path}.{name} cannot be computed here: give it",
                        layer=self.headers[index].path,
                        field=name,
                    )
                start = self.starts[index]
                stop = self.starts[index + 1] if role.covers == "header" else None
                pseudo = self._pseudo(index) if role.pseudo else ()
                found.append(_Range(index, role, start + at, start, stop, pseudo))
        return found

    def _pseudo(self, index: int) -> tuple[int, ...]:
        """Template octets of the addresses in the pseudo header; () without an IP header."""
        final = False
        for before in range(index - 1, -1, -1):
            header: Any = self.headers[before]
            if header.path in ("ipv4", "ipv6"):
                names = ("src",) if final else ("src", "dst")
                return tuple(self._bit(before, header.fields[name]) // 8 for name in names)
            if header.path == "routing":
                for name in ("type", "segments_left"):
                    if (before, name) in self.given:
                        raise FieldError(
                            f"routing.{name} cannot be a column: it says which address the checksum"
                            f" of {self.headers[index].path} covers",
                            layer="routing",
                            field=name,
                        )
                final = final or bool(header.final_destination())
        return ()

    def _covering(self, at: int, ranges: list[_Range]) -> tuple[int, int]:
        """Which checksums cover octet `at`, and in which of them it stands at an odd place."""
        covers = odd = 0
        for number, (_, _, _, start, stop, pseudo) in enumerate(ranges):
            inside = start <= at and (stop is None or at < stop)
            if inside or at in pseudo:
                covers |= 1 << number
            if inside and (at - start) % 2:
                odd |= 1 << number
        return covers, odd

    def _base(self, covered: _Range, varying: bytearray) -> int:
        """The sum of what is the same in every packet."""
        header, _, _, start, stop, pseudo = covered
        total = ones_sum(bytes(varying[start:stop]))
        if pseudo:
            number = self.headers[header].number(self.registry, "protocol") or 0
            total += pseudo_sum(self.headers[:header], number, 0)
        return fold(total)

    # --- together ---------------------------------------------------------------------------

    def plan(self) -> Plan:
        ranges = self._ranges()
        words = list(self._words(ranges))
        constant = bytearray(self.octets)
        for word in words:
            constant[word.at : word.at + word.size] = bytes(word.size)
        for covered in ranges:
            constant[covered.at : covered.at + 2] = bytes(2)
        octets = bytearray(self.octets)
        checks = []
        for number, covered in enumerate(ranges):
            covers, odd = self._covering(covered.at, ranges)
            itself = ~(1 << number)
            rest = 1 + (len(octets) - covered.start) % 2 if covered.stop is None else 0
            checks.append(
                Check(
                    covered.at,
                    self._base(covered, constant),
                    self._holes_before(covered.at),
                    rest,
                    int(bool(covered.role.zero)),
                    covers & itself,
                    odd & itself,
                )
            )
            if covered.pseudo:
                words.append(self._pseudo_length(number, covered))
        holes = []
        for index, slot in self.holes:
            at = self._hole_at(index)
            covers, odd = self._covering_hole(index, ranges)
            most = MOST_OPTIONS[self.headers[index].path]
            holes.append(Hole(at, slot.key, most, covers, odd))
        return self._checked(Plan(bytes(octets), tuple(words), tuple(checks), tuple(holes), 0))

    def _covering_hole(self, index: int, ranges: list[_Range]) -> tuple[int, int]:
        """Which checksums cover the options of a header: those that cover its first octet."""
        start = self.starts[index]
        covers, _ = self._covering(start, ranges)
        odd = 0
        for number, covered in enumerate(ranges):
            if covers >> number & 1 and (self._hole_at(index) - covered.start) % 2:
                odd |= 1 << number
        return covers, odd

    def _pseudo_length(self, number: int, covered: _Range) -> Word:
        """The length in a pseudo header, which stands nowhere."""
        add = len(self.octets) - covered.start
        piece = Piece("LENGTH", 0xFFFFFFFF, 0, add, self._holes_before(covered.start))
        return Word(0, 0, (piece,), 0, 0, 1 << number, 0)

    def _words(self, ranges: list[_Range]) -> Iterator[Word]:
        """The requests as words that do not overlap."""
        requests = sorted(self._requests())
        for one, other in pairwise(requests):
            if one.first + one.bits > other.first:
                raise FieldError("two columns or options give the same field of the template")
        for begin, end, members in _spans(requests):
            yield self._word(begin, end - begin, members, ranges)

    def _word(self, at: int, size: int, members: list[_Request], ranges: list[_Range]) -> Word:
        covers, odd = self._covering(at, ranges)
        if size > 4:
            piece = Piece("COLUMN", 0, key=members[0].key)
            return Word(at, size, (piece,), 0, self._holes_before(at), covers, odd)
        keep = int.from_bytes(self.octets[at : at + size], "big")
        pieces = []
        for first, bits, source, add, hole, key, _, _ in members:
            shift, mask = (at + size) * 8 - first - bits, (1 << bits) - 1
            keep &= ~(mask << shift)
            pieces.append(Piece(source, mask, shift, add, hole, key))
        return Word(at, size, tuple(pieces), keep, self._holes_before(at), covers, odd)

    def _checked(self, plan: Plan) -> Plan:
        limits = (
            ("columns and other fields that vary", plan.words, MOST_WORDS),
            ("checksums", plan.checks, MOST_CHECKS),
            ("columns of options", plan.holes, MOST_HOLES),
            ("headers", self.headers, MOST_LAYERS),
        )
        for what, found, most in limits:
            if len(found) > most:
                raise FieldError(f"a template has at most {most} {what}, not {len(found)}")
        adds = [
            piece.add
            for word in plan.words
            for piece in word.pieces
            if piece.source == "LENGTH" and word.size
        ]
        most = LARGEST_LEN - max(adds, default=0) if adds else (1 << 32) - 1
        if most < 0:
            raise FieldError(f"the template alone has more than {LARGEST_LEN} octets")
        return Plan(plan.octets, plan.words, plan.checks, plan.holes, most)


def _spans(requests: list[_Request]) -> Iterator[tuple[int, int, list[_Request]]]:
    """Requests that share octets, as octets of the template: 2 or 4, or those of an address."""
    spans: list[tuple[int, int, list[_Request]]] = []
    for request in requests:
        begin, end = _octets_of(request)
        if spans and begin < spans[-1][1]:
            before, stop, members = spans.pop()
            spans.append((before, max(stop, end), [*members, request]))
        else:
            spans.append((begin, end, [request]))
    for begin, end, members in spans:
        if end - begin not in (2, 4) and (len(members) > 1 or members[0].bits <= 32):
            raise FieldError("columns of the template share octets in a way that is not supported")
        yield begin, end, members


def _octets_of(request: _Request) -> tuple[int, int]:
    """2 or 4 octets of the header around the bits; the octets of an address themselves.

    From an even place of the header on where that can be: then they are whole words of a checksum.
    """
    begin, end = request.first // 8, -(-(request.first + request.bits) // 8)
    if request.bits > 32:
        return begin, end
    begin -= (begin - request.begin) % 2
    width = 2 if end - begin <= 2 else 4
    begin = min(begin, request.end - width)
    return begin, begin + width
