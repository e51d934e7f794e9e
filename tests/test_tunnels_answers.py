"""What endpoints say back: MTUs that there can be, and frames to those who sent frames."""

from __future__ import annotations

import pytest
from ends import A6, B6, A, B

import encap
from encap import UDP, Ethernet, IPv4, IPv6, Packet, Packets
from encap.tunnels import (
    GeneveTunnel,
    GRETAPTunnel,
    GRETunnel,
    IP6GRETAPTunnel,
    IP6GRETunnel,
    IP6Tunnel,
    IPIPTunnel,
    Reason,
    SITTunnel,
    Tunnel,
    Underlay,
    VXLANTunnel,
)

LEAST = {4: 68, 6: 1280}
IPV4_KINDS: list[type[Tunnel]] = [IPIPTunnel, SITTunnel, GRETunnel, GRETAPTunnel]
IPV6_KINDS: list[type[Tunnel]] = [IP6Tunnel, IP6GRETunnel, IP6GRETAPTunnel]


def inner(version: int, size: int, *, framed: bool = False) -> bytes:
    """A packet of so many octets that must not be fragmented."""
    body = (UDP(dport=7), bytes(size - (28 if version == 4 else 48)))
    if version == 4:
        packet = bytes(Packet(IPv4(src="10.0.0.1", dst="10.0.0.2", flags=2), *body))
    else:
        packet = bytes(Packet(IPv6(src="fd00::1", dst="fd00::2"), *body))
    if not framed:
        return packet
    return bytes(Ethernet(src=2, dst=4, type=0x800 if version == 4 else 0x86DD)) + packet


def batch(tunnel: Tunnel, *frames: bytes) -> Packets:
    return Packets.from_frames(frames, linktypes=1 if tunnel.frames else 101)


def said(reply: bytes, *, framed: bool) -> tuple[int, int]:
    """IP version and MTU of an answer."""
    reply = reply[14:] if framed else reply
    at = 24 if reply[0] >> 4 == 4 else 44
    return reply[0] >> 4, int.from_bytes(reply[at : at + 4], "big")


@pytest.mark.parametrize("cls", [*IPV4_KINDS, *IPV6_KINDS, VXLANTunnel, GeneveTunnel])
@pytest.mark.parametrize("mtu", [68, 80, 110, 140, 600, 1279, 1280, 1294, 1330, 1400])
def test_answers_have_mtus_that_there_can_be(cls: type[Tunnel], mtu: int) -> None:
    local, remote = (A6, B6) if cls in IPV6_KINDS else (A, B)
    more = {"id": 1, "df": "set"} if cls in (VXLANTunnel, GeneveTunnel) else {}
    tunnel = cls(
        local=local, remote=remote, underlay=Underlay(mtu=mtu),
        addresses=("10.0.0.254", "fd00::254"), **more,
    )  # fmt: skip
    sent = [inner(version, 1450, framed=tunnel.frames) for version in (4, 6)]
    told = tunnel.encap(batch(tunnel, *sent))
    for reply in told.replies:
        version, size = said(reply, framed=tunnel.frames)
        assert LEAST[version] <= size <= max(mtu, LEAST[version])


def test_over_ipv6_every_link_takes_some_octets() -> None:
    """Linux, ip6_tnl_xmit: IPV4_MIN_MTU and IPV6_MIN_MTU, whatever the path has room for."""
    tunnel = IP6GRETAPTunnel(
        local=A6, remote=B6, underlay=Underlay(mtu=130), addresses=("10.0.0.254", "fd00::254")
    )
    sizes = [(4, 68), (4, 69), (4, 1000), (6, 1280), (6, 1281)]
    sent = tunnel.encap(batch(tunnel, *(inner(*one, framed=True) for one in sizes)))
    assert sent.reasons.tolist() == [0, Reason.TOO_BIG, Reason.TOO_BIG, 0, Reason.TOO_BIG]
    told = sorted(said(one, framed=True) for one in sent.replies)
    assert told == [(4, 68), (4, 68), (6, 1280)]
    back = IP6GRETAPTunnel(local=B6, remote=A6).decap(sent.packets)
    assert list(back.packets) == [inner(4, 68, framed=True), inner(6, 1280, framed=True)]


@pytest.mark.parametrize("cls", [GRETunnel, GRETAPTunnel])
def test_who_sends_ipv6_is_not_told_of_less_than_every_link_takes(cls: type[Tunnel]) -> None:
    """Linux, tnl_update_pmtu: then the outer header's DF says what becomes of the packet."""
    for discovery in (True, False):
        tunnel = cls(
            local=A, remote=B, underlay=Underlay(mtu=1290), addresses=("fd00::254",),
            pmtudisc=discovery, ttl=64,
        )  # fmt: skip
        frame = inner(6, 1285, framed=tunnel.frames)
        sent = tunnel.encap(batch(tunnel, frame))
        assert sent.reasons.tolist() == [Reason.TOO_BIG if discovery else 0]
        assert len(sent.replies) == 0
        assert len(sent.packets) == (0 if discovery else 2)
        got = cls(local=B, remote=A).decap(sent.packets)
        assert list(got.packets) == ([] if discovery else [frame])
        wide = cls(local=A, remote=B, addresses=("fd00::254",), pmtudisc=discovery, ttl=64)
        told = wide.encap(batch(wide, inner(6, 1500, framed=wide.frames)))
        assert told.reasons.tolist() == [Reason.TOO_BIG]
        room = 1500 - 24 - 14 * wide.frames
        assert [said(one, framed=wide.frames) for one in told.replies] == [(6, room)]


def test_frames_are_answered_by_frames_whatever_else_is_in_a_batch() -> None:
    tunnel = VXLANTunnel(id=1, local=A, remote=B)
    ip = [
        bytes(Packet(IPv4(src=B, dst=A, id=at), UDP(sport=at, dport=99, checksum=0)) / b"xxx")
        for at in range(5)
    ]
    kinds = [101, 1, 1, 101, 1]
    head = bytes(Ethernet(src=5, dst=6, type=0x800))
    frames = [head + one if kind == 1 else one for kind, one in zip(kinds, ip, strict=True)]
    got = tunnel.decap(Packets.from_frames(frames, linktypes=kinds))
    assert got.reasons.tolist() == [Reason.NO_PORT] * 5
    assert got.replies.linktypes.tolist() == kinds
    for row, (kind, frame) in enumerate(zip(kinds, frames, strict=True)):
        alone = tunnel.decap(Packets.from_frames([frame], linktypes=kind))
        assert list(alone.replies) == [got.replies[row]]
        reply = encap.parse(got.replies[row], linktype=kind)
        assert str(reply["ipv4.dst"]) == B
        if kind == 1:
            assert reply["eth.dst"] == encap.MAC(5)
