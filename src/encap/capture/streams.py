"""Octet streams under a capture: paths, "-", file objects, gzip and zstd.

Reading is `readinto` into memory of the caller, never more than asked for, so that
a compressed file cannot ask for more memory than its reader has set aside. Writing
goes to a temporary file beside the target, which takes its name when whole.
"""

from __future__ import annotations

import io
import os
import select
import stat
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from encap.capture.paths import PathOrFile
from encap.errors import CaptureError, FieldError, missing

Octets = npt.NDArray[np.uint8]

GZIP_MAGIC = b"\x1f\x8b"
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
# Octets of a compressed file taken at a time. One of gzip stands for at most a thousand,
# one of zstd for 32 KiB: what comes out of one piece stays below 32 MiB.
PIECE_LEN = {"gzip": 1 << 14, "zstd": 1 << 10}


def _standard(name: str) -> Any:
    """The binary side of sys.stdin or sys.stdout."""
    stream = getattr(sys, name)
    return getattr(stream, "buffer", stream)


def _status(target: PathOrFile) -> os.stat_result | None:
    """Of the file that would be written, however it is called; None where there is none yet."""
    try:
        if target == "-":
            return os.fstat(_standard("stdout").fileno())
        if isinstance(target, str | os.PathLike):
            return Path(target).stat()
        return os.fstat(target.fileno())
    except (AttributeError, OSError):  # of octets in memory: no number
        return None


class Reader:
    """The octets of a file from its present position on; the first ones can be looked at."""

    def __init__(self, path: PathOrFile) -> None:
        self._owned = isinstance(path, str | os.PathLike) and path != "-"
        if isinstance(path, str | os.PathLike) and path != "-":
            self._file: Any = Path(path).open("rb", buffering=0)  # noqa: SIM115  close() does
        elif path == "-":
            self._file = _standard("stdin")
        elif isinstance(path, io.TextIOBase):
            raise TypeError("a capture is read from a binary file, this one is open for text")
        elif hasattr(path, "readinto") or hasattr(path, "read"):
            self._file = path
        else:
            raise TypeError(f"a path or a binary file is needed, not {type(path).__name__}")
        self.descriptor = self._descriptor()
        self.start = 0  # octets of the file before those that are read here
        self.size: int | None = None  # those that are still there, of a regular file
        self._status: os.stat_result | None = None  # of a regular file
        if self.descriptor >= 0:
            status = os.fstat(self.descriptor)
            if stat.S_ISREG(status.st_mode):
                self._status = status
                self.start = self._file.tell()
                self.size = max(0, status.st_size - self.start)
        self._head = b""
        self._readinto = self._once()

    def _once(self) -> Callable[[memoryview], int | None]:
        """A function that reads once, since what is asked for may not be there yet."""
        if isinstance(self._file, io.BufferedReader) and isinstance(self._file.raw, io.RawIOBase):
            # Its own readinto1 waits for the pipe when it could give what it has in its buffer.
            self._head = self._file.read1()
            return self._file.raw.readinto
        for name in ("readinto1", "readinto"):
            if hasattr(self._file, name):
                found: Callable[[memoryview], int | None] = getattr(self._file, name)
                return found
        return self._read_and_copy

    def _read_and_copy(self, view: memoryview) -> int:
        got: bytes = self._file.read(len(view))
        view[: len(got)] = got
        return len(got)

    def _descriptor(self) -> int:
        """The number of the file that the octets come from as they are; -1 where there is none."""
        raw = getattr(self._file, "raw", self._file)
        if not isinstance(raw, io.RawIOBase):  # in memory, or a decompressor over a file
            return -1
        try:
            return raw.fileno()
        except OSError:
            return -1

    def peek(self, count: int) -> bytes:
        """The first `count` octets, fewer where the file ends; they are read again later."""
        while len(self._head) < count:
            piece = bytearray(count - len(self._head))
            got = self._readinto(memoryview(piece))
            if not got:
                break
            self._head += piece[:got]
        return self._head[:count]

    def readinto(self, octets: Octets) -> int:
        """How many octets were read, once and at least one; 0 where the file ends."""
        if self._head:
            count = min(len(self._head), octets.size)
            octets[:count] = np.frombuffer(self._head, np.uint8, count)
            self._head = self._head[count:]
            return count
        return self._readinto(octets.data) or 0

    def ready(self) -> bool:
        """Whether a read would not have to wait."""
        if self._head or self.size is not None or self.descriptor < 0:
            return True
        if not hasattr(select, "poll"):
            return False
        poll = select.poll()
        poll.register(self.descriptor, select.POLLIN)
        return bool(poll.poll(0))

    def reads(self, target: PathOrFile) -> bool:
        """Whether `target`, to be written, is the regular file that is read here."""
        if self._status is None:
            return False
        status = _status(target)
        return status is not None and os.path.samestat(status, self._status)

    def close(self) -> None:
        self._status = None
        if self._owned:
            self._file.close()


class Decompressor(Protocol):
    """One member of a compressed file."""

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, /) -> bytes: ...


def zstandard_module() -> Any:
    """The package that knows zstd, which is an extra. CaptureError where it is missing."""
    try:
        import zstandard
    except ImportError:
        raise CaptureError(
            missing("a zstd file needs a package more", "zstandard", "zstd")
        ) from None
    return zstandard


