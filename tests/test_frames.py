"""VLAN tags and trailers, put on and taken off: the other octets are as they were."""

from __future__ import annotations

from typing import Any

import golden
import numpy as np
import pytest
import stacks

import encap
from encap import ARP, LLC, SLL, TCP, UDP, VLAN, VXLAN, Ethernet, FieldError, IPv4, IPv6, Packets

A, B = "02:00:00:00:00:01", "02:00:00:00:00:02"
ETH = Ethernet(src=A, dst=B)
FOUR = IPv4(src="192.0.2.1", dst="192.0.2.2") / UDP(dport=9) / b"four"
SIX = IPv6(src="fd00::1", dst="fd00::2") / TCP() / b"six"


@pytest.fixture(scope="module")
def packets() -> Packets:
    """Frames of a kernel, and random ones: as made, damaged, cut, padded."""
    kernel = golden.every_frame()[::40]
    random = [stacks.random_packets(300, 55, change) for change in stacks.CHANGES]
    odd = Packets.from_frames([b"", b"\x45", bytes(13), bytes(60)], linktypes=[1, 101, 1, 147])
    return Packets.concat([kernel, *random, odd])


def tagged(frame: bytes, linktype: int, tag: bytes) -> bytes | None:
    """The frame with a tag, by hand; None where there is no type to put it in front of."""
    at = {1: 12, 113: 14}.get(linktype, 1 << 20)
    return frame[:at] + tag + frame[at:] if len(frame) >= at + 2 else None


def test_push(packets: Packets) -> None:
    rows = np.arange(len(packets))
    made = packets.push_vlan(rows % 4096, rows % 8, rows % 2, np.where(rows % 3, 0x8100, 0x88A8))
    missed = 0
    for row, (old, new) in enumerate(zip(packets, made, strict=True)):
        tpid, tci = 0x8100 if row % 3 else 0x88A8, row % 8 << 13 | row % 2 << 12 | row % 4096
        tag = tpid.to_bytes(2, "big") + tci.to_bytes(2, "big")
        expected = tagged(old, int(packets.linktypes[row]), tag)
        assert new == (old if expected is None else expected)
        missed += expected is None
    assert made.left_out == {"no EtherType to put a tag in front of": missed}
    grown = made.lengths.astype(np.int64) - packets.lengths
    assert set(grown) == {0, 4}
    assert np.array_equal(made.wire_lengths - packets.wire_lengths, grown)
    assert np.array_equal(made.times, packets.times)
    assert made.columns("vlan.vid")["vlan.vid"][0] == 0


def test_pop_is_the_reverse(packets: Packets) -> None:
    made = packets.push_vlan(5)
    rows = np.flatnonzero(made.lengths != packets.lengths)
    assert made[rows].pop_vlan().equals(packets[rows].compact())
    assert not made[rows].pop_vlan().left_out


def test_pop(packets: Packets) -> None:
    made, missed = packets.pop_vlan(), 0
    for row, (old, new) in enumerate(zip(packets, made, strict=True)):
        linktype = int(packets.linktypes[row])
        packet = encap.parse(old, linktype, strict=False) if linktype in stacks.LINKS else None
        paths = [header.path for header in packet.headers[:2]] if packet else []
        if paths in (["eth", "vlan"], ["sll", "vlan"]):
            at = 12 if paths[0] == "eth" else 14
            assert new == old[:at] + old[at + 4 :]
        else:
            assert new == old
            missed += 1
    assert made.left_out == {"no tag to take off": missed}
    assert np.array_equal(packets.wire_lengths - made.wire_lengths, packets.lengths - made.lengths)


def test_tags_of_inner_frames_stay() -> None:
    inner = ETH / VLAN(vid=7) / FOUR
    packets = Packets.from_frames(
        [ETH / IPv4(src="1.1.1.1", dst="2.2.2.2") / UDP() / VXLAN() / inner]
    )
    made = packets.pop_vlan()
    assert made[0] == packets[0]
    assert made.left_out


@pytest.mark.parametrize("linktype", [1, 113])
def test_what_a_packet_is_then(linktype: int) -> None:
    first = ETH if linktype == 1 else SLL()
    packets = Packets.from_frames([first / FOUR, first / VLAN(vid=1) / SIX], linktypes=linktype)
    made = packets.push_vlan(5, pcp=3, tpid=0x88A8)
    for old, new in zip(packets, made, strict=True):
        packet, before = encap.parse(new, linktype), encap.parse(old, linktype)
        link, tag, *rest = packet.headers
        assert isinstance(tag, VLAN)
        assert (tag.vid, tag.pcp, tag.dei) == (5, 3, 0)
        assert rest == list(before.headers[1:])
        assert (packet[0]._with({"type": None}) if linktype == 1 else link) is not None
        assert packet.payload == before.payload


