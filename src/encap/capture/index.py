"""Where the packets stand: the core's index functions, driven piece by piece.

A decoder keeps the state between two pieces of a file: byte order, interfaces, the
arrays being filled. The core stops at what is rare, and it is read here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from encap import memory
from encap._lib import ffi, lib, pointer
from encap.capture.formats import (
    DEFAULT_SNAPLEN,
    LARGEST_LEN,
    PCAP_HEADER_LEN,
    SECTION_MIN_LEN,
    SECTION_TYPE,
    Interface,
    PcapHeader,
    check_section,
    parse_interface,
    section_order,
)
from encap.capture.kept import Frames, Likeness, Piece, Record, Section
from encap.errors import CaptureError
from encap.packets import Packets

Octets = npt.NDArray[np.uint8]
FIRST_ROWS = 4096
FIRST_OTHERS = 64
MOST_INTERFACES = 1 << 16  # of one section: what one octet of its file may cost stays small
MOST_DESCRIBED = 1 << 24  # octets of their descriptions, which are all kept

COLUMNS: dict[str, tuple[type[np.generic], str]] = {
    "starts": (np.int64, "int64_t"),
    "lengths": (np.uint32, "uint32_t"),
    "wire_lengths": (np.uint32, "uint32_t"),
    "times": (np.int64, "int64_t"),
    "linktypes": (np.uint16, "uint16_t"),
}


def repeated(value: int, count: int) -> npt.NDArray[np.uint16]:
    """`count` times the same number: `np.broadcast_to`, in a tenth of its time."""
    return np.ndarray((count,), np.uint16, np.array(value, np.uint16), strides=(0,))


class Decoder(ABC):
    """The index of a file that arrives in pieces.

    `advance` fills rows until the octets end; `failure` then says what was wrong, if anything.
    `origin` is where in the file the first octet of the buffer stood, `packets` how many rows
    were handed out before those that are in the arrays now.
    """

    format = ""
    header_len = 0
    more: ClassVar[dict[str, tuple[type[np.generic], str]]] = {}  # columns of this format alone

    def __init__(self, order: str) -> None:
        self.likeness = Likeness(self.format, order)
        self.failure: CaptureError | None = None
        self.cut = False  # what is wrong is only that the file ends too early
        self.origin = 0
        self.packets = 0
        self._records = ffi.new("encap_records *", {"position": self.header_len})
        self._arrays: dict[str, npt.NDArray[Any]] = {}
        self._pointers: list[Any] = []
        self._reserve(FIRST_ROWS)

    @property
    def big_endian(self) -> bool:
        return self.likeness.order == ">"

    @property
    def interfaces(self) -> list[Interface]:
        return self.likeness.interfaces

    @property
    def linktypes(self) -> dict[int, None]:
        return self.likeness.linktypes

    @property
    def position(self) -> int:
        """Octets of the buffer that are done with."""
        return int(self._records.position)

    @property
    def need(self) -> int:
        """Octets from `position` on that the next record is known to have."""
        return int(self._records.need)

    @property
    def count(self) -> int:
        return int(self._records.count)

    def _reserve(self, rows: int) -> None:
        """Room for `rows` rows; those that are filled stay."""
        records, kept = self._records, self.count
        self._pointers = []
        for name, (dtype, kind) in (COLUMNS | self.more).items():
            array = memory.empty(rows, dtype)
            if kept:
                array[:kept] = self._arrays[name][:kept]
            self._arrays[name] = array
            self._pointers.append(pointer(array, kind, writable=True))
            setattr(records, name, self._pointers[-1])
        records.capacity = rows

    def restart(self, position: int) -> None:
        """Forget the rows, and go on at `position` of a new buffer."""
        self.origin += self.position - position
        self.packets += self.count
        self._records.position = position
        self._records.count = 0

    def advance(self, octets: Octets, expected: int = 0) -> None:
        """Index the whole records of `octets`. `expected`: octets that the buffer will have."""
        data = pointer(octets, "uint8_t")
        while self.failure is None:
            status = self._index(data, octets.size)
            if status == lib.ENCAP_CAPTURE_MORE:
                return
            if status == lib.ENCAP_CAPTURE_FULL:
                self._grow(expected)
            elif not self._header(status, octets):
                return

    def _grow(self, expected: int) -> None:
        """Room for as many rows as there will likely be in as many octets."""
        records = self._records
        likely = int(records.count * expected / max(1, records.position) * 1.05)
        self._reserve(max(2 * records.capacity, likely))

    @abstractmethod
    def _index(self, data: Any, size: int) -> int:
        """Has the core index `size` octets; its status."""

    def _header(self, status: int, octets: Octets) -> bool:
        """Read what the core stopped at; False where it is not whole, or wrong."""
        at = self.position
        if status == lib.ENCAP_CAPTURE_LENGTH:
            self.fail(
                f"a record has a length that cannot be: {octets[at : at + 16].tobytes().hex()}"
            )
        elif status == lib.ENCAP_CAPTURE_TRAILER:
            self.fail("the lengths at both ends of a block differ")
        else:
            self.fail("a packet names an interface that was not described")
        return False

    def fail(self, message: str) -> None:
        """Note that the file is wrong at the record that comes next."""
        position, record = self.origin + self.position, self.packets + self.count
        self.failure = CaptureError(
            f"{message} (record {record}, octet {position})", record=record, position=position
        )

    def end(self, size: int) -> None:
        """Note that the file ends behind `size` octets of the buffer."""
        if self.failure is None and size > self.position:
            self.cut = True
            self.fail("the file is cut short")

    def batch(self, octets: Octets, *, copy: bool, error: CaptureError | None = None) -> Packets:
        """The rows filled so far, of the whole records in `octets`.

        copy: give them arrays of their own, so that those here can be filled again.
        """
        rows: dict[str, Any] = {name: self._arrays[name][: self.count] for name in COLUMNS}
        if len(self.linktypes) <= 1:
            linktype = next(iter(self.linktypes), 1)
            del rows["linktypes"]
        if copy:
            rows = {name: array.copy() for name, array in rows.items()}
        if "linktypes" not in rows:
            rows["linktypes"] = repeated(linktype, self.count)
        record = self._record(octets[: self.position], rows)
        return Packets._make(octets, **rows, error=error, record=record)

    def _record(self, octets: Octets, rows: dict[str, Any]) -> Record:
        """Where the rows come from."""
        return Record(self.likeness)


class PcapDecoder(Decoder):
    """pcap: one interface, whose header stands at the start."""

    format = "pcap"
    header_len = PCAP_HEADER_LEN

    def __init__(self, octets: bytes) -> None:
        header = PcapHeader.parse(octets)
        super().__init__(">" if header.big_endian else "<")
        self.likeness.header = octets
        self.interfaces.append(header.interface)
        self.linktypes[header.linktype] = None
        self._fcs_len = header.fcs_len or 0
        self._unit_ns = 1 if header.nanoseconds else 1000
        self._limit = max(DEFAULT_SNAPLEN, min(header.snaplen, LARGEST_LEN))

    def _index(self, data: Any, size: int) -> int:
        return int(
            lib.encap_pcap_index(
                data, size, self.big_endian, self._unit_ns, self._limit, self._records
            )
        )

    def _record(self, octets: Octets, rows: dict[str, Any]) -> Record:
        if not self._fcs_len:
            return super()._record(octets, rows)
        frames = Frames(octets, rows["starts"], rows["lengths"], self._fcs_len)
        return Record(self.likeness, frames)


class PcapngDecoder(Decoder):
    """pcapng: sections, each with a byte order and interfaces of its own."""

    format = "pcapng"
    header_len = 0  # the first section header is a block like any other
    more: ClassVar = {"blocks": (np.int64, "int64_t")}

    def __init__(self, octets: bytes) -> None:
        super().__init__(section_order(octets))
        self._table = ffi.new("encap_interface[]", 8)
        self._present = Section()  # the present one, so far as `_described` has been put into it
        self._described: list[bytes] = []
        self._described_len = 0
        self._pieces = 0
        self._others = np.empty(0, np.int64)
        self._reserve_others(FIRST_OTHERS)
        self._begin_piece()

    def _reserve_others(self, count: int) -> None:
        """Room for the positions of blocks that are no packets; those that are there stay."""
        records, others = self._records, np.empty(count, np.int64)
        if records.other_count:
            others[: records.other_count] = self._others[: records.other_count]
        self._others, self._room = others, pointer(others, "int64_t", writable=True)
        records.others, records.other_capacity = self._room, count

    def _grow(self, expected: int) -> None:
        if self._records.other_count == self._records.other_capacity:
            self._reserve_others(2 * len(self._others))
        if self._records.count == self._records.capacity:
            super()._grow(expected)

    def _pass(self, at: int, total: int) -> None:
        """Go on behind a header, which is no packet."""
        records = self._records
        if records.other_count == records.other_capacity:
            self._reserve_others(2 * len(self._others))
        self._others[records.other_count] = at
        records.other_count += 1
        records.position = at + total

    def _begin_piece(self) -> None:
        """What stands before the octets that are indexed from here on."""
        self._records.other_count = 0
        self._sections: list[int] = []
        if len(self._described) > len(self._present.descriptions):
            self._present = replace(self._present, descriptions=tuple(self._described))
        self._before, self._passed = self._present, int(self._records.passed)

    def restart(self, position: int) -> None:
        super().restart(position)
        self._pieces += 1
        self._begin_piece()

    def _record(self, octets: Octets, rows: dict[str, Any]) -> Record:
        piece = Piece(
            octets,
            self._pieces,
            self._before,
            self._arrays["blocks"][: self.count].copy(),
            rows["lengths"],
            self._others[: self._records.other_count].copy(),
            np.array(self._sections, np.int64),
            self._passed,
            int(self._records.passed) - self._passed,
        )
        return Record(self.likeness, piece)

    def _index(self, data: Any, size: int) -> int:
        return int(
            lib.encap_pcapng_index(
                data,
                size,
                self.big_endian,
                LARGEST_LEN,
                self._table,
                len(self.interfaces),
                self._records,
            )
        )

    def _header(self, status: int, octets: Octets) -> bool:
        try:
            if status == lib.ENCAP_CAPTURE_SECTION:
                return self._section(octets)
            if status == lib.ENCAP_CAPTURE_DESCRIPTION:
                return self._description(octets)
        except CaptureError as error:
            self.fail(str(error))
            return False
        return super()._header(status, octets)

    def _section(self, octets: Octets) -> bool:
        at = self.position
        order = section_order(octets[at : at + 12].tobytes())
        total = int.from_bytes(
            octets[at + 4 : at + 8].tobytes(), "big" if order == ">" else "little"
        )
        if total < SECTION_MIN_LEN or total % 4 or total > LARGEST_LEN:
            raise CaptureError(f"a section header cannot have {total} octets")
        self._records.need = total
        if octets.size - at < total:
            return False
        block = octets[at : at + total].tobytes()
        check_section(block, order)
        self._present = Section(self._present.number + 1, order, block)
        self._described, self._described_len = [], 0
        self.likeness.order = order
        self.interfaces.clear()  # they are numbered from 0 again
        self._sections.append(at)
        self._pass(at, total)
        return True

    def _description(self, octets: Octets) -> bool:
        at = self.position
        total = int(self._records.need)
        block = octets[at : at + total].tobytes()
        interface = parse_interface(block, self.likeness.order)
        number = len(self.interfaces)
        if number == MOST_INTERFACES:
            raise CaptureError(f"a section describes more than {MOST_INTERFACES} interfaces")
        self._described_len += total
        if self._described_len > MOST_DESCRIBED:
            raise CaptureError(
                f"a section describes its interfaces in more than {MOST_DESCRIBED} octets"
            )
        if number == len(self._table):
            grown = ffi.new("encap_interface[]", 2 * number)
            ffi.memmove(grown, self._table, ffi.sizeof(self._table))
            self._table = grown
        fields = ("multiplier", "divisor", "offset", "shift", "snaplen", "linktype", "timeless")
        self._table[number] = dict(zip(fields, interface.scale(), strict=True))
        self._described.append(block)
        self.interfaces.append(interface)
        self.linktypes[interface.linktype] = None
        self._pass(at, total)
        return True


def decoder_for(octets: bytes) -> Decoder:
    """The decoder for a file that begins with `octets`, 24 of them where it has as many."""
    if int.from_bytes(octets[:4], "big") == SECTION_TYPE:
        if len(octets) >= 12:
            return PcapngDecoder(octets)
    elif len(octets) >= PCAP_HEADER_LEN:
        return PcapDecoder(octets[:PCAP_HEADER_LEN])
    if not octets:
        raise CaptureError("an empty file is no capture", position=0)
    raise CaptureError("the file is cut short in its header", record=0, position=0)
