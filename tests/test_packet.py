"""One packet: parsed, built, read and changed. What another program builds is the measure."""

from __future__ import annotations

import copy
import pickle
from ipaddress import IPv4Address
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.contrib import mpls
from scapy.contrib.geneve import GENEVE, GeneveOptions
from scapy.layers import inet, inet6, l2, sctp, vxlan
from scapy.packet import Raw

import encap
from encap import (
    ARP,
    ERSPAN,
    GRE,
    ICMP,
    LLC,
    MPLS,
    SCTP,
    SLL,
    SLL2,
    TCP,
    UDP,
    VLAN,
    VXLAN,
    VXLANGPE,
    ChecksumError,
    DecodeError,
    DepthError,
    DestinationOptions,
    Ethernet,
    FieldError,
    Fragment,
    Geneve,
    GeneveOption,
    Header,
    HopByHop,
    ICMPv6,
    IPv4,
    IPv6,
    MalformedError,
    Null,
    Option,
    Routing,
    TruncatedError,
    UnsupportedError,
    header,
)
from encap.errors import EncapError
from encap.fields import U8, Bits, Next
from encap.packet import MAX_LAYERS, Packet
from encap.registry import DEFAULT

A, B = "02:00:00:00:00:01", "02:00:00:00:00:02"
V4 = {"src": "10.0.0.1", "dst": "10.0.0.2"}
V6 = {"src": "2001:db8::1", "dst": "2001:db8::2"}

eth = Ethernet(src=A, dst=B)
ip4 = IPv4(**V4)
ip6 = IPv6(**V6)
tcp = TCP(sport=1000, dport=443, seq=1, ack=2, flags=0x18, window=512)
udp = UDP(sport=1000, dport=53)
inner = eth / ip4 / udp / b"question"


# --- built as others build ----------------------------------------------------------

s_eth = l2.Ether(src=A, dst=B)
s_ip4 = inet.IP(id=0, **V4)
s_ip6 = inet6.IPv6(**V6)
s_tcp = inet.TCP(sport=1000, dport=443, seq=1, ack=2, flags=0x18, window=512)
s_udp = inet.UDP(sport=1000, dport=53)
s_inner = s_eth / s_ip4 / s_udp / b"question"
S_HOSTS = ["2001:db8::3", "2001:db8::4"]
HOSTS = b"".join(encap.IPv6(src=host).src.packed for host in S_HOSTS)


def s_tunnel(dport: int) -> Any:
    return s_eth / s_ip4 / inet.UDP(sport=49152, dport=dport)


