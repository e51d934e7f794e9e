"""Decapsulation of batches: which tunnel goes, where the inner packet ends, what is carried inward.

`test_golden.py` holds it against a kernel; here it is held against `encap.parse`, option by option.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any, NamedTuple

import golden
import numpy as np
import pytest
import stacks

import encap
from encap import FieldError, Packets
from encap.decapsulate import TUNNELS
from encap.registry import DEFAULT

KINDS = [None, *TUNNELS]


class Inner(NamedTuple):
    octets: bytes
    linktype: int
    wire_length: int


# --- the same in Python ----------------------------------------------------------------


def tunnels(
    frame: bytes, linktype: int, wire_length: int, ports: dict[int, str | None] | None = None
) -> Iterator[tuple[str, Inner]]:
    """Every tunnel of a frame, the outermost first: its kind, and what is in it."""
    registry = DEFAULT.extend(ports=ports) if ports else DEFAULT
    packet = encap.parse(frame, linktype, strict=False, ports=ports)
    trailers = dict(packet.trailers)
    at, end, wire_end = 0, len(frame), max(wire_length, len(frame))
    network = ""

    def inside(link: int) -> Inner:
        return Inner(frame[at:end], link, wire_end - at)

    for index, header in enumerate(packet):
        if network and header.path in {"ipv4", "ipv6"}:
            yield ip_in_ip(network, header.path), inside(101)
        if packet.broken and header is packet.headers[-1]:
            return
        extent = header.extent()
        if extent is not None:
            wire_end = min(wire_end, at + extent[0])
        end -= len(trailers.get(index, b""))
        at += header.header_len
        if header.path in {"ipv4", "ipv6"}:
            network = header.path
        if header.tunnel:
            follows = header.follows(registry, memoryview(frame)[at:end])
            if header.path == "gre" and follows == "erspan":
                continue
            network = ""
            ppp = header.path == "gre" and header.protocol == 0x880B
            yield header.path, inside(9 if ppp else 1 if follows == "eth" else 101)
    # An inner IP header that is cut, or one too many: its tunnel's header was whole.
    error = packet.error
    if network and error is not None and error.layer in {"ipv4", "ipv6"}:
        yield ip_in_ip(network, error.layer), inside(101)


def ip_in_ip(outer: str, inner: str) -> str:
    return "ip6tnl" if outer == "ipv6" else "ipip" if inner == "ipv4" else "sit"


def expected(
    packets: Packets, kind: str | None, depth: int, others: str,
    ports: dict[int, str | None] | None = None,
) -> list[tuple[int, Inner]]:  # fmt: skip
    rows = []
    columns = (packets, packets.linktypes.tolist(), packets.wire_lengths.tolist())
    for row, (frame, linktype, wire) in enumerate(zip(*columns, strict=True)):
        found = [
            inner for name, inner in tunnels(frame, linktype, wire, ports) if kind in {None, name}
        ][:depth]
        if found:
            rows.append((row, found[-1]))
        elif others == "keep":
            rows.append((row, Inner(frame, linktype, wire)))
    return rows


def got(inner: Packets) -> list[tuple[int, Inner]]:
    columns = (inner.rows.tolist(), inner, inner.linktypes.tolist(), inner.wire_lengths.tolist())
    return [(row, Inner(*rest)) for row, *rest in zip(*columns, strict=True)]


@pytest.fixture(scope="module")
def packets() -> Packets:
    """A mixed batch: of a kernel, and random ones as made, damaged, cut, padded."""
    random = [stacks.random_packets(800, 41, change) for change in stacks.CHANGES]
    return Packets.concat([golden.every_frame()[::15], *random])


@pytest.mark.parametrize("others", ["drop", "keep"])
@pytest.mark.parametrize("depth", [1, 2, 3, "all"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_and_depth(
    kind: str | None, depth: int | str, others: str, packets: Packets
) -> None:
    wanted = expected(packets, kind, 99 if depth == "all" else int(depth), others)
    if kind is None or depth == 1:
        assert wanted
    for name in encap.implementations():
        with encap.implementation(name):
            inner = packets.decap(kind, depth, others)
        for mine, theirs in zip(got(inner), wanted, strict=True):
            assert mine == theirs, packets[theirs[0]].hex()


def test_truncated_at_every_length() -> None:
    whole = stacks.random_packets(50, 43)
    frames = [
        (frame[:size], linktype, len(frame))
        for frame, linktype in zip(whole, whole.linktypes.tolist(), strict=True)
        for size in range(len(frame))
    ]
    octets, linktypes, wires = zip(*frames, strict=True)
    packets = Packets.from_frames(octets, linktypes=linktypes, wire_lengths=wires)
    assert got(packets.decap(depth="all")) == expected(packets, None, 99, "drop")
    assert got(packets.decap()) == expected(packets, None, 1, "drop")


def test_threads_do_not_matter(packets: Packets, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = {others: packets.decap(others=others, threads=1) for others in ("drop", "keep")}
    monkeypatch.setattr("encap._lib.ROWS_A_THREAD", 1)
    for threads in (2, 3, 8):
        for others, inner in alone.items():
            again = packets.decap(others=others, threads=threads)
            assert again.equals(inner)
            assert np.array_equal(again.rows, inner.rows)
            room = np.empty(packets.lengths.sum(), np.uint8)
            copied = packets.decap(others=others, threads=threads, out=room)
            assert copied.equals(inner)
            assert np.array_equal(copied.rows, inner.rows)


def test_no_octet_is_copied_or_changed(packets: Packets) -> None:
    before = bytes(packets.data)
    inner = packets.decap()
    assert inner.data is packets.data
    assert bytes(packets.data) == before
    assert inner.starts.dtype == np.int64
    assert (inner.starts >= packets.starts[inner.rows]).all()


def test_what_the_batch_knows_is_kept(packets: Packets) -> None:
    error = encap.CaptureError("cut", record=3)
    stamped = packets.replace(times=np.arange(len(packets)) * 10, error=error)
    inner = stamped.decap()
    assert np.array_equal(inner.times, inner.rows * 10)
    assert inner.error is error
    kept = stamped.decap(others="keep")
    assert np.array_equal(kept.times, stamped.times)
    assert np.array_equal(kept.rows, np.arange(len(packets)))
    again = inner.decap()
    assert (again.rows < len(inner)).all()
    assert np.array_equal(again.times, inner.times[again.rows])


def test_depth_is_decapsulation_again(packets: Packets) -> None:
    # What is left of a tunnel by two calls is what one call with depth=2 leaves.
    twice = packets.decap().decap()
    both = packets.decap(depth=2)
    rows = packets.decap().rows[twice.rows]
    chosen = np.isin(both.rows, rows)
    assert list(both[chosen]) == list(twice)


# --- out= -------------------------------------------------------------------------------


def test_out_takes_the_octets(packets: Packets) -> None:
    inner = packets.decap()
    room = np.full(packets.lengths.sum() + 7, 0xA5, np.uint8)
    copied = packets.decap(out=room)
    assert copied.equals(inner)
    assert np.shares_memory(copied.data, room)
    assert (room[-7:] == 0xA5).all()
    assert np.array_equal(copied.starts, np.cumsum(inner.lengths) - inner.lengths)


@pytest.mark.parametrize(
    "out",
    [np.zeros(3, np.uint8), np.zeros(10**7, np.int8), np.zeros(10**7, np.uint8)[::2]],
    ids=["short", "signed", "strided"],
)
def test_out_that_cannot_serve(out: Any, packets: Packets) -> None:
    with pytest.raises(FieldError, match="out"):
        packets.decap(out=out)


def test_out_that_is_no_array(packets: Packets) -> None:
    with pytest.raises(TypeError, match="bytearray"):
        packets.decap(out=bytearray(10**6))  # type: ignore[arg-type]


def test_out_must_not_be_the_batch_itself(packets: Packets) -> None:
    octets = np.array(packets.data)
    own = Packets(octets, packets.starts, packets.lengths, linktypes=packets.linktypes)
    for call in (own.decap, own.compact):
        with pytest.raises(FieldError, match="overlap"):
            call(out=octets)


# --- what is asked for ------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "teredo"}, {"kind": "ipv4"}, {"kind": ""}, {"depth": 0}, {"depth": -1},
        {"depth": 256}, {"depth": "ALL"}, {"others": "leave"}, {"others": ""}, {"threads": 0},
        {"ports": {70000: "vxlan"}}, {"ports": {1: "nope"}}, {"ports": {-1: "vxlan"}},
    ],
    ids=str,
)  # fmt: skip
def test_wrong_values(wrong: dict[str, Any], packets: Packets) -> None:
    with pytest.raises(FieldError):
        packets.decap(**wrong)


@pytest.mark.parametrize(
    "wrong",
    [{"depth": 1.5}, {"depth": None}, {"kind": 3}, {"others": None}, {"ports": {"1": "vxlan"}}],
    ids=str,
)  # fmt: skip
def test_wrong_types(wrong: dict[str, Any], packets: Packets) -> None:
    with pytest.raises(TypeError):
        packets.decap(**wrong)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("others", ["drop", "keep"])
def test_no_packets(kind: str | None, others: str) -> None:
    for empty in (Packets.from_frames([]), golden.every_frame()[:0]):
        for out in (None, np.empty(0, np.uint8)):
            inner = empty.decap(kind, "all", others, out=out, threads=2)
            assert len(inner) == 0
            assert inner.decap().equals(empty)
            assert inner.rows.dtype == np.int64


def test_no_packet_with_a_tunnel() -> None:
    plain = Packets.from_frames([b"", bytes(60), bytes(14)])
    assert len(plain.decap()) == 0
    assert plain.decap(others="keep").equals(plain)


# --- lengths ----------------------------------------------------------------------------


def ipv4(payload: bytes, protocol: int, *, total: int | None = None, fragment: int = 0) -> bytes:
    size = 20 + len(payload) if total is None else total
    head = b"\x45\0" + size.to_bytes(2, "big") + b"\0\0" + fragment.to_bytes(2, "big")
    return head + bytes([64, protocol]) + bytes(10) + payload


def udp(payload: bytes, port: int = 4789, *, size: int | None = None) -> bytes:
    size = 8 + len(payload) if size is None else size
    return b"\xc0\0" + port.to_bytes(2, "big") + size.to_bytes(2, "big") + bytes(2) + payload


def vxlan(payload: bytes) -> bytes:
    return b"\x08\0\0\0\0\0\x2a\0" + payload


INNER = bytes(12) + b"\x08\0" + ipv4(b"payload", 253) + b"padding of the inner frame"


def one(frame: bytes, linktype: int = 101, **options: Any) -> list[bytes]:
    return list(Packets.from_frames([frame], linktypes=linktype).decap(**options))


def test_inner_padding_stays_and_outer_padding_goes() -> None:
    frame = bytes(12) + b"\x08\0" + ipv4(udp(vxlan(INNER)), 17)
    assert one(frame + bytes(30), 1) == [INNER]


@pytest.mark.parametrize("tail", [b"", b"more"])
def test_lengths_of_zero_are_no_limit(tail: bytes) -> None:
    assert one(ipv4(udp(vxlan(INNER), size=0), 17, total=0) + tail) == [INNER + tail]


def test_the_shortest_length_counts() -> None:
    for size in range(16, 60):
        assert one(ipv4(udp(vxlan(INNER), size=size), 17)) == [INNER[: size - 16]]
        assert one(ipv4(udp(vxlan(INNER)), 17, total=size + 20)) == [INNER[: size - 16]]
    assert one(ipv4(udp(vxlan(INNER), size=15), 17)) == []


@pytest.mark.parametrize("size", range(1, 8))
def test_a_udp_length_below_its_header_stops_the_walk(size: int) -> None:
    assert one(ipv4(udp(vxlan(INNER), size=size), 17)) == []


@pytest.mark.parametrize("fragment", [0x2000, 0x2001, 0x0001])
def test_fragments_are_not_entered(fragment: int) -> None:
    for payload, protocol in (
        (udp(vxlan(INNER)), 17),
        (INNER[14:], 4),
        (b"\0\0\x65\x58" + INNER, 47),
    ):
        assert one(ipv4(payload, protocol)) != []
        assert one(ipv4(payload, protocol, fragment=fragment)) == []
        assert one(ipv4(payload, protocol, fragment=fragment), others="keep") != []


def test_a_fragment_inside_is_a_packet_like_others() -> None:
    inner = ipv4(b"12345678", 17, fragment=0x2000)
    assert one(ipv4(inner, 4)) == [inner]


def test_teredo_is_not_entered_by_default() -> None:
    inner = b"\x60\0\0\0\0\0\x3b\x40" + bytes(32)
    assert one(ipv4(udp(inner, 3544), 17)) == []
    assert one(ipv4(udp(inner, 3544), 17), ports={3544: "sit"}) == [inner]


def test_erspan_is_one_tunnel_with_its_gre() -> None:
    type2 = b"\x10\0\x88\xbe\0\0\0\1" + b"\x10\0\0\0\0\0\0\0" + INNER
    type1 = b"\0\0\x88\xbe" + INNER
    assert one(ipv4(type2, 47)) == [INNER]
    assert one(ipv4(type2, 47), kind="erspan") == [INNER]
    assert one(ipv4(type2, 47), kind="gre") == []
    assert one(ipv4(type1, 47), kind="gre") == [INNER]
    assert one(ipv4(type1, 47), kind="erspan") == []


def test_ppp_of_pptp() -> None:
    frame = ipv4(b"\x20\x01\x88\x0b\0\x04\0\x01" + b"\xff\x03\0\x21", 47)
    inner = Packets.from_frames([frame], linktypes=101).decap()
    assert (list(inner), inner.linktypes.tolist()) == ([b"\xff\x03\0\x21"], [9])


def test_the_tunnel_header_must_be_whole_and_the_inner_packet_need_not_be() -> None:
    frame = ipv4(udp(vxlan(INNER)), 17)
    for size in range(len(frame) + 1):
        assert one(frame[:size]) == ([frame[36:size]] if size >= 36 else [])
    frame = ipv4(INNER[14:], 4)
    for size in range(len(frame) + 1):
        assert one(frame[:size]) == ([frame[20:size]] if size >= 20 else [])


def test_the_wire_length_is_carried_inward() -> None:
    frame = ipv4(udp(vxlan(INNER)), 17)
    cut = Packets.from_frames([frame[:60]], linktypes=101, wire_lengths=[len(frame) + 9])
    inner = cut.decap()
    assert inner.wire_lengths.tolist() == [len(INNER)]
    assert inner.lengths.tolist() == [24]
    # A total length of 0 leaves the frame's own.
    cut = Packets.from_frames(
        [ipv4(udp(vxlan(INNER), size=0), 17, total=0)[:60]], linktypes=101, wire_lengths=[1000]
    )
    assert cut.decap().wire_lengths.tolist() == [1000 - 36]


def test_wire_lengths_below_the_captured_ones() -> None:
    frame = ipv4(udp(vxlan(INNER)), 17)
    inner = Packets.from_frames([frame], linktypes=101, wire_lengths=[5]).decap()
    assert inner.wire_lengths.tolist() == [len(INNER)]


# --- ports ------------------------------------------------------------------------------


def test_ports() -> None:
    inner = ipv4(b"payload", 253)
    frames = [ipv4(udp(body, port), 17) for body, port in ((inner, 5555), (vxlan(INNER), 8473))]
    packets = Packets.from_frames([*frames, ipv4(udp(vxlan(INNER)), 17)], linktypes=101)
    assert packets.decap().rows.tolist() == [2]
    ports = {5555: "ipip", 8473: "vxlan", 4789: None}
    assert list(packets.decap(ports=ports)) == [inner, INNER]
    bound = packets.with_ports(ports)
    assert list(bound.decap()) == [inner, INNER]
    assert list(bound.decap(ports={5555: None, 4789: "vxlan"})) == [INNER, INNER]
    assert bound[1:].decap().rows.tolist() == [0]
    assert bound.parse().paths[0] == "ipv4/udp/ipv4"
    assert bound.columns("tunnel")["tunnel"].tolist() == [True, True, False]
    assert list(bound.decap("ipip")) == [inner]
    assert len(packets.decap()) == 1


@pytest.mark.parametrize("seed", range(3))
def test_ports_given_with_the_call_equal_the_registry(seed: int) -> None:
    random = Random(seed)
    ports: dict[int, str | None] = {1000: "gre", 1001: "ipip", 4789: None, 1002: "geneve"}
    frames = []
    for _ in range(300):
        body = stacks.Stack(random).header(
            random.choice(["gre", "ipv4", "ipv6", "geneve", "vxlan"])
        )
        frames.append(ipv4(udp(body, random.choice(list(ports))), 17))
    packets = Packets.from_frames(frames, linktypes=101)
    assert got(packets.decap(ports=ports)) == expected(packets, None, 1, "drop", ports)
