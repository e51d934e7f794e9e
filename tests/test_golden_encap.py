"""The central proof of the way back: what went into a kernel's tunnel device becomes, octet for
octet, what that kernel put on the wire.

Templates and options follow from the commands that made the devices. From the capture come only
what the kernel drew at random: source ports, IPv4 ids, flow labels, timestamps, and the number
that a sequence had reached. Scenarios that this cannot hold for are listed with their reason, and
fail here when they need not be on the list.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import golden
import numpy as np
import pytest
from commands import Hosts, NoTemplateError
from golden import CLOSED, TAGGED, TUNNELS, fragments_of, joined, ports, without
from scenarios import Columns, Step, steps
from tunnelled import tunnelled

import encap

REFUSED = {
    "vxlan6": (2, 2), "vxlan6_zerocsum": (2, 2), "vxlan_df_set": (1, 0), "routed_gre": (1, 0),
    "routed_ipip": (2, 0), "routed_ipip_nopmtudisc": (2, 0), "routed_sit": (1, 0),
}  # fmt: skip
"""How many packets that the sender's tap shows were refused there, as too big (A's, B's)."""
OWN = {"eth/arp", "eth/ipv4/icmp", "eth/ipv6/icmpv6"}
"""What the underlay says on its own."""
LINK_MTU = 1500


class Hop:
    """What one tunnel device did: inner packets, what they became, what the kernel drew."""

    def __init__(self, step: Step, wire: encap.Packets, name: str, mtu: int) -> None:
        own = np.isin(wire.columns("path")["path"], list(OWN))
        self.step, self.mtu = step, mtu
        self.wire = wire[~own]
        known = ports(name)
        whole = joined(self.wire)
        self.inner = whole.decap(ports=known)
        outer = whole[self.inner.rows]
        assert len(outer) == len(whole), "a packet is no tunnel's"
        self.columns: Columns = {}
        for field in step.drawn:
            self.columns |= outer.columns(field, ports=known)
        self.options = dict(step.options)
        if "gre" in step.templates[0] and step.templates[0]["gre.seq"] is not None:
            self.options["seq"] = int(outer.columns("gre.seq", ports=known)["gre.seq"][0])
        for rule in step.rules:
            self.columns |= rule(self.inner, self.columns)
        choice = np.zeros(len(self.inner), bool) if step.choice is None else step.choice(self.inner)
        self.which = choice.astype(np.uint8)

    def expected(self) -> list[bytes]:
        """What Python makes of the inner packets, a packet at a time."""
        options = {name: value for name, value in self.options.items() if name != "seq"}
        made = []
        for row, (frame, linktype) in enumerate(
            zip(self.inner, self.inner.linktypes.tolist(), strict=True)
        ):
            values = {name: _value(column[row]) for name, column in self.columns.items()}
            if "seq" in self.options:
                values["gre.seq"] = self.options["seq"] + row
            template = self.step.templates[self.which[row]]
            made.append(tunnelled(template, frame, linktype, values, **options))
        return made

    def encapsulated(self, **more: Any) -> encap.Packets:
        """What the core makes of all of them at once."""
        which = self.which if len(self.step.templates) > 1 else None
        return self.inner.encap(
            self.step.templates, self.columns, which=which, **self.options, **more
        )


def _value(item: Any) -> Any:
    return item.tobytes() if item.ndim else int(item)


def hops(name: str, host: str) -> Iterator[tuple[Hop, encap.Packets]]:
    """From the wire up to the host's `tun0`: what each device did, and what was put into it."""
    captures = golden.INDEX[name]["captures"]
    if host == "B":
        far = "outer_b" in captures
        wire = golden.half(name, "outer_b", "o") if far else golden.half(name, "outer", "i")
    else:
        wire = golden.half(name, "outer", "o")
    way, mtu = steps(name, host), LINK_MTU
    for step in reversed(way):
        hop = Hop(step, wire, name, mtu)
        device = "inner" if step is way[0] else "mid"
        yield hop, golden.half(name, f"{device}_{'tx' if host == 'A' else 'rx'}", "o")
        # What the next device may send: an Ethernet header is not counted, inside or outside.
        mtu -= len(step.templates[0]) - 14 + (14 if 1 in hop.inner.linktypes else 0)
        wire = hop.inner


def on_the_wire(made: list[bytes], mtu: int) -> list[bytes]:
    """Frames as a device with that MTU sends them."""
    return [piece for frame in made for piece in fragments_of(frame, mtu)]


def test_every_tunnel_has_templates() -> None:
    for name in TUNNELS:
        assert steps(name, "A")
        assert steps(name, "B")


@pytest.mark.parametrize("host", ["A", "B"])
@pytest.mark.parametrize("name", TUNNELS)
def test_a_packet_becomes_what_the_kernel_sent(name: str, host: str) -> None:
    for hop, sent in hops(name, host):
        assert on_the_wire(hop.expected(), hop.mtu) == list(hop.wire)
        refused = without(list(sent), list(hop.inner))
        assert len(refused) == REFUSED.get(name, (0, 0))[host == "B"]


@pytest.mark.parametrize("implementation", encap.implementations())
@pytest.mark.parametrize("name", TUNNELS)
def test_batches_become_what_the_kernel_sent(name: str, implementation: str) -> None:
    for hop, _ in (*hops(name, "A"), *hops(name, "B")):
        with encap.implementation(implementation):
            made = hop.encapsulated()
            room = np.full(int(made.lengths.sum()), 0xA5, np.uint8)
            again = hop.encapsulated(out=room, threads=2)
        assert on_the_wire(list(made), hop.mtu) == list(hop.wire)
        assert (made.linktypes == (101 if hop.wire.linktypes[0] == 101 else 1)).all()
        assert again.equals(made)
        assert again.data.base is room


@pytest.mark.parametrize("name", [*CLOSED, *TAGGED])
def test_what_is_listed_as_closed_is(name: str) -> None:
    try:
        ways = [list(hops(name, host)) for host in "AB"]
    except NoTemplateError:
        return
    equal = [
        on_the_wire(hop.expected(), hop.mtu) == list(hop.wire) for way in ways for hop, _ in way
    ]
    assert not all(equal), "this scenario need not be listed any more"


@pytest.mark.parametrize("name", TAGGED)
def test_vlan_devices_push_tags(name: str) -> None:
    for host, device, direction in (("A", "inner_tx", "o"), ("B", "inner_rx", "i")):
        frames = golden.half(name, device, "o")
        wire = golden.half(name, "outer", direction)
        tags = list(Hosts(name).tags(host))
        assert [vid for _, vid in reversed(tags)] == TAGGED[name]
        for tpid, vid in tags:
            # The priority is the one that the sender's socket asked for.
            pcp = wire.columns("vlan.pcp")["vlan.pcp"]
            frames = frames.push_vlan(vid, pcp, tpid=tpid)
        assert list(frames) == list(wire)
