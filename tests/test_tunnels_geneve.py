"""Geneve devices: what the captures of a kernel do not show."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import encap
from encap import UDP, Ethernet, FieldError, Geneve, GeneveOption, IPv4, IPv6, Packets, TunnelError
from encap.packet import Packet
from encap.tunnels import GeneveTunnel, Reason, Underlay, from_commands

HERE, THERE = "192.0.2.1", "192.0.2.2"
NORMAL, CRITICAL = GeneveOption(0x0102, 0x10, b"abcd"), GeneveOption(0x0102, 0x90, b"")


def tunnel(**options: Any) -> GeneveTunnel:
    return GeneveTunnel(**({"id": 42, "local": HERE, "remote": THERE} | options))


def peer(**options: Any) -> GeneveTunnel:
    return tunnel(**({"local": THERE, "remote": HERE} | options))


def frame(*headers: Any, payload: bytes = b"") -> bytes:
    return bytes(Packet(Ethernet(src=1, dst=2), *(headers or (IPv4(), UDP())), payload))


def outer(inner: bytes, **fields: Any) -> Packets:
    """What the peer would send with a header of its own."""
    header = Geneve(**({"vni": 42, "protocol": 0x6558} | fields))
    network = IPv4(src=THERE, dst=HERE)
    made = Packet(network, UDP(sport=1, dport=6081, checksum=0), header, inner)
    return Packets.from_frames([made], linktypes=101)


def reason(receiver: GeneveTunnel, packets: Packets) -> Reason:
    (found,) = receiver.decap(packets).reasons
    return Reason(int(found))


# --- options of the device


@pytest.mark.parametrize(("options", "word"), [
    ({"id": 1 << 24}, "id"), ({"df": "no"}, "df"), ({"options": (NORMAL,) * 32}, "options"),
    ({"dstport": "x"}, "dstport"),
    ({"options": b"abcd"}, "options"), ({"options": 5}, "options"),
    ({"ttl": 256}, "ttl"), ({"remote": "2001:db8::1"}, "IP version"),
])  # fmt: skip
def test_an_option_that_cannot_be_is_named(options: dict[str, Any], word: str) -> None:
    with pytest.raises(TunnelError, match=word):
        tunnel(**options)


LINK = f"ip link add eth0 type veth\nip addr add {HERE}/24 dev eth0\n"


def made(words: str, more: str = "") -> GeneveTunnel:
    found = from_commands(f"{LINK}ip link add gnv0 type geneve {words}\n{more}", "gnv0")
    assert isinstance(found, GeneveTunnel)
    return found


@pytest.mark.parametrize(("words", "word"), [
    ("id 1", "remote"), (f"id 1 remote {THERE} local {HERE}", "local"),
    ("external id 1", "external"), (f"id 1 remote {THERE} learning", "learning"),
])  # fmt: skip
def test_words_that_cannot_be_are_named(words: str, word: str) -> None:
    with pytest.raises(TunnelError, match=word):
        made(words)


def test_words_become_options() -> None:
    found = made(
        f"vni 42 remote {THERE} ttl inherit tos 8 df set dstport 6082 flowlabel 7 udpcsum"
        " udp6zerocsumtx udp6zerocsumrx"
    )
    assert found == tunnel(
        local=None, ttl="inherit", tos=8, df="set", dstport=6082, flowlabel=7, udpcsum=True,
        udp6zerocsumtx=True, udp6zerocsumrx=True, underlay=Underlay(addresses=(HERE,)),  # type: ignore[arg-type]
    )  # fmt: skip
    # Without an address of its own the tunnel leaves with the link's.
    sent = found.encap(Packets.from_frames([frame()])).packets
    assert str(encap.parse(sent[0], linktype=101)["ipv4.src"]) == HERE


def test_mtus_are_those_that_linux_gives() -> None:
    assert made(f"id 1 remote {THERE}").device_mtu == 1450
    assert made("external").device_mtu == 65465
    assert tunnel(innerprotoinherit=True).device_mtu == 1464
    assert tunnel(local="2001:db8::1", remote="2001:db8::2").device_mtu == 1430
    assert tunnel(options=(NORMAL,)).overhead == 44


@pytest.mark.parametrize("listed", ["1:2", "1:2:zz", "1:2:abcd", "10000:2:", "1:2:3:4"])
def test_options_that_are_none(listed: str) -> None:
    route = f"ip route add 10.0.0.0/24 encap ip id 1 dst {THERE} geneve_opts {listed} dev gnv0"
    with pytest.raises(TunnelError, match="geneve_opts"):
        made("external", route)


# --- options of packets


def test_options_go_with_every_packet() -> None:
    sent = tunnel(options=(NORMAL, CRITICAL)).encap(Packets.from_frames([frame()])).packets
    header = encap.parse(sent[0], linktype=101)[Geneve]
    assert header.options == (NORMAL, CRITICAL)
    assert header.critical == 0  # Linux never says so
    rfc = tunnel(options=(NORMAL, CRITICAL), profile="rfc").encap(Packets.from_frames([frame()]))
    assert encap.parse(rfc.packets[0], linktype=101)[Geneve].critical == 1


def test_options_by_column() -> None:
    packets = Packets.from_frames([frame()] * 3)
    lists = [(), (NORMAL,), (NORMAL, CRITICAL)]
    octets = np.frombuffer(b"".join(bytes(one) for one in (NORMAL, CRITICAL)), np.uint8)
    spans = octets, np.zeros(3, np.int64), np.array([0, 8, 12], np.uint32)
    for given in (lists, spans):
        sent = tunnel(options=(CRITICAL,)).encap(packets, columns={"geneve.options": given})
        headers = [encap.parse(one, linktype=101)[Geneve] for one in sent.packets]
        assert [one.options for one in headers] == lists
        assert [one.critical for one in headers] == [0, 0, 0]
    rfc = tunnel(profile="rfc").encap(packets, columns={"geneve.options": lists})
    critical = [encap.parse(one, linktype=101)[Geneve].critical for one in rfc.packets]
    assert critical == [0, 0, 1]
    for wrong in ([()], (spans[0], spans[1][:1], spans[2][:1])):
        with pytest.raises(FieldError):
            tunnel().encap(packets, columns={"geneve.options": wrong})
    with pytest.raises(TypeError):
        tunnel().encap(packets, columns={"geneve.options": [(1,)] * 3})


def test_options_count_where_a_packet_does_not_fit() -> None:
    inner = frame(IPv4(src="10.0.0.1", flags=2), UDP(), payload=bytes(1410))  # 1,438 octets of IP
    lists = [(), (NORMAL,), (NORMAL, NORMAL)]
    sent = tunnel(df="set").encap(
        Packets.from_frames([inner] * 3), columns={"geneve.options": lists}
    )
    assert sent.reasons.tolist() == [0, 0, Reason.TOO_BIG]
    (answer,) = sent.replies
    assert int.from_bytes(answer[38:42], "big") == 1434
    whole = tunnel().encap(Packets.from_frames([inner] * 3), columns={"geneve.options": lists})
    assert whole.packets.rows.tolist() == [0, 1, 2, 2]


def test_options_of_packets_that_are_left_out_go_with_them() -> None:
    packets = Packets.from_frames([bytes(5), frame(), frame()])
    sent = tunnel().encap(packets, columns={"geneve.options": [(NORMAL,), (CRITICAL,), ()]})
    assert sent.reasons.tolist() == [Reason.NOT_CARRIED, 0, 0]
    headers = [encap.parse(one, linktype=101)[Geneve] for one in sent.packets]
    assert [one.options for one in headers] == [(CRITICAL,), ()]


# --- what is taken


def area(*words: int) -> bytes:
    return b"".join(word.to_bytes(4, "big") for word in words)


@pytest.mark.parametrize(("options", "critical", "linux", "rfc"), [
    (b"", 0, 0, 0),
    (b"", 1, Reason.CRITICAL_OPTION, 0),
    (bytes(NORMAL), 0, 0, 0),
    (bytes(CRITICAL), 0, 0, Reason.CRITICAL_OPTION),
    (bytes(NORMAL) + bytes(CRITICAL), 1, Reason.CRITICAL_OPTION, Reason.CRITICAL_OPTION),
    (area(0x01021001), 0, 0, Reason.OPTIONS),
    (area(0x01021001, 0, 0x01021002), 0, 0, Reason.OPTIONS),
    (area(0x01021000, 0x0102101F), 0, 0, Reason.OPTIONS),
    (area(*[0x01021000] * 63), 0, 0, 0),
    (area(*[0x01021000] * 62, 0x01029000), 0, 0, Reason.CRITICAL_OPTION),
    (area(0x0102101E, *[0] * 30, 0x0102101F, *[0] * 31), 0, 0, 0),
])  # fmt: skip
def test_options_on_receipt(options: bytes, critical: int, linux: int, rfc: int) -> None:
    packets = outer(frame(), critical=critical, options=(options,))
    assert reason(tunnel(), packets) == linux
    assert reason(tunnel(profile="rfc"), packets) == rfc
    assert reason(tunnel(external=True), packets) == Reason.ACCEPTED


def test_critical_options_may_be_known() -> None:
    packets = outer(frame(), options=(NORMAL, CRITICAL))
    assert reason(tunnel(profile="rfc", options=(CRITICAL,)), packets) == Reason.ACCEPTED
    other = GeneveOption(0x0103, 0x90)
    assert reason(tunnel(profile="rfc", options=(other,)), packets) == Reason.CRITICAL_OPTION


@pytest.mark.parametrize(("fields", "inner", "expected"), [
    ({}, frame(), Reason.ACCEPTED),
    ({"oam": 1, "reserved1": 63, "reserved2": 255}, frame(), Reason.ACCEPTED),
    ({"version": 1}, frame(), Reason.VERSION),
    ({"vni": 43}, frame(), Reason.UNKNOWN_ID),
    ({"protocol": 0x0800}, bytes(IPv4()), Reason.INNER_TYPE),
    ({"opt_len": 252}, frame(), Reason.CUT_INSIDE),
    ({}, frame()[:13], Reason.CUT_INSIDE),
    ({}, frame()[:33], Reason.INNER_FRAME),
])  # fmt: skip
def test_what_is_taken(fields: dict[str, Any], inner: bytes, expected: Reason) -> None:
    packets = outer(inner, **fields)
    assert reason(tunnel(), packets) == expected
    assert reason(tunnel(profile="rfc"), packets) == expected


def test_whose_packet_it_is() -> None:
    packets = outer(frame())
    assert reason(tunnel(remote="192.0.2.3"), packets) == Reason.UNKNOWN_ID
    assert reason(tunnel(remote=None), packets) == Reason.ACCEPTED
    assert tunnel(remote=None).encap(Packets.from_frames([frame()])).packets[0][16:20] == bytes(4)
    assert reason(tunnel(external=True, id=7, remote="192.0.2.3"), packets) == Reason.ACCEPTED
    ours = tunnel(address="00:00:00:00:00:01")
    assert reason(ours, packets) == Reason.OWN_SOURCE


def test_ip_without_ethernet() -> None:
    inner = [bytes(IPv4(src="10.0.0.1") / UDP()), bytes(IPv6(src="fd00::1") / UDP())]
    packets = Packets.from_frames(inner, linktypes=101)
    sent = tunnel(innerprotoinherit=True).encap(packets)
    assert not sent.reasons.any()
    protocols = sent.packets.columns("geneve.protocol")["geneve.protocol"].tolist()
    assert protocols == [0x0800, 0x86DD]
    got = peer(innerprotoinherit=True).decap(sent.packets)
    assert list(got.packets) == inner
    assert got.packets.linktypes.tolist() == [101, 101]
    frames = outer(frame())
    got = tunnel(innerprotoinherit=True).decap(frames)
    assert got.packets.linktypes.tolist() == [1]
    short = outer(bytes(39), protocol=0x86DD)
    assert reason(tunnel(innerprotoinherit=True), short) == Reason.INNER_FRAME
    # Frames are for another device, and so are packets.
    assert tunnel().encap(packets).counts == {Reason.NOT_CARRIED: 2}


# --- external


def test_an_external_device_sends_ttl_0_where_nothing_is_said() -> None:
    packets = Packets.from_frames([frame()])
    assert GeneveTunnel(external=True).encap(packets).counts == {Reason.NO_DESTINATION: 1}
    route = f"ip route add 10.0.0.0/24 encap ip id 42 src {HERE} dst {THERE} dev gnv0"
    sent = encap.parse(made("external", route).encap(packets).packets[0], linktype=101)
    assert (sent["ipv4.ttl"], sent["udp.checksum"], sent["geneve.vni"]) == (0, 0, 42)
    asked = made("external", route.replace("src", "csum ttl 5 src"))
    sent = encap.parse(asked.encap(packets).packets[0], linktype=101)
    assert (sent["ipv4.ttl"], sent["udp.checksum"] != 0) == (5, True)


def test_what_differs_is_said_by_columns() -> None:
    columns = {"ipv4.dst": [HERE, THERE], "geneve.vni": [1, 2], "ipv4.src": HERE}
    sent = GeneveTunnel(external=True).encap(Packets.from_frames([frame()] * 2), columns=columns)
    found = sent.packets.columns("geneve.vni", "ipv4.ttl")
    assert found["geneve.vni"].tolist() == [1, 2]
    assert found["ipv4.ttl"].tolist() == [0, 0]
