"""Files: read, streamed to columns, decapsulated to another file; and what importing costs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

import encap
from goals import Figure
from measure_batches import NINE, no_pool
from measure_encap import VXLAN
from timing import ROUNDS, Times, interleaved
from workloads import PACKETS, capture

CHUNK = 1 << 19
TMPFS = Path("/dev/shm") if Path("/dev/shm").is_dir() else None
READING = "x reading"
COPYING = "x copying"


@contextmanager
def in_memory(name: str) -> Iterator[tuple[Path, Path]]:
    """A capture on a file system in memory, and a place beside it for a result."""
    with tempfile.TemporaryDirectory(dir=TMPFS) as folder:
        source = Path(folder, f"{name}.pcap")
        shutil.copyfile(capture(name), source)
        yield source, Path(folder, "out.pcap")


def read_through(path: Path, chunk: bytearray) -> None:
    with path.open("rb", buffering=0) as file:
        while file.readinto(chunk):
            pass


def copy_through(path: Path, target: Path, chunk: bytearray) -> None:
    """What writing such a file costs at the least; it is new each time, as ours is."""
    partial, view = target.with_suffix(".part"), memoryview(chunk)
    with path.open("rb", buffering=0) as source, partial.open("wb", buffering=0) as sink:
        while got := source.readinto(chunk):
            sink.write(view[:got])
    partial.replace(target)


def stream_columns(path: Path, columns: dict[str, np.ndarray]) -> int:
    """The file's nine columns, batch by batch, into arrays that are there."""
    at = 0
    with encap.open(path) as source:
        for packets in source.batches():
            rows = slice(at, at + len(packets))
            out = {name: column[rows] for name, column in columns.items()}
            packets.columns(*NINE, threads=1, out=out)
            at += len(packets)
    return at


def decap_file(path: Path, target: Path) -> None:
    with encap.open(path) as source, encap.create(target, like=source) as sink:
        for packets in source.batches():
            sink.write(packets.decap(threads=1))


def check_files(path: Path, target: Path) -> dict[str, np.ndarray]:
    """The nine columns of the file, which is as much when it is streamed as when it is read."""
    packets = encap.read(path)
    whole = packets.columns(*NINE)
    columns = {name: np.zeros_like(column) for name, column in whole.items()}
    if stream_columns(path, columns) != len(packets) or any(
        not np.array_equal(columns[name], whole[name]) for name in NINE
    ):
        raise SystemExit("a streamed file has other columns than one that is read at once")
    decap_file(path, target)
    if not encap.read(target).equals(packets.decap()):
        raise SystemExit("a decapsulated file differs from decapsulated packets")
    return columns


def streaming() -> Iterator[Figure]:
    """Files against the loops that do nothing but read, or read and write."""
    with in_memory("vxlan") as (path, target):
        columns, chunk = check_files(path, target), bytearray(CHUNK)
        loop = {"read loop": lambda: read_through(path, chunk)}
        times = interleaved(loop | {
            "copy loop": lambda: copy_through(path, target, chunk),
            "index": lambda: index_only(path),
            "stream": lambda: stream_columns(path, columns),
            "read": lambda: encap.read(path),
            "columns": lambda: encap.read(path).columns(*NINE, threads=1, out=columns),
            "decap": lambda: decap_file(path, target),
        })  # fmt: skip
        with no_pool():
            new = interleaved(loop | {"read": lambda: encap.read(path)})
    group = "files in memory (tmpfs), in one process, vxlan, one thread"
    for what, work, goal in (
        ("read and indexed batch by batch", "index", None),
        ("to nine columns, batch by batch", "stream", 2.3),
        ("`encap.read`, the one before dropped", "read", None),
        ("`encap.read`, then nine columns", "columns", None),
    ):
        yield Figure.costs(group, what, times, work, "read loop", READING, goal, count=PACKETS)
    what = "`encap.read`, pages never touched before"
    yield Figure.costs(group, what, new, "read", "read loop", READING, count=PACKETS)
    what = "decapsulated batch by batch to another file"
    yield Figure.costs(group, what, times, "decap", "copy loop", COPYING, count=PACKETS)


