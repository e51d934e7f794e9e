"""How tunnels are called: what they take, what they say about what they do not take."""

from __future__ import annotations

from typing import Any

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