STACKS: dict[str, tuple[Packet, Any]] = {
    "eth/ipv4/tcp": (eth / ip4 / tcp / b"data!", s_eth / s_ip4 / s_tcp / b"data!"),
    "eth/vlan/vlan/ipv4/tcp": (
        eth / VLAN(vid=100, pcp=3) / VLAN(vid=5) / ip4 / tcp,
        s_eth / l2.Dot1Q(vlan=100, prio=3) / l2.Dot1Q(vlan=5) / s_ip4 / s_tcp,
    ),
    "eth/ipv4/udp": (eth / ip4 / udp / b"odd", s_eth / s_ip4 / s_udp / b"odd"),
    "eth/ipv6/udp": (eth / ip6 / udp / b"odd", s_eth / s_ip6 / s_udp / b"odd"),
    "eth/ipv6/hopopt/dstopts/udp": (
        eth / ip6 / HopByHop(options=(Option(5, b"\0\0"),)) / DestinationOptions() / udp / b"x",
        s_eth / s_ip6 / inet6.IPv6ExtHdrHopByHop(options=[inet6.RouterAlert(value=0)])
        / inet6.IPv6ExtHdrDestOpt(options=[inet6.PadN(optdata=bytes(4))]) / s_udp / b"x",
    ),
    "eth/ipv6/routing/tcp": (  # the pseudo header has the final destination
        eth / ip6 / Routing(type=0, segments_left=2, data=bytes(4) + HOSTS) / tcp / b"x",
        s_eth / s_ip6 / inet6.IPv6ExtHdrRouting(segleft=2, addresses=S_HOSTS) / s_tcp / b"x",
    ),
    "eth/ipv6/routing/udp": (  # and here it is the one in the IPv6 header
        eth / ip6 / Routing(type=0, segments_left=0, data=bytes(4) + HOSTS) / udp / b"x",
        s_eth / s_ip6 / inet6.IPv6ExtHdrRouting(segleft=0, addresses=S_HOSTS) / s_udp / b"x",
    ),
    "eth/ipv6/fragment/udp": (
        eth / ip6 / Fragment(id=7) / udp / b"atomic",
        s_eth / s_ip6 / inet6.IPv6ExtHdrFragment(id=7) / s_udp / b"atomic",
    ),
    "eth/ipv4/gre/ipv4/udp": (
        eth / ip4 / GRE(flags=0x1000, key=5, seq=9) / ip4 / udp,
        s_eth / s_ip4 / l2.GRE(chksum_present=1, key_present=1, key=5, seqnum_present=1,
                               seqence_number=9) / s_ip4 / s_udp,
    ),
    "eth/ipv4/gre/eth/ipv4/udp": (
        eth / ip4 / GRE() / inner, s_eth / s_ip4 / l2.GRE(proto=0x6558) / s_inner,
    ),
    "eth/ipv4/udp/vxlan/eth/ipv4/udp": (
        eth / ip4 / UDP(sport=49152) / VXLAN(vni=42) / inner,
        s_tunnel(4789) / vxlan.VXLAN(vni=42, flags=8) / s_inner,
    ),
    "eth/ipv4/udp/geneve/eth/ipv4/udp": (
        eth / ip4 / UDP(sport=49152)
        / Geneve(vni=1, options=(GeneveOption(0x0108, 3, b"\x11\x22\x33\x44"),)) / inner,
        s_tunnel(6081) / GENEVE(vni=1, proto=0x6558, options=[
            GeneveOptions(classid=0x0108, type=3, data=b"\x11\x22\x33\x44")]) / s_inner,
    ),
    "eth/mpls/mpls/ipv4/tcp": (
        eth / MPLS(label=16, bos=0, ttl=9) / MPLS(label=17, ttl=8) / ip4 / tcp,
        s_eth / mpls.MPLS(label=16, s=0, ttl=9) / mpls.MPLS(label=17, s=1, ttl=8) / s_ip4 / s_tcp,
    ),
    "eth/ipv4/ipv4/udp": (eth / ip4 / ip4 / udp, s_eth / s_ip4 / s_ip4 / s_udp),
    "eth/ipv4/ipv6/udp": (eth / ip4 / ip6 / udp, s_eth / s_ip4 / s_ip6 / s_udp),
    "eth/ipv6/ipv4/udp": (eth / ip6 / ip4 / udp, s_eth / s_ip6 / s_ip4 / s_udp),
    "eth/ipv4/icmp": (
        eth / ip4 / ICMP(rest=0x00010002) / b"ping",
        s_eth / s_ip4 / inet.ICMP(id=1, seq=2) / b"ping",
    ),
    "eth/ipv6/icmpv6": (
        eth / ip6 / ICMPv6(rest=0x00010002) / b"ping",
        s_eth / s_ip6 / inet6.ICMPv6EchoRequest(id=1, seq=2, data=b"ping"),
    ),
    "eth/ipv4/sctp": (
        eth / ip4 / SCTP(sport=1, dport=2, verification_tag=3) / b"chunks",
        s_eth / s_ip4 / sctp.SCTP(sport=1, dport=2, tag=3) / Raw(b"chunks"),
    ),
    "eth/llc/ipv4/udp": (
        eth / LLC() / ip4 / udp,
        l2.Dot3(src=A, dst=B) / l2.LLC(dsap=0xAA, ssap=0xAA, ctrl=3) / l2.SNAP() / s_ip4 / s_udp,
    ),
    "eth/arp": (
        eth / ARP(op=2, sha=A, spa="10.0.0.1", tha=B, tpa="10.0.0.2"),
        s_eth / l2.ARP(op=2, hwsrc=A, psrc="10.0.0.1", hwdst=B, pdst="10.0.0.2"),
    ),
    "eth/ipv4/tcp with options": (
        eth / IPv4(options=(Option(0x94, b"\0\0"),), **V4)
        / TCP(sport=1000, dport=443, options=(Option(2, b"\x05\xb4"), Option(1))),
        s_eth / inet.IP(id=0, options=[inet.IPOption_Router_Alert()], **V4)
        / inet.TCP(sport=1000, dport=443, window=65535, options=[("MSS", 1460), ("NOP", None)]),
    ),
}  # fmt: skip
every_stack = pytest.mark.parametrize("name", STACKS)


@every_stack
def test_open_fields_are_filled_in(name: str) -> None:
    ours, theirs = STACKS[name]
    assert bytes(ours) == bytes(theirs)
    assert len(ours) == len(bytes(ours))


@every_stack
def test_parse_finds_the_same_headers(name: str) -> None:
    ours, theirs = STACKS[name]
    packet = encap.parse(bytes(theirs), verify=True)
    assert packet.path == ours.path == name.split(maxsplit=1)[0]
    assert packet.payload == ours.payload
    assert packet.error is None
    assert bytes(packet) == bytes(theirs)
    assert bytes(packet.fill()) == bytes(theirs)


@every_stack
def test_given_fields_are_kept(name: str) -> None:
    """Wrong on purpose: a number given is written as given."""
    packet = encap.parse(bytes(STACKS[name][1]))
    for index, part in enumerate(packet):
        for field in part.fields.values():
            if field.name in ("checksum", "total_len", "payload_len", "len", "type", "protocol"):
                if getattr(part, field.name) is None:
                    continue
                count = sum(other.path == part.path for other in packet.headers[:index])
                wrong = field.maximum // 3
                changed = packet.replace({f"{part.path}[{count}].{field.name}": wrong})
                octets = bytes(changed.headers[index])
                again, _ = type(part)._parse(octets, 0, len(octets))
                assert getattr(again, field.name) == wrong


def test_a_checksum_of_zero_is_written_as_ones() -> None:
    zero = encap.parse(bytes(eth / ip4 / udp / b"\0\0"))[UDP].checksum
    assert zero is not None
    payload = zero.to_bytes(2, "big")
    built = bytes(eth / ip4 / udp / payload)
    assert built == bytes(s_eth / s_ip4 / s_udp / payload)
    assert encap.parse(built, verify=True)[UDP].checksum == 0xFFFF
    # GRE's is not (RFC 2784 section 2.3 knows no such rule).
    empty = GRE(flags=0x1000, protocol=0x88B5)
    total = int.from_bytes(bytes(Packet(empty))[4:6], "big")
    built = bytes(empty / total.to_bytes(2, "big"))
    assert built[4:6] == bytes(2)


