"""What a field can become: values, columns, networks, mappings; and what is refused, when."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from typing import Any

import numpy as np
import pytest
import stacks
from hypothesis import given
from hypothesis import strategies as st

import encap
from encap import MAC, UDP, VLAN, VXLAN, Ethernet, FieldError, IPv4, IPv6, Packets
from encap.rewrite import Outcome, apply
from encap.rewrite import run as machinery

A, B = "02:00:00:00:00:01", "02:00:00:00:00:02"


def inner(src: str = "10.1.2.3", dst: str = "10.9.8.7") -> encap.Packet:
    return Ethernet(src=A, dst=B) / IPv4(src=src, dst=dst) / UDP(sport=1000, dport=2000) / b"hello"


def overlay(vni: int = 42, src: str = "10.1.2.3") -> encap.Packet:
    outer = Ethernet(src=A, dst=B) / IPv4(src="192.0.2.1", dst="192.0.2.2") / UDP(sport=5)
    return outer / VXLAN(vni=vni) / inner(src)


SIX = Ethernet(src=A, dst=B) / IPv6(src="fd00:1::5", dst="fd00:2::6") / UDP(dport=9) / b"six"


@pytest.fixture
def packets() -> Packets:
    return Packets.from_frames([overlay(), overlay(43, "172.16.0.9"), inner(), SIX])


def column(packets: Packets, name: str) -> list[Any]:
    values = packets.columns(name)[name]
    return [bytes(row) for row in values] if values.ndim == 2 else values.tolist()


@pytest.mark.parametrize(
    "value",
    ["10.0.0.5", IPv4Address("10.0.0.5"), 0x0A000005, b"\x0a\0\0\5", np.uint32(0x0A000005),
     np.array(0x0A000005)],
    ids=["text", "object", "int", "octets", "numpy", "scalar array"],
)  # fmt: skip
def test_an_ipv4_address_in_every_form(packets: Packets, value: Any) -> None:
    made = packets.rewrite({"inner.ipv4.src": value})
    assert column(made, "inner.ipv4.src") == [0x0A000005] * 3 + [0]
    assert made.left_out == {"no inner.ipv4.src": 1}


@pytest.mark.parametrize("value", [B, MAC(B), 0x020000000002, MAC(B).packed])
def test_a_mac_address_in_every_form(packets: Packets, value: Any) -> None:
    assert column(packets.rewrite({"eth.src": value}), "eth.src") == [MAC(B).packed] * 4


@pytest.mark.parametrize(
    "value", ["fd00::9", IPv6Address("fd00::9"), IPv6Address("fd00::9").packed]
)
def test_an_ipv6_address_in_every_form(packets: Packets, value: Any) -> None:
    made = packets.rewrite({"ipv6.dst": value})
    assert column(made, "ipv6.dst")[3] == IPv6Address("fd00::9").packed


def test_columns(packets: Packets) -> None:
    vnis = np.array([1, 2, 3, 4], np.uint32)
    macs = np.arange(24, dtype=np.uint8).reshape(4, 6)
    sixes = np.arange(64, dtype=np.uint8).reshape(4, 16)
    made = packets.rewrite({"vxlan.vni": vnis, "eth.dst": macs, "ipv6.src": sixes})
    assert column(made, "vxlan.vni") == [1, 2, 0, 0]
    assert column(made, "eth.dst") == [bytes(row) for row in macs]
    assert column(made, "ipv6.src") == [bytes(16)] * 3 + [bytes(sixes[3])]


def test_a_list_is_a_column(packets: Packets) -> None:
    made = packets.rewrite(
        {"ipv4.dst": ["10.0.0.1", 2, IPv4Address(3), b"\0\0\0\4"], "ip.ttl": [1, 2, 3, 4]}
    )
    assert column(made, "ipv4.dst") == [0x0A000001, 2, 3, 0]
    assert column(made, "ip.ttl") == [1, 2, 3, 4]


def test_what_columns_gives_changes_nothing() -> None:
    packets = stacks.random_packets(500, 3)
    names = ("ipv4.src", "ipv6.dst", "ip.src", "ip[-1].dst", "eth.src", "tcp.flags", "vxlan.vni",
             "geneve.opt_len", "gre.key", "l4.sport", "tunnel.id", "ipv4.dscp", "udp.checksum",
             "arp.tpa", "erspan.index")  # fmt: skip
    done = apply(packets, packets.columns(*names))
    assert done.packets.equals(packets.compact())
    assert all(outcome.changed == 0 for outcome in done.outcomes.values())
    assert all(sum(outcome) == len(packets) for outcome in done.outcomes.values())


def test_a_network_keeps_the_bits_of_the_host(packets: Packets) -> None:
    made = packets.rewrite({"inner.ipv4.src": "10.200.0.0/16", "ipv6.dst": "2001:db8::/32"})
    assert column(made, "inner.ipv4.src")[:3] == [
        int(IPv4Address(text)) for text in ("10.200.2.3", "10.200.0.9", "10.200.2.3")
    ]
    assert column(made, "ipv6.dst")[3] == IPv6Address("2001:db8:2::6").packed[:4] + bytes(
        IPv6Address("fd00:2::6").packed[4:]
    )
    assert encap.verify.wrong_checksum(encap.parse(made[3])) is None


def test_the_longest_prefix_counts(packets: Packets) -> None:
    mapping = {
        "10.0.0.0/8": "11.0.0.0/8",
        "10.1.0.0/16": IPv4Network("12.0.0.0/16"),
        IPv4Network("10.1.2.3/32"): "13.0.0.1",
        "128.0.0.0/1": "0.0.0.0/1",
    }
    made = packets.rewrite({"ipv4[*].src": mapping})
    assert column(made, "inner.ipv4.src")[:2] == [
        int(IPv4Address("13.0.0.1")), int(IPv4Address("44.16.0.9")),
    ]  # fmt: skip
    assert column(made, "outer.ipv4.src")[0] == int(IPv4Address("64.0.2.1"))


def test_both_families_in_one_mapping(packets: Packets) -> None:
    done = apply(packets, {"ip[-1].src": {"10.1.0.0/16": "10.2.0.0/16", "fd00::/16": "fd99::/16"}})
    assert column(done.packets, "inner.ip.src") == [
        bytes(10) + b"\xff\xff\x0a\2\2\3", bytes(10) + b"\xff\xff\xac\x10\0\x09",
        bytes(10) + b"\xff\xff\x0a\2\2\3", IPv6Address("fd99:1::5").packed,
    ]  # fmt: skip
    assert done.outcomes == {"ip[-1].src": Outcome(changed=3, same=0, unmapped=1, absent=0)}
    assert not done.packets.left_out


def test_an_address_of_one_family_leaves_the_other_alone(packets: Packets) -> None:
    done = apply(packets, {"ip.dst": "10.0.0.1"})
    assert done.outcomes["ip.dst"] == Outcome(3, 0, 0, 1)
    assert done.packets[3] == packets[3]
    done = apply(packets, {"ip.dst": "fd00::/16"})
    assert done.outcomes["ip.dst"] == Outcome(0, 1, 0, 3)


def test_a_network_becomes_one_address(packets: Packets) -> None:
    """When that is what is said: a network of another length is refused."""
    made = packets.rewrite({"ip[-1].src": {"10.0.0.0/8": "11.0.0.1", "172.16.0.9": "1.1.1.1/32"}})
    assert column(made, "inner.ipv4.src")[:3] == [0x0B000001, 0x01010101, 0x0B000001]
    with pytest.raises(FieldError, match=r"'11.1.0.0/16': 10.0.0.0/8 is no network of that length"):
        packets.rewrite({"ipv4.src": {"10.0.0.0/8": "11.1.0.0/16"}})


def test_what_of_a_mapping_matched_nothing(packets: Packets) -> None:
    done = apply(
        packets, {"vxlan.vni": {44: 1, 43: 2, 7: 42, 42: 42}, "ip.ttl": 5, "tcp.sport": {}}
    )
    assert done.unused == {"vxlan.vni": (44, 7), "tcp.sport": ()}
    networks = {"10.1.0.0/16": "10.2.0.0/16", "10.1.2.3": "10.1.2.4", "9.0.0.0/8": "8.0.0.0/8"}
    done = apply(packets, {"ip[*].src": networks, "gre.key": {1: 2}, "eth.src": {A: B}})
    assert done.unused == {
        "ip[*].src": ("10.1.0.0/16", "9.0.0.0/8"), "gre.key": (1,), "eth.src": (),
    }  # fmt: skip
    assert apply(packets[:0], {"vxlan.vni": {1: 2}}).unused == {"vxlan.vni": (1,)}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"vxlan.vni": {1 << 24: 1}},
         "vxlan.vni is never 16777216, which is to become 1: vxlan.vni holds 0 to 16777215"),
        ({"vxlan.vni": {1: 1 << 24}},
         "vxlan.vni cannot become 16777216: vxlan.vni holds 0 to 16777215"),
        ({"inner.ipv4.src": {"10.0.0.300": "10.0.0.1"}},
         ("inner.ipv4.src is never '10.0.0.300', which is to become '10.0.0.1':"
         " '10.0.0.300' is no IPv4 address")),
        ({"inner.ipv4.src": "x"}, "inner.ipv4.src cannot become 'x': 'x' is no IPv4 address"),
        ({"ipv4.src": {"10.0.0.1/8": "10.0.0.0/8"}},
         ("ipv4.src is never '10.0.0.1/8', which is to become '10.0.0.0/8':"
         " 10.0.0.1/8 has host bits set")),
    ],
)  # fmt: skip
def test_errors_name_field_and_value(packets: Packets, changes: Any, said: str) -> None:
    with pytest.raises(FieldError) as caught:
        packets.rewrite(changes)
    assert str(caught.value) == said
    assert caught.value.field == next(iter(changes))


def test_values_by_value(packets: Packets) -> None:
    done = apply(packets, {"vxlan.vni": {42: 43, 43: 42, 7: 8}})
    assert column(done.packets, "vxlan.vni") == [43, 42, 0, 0]
    done = apply(packets, {"vxlan.vni": {43: 1}})
    assert done.outcomes["vxlan.vni"] == Outcome(1, 0, 1, 2)


def test_changes_are_made_in_order(packets: Packets) -> None:
    made = packets.rewrite({"ipv4.tos": 0xFF, "ipv4.dscp": 1, "ipv4[*].ecn": 2})
    assert column(made, "ipv4.tos")[:3] == [0x06] * 3
    assert column(made, "inner.ipv4.tos")[:3] == [0x02, 0x02, 0x06]


ADDRESSES = st.integers(0, 2**32 - 1).map(IPv4Address)


def network(bits: int, number: int) -> Any:
    """The network of so many bits that an address is in."""
    return ip_network((number >> (32 - bits) << (32 - bits), bits))


NUMBERS = st.integers(0, 2**32 - 1)
NETWORKS = st.lists(st.tuples(st.integers(0, 32), NUMBERS, NUMBERS), max_size=6).map(
    lambda drawn: {network(bits, old): network(bits, new) for bits, old, new in drawn}
)


@given(NETWORKS, st.lists(ADDRESSES, min_size=1))
def test_mappings_of_networks(mapping: dict[Any, Any], addresses: list[IPv4Address]) -> None:
    frames = [bytes(IPv4(src=str(address), dst="1.2.3.4") / b"") for address in addresses]
    packets = Packets.from_frames(frames, linktypes=101)
    made = packets.rewrite({"ipv4.src": mapping})
    expected = []
    for address in addresses:
        found = [network for network in mapping if address in network]
        value = int(address)
        if found:
            to = mapping[max(found, key=lambda network: network.prefixlen)]
            value = value & int(to.hostmask) | int(to.network_address)
        expected.append(value)
    assert column(made, "ipv4.src") == expected
    assert not (made.checksums().verdict != encap.Verdict.GOOD).any()


SIXES = st.integers(0, 2**128 - 1).map(IPv6Address)


@given(st.integers(0, 128), SIXES, SIXES, st.lists(SIXES, min_size=1))
def test_mappings_of_ipv6_networks(bits: int, a: Any, b: Any, addresses: list[Any]) -> None:
    old, new = (IPv6Network((int(x) >> (128 - bits) << (128 - bits), bits)) for x in (a, b))
    frames = [bytes(IPv6(src=str(one), dst="::1") / UDP() / b"x") for one in [*addresses, a]]
    packets = Packets.from_frames(frames, linktypes=101)
    made = packets.rewrite({"ip.src": {old: new}})
    for before, frame in zip([*addresses, a], made, strict=True):
        value = int(before)
        if before in old:
            value = value & int(old.hostmask) | int(new.network_address)
        packet = encap.parse(frame, 101, verify=True)
        assert packet["ipv6.src"] == IPv6Address(value)


REFUSED = [
    ({"vxlan.vni": 1 << 24}, FieldError), ({"vxlan.vni": -1}, FieldError),
    ({"vxlan.vni": "42"}, TypeError), ({"vxlan.vni": 1.5}, TypeError),
    ({"vxlan.vni": None}, TypeError), ({"vxlan.vni": {1: 1 << 24}}, FieldError),
    ({"vxlan.vni": {1 << 24: 1}}, FieldError), ({"vxlan.vni": {"1": 2}}, TypeError),
    ({"vxlan.vni": np.full(4, 1 << 24, np.uint32)}, FieldError),
    ({"vxlan.vni": np.zeros(3, np.uint32)}, FieldError),
    ({"vxlan.vni": np.zeros(4)}, TypeError), ({"vxlan.vni": np.full(4, -1)}, FieldError),
    ({"geneve.opt_len": 3}, FieldError), ({"geneve.opt_len": 256}, FieldError),
    ({"geneve.opt_len": [0, 4, 8, 6]}, FieldError),
    ({"inner.ipv4.src": "10.0.0.300"}, FieldError), ({"inner.ipv4.src": "fd00::1"}, FieldError),
    ({"inner.ipv4.src": "fd00::/16"}, FieldError), ({"inner.ipv4.src": "10.0.0.1/8"}, FieldError),
    ({"inner.ipv4.src": "10.0.0.0/33"}, FieldError), ({"inner.ipv4.src": 1 << 32}, FieldError),
    ({"inner.ipv4.src": 1.0}, TypeError), ({"ipv4.src": IPv6Address("::1")}, FieldError),
    ({"ipv6.src": IPv4Address("1.2.3.4")}, FieldError), ({"ipv6.src": "fe80::1%eth0"}, FieldError),
    ({"ip.src": 5}, TypeError), ({"ip.src": {"10.0.0.0/8": "fd00::/8"}}, FieldError),
    ({"ip.src": np.zeros((4, 4), np.uint8)}, FieldError), ({"ip.src": "1.2.3"}, FieldError),
    ({"ipv4.src": {"10.0.0.1": 1, "10.0.0.1/32": 2}}, FieldError),
    ({"ipv4.src": {"10.0.0.0/8": "10.1.0.0/16"}}, FieldError),
    ({"ip.src": {"10.1.0.0/16": "11.0.0.0/8"}}, FieldError),
    ({"ip.src": {"::/0": "fd00::/8"}}, FieldError),
    ({"ip.src": {"10.0.0.0/8": "10.1.2.3/32"}}, FieldError),
    ({"ip.src": {"10.0.0.1": "10.1.0.0/16"}}, FieldError),
    ({"eth.src": np.zeros((4, 5), np.uint8)}, FieldError), ({"eth.src": "nonsense"}, FieldError),
    ({"eth.src": "02:00:00:00:00:00/24"}, FieldError),
    ({"nothing.src": 1}, FieldError), ({"ipv4.nothing": 1}, FieldError), ({"ipv4": 1}, FieldError),
    ({"time": 1}, FieldError), ({"path": 1}, FieldError), ({"gre.key?": 1}, FieldError),
    ({"tunnel.kind": 1}, FieldError), ({"ipv4.options": b""}, FieldError),
    ({"geneve[*]": 1}, FieldError), ({5: 1}, TypeError), ([("ipv4.ttl", 1)], TypeError),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "error"), REFUSED, ids=repr)
def test_what_cannot_be(packets: Packets, changes: Any, error: type[Exception]) -> None:
    out = np.full(len(packets.data), 0xA5, np.uint8)
    with pytest.raises(error):
        packets.rewrite(changes, out=out)
    assert (out == 0xA5).all(), "nothing is written"


@pytest.mark.parametrize(
    "options",
    [{"checksums": "fix"}, {"missing": "drop"}, {"out": "here"}, {"out": np.zeros(3, np.uint8)},
     {"out": np.zeros(9999, np.int8)}, {"threads": 0}, {"ports": {70000: "vxlan"}}],
    ids=repr,
)  # fmt: skip
def test_options_that_cannot_be(packets: Packets, options: dict[str, Any]) -> None:
    with pytest.raises(FieldError):
        packets.rewrite({"ipv4.ttl": 1}, **options)


def test_a_value_that_some_headers_cannot_hold(packets: Packets) -> None:
    assert packets.rewrite({"tunnel.id": 1 << 20}).columns("vxlan.vni")["vxlan.vni"][0] == 1 << 20
    with pytest.raises(FieldError, match=r"2 packets have vxlan\.vni"):
        packets.rewrite({"tunnel.id": 1 << 24})  # a GRE key could
    values = np.array([5, 6, 1 << 31, 1 << 31], np.uint32)
    assert column(packets.rewrite({"tunnel.id": values}), "tunnel.id") == [5, 6, 0, 0]
    with pytest.raises(FieldError, match=r"vxlan\.vni"):
        packets.rewrite({"tunnel.id": values[::-1].copy()})
    with pytest.raises(FieldError, match=r"1 packets have ipv4\.src"):
        packets[:1].rewrite({"ip.src": np.ones((1, 16), np.uint8)})
    packets[3:].rewrite({"ip.src": np.ones((1, 16), np.uint8)})
    with pytest.raises(FieldError, match="2 packets have vxlan"):
        packets.rewrite({"tunnel[*].id": {42: 1 << 30}})


def test_a_field_that_packets_lack(packets: Packets) -> None:
    with pytest.raises(FieldError, match=r"vxlan\.vni is not in 2 of 4 packets"):
        packets.rewrite({"eth.src": A, "vxlan.vni": 1}, missing="raise")
    made = packets[:2].rewrite({"eth.src": A, "vxlan.vni": 1}, missing="raise")
    assert column(made, "vxlan.vni") == [1, 1]
    assert packets.rewrite({"vxlan.vni": 1, "sctp.sport": 2}).left_out == {
        "no vxlan.vni": 2, "no sctp.sport": 4,
    }  # fmt: skip


def test_every_occurrence() -> None:
    tagged = (
        Ethernet(src=A, dst=B)
        / VLAN(vid=1)
        / VLAN(vid=2)
        / VLAN(vid=3)
        / IPv4(src="1.1.1.1", dst="2.2.2.2")
        / b""
    )
    packets = Packets.from_frames([tagged, inner()])
    done = apply(packets, {"vlan[*].vid": {1: 7, 3: 9}, "vlan[-1].pcp": 5})
    packet = encap.parse(done.packets[0])
    assert [(tag.vid, tag.pcp) for tag in packet if isinstance(tag, VLAN)] == [
        (7, 0), (2, 0), (9, 5),
    ]  # fmt: skip
    assert done.outcomes == {"vlan[*].vid": (1, 0, 0, 1), "vlan[-1].pcp": (1, 0, 0, 1)}


def test_names_with_every_are_for_rewriting(packets: Packets) -> None:
    for name in ("ipv4[*].ttl", "vlan[*]"):
        with pytest.raises(FieldError, match=r"\[\*\]"):
            packets.columns(name)
        with pytest.raises(FieldError, match=r"\[\*\]"):
            packets.parse()[name]


def test_in_place() -> None:
    packets = stacks.random_packets(300, 8)
    changes = {"ipv4[*].ttl": 1, "eth.dst": B, "inner.ip.dst": {"fd00::/16": "2001::/16"}}
    data = np.array(packets.data)
    mine = Packets(data, packets.starts, packets.lengths, linktypes=packets.linktypes)
    made = mine.rewrite(changes, out="in place")
    assert made.data is mine.data
    assert made.equals(packets.rewrite(changes))
    assert not made.equals(packets)
    read_only = data.view()
    read_only.flags.writeable = False
    with pytest.raises(FieldError, match="read-only"):
        Packets(read_only, [0], [20]).rewrite(changes, out="in place")
    with pytest.raises(FieldError, match="read-only"):
        packets.rewrite(changes, out="in place")


def test_rows_that_overlap_are_not_rewritten_in_place() -> None:
    frame = bytes(inner())
    data = np.frombuffer(frame + frame, np.uint8).copy()
    size = len(frame)
    for starts, lengths in (
        ([0, 0], [size, size]),
        ([5, 0], [size, 6]),
        ([0, size - 1], [size] * 2),
    ):
        packets = Packets(data, starts, lengths)
        with pytest.raises(FieldError, match="overlap"):
            packets.rewrite({"ipv4.ttl": 1}, out="in place")
        assert len(packets.rewrite({"ipv4.ttl": 1})) == 2
    for starts, lengths in (([size, 0], [size, size]), ([0, 3, size], [size, 0, size])):
        Packets(data, starts, lengths).rewrite({"ipv4.ttl": 9}, out="in place")
    assert data[22] == data[size + 22] == 9


def test_into_memory_of_the_caller(packets: Packets) -> None:
    out = np.full(int(packets.lengths.sum()) + 7, 0xA5, np.uint8)
    made = packets.rewrite({"ipv4.ttl": 1}, out=out)
    assert made.data.base is out
    assert (out[-7:] == 0xA5).all()
    assert made.equals(packets.rewrite({"ipv4.ttl": 1}))
    with pytest.raises(FieldError):
        made.rewrite({"ipv4.ttl": 1}, out=out)


def test_what_is_carried_along(packets: Packets) -> None:
    packets = packets.replace(times=[4, 3, 2, 1], wire_lengths=[500, 501, 502, 503])
    made = packets[::-1].with_ports({8473: "vxlan"}).rewrite({"ipv4.ttl": 1})
    assert made.times.tolist() == [1, 2, 3, 4]
    assert made.wire_lengths.tolist() == [503, 502, 501, 500]
    assert made._ports == {8473: "vxlan"}
    assert made.rows.tolist() == [0, 1, 2, 3]


def test_nothing_to_do() -> None:
    packets = stacks.random_packets(50, 5)
    assert packets.rewrite({}).equals(packets.compact())
    empty = Packets.from_frames([])
    made = empty.rewrite({"ipv4.src": "10.0.0.0/8", "vxlan.vni": [], "ip.ttl": 1})
    assert len(made) == 0
    assert len(empty.rewrite({"ipv4.src": np.zeros(0, np.uint32)}, missing="raise")) == 0


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_threads(threads: int) -> None:
    packets = Packets.concat([stacks.random_packets(500, 2)] * 40)
    changes = {
        "ipv4[*].src": np.arange(len(packets), dtype=np.uint32), "inner.ip.ttl": 7,
        "l4.sport": {0: 1}, "eth.dst": A,
    }  # fmt: skip
    alone, made = (apply(packets, changes, threads=count) for count in (1, threads))
    assert made.packets.equals(alone.packets)
    assert made.outcomes == alone.outcomes
    assert made.unused == alone.unused
    assert made.packets.left_out == alone.packets.left_out


@pytest.mark.parametrize("name", encap.implementations())
@pytest.mark.parametrize("mode", ["update", "recompute", "keep"])
def test_variants(name: str, mode: str) -> None:
    packets = stacks.random_packets(800, 12)
    changes = {"ip[*].src": {"::/1": "8000::/1", "0.0.0.0/1": "128.0.0.0/1"}, "l4.sport": 7,
               "ipv4.dst": "1.2.3.4", "ipv4[-1].id": 5, "eth.src": B}  # fmt: skip
    with encap.implementation("generic"):
        expected = packets.rewrite(changes, mode)
    with encap.implementation(name):
        assert packets.rewrite(changes, mode).equals(expected)


@pytest.mark.parametrize("capacity", [1, 2, 16])
def test_a_path_for_every_packet(monkeypatch: pytest.MonkeyPatch, capacity: int) -> None:
    packets = stacks.random_packets(800, 31)
    changes = {"ip[*].ttl": 5, "l4.sport": {0: 1}, "ipv4.src": "1.2.3.4", "inner.eth.dst": B}
    expected = apply(packets, changes)
    assert len(packets.parse().paths) > 100
    monkeypatch.setattr(machinery, "CAPACITY", capacity)
    monkeypatch.setattr(machinery, "_idle", type(machinery._idle)(maxlen=4))
    made = apply(packets, changes)
    assert made.packets.equals(expected.packets)
    assert made.outcomes == expected.outcomes


def test_many_changes() -> None:
    packets = stacks.random_packets(60, 9)
    changes = {f"ipv4[{index}].{name}": 1 for index in range(-100, 200) for name in ("ttl", "id")}
    expected = {"ipv4[*].ttl": 1, "ipv4[*].id": 1}
    assert packets.rewrite(changes).equals(packets.rewrite(expected))
    with pytest.raises(FieldError, match="changes"):
        packets.rewrite(
            {f"ipv4[{i}].{n}": 1 for i in range(-999, 999) for n in ("ttl", "id", "tos")}
        )
