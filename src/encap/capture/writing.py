"""Packets to captures: a file written batch by batch, and given its name when whole."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any

from encap.capture.context import Context
from encap.capture.kept import Likeness
from encap.capture.output import Output, Tally, Wishes
from encap.capture.paths import PathOrFile, endings
from encap.capture.reading import Source
from encap.capture.relink import ETHERNET, RAW, mac, to_ethernet, to_raw
from encap.capture.to_pcap import PcapForm
from encap.capture.to_pcapng import PcapngForm
from encap.errors import CaptureError, FieldError
from encap.packets import Packets

FORMS: dict[str, type[PcapForm | PcapngForm]] = {"pcap": PcapForm, "pcapng": PcapngForm}


@dataclass(frozen=True, slots=True)
class Summary:
    """What was written: packets, octets of their frames, and what was not.

    left_out: how many packets, by reason.
    dropped: how many blocks and options of the file that they come from, by what they are.
    """

    packets: int
    octets: int
    path: str
    left_out: dict[str, int] = field(default_factory=dict)
    dropped: dict[str, int] = field(default_factory=dict)


class Sink(Context):
    """A capture that is being written. Made by `create`; a context manager."""

    def __init__(
        self,
        path: PathOrFile,
        *,
        like: Source | Packets | None = None,
        format: str | None = None,  # noqa: A002  the word for it
        snaplen: int | None = None,
        link: str | None = None,
        src: object = None,
        dst: object = None,
        nanoseconds: bool | None = None,
    ) -> None:
        if isinstance(like, Source) and like.reads(path):
            raise CaptureError("the file to write is the one that is being read")
        known, compression = endings(path, free=bool(format))
        likeness = _likeness(like)
        self._format = format or known or (likeness.format if likeness is not None else "")
        if self._format not in ("", *FORMS):
            raise FieldError(f"format is pcap or pcapng, not {format!r}", field="format")
        if link not in (None, "ethernet", "raw"):
            raise FieldError(f'link is "ethernet" or "raw", not {link!r}', field="link")
        if snaplen is not None and not 0 <= snaplen < 1 << 32:
            raise FieldError("snaplen must fit 32 bits", field="snaplen", value=snaplen)
        self._macs = (mac(dst, "dst"), mac(src, "src")) if link == "ethernet" else (b"", b"")
        self._link = link
        self._like = like
        order = likeness.order if likeness is not None else "<"
        self._wishes = Wishes(likeness, order, snaplen, nanoseconds)
        self._path = os.fspath(path) if isinstance(path, str | os.PathLike) else ""
        self._ended = False
        self._tally = Tally()
        self._form: PcapForm | PcapngForm | None = None
        self._output = Output(path, compression)

    @property
    def summary(self) -> Summary:
        """What was written so far."""
        tally = self._tally
        return Summary(
            tally.packets, tally.octets, self._path, dict(tally.left_out), dict(tally.dropped)
        )

    @property
    def linktypes(self) -> tuple[int, ...]:
        """The link types that the file has so far, in order of appearance."""
        return () if self._form is None else self._form.linktypes

    @property
    def atomic(self) -> bool:
        """True where the file gets its name when it is whole; not of pipes and files given open."""
        return self._output.writer.atomic

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
        packets = self._linked(packets)
        if self._form is None:
            if not self._format and not len(packets):
                return
            self._form = self._chosen(packets)
        self._form.write(packets)
        self._output.writer.flush()

    def _chosen(self, packets: Packets) -> PcapForm | PcapngForm:
        """How the file is written; the packets decide where nothing else says it."""
        if not self._format:
            kinds = packets.linktypes
            mixed = len(kinds) > 0 and bool((kinds != kinds[0]).any())
            self._format = "pcapng" if mixed else "pcap"
        return FORMS[self._format](self._output, self._wishes, self._tally)

    def _linked(self, packets: Packets) -> Packets:
        if self._link is None or not len(packets):
            return packets
        if self._link == "ethernet":
            packets, left_out = to_ethernet(packets, *self._macs)
        else:
            packets, left_out = to_raw(packets)
        for reason, count in left_out.items():
            self._tally.leave_out(reason, count)
        return packets

    def close(self) -> Summary:
        """End the file and give it its name."""
        if self._ended:
            return self.summary
        self._ended = True
        try:
            self._end()
            self._output.writer.commit()
        except BaseException:
            self._output.writer.discard()
            raise
        return self.summary

    def _end(self) -> None:
        if self._form is None:
            self._form = self._chosen(Packets.from_frames([]))
        if isinstance(self._like, Source) and self._like._rest is not None:
            self._form.write_rest(self._like._rest)
        likeness = self._wishes.like
        known = [] if likeness is None else list(likeness.linktypes)
        linktype = known[0] if known else ETHERNET
        if self._link is not None:
            linktype = RAW if self._link == "raw" else ETHERNET
        self._form.end(linktype)

    def discard(self) -> None:
        """Leave no file behind; one that had the name stays as it was."""
        if not self._ended:
            self._ended = True
            self._output.writer.discard()

    def _leave(self, *, failed: bool) -> None:
        if failed:
            self.discard()
        else:
            self.close()


def _likeness(like: object) -> Likeness | None:
    """What is taken over. TypeError for what is no capture, FieldError for packets of none."""
    if like is None:
        return None
    if isinstance(like, Source):
        return like._decoder.likeness
    if not isinstance(like, Packets):
        raise TypeError(f"like is what open() or read() gave, not {type(like).__name__}")
    if like._record is None:
        raise FieldError("like: these packets do not come from a capture", field="like")
    return like._record.likeness


def create(
    path: PathOrFile,
    *,
    like: Source | Packets | None = None,
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
    like: what `open` or `read` gave. Its format, byte order, resolution and snap length are taken
        over where nothing else says what they are, and the rest of a pcap header. Of batches that
        were made from its own, a pcapng file gets all that stands around their packets too:
        sections, interfaces, names, secrets, statistics, custom and unknown blocks, the options
        of packets, each in its place. Give it every batch, empty ones too. CaptureError where
        `path` is the very file that it reads.
    format: "pcap" or "pcapng". Where nothing says it, the first batch decides: pcapng where it
        has several link types.
    snaplen: octets that a packet has at the most, written to the header. Longer packets are a
        CaptureError; without it the header is corrected. Interfaces that are copied keep theirs.
    link: "ethernet" writes raw IP packets behind an Ethernet header from `src` to `dst`,
        "raw" writes IP packets without the Ethernet header and the VLAN tags. What is no IP,
        or has another link type, is left out and counted in the summary.
    nanoseconds: how times are counted. Where not given, pcapng counts nanoseconds, and pcap
        does where `like` does or a time of the first batch has parts of a microsecond. Such a
        time in a later batch of a file of microseconds is a CaptureError. Interfaces that are
        copied count as they did.

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
