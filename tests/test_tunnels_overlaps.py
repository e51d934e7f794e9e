"""Outer fragments that overlap, in both profiles."""

from __future__ import annotations

import pytest
from ends import A6, B6, A, B, ends, raw

from encap import Fragment, IPv4, IPv6, Packet
from encap.tunnels import (
    DIFFERENCES,
    IP6Tunnel,
    IPIPTunnel,
    Reason,
    Tunnel,
)

BIG = bytes(Packet(IPv4(src="10.0.0.1", dst="10.0.0.2", protocol=253), bytes(range(250)) * 4))
HELD, LOST = Reason.HELD, Reason.FRAGMENTS


def pieces(cls: type[Tunnel], *wanted: tuple[int, int]) -> list[bytes]:
    """Fragments of one datagram, by where they begin and end in what is fragmented."""
    near, _ = ends(cls, sixth=cls is IP6Tunnel)
    whole = near.encap(raw(BIG)).packets[0]
    if cls is IP6Tunnel:
        follows, body = whole[6], whole[40:]
        return [
            bytes(
                Packet(
                    IPv6(src=A6, dst=B6, next_header=44),
                    Fragment(
                        next_header=follows, offset=begin // 8, more=int(end < len(body)), id=7
                    ),
                    body[begin:end],
                )
            )
            for begin, end in wanted
        ]
    body = whole[20:]
    return [
        bytes(
            Packet(
                IPv4(src=A, dst=B, id=7, protocol=4, fragment_offset=begin // 8,
                     flags=int(end < len(body))),
                body[begin:end],
            )
        )
        for begin, end in wanted
    ]  # fmt: skip


@pytest.mark.parametrize("cls", [IPIPTunnel, IP6Tunnel])
def test_a_duplicate_is_told_from_an_overlap_by_profile(cls: type[Tunnel]) -> None:
    assert "outer_fragments" in DIFFERENCES
    # The third lies within the two before it, and is the same as neither.
    within = [(0, 400), (400, 800), (200, 600), (800, 2000)]
    for profile, taken in (("linux", True), ("rfc", False)):
        _, far = ends(cls, sixth=cls is IP6Tunnel, profile=profile)
        for _ in range(2):
            got = far.decap(raw(*pieces(cls, *within)))
            assert list(got.packets) == ([BIG] if taken else [])
            last = 0 if taken else LOST
            assert got.reasons.tolist() == [HELD, HELD, HELD if taken else LOST, last]
            far.reset()  # keeps its profile
    again = [(0, 400), (0, 400), (400, 2000)]
    for profile in ("linux", "rfc"):
        _, far = ends(cls, sixth=cls is IP6Tunnel, profile=profile)
        assert list(far.decap(raw(*pieces(cls, *again))).packets) == [BIG]
