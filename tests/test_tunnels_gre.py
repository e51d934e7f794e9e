"""GRE devices beyond what the captures of a kernel show: headers, options, whatever comes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import golden
import pytest
from ends import (
    A6,
    B6,
    DEVICES,
    FRAME,
    INNER,
    INNER6,
    IPV4_DEVICES,
    A,
    B,
    arriving,
    ends,
    inner_of,
    raw,
    reasons,
)
from hypothesis import given, settings
from hypothesis import strategies as st

import encap
from encap import (
    ERSPAN,
    GRE,
    UDP,
    Ethernet,
    Header,
    IPv4,
    IPv6,
    Packet,
    Packets,
    tunnels,
)
from encap.errors import TunnelError
from encap.headers.gre import C
from encap.tunnels import (
    ERSPANTunnel,
    GRETAPTunnel,
    GRETunnel,
    IP6GRETAPTunnel,
    IP6GRETunnel,
    Reason,
)


@pytest.mark.parametrize("cls", DEVICES)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"key": 5},
        {"csum": True, "seq": True, "key": 0xFFFFFFFF},
        {"near": {"okey": 1, "ikey": 2}, "far": {"okey": 2, "ikey": 1}},
        {"near": {"ocsum": True}, "far": {"icsum": True}},
        {"seq": True, "near": {"iseq": False}, "far": {"oseq": False}},
        {"key": "10.0.0.1", "tos": "inherit", "ttl": "inherit"},
    ],
)
def test_there_and_back(cls: type[tunnels.Tunnel], options: dict[str, Any]) -> None:
    for here, there in (ends(cls, **options), ends(cls, **options)[::-1]):
        inner = inner_of(here)
        sent = here.encap(inner)
        got = there.decap(sent.packets)
        assert list(got.packets) == list(inner)
        assert got.packets.linktypes.tolist() == inner.linktypes.tolist()
        assert sent.counts == got.counts == {Reason.ACCEPTED: len(inner)}


def test_a_direction_is_as_both_are_unless_it_says_otherwise() -> None:
    tunnel = GRETunnel(local=A, remote=B, key=7, okey=8, csum=True, icsum=False, seq=True)
    (sent,) = tunnel.encap(raw(INNER)).packets
    gre = encap.parse(sent, linktype=101)[GRE]
    assert (gre.key, gre.flags & C, gre.seq) == (8, C, 0)
    assert reasons(tunnel, bytes(Packet(IPv4(src=B, dst=A), GRE(key=7, seq=1), INNER))) == [0]


def test_commands_say_it_in_the_same_words() -> None:
    made = tunnels.from_commands(
        "ip link add g type gre local 192.0.2.1 remote 192.0.2.2 ikey 1 okey 0.0.0.2 icsum"
        " oseq ttl 9 nopmtudisc ignore-df dev eth0",
        "g",
    )
    assert made == GRETunnel(
        local=A, remote=B, ikey=1, okey=2, icsum=True, oseq=True, ttl=9, pmtudisc=False,
        ignore_df=True, underlay=made.underlay,
    )  # fmt: skip
    made = tunnels.from_commands(
        "ip -6 link add g type ip6gretap remote 2001:db8::2 hoplimit 9 tclass inherit"
        " flowlabel inherit encaplimit none key 1 csum nocsum",
        "g",
    )
    assert made == IP6GRETAPTunnel(
        remote=B6, hoplimit=9, tclass="inherit", flowlabel="inherit", encaplimit="none", key=1,
        csum=False, underlay=made.underlay,
    )  # fmt: skip


@pytest.mark.parametrize("cls", IPV4_DEVICES)
def test_whose_packet_it_is(cls: type[tunnels.Tunnel]) -> None:
    keyed, keyless = ends(cls, key=9)[1], ends(cls)[1]
    inside = (GRE(key=9), FRAME) if cls.FRAMES else (GRE(key=9, protocol=0x800), INNER)
    inside = (replace(inside[0], protocol=0x6558 if cls.FRAMES else 0x800), inside[1])
    plain = (replace(inside[0], key=None, flags=0), inside[1])
    zero = (replace(inside[0], key=0), inside[1])
    assert reasons(keyed, *(arriving(*one) for one in (inside, plain, zero))) == [0, 30, 30]
    assert reasons(keyless, *(arriving(*one) for one in (inside, plain, zero))) == [30, 0, 30]
    stranger = bytes(Packet(IPv4(src="192.0.2.9", dst=B), *plain))
    elsewhere = bytes(Packet(IPv4(src=A, dst="192.0.2.9"), *plain))
    assert reasons(keyless, stranger, elsewhere) == [Reason.NO_TUNNEL, Reason.NOT_OURS]
    assert reasons(cls(local=B), arriving(*plain), stranger, arriving(*zero)) == [0, 0, 30]
    # Without any address, no key is the same as 0.
    assert reasons(cls(), arriving(*plain), arriving(*zero), arriving(*inside)) == [0, 0, 30]


def test_checksums_in_both_profiles() -> None:
    right, none = arriving(GRE(flags=C), INNER), arriving(GRE(), INNER)
    wrong = right[:-1] + b"?"
    for icsum, seen in ((False, [35, 34, 0]), (True, [0, 34, 35])):
        tunnel = GRETunnel(local=B, remote=A, icsum=icsum)
        assert reasons(tunnel, right, wrong, none) == seen
        assert reasons(replace(tunnel, profile="rfc"), right, wrong, none) == [0, 34, 0]


def test_what_a_capture_cut_off_is_not_verified() -> None:
    tunnel = GRETunnel(local=B, remote=A, csum=True)
    whole = arriving(GRE(flags=C), INNER)
    cut = raw(whole[:-3], wire_lengths=len(whole))
    got = tunnel.decap(cut)
    assert list(got.packets) == [INNER[:-3]]
    assert got.packets.wire_lengths.tolist() == [len(INNER)]
    for size in range(20, 28):
        got = tunnel.decap(raw(whole[:size], wire_lengths=len(whole)))
        assert got.reasons.tolist() == [Reason.TOO_SHORT]


def test_sequence_numbers_go_on_from_batch_to_batch() -> None:
    here, there = ends(GRETunnel, seq=True)
    sent = [here.encap(raw(INNER, INNER)).packets for _ in range(3)]
    numbers = [batch.columns("gre.seq")["gre.seq"].tolist() for batch in sent]
    assert numbers == [[0, 1], [2, 3], [4, 5]]
    assert there.decap(sent[1]).reasons.tolist() == [0, 0]
    assert there.decap(sent[0]).reasons.tolist() == [Reason.SEQUENCE] * 2
    assert there.decap(sent[1][1:]).reasons.tolist() == [Reason.SEQUENCE]
    assert there.decap(sent[2]).reasons.tolist() == [0, 0]
    assert reasons(there, arriving(GRE(), INNER)) == [Reason.SEQUENCE]
    there.reset()
    assert there.decap(sent[0]).reasons.tolist() == [0, 0]
    here.reset()
    assert here.encap(raw(INNER)).packets.columns("gre.seq")["gre.seq"].tolist() == [0]


def test_the_wrap_in_both_profiles() -> None:
    frames = [arriving(GRE(seq=seq), INNER) for seq in (0xFFFFFFFE, 0xFFFFFFFF, 9, 5, 0xFFFFFFFF)]
    tunnel = GRETunnel(local=B, remote=A, seq=True)
    assert reasons(tunnel, *frames) == [0, 0, 0, 36, 36]
    frames[2] = arriving(GRE(seq=0x90000000), INNER)
    tunnel.reset()
    assert reasons(tunnel, *frames[:3]) == [0, 0, 0]
    assert reasons(replace(tunnel, profile="rfc"), *frames[:3]) == [0, 0, 36]


def test_packets_that_are_too_big_have_used_a_number_and_those_cut_short_have_not() -> None:
    tunnel = GRETunnel(local=A, remote=B, seq=True)
    large = bytes(Packet(IPv4(src=1, dst=2, flags=2), UDP(), bytes(1480)))
    sent = tunnel.encap(raw(INNER, large, INNER[:19], INNER))
    assert sent.reasons.tolist() == [0, Reason.TOO_BIG, Reason.NOT_CARRIED, 0]
    assert sent.packets.columns("gre.seq")["gre.seq"].tolist() == [0, 2]
    assert tunnel.state.sent == 3


def test_order_is_that_of_arrival_whatever_came_in_fragments() -> None:
    here, there = ends(GRETunnel, seq=True)
    large = bytes(Packet(IPv4(src=1, dst=2), UDP(), bytes(1000)))
    sent = here.encap(raw(INNER, large, INNER)).packets
    pieces = sent[1:2].fragment(576, df="ignore")
    in_order = Packets.concat([sent[:1], pieces, sent[2:]])
    got = there.decap(in_order)
    assert list(got.packets) == [INNER, large, INNER]
    assert got.rows.tolist() == [0, 2, 3]
    there.reset()
    late = Packets.concat([pieces[:1], sent[2:], pieces[1:]])
    assert there.decap(late).reasons.tolist() == [Reason.HELD, 0, Reason.SEQUENCE]


# --- headers


def test_flags_in_both_profiles() -> None:
    bits = [1 << bit for bit in range(13)]
    frames = [arriving(GRE(protocol=0x800), INNER) for _ in bits]
    frames = [one[:20] + (bit << 3).to_bytes(2, "big") + one[22:] for one, bit in
              zip(frames, bits, strict=True)]  # fmt: skip
    tunnel = GRETunnel(local=B, remote=A)
    strange, none = Reason.RESERVED_BITS, Reason.ACCEPTED
    seen = reasons(tunnel, *frames)
    assert seen[:9] == [strange] * 4 + [none] * 5
    seen = reasons(replace(tunnel, profile="rfc"), *frames)
    assert seen[:9] == [none] * 7 + [strange] * 2
    assert seen[11] == strange


def test_the_least_packet_in_both_profiles() -> None:
    tunnel = GRETunnel(local=B, remote=A)
    keepalive = arriving(GRE(protocol=0))
    assert reasons(tunnel, keepalive) == [Reason.TOO_SHORT]
    got = replace(tunnel, profile="rfc").decap(raw(keepalive))
    assert list(got.packets) == [b""]


def test_ecn_goes_into_what_the_protocol_says_is_inside() -> None:
    tunnel = GRETunnel(local=B, remote=A)
    ect = bytes(Packet(IPv4(src=1, dst=2, tos=2), UDP(), bytes(30)))
    frames = [arriving(GRE(protocol=number), ect, tos=3) for number in (0x800, 0x86DD, 0x1234)]
    got = tunnel.decap(raw(*frames))
    assert got.packets[0] == bytes(Packet(IPv4(src=1, dst=2, tos=3), UDP(), bytes(30)))
    # Read as IPv6, its class is 0x50, which cannot say that congestion was met.
    assert got.reasons.tolist() == [0, Reason.ECN, 0]
    assert got.packets[1] == ect


def test_layer_3_over_ipv6_takes_frames_as_they_are() -> None:
    def six(*headers: Header | bytes) -> bytes:
        return bytes(Packet(IPv6(src=A6, dst=B6), *headers))

    teb, mirrored = six(GRE(protocol=0x6558), FRAME), six(GRE(seq=1), ERSPAN(session_id=5), FRAME)
    first = six(GRE(protocol=0x88BE), FRAME)
    plain = IP6GRETunnel(local=B6, remote=A6)
    got = plain.decap(raw(teb, mirrored))
    assert list(got.packets) == [FRAME]
    assert got.packets.linktypes.tolist() == [101]
    assert got.reasons.tolist() == [0, Reason.NO_TUNNEL]
    # Any device with frames and that key takes the frames of any other.
    for cls in (IP6GRETAPTunnel, ERSPANTunnel):
        device = cls(local=B6, remote=A6, key=5, seq=cls is ERSPANTunnel)
        assert list(device.decap(raw(mirrored)).packets) == [FRAME]
    keyed = six(GRE(key=5, seq=9, protocol=0x6558), FRAME)
    assert list(ERSPANTunnel(local=B6, remote=A6, key=5, seq=True).decap(raw(keyed)).packets) == [
        FRAME
    ]
    assert reasons(IP6GRETAPTunnel(local=B6, remote=A6), first, six(GRE(), INNER)) == [0, 30]


def test_cisco_redirection_over_ipv6_is_taken_for_ipv6() -> None:
    tunnel = IP6GRETunnel(local=B6, remote=A6)
    frames = [bytes(Packet(IPv6(src=A6, dst=B6), GRE(protocol=0x883E), rest))
              for rest in (bytes(4) + INNER6, INNER6, b"", bytes(3))]  # fmt: skip
    got = tunnel.decap(raw(*frames))
    # Without a redirect header in front of it, four octets of IPv6 are taken for one.
    assert got.reasons.tolist() == [0, 0, Reason.TOO_SHORT, Reason.TOO_SHORT]
    assert list(got.packets) == [INNER6, INNER6[4:]]


# --- wrong options


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: GRETunnel(key=1 << 32), "key"),
        (lambda: GRETunnel(okey="1.2.3"), "okey"),
        (lambda: GRETunnel(ignore_df=True), "ignore_df"),
        (lambda: GRETunnel(remote=B6), "ipv4"),
        (lambda: GRETunnel(neighbours={"ten": B}), "neighbours"),
        (lambda: GRETunnel(neighbours=["10.0.0.2"]), "neighbours"),
        (lambda: GRETunnel(neighbours=5), "neighbours"),
        (lambda: IP6GRETunnel(remote=B), "ipv6"),
        (lambda: IP6GRETunnel(hoplimit=256), "hoplimit"),
        (lambda: IP6GRETunnel(hoplimit=3, ttl=4), "hoplimit"),
        (lambda: IP6GRETunnel(tclass="some"), "tclass"),
        (lambda: IP6GRETunnel(flowlabel=1 << 20), "flowlabel"),
        (lambda: IP6GRETunnel(encaplimit=256), "encaplimit"),
        (lambda: ERSPANTunnel(remote=B), "key"),
        (lambda: ERSPANTunnel(remote=B, key=1), "seq"),
        (lambda: ERSPANTunnel(remote=B, key=1024, seq=True), "1023"),
        (lambda: ERSPANTunnel(remote=B, key=1, seq=True, csum=True), "checksum"),
        (lambda: ERSPANTunnel(remote=B, erspan_ver=3), "erspan_ver"),
        (lambda: ERSPANTunnel(remote=B6, erspan_ver=0), "erspan_ver"),
        (lambda: ERSPANTunnel(key=1, seq=True, erspan=1 << 20), "erspan"),
        (lambda: ERSPANTunnel(key=1, seq=True, erspan_hwid=64), "erspan_hwid"),
        (lambda: ERSPANTunnel(key=1, seq=True, erspan_dir="in"), "erspan_dir"),
        (lambda: ERSPANTunnel(key=1, seq=True, external=True), "external"),
        (lambda: tunnels.from_commands("ip link add g type gre keys 5", "g"), "keys"),
        (lambda: tunnels.from_commands("ip link add g type ip6gre pmtudisc", "g"), "pmtudisc"),
        (lambda: tunnels.from_commands("ip link add g type gre external csum", "g"), "csum"),
        (lambda: GRETunnel(routes={"10.0.0.0/33": B}), "routes"),
    ],
)
def test_options_are_refused_by_name(make: Any, name: str) -> None:
    with pytest.raises(TunnelError, match=name):
        make()


def test_one_option_with_two_names() -> None:
    assert IP6GRETunnel(hoplimit=9, tclass=4) == IP6GRETunnel(ttl=9, tos=4)
    assert replace(IP6GRETunnel(hoplimit=9), ttl=10).ttl == 10


# --- whatever comes

TUNNELS: list[tunnels.Tunnel] = [
    GRETunnel(local=B, remote=A), GRETunnel(local=B, remote=A, key=5, csum=True, seq=True),
    GRETunnel(), GRETAPTunnel(external=True), GRETAPTunnel(local=B, remote=A),
    IP6GRETunnel(local=B6, remote=A6), IP6GRETAPTunnel(local=B6, remote=A6, key=5),
    ERSPANTunnel(local=B, remote=A, key=100, seq=True), ERSPANTunnel(erspan_ver=0),
    ERSPANTunnel(local=B6, remote=A6, key=100, seq=True, erspan_ver=2),
]  # fmt: skip
SAMPLES = [
    one for name in ("malformed_gre", "malformed_gretap", "malformed_ip6gre", "malformed_erspan_v2")
    for one in golden.capture(name, "injected")
]  # fmt: skip


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A frame of the captures with some octets changed, and cut; or any octets."""
    if draw(st.integers(0, 5)) == 0:
        return draw(st.binary(max_size=80))
    frame = bytearray(draw(st.sampled_from(SAMPLES)))
    for _ in range(draw(st.integers(0, 4))):
        frame[draw(st.integers(14, len(frame) - 1))] = draw(st.integers(0, 255))
    return bytes(frame[: draw(st.integers(10, len(frame)))])


