"""MTU arithmetic, against the devices of a Linux kernel and the packets that they sent."""

from __future__ import annotations

from typing import Any

import golden
import numpy as np
import pytest
from golden import CLOSED, TUNNELS, joined, ports
from scenarios import steps

import encap
from encap import (
    GRE,
    TCP,
    UDP,
    VLAN,
    VXLAN,
    Ethernet,
    ExpressionError,
    FieldError,
    Geneve,
    GeneveOption,
    IPv4,
    IPv6,
    Packet,
    Packets,
)
from encap.mtu import inner_mtu, link_mtu, overhead, plan, tcp_mss

# What the kernel's drivers count, and the RFCs' own figures for the rest.
TABLE = [
    ("eth/ipv4", None, 20), ("eth/ipv6", None, 40), ("eth/vlan/vlan/ipv4", None, 20),
    ("ipv6/dstopts(options=[4:0x04,1:0x00])", None, 48),
    ("ipv4/gre", None, 24), ("ipv4/gre(flags=0x1000)", None, 28), ("ipv4/gre(key=1)", None, 28),
    ("ipv4/gre(flags=0x1600)", None, 36), ("ipv6/gre", None, 44),
    ("ipv4/gre", "ethernet", 38), ("ipv4/gre(protocol=0x6558)", None, 38),
    ("ipv4/gre(key=1,protocol=0x6558)", None, 42),
    ("ipv4/gre(seq=1)/erspan", None, 50), ("ipv4/gre(seq=1)/erspan(version=2)", None, 54),
    ("ipv4/gre(protocol=0x88be)", None, 38),
    ("eth/ipv4/udp/vxlan", None, 50), ("eth/ipv6/udp/vxlan", None, 70),
    ("ipv4/udp/gpe", None, 36), ("ipv6/udp/gpe", None, 56), ("ipv4/udp/gpe", "ethernet", 50),
    ("ipv4/udp/gpe(flags=8)", None, 50), ("ipv4/udp/gpe(next_protocol=3)", None, 50),
    ("ipv4/udp/geneve", None, 50), ("ipv6/udp/geneve", None, 70), ("ipv4/udp/geneve", "ip", 36),
    ("ipv4/udp/geneve(protocol=0x86dd)", None, 36),
    ("ipv4/udp/geneve(options=[0x0102:0x80:0x00000001])", None, 58),
    ("ipv4/udp(dport=5555)", None, 28), ("ipv4/udp(dport=5555)/gre", None, 32),
    ("eth/ipv4/udp/vxlan/eth", None, 50), ("eth/ipv4/udp/vxlan/eth/vlan", None, 54),
    ("eth/mpls/ipv4/udp/vxlan", None, 54), ("eth/ipv4/gre/ipv4/udp/vxlan", None, 74),
    ("eth/vlan", None, 0), ("eth", None, 0), ("ipv4/ah", None, 32),
]  # fmt: skip


@pytest.mark.parametrize(("text", "carries", "octets"), TABLE)
def test_overhead(text: str, carries: str | None, octets: int) -> None:
    assert overhead(text, carries=carries) == octets
    assert overhead(encap.template(text), carries=carries) == octets
    assert inner_mtu(text, 1500, carries=carries) == 1500 - octets
    assert link_mtu(text, 1500, carries=carries) == 1500 + octets
    found = plan(text, 9000, carries=carries)
    assert found.overhead == octets == sum(size for _, size in found.parts)


# --- a kernel's devices ------------------------------------------------------------------------

# The MTU of `tun0` on host A in each scenario's config.json, eth0 having 1500.
DEVICES = {
    "dirty_ipip": 1480, "erspan_v0": 1462, "erspan_v1": 1450, "erspan_v2_in": 1446,
    "fou_fixed_sport": 1472, "fou_gre": 1468, "fou_ipip": 1472, "geneve": 1450, "geneve6": 1430,
    "gue_ipip": 1468, "gue_ipip_csum": 1468, "gue_sit": 1468,
    "geneve_inherit": 1450, "geneve_noudpcsum": 1450, "geneve_udpcsum": 1450, "geneve_vlan": 1450,
    "gre": 1476, "gre_csum": 1472, "gre_gateway": 1472, "gre_inherit": 1476, "gre_key": 1472,
    "gre_key_csum_seq": 1464, "gre_seq": 1472, "gre_ttl_tos": 1476, "gretap": 1462,
    "gretap_inherit": 1462, "gretap_key_csum_seq": 1450, "ip4ip6": 1452, "ip6erspan_v1": 1422,
    "ip6gre": 1448, "ip6gre_key_csum_seq": 1444, "ip6gretap": 1434, "ip6ip6": 1452,
    "ip6tnl_any": 1452, "ip6tnl_inherit": 1460, "ip6tnl_noencaplimit": 1460, "ipip": 1480,
    "ipip_external": 1480, "ipip_inherit": 1480, "isatap": 1480, "isatap_200": 1480,
    "nest_gre_in_gre_in_vlan": 1440, "routed_gre": 1472, "routed_ipip": 1480,
    "routed_ipip_nopmtudisc": 1480, "routed_sit": 1480, "sit": 1480, "sit_6rd": 1480,
    "sit_6to4": 1480, "sit_any": 1480, "sit_ipip": 1480,
}  # fmt: skip
OTHERWISE = {
    **dict.fromkeys(("ipip_nopmtudisc", "sit_nopmtudisc"), "the commands set the MTU"),
    **dict.fromkeys(
        ("geneve_innerproto", "geneve_opt0", "geneve_optbig", "geneve_optn"),
        "an external device counts from the longest packet there is, not from a link",
    ),
    "gre_external": "an external device does not know of the key that its packets will have",
    **dict.fromkeys(
        (name for name in golden.INDEX if "vxlan" in name),
        "a VXLAN device that was given no underlying device has 1500",
    ),
}
"""Scenarios whose device has another MTU than fits."""