class Decompressed:
    """The octets that a gzip or zstd file stands for, all its members in a row."""

    size = None
    start = 0
    descriptor = -1

    def __init__(self, source: Reader, kind: str) -> None:
        self._source = source
        self._kind = kind
        self._piece = np.empty(PIECE_LEN[kind], np.uint8)
        self._new: Callable[[], Decompressor] = partial(zlib.decompressobj, 31)
        self._error: type[Exception] = zlib.error
        if kind == "zstd":
            zstandard = zstandard_module()
            self._new = zstandard.ZstdDecompressor().decompressobj
            self._error = zstandard.ZstdError
        self._member: Decompressor | None = None
        self._pending = memoryview(b"")
        self._rest = b""  # of the input, behind the end of a member

    def readinto(self, octets: Octets) -> int:
        while not self._pending:
            piece = self._rest or self._next_piece()
            self._rest = b""
            if not piece:
                if self._member is not None:
                    raise CaptureError(f"the {self._kind} file is cut short")
                return 0
            self._pending = memoryview(self._expand(piece))
        count = min(len(self._pending), octets.size)
        octets[:count] = np.frombuffer(self._pending[:count], np.uint8)
        self._pending = self._pending[count:]
        return count

    def _next_piece(self) -> bytes:
        return self._piece[: self._source.readinto(self._piece)].tobytes()

    def _expand(self, piece: bytes) -> bytes:
        if self._member is None:
            if self._kind == "gzip" and not piece.strip(b"\0"):
                return b""  # padding behind the last member is allowed
            self._member = self._new()
        try:
            octets = self._member.decompress(piece)
        except self._error as error:
            raise CaptureError(f"the {self._kind} file is damaged: {error}") from error
        if self._member.eof:
            self._rest = self._member.unused_data
            self._member = None
        return octets

    def ready(self) -> bool:
        return bool(self._pending or self._rest) or self._source.ready()

    def reads(self, target: PathOrFile) -> bool:
        return self._source.reads(target)

    def close(self) -> None:
        self._source.close()


def open_reader(path: PathOrFile) -> Reader | Decompressed:
    """The octets of a capture, decompressed where its magic says gzip or zstd."""
    reader = Reader(path)
    try:
        magic = reader.peek(4)
        if magic[:2] == GZIP_MAGIC:
            return Decompressed(reader, "gzip")
        if magic == ZSTD_MAGIC:
            return Decompressed(reader, "zstd")
    except BaseException:
        reader.close()
        raise
    return reader


class Writer:
    """A file that gets its name when it is whole. `compression` is "", "gzip" or "zstd"."""

    def __init__(self, path: PathOrFile, compression: str = "") -> None:
        self._encoder = _encoder(compression)
        self._target = Path()
        self._temporary: Path | None = None
        self._owned = False
        if isinstance(path, io.TextIOBase):
            raise TypeError("a capture is written to a binary file, this one is open for text")
        if path == "-":
            self._file: Any = _standard("stdout")
        elif isinstance(path, str | os.PathLike):
            self._open(Path(path))
        elif hasattr(path, "write"):
            self._file = path
        else:
            raise TypeError(f"a path or a binary file is needed, not {type(path).__name__}")

    def _open(self, path: Path) -> None:
        self._owned = True
        # A device or a pipe, which may have no name that a link could lead to: /dev/stdout.
        if path.exists() and not path.is_file():
            self._file = path.open("wb", buffering=0)
            return
        target = path.resolve()
        # Made like every other new file: the umask takes away what it takes away from them.
        temporary = target.with_name(f".{target.name}.{os.urandom(4).hex()}.part")
        with _named(path):
            self._file = temporary.open("xb", buffering=0)
        self._target, self._temporary = target, temporary

    @property
    def atomic(self) -> bool:
        """True where there is no file of the name until the whole of it is there."""
        return self._temporary is not None

    @property
    def patchable(self) -> bool:
        """Whether what was written can be corrected."""
        return self.atomic and self._encoder is None

    def write(self, octets: bytes | memoryview) -> None:
        if self._encoder is not None:
            octets = self._encoder.compress(octets)
        self._put(octets)

    def _put(self, octets: bytes | memoryview) -> None:
        left = memoryview(octets)
        while left:
            written = self._file.write(left)
            if written is None:
                raise BlockingIOError("a capture cannot be written to a file that does not block")
            left = left[written:]

    def flush(self) -> None:
        if hasattr(self._file, "flush"):
            self._file.flush()

    def patch(self, position: int, octets: bytes) -> None:
        """Write `octets` over those at `position`."""
        end = self._file.seek(0, os.SEEK_CUR)
        self._file.seek(position)
        self._put(octets)
        self._file.seek(end)

    def commit(self) -> None:
        """End the file and give it its name."""
        if self._encoder is not None:
            self._put(self._encoder.flush())
        self.flush()
        if self._owned:
            self._file.close()
        if self._temporary is not None:
            with _named(self._target):
                self._temporary.replace(self._target)

    def discard(self) -> None:
        """Leave no file behind; what stood under the name stays."""
        if self._owned:
            self._file.close()
        if self._temporary is not None:
            self._temporary.unlink()


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """OSError with the name that was asked for, not that of the file which is to become it."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error


def _encoder(compression: str) -> Any:
    if compression == "gzip":
        return zlib.compressobj(6, zlib.DEFLATED, 31)
    if compression == "zstd":
        return zstandard_module().ZstdCompressor().compressobj()
    if compression:
        raise FieldError(f"compression is gzip or zstd, not {compression!r}", field="compression")
    return None