REFUSED: list[tuple[dict[str, Any], type[Exception]]] = [
    ({"vid": 4096}, FieldError), ({"vid": -1}, FieldError), ({"vid": 1, "pcp": 8}, FieldError),
    ({"vid": 1, "dei": 2}, FieldError), ({"vid": 1, "tpid": 1500}, FieldError),
    ({"vid": 1, "tpid": 65536}, FieldError), ({"vid": [1, 2]}, FieldError),
    ({"vid": "5"}, TypeError), ({"vid": 1.0}, TypeError),
    ({"vid": 1, "out": np.zeros(3, np.uint8)}, FieldError),
]  # fmt: skip


@pytest.mark.parametrize(("options", "error"), REFUSED, ids=repr)
def test_tags_that_cannot_be(options: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        Packets.from_frames([ETH / FOUR]).push_vlan(**options)


def trailing(packet: encap.Packet) -> int | None:
    """Octets behind the end that the outermost length gives."""
    for index, header in enumerate(packet.headers):
        whole = not packet.broken or index < len(packet.headers) - 1
        if whole and header.extent() is not None:
            return len(dict(packet.trailers).get(index, b""))
        if header.path in ("ipv4", "ipv6"):
            break
    return None


def test_strip(packets: Packets) -> None:
    made, missed = packets.strip_trailer(), 0
    assert made.data is packets.data
    for row, (old, new) in enumerate(zip(packets, made, strict=True)):
        linktype = int(packets.linktypes[row])
        packet = encap.parse(old, linktype, strict=False) if linktype in stacks.LINKS else None
        gone = trailing(packet) if packet else None
        assert new == old[: len(old) - (gone or 0)], encap.parse(old, linktype, strict=False)
        missed += gone is None
    assert made.left_out == {"no length says where the packet ends": missed}
    assert (made.wire_lengths >= made.lengths).all()


def test_strip_and_pad() -> None:
    frames = [bytes(ETH / FOUR), bytes(ETH / LLC() / b"x"), bytes(ETH / ARP()), bytes(ETH / SIX)]
    packets = Packets.from_frames(frames)
    padded = packets.add_trailer()
    assert [len(frame) for frame in padded] == [max(60, len(frame)) for frame in frames]
    assert padded.wire_lengths.tolist() == padded.lengths.tolist()
    assert all(new == old.ljust(60, b"\0") for old, new in zip(frames, padded, strict=True))
    back = padded.strip_trailer()
    assert [bytes(frame) for frame in back] == [frames[0], frames[1], padded[2], frames[3]]
    assert packets.add_trailer(b"\1\2\3\4")[0] == frames[0] + b"\1\2\3\4"
    assert packets.add_trailer(b"").equals(packets.compact())
    assert packets.add_trailer(pad_to=0).equals(packets.compact())
    for wrong in (-1, 1501):
        with pytest.raises(FieldError):
            packets.add_trailer(pad_to=wrong)


def test_trailers_of_cut_frames() -> None:
    frame = bytes(ETH / FOUR)
    packets = Packets.from_frames([frame[:40], frame[:40], frame], wire_lengths=[46, 100, 46])
    made = packets.add_trailer(b"abcd")
    assert list(made) == [frame[:40], frame[:40], frame + b"abcd"]
    assert made.wire_lengths.tolist() == [50, 104, 50]
    assert made.left_out == {"cut by the capture: its end is not there": 2}
    padded = packets.add_trailer()
    assert padded.wire_lengths.tolist() == [60, 100, 60]
    assert padded.left_out == {"cut by the capture: its end is not there": 1}
    stripped = packets.strip_trailer()
    assert stripped.lengths.tolist() == [40, 40, 46]
    assert stripped.wire_lengths.tolist() == [46, 46, 46]


@pytest.mark.parametrize("name", encap.implementations())
def test_variants_threads_and_memory(name: str, packets: Packets) -> None:
    many = Packets.concat([packets] * 20)
    expected = many.push_vlan(7, threads=1)
    out = np.full(len(expected.data) + 9, 0xA5, np.uint8)
    with encap.implementation(name):
        made = many.push_vlan(7, threads=3, out=out)
        assert made.equals(expected)
        assert made.pop_vlan(threads=3).lengths.sum() <= many.lengths.sum()
    assert (out[-9:] == 0xA5).all()
    with pytest.raises(FieldError):
        made.pop_vlan(out=out)


def test_nothing_to_do() -> None:
    empty = Packets.from_frames([])
    assert len(empty.push_vlan(5)) == len(empty.pop_vlan()) == len(empty.strip_trailer()) == 0
    assert len(empty.add_trailer(b"x")) == 0
