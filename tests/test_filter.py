"""Expressions select the packets that a slow evaluator over `encap.parse` selects."""

from __future__ import annotations

import json
import pickle
from collections import deque
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from random import Random
from typing import Any

import judge
import numpy as np
import pytest
from hypothesis import given

import encap
from encap import Filter, GeneveOption, Packets
from encap.filter import program
from encap.walk import PathTable

ROOT = Path(__file__).parent.parent
MACS: dict[str, Any] = {"dst": "02:00:00:00:00:02", "src": "02:00:00:00:00:01"}


def hold_equal(case: judge.Case) -> None:
    expected = [case.holds(frame) for frame in judge.frames()]
    found = judge.packets().match(case.text)
    assert found.dtype == np.bool_
    wrong = np.flatnonzero(found != np.array(expected))
    assert not wrong.size, f"{case.text}: row {wrong[0]} {judge.frames()[wrong[0]].packet!r}"


@pytest.mark.parametrize("kind", judge.TESTS)
def test_each_test_means_what_it_says(kind: str) -> None:
    @given(case=judge.TESTS[kind])
    def hold(case: judge.Case) -> None:
        hold_equal(case)

    hold()


@given(case=judge.CASES)
def test_any_expression_means_what_it_says(case: judge.Case) -> None:
    hold_equal(case)


VERDICTS = json.loads((ROOT / "tests/vectors/filter/tshark.json").read_text())["captures"]


@pytest.mark.parametrize("capture", VERDICTS)
def test_tshark_selects_the_same_packets(capture: str) -> None:
    packets = encap.read(ROOT / capture)[: VERDICTS[capture]["first"]]
    whole = packets.match("status == ok")
    for verdict in VERDICTS[capture]["verdicts"]:
        expected = np.zeros(len(packets), np.bool_)
        for first, last in verdict["rows"]:
            expected[first : last + 1] = True
        found = packets.match(verdict["encap"])
        assert (found & whole == expected & whole).all(), verdict


# --- what a comparison means ------------------------------------------------------------


def frame(*headers: encap.Header, vni: int = 42) -> bytes:
    """The headers in VXLAN."""
    outer = encap.Ethernet(**MACS) / encap.IPv4(src="192.0.2.1", dst="192.0.2.2", ttl=9)
    inner = encap.Ethernet(**MACS) / encap.Packet(*headers)
    return bytes(outer / encap.UDP() / encap.VXLAN(vni=vni) / inner)


IPV4 = encap.IPv4(src="10.0.0.1", dst="10.0.0.2")
IPV6 = encap.IPv6(src="fe80::1", dst="::")
MAPPED = encap.IPv6(src="::ffff:10.0.0.1", dst="::1")


