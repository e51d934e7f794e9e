"""ERSPAN devices beyond what the captures of a kernel show."""

from __future__ import annotations

from typing import Any

import pytest
from ends import (
    FRAME,
    INNER,
    INNER6,
    arriving,
    ends,
    raw,
    reasons,
)

import encap
from encap import (
    ERSPAN,
    GRE,
    TCP,
    UDP,
    VLAN,
    Ethernet,
    IPv4,
    Packet,
    Packets,
    tunnels,
)
from encap.tunnels import (
    ERSPANTunnel,
    Reason,
)


def mirror(version: int, sixth: bool = False, **options: Any) -> tuple[Any, Any]:
    more = {} if version == 0 else {"key": 77, "seq": True}
    return ends(ERSPANTunnel, erspan_ver=version, sixth=sixth, **more, **options)


@pytest.mark.parametrize(("version", "sixth"), [(0, False), (1, False), (2, False),
                                                (1, True), (2, True)])  # fmt: skip
def test_mirrored_frames_there_and_back(version: int, sixth: bool) -> None:
    here, there = mirror(version, sixth)
    inner = Packets.from_frames([FRAME, bytes(60), b"\1" * 14, FRAME[:34]])
    sent = here.encap(inner)
    assert list(there.decap(sent.packets).packets) == list(inner)


def headers(tunnel: tunnels.Tunnel, *frames: bytes, **more: Any) -> list[Any]:
    sent = tunnel.encap(Packets.from_frames(frames, **more)).packets
    return [encap.parse(one, linktype=101, strict=False)[ERSPAN] for one in sent]


def test_what_is_said_of_mirrored_frames() -> None:
    tagged = bytes(Packet(Ethernet(src=1, dst=2), VLAN(vid=100, pcp=5, type=0x800), INNER))
    marked = bytes(Packet(Ethernet(src=1, dst=2), IPv4(src=1, dst=2, tos=0xE0), UDP(), bytes(60)))
    large = bytes(Packet(Ethernet(src=1, dst=2), IPv4(src=1, dst=2), TCP(), bytes(1600)))
    second = headers(mirror(1, erspan=0xFFFFF)[0], tagged, marked, large)
    assert [(one.vlan, one.en, one.truncated, one.index) for one in second] == [
        (100, 3, 0, 0xFFFFF), (0, 0, 0, 0xFFFFF), (0, 0, 1, 0xFFFFF),
    ]  # fmt: skip
    # The tag lies where the type of service of an IP header would.
    assert [one.cos for one in second] == [100 >> 5, 7, 0]
    options = {"erspan_dir": "egress", "erspan_hwid": 63, "underlay": tunnels.Underlay(mtu=9000)}
    here, there = mirror(2, **options)
    times = [1_700_000_000_123_456_789, -(1 << 63), 0]
    third = headers(here, tagged, marked, large, times=times)
    assert [(one.vlan, one.en, one.truncated) for one in third] == [
        (100, 1, 0), (0, 0, 0), (0, 2, 0),
    ]  # fmt: skip
    assert {(one.session_id, one.direction, one.hw_id, one.p) for one in third} == {(77, 1, 63, 1)}
    assert [one.timestamp for one in third] == [times[0] // 100_000 & 0xFFFFFFFF, 0, 0]
    assert there.device_mtu == 9000 - 20 - 8 - 12 - 14


@pytest.mark.parametrize(("version", "sixth"), [(0, False), (1, False), (2, True)])
def test_frames_that_are_too_long_are_cut(version: int, sixth: bool) -> None:
    here, there = mirror(version, sixth)
    large = bytes(Packet(Ethernet(src=1, dst=2), IPv4(src=1, dst=2), TCP(), bytes(3000)))
    sent = here.encap(Packets.from_frames([large, FRAME]))
    assert sent.counts == {Reason.ACCEPTED: 2}
    most = here.device_mtu + 14
    assert list(there.decap(sent.packets).packets) == [large[:most], FRAME]


def test_over_ipv6_frames_without_ip_say_nothing_of_limits() -> None:
    here, _ = mirror(1, sixth=True, tclass=0x20)
    sent = here.encap(Packets.from_frames([FRAME, bytes(60)])).packets
    assert sent.columns("path")["path"].tolist() == [
        "ipv6/dstopts/gre/erspan/eth/ipv4/udp", "ipv6/gre/erspan/eth",
    ]  # fmt: skip
    assert sent.columns("ipv6.traffic_class")["ipv6.traffic_class"].tolist() == [0x20, 0]


def test_over_ipv6_frames_shorter_than_they_say_are_marked() -> None:
    here, _ = mirror(1, sixth=True)
    sixth = bytes(Packet(Ethernet(src=1, dst=2, type=0x86DD), INNER6))
    assert [one.truncated for one in headers(here, FRAME, FRAME[:-1], sixth, sixth[:-1])] == [
        0, 1, 0, 1,
    ]  # fmt: skip


def test_versions_beyond_are_read_as_the_kernel_reads_them() -> None:
    _, there = mirror(1)
    body = bytes.fromhex("0000004d") + bytes(8) + FRAME
    frames = [
        arriving(GRE(seq=seq, protocol=0x88BE), bytes([version << 4]) + body[1:])
        for seq, version in enumerate((0, 1, 2, 15))
    ]
    got = there.decap(raw(*frames))
    assert list(got.packets) == [body, bytes(4) + FRAME, FRAME, FRAME]
    first = arriving(GRE(protocol=0x88BE), FRAME)
    assert reasons(there, first) == [Reason.NO_TUNNEL]
    assert list(mirror(0)[1].decap(raw(first)).packets) == [FRAME]