def encap_file(path: Path, target: Path) -> None:
    with encap.open(path) as source, encap.create(target, like=source) as sink:
        for packets in source.batches():
            sink.write(packets.encap(VXLAN, udp_checksum=True, threads=1))


def wrapping() -> Iterator[Figure]:
    """A file into VXLAN, against the loop over what comes out: the larger of the two."""
    with in_memory("plain") as (path, target):
        made, chunk = path.with_name("made.pcap"), bytearray(CHUNK)
        encap_file(path, made)
        times = interleaved({
            "copy loop": lambda: copy_through(made, target, chunk),
            "encap": lambda: encap_file(path, target),
        })  # fmt: skip
    group = "files in memory (tmpfs), in one process, plain, one thread"
    what = "into VXLAN with UDP checksums, batch by batch to another file"
    yield Figure.costs(group, what, times, "encap", "copy loop", COPYING, count=PACKETS)


def copy_kept(path: Path, target: Path) -> None:
    with encap.open(path) as source, encap.create(target, like=source) as sink:
        for packets in source.batches():
            sink.write(packets)


def keeping() -> Iterator[Figure]:
    """A pcapng file with whatever stands around its packets, against the loop that copies it."""
    with in_memory("vxlan") as (plain, _):
        path, target = plain.with_suffix(".pcapng"), plain.with_name("out.pcapng")
        encap.write(path, encap.read(plain))
        copy_kept(path, target)
        if target.read_bytes() != path.read_bytes():
            raise SystemExit("a pcapng file is copied, and differs")
        chunk = bytearray(CHUNK)
        times = interleaved({
            "copy loop": lambda: copy_through(path, target, chunk),
            "same": lambda: copy_kept(path, target),
            "decap": lambda: decap_file(path, target),
        })  # fmt: skip
    group = "pcapng files in memory (tmpfs), kept whole, vxlan, one thread"
    for what, work in (
        ("batch by batch to another file", "same"),
        ("decapsulated batch by batch to another file", "decap"),
    ):
        yield Figure.costs(group, what, times, work, "copy loop", COPYING, count=PACKETS)


def index_only(path: Path) -> None:
    with encap.open(path) as source:
        for _ in source.batches():
            pass


def seconds_of(code: str) -> float:
    """How long `code` takes in an interpreter of its own, without the interpreter's start."""
    timed = f"from time import perf_counter as t; a = t(); {code}; print(t() - a)"
    done = subprocess.run(
        [sys.executable, "-c", timed], check=True, capture_output=True, text=True,
        env=environment(),
    )  # fmt: skip
    return float(done.stdout)


def environment() -> dict[str, str]:
    """Children import the encap that is imported here, compiled as pip would, in one thread."""
    home = Path(encap.__file__).resolve().parent.parent
    own = {"PYTHONPATH": str(home), "ENCAP_THREADS": "1", "PYTHONDONTWRITEBYTECODE": ""}
    return {**os.environ, **own}


def alternating(works: dict[str, Callable[[], float]], rounds: int = ROUNDS) -> Times:
    """Times of works that measure themselves."""
    times: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds + 1):
        for name, work in works.items():
            times[name].append(work())
    return Times({name: seconds[1:] for name, seconds in times.items()})


def imports() -> Iterator[Figure]:
    everything = "from encap import Packets, parse, read, write, Ethernet, IPv4, UDP, VXLAN"
    codes = {"numpy": "import numpy", "encap": "import encap", "names": everything}
    times = alternating({n: (lambda code=code: seconds_of(code)) for n, code in codes.items()})
    for name, what in (
        ("encap", "`import encap`"),
        ("names", "and its names for batches, files and four headers used"),
    ):
        yield Figure.costs(
            "import, in a process of its own", what, times, name, "numpy", "x numpy", 1.3, count=1
        )


def measure() -> Iterator[Figure]:
    yield from streaming()
    yield from keeping()
    yield from wrapping()
    yield from imports()
