"""Packets split into fragments: what they look like, and that they become the packet again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from random import Random
from typing import Any

import numpy as np
import pytest
import stacks
from hypothesis import given
from hypothesis import strategies as st

import encap
from encap import (
    ARP,
    GRE,
    TCP,
    UDP,
    VLAN,
    VXLAN,
    DestinationOptions,
    Ethernet,
    FieldError,
    Fragment,
    HopByHop,
    IPv4,
    IPv6,
    Option,
    Packet,
    Packets,
    Routing,
)
from encap.verify import Verdict

ETH = Ethernet(dst="02:00:00:00:00:02", src="02:00:00:00:00:01")
V4 = IPv4(src="192.0.2.1", dst="192.0.2.2", id=7, protocol=99)
V6 = IPv6(src="2001:db8::1", dst="2001:db8::2")
OUT = IPv4(src="198.51.100.1", dst="198.51.100.2")
ROUTE = Routing(type=4, segments_left=0, data=bytes(4) + bytes(range(16)))
OCTETS = bytes(range(256)) * 300


def raw(packets: Iterable[Packet | bytes], **options: Any) -> Packets:
    return Packets.from_frames([bytes(one) for one in packets], linktypes=101, **options)


def frames(packets: Iterable[Packet | bytes], **options: Any) -> Packets:
    return Packets.from_frames([bytes(one) for one in packets], **options)


@pytest.fixture(params=encap.implementations(), autouse=True)
def _implementation(request: pytest.FixtureRequest) -> Iterator[None]:
    with encap.implementation(request.param):
        yield


# --- and back ------------------------------------------------------------------------------------

FRONTS: dict[str, Packet] = {
    "eth": ETH / V4,
    "tags": ETH / VLAN(vid=5) / VLAN(vid=7) / V4,
    "options": ETH / replace(V4, options=(Option(7, bytes(9)), Option(0x94, b"\0\0"))),
    "ipv6": ETH / V6,
    "extensions": ETH / V6 / HopByHop() / DestinationOptions() / ROUTE / DestinationOptions(),
    "llc": ETH / encap.LLC() / V4,
    "vxlan": ETH / OUT / UDP(sport=1) / VXLAN(vni=42) / ETH / V4,
    "no udp checksum": ETH / OUT / UDP(sport=1, checksum=0) / VXLAN() / ETH / V6 / HopByHop(),
    "gre over ipv6": ETH / V6 / DestinationOptions() / GRE(flags=0x1000, key=7, seq=1) / V4,
    "ipip": ETH / OUT / V4,
    "nested": ETH / OUT / GRE(flags=0x1000) / ETH / V6 / UDP(sport=9) / VXLAN() / ETH / V4,
}


@given(
    name=st.sampled_from([*FRONTS]),
    sizes=st.lists(st.integers(0, 900), min_size=1, max_size=12),
    mtu=st.integers(28, 400),
    random=st.randoms(use_true_random=False),
)
def test_reassembly_is_the_way_back(name: str, sizes: list[int], mtu: int, random: Random) -> None:
    """In any order; a fragment that comes twice is a duplicate while its datagram waits."""
    octets = [random.randbytes(size) for size in sizes]
    packets = frames(FRONTS[name] / TCP(sport=1, dport=2) / some for some in octets)
    packets = packets.rewrite({"ipv4[*].id": np.arange(len(sizes), dtype=np.uint16)})
    made = packets.fragment(mtu, "inner", ids=1 << 31)
    left = sum(made.left_out.values())
    assert len({*made.rows.tolist()}) + left == len(packets)
    longest = made.lengths - made.parse().offset("ip[-1]")
    assert (longest <= mtu).all()
    order = [row for row in range(len(made)) for _ in range(random.choice([1, 1, 2]))]
    random.shuffle(order)
    again = made[order].reassemble("inner", overlap="rfc")
    # Of each fragment that makes a datagram whole, what comes again waits in vain.
    reasons = {"duplicates of fragments", "fragments of incomplete datagrams"}
    assert set(again.left_out) <= reasons
    assert {*again} == {*packets[np.unique(made.rows)]}
    assert len(again) >= len(packets) - left


@pytest.mark.parametrize("mtu", [28, 60, 100, 300])
def test_random_packets_there_and_back(mtu: int) -> None:
    packets = stacks.random_packets(1500, mtu).strip_trailer()
    layers = packets.parse()
    # A length that was left to a network card is said in fragments, and so is one of theirs.
    packets = packets[(layers.status != encap.Status.FRAGMENT) & (layers["ip.length"] != 0)]
    numbers = np.arange(len(packets), dtype=np.uint16)
    packets = packets.rewrite({"ipv4.id": numbers})
    made = packets.fragment(mtu, df="ignore", ids=np.arange(len(packets)))
    assert len(made) > len(packets)
    for row in np.flatnonzero(np.bincount(made.rows) > 1):
        assert list(made[made.rows == row].reassemble()) == [packets[row]]
    rows, counts = np.unique(made.rows, return_counts=True)
    alone = rows[counts == 1]
    assert list(made[np.isin(made.rows, alone)]) == list(packets[alone])


# --- what fragments look like --------------------------------------------------------------------


def test_ipv4() -> None:
    packets = frames([ETH / V4 / OCTETS[:100], ETH / V4 / OCTETS[:24], ETH / ARP()])
    made = packets.add_trailer(b"trailer").fragment(50)
    parts = [
        ETH
        / replace(V4, flags=int(at < 96), fragment_offset=at // 8)
        / OCTETS[at : min(at + 24, 100)]
        for at in range(0, 100, 24)
    ]
    whole = [bytes(packet) + b"trailer" for packet in packets[1:]]
    assert list(made) == [*map(bytes, parts), *whole]
    assert list(made.rows) == [0, 0, 0, 0, 0, 1, 2]
    assert np.array_equal(made.lengths, made.wire_lengths)
    assert made.left_out == {}


def test_a_fragment_is_fragmented_again() -> None:
    """Offsets go on from its own, and more follow behind the last if they did behind it."""
    for flags in (0, 1):
        packet = replace(V4, flags=flags, fragment_offset=100) / OCTETS[:80]
        parts = [
            replace(V4, flags=flags if at == 64 else 1, fragment_offset=100 + at // 8)
            / OCTETS[at : min(at + 32, 80)]
            for at in range(0, 80, 32)
        ]
        assert list(raw([packet]).fragment(52)) == [bytes(part) for part in parts]


def test_ipv4_options() -> None:
    """Those with the copy flag are in all of them: RFC 791 section 3.1."""
    kept, gone = Option(0x94, b"\1\2"), Option(7, bytes(9))
    for options, later in (
        ((gone, kept), (kept,)),
        ((kept, gone), (kept,)),
        ((gone,), ()),
        ((Option(0x83, bytes(5)), gone, kept), (Option(0x83, bytes(5)), kept)),
        (b"\x94\0\1\2", ()),  # without a length
        (b"\7\xff\1\2", ()),
        (b"\1\1\0\x94", ()),
    ):
        head = replace(V4, options=options)
        whole = encap.parse(bytes(head / OCTETS[:200]), 101)
        made = list(raw([whole]).fragment(100))
        assert encap.parse(made[0], 101)["ipv4.options"] == whole["ipv4.options"]
        for part in made[1:]:
            packet = encap.parse(part, 101, verify=True)
            assert packet[IPv4] == replace(V4, options=later, **_set_in(packet[IPv4]))
        assert list(raw(made).reassemble()) == [bytes(whole)]


def _set_in(header: IPv4) -> dict[str, Any]:
    names = ("ihl", "total_len", "flags", "fragment_offset", "checksum")
    return {name: getattr(header, name) for name in names}


def test_ipv6() -> None:
    """Headers up to the last routing header are in all of them: RFC 8200 section 4.5."""
    for front, behind in (
        (V6, b""),
        (V6, bytes(DestinationOptions(next_header=99))),
        (V6 / HopByHop(), bytes(DestinationOptions(next_header=99))),
        (V6 / DestinationOptions() / ROUTE, b""),
        (V6 / HopByHop() / DestinationOptions() / ROUTE / ROUTE, b""),
    ):
        number = 60 if behind else 99
        body = behind + OCTETS[:200]
        head_len = len(bytes(front))
        step = 64
        parts = [
            front
            / Fragment(
                next_header=number, offset=at // 8, more=at + step < len(body), id=0xFFFFFFFF
            )
            / body[at : at + step]
            for at in range(0, len(body), step)
        ]
        packets = raw(parts).reassemble()
        assert list(packets.fragment(head_len + 8 + step + 7, ids=0xFFFFFFFF)) == [
            *map(bytes, parts)
        ]


def test_ids() -> None:
    mixed = [V6 / OCTETS[:100], V4 / OCTETS[:100], V6 / b"short", V6 / OCTETS[:200]]
    packets = raw(mixed)
    for ids, expected in (
        (0xFFFFFFFF, [0xFFFFFFFF, None, None, 0]),
        (np.array([9, 8, 7, 6], np.uint32), [9, None, None, 6]),
        ([9, 8, 7, 6], [9, None, None, 6]),
        (0, [0, None, None, 1]),
    ):
        made = packets.fragment(80, ids=ids)
        columns = made.columns("fragment.id", "fragment", "ipv4.id", "ipv4")
        for row, number in enumerate(expected):
            mine = made.rows == row
            there = columns["fragment"][mine]
            assert there.all() if number is not None else not there.any()
            assert set(columns["fragment.id"][mine].tolist()) <= {number, 0}
        assert (columns["ipv4.id"] == 7 * columns["ipv4"]).all()
    for wrong in ([1, 2], -1, 1 << 32):
        with pytest.raises(FieldError, match="ids"):
            packets.fragment(80, ids=wrong)
    with pytest.raises(TypeError, match="ids"):
        packets.fragment(80, ids=1.5)


def test_in_a_tunnel_every_fragment_has_its_own() -> None:
    inner = ETH / V4 / OCTETS[:3000]
    for front in (ETH / OUT / UDP(sport=1) / VXLAN(vni=3), ETH / V6 / GRE(flags=0x1000, key=7)):
        made = frames([front / inner]).fragment(1400, "inner")
        expected = frames([inner]).fragment(1400)
        assert list(made) == [bytes(front / encap.parse(part)) for part in expected]
        assert set(made.checksums().verdict.tolist()) == {Verdict.GOOD}
        assert len(frames([front / inner]).fragment(1400)) == 3
        assert list(frames([front / inner]).fragment(1400, "outer").reassemble()) == [
            bytes(front / inner)
        ]


# --- what cannot be split ------------------------------------------------------------------------


def test_df() -> None:
    packets = raw([replace(V4, flags=2) / OCTETS[:n] for n in (30, 100, 200)])
    made = packets.fragment(68)
    assert list(made) == [packets[0]]
    assert made.left_out == {"too long, and DF is set": 2}
    with pytest.raises(FieldError, match="row 1: too long, and DF is set"):
        packets.fragment(68, df="raise")
    assert packets[:1].fragment(68, df="raise").equals(packets[:1])
    made = packets.fragment(68, df="ignore")
    assert list(made.reassemble()) == list(packets)
    assert (made.columns("ipv4.flags")["ipv4.flags"] & 2 == 2).all()


@pytest.mark.parametrize(
    ("packet", "mtu", "said"),
    [
        (bytes(V4 / OCTETS[:100])[:90], 80, "too long, and cut by the capture"),
        (V6 / HopByHop(options=(Option(1, bytes(20)),)) / OCTETS[:100], 70, "not 8 octets fit"),
        (V4 / OCTETS[:100], 28, ""),
        (replace(V4, options=(Option(7, bytes(30)),)) / OCTETS[:100], 59, "not 8 octets fit"),
        (replace(V4, options=(Option(7, bytes(30)),)) / OCTETS[:100], 60, ""),
        (V6 / Fragment(id=3) / OCTETS[:100], 80, "an IPv6 fragment already"),
        (V6 / HopByHop() / Fragment(id=3, more=1) / OCTETS[:96], 80, "an IPv6 fragment already"),
        (V6 / DestinationOptions(options=(Option(1, bytes(20)),)) / UDP() / OCTETS[:100], 79,
         "headers longer than the first fragment"),
        (V6 / TCP() / OCTETS[:100], 64, "headers longer than the first fragment"),
        (V6 / TCP() / OCTETS[:100], 72, ""),
        (replace(V4, total_len=0) / OCTETS[:65600], 1500, "more than 65,535 octets"),
        (replace(V4, total_len=0) / OCTETS[:65000], 1500, ""),
        (replace(V6, payload_len=0, next_header=99) / OCTETS[:65536], 1500, "more than 65,535"),
        (replace(V4, fragment_offset=8000) / OCTETS[:1600], 1500, "more than 65,535 octets"),
    ],
    ids=str,
)  # fmt: skip
def test_what_cannot_be_split(packet: Packet | bytes, mtu: int, said: str) -> None:
    packets = raw([packet, V4 / b"short"], wire_lengths=[max(120, len(bytes(packet))), 25])
    made = packets.fragment(mtu)
    if not said:
        assert made.left_out == {}
        assert len(made) > 2
        return
    assert list(made) == [packets[1]]
    ((reason, count),) = made.left_out.items()
    assert said in reason
    assert count == 1


@pytest.mark.parametrize(
    "packet",
    [
        ETH / ARP() / OCTETS[:100],
        ETH / OCTETS[:100],
        bytes(ETH / V4)[:30] + b"\0",
        bytes(ETH / V4 / OCTETS[:100]).replace(b"\x08\0\x45", b"\x08\0\x35"),
        bytes(ETH / V6 / DestinationOptions(options=(Option(1, bytes(90)),)))[:100],
    ],
)
def test_what_is_no_ip_stays(packet: Packet | bytes) -> None:
    packets = frames([packet])
    made = packets.fragment(28)
    assert list(made) in ([bytes(packet)], [])
    assert len(made) + sum(made.left_out.values()) == 1


# --- arguments -----------------------------------------------------------------------------------


def test_nothing_is_copied_where_nothing_is_split() -> None:
    packets = raw([V4 / b"a", V6 / b"bc"], times=[1, 2], wire_lengths=[100, 100])
    made = packets.fragment(1500)
    assert made.data is packets.data
    assert made.equals(packets)
    assert len(raw([]).fragment(1500)) == 0


def test_out_threads_and_what_is_kept() -> None:
    packets = raw([V4 / OCTETS[:100]] * 30_000 + [V6 / OCTETS[:100]] * 3, times=np.arange(30_003))
    made = packets.fragment(76, threads=1)
    assert made.equals(packets.fragment(76, threads=3))
    assert np.array_equal(made.times, packets.times[made.rows])
    room = np.full(len(made.data), 0xA5, np.uint8)
    assert packets.fragment(76, out=room).equals(made)
    with pytest.raises(FieldError, match="out holds"):
        packets.fragment(76, out=room[1:])


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        ({"mtu": 27}, FieldError, "28 to 65535"),
        ({"mtu": 65536}, FieldError, "28 to 65535"),
        ({"mtu": 1500.0}, TypeError, "float"),
        ({"mtu": 1500, "df": "drop"}, FieldError, "skip, raise, ignore"),
        ({"mtu": 1500, "df": 1}, TypeError, "df is text"),
        ({"mtu": 1500, "layer": "tcp"}, FieldError, "an IP header"),
    ],
)
def test_what_cannot_be(arguments: dict[str, Any], error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        raw([V4 / b"a"]).fragment(**arguments)
