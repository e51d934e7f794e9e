"""Packets to pcap: a header, and a record a packet.

Source: draft-ietf-opsawg-pcap sections 4 and 5.
"""

from __future__ import annotations

from dataclasses import replace

from encap._lib import ffi, lib
from encap.capture.formats import PcapHeader
from encap.capture.kept import Frames
from encap.capture.losses import Losses
from encap.capture.output import Output, Rows, Snaplen, Tally, Wishes
from encap.errors import CaptureError
from encap.packets import Packets

RECORD_LEN = 16
SNAPLEN_OFFSET, LINKTYPE_OFFSET = 16, 20
LAST_NS = (1 << 32) * 10**9  # seconds are 32 bits


class PcapForm:
    """A pcap file that is being written."""

    format = "pcap"

    def __init__(self, output: Output, wishes: Wishes, tally: Tally) -> None:
        self._output, self._wishes, self._tally = output, wishes, tally
        self._snaplen = Snaplen(output, wishes, unlimited=False)
        self._nanoseconds = wishes.nanoseconds
        self._header: PcapHeader | None = None
        self._flags = 0  # as they are in the file
        self._losses = Losses(tally, wishes.like, Frames)
        self._row = ffi.new("uint64_t *")

    @property
    def linktypes(self) -> tuple[int, ...]:
        """The one link type, once it is known."""
        return () if self._header is None else (self._header.linktype,)

    def write(self, packets: Packets) -> None:
        """Append a batch. CaptureError, and nothing is written, for what pcap cannot hold."""
        self._losses.lose(packets._record)
        rows = Rows(packets).timed(LAST_NS, self._tally)
        if not len(rows.packets):
            return
        kinds = rows.kinds
        self._check_linktypes(kinds)
        self._check_resolution(finer=bool(rows.extent.finer))
        self._snaplen.check(rows.extent.longest)
        if self._header is None:
            self._begin(kinds[0])
        self._check_ends(rows.packets)
        self._fill(rows)
        self._tally.packets += len(rows.packets)
        self._tally.octets += rows.extent.octets

    def _fill(self, rows: Rows) -> None:
        output, count, unit = self._output, len(rows.packets), 1 if self._nanoseconds else 1000
        batch, order = rows.source.pointer, self._wishes.order == ">"
        self._row[0] = 0
        while self._row[0] < count:
            used = lib.encap_pcap_fill(
                batch, rows.stamps, self._row, count, order, unit, output.target, output.room
            )
            output.put_filled(used, rows.extent.longest + RECORD_LEN)

    def _check_linktypes(self, kinds: list[int]) -> None:
        found = sorted({*kinds, *self.linktypes})
        if len(found) > 1:
            raise CaptureError(
                f"a pcap file has one link type, these packets have {found}: write pcapng, or give"
                ' link="ethernet" with src= and dst=, or link="raw"'
            )

    def _check_resolution(self, *, finer: bool) -> None:
        """The first batch decides between microseconds and nanoseconds where nobody else did."""
        if self._nanoseconds is None:
            like = self._wishes.like
            self._nanoseconds = finer or (like is not None and like.resolution > 10**6)
        elif finer and not self._nanoseconds:
            raise CaptureError(
                "the file counts microseconds and a time has parts of one: give nanoseconds=True"
            )

    def _begin(self, linktype: int) -> None:
        """The header: that of the file it is like, as far as it says what is true of this one."""
        like = self._wishes.like
        big_endian, fine = self._wishes.order == ">", bool(self._nanoseconds)
        snaplen = self._snaplen.written(SNAPLEN_OFFSET, self._wishes.order)
        header = PcapHeader(big_endian, fine, snaplen, linktype)
        if like is not None and like.header:
            known = PcapHeader.parse(like.header)
            header = replace(known, nanoseconds=fine, snaplen=snaplen, linktype=linktype)
            # Whether frames end as it says is known at the end, and has to be corrected there.
            if known.linktype != linktype or not self._output.writer.patchable:
                header = self._without_fcs(header)
        self._header, self._flags = header, header.flags
        self._output.put(bytes(header))

    def _check_ends(self, packets: Packets) -> None:
        """The header may say how long the check sequence of each frame is, but not wrongly."""
        if self._header is None or not self._header.fcs_len:
            return
        record = packets._record
        if record is None or record.likeness is not self._wishes.like or not record.ends(packets):
            self._header = self._without_fcs(self._header)

    def _without_fcs(self, header: PcapHeader) -> PcapHeader:
        if not header.fcs_len:
            return header
        if self._wishes.like is not None:
            self._losses.lose_ends(self._wishes.like)
        return header.without_fcs()

    def write_rest(self, rest: Packets) -> None:
        """Count what stands in the file that this one is like behind its last batch."""
        record = rest._record
        if record is not None and (self._header is None or self._losses.last(record.likeness) >= 0):
            self._losses.lose(record)

    def end(self, linktype: int) -> None:
        """End the file, which has a link type though no packet said one."""
        if self._header is None:
            self._check_resolution(finer=False)
            self._snaplen.check(0)
            self._begin(linktype)
        self._snaplen.end()
        if self._header is not None and self._header.flags != self._flags:
            self._output.writer.patch(LINKTYPE_OFFSET, bytes(self._header)[LINKTYPE_OFFSET:])
