"""`encap decap`, `encap encap` and `encap rewrite` as processes: time and memory.

Beside a copying loop, tcpdump and tcprewrite. What starting costs (the interpreter, the imports,
the command's options) is measured on a capture without packets and taken off, for the loop too; a
native program is not granted its start.
"""

from __future__ import annotations

import getpass
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import encap
from goals import Figure
from measure_files import CHUNK, alternating, environment, in_memory
from timing import Times
from workloads import PACKETS

HEADER_LEN = 24  # octets of a pcap without packets
# The peak of this very process: what getrusage gives would include the parent's at the fork.
COMMAND = """
import sys
from encap.cli import main
sys.argv = ["encap", *sys.argv[1:]]
try:
    main()
finally:
    with open("/proc/self/status") as status:
        peak = next(line.split()[1] for line in status if line.startswith("VmHWM"))
    print("peak", peak, file=sys.stderr)
"""
TEMPLATE = (
    "eth(dst=06:10:20:30:40:50,src=06:01:02:03:04:05)"
    "/ipv4(src=192.168.0.1,dst=192.168.1.5)/udp/vxlan(vni=42)"
)
PREFIXES = {
    "ipv4.src": ("10.0.0.0/12", "172.16.0.0/12"),
    "ipv4.dst": ("10.128.0.0/12", "172.32.0.0/12"),
}
"""Where the addresses of the capture `plain` lie, and where they are to lie; host bits stay."""
LOOP = f"""
import sys
chunk = bytearray({CHUNK})
with open(sys.argv[1], "rb", 0) as source, open(sys.argv[2], "wb", 0) as sink:
    while got := source.readinto(chunk):
        sink.write(memoryview(chunk)[:got])
"""


class Process:
    """A command over two files; remembers the most memory that it said to have used."""

    def __init__(self, *command: str) -> None:
        self.command = command
        self.peak_kib = 0

    def run(self, source: Path, target: Path) -> float:
        files = {"IN": str(source), "OUT": str(target)}
        command = [files.get(word, word) for word in self.command]
        target.unlink(missing_ok=True)
        begin = perf_counter()
        done = subprocess.run(command, check=True, capture_output=True, text=True,
                              env=environment())  # fmt: skip
        took = perf_counter() - begin
        for line in done.stderr.splitlines():
            if line.startswith("peak "):
                self.peak_kib = max(self.peak_kib, int(line.split()[1]))
        return took


def encap_command(*words: str) -> tuple[str, ...]:
    """`encap` with these words; IN and OUT stand for the files."""
    return sys.executable, "-c", COMMAND, *words


LOOPING = (sys.executable, "-c", LOOP, "IN", "OUT")


def without_packets(path: Path) -> Path:
    """A capture beside `path` that has its header alone."""
    empty = path.with_name("empty.pcap")
    empty.write_bytes(path.read_bytes()[:HEADER_LEN])
    return empty


@dataclass(frozen=True, slots=True)
class Turn:
    """A process and the files it is given."""

    process: Process
    source: Path
    target: Path

    def run(self) -> float:
        return self.process.run(self.source, self.target)


class Race:
    """Commands that take turns, each on its files.

    started: commands whose start, as an empty capture shows it, is taken off.
    """

    def __init__(self, started: dict[str, Turn], others: dict[str, Turn], empty: Path) -> None:
        self.work = started | others
        self.start = {
            name: Turn(Process(*turn.process.command), empty, turn.target)
            for name, turn in started.items()
        }
        starts = {f"{name} start": turn for name, turn in self.start.items()}
        self.times = alternating({name: turn.run for name, turn in (self.work | starts).items()})
        own = {
            name: [took - self.times[f"{name} start"] for took in self.times.rounds[name]]
            for name in started
        }
        self.shown = Times({name: own.get(name, self.times.rounds[name]) for name in self.work})

    @property
    def peak_mb(self) -> float:
        """Memory that `encap` needed more than its start did."""
        peaks = self.work["encap"].process.peak_kib, self.start["encap"].process.peak_kib
        return (peaks[0] - peaks[1]) / 1000


