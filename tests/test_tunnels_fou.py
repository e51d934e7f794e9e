"""Tunnels in UDP: options, ports, GUE headers that are wrong, and both ends together."""

from __future__ import annotations

from typing import Any

import golden
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import encap
from encap import GRE, GUE, UDP, EncapError, IPv4, IPv6, Packet, Packets, TunnelError, tunnels
from encap.tunnels import FOUPort, Reason

ENDS = {"local": "192.0.2.1", "remote": "192.0.2.2"}
ENDS6 = {"local": "2001:db8::1", "remote": "2001:db8::2"}
INNER4 = bytes(IPv4(src="10.0.0.1", dst="10.0.0.2") / UDP(sport=1, dport=2) / b"inner")
INNER6 = bytes(IPv6(src="fd00::1", dst="fd00::2") / UDP(sport=1, dport=2) / b"inner")
KINDS: dict[str, tuple[type[tunnels.Tunnel], dict[str, Any], list[bytes]]] = {
    "ipip": (tunnels.IPIPTunnel, ENDS, [INNER4]),
    "sit": (tunnels.SITTunnel, ENDS, [INNER4, INNER6]),
    "gre": (tunnels.GRETunnel, ENDS | {"key": 7, "csum": True}, [INNER4, INNER6]),
    "ip6tnl": (tunnels.IP6Tunnel, ENDS6, [INNER4, INNER6]),
    "ip6gre": (tunnels.IP6GRETunnel, ENDS6, [INNER4, INNER6]),
}


def pair(kind: str, **options: Any) -> tuple[tunnels.Tunnel, tunnels.Tunnel, Packets]:
    """Both ends of a tunnel, and packets for it."""
    made, ends, frames = KINDS[kind]
    there = made(**ends, **options)
    back = made(**ends | {"local": ends["remote"], "remote": ends["local"]}, **options)
    return there, back, Packets.from_frames(frames, linktypes=101)


@pytest.mark.parametrize("summed", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_gue_there_and_back(kind: str, summed: bool) -> None:
    there, back, packets = pair(
        kind, encap_type="gue", encap_dport=6080, encap_csum=summed, encap_udp6_csum=summed
    )
    sent = there.encap(packets).packets
    assert all("/udp/gue/" in path for path in sent.columns("path")["path"])
    assert (sent.columns("udp.checksum")["udp.checksum"] != 0).all() == summed
    got = back.decap(sent)
    assert got.counts == {Reason.ACCEPTED: len(packets)}
    assert list(got.packets) == list(packets)


@pytest.mark.parametrize("kind", ["ipip", "gre", "ip6gre"])
def test_fou_there_and_back(kind: str) -> None:
    there, back, packets = pair(kind, encap_type="fou", encap_dport=5555, encap_sport=7777)
    sent = there.encap(packets).packets
    assert (sent.columns("udp.sport")["udp.sport"] == 7777).all()
    got = back.decap(sent)
    assert got.counts == {Reason.ACCEPTED: len(packets)}
    assert list(got.packets) == list(packets)


def test_packets_without_udp_are_taken_too() -> None:
    there, back, packets = pair("ipip", encap_type="gue", encap_dport=6080)
    plain = tunnels.IPIPTunnel(**ENDS).encap(packets).packets
    both = Packets.concat([plain, there.encap(packets).packets])
    assert list(back.decap(both).packets) == [INNER4, INNER4]


def test_what_it_costs() -> None:
    made = [pair("ipip", **one)[0] for one in (
        {}, {"encap_type": "fou", "encap_dport": 1}, {"encap_type": "gue", "encap_dport": 1},
        {"encap_type": "gue", "encap_dport": 1, "encap_remcsum": True},
    )]  # fmt: skip
    assert [one.overhead for one in made] == [20, 28, 32, 40]
    assert [one.device_mtu for one in made] == [1480, 1472, 1468, 1460]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"encap_type": "geneve"}, "encap_type"),
        ({"encap_type": "fou"}, "encap_dport"),
        ({"encap_type": "fou", "encap_dport": 1, "encap_remcsum": True}, "encap_remcsum"),
        ({"encap_type": "fou", "encap_dport": 65536}, "encap_dport"),
    ],
)
def test_options_that_cannot_be(options: dict[str, Any], said: str) -> None:
    with pytest.raises(TunnelError, match=said):
        tunnels.IPIPTunnel(**ENDS, **options)


@pytest.mark.parametrize(
    "options", [{}, {"port": 5}, {"port": 5, "gue": True, "ipproto": 4}, {"port": 0, "gue": True}]
)
def test_ports_that_cannot_be(options: dict[str, Any]) -> None:
    with pytest.raises(TunnelError, match="port"):
        FOUPort(**options)


