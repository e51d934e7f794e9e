"""Which packets would not fit into a tunnel: equal to lengths of packets that are really built."""

from __future__ import annotations

from typing import Any

import golden
import numpy as np
import pytest
import stacks

import encap
from encap import (
    TCP,
    UDP,
    VLAN,
    Ethernet,
    FieldError,
    Fragment,
    HopByHop,
    IPv4,
    IPv6,
    Packets,
)
from encap.oversize import Oversize, PathSize

ENDS4 = {"src": "10.0.0.1", "dst": "10.0.0.2"}
ENDS6 = {"src": "fd00::1", "dst": "fd00::2"}
VXLAN = "eth/ipv4(src=192.0.2.1,dst=192.0.2.2)/udp/vxlan(vni=42)"
IPIP = "eth/ipv4(src=192.0.2.1,dst=192.0.2.2)"


def batch(*packets: encap.Packet, linktype: int = 1) -> Packets:
    return Packets.from_frames([bytes(packet) for packet in packets], linktypes=linktype)


def ip_packet(octets: int, header: Any = None) -> encap.Packet:
    """An IPv4 packet of so many octets."""
    return (header or IPv4(**ENDS4)) / UDP() / bytes(octets - 28)


def counts(found: Oversize) -> tuple[int, ...]:
    return (
        found.too_long, found.df, found.fragmentable, found.ipv6, found.other, found.fragments,
        found.not_carried,
    )  # fmt: skip


def test_frames_in_a_tunnel_for_frames() -> None:
    """What is built has exactly the octets that are said, less the outer Ethernet header."""
    inner = [Ethernet() / ip_packet(size) for size in (28, 100, 1449, 1450, 1451, 1500)] + [
        Ethernet() / VLAN(vid=1) / ip_packet(1446),
        Ethernet() / VLAN(vid=1) / ip_packet(1447),
    ]
    found = batch(*inner).oversize(VXLAN)
    outer = [encap.template(VXLAN) / packet for packet in inner]
    assert found.sizes.tolist() == [len(bytes(packet)) - 14 for packet in outer]
    assert found.mask.tolist() == [False] * 4 + [True] * 2 + [False, True]
    assert (found.link_mtu, found.overhead, found.inner_mtu) == (1500, 50, 1450)
    assert (found.packets, found.needed) == (8, 1550)
    assert found.paths == (
        PathSize("eth/ipv4/udp", 6, 2, 1550), PathSize("eth/vlan/ipv4/udp", 2, 1, 1501),
    )  # fmt: skip
    assert "mask" not in repr(found)


def test_packets_in_a_tunnel_for_packets() -> None:
    inner = [ip_packet(size) for size in (28, 1480, 1481)]
    raw = batch(*inner, linktype=101).oversize(IPIP)
    assert raw.sizes.tolist() == [len(encap.template(IPIP) / packet) - 14 for packet in inner]
    assert raw.mask.tolist() == [False, False, True]
    # Of frames the packet in them counts: no tags, no padding, no trailer.
    frames = [bytes(Ethernet() / VLAN(vid=3) / packet) + bytes(9) for packet in inner]
    assert Packets.from_frames(frames).oversize(IPIP).sizes.tolist() == raw.sizes.tolist()


def test_packets_in_a_tunnel_for_frames_get_an_ethernet_header() -> None:
    found = batch(ip_packet(1450), ip_packet(1451), linktype=101).oversize(VXLAN)
    assert found.sizes.tolist() == [1500, 1501]


def test_what_is_told_and_what_is_not() -> None:
    found = batch(
        Ethernet() / ip_packet(1500, IPv4(**ENDS4, flags=2)),
        Ethernet() / ip_packet(1500, IPv4(**ENDS4)),
        Ethernet() / IPv6(**ENDS6) / UDP() / bytes(1452),
        Ethernet(type=0x88B5) / bytes(1500),
        Ethernet() / ip_packet(100, IPv4(**ENDS4, flags=2)),
    ).oversize(VXLAN)
    assert counts(found) == (4, 1, 1, 1, 1, 0, 0)
    assert [path.path for path in found.paths] == ["eth/ipv4/udp", "eth", "eth/ipv6/udp"]


