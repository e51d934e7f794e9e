"""The kernels over whole captures: against memcpy of the same octets, and against the yardstick."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np

import encap
from encap import memory
from encap._lib import Batch, ffi, lib, pointer
from encap.layers import RECORD
from encap.walk import PathTable, port_rules
from goals import Figure
from timing import Times, interleaved
from workloads import PACKETS, WORKLOADS, capture
from yardstick import KINDS, Limit, copy
from yardstick import RECORD as LIMIT_RECORD

NINE = (
    "tunnel.kind", "tunnel.id", "outer.ipv4.src", "outer.ipv4.dst", "inner.ip.protocol",
    "inner.ipv4.src", "inner.ipv4.dst", "inner.l4.sport", "inner.l4.dport",
)  # fmt: skip
"""The columns that a study of overlay traffic begins with."""
TUNNELS = ("vxlan", "geneve", "gre", "mix")
HOT = 1000  # packets that stay in the second-level cache
REPEATS = 200
MEMCPY = "x memcpy"
BY_HAND = "x by hand"


def touched(octets: int) -> np.ndarray:
    """Memory whose pages are there."""
    made = np.empty(octets, np.uint8)
    made.fill(0)
    return made


def check_columns(packets: encap.Packets, limit: Limit, name: str) -> None:
    """Encap and the yardstick have found the same: no speed counts without this."""
    found = packets.columns(*NINE, threads=1)
    limit.walk()
    mine = limit.records
    kinds = np.array([0, *(encap.Kind[word] for word in KINDS[1:])], np.uint8)
    ipv4 = mine["tunnel"] != KINDS.index("ipv6")  # the yardstick folds IPv6 addresses
    pairs = {
        "tunnel.kind": kinds[mine["tunnel"]],
        "tunnel.id": mine["id"],
        "outer.ipv4.src": mine["src"],
        "outer.ipv4.dst": mine["dst"],
        "inner.ip.protocol": mine["protocol"],
        "inner.l4.sport": mine["sport"],
        "inner.l4.dport": mine["dport"],
        "inner.ipv4.src": mine["inner_src"] * ipv4,
        "inner.ipv4.dst": mine["inner_dst"] * ipv4,
    }
    for column, expected in pairs.items():
        if not np.array_equal(found[column], expected):
            raise SystemExit(f"{name}: {column} differs from the yardstick's")


def check_decap(packets: encap.Packets, limit: Limit, buffer: np.ndarray) -> None:
    octets = limit.decap(buffer)
    inner = packets.decap(threads=1).compact(threads=1)
    if not np.array_equal(inner.data, buffer[:octets]):
        raise SystemExit("decapsulation differs from the yardstick's")


def cold_times(name: str) -> Times:
    """One capture, one thread, results into memory given; more than any cache holds."""
    packets = encap.read(capture(name))
    buffer = touched(packets.data.size)
    layers = packets.parse(threads=1)
    works: dict[str, Callable[[], object]] = {
        "copy": lambda: copy(packets.data, buffer),
        "parse": lambda: packets.parse(threads=1, out=layers),
    }
    if name in TUNNELS:
        columns, limit = packets.columns(*NINE, threads=1), Limit(packets)
        check_columns(packets, limit, name)
        check_decap(packets, limit, buffer)
        works |= {
            "columns": lambda: packets.columns(*NINE, threads=1, out=columns),
            "views": lambda: packets.decap(threads=1),
            "decap": lambda: packets.decap(threads=1, out=buffer),
            "limit walk": limit.walk,
            "limit decap": lambda: limit.decap(buffer),
        }
    return interleaved(works)


def cold() -> Iterator[Figure]:
    """parse, columns and decap of every capture."""
    by_name = {name: cold_times(name) for name in WORKLOADS}
    group = "parse: which header stands where; cold memory, one thread"
    for name, times in by_name.items():
        what = f"`parse(out=)`, {name}"
        yield Figure.costs(group, what, times, "parse", "copy", MEMCPY, 1.0, count=PACKETS)
    group = "columns: nine fields in one pass; cold memory, one thread"
    for name in TUNNELS:
        times = by_name[name]
        what = f"`columns(..., out=)`, {name}"
        yield Figure.costs(group, what, times, "columns", "copy", MEMCPY, 1.3, count=PACKETS)
        what = f"written by hand for these packets, {name}"
        yield Figure.costs(group, what, times, "limit walk", "copy", MEMCPY, count=PACKETS)
    group = "decap: the inner packets; cold memory, one thread"
    for name in TUNNELS:
        times = by_name[name]
        what = f"`decap()`, {name}, views"
        yield Figure.costs(group, what, times, "views", "copy", MEMCPY, count=PACKETS)
        what = f"`decap(out=)`, {name}, copied"
        yield Figure.costs(group, what, times, "decap", "limit decap", BY_HAND, 1.25, count=PACKETS)


def hot() -> Iterator[Figure]:
    """The parse kernel alone: 1,000 packets in cache, C called on ready arrays."""
    group = "parse: 1,000 packets in the second-level cache, C alone"
    for name in TUNNELS:
        packets = encap.read(capture(name))[:HOT].compact()
        limit = Limit(packets)
        limit.records = touched(HOT * LIMIT_RECORD.itemsize).view(LIMIT_RECORD)
        batch, rules, paths = Batch(packets), port_rules({}), PathTable()
        records = touched(HOT * RECORD.itemsize)
        ids = touched(2 * HOT).view(np.uint16)
        layers, path_ids = pointer_to_layers(records), pointer(ids, "uint16_t")

        def parse(batch=batch, rules=rules, paths=paths, layers=layers, path_ids=path_ids) -> None:
            for _ in range(REPEATS):
                lib.encap_parse(batch.pointer, rules, 0, HOT, paths.pointer, layers, path_ids)

        times = interleaved({
            "limit": lambda m=limit: m.walk(HOT, 0, REPEATS),
            "parse": parse,
        })  # fmt: skip
        calls = HOT * REPEATS
        yield Figure.costs(group, name, times, "parse", "limit", BY_HAND, 2.0, count=calls)


def pointer_to_layers(records: np.ndarray) -> object:
    return ffi.cast("encap_layers *", pointer(records, "uint8_t"))


@contextmanager
def no_pool() -> Iterator[None]:
    """Large results in memory that nobody has touched before."""
    before, memory._pool = memory._pool, memory._Pool(0)
    try:
        yield
    finally:
        memory._pool = before


def fresh() -> Iterator[Figure]:
    """What new memory costs: results given, from the pool, or in pages never touched."""
    packets = encap.read(capture("vxlan"))
    count, buffer = len(packets), touched(packets.data.size)
    layers = packets.parse(threads=1)
    columns = packets.columns(*NINE, threads=1)
    inner = packets.decap(threads=1)
    given = {
        "parse": lambda: packets.parse(threads=1, out=layers),
        "columns": lambda: packets.columns(*NINE, threads=1, out=columns),
        "compact": lambda: inner.compact(threads=1, out=buffer),
    }
    made = {
        "parse": lambda: packets.parse(threads=1),
        "columns": lambda: packets.columns(*NINE, threads=1),
        "compact": lambda: inner.compact(threads=1),
    }
    works = {"copy": lambda: copy(packets.data, buffer)}
    works |= {f"`{name}(out=)`": work for name, work in given.items()}
    works |= {f"`{name}()`, the one before dropped": work for name, work in made.items()}
    times = interleaved(works)
    with no_pool():
        new = interleaved(works)
    group = "memory: what large results cost by where they go, vxlan"
    for name in list(works)[1:]:
        yield Figure.costs(group, name, times, name, "copy", MEMCPY, count=count)
    for name in made:
        work, what = (
            f"`{name}()`, the one before dropped",
            f"`{name}()`, pages never touched before",
        )
        yield Figure.costs(group, what, new, work, "copy", MEMCPY, count=count)


def checksums() -> Iterator[Figure]:
    """Internet checksums of packets of one size, 256 KiB that stay in cache."""
    room = 1 << 18
    data = np.random.default_rng(1).integers(0, 256, room, dtype=np.uint8)
    for size in (64, 1500, 65535):
        count = room // size
        packets = encap.Packets(data, np.arange(count) * size, np.full(count, size))
        limit, batch, sums = Limit(packets), Batch(packets), np.zeros(count, np.uint16)
        target = pointer(sums, "uint16_t", writable=True)

        def encap_sums(batch=batch, count=count, target=target) -> None:
            for _ in range(32):
                lib.encap_checksums(batch.pointer, 0, count, target)

        times = interleaved({
            "madd": lambda m=limit: m.checksums("madd", 32),
            "widen": lambda m=limit: m.checksums("widen", 32),
            "encap": encap_sums,
        })  # fmt: skip
        if not np.array_equal(sums, limit.sums):
            raise SystemExit(f"checksums of {size} octets differ from the yardstick's")
        best = min("madd", "widen", key=lambda name: times[name])
        speed = size * count * 32 / times["encap"] / 1e9
        yield Figure.gains(
            "checksum: RFC 1071 over packets in cache",
            f"{size:,} octets, {speed:.0f} GB/s",
            times,
            "encap",
            best,
            "x AVX2 by hand",
            0.85,
            count=count * 32,
        )


def threads() -> Iterator[Figure]:
    """What a second thread gains."""
    packets = encap.read(capture("vxlan"))
    layers = packets.parse(threads=1)
    columns = packets.columns(*NINE, threads=1)
    buffer = touched(packets.data.size)
    halves = [Limit(packets[: len(packets) // 2]), Limit(packets[len(packets) // 2 :])]
    pool = ThreadPoolExecutor(2)
    works = {
        f"{name} {number}": lambda work=work, number=number: work(number)
        for name, work in {
            "parse": lambda number: packets.parse(threads=number, out=layers),
            "columns": lambda number: packets.columns(*NINE, threads=number, out=columns),
            "decap": lambda number: packets.decap(threads=number),
            "decap(out=)": lambda number: packets.decap(threads=number, out=buffer),
            "by hand": lambda number: list((map if number == 1 else pool.map)(Limit.walk, halves)),
        }.items()
        for number in (1, 2)
    }
    with pool:
        times = interleaved(works)
    group = "two threads beside one, vxlan"
    for what, name, goal in (
        ("`parse`", "parse", 1.5),
        ("`columns`", "columns", None),
        ("`decap`", "decap", None),
        ("`decap(out=)`", "decap(out=)", None),
        ("the walk by hand: what the machine has to give", "by hand", None),
    ):
        two, one = f"{name} 2", f"{name} 1"
        yield Figure.gains(group, what, times, two, one, goal=goal, count=len(packets))


def measure() -> Iterator[Figure]:
    yield from cold()
    yield from hot()
    yield from fresh()
    yield from checksums()
    yield from threads()
