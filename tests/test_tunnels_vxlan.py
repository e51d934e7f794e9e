"""VXLAN devices: what the captures of a kernel do not show."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import encap
from encap import (
    UDP,
    VXLAN,
    VXLANGPE,
    Ethernet,
    FieldError,
    ICMPv6,
    IPv4,
    IPv6,
    Packets,
    TunnelError,
)
from encap.tunnels import Reason, Underlay, VXLANTunnel, from_commands

HERE, THERE = "192.0.2.1", "192.0.2.2"
SENDER, RECEIVER = "02:00:00:00:00:0a", "02:00:00:00:00:0b"


def vtep(**options: Any) -> VXLANTunnel:
    return VXLANTunnel(**({"id": 42, "local": HERE, "remote": THERE, "dstport": 4789} | options))


def peer(**options: Any) -> VXLANTunnel:
    return vtep(**({"local": THERE, "remote": HERE} | options))


def frame(*headers: Any, payload: bytes = b"") -> bytes:
    ethernet = Ethernet(src=SENDER, dst=RECEIVER)
    stack = headers or (IPv4(src="10.0.0.1", dst="10.0.0.2", ttl=7), UDP(sport=1, dport=2))
    return bytes(encap.packet.Packet(ethernet, *stack, payload))


def outer(header: VXLAN | VXLANGPE, inner: bytes, dport: int = 4789) -> Packets:
    """What the peer would send with a header of its own."""
    network = IPv4(src=THERE, dst=HERE, ttl=64)
    made = encap.packet.Packet(network, UDP(sport=1, dport=dport, checksum=0), header, inner)
    return Packets.from_frames([made], linktypes=101)


def reason(tunnel: VXLANTunnel, packets: Packets) -> Reason:
    (found,) = tunnel.decap(packets).reasons
    return Reason(int(found))


# --- options


@pytest.mark.parametrize(("options", "word"), [
    ({"id": 1 << 24}, "id"),
    ({"dstport": 65536}, "dstport"),
    ({"df": "maybe"}, "df"),
    ({"flowlabel": 1 << 20}, "flowlabel"),
    ({"group": "192.0.2.9", "remote": None}, "group"),
    ({"group": "239.1.1.1"}, "remote and group"),
    ({"group": "ff05::1", "remote": None}, "IP version"),
    ({"gpe": True, "gbp": True}, "gpe"),
    ({"gpe": True, "learning": True}, "gpe"),
    ({"srcport": (1, 70000)}, "srcport"),
    ({"srcport": "ab"}, "srcport"),
    ({"srcport": (1,)}, "srcport"),
    ({"mark": -1}, "mark"),
    ({"ageing": "long"}, "ageing"),
    ({"profile": "bsd"}, "profile"),
    ({"fdb": ["192.0.2.3"]}, "fdb"),
    ({"fdb": 3}, "fdb"),
])  # fmt: skip
def test_an_option_that_cannot_be_is_named(options: dict[str, Any], word: str) -> None:
    with pytest.raises(TunnelError, match=word):
        vtep(**options)


LINK = f"ip link add eth0 address {SENDER} type veth\nip addr add {HERE}/24 dev eth0\n"


def made(words: str, more: str = "") -> VXLANTunnel:
    tunnel = from_commands(f"{LINK}ip link add vx0 type vxlan {words}\n{more}", "vx0")
    assert isinstance(tunnel, VXLANTunnel)
    return tunnel


@pytest.mark.parametrize(("words", "word"), [
    ("id 1 proxy", "proxy"), ("id 1 rsc", "rsc"), ("id 1 external", "external"),
    ("external remote 192.0.2.2", "external"), ("gpe id 1", "gpe"), ("id 1 vnifilter", "vnifilter"),
    ("id 1 group 192.0.2.2", "group"), ("id 1 remote 239.1.1.1", "remote"), ("id x", "id"),
    ("id 1 sizeof 3", "sizeof"), ("id 1 srcport 5", "srcport"), ("id 1 remote nowhere", "remote"),
])  # fmt: skip
def test_words_that_cannot_be_are_named(words: str, word: str) -> None:
    with pytest.raises(TunnelError, match=word):
        made(words)


def test_words_become_options() -> None:
    tunnel = made(
        f"vni 0x2a remote {THERE} dev eth0 srcport 1000 2000 ageing 20 maxaddress 9 noproxy norsc"
        " nolearning flowlabel 0x12345 l2miss l3miss localbypass noudpcsum udp6zerocsumrx gbp"
        " remcsumtx noremcsumrx ttl auto tos inherit df inherit"
    )
    assert tunnel == vtep(
        local=None, dstport=None, srcport=(1000, 2000), ageing=20, maxaddress=9, learning=False,
        flowlabel=0x12345, udpcsum=False, udp6zerocsumrx=True, gbp=True, remcsumtx=True,
        tos="inherit", df="inherit", underlay=tunnel.underlay,
    )  # fmt: skip
    assert tunnel.underlay == Underlay(mac=SENDER, addresses=(HERE,))  # type: ignore[arg-type]


def test_mtus_are_those_that_linux_gives() -> None:
    assert made(f"id 1 remote {THERE}").device_mtu == 1500  # it knows no link
    assert made(f"id 1 remote {THERE} dev eth0").device_mtu == 1450
    assert vtep().device_mtu == 1450
    assert vtep(gpe=True).device_mtu == 1464
    assert vtep(local="2001:db8::1", remote="2001:db8::2").device_mtu == 1430


# --- ports, TTL, addresses


def test_ports() -> None:
    packets = Packets.from_frames([frame(), frame(IPv6(), UDP(sport=7))])
    for options, dport in (({"dstport": None}, 8472), ({"dstport": 0}, 8472), ({}, 4789),
                           ({"gpe": True, "dstport": None}, 4790),
                           ({"profile": "rfc", "dstport": None}, 4789)):  # fmt: skip
        sent = vtep(**options).encap(packets).packets
        assert sent.columns("udp.dport")["udp.dport"].tolist() == [dport, dport]
    many = Packets.from_frames([frame(IPv4(), UDP(sport=port, dport=9)) for port in range(500)])
    for options, low, high in (
        ({}, 32768, 60998), ({"srcport": (100, 104)}, 100, 103),
        ({"srcport": (9, 9)}, 32768, 60998), ({"profile": "rfc"}, 49152, 65535),
    ):  # fmt: skip
        ports = vtep(**options).encap(many).packets.columns("udp.sport")["udp.sport"]
        assert low <= ports.min() <= ports.max() <= high
        assert len(set(ports.tolist())) >= min(high - low, 100)


def test_a_group_gets_ttl_1_and_is_listened_to() -> None:
    tunnel = vtep(remote=None, group="239.1.1.1")
    packets = Packets.from_frames([frame()])
    sent = tunnel.encap(packets).packets
    assert encap.parse(sent[0], linktype=101)["ipv4.ttl"] == 1
    assert vtep(remote=None, group="239.1.1.1", ttl=9).encap(packets).packets[0][8] == 9
    listening = peer(remote=None, group="239.1.1.1")
    assert reason(listening, sent) == Reason.ACCEPTED
    assert reason(peer(), sent) == Reason.NOT_OURS
    # What came from the group's other members is learned: the answer goes there alone.
    back = Packets.from_frames([bytes(Ethernet(src=RECEIVER, dst=SENDER) / IPv4())])
    answer = listening.encap(back).packets[0]
    assert (answer[8], answer[16:20]) == (64, bytes([192, 0, 2, 1]))


def test_flow_labels() -> None:
    ends: dict[str, Any] = {"local": "2001:db8::1", "remote": "2001:db8::2"}
    packets = Packets.from_frames([frame(IPv6(flow_label=0xABCDE), UDP()), frame()])
    for label, expected in (("inherit", [0xABCDE, 0]), (0x12345, [0x12345] * 2), (0, [0, 0])):
        sent = vtep(**ends, flowlabel=label).encap(packets).packets
        assert sent.columns("ipv6.flow_label")["ipv6.flow_label"].tolist() == expected


TOS = {0: 0, 1: 1, 2: 2, 3: 2, 0x28: 0x28, 0xB8: 0xB8, 0xB9: 0xB9, 0xBA: 0xBA, 0xBB: 0xBA, 255: 254}
"""Inner and outer type of service with `tos inherit`, as a kernel (6.12) wrote it."""


@pytest.mark.parametrize("ends", [(HERE, THERE), ("2001:db8::1", "2001:db8::2")])
def test_what_is_inherited(ends: tuple[str, str]) -> None:
    inner = [frame(IPv4(tos=tos, ttl=ttl), UDP()) for ttl in (1, 7, 255) for tos in TOS]
    inner += [frame(IPv6(traffic_class=tos, hop_limit=64), UDP()) for tos in TOS]
    packets = Packets.from_frames(inner)
    version = "ipv6" if ":" in ends[0] else "ipv4"
    names = ("ipv6.traffic_class", "ipv6.hop_limit") if version == "ipv6" else (
        "ipv4.tos", "ipv4.ttl",
    )  # fmt: skip
    tunnel = vtep(local=ends[0], remote=ends[1], tos="inherit", ttl="inherit")
    tos, ttl = tunnel.encap(packets).packets.columns(*names).values()
    assert tos.tolist() == [*TOS.values()] * 4
    assert ttl.tolist() == [hops for hops in (1, 7, 255, 64) for _ in TOS]
    fixed = vtep(local=ends[0], remote=ends[1], tos=0x88, ttl=9)
    tos, ttl = fixed.encap(packets).packets.columns(*names).values()
    assert tos.tolist() == [0x88 | one & 3 if one & 3 != 3 else 0x8A for one in TOS] * 4
    assert set(ttl.tolist()) == {9}


# --- group policy


def test_group_policy_by_columns() -> None:
    tunnel, packets = vtep(gbp=True), Packets.from_frames([frame()] * 4)
    columns = {
        "vxlan.group_policy_id": [0, 7, 0, 0xFFFF], "vxlan.gbp_dont_learn": [0, 0, 1, 1],
        "vxlan.gbp_applied": [0, 1, 0, 1],
    }  # fmt: skip
    sent = tunnel.encap(packets, columns=columns).packets
    found = sent.columns("vxlan.flags", "vxlan.reserved1")
    assert found["vxlan.flags"].tolist() == [0x08, 0x88, 0x88, 0x88]
    assert found["vxlan.reserved1"].tolist() == [0, 0x080007, 0x400000, 0x48FFFF]
    got = peer(gbp=True).decap(sent)
    assert not got.reasons.any()
    # Who wants the marks reads them from the outer packets.
    marks = sent[got.rows].columns("vxlan.group_policy_id")["vxlan.group_policy_id"]
    assert marks.tolist() == [0, 7, 0, 0xFFFF]


def test_marks() -> None:
    packets = Packets.from_frames([frame()] * 3)
    sent = vtep(gbp=True, mark=5).encap(packets).packets
    assert set(sent.columns("vxlan.reserved1")["vxlan.reserved1"].tolist()) == {5}
    sent = vtep(gbp=True).encap(packets, columns={"mark": [0, 0x10000, 0xFFFFFFFF]}).packets
    found = sent.columns("vxlan.flags", "vxlan.reserved1")
    assert found["vxlan.flags"].tolist() == [0x08, 0x88, 0x88]
    assert found["vxlan.reserved1"].tolist() == [0, 0, 0x48FFFF]
    for wrong in ({"mark": 1 << 32}, {"vxlan.group_policy_id": 1 << 16}, {"mark": [1, 2]},
                  {"vxlan.gbp_applied": 2}):  # fmt: skip
        with pytest.raises(FieldError):
            vtep(gbp=True).encap(packets, columns=wrong)
    with pytest.raises(FieldError):
        vtep().encap(packets, columns={"mark": 1})


@pytest.mark.parametrize(("options", "flags", "reserved", "taken"), [
    ({}, 0x08, (0, 0), True), ({}, 0x88, (0x48FFFF, 0), False), ({}, 0x08, (0, 1), False),
    ({"gbp": True}, 0x88, (0x48FFFF, 0), True), ({"gbp": True}, 0x08, (0x48FFFF, 0), True),
    ({"gbp": True}, 0x88, (0x800000, 0), False), ({"gbp": True}, 0x8C, (0, 0), False),
    ({"profile": "rfc"}, 0xFF, (0xFFFFFF, 0xFF), True), ({"profile": "rfc"}, 0xF7, (0, 0), False),
    ({"remcsumrx": True}, 0x08, (0x200000, 0x11), True), ({}, 0x08, (0x200000, 0x11), False),
    ({"remcsumrx": True}, 0x08, (0, 0xFF), True),
    ({"remcsumrx": True}, 0x08, (0x200000, 0x7F), False),
])  # fmt: skip
def test_bits(options: dict[str, Any], flags: int, reserved: tuple[int, int], taken: bool) -> None:
    header = VXLAN(flags=flags, vni=42, reserved1=reserved[0], reserved2=reserved[1])
    packets = outer(header, frame(payload=bytes(20)))
    assert (reason(vtep(**options), packets) == Reason.ACCEPTED) is taken


# --- the generic protocol extension


def test_what_gpe_carries() -> None:
    inner = [bytes(IPv4(src="10.0.0.1") / UDP()), bytes(IPv6(src="fd00::1") / UDP())]
    packets = Packets.concat([
        Packets.from_frames(inner, linktypes=101), Packets.from_frames([frame()]),
    ])  # fmt: skip
    sent = vtep(gpe=True, dstport=None).encap(packets)
    assert not sent.reasons.any()
    columns = sent.packets.columns("gpe.next_protocol", "gpe.vni")
    assert columns["gpe.next_protocol"].tolist() == [1, 2, 3]
    assert columns["gpe.vni"].tolist() == [42] * 3
    got = peer(gpe=True, dstport=None).decap(sent.packets)
    assert list(got.packets) == list(packets)
    assert got.packets.linktypes.tolist() == [101, 101, 1]
    assert vtep(gpe=True).overhead == 36


@pytest.mark.parametrize(("fields", "inner", "expected"), [
    ({}, bytes(IPv4()), Reason.ACCEPTED),
    ({"next_protocol": 1}, bytes(19), Reason.INNER_FRAME),
    ({"next_protocol": 2}, bytes(39), Reason.INNER_FRAME),
    ({"next_protocol": 5}, bytes(4), Reason.ACCEPTED),
    ({"next_protocol": 6}, bytes(40), Reason.INNER_PROTOCOL),
    ({"flags": 8, "next_protocol": 0}, bytes(40), Reason.INNER_PROTOCOL),
    ({"flags": 4}, bytes(IPv4()), Reason.NO_ID_FLAG),
    ({"flags": 13}, bytes(IPv4()), Reason.RESERVED_BITS),
    ({"flags": 14}, bytes(IPv4()), Reason.RESERVED_BITS),
    ({"version": 1}, bytes(IPv4()), Reason.VERSION),
    ({"reserved0": 1}, bytes(IPv4()), Reason.RESERVED_BITS),
    ({"reserved1": 1}, bytes(IPv4()), Reason.RESERVED_BITS),
    ({"reserved2": 1}, bytes(IPv4()), Reason.RESERVED_BITS),
    ({"vni": 43}, bytes(IPv4()), Reason.UNKNOWN_ID),
])  # fmt: skip
def test_what_gpe_takes(fields: dict[str, Any], inner: bytes, expected: Reason) -> None:
    header = VXLANGPE(**({"vni": 42, "next_protocol": 1} | fields))
    packets = outer(header, inner, 4790)
    assert reason(vtep(gpe=True, dstport=None), packets) == expected
    tolerant = (
        Reason.ACCEPTED if set(fields) & {"reserved0", "reserved1", "reserved2"} else expected
    )
    if fields.get("flags") != 14:
        assert reason(vtep(gpe=True, dstport=None, profile="rfc"), packets) == tolerant
    short = packets[0][:35]
    cut = Packets.from_frames([short[:2] + (35).to_bytes(2, "big") + short[4:]], linktypes=101)
    assert reason(vtep(gpe=True, dstport=None), cut) != Reason.ACCEPTED


# --- profiles


def test_where_the_rfc_differs() -> None:
    rfc = vtep(profile="rfc")
    packets = Packets.from_frames([frame()])
    sent = encap.parse(rfc.encap(packets).packets[0], linktype=101)
    assert sent["udp.checksum"] == 0
    assert encap.parse(vtep().encap(packets).packets[0], linktype=101)["udp.checksum"] != 0
    asked = vtep(profile="rfc", udpcsum=True).encap(packets).packets[0]
    assert encap.parse(asked, linktype=101)["udp.checksum"] != 0
    long = Packets.from_frames([frame(payload=bytes(1450))])
    assert rfc.encap(long).counts == {Reason.TOO_BIG: 1}
    assert len(vtep().encap(long).packets) == 2
    tagged = outer(VXLAN(vni=42), frame(encap.VLAN(vid=5), IPv4()))
    assert reason(vtep(), tagged) == Reason.ACCEPTED
    assert reason(rfc, tagged) == Reason.INNER_PROTOCOL


# --- external


def test_an_external_device_goes_by_columns() -> None:
    tunnel = VXLANTunnel(external=True, local=HERE, dstport=4789)
    packets = Packets.from_frames([frame()] * 2)
    assert tunnel.encap(packets).counts == {Reason.NO_DESTINATION: 2}
    columns = {"ipv4.dst": [THERE, "192.0.2.9"], "vxlan.vni": [1, 2], "ipv4.ttl": [3, 4]}
    sent = tunnel.encap(packets, columns=columns)
    assert not sent.reasons.any()
    found = sent.packets.columns("vxlan.vni", "ipv4.ttl", "ipv4.dst")
    assert found["vxlan.vni"].tolist() == [1, 2]
    assert found["ipv4.ttl"].tolist() == [3, 4]
    receiver = VXLANTunnel(external=True, local=THERE, dstport=4789)
    assert receiver.decap(sent.packets).reasons.tolist() == [0, Reason.NOT_OURS]
    assert not len(receiver.state.learned)


def test_an_external_device_is_of_the_underlay_s_ip_version() -> None:
    over = Underlay(addresses=("2001:db8::2",))  # type: ignore[arg-type]
    receiver = VXLANTunnel(external=True, dstport=4789, underlay=over)
    sender = vtep(local="2001:db8::1", remote="2001:db8::2")
    assert reason(receiver, sender.encap(Packets.from_frames([frame()])).packets) == 0
    both = Underlay(addresses=("2001:db8::2", HERE))  # type: ignore[arg-type]
    assert VXLANTunnel(external=True, underlay=both).family == "ipv4"


def test_what_routes_and_filters_say() -> None:
    words = f"id 7 src {HERE} dst {THERE} ttl 9 tos 8"
    route = f"ip route add 10.0.0.0/24 encap ip {words} dev vx0"
    tunnel = made("external dstport 4789", route)
    assert (tunnel.id, tunnel.ttl, tunnel.tos, tunnel.udpcsum) == (7, 9, 8, False)
    verdict = (
        "tc filter add dev eth9 ingress matchall action tunnel_key set"
        f" id 7 src_ip {HERE} dst_ip {THERE} dst_port 4790 vxlan_opts 77 pipe"
        " action mirred egress redirect dev vx0"
    )
    tunnel = made("external gbp", verdict)
    assert (tunnel.id, tunnel.mark, tunnel.dst_port, tunnel.udpcsum) == (7, 77, 4790, True)
    sent = tunnel.encap(Packets.from_frames([frame()])).packets
    assert sent.columns("udp.dport")["udp.dport"].tolist() == [4790]
    assert tunnel.dstport is None  # it listens where it did
    with pytest.raises(TunnelError, match="columns"):
        made("external", f"{route}\n{route.replace('id 7', 'id 8')}")
    with pytest.raises(TunnelError, match="geneve_opts"):
        made("external", f"ip route add 10.0.0.0/24 encap ip {words} geneve_opts 1:2:3:4 dev vx0")


# --- what is too big


def big(df: int = 2, **fields: Any) -> bytes:
    network = IPv4(**({"src": "10.0.0.1", "dst": "10.0.0.2", "ttl": 7, "flags": df} | fields))
    return frame(network, UDP(sport=1, dport=2), payload=bytes(1450))


def test_a_port_of_a_bridge_tells_the_sender() -> None:
    sent = vtep(master="br0").encap(Packets.from_frames([big(), big(df=0), frame()]))
    assert sent.reasons.tolist() == [Reason.TOO_BIG, 0, 0]
    assert sent.packets.rows.tolist() == [1, 1, 2]
    (answer,) = sent.replies
    parsed = encap.parse(answer)
    assert parsed.path == "eth/ipv4/icmp"
    assert [str(parsed[name]) for name in ("eth.src", "eth.dst", "ipv4.src", "ipv4.dst")] == [
        RECEIVER, SENDER, "10.0.0.2", "10.0.0.1",
    ]  # fmt: skip
    assert [parsed[name] for name in ("ipv4.ttl", "ipv4.flags", "ipv4.tos", "icmp.code")] == [
        7, 2, 0, 4,
    ]  # fmt: skip
    assert parsed["ipv4.total_len"] == 576
    assert answer[38:42] == (1450).to_bytes(4, "big")
    assert answer[42:] == big()[14 : 14 + 548]
    assert set(Packets.from_frames([answer]).checksums().counts) == {encap.Verdict.GOOD}


def test_over_ipv6_the_sender_is_told_too() -> None:
    long = frame(IPv6(src="fd00::1", dst="fd00::2", hop_limit=9), UDP(), payload=bytes(1450))
    tunnel = vtep(local="2001:db8::1", remote="2001:db8::2")
    sent = tunnel.encap(Packets.from_frames([long, big(df=0)]))
    assert sent.reasons.tolist() == [Reason.TOO_BIG] * 2  # nobody cuts IPv6
    (answer,) = sent.replies
    parsed = encap.parse(answer)
    assert parsed.path == "eth/ipv6/icmpv6"
    assert (parsed[ICMPv6].type, parsed["ipv6.hop_limit"]) == (2, 9)
    assert answer[58:62] == (1430).to_bytes(4, "big")
    assert answer[62:] == long[14 : 14 + 1232]
    assert parsed["ipv6.payload_len"] == 1240
    assert set(Packets.from_frames([answer]).checksums().counts) == {encap.Verdict.GOOD}


@pytest.mark.parametrize("untold", [
    big(df=0), big(df=3), big(src="0.0.0.1"), big(src="127.0.0.1"), big(dst="239.1.1.1"),
    big(dst="255.255.255.255"), big(src="224.0.0.1"),
    frame(IPv4(src="10.0.0.1", flags=2, protocol=1), payload=bytes([3, 4]) + bytes(1450)),
    frame(IPv6(src="::"), UDP(), payload=bytes(1450)),
    frame(IPv6(src="::1"), UDP(), payload=bytes(1450)),
    frame(IPv6(src="ff02::1"), UDP(), payload=bytes(1450)),
    frame(IPv6(src="fd00::1", next_header=58), payload=bytes([1, 0]) + bytes(1450)),
    frame(IPv6(src="fd00::1", next_header=58), payload=bytes([137, 0]) + bytes(1450)),
])  # fmt: skip
def test_some_are_never_told(untold: bytes) -> None:
    sent = vtep(df="set", master="br0").encap(Packets.from_frames([untold]))
    assert sent.reasons.tolist() == [Reason.TOO_BIG]
    assert len(sent.replies) == 0
    told = frame(IPv4(src="10.0.0.1", flags=2, protocol=1), payload=bytes([8, 0]) + bytes(1450))
    assert len(vtep(df="set").encap(Packets.from_frames([told])).replies) == 1
    narrow = vtep(df="set", underlay=Underlay(mtu=600))
    assert len(narrow.encap(Packets.from_frames([told])).replies) == 0


# --- frames that are none


def test_incomplete_frames_are_not_sent() -> None:
    tag = encap.VLAN(vid=5)
    frames = [
        b"", bytes(13), bytes(14), frame(IPv4())[:33], frame(IPv4())[:34], frame(tag, IPv4())[:37],
        frame(tag, IPv4())[:38], frame(tag, tag, IPv6())[:61], frame(tag, tag, IPv6())[:62],
    ]  # fmt: skip
    sent = vtep().encap(Packets.from_frames(frames))
    refused = [bool(one) for one in sent.reasons]
    assert refused == [True, True, False, True, False, True, False, True, False]
    assert set(sent.reasons[sent.reasons > 0].tolist()) == {Reason.NOT_CARRIED}


def test_the_inner_source_of_nested_tunnels_is_the_frame_s_own() -> None:
    ours = "02:bb:00:00:00:02"
    nested = frame(IPv4(), UDP(dport=4789), VXLAN(vni=1), Ethernet(src=ours), IPv4())
    tunnel = vtep(address=ours)
    assert reason(tunnel, outer(VXLAN(vni=42), nested)) == Reason.ACCEPTED
    assert [str(mac) for mac, _ in tunnel.state.learned] == [SENDER]
    looped = bytes(Ethernet(src=ours, dst=SENDER) / IPv4())
    assert reason(tunnel, outer(VXLAN(vni=42), looped)) == Reason.INNER_SOURCE


# --- what is said about other ports


def datagram(**fields: Any) -> encap.packet.Packet:
    return IPv4(**({"src": THERE, "dst": HERE} | fields)) / UDP(sport=5, dport=53) / b"what"


def test_who_is_told_that_nobody_listens() -> None:
    tunnel = vtep()
    told = Packets.from_frames(
        [datagram(), datagram(tos=0xFF), datagram(src="224.0.0.1"), datagram(src="0.0.0.0")],
        linktypes=101,
    )
    got = tunnel.decap(told)
    assert set(got.reasons.tolist()) == {Reason.NO_PORT}
    assert got.replies.columns("ipv4.tos")["ipv4.tos"].tolist() == [0xC0, 0xDE]
    assert next(iter(got.replies))[28:] == bytes(datagram())
    # Neither what went to all, nor what the link has put behind the packet.
    link = Ethernet(src=SENDER, dst="ff:ff:ff:ff:ff:ff"), Ethernet(src=SENDER, dst=RECEIVER)
    frames = [bytes(one / datagram()) + bytes(14) for one in link]
    (reply,) = tunnel.decap(Packets.from_frames(frames)).replies
    assert reply[:12] == bytes(encap.MAC(SENDER)) + bytes(encap.MAC(RECEIVER))
    assert reply[42:] == bytes(datagram())


def test_checksums_that_a_network_card_was_to_fill_in() -> None:
    sent = peer().encap(Packets.from_frames([frame()])).packets
    partial = sent.rewrite({"udp.checksum": 1}, checksums="keep")
    assert reason(vtep(), partial) == Reason.UDP_CHECKSUM
    assert reason(vtep(underlay=Underlay(udp_checksums=False)), partial) == Reason.ACCEPTED
    sixth = {"local": "2001:db8::1", "remote": "2001:db8::2"}
    back = {"local": "2001:db8::2", "remote": "2001:db8::1"}
    zero = vtep(**back, udp6zerocsumtx=True).encap(Packets.from_frames([frame()])).packets
    assert reason(vtep(**sixth), zero) == Reason.UDP_CHECKSUM
    assert reason(vtep(**sixth, udp6zerocsumrx=True), zero) == Reason.ACCEPTED
    other = vtep(**sixth, udp6zerocsumrx=True, dstport=9)
    assert reason(other, zero) == Reason.UDP_CHECKSUM  # for no socket that takes it


def test_remote_checksum_offload_takes_what_is_partial() -> None:
    inner = Packets.from_frames([frame(payload=b"abcd"), frame(IPv4(), encap.TCP()), frame(IPv4())])
    partial = inner.rewrite({"udp.checksum": 0x1234}, checksums="keep")
    tunnel = vtep(remcsumtx=True)
    assert not tunnel.encap(inner).packets.columns("vxlan.reserved1")["vxlan.reserved1"].any()
    assert not tunnel.encap(partial).packets.columns("vxlan.reserved1")["vxlan.reserved1"].any()
    assert np.array_equal(
        peer(remcsumrx=True).decap(tunnel.encap(inner).packets).packets.compact().data,
        inner.compact().data,
    )
