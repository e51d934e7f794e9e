"""MTUs of tunnel devices against those that a kernel gave them."""

from __future__ import annotations

import json

import golden
import hosts
import pytest

from encap.tunnels import GRETunnel, IP6Tunnel, from_commands

MTUS: dict[str, dict[str, dict[str, int]]] = json.loads((golden.FOLDER / "mtu.json").read_text())


@pytest.mark.parametrize("name", MTUS)
def test_a_device_has_the_mtu_that_the_kernel_gave_it(name: str) -> None:
    for host, devices in MTUS[name].items():
        lines = hosts.commands(name, host)
        assert {one: from_commands(lines, one).device_mtu for one in devices} == devices


def test_the_encapsulation_limit_counts() -> None:
    ends = {"local": "2001:db8::1", "remote": "2001:db8::2"}
    with_limit, without = IP6Tunnel(**ends), IP6Tunnel(**ends, encaplimit="none")
    assert (with_limit.overhead, with_limit.device_mtu) == (48, 1452)
    assert (without.overhead, without.device_mtu) == (40, 1460)


def test_what_routes_say_does_not_change_an_external_device() -> None:
    tunnel = GRETunnel(external=True, okey=5, ocsum=True)
    assert (tunnel.overhead, tunnel.device_mtu) == (20 + 12, 1476)
