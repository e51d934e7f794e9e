"""Encapsulation of a whole capture: against memcpy of its octets, and against the yardstick."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import encap
from encap import encapsulate
from encap._lib import lib
from encap.headers.gre import C, K
from goals import Figure
from measure_batches import BY_HAND, HOT, MEMCPY, REPEATS, no_pool, touched
from timing import Times, interleaved
from workloads import PACKETS, capture
from yardstick import Limit, copy

ENDS = {"src": "192.168.0.1", "dst": "192.168.1.5"}
MACS = {"dst": "06:10:20:30:40:50", "src": "06:01:02:03:04:05"}
ETHERNET = encap.Ethernet(**MACS)
VXLAN = ETHERNET / encap.IPv4(**ENDS) / encap.UDP(dport=4789) / encap.VXLAN()
GRE = ETHERNET / encap.IPv4(**ENDS) / encap.GRE(flags=C | K)
GENEVE = ETHERNET / encap.IPv4(**ENDS) / encap.UDP() / encap.Geneve()
OVERHEAD = 128  # octets that the longest of these does not reach


def headers() -> bytes:
    """VXLAN's template as the yardstick wants it: what it fills in is 0."""
    ipv4 = encap.IPv4(**ENDS, total_len=0, checksum=0)
    udp = encap.UDP(sport=0, dport=4789, len=0, checksum=0)
    return bytes(ETHERNET / ipv4 / udp / encap.VXLAN())


def vni_column(count: int) -> np.ndarray:
    """A hundred networks, none like that of the packet before."""
    return (1000 + np.arange(count) % 100).astype(np.uint32)


