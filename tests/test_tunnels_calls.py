"""How tunnels are called: what they take, what they say about what they do not take."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import encap
from encap import tunnels
from encap.tunnels import IPIPTunnel, Reason, VTITunnel, VXLANTunnel

HERE, THERE = "192.0.2.1", "192.0.2.2"
ENDS = {"local": HERE, "remote": THERE}


@pytest.mark.parametrize("tunnel", [IPIPTunnel(**ENDS), VXLANTunnel(id=1, **ENDS), VTITunnel()])
@pytest.mark.parametrize("given", [bytes(20), encap.IPv4(), encap.IPv4() / b"", [bytes(20)], None])
def test_anything_but_a_batch_is_a_type_error(tunnel: tunnels.Tunnel, given: Any) -> None:
    for method in (tunnel.encap, tunnel.decap):
        with pytest.raises(TypeError, match=r"takes Packets, not \w+: Packets.from_frames"):
            method(given)


def test_raw_ip_that_was_taken_for_ethernet_is_told_of_its_link_type() -> None:
    tunnel = IPIPTunnel(**ENDS)
    octets = bytes(encap.IPv4(src=THERE, dst=HERE) / encap.IPv4(src="10.0.0.2", dst="10.0.0.1"))
    (reason,) = tunnel.decap(encap.Packets.from_frames([octets])).counts
    assert reason == Reason.OTHER_PROTOCOL
    assert "link type 101" in reason.sentence
    raw = encap.Packets.from_frames([octets], linktypes=101)
    assert len(tunnel.decap(raw).packets) == 1


@pytest.mark.parametrize("tunnel", [
    IPIPTunnel(remote=THERE), tunnels.GRETunnel(remote=THERE), tunnels.SITTunnel(remote=THERE),
    tunnels.GeneveTunnel(id=1, remote=THERE), VXLANTunnel(id=1, remote=THERE),
    tunnels.IP6GRETunnel(remote="2001:db8::2"), VXLANTunnel(id=1, remote="2001:db8::2"),
    VXLANTunnel(id=1, remote="2001:db8::2", underlay=tunnels.Underlay(addresses=[HERE])),
])  # fmt: skip
def test_a_source_is_not_made_up(tunnel: tunnels.Tunnel) -> None:
    frame = encap.Ethernet() / encap.IPv4(src="10.0.0.1", dst="10.0.0.2") / encap.UDP()
    octets = bytes(frame)[0 if tunnel.frames else 14 :]
    packets = encap.Packets.from_frames([octets] * 2, linktypes=1 if tunnel.frames else 101)
    got = tunnel.encap(packets)
    assert got.counts == {Reason.NO_SOURCE: 2}
    assert len(got.packets) == len(got.replies) == 0
    sixth = tunnel.family == "ipv6"
    here = "2001:db8::1" if sixth else HERE
    column = {f"{tunnel.family}.src": [here] * 2 if sixth else np.uint32(0xC0000201)}
    below = tunnels.Underlay(addresses=[here])
    for found in (
        tunnel.encap(packets, columns=column), replace(tunnel, underlay=below).encap(packets),
    ):  # fmt: skip
        assert found.counts == {Reason.ACCEPTED: 2}


def test_reasons_have_different_numbers_and_sentences() -> None:
    assert len({reason.sentence for reason in Reason}) == len(Reason)
    assert max(Reason) < 256


def test_a_vni_that_is_not_said_to_be_there_has_a_reason_of_its_own() -> None:
    tunnel = VXLANTunnel(id=1, local=HERE, remote=THERE, dstport=4789)
    header = encap.VXLAN(vni=1, flags=0)
    outer = encap.IPv4(src=THERE, dst=HERE) / encap.UDP(dport=4789) / header / bytes(14)
    got = tunnel.decap(encap.Packets.from_frames([bytes(outer)], linktypes=101))
    assert got.counts == {Reason.NO_ID_FLAG: 1}


def test_a_result_says_what_became_of_packets() -> None:
    tunnel = IPIPTunnel(**ENDS)
    octets = [bytes(encap.IPv4(src="10.0.0.1", dst="10.0.0.2") / b"one"), b""]
    got = tunnel.encap(encap.Packets.from_frames(octets, linktypes=101))
    assert len(got) == len(got.packets) == 1
    assert repr(got) == "<Result: 1 packets, 0 replies, of 1 ACCEPTED, 1 NOT_CARRIED>"
    empty = tunnel.encap(encap.Packets.from_frames([]))
    assert (bool(empty), len(empty)) == (True, 0)
    assert repr(empty) == "<Result: 0 packets, 0 replies, of nothing>"


def test_the_package_lists_its_public_names() -> None:
    assert dir(tunnels) == sorted(tunnels.__all__)


@pytest.mark.parametrize(("kind", "options", "words"), [
    (VXLANTunnel, {"vni": 42}, "no option 'vni': it is id here"),
    (VXLANTunnel, {"nolearning": True}, "it is learning=False here"),
    (VXLANTunnel, {"dev": "eth0"}, "underlay"),
    (IPIPTunnel, {"remot": THERE}, "did you mean 'remote'"),
    (VTITunnel, {"zzz": 1}, "no option 'zzz'$"),
    (tunnels.Underlay, {"mtus": 1}, "did you mean 'mtu'"),
])  # fmt: skip
def test_an_option_that_there_is_not_is_told_of_the_one_that_there_is(
    kind: Any, options: dict[str, Any], words: str
) -> None:
    with pytest.raises(TypeError, match=words):
        kind(**options)


def test_columns_come_behind_packets_and_a_link_may_be_text() -> None:
    tunnel = IPIPTunnel(**ENDS)
    octets = bytes(encap.IPv4(src="10.0.0.1", dst="10.0.0.2") / b"one")
    packets = encap.Packets.from_frames([octets], linktypes=101)
    (sent,) = tunnel.encap(
        packets, {"ipv4.id": 7}, link="eth(src=02:00:00:00:00:02, dst=02:00:00:00:00:03)"
    ).packets
    link = encap.Ethernet(src="02:00:00:00:00:02", dst="02:00:00:00:00:03")
    assert [sent] == list(tunnel.encap(packets, columns={"ipv4.id": 7}, link=link).packets)
    assert sent[18:20] == b"\0\7"


def test_routes_say_what_they_want() -> None:
    with pytest.raises(encap.TunnelError, match="'2001:db8::/32': 'fd00::1'"):
        tunnels.SITTunnel(routes=["2001:db8::/32"])
