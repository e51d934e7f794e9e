"""Captures kept whole: a pcapng file comes out with all that it had, but for what was changed."""

from __future__ import annotations

import io
import itertools
import struct
from pathlib import Path

import numpy as np
import pcapng_blocks as ng
import pytest

import encap
from encap import capture

VECTORS = Path(__file__).parent / "vectors"
PCAPNG = sorted((VECTORS / "capture").glob("*.pcapng"))
IPV4 = bytes.fromhex("45000014000000004001 0000 0a000001 0a000002".replace(" ", ""))
ETHERNET = bytes.fromhex("020000000001 020000000002 0800".replace(" ", ""))
FCS = b"\xfc\x51\xfc\x52"
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
    made = [ng.option(code, value, order, b"\xee") for code, value in values.items()]
    return b"".join([*made, ng.option(1, b"a second comment", order), ng.END])


def everything(order="<", *, repeat=1, length=-1):
    """A section with every kind of block there is, in an order that no program would write."""
    parts = [
        ng.names(order),
        ng.interface(1, 0, ng.option(2, b"eth0", order) + ng.option(9, b"\x09", order), order),
        ng.custom(order=order),
        ng.interface(1, 2000, ng.option(1, b"an interface", order) + ng.END, order),
    ]
    for number in range(repeat):
        parts += [
            ng.enhanced(vxlan(number), 10**18 + number, 0, order=order, options=all_options(order)),
            ng.secrets(b"CLIENT_RANDOM %d" % number, order),
            ng.enhanced(vxlan(number)[:90], number, 1, 120, order, ng.option(1, b"x", order), b"!"),
            ng.old(vxlan(number), 5, 1, 9, order, ng.option(1, b"of old", order)),
            ng.statistics(1, order, ng.option(4, struct.pack(order + "Q", 8), order)),
            ng.simple(vxlan(number), order=order, fill=b"?"),
            ng.block(0x8000_0001, b"nobody knows", order),
            ng.block(ng.JOURNAL, b"__REALTIME_TIMESTAMP=1\n\n", order),
            ng.enhanced(b"", 1, 1, order=order),
        ]
    parts += [ng.interface(101, 0, order=order), ng.enhanced(IPV4, 3, 2, order=order)]
    parts += [ng.statistics(0, order), ng.statistics(2, order), ng.names(order)]
    body = b"".join(parts)
    comment = ng.option(1, b"all there is", order) + ng.option(3, b"Linux", order) + ng.END
    return ng.section(order, length if length < 0 else len(body) + length - 1, comment) + body


WHOLE = {
    "little": everything(repeat=3),
    "big": everything(">", repeat=3),
    "long": everything(repeat=200),
    "sections": everything(">", repeat=30) + everything(repeat=30) + everything(">"),
    "length": everything(length=1) + everything(">", length=1),
    "no packets": ng.section() + ng.names() + ng.interface() + ng.statistics(0),
    "header": ng.section(">"),
    "blocks": ng.section() + ng.interface() + ng.custom(text=bytes(900)) * 60 + ng.enhanced(b"x")
    + ng.secrets(bytes(20_000)) + ng.enhanced(b"y") + ng.names() * 500,
}  # fmt: skip


@pytest.fixture
def rewritten(tmp_path):
    """Writes a capture like another one: the octets of the file, and the summary."""

    def rewrite(octets, change=lambda packets: packets, *, size=4096, name="out.pcapng", **options):
        path = tmp_path / name
        with (
            capture.open(io.BytesIO(octets), batch_octets=size) as source,
            capture.create(path, like=source, **options) as sink,
        ):
            for packets in source.batches():
                sink.write(change(packets))
        return path.read_bytes(), sink.summary

    return rewrite


def kinds(octets):
    return [block.kind for block in ng.blocks(octets)]


def without_packets(octets):
    return [block for block in ng.blocks(octets) if block.kind not in ng.PACKETS]


# --- nothing changed: the same octets ---------------------------------------------------


@pytest.mark.parametrize("name", WHOLE)
@pytest.mark.parametrize("size", [4096, 1 << 20])
def test_what_is_not_changed_comes_out_octet_for_octet(name, size, rewritten):
    octets, summary = rewritten(WHOLE[name], size=size)
    assert octets == WHOLE[name]
    assert summary.dropped == summary.left_out == {}
    assert summary.packets == sum(kind in ng.PACKETS for kind in kinds(octets))


