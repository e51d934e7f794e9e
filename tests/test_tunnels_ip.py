"""IP in IP, ip6tnl and sit devices beyond what the captures of a kernel show."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address
from typing import Any

import golden
import hosts
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import encap
from encap import (
    UDP,
    DestinationOptions,
    Fragment,
    Header,
    HopByHop,
    ICMPv6,
    IPv4,
    IPv6,
    Option,
    Packet,
    Packets,
    Routing,
    tunnels,
)
from encap.errors import TunnelError
from encap.headers.ipv6_extensions import ENCAPSULATION_LIMIT
from encap.tunnels import IP6Tunnel, IPIPTunnel, Reason, SITTunnel, Underlay, isatap

A, B, A6, B6 = "192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::2"
MPLS = 219
MINE = "2002:c000:202::1"
"""What B is by 6to4."""
DATA = (UDP(dport=7), b"hello")
INNER = bytes(Packet(IPv4(src="10.0.0.1", dst="10.0.0.2"), *DATA))
INSIDE = IPv6(src="fd00::1", dst="fd00::2"), *DATA
INNER6 = bytes(Packet(*INSIDE))
LABEL = bytes.fromhex("00064140") + INNER
DEVICES: list[tuple[type[tunnels.Tunnel], str, str]] = [
    (IPIPTunnel, A, B), (SITTunnel, A, B), (IP6Tunnel, A6, B6),
]  # fmt: skip


def raw(*frames: bytes, linktypes: Any = 101, **more: Any) -> Packets:
    return Packets.from_frames(frames, linktypes=linktypes, **more)


def reasons(tunnel: tunnels.Tunnel, *frames: bytes) -> list[Reason]:
    return [Reason(int(one)) for one in tunnel.decap(raw(*frames)).reasons]


def sixth(source: str = "fd00::1", target: str = "fd00::2", *more: Header | bytes) -> bytes:
    return bytes(Packet(IPv6(src=source, dst=target), *(more or DATA)))


def limited(limit: int, *more: Header) -> bytes:
    """An IPv6 packet that may enter so many more tunnels."""
    option = DestinationOptions(options=(Option(ENCAPSULATION_LIMIT, bytes([limit])),))
    return sixth("fd00::1", "fd00::2", *more, option, *DATA)


# --- what they carry


@pytest.mark.parametrize(("cls", "local", "remote"), DEVICES)
def test_there_and_back(cls: type[tunnels.Tunnel], local: str, remote: str) -> None:
    here, there = cls(local=local, remote=remote), cls(local=remote, remote=local)
    inner = raw(INNER, INNER6, LABEL, INNER, linktypes=[101, 101, MPLS, 228])
    inner = inner[[0, 2, 3]] if cls is IPIPTunnel else inner
    sent = here.encap(inner)
    got = there.decap(sent.packets)
    assert list(got.packets) == list(inner)
    assert sent.counts == got.counts == {Reason.ACCEPTED: len(inner)}
    assert (got.packets.linktypes == MPLS).tolist() == (inner.linktypes == MPLS).tolist()


@pytest.mark.parametrize(
    ("tunnel", "expected"),
    [
        (IPIPTunnel(local=A, remote=B), [0, 60, 0]),
        (IPIPTunnel(local=A, remote=B, mode="ipip"), [0, 60, 60]),
        (IPIPTunnel(local=A, remote=B, mode="mplsip"), [60, 60, 0]),
        (SITTunnel(local=A, remote=B, mode="ip6ip"), [0, 0, 0]),
        (IP6Tunnel(local=A6, remote=B6, mode="ip6ip6"), [60, 0, 60]),
        (IP6Tunnel(local=A6, remote=B6, mode="ipip6"), [0, 60, 60]),
    ],
)
def test_modes_on_sending(tunnel: tunnels.Tunnel, expected: list[int]) -> None:
    inner = raw(INNER, INNER6, LABEL, linktypes=[101, 101, MPLS])
    got = tunnel.encap(inner)
    assert got.reasons.tolist() == expected
    assert got.rows.tolist() == [row for row, reason in enumerate(expected) if not reason]


@pytest.mark.parametrize(
    ("tunnel", "expected"),
    [
        (IPIPTunnel(local=B, remote=A, mode="ipip"), [0, 11, 38]),
        (IPIPTunnel(local=B, remote=A, mode="mplsip"), [38, 11, 0]),
        (SITTunnel(local=B, remote=A, mode="ip6ip"), [38, 0, 38]),
        (SITTunnel(local=B, remote=A), [0, 0, 0]),
        (IP6Tunnel(local=B6, remote=A6, mode="ip6ip6"), [38, 0, 38]),
        (IP6Tunnel(local=B6, remote=A6, mode="ipip6"), [0, 38, 38]),
    ],
)
def test_modes_on_receipt(tunnel: tunnels.Tunnel, expected: list[int]) -> None:
    inside = ((4, INNER), (41, INNER6), (137, LABEL))
    if tunnel.family == "ipv4":
        frames = [bytes(Packet(IPv4(src=A, dst=B, protocol=kind), inner)) for kind, inner in inside]
    else:
        frames = [
            bytes(Packet(IPv6(src=A6, dst=B6, next_header=kind), inner)) for kind, inner in inside
        ]
    assert reasons(tunnel, *frames) == expected


def test_what_is_cut_short_is_not_carried() -> None:
    for tunnel in (SITTunnel(local=A, remote=B), IP6Tunnel(local=A6, remote=B6)):
        frames = [INNER[:19], INNER6[:39], b"", b"\x50" * 60]
        assert tunnel.encap(raw(*frames)).reasons.tolist() == [Reason.NOT_CARRIED] * 4
        assert tunnel.encap(raw(LABEL[:3], linktypes=MPLS)).counts == {Reason.NOT_CARRIED: 1}


def test_short_packets_are_nobodys_question() -> None:
    """The kernel asks for a whole inner header before it looks for a tunnel."""
    stranger = bytes(Packet(IPv4(src="192.0.2.9", dst=B, protocol=4), INNER[:10]))
    assert reasons(IPIPTunnel(local=B, remote=A), stranger) == [Reason.TOO_SHORT]


# --- commands


def test_commands_make_them() -> None:
    made = tunnels.from_commands(
        "ip -6 tunnel add t mode ipip6 local 2001:db8::1 remote 2001:db8::2 encaplimit none"
        " hoplimit 9 tclass 2a flowlabel 12345 dscp inherit",
        "t",
    )
    assert made == IP6Tunnel(
        local=A6, remote=B6, encaplimit="none", ttl=9, tos=0x2A, flowlabel=0x12345,
        dscp="inherit", mode="ipip6",
    )  # fmt: skip
    lines = [
        "ip link add eth0 type veth", "ip addr add 192.0.2.1/24 dev eth0",
        "ip tunnel add t mode sit local 192.0.2.1 ttl 64",
        "ip tunnel 6rd dev t 6rd-prefix 2001:db8::/32 6rd-relay_prefix 192.0.2.0/24",
        "ip addr add 2001:db8:100::1/32 dev t",
        "ip -6 route add default via ::192.0.2.9 dev t", "ip -6 route add 2001:db9::/32 dev eth1",
    ]  # fmt: skip
    made = tunnels.from_commands(lines, "t")
    assert made == SITTunnel(
        local=A, ttl=64, mode="ip6ip", sixrd_prefix="2001:db8::/32",
        sixrd_relay_prefix="192.0.2.0/24", addresses=("2001:db8:100::1",),
        prefixes=("2001:db8::/32",), routes={"default": "::192.0.2.9", "2001:db8::/32": None},
        underlay=Underlay(addresses=(A,)),
    )  # fmt: skip
    made = tunnels.from_commands([*lines, "ip tunnel 6rd dev t 6rd-reset"], "t")
    assert isinstance(made, SITTunnel)
    assert made.domain == tunnels.SIX_TO_FOUR


def test_routers_of_an_isatap_device() -> None:
    lines = [
        "ip tunnel add t mode isatap local 192.0.2.1", "ip tunnel prl dev t prl-default 192.0.2.8",
        "ip tunnel prl prl-nodefault 192.0.2.9 dev t", "ip tunnel prl dev t prl-delete 192.0.2.8",
    ]  # fmt: skip
    made = tunnels.from_commands(lines, "t")
    assert isinstance(made, SITTunnel)
    assert (made.isatap, made.mode, made.prl) == (True, "ip6ip", (IPv4Address("192.0.2.9"),))
    with pytest.raises(TunnelError, match="prl-delete"):
        tunnels.from_commands([*lines, "ip tunnel prl dev t prl-delete 192.0.2.8"], "t")


@pytest.mark.parametrize(
    ("cls", "options", "named"),
    [
        (IPIPTunnel, {"mode": "sit"}, "mode"),
        (SITTunnel, {"mode": "gre"}, "mode"),
        (SITTunnel, {"sixrd_prefix": "2001:db8::1/32"}, "sixrd_prefix"),
        (SITTunnel, {"sixrd_prefix": "2001:db8::/40"}, "6rd"),
        (SITTunnel, {"prl": ("fd00::1",)}, "prl"),
        (SITTunnel, {"prefixes": ("10.0.0.0/8",)}, "prefixes"),
        (SITTunnel, {"routes": {"10.0.0.0/8": "fd00::1"}}, "routes"),
        (SITTunnel, {"routes": 5}, "routes"),
        (SITTunnel, {"local": "fd00::1"}, "ipv4"),
        (IP6Tunnel, {"mode": "ipip"}, "mode"),
        (IP6Tunnel, {"dscp": "copy"}, "dscp"),
        (IP6Tunnel, {"encaplimit": 256}, "encaplimit"),
        (IP6Tunnel, {"flowlabel": 0x100000}, "flowlabel"),
        (IP6Tunnel, {"local": "10.0.0.1"}, "ipv6"),
    ],
)
def test_options_are_refused_by_name(
    cls: type[tunnels.Tunnel], options: dict[str, Any], named: str
) -> None:
    with pytest.raises(TunnelError, match=named):
        cls(**options)


# --- encapsulation limits


def test_a_packets_own_limit_is_heeded() -> None:
    tunnel = IP6Tunnel(local=A6, remote=B6, addresses=("fd00::9",))
    frames = [INNER6, limited(4), limited(1), limited(0), limited(0, HopByHop()), INNER]
    got = tunnel.encap(raw(*frames))
    assert got.reasons.tolist() == [0, 0, 0, Reason.LIMIT, Reason.LIMIT, 0]
    limits = [frame[44] for frame in got.packets]
    assert limits == [4, 3, 0, 4]
    assert tunnel.encap(raw(INNER6)).packets[0][40:48] == bytes.fromhex("2900040104010100")
    answers = [encap.parse(reply, linktype=101) for reply in got.replies]
    # Where the limit itself is: RFC 2473 section 4.1.1 (b).
    assert [(one[ICMPv6].type, one[ICMPv6].code) for one in answers] == [(4, 0)] * 2
    assert [int.from_bytes(reply[44:48], "big") for reply in got.replies] == [44, 52]
    assert [reply[48:] for reply in got.replies] == frames[3:5]


def test_a_device_without_a_limit_heeds_those_of_packets() -> None:
    tunnel = IP6Tunnel(local=A6, remote=B6, encaplimit="none")
    got = tunnel.encap(raw(INNER6, limited(9), limited(0)))
    assert [frame[6] for frame in got.packets] == [41, 60]
    assert got.packets[1][44] == 8
    assert got.reasons.tolist() == [0, 0, Reason.LIMIT]


def test_overheads() -> None:
    assert (IP6Tunnel().overhead, IP6Tunnel().device_mtu) == (48, 1452)
    assert IP6Tunnel(encaplimit="none").device_mtu == 1460
    assert (SITTunnel().device_mtu, IPIPTunnel().device_mtu) == (1480, 1480)


def test_every_limit_at_once() -> None:
    got = IP6Tunnel(local=A6, remote=B6).encap(raw(*map(limited, range(1, 256)), INNER, INNER6))
    assert [frame[44] for frame in got.packets] == [*range(255), 4, 4]


@pytest.mark.parametrize(
    "odd",
    [
        sixth("fd00::1", "fd00::2", DestinationOptions(options=(Option(4, b"\0\0"),)), *DATA),
        sixth("fd00::1", "fd00::2", Fragment(offset=3), DestinationOptions(), b"12345678"),
        limited(0)[:45],
        limited(0)[:47],
    ],
)
def test_what_is_no_limit(odd: bytes) -> None:
    assert IP6Tunnel(local=A6, remote=B6).encap(raw(odd)).counts == {Reason.ACCEPTED: 1}


# --- extension headers of the outer packet


def outer(*extensions: Header) -> bytes:
    return bytes(Packet(IPv6(src=A6, dst=B6), *extensions, *INSIDE))


def options(*listed: Option | bytes, hops: bool = False) -> bytes:
    header = HopByHop if hops else DestinationOptions
    return outer(header(options=listed))


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (options(Option(0x1E, b"")), 0),
        (options(Option(0x5E, b"")), Reason.IP_HEADER),
        (options(Option(0x1E, b""), hops=True), 0),
        (options(Option(0x5E, b""), hops=True), Reason.IP_HEADER),
        (options(Option(5, b"\0\0"), hops=True), 0),
        (options(Option(0xC9, bytes(16))), Reason.IP_HEADER),
        (options(*[Option(0x1E, b"")] * 8), 0),
        (options(*[Option(0x1E, b"")] * 9), Reason.IP_HEADER),
        (options(b"\1\6\0\0\0\0\0\0"), Reason.IP_HEADER),
        (options(b"\0\0\0\0\0\0"), 0),
        (options(b"\1\4\0\0\1\0"), Reason.IP_HEADER),
        (options(b"\x1e\x05\0\0\0\0"), Reason.IP_HEADER),
        (outer(Routing(segments_left=0)), 0),
        (outer(Routing(segments_left=1)), Reason.IP_HEADER),
        (outer(HopByHop(), DestinationOptions(), Fragment()), 0),
    ],
)
def test_extension_headers(frame: bytes, reason: int) -> None:
    assert reasons(IP6Tunnel(local=B6, remote=A6), frame) == [reason]


@pytest.mark.parametrize(
    ("frame", "code", "pointer"),
    [
        (options(Option(0x9E, b"")), 2, 42),
        (options(Option(0x1E, b"\0"), Option(0xDE, b"")), 2, 45),
        (outer(HopByHop(), DestinationOptions(options=(Option(0x9E, b""),))), 2, 50),
        (outer(Routing(segments_left=1)), 0, 43),
    ],
)
def test_what_is_wrong_is_told(frame: bytes, code: int, pointer: int) -> None:
    got = IP6Tunnel(local=B6, remote=A6).decap(raw(frame))
    (reply,) = got.replies
    told = encap.parse(reply, linktype=101, verify=True)
    assert (str(told[IPv6].src), str(told[IPv6].dst)) == (B6, A6)
    assert (told[ICMPv6].type, told[ICMPv6].code) == (4, code)
    assert (int.from_bytes(reply[44:48], "big"), reply[48:]) == (pointer, frame)


# --- IPv6 over IPv6: ends, DSCP, fragments


def test_who_may_send_to_a_device_without_remote() -> None:
    tunnel = IP6Tunnel(local=B6, underlay=Underlay(addresses=(B6, "2001:db8::9")))
    sources = [A6, "fe80::1", "::1", "ff02::1", "::ffff:1.2.3.4", "2001:db8::9"]
    frames = [bytes(Packet(IPv6(src=one, dst=B6), *INSIDE)) for one in sources]
    assert reasons(tunnel, *frames) == [0, *[Reason.UNKNOWN_ENDS] * 5]


def test_where_packets_of_a_device_without_remote_go() -> None:
    tunnel = IP6Tunnel(
        local=A6, addresses=("fd00::9", "10.0.0.9"),
        routes={"fd00:2::/32": "2001:db8::7", "fd00:2:1::/48": "2001:db8::8"},
    )  # fmt: skip
    targets = ["fd00::2", "fd00:2::2", "fd00:2:1::2", "fe80::1", "ff0e::1"]
    got = tunnel.encap(raw(*(sixth(target=one) for one in targets), INNER))
    found = [str(encap.parse(one, linktype=101)[IPv6].dst) for one in got.packets]
    assert found == ["fd00::2", "2001:db8::7", "2001:db8::8", "ff0e::1"]
    assert got.reasons.tolist() == [0, 0, 0, Reason.NO_DESTINATION, 0, Reason.NO_DESTINATION]
    # Both senders are told: host, or address, unreachable.
    assert [one[20:22] if one[0] >> 4 == 4 else one[40:42] for one in got.replies] == [
        b"\3\1", b"\1\3",
    ]  # fmt: skip


def test_columns_say_where_packets_go() -> None:
    target = np.frombuffer(IPv6(src=0, dst=B6).dst.packed, np.uint8)[None]
    got = IP6Tunnel(local=A6).encap(raw(INNER), columns={"ipv6.dst": target})
    assert got.counts == {Reason.ACCEPTED: 1}
    got = SITTunnel(local=A).encap(
        raw(INNER6), columns={"ipv4.dst": np.array([int(IPv4Address(B))], np.uint32)}
    )
    assert str(encap.parse(got.packets[0], linktype=101)[IPv4].dst) == B


def test_what_would_go_round_in_a_circle() -> None:
    got = IP6Tunnel(local=A6, remote=B6).encap(raw(sixth(B6, A6), INNER6))
    assert got.reasons.tolist() == [Reason.NOT_CARRIED, 0]


def test_without_a_local_address_nothing_is_sent() -> None:
    assert IP6Tunnel(remote=B6).encap(raw(INNER6)).counts == {Reason.NO_DESTINATION: 1}


@pytest.mark.parametrize("inner", [INNER, INNER6])
def test_dscp_comes_in_where_it_is_inherited(inner: bytes) -> None:
    carried = 4 if inner is INNER else 41
    frame = bytes(Packet(IPv6(src=A6, dst=B6, traffic_class=0xB8, next_header=carried), inner))
    for dscp, expected in ((None, 0), ("inherit", 0xB8)):
        (got,) = IP6Tunnel(local=B6, remote=A6, dscp=dscp).decap(raw(frame)).packets
        found = encap.parse(got, linktype=101, verify=True)
        assert found["ipv4.tos" if inner is INNER else "ipv6.traffic_class"] == expected


def test_flow_labels() -> None:
    own = bytes(Packet(IPv6(src="fd00::1", dst="fd00::2", flow_label=0x777), *DATA))
    labels = []
    for said in (0, 0x12345, "inherit"):
        sent = IP6Tunnel(local=A6, remote=B6, flowlabel=said).encap(raw(own, INNER6, INNER6))
        labels.append(sent.packets.columns("ipv6.flow_label")["ipv6.flow_label"].tolist())
    drawn, fixed, inherited = labels
    assert fixed == [0x12345] * 3
    assert drawn[1] == drawn[2] != 0
    assert inherited == [0x777, drawn[1], drawn[2]]


def big(size: int, *, df: bool = False, v6: bool = False) -> bytes:
    if v6:
        return sixth("fd00::1", "fd00::2", UDP(dport=7), bytes(size - 48))
    head = IPv4(src="10.0.0.1", dst="10.0.0.2", flags=2 if df else 0)
    return bytes(Packet(head, UDP(dport=7), bytes(size - 28)))


def test_what_does_not_fit_over_ipv6() -> None:
    """IPv4 is refused with DF or without it, by Linux; the RFC cuts what may be cut."""
    frames = raw(big(1452), big(1453), big(1453, df=True), big(1453, v6=True), big(1280, v6=True))
    tunnel = IP6Tunnel(local=A6, remote=B6, addresses=("10.0.0.9", "fd00::9"))
    got = tunnel.encap(frames)
    assert got.reasons.tolist() == [0, 62, 62, 62, 0]
    assert len(got.replies) == 3
    got = replace(tunnel, profile="rfc").encap(frames)
    assert got.reasons.tolist() == [0, 0, 62, 62, 0]
    assert got.rows.tolist() == [0, 1, 1, 4]
    assert list(IP6Tunnel(local=B6, remote=A6).decap(got.packets).packets) == [
        frames[row] for row in (0, 1, 4)
    ]


def test_1280_octets_of_ipv6_always_go() -> None:
    for tunnel, far in (
        (IP6Tunnel(local=A6, remote=B6), IP6Tunnel(local=B6, remote=A6)),
        (SITTunnel(local=A, remote=B), SITTunnel(local=B, remote=A)),
    ):
        narrow = replace(tunnel, underlay=Underlay(mtu=1280))
        got = narrow.encap(raw(big(1280, v6=True), big(1281, v6=True)))
        assert got.reasons.tolist() == [0, 62]
        assert len(got.packets) == 2
        assert list(far.decap(got.packets).packets) == [big(1280, v6=True)]
        assert narrow.device_mtu == 1280


def test_df_of_a_sit_device() -> None:
    def flags(tunnel: SITTunnel, *frames: bytes) -> list[int]:
        column = tunnel.encap(raw(*frames)).packets.columns("ipv4.flags")["ipv4.flags"]
        return column.tolist()

    cut, whole = big(100), big(100, df=True)
    assert flags(SITTunnel(local=A, remote=B), INNER6, cut, whole) == [2, 2, 2]
    assert flags(SITTunnel(local=A, remote=B, pmtudisc=False), INNER6, cut, whole) == [0, 0, 2]
    narrow = SITTunnel(local=A, remote=B, underlay=Underlay(mtu=1299))
    assert flags(narrow, INNER6) == [0]
    assert flags(narrow, INNER6, cut) == [0, 2]


def test_without_pmtudisc_ipv6_is_cut_outside() -> None:
    got = SITTunnel(local=A, remote=B, pmtudisc=False).encap(raw(big(1500, v6=True)))
    assert (got.counts, len(got.packets)) == ({Reason.ACCEPTED: 1}, 2)


# --- sit: addresses from addresses


def sent_to(tunnel: SITTunnel | IPIPTunnel, *frames: bytes) -> list[str]:
    """Outer destinations, or reasons."""
    got = tunnel.encap(raw(*frames))
    there = iter(got.packets)
    return [
        Reason(int(reason)).name if reason
        else str(encap.parse(next(there), linktype=101)[IPv4].dst)
        for reason in got.reasons
    ]  # fmt: skip


def test_6to4_destinations() -> None:
    tunnel = SITTunnel(
        local=A, routes={"default": "::192.88.99.1"}, addresses=("2002:c000:201::1",)
    )
    targets = {
        "2002:c000:202::1": "192.0.2.2", "2002:a00:1::1": "10.0.0.1", "2001:db8::1": "192.88.99.1",
        "2002:7f00:1::1": "NO_DESTINATION", "2002:e000:1::1": "NO_DESTINATION",
        "2002:ffff:ffff::1": "NO_DESTINATION", "2002::1": "192.88.99.1",
    }  # fmt: skip
    frames = [sixth(target=one) for one in targets]
    assert sent_to(tunnel, *frames) == list(targets.values())
    assert len(tunnel.encap(raw(*frames)).replies) == 3
    alone = replace(tunnel, routes=())
    assert sent_to(alone, *frames[2:4], sixth(target="::192.0.2.9"), INNER) == [
        "NO_DESTINATION", "NO_DESTINATION", "192.0.2.9", "10.0.0.2",
    ]  # fmt: skip
    # That nothing says where a packet goes is told to nobody.
    assert len(alone.encap(raw(frames[2])).replies) == 0
    rfc = replace(tunnel, profile="rfc")
    assert sent_to(rfc, *frames[1:2]) == ["NO_DESTINATION"]


def test_6rd_destinations() -> None:
    tunnel = SITTunnel(
        local="10.1.0.1", sixrd_prefix="2001:db8::/33", sixrd_relay_prefix="10.0.0.0/9"
    )
    site = tunnel.domain.sites("10.7.8.9")
    assert sent_to(tunnel, sixth(target=str(site[5])), sixth(target="2001:db8:8000::1")) == [
        "10.7.8.9", "NO_DESTINATION",
    ]  # fmt: skip


def test_isatap_destinations() -> None:
    tunnel = SITTunnel(
        local=A, isatap=True, routes={"default": str(isatap("192.0.2.9"))},
    )  # fmt: skip
    targets = [str(isatap(B)), str(isatap(B, "fd00::/64", unique=True)), "2001:db8::1", "ff02::1"]
    routed = [sixth(target=one) for one in targets]
    assert sent_to(tunnel, *routed[:3]) == [B, "192.0.2.9", "192.0.2.9"]
    alone = replace(tunnel, routes=())
    assert sent_to(alone, *routed) == [B, B, "NO_DESTINATION", "NO_DESTINATION"]


def test_ipip_without_remote() -> None:
    tunnel = IPIPTunnel(local=A, routes={"10.0.0.0/24": "192.0.2.7"})
    frames = [INNER, bytes(Packet(IPv4(src=1, dst="10.9.0.1"), *DATA)),
              bytes(Packet(IPv4(src=1, dst="127.0.0.1"), *DATA))]  # fmt: skip
    assert sent_to(tunnel, *frames) == ["192.0.2.7", "10.9.0.1", "NO_DESTINATION"]
    assert tunnel.encap(raw(LABEL, linktypes=MPLS)).counts == {Reason.NO_DESTINATION: 1}


def from_to(source: str, target: str, *, outer_source: str = A) -> bytes:
    return bytes(Packet(IPv4(src=outer_source, dst=B), IPv6(src=source, dst=target), *DATA))


@pytest.mark.parametrize(
    ("source", "target", "reason"),
    [
        ("2002:c000:201::1", MINE, 0),
        ("2002:c000:209::1", MINE, 41),
        ("2002:7f00:1::1", MINE, 41),
        ("2002::1", MINE, 41),
        ("2002:e000:1::1", MINE, 41),
        ("2001:db8::1", MINE, 0),
        ("fe80::1", MINE, 0),
        ("2002:c000:201::1", "2002:c000:209::1", 41),
        ("2002:c000:201::1", "2002:c633:6401::5", 0),
        ("2002:c000:201::1", "2001:db8::1", 0),
    ],
)
def test_6to4_sources(source: str, target: str, reason: int) -> None:
    # 198.51.100.1 is the device's address: a NAT made 192.0.2.2 of it.
    tunnel = SITTunnel(local=B, addresses=(MINE, "2002:c633:6401::1"))
    assert reasons(tunnel, from_to(source, target)) == [reason]


def test_private_6to4_is_a_matter_of_profile() -> None:
    frame = from_to("2002:a00:1::1", MINE, outer_source="10.0.0.1")
    assert reasons(SITTunnel(local=B), frame) == [0]
    assert reasons(SITTunnel(local=B, profile="rfc"), frame) == [Reason.SPOOFED]


@pytest.mark.parametrize(
    ("source", "outer_source", "reason"),
    [
        ("fe80::5efe:c000:201", A, 0),
        ("fd00:1::5efe:c000:201", A, 0),
        ("fd00:1::200:5efe:c000:201", A, 0),
        ("fd00:2::5efe:c000:201", A, 41),
        ("fd00:1::5efe:c000:209", A, 41),
        ("fd00:1::1", A, 41),
        ("2001:db8::1", A, 41),
        ("2001:db8::1", "192.0.2.8", 0),
    ],
)
def test_isatap_sources(source: str, outer_source: str, reason: int) -> None:
    tunnel = SITTunnel(local=B, isatap=True, prefixes=("fd00:1::/64",), prl=("192.0.2.8",))
    assert reasons(tunnel, from_to(source, "fd00:1::1", outer_source=outer_source)) == [reason]


def test_addresses_are_read_where_the_version_is_wrong() -> None:
    """The kernel looks at the protocol alone: version 5 has addresses too."""
    frame = bytearray(from_to("2002:c000:209::1", MINE))
    frame[20] = 0x50
    assert reasons(SITTunnel(local=B), bytes(frame)) == [Reason.SPOOFED]
    frame = bytearray(from_to("2002:c000:201::1", MINE))
    frame[20] = 0x50
    assert reasons(SITTunnel(local=B), bytes(frame)) == [0]


# --- anything at all

EVERY = [
    *(cls(local=there, remote=here) for cls, here, there in DEVICES),
    IPIPTunnel(external=True),
    SITTunnel(local=B),
    SITTunnel(local=B, sixrd_prefix="2001:db8::/29", sixrd_relay_prefix="192.0.0.0/13"),
    SITTunnel(local=B, isatap=True, prl=(A,), prefixes=("fd00::/64",), profile="rfc"),
    SITTunnel(pmtudisc=False, mode="ip6ip"),
    IP6Tunnel(local=B6, routes={"default": A6}),
    IP6Tunnel(profile="rfc", dscp="inherit", encaplimit="none"),
]
FRAMES = [
    frame
    for name in ("malformed_sit", "malformed_6to4", "malformed_ip6tnl", "malformed_ipip")
    for frame in hosts.injected(name)
] + list(golden.half("sit_any", "outer", "o"))


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    frame = bytearray(draw(st.sampled_from(FRAMES)))
    for _ in range(draw(st.integers(0, 3))):
        frame[draw(st.integers(0, len(frame) - 1))] = draw(st.integers(0, 255))
    return bytes(frame[: draw(st.integers(0, len(frame)))] if draw(st.booleans()) else frame)


@settings(max_examples=150)
@given(st.data())
def test_garbage_gets_a_reason(data: st.DataObject) -> None:
    frames = data.draw(st.lists(st.one_of(mutated(), st.binary(max_size=200)), max_size=8))
    ethernet = Packets.from_frames(frames, linktypes=1)
    inner = raw(*(frame[14:] for frame in frames), linktypes=data.draw(
        st.sampled_from([1, 101, 228, 229, MPLS, 147])
    ))  # fmt: skip
    for tunnel in EVERY:
        for got in (tunnel.decap(ethernet), tunnel.decap(inner), tunnel.encap(inner)):
            assert {Reason(int(one)) for one in got.reasons} == set(got.counts)
            assert set(got.rows.tolist()) == {
                row for row, reason in enumerate(got.reasons) if not reason
            }
            for reply in got.replies:
                encap.parse(reply, linktype=int(got.replies.linktypes[0]), strict=False)
        tunnel.reset()


@st.composite
def inner_packets(draw: st.DrawFn) -> bytes:
    data = (UDP(dport=draw(st.integers(0, 65535))), draw(st.binary(max_size=60)))
    if draw(st.booleans()):
        source, target = draw(st.integers(0, 2**32 - 1)), draw(st.integers(0, 2**32 - 1))
        return bytes(Packet(IPv4(src=source, dst=target, tos=draw(st.integers(0, 255))), *data))
    source, target = (draw(st.integers(0, 2**128 - 1)) for _ in range(2))
    head = IPv6(src=source, dst=target, traffic_class=draw(st.integers(0, 255)))
    extra = (DestinationOptions(),) if draw(st.booleans()) else ()
    return bytes(Packet(head, *extra, *data))


@given(st.lists(inner_packets(), max_size=8), st.sampled_from(DEVICES[1:]))
def test_what_goes_in_comes_out(
    frames: list[bytes], device: tuple[type[tunnels.Tunnel], str, str]
) -> None:
    cls, local, remote = device
    sent = cls(local=local, remote=remote).encap(raw(*frames))
    got = cls(local=remote, remote=local).decap(sent.packets)
    assert list(got.packets) == frames


@given(st.lists(st.integers(0x01000000, 0x7EFFFFFF), min_size=1, max_size=8))
def test_6to4_there_and_back(targets: list[int]) -> None:
    here = SITTunnel(local=A)
    sources = str(tunnels.SIX_TO_FOUR.sites(A)[1])
    frames = [sixth(sources, str(tunnels.SIX_TO_FOUR.sites(one)[1])) for one in targets]
    for target, frame in zip(targets, here.encap(raw(*frames)).packets, strict=True):
        far = SITTunnel(local=str(IPv4Address(target)))
        assert far.decap(raw(frame)).counts == {Reason.ACCEPTED: 1}


def test_fragments_of_one_batch_are_not_taken_for_those_of_another() -> None:
    tunnel = IP6Tunnel(local=A6, remote=B6, underlay=Underlay(mtu=1280))
    inner = encap.IPv6(src="fd00::1", dst="fd00::2", next_header=59) / bytes(1240)
    batch = encap.Packets.from_frames([bytes(inner)] * 2, linktypes=101)
    sent = [tunnel.encap(batch).packets for _ in range(2)]
    ids = [one.columns("fragment.id")["fragment.id"].tolist() for one in sent]
    assert ids == [[0, 0, 1, 1], [2, 2, 3, 3]]
    peer = IP6Tunnel(local=B6, remote=A6)
    shuffled = encap.Packets.concat([sent[0][[0, 2]], sent[1], sent[0][[3, 1]]])
    assert list(peer.decap(shuffled).packets) == [bytes(inner)] * 4
