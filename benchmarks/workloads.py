"""The captures that are measured on: deterministic, larger than any cache, made once.

    python benchmarks/workloads.py [NAME ...]

    vxlan geneve gre    one tunnel, IPv4 underlay, Ethernet or IPv4 inside, TCP or UDP in it
    mix                 these three, IPIP and SIT in equal shares; a third has a VLAN tag
    plain               the inner frames alone
    vxlanu vxlan6       VXLAN with outer UDP checksums; the same over IPv6
    deep                VXLAN in VXLAN in VXLAN, 15 headers
    paths               ten IPv6 extension headers: nearly a path of its own for every packet

Packets belong to 1,000 flows. Inner Ethernet frames have 64, 594 or 1,518 octets (7:4:1), the
usual "internet mix". The files lie in build/bench and are made again when they are missing.
"""

from __future__ import annotations

import os
import random
import struct
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

PACKETS = int(os.environ.get("ENCAP_BENCH_PACKETS", "200000"))
BUILD = Path(__file__).resolve().parent.parent / "build" / "bench"

SIZES = [64] * 7 + [594] * 4 + [1518]
NOISE = random.Random(7).randbytes(1 << 16)
ETHERNET_LEN, IPV4_LEN, IPV6_LEN, TCP_LEN, UDP_LEN = 14, 20, 40, 20, 8
TCP, UDP, IPIP, SIT, GRE = 6, 17, 4, 41, 47
HOPOPT, ROUTING, DSTOPTS = 0, 43, 60

pack = struct.pack


@dataclass(frozen=True, slots=True)
class Flow:
    """What the packets of one flow have in common."""

    inner_ipv4: tuple[int, int]
    inner_ipv6: bytes
    ports: tuple[int, int]
    outer_ipv4: tuple[int, int]
    outer_sport: int
    vni: int
    inner_macs: bytes
    outer_macs: bytes


def _flows(count: int = 1000) -> list[Flow]:
    draw = random.Random(1234)

    def ipv6() -> bytes:
        return bytes.fromhex("20010db8") + draw.randbytes(12)

    def macs(first: int) -> bytes:
        return b"%c%b%c%b" % (first, draw.randbytes(5), first, draw.randbytes(5))

    return [
        Flow(
            inner_ipv4=(0x0A000000 | draw.getrandbits(20), 0x0A800000 | draw.getrandbits(20)),
            inner_ipv6=ipv6() + ipv6(),
            # No well-known ports: nobody should take the noise for DNS.
            ports=(
                draw.randrange(50000, 60000),
                draw.choice([40001, 40003, 40007, 40013, 40021, 40031]),
            ),
            outer_ipv4=(0xC0A80000 | draw.randrange(1, 50), 0xC0A80100 | draw.randrange(1, 50)),
            outer_sport=0xC000 | draw.getrandbits(14),
            vni=5000 + number % 100 * 77,
            inner_macs=macs(0x02),
            outer_macs=macs(0x06),
        )
        for number in range(count)
    ]


@dataclass(frozen=True, slots=True)
class Turn:
    """One packet to be made: its flow, its number, and the size of its inner frame."""

    draw: random.Random
    flow: Flow
    size: int
    number: int
    tagged: bool = False


# --- headers -----------------------------------------------------------------


def checksum(octets: bytes) -> int:
    """RFC 1071: 2**16 is 1 modulo 65,535, so a remainder is the sum of the words."""
    return (0xFFFF - int.from_bytes(octets + bytes(len(octets) % 2), "big") % 0xFFFF) % 0xFFFF


def ipv4(protocol: int, addresses: tuple[int, int], body: bytes, identification: int) -> bytes:
    fields = (0x45, 0, IPV4_LEN + len(body), identification & 0xFFFF, 0x4000, 64, protocol)
    open_header = pack("!BBHHHBBHII", *fields, 0, *addresses)
    return pack("!BBHHHBBHII", *fields, checksum(open_header), *addresses) + body


