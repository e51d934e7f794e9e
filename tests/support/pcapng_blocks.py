"""pcapng files made by hand, block by block, and taken apart again: draft-ietf-opsawg-pcapng.

Written against the text of the draft alone: nothing here comes from `encap`.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

SECTION, INTERFACE, OLD, SIMPLE, NAMES, STATISTICS, ENHANCED = 0x0A0D0D0A, 1, 2, 3, 4, 5, 6
JOURNAL, SECRETS, CUSTOM, PRIVATE = 9, 10, 0xBAD, 0x40000BAD
PACKETS = (OLD, SIMPLE, ENHANCED)
END = b"\0\0\0\0"


class Block(NamedTuple):
    """A block, its body without type, lengths and padding of none."""

    kind: int
    body: bytes
    order: str

    @property
    def octets(self) -> bytes:
        return block(self.kind, self.body, self.order)


def pad(octets: bytes, fill: bytes = b"\0") -> bytes:
    return octets + fill * (-len(octets) % 4)


def block(kind: int, body: bytes, order: str = "<") -> bytes:
    total = struct.pack(order + "I", len(pad(body)) + 12)
    return struct.pack(order + "I", kind) + total + pad(body) + total


def option(code: int, value: bytes, order: str = "<", fill: bytes = b"\0") -> bytes:
    return struct.pack(order + "HH", code, len(value)) + pad(value, fill)


def section(order: str = "<", length: int = -1, options: bytes = b"") -> bytes:
    return block(SECTION, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, length) + options, order)


def interface(linktype: int = 1, snaplen: int = 0, options: bytes = b"", order: str = "<") -> bytes:
    return block(INTERFACE, struct.pack(order + "HHI", linktype, 0, snaplen) + options, order)


def enhanced(
    octets: bytes, count: int = 0, owner: int = 0, wire: int | None = None, order: str = "<",
    options: bytes = b"", fill: bytes = b"\0",
) -> bytes:  # fmt: skip
    wire = len(octets) if wire is None else wire
    head = struct.pack(order + "IIIII", owner, count >> 32, count & 0xFFFFFFFF, len(octets), wire)
    return block(ENHANCED, head + pad(octets, fill) + options, order)


def old(
    octets: bytes, count: int = 0, owner: int = 0, drops: int = 0, order: str = "<",
    options: bytes = b"",
) -> bytes:  # fmt: skip
    words = count >> 32, count & 0xFFFFFFFF, len(octets), len(octets)
    head = struct.pack(order + "HHIIII", owner, drops, *words)
    return block(OLD, head + pad(octets) + options, order)


def simple(octets: bytes, wire: int | None = None, order: str = "<", fill: bytes = b"\0") -> bytes:
    wire = len(octets) if wire is None else wire
    return block(SIMPLE, struct.pack(order + "I", wire) + pad(octets, fill), order)


def statistics(owner: int, order: str = "<", options: bytes = b"") -> bytes:
    return block(STATISTICS, struct.pack(order + "III", owner, 1, 2) + options, order)


def names(order: str = "<") -> bytes:
    record = struct.pack(order + "HH", 1, 14) + pad(bytes([10, 0, 0, 1]) + b"one.local\0")
    return block(NAMES, record + END, order)


def secrets(text: bytes, order: str = "<") -> bytes:
    return block(SECRETS, struct.pack(order + "II", 0x544C534B, len(text)) + pad(text), order)


def custom(kind: int = CUSTOM, text: bytes = b"something of theirs", order: str = "<") -> bytes:
    return block(kind, struct.pack(order + "I", 32473) + text, order)


def blocks(octets: bytes) -> list[Block]:
    """A file taken apart; every length in it is checked."""
    found, at, order = [], 0, "<"
    while at < len(octets):
        if octets[at : at + 4] == SECTION.to_bytes(4, "big"):
            order = "<" if octets[at + 8 : at + 12] == b"\x4d\x3c\x2b\x1a" else ">"
        kind, total = struct.unpack_from(order + "II", octets, at)
        assert total % 4 == 0
        assert octets[at + total - 4 : at + total] == octets[at + 4 : at + 8]
        found.append(Block(kind, octets[at + 8 : at + total - 4], order))
        at += total
    assert at == len(octets)
    return found


class Packet(NamedTuple):
    """A packet block, read."""

    owner: int
    count: int
    octets: bytes
    wire: int
    options: list[tuple[int, bytes]]


def packet(made: Block) -> Packet:
    """What an enhanced packet block says."""
    assert made.kind in (ENHANCED, OLD)
    owner, high, low, length, wire = struct.unpack_from(made.order + "IIIII", made.body)
    if made.kind == OLD:
        owner = struct.unpack_from(made.order + "H", made.body)[0]
    end = 20 + len(pad(bytes(length)))
    octets = made.body[20 : 20 + length]
    return Packet(owner, high << 32 | low, octets, wire, options(made.body[end:], made.order))


def options(octets: bytes, order: str) -> list[tuple[int, bytes]]:
    """The code and value of each option, up to the end."""
    found, at = [], 0
    while at < len(octets):
        code, length = struct.unpack_from(order + "HH", octets, at)
        if code == 0:
            break
        found.append((code, octets[at + 4 : at + 4 + length]))
        at += 4 + length + -length % 4
    return found


# --- files with everything --------------------------------------------------------------

IPV4 = bytes.fromhex("45000014000000004001 0000 0a000001 0a000002".replace(" ", ""))
ETHERNET = bytes.fromhex("020000000001 020000000002 0800".replace(" ", ""))
FLAGS = 0x0100_0E91  # in, broadcast... check sequence of 4 octets, checksums, a CRC error


def vxlan(number: int, inner: bytes = ETHERNET + IPV4) -> bytes:
    """A packet in a tunnel, the octets of which differ with its number."""
    udp = struct.pack(">HHHH", 50000 + number % 1000, 4789, 16 + len(inner), 0)
    payload = udp + b"\x08\0\0\0" + struct.pack(">I", number % (1 << 24) << 8) + inner
    ip = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(payload), number & 0xFFFF, 0, 64, 17, 0)
    return ETHERNET + ip + b"\x0a\0\0\x01\x0a\0\0\x02" + payload


def all_options(order="<", flags=FLAGS):
    values = {
        1: b"what a packet!",
        2: struct.pack(order + "I", flags),
        3: b"\x02\xec\x1d\x87\x97",
        4: struct.pack(order + "Q", 3),
        5: struct.pack(order + "Q", 77),
        6: struct.pack(order + "I", 5),
        7: b"\x02" + struct.pack(order + "Q", 2),
        2988: struct.pack(order + "I", 32473) + b"text",
        19373: struct.pack(order + "I", 32473) + b"private",
        777: b"unknown",
    }
    made = [option(code, value, order, b"\xee") for code, value in values.items()]
    return b"".join([*made, option(1, b"a second comment", order), END])


def everything(order="<", *, repeat=1, length=-1):
    """A section with every kind of block there is, in an order that no program would write."""
    parts = [
        names(order),
        interface(1, 0, option(2, b"eth0", order) + option(9, b"\x09", order), order),
        custom(order=order),
        interface(1, 2000, option(1, b"an interface", order) + END, order),
    ]
    for number in range(repeat):
        parts += [
            enhanced(vxlan(number), 10**18 + number, 0, order=order, options=all_options(order)),
            secrets(b"CLIENT_RANDOM %d" % number, order),
            enhanced(vxlan(number)[:90], number, 1, 120, order, option(1, b"x", order), b"!"),
            old(vxlan(number), 5, 1, 9, order, option(1, b"of old", order)),
            statistics(1, order, option(4, struct.pack(order + "Q", 8), order)),
            simple(vxlan(number), order=order, fill=b"?"),
            block(0x8000_0001, b"nobody knows", order),
            block(JOURNAL, b"__REALTIME_TIMESTAMP=1\n\n", order),
            enhanced(b"", 1, 1, order=order),
        ]
    parts += [interface(101, 0, order=order), enhanced(IPV4, 3, 2, order=order)]
    parts += [statistics(0, order), statistics(2, order), names(order)]
    body = b"".join(parts)
    comment = option(1, b"all there is", order) + option(3, b"Linux", order) + END
    return section(order, length if length < 0 else len(body) + length - 1, comment) + body


def ipip(number):
    """IPv4 in IPv4 in Ethernet."""
    inner = IPV4[:4] + struct.pack(">H", number) + IPV4[6:]
    outer = struct.pack(">BBHHHBBH", 0x45, 0, 40, 0, 0, 64, 4, 0) + b"\x0a\0\0\x01\x0a\0\0\x02"
    return ETHERNET + outer + inner
