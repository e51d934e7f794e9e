"""Tunnels out of scripts as people write them, and what is said about those that cannot be."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from encap.errors import TunnelError
from encap.tunnels import Tunnel, VXLANTunnel, from_commands

VX0 = "ip link add vx0 type vxlan id 42 local 192.0.2.1 remote 192.0.2.2 dstport 4789"
PLAIN = from_commands(VX0, "vx0")


@pytest.mark.parametrize("script", [
    VX0.replace("type", "\\\n   type"),
    VX0.replace("type", "\\\r\n   type").splitlines(keepends=True),
    f"#!/bin/sh\nset -e\n{VX0}  # the tunnel\n\nip link set vx0 up",
    f"{VX0}; ip link set vx0 up", f"{VX0};ip link set vx0 up", f"true && {VX0} && echo done",
    f"ip link del vx0 2>/dev/null || true\n{VX0}", f"{VX0} || exit 1",
    f"sudo {VX0}", f"sudo -E /usr/sbin/{VX0}", f"ip netns exec A {VX0}",
    VX0.replace("ip ", "ip -n A "), VX0.replace("ip ", "ip -netns A -d "),
    VX0.replace("vx0 type", "name vx0 up type"), VX0.replace("vx0", "vx0 txqueuelen 500 group 3"),
    VX0.replace("vx0", "multicast on index 7 vx0 arp off"),
    f"{VX0.replace('id 42', 'id 42 ttl 9')}\nip link set vx0 type vxlan ttl auto",
    f"{VX0}\nip link set vx0 type bridge_slave neigh_suppress on",
    f"{VX0.replace('42', '41')}\nip link del vx0\n{VX0}",
    f"{VX0.replace('vx0', 'vx1')}\nip link set vx1 down\nip link set vx1 name vx0",
    f"bridge vni show\nip rule add pref 1 lookup 2\nip nexthop add id 1 dev eth0\n{VX0}",
    f"iptables -A INPUT -j ACCEPT\necho 'made; & so on'\n{VX0}",
    f"ip addr add 192.0.2.9/24 dev eth0\nip addr flush dev eth0\n{VX0}",
])  # fmt: skip
def test_scripts_as_they_are_written(script: str | list[str]) -> None:
    assert from_commands(script, "vx0") == PLAIN


def test_options_of_a_device_that_is_there_change() -> None:
    made = from_commands(f"{VX0} ttl 5 tos 8\nip link set vx0 type vxlan ttl 6", "vx0")
    assert (made.ttl, made.tos) == (6, 8)
    lines = "ip tunnel add t mode gre remote 192.0.2.2 ttl 5\nip tunnel change t ttl 9"
    assert from_commands(lines, "t").ttl == 9


@pytest.mark.parametrize("kind", [
    "ipip", "sit", "gre", "gretap", "ip6tnl", "ip6gre", "ip6gretap", "vxlan id 1", "vti", "vti6",
])  # fmt: skip
def test_every_kind_that_has_it_takes_the_link_below(kind: str) -> None:
    assert isinstance(from_commands(f"ip link add t type {kind} dev eth0", "t"), Tunnel)


@pytest.mark.parametrize(("script", "words"), [
    ("ip link add vx0 type vxlan remote 192.0.2.2", r"id .* wanted"),
    ("ip link add vx0 type geneve remote 192.0.2.2", r"id .* wanted"),
    ("ip link add vx0 type geneve id 5", "remote"),
    (f"{VX0} remote 192.0.2.3", "duplicate 'remote'"),
    ("ip link add vx0 type ipip remote 192.0.2.2 remote 192.0.2.3", "duplicate 'remote'"),
    (f"{VX0} nolerning", "'nolerning' is not known; did you mean 'nolearning'"),
    (f"{VX0} mtu 1400", "'mtu' .* in front of 'type'"),
    (f"{VX0}\nip link set vx0 type geneve ttl 5", "of type 'vxlan', not 'geneve'"),
    ("ip link add vx0 tpye vxlan id 1", "'tpye' is not known"),
    ("ip link add vx0 mtu big type vxlan id 1", "mtu is a number"),
    ("ip addr add nowhere dev eth0", "no IP address"),
    (f"{VX0}\nifconfig vx0 up", "'ifconfig' is no program .*: ip, bridge, tc"),
    (f"{VX0}\nip link frobnicate vx0", "'ip link frobnicate' is not known"),
    (f"{VX0}\nip link set 'vx0", "quotation mark"),
    (f"{VX0} | cat", "pipe"),
    (f"{VX0}\nip link del vx0", "no command makes a device 'vx0'"),
    (VX0.replace("vx0", "vx1"), "no command makes a device 'vx0': vx1 is made"),
    (f"ip -n A {VX0[3:]}\nip -n B {VX0[3:]}", "vx0 is in A and in B"),
    ("sudo", "program"),
])  # fmt: skip
def test_what_cannot_be_is_named(script: str, words: str) -> None:
    with pytest.raises(TunnelError, match=words):
        from_commands(script, "vx0")


def test_a_line_that_may_be_a_key_is_not_repeated() -> None:
    with pytest.raises(TunnelError) as met:
        from_commands(f"{VX0}\n0x404142434445464748", "vx0")
    assert "4041" not in str(met.value)


def test_keywords_want_an_id_too() -> None:
    with pytest.raises(TunnelError, match=r"id .* wanted, or external"):
        VXLANTunnel()
    assert VXLANTunnel(external=True).id is None


WORDS = [
    *VX0.split(), ";", "&&", "||", "|", "&", "\\", "'", '"', "#", "sudo", "netns", "exec", "del",
    "set", "up", "dev", "-n", "mtu", "$X", "\n",
]  # fmt: skip


@given(st.lists(st.one_of(st.sampled_from(WORDS), st.text(max_size=3)), max_size=12))
def test_any_text_is_a_tunnel_or_refused(words: list[str]) -> None:
    try:
        made = from_commands(f"{VX0}\n{' '.join(words)}", "vx0")
    except TunnelError:
        return
    assert isinstance(made, Tunnel)