def carried(name: str, step: Any, first: Any) -> str | None:
    """What the device carries, where its template leaves it open."""
    device = "inner_tx" if step is first else "mid_tx"
    ethernet = 1 in golden.half(name, device, "o").linktypes
    return "ethernet" if ethernet else "ip"


def test_every_scenario_is_one_or_the_other() -> None:
    assert DEVICES.keys() | OTHERWISE.keys() >= set(TUNNELS)
    assert not DEVICES.keys() & OTHERWISE.keys()


@pytest.mark.parametrize("name", DEVICES)
def test_mtu_of_a_device(name: str) -> None:
    way, mtu = steps(name, "A"), 1500
    for step in reversed(way):
        mtu = inner_mtu(step.templates[0], mtu, carries=carried(name, step, way[0]))
    assert mtu == DEVICES[name]


@pytest.mark.parametrize("name", [name for name in TUNNELS if not name.startswith("nest_")])
def test_octets_on_the_wire(name: str) -> None:
    """Each packet became longer by what is said of its template."""
    step = steps(name, "A")[0]
    outer = joined(golden.half(name, "outer", "o"))
    inner = outer.decap(ports=ports(name))
    tags = inner.parse().count("vlan").astype(int)
    ethernet = inner.linktypes == 1
    long = outer.lengths[inner.rows].astype(int) - 14
    short = inner.lengths.astype(int) - np.where(ethernet, 14 + 4 * tags, 0)
    assert len(inner)
    columns = (column.tolist() for column in (long - short, ethernet, tags))
    for grown, in_frames, tag in zip(*columns, strict=True):
        carries = "ethernet" if in_frames else "ip"
        wanted = {
            overhead(template, carries=carries, tags=tag if in_frames else 0)
            for template in step.templates
        }
        assert grown in wanted


def test_closed_scenarios_are_not_asked_for() -> None:
    assert not DEVICES.keys() & CLOSED.keys()


# --- forth and back ----------------------------------------------------------------------------


@pytest.mark.parametrize(("text", "carries", "octets"), TABLE)
@pytest.mark.parametrize("mtu", [1400, 1500, 9000, 65000])
def test_a_link_for_an_mtu_has_that_mtu(
    text: str, carries: str | None, octets: int, mtu: int
) -> None:
    assert inner_mtu(text, link_mtu(text, mtu, carries=carries), carries=carries) == mtu


def test_an_ipv6_link_has_1280_octets_anyway() -> None:
    assert link_mtu("ipv6/udp/vxlan", 500) == 1280
    assert inner_mtu("ipv6/udp/vxlan", 1280) == 1210
    with pytest.raises(FieldError, match="1280 to 65535"):
        inner_mtu("ipv6/udp/vxlan", 1279)
    with pytest.raises(FieldError, match="68 to 65535"):
        inner_mtu("ipv4/udp/vxlan", 67)


def test_a_plan() -> None:
    found = plan("eth/vlan/ipv4/udp/vxlan(vni=42)", 1500, tags=2)
    assert found.path == "eth/vlan/ipv4/udp/vxlan"
    assert found.parts == (("ipv4", 20), ("udp", 8), ("vxlan", 8), ("eth", 14), ("vlan", 8))
    assert (found.overhead, found.link_mtu, found.inner_mtu) == (58, 1500, 1442)
    assert (found.frame_len, found.carries) == (1464, "ethernet")
    assert (found.mss_ipv4, found.mss_ipv6) == (1402, 1382)
    small = plan("ipv4/gre", 1300)
    assert (small.inner_mtu, small.frame_len, small.mss_ipv4, small.mss_ipv6) == (
        1276,
        None,
        1236,
        None,
    )


