"""Rewriting and checksum verdicts of whole captures: against memcpy and the yardstick."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import cycle

import numpy as np

import encap
from goals import Figure
from measure_batches import BY_HAND, MEMCPY, no_pool, touched
from timing import interleaved
from workloads import PACKETS, capture
from yardstick import Limit, copy

ADDRESSES = ("outer.ipv4.src", "outer.ipv4.dst", "inner.ipv4.src", "inner.ipv4.dst")
MASK = 0x01020304
REWRITTEN = ("vxlan", "vxlanu")
VERDICTS = {"vxlan": 1.6, "gre": 1.6, "vxlanu": 1.8}
"""Captures whose checksums are looked at, and the goal, in times of memcpy."""
A_PACKET = 4  # checksums: of each of these captures, outer and inner


def writable(packets: encap.Packets) -> encap.Packets:
    """The same packets in memory of their own, which may be written to."""
    data = touched(packets.data.size)
    data[:] = packets.data
    return encap.Packets(data, packets.starts, packets.lengths)


class Rewriting:
    """A capture twice, for encap and for the yardstick, and the addresses that it has in turn."""

    def __init__(self, name: str) -> None:
        self.source = encap.read(capture(name))
        self.mine, theirs = writable(self.source), writable(self.source)
        self.theirs, self.limit = theirs, Limit(theirs)
        before = self.source.columns(*ADDRESSES)
        self.other = {address: column ^ np.uint32(MASK) for address, column in before.items()}
        # What is written has to differ from what is there, or nothing would be done.
        self.turns = cycle((self.other, before))
        self.out = touched(self.source.data.size)

    def in_place(self) -> None:
        self.mine.rewrite(next(self.turns), out="in place", threads=1)

    def by_hand(self) -> None:
        self.limit.rewrite(MASK)

    def copied(self, out: np.ndarray | None) -> encap.Packets:
        return self.source.rewrite(self.other, out=out, threads=1)

    def check(self, name: str) -> None:
        """The same octets as the yardstick's, there and back."""
        for _ in range(2):
            self.in_place()
            self.by_hand()
            if not np.array_equal(self.mine.data, self.theirs.data):
                raise SystemExit(f"{name}: rewritten packets differ from the yardstick's")
        if not np.array_equal(self.mine.data, self.source.data):
            raise SystemExit(f"{name}: rewritten twice, packets are not what they were")
        self.by_hand()
        if list(self.copied(self.out)[::997]) != list(self.theirs[::997]):
            raise SystemExit(f"{name}: packets rewritten into a copy differ from the yardstick's")
        self.by_hand()


def rewriting(name: str) -> Iterator[Figure]:
    """Four addresses of every packet, and every checksum that covers them."""
    work = Rewriting(name)
    work.check(name)
    works: dict[str, Callable[[], object]] = {
        "copy": lambda: copy(work.source.data, work.out),
        "by hand": work.by_hand,
        "in place": work.in_place,
        "copied": lambda: work.copied(work.out),
        "kept": lambda: work.copied(None),
    }
    times = interleaved(works)
    with no_pool():
        fresh = interleaved({"copy": works["copy"], "new": works["kept"]})
    group = "rewrite: outer and inner addresses by columns, checksums updated; cold, one thread"
    what = f"in place, {name}"
    yield Figure.costs(group, what, times, "in place", "by hand", BY_HAND, 1.5, count=PACKETS)
    what = f"written by hand for these packets, {name}"
    yield Figure.costs(group, what, times, "by hand", "copy", MEMCPY, count=PACKETS)
    what = f"copied, `out=`, {name}"
    yield Figure.costs(group, what, times, "copied", "copy", MEMCPY, 1.6, count=PACKETS)
    what = f"copied, the result before dropped, {name}"
    yield Figure.costs(group, what, times, "kept", "copy", MEMCPY, count=PACKETS)
    what = f"copied, pages never touched before, {name}"
    yield Figure.costs(group, what, fresh, "new", "copy", MEMCPY, count=PACKETS)


def check_verdicts(name: str, found: encap.Checksums) -> None:
    """All are right, but for outer UDP checksums that are not there."""
    missing = PACKETS if name == "vxlan" else 0
    wanted = {encap.Verdict.GOOD: A_PACKET * PACKETS - missing}
    if found.counts != wanted | ({encap.Verdict.ZERO: missing} if missing else {}):
        raise SystemExit(f"{name}: checksums that are right are said to be {found.counts}")


def verdicts(name: str, goal: float) -> Iterator[Figure]:
    """Every checksum of every packet."""
    packets = encap.read(capture(name))
    buffer, found = touched(packets.data.size), packets.checksums(threads=1)
    check_verdicts(name, found)
    works: dict[str, Callable[[], object]] = {
        "copy": lambda: copy(packets.data, buffer),
        "verdicts": lambda: packets.checksums(threads=1, out=found),
        "made": lambda: packets.checksums(threads=1),
    }
    times = interleaved(works)
    with no_pool():
        fresh = interleaved(works)
    group = "checksums: a verdict on every one of every layer; cold, one thread"
    what = f"`checksums(out=)`, {name}"
    yield Figure.costs(group, what, times, "verdicts", "copy", MEMCPY, goal, count=PACKETS)
    what = f"`checksums()`, {name}, the one before dropped"
    yield Figure.costs(group, what, times, "made", "copy", MEMCPY, count=PACKETS)
    what = f"`checksums()`, {name}, pages never touched before"
    yield Figure.costs(group, what, fresh, "made", "copy", MEMCPY, count=PACKETS)


def measure() -> Iterator[Figure]:
    for name in REWRITTEN:
        yield from rewriting(name)
    for name, goal in VERDICTS.items():
        yield from verdicts(name, goal)
