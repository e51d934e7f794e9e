"""Datagrams out of fragments: equal to a slow twin, to Scapy, and to what was split."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import reduce
from itertools import pairwise
from operator import truediv
from random import Random
from typing import Any

import numpy as np
import pytest
import stacks
from hypothesis import given
from hypothesis import strategies as st
from reassembly import Piece, Twin
from scapy.layers.inet import IP
from scapy.layers.inet import fragment as scapy_fragment
from scapy.layers.inet6 import IPv6 as ScapyIPv6
from scapy.layers.inet6 import IPv6ExtHdrFragment, fragment6
from scapy.packet import Raw

import encap
from encap import (
    GRE,
    MPLS,
    UDP,
    VLAN,
    VXLAN,
    DestinationOptions,
    Ethernet,
    FieldError,
    Fragment,
    Geneve,
    HopByHop,
    IPv4,
    IPv6,
    Option,
    Packets,
    Routing,
)
from encap.fragments import OVERLAPS, Reassembler
from encap.verify import Verdict

ETH = Ethernet(dst="02:00:00:00:00:02", src="02:00:00:00:00:01")
V4 = IPv4(src="192.0.2.1", dst="192.0.2.2", id=7, protocol=99)
V6 = IPv6(src="2001:db8::1", dst="2001:db8::2")
OUT = IPv4(src="198.51.100.1", dst="198.51.100.2")
OCTETS = bytes(range(256)) * 300
INCOMPLETE = "fragments of incomplete datagrams"


@pytest.fixture(params=encap.implementations())
def variant(request: pytest.FixtureRequest) -> Iterator[None]:
    with encap.implementation(request.param):
        yield


def four(piece: Piece, head: IPv4 = V4) -> encap.Packet:
    """A fragment as an IPv4 packet."""
    changes = {"flags": head.flags | piece.more, "fragment_offset": piece.offset // 8}
    return replace(head, tos=piece.ecn, **changes) / piece.octets


def six(piece: Piece, number: int = 7) -> encap.Packet:
    """A fragment as an IPv6 packet."""
    header = Fragment(next_header=99, offset=piece.offset // 8, more=piece.more, id=number)
    return replace(V6, traffic_class=piece.ecn) / header / piece.octets


def pieces_of(octets: bytes, *ends: int) -> list[Piece]:
    """The fragments of a datagram that is cut at these places."""
    cuts = [0, *ends, len(octets)]
    return [Piece(a, octets[a:b], b < len(octets)) for a, b in pairwise(cuts)]


def raw(packets: Iterable[encap.Packet | bytes], **options: Any) -> Packets:
    return Packets.from_frames([bytes(one) for one in packets], linktypes=101, **options)


def frames(packets: Iterable[encap.Packet | bytes], **options: Any) -> Packets:
    return Packets.from_frames([bytes(one) for one in packets], **options)


# --- against the twin ----------------------------------------------------------------------------


@st.composite
def trains(draw: st.DrawFn) -> list[Piece]:
    """Fragments of small datagrams, most of which fit together."""
    unit = st.integers(0, 6)
    random = draw(st.randoms(use_true_random=False))
    pieces = []
    for _ in range(draw(st.integers(1, 12))):
        offset, size = 8 * draw(unit), 8 * draw(st.integers(1, 4))
        more = draw(st.sampled_from([True, True, False]))
        if draw(st.integers(0, 9)) == 0:
            size = draw(st.integers(0, 20))
        ecn = draw(st.sampled_from([2, 2, 2, 2, 2, 1, 3, 0]))
        pieces.append(Piece(offset, random.randbytes(size), more, ecn))
    return pieces


@pytest.mark.parametrize("overlap", OVERLAPS)
@pytest.mark.parametrize("family", [4, 6])
@given(train=trains(), cuts=st.lists(st.integers(0, 12), max_size=3), seed=st.integers(0, 9))
def test_any_train_gives_what_the_twin_gives(
    family: int, overlap: str, train: list[Piece], cuts: list[int], seed: int
) -> None:
    train = [*train, *pieces_of(OCTETS[seed : seed + 40], 8, 24)]
    twin = Twin(overlap, six=family == 6)
    for piece in train:
        # An IPv4 packet that is neither begun nor continued is no fragment.
        if piece.offset or piece.more:
            twin.add(piece)
    twin.flush()
    packets = raw(four(piece) if family == 4 else six(piece) for piece in train)
    fragment = np.array([piece.offset > 0 or piece.more for piece in train])
    for parts in ([0, len(train)], sorted({0, len(train), *(min(c, len(train)) for c in cuts)})):
        reassembler, found = Reassembler(overlap=overlap), []
        for begin, end in pairwise(parts):
            made = reassembler.add(packets[begin:end])
            found += [
                frame for frame, row in zip(made, made.rows, strict=True) if fragment[begin + row]
            ]
        reassembler.flush()
        assert [octets_of(frame) for frame in found] == twin.whole
        assert reassembler.left_out == twin.lost


def octets_of(frame: bytes) -> tuple[bytes, int]:
    """Payload and ECN of a raw IP packet whose lengths and checksum are right."""
    packet = encap.parse(frame, 101, verify=True)
    ip = packet.headers[0]
    assert isinstance(ip, IPv4 | IPv6)
    assert len(packet.headers) == 1
    return packet.payload, ip.ecn


@pytest.mark.parametrize("implementation", encap.implementations())
@pytest.mark.parametrize("family", [4, 6])
def test_a_batch_is_what_a_stream_is(family: int, implementation: str) -> None:
    """Many datagrams between each other, in any order, some fragments twice, some missing."""
    random = Random(family)
    pieces = []
    for number in range(150):
        size = random.choice([9, 100, 1480, 3000, 60_000])
        cuts = sorted(random.sample(range(8, size, 8), min(random.randrange(6), size // 16)))
        for piece in pieces_of(OCTETS[number : number + size], *cuts):
            made = four(piece, replace(V4, id=number)) if family == 4 else six(piece, number)
            pieces += [made] * random.choice([0, 1, 1, 1, 1, 1, 1, 1, 1, 2])
    order = list(range(len(pieces)))
    for _ in range(len(order)):
        at = random.randrange(len(order) - 9)
        order[at : at + 9] = random.sample(order[at : at + 9], 9)
    packets = raw((pieces[at] for at in order), times=np.arange(len(pieces)) * 1000)
    with encap.implementation(implementation):
        for overlap in OVERLAPS:
            made = packets.reassemble(overlap=overlap)
            assert made.equals(packets.reassemble(overlap=overlap, threads=3))
            for rows in (1, 50, 5000) if overlap == "linux" else (50,):
                stream = Reassembler(overlap=overlap)
                parts = [stream.add(packets[at : at + rows]) for at in range(0, len(packets), rows)]
                assert Packets.concat(parts).equals(made)
                stream.flush()
                assert stream.left_out == made.left_out


# --- what a datagram looks like ------------------------------------------------------------------

TEMPLATES: dict[str, encap.Packet] = {
    "eth": ETH / V4,
    "tags": ETH / VLAN(vid=5) / VLAN(vid=7) / V4,
    "options": ETH / replace(V4, options=(Option(7, bytes(9)), Option(0x94, b"\0\0"))),
    "mpls": ETH / MPLS(label=16, bos=0) / MPLS(label=17) / V4,
    "vxlan": ETH / OUT / UDP(sport=1) / VXLAN(vni=42) / ETH / V4,
    "vxlan over ipv6": ETH / V6 / UDP(sport=1) / VXLAN(vni=42) / ETH / VLAN(vid=3) / V4,
    "no udp checksum": ETH / OUT / UDP(sport=1, checksum=0) / VXLAN() / ETH / V4,
    "geneve": ETH / V6 / UDP(sport=1) / Geneve(vni=5, options=bytes(8)) / V4,
    "gre": ETH / OUT / GRE(flags=0x1000, key=7, seq=1) / V4,
    "gre without checksum": ETH / OUT / GRE() / V4,
    "ipip": ETH / OUT / V4,
    "nested": ETH / OUT / GRE(flags=0x1000) / ETH / V6 / UDP(sport=9) / VXLAN() / ETH / V4,
}


@pytest.mark.parametrize("name", TEMPLATES)
@pytest.mark.parametrize("seen", [None, 30])
def test_it_is_what_packet_builds(name: str, seen: int | None) -> None:
    """Its frame is that of the whole packet, lengths and checksums around it too."""
    whole = frames([TEMPLATES[name] / OCTETS[:2000]])
    template = TEMPLATES[name]
    head = template.headers[-1]
    assert isinstance(head, IPv4)
    outer = reduce(truediv, template.headers[1:-1], template.headers[0])
    parts = frames(outer / four(piece, head) for piece in pieces_of(OCTETS[:2000], 800, 1600))
    if seen is not None:  # it does not matter what trails behind
        parts = parts.add_trailer(bytes(seen))
    made = parts.reassemble("inner")
    assert list(made) == list(whole)
    assert made.left_out == {}
    assert list(made.rows) == [0]
    if len(template.headers) > 5:
        assert list(parts.reassemble()) == list(parts)
        assert list(parts.decap(depth="all").reassemble()) == list(whole.decap(depth="all"))


def test_ipv6_extension_headers_stay_in_front() -> None:
    """And what the fragment header said follows is said by the one in front of it."""
    route = Routing(type=4, segments_left=0, data=bytes(4) + bytes(range(16)))
    chain = ETH / V6 / HopByHop() / DestinationOptions() / route
    body = bytes(UDP(sport=1, dport=2, len=1208, checksum=9)) + OCTETS[:1200]
    parts = [
        chain / Fragment(next_header=17, offset=p.offset // 8, more=p.more, id=1) / p.octets
        for p in pieces_of(body, 400, 800)
    ]
    made = frames(parts).reassemble()
    assert list(made) == [bytes(chain / UDP(sport=1, dport=2, checksum=9) / OCTETS[:1200])]
    # What later fragments say does not count: RFC 8200 section 4.5.
    later = [part.replace({"fragment.next_header": 6}) for part in parts[1:]]
    assert frames([*later, parts[0]]).reassemble().equals(made.replace(times=encap.NO_TIME))


def test_atomic_fragments_stay_as_they_are() -> None:
    """RFC 6946: one with an offset of 0 behind which nothing follows waits for nobody."""
    atomic = six(Piece(0, OCTETS[:8], False))
    parts = [six(piece) for piece in pieces_of(OCTETS[:32], 16)]
    made = raw([parts[0], atomic, parts[1]]).reassemble()
    assert list(made) == [bytes(atomic), bytes(replace(V6, next_header=99) / OCTETS[:32])]
    assert list(made.rows) == [1, 0]
    assert made.left_out == {}


def test_the_first_fragment_has_all_headers() -> None:
    """RFC 7112, RFC 8200 section 4.5: else nothing is made of it."""
    options = bytes(DestinationOptions(next_header=6, options=(Option(1, bytes(4)),)))
    for behind, short in ((options, 24), (bytes(8), 0)):
        number = 60 if short else 17
        body = behind + OCTETS[:200]
        for cut in (8, 16, 24, 32):
            parts = [
                V6 / Fragment(next_header=number, offset=p.offset // 8, more=p.more) / p.octets
                for p in pieces_of(body, cut)
            ]
            made = raw(parts).reassemble()
            if cut < (28 if short else 8):
                assert made.left_out == {"first fragments without all headers": 1, INCOMPLETE: 1}
            else:
                assert len(made) == 1


@pytest.mark.parametrize("times", ["first", "last"])
def test_where_it_stands_and_when(times: str) -> None:
    whole = [four(p, replace(V4, id=n)) for n in range(2) for p in pieces_of(OCTETS[:48], 16, 32)]
    other = V4 / b"whole"
    order = [whole[4], other, whole[2], whole[0], other, whole[5], whole[1], whole[3], other]
    made = raw(order, times=np.arange(9) * 10).reassemble(times=times)
    assert list(made.rows) == [1, 4, 2, 0, 8]
    assert list(made.times) == ([10, 40, 20, 0, 80] if times == "first" else [10, 40, 60, 70, 80])
    assert list(made) == [bytes(one) for one in (other, other)] + [
        bytes(replace(V4, id=n) / OCTETS[:48]) for n in range(2)
    ] + [bytes(other)]
    assert list(made.lengths) == list(made.wire_lengths)


def test_ipv4_flags_and_checksum() -> None:
    """DF and the reserved bit are those of the first one; a checksum is as wrong as it was."""
    for flags, wrong in ((0, 0), (2, 0), (6, 0), (0, 0x1234)):
        parts = []
        for piece in pieces_of(OCTETS[:32], 8, 16):
            made = encap.parse(
                bytes(four(piece, replace(V4, flags=flags if not parts else 0))), 101
            )
            checksum = (made["ipv4.checksum"] + wrong) % 0xFFFF
            parts.append(made.replace({"ipv4.checksum": checksum}))
        joined = raw(parts).reassemble()
        packet = encap.parse(joined[0], 101)
        assert packet["ipv4.flags"] == flags
        right = encap.parse(bytes(replace(V4, flags=flags) / OCTETS[:32]), 101)
        assert packet["ipv4.checksum"] == (right["ipv4.checksum"] + wrong) % 0xFFFF


@pytest.mark.parametrize(
    ("marks", "result"),
    [
        ((2, 2), 2),
        ((1, 2), 1),
        ((2, 3), 3),
        ((3, 1), 3),
        ((0, 0), 0),
        ((0, 3), None),
        ((1, 0), None),
    ],
)
@pytest.mark.parametrize("family", [4, 6])
def test_ecn(family: int, marks: tuple[int, int], result: int | None) -> None:
    """RFC 3168 section 5.3: congestion seen by one fragment is seen by all of them."""
    train = [p._replace(ecn=m) for p, m in zip(pieces_of(OCTETS[:32], 8), marks, strict=True)]
    made = raw(four(piece) if family == 4 else six(piece) for piece in train).reassemble()
    if result is None:
        assert made.left_out == {"fragments that disagree on ECN": 2}
    else:
        assert octets_of(made[0]) == (OCTETS[:32], result)


# --- which belong together -----------------------------------------------------------------------

OTHERS: dict[str, dict[str, object]] = {
    "id": {"ipv4.id": 8},
    "source": {"ipv4.src": "192.0.2.9"},
    "destination": {"ipv4.dst": "1.1.1.1"},
    "protocol": {"ipv4.protocol": 98},
    "vlan": {"vlan.vid": 6},
    "inner vlan": {"vlan[1].vid": 8},
}
SAME: dict[str, dict[str, object]] = {
    "ttl": {"ipv4.ttl": 3},
    "priority": {"vlan.pcp": 3},
    "mac": {"eth.src": "02:00:00:00:00:09"},
}


@pytest.mark.parametrize("name", [*OTHERS, *SAME])
def test_what_tells_datagrams_apart(name: str) -> None:
    front = ETH / VLAN(vid=5) / VLAN(vid=7)
    first, second = (front / four(piece) for piece in pieces_of(OCTETS[:32], 8))
    made = frames([first, second.replace((OTHERS | SAME)[name])]).reassemble()
    assert len(made) == (name in SAME)
    assert sum(made.left_out.values()) == (0 if name in SAME else 2)


@pytest.mark.parametrize(
    ("front", "change", "apart"),
    [
        (ETH / OUT / UDP(sport=1) / VXLAN(vni=1) / ETH, {"vxlan.vni": 2}, True),
        (ETH / OUT / UDP(sport=1) / VXLAN(vni=1) / ETH, {"ipv4.src": "9.9.9.9"}, False),
        (ETH / OUT / UDP(sport=1) / Geneve(vni=1), {"geneve.vni": 2}, True),
        (ETH / OUT / UDP(sport=1) / Geneve(vni=1), {"udp.sport": 2}, False),
        (ETH / OUT / GRE(key=1), {"gre.key": 2}, True),
        (ETH / OUT / GRE(key=1), {"ipv4.src": "9.9.9.9"}, False),
        (ETH / OUT / GRE(), {"ipv4.src": "9.9.9.9"}, True),
        (ETH / OUT, {"ipv4.dst": "9.9.9.9"}, True),
        (ETH / OUT, {"ipv4.ttl": 9}, False),
        (ETH / V6, {"ipv6.src": "::9"}, True),
        (ETH / V6, {"ipv6.flow_label": 9}, False),
        (ETH / MPLS(label=16), {"mpls.label": 17}, True),
        (ETH / MPLS(label=16), {"mpls.ttl": 17}, False),
        (ETH / V6 / V6 / V6 / V6, {"ipv6.src": "::9"}, True),
        (ETH / V6 / V6 / V6 / V6, {"ipv6[3].src": "::9"}, True),
        (ETH / V6 / V6 / V6 / V6, {"ipv6[3].hop_limit": 9}, False),
    ],
    ids=str,
)
def test_the_tunnel_in_front_counts(
    front: encap.Packet, change: dict[str, object], *, apart: bool
) -> None:
    first, second = (front / four(piece) for piece in pieces_of(OCTETS[:32], 8))
    made = frames([first, second.replace(change)]).reassemble("inner")
    assert len(made) == (not apart)


def test_families_and_tunnels_are_kept_apart() -> None:
    """In IPv4 a fragment of IPv6 is none; of several headers the first that says so counts."""
    header = Fragment(next_header=17, offset=1, more=True, id=7)
    odd = [OUT / header / OCTETS[:16], replace(OUT, flags=1) / header / OCTETS[:16]]
    made = raw(odd).reassemble()
    assert made.left_out == {"malformed fragments": 1, INCOMPLETE: 1}
    twice = V6 / Fragment(more=True, id=1) / Fragment(next_header=99, offset=2, id=2) / OCTETS[:16]
    end = V6 / Fragment(next_header=44, offset=3, id=1) / OCTETS[:8]
    made = raw([twice, end]).reassemble()
    assert [encap.parse(one, 101).path for one in made] == ["ipv6/fragment"]


# --- what is wrong with them ---------------------------------------------------------------------


def test_octets_are_missing() -> None:
    first, second = (four(piece) for piece in pieces_of(OCTETS[:400], 200))
    packets = raw([first, bytes(second)[:100]], wire_lengths=[220, 220])
    made = packets.reassemble()
    assert made.left_out == {"fragments with octets missing": 1, INCOMPLETE: 1}
    # An outer length can end an inner packet too.
    packet = encap.parse(bytes(ETH / OUT / second)).replace({"ipv4.total_len": 100})
    assert frames([packet]).reassemble("inner").left_out == {"fragments with octets missing": 1}


def test_it_would_be_too_long() -> None:
    last = Piece(65528, OCTETS[:8], False)
    for family, make, room in ((4, four, 65515), (6, six, 65535)):
        made = raw([make(Piece(0, OCTETS[:8], True)), make(last)]).reassemble()
        assert made.left_out == {"fragments of more than 65,535 octets together": 2}
        for size in (room, room + 1):
            train = pieces_of(OCTETS[:size], *range(1480, size, 1480))
            made = raw(make(piece) for piece in train).reassemble()
            assert len(made) == (size == room), (family, size)
            reason = "fragments of more than 65,535 octets together"
            assert made.left_out == ({} if size == room else {reason: len(train)})


def test_headers_around_cannot_say_how_long_it_is() -> None:
    train = pieces_of(OCTETS[:65500], *range(1480, 65500, 1480))
    packets = frames(ETH / OUT / UDP(sport=1) / VXLAN() / ETH / four(piece) for piece in train)
    made = packets.reassemble("inner")
    assert made.left_out == {"fragments too long together for a header around them": len(train)}
    assert len(packets.decap().reassemble()) == 1
    llc = encap.LLC()
    made = frames(ETH / llc / four(piece) for piece in pieces_of(OCTETS[:1480], 800)).reassemble()
    assert len(made) == 0
    made = frames(ETH / llc / four(piece) for piece in pieces_of(OCTETS[:1440], 800)).reassemble()
    assert list(made) == [bytes(ETH / llc / V4 / OCTETS[:1440])]


def test_a_checksum_around_that_is_partial_or_wrong_is_made_anew() -> None:
    outer = ETH / OUT / UDP(sport=1, checksum=7) / VXLAN() / ETH
    made = frames(outer / four(piece) for piece in pieces_of(OCTETS[:99], 64)).reassemble("inner")
    assert set(made.checksums().verdict.tolist()) == {Verdict.GOOD}


@pytest.mark.parametrize("change", [stacks.as_it_is, stacks.flipped, stacks.cut])
@pytest.mark.parametrize("overlap", OVERLAPS)
def test_of_random_packets_every_one_is_somewhere(overlap: str, change: stacks.Change) -> None:
    """In the result as it was, part of a datagram there, or counted."""
    packets = stacks.random_packets(2000, 5, change)
    for layer in ("outer", "inner", "ipv6[1]"):
        result = packets.reassemble(layer, overlap=overlap)
        same = [packets[row] == frame for row, frame in zip(result.rows, result, strict=True)]
        joined = len(result) - sum(same)
        assert sum(same) + joined + sum(result.left_out.values()) <= len(packets)
        if layer == "inner":
            fragments = packets.parse().status == encap.Status.FRAGMENT
            assert not fragments[result.rows[same]].any()


# --- arguments -----------------------------------------------------------------------------------


def test_without_fragments_nothing_is_copied() -> None:
    packets = raw([V4 / b"a", V6 / b"bc"], times=[1, 2], wire_lengths=[100, 100])
    for made in (packets.reassemble(), Reassembler().add(packets)):
        assert made.data is packets.data
        assert made.equals(packets)
    room = np.full(200, 0xA5, np.uint8)
    made = packets.reassemble(out=room)
    assert made.equals(packets)
    assert np.shares_memory(made.data, room)
    assert len(raw([]).reassemble()) == 0


def test_out() -> None:
    packets = raw(four(piece) for piece in pieces_of(OCTETS[:99], 64))
    room = np.full(int(packets.lengths.sum()), 0xA5, np.uint8)
    made = packets.reassemble(out=room)
    assert made.equals(packets.reassemble())
    assert np.shares_memory(made.data, room)
    with pytest.raises(FieldError, match="out holds"):
        packets.reassemble(out=room[:-1])
    with pytest.raises(FieldError, match="overlap"):
        Packets(room, [0], [60], linktypes=101).reassemble(out=room)


def test_ports_and_what_a_batch_carries() -> None:
    inner = [four(piece) for piece in pieces_of(OCTETS[:99], 64)]
    packets = frames(ETH / OUT / UDP(sport=1, dport=99) / VXLAN() / ETH / part for part in inner)
    assert len(packets.reassemble("inner")) == 2
    assert len(packets.reassemble("inner", ports={99: "vxlan"})) == 1
    bound = packets.with_ports({99: "vxlan"}).reassemble("inner")
    assert bound.columns("vxlan")["vxlan"].all()


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"layer": "udp"}, FieldError, "an IP header"),
        ({"layer": "ipv4.src"}, FieldError, "an IP header"),
        ({"layer": "nothing"}, FieldError, "an IP header"),
        ({"layer": 1}, TypeError, "layer is text"),
        ({"overlap": "both"}, FieldError, "linux, rfc, first, last"),
        ({"overlap": None}, TypeError, "overlap is text"),
        ({"times": "middle"}, FieldError, "'first' or 'last'"),
        ({"times": 1}, TypeError, "times is text"),
        ({"timeout": -1}, FieldError, "0 or more"),
        ({"timeout": float("nan")}, FieldError, "0 or more"),
        ({"timeout": "1"}, TypeError, "number of seconds"),
        ({"out": b"abc"}, TypeError, "numpy array"),
    ],
)
def test_what_cannot_be(options: dict[str, Any], error: type[Exception], said: str) -> None:
    packets = raw([V4 / b"a"])
    with pytest.raises(error, match=said):
        packets.reassemble(**options)
    if "out" not in options:
        with pytest.raises(error, match=said):
            Reassembler(**options)


# --- Scapy ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 8, 100, 1480, 1481, 5000, 65515])
def test_what_scapy_splits(size: int) -> None:
    packet = IP(src="10.0.0.1", dst="10.0.0.2", id=5, proto=99) / Raw(OCTETS[:size])
    parts = [bytes(part) for part in scapy_fragment(packet, 1480)]
    whole = raw([bytes(packet)])
    assert list(raw(parts).reassemble()) == list(whole)
    assert list(whole.fragment(1500)) == parts
    new = ScapyIPv6(src="::1", dst="::2") / IPv6ExtHdrFragment(id=5, nh=99) / Raw(OCTETS[:size])
    parts = [bytes(part) for part in fragment6(new, 1280)]
    whole = raw([bytes(ScapyIPv6(src="::1", dst="::2", nh=99) / Raw(OCTETS[:size]))])
    if len(parts) > 1:
        assert list(raw(parts).reassemble()) == list(whole)
        assert list(whole.fragment(1280, ids=5)) == parts
