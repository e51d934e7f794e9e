"""Captures to packets: a whole file in memory, or batch by batch in bounded memory."""

from __future__ import annotations

import mmap as mapping
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np

from encap import memory
from encap.capture.context import Context
from encap.capture.formats import PCAP_HEADER_LEN, Interface
from encap.capture.index import Decoder, decoder_for
from encap.capture.paths import PathOrFile, name_of
from encap.capture.streams import Decompressed, Octets, Reader, open_reader
from encap.errors import CaptureError, FieldError
from encap.packets import Packets
from encap.registry import checked_ports

CHUNK_LEN = 1 << 19  # octets read at once: what was read is in the cache when it is indexed
BATCH_LEN = 1 << 21
SMALLEST_BATCH_LEN = 1 << 12


def read(
    path: PathOrFile,
    *,
    mmap: bool = False,
    ports: Mapping[int, str | None] | None = None,
) -> Packets:
    """All packets of a capture, pcap or pcapng, as it is or compressed (gzip, zstd).

    path: a file's name, "-" for standard input, or a file open for reading octets.
    mmap: map the file instead of reading it into memory. That starts sooner and shares memory
        with other readers, but the packets change when the file does, and a file that gets
        shorter ends the process (SIGBUS) when the missing octets are touched.
    ports: UDP ports and what they carry, as for `Packets.with_ports`.

    A file that is cut short, or wrong from some place on, gives the packets before that place,
    and `packets.error` says what was wrong. CaptureError for what is no capture, or is wrong
    before the first packet. For files that do not fit in memory there is `open`.
    Times are what the file says, in UTC: the zone of a pcap header (`thiszone`), which writers
    leave at 0, is not added.
    """
    name = name_of(path)
    with _naming(name):
        stream = open_reader(path)
        try:
            decoder, octets = _map(stream) if mmap else _load(stream)
        finally:
            stream.close()
    failure = None if decoder.failure is None else _named(decoder.failure, name)
    if failure is not None and not decoder.count and not decoder.cut:
        raise failure
    packets = decoder.batch(octets, copy=False, error=failure)
    return packets.with_ports(ports) if ports else packets


def _named(error: CaptureError, name: str) -> CaptureError:
    """The error with the name of the file in front, where it has one."""
    if not name:
        return error
    return CaptureError(f"{name}: {error}", record=error.record, position=error.position)


@contextmanager
def _naming(name: str) -> Iterator[None]:
    try:
        yield
    except CaptureError as error:
        raise _named(error, name) from error.__cause__


def _map(stream: Reader | Decompressed) -> tuple[Decoder, Octets]:
    if stream.size is None:
        raise FieldError("only an uncompressed file can be mapped", field="mmap")
    if stream.size == 0:
        return decoder_for(b""), np.empty(0, np.uint8)
    mapped = mapping.mmap(stream.descriptor, 0, access=mapping.ACCESS_READ)
    octets = np.frombuffer(mapped, np.uint8)[stream.start :]
    decoder = decoder_for(octets[:PCAP_HEADER_LEN].tobytes())
    decoder.advance(octets, octets.size)
    decoder.end(octets.size)
    return decoder, octets


class _Filling:
    """A buffer that a stream is read into, and the index of what is there."""

    def __init__(self, stream: Reader | Decompressed, room: int) -> None:
        self.stream = stream
        self.ended = False
        self.filled = 0
        self.octets: Octets = memory.empty(room, np.uint8)
        self.decoder = self._begin()

    def _begin(self) -> Decoder:
        while self.filled < PCAP_HEADER_LEN and not self.ended:
            self._read()
        return decoder_for(self.octets[: min(self.filled, PCAP_HEADER_LEN)].tobytes())

    def _read(self) -> None:
        got = self.stream.readinto(self.octets[self.filled : self.filled + CHUNK_LEN])
        self.filled += got
        self.ended = not got

    def fill(self, expected: int = 0) -> None:
        """Read once, and index what came."""
        try:
            self._read()
        except CaptureError as error:  # of a decompressor
            self.decoder.cut = self.ended = True
            self.decoder.advance(self.octets[: self.filled], expected)
            self.decoder.fail(str(error))
        self.index(expected)

    def index(self, expected: int = 0) -> None:
        """Index what is there. `expected`: octets that will be there in the end."""
        self.decoder.advance(self.octets[: self.filled], expected)
        if self.ended:
            self.decoder.end(self.filled)

    @property
    def full(self) -> bool:
        return self.filled == self.octets.size

    def move(self, room: int, start: int = 0) -> None:
        """Go on in a new buffer, with what is there from `start` on."""
        kept = self.octets[start : self.filled]
        self.octets = memory.empty(room, np.uint8)
        self.octets[: kept.size] = kept
        self.filled = kept.size


def _load(stream: Reader | Decompressed) -> tuple[Decoder, Octets]:
    # One octet more than there should be, so that the end is seen before the buffer is full.
    room = CHUNK_LEN if stream.size is None else max(stream.size, PCAP_HEADER_LEN) + 1
    filling = _Filling(stream, room)
    decoder = filling.decoder
    filling.index(stream.size or 0)
    while not filling.ended and decoder.failure is None:
        if filling.full:
            filling.move(2 * filling.octets.size)
        filling.fill(stream.size or 0)
    return decoder, filling.octets[: filling.filled]