@settings(deadline=None)
@given(
    st.lists(mutated(), max_size=12),
    st.sampled_from(TUNNELS),
    st.sampled_from(["linux", "rfc"]),
    st.integers(0, 30),
)
def test_whatever_comes_is_taken_or_refused(
    frames: list[bytes], tunnel: tunnels.Tunnel, profile: Any, more: int
) -> None:
    tunnel = replace(tunnel, profile=profile)
    lengths = [len(frame) + more for frame in frames]
    batch = Packets.from_frames(frames, wire_lengths=lengths)
    got = tunnel.decap(batch)
    assert len(got.packets) == int((got.reasons == 0).sum())
    for size, row in zip(got.packets.lengths, got.rows, strict=True):
        assert size <= len(frames[row]) or got.reasons.tolist().count(Reason.HELD)
    sent = tunnel.encap(batch)
    assert len(sent.reasons) == len(batch)


@settings(deadline=None)
@given(
    st.sampled_from(DEVICES),
    st.lists(st.binary(min_size=40, max_size=120), min_size=1, max_size=8),
    st.booleans(),
    st.booleans(),
    st.none() | st.integers(0, 0xFFFFFFFF),
)
def test_what_goes_in_comes_out(
    cls: type[tunnels.Tunnel], bodies: list[bytes], csum: bool, seq: bool, key: int | None
) -> None:
    here, there = ends(cls, csum=csum, seq=seq, key=key)
    frames = [bytes(Packet(IPv4(src=1, dst=2), UDP(), body)) for body in bodies]
    if cls.FRAMES:
        inner = Packets.from_frames(
            [bytes(Packet(Ethernet(src=1, dst=2, type=0x800), one)) for one in frames]
        )
    else:
        inner = raw(*frames)
    got = there.decap(here.encap(inner).packets)
    assert list(got.packets) == list(inner)
