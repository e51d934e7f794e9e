"""Other libraries over the same captures, with the same results: nanoseconds a packet beside ours.

    python benchmarks/peers.py [scapy] [dpkt] [pypacker] [numpy]

Without names, all that are installed. A peer's columns and inner packets are compared with ours
before they are timed. Peers of Python see the first packets of a capture only, as they would
take minutes; encap and numpy get all of it, which is what they are for.
"""

from __future__ import annotations

import importlib.util
import socket
import struct
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

import encap
from measure_batches import NINE, TUNNELS
from measure_encap import ENDS, MACS, Work
from timing import interleaved
from workloads import capture

Row = tuple[str, int, int, int, int, int, int, int, int]
"""NINE of one packet, the tunnel's kind in words; inner addresses are 0 where they are IPv6."""
Wrapping = tuple[bytes, int, int]
"""A frame, the VNI and the UDP source port that it is to get."""
SCAPY, DPKT, PYPACKER = 1000, 10_000, 5_000  # packets that a peer is given
ROUNDS = 5


@dataclass(frozen=True, slots=True)
class Peer:
    """A library: what it does to frames, how many it is given, and which captures it knows.

    outer: frames put into VXLAN, each with a VNI and a source port.
    """

    packets: int
    nine: Callable[[list[bytes]], list[Row]]
    inner: Callable[[list[bytes]], list[bytes]]
    outer: Callable[[list[Wrapping]], list[bytes]] | None = None
    captures: tuple[str, ...] = TUNNELS


def number(octets: bytes) -> int:
    return int.from_bytes(octets, "big")


# --- scapy -------------------------------------------------------------------


def scapy() -> Peer:
    from scapy.all import GRE, IP, UDP, VXLAN, Ether, IPv6
    from scapy.contrib.geneve import GENEVE

    def ipv4(text: str) -> int:
        return number(socket.inet_aton(text))

    def row(frame: bytes) -> Row:
        packet = Ether(frame)
        outer = packet[IP]
        if VXLAN in packet:
            kind, key, inside = "vxlan", packet[VXLAN].vni, packet[VXLAN].payload
        elif GENEVE in packet:
            kind, key, inside = "geneve", packet[GENEVE].vni, packet[GENEVE].payload
        elif GRE in packet:
            kind, key, inside = "gre", packet[GRE].key, packet[GRE].payload
        else:
            kind, key, inside = ("ipv4" if outer.proto == 4 else "ipv6"), 0, outer.payload
        network = inside.getlayer(IP) or inside.getlayer(IPv6)
        v4 = isinstance(network, IP)
        addresses = (ipv4(network.src), ipv4(network.dst)) if v4 else (0, 0)
        protocol, ports = (network.proto if v4 else network.nh), network.payload
        ends = (ipv4(outer.src), ipv4(outer.dst))
        return (kind, key, *ends, protocol, *addresses, ports.sport, ports.dport)

    def outer(frame: bytes, vni: int, port: int) -> bytes:
        udp = UDP(sport=port, dport=4789)
        return bytes(Ether(**MACS) / IP(**ENDS, id=0) / udp / VXLAN(flags=8, vni=vni) / frame)

    return Peer(
        SCAPY,
        lambda frames: [row(frame) for frame in frames],
        lambda frames: [bytes(Ether(frame)[VXLAN].payload) for frame in frames],
        lambda wrappings: [outer(*wrapping) for wrapping in wrappings],
    )


# --- dpkt --------------------------------------------------------------------


def dpkt() -> Peer:
    from dpkt.ethernet import Ethernet
    from dpkt.ip import IP
    from dpkt.udp import UDP

    macs = {end: encap.MAC(text).packed for end, text in MACS.items()}
    ends = {end: socket.inet_aton(text) for end, text in ENDS.items()}

    def row(frame: bytes) -> Row:
        outer = Ethernet(frame).data
        body, key = outer.data, 0
        if outer.p == socket.IPPROTO_UDP:
            tunnel = body.data
            vxlan = body.dport == 4789
            kind, key = "vxlan" if vxlan else "geneve", number(tunnel[4:7])
            body = Ethernet(tunnel[8 if vxlan else 8 + (tunnel[0] & 63) * 4 :]).data
        elif outer.p == socket.IPPROTO_GRE:
            kind, key, body = "gre", body.key, body.data
        else:
            kind = "ipv4" if outer.p == socket.IPPROTO_IPIP else "ipv6"
        v4 = isinstance(body, IP)
        addresses = (number(body.src), number(body.dst)) if v4 else (0, 0)
        ends, ports = (number(outer.src), number(outer.dst)), body.data
        return (kind, key, *ends, body.p if v4 else body.nxt, *addresses, ports.sport, ports.dport)

    def outer(frame: bytes, vni: int, port: int) -> bytes:
        body = struct.pack("!II", 0x08000000, vni << 8) + frame
        udp = UDP(sport=port, dport=4789, ulen=8 + len(body), data=body)
        return bytes(Ethernet(**macs, data=IP(**ends, p=17, id=0, ttl=64, data=udp)))

    return Peer(
        DPKT,
        lambda frames: [row(frame) for frame in frames],
        lambda frames: [Ethernet(frame).data.data.data[8:] for frame in frames],
        lambda wrappings: [outer(*wrapping) for wrapping in wrappings],
    )


