"""Tunnels of the golden scenarios, made from the very commands of one host."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import golden
import numpy as np
from commands import Hosts
from golden import joined, ports
from scenarios import socket_marks, steps

import encap
from encap import tunnels

HOSTS: dict[str, dict[str, list[str]]] = json.loads((golden.FOLDER / "hosts.json").read_text())


class Verdict(NamedTuple):
    """What a kernel did with an injected frame, or a train of fragments."""

    rows: list[int]
    label: str
    inner: list[str]
    counters: dict[str, int]
    replies: list[str]

    @property
    def accepted(self) -> bool:
        return bool(self.inner)


VERDICTS: dict[str, list[Verdict]] = {
    name: [Verdict(*entry) for entry in entries]
    for name, entries in json.loads(
        gzip.decompress((golden.FOLDER / "accepts.json.gz").read_bytes())
    ).items()
}


def commands(scenario: str, host: str) -> list[str]:
    """The host's own lines, and its ends of the links that were made for it."""
    lines = []
    veth = r"ip link add (\w+) netns (\w) address (\S+) type veth "
    veth += r"peer name (\w+) netns (\w) address (\S+)"
    for line in HOSTS[scenario]["host"]:
        found = re.fullmatch(veth, line)
        assert found or line.startswith("ip netns"), line
        ends = (found.groups()[:3], found.groups()[3:]) if found else ()
        lines += [
            f"ip link add {name} address {address} type veth"
            for name, owner, address in ends
            if owner == host
        ]
    return [*lines, *filter(None, map(_as_iproute, HOSTS[scenario][host]))]


def _as_iproute(line: str) -> str:
    """What a program did by netlink, or by a socket option, in iproute2's words or not at all."""
    if line.startswith("setsockopt"):
        return ""
    route = re.fullmatch(r"RTM_NEWROUTE (\S+) dev (\S+) encap ip (.*) geneve_opts \[(.*)\]", line)
    if route is None:
        return line
    prefix, device, words, listed = route.groups()
    parts = re.findall(r"'(?:0x)?([0-9a-f]*)'", listed)
    triples = (":".join(parts[at : at + 3]) for at in range(0, len(parts), 3))
    return f"ip route add {prefix} encap ip {words} geneve_opts {','.join(triples)} dev {device}"


def tunnel(scenario: str, host: str, device: str = "tun0") -> tunnels.Tunnel:
    """The tunnel of a host.

    What segmentation offload makes passes the devices in one piece, whatever their MTU, and with
    checksums that are not there yet.
    """
    made = tunnels.from_commands(commands(scenario, host), device)
    if offloaded(scenario):
        made = replace(made, underlay=replace(made.underlay, mtu=65535, udp_checksums=False))
    return made


def offloaded(scenario: str) -> bool:
    """True where hosts left work to their network cards."""
    return scenario.startswith("dirty_") or scenario.endswith("_remcsum")


OWN = {"eth/arp", "eth/ipv4/icmp", "eth/ipv6/icmpv6"}
"""What the underlay says on its own."""


class Passed(NamedTuple):
    """What passed a tunnel device: whole and in pieces, what was in it, and what was drawn.

    sent: the sequence number of the first one: the capture began behind others.
    """

    device: str
    wire: encap.Packets
    inner: encap.Packets
    drawn: dict[str, Any]
    sent: int


def passed(scenario: str, host: str, direction: str) -> Iterator[Passed]:
    """What the host sent (`o`) or received (`i`), from the wire up to its `tun0`."""
    far = host == "B" and "outer_b" in golden.INDEX[scenario]["captures"]
    same = direction if host == "A" or far else {"o": "i", "i": "o"}[direction]
    wire = golden.half(scenario, "outer_b" if far else "outer", same)
    way = steps(scenario, host)
    for number, step in reversed([*enumerate(way)]):
        wire = wire[~np.isin(wire.columns("path")["path"], list(OWN))]
        whole, known = joined(wire), ports(scenario)
        inner = whole.decap(ports=known)
        outer = whole[inner.rows]
        assert len(outer) == len(whole), "a packet is no tunnel's"
        names = [*step.drawn, *(("eth.src", "eth.dst") if 1 in wire.linktypes else ())]
        if offloaded(scenario) and "udp.sport" in names:
            names.append("udp.checksum")
        device = way[number - 1].underlay if number else "tun0"
        drawn = outer.columns(*names, ports=known)
        if scenario == "vxlan_gbp":
            drawn["mark"] = socket_marks(Hosts(scenario).marks if host == "A" else [], inner)
        numbers = outer.columns("gre.seq", ports=known)["gre.seq"]
        sent = int(numbers[0]) if len(numbers) else 0
        yield Passed(device, wire, inner, drawn, sent)
        wire = inner


def injected(scenario: str) -> encap.Packets:
    """The hand-made frames of a scenario."""
    return golden.capture(scenario, "injected") if scenario in golden.INDEX and "injected" in (
        golden.INDEX[scenario]["captures"]
    ) else encap.read(golden.FOLDER / scenario / "injected.pcap.gz")  # fmt: skip


def accepted(result: tunnels.Result, rows: list[int]) -> list[str]:
    """What came out for some rows of the input, in hexadecimal digits."""
    return [result.packets[at].hex() for at in np.flatnonzero(np.isin(result.rows, rows))]