def test_from_commands() -> None:
    made = tunnels.from_commands(
        """
        ip fou add port 5555 ipproto ipip
        ip fou add port 6080 gue
        ip link add t type ipip local 192.0.2.1 remote 192.0.2.2 encap gue encap-sport auto \
encap-dport 6080 encap-csum
        """,
        "t",
    )
    assert isinstance(made, tunnels.IPIPTunnel)
    assert (made.encap_type, made.encap_dport, made.encap_csum) == ("gue", 6080, True)
    assert made.fou_ports == (FOUPort(port=5555, ipproto=4), FOUPort(port=6080, gue=True))
    with pytest.raises(TunnelError, match="peer"):
        tunnels.from_commands(
            "ip fou add port 1 gue peer 1.2.3.4\nip link add t type ipip local 192.0.2.1", "t"
        )


def test_a_host_without_ports_takes_nothing_in_udp() -> None:
    there, _, packets = pair("ipip", encap_type="gue", encap_dport=6080)
    host = tunnels.IPIPTunnel(
        local="192.0.2.2", remote="192.0.2.1", encap_type="gue", encap_dport=6080, fou_ports=()
    )
    assert host.decap(there.encap(packets).packets).counts == {Reason.OTHER_PROTOCOL: 1}


def gue(octets: bytes, **udp: Any) -> Packet:
    return IPv4(src="192.0.2.2", dst="192.0.2.1") / UDP(sport=1, dport=6080, **udp) / octets


@pytest.mark.parametrize(
    ("octets", "reason"),
    [
        ("00040000", Reason.ACCEPTED),
        ("", Reason.ACCEPTED),  # version 1
        ("80040000", Reason.VERSION),
        ("20040000", Reason.INNER_PROTOCOL),  # control
        ("00048000", Reason.RESERVED_BITS),
        ("0004000100000000", Reason.TOO_SHORT),  # private flags, and no room for them
        ("0104000100000000", Reason.ACCEPTED),
        ("0104000140000000", Reason.RESERVED_BITS),
        ("0104000180000000", Reason.TOO_SHORT),
        ("02040001800000000014001a", Reason.ACCEPTED),
        ("0204000180000000ffff001a", Reason.TOO_SHORT),
        ("02040001800000000014ffff", Reason.TOO_SHORT),
        ("1f040000", Reason.TOO_SHORT),
        ("002f0000", Reason.NO_PROTOCOL),
        ("00000000", Reason.OTHERS_PROTOCOL),
    ],
)
def test_headers_that_are_wrong(octets: str, reason: Reason) -> None:
    there, _, _ = pair("ipip", encap_type="gue", encap_dport=6080)
    frame = bytes(gue(bytes.fromhex(octets) + INNER4))
    got = there.decap(Packets.from_frames([frame], linktypes=101))
    assert got.counts == {reason: 1}
    assert list(got.packets) == ([INNER4] if reason == Reason.ACCEPTED else [])


def test_one_version_only_directly_behind_udp() -> None:
    there, _, _ = pair("ipip", encap_type="gue", encap_dport=6080)
    frames = [bytes(gue(first + bytes(40))) for first in (b"\x50", b"\x70", b"\x60")]
    got = there.decap(Packets.from_frames(frames, linktypes=101))
    assert got.reasons.tolist() == [Reason.VERSION, Reason.VERSION, Reason.OTHERS_PROTOCOL]


def test_gre_in_gue_that_is_cut_short() -> None:
    there, back, packets = pair("gre", encap_type="gue", encap_dport=6080)
    frame = there.encap(packets).packets[0]
    template = IPv4(src="192.0.2.1", dst="192.0.2.2") / UDP(sport=1, dport=6080, checksum=0)
    cut = bytes(template / GUE(protocol=47) / GRE(key=7, protocol=0x0800))[:-4]
    fixed = bytes(encap.parse(cut, 101, strict=False).replace({"udp.checksum": 0}).fill())
    got = back.decap(Packets.from_frames([frame, fixed[:38]], linktypes=101))
    assert got.reasons[0] == Reason.ACCEPTED
    assert got.reasons[1] != Reason.ACCEPTED


FRAMES = golden.capture("malformed_gue", "injected")


@given(st.data())
def test_garbage_gives_a_reason(data: st.DataObject) -> None:
    frame = bytearray(FRAMES[data.draw(st.integers(0, len(FRAMES) - 1))])
    for _ in range(data.draw(st.integers(0, 5))):
        frame[data.draw(st.integers(14, len(frame) - 1))] = data.draw(st.integers(0, 255))
    del frame[data.draw(st.integers(1, len(frame))) :]
    for kind in KINDS:
        there, _, _ = pair(kind, encap_type="gue", encap_dport=6080, encap_remcsum=True)
        try:
            got = there.decap(Packets.from_frames([frame]))
            there.encap(Packets.from_frames([frame[14:]], linktypes=101))
        except EncapError:
            continue
        assert np.isin(got.reasons, list(Reason)).all()
