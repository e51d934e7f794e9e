"""Checksums that have something special about them, brought along by a rewriting."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scapy.layers import inet, inet6, l2, sctp, vxlan
from scapy.packet import Packet as ScapyPacket
from scapy.packet import Raw

import encap
from encap import (
    AH,
    GRE,
    ICMP,
    IGMP,
    SCTP,
    TCP,
    UDP,
    VXLAN,
    Ethernet,
    Fragment,
    ICMPv6,
    IPv4,
    IPv6,
    Packet,
    Packets,
    Routing,
    Verdict,
)
from encap.assemble import pseudo_sum
from encap.checksum import fold

ETH = Ethernet(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
FOUR = IPv4(src="192.0.2.1", dst="192.0.2.2")
SIX = IPv6(src="2001:db8::1", dst="2001:db8::2")
DATA = bytes(range(61))
HALVES = {
    "0.0.0.0/1": "128.0.0.0/1", "128.0.0.0/1": "0.0.0.0/1", "::/1": "8000::/1", "8000::/1": "::/1",
}  # fmt: skip
"""A mapping that every address is in."""


def once(packet: Packet | bytes, changes: dict[str, Any], mode: str = "update") -> bytes:
    """One frame, rewritten: alone, and in the middle of many others, which is the same."""
    frame = bytes(packet)
    alone = Packets.from_frames([frame]).rewrite(changes, mode)[0]
    others = [bytes(ETH / FOUR / TCP() / DATA)] * 20
    among = Packets.from_frames([*others, frame, *others]).rewrite(changes, mode)[20]
    assert alone == among
    return alone


def good(frame: bytes) -> bool:
    verdicts = Packets.from_frames([frame]).checksums().verdict
    return bool(len(verdicts)) and all(one in (Verdict.GOOD, Verdict.ZERO) for one in verdicts)


LAYERS = [
    FOUR / TCP(sport=7) / DATA, FOUR / UDP(sport=7, dport=9) / DATA, FOUR / ICMP(rest=1) / DATA,
    FOUR / IGMP(group="224.0.0.1") / b"", SIX / TCP(sport=7) / DATA,
    SIX / UDP(sport=7, dport=9) / DATA, SIX / ICMPv6(rest=5) / DATA, FOUR / SCTP(sport=1) / DATA,
    FOUR / UDP() / VXLAN(vni=7) / ETH / FOUR / TCP() / DATA,
    SIX / UDP() / VXLAN(vni=7) / ETH / SIX / UDP(dport=5) / DATA,
    FOUR / GRE(checksum=None, flags=0x1000, key=5) / FOUR / TCP() / DATA,
    FOUR / GRE(flags=0x1000, protocol=0x6558) / ETH / SIX / UDP(dport=5) / DATA,
    FOUR / FOUR / TCP() / DATA, SIX / FOUR / UDP(dport=3) / DATA,
]  # fmt: skip
EDITS: list[dict[str, Any]] = [
    {"ip[*].src": {"192.0.2.0/24": "198.51.100.0/24", "2001:db8::/32": "fd00::/32"}},
    {"ip.dst": "203.0.113.77", "l4[-1].sport": 65535}, {"inner.ip.ttl": 3, "outer.ip.ttl": 200},
    {"ipv6[*].dst": "fd00::9", "ipv4[*].dst": "10.0.0.1", "l4.sport": 80},
    {"eth[*].dst": "02:00:00:00:00:99", "vxlan.vni": 99, "gre.key": 5, "ipv4[*].tos": 184},
]  # fmt: skip


@pytest.mark.parametrize("mode", ["update", "recompute"])
@pytest.mark.parametrize("edit", EDITS, ids=",".join)
@pytest.mark.parametrize("layers", LAYERS, ids=lambda layers: layers.path)
def test_right_ones_stay_right(layers: Packet, edit: dict[str, Any], mode: str) -> None:
    packet = encap.parse(bytes(ETH / layers))
    made = once(packet, edit, mode)
    assert good(made)
    assert bytes(encap.parse(made).fill()) == made
    kept = once(packet, edit, "keep")
    assert bytes(encap.parse(kept).fill()) == made, "all else is the same"


def test_a_zero_udp_checksum_stays_zero() -> None:
    for layer in (FOUR, SIX):
        outer = ETH / layer / UDP(dport=4789, checksum=0) / VXLAN(vni=1) / ETH / FOUR / TCP() / DATA
        for mode in ("update", "recompute"):
            changes = {"vxlan.vni": 2, "ip[*].src": "9.0.0.0/8"}
            made = encap.parse(once(outer, changes, mode))
            assert made["outer.udp.checksum"] == 0
            assert encap.verify.wrong_checksum(made) is None


@pytest.mark.parametrize("stored", [0x0000, 0xFFFF, 0x1234])
def test_an_equal_value_changes_no_octet(stored: int) -> None:
    for transport in (TCP(checksum=stored), UDP(sport=0, checksum=stored), ICMP(checksum=stored)):
        packet = ETH / IPv4(src="1.2.3.4", dst="5.6.7.8", checksum=stored) / transport / DATA
        frame = bytes(packet)
        changes = {"ipv4.src": "1.2.3.4", "ipv4.ttl": 64, "l4.sport": 0, "icmp.code": 0}
        assert once(frame, changes) == frame
        # Words that change places change no sum, and so no checksum.
        swapped = once(frame, {"ipv4.src": "5.6.7.8", "ipv4.dst": "1.2.3.4"})
        expected = bytearray(frame)
        expected[26:34] = frame[30:34] + frame[26:30]
        assert swapped == bytes(expected)


def test_udp_never_comes_to_zero() -> None:
    """A sum of 0 is sent as 0xFFFF, by UDP alone (RFC 768)."""
    for transport, expected in ((UDP(dport=9), 0xFFFF), (TCP(), 0)):
        packet = encap.parse(bytes(ETH / FOUR / transport / bytes(2)))
        # What is added to the source port is what is left of the checksum.
        sport = packet.headers[2].sport + packet.headers[2].checksum
        made = once(packet, {"l4.sport": sport % 0xFFFF})
        assert encap.parse(made).headers[2].checksum == expected
        assert good(made)


def partial(packet: Packet) -> Packet:
    """With the innermost checksum left to a NIC: the sum of the pseudo header alone."""
    whole = encap.parse(bytes(packet))
    *before, header = whole.headers
    length = header.header_len + len(whole.payload)
    number = header.number(whole.registry, "protocol") or 0
    stored = fold(pseudo_sum(before, number, length))
    return whole.replace({f"{header.path}[-1].checksum": stored})


@pytest.mark.parametrize("layer", [FOUR, SIX], ids=["ipv4", "ipv6"])
@pytest.mark.parametrize("transport", [TCP(sport=1), UDP(dport=9)], ids=["tcp", "udp"])
def test_partial_ones_move_the_other_way(layer: Any, transport: Any) -> None:
    old = partial(ETH / layer / transport / DATA)
    changes = {"ip.src": HALVES, "l4.dport": 77}
    made = once(old, changes)
    moved = partial(encap.parse(once(old, changes, "keep")))
    name = f"{transport.path}.checksum"
    assert encap.parse(made)[name] == moved[name] != old[name]
    verdict = Packets.from_frames([made]).checksums().of("l4")[0]
    assert verdict == Verdict.PARTIAL
    assert good(once(old, changes, "recompute"))


def test_partial_ones_inside_what_is_summed() -> None:
    """An outer checksum that is right for the octets as they are stays so."""
    inside = partial(ETH / FOUR / TCP(sport=1) / DATA)
    whole = encap.parse(bytes(ETH / FOUR / UDP() / VXLAN(vni=1) / inside)).replace(
        {"inner.tcp.checksum": inside["tcp.checksum"]}
    )
    old = bytes(encap.parse(bytes(whole)).replace({"outer.udp.checksum": 0}))
    opened = encap.parse(old).headers
    right = Packet(*opened[:2], opened[2]._with({"checksum": None}), *opened[3:], DATA)
    made = once(right, {"inner.ipv4.src": "9.9.9.9", "inner.tcp.sport": 3, "outer.ipv4.dst": 1})
    table = Packets.from_frames([made]).checksums()
    assert table.of("outer.udp")[0] == Verdict.GOOD
    assert table.of("inner.tcp")[0] == Verdict.PARTIAL
    assert table.of("inner.ipv4")[0] == Verdict.GOOD


def test_sctp() -> None:
    packet = encap.parse(bytes(ETH / FOUR / SCTP(sport=1, dport=2) / DATA))
    for mode in ("update", "recompute"):
        made = once(packet, {"sctp.sport": 9, "sctp.verification_tag": 0xFFFFFFFF}, mode)
        assert good(made)
        same = once(packet, {"ipv4.src": "9.9.9.9"}, mode)  # no pseudo header
        assert encap.parse(same)["sctp.checksum"] == packet["sctp.checksum"]
    wrong = packet.replace({"sctp.checksum": 5})
    assert not good(once(wrong, {"sctp.sport": 9}))
    assert good(once(wrong, {"sctp.sport": 9}, "recompute"))
    assert encap.parse(once(packet.replace({"sctp.checksum": 0}), {"sctp.sport": 9}))[
        "sctp.checksum"
    ] == 0  # fmt: skip


def test_sctp_that_is_not_whole() -> None:
    """What a CRC covers must be known as far as its length goes; else it is left, and said."""
    packet = ETH / FOUR / SCTP(sport=1, dport=2) / DATA
    whole = bytes(packet)
    cut = Packets.from_frames([whole[:-20]], wire_lengths=[len(whole)])
    made = cut.rewrite({"sctp.dport": 77})
    assert good(made[0] + whole[-20:])
    assert not made.left_out
    made = cut.rewrite({"sctp.dport": 77}, "recompute")
    assert made[0][-45:] == whole[:-20][-45:]
    assert sum(made.left_out.values()) == 1
    fragment = bytes(ETH / IPv4(src="1.1.1.1", dst="2.2.2.2", flags=1) / SCTP() / DATA)
    made = Packets.from_frames([fragment]).rewrite({"sctp.dport": 77})
    assert made.left_out == {"sctp.checksum not updated: a fragment, or of unknown length": 1}
    assert encap.parse(made[0])["sctp.checksum"] == encap.parse(fragment)["sctp.checksum"]


def test_a_first_fragment_gets_what_its_addresses_changed() -> None:
    whole = encap.parse(bytes(FOUR / UDP(sport=5, dport=6) / DATA), 101)
    body = bytes(whole)[20:]
    frames = [
        bytes(ETH / IPv4(src="192.0.2.1", dst="192.0.2.2", flags=1, protocol=17) / body[:24]),
        bytes(
            ETH / IPv4(src="192.0.2.1", dst="192.0.2.2", fragment_offset=3, protocol=17) / body[24:]
        ),
    ]
    made = Packets.from_frames(frames).rewrite({"ipv4.src": "10.0.0.7"})
    joined = bytes(FOUR.__class__(src="10.0.0.7", dst="192.0.2.2", protocol=17) / (
        made[0][34:] + made[1][34:]
    ))  # fmt: skip
    assert encap.verify.wrong_checksum(encap.parse(joined, 101)) is None


def test_a_routing_header_hides_the_destination() -> None:
    """The pseudo header has the final destination (RFC 8200 section 8.1)."""
    last = bytes.fromhex("20010db8000000000000000000000099")
    for left, counts in ((1, False), (0, True)):
        route = Routing(type=4, segments_left=left, data=bytes(4) + last)
        packet = encap.parse(bytes(ETH / SIX / route / UDP(dport=9) / DATA))
        made = encap.parse(once(packet, {"ipv6.dst": "fd00::1"}))
        assert (made["udp.checksum"] != packet["udp.checksum"]) is counts
        assert encap.verify.wrong_checksum(made) is None
        again = encap.parse(once(packet, {"ipv6.dst": "fd00::1"}, "recompute"))
        assert again == made
        source = encap.parse(once(packet, {"ipv6.src": "fd00::1", "ipv6.dst": "fd00::2"}))
        assert encap.verify.wrong_checksum(source) is None


def test_odd_places() -> None:
    """A list of source routes may have an odd length; what is behind it stands at odd octets."""
    for route in (b"\0\x01\0\x03abc", b"\0\x01\0\x04abcd"):
        gre = GRE(flags=0x1800, protocol=0x0800, routing=route + bytes(4))
        packet = encap.parse(bytes(ETH / FOUR / gre / FOUR / UDP(dport=9) / DATA))
        assert encap.verify.wrong_checksum(packet) is None
        for edit in (
            {"inner.ipv4.src": "1.2.3.4", "inner.udp.sport": 0xABCD}, {"inner.ipv4.ttl": 1},
            {"inner.ipv4.protocol": 17, "inner.ipv4.tos": 1, "inner.udp.dport": 0x1122},
            {"gre.protocol": 0x0800, "outer.ipv4.id": 5},
        ):  # fmt: skip
            for mode in ("update", "recompute"):
                assert encap.verify.wrong_checksum(encap.parse(once(packet, edit, mode))) is None


def test_gre_without_c_has_no_checksum() -> None:
    """With R the field is there, but only C makes it valid (RFC 1701)."""
    gre = GRE(flags=0x0800, protocol=0x0800, checksum=0x1234, routing=bytes(4))
    packet = encap.parse(bytes(ETH / FOUR / gre / FOUR / UDP(dport=9) / DATA))
    made = encap.parse(once(packet, {"inner.ipv4.ttl": 9, "inner.udp.sport": 3}))
    assert made["gre.checksum"] == 0x1234


def test_a_checksum_that_is_set_is_kept() -> None:
    packet = encap.parse(bytes(ETH / FOUR / UDP() / VXLAN(vni=1) / ETH / FOUR / TCP() / DATA))
    for mode in ("update", "recompute"):
        made = encap.parse(
            once(packet, {"inner.tcp.checksum": 0xBEEF, "inner.ipv4.src": "9.9.9.9"}, mode)
        )
        assert made["inner.tcp.checksum"] == 0xBEEF
        assert Packets.from_frames([bytes(made)]).checksums().of("outer.udp")[0] == Verdict.GOOD
        made = encap.parse(once(packet, {"outer.udp.checksum": 0, "vxlan.vni": 4}, mode))
        assert made["outer.udp.checksum"] == 0
        made = encap.parse(once(packet, {"tcp.checksum": {1: 2}, "tcp.seq": 4}, mode))
        assert encap.verify.wrong_checksum(made) is None


def test_wrong_ones_are_recomputed_where_octets_changed() -> None:
    packet = encap.parse(bytes(ETH / FOUR / UDP() / VXLAN(vni=1) / ETH / FOUR / TCP() / DATA))
    wrong = packet.replace(
        {"outer.ipv4.checksum": 1, "outer.udp.checksum": 2, "inner.ipv4.checksum": 3,
         "inner.tcp.checksum": 4}
    )  # fmt: skip
    made = encap.parse(once(wrong, {"vxlan.vni": 7}, "recompute"))
    assert [made[name] for name in ("outer.ipv4.checksum", "inner.ipv4.checksum")] == [1, 3]
    assert made["inner.tcp.checksum"] == 4
    assert Packets.from_frames([bytes(made)]).checksums().of("outer.udp")[0] == Verdict.GOOD
    assert once(wrong, {"vxlan.vni": 1}, "recompute") == bytes(wrong)


def test_a_cut_frame_is_updated_but_not_recomputed() -> None:
    whole = bytes(ETH / FOUR / UDP() / VXLAN(vni=1) / ETH / FOUR / TCP() / DATA)
    cut = Packets.from_frames([whole[:-30]], wire_lengths=[len(whole)])
    changes = {"inner.ipv4.src": "1.2.3.4", "vxlan.vni": 5}
    made = cut.rewrite(changes)
    assert good(made[0] + whole[-30:])
    again = cut.rewrite(changes, "recompute")
    kept = cut.rewrite(changes, "keep")
    assert again.left_out == {"checksum not recomputed: octets that it covers are missing": 1}
    before, after = encap.parse(kept[0], strict=False), encap.parse(again[0], strict=False)
    assert after["inner.ipv4.checksum"] != before["inner.ipv4.checksum"]
    assert after["inner.tcp.checksum"] == before["inner.tcp.checksum"]
    assert after["outer.udp.checksum"] == before["outer.udp.checksum"]


def test_integrity_wants_a_key() -> None:
    secured = ETH / FOUR / AH(spi=1, seq=2, icv=bytes(12)) / UDP(dport=9) / DATA
    packets = Packets.from_frames([secured])
    why = "integrity check of ah or esp not updated: it wants a key"
    for changes in ({"udp.sport": 5}, {"ipv4.dst": "9.9.9.9"}, {"ah.seq": 9}):
        for mode in ("update", "recompute"):
            made = packets.rewrite(changes, mode)
            assert made.left_out == {why: 1}
            assert encap.verify.wrong_checksum(encap.parse(made[0])) is None
    assert not packets.rewrite({"ipv4.ttl": 3, "eth.src": 1}).left_out


def test_an_unfragmented_fragment_header() -> None:
    packet = encap.parse(bytes(ETH / SIX / Fragment(id=5) / UDP(dport=9) / DATA))
    made = encap.parse(once(packet, {"ipv6.src": "fd00::1", "fragment.id": 9}))
    assert encap.verify.wrong_checksum(made) is None


def scapy_stack(src: str, vni: int, ttl: int, sport: int) -> list[ScapyPacket]:
    ether = l2.Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
    inside = ether / inet.IP(src=src, dst="10.0.0.2", ttl=ttl) / inet.TCP(sport=sport) / Raw(DATA)
    six = inet6.IPv6(src="2001:db8::1", dst="2001:db8::2")
    return [
        ether / inet.IP(src="192.0.2.1", dst="192.0.2.2") / inet.UDP(sport=5) / vxlan.VXLAN(vni=vni)
        / inside,
        ether / six / inet.UDP(sport=5) / vxlan.VXLAN(vni=vni) / inside,
        ether / inet.IP(src="192.0.2.1", dst="192.0.2.2") / l2.GRE(chksum_present=1, key_present=1)
        / inet.IP(src=src, dst="10.0.0.2", ttl=ttl) / inet.UDP(sport=sport, dport=7) / Raw(DATA),
        ether / inet.IP(src=src, dst="10.0.0.2", ttl=ttl)
        / sctp.SCTP(sport=sport, dport=5, tag=7) / sctp.SCTPChunkData(data=DATA[:8]),
    ]  # fmt: skip


def test_what_scapy_builds() -> None:
    """The same fields set in scapy, which computes every checksum anew."""
    old = Packets.from_frames([bytes(one) for one in scapy_stack("10.0.0.1", 5, 64, 1000)])
    new = [bytes(one) for one in scapy_stack("10.77.0.1", 9, 3, 2000)]
    changes = {
        "ipv4[-1].src": {"10.0.0.0/16": "10.77.0.0/16"}, "vxlan.vni": 9, "ipv4[-1].ttl": 3,
        "l4[-1].sport": 2000,
    }  # fmt: skip
    for mode in ("update", "recompute"):
        made = list(old.rewrite(changes, mode))
        # scapy leaves an outer UDP checksum of VXLAN as it computes it, and so does encap.
        assert made == new


def test_sums_in_every_alignment_of_the_buffer() -> None:
    frame = bytes(ETH / FOUR / UDP() / VXLAN(vni=1) / ETH / SIX / TCP() / DATA)
    for before in range(4):
        data = np.frombuffer(bytes(before) + frame + frame, np.uint8).copy()
        packets = Packets(data, [before, before + len(frame)], [len(frame)] * 2)
        packets.rewrite({"inner.ipv6.src": "fd00::7", "vxlan.vni": 3}, out="in place")
        assert good(packets[0])
        assert packets[0] == packets[1]
        assert not data[:before].any()