def ipv6(next_header: int, addresses: bytes, body: bytes) -> bytes:
    return pack("!IHBB", 0x60000000, len(body), next_header, 64) + addresses + body


def pseudo(protocol: int, addresses: tuple[int, int] | bytes, length: int) -> bytes:
    if isinstance(addresses, bytes):
        return addresses + pack("!IHBB", length, 0, 0, protocol)
    return pack("!IIBBH", *addresses, 0, protocol, length)


def tcp(
    addresses: tuple[int, int] | bytes, ports: tuple[int, int], body: bytes, number: int
) -> bytes:
    fields = (*ports, number & 0xFFFFFFFF, 0x01020304, 0x50, 0x18, 0xFAF0)
    segment = pack("!HHIIBBHHH", *fields, 0, 0) + body
    found = checksum(pseudo(TCP, addresses, len(segment)) + segment)
    return segment[:16] + pack("!H", found) + segment[18:]


def udp(addresses: tuple[int, int] | bytes | None, ports: tuple[int, int], body: bytes) -> bytes:
    """With a checksum where the addresses that it covers are given."""
    datagram = pack("!HHHH", *ports, UDP_LEN + len(body), 0) + body
    if addresses is None:
        return datagram
    found = checksum(pseudo(UDP, addresses, len(datagram)) + datagram)
    return datagram[:6] + pack("!H", found or 0xFFFF) + datagram[8:]


# --- inner packets -----------------------------------------------------------


def noise(turn: Turn, size: int) -> bytes:
    start = turn.draw.randrange(0, len(NOISE) - 2048)
    return NOISE[start : start + size]


def inner_ip(turn: Turn, protocol: int = TCP, version: int = 4) -> bytes:
    """An IP packet that would fill an Ethernet frame of the size drawn."""
    flow = turn.flow
    headers = ETHERNET_LEN + (IPV4_LEN if version == 4 else IPV6_LEN)
    headers += TCP_LEN if protocol == TCP else UDP_LEN
    payload = noise(turn, max(0, turn.size - headers))
    addresses = flow.inner_ipv4 if version == 4 else flow.inner_ipv6
    if protocol == TCP:
        body = tcp(addresses, flow.ports, payload, turn.number * 1460)
    else:
        body = udp(addresses, flow.ports, payload)
    if version == 4:
        return ipv4(protocol, flow.inner_ipv4, body, turn.number * 7 + 1)
    return ipv6(protocol, flow.inner_ipv6, body)


def inner_frame(turn: Turn) -> bytes:
    return turn.flow.inner_macs + b"\x08\x00" + inner_ip(turn)


# --- whole packets -----------------------------------------------------------


def outer(turn: Turn, protocol: int, body: bytes) -> bytes:
    tag = pack("!HH", 0x8100, 100 + turn.number % 7) if turn.tagged else b""
    packet = ipv4(protocol, turn.flow.outer_ipv4, body, turn.number)
    return turn.flow.outer_macs + tag + b"\x08\x00" + packet


def vxlan_header(turn: Turn, add: int = 0) -> bytes:
    return pack("!II", 0x08000000, turn.flow.vni + add << 8)


def vxlan(turn: Turn) -> bytes:
    body = vxlan_header(turn) + inner_frame(turn)
    return outer(turn, UDP, udp(None, (turn.flow.outer_sport, 4789), body))


def vxlan_summed(turn: Turn) -> bytes:
    body = vxlan_header(turn) + inner_frame(turn)
    return outer(turn, UDP, udp(turn.flow.outer_ipv4, (turn.flow.outer_sport, 4789), body))


def vxlan_over_ipv6(turn: Turn) -> bytes:
    flow = turn.flow
    body = vxlan_header(turn) + inner_frame(turn)
    datagram = udp(flow.inner_ipv6, (flow.outer_sport, 4789), body)
    return flow.outer_macs + b"\x86\xdd" + ipv6(UDP, flow.inner_ipv6, datagram)