def test_what_follows_is_announced() -> None:
    assert encap.parse(bytes(eth / b"x"))[Ethernet].type == 0x88B5
    assert encap.parse(bytes(eth / ip4))[IPv4].protocol == 59
    built = encap.parse(bytes(eth / ip4 / UDP() / VXLANGPE(vni=1) / ip6))
    assert built.path == "eth/ipv4/udp/gpe/ipv6"
    built = encap.parse(bytes(eth / ip4 / GRE(seq=1) / ERSPAN(session_id=7) / eth))
    assert built.path == "eth/ipv4/gre/erspan/eth"
    assert built["gre.protocol"] == 0x88BE
    built = encap.parse(bytes(eth / ip4 / GRE(seq=1) / ERSPAN(version=2) / eth))
    assert (built.path, built["gre.protocol"]) == ("eth/ipv4/gre/erspan/eth", 0x22EB)


def test_lengths_that_do_not_fit() -> None:
    with pytest.raises(FieldError, match="total_len") as caught:
        bytes(ip4 / bytes(65516))
    assert (caught.value.layer, caught.value.field) == ("ipv4", "total_len")
    assert len(bytes(ip4 / bytes(65515))) == 65535


def test_putting_packets_together() -> None:
    whole = eth / ip4 / UDP() / VXLAN(vni=1) / inner
    assert whole == Packet(eth, ip4, UDP(), VXLAN(vni=1), *inner.headers, inner.payload)
    padded = encap.parse(bytes(inner) + b"pad")
    assert (eth / ip4 / UDP() / VXLAN() / padded).trailers == ((5, b"pad"),)
    with pytest.raises(TypeError):
        inner / udp
    with pytest.raises(TypeError):
        eth / "text"
    for parts in ((b"first", eth), (5,), ("text",), (eth, None)):
        with pytest.raises(TypeError):
            Packet(*parts)  # type: ignore[arg-type]
    assert bytes(eth / bytearray(b"ab")) == bytes(eth / memoryview(b"ab"))


# --- names --------------------------------------------------------------------------

OVERLAY = encap.parse(
    bytes(
        eth / VLAN(vid=7) / IPv4(src="192.0.2.1", dst="192.0.2.2") / UDP(sport=5) / VXLAN(vni=42)
        / eth / VLAN(vid=8) / VLAN(vid=9) / ip6 / tcp / b"data"
    )
)  # fmt: skip


def test_headers_by_class_index_and_name() -> None:
    assert OVERLAY[VXLAN].vni == 42
    assert OVERLAY[Ethernet] is OVERLAY.headers[0] is OVERLAY[0]
    assert OVERLAY[-1] is OVERLAY[TCP] is OVERLAY["tcp"] is OVERLAY["inner.tcp"]
    assert OVERLAY["eth[1]"] is OVERLAY["inner.eth"] is OVERLAY["eth[-1]"] is OVERLAY[5]
    assert list(OVERLAY) == list(OVERLAY.headers)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("vlan.vid", 7), ("vlan[0].vid", 7), ("vlan[1].vid", 8), ("vlan[-1].vid", 9),
        ("outer.vlan.vid", 7), ("inner.vlan.vid", 8), ("inner.vlan[1].vid", 9),
        ("outer.vlan[-1].vid", 7), ("ipv4.dscp", 0), ("outer.ip.src", IPv4Address("192.0.2.1")),
        ("inner.ip.ttl", 64), ("l4.sport", 5), ("inner.l4.dport", 443), ("tunnel.id", 42),
        ("tunnel.kind", "vxlan"), ("outer.vxlan.vni", 42), ("inner.tcp.window", 512),
        ("tcp?", None), ("ipv4.src?", True), ("vlan[3].vid", KeyError), ("inner.ipv4", KeyError),
        ("inner.vxlan", KeyError), ("gre", KeyError), ("gre.key?", False), (SCTP, KeyError),
        ("ipv4.sport", FieldError), ("nope.x", FieldError), ("ipv4..src", FieldError),
        ("ip.nope", FieldError), ("", FieldError), (99, IndexError), (1.5, TypeError),
    ],
)  # fmt: skip
def test_fields_by_name(name: Any, value: Any) -> None:
    if name == "tcp?":
        name, value = "tcp.urgent?", True
    if not isinstance(value, type):
        assert OVERLAY[name] == value
        return
    with pytest.raises(value):
        OVERLAY[name]


def test_a_packet_names_only_what_it_can_be_asked_for() -> None:
    with pytest.raises(FieldError, match=r"known are .*geneve, ip, l4, tunnel$"):
        OVERLAY["nope.x"]


def test_inner_and_outer_without_a_tunnel_are_everything() -> None:
    packet = encap.parse(bytes(inner))
    assert packet["outer.udp"] is packet["inner.udp"] is packet["udp"]