@pytest.fixture(scope="module")
def batch() -> Packets:
    """Plain, VXLAN with VNI 0 and 42, IPv6 inside, and an IPv6 address that looks like IPv4."""
    plain = bytes(encap.Ethernet(**MACS) / IPV4 / encap.TCP(sport=1, dport=0))
    frames = [
        plain,
        frame(IPV4, encap.TCP(sport=1, dport=80), vni=0),
        frame(IPV4, encap.TCP(sport=1, dport=443)),
        frame(IPV6, encap.UDP(sport=5, dport=53)),
        frame(MAPPED, encap.TCP(sport=1, dport=443)),
    ]
    times = [encap.NO_TIME, 0, 1_714_566_600_500_000_000, 1_714_566_600_000_000_001, -1]
    return Packets.from_frames(frames, times=times)


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        # what is absent compares with nothing
        ("vxlan.vni == 0", [1]),
        ("vxlan.vni != 42", [1]),
        ("not vxlan.vni == 42", [0, 1]),
        ("vxlan.vni < 42", [1]),
        ("vxlan.vni <= 42", [1, 2, 3, 4]),
        ("vxlan.vni >= 0", [1, 2, 3, 4]),
        ("vxlan.vni < 0", []),
        ("vxlan.vni in 0..41", [1]),
        ("inner.tcp.dport != 443", [0, 1]),
        ("tcp.dport == 0", [0]),
        ("inner.ipv4.src == inner.ipv4.src", [0, 1, 2]),
        ("vxlan.vni == tcp.dport", []),
        ("vxlan.vni != tcp.dport", [1, 2, 4]),
        # addresses of either family
        ("inner.ip.src == 10.0.0.1", [0, 1, 2]),
        ("inner.ip.src != 10.0.0.1", [3, 4]),
        ("inner.ip.src in 10.0.0.0/8", [0, 1, 2]),
        ("inner.ip.src in 0.0.0.0/0", [0, 1, 2]),
        ("inner.ip.src in ::/0", [3, 4]),
        ("inner.ip.src == ::ffff:10.0.0.1", [0, 1, 2, 4]),
        ("inner.ip.src in ::ffff:0:0/96", [0, 1, 2, 4]),
        ("inner.ip.src in {10.0.0.1, fe80::/10}", [0, 1, 2, 3]),
        ("inner.ip.src < 10.0.0.2", [0, 1, 2]),
        ("inner.ip.src > ::", [3, 4]),
        ("inner.ip.dst == ::", [3]),
        ("inner.ip.dst < ::2", [3, 4]),
        ("outer.ip.src != inner.ip.src", [1, 2, 3, 4]),
        ("outer.ip.src > inner.ip.src", [1, 2]),
        # order of the operators
        ("vxlan.vni == 0 or vxlan.vni == 42 and inner.ipv6", [1, 3, 4]),
        ("(vxlan.vni == 0 or vxlan.vni == 42) and inner.ipv6", [3, 4]),
        ("not vxlan or inner.udp", [0, 3]),
        ("not (vxlan or inner.udp)", [0]),
        ("not not vxlan", [1, 2, 3, 4]),
        # every occurrence
        ("ipv4[*].ttl == 9", [1, 2, 3, 4]),
        ("ipv4[*].ttl == 64", [0, 1, 2]),
        ("not ipv4[*].ttl == 64", [3, 4]),
        ("ipv4[*].ttl != 9", [0, 1, 2]),
        ("eth[*]", [0, 1, 2, 3, 4]),
        ("ip[*].src == outer.ip.dst", []),
        ("outer.ip.ttl < ip[*].ttl", [1, 2, 3, 4]),
        # times
        ("time < 0", [4]),
        ("time <= 1970-01-01", [1, 4]),
        ("time != 0", [2, 3, 4]),
        ("time == 2024-05-01T12:30:00.5Z", [2]),
        ("time == 2024-05-01T14:30:00.5+02:00", [2]),
        ('time == "2024-05-01 12:30:00.500000000"', [2]),
        ("time > 2024-05-01T12:30", [2, 3]),
        ("time in 2024-05-01..2024-05-02", [2, 3]),
        ("time == 1714566600000000001", [3]),
        # the packet itself
        ("length == wire_length", [0, 1, 2, 3, 4]),
        ("length < 60", [0]),
        ('path in {"eth/ipv4/tcp"}', [0]),
        ('path like "*/ipv6/*"', [3, 4]),
        ('path like "*"', [0, 1, 2, 3, 4]),
        ('path == ""', []),
        ("tunnel.kind == vxlan", [1, 2, 3, 4]),
        ('tunnel.kind in {gre, "vxlan"}', [1, 2, 3, 4]),
        ("status in {ok}", [0, 1, 2, 3, 4]),
        ("status == 0", [0, 1, 2, 3, 4]),
        ("inner.eth.src in 02:00:00:00:00:00/40", [0, 1, 2, 3, 4]),
        ("eth.src in 02-00-00-00-00-01..02-00-00-00-00-02", [0, 1, 2, 3, 4]),
        ("\tvxlan\n and\r\n vxlan.vni\n==\n0X2a ", [2, 3, 4]),
        ("vxlan.vni==42 and(inner.udp)", [3]),
    ],
)
def test_what_a_comparison_means(batch: Packets, text: str, rows: list[int]) -> None:
    assert np.flatnonzero(batch.match(text)).tolist() == rows


def test_headers_behind_options_of_any_length() -> None:
    """What no offset from the start of the packet can say."""
    frames = []
    for words in range(63):
        data = [bytes(4 * min(left, 31)) for left in (words - 1, words - 33) if left > -1]
        options = [GeneveOption(0x0102, number, octets) for number, octets in enumerate(data)]
        outer = encap.Ethernet(**MACS) / IPV4 / encap.UDP() / encap.Geneve(vni=7, options=options)
        for port in (443, 444):
            inner = encap.Ethernet(**MACS) / IPV4 / encap.TCP(sport=1, dport=port)
            frames.append(bytes(outer / inner))
    packets = Packets.from_frames(frames)
    assert len(set(packets.columns("geneve.opt_len")["geneve.opt_len"].tolist())) > 60
    selected = packets.match("geneve.vni == 7 and inner.tcp.dport == 443")
    assert selected.tolist() == [True, False] * 63
    one_word = packets.match("geneve.option[0x0102, 0] == 0x00000000")
    assert np.flatnonzero(one_word).tolist() == [4, 5]


# --- sets that are large, batches that are in pieces ----------------------------------------


