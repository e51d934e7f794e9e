"""IPsec devices against a kernel's: what they sent, what they took, and what they refused and why.

Each device is made from the commands of its own host, keys included, nothing else. From the
captures come only what a kernel draws at random: initialization vectors, IPv4 ids of packets
without DF, ids of outer IPv6 fragments.
"""

from __future__ import annotations

from typing import Any

import golden
import hosts
import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

import encap
from encap import Ethernet
from encap.tunnels import Reason, VTITunnel

SCENARIOS = [name for name in golden.INDEX if name.startswith("esp_")]
INJECTED = ["malformed_esp_cbc", "malformed_esp_gcm"]
OTHER = {"o": "i", "i": "o"}


def wire(name: str, host: str, direction: str) -> encap.Packets:
    """What is IPsec of what that host sent, or received: Ethernet frames, in pieces."""
    frames = golden.half(name, "outer", direction if host == "A" else OTHER[direction])
    return frames[frames.match("ip.protocol in {17, 50} or ipv6.next_header == 44")]


def inside(name: str, host: str, direction: str) -> encap.Packets:
    """What went into that host's device, or came out of it."""
    return golden.half(name, "inner_tx" if host == "A" else "inner_rx", direction)


def tunnel(name: str, host: str) -> VTITunnel:
    made = hosts.tunnel(name, host)
    assert isinstance(made, VTITunnel)
    return made


def is_daemons(frames: encap.Packets) -> np.ndarray:
    """Keepalives, and IKE messages: what is in UDP but no ESP."""
    udp = frames.match("udp.dport == 4500")
    return udp & [frame[42:] == b"\xff" or frame[42:46] == bytes(4) for frame in frames]


def whole(frames: encap.Packets) -> encap.Packets:
    return frames[~is_daemons(frames)].reassemble()


def drawn(frames: encap.Packets, rows: np.ndarray, count: int, iv_len: int) -> dict[str, Any]:
    """What the kernel drew for these rows of what went in."""
    outer = whole(frames)
    found = outer.columns("ipv4.id", "fragment.id")
    pieces = frames[~is_daemons(frames)].parse()
    ids = pieces["fragment.id"][pieces.has("fragment")]
    found["fragment.id"] = np.full(len(outer), ids[0] if len(ids) else 0)
    at = outer.starts + outer.parse().offset("esp") + 8
    found["esp.iv"] = outer.data[at[:, None] + np.arange(iv_len)]
    placed = {}
    for key, column in found.items():
        placed[key] = np.zeros((count, *column.shape[1:]), column.dtype)
        placed[key][rows] = column
    return placed


def where_sent(frames: list[bytes], taken: list[bytes]) -> np.ndarray:
    """Rows of the frames that are among those taken, in order."""
    rows, at = [], 0
    for row, frame in enumerate(frames):
        # With `tfcpad` there is padding behind the packet.
        if at < len(taken) and taken[at][: len(frame)] == frame:
            rows.append(row)
            at += 1
    assert at == len(taken)
    return np.array(rows, np.int64)


@pytest.mark.parametrize("host", ["A", "B"])
@pytest.mark.parametrize("name", SCENARIOS)
def test_what_a_device_sends_is_what_the_kernel_sent(name: str, host: str) -> None:
    frames, packets = wire(name, host, "o"), inside(name, host, "o")
    far = {"A": "B", "B": "A"}[host]
    taken = list(tunnel(name, far).decap(frames).packets)
    rows = where_sent(list(packets), taken)
    device = tunnel(name, host)
    columns = drawn(frames, rows, len(packets), device.sending[0].iv_len)
    link = Ethernet(dst=frames[0][:6], src=frames[0][6:12])
    got = device.encap(packets, link=link, columns=columns)
    assert list(got.packets) == list(frames[~is_daemons(frames)])
    refused = np.setdiff1d(np.arange(len(packets)), rows)
    assert np.flatnonzero(got.reasons).tolist() == refused.tolist()
    assert set(got.reasons[refused].tolist()) <= {Reason.TOO_BIG}
    assert len(got.replies) == len(refused)


