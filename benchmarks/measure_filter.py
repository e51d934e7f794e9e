"""Packets chosen by an expression, and flow hashes: against the columns and the walk they need."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

import encap
from goals import Figure
from measure_batches import TUNNELS, no_pool
from timing import interleaved
from workloads import PACKETS, capture

FIELDS = ("vxlan.vni", "inner.ipv4.src", "inner.tcp.dport")
EXPRESSION = "vxlan.vni < 8000 and inner.ipv4.src in 10.0.0.0/13 and inner.tcp.dport == 40001"
FLOW = ("inner.ipv4.src", "inner.ipv4.dst", "inner.ip.protocol", "inner.l4.sport", "inner.l4.dport")


def by_numpy(packets: encap.Packets) -> np.ndarray:
    """What the expression says, over columns."""
    found = packets.columns(*FIELDS)
    few = (found["vxlan.vni"] < 8000) & (found["inner.ipv4.src"] >> 19 == 0x0A000000 >> 19)
    return few & (found["inner.tcp.dport"] == 40001)


def choosing() -> Iterator[Figure]:
    """Three comparisons joined by `and`, beside the columns of what they compare."""
    packets = encap.read(capture("vxlan"))
    wanted, columns = by_numpy(packets), packets.columns(*FIELDS, threads=1)
    if not np.array_equal(packets.match(EXPRESSION), wanted):
        raise SystemExit("the expression chooses other packets than numpy does")
    if not packets.where(EXPRESSION).equals(packets[wanted]):
        raise SystemExit("where() gives other packets than match() says")
    works: dict[str, Callable[[], object]] = {
        "columns": lambda: packets.columns(*FIELDS, threads=1, out=columns),
        "new columns": lambda: packets.columns(*FIELDS, threads=1),
        "match": lambda: packets.match(EXPRESSION, threads=1),
        "where": lambda: packets.where(EXPRESSION, threads=1),
    }
    times = interleaved(works)
    with no_pool():
        fresh = interleaved(works)
    group = f"where: three terms, {wanted.mean():.0%} of vxlan chosen; cold, one thread"
    unit = "x columns"
    for what, name, goal in (("`where`", "where", 1.5), ("`match`, the mask alone", "match", None)):
        yield Figure.costs(group, what, times, name, "columns", unit, goal, count=PACKETS)
    what = "`where`, pages never touched before, the columns' too"
    yield Figure.costs(group, what, fresh, "where", "new columns", unit, count=PACKETS)


def hashing() -> Iterator[Figure]:
    """The flow of the innermost packet as one number, beside the walk that finds it."""
    group = "flow hash: a column for the innermost flow; cold, one thread"
    for name in TUNNELS:
        packets = encap.read(capture(name))
        layers, hashes = packets.parse(threads=1), packets.flow_hash(threads=1)
        if name == "vxlan":
            check_hashes(packets, hashes)
        works: dict[str, Callable[[], object]] = {
            "walk": lambda packets=packets, layers=layers: packets.parse(threads=1, out=layers),
            "new walk": lambda packets=packets: packets.parse(threads=1),
            "hash": lambda packets=packets, out=hashes: packets.flow_hash(threads=1, out=out),
            "new hash": lambda packets=packets: packets.flow_hash(threads=1),
            "toeplitz": lambda packets=packets, out=hashes: packets.flow_hash(
                algorithm="toeplitz", threads=1, out=out
            ),
        }
        times = interleaved(works)
        with no_pool():
            fresh = interleaved(works)
        unit = "x parse"
        what = f"`flow_hash(out=)`, {name}"
        yield Figure.costs(group, what, times, "hash", "walk", unit, 1.3, count=PACKETS)
        what = f"`flow_hash()`, {name}, pages never touched before, the walk's too"
        yield Figure.costs(group, what, fresh, "new hash", "new walk", unit, count=PACKETS)
        what = f"Toeplitz, {name}"
        yield Figure.costs(group, what, times, "toeplitz", "walk", unit, count=PACKETS)


def check_hashes(packets: encap.Packets, hashes: np.ndarray) -> None:
    """One hash a flow, and hardly any two flows with the same."""
    found = packets.columns(*FLOW)
    rows = np.stack([found[name].astype(np.uint64) for name in FLOW], axis=1)
    flows, which = np.unique(rows, axis=0, return_inverse=True)
    first = np.zeros(len(flows), np.uint32)
    first[which.ravel()] = hashes
    if not np.array_equal(first[which.ravel()], hashes):
        raise SystemExit("packets of one flow have different hashes")
    if len(np.unique(first)) < len(flows) - 1:
        raise SystemExit("different flows have the same hash")


def measure() -> Iterator[Figure]:
    yield from choosing()
    yield from hashing()