# --- pypacker ----------------------------------------------------------------


def pypacker() -> Peer:
    from pypacker.layer12.ethernet import Ethernet

    def row(frame: bytes) -> Row:
        outer = Ethernet(frame).upper_layer
        tunnel = outer.upper_layer.body_bytes
        network = Ethernet(tunnel[8:]).upper_layer
        ports = network.upper_layer
        ends = (number(outer.src), number(outer.dst))
        addresses = (number(network.src), number(network.dst))
        return (
            "vxlan", number(tunnel[4:7]), *ends, network.p, *addresses, ports.sport, ports.dport,
        )  # fmt: skip

    def inner(frame: bytes) -> bytes:
        octets: bytes = Ethernet(frame).upper_layer.upper_layer.body_bytes[8:]
        return octets

    return Peer(
        PYPACKER,
        lambda frames: [row(frame) for frame in frames],
        lambda frames: [inner(frame) for frame in frames],
        captures=("vxlan",),
    )


# --- numpy by hand -----------------------------------------------------------

FIXED = np.dtype({
    "names": ["type", "version", "protocol", "src", "dst", "dport", "flags", "vni", "inner_type",
              "inner_version", "inner_protocol", "inner_src", "inner_dst", "sport", "inner_dport"],
    "formats": [">u2", "u1", "u1", ">u4", ">u4", ">u2", "u1", ">u4", ">u2",
                "u1", "u1", ">u4", ">u4", ">u2", ">u2"],
    "offsets": [12, 14, 23, 26, 30, 36, 42, 46, 62, 64, 73, 76, 80, 84, 86],
    "itemsize": 96,
})  # fmt: skip
"""Ethernet, IPv4, UDP, VXLAN, Ethernet, IPv4 and ports, without tags and options."""


def numpy_nine(packets: encap.Packets) -> dict[str, np.ndarray]:
    """What a careful script does for one fixed stack: every header gathered, every field a view."""
    windows = np.lib.stride_tricks.sliding_window_view(packets.data, FIXED.itemsize)
    head = windows[packets.starts].view(FIXED)[:, 0]
    fits = (head["type"] == 0x0800) & (head["version"] == 0x45) & (head["protocol"] == 17)
    fits &= (head["dport"] == 4789) & (head["flags"] & 8 != 0)
    fits &= (head["inner_type"] == 0x0800) & (head["inner_version"] == 0x45)
    return {
        "tunnel.kind": fits * np.uint8(encap.Kind.vxlan),
        "tunnel.id": head["vni"].astype(np.uint32) >> 8,
        "outer.ipv4.src": head["src"].astype(np.uint32),
        "outer.ipv4.dst": head["dst"].astype(np.uint32),
        "inner.ip.protocol": head["inner_protocol"].copy(),
        "inner.ipv4.src": head["inner_src"].astype(np.uint32),
        "inner.ipv4.dst": head["inner_dst"].astype(np.uint32),
        "inner.l4.sport": head["sport"].astype(np.uint16),
        "inner.l4.dport": head["inner_dport"].astype(np.uint16),
    }


def numpy_inner(packets: encap.Packets) -> np.ndarray:
    """The inner frames back to back, gathered octet by octet: numpy has no ragged copy."""
    lengths = packets.lengths.astype(np.int64) - 50
    before = np.cumsum(lengths) - lengths
    index = np.arange(int(lengths.sum())) + np.repeat(packets.starts + 50 - before, lengths)
    return packets.data[index]


# --- the comparison ----------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Result:
    """Nanoseconds a packet: the peer's and ours."""

    peer: str
    work: str
    capture: str
    theirs: float
    ours: float