@pytest.mark.parametrize("host", ["A", "B"])
@pytest.mark.parametrize("name", SCENARIOS)
def test_what_a_device_delivers_is_what_the_kernel_delivered(name: str, host: str) -> None:
    frames = wire(name, host, "i")
    got = tunnel(name, host).decap(frames)
    assert list(got.packets) == list(inside(name, host, "i"))
    refused = np.flatnonzero((got.reasons != 0) & (got.reasons != Reason.HELD))
    assert refused.tolist() == np.flatnonzero(is_daemons(frames)).tolist()
    assert set(got.reasons[refused].tolist()) <= {Reason.NOT_ESP}


@pytest.mark.parametrize("name", SCENARIOS)
def test_initialization_vectors_follow_from_the_first_as_in_the_kernel(name: str) -> None:
    frames = wire(name, "A", "o")
    device = tunnel(name, "A")
    sa = device.sending[0]
    ivs = drawn(frames, np.arange(len(whole(frames))), len(whole(frames)), sa.iv_len)["esp.iv"]
    if not sa.iv_len:
        return
    if sa.aead is not None:
        salt = (int.from_bytes(ivs[0].tobytes(), "big") ^ 1).to_bytes(8, "big")
    else:
        assert sa.enc is not None
        aes = Cipher(algorithms.AES(sa.enc[1]), modes.ECB()).decryptor()
        salt = aes.update(ivs[0].tobytes())
    live = encap.tunnels.esp.Live(sa, salt)
    numbers = np.arange(1, len(ivs) + 1, dtype=np.uint64)
    assert live.cipher.ivs(numbers).tolist() == ivs.tolist()


def judged(name: str) -> tuple[list[hosts.Verdict], list[hosts.Verdict]]:
    """Verdicts on one train of packets, and those on packets that came to new associations."""
    verdicts = hosts.VERDICTS[name]
    alone = [verdict for verdict in verdicts if verdict.label.startswith("ECN")]
    return [verdict for verdict in verdicts if verdict not in alone], alone


def check(verdict: hosts.Verdict, got: encap.tunnels.Result, rows: list[int]) -> None:
    """The same packet came out, or the reason's counter is one that moved."""
    reasons = [Reason(int(number)) for number in got.reasons[rows]]
    assert hosts.accepted(got, rows) == verdict.inner, verdict.label
    assert verdict.accepted == (Reason.ACCEPTED in reasons), verdict.label
    if not verdict.accepted:
        named = {counter for reason in reasons for counter in reason.counters}
        moved = {counter for counter in verdict.counters if counter.startswith("Xfrm")}
        assert named == moved, (verdict.label, reasons)


@pytest.mark.parametrize("name", INJECTED)
def test_packets_are_accepted_exactly_where_the_kernel_accepts_them(name: str) -> None:
    frames = hosts.injected(name)
    train, alone = judged(name)
    last = max(row for verdict in train for row in verdict.rows)
    got = tunnel(name, "B").decap(frames[: last + 1])
    for verdict in train:
        check(verdict, got, verdict.rows)
    device = tunnel(name, "B")
    for verdict in alone:
        device.reset()
        check(verdict, device.decap(frames[verdict.rows]), [0])


@pytest.mark.parametrize("name", INJECTED)
def test_a_packet_at_a_time_is_the_same(name: str) -> None:
    frames, single, batch = hosts.injected(name), tunnel(name, "B"), tunnel(name, "B")
    each = [single.decap(frames[row : row + 1]) for row in range(len(frames))]
    got = batch.decap(frames)
    assert np.concatenate([one.reasons for one in each]).tolist() == got.reasons.tolist()
    assert [packet for one in each for packet in one.packets] == list(got.packets)
    mine, theirs = (one.state.live(one.receiving[0]).window for one in (single, batch))
    assert (mine.top, mine.bitmap) == (theirs.top, theirs.bitmap)
