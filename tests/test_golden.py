"""The central proof: what decapsulation takes out of a kernel's packets is what that kernel put in.

For every scenario decap(`outer`) is, octet for octet and in order, what went into the sender's
tunnel device and what came out of the receiver's. Scenarios that this cannot hold for are listed
with their reason, and fail here when they need not be on the list.
"""

from __future__ import annotations

from itertools import count

import golden
import numpy as np
import pytest
from golden import APART, CLOSED, TAGGED, TUNNELS, joined, ports, without

import encap

REFUSED = {
    "vxlan6": (2, 2), "vxlan6_zerocsum": (2, 2), "vxlan_df_set": (1, 0),
    "routed_gre": (7, 0), "routed_ipip": (6, 0), "routed_ipip_nopmtudisc": (9, 0),
    "routed_sit": (7, 0),
}  # fmt: skip
"""How many packets the sender's tap shows that never came out at the other end (A's, B's): too
big for the path."""
FRAGMENTED = {
    "dirty_vxlan", "esp_cbc_esn_vti", "esp_cbc_sha256_96_vti", "esp_cbc_vti", "esp_cbcsha1_vti",
    "esp_ccm_vti", "esp_gcm_vti", "esp_nopmtu_vti", "esp_null_vti", "esp_udp_cbc_vti",
    "esp_xfrm_gcm", "geneve_innerproto", "geneve_opt0", "geneve_optbig", "geneve_optn",
    "geneve_vlan", "gre_external", "sit_nopmtudisc", "vxlan", "vxlan_8472", "vxlan_gbp",
    "vxlan_gpe", "vxlan_inherit", "vxlan_noudpcsum", "vxlan_remcsum", "vxlan_ttl_tos",
    "vxlan_udpcsum", "vxlan_vlan",
}  # fmt: skip
"""Scenarios whose outer packets were fragmented: joined here before they are decapsulated."""


def directions(name: str) -> list[tuple[encap.Packets, list[bytes], list[bytes]]]:
    """Outer packets, what was sent through the tunnel, what came out: from A to B, and back."""
    routed = "outer_b" in golden.INDEX[name]["captures"]
    there = golden.half(name, "outer_b", "i") if routed else golden.half(name, "outer", "o")
    back = golden.half(name, "outer", "i")
    return [
        (there, [*golden.half(name, "inner_tx", "o")], [*golden.half(name, "inner_rx", "i")]),
        (back, [*golden.half(name, "inner_rx", "o")], [*golden.half(name, "inner_tx", "i")]),
    ]


def unwrapped(name: str, outer: encap.Packets) -> encap.Packets:
    """What came out of the innermost tunnel device, fragments joined on the way."""
    if name == "nest_vxlan_in_gretap":  # the tunnel inside is the one that was fragmented
        return joined(outer.decap()).decap()
    depth = 2 if name == "nest_gre_in_gre_in_vlan" else 1
    return joined(outer).decap(depth=depth, ports=ports(name))


def test_every_scenario_is_tested_or_listed() -> None:
    for name in golden.INDEX:
        listed = [name in table for table in (TUNNELS, TAGGED, CLOSED)]
        listed += [name.startswith(prefix) for prefix in APART]
        assert sum(listed) == 1, name
    assert set(REFUSED) <= set(TUNNELS)
    assert len(TUNNELS) == 72


@pytest.mark.parametrize("implementation", encap.implementations())
@pytest.mark.parametrize("name", TUNNELS)
def test_decap_gives_what_the_kernel_delivered(name: str, implementation: str) -> None:
    refused = REFUSED.get(name, (0, 0))
    with encap.implementation(implementation):
        for (outer, sent, received), lost in zip(directions(name), refused, strict=True):
            inner = unwrapped(name, outer)
            assert list(inner) == received
            assert len(without(sent, received)) == lost
            device = golden.capture(name, "inner_rx")
            assert set(inner.linktypes) <= set(device.linktypes)


@pytest.mark.parametrize("name", TUNNELS)
def test_copies_are_the_same(name: str) -> None:
    outer = joined(golden.half(name, "outer", "o"))
    room = np.empty(outer.lengths.sum(), np.uint8)
    copied = outer.decap(ports=ports(name), out=room)
    assert copied.equals(outer.decap(ports=ports(name)))
    assert copied.data.base is room


@pytest.mark.parametrize("name", [*TUNNELS, *CLOSED])
def test_only_listed_scenarios_have_outer_fragments(name: str) -> None:
    # Without reassembly the fragmented packets are missing, and no others.
    fragments = 0
    for outer, _, _ in directions(name):
        layers = outer.parse(ports=ports(name))
        ends = (layers["path"] == "eth/ipv4") & (layers.status == encap.Status.FRAGMENT)
        lost = without(list(joined(outer).decap()), list(outer.decap()))
        assert len(lost) <= ends.sum()
        fragments += int(ends.sum())
    assert bool(fragments) == (name in FRAGMENTED)


@pytest.mark.parametrize("name", CLOSED)
def test_what_is_listed_as_closed_is(name: str) -> None:
    equal = [list(unwrapped(name, outer)) == received for outer, _, received in directions(name)]
    assert not all(equal), "this scenario need not be listed any more"


@pytest.mark.parametrize("name", ["nest_gre_in_gre_in_vlan", "nest_vxlan_in_gretap"])
def test_tunnel_in_tunnel(name: str) -> None:
    between = golden.half(name, "outer", "o").decap()
    assert list(between) == list(golden.half(name, "mid_tx", "o"))
    assert list(joined(between).decap()) == list(golden.half(name, "inner_tx", "o"))


@pytest.mark.parametrize("name", TAGGED)
def test_vlan_devices(name: str) -> None:
    tags = TAGGED[name]
    for outer, sent, received in directions(name):
        layers = outer.parse()
        tagged = layers.count("vlan") >= len(tags)
        assert tagged.all()
        frames = [frame[:12] + frame[12 + 4 * len(tags) :] for frame in outer]
        assert frames == sent == received
        for index, vid in zip(count(), tags):
            assert (layers[f"vlan[{index}].vid"] == vid).all()
        assert len(outer.decap()) == 0


def test_vlan_tags_one_after_the_other() -> None:
    frames = golden.half("vlan_qinq", "outer", "o")
    assert [frame[:12] + frame[16:] for frame in frames] == list(
        golden.half("vlan_qinq", "mid_tx", "o")
    )
    types = {"vlan_8021ad": 0x88A8, "vlan_8021q": 0x8100, "vlan_qinq": 0x88A8}
    for name, tpid in types.items():
        assert (golden.capture(name, "outer").parse()["eth.type"] == tpid).all()


@pytest.mark.parametrize("name", ["vxlan_vlan", "geneve_vlan"])
def test_vlan_inside_a_tunnel(name: str) -> None:
    inner = unwrapped(name, golden.half(name, "outer", "o"))
    layers = inner.parse()
    tagged = layers.has("vlan")
    assert set(layers["vlan.vid"][tagged]) == {7}
    frames = [frame[:12] + frame[16:] for frame in inner[tagged]]
    device = list(golden.half(name, "vlan_tx", "o"))
    assert frames[-len(device) :] == device  # whose capture began six packets later
    assert len(frames) == len(device) + 6
