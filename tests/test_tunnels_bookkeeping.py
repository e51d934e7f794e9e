"""No packet is lost in silence, none is read beyond what was captured, and threads may share."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import encap
from encap import UDP, Geneve, GeneveOption, IPv4, Packet
from encap.tunnels import (
    GeneveTunnel,
    GRETunnel,
    IPIPTunnel,
    Reason,
    SecurityAssociation,
    Tunnel,
    VTITunnel,
    VXLANTunnel,
)

A, B = "192.0.2.1", "192.0.2.2"
INNER = Packet(IPv4(src="10.0.0.1", dst="10.0.0.2"), UDP(sport=1, dport=2), b"inside")
RAW = 101


def raw(*frames: bytes, wire_length: int | None = None) -> encap.Packets:
    return encap.Packets.from_frames(
        frames, linktypes=RAW, wire_lengths=wire_length or [*map(len, frames)]
    )


@pytest.mark.parametrize(
    "tunnel",
    [
        IPIPTunnel(local=A, remote=B, pmtudisc=False),
        GRETunnel(local=A, remote=B, pmtudisc=False),
    ],
)
def test_what_cannot_be_cut_in_pieces_has_a_reason(tunnel: Tunnel) -> None:
    cut = raw(bytes(IPv4(src=A, dst=B, protocol=17, total_len=3000)) + bytes(40), wire_length=3000)
    got = tunnel.encap(encap.Packets.concat([cut, raw(bytes(INNER))]))
    assert got.reasons.tolist() == [Reason.INCOMPLETE, 0]
    assert got.rows.tolist() == [1]


def test_a_capture_that_ends_in_the_header_has_no_inner_packet() -> None:
    tunnel = GeneveTunnel(id=1, local=B, remote=A)
    options = (GeneveOption(0x0102, 1, bytes(60)),)
    whole = bytes(
        IPv4(src=A, dst=B) / UDP(sport=1, dport=6081) / Geneve(vni=1, options=options)
        / encap.Ethernet(src="02:00:00:00:00:01", dst="02:00:00:00:00:02", type=0x1234) / bytes(50)
    )  # fmt: skip
    for size in range(len(whole)):
        got = tunnel.decap(raw(whole[:size], wire_length=len(whole)))
        assert len(got.packets) == int(got.reasons[0] == 0)
        assert int(got.packets.lengths.sum()) <= size
    got = tunnel.decap(raw(whole[:50], wire_length=len(whole)))
    assert got.reasons.tolist() == [Reason.INCOMPLETE]


def test_no_number_is_used_twice_by_threads() -> None:
    sa = SecurityAssociation(
        src=A, dst=B, spi=0x1000, aead=("rfc4106(gcm(aes))", bytes(range(20)), 128)
    )
    tunnel = VTITunnel(local=A, remote=B, associations=(sa,))
    batch = raw(bytes(INNER))
    with ThreadPoolExecutor(4) as pool:
        sent = [*pool.map(lambda _: tunnel.encap(batch).packets[0], range(400))]
    numbers = {frame[24:28] for frame in sent}
    assert len(numbers) == 400


def test_threads_may_share_what_joins_fragments() -> None:
    outer = IPv4(src=A, dst=B) / UDP(sport=9, dport=4789, checksum=0) / encap.VXLAN(vni=1)
    inner = encap.Ethernet(src="02:00:00:00:00:01", dst="02:00:00:00:00:02", type=0x1234)
    whole = raw(bytes(outer / inner / bytes(2000)))
    tunnel = VXLANTunnel(id=1, local=B, remote=A, dstport=4789)

    def work(first: int) -> int:
        delivered = 0
        for number in range(first, first + 100):
            pieces = whole.rewrite({"ipv4.id": number}).fragment(600)
            for row in np.random.default_rng(number).permutation(len(pieces)):
                delivered += len(tunnel.decap(pieces[[row]]).packets)
        return delivered

    with ThreadPoolExecutor(4) as pool:
        assert [*pool.map(work, range(0, 400, 100))] == [100] * 4
    assert tunnel.state.fragments.waiting == 0
