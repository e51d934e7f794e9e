"""Where packets go through GRE devices, and what the outer header says then."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from ends import (
    A6,
    B6,
    DEVICES,
    FRAME,
    INNER,
    INNER6,
    IPV6_DEVICES,
    A,
    B,
    arriving,
    ends,
    inner_of,
    raw,
    reasons,
)

import encap
from encap import (
    GRE,
    UDP,
    DestinationOptions,
    Ethernet,
    IPv4,
    IPv6,
    Option,
    Packet,
    Packets,
    tunnels,
)
from encap.errors import TunnelError
from encap.headers.gre import C
from encap.headers.ipv6_extensions import ENCAPSULATION_LIMIT
from encap.tunnels import (
    ERSPANTunnel,
    GRETAPTunnel,
    GRETunnel,
    IP6GRETAPTunnel,
    IP6GRETunnel,
    Reason,
)


def test_neighbours_say_where_packets_go() -> None:
    hops = {"10.0.0.2": B, "10.0.0.3": "192.0.2.3", "fd00::2": "192.0.2.6"}
    tunnel = GRETunnel(local=A, ttl=9, neighbours=hops)
    inner = [
        bytes(Packet(IPv4(src="10.0.0.1", dst=target), UDP()))
        for target in ("10.0.0.3", "10.0.0.2", "10.0.0.9", "224.0.0.5")
    ]
    sent = tunnel.encap(raw(*inner, INNER6))
    assert sent.reasons.tolist() == [0, 0, Reason.NO_DESTINATION, 0, 0]
    assert [str(encap.parse(one, linktype=101)["ipv4.dst"]) for one in sent.packets] == [
        "192.0.2.3", B, "224.0.0.5", "192.0.2.6",
    ]  # fmt: skip
    told = np.full(5, 0xC0000205, np.uint32)
    sent = tunnel.encap(raw(*inner, INNER6), columns={"ipv4.dst": told})
    assert not sent.reasons.any()
    assert sent.packets.columns("ipv4.dst")["ipv4.dst"].tolist() == told.tolist()


def test_neighbours_over_ipv6() -> None:
    tunnel = IP6GRETunnel(local=A6, neighbours=[("10.0.0.2", B6), ("fd00::2", "2001:db8::3")])
    sent = tunnel.encap(raw(INNER, INNER6, bytes(Packet(IPv4(src=1, dst=9), UDP()))))
    assert sent.reasons.tolist() == [0, 0, Reason.NO_DESTINATION]
    assert [str(encap.parse(one, linktype=101)["ipv6.dst"]) for one in sent.packets] == [
        B6, "2001:db8::3",
    ]  # fmt: skip


def test_gateways_are_next_hops() -> None:
    made = tunnels.from_commands(
        """
        ip link add g type gre local 192.0.2.1 remote any
        ip addr add 10.0.0.1/24 dev g
        ip neigh add 10.0.0.2 lladdr 192.0.2.2 dev g
        ip route add 10.9.0.0/16 via 10.0.0.2
        """,
        "g",
    )
    inner = [bytes(Packet(IPv4(src=1, dst=target), UDP())) for target in ("10.9.1.1", "10.8.1.1")]
    sent = made.encap(raw(*inner))
    assert sent.reasons.tolist() == [0, Reason.NO_DESTINATION]
    assert str(encap.parse(sent.packets[0], linktype=101)["outer.ipv4.dst"]) == B


def test_a_remote_end_that_is_a_group() -> None:
    tunnel = GRETunnel(local=B, remote="239.1.1.1")
    frames = [
        bytes(Packet(IPv4(src=source, dst=target), GRE(), INNER))
        for source, target in ((A, "239.1.1.1"), ("192.0.2.9", B), (A, "239.1.1.2"))
    ]
    assert reasons(tunnel, *frames) == [0, 0, Reason.NOT_OURS]
    keyed = bytes(Packet(IPv4(src=A, dst="239.1.1.1"), GRE(key=1), INNER))
    got = tunnel.decap(raw(keyed))
    assert got.reasons.tolist() == [Reason.NO_TUNNEL]
    assert len(got.replies) == 0
    assert len(tunnel.decap(raw(arriving(GRE(key=1), INNER))).replies) == 1


@pytest.mark.parametrize("cls", DEVICES)
def test_frames_are_for_devices_that_carry_them(cls: type[tunnels.Tunnel]) -> None:
    tunnel, _ = ends(cls)
    both = Packets.from_frames([FRAME, INNER], linktypes=[1, 101])
    carried = [0, Reason.NOT_CARRIED]
    assert tunnel.encap(both).reasons.tolist() == (carried if cls.FRAMES else carried[::-1])


def test_frames_go_nowhere_without_a_remote_end() -> None:
    assert GRETAPTunnel(local=A).encap(Packets.from_frames([FRAME])).counts == {
        Reason.NO_DESTINATION: 1
    }


@pytest.mark.parametrize("cls", DEVICES)
def test_external_devices_ask_columns(cls: type[tunnels.Tunnel]) -> None:
    tunnel = cls(external=True, local=A6 if cls in IPV6_DEVICES else A)
    inner = inner_of(tunnel)
    assert set(tunnel.encap(inner).counts) == {Reason.NO_DESTINATION}
    columns: dict[str, Any] = {f"{tunnel.family}.dst": [B6 if cls in IPV6_DEVICES else B]}
    columns = {name: value * len(inner) for name, value in columns.items()}
    keys = np.arange(len(inner), dtype=np.uint32)
    sent = tunnel.encap(inner, columns=columns | {"gre.key": keys})
    assert sent.packets.columns("gre.key")["gre.key"].tolist() == keys.tolist()
    other = cls(external=True, local=B6 if cls in IPV6_DEVICES else B)
    assert list(other.decap(sent.packets).packets) == list(inner)
    plain = tunnel.encap(inner, columns=columns).packets
    assert not plain.columns("gre.key?")["gre.key?"].any()
    assert list(other.decap(plain).packets) == list(inner)


FILTER = (
    "tc filter add dev e egress matchall action tunnel_key set src_ip 192.0.2.1 dst_ip 192.0.2.2"
    " id 5 ttl 9 tos 4 nofrag pipe action mirred egress redirect dev e"
)
ROUTE = "ip route add 10.0.0.0/8 encap ip id 5 dst 192.0.2.2 src 192.0.2.1{} dev e"
TOLD: list[tuple[str, str, dict[str, Any]]] = [
    ("gretap", FILTER, {"okey": 5, "ocsum": True, "ttl": 9, "tos": 4, "nofrag": True}),
    ("gre", ROUTE.format(""), {}),
    ("gre", ROUTE.format(" key seq csum"), {"okey": 5, "ocsum": True, "oseq": True}),
]


@pytest.mark.parametrize(("kind", "command", "options"), TOLD)
def test_filters_and_routes_tell_an_external_device(
    kind: str, command: str, options: dict[str, Any]
) -> None:
    made = tunnels.from_commands(["ip link add e type " + kind + " external", command], "e")
    silent: dict[str, Any] = {"ocsum": False, "oseq": False}
    cls = GRETAPTunnel if kind == "gretap" else GRETunnel
    expected = cls(external=True, local=A, remote=B, underlay=made.underlay, **silent | options)
    assert made == expected
    (sent,) = made.encap(Packets.from_frames([FRAME]) if made.FRAMES else raw(INNER)).packets
    packet = encap.parse(sent, linktype=101)
    gre = packet[GRE]
    assert packet["ipv4.flags"] == (2 if "nofrag" in options else 0)
    assert (gre.key, gre.seq is not None) == (options.get("okey"), options.get("oseq", False))
    assert bool(gre.flags & C) == options.get("ocsum", False)


def test_how_many_tunnels_there_may_yet_be() -> None:
    def limited(*limits: int) -> bytes:
        options = tuple(Option(ENCAPSULATION_LIMIT, bytes([one])) for one in limits)
        behind = DestinationOptions(options=options) if limits else None
        network = IPv6(src="fd00::1", dst="fd00::2")
        return bytes(Packet(*((network,) if behind is None else (network, behind)), UDP(), b"!!"))

    inner = [limited(3), limited(), limited(0), limited(255), INNER]

    def seen(tunnel: tunnels.Tunnel, batch: Packets) -> list[int | None]:
        sent = tunnel.encap(batch)
        assert sent.reasons.tolist() == [0, 0, Reason.LIMIT, 0, 0]
        parsed = [encap.parse(one, linktype=101, strict=False) for one in sent.packets]
        assert len(sent.replies) == 1
        (answer,) = sent.replies
        # Parameter problem, at the limit behind the IPv6 header and the options' own.
        at = 14 if tunnel.FRAMES else 0
        assert (answer[at + 40], answer[at + 44 : at + 48]) == (4, (44).to_bytes(4, "big"))
        return [
            next(iter(one[DestinationOptions].options)).data[0]  # type: ignore[union-attr]
            if one.path.startswith("ipv6/dstopts/gre")
            else None
            for one in parsed
        ]

    ours: dict[str, Any] = {"local": A6, "remote": B6, "addresses": ("fd00::9",)}
    assert seen(IP6GRETunnel(**ours), raw(*inner)) == [2, 4, 254, 4]
    assert seen(IP6GRETunnel(**ours, encaplimit="none"), raw(*inner)) == [2, None, 254, None]
    frames = [bytes(Packet(Ethernet(src=1, dst=2, type=0x86DD), one)) for one in inner[:4]]
    batch = Packets.from_frames([*frames, FRAME])
    assert seen(IP6GRETAPTunnel(**ours), batch) == [2, 4, 254, 4]
    mirrored = ERSPANTunnel(**ours, key=1, seq=True, erspan_ver=2)
    assert seen(mirrored, Packets.from_frames([*frames, bytes(60)])) == [2, 4, 254, None]


@pytest.mark.parametrize("cls", IPV6_DEVICES)
def test_what_comes_from_the_other_end_goes_round_in_a_circle(cls: type[tunnels.Tunnel]) -> None:
    packet = bytes(Packet(IPv6(src=B6, dst=A6), UDP()))
    link = Ethernet(src=1, dst=2, type=0x86DD)
    inner = Packets.from_frames([bytes(Packet(link, packet))]) if cls.FRAMES else raw(packet)
    assert cls(local=A6, remote=B6).encap(inner).counts == {Reason.NOT_CARRIED: 1}


def test_df_and_whether_it_is_heeded() -> None:
    inner = raw(*(bytes(Packet(IPv4(src=1, dst=2, flags=df), UDP())) for df in (0, 2)), INNER6)

    def seen(**options: Any) -> list[int]:
        sent = GRETunnel(local=A, remote=B, **options).encap(inner).packets
        flags: list[int] = sent.columns("ipv4.flags")["ipv4.flags"].tolist()
        return flags

    assert seen() == [2, 2, 2]
    assert seen(pmtudisc=False) == [0, 2, 0]
    assert seen(pmtudisc=False, ignore_df=True) == [0, 0, 0]


def test_flow_labels() -> None:
    two = raw(INNER6, INNER6, bytes(Packet(IPv6(src=1, dst=2, flow_label=5), UDP())), INNER)

    def labels(**options: Any) -> list[int]:
        sent = IP6GRETunnel(local=A6, remote=B6, **options).encap(two).packets
        found: list[int] = sent.columns("ipv6.flow_label")["ipv6.flow_label"].tolist()
        return found

    drawn = labels()
    assert drawn[0] == drawn[1]
    assert len(set(drawn)) == 3
    assert labels(flowlabel=7) == [7] * 4
    assert labels(flowlabel="inherit") == [drawn[0], drawn[1], 5, drawn[3]]


@pytest.mark.parametrize("cls", [GRETunnel, IP6GRETunnel])
def test_labels_are_told_by_their_link_type(cls: type[tunnels.Tunnel]) -> None:
    here, there = ends(cls, key=3)
    labels = bytes.fromhex("00064140") + INNER
    inner = Packets.from_frames([INNER, labels, INNER6], linktypes=[101, 219, 101])
    sent = here.encap(inner).packets
    assert sent.columns("gre.protocol")["gre.protocol"].tolist() == [0x800, 0x8847, 0x86DD]
    assert list(there.decap(sent).packets) == list(inner)


def test_more_kinds_of_limits_than_a_batch_may_have() -> None:
    def limited(limit: int) -> bytes:
        behind = DestinationOptions(options=(Option(ENCAPSULATION_LIMIT, bytes([limit])),))
        link = Ethernet(src=1, dst=2, type=0x86DD)
        return bytes(Packet(link, IPv6(src="fd00::1", dst="fd00::2"), behind, UDP(), b"!!"))

    frames = [*map(limited, range(1, 256)), FRAME]
    tunnel = ERSPANTunnel(local=A6, remote=B6, key=1, seq=True, encaplimit="none")
    assert not tunnel.encap(Packets.from_frames(frames)).reasons.any()
    with pytest.raises(TunnelError, match="limits"):
        tunnel.encap(Packets.from_frames([*frames, bytes(60)]))
