"""Packets to captures: a file written batch by batch, and given its name when whole."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from encap import memory
from encap._lib import Batch, ffi, lib, pointer
from encap.capture.formats import (
    DEFAULT_SNAPLEN,
    PcapHeader,
    build_interface,
    build_section,
)
from encap.capture.paths import PathOrFile, endings
from encap.capture.reading import Source
from encap.capture.relink import ETHERNET, mac, to_ethernet, to_raw
from encap.capture.streams import Writer
from encap.errors import CaptureError, FieldError
from encap.packets import NO_TIME, Packets

BUFFER_LEN = 3 << 19  # a batch that was read as one is written as one
LARGEST_RECORD = 64  # octets that a record has more than its packet
SNAPLEN_OFFSET = 16  # in a pcap header
INTERFACE_SNAPLEN_OFFSET = 12  # in an interface description
PCAP_LAST_NS = (1 << 32) * 10**9  # seconds are 32 bits
BAD_TIME = "time that the format cannot hold"


@dataclass(frozen=True, slots=True)
class Summary:
    """What was written: packets, octets of their frames, and why others were left out."""

    packets: int
    octets: int
    path: str
    left_out: dict[str, int] = field(default_factory=dict)


class _Rows:
    """Packets that are to be written, as the core sees them, and what they need."""

    __slots__ = ("extent", "packets", "source", "stamps", "times")

    def __init__(self, packets: Packets) -> None:
        self.packets = packets
        self.times = np.ascontiguousarray(packets.times)
        self.source = Batch(packets)
        self.stamps = pointer(self.times, "int64_t")
        self.extent = ffi.new("encap_extent *")
        lib.encap_capture_measure(self.source.pointer, self.stamps, self.extent)


def _buffer(size: int) -> npt.NDArray[np.uint8]:
    return memory.empty(size, np.uint8)


class Sink:
    """A capture that is being written. Made by `create`; a context manager."""

    def __init__(
        self,
        path: PathOrFile,
        *,
        like: Source | None = None,
        format: str | None = None,  # noqa: A002  the word for it
        snaplen: int | None = None,
        link: str | None = None,
        src: object = None,
        dst: object = None,
        nanoseconds: bool | None = None,
    ) -> None:
        if like is not None and like.reads(path):
            raise CaptureError("the file to write is the one that is being read")
        known, compression = endings(path, free=bool(format))
        self._format = format or known or (like.format if like is not None else "")
        if self._format not in ("", "pcap", "pcapng"):
            raise FieldError(f"format is pcap or pcapng, not {format!r}", field="format")
        if link not in (None, "ethernet", "raw"):
            raise FieldError(f'link is "ethernet" or "raw", not {link!r}', field="link")
        if snaplen is not None and not 0 <= snaplen < 1 << 32:
            raise FieldError("snaplen must fit 32 bits", field="snaplen", value=snaplen)
        self._macs = (mac(dst, "dst"), mac(src, "src")) if link == "ethernet" else (b"", b"")
        self._link = link
        self._like = like
        self._fixed_snaplen = snaplen
        self._nanoseconds = nanoseconds
        self._order = ">" if like is not None and like.byteorder == "big" else "<"
        self._path = os.fspath(path) if isinstance(path, str | os.PathLike) else ""
        self._buffer = _buffer(BUFFER_LEN)
        self._row = ffi.new("uint64_t *")
        self._interfaces: dict[int, int] = {}  # link type to number
        self._owners = np.zeros(1 << 16, np.uint16)  # the same, for a whole batch at once
        self._snap_fields: list[int] = []  # where in the file a snap length stands
        self._begun = self._ended = False
        self._snaplen = self._longest = 0
        self._position = self._packets = self._octets = 0
        self._left_out: dict[str, int] = {}
        self._writer = Writer(path, compression)

    @property
    def summary(self) -> Summary:
        """What was written so far."""
        return Summary(self._packets, self._octets, self._path, dict(self._left_out))

    @property
    def linktypes(self) -> tuple[int, ...]:
        """The link types that the file has so far, in order of appearance."""
        return tuple(self._interfaces)

    @property
    def atomic(self) -> bool:
        """True where the file gets its name when it is whole; not of pipes and files given open."""
        return self._writer.atomic

    def write(self, packets: Packets) -> None:
        """Append a batch.

        CaptureError, with nothing of the batch written, for what the file cannot hold: another
        link type in a pcap file, parts of a microsecond in one that counts microseconds.
        """
        if self._ended:
            raise ValueError("the capture is closed")
        if not isinstance(packets, Packets):
            raise TypeError(
                f"a capture is written from Packets, not {type(packets).__name__}:"
                " Packets.from_frames makes them of frames"
            )
        rows = self._timed(_Rows(self._linked(packets)))
        if not len(rows.packets):
            return
        self._prepare(rows)
        owners, step = self._owner_column(rows)
        self._row[0] = 0
        while self._row[0] < len(rows.packets):
            used = self._fill(rows, owners, step)
            if used:
                self._put(self._buffer.data[:used])
            else:
                self._buffer = _buffer(rows.extent.longest + LARGEST_RECORD)
        self._writer.flush()
        self._packets += len(rows.packets)
        self._octets += rows.extent.octets

    def _fill(self, rows: _Rows, owners: Any, step: int) -> int:
        """Records from the row that is next, as many as the buffer holds; the octets it has now."""
        batch, times, count = rows.source.pointer, rows.stamps, len(rows.packets)
        out, room = pointer(self._buffer, "uint8_t", writable=True), self._buffer.size
        big_endian, unit = self._order == ">", 1 if self._nanoseconds else 1000
        if self._format == "pcap":
            used = lib.encap_pcap_fill(batch, times, self._row, count, big_endian, unit, out, room)
        else:
            used = lib.encap_pcapng_fill(
                batch, times, owners, step, self._row, count, big_endian, unit, out, room
            )
        return int(used)

    def _put(self, octets: bytes | memoryview) -> None:
        self._writer.write(octets)
        self._position += len(octets)

    def _linked(self, packets: Packets) -> Packets:
        if self._link is None or not len(packets):
            return packets
        if self._link == "ethernet":
            packets, left_out = to_ethernet(packets, *self._macs)
        else:
            packets, left_out = to_raw(packets)
        for reason, count in left_out.items():
            self._leave_out(reason, count)
        return packets

    def _leave_out(self, reason: str, count: int) -> None:
        self._left_out[reason] = self._left_out.get(reason, 0) + count

    def _timed(self, rows: _Rows) -> _Rows:
        """The packets whose times can be written."""
        end = PCAP_LAST_NS if self._format == "pcap" else 1 << 63
        if rows.extent.first >= 0 and rows.extent.last < end:
            return rows
        good = (rows.times == NO_TIME) | (rows.times >= 0)
        if rows.extent.last >= end:
            good &= rows.times < end
        self._leave_out(BAD_TIME, len(good) - int(good.sum()))
        return _Rows(rows.packets[good])

    def _prepare(self, rows: _Rows) -> None:
        """Everything that has to stand before these packets, and every reason not to write them."""
        linktypes = rows.packets.linktypes
        mixed = bool(rows.extent.mixed)
        kinds = np.unique(linktypes).tolist() if mixed else [int(linktypes[0])]
        if not self._begun and not self._format:
            self._format = "pcapng" if mixed else "pcap"
        if self._format == "pcap":
            self._check_linktypes(kinds)
        self._check_resolution(finer=bool(rows.extent.finer))
        longest = rows.extent.longest
        if not self._begun:
            self._snaplen = self._choose_snaplen(longest)
        self._check_snaplen(longest)
        self._begin(kinds)

    def _check_linktypes(self, kinds: list[int]) -> None:
        found = sorted({*kinds, *self._interfaces})
        if len(found) > 1:
            raise CaptureError(
                f"a pcap file has one link type, these packets have {found}: write pcapng, or give"
                ' link="ethernet" with src= and dst=, or link="raw"'
            )

    def _check_resolution(self, *, finer: bool) -> None:
        """The first batch decides between microseconds and nanoseconds where nobody else did."""
        if not self._begun and self._nanoseconds is None:
            if self._format == "pcapng" or (
                self._like is not None and self._like.resolution > 10**6
            ):
                self._nanoseconds = True
            else:
                self._nanoseconds = finer
        elif finer and not self._nanoseconds:
            raise CaptureError(
                "the file counts microseconds and a time has parts of one: give nanoseconds=True"
            )

    def _choose_snaplen(self, longest: int) -> int:
        if self._fixed_snaplen is not None:
            return self._fixed_snaplen
        default = 0 if self._format == "pcapng" else DEFAULT_SNAPLEN
        wanted = default if self._like is None else self._like.snaplen
        if wanted == 0 and self._format == "pcapng":
            return 0
        # Longer packets may come, and not everywhere can this be corrected then.
        fits = longest <= wanted and self._writer.patchable
        return wanted if fits else max(wanted, longest, DEFAULT_SNAPLEN)

    def _check_snaplen(self, longest: int) -> None:
        """Readers cut or refuse packets that are longer than the snap length."""
        limit = self._snaplen or (0 if self._format == "pcap" else longest)
        if longest <= limit or longest <= self._longest:
            return
        if self._fixed_snaplen is not None or not self._writer.patchable:
            raise CaptureError(
                f"a packet of {longest} octets in a file of snap length {self._snaplen}"
            )
        self._longest = longest

    def _begin(self, kinds: list[int]) -> None:
        """The file's header, and an interface for each link type that has none."""
        order = self._order
        if not self._begun and self._format == "pcap":
            self._snap_fields.append(SNAPLEN_OFFSET)
            fine = bool(self._nanoseconds)
            self._put(bytes(PcapHeader(order == ">", fine, self._snaplen, kinds[0])))
        elif not self._begun:
            self._put(build_section(order))
        self._begun = True
        for kind in kinds:
            if kind in self._interfaces:
                continue
            if self._format == "pcapng":
                self._snap_fields.append(self._position + INTERFACE_SNAPLEN_OFFSET)
                fine = bool(self._nanoseconds)
                self._put(build_interface(kind, self._snaplen, order, nanoseconds=fine))
            self._owners[kind] = len(self._interfaces)
            self._interfaces[kind] = len(self._interfaces)

    def _owner_column(self, rows: _Rows) -> tuple[Any, int]:
        """The interface of each row, or one for all and a step of 0."""
        linktypes = rows.packets.linktypes
        if rows.extent.mixed:
            return pointer(self._owners[linktypes], "uint16_t"), 1
        return pointer(self._owners[linktypes[0] :][:1], "uint16_t"), 0

    def close(self) -> Summary:
        """End the file and give it its name."""
        if self._ended:
            return self.summary
        self._ended = True
        try:
            self._end()
            self._writer.commit()
        except BaseException:
            self._writer.discard()
            raise
        return self.summary

    def _end(self) -> None:
        if not self._begun:
            self._begin_empty()
        if self._longest > self._snaplen:
            octets = self._longest.to_bytes(4, "big" if self._order == ">" else "little")
            for position in self._snap_fields:
                self._writer.patch(position, octets)

    def _begin_empty(self) -> None:
        like = self._like
        self._format = self._format or "pcap"
        if self._nanoseconds is None:
            self._nanoseconds = self._format == "pcapng" or (
                like is not None and like.resolution > 10**6
            )
        self._snaplen = self._choose_snaplen(0)
        kinds = [ETHERNET] if like is None else [*like.linktypes[:1]] or [ETHERNET]
        self._begin([101] if self._link == "raw" else [ETHERNET] if self._link else kinds)

    def discard(self) -> None:
        """Leave no file behind; one that had the name stays as it was."""
        if not self._ended:
            self._ended = True
            self._writer.discard()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.discard()


