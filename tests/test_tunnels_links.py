"""A device sends what it carries: packets of other link types are refused, whatever they are."""

from __future__ import annotations

import numpy as np
import pytest

from encap import Ethernet, IPv4, IPv6, Packet, Packets
from encap.tunnels import (
    ERSPANTunnel,
    GeneveTunnel,
    GRETAPTunnel,
    GRETunnel,
    IP6GRETAPTunnel,
    IP6GRETunnel,
    IP6Tunnel,
    IPIPTunnel,
    Reason,
    SecurityAssociation,
    SITTunnel,
    Tunnel,
    VTITunnel,
    VXLANTunnel,
)

V4 = {"local": "192.0.2.1", "remote": "192.0.2.2"}
V6 = {"local": "2001:db8::1", "remote": "2001:db8::2"}
PACKET = bytes(Packet(IPv4(src="10.0.0.1", dst="10.0.0.2", protocol=59)) / bytes(44))
SIXTH = bytes(Packet(IPv6(src="fd00::1", dst="fd00::2", next_header=59)) / bytes(44))
FRAME = bytes(Packet(Ethernet(src=1, dst="45:00:00:00:00:02", type=0x0800))) + PACKET
ASSOCIATION = SecurityAssociation(
    src="192.0.2.1", dst="192.0.2.2", spi=0x1000, aead=("rfc4106(gcm(aes))", bytes(range(20)), 128)
)
OF_IP: list[Tunnel] = [
    IPIPTunnel(**V4), SITTunnel(**V4), IP6Tunnel(**V6), GRETunnel(**V4), IP6GRETunnel(**V6),
    VTITunnel(**V4, associations=(ASSOCIATION,)),
]  # fmt: skip
OF_FRAMES: list[Tunnel] = [
    GRETAPTunnel(**V4), IP6GRETAPTunnel(**V6), VXLANTunnel(id=1, **V4), GeneveTunnel(id=1, **V4),
    ERSPANTunnel(**V4, key=1, seq=True),
]  # fmt: skip


def _refused(tunnel: Tunnel, octets: bytes, linktype: int) -> bool:
    """True where all of a batch is refused; the same, whether one says it for all or each one."""
    broadcast = Packets.from_frames([octets] * 3, linktypes=linktype)
    single = Packets.from_frames([octets] * 3, linktypes=np.full(3, linktype, np.uint16))
    found = [tunnel.encap(one).reasons.tolist() for one in (broadcast, single)]
    assert found[0] == found[1]
    assert found[0] in ([0] * 3, [Reason.NOT_CARRIED] * 3)
    return bool(found[0][0])


@pytest.mark.parametrize("tunnel", OF_IP, ids=lambda one: type(one).__name__)
def test_devices_of_ip_take_no_frames(tunnel: Tunnel) -> None:
    octets = SIXTH if isinstance(tunnel, SITTunnel) else PACKET
    for linktype in (1, 113, 147, 0):
        assert _refused(tunnel, FRAME, linktype)
        assert _refused(tunnel, octets, linktype)
    for linktype in (12, 101):
        assert not _refused(tunnel, octets, linktype)
    assert not _refused(tunnel, octets, 228 if octets is PACKET else 229)


@pytest.mark.parametrize("tunnel", OF_FRAMES, ids=lambda one: type(one).__name__)
def test_devices_of_frames_take_nothing_else(tunnel: Tunnel) -> None:
    for linktype in (12, 101, 113, 219, 228, 229):
        assert _refused(tunnel, FRAME, linktype)
        assert _refused(tunnel, PACKET, linktype)
    assert not _refused(tunnel, FRAME, 1)


def test_ipsec_takes_no_packet_of_another_version_than_its_link_type() -> None:
    tunnel = VTITunnel(**V4, associations=(ASSOCIATION,))
    assert _refused(tunnel, PACKET, 229)
    assert _refused(tunnel, PACKET, 219)


def test_a_batch_of_several_kinds_is_sorted_out() -> None:
    batch = Packets.from_frames([FRAME, PACKET, FRAME], linktypes=np.array([1, 101, 1], np.uint16))
    assert GRETAPTunnel(**V4).encap(batch).packets.rows.tolist() == [0, 2]
    assert GRETunnel(**V4).encap(batch).packets.rows.tolist() == [1]
    assert OF_IP[-1].encap(batch).packets.rows.tolist() == [1]