@pytest.mark.parametrize("count", [13, 1500])
@pytest.mark.parametrize(
    ("name", "bits", "make"),
    [
        ("inner.tcp.dport", 16, str),
        ("inner.ipv4.ttl", 8, str),
        ("vxlan.vni", 24, str),
        ("inner.ip.src", 32, lambda n: str(IPv4Address(n))),
        ("inner.ip.src", 128, lambda n: str(IPv6Address(n))),
        ("inner.eth.src", 48, lambda n: str(encap.MAC(n))),
        ("time", 62, str),
    ],
)
def test_large_sets(count: int, name: str, bits: int, make: Callable[[int], str]) -> None:
    random = Random(count + bits)
    near = random.getrandbits(bits) & ~0xFF
    numbers = [random.getrandbits(bits) for _ in range(count)]
    numbers += [min(near + random.getrandbits(8), (1 << bits) - 1) for _ in range(20)]
    wanted = set(numbers[::2])
    if name == "time":
        packets = Packets.from_frames([b""] * len(numbers), times=numbers)
    else:
        packets = Packets.from_frames([with_value(name, bits, number) for number in numbers])
    found = packets.match(f"{name} in {{{', '.join(map(make, wanted))}}}")
    assert found.tolist() == [number in wanted for number in numbers]
    others = packets.match(f"not {name} in {{{', '.join(map(make, wanted))}}}")
    assert (others == ~found).all()


def with_value(name: str, bits: int, number: int) -> bytes:
    """A frame in which a field of `bits` bits has that value."""
    tcp, vni = encap.TCP(sport=1, dport=number if bits == 16 else 1), number if bits == 24 else 1
    if bits == 128:
        return frame(encap.IPv6(src=number, dst=1), tcp)
    ipv4 = encap.IPv4(src=number if bits == 32 else 1, dst=1, ttl=number if bits == 8 else 1)
    made = frame(ipv4, tcp, vni=vni)
    if bits == 48:
        at = made.rindex(bytes(encap.Ethernet(**MACS))[:12]) + 6
        made = made[:at] + number.to_bytes(6, "big") + made[at + 6 :]
    return made


EXPRESSIONS = [
    "vxlan.vni == 42 and inner.ip.src in {10.0.0.0/8, fd00::/8}",
    'path like "*/vlan/*" or status == truncated',
    "ipv4[*].ttl < 64 or vlan[*].vid > 100",
    "tcp.option[2] or geneve.option[0x0102,0x80]",
    "length > 100 and not time < 2025-01-01",
    "outer.ip.src != inner.ip.src",
]


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("block", [3, 100, 1 << 15])
def test_pieces_and_threads_change_nothing(
    monkeypatch: pytest.MonkeyPatch, block: int, threads: int
) -> None:
    packets = judge.packets()[::7]
    expected = [packets.match(text) for text in EXPRESSIONS]
    monkeypatch.setattr("encap._lib.ROWS_A_THREAD", 1)
    monkeypatch.setattr(program, "BLOCK", block)
    for text, mask in zip(EXPRESSIONS, expected, strict=True):
        found = packets.match(text, threads=threads)
        assert (found == mask).all(), text
        for implementation in encap.implementations():
            with encap.implementation(implementation):
                assert (packets.match(text, threads=threads) == mask).all(), text


def test_more_paths_than_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = {text: judge.packets().match(text) for text in EXPRESSIONS}
    monkeypatch.setattr("encap.gather._idle", deque())
    monkeypatch.setattr("encap.gather.PathTable", lambda: PathTable(4))
    for text, mask in expected.items():
        assert (judge.packets().match(text) == mask).all(), text


# --- where -----------------------------------------------------------------------------------


def test_where_selects_without_a_copy(batch: Packets) -> None:
    found = batch.where("inner.tcp.dport == 443")
    assert found.data is batch.data
    assert found.rows.tolist() == [2, 4]
    assert list(found) == [batch[2], batch[4]]
    assert found.times.tolist() == [int(batch.times[2]), int(batch.times[4])]
    assert len(batch.where("gre")) == 0
    assert batch.where("eth").equals(batch)


def test_ports() -> None:
    outer = encap.Ethernet(**MACS) / IPV4 / encap.UDP(sport=1, dport=8473)
    inner = encap.Ethernet(**MACS) / IPV4 / encap.TCP(sport=1, dport=443)
    packets = Packets.from_frames([bytes(outer / encap.VXLAN(vni=7) / inner)])
    assert not packets.match("vxlan").any()
    assert packets.match("vxlan", ports={8473: "vxlan"}).all()
    found = packets.where("vxlan.vni == 7", ports={8473: "vxlan"})
    assert len(found) == 1
    assert not found.match("vxlan").any()  # ports of a call are not those of the batch
    bound = packets.with_ports({8473: "vxlan"}).where("vxlan")
    assert bound.match('vxlan and path like "*/tcp" and not gre[*].key == 1').all()