def vxlan_thrice(turn: Turn) -> bytes:
    frame = inner_frame(turn)
    for level in range(3):
        body = vxlan_header(turn, level) + frame
        frame = outer(turn, UDP, udp(None, (turn.flow.outer_sport, 4789), body))
    return frame


def geneve(turn: Turn) -> bytes:
    options = b""
    for number in range(turn.draw.randrange(0, 4)):
        words = turn.draw.randrange(0, 6)
        options += pack("!HBB", 0x0102, number + 1, words) + turn.draw.randbytes(4 * words)
    header = pack("!BBHI", len(options) // 4, 0, 0x6558, turn.flow.vni << 8)
    body = header + options + inner_frame(turn)
    return outer(turn, UDP, udp(None, (turn.flow.outer_sport, 6081), body))


def gre(turn: Turn) -> bytes:
    """With checksum and key, around IPv4."""
    body = inner_ip(turn, UDP)
    found = checksum(pack("!HHHHI", 0xA000, 0x0800, 0, 0, turn.flow.vni) + body)
    return outer(turn, GRE, pack("!HHHHI", 0xA000, 0x0800, found, 0, turn.flow.vni) + body)


def ip_in_ip(turn: Turn) -> bytes:
    if turn.draw.getrandbits(1):
        return outer(turn, SIT, inner_ip(turn, TCP, 6))
    return outer(turn, IPIP, inner_ip(turn, UDP))


def extended(turn: Turn) -> bytes:
    flow = turn.flow
    kinds = [turn.draw.choice((HOPOPT, DSTOPTS, ROUTING)) for _ in range(10)]
    body = udp(flow.inner_ipv6, flow.ports, noise(turn, 100))
    following = UDP
    for kind in reversed(kinds):
        padding = bytes(6) if kind == ROUTING else b"\x01\x04\x00\x00\x00\x00"
        body = pack("!BB", following, 0) + padding + body
        following = kind
    return flow.outer_macs + b"\x86\xdd" + ipv6(kinds[0], flow.inner_ipv6, body)


WORKLOADS: dict[str, tuple[Callable[[Turn], bytes], ...]] = {
    "vxlan": (vxlan,),
    "geneve": (geneve,),
    "gre": (gre,),
    "mix": (vxlan, geneve, gre, ip_in_ip),
    "plain": (inner_frame,),
    "vxlanu": (vxlan_summed,),
    "vxlan6": (vxlan_over_ipv6,),
    "deep": (vxlan_thrice,),
    "paths": (extended,),
}


# --- captures ----------------------------------------------------------------


def write(target: Path, name: str, count: int) -> None:
    """A pcap of `count` packets, the same ones each time."""
    makers, flows = WORKLOADS[name], _flows()
    draw = random.Random(sum(name.encode()))
    with target.open("wb", buffering=1 << 20) as file:
        file.write(pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1))
        for number in range(count):
            flow, size = flows[draw.randrange(len(flows))], SIZES[draw.randrange(len(SIZES))]
            make = makers[draw.randrange(len(makers))] if len(makers) > 1 else makers[0]
            tagged = len(makers) > 1 and draw.randrange(3) == 0
            frame = make(Turn(draw, flow, size, number, tagged))
            seconds, parts = divmod(number, 100_000)
            stamp = (1_700_000_000 + seconds, parts * 10)
            file.write(pack("<IIII", *stamp, len(frame), len(frame)) + frame)


def capture(name: str, count: int = PACKETS) -> Path:
    """The capture called `name`, made when it is not there yet."""
    target = BUILD / f"{name}-{count}.pcap"
    if not target.exists():
        BUILD.mkdir(parents=True, exist_ok=True)
        partial = target.with_suffix(f".{os.getpid()}")
        write(partial, name, count)
        partial.replace(target)
    return target


if __name__ == "__main__":
    for wanted in sys.argv[1:] or WORKLOADS:
        print(capture(wanted))
