"""TTL and TOS of the outer header, as a kernel wrote them for each inner one."""

from __future__ import annotations

import json

import golden
import hosts
import numpy as np
import pytest

import encap
from encap import UDP, Ethernet, IPv4, IPv6, tunnels

TABLE = json.loads((golden.FOLDER / "tos_ttl.json").read_text())
ALONE = {
    "geneve_ttl_tos": "type geneve id 1 remote 192.0.2.2 ttl 9 tos 0x88",
    "ip6gre_inherit": "type ip6gre remote 2001:db8::2 hoplimit 44 tclass inherit",
    "ip6tnl_fixed": "type ip6tnl local 2001:db8::1 remote 2001:db8::2 hoplimit 255 tclass 0x48",
    "ipip_ttl64": "type ipip remote 192.0.2.2 ttl 64 tos 0x20",
    "sit_inherit": "type sit remote 192.0.2.2 ttl inherit tos inherit",
    "vxlan6_inherit": "type vxlan id 1 remote 2001:db8::2 dstport 4789 ttl inherit tos inherit",
}
"""Scenarios of which there is nothing but the table."""
SIXTH = {"sit_inherit", "ip6ip6"}
"""Those whose inner packets are IPv6."""
SCENARIOS = [name for name in TABLE if not name.startswith("esp_")]
IPV6_NAMES = {"tos": "traffic_class", "ttl": "hop_limit"}


def tunnel(name: str) -> tunnels.Tunnel:
    """The tunnel of a scenario."""
    if name in ALONE:
        lines = [f"ip addr add {one} dev eth0" for one in ("192.0.2.1/24", "2001:db8::1/64")]
        return tunnels.from_commands([*lines, f"ip link add tun0 {ALONE[name]}"], "tun0")
    return hosts.tunnel(name, "A")


def inner(name: str, field: str, value: int) -> tuple[encap.Header | bytes, ...]:
    """A datagram with that value."""
    network: encap.Header = (
        IPv6(src=1, dst=2, **{IPV6_NAMES[field]: value})
        if name in SIXTH
        else IPv4(src=1, dst=2, **{field: value})
    )
    return network, UDP(), b"octets"


def outer(name: str, field: str, values: list[int]) -> list[int]:
    """What the outer header has for inner values of `tos` or `ttl`."""
    device = tunnel(name)
    link = (Ethernet(src=1, dst=2),) if device.FRAMES else ()
    frames = [bytes(encap.Packet(*link, *inner(name, field, value))) for value in values]
    packets = encap.Packets.from_frames(frames, linktypes=1 if device.FRAMES else 101)
    sent = device.encap(packets).packets
    outside = IPV6_NAMES[field] if device.family == "ipv6" else field
    column = f"{device.family}.{outside}"
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