def create(
    path: PathOrFile,
    *,
    like: Source | None = None,
    format: str | None = None,  # noqa: A002  the word for it
    snaplen: int | None = None,
    link: str | None = None,
    src: object = None,
    dst: object = None,
    nanoseconds: bool | None = None,
) -> Sink:
    """A capture to write batches to; it replaces what has its name only when it is whole.

    path: a file's name, "-" for standard output, or a file open for writing octets.
        The name says the format (.pcap, .cap, .dmp, .dump; .pcapng, .ntar) and the compression
        (.gz, .zst). CaptureError for another ending, unless `format` is given; a name without
        any, a device and a pipe say nothing.
    like: a source whose format, byte order, resolution and snap length are taken over where
        nothing else says what they are. CaptureError where `path` is the very file that it reads.
    format: "pcap" or "pcapng". Where nothing says it, the first batch decides: pcapng where it
        has several link types.
    snaplen: octets that a packet has at the most, written to the header. Longer packets are a
        CaptureError; without it the header is corrected.
    link: "ethernet" writes raw IP packets behind an Ethernet header from `src` to `dst`,
        "raw" writes IP packets without the Ethernet header and the VLAN tags. What is no IP,
        or has another link type, is left out and counted in the summary.
    nanoseconds: how times are counted. Where not given, pcapng counts nanoseconds, and pcap
        does where `like` does or a time of the first batch has parts of a microsecond. Such a
        time in a later batch of a file of microseconds is a CaptureError.

    A packet without a time is written at 0. One whose time the format cannot hold (before 1970;
    from 2106 on in pcap) is left out and counted.
    """
    return Sink(
        path,
        like=like,
        format=format,
        snaplen=snaplen,
        link=link,
        src=src,
        dst=dst,
        nanoseconds=nanoseconds,
    )


def write(path: PathOrFile, packets: Packets, **options: Any) -> Summary:
    """Write a capture; `options` are those of `create`."""
    with create(path, **options) as sink:
        sink.write(packets)
    return sink.summary
