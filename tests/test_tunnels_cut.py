"""Packets that a capture cut short are sent as what is there: what lies behind is never read."""

from __future__ import annotations

import numpy as np
import pytest

from encap import Packets
from encap.tunnels import (
    GRETunnel,
    IP6GRETAPTunnel,
    IP6GRETunnel,
    IP6Tunnel,
    IPIPTunnel,
    Reason,
    SITTunnel,
    Tunnel,
)

V4 = {"local": "192.0.2.1", "remote": "192.0.2.2"}
V6 = {"local": "2001:db8::1", "remote": "2001:db8::2"}
LIMITED = b"\0\4\1\4\1\0\0\0" * 6
"""Octets of another packet; read as part of one in front, they say limits, DF and addresses."""
TUNNELS: list[Tunnel] = [
    IP6Tunnel(**V6), IP6GRETunnel(**V6), IP6Tunnel(**V6, flowlabel="inherit"),
    IP6Tunnel(local="2001:db8::1"), IP6GRETunnel(local="2001:db8::1"),
    SITTunnel(**V4, pmtudisc=False), SITTunnel(local="192.0.2.1"), IPIPTunnel(local="192.0.2.1"),
    IPIPTunnel(**V4, pmtudisc=False), GRETunnel(**V4, pmtudisc=False),
    GRETunnel(local="192.0.2.1"),
]  # fmt: skip


def _cut(octets: bytes, behind: bytes = b"", linktype: int = 101) -> Packets:
    """A packet of 1,400 octets, of which these were captured, in front of what is no part of it."""
    return Packets(
        np.frombuffer(octets + behind, np.uint8), [0], [len(octets)], wire_lengths=[1400],
        linktypes=np.array([linktype], np.uint16),
    )  # fmt: skip


@pytest.mark.parametrize("tunnel", TUNNELS, ids=lambda one: type(one).__name__)
@pytest.mark.parametrize("first", [b"\x45", b"\x60", b"\x60\0\0\0\0\0\x3c", b"\x60\0\0\0\0\0\0"])
def test_octets_behind_a_cut_packet_say_nothing(tunnel: Tunnel, first: bytes) -> None:
    for length in (0, 1, 4, 7, 20, 39):
        head = first.ljust(length, b"\0")[:length]
        told = []
        for behind in (b"", b"\xff" * 80, LIMITED):
            tunnel.reset()
            result = tunnel.encap(_cut(head, behind))
            told.append((list(result.packets), result.reasons.tolist(), list(result.replies)))
        assert told[0] == told[1] == told[2]


def test_cut_frames_have_no_limit_either() -> None:
    frame = bytes(12) + b"\x86\xdd\x60\0\0\0\0\0\x3c"
    tunnel = IP6GRETAPTunnel(**V6)
    for length in range(len(frame) + 1):
        told = [
            list(tunnel.encap(_cut(frame[:length], more, 1)).packets) for more in (b"", LIMITED)
        ]
        assert told[0] == told[1]


def test_a_header_that_is_not_there_is_not_known() -> None:
    result = SITTunnel(**V4, pmtudisc=False).encap(_cut(b""))
    assert result.reasons.tolist() == [Reason.NOT_CARRIED]
