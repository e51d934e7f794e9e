"""`encap decap IN OUT` as a process, beside a copying loop and tcpdump: time and memory.

What starting costs (the interpreter, the imports, the command's options) is measured on a capture
without packets and taken off, for the loop too.
"""

from __future__ import annotations

import getpass
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter

from goals import Figure
from measure_files import CHUNK, alternating, environment, in_memory
from timing import Times
from workloads import PACKETS

HEADER_LEN = 24  # octets of a pcap without packets
# The peak of this very process: what getrusage gives would include the parent's at the fork.
COMMAND = """
import sys
from encap.cli import main
sys.argv = ["encap", "decap", *sys.argv[1:]]
try:
    main()
finally:
    with open("/proc/self/status") as status:
        peak = next(line.split()[1] for line in status if line.startswith("VmHWM"))
    print("peak", peak, file=sys.stderr)
"""
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


def commands() -> dict[str, tuple[str, ...]]:
    """By name; IN and OUT stand for the files."""
    found: dict[str, tuple[str, ...]] = {
        "encap": (sys.executable, "-c", COMMAND, "IN", "OUT"),
        "loop": (sys.executable, "-c", LOOP, "IN", "OUT"),
    }
    if tcpdump := shutil.which("tcpdump"):
        # As root it would become another user, who may not write here.
        user = ("-Z", "root") if getpass.getuser() == "root" else ()
        found["tcpdump"] = (tcpdump, *user, "-r", "IN", "-w", "OUT")
    return found


def measure() -> Iterator[Figure]:
    with in_memory("vxlan") as (path, target):
        empty = path.with_name("empty.pcap")
        empty.write_bytes(path.read_bytes()[:HEADER_LEN])
        work = {name: Process(*command) for name, command in commands().items()}
        start = {name: Process(*command) for name, command in commands().items()}
        times = alternating(
            {name: (lambda p=process: p.run(path, target)) for name, process in work.items()}
            | {
                f"{name} start": (lambda p=process: p.run(empty, target))
                for name, process in start.items()
            }
        )
    group = "`encap decap IN OUT`: the process without its start, tmpfs, vxlan, one thread"
    own = {name: [took - times[f"{name} start"] for took in times.rounds[name]] for name in work}
    # A native program is not granted its start.
    shown = Times({"encap": own["encap"], "loop": own["loop"], **_tcpdump(times)})
    yield Figure.costs(group, "beside a loop of 512 KiB reads and writes", shown, "encap", "loop",
                       "x copying", 1.3, count=PACKETS)  # fmt: skip
    if "tcpdump" in work:
        what = "beside `tcpdump -r IN -w OUT`, which only copies"
        yield Figure.gains(group, what, shown, "encap", "tcpdump", goal=2.0, count=PACKETS)
    start_ms = times["encap start"] * 1e3
    yield Figure(group, "start: interpreter, imports, options", start_ms, "ms")
    peak = (work["encap"].peak_kib - start["encap"].peak_kib) / 1000
    yield Figure(group, "memory above what the start needs", peak, "MB", 60)


def _tcpdump(times: Times) -> dict[str, list[float]]:
    return {name: took for name, took in times.rounds.items() if name == "tcpdump"}
