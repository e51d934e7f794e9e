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
