"""Fragments put together and packets split, and a flood of fragments that nothing completes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

import encap
from encap.fragments import Reassembler
from goals import Figure
from timing import interleaved
from workloads import capture

MTU = 576
FLOOD, BATCH, SIZE = 10_000_000, 100_000, 60
MEMORY = 1 << 26


def joining() -> Iterator[Figure]:
    """The packets of a capture that are longer than an MTU: split, and put together again."""
    packets = encap.read(capture("vxlan"))
    packets = packets[packets.lengths > MTU + 14]
    changes = {"outer.ipv4.flags": 0, "outer.ipv4.id": np.arange(len(packets)) & 0xFFFF}
    packets = packets.rewrite(changes)
    pieces = packets.fragment(MTU, threads=1)
    whole = pieces.reassemble(threads=1)
    if whole.left_out or list(whole) != list(packets):
        raise SystemExit("what was split is not put together")
    room = np.empty(int(pieces.lengths.sum()), np.uint8)
    split = np.empty(int(pieces.lengths.sum()), np.uint8)
    works: dict[str, Callable[[], object]] = {
        "memcpy": lambda: np.copyto(split, room),
        "join": lambda: pieces.reassemble(threads=1, out=room),
        "split": lambda: packets.fragment(MTU, threads=1, out=split),
    }
    times = interleaved(works)
    group = f"fragments: {len(packets):,} packets in {len(pieces):,}; cold, one thread, `out=`"
    rate = len(pieces) / times["join"] / 1e6
    yield Figure(group, "`reassemble`", rate, "M fragments/s", 2, at_least=True)
    for name, what in (("join", "`reassemble`"), ("split", "`fragment`")):
        yield Figure.costs(
            group, f"{what}, a fragment", times, name, "memcpy", "x memcpy", count=len(pieces)
        )


def flood() -> Iterator[Figure]:
    """In a process of its own, which has no memory left over that others gave back."""
    done = subprocess.run([sys.executable, __file__], capture_output=True, text=True, check=True)
    group = f"fragments: {FLOOD:,} datagrams that are never whole, `Reassembler(memory=64 MiB)`"
    # Beside what is kept there is the batch that comes, what a walk says of it, and what is made.
    yield Figure(
        group, "memory above what there was", int(done.stdout) / 1e6, "MB", MEMORY / 1e6 + 60
    )


def keep_flood() -> int:
    """First fragments of as many datagrams, of which nothing else ever comes; octets needed."""
    data = np.zeros((BATCH, SIZE), np.uint8)
    head = bytes(encap.IPv4(src="192.0.2.1", dst="192.0.2.2", protocol=17, flags=1, total_len=SIZE))
    data[:, : len(head)] = np.frombuffer(head, np.uint8)
    starts, lengths = np.arange(BATCH) * SIZE, np.full(BATCH, SIZE)
    before, most = _resident(), 0
    keeper = Reassembler(memory=MEMORY)
    for first in range(0, FLOOD, BATCH):
        numbers = np.arange(first, first + BATCH, dtype=">u4").view(np.uint8).reshape(-1, 4)
        data[:, 4:6], data[:, 14:16] = numbers[:, 2:], numbers[:, :2]
        batch = encap.Packets(data.reshape(-1).copy(), starts, lengths, linktypes=101)
        keeper.add(batch, threads=1)
        most = max(most, _resident() - before)
    if sum(keeper.left_out.values()) + keeper.waiting != FLOOD:
        raise SystemExit("fragments are lost without being counted")
    return most


def _resident() -> int:
    """Octets of memory that the process has."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def measure() -> Iterator[Figure]:
    yield from joining()
    yield from flood()


if __name__ == "__main__":
    print(keep_flood())
