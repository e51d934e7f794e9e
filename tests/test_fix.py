"""Checksums made anew: those that were asked for become right, and nothing else changes."""

from __future__ import annotations

from random import Random

import golden
import numpy as np
import pytest
import stacks

import encap
from encap import (
    GRE,
    ICMP,
    SCTP,
    TCP,
    UDP,
    VXLAN,
    Ethernet,
    FieldError,
    IPv4,
    IPv6,
    Packet,
    Packets,
    Verdict,
)  # fmt: skip
from encap.covers import covers
from encap.rewrite.fix import WHICH, Fixed, apply_fix
from encap.walk import KINDS

GOOD, BAD, ZERO, ILLEGAL, PARTIAL, UNVERIFIABLE = list(Verdict)[1:]
ETH = Ethernet(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
V4 = IPv4(src="10.0.0.1", dst="10.0.0.2")
V6 = IPv6(src="fd00::1", dst="fd00::2")
TUNNEL = ETH / IPv4(src="192.0.2.1", dst="192.0.2.2") / UDP(sport=50000) / VXLAN(vni=42)
BODY = bytes(range(1, 40))


def one(packet: Packet | bytes, which: str = "bad") -> Packet:
    """One packet, repaired."""
    return encap.parse(Packets.from_frames([packet]).fix(which)[0], strict=False)


def wrong(packet: Packet, **fields: int) -> Packet:
    """The packet with its octets made, and some of its fields changed after that."""
    changes = {name.replace("_", ".", 1): value for name, value in fields.items()}
    return encap.parse(bytes(packet), strict=False).replace(changes)


def octets_of_checksums(packets: Packets) -> np.ndarray:
    """bool[octets]: those of `packets.data` that belong to a checksum."""
    mine, found, table = np.zeros(packets.data.size, bool), packets.checksums(), covers()
    starts = packets.starts[found.row] + found.offset
    for path in ("ipv4", "udp", "tcp", "icmp", "icmpv6", "igmp", "sctp", "gre"):
        cover = table[KINDS.index(path)]
        for at in starts[found.kind == KINDS.index(path)] + cover.at:
            mine[at : at + cover.size] = True
    return mine


@pytest.mark.parametrize("which", WHICH)
def test_every_frame_of_a_kernel(which: str) -> None:
    packets = golden.every_frame().compact()
    fixed = apply_fix(packets, which)
    before, after = packets.checksums(), fixed.packets.checksums()
    np.testing.assert_array_equal(before.row, after.row)
    np.testing.assert_array_equal(before.layer, after.layer)
    asked = np.isin(before.verdict, WHICH[which])
    cut = np.isin(before.row, before.row[before.verdict == UNVERIFIABLE])
    # What was asked for is right, unless it could not be; what was right still is.
    assert set(after.verdict[asked & ~cut]) <= {GOOD}
    assert set(after.verdict[before.verdict == GOOD]) == {GOOD}
    others = ~asked & ~np.isin(before.verdict, [BAD, GOOD])
    np.testing.assert_array_equal(after.verdict[others], before.verdict[others])
    changed = packets.data != fixed.packets.data
    assert not changed[~octets_of_checksums(packets)].any()
    assert fixed.packets.lengths.tolist() == packets.lengths.tolist()
    assert fixed.changed == sum(a != b for a, b in zip(packets, fixed.packets, strict=True))


@pytest.mark.parametrize("change", stacks.CHANGES)
@pytest.mark.parametrize("which", WHICH)
def test_random_packets(which: str, change: stacks.Change) -> None:
    packets = stacks.random_packets(1500, 4, change).compact()
    before = packets.checksums()
    fixed = packets.fix(which)
    after = fixed.checksums()
    np.testing.assert_array_equal(before.layer, after.layer)
    left = np.isin(after.verdict, WHICH[which])
    moved = {BAD, PARTIAL} & set(WHICH[which])
    assert not left.any() or moved == {PARTIAL}
    assert not (packets.data != fixed.data)[~octets_of_checksums(packets)].any()
    again = fixed.fix(which)
    np.testing.assert_array_equal(again.data, fixed.data)


def test_checksums_that_are_wrong_become_what_they_were() -> None:
    """Random packets built whole, checksums overwritten: the repair brings back every octet."""
    random, base = Random(9), stacks.random_packets(1500, 9)
    whole = []
    for frame, linktype in zip(base, base.linktypes.tolist(), strict=True):
        try:
            whole.append((bytes(encap.parse(frame, linktype, strict=False).fill()), linktype))
        except FieldError:
            continue
    frames, linktypes = zip(*whole, strict=True)
    packets = Packets.from_frames(frames, linktypes=linktypes)
    found = packets.checksums()
    known = found.verdict == GOOD
    data = packets.data.copy()
    spoiled = octets_of_checksums(packets)
    unknown = np.isin(found.row, found.row[~known])
    for row in np.unique(found.row[unknown]):
        spoiled[packets.starts[row] : packets.starts[row] + packets.lengths[row]] = False
    data[spoiled] ^= random.randrange(1, 256)
    broken = Packets(data, packets.starts, packets.lengths, linktypes=packets.linktypes)
    assert BAD in broken.checksums().counts
    repaired = broken.fix("all")
    rows = np.setdiff1d(np.arange(len(packets)), found.row[unknown])
    assert len(rows) > 1000
    again = repaired[rows].checksums()
    assert set(again.counts) == {GOOD}
    different = repaired[rows].compact().data != packets[rows].compact().data
    # But for the two zeros of a sum, and GRE's flags that hide behind a bad checksum: none.
    assert different.sum() <= 2


# --- what is asked for, alone ---------------------------------------------------------------------


def test_the_bad_ones_alone() -> None:
    right = encap.parse(bytes(TUNNEL / ETH / V4 / TCP() / BODY))
    bad = right.replace({"tcp.checksum": 1})
    assert bytes(one(bad)) == bytes(right)
    assert bytes(one(bad, "partial")) == bytes(bad)
    for name in ("ipv4.checksum", "inner.ipv4.checksum", "udp.checksum"):
        assert bytes(one(right.replace({name: 7}))) == bytes(right)


def partial(packet: Packet) -> Packet:
    """With the sum of the pseudo header in the innermost TCP checksum, and around it as it was."""
    from encap.checksum import ones_sum, pseudo_header

    parsed = encap.parse(bytes(packet))
    ip, tcp = parsed["inner.ipv4"], parsed["inner.tcp"]
    length = tcp.header_len + len(parsed.payload)
    return parsed.replace(
        {"tcp.checksum": ones_sum(pseudo_header(ip.src.packed, ip.dst.packed, 6, length))}
    )


def test_an_outer_checksum_that_took_the_inner_one_for_complete_stays() -> None:
    """Linux's local checksum offload: only the inner one was left to the NIC."""
    right = encap.parse(bytes(TUNNEL / ETH / V4 / TCP() / BODY))
    captured = partial(right)
    found = Packets.from_frames([captured]).checksums()
    assert [found.of("outer.udp")[0], found.of("inner.tcp")[0]] == [BAD, PARTIAL]
    for which in ("partial", "all"):
        assert bytes(one(captured, which)) == bytes(right)
    fixed = one(captured, "bad")
    assert fixed["tcp.checksum"] == captured["tcp.checksum"]
    assert fixed["udp.checksum"] != right["udp.checksum"]


def test_an_outer_checksum_that_was_right_is_moved_along() -> None:
    right = encap.parse(bytes(TUNNEL / ETH / V4 / TCP() / BODY))
    captured = one(partial(right))  # whose outer checksum is right as the octets are
    result = apply_fix(Packets.from_frames([captured]), "partial")
    assert result.packets[0] == bytes(right)
    assert result[1:] == (1, 1, 1)


def test_an_outer_checksum_that_nobody_can_verify_is_moved_along() -> None:
    inner = bytes(ETH / V4 / TCP() / BODY) + bytes(20)
    right = bytes(TUNNEL / inner)
    broken = bytearray(right)
    at = 14 + 20 + 8 + 8 + 14 + 20 + 16
    broken[at : at + 2] = b"\x12\x34"
    spoiled = encap.parse(bytes(broken))
    outer = encap.parse(bytes(spoiled.fill()))["udp.checksum"]
    cut = bytes(encap.parse(bytes(broken)).replace({"udp.checksum": outer}))[:-10]
    packets = Packets.from_frames([cut], wire_lengths=[len(right)])
    # The fill has opened the TCP checksum too, so `outer` is that of the right packet.
    moved = packets.fix("bad")
    assert moved.checksums().of("inner.tcp").tolist() == [GOOD]
    assert moved.left_out == {"checksum not verified: octets that it covers are missing": 1}


def test_a_legal_zero_stays_and_an_illegal_one_goes() -> None:
    assert one(ETH / V4 / UDP(checksum=0) / BODY, "all")["udp.checksum"] == 0
    tunnel = ETH / V4 / UDP(checksum=0) / VXLAN(vni=42)
    assert one(tunnel / ETH / V4 / TCP(checksum=1) / BODY, "all")["outer.udp.checksum"] == 0
    over6 = ETH / V6 / UDP(sport=1, dport=2, checksum=0) / BODY
    assert one(over6, "bad")["udp.checksum"] == 0
    assert bytes(one(over6, "all")) == bytes(ETH / V6 / UDP(sport=1, dport=2) / BODY)


def test_a_udp_checksum_that_comes_out_as_0_is_stored_as_ones() -> None:
    right = encap.parse(bytes(ETH / V4 / UDP(sport=1, dport=2) / b"\0\0"))
    data = right["udp.checksum"].to_bytes(2, "big")
    packet = ETH / V4 / UDP(sport=1, dport=2, checksum=5) / data
    assert one(packet)["udp.checksum"] == 0xFFFF
    assert one(ETH / V4 / TCP(checksum=5) / BODY)["tcp.checksum"] != 5


def test_octets_that_are_all_zero() -> None:
    assert one(ETH / V4 / ICMP(type=0, checksum=0) / bytes(8))["icmp.checksum"] == 0xFFFF


def test_sctp_and_gre() -> None:
    right = encap.parse(bytes(ETH / V4 / GRE(flags=0x1000) / V4 / SCTP(sport=1) / BODY))
    bad = right.replace({"sctp.checksum": 1})
    assert set(Packets.from_frames([bad]).checksums().of("gre")) == {BAD}
    assert bytes(one(bad)) == bytes(right)  # GRE's is right again, and stays
    assert bytes(one(right.replace({"sctp.checksum": 0}), "partial")) == bytes(right)


# --- where to -------------------------------------------------------------------------------------


def damaged() -> Packets:
    frame = wrong(TUNNEL / ETH / V4 / TCP() / BODY, tcp_checksum=1, udp_checksum=2)
    return Packets.from_frames([frame, ETH / V4 / UDP() / BODY, b"", frame], times=[4, 3, 2, 1])


def test_the_octets_given_are_not_touched() -> None:
    packets = damaged()
    before = packets.data.tobytes()
    fixed = packets.fix()
    assert packets.data.tobytes() == before
    assert fixed.checksums().counts == {GOOD: 10}
    assert fixed.times.tolist() == [4, 3, 2, 1]
    assert fixed.rows.tolist() == [0, 1, 2, 3]


def test_in_place() -> None:
    packets = damaged()
    expected = packets.fix().data.tobytes()
    with pytest.raises(FieldError, match="read-only"):
        packets.fix(out="in place")
    own = Packets(packets.data.copy(), packets.starts, packets.lengths)
    fixed = own.fix(out="in place")
    assert fixed.data is own.data
    assert own.data.tobytes() == expected


def test_into_a_buffer() -> None:
    packets = damaged()
    out = np.full(packets.data.size + 9, 0xA5, np.uint8)
    fixed = packets.fix(out=out)
    assert np.shares_memory(fixed.data, out)
    assert fixed.data.tobytes() == packets.fix().data.tobytes()
    assert set(out[packets.data.size :]) == {0xA5}


def test_rows_in_any_order_and_twice() -> None:
    packets = damaged()[[3, 1, 1, 0]]
    assert packets.fix().checksums().counts == {GOOD: 12}


@pytest.mark.parametrize("variant", encap.implementations())
def test_every_cpu_variant_and_threads(variant: str) -> None:
    packets = Packets.concat([stacks.random_packets(1500, 4), golden.every_frame()] * 2)
    expected = apply_fix(packets, "all", threads=1)
    with encap.implementation(variant):
        found = apply_fix(packets, "all", threads=2)
    np.testing.assert_array_equal(found.packets.data, expected.packets.data)
    assert found.packets.left_out == expected.packets.left_out
    assert found[1:] == expected[1:]


def test_what_is_left_is_counted_by_its_reason() -> None:
    fragment = ETH / IPv4(flags=1, src="10.0.0.1", dst="10.0.0.2") / UDP() / BODY
    broken = wrong(ETH / V4 / TCP() / BODY, tcp_data_offset=1)
    cut = bytes(ETH / V4 / TCP() / BODY)[:-1]
    open_length = wrong(ETH / V4 / TCP(checksum=9) / BODY, ipv4_total_len=0)
    packets = Packets.from_frames([fragment, broken, cut, open_length, ETH / V4 / TCP()])
    fixed: Fixed = apply_fix(packets, "all")
    assert fixed.packets.left_out == {
        "checksum not verified: in a fragment": 1,
        "checksum not verified: its header cannot be read whole": 1,
        "checksum not verified: octets that it covers are missing": 1,
        "checksum not verified: the IP length is 0": 1,
    }


def test_no_packets() -> None:
    fixed = Packets.from_frames([]).fix()
    assert len(fixed) == 0
    assert fixed.left_out == {}


@pytest.mark.parametrize("which", ["good", "", None, 1])
def test_only_what_there_is(which: object) -> None:
    with pytest.raises(FieldError, match="bad, partial, all"):
        damaged().fix(which)  # type: ignore[arg-type]