@pytest.mark.parametrize("text", [*EXPRESSIONS, "not vxlan", "eth[*].type == 1"])
def test_empty_batches(text: str) -> None:
    empty = Packets.from_frames([])
    assert empty.match(text).shape == (0,)
    assert len(empty.where(text)) == 0


# --- the filter itself --------------------------------------------------------------------------


def test_a_filter_is_a_value(batch: Packets) -> None:
    text = "vxlan.vni == 42 and (inner.tcp.dport == inner.l4.sport or vlan[*]) and vxlan"
    made = Filter(text)
    assert made.text == text
    assert made.names == ("vxlan.vni", "inner.tcp.dport", "inner.l4.sport", "vlan[*]", "vxlan")
    assert made == Filter(text)
    assert hash(made) == hash(Filter(text))
    assert made != Filter("vxlan")
    assert made != text
    assert repr(made) == f"Filter({text!r})"
    again = pickle.loads(pickle.dumps(made))
    assert again == made
    assert (again.match(batch) == batch.match(made)).all()
    assert batch.where(made).equals(batch.where(text))
    with pytest.raises(AttributeError, match="immutable"):
        made.text = "vxlan"
    with pytest.raises(AttributeError, match="immutable"):
        del made.text


@pytest.mark.parametrize("wrong", [None, 5, b"vxlan", ["vxlan"]])
def test_an_expression_is_text(batch: Packets, wrong: Any) -> None:
    with pytest.raises(TypeError, match="text"):
        batch.match(wrong)
    with pytest.raises(TypeError, match="text"):
        Filter(wrong)


def test_filters_may_be_long(batch: Packets) -> None:
    ports = " or ".join(f"inner.tcp.dport == {port}" for port in range(400, 5400))
    assert np.flatnonzero(batch.match(ports)).tolist() == [2, 4]
    assert batch.match("not " * 10_000 + "vxlan").tolist() == batch.match("vxlan").tolist()
    assert batch.match("(" * 64 + "vxlan" + ")" * 64).tolist() == batch.match("vxlan").tolist()
    ladder = "(" * 60 + "vxlan" + " and eth)" * 30 + " or gre)" * 30
    assert batch.match(ladder).tolist() == batch.match("vxlan").tolist()


@pytest.mark.parametrize(
    ("text", "name", "holds"),
    [
        ("tcp.flags & 2 == 2", "tcp.flags", lambda value: value & 2 == 2),
        ("tcp.flags & 2 != 2", "tcp.flags", lambda value: value & 2 != 2),
        ("tcp.flags & 0x12 == 2", "tcp.flags", lambda value: value & 0x12 == 2),
        ("tcp.flags & 0x12 == 0", "tcp.flags", lambda value: value & 0x12 == 0),
        ("tcp.flags&3 in {1, 2}", "tcp.flags", lambda value: value & 3 in (1, 2)),
        ("ipv4.ttl & 0xff in 1..63", "ipv4.ttl", lambda value: 1 <= value <= 63),
        ("vxlan.vni & 0xfffffe >= 42", "vxlan.vni", lambda value: value & 0xFFFFFE >= 42),
        ("length & 1 == 0", "length", lambda value: value & 1 == 0),
        ("gre.key & 0xff000000 < 1", "gre.key", lambda value: value & 0xFF000000 < 1),
    ],
)
def test_bits(text: str, name: str, holds: Callable[[int], bool]) -> None:
    """Of a number those of the mask are compared; a packet without the field never matches."""
    packets = encap.read(ROOT / "examples" / "overlay.pcap")
    names = (name,) if name == "length" else (name, f"{name}?")
    columns = packets.columns(*names)
    there = columns.get(f"{name}?", np.ones(len(packets), np.bool_))
    expected = [
        bool(has) and holds(int(value)) for has, value in zip(there, columns[name], strict=True)
    ]
    assert packets.match(text).tolist() == expected
    assert sum(expected) < len(packets)


def test_bits_of_every_header() -> None:
    """And they bind more tightly than what joins conditions."""
    packets = encap.read(ROOT / "examples" / "overlay.pcap")
    tags = packets.match("vlan.vid & 1 == 1") | packets.match("vlan[1].vid & 1 == 1")
    assert (packets.match("vlan[*].vid & 1 == 1") >= tags).all()
    assert tags.any()
    both = packets.match("tcp.flags & 2 != 0 and tcp.flags & 16 == 0")
    assert both.tolist() == packets.match("tcp.flags & 0x12 == 2").tolist()