def test_ip_in_ip_splits_at_the_inner_header() -> None:
    packet = encap.parse(bytes(eth / ip4 / ip6 / udp))
    assert packet["inner.ip"] is packet["ipv6"]
    assert packet["outer.ip"] is packet["ipv4"]
    assert "outer.ipv6" not in packet
    assert "inner.eth" not in packet
    assert packet["tunnel.kind"] == "ipv6"


def test_in() -> None:
    assert VXLAN in OVERLAY
    assert "inner.tcp" in OVERLAY
    assert "vlan[2]" in OVERLAY
    assert "vlan[3]" not in OVERLAY
    assert GRE not in OVERLAY
    assert "gre.key" not in OVERLAY
    assert "gre.key" not in (ip4 / GRE())
    assert "gre.key" in (ip4 / GRE(key=0))


# --- changes ------------------------------------------------------------------------


def differences(before: bytes, after: bytes) -> list[int]:
    assert len(before) == len(after)
    return [at for at, (old, new) in enumerate(zip(before, after, strict=True)) if old != new]


@pytest.mark.parametrize(
    ("changes", "octets"),
    [
        ({"vxlan.vni": 7}, [52]),
        ({"vxlan.vni": 0x2A}, []),
        ({"outer.ipv4.dst": "192.0.9.9"}, [36, 37]),
        ({"inner.ipv6.dst": "2001:db8::9"}, [115]),
        ({"vlan[-1].vid": 10}, [73]),
        ({"eth.dst": b"\x02\0\0\0\0\x03", "inner.vlan.pcp": 7}, [5, 68]),
        ({"ipv4.dscp": 46, "ipv4.ecn": 1}, [19]),
        ({"inner.tcp.checksum": None, "ip.ttl": 3}, [26]),
    ],
)
def test_replace_leaves_all_else(changes: dict[str, Any], octets: list[int]) -> None:
    frame = bytes(OVERLAY)
    changed = OVERLAY.replace(changes)
    found = differences(frame, bytes(changed))
    assert found == octets
    assert bytes(OVERLAY) == frame


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"gre.key": 1}, KeyError), ({"vlan[3].vid": 1}, KeyError), ({"vxlan": 1}, KeyError),
        ({"vxlan.vni": 1 << 24}, FieldError), ({"vxlan.vni": -1}, FieldError),
        ({"ipv4.dscp": 64}, FieldError), ({"ipv4.src": "nowhere"}, FieldError),
        ({"vxlan.nope": 1}, FieldError), ({"nope.x": 1}, FieldError),
        ({"vxlan.vni": "7"}, TypeError), ({"ipv4.dscp": "7"}, TypeError),
        ({"tcp.options": bytes(44)}, FieldError), ({5: 5}, TypeError),
    ],
)  # fmt: skip
def test_what_cannot_be_replaced(changes: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        OVERLAY.replace(changes)


def test_optional_fields_come_and_go_with_what_announces_them() -> None:
    packet = ip4 / GRE(key=5) / b"x"
    assert packet.replace({"gre.key": 6})["gre.key"] == 6
    assert packet.replace({"gre.flags": 0}) == ip4 / GRE() / b"x"
    assert packet.replace({"gre.flags": 0x600}) == ip4 / GRE(key=5, seq=0) / b"x"
    with pytest.raises(FieldError, match="flags says"):
        packet.replace({"gre.key": None})
    third = ERSPAN(version=2) / eth
    assert third.replace({"erspan.timestamp": 5})["erspan.timestamp"] == 5


def test_fill_computes_what_depends_on_other_things() -> None:
    changed = OVERLAY.replace({"inner.ipv6.dst": "2001:db8::9", "tcp.urgent": 1})
    with pytest.raises(ChecksumError, match="checksum"):
        encap.parse(bytes(changed), verify=True)
    filled = encap.parse(bytes(changed.fill()), verify=True)
    assert filled["tcp.urgent"] == 1
    assert filled["outer.udp.sport"] == 5
    shorter = Packet(*OVERLAY.headers, b"").fill()
    assert len(encap.parse(bytes(shorter), verify=True)) == len(OVERLAY) - 4


@pytest.mark.parametrize(
    "packet",
    [
        Ethernet(type=0x88A8) / VLAN(vid=1) / ip4 / udp,
        Ethernet(type=0x88CC) / b"what no header is known for",
        eth / ip4 / UDP(sport=5, dport=8472) / VXLAN() / inner,
        eth / ip4 / GRE(protocol=0x88BE) / inner,  # ERSPAN type I has no header
        eth / ip6 / Fragment(next_header=17, offset=3) / b"rest",
    ],
)
def test_fill_keeps_a_number_that_nothing_contradicts(packet: Packet) -> None:
    frame = bytes(packet)
    assert bytes(encap.parse(frame).fill()) == frame


def test_fill_opens_what_follows_from_the_header_itself() -> None:
    packet = encap.parse(FRAME).replace({"geneve.options": (GeneveOption(2, 0x83, b"1234"),)})
    filled = encap.parse(bytes(packet.fill()), verify=True)
    assert filled.path == encap.parse(FRAME).path
    assert (filled["geneve.opt_len"], filled["geneve.critical"]) == (8, 1)
    shorter = encap.parse(bytes(eth / LLC() / ip4 / udp)).replace({"eth.type": 9}).fill()
    assert encap.parse(bytes(shorter))["eth.type"] == 36


def test_fill_leaves_a_header_that_is_cut_short() -> None:
    frame = bytes(eth / IPv4(options=b"\1\1\1\1", **V4))[:36]
    filled = encap.parse(frame, strict=False).fill()
    assert bytes(filled) == frame


def test_packets_do_not_change() -> None:
    for name in ("payload", "headers", "other"):
        with pytest.raises(AttributeError):
            setattr(OVERLAY, name, b"")
    with pytest.raises(AttributeError):
        OVERLAY[VXLAN].vni = 5  # type: ignore[misc]


def test_equality_hash_and_copies() -> None:
    same = encap.parse(bytes(OVERLAY))
    assert same == OVERLAY
    assert hash(same) == hash(OVERLAY)
    assert len({same, OVERLAY, OVERLAY.replace({"vxlan.vni": 1})}) == 2
    assert bytes(OVERLAY) != OVERLAY
    for again in (pickle.loads(pickle.dumps(OVERLAY)), copy.copy(OVERLAY), copy.deepcopy(OVERLAY)):
        assert again == OVERLAY
        assert bytes(again) == bytes(OVERLAY)
    assert Packet()
    assert repr(eth / VXLAN(vni=1) / b"x") == f"{eth!r} / VXLAN(vni=1) / b'x'"


def test_a_packet_with_an_error_pickles() -> None:
    packet = encap.parse(bytes(OVERLAY)[:-20], strict=False)
    again = pickle.loads(pickle.dumps(packet))
    assert again == packet
    assert isinstance(again.error, TruncatedError)
    assert vars(again.error) == vars(packet.error)


# --- strict and lenient -------------------------------------------------------------

FRAME = bytes(eth / ip4 / UDP(sport=1, dport=6081) / Geneve(options=(GeneveOption(1, 2),)) / inner)


def cut(length: int) -> bytes:
    return FRAME[:length]


def put(at: int, octets: bytes, frame: bytes = FRAME) -> bytes:
    return frame[:at] + octets + frame[at + len(octets) :]


@pytest.mark.parametrize(
    ("frame", "layer", "offset", "need", "have", "limit"),
    [
        (b"", "eth", 0, 14, 0, "capture"),
        (cut(13), "eth", 0, 14, 13, "capture"),
        (cut(33), "ipv4", 14, 20, 19, "capture"),
        (cut(40), "udp", 34, 8, 6, "capture"),
        (cut(49), "geneve", 42, 8, 7, "capture"),
        (cut(53), "geneve", 42, 12, 11, "capture"),
        (put(16, b"\0\x1a"), "udp", 34, 8, 6, "ipv4.total_len"),
        (put(38, b"\0\x0f"), "geneve", 42, 8, 7, "udp.len"),
        (put(38, b"\0\x13"), "geneve", 42, 12, 11, "udp.len"),
        (put(14, b"\x46", cut(34)), "ipv4", 14, 24, 20, "capture"),
        (bytes(eth / IPv6(next_header=6) / b"abc") + b"pad", "tcp", 54, 20, 3, "ipv6.payload_len"),
        (bytes(eth / LLC(oui=0, pid=0x0800) / b"abc") + b"pad", "ipv4", 22, 20, 3, "eth.length"),
    ],
)
def test_truncated(frame: bytes, layer: str, offset: int, need: int, have: int, limit: str) -> None:
    with pytest.raises(TruncatedError) as caught:
        encap.parse(frame)
    error = caught.value
    assert (error.layer, error.offset) == (layer, offset)
    assert (error.need, error.have, error.limit) == (need, have, limit)
    lenient = encap.parse(frame, strict=False)
    assert vars(lenient.error) == vars(error)
    assert bytes(lenient) == frame
    assert len(lenient) == len(frame)


@pytest.mark.parametrize(
    ("frame", "layer", "offset", "field", "value"),
    [
        (put(14, b"\x55"), "ipv4", 14, "version", 5),
        (put(14, b"\x44"), "ipv4", 14, "ihl", 4),
        (put(16, b"\0\x13"), "ipv4", 14, "total_len", 19),
        (put(38, b"\0\x07"), "udp", 34, "len", 7),
        (bytes(eth / ip4 / TCP(data_offset=4)), "tcp", 34, "data_offset", 4),
        (bytes(eth / ip4 / UDP() / VXLAN(flags=0) / eth), "vxlan", 42, "flags", 0),
        (bytes(eth / IPv6(version=4)), "ipv6", 14, "version", 4),
    ],
)
def test_malformed(frame: bytes, layer: str, offset: int, field: str, value: int) -> None:
    with pytest.raises(MalformedError) as caught:
        encap.parse(frame)
    error = caught.value
    assert (error.layer, error.offset, error.field, error.value) == (layer, offset, field, value)
    lenient = encap.parse(frame, strict=False)
    assert lenient[-1].path == layer  # its fixed part can be read
    assert getattr(lenient[-1], field) == value
    assert bytes(lenient) == frame


def test_versions_that_are_not_known() -> None:
    for frame in (
        put(42, b"\x41"),
        bytes(eth / ip4 / GRE(version=2)),
        bytes(eth / ip4 / UDP() / VXLANGPE(version=1) / ip4),
    ):
        with pytest.raises(UnsupportedError):
            encap.parse(frame)
        assert bytes(encap.parse(frame, strict=False)) == frame


@pytest.mark.parametrize(
    ("packet", "layer", "field"),
    [
        (eth / IPv4(flags=4, **V4) / udp, "ipv4", "flags"),
        (eth / ip4 / UDP() / VXLAN(reserved1=1) / inner, "vxlan", "reserved1"),
        (eth / ip4 / UDP() / VXLAN(flags=9) / inner, "vxlan", "flags"),
        (eth / ip4 / UDP() / Geneve(reserved2=1) / inner, "geneve", "reserved2"),
        (eth / ip4 / GRE(flags=1) / inner, "gre", "flags"),
        (eth / ip4 / TCP(reserved=1), "tcp", "reserved"),
    ],
)
def test_reserved_bits_stop_only_who_asks(packet: Packet, layer: str, field: str) -> None:
    frame = bytes(packet)
    assert encap.parse(frame, verify=True).path == packet.path
    with pytest.raises(MalformedError) as caught:
        encap.parse(frame, strict="reserved")
    assert (caught.value.layer, caught.value.field) == (layer, field)


def test_nothing_reserved_is_set() -> None:
    assert encap.parse(bytes(OVERLAY), strict="reserved") == OVERLAY


def test_wrong_arguments() -> None:
    with pytest.raises(FieldError):
        encap.parse(FRAME, strict="very")
    with pytest.raises(TypeError):
        encap.parse("text")
    with pytest.raises(TypeError):
        encap.parse(None)
    for buffer in (bytearray(FRAME), memoryview(FRAME)):
        assert encap.parse(buffer) == encap.parse(FRAME)


# --- checksums ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("eth/ipv4/tcp", "tcp.checksum"),
        ("eth/ipv4/udp", "udp.checksum"),
        ("eth/ipv6/udp", "udp.checksum"),
        ("eth/ipv6/routing/tcp", "tcp.checksum"),
        ("eth/ipv4/icmp", "icmp.checksum"),
        ("eth/ipv6/icmpv6", "icmpv6.checksum"),
        ("eth/ipv4/sctp", "sctp.checksum"),
        ("eth/ipv4/gre/ipv4/udp", "udp.checksum"),
    ],
)
def test_one_flipped_bit_is_found(name: str, wrong: str) -> None:
    frame = bytes(STACKS[name][1])
    encap.parse(frame, verify=True)
    flipped = frame[:-1] + bytes([frame[-1] ^ 1])
    with pytest.raises(ChecksumError, match=wrong):
        encap.parse(flipped, verify=True)
    assert encap.parse(flipped).path == name


