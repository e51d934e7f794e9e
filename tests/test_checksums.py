"""Verdicts of batches: against a judge of single packets, against scapy, and by hand."""

from __future__ import annotations

from collections import Counter
from functools import cache
from random import Random
from typing import Any

import golden
import numpy as np
import pytest
import stacks
from scapy.layers import inet, inet6, l2, sctp, vxlan

import encap
from encap import (
    GRE,
    ICMP,
    SCTP,
    TCP,
    UDP,
    VXLAN,
    Checksums,
    Ethernet,
    FieldError,
    Fragment,
    Geneve,
    ICMPv6,
    IPv4,
    IPv6,
    Packet,
    Packets,
    Routing,
    Verdict,
)  # fmt: skip
from encap._lib import lib
from encap.checksum import ones_sum, pseudo_header
from encap.verify import verdicts

GOOD, BAD, ZERO, ILLEGAL, PARTIAL, UNVERIFIABLE = list(Verdict)[1:]
ETH = Ethernet(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
V4 = IPv4(src="10.0.0.1", dst="10.0.0.2")
V6 = IPv6(src="fd00::1", dst="fd00::2")
TUNNEL = ETH / IPv4(src="192.0.2.1", dst="192.0.2.2") / UDP(sport=50000) / VXLAN(vni=42)
BODY = bytes(range(1, 40))


def table(packets: Packets, **options: Any) -> np.ndarray:
    """uint8[n, 16]: the verdict for each slot."""
    return packets.checksums(threads=1, **options)._verdicts.reshape(-1, 16)


def judged(frame: bytes, linktype: int = 1, wire_length: int = 0, ports: Any = None) -> np.ndarray:
    """The same for one frame, by the judge of single packets."""
    found = np.zeros(16, np.uint8)
    try:
        packet = encap.parse(frame, linktype, strict=False, ports=ports)
    except encap.UnsupportedError:
        return found
    for slot, verdict in verdicts(packet, wire_length).items():
        found[slot] = verdict
    return found


def all_judged(packets: Packets) -> np.ndarray:
    columns = packets.linktypes.tolist(), packets.wire_lengths.tolist()
    return np.array(
        [judged(*row) for row in zip(packets, *columns, strict=True)], np.uint8
    ).reshape(-1, 16)


def of(packet: Packet | bytes, wire_length: int | None = None, **options: Any) -> list[Verdict]:
    """The verdicts of one packet, from the outermost header in: both judges say the same."""
    frame = bytes(packet)
    packets = Packets.from_frames(
        [frame], wire_lengths=None if wire_length is None else [wire_length]
    )
    found = table(packets, **options)[0]
    assert found.tolist() == judged(frame, 1, wire_length or 0, **options).tolist()
    return [Verdict(one) for one in found if one]


def put(packet: Packet, **fields: Any) -> Packet:
    """The packet as its octets say it is, with some fields changed: `ipv4_checksum=0`."""
    changes = {name.replace("__", "[1].").replace("_", ".", 1): v for name, v in fields.items()}
    return encap.parse(bytes(packet), strict=False).replace(changes)


# --- the same in Python ---------------------------------------------------------------------


def test_the_numbers_are_those_of_the_core() -> None:
    for verdict in Verdict:
        assert getattr(lib, f"ENCAP_CHECKSUM_{verdict.name}") == verdict


def test_every_frame_of_a_kernel() -> None:
    packets = golden.every_frame()
    np.testing.assert_array_equal(table(packets), all_judged(packets))


@cache
def repaired(change: stacks.Change, seed: int = 5) -> Packets:
    """Random packets whose checksums were right before they were changed."""
    random, base = Random(seed), stacks.random_packets(2500, seed)
    frames, linktypes, wires = [], [], []
    for frame, linktype in zip(base, base.linktypes.tolist(), strict=True):
        try:
            whole = bytes(encap.parse(frame, linktype, strict=False).fill())
        except FieldError:
            whole = frame
        frames.append(change(random, whole))
        wires.append(max(len(whole), len(frames[-1])))
        linktypes.append(linktype)
    return Packets.from_frames(frames, linktypes=linktypes, wire_lengths=wires)


@pytest.mark.parametrize("change", stacks.CHANGES)
def test_random_packets(change: stacks.Change) -> None:
    for packets in (repaired(change), stacks.random_packets(1500, 8, change)):
        np.testing.assert_array_equal(table(packets), all_judged(packets))


def test_what_random_packets_hold_is_not_all_the_same() -> None:
    found = set(np.unique(np.concatenate([table(repaired(one)) for one in stacks.CHANGES])))
    assert found >= {Verdict.NONE, GOOD, BAD, UNVERIFIABLE}


def test_one_bit_flipped_anywhere() -> None:
    inner = ETH / V4 / TCP(sport=1, dport=2) / BODY
    frame = bytes(TUNNEL / inner)
    frames = []
    for bit in range(8 * len(frame)):
        octets = bytearray(frame)
        octets[bit // 8] ^= 0x80 >> bit % 8
        frames.append(bytes(octets))
    packets = Packets.from_frames(frames)
    found = table(packets)
    np.testing.assert_array_equal(found, all_judged(packets))
    # Whatever is changed behind the first IP header leaves some checksum wrong or unknown.
    for row in range(8 * 14, len(frames)):
        assert set(found[row].tolist()) & {BAD, UNVERIFIABLE, ZERO}, row


@pytest.mark.parametrize("variant", encap.implementations())
def test_every_cpu_variant(variant: str) -> None:
    packets = Packets.concat([repaired(one) for one in stacks.CHANGES])
    expected = table(packets)
    with encap.implementation(variant):
        np.testing.assert_array_equal(table(packets), expected)
        np.testing.assert_array_equal(table(golden.every_frame()), table(golden.every_frame()))


def test_threads_do_not_matter() -> None:
    packets = golden.every_frame()
    many = Packets.concat([packets] * 3)
    one, two = many.checksums(threads=1), many.checksums(threads=2)
    assert one.layers.paths == two.layers.paths
    for name in ("row", "layer", "kind", "offset", "verdict"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))


# --- what a kernel and scapy say --------------------------------------------------------------


def test_a_kernel_s_checksums_are_right() -> None:
    """Those of scenarios in which nothing was left to a NIC, and nothing broken on purpose."""
    odd = ("dirty", "malformed", "offload", "remcsum")
    found: Counter[Verdict] = Counter()
    for scenario, name in golden.every_capture():
        if not any(word in scenario for word in odd):
            found.update(golden.capture(scenario, name).checksums().counts)
    assert not {BAD, PARTIAL, ILLEGAL} & set(found)
    assert found[GOOD] > 10_000


def test_what_a_kernel_left_to_a_nic_is_partial() -> None:
    """Inside, and outside too; but where the inner one was left, it took the outer for complete."""
    found = golden.capture("dirty_vxlan", "outer").checksums()
    inner, outer = found.of("inner.tcp"), found.of("outer.udp")
    assert set(inner) == {Verdict.NONE, PARTIAL}
    assert set(outer[inner == PARTIAL]) == {PARTIAL, BAD}
    assert set(outer[inner != PARTIAL]) >= {PARTIAL}
    assert set(golden.capture("dirty_ipip", "outer").checksums().of("inner.tcp")) == {0, PARTIAL}


LOCAL = {"src": "10.0.0.1", "dst": "10.0.0.2"}
FAR = {"src": "fd00::1", "dst": "fd00::2"}
SCAPY = {
    "tcp": (inet.IP(**LOCAL) / inet.TCP() / BODY, 2),
    "udp": (inet.IP(**LOCAL) / inet.UDP() / BODY, 2),
    "icmp": (inet.IP(**LOCAL) / inet.ICMP() / BODY, 2),
    "tcp6": (inet6.IPv6(**FAR) / inet.TCP() / BODY, 1),
    "icmpv6": (inet6.IPv6(**FAR) / inet6.ICMPv6EchoRequest(data=BODY), 1),
    "extensions": (inet6.IPv6(**FAR) / inet6.IPv6ExtHdrDestOpt() / inet.UDP() / BODY, 1),
    "sctp": (inet.IP(**LOCAL) / sctp.SCTP() / sctp.SCTPChunkData(data=BODY), 2),
    "gre": (inet.IP(**LOCAL) / l2.GRE(chksum_present=1) / inet.IP(**LOCAL) / inet.TCP() / BODY, 4),
    "routing": (
        inet6.IPv6(**FAR)
        / inet6.IPv6ExtHdrRouting(addresses=["fd00::3", "fd00::4"], segleft=2)
        / inet.UDP()
        / BODY,
        1,
    ),
    "vxlan": (
        inet.IP(**LOCAL)
        / inet.UDP(dport=4789)
        / vxlan.VXLAN(vni=42)
        / l2.Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
        / inet.IP(**LOCAL)
        / inet.TCP()
        / BODY,
        4,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SCAPY)
def test_what_scapy_computes(name: str) -> None:
    packet, count = SCAPY[name]
    frame = bytes(l2.Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02") / packet)
    assert of(frame) == [GOOD] * count
    assert BAD in of(frame[:-1] + bytes([frame[-1] ^ 1]))


# --- where a sum ends ---------------------------------------------------------------------------


def test_padding_and_trailers_do_not_count() -> None:
    frame = bytes(ETH / V4 / UDP(sport=1, dport=2) / b"abc")
    assert of(frame + b"\x55" * 20) == [GOOD, GOOD]
    inner = bytes(TUNNEL / ETH / V4 / TCP() / b"x")
    assert of(inner + b"\x55" * 7) == [GOOD] * 4


def test_the_udp_length_bounds_the_sum_not_the_ip_length() -> None:
    frame = bytearray(bytes(ETH / V4 / UDP(sport=1, dport=2) / b"abcd"))
    longer = put(encap.parse(frame + b"zz"), ipv4_total_len=34).replace({"ipv4.checksum": 0})
    whole = bytes(longer.replace({"ipv4.total_len": 34}))
    assert of(whole) == [BAD, GOOD]  # the IP header was not computed anew


def test_the_inner_frame_has_padding_of_its_own() -> None:
    inner = bytes(ETH / V4 / TCP() / b"x") + bytes(12)
    assert of(TUNNEL / inner) == [GOOD] * 4


def test_a_frame_that_the_snap_length_cut() -> None:
    frame = bytes(TUNNEL / ETH / V4 / TCP() / BODY)
    assert of(frame[:-1], wire_length=len(frame)) == [GOOD, UNVERIFIABLE, GOOD, UNVERIFIABLE]
    assert of(frame[:-1]) == [GOOD, UNVERIFIABLE, GOOD, UNVERIFIABLE]


def test_an_inner_packet_that_is_whole_in_an_outer_one_that_is_not() -> None:
    inner = bytes(ETH / V4 / TCP() / b"whole") + bytes(40)
    frame = bytes(TUNNEL / inner)
    assert of(frame[:-20], wire_length=len(frame)) == [GOOD, UNVERIFIABLE, GOOD, GOOD]


def test_an_inner_packet_that_the_outer_length_cuts() -> None:
    inner = bytes(ETH / V4 / TCP() / BODY)
    assert of(TUNNEL / inner[:-5]) == [GOOD, GOOD, GOOD, UNVERIFIABLE]


def test_a_udp_length_beyond_the_ip_length() -> None:
    assert of(put(ETH / V4 / UDP() / BODY, udp_len=60)) == [GOOD, UNVERIFIABLE]


@pytest.mark.parametrize("size", range(1, 20))
def test_odd_and_even_sizes_and_offsets(size: int) -> None:
    """LLC frames in a tunnel begin at an odd offset where their header has 3 octets."""
    snap = l2.LLC(dsap=0xAA, ssap=0xAA, ctrl=3) / l2.SNAP(OUI=0, code=0x0800)
    inner = bytes(
        l2.Dot3() / snap / inet.IP(**LOCAL) / inet.UDP(sport=1, dport=2) / bytes(BODY[:size])
    )
    assert of(TUNNEL / inner) == [GOOD] * 4
    routed = GRE(flags=0x1800, routing=bytes([0, 1, 0, size]) + bytes(size) + bytes(4))
    packet = ETH / V4 / routed / V4 / TCP() / bytes(BODY[: 20 - size])
    assert of(packet) == [GOOD] * 4
    wrong = bytearray(bytes(packet))
    wrong[-1] ^= 0x10
    assert of(bytes(wrong)) == [GOOD, BAD, GOOD, BAD]


# --- fragments and open lengths ---------------------------------------------------------------


def test_fragments() -> None:
    first = put(ETH / V4 / UDP(sport=1, dport=2) / BODY, ipv4_flags=1, ipv4_checksum=0)
    assert of(first) == [BAD, UNVERIFIABLE]
    later = put(ETH / V4 / UDP(sport=1, dport=2) / BODY, ipv4_fragment_offset=3)
    assert of(later) == [BAD]
    assert of(ETH / V6 / Fragment(more=1) / UDP(sport=1, dport=2) / BODY) == [UNVERIFIABLE]
    assert of(ETH / V6 / Fragment() / UDP(sport=1, dport=2) / BODY) == [GOOD]


def test_a_fragment_in_a_tunnel_leaves_the_outer_checksum_good() -> None:
    assert of(TUNNEL / ETH / IPv4(flags=1, src="10.0.0.1", dst="10.0.0.2") / UDP() / BODY) == [
        GOOD, GOOD, GOOD, UNVERIFIABLE,
    ]  # fmt: skip


def test_a_zero_in_a_fragment_is_zero_all_the_same() -> None:
    first = ETH / IPv4(flags=1, src="10.0.0.1", dst="10.0.0.2") / UDP(checksum=0) / BODY
    assert of(first) == [GOOD, ZERO]


def without_length(packet: Packet) -> bytes:
    """With an IP length of 0, as a capture has it that was made before a NIC cut it up."""
    frame = bytearray(bytes(packet))
    at = 16 if frame[12:14] == b"\x08\x00" else 18
    frame[at : at + 2] = bytes(2)
    if at == 16:
        frame[24:26] = bytes(2)
        frame[24:26] = (0xFFFF - ones_sum(frame[14:34])).to_bytes(2, "big")
    return bytes(frame)


@pytest.mark.parametrize("network", [V4, V6])
def test_an_ip_length_of_0_is_never_bad(network: IPv4 | IPv6) -> None:
    own = [GOOD] if network is V4 else []
    whole = ETH / network / TCP() / BODY
    assert of(without_length(whole)) == [*own, GOOD]
    assert of(without_length(put(whole, tcp_checksum=0x1234))) == [*own, UNVERIFIABLE]
    partial = put(whole, tcp_checksum=partial_of(whole))
    assert of(without_length(partial)) == [*own, PARTIAL]


# --- zeros -------------------------------------------------------------------------------------


def test_no_udp_checksum() -> None:
    assert of(ETH / V4 / UDP(checksum=0) / BODY) == [GOOD, ZERO]
    assert of(ETH / V6 / UDP(sport=1, dport=2, checksum=0) / BODY) == [ILLEGAL]


def test_a_tunnel_over_ipv6_may_have_none() -> None:
    inner = ETH / V4 / TCP() / BODY
    assert of(ETH / V6 / UDP(checksum=0) / VXLAN(vni=1) / inner) == [ZERO, GOOD, GOOD]
    assert of(ETH / V6 / UDP(checksum=0) / Geneve(vni=1) / inner) == [ZERO, GOOD, GOOD]
    ports = {5555: "ipip"}
    fou = ETH / V6 / UDP(dport=5555, checksum=0) / bytes(V4 / TCP() / BODY)
    assert of(fou, ports=ports) == [ZERO, GOOD, GOOD]
    assert of(fou) == [ILLEGAL]
    assert of(ETH / V6 / UDP(checksum=0) / VXLAN() / inner, ports={4789: None}) == [ILLEGAL]


def test_both_zeros_of_a_sum_are_good() -> None:
    """A sum of 0xFFFF without the field makes 0 and 0xFFFF right in it: RFC 1624 section 3."""
    frame = bytearray(bytes(ETH / V4 / ICMP(checksum=0, rest=0) / b"\xf7\xff"))
    frame[24:26] = bytes(2)
    frame[24:26] = (0xFFFF - ones_sum(frame[14:34])).to_bytes(2, "big")
    assert of(bytes(frame)) == [GOOD, GOOD]
    frame[36:38] = b"\xff\xff"
    assert of(bytes(frame)) == [GOOD, GOOD]


def test_octets_that_are_all_zero_have_no_right_sum() -> None:
    """They sum up to 0, which a receiver refuses: the checksum would have to be 0xFFFF."""
    packet = ETH / V4 / ICMP(type=0, checksum=0) / bytes(8)
    assert of(packet) == [GOOD, BAD]
    assert of(packet.replace({"icmp.checksum": 0xFFFF})) == [GOOD, GOOD]


def test_a_gre_checksum_is_there_with_its_bit_alone() -> None:
    inner = V4 / TCP() / BODY
    assert of(ETH / V4 / GRE(flags=0x1000) / inner) == [GOOD, GOOD, GOOD, GOOD]
    assert of(ETH / V4 / GRE(flags=0x0800, routing=bytes(4)) / inner) == [GOOD, GOOD, GOOD]
    assert of(ETH / V4 / GRE() / inner) == [GOOD, GOOD, GOOD]
    assert of(put(ETH / V4 / GRE(flags=0x1000) / inner, gre_checksum=0)) == [GOOD, BAD, GOOD, GOOD]


# --- partial -------------------------------------------------------------------------------------


def partial_of(packet: Packet) -> int:
    """What a kernel leaves in the checksum of the last header for a NIC to go on from."""
    parsed = encap.parse(bytes(packet))
    network, last = parsed.headers[-2], parsed.headers[-1]
    number = {"tcp": 6, "udp": 17, "icmpv6": 58}[last.path]
    length = last.header_len + len(parsed.payload)
    return ones_sum(pseudo_header(network.src.packed, network.dst.packed, number, length))  # type: ignore[attr-defined]


@pytest.mark.parametrize("network", [V4, V6])
@pytest.mark.parametrize("header", [TCP(), UDP(sport=1, dport=2)])
def test_the_sum_of_the_pseudo_header(network: IPv4 | IPv6, header: TCP | UDP) -> None:
    own = [GOOD] if network is V4 else []
    packet = ETH / network / header / BODY
    name = header.path
    partial = partial_of(packet)
    assert of(put(packet, **{f"{name}_checksum": partial})) == [*own, PARTIAL]
    assert of(put(packet, **{f"{name}_checksum": 0xFFFF - partial})) == [*own, BAD]
    cut = bytes(put(packet, **{f"{name}_checksum": partial}))
    assert of(cut[:-3], wire_length=len(cut)) == [*own, PARTIAL]


def test_icmpv6_and_a_sum_without_a_pseudo_header() -> None:
    packet = ETH / V6 / ICMPv6(type=128) / BODY
    assert of(put(packet, icmpv6_checksum=partial_of(packet))) == [PARTIAL]
    assert of(ETH / V4 / ICMP(checksum=0) / BODY) == [GOOD, BAD]


def test_sctp_leaves_0_to_a_nic() -> None:
    packet = ETH / V4 / SCTP(sport=1, dport=2) / BODY
    assert of(packet) == [GOOD, GOOD]
    assert of(put(packet, sctp_checksum=0)) == [GOOD, PARTIAL]
    assert of(put(packet, sctp_checksum=1)) == [GOOD, BAD]


# --- headers that cannot be, and routes -----------------------------------------------------------


def test_a_header_that_is_broken_cannot_be_verified() -> None:
    tcp = put(ETH / V4 / TCP() / BODY, tcp_data_offset=2)
    assert of(tcp) == [GOOD, UNVERIFIABLE]
    inner = bytes(put(ETH / V4 / TCP() / BODY, ipv4_ihl=3))
    assert of(TUNNEL / inner) == [GOOD, GOOD, UNVERIFIABLE]
    assert of(ETH / V4 / GRE(flags=0x1000, version=5) / BODY) == [GOOD, UNVERIFIABLE]


@pytest.mark.parametrize("kind", [0, 2, 3, 4])
@pytest.mark.parametrize("left", [0, 1])
def test_routing_headers(kind: int, left: int) -> None:
    """The final destination counts: RFC 8200 section 8.1, RFC 6275 section 6.4, RFC 8754."""
    final = bytes(range(16))
    data = bytes(4) + (final if kind != 0 else bytes(16) + final)
    packet = ETH / V6 / Routing(type=kind, segments_left=left, data=data) / TCP() / BODY
    frame = bytes(packet)
    assert of(frame) == [GOOD]
    seen = final if left and kind != 3 else V6.dst.packed
    at = 14 + 40 + 8 + len(data) - 4
    pseudo = pseudo_header(V6.src.packed, seen, 6, len(frame) - at)
    assert ones_sum(pseudo + frame[at:]) == 0xFFFF


# --- the table ------------------------------------------------------------------------------------


def test_the_table_and_its_columns() -> None:
    found = Packets.from_frames(
        [TUNNEL / ETH / V4 / TCP(checksum=1) / BODY, b"", ETH / V6 / UDP(checksum=0)]
    ).checksums()
    assert len(found) == 5
    assert found.row.tolist() == [0, 0, 0, 0, 2]
    assert found.layer.tolist() == [1, 2, 5, 6, 2]
    assert [encap.Kind(kind).name for kind in found.kind] == ["ipv4", "udp", "ipv4", "tcp", "udp"]
    assert found.offset.tolist() == [14, 34, 64, 84, 54]
    assert found.verdict.tolist() == [GOOD, GOOD, GOOD, BAD, ILLEGAL]
    assert found.counts == {GOOD: 3, BAD: 1, ILLEGAL: 1}
    assert "5 in 3 packets: 3 GOOD, 1 BAD, 1 ZERO_ILLEGAL" in repr(found)
    assert [array.dtype for array in (found.row, found.layer, found.offset, found.verdict)] == [
        np.int64, np.uint8, np.uint16, np.uint8,
    ]  # fmt: skip
    with pytest.raises(ValueError, match="read-only"):
        found.verdict[0] = 1


def test_the_verdict_of_one_header() -> None:
    found = Packets.from_frames(
        [TUNNEL / ETH / V4 / TCP(checksum=1) / BODY, ETH / V4 / TCP() / BODY]
    ).checksums()
    assert found.of("inner.tcp").tolist() == [BAD, GOOD]
    assert found.of("ipv4[1]").tolist() == [GOOD, Verdict.NONE]
    assert found.of("outer.udp").tolist() == [GOOD, Verdict.NONE]
    assert found.of("eth").tolist() == [0, 0]
    assert found.of("l4").dtype == np.uint8
    for name in ("tcp.checksum", "nothing"):
        with pytest.raises(FieldError):
            found.of(name)


def test_no_packets() -> None:
    found = Packets.from_frames([]).checksums()
    assert len(found) == 0
    assert found.counts == {}
    assert found.of("tcp").tolist() == []
    assert "none" in repr(found)


def test_memory_is_used_again() -> None:
    packets = golden.every_frame()
    first = packets.checksums()
    expected = first.verdict.tolist()
    again = packets.checksums(out=first)
    assert again.verdict.tolist() == expected
    assert np.shares_memory(again._verdicts, first._verdicts)
    part = packets[:50].checksums(out=first)
    assert part.layers.packets is not packets
    assert len(part.layers) == 50
    with pytest.raises(FieldError, match="room for 50"):
        packets.checksums(out=part)
    with pytest.raises(TypeError, match="Checksums"):
        packets.checksums(out=packets.parse())  # type: ignore[arg-type]
    with pytest.raises(FieldError, match="16 verdicts"):
        Checksums(packets.parse(), first._verdicts[:16])


def test_one_packet_says_it_too() -> None:
    right = bytes(ETH / V4 / TCP() / BODY)
    encap.parse(right, verify=True)
    with pytest.raises(encap.ChecksumError, match=r"tcp\.checksum is wrong"):
        encap.parse(bytes(put(encap.parse(right), tcp_checksum=1)), verify=True)
    inner = put(ETH / IPv4(src="10.0.0.1", dst="10.0.0.2", flags=1) / UDP() / BODY, udp_checksum=9)
    outer = put(TUNNEL / bytes(inner), udp_checksum=7)
    with pytest.raises(encap.ChecksumError, match=r"udp\.checksum is wrong"):
        encap.parse(bytes(outer), verify=True)  # around a fragment, which hides nothing
