"""Tunnels as Linux runs them: against the bare `encap`, `decap` and `compact` of the same batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

import encap
from encap import UDP, VXLAN, Ethernet, IPv4, tunnels
from goals import Figure
from measure_batches import touched
from timing import interleaved
from workloads import PACKETS, capture

BARE = "x the bare call"
GROUP = "tunnels: what a device sends and takes, beside the bare call; cold, one thread"
SINGLE = "tunnels: a batch of one frame"
VNI, LOCAL, REMOTE = 42, "192.0.2.1", "192.0.2.2"
ECT, CE = 2, 3
LINK = Ethernet(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
CALLS = 200


def one_tunnel(packets: encap.Packets) -> encap.Packets:
    """The packets of the workload, all of them between the same ends and of one network."""
    ends = {"outer.ipv4.src": REMOTE, "outer.ipv4.dst": LOCAL}
    return packets.rewrite({"vxlan.vni": VNI, **ends})


def marked(packets: encap.Packets, outer: int, inner: int) -> encap.Packets:
    """With ECN bits outside and inside."""
    return packets.rewrite({"outer.ipv4.ecn": outer, "inner.ipv4.ecn": inner})


def device(*, learning: bool) -> tunnels.VXLANTunnel:
    """A device that takes what the workload has, on a link where all of it fits."""
    below = tunnels.Underlay(mtu=9000)
    return tunnels.VXLANTunnel(
        id=VNI, local=LOCAL, remote=REMOTE, dstport=4789, learning=learning, underlay=below
    )


def check(packets: encap.Packets, got: tunnels.Result) -> None:
    """A tunnel takes all of it, and gives what the bare call gives."""
    if got.reasons.any() or list(got.packets[::997]) != list(packets.decap()[::997]):
        raise SystemExit(f"a tunnel did not take what it should: {got.counts}")


def receiving(packets: encap.Packets) -> Iterator[Figure]:
    """Packets in: as they are, with congestion marks that change nothing, with such that do."""
    out = touched(packets.data.size)
    plain, learns = device(learning=False), device(learning=True)
    check(packets, plain.decap(packets))
    same, change = marked(packets, ECT, ECT), marked(packets, CE, ECT)
    works: dict[str, Callable[[], object]] = {
        "bare": lambda: packets.decap(threads=1).compact(out=out, threads=1),
        "decap": lambda: plain.decap(packets),
        "learning": lambda: learns.decap(packets),
        "same": lambda: plain.decap(same),
        "change": lambda: plain.decap(change),
    }
    times = interleaved(works)
    for name, what in (
        ("decap", "decap, VXLAN"),
        ("learning", "decap, VXLAN that learns addresses"),
        ("same", "decap, VXLAN, ECT outside and inside"),
        ("change", "decap, VXLAN, CE outside, to be written inside"),
    ):
        yield Figure.costs(GROUP, what, times, name, "bare", BARE, 1.5, count=PACKETS)


def sending(packets: encap.Packets) -> Iterator[Figure]:
    """Frames out."""
    frames, made = packets.decap(), device(learning=True)
    template = LINK / IPv4(src=LOCAL, dst=REMOTE) / UDP(dport=4789) / VXLAN(vni=VNI)
    out = touched(int(frames.lengths.sum(dtype=np.int64)) + PACKETS * len(template))
    ids = np.arange(PACKETS).astype(np.uint16)
    works: dict[str, Callable[[], object]] = {
        "bare": lambda: frames.encap(template, threads=1, out=out),
        "same": lambda: frames.encap(
            template, threads=1, out=out, sport="linux", ecn="linux", ip_id=ids
        ),
        "encap": lambda: made.encap(frames, link=LINK, threads=1, out=out),
    }
    times = interleaved(works)
    what = "encap, VXLAN"
    yield Figure.costs(GROUP, what, times, "encap", "bare", BARE, 1.5, count=PACKETS)
    what = "encap, VXLAN, the bare call told to inherit ECN and count ids"
    yield Figure.costs(GROUP, what, times, "encap", "same", BARE, count=PACKETS)


def single(packets: encap.Packets) -> Iterator[Figure]:
    """One frame a call: what a device in a loop waits for."""
    made = replace(device(learning=True), underlay=tunnels.Underlay(mtu=9000))
    outer = packets[:1]
    frame = outer.decap()
    template = LINK / IPv4(src=LOCAL, dst=REMOTE) / UDP(dport=4789) / VXLAN(vni=VNI)

    def often(work: Callable[[], object]) -> Callable[[], object]:
        return lambda: [work() for _ in range(CALLS)]

    works = {
        "encap": often(lambda: made.encap(frame, link=LINK)),
        "bare encap": often(lambda: frame.encap(template)),
        "decap": often(lambda: made.decap(outer)),
        "bare decap": often(outer.decap),
    }
    times = interleaved(works)
    for name in ("encap", "decap"):
        yield Figure.costs(SINGLE, name, times, name, f"bare {name}", BARE, count=CALLS)


def measure() -> Iterator[Figure]:
    packets = one_tunnel(encap.read(capture("vxlan")))
    yield from receiving(packets)
    yield from sending(packets)
    yield from single(packets)