def test_header_checksums() -> None:
    for at in (22, 26):  # TTL, source
        with pytest.raises(ChecksumError, match=r"ipv4\.checksum"):
            encap.parse(put(at, b"\x7f", bytes(eth / ip4)), verify=True)
    covered = bytes(eth / ip4 / GRE(flags=0x1000) / MPLS(label=16, tc=1) / ip6)
    with pytest.raises(ChecksumError, match=r"gre\.checksum"):
        encap.parse(put(45, b"\x7f", covered), verify=True)


@pytest.mark.parametrize(
    "packet",
    [
        eth / ip4 / UDP(sport=1, dport=2, checksum=0) / b"none",
        eth / IPv4(flags=1, **V4) / UDP(sport=1, dport=2, len=100, checksum=1) / b"first fragment",
        eth / ip6 / Fragment(more=1) / UDP(sport=1, dport=2, checksum=1) / b"first fragment",
        eth / IPv4(fragment_offset=4, protocol=17, **V4) / b"later fragment",
    ],
)
def test_what_is_not_checked(packet: Packet) -> None:
    encap.parse(bytes(packet), verify=True)


def test_frames_cut_short_are_not_checked() -> None:
    frame = bytes(eth / ip4 / tcp / bytes(100))
    assert encap.parse(frame[:-50], verify=True).path == "eth/ipv4/tcp"
    with pytest.raises(ChecksumError, match=r"ipv4\.checksum"):  # but the IPv4 header is whole
        encap.parse(put(22, b"\x7f", frame[:-50]), verify=True)


