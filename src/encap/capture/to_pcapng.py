"""Packets to pcapng: those of the file that it is like with all around them, others alone.

Source: draft-ietf-opsawg-pcapng sections 3 and 4.
"""

from __future__ import annotations

from encap._lib import ffi, lib, pointer
from encap.capture.copying import Copier
from encap.capture.kept import Piece
from encap.capture.losses import Losses
from encap.capture.output import Output, Rows, Snaplen, Tally, Wishes
from encap.capture.sections import SectionWriter
from encap.errors import CaptureError
from encap.packets import Packets

BLOCK_LEN = 64  # octets that the block of a packet has more than it, without options
LAST_NS = 1 << 63


class PcapngForm:
    """A pcapng file that is being written."""

    format = "pcapng"

    def __init__(self, output: Output, wishes: Wishes, tally: Tally) -> None:
        self._output, self._wishes, self._tally = output, wishes, tally
        self._snaplen = Snaplen(output, wishes, unlimited=True)
        self._section = SectionWriter(output, self._snaplen)
        self.losses = Losses(tally, wishes.like, Piece)
        self._nanoseconds = wishes.nanoseconds is not False
        self._row = ffi.new("uint64_t *")
        self._copier = Copier(output, self._section, self.losses, tally, self._write_plain)

    @property
    def linktypes(self) -> tuple[int, ...]:
        """Those of all interfaces, in order of appearance."""
        return tuple(self._section.linktypes)

    def write(self, packets: Packets) -> None:
        """Append a batch. CaptureError for what the file cannot hold."""
        record = packets._record
        if record is not None and isinstance(record.of, Piece) and self.losses.keeps(record):
            if self._wishes.snaplen is not None and len(packets):
                self._snaplen.check(int(packets.lengths.max()))
            self._copier.write(packets, record.likeness, record.of, record.origins)
        else:
            self.losses.lose(record)
            self._write_plain(packets)

    def _write_plain(self, packets: Packets) -> None:
        rows = Rows(packets).timed(LAST_NS, self._tally)
        if not len(rows.packets):
            return
        if rows.extent.finer and not self._nanoseconds:
            raise CaptureError(
                "the file counts microseconds and a time has parts of one: give nanoseconds=True"
            )
        self._snaplen.check(rows.extent.longest)
        self._plain_interfaces(rows.kinds)
        self._fill_plain(rows)
        self._tally.packets += len(rows.packets)
        self._tally.octets += rows.extent.octets

    def _plain_interfaces(self, kinds: list[int]) -> None:
        if self._section.number is None:
            self._section.begin_plain(self._wishes.order)
        self._section.plain_interfaces(kinds, nanoseconds=self._nanoseconds)

    def _fill_plain(self, rows: Rows) -> None:
        output, linktypes, numbers = self._output, rows.packets.linktypes, self._section.plain
        mixed = bool(rows.extent.mixed)
        owners = pointer(numbers[linktypes] if mixed else numbers[linktypes[:1]], "uint16_t")
        count, unit = len(rows.packets), 1 if self._nanoseconds else 1000
        order, batch, times = self._section.order == ">", rows.source.pointer, rows.stamps
        self._row[0] = 0
        while self._row[0] < count:
            used = lib.encap_pcapng_fill(
                batch, times, owners, mixed, self._row, count, order, unit,
                output.target, output.room,
            )  # fmt: skip
            output.put_filled(used, rows.extent.longest + BLOCK_LEN)

    def write_rest(self, rest: Packets) -> None:
        """Append what stands in the file that is copied behind its last batch."""
        record = rest._record
        begun = self._section.number is not None
        if record is not None and not (begun and self.losses.last(record.likeness) < 0):
            self.write(rest)

    def end(self, linktype: int) -> None:
        """End the file, which has an interface though no packet said one."""
        self._copier.finish()
        if self._section.number is None:
            self._snaplen.check(0)
            self._plain_interfaces([linktype])
        self._section.end()
        self._snaplen.end()
