"""Tunnels against a kernel's: what it sent, what it took, and what it refused with which counter.

Each tunnel is made from the commands of its own host, nothing else. From the captures come only
what a kernel draws at random: source ports, IPv4 ids, flow labels, timestamps.
"""

from __future__ import annotations

import re
from dataclasses import replace

import golden
import hosts
import numpy as np
import pytest

import encap
from encap import Ethernet
from encap.tunnels import Reason

IPSEC = re.compile(r"vti|esp|xfrm")
"""Words in the names of scenarios of devices over IPsec, which test_vti_golden has."""
OFFLOADED = ["dirty_vxlan", "vxlan_remcsum", "gue_ipip_remcsum"]
"""Captured with checksums that a network card was to fill in."""
SCENARIOS = [name for name in golden.TUNNELS if not IPSEC.search(name)] + OFFLOADED
INJECTED = [
    name for name in hosts.VERDICTS
    if not IPSEC.search(name) and name != "malformed_vlan"
]  # fmt: skip
PATH_MTU = 1400
ARP = "0806"
SILENT = {"rx_packets", "rx_bytes", "Ip:ReasmReqds", "Ip6ReasmReqds", "Ip:ReasmOKs", "Ip6ReasmOKs"}
"""Counters that say nothing about a refusal."""


@pytest.mark.parametrize("host", ["A", "B"])
@pytest.mark.parametrize("name", SCENARIOS)
def test_what_a_tunnel_sends_is_what_the_kernel_sent(name: str, host: str) -> None:
    for way in hosts.passed(name, host, "o"):
        tunnel = hosts.tunnel(name, host, way.device)
        tunnel.state.sent = way.sent
        link = Ethernet(src=0, dst=0) if 1 in way.wire.linktypes else None
        got = tunnel.encap(way.inner, link=link, columns=way.drawn)
        sent = _as_cut(got.packets) if name in OFFLOADED else list(got.packets)
        assert sent == list(way.wire)
        assert not got.reasons.any()
        assert len(got.replies) == 0


def _as_cut(packets: encap.Packets) -> list[bytes]:
    """Frames as they were captured: segments in one piece, what one segment became cut."""
    tcp = packets.columns("inner.tcp")["inner.tcp"]
    joined = (tcp & (packets.decap().lengths > 1514)).tolist()
    pieces = [
        [frame] if whole else golden.fragments_of(frame, 1500)
        for frame, whole in zip(packets, joined, strict=True)
    ]
    return [piece for cut in pieces for piece in cut]


REFUSING = {"vxlan6": 2, "vxlan6_zerocsum": 2, "vxlan_df_set": 1}
"""Scenarios in which host A's device was given packets that do not fit, and how many."""


@pytest.mark.parametrize("name", REFUSING)
def test_a_tunnel_refuses_exactly_what_the_kernel_refused(name: str) -> None:
    given = golden.half(name, "inner_tx", "o")
    (way,) = hosts.passed(name, "A", "o")
    got = hosts.tunnel(name, "A").encap(given)
    refused = [given[int(row)] for row in np.flatnonzero(got.reasons)]
    assert refused == golden.without(list(given), list(way.inner))
    assert got.counts[Reason.TOO_BIG] == len(refused) == REFUSING[name]


@pytest.mark.parametrize("host", ["A", "B"])
@pytest.mark.parametrize("name", SCENARIOS)
def test_what_a_tunnel_delivers_is_what_the_kernel_delivered(name: str, host: str) -> None:
    for way in hosts.passed(name, host, "i"):
        got = hosts.tunnel(name, host, way.device).decap(way.wire)
        assert list(got.packets) == list(way.inner)
        assert not got.reasons[got.reasons != Reason.HELD].any()


@pytest.mark.parametrize("name", [name for name in SCENARIOS if name.startswith("routed_")])
def test_what_does_not_fit_the_path_is_refused_and_answered_as_by_the_kernel(name: str) -> None:
    """Behind A is a router whose next link takes 1,400 octets; C, behind it, is told so.

    Until the router says so itself, packets go with more; the rest of them is looked at here.
    """
    made = hosts.tunnel(name, "A")
    below = replace(made.underlay, mtu=PATH_MTU)
    # C is told by the address that A has on the way there.
    made = replace(made, addresses=("10.10.0.1", "fd10::1"), underlay=below)
    inner = golden.half(name, "inner_tx", "o")
    wire = golden.half(name, "outer", "o")
    wire = wire[~np.isin(wire.columns("path")["path"], list(hosts.OWN))]
    sent = list(wire.decap())
    kept = golden.without(list(inner), sent)
    most = PATH_MTU - made.overhead
    told = max(row for row, frame in enumerate(inner) if len(frame) > most and frame in sent)
    later = [row for row, frame in enumerate(inner) if row > told or frame in kept]
    got = made.encap(inner[later])
    refused = [inner[later][int(row)] for row in np.flatnonzero(got.reasons)]
    assert refused == kept
    assert set(got.counts) <= {Reason.ACCEPTED, Reason.TOO_BIG}
    heard = encap.read(golden.FOLDER / name / "c_eth0.pcap.gz")
    assert [_without_drawn(frame)[14:] for frame in _framed(got.replies)] == [
        _without_drawn(frame)[14:] for frame in heard if _room(frame) == most
    ]