def test_both_zeros_of_a_checksum_are_right() -> None:
    """One's complement has two; a receiver adds up and cannot tell them apart."""
    first = bytes(Packet(IPv4(protocol=59, **V4)))
    built = bytes(Packet(IPv4(id=int.from_bytes(first[10:12], "big"), protocol=59, **V4)))
    assert built[10:12] == b"\0\0"
    encap.parse(put(10, b"\xff\xff", built), 101, verify=True)


# --- registries ---------------------------------------------------------------------


def test_ports() -> None:
    vx = VXLAN(vni=1) / inner
    frame = bytes(eth / ip4 / UDP(dport=8473) / vx)
    assert encap.parse(frame).path == "eth/ipv4/udp"
    assert encap.parse(frame, ports={8473: "vxlan"}).path == "eth/ipv4/udp/vxlan/eth/ipv4/udp"
    assert encap.parse(bytes(eth / ip4 / UDP(dport=8472) / vx)).path.count("vxlan") == 1
    assert encap.parse(FRAME, ports={6081: None}).path == "eth/ipv4/udp"
    fou = bytes(eth / ip4 / UDP(dport=5555) / ip4 / udp)
    assert encap.parse(fou, ports={5555: "ipip"}).path == "eth/ipv4/udp/ipv4/udp"
    # Only the destination port counts.
    assert encap.parse(bytes(eth / ip4 / UDP(sport=4789, dport=9) / vx)).path == "eth/ipv4/udp"
    for wrong in ({70000: "vxlan"}, {-1: None}, {1: "nope"}):
        with pytest.raises(FieldError):
            encap.parse(FRAME, ports=wrong)