def decap() -> Iterator[Figure]:
    with in_memory("vxlan") as (path, target):
        started = {
            "encap": Turn(Process(*encap_command("decap", "IN", "OUT")), path, target),
            "loop": Turn(Process(*LOOPING), path, target),
        }
        others = {}
        if tcpdump := shutil.which("tcpdump"):
            # As root it would become another user, who may not write here.
            user = ("-Z", "root") if getpass.getuser() == "root" else ()
            command = Process(tcpdump, *user, "-r", "IN", "-w", "OUT")
            others["tcpdump"] = Turn(command, path, target)
        race = Race(started, others, without_packets(path))
    group = "`encap decap IN OUT`: the process without its start, tmpfs, vxlan, one thread"
    yield Figure.costs(group, "beside a loop of 512 KiB reads and writes", race.shown, "encap",
                       "loop", "x copying", 1.3, count=PACKETS)  # fmt: skip
    if "tcpdump" in race.work:
        what = "beside `tcpdump -r IN -w OUT`, which only copies"
        yield Figure.gains(group, what, race.shown, "encap", "tcpdump", goal=2.0, count=PACKETS)
    start_ms = race.times["encap start"] * 1e3
    yield Figure(group, "start: interpreter, imports, options", start_ms, "ms")
    yield Figure(group, "memory above what the start needs", race.peak_mb, "MB", 60)


def encapsulation() -> Iterator[Figure]:
    """Beside the loop over what comes out, which is the larger file."""
    with in_memory("plain") as (path, target):
        command = Process(*encap_command("encap", "IN", "OUT", "--with", TEMPLATE))
        made = path.with_name("made.pcap")
        command.run(path, made)
        check_encapsulated(path, made)
        started = {
            "encap": Turn(command, path, target),
            "loop": Turn(Process(*LOOPING), made, target),
        }
        race = Race(started, {}, without_packets(path))
    group = "`encap encap IN OUT`: the process without its start, tmpfs, plain, one thread"
    yield Figure.costs(group, "VXLAN, beside a loop over what comes out", race.shown, "encap",
                       "loop", "x copying", 1.4, count=PACKETS)  # fmt: skip
    yield Figure(
        group, "start: interpreter, imports, options", race.times["encap start"] * 1e3, "ms"
    )
    yield Figure(group, "memory above what the start needs", race.peak_mb, "MB")


def check_encapsulated(path: Path, made: Path) -> None:
    outer, inner = encap.read(made), encap.read(path)
    if not outer.decap().equals(inner):
        raise SystemExit("what `encap encap` put into VXLAN does not come out of it")
    for frame in outer[::997]:
        encap.parse(frame, verify=True)


def rewriting() -> Iterator[Figure]:
    """Other prefixes for both addresses, beside the loop and tcprewrite."""
    sets = [word for name, (_, new) in PREFIXES.items() for word in ("--set", f"{name}={new}")]
    with in_memory("plain") as (path, target):
        command = Process(*encap_command("rewrite", "IN", "OUT", *sets))
        started = {
            "encap": Turn(command, path, target),
            "loop": Turn(Process(*LOOPING), path, target),
        }
        others = {}
        if tcprewrite := shutil.which("tcprewrite"):
            pairs = ",".join(f"{old}:{new}" for old, new in PREFIXES.values())
            theirs = Process(tcprewrite, f"--pnat={pairs}", "-i", "IN", "-o", "OUT")
            others["tcprewrite"] = Turn(theirs, path, target)
            check_rewritten(command, theirs, path)
        race = Race(started, others, without_packets(path))
    group = "`encap rewrite IN OUT`: the process without its start, tmpfs, plain, one thread"
    if "tcprewrite" in race.work:
        what = "both IPv4 addresses, beside `tcprewrite --pnat`"
        yield Figure.gains(group, what, race.shown, "encap", "tcprewrite", goal=3.0, count=PACKETS)
    else:
        print("tcprewrite is not installed (Debian: apt-get install tcpreplay)", file=sys.stderr)
    yield Figure.costs(group, "beside a loop of 512 KiB reads and writes", race.shown, "encap",
                       "loop", "x copying", count=PACKETS)  # fmt: skip
    start_ms = race.times["encap start"] * 1e3
    yield Figure(group, "start: interpreter, imports, options", start_ms, "ms")
    yield Figure(group, "memory above what the start needs", race.peak_mb, "MB")


def check_rewritten(command: Process, theirs: Process, path: Path) -> None:
    """Both have changed the packets in the same way."""
    made, other = path.with_name("made.pcap"), path.with_name("other.pcap")
    command.run(path, made)
    theirs.run(path, other)
    if not encap.read(made).equals(encap.read(other)):
        raise SystemExit("tcprewrite makes other packets of the same change")


def measure() -> Iterator[Figure]:
    yield from decap()
    yield from encapsulation()
    yield from rewriting()
