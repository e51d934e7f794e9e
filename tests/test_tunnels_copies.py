"""Copies of tunnels are new devices: the same options, and nothing that was remembered."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from dataclasses import replace

import pytest

from encap import Ethernet, IPv4, Packet, Packets
from encap.tunnels import (
    ERSPANTunnel,
    FDBEntry,
    GeneveTunnel,
    GRETAPTunnel,
    GRETunnel,
    IP6GRETAPTunnel,
    IP6GRETunnel,
    IP6Tunnel,
    IPIPTunnel,
    Policy,
    SecurityAssociation,
    SITTunnel,
    Tunnel,
    Underlay,
    VTITunnel,
    VXLANTunnel,
)

V4 = {"local": "192.0.2.1", "remote": "192.0.2.2"}
V6 = {"local": "2001:db8::1", "remote": "2001:db8::2"}
SA = SecurityAssociation(
    src="192.0.2.1", dst="192.0.2.2", spi=0x1000, aead=("rfc4106(gcm(aes))", bytes(range(20)), 128)
)
POLICY = Policy(
    dir="out", src="10.0.0.0/8", dst="10.0.0.0/8", tmpl_src="192.0.2.1", tmpl_dst="192.0.2.2"
)
TUNNELS: list[Tunnel] = [
    IPIPTunnel(**V4, underlay=Underlay(mtu=1400)), SITTunnel(**V4, prefixes=["fd00::/64"]),
    IP6Tunnel(**V6, hoplimit=3), GRETunnel(**V4, key=1, seq=True), GRETAPTunnel(**V4, seq=True),
    IP6GRETunnel(**V6, tclass="inherit"), IP6GRETAPTunnel(**V6, seq=True),
    ERSPANTunnel(**V4, key=1, seq=True), GeneveTunnel(id=1, **V4),
    VXLANTunnel(id=1, **V4, address=5, fdb=[FDBEntry(mac=7, dst="192.0.2.3")]),
    VTITunnel(**V4, key=5, associations=(replace(SA, mark=5),)),
    VTITunnel(**V4, associations=(SA,), policies=(POLICY,)),
    VTITunnel(**V4, associations=(SA,)),
]  # fmt: skip
COPIES: dict[str, Callable[[Tunnel], Tunnel]] = {
    "pickle": lambda one: pickle.loads(pickle.dumps(one)),
    "deepcopy": copy.deepcopy,
    "copy": copy.copy,
    "replace": replace,
}
PACKET = bytes(Packet(IPv4(src="10.0.0.1", dst="10.0.0.2", protocol=59)) / bytes(44))
FRAME = bytes(Packet(Ethernet(src=1, dst=2, type=0x0800))) + PACKET


@pytest.mark.parametrize("way", COPIES)
@pytest.mark.parametrize("tunnel", TUNNELS, ids=lambda one: type(one).__name__)
def test_a_copy_is_a_new_device(tunnel: Tunnel, way: str) -> None:
    octets, linktype = (FRAME, 1) if tunnel.frames else (PACKET, 101)
    batch = Packets.from_frames([octets] * 3, linktypes=linktype)
    tunnel.encap(batch)
    made = COPIES[way](tunnel)
    assert type(made) is type(tunnel)
    assert made == tunnel
    assert repr(made) == repr(tunnel)
    assert made.state is not tunnel.state
    assert (made.state.sent, made.state.next_id, len(made.state.learned)) == (0, 0, 0)
    before = tunnel.state.sent, tunnel.state.next_id
    made.encap(batch)
    assert (tunnel.state.sent, tunnel.state.next_id) == before


def test_copies_encrypt_with_initialization_vectors_of_their_own() -> None:
    batch = Packets.from_frames([PACKET], linktypes=101)
    tunnel = VTITunnel(**V4, associations=(SA,))
    tunnel.encap(batch)
    devices = [tunnel, *(copied(tunnel) for copied in COPIES.values())]
    vectors = [bytes(one.encap(batch).packets[0][28:36]) for one in devices]
    assert len(set(vectors)) == len(vectors)
    for copied_state in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError, match="no copies"):
            copied_state(tunnel.state.live(SA))