@header("shim")
class Shim(Header):
    """A user's own header.

    kind: what it is
    next: IP protocol of what follows
    """

    kind: U8 = 1
    next: Annotated[int | None, Bits(8), Next("protocol")] = None


def test_own_headers() -> None:
    known = DEFAULT.extend(headers=[Shim], ethertypes={0x88B6: "shim"}, ports={9999: "shim"})
    packet = Packet(eth, Shim(kind=2), ip4, udp, b"x", registry=known)
    frame = bytes(packet)
    assert frame[12:16] == bytes.fromhex("88b6 0204")
    parsed = encap.parse(frame, registry=known, verify=True)
    assert parsed.path == "eth/shim/ipv4/udp"
    assert parsed["shim.kind"] == 2
    assert parsed.replace({"shim.kind": 3})[Shim].kind == 3
    assert bytes(parsed.fill()) == frame
    assert encap.parse(frame).path == "eth"
    assert pickle.loads(pickle.dumps(parsed)) == parsed
    over_udp = Packet(ip4, UDP(sport=1), Shim(), b"x", registry=known)
    assert encap.parse(bytes(over_udp), 101, registry=known).path == "ipv4/udp/shim"
    with pytest.raises(FieldError):
        parsed["shim.nope"]


# --- link types, trailers, depth ----------------------------------------------------


LINKS: list[tuple[int, Packet]] = [
    (0, Null() / ip4 / udp),
    (0, Null(family=30 << 24) / ip6 / udp),
    (108, Null(family=2) / ip4 / udp),
    (1, eth / ip4 / udp),
    (101, ip4 / udp),
    (101, ip6 / udp),
    (12, ip4 / udp),
    (12, ip6 / udp),
    (228, ip4 / udp),
    (229, ip6 / udp),
    (113, SLL(addr=0x0200000000010000) / ip4 / udp),
    (113, SLL() / VLAN(vid=5) / ip6 / udp),
    (276, SLL2(ifindex=3) / ip6 / udp),
    (276, SLL2() / ARP()),
    (113, SLL() / LLC() / ip4 / udp),
]


@pytest.mark.parametrize(
    ("linktype", "packet"), LINKS, ids=[f"{n}-{p.path.replace('/', '-')}" for n, p in LINKS]
)
def test_link_types(linktype: int, packet: Packet) -> None:
    parsed = encap.parse(bytes(packet), linktype, verify=True)
    assert parsed.path == packet.path
    assert bytes(parsed) == bytes(packet)


@pytest.mark.parametrize("linktype", [2, 127, -1, 65536])
@pytest.mark.parametrize("strict", [True, False])
def test_unknown_link_types(linktype: int, strict: bool) -> None:
    with pytest.raises(UnsupportedError, match=str(linktype)):
        encap.parse(b"abc", linktype, strict=strict)


def test_ethernet_padding_is_no_payload() -> None:
    frame = bytes(eth / ip4 / udp / b"hi") + bytes(16)
    packet = encap.parse(frame, verify=True)
    assert packet.payload == b"hi"
    assert packet.trailer == bytes(16)
    assert packet.trailers == ((1, bytes(16)),)
    assert bytes(packet) == frame
    assert bytes(packet.fill()) == frame
    assert len(packet) == len(frame)


def test_padding_inside_and_outside_of_a_tunnel() -> None:
    padded = bytes(inner) + b"inside"
    frame = bytes(eth / ip4 / UDP(sport=5) / VXLAN(vni=1) / padded) + b"outside"
    packet = encap.parse(frame, verify=True)
    assert packet.path == "eth/ipv4/udp/vxlan/eth/ipv4/udp"
    assert packet.payload == b"question"
    assert packet.trailer == b"insideoutside"
    assert packet.trailers == ((1, b"outside"), (5, b"inside"))
    assert bytes(packet) == frame
    assert bytes(packet.fill()) == frame
    assert bytes(packet.replace({"vxlan.vni": 1})) == frame


def test_lengths_of_segmentation_offload() -> None:
    for packet in (eth / IPv4(total_len=0, **V4) / tcp, eth / IPv6(payload_len=0, **V6) / tcp):
        parsed = encap.parse(bytes(packet / bytes(3000)))
        assert len(parsed.payload) == 3000
        assert parsed.trailers == ()


def test_nothing_follows_ipv6_that_says_so() -> None:
    packet = encap.parse(bytes(eth / IPv6(payload_len=0, next_header=59)) + b"pad")
    assert (packet.payload, packet.trailer) == (b"", b"pad")


@pytest.mark.parametrize("count", [MAX_LAYERS + 1, 400, 3000])
def test_depth(count: int) -> None:
    frame = bytes(IPv4(protocol=4, total_len=0)) * count
    with pytest.raises(DepthError) as caught:
        encap.parse(frame, 101)
    assert (caught.value.layer, caught.value.offset) == ("ipv4", 20 * MAX_LAYERS)
    packet = encap.parse(frame, 101, strict=False)
    assert bytes(packet) == frame