def _framed(packets: encap.Packets) -> encap.Packets:
    """Raw IP behind an Ethernet header."""
    return packets.encap(encap.Packet(Ethernet(src=0, dst=0)))


def _room(frame: bytes) -> int | None:
    """What an ICMP error of either version says that would have fit."""
    if frame[12:14] == b"\x08\0" and frame[23] == 1 and frame[34:36] == b"\x03\x04":
        return int.from_bytes(frame[40:42], "big")
    if frame[12:14] == b"\x86\xdd" and frame[20] == 58 and frame[54] == 2:
        return int.from_bytes(frame[58:62], "big")
    return None


@pytest.mark.parametrize("name", INJECTED)
def test_packets_are_accepted_exactly_where_the_kernel_accepts_them(name: str) -> None:
    frames = hosts.injected(name)
    got = hosts.tunnel(name, "B").decap(frames)
    for verdict in hosts.VERDICTS[name]:
        reasons = [Reason(int(number)) for number in got.reasons[verdict.rows]]
        assert (verdict.label, hosts.accepted(got, verdict.rows)) == (verdict.label, verdict.inner)
        assert verdict.accepted == (Reason.ACCEPTED in reasons), verdict.label
        if not verdict.accepted:
            _counters_agree(verdict, reasons)


def _counters_agree(verdict: hosts.Verdict, reasons: list[Reason]) -> None:
    """A reason's counters are among those that moved, and none moved where a reason has none."""
    moved = set[str]().union(*map(_plain, verdict.counters)) - SILENT
    moved -= {one for one in moved if one.startswith("Xfrm") or one.endswith("InDatagrams")}
    named = {counter for reason in reasons for counter in reason.counters}
    assert bool(named & moved) == bool(moved), (verdict.label, reasons, moved)
    # A train of fragments has one reason that counts, and others that wait for it.
    if all(reason.counters for reason in reasons):
        assert named & moved, (verdict.label, reasons, moved)


def _plain(counter: str) -> set[str]:
    """A counter as `ip -s link` has it, of whatever device; `frame` adds four of them up."""
    short = counter.rpartition("tun0.")[2]
    return {
        "rx_errs": {"rx_errors"}, "rx_drop": {"rx_dropped"},
        "rx_frame": {f"rx_{one}_errors" for one in ("frame", "length", "crc", "over")},
    }.get(short, {short})  # fmt: skip


@pytest.mark.parametrize("name", INJECTED)
def test_what_is_said_back_is_what_the_kernel_said(name: str) -> None:
    frames, single = hosts.injected(name), hosts.tunnel(name, "B")
    for verdict in hosts.VERDICTS[name]:
        if any(reply[24:28] == ARP for reply in verdict.replies):
            continue  # an answer waits for the address of a host that there is not
        got = single.decap(frames[verdict.rows])
        assert [*map(_without_drawn, got.replies)] == [
            _without_drawn(bytes.fromhex(reply)) for reply in verdict.replies
        ], verdict.label


def _without_drawn(frame: bytes) -> bytes:
    """An answer without what a kernel draws: IPv4 id and what depends on it, flow label."""
    if frame[12:14] == b"\x08\0":
        return frame[:18] + frame[20:24] + frame[26:]
    return frame[:15] + frame[18:]


@pytest.mark.parametrize("name", INJECTED)
def test_a_packet_at_a_time_is_the_same(name: str) -> None:
    frames = hosts.injected(name)
    whole, single = hosts.tunnel(name, "B"), hosts.tunnel(name, "B")
    got = whole.decap(frames)
    each = [single.decap(frames[row : row + 1]) for row in range(len(frames))]
    assert np.concatenate([one.reasons for one in each]).tolist() == got.reasons.tolist()
    assert encap.Packets.concat(one.packets for one in each).equals(
        got.packets.replace(times=got.packets.times)
    )