def options(count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """0 to 3 Geneve options a packet of 0 to 5 words each, as octets, starts and lengths."""
    draw = random.Random(11)
    made = [
        b"".join(
            bytes(encap.GeneveOption(0x0102, number + 1, draw.randbytes(4 * draw.randrange(6))))
            for number in range(draw.randrange(4))
        )
        for _ in range(256)
    ]
    lengths = np.array([len(one) for one in made], np.uint32)
    starts = np.cumsum(lengths, dtype=np.int64) - lengths
    chosen = np.random.default_rng(11).integers(0, len(made), count)
    return np.frombuffer(b"".join(made), np.uint8), starts[chosen], lengths[chosen]


class Work:
    """A batch, what is put around it, and memory that takes the result."""

    def __init__(self, packets: encap.Packets) -> None:
        self.packets, self.limit = packets, Limit(packets)
        self.vnis = vni_column(len(packets))
        self.options = options(len(packets))
        self.which = (np.arange(len(packets)) // 3 % 2).astype(np.uint8)
        self.out = touched(int(packets.lengths.sum()) + OVERHEAD * len(packets))
        self.headers = headers()

    def by_hand(self, udp_checksum: bool = False, **how: int) -> int:
        """Octets that the yardstick has written."""
        return self.limit.encap(self.headers, self.vnis, self.out, udp_checksum=udp_checksum, **how)

    def vxlan(self, udp_checksum: bool = False, **changed: object) -> encap.Packets:
        given = {"ip_id": "increment", "threads": 1, "out": self.out} | changed
        columns = {"vxlan.vni": self.vnis}
        return self.packets.encap(VXLAN, columns, udp_checksum=udp_checksum, **given)

    def gre(self, **changed: object) -> encap.Packets:
        given = {"ip_id": "increment", "threads": 1, "out": self.out} | changed
        return self.packets.encap(GRE, {"gre.key": self.vnis}, **given)

    def geneve(self, **changed: object) -> encap.Packets:
        given = {"ip_id": "increment", "threads": 1, "out": self.out} | changed
        columns = {"geneve.vni": self.vnis, "geneve.options": self.options}
        return self.packets.encap(GENEVE, columns, udp_checksum=True, **given)

    def chosen(self, **changed: object) -> encap.Packets:
        """VXLAN or GRE, three packets each in turn."""
        given = {"ip_id": "increment", "threads": 1, "out": self.out} | changed
        columns = {"vxlan.vni": self.vnis, "gre.key": self.vnis}
        return self.packets.encap(
            [VXLAN, GRE], columns, which=self.which, udp_checksum=True, **given
        )


def check(work: Work) -> None:
    """The same octets as the yardstick's, and inner packets that come out as they went in."""
    count = len(work.packets)
    ids = np.arange(count).astype(np.uint16)
    for udp_checksum in (False, True):
        octets = work.by_hand(udp_checksum)
        theirs = encap.Packets(work.out[:octets].copy(), work.limit.starts, work.limit.lengths)
        ports = theirs.columns("udp.sport")["udp.sport"]
        mine = work.vxlan(udp_checksum, sport=ports, ip_id=ids)
        if not np.array_equal(mine.data, theirs.data):
            raise SystemExit("encapsulation differs from the yardstick's")
    for name in ("vxlan", "gre", "geneve", "chosen"):
        made = getattr(work, name)()
        if not np.array_equal(made.decap().compact().data, work.packets.compact().data):
            raise SystemExit(f"what was put into {name} does not come out of it")
        for frame in made[:: max(1, count // 1000)]:
            encap.parse(frame, verify=True)


def cold() -> Iterator[Figure]:
    """A capture of plain packets in three kinds of tunnel."""
    work = Work(encap.read(capture("plain")))
    check(work)
    packets, out = work.packets, work.out
    made: dict[str, Callable[..., object]] = {
        "vxlan": work.vxlan,
        "vxlanu": lambda **how: work.vxlan(True, **how),
        "gre": work.gre,
        "geneve": work.geneve,
        "chosen": work.chosen,
    }
    works: dict[str, Callable[[], object]] = {
        "copy": lambda: copy(packets.data, out),
        "W3": work.by_hand,
        "W3u": lambda: work.by_hand(True),
    }
    new = {name: (lambda call=call: call(out=None)) for name, call in made.items()}
    times = interleaved(works | made | {f"{name} kept": call for name, call in new.items()})
    with no_pool():
        fresh = interleaved(works | new)
    yield from _reused(times)
    yield from _fresh(times, fresh)


LINES = (
    ("VXLAN, a column of VNIs, source port of the flow", "vxlan", "W3", 1.25),
    ("the same with the outer UDP checksum", "vxlanu", "W3u", 1.3),
    ("GRE with key and checksum", "gre", "W3u", 1.3),
    ("Geneve with 0 to 3 options, UDP checksum", "geneve", "W3u", 1.7),
    ("VXLAN or GRE, `which=` in turns of three packets", "chosen", "W3u", None),
)


def _reused(times: Times) -> Iterator[Figure]:
    group = "encap: plain packets into tunnels; cold memory, one thread, `out=`"
    for what, name, reference, goal in LINES:
        yield Figure.costs(group, what, times, name, reference, BY_HAND, goal, count=PACKETS)
    for name, with_or_without in (("W3", "without"), ("W3u", "with")):
        what = f"written by hand for these packets, {with_or_without} UDP checksum"
        yield Figure.costs(group, what, times, name, "copy", MEMCPY, count=PACKETS)


def _fresh(times: Times, fresh: Times) -> Iterator[Figure]:
    group = "encap: the same into new memory; the program by hand keeps its own"
    for what, name, reference, _ in LINES:
        work, told = f"{name} kept", f"{what}; the result before dropped"
        yield Figure.costs(group, told, times, work, reference, BY_HAND, count=PACKETS)
        told = f"{what}; pages never touched before"
        yield Figure.costs(group, told, fresh, name, reference, BY_HAND, count=PACKETS)


class _Recording:
    """The core's functions, and what the last `encap` called two of them with."""

    def __init__(self) -> None:
        self.calls: dict[str, tuple[Any, ...]] = {}
        self.runs: list[Any] = []

    def __getattr__(self, name: str) -> Any:
        function = getattr(lib, name)
        if name not in ("encap_build_measure", "encap_build_fill"):
            return function

        def recorded(*given: Any) -> Any:
            self.calls[name] = given
            return function(*given)

        return recorded


class Kernel:
    """The calls of C that one `encap` makes, to be made again and again."""

    def __init__(self, call: Callable[[], encap.Packets]) -> None:
        recording, init = _Recording(), encapsulate.Run.__init__

        def kept(run: Any, *given: Any) -> None:
            recording.runs.append(run)
            init(run, *given)

        encapsulate.lib, encapsulate.Run.__init__ = recording, kept
        try:
            made = call()
        finally:
            encapsulate.lib, encapsulate.Run.__init__ = lib, init
        self.measure = recording.calls["encap_build_measure"]
        self.fill = recording.calls["encap_build_fill"]
        self.keep = made, recording.runs  # C is given addresses, which keep nothing

    def __call__(self) -> None:
        for _ in range(REPEATS):
            lib.encap_build_measure(*self.measure)
            lib.encap_build_fill(*self.fill)


def hot() -> Iterator[Figure]:
    """The kernel alone: 1,000 packets in cache, C called on ready arrays."""
    work = Work(encap.read(capture("plain"))[:HOT].compact())
    check(work)
    made = {"vxlan": work.vxlan, "vxlanu": lambda: work.vxlan(True)}
    times = interleaved({
        "W3": lambda: work.by_hand(ahead=0, times=REPEATS),
        "W3u": lambda: work.by_hand(True, ahead=0, times=REPEATS),
        **{name: Kernel(call) for name, call in made.items()},
    })  # fmt: skip
    group = "encap: 1,000 packets in the second-level cache, C alone"
    for what, name, reference, _ in LINES[:2]:
        yield Figure.costs(group, what, times, name, reference, BY_HAND, 1.6, count=HOT * REPEATS)


def measure() -> Iterator[Figure]:
    yield from cold()
    yield from hot()