def test_segments() -> None:
    """RFC 9293 section 3.7.1: 40 octets less over IPv4, 60 over IPv6."""
    assert (tcp_mss(1500), tcp_mss(1500, 6), tcp_mss(576), tcp_mss(1280, 6)) == (
        1460,
        1440,
        536,
        1220,
    )
    for mtu, version in ((67, 4), (1279, 6), (65536, 4), (1500, 5), (-1, 4)):
        with pytest.raises(FieldError):
            tcp_mss(mtu, version)


# --- templates ---------------------------------------------------------------------------------


def test_headers_and_packets() -> None:
    assert overhead(IPv4()) == 20
    packet = Ethernet() / IPv4(options=b"\x01" * 4) / UDP() / VXLAN()
    assert overhead(packet) == 54
    options = tuple(GeneveOption(1, number, bytes(60)) for number in range(3))
    assert overhead(IPv6() / UDP() / Geneve(options=options)) == 70 + 192
    assert overhead(IPv4() / GRE(key=1, seq=2), carries="ethernet") == 46


@pytest.mark.parametrize(
    ("template", "how", "words"),
    [
        ("ipv4/esp", {}, "ESP"), (Packet(), {}, "headers"), (IPv4() / b"x", {}, "headers"),
        (encap.parse(bytes(Ethernet() / IPv4() / TCP())[:-1], strict=False), {}, "headers"),
        ("ipv4", {"carries": "ethernet"}, "carries ip"),
        ("ipv4/udp/vxlan", {"carries": "ip"}, "vxlan carries ethernet"),
        ("ipv4/gre(protocol=0x0800)", {"carries": "ethernet"}, "carries ip"),
        ("ipv4/udp/vxlan/eth", {"carries": "ethernet"}, "carries ip"),
        ("ipv4/gre", {"carries": "frames"}, "'ethernet' or 'ip'"), ("ipv4", {"tags": 1}, "tags"),
        ("ipv4/udp/vxlan", {"tags": -1}, "tags"), ("ipv4/udp/vxlan", {"tags": 10**9}, "tags"),
    ],
    ids=str,
)  # fmt: skip
def test_wrong_templates(template: Any, how: dict[str, Any], words: str) -> None:
    with pytest.raises(FieldError, match=words):
        overhead(template, **how)


@pytest.mark.parametrize(
    "text",
    ["ipv4/vxlan", "vxlan", "udp/vxlan", "vlan(vid=5)/ipv4", "eth/udp/vxlan", "eth/ipv4/udp/ipv4",
     "ipv4/udp/gre", "eth/vxlan/ipv4", "ipv4/gre/udp/vxlan", "ipv6/geneve",
     "ipv4/tcp/vxlan", "ipv4/udp/vxlan/ipv4", "eth/mpls/mpls/ipv4", "null/eth", "ipv4/icmp/ipv4"],
)  # fmt: skip
def test_stacks_that_no_packet_has(text: str) -> None:
    """Refused by the same rule, and in the same words, as `Packets.encap` refuses them."""
    with pytest.raises(FieldError) as caught:
        Packets.from_frames([]).encap(text)
    for refused in (overhead, inner_mtu, link_mtu, plan):
        with pytest.raises(FieldError) as here:
            refused(text)
        assert str(here.value) == str(caught.value)
        assert here.value.layer == caught.value.layer
    with pytest.raises(FieldError, match=r"cannot carry|no packet begins"):
        Packets.from_frames([]).oversize(text)


def test_wrong_values() -> None:
    with pytest.raises(ExpressionError):
        overhead("ipv4/nothing")
    for value in (0, -1, 49, 117, 65536, 10**30):
        with pytest.raises(FieldError):
            inner_mtu("ipv4/udp/vxlan", value)
    for value in (0, -1, 67, 65486, 10**30):
        with pytest.raises(FieldError):
            link_mtu("ipv4/udp/vxlan", value)


@pytest.mark.parametrize("wrong", ["1500", 1500.0, None, True, b"1500"], ids=str)
def test_wrong_types(wrong: Any) -> None:
    calls = (
        lambda: inner_mtu("ipv4", wrong),
        lambda: link_mtu("ipv4", wrong),
        lambda: tcp_mss(wrong),
        lambda: overhead("ipv4/udp/vxlan", tags=wrong),
    )
    for call in calls:
        with pytest.raises(TypeError):
            call()


def test_what_is_no_template() -> None:
    for wrong in (None, 5, b"ipv4", ["ipv4"], VLAN):
        with pytest.raises(TypeError):
            overhead(wrong)  # type: ignore[arg-type]