def test_400_headers_can_be_built() -> None:
    packet = Packet(*[ip4] * 400, udp)
    frame = bytes(packet)
    assert len(frame) == 8008
    stopped = encap.parse(frame, 101, strict=False)
    assert len(stopped.headers) == MAX_LAYERS
    assert isinstance(stopped.error, DepthError)
    assert len(stopped.payload) == 8008 - 20 * MAX_LAYERS
    assert bytes(stopped) == frame


def test_an_extension_chain_that_never_ends() -> None:
    endless = bytes(DestinationOptions(next_header=60)) * 8000
    frame = bytes(IPv6(next_header=60, payload_len=0)) + endless
    packet = encap.parse(frame, 101, strict=False)
    assert isinstance(packet.error, DepthError)
    assert packet.path == "/".join(["ipv6", *["dstopts"] * (MAX_LAYERS - 1)])
    assert bytes(packet) == frame


def test_63_words_of_geneve_options() -> None:
    options = (GeneveOption(1, 1, bytes(124)), GeneveOption(2, 0x82, bytes(120)))
    packet = encap.parse(bytes(eth / ip4 / UDP() / Geneve(options=options) / inner), verify=True)
    assert packet.path == "eth/ipv4/udp/geneve/eth/ipv4/udp"
    assert packet["geneve.opt_len"] == 252
    assert packet["geneve.critical"] == 1
    assert packet["geneve.options"] == options
    with pytest.raises(FieldError):
        Geneve(options=(*options, GeneveOption(3, 3)))


def test_fragments_are_not_entered() -> None:
    first = eth / IPv4(flags=1, **V4) / UDP() / VXLAN() / inner
    assert encap.parse(bytes(first)).path == "eth/ipv4/udp"
    assert encap.parse(bytes(first)).incomplete
    later = eth / IPv4(fragment_offset=1, protocol=17) / b"whatever"
    assert encap.parse(bytes(later)).path == "eth/ipv4"
    for carried in (GRE() / inner, Packet(ip6, udp)):
        outer = encap.parse(bytes(eth / IPv4(flags=1) / carried))
        assert outer.path == "eth/ipv4"
    assert encap.parse(bytes(eth / ip6 / Fragment(offset=1, next_header=17) / b"x")).path == (
        "eth/ipv6/fragment"
    )


# --- garbage ------------------------------------------------------------------------

SEEDS = [
    *((1, bytes(ours)) for ours, _ in STACKS.values()),
    *((linktype, bytes(packet)) for linktype, packet in LINKS),
    (1, bytes(OVERLAY)),
    (1, FRAME + b"trailer"),
    (1, bytes(eth / ip4 / GRE(seq=1) / ERSPAN(version=2, platform=bytes(8)) / inner)),
    (1, bytes(eth / ip4 / GRE(flags=0x800, routing=bytes.fromhex("080000040a00000100000000")))),
    (1, bytes(eth / ip4 / UDP() / VXLANGPE() / ip6 / udp) + b"trailer"),
]
LINKTYPES = [0, 1, 12, 101, 108, 113, 228, 229, 276]
INTERESTING = st.sampled_from([0, 1, 4, 6, 0x7F, 0x80, 0xFF]) | st.integers(0, 255)


@st.composite
def mutated(draw: st.DrawFn) -> tuple[int, bytes]:
    """A valid frame with some octets changed, cut or made longer, and a link type."""
    linktype, frame = draw(st.sampled_from(SEEDS))
    octets = bytearray(frame)
    places = st.integers(0, len(octets) - 1)
    for at, value in draw(st.lists(st.tuples(places, INTERESTING), max_size=6)):
        octets[at] = value
    end = draw(st.just(len(octets)) | places)
    tail = draw(st.just(b"") | st.binary(max_size=8))
    return draw(st.just(linktype) | st.sampled_from(LINKTYPES)), bytes(octets[:end]) + tail


@given(mutated())
def test_every_frame_is_kept_whole(case: tuple[int, bytes]) -> None:
    linktype, frame = case
    packet = encap.parse(frame, linktype, strict=False)
    assert bytes(packet) == frame
    assert len(packet) == len(frame)
    assert len(packet.headers) <= MAX_LAYERS
    assert pickle.loads(pickle.dumps(packet)) == packet


@given(mutated(), st.sampled_from([True, "reserved"]))
def test_strict_gives_a_packet_or_our_error(case: tuple[int, bytes], strict: bool | str) -> None:
    linktype, frame = case
    lenient = encap.parse(frame, linktype, strict=False)
    try:
        packet = encap.parse(frame, linktype, strict=strict, verify=True)
    except (DecodeError, ChecksumError):
        return
    assert packet == lenient
    assert lenient.error is None


@given(mutated())
def test_what_is_parsed_can_be_filled_or_refused(case: tuple[int, bytes]) -> None:
    linktype, frame = case
    packet = encap.parse(frame, linktype, strict=False)
    try:
        built = bytes(packet.fill())
    except EncapError:
        return
    assert len(built) == len(frame)


@given(st.binary(max_size=300), st.sampled_from(LINKTYPES))
def test_any_octets(data: bytes, linktype: int) -> None:
    assert bytes(encap.parse(data, linktype, strict=False)) == data