@pytest.mark.parametrize("path", PCAPNG, ids=lambda path: path.name)
def test_files_of_other_programs_come_out_octet_for_octet(path, rewritten):
    assert rewritten(path.read_bytes())[0] == path.read_bytes()


@pytest.mark.parametrize("name", WHOLE)
def test_equal_octets_elsewhere_make_the_same_blocks(name, rewritten):
    """As after a rewriting that changes nothing: all but options that are not to be copied."""
    octets, summary = rewritten(WHOLE[name], lambda packets: packets.compact())
    expected, private = WHOLE[name], 0
    for order in "<>":
        one = ng.option(19373, struct.pack(order + "I", 32473) + b"private", order, b"\xee")
        private += expected.count(one)
    assert [block.kind for block in ng.blocks(octets)] == kinds(expected)
    assert summary.dropped.get("custom options that are not to be copied", 0) == private
    for made, was in zip(ng.blocks(octets), ng.blocks(expected), strict=True):
        if made.kind == ng.ENHANCED:
            kept = [pair for pair in ng.packet(was).options if pair[0] != 19373]
            assert ng.packet(made)._replace(options=[]) == ng.packet(was)._replace(options=[])
            assert ng.packet(made).options == kept
        else:
            assert made == was or made.kind == ng.SECTION


def test_a_whole_file_that_was_read_at_once(tmp_path):
    for name, octets in WHOLE.items():
        packets = encap.read(io.BytesIO(octets))
        for change in (lambda packets: packets, lambda packets: packets[np.arange(len(packets))]):
            summary = encap.write(tmp_path / "out.pcapng", change(packets), like=packets)
            assert (tmp_path / "out.pcapng").read_bytes() == octets, name
            assert summary.dropped == {}


def test_compressed_and_to_a_pipe():
    memory = io.BytesIO()
    with (
        capture.open(io.BytesIO(WHOLE["length"])) as source,
        capture.create(memory, like=source) as sink,
    ):
        for packets in source.batches():
            sink.write(packets)
    # What cannot be corrected is not said: the length of the sections.
    expected = b"".join(
        ng.Block(
            kind, body[:8] + b"\xff" * 8 + body[16:] if kind == ng.SECTION else body, order
        ).octets
        for kind, body, order in ng.blocks(WHOLE["length"])
    )
    assert memory.getvalue() == expected


# --- packets left out ----------------------------------------------------------------------


CHOICES = {
    "none": lambda packets: np.flatnonzero(packets.lengths < 0),
    "every second": lambda packets: np.arange(0, len(packets), 2),
    "long ones": lambda packets: np.flatnonzero(packets.lengths > 100),
    "a few": lambda packets: np.arange(len(packets))[1::3][:-1],
    "the last half": lambda packets: np.arange(len(packets) // 2, len(packets)),
}


@pytest.mark.parametrize("name", WHOLE)
@pytest.mark.parametrize("size", [4096, 1 << 20])
@pytest.mark.parametrize("choice", CHOICES)
def test_every_other_block_stays_where_it_stood(name, size, choice, rewritten):
    chosen, first = set(), 0

    def choose(packets):
        nonlocal first
        rows = CHOICES[choice](packets)
        chosen.update((rows + first).tolist())
        first += len(packets)
        return packets[1:][rows[rows > 0] - 1] if 0 not in rows else packets[rows]

    octets, summary = rewritten(WHOLE[name], choose, size=size)
    row = itertools.count()
    expected = [
        block
        for block in ng.blocks(WHOLE[name])
        if block.kind not in ng.PACKETS or next(row) in chosen
    ]
    assert unsized(ng.blocks(octets)) == unsized(expected)
    assert summary.dropped == {}
    assert summary.packets == len(chosen)


def unsized(blocks):
    """Blocks, the length of a section put aside where one was said."""
    return [
        block._replace(body=block.body[:8] + bytes(8) + block.body[16:])
        if block.kind == ng.SECTION and block.body[8:16] != b"\xff" * 8
        else block
        for block in blocks
    ]


def test_a_length_that_a_section_says_is_corrected(rewritten):
    octets, _ = rewritten(everything(length=1) * 2, lambda packets: packets[1:])
    first = ng.blocks(octets)[0]
    length = struct.unpack_from("<q", first.body, 8)[0]
    assert octets[len(first.octets) + length :][:4] == b"\x0a\x0d\x0d\x0a"
    assert octets == octets[: len(first.octets) + length] + octets[len(first.octets) + length :]