def test_fragments_are_judged_as_they_are() -> None:
    found = batch(
        Ethernet() / IPv4(**ENDS4, protocol=17, flags=1) / bytes(1480),
        Ethernet() / IPv4(**ENDS4, protocol=17, fragment_offset=185) / bytes(1480),
        Ethernet() / IPv4(**ENDS4, protocol=17, fragment_offset=370) / bytes(20),
        Ethernet() / IPv6(**ENDS6) / Fragment(next_header=17, more=1) / bytes(1448),
        Ethernet() / IPv6(**ENDS6) / HopByHop() / Fragment(offset=181) / bytes(1440),
        Ethernet() / IPv6(**ENDS6) / Fragment() / UDP() / bytes(1444),  # atomic: none
    ).oversize(VXLAN)
    assert found.mask.tolist() == [True, True, False, True, True, True]
    assert counts(found) == (5, 0, 2, 3, 0, 4, 0)


def test_a_fragment_inside_a_tunnel_is_not_the_packets_own() -> None:
    inner = Ethernet() / IPv6(**ENDS6) / Fragment(next_header=17, more=1) / bytes(1448)
    outer = Ethernet() / IPv6(**ENDS6) / UDP(dport=4789) / encap.VXLAN() / inner
    assert counts(batch(outer).oversize(VXLAN)) == (1, 0, 0, 1, 0, 0, 0)


def test_what_cannot_be_carried() -> None:
    packets = Packets.from_frames(
        [bytes(Ethernet(type=0x88B5) / bytes(1500)), b"", bytes(Ethernet() / ip_packet(1500))]
    )
    assert counts(packets.oversize(IPIP)) == (1, 0, 1, 0, 0, 0, 2)
    assert packets.oversize(IPIP).sizes.tolist() == [0, 0, 1520]
    assert packets.oversize(VXLAN).sizes.tolist() == [1550, 0, 1550]


def test_what_a_snap_length_cut_counts_in_full() -> None:
    frame = bytes(Ethernet() / ip_packet(1500))
    packets = Packets.from_frames([frame[:60]], wire_lengths=[len(frame)])
    assert packets.oversize(VXLAN).sizes.tolist() == [1550]
    assert packets.oversize(IPIP).sizes.tolist() == [1520]


def test_lengths_that_were_left_to_a_card() -> None:
    old = bytes(IPv4(**ENDS4, total_len=0) / TCP() / bytes(4000))
    new = bytes(IPv6(**ENDS6, payload_len=0) / TCP() / bytes(4000))
    found = Packets.from_frames([old, new], linktypes=101).oversize(IPIP)
    assert found.sizes.tolist() == [len(old) + 20, len(new) + 20]


def test_no_packets() -> None:
    found = Packets.from_frames([]).oversize(VXLAN)
    assert (found.packets, found.needed, found.paths) == (0, 0, ())
    assert found.mask.shape == (0,)


@pytest.mark.parametrize("template", [VXLAN, IPIP, "ipv6/udp/geneve", "ipv4/gre"])
def test_any_packets(template: str) -> None:
    """Golden and broken ones: sizes follow from lengths, and threads do not matter."""
    for packets in (golden.every_frame(), stacks.random_packets(2000, 3, stacks.flipped)):
        found = packets.oversize(template, 1300, threads=1)
        again = packets.oversize(template, 1300, threads=2)
        assert (found.sizes == again.sizes).all()
        assert found.paths == again.paths
        wire = np.maximum(packets.wire_lengths, packets.lengths).astype(int)
        assert (found.sizes <= wire + found.overhead).all()
        assert found.too_long == found.df + found.fragmentable + found.ipv6 + found.other
        assert found.too_long == sum(path.too_long for path in found.paths)
        assert found.fragments <= found.too_long
        assert (found.mask == (found.sizes > 1300)).all()


def test_more_paths_than_are_told_apart() -> None:
    """Stacks of eight IPv6 extension headers: more paths than get an id of their own."""
    frames = []
    for number in range(3**8):
        chain = [(0, 43, 60)[number // 3**at % 3] for at in range(8)]
        body = b"".join(bytes([following, 0]) + bytes(6) for following in [*chain[1:], 59])
        frames.append(bytes(IPv6(**ENDS6, next_header=chain[0]) / (body + bytes(1400))))
    found = Packets.from_frames(frames, linktypes=101).oversize("ipv6/udp/geneve")
    assert found.paths[0].path == "other paths"
    assert sum(path.too_long for path in found.paths) == found.too_long == len(frames)


def test_wrong_arguments() -> None:
    packets = golden.every_frame()[:4]
    for template, mtu, how in (
        (VXLAN, 60, {}), (VXLAN, 70000, {}), (VXLAN, 1500, {"carries": "ip"}),
        ("ipv4/esp", 1500, {}), (VXLAN, 1500, {"threads": 0}),
    ):  # fmt: skip
        with pytest.raises(FieldError):
            packets.oversize(template, mtu, **how)
    with pytest.raises(TypeError):
        packets.oversize(None)
