"""Whatever arrives gives a value or an error of ours, and what was sent comes back as it was."""

from __future__ import annotations

from typing import Any

import golden
import hosts
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import encap
from encap import EncapError, GeneveOption, Packets
from encap.tunnels import FDBEntry, GeneveTunnel, Reason, Tunnel, VXLANTunnel

V4: dict[str, Any] = {"local": "192.0.2.2", "remote": "192.0.2.1"}
V6: dict[str, Any] = {"local": "2001:db8::2", "remote": "2001:db8::1"}
BACK4: dict[str, Any] = {"local": "192.0.2.1", "remote": "192.0.2.2"}
BACK6: dict[str, Any] = {"local": "2001:db8::1", "remote": "2001:db8::2"}
ENTRY = FDBEntry(mac="02:00:00:00:00:07", dst="192.0.2.9")
OPTIONS = (GeneveOption(1, 2, b"abcd"), GeneveOption(1, 0x82))
KINDS: list[tuple[type[Tunnel], dict[str, Any]]] = [
    (VXLANTunnel, {"id": 42, "dstport": 4789, "maxaddress": 3}),
    (VXLANTunnel, {"id": 42, "dstport": 4789, "profile": "rfc", "udpcsum": True}),
    (VXLANTunnel, {"id": 42, "dstport": 4789, "gbp": True, "mark": 5, "tos": "inherit"}),
    (VXLANTunnel, {"id": 42, "dstport": 4789, "gpe": True, "ttl": "inherit"}),
    (VXLANTunnel, {"id": 42, "dstport": 4789, "remcsumtx": True, "remcsumrx": True}),
    (VXLANTunnel, {"id": 42, "dstport": 4789, "external": True, "udp6zerocsumrx": True}),
    (GeneveTunnel, {"id": 42, "dstport": 4789}),
    (GeneveTunnel, {"id": 42, "dstport": 4789, "external": True, "options": OPTIONS}),
    (GeneveTunnel, {"id": 42, "dstport": 4789, "profile": "rfc", "options": OPTIONS}),
    (GeneveTunnel, {"id": 42, "dstport": 4789, "innerprotoinherit": True}),
]
NAMES = ["malformed_vxlan", "malformed_vxlan6", "malformed_geneve", "malformed_geneve_external"]
FRAMES = [frame for name in NAMES for frame in hosts.injected(name)]

mutations = st.lists(st.tuples(st.integers(0, 120), st.integers(0, 255)), max_size=6)
lengths = st.integers(0, 200)


@st.composite
def garbage(draw: st.DrawFn) -> Packets:
    """Frames of the kernel's tests with octets changed, cut, and cut with a longer wire length."""
    frames, wire = [], []
    for _ in range(draw(st.integers(1, 4))):
        frame = bytearray(draw(st.sampled_from(FRAMES)))
        for at, value in draw(mutations):
            if at < len(frame):
                frame[at] = value
        whole = len(frame)
        frame = frame[: draw(lengths) if draw(st.booleans()) else whole]
        frames.append(bytes(frame))
        wire.append(draw(st.sampled_from([len(frame), whole, 1 << 20])))
    linktype = draw(st.sampled_from([1, 101]))
    if linktype == 101 and draw(st.booleans()):
        frames = [frame[14:] for frame in frames]
    wire = [max(one, len(frame)) for one, frame in zip(wire, frames, strict=True)]
    return Packets.from_frames(frames, linktypes=linktype, wire_lengths=wire)


@given(garbage(), st.sampled_from(KINDS), st.sampled_from([V4, V6]), st.booleans())
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_whatever_arrives(
    packets: Packets, kind: tuple[type[Tunnel], dict[str, Any]], ends: dict[str, Any], own: bool
) -> None:
    made, options = kind
    extra: dict[str, Any] = {"address": "02:bb:00:00:00:02"} if own else {}
    if made is VXLANTunnel and ends is V4 and not options.get("gpe"):
        extra["fdb"] = (ENTRY,)
    tunnel = made(**ends, **options, **extra)
    got = tunnel.decap(packets)
    assert len(got.reasons) == len(packets)
    assert {Reason(int(one)) for one in got.reasons}
    assert len(got.packets) == np.count_nonzero(got.reasons == 0)
    assert all(isinstance(frame, bytes) for frame in got.replies)
    try:
        sent = tunnel.encap(packets)
    except EncapError:
        return
    assert len(sent.reasons) == len(packets)
    assert set(sent.rows.tolist()) == set(np.flatnonzero(sent.reasons == 0).tolist())


INNER = golden.every_frame()


@given(
    st.lists(st.integers(0, len(INNER) - 1), min_size=1, max_size=5),
    st.sampled_from(KINDS),
    st.sampled_from([(V4, BACK4), (V6, BACK6)]),
)
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_what_was_sent_comes_back(
    rows: list[int],
    kind: tuple[type[Tunnel], dict[str, Any]],
    ends: tuple[dict[str, Any], dict[str, Any]],
) -> None:
    made, options = kind
    if made is VXLANTunnel:
        options = options | {"learning": False}
    packets = INNER[np.array(rows)]
    sent = made(**ends[0], **options).encap(packets)
    back = made(**ends[1], **options).decap(sent.packets)
    # RFC 6040: what was congested, and what is tagged, may go no further than this.
    left = {Reason.ACCEPTED, Reason.HELD}
    if options.get("profile") == "rfc":
        left |= {Reason.INNER_PROTOCOL, Reason.CRITICAL_OPTION}
    assert {Reason(int(one)) for one in back.reasons} <= left
    for frame, row in zip(back.packets, back.rows.tolist(), strict=True):
        assert frame == packets[int(sent.rows[row])]


@pytest.mark.parametrize("threads", [1, 2])
def test_results_do_not_depend_on_threads(threads: int) -> None:
    packets = encap.Packets.concat([golden.half("vxlan", "inner_tx", "o")] * 50)
    sent = VXLANTunnel(**V4, id=42, dstport=4789).encap(packets, threads=threads).packets
    once = VXLANTunnel(**V4, id=42, dstport=4789).encap(packets, threads=1).packets
    assert sent.equals(once)
