"""Tunnels against a kernel's: what it sent, what it took, and what it refused with which counter.

Each tunnel is made from the commands of its own host, nothing else. From the captures come only
what a kernel draws at random: source ports, IPv4 ids, flow labels, timestamps.
"""

from __future__ import annotations

import re

import golden
import hosts
import numpy as np
import pytest

import encap
from encap import Ethernet
from encap.tunnels import Reason

NOT_YET = re.compile(
    r"sit|isatap|ip6ip|ip4ip|ip6tnl|geneve|vti|esp|xfrm|fou|gue|external|gbp|gpe|remcsum"
)
"""Words in the names of scenarios whose devices there are none of yet."""
SCENARIOS = [name for name in golden.TUNNELS if not NOT_YET.search(name)]
INJECTED = [
    name for name in hosts.VERDICTS
    if not NOT_YET.search(name) and name not in ("malformed_6to4", "malformed_vlan")
]  # fmt: skip
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
        assert list(got.packets) == list(way.wire)
        assert not got.reasons.any()
        assert len(got.replies) == 0


@pytest.mark.parametrize("host", ["A", "B"])
@pytest.mark.parametrize("name", SCENARIOS)
def test_what_a_tunnel_delivers_is_what_the_kernel_delivered(name: str, host: str) -> None:
    for way in hosts.passed(name, host, "i"):
        got = hosts.tunnel(name, host, way.device).decap(way.wire)
        assert list(got.packets) == list(way.inner)
        assert not got.reasons[got.reasons != Reason.HELD].any()


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
    """A reason's counters are among those that moved, if any did that could tell."""
    moved = {_plain(counter) for counter in verdict.counters} - SILENT
    moved -= {one for one in moved if one.startswith("Xfrm") or one.endswith("InDatagrams")}
    named = {counter for reason in reasons for counter in reason.counters}
    if moved:
        assert named & moved, (verdict.label, reasons, moved)


def _plain(counter: str) -> str:
    """A counter as `ip -s link` has it, of whatever device."""
    short = counter.rpartition("tun0.")[2]
    return {
        "rx_errs": "rx_errors", "rx_drop": "rx_dropped", "rx_frame": "rx_frame_errors",
    }.get(short, short)  # fmt: skip


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
