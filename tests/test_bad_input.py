"""Packets made to cost time or memory, or to lead out of bounds: a status, in a bounded walk."""

from __future__ import annotations

import numpy as np
import pytest

import encap
from encap import DepthError, Packets, Status

IP = bytes.fromhex("4500000000000000400400000a0000010a000002")
IP6 = bytes.fromhex("600000000000") + b"\x29" + bytes(33)


def udp(port: int) -> bytes:
    return b"\x45" + bytes(8) + b"\x11" + bytes(10) + b"\0\0" + port.to_bytes(2, "big") + bytes(4)


ENDLESS = {
    "ipip": (IP, 101),
    "ip6tnl": (IP6, 101),
    "hopopt": (IP6[:6] + b"\0" + bytes(33) + bytes(8), 101),
    "mpls": (bytes(4), 1),
    "vlan": (bytes.fromhex("00018100"), 1),
    "vxlan": (udp(4789) + b"\x08" + bytes(7) + bytes(12) + b"\x08\0", 101),
    "geneve": (udp(6081) + bytes.fromhex("0000080000000000"), 101),
    "gre": (IP[:9] + b"\x2f" + IP[10:] + bytes.fromhex("00000800"), 101),
    "ah": (IP[:9] + b"\x33" + IP[10:] + bytes.fromhex("0401") + bytes(10), 101),
    "null": (bytes(4), 0),
}


def frame_of(name: str, count: int) -> tuple[bytes, int]:
    piece, linktype = ENDLESS[name]
    if name in {"mpls", "vlan"}:
        first = b"\x88\x47" if name == "mpls" else b"\x81\0"
        return bytes(12) + first + piece * count, linktype
    if name == "hopopt":
        return piece[:-8] + bytes(8) * count, linktype
    if name == "null":
        return b"\0\0\0\2" + IP * count, linktype
    return piece * count, linktype


@pytest.mark.parametrize("name", ENDLESS)
@pytest.mark.parametrize("count", [400, 20000])
def test_a_stack_without_end_is_left_after_sixteen_headers(name: str, count: int) -> None:
    frame, linktype = frame_of(name, count)
    packets = Packets.from_frames([frame] * 3, linktypes=linktype)
    layers = packets.parse()
    assert layers.depth.tolist() == [16] * 3
    assert layers.status.tolist() == [Status.DEPTH] * 3
    assert layers.status_layer.tolist() == [16] * 3
    assert len(layers["path"][0].split("/")) == 16
    with pytest.raises(DepthError, match="16 headers"):
        encap.parse(frame, linktype)
    packet = encap.parse(frame, linktype, strict=False)
    assert len(packet.headers) == 16
    assert bytes(packet) == frame
    starts, lengths = layers.payload
    assert int(starts[0]) + int(lengths[0]) == len(frame)


@pytest.mark.parametrize("name", ["ipip", "ip6tnl", "vxlan", "geneve", "gre"])
def test_tunnels_without_end_are_taken_off_as_far_as_the_walk_goes(name: str) -> None:
    frame, linktype = frame_of(name, 400)
    packets = Packets.from_frames([frame], linktypes=linktype)
    sizes = [len(frame)]
    inner = packets
    for _ in range(100):
        inner = inner.decap()
        assert len(inner) == 1
        sizes.append(int(inner.lengths[0]))
        if name == "vxlan":
            assert inner.linktypes[0] == 1
    steps = -np.diff(sizes)
    assert (steps > 0).all()
    assert packets.decap(depth="all").lengths[0] >= len(frame) - 17 * steps.max()


@pytest.mark.parametrize("words", range(64))
def test_geneve_options_of_every_length(words: int) -> None:
    inner = bytes(12) + b"\x08\0" + IP
    head = bytes([words, 0]) + b"\x65\x58" + bytes(4)
    frame = udp(6081) + head + bytes(range(256))[: 4 * words] + inner
    packets = Packets.from_frames([frame, frame[: 36 + 4 * words - 1]], linktypes=101)
    layers = packets.parse()
    starts, lengths = layers.span("geneve.options")
    assert lengths.tolist() == [4 * words, 0]
    assert packets.data[starts[0] : starts[0] + 4 * words].tobytes() == bytes(range(4 * words))
    assert layers["geneve.opt_len"].tolist() == [4 * words, 4 * words if words else 0]
    assert layers.offset("inner.eth").tolist() == [36 + 4 * words, -1]
    assert list(packets.decap()) == [inner]


def test_ipv6_extensions_of_the_greatest_length() -> None:
    # 15 of them are 30 kB: the offsets of a walk are 16 bits wide.
    chain = (b"\x3c\xff" + bytes(2046)) * 14 + b"\x11\xff" + bytes(2046)
    frame = IP6[:6] + b"\x3c" + bytes(33) + chain + bytes(8)
    layers = Packets.from_frames([frame], linktypes=101).parse()
    assert layers.depth[0] == 16
    assert layers.status[0] == Status.DEPTH
    frame = IP6[:6] + b"\x3c" + bytes(33) + chain[2048:] + bytes(8)
    layers = Packets.from_frames([frame], linktypes=101).parse()
    assert layers.paths == ["ipv6/" + "dstopts/" * 14 + "udp"]
    assert layers.offset("udp")[0] == 40 + 14 * 2048


@pytest.mark.parametrize("length", [1020, 1024, 1028, 70000])
def test_gre_routes_without_end(length: int) -> None:
    routes = bytes.fromhex("00010004") + bytes(4)
    head = IP[:9] + b"\x2f" + IP[10:] + bytes.fromhex("40000800") + bytes(4)
    frame = head + routes * (length // 8)
    layers = Packets.from_frames([frame], linktypes=101).parse()
    assert layers["path"][0] == "ipv4/gre"
    assert layers.status[0] == Status.TRUNCATED
    assert isinstance(encap.parse(frame, 101, strict=False).error, encap.TruncatedError)


def test_geneve_options_that_do_not_sum_up_do_not_stop_the_walk() -> None:
    options = bytes.fromhex("0102031f") + bytes(4)
    frame = udp(6081) + bytes.fromhex("0200080000000000") + options + IP
    packets = Packets.from_frames([frame], linktypes=101)
    assert packets.parse().paths == ["ipv4/udp/geneve/ipv4"]
    assert list(packets.decap()) == [IP]
    assert encap.parse(frame, 101, strict=False)["geneve"].options == (options,)


def test_frames_of_64_kibioctets_and_more() -> None:
    for size in (65535, 65536, 1 << 20):
        frame = udp(4789) + b"\x08" + bytes(7) + bytes(12) + b"\x08\0" + IP + bytes(size)
        packets = Packets.from_frames([frame], linktypes=101)
        assert packets.decap().lengths[0] == len(frame) - 36
        starts, lengths = packets.parse().payload
        assert int(starts[0]) + int(lengths[0]) == len(frame)


def test_many_rows_over_one_large_frame() -> None:
    # Rows may overlap: the cost is that of the rows, not of what they could hold.
    data = np.zeros(1 << 20, np.uint8)
    packets = Packets(data, np.zeros(10000, np.int64), np.full(10000, 1 << 20))
    assert (packets.parse().depth == 1).all()
    assert len(packets.decap()) == 0