def our_rows(packets: encap.Packets) -> list[Row]:
    found = packets.columns(*NINE)
    words = {kind.value: kind.name for kind in encap.Kind}
    kinds = [words[kind] for kind in found["tunnel.kind"].tolist()]
    others = (found[name].tolist() for name in NINE[1:])
    return list(zip(kinds, *others, strict=True))


def same(peer: str, mine: object, theirs: object) -> None:
    if mine != theirs:
        raise SystemExit(f"{peer} finds something else in the same packets")


PEERS: dict[str, Callable[[], Peer]] = {"scapy": scapy, "dpkt": dpkt, "pypacker": pypacker}


def compare_encap(name: str) -> Iterable[Result]:
    """Plain frames put into VXLAN, with the outer UDP checksum."""
    peer = PEERS[name]()
    outer, few = peer.outer, peer.packets
    if outer is None:
        return
    work = Work(encap.read(capture("plain")))
    ports = work.vxlan(udp_checksum=True).columns("udp.sport")["udp.sport"]
    wrappings = list(
        zip(work.packets[:few], work.vnis[:few].tolist(), ports[:few].tolist(), strict=True)
    )
    same(name, list(work.vxlan(udp_checksum=True, ip_id="zero")[:few]), outer(wrappings))
    times = interleaved({
        "theirs": lambda: outer(wrappings),
        "ours": lambda: work.vxlan(udp_checksum=True),
    }, ROUNDS)  # fmt: skip
    theirs, ours = times["theirs"] * 1e9 / few, times["ours"] * 1e9 / len(work.packets)
    yield Result(name, "encap", "plain", theirs, ours)


def compare(name: str, only: tuple[str, ...] = TUNNELS) -> Iterable[Result]:
    """One peer of Python against encap."""
    peer = PEERS[name]()
    for workload in peer.captures:
        if workload not in only:
            continue
        packets = encap.read(capture(workload))
        few = packets[: peer.packets]
        frames = list(few)
        same(name, our_rows(few), peer.nine(frames))
        out = packets.columns(*NINE, threads=1)
        works: dict[str, Callable[[], Any]] = {
            "theirs": lambda peer=peer, frames=frames: peer.nine(frames),
            "ours": lambda packets=packets, out=out: packets.columns(*NINE, threads=1, out=out),
        }
        times = interleaved(works, ROUNDS)
        scales = 1e9 / len(frames), 1e9 / len(packets)
        yield Result(
            name, "columns", workload, times["theirs"] * scales[0], times["ours"] * scales[1]
        )
        if workload == "vxlan":
            same(name, list(few.decap()), peer.inner(frames))
            buffer = np.zeros(packets.data.size, np.uint8)
            works = {
                "theirs": lambda peer=peer, frames=frames: b"".join(peer.inner(frames)),
                "ours": lambda packets=packets, buffer=buffer: packets.decap(threads=1, out=buffer),
            }
            times = interleaved(works, ROUNDS)
            yield Result(
                name, "decap", workload, times["theirs"] * scales[0], times["ours"] * scales[1]
            )


def compare_numpy() -> Iterable[Result]:
    packets = encap.read(capture("vxlan"))
    out, theirs = packets.columns(*NINE, threads=1), numpy_nine(packets)
    same("numpy", True, all(np.array_equal(out[name], theirs[name]) for name in NINE))
    same("numpy", True, np.array_equal(numpy_inner(packets), packets.decap().compact().data))
    buffer = np.zeros(packets.data.size, np.uint8)
    times = interleaved({
        "columns": lambda: numpy_nine(packets),
        "our columns": lambda: packets.columns(*NINE, threads=1, out=out),
        "decap": lambda: numpy_inner(packets),
        "our decap": lambda: packets.decap(threads=1, out=buffer),
    }, ROUNDS)  # fmt: skip
    for work in ("columns", "decap"):
        scale = 1e9 / len(packets)
        yield Result("numpy", work, "vxlan", times[work] * scale, times[f"our {work}"] * scale)


def main(words: list[str]) -> int:
    wanted = words or [
        name for name in ("scapy", "dpkt", "pypacker", "numpy") if importlib.util.find_spec(name)
    ]
    for name in wanted:
        for found in compare_numpy() if name == "numpy" else (*compare(name), *compare_encap(name)):
            print(
                f"{found.peer:9} {found.work:8} {found.capture:7}{found.theirs:9,.0f} ns a packet,"
                f" encap {found.ours:6.1f}: {found.theirs / found.ours:,.0f} times"
            )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
