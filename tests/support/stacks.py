"""Random packets of every header the walk knows, right and wrong, written octet by octet.

Nothing of encap builds them: what a test learns from them is not what encap said itself.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from random import Random
from typing import ClassVar

import encap

LINKS = {1: "eth", 101: "ip", 12: "ip", 228: "ipv4", 229: "ipv6", 0: "null", 108: "null",
         113: "sll", 276: "sll2"}  # fmt: skip
LIMIT = 20  # headers; four more than a walk follows


class Stack:
    """One packet, made from the inside out by random choices."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.depth = 0

    def packet(self, link: str) -> bytes:
        if link == "ip":
            link = self.random.choice(["ipv4", "ipv6"])
        return self.header(link)

    def header(self, kind: str) -> bytes:
        self.depth += 1
        if self.depth > LIMIT:
            return self.octets(8)
        made: bytes = getattr(self, kind)()
        return made

    # --- choices ---

    def octets(self, count: int) -> bytes:
        return self.random.randbytes(count)

    def seldom(self, chance: float = 0.03) -> bool:
        return self.random.random() < chance

    def payload(self) -> bytes:
        return self.octets(self.random.choice([0, 0, 1, 3, 4, 7, 8, 12, 20, 33]))

    def length(self, true: int) -> bytes:
        """A length field of 16 bits, wrong now and then."""
        if self.seldom():
            true = self.random.choice([0, 1, 7, 8, 19, 20, true - 1, true + 1, true + 40, 0xFFFF])
        return (true & 0xFFFF).to_bytes(2, "big")

    def of(self, table: dict[int, str], bits: int) -> tuple[bytes, bytes]:
        """A number that says what follows, and what does."""
        if self.seldom(0.08):
            return self.octets(bits // 8), self.payload()
        number = self.random.choice(list(table))
        return number.to_bytes(bits // 8, "big"), self.header(table[number])

    # --- link layer ---

    TYPES: ClassVar = {
             0x0800: "ipv4", 0x86DD: "ipv6", 0x0806: "arp", 0x8100: "vlan", 0x88A8: "vlan",
             0x9100: "vlan", 0x9200: "vlan", 0x8847: "mpls", 0x8848: "mpls"}  # fmt: skip

    def typed(self) -> bytes:
        """An EtherType, or a length, and what it announces."""
        if self.seldom(0.06):
            body = self.header("llc")
            return self.length(len(body)) + body
        if self.seldom(0.5):
            family = self.random.choice([(0x0800, "ipv4"), (0x86DD, "ipv6")])
            return family[0].to_bytes(2, "big") + self.header(family[1])
        return b"".join(self.of(self.TYPES, 16))

    def eth(self) -> bytes:
        frame = self.octets(12) + self.typed()
        return frame + self.octets(self.random.choice([0, 0, 0, 1, 6, 46]))

    def vlan(self) -> bytes:
        return self.octets(2) + self.typed()

    def llc(self) -> bytes:
        if self.seldom(0.5):
            return bytes.fromhex("aaaa03000000") + self.typed()
        control = self.random.choice([b"\x03", b"\x7f", b"\x00\x01", b"\x01\x05"])
        return (
            self.random.choice([b"\x42\x42", b"\xaa\xaa", b"\xe0\xe0"]) + control + self.payload()
        )

    def sll(self) -> bytes:
        return self.octets(14) + (
            b"\0\4" + self.header("llc") if self.seldom(0.1) else self.typed()
        )

    def sll2(self) -> bytes:
        number, body = self.of(self.TYPES, 16)
        return number + self.octets(18) + body

    def null(self) -> bytes:
        family, kind = self.random.choice(
            [(2, "ipv4"), (10, "ipv6"), (24, "ipv6"), (28, "ipv6"), (30, "ipv6")]
        )
        if self.seldom():
            family = self.random.getrandbits(32)
        order = self.random.choice(["big", "little"])
        return family.to_bytes(4, order) + self.header(kind)  # type: ignore[arg-type]

    def mpls(self) -> bytes:
        bottom = self.seldom(0.7)
        body = self.header(self.random.choice(["ipv4", "ipv6"]) if bottom else "mpls")
        label = bytearray(self.octets(4))
        label[2] = label[2] & 0xFE | bottom
        return bytes(label) + (self.payload() if self.seldom() else body)

    def arp(self) -> bytes:
        sizes = (
            (6, 4) if self.seldom(0.8) else (self.random.randrange(9), self.random.randrange(17))
        )
        return (
            self.octets(4) + bytes(sizes) + b"\0\1" + self.octets(2 * sum(sizes)) + self.payload()
        )

    # --- IP ---

    PROTOCOLS: ClassVar = {
                 0: "hopopt", 1: "icmp", 2: "igmp", 4: "ipv4", 6: "tcp", 17: "udp", 41: "ipv6",
                 43: "routing", 44: "fragment", 47: "gre", 50: "esp", 51: "ah", 58: "icmpv6",
                 60: "dstopts", 132: "sctp"}  # fmt: skip
    COMMON: ClassVar = {6: "tcp", 17: "udp", 47: "gre", 4: "ipv4", 41: "ipv6"}

    def protocol(self) -> tuple[bytes, bytes]:
        return self.of(self.COMMON if self.seldom(0.5) else self.PROTOCOLS, 8)

    def ipv4(self) -> bytes:
        number, body = self.protocol()
        words = 0 if self.seldom(0.8) else self.random.randrange(11)
        ihl = 5 + words if not self.seldom(0.02) else self.random.randrange(16)
        fragment = self.random.choice([0x2000, 0x2001, 0x0010]) if self.seldom() else 0
        fragment |= self.random.choice([0, 0x4000])
        first = (0x40 if not self.seldom(0.02) else self.random.randrange(16) << 4) | ihl
        head = bytes([first]) + self.octets(1) + self.length(20 + 4 * words + len(body))
        head += self.octets(2) + fragment.to_bytes(2, "big") + self.octets(1) + number
        return head + self.octets(10 + 4 * words) + body

    def ipv6(self) -> bytes:
        number, body = self.protocol()
        if self.seldom(0.02):
            number = b"\x3b"
        first = 0x60 if not self.seldom(0.02) else self.random.randrange(256)
        head = bytes([first]) + self.octets(3) + self.length(len(body)) + number
        return head + self.octets(33) + body

    def hopopt(self) -> bytes:
        number, body = self.protocol()
        words = self.random.choice([0, 0, 0, 1, 2])
        size = words if not self.seldom() else self.random.randrange(256)
        return number + bytes([size]) + self.octets(6 + 8 * words) + body

    routing = dstopts = hopopt

    def fragment(self) -> bytes:
        number, body = self.protocol()
        field = self.random.choice([0, 0, 0, 1, 8, 9, 6, 0xFFF9])
        return number + self.octets(1) + field.to_bytes(2, "big") + self.octets(4) + body

    def ah(self) -> bytes:
        number, body = self.protocol()
        words = self.random.choice([1, 2, 4, 5])
        size = words if not self.seldom() else self.random.randrange(256)
        return number + bytes([size]) + self.octets(6 + 4 * words) + body

    # --- transport ---

    def esp(self) -> bytes:
        return self.octets(8) + self.payload()

    icmp = icmpv6 = igmp = esp

    def sctp(self) -> bytes:
        return self.octets(12) + self.payload()

    def tcp(self) -> bytes:
        words = 0 if self.seldom(0.5) else self.random.randrange(11)
        size = 5 + words if not self.seldom() else self.random.randrange(16)
        head = self.octets(12) + bytes([size << 4 | self.random.randrange(16)])
        return head + self.octets(7 + 4 * words) + self.payload()

    PORTS: ClassVar = {4789: "vxlan", 8472: "vxlan", 4790: "gpe", 6081: "geneve", 4500: "esp",
                       6080: "gue"}  # fmt: skip

    def udp(self) -> bytes:
        port, body = self.of(self.PORTS, 16)
        if port == b"\x11\x94" and self.seldom(0.3):
            body = self.random.choice([b"\xff", bytes(4), bytes(9), b""])
        return self.octets(2) + port + self.length(8 + len(body)) + self.octets(2) + body

    # --- tunnels ---

    def gue(self) -> bytes:
        words = self.random.choice([0, 0, 0, 1, 2, 31])
        number, body = self.protocol()
        first = words | (0x20 if self.seldom(0.05) else 0)
        if self.seldom():
            first = self.random.randrange(256)
        if self.seldom(0.1):
            return self.packet("ip")
        return bytes([first]) + number + self.octets(2 + 4 * words) + body

    def vxlan(self) -> bytes:
        flags = self.random.randrange(256) | (0 if self.seldom() else 8)
        return bytes([flags]) + self.octets(7) + self.header("eth")

    def gpe(self) -> bytes:
        flags = self.random.randrange(256) & (0xFF if self.seldom() else 0xCF)
        number, body = self.of({1: "ipv4", 2: "ipv6", 3: "eth"}, 8)
        if not flags & 4:
            body = self.header("eth")
        return bytes([flags]) + self.octets(2) + number + self.octets(4) + body

    def geneve(self) -> bytes:
        words = self.random.choice([0, 0, 1, 3, 63])
        first = words if not self.seldom() else self.random.randrange(256)
        number, body = self.of({0x6558: "eth", 0x0800: "ipv4", 0x86DD: "ipv6"}, 16)
        return bytes([first]) + self.octets(1) + number + self.octets(4 + 4 * words) + body

    def gre(self) -> bytes:
        table = {0x6558: "eth", 0x0800: "ipv4", 0x86DD: "ipv6", 0x88BE: "erspan",
                 0x22EB: "erspan", 0x883E: "ipv4", 0x880B: "eth", 0x8847: "mpls"}  # fmt: skip
        number, body = self.of(table, 16)
        flags = self.random.choice([0, 0x8000, 0x2000, 0x1000, 0xB000, 0x3000, 0xC000, 0x7000])
        if number == b"\x88\x0b":
            flags = self.random.choice([0x2001, 0x3001, 0x2081, 0x3081])
        if self.seldom(0.05):
            flags = self.random.getrandbits(16) & (0xFFFF if self.seldom(0.3) else 0xFFF8)
        if number == b"\x88\xbe" and not flags & 0x1000:
            body = self.header("eth")
        head = flags.to_bytes(2, "big") + number
        if flags & 0xC000:
            head += self.octets(4)
        for bit in (0x2000, 0x1000):
            if flags & bit:
                head += self.octets(4)
        if flags & 0x0087 == 0x0081:
            head += self.octets(4)
        if flags & 0x4000:
            for _ in range(self.random.randrange(3)):
                size = self.random.randrange(9)
                head += self.octets(3) + bytes([size]) + self.octets(size)
            head += bytes(4)
        if number == b"\x88\x3e" and self.seldom(0.5):
            head += b"\0" + self.octets(3)
        return head + body

    def erspan(self) -> bytes:
        version = self.random.choice([1, 2]) if not self.seldom() else self.random.randrange(16)
        head = bytearray(self.octets(12 if version == 2 else 8))
        head[0] = version << 4 | head[0] & 15
        if version == 2:
            frame_type = self.random.choice([0, 0, 2])
            more = self.seldom(0.3)
            head[10] = head[10] & 0x83 | frame_type << 2
            head[11] = head[11] & 0xFE | more
            if frame_type == 2:
                return bytes(head) + self.octets(8 * more) + self.packet("ip")
            head += self.octets(8 * more)
        return bytes(head) + self.header("eth")


Change = Callable[[Random, bytes], bytes]


def flipped(random: Random, frame: bytes) -> bytes:
    """With a few octets changed, more often near the start."""
    octets = bytearray(frame)
    for _ in range(random.randrange(1, 4) if octets else 0):
        at = min(random.randrange(len(octets)), random.randrange(len(octets)))
        octets[at] = random.choice([0, 0xFF, octets[at] ^ 1 << random.randrange(8)])
    return bytes(octets)


def cut(random: Random, frame: bytes) -> bytes:
    """Ending early."""
    return frame[: random.randrange(len(frame) + 1)]


def padded(random: Random, frame: bytes) -> bytes:
    """With octets behind it, as a trailer or padding has."""
    return frame + random.randbytes(random.randrange(1, 60))


def as_it_is(_: Random, frame: bytes) -> bytes:
    return frame


CHANGES: tuple[Change, ...] = (as_it_is, flipped, cut, padded)


@cache
def random_packets(count: int, seed: int, change: Change = as_it_is) -> encap.Packets:
    """A batch of random packets of all link types, each changed; it keeps the wire lengths."""
    random = Random(seed)
    frames, linktypes, wires = [], [], []
    for _ in range(count):
        linktype = random.choice(list(LINKS)) if random.random() < 0.5 else 1
        frame = Stack(random).packet(LINKS[linktype])
        wires.append(len(frame))
        frames.append(change(random, frame))
        linktypes.append(linktype)
    wires = [max(pair) for pair in zip(wires, map(len, frames), strict=True)]
    return encap.Packets.from_frames(frames, linktypes=linktypes, wire_lengths=wires)
