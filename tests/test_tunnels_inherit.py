"""TTL and TOS of the outer header, as a kernel wrote them for each inner one."""

from __future__ import annotations

import json

import golden
import hosts
import numpy as np
import pytest

import encap
from encap import UDP, Ethernet, IPv4, tunnels

TABLE = json.loads((golden.FOLDER / "tos_ttl.json").read_text())
ALONE = {
    "ip6gre_inherit": "type ip6gre remote 2001:db8::2 hoplimit 44 tclass inherit",
    "ipip_ttl64": "type ipip remote 192.0.2.2 ttl 64 tos 0x20",
    "vxlan6_inherit": "type vxlan id 1 remote 2001:db8::2 dstport 4789 ttl inherit tos inherit",
}
"""Scenarios of which there is nothing but the table."""
NOT_YET = {"sit_inherit", "ip4ip6", "ip6ip6", "ip6tnl_fixed", "ip6tnl_inherit", "geneve_inherit",
           "geneve_ttl_tos"}  # fmt: skip
SCENARIOS = [name for name in TABLE if not name.startswith("esp_") and name not in NOT_YET]


def tunnel(name: str) -> tunnels.Tunnel:
    """The tunnel of a scenario."""
    if name in ALONE:
        return tunnels.from_commands(f"ip link add tun0 {ALONE[name]}", "tun0")
    return hosts.tunnel(name, "A")


def outer(name: str, field: str, values: list[int]) -> list[int]:
    """What the outer header has for inner values of `tos` or `ttl`."""
    device = tunnel(name)
    link = (Ethernet(src=1, dst=2),) if device.FRAMES else ()
    frames = [
        bytes(encap.Packet(*link, IPv4(src=1, dst=2, **{field: value}), UDP(), b"octets"))
        for value in values
    ]
    packets = encap.Packets.from_frames(frames, linktypes=1 if device.FRAMES else 101)
    sent = device.encap(packets).packets
    names = {"ipv6.tos": "ipv6.traffic_class", "ipv6.ttl": "ipv6.hop_limit"}
    column = names.get(f"{device.family}.{field}", f"{device.family}.{field}")
    found: list[int] = sent.columns(column)[column].astype(np.int64).tolist()
    return found


@pytest.mark.parametrize("name", SCENARIOS)
def test_tos(name: str) -> None:
    table = {int(inner, 16): int(told, 16) for inner, told in TABLE[name]["tos"].items()}
    assert dict(zip(table, outer(name, "tos", list(table)), strict=True)) == table


@pytest.mark.parametrize("name", SCENARIOS)
def test_ttl(name: str) -> None:
    table = {int(inner): told for inner, told in TABLE[name]["ttl"].items()}
    assert dict(zip(table, outer(name, "ttl", list(table)), strict=True)) == table