class Source(Context):
    """A capture that is being read. Made by `open`; a context manager.

    format: "pcap" or "pcapng".  interfaces: those described so far in the present section.
    """

    def __init__(
        self,
        path: PathOrFile,
        *,
        batch_octets: int = BATCH_LEN,
        ports: Mapping[int, str | None] | None = None,
    ) -> None:
        if batch_octets < SMALLEST_BATCH_LEN:
            raise FieldError(
                f"batch_octets must be at least {SMALLEST_BATCH_LEN}", field="batch_octets"
            )
        self._batch_octets = batch_octets
        self._ports = checked_ports(ports)
        self._name = name_of(path)
        with _naming(self._name):
            self._stream = open_reader(path)
            try:
                self._filling = _Filling(self._stream, batch_octets)
                self._rest: Packets | None = None  # what stands behind the last batch, at the end
                self._decoder = self._filling.decoder
                # The interfaces of a pcapng file stand before its packets.
                self._filling.index()
            except BaseException:
                self._stream.close()
                raise

    @property
    def format(self) -> str:
        return self._decoder.format

    @property
    def byteorder(self) -> str:
        """The order of the file or of its present section, "big" or "little"."""
        return "big" if self._decoder.big_endian else "little"

    @property
    def interfaces(self) -> tuple[Interface, ...]:
        return tuple(self._decoder.interfaces)

    @property
    def linktypes(self) -> tuple[int, ...]:
        """The link types of all interfaces so far, in order of appearance."""
        return tuple(self._decoder.linktypes)

    @property
    def linktype(self) -> int | None:
        """The link type where there is but one so far."""
        return self.linktypes[0] if len(self.linktypes) == 1 else None

    @property
    def snaplen(self) -> int:
        """Octets, the most of all interfaces so far; 0 where one does not cut packets."""
        return self._decoder.likeness.snaplen

    @property
    def fcs_len(self) -> int | None:
        """Octets of check sequence that end each frame, where the first interface says so."""
        return self.interfaces[0].fcs_len if self.interfaces else None

    @property
    def resolution(self) -> int:
        """Units of time a second: of the finest interface so far."""
        return self._decoder.likeness.resolution

    @property
    def size(self) -> int | None:
        """Octets of the file from where its reading began; None for pipes and compressed files."""
        return self._stream.size

    @property
    def cut(self) -> bool:
        """True once the file has ended too early: what stands before its end is right."""
        return self._decoder.cut

    def batches(self) -> Iterator[Packets]:
        """The packets in batches of about `batch_octets`, each with memory of its own.

        A pipe's packets come as soon as nothing more can be read at once. CaptureError, after
        the packets before it, where the file is wrong or ends in the middle of a record.
        """
        filling, decoder = self._filling, self._decoder
        while True:
            done = filling.ended or decoder.failure is not None
            if decoder.count and (done or filling.full or not self._stream.ready()):
                yield from self._batch()
            elif done:
                break
            elif filling.full and decoder.position and decoder.format == "pcapng":
                yield from self._batch()  # of blocks alone, which would be lost otherwise
            elif filling.full:
                # One record that fills the buffer: no more is set aside than has arrived.
                filling.move(2 * filling.octets.size, decoder.position)
                decoder.restart(0)
            else:
                filling.fill()
        if self._rest is None:
            self._rest = decoder.batch(filling.octets[: decoder.position], copy=True)
        if decoder.failure is not None:
            raise _named(decoder.failure, self._name)

    def _batch(self) -> Iterator[Packets]:
        """What has been indexed, and then a buffer for more."""
        filling, decoder = self._filling, self._decoder
        start = decoder.position
        yield self._bound(decoder.batch(filling.octets[:start], copy=True))
        # Not before: what the last batch but one has left behind is free by now.
        filling.move(max(self._batch_octets, filling.filled - start + 1), start)
        decoder.restart(0)

    def _bound(self, packets: Packets) -> Packets:
        return packets.with_ports(self._ports) if self._ports else packets

    def reads(self, target: PathOrFile) -> bool:
        """Whether `target` is the very file that is read here, under whatever name."""
        return self._stream.reads(target)

    def close(self) -> None:
        self._stream.close()

    def _leave(self, *, failed: bool) -> None:
        self.close()


def open(  # noqa: A001  as gzip.open
    path: PathOrFile,
    *,
    batch_octets: int = BATCH_LEN,
    ports: Mapping[int, str | None] | None = None,
) -> Source:
    """A capture that is read batch by batch, in bounded memory whatever its size.

    path: as for `read`; pipes and "-" deliver what is there.
    batch_octets: how many octets of the file a batch is made from.
    ports: UDP ports and what they carry, for every batch, as for `Packets.with_ports`.
    """
    return Source(path, batch_octets=batch_octets, ports=ports)
