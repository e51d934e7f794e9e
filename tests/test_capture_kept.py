"""Captures kept whole: a pcapng file comes out with all that it had, but for what was changed."""

from __future__ import annotations

import io
import itertools
import pickle
import struct
from pathlib import Path

import numpy as np
import pcapng_blocks as ng
import pytest
from pcapng_blocks import ETHERNET, FLAGS, IPV4, all_options, everything, ipip, vxlan

import encap
from encap import capture
from encap.errors import CaptureError, FieldError
from encap.packets import NO_TIME, Packets

VECTORS = Path(__file__).parent / "vectors"
PCAPNG = sorted((VECTORS / "capture").glob("*.pcapng"))
NOT_GIVEN = "blocks of batches that were not written, or not in order"
WHOLE = {
    "little": everything(repeat=3),
    "big": everything(">", repeat=3),
    "long": everything(repeat=200),
    "sections": everything(">", repeat=30) + everything(repeat=30) + everything(">"),
    "length": everything(length=1) + everything(">", length=1),
    "no packets": ng.section() + ng.names() + ng.interface() + ng.statistics(0),
    "header": ng.section(">"),
    "blocks": ng.section() + ng.interface() + ng.custom(text=bytes(900)) * 60 + ng.enhanced(b"x")
    + ng.secrets(bytes(20_000)) + ng.enhanced(b"y") + ng.names() * 500,
}  # fmt: skip


@pytest.fixture
def rewritten(tmp_path):
    """Writes a capture like another one: the octets of the file, and the summary."""

    def rewrite(octets, change=lambda packets: packets, *, size=4096, name="out.pcapng", **options):
        path = tmp_path / name
        with (
            capture.open(io.BytesIO(octets), batch_octets=size) as source,
            capture.create(path, like=source, **options) as sink,
        ):
            for packets in source.batches():
                sink.write(change(packets))
        return path.read_bytes(), sink.summary

    return rewrite


def kinds(octets):
    return [block.kind for block in ng.blocks(octets)]


def without_packets(octets):
    return [block for block in ng.blocks(octets) if block.kind not in ng.PACKETS]


# --- nothing changed: the same octets ---------------------------------------------------


@pytest.mark.parametrize("name", WHOLE)
@pytest.mark.parametrize("size", [4096, 1 << 20])
def test_what_is_not_changed_comes_out_octet_for_octet(name, size, rewritten):
    octets, summary = rewritten(WHOLE[name], size=size)
    assert octets == WHOLE[name]
    assert summary.dropped == summary.left_out == {}
    assert summary.packets == sum(kind in ng.PACKETS for kind in kinds(octets))


@pytest.mark.parametrize("path", PCAPNG, ids=lambda path: path.name)
def test_files_of_other_programs_come_out_octet_for_octet(path, rewritten):
    assert rewritten(path.read_bytes())[0] == path.read_bytes()


@pytest.mark.parametrize("name", WHOLE)
def test_equal_octets_elsewhere_make_the_same_blocks(name, rewritten):
    """As after a rewriting that changes nothing: all but options that are not to be copied."""
    octets, summary = rewritten(WHOLE[name], lambda packets: packets.compact())
    expected, private = WHOLE[name], 0
    for order in "<>":
        one = ng.option(19373, struct.pack(order + "I", 32473) + b"private", order, b"\xee")
        private += expected.count(one)
    assert [block.kind for block in ng.blocks(octets)] == kinds(expected)
    assert summary.dropped.get("custom options that are not to be copied", 0) == private
    for made, was in zip(ng.blocks(octets), ng.blocks(expected), strict=True):
        if made.kind == ng.ENHANCED:
            kept = [pair for pair in ng.packet(was).options if pair[0] != 19373]
            assert ng.packet(made)._replace(options=[]) == ng.packet(was)._replace(options=[])
            assert ng.packet(made).options == kept
        else:
            assert made == was or made.kind == ng.SECTION


def test_a_whole_file_that_was_read_at_once(tmp_path):
    for name, octets in WHOLE.items():
        packets = encap.read(io.BytesIO(octets))
        for change in (lambda packets: packets, lambda packets: packets[np.arange(len(packets))]):
            summary = encap.write(tmp_path / "out.pcapng", change(packets), like=packets)
            assert (tmp_path / "out.pcapng").read_bytes() == octets, name
            assert summary.dropped == {}


def test_compressed_and_to_a_pipe():
    memory = io.BytesIO()
    with (
        capture.open(io.BytesIO(WHOLE["length"])) as source,
        capture.create(memory, like=source) as sink,
    ):
        for packets in source.batches():
            sink.write(packets)
    # What cannot be corrected is not said: the length of the sections.
    expected = b"".join(
        ng.Block(
            kind, body[:8] + b"\xff" * 8 + body[16:] if kind == ng.SECTION else body, order
        ).octets
        for kind, body, order in ng.blocks(WHOLE["length"])
    )
    assert memory.getvalue() == expected


# --- packets left out ----------------------------------------------------------------------


CHOICES = {
    "none": lambda packets: np.flatnonzero(packets.lengths < 0),
    "every second": lambda packets: np.arange(0, len(packets), 2),
    "long ones": lambda packets: np.flatnonzero(packets.lengths > 100),
    "a few": lambda packets: np.arange(len(packets))[1::3][:-1],
    "the last half": lambda packets: np.arange(len(packets) // 2, len(packets)),
}


@pytest.mark.parametrize("name", WHOLE)
@pytest.mark.parametrize("size", [4096, 1 << 20])
@pytest.mark.parametrize("choice", CHOICES)
def test_every_other_block_stays_where_it_stood(name, size, choice, rewritten):
    chosen, first = set(), 0

    def choose(packets):
        nonlocal first
        rows = CHOICES[choice](packets)
        chosen.update((rows + first).tolist())
        first += len(packets)
        return packets[1:][rows[rows > 0] - 1] if 0 not in rows else packets[rows]

    octets, summary = rewritten(WHOLE[name], choose, size=size)
    row = itertools.count()
    expected = [
        block
        for block in ng.blocks(WHOLE[name])
        if block.kind not in ng.PACKETS or next(row) in chosen
    ]
    assert unsized(ng.blocks(octets)) == unsized(expected)
    assert summary.dropped == {}
    assert summary.packets == len(chosen)


def unsized(blocks):
    """Blocks, the length of a section put aside where one was said."""
    return [
        block._replace(body=block.body[:8] + bytes(8) + block.body[16:])
        if block.kind == ng.SECTION and block.body[8:16] != b"\xff" * 8
        else block
        for block in blocks
    ]


def test_a_length_that_a_section_says_is_corrected(rewritten):
    octets, _ = rewritten(everything(length=1) * 2, lambda packets: packets[1:])
    first = ng.blocks(octets)[0]
    length = struct.unpack_from("<q", first.body, 8)[0]
    assert octets[len(first.octets) + length :][:4] == b"\x0a\x0d\x0d\x0a"
    assert octets == octets[: len(first.octets) + length] + octets[len(first.octets) + length :]


# --- packets that are others ------------------------------------------------------------------


def small(*packets, order="<", options=b"", snaplen=0, linktype=1):
    """A section with one interface."""
    return ng.section(order) + ng.interface(linktype, snaplen, options, order) + b"".join(packets)


def packets_of(octets):
    return [ng.packet(block) for block in ng.blocks(octets) if block.kind in (ng.ENHANCED, ng.OLD)]


def interfaces_of(octets):
    """Link type, snap length and options of each interface."""
    return [
        (
            *struct.unpack_from(block.order + "HxxI", block.body),
            ng.options(block.body[8:], block.order),
        )
        for block in ng.blocks(octets)
        if block.kind == ng.INTERFACE
    ]


@pytest.mark.parametrize("order", "<>")
def test_decapsulated_packets_keep_what_is_true_of_them(order, rewritten):
    whole = small(ng.enhanced(vxlan(1), 10**15, 0, 200, order, all_options(order)), order=order)
    octets, summary = rewritten(whole, lambda packets: packets.decap())
    (was,), (made,) = packets_of(whole), packets_of(octets)
    assert made.octets == ETHERNET + IPV4
    assert (made.owner, made.count, made.wire) == (0, 10**15, 34)
    # The hash is gone, and of the flags the check sequence and what was known of checksums.
    flags = struct.pack(order + "I", FLAGS & ~0xFE0)
    expected = [(code, flags if code == 2 else value) for code, value in was.options]
    assert made.options == [(code, value) for code, value in expected if code not in (3, 19373)]
    assert summary.dropped == {
        "hashes of packets that were changed": 1,
        "flags of packets that were changed: check sequence, checksums": 1,
        "custom options that are not to be copied": 1,
    }
    assert len(interfaces_of(octets)) == 1


@pytest.mark.parametrize("order", "<>")
def test_another_link_type_has_an_interface_like_the_one_it_was(order, rewritten):
    options = ng.option(2, b"eth7", order) + ng.option(9, b"\x06", order)
    options += ng.option(13, b"\x04", order) + ng.option(14, struct.pack(order + "q", 7), order)
    whole = small(
        ng.enhanced(ipip(1), 1000, order=order, options=ng.option(1, b"first", order)),
        ng.names(order),
        ng.enhanced(vxlan(1), 1001, order=order),
        ng.interface(1, order=order),
        ng.enhanced(ipip(2), 1002, 1, order=order),
        ng.enhanced(ipip(3), 1003, 0, order=order),
        ng.statistics(1, order),
        order=order,
        options=options,
    )
    octets, summary = rewritten(whole, lambda packets: packets.decap())
    first, _, third = interfaces_of(octets)[:3]
    names = [(code, value) for code, value in first[2] if code != 13]
    assert interfaces_of(octets) == [
        (1, 0, first[2]), (101, 0, names), (1, 0, names), (1, 0, []), (101, 0, []),
    ]  # fmt: skip
    assert third[2] == names  # no check sequence is left, with the link type as it was
    made = packets_of(octets)
    assert [packet.owner for packet in made] == [1, 2, 4, 1]
    assert [packet.count for packet in made] == [1000, 1001, 1002, 1003]
    assert made[0].options == [(1, b"first")]
    # Statistics are of the interface that they were of, though it has another number.
    last = ng.blocks(octets)[-1]
    assert struct.unpack_from(order + "I", last.body) == (3,)
    again = encap.read(io.BytesIO(octets))
    assert again.equals(encap.read(io.BytesIO(whole)).decap())
    assert summary.dropped == {}


TWO = b"\2" + bytes(7)  # seconds
COUNTS = [
    (b"", [0, 1, 10**15, (1 << 64) - 1]),
    (ng.option(9, b"\x09"), [0, 1, 10**18 + 1, 1 << 63]),
    (ng.option(9, b"\x0c"), [1, 999, 10**18 + 7, (1 << 64) - 1]),
    (ng.option(9, b"\x80"), [0, 7, (1 << 64) - 1]),
    (ng.option(9, b"\x94"), [1, 12345, (1 << 62) + 1]),
    (ng.option(9, b"\x7f"), [5]),
    (ng.option(14, struct.pack("<q", -1)), [0, 999_999, 1_000_001]),
    (ng.option(14, struct.pack("<q", 1 << 62)), [0, 77]),
    (ng.option(9, b"\x09") + ng.option(14, struct.pack("<q", 9223372036)), [0, 854775808]),
]


@pytest.mark.parametrize(("options", "counts"), COUNTS)
def test_times_are_as_exact_as_they_were(options, counts, rewritten):
    """Whatever becomes of the octets: nanoseconds cannot say them all."""
    whole = small(
        *(ng.enhanced(vxlan(n), count) for n, count in enumerate(counts)), options=options
    )
    for change in (lambda p: p.compact(), lambda p: p.decap(), lambda p: p[::-1]):
        octets, summary = rewritten(whole, change)
        made = [packet.count for packet in packets_of(octets)]
        assert sorted(made) == counts
        assert len(interfaces_of(octets)) == 1
        assert summary.left_out == {}


@pytest.mark.parametrize(
    ("options", "times", "counts", "described"),
    [
        (b"", [5000, 0, NO_TIME, 7001, 8000], [5, 0, 0, 7001, 8], [[], [(9, b"\x09")]]),
        (ng.option(9, b"\x09"), [7001, NO_TIME], [7001, 0], [[(9, b"\x09")]]),
        (ng.option(9, b"\x0c"), [7001], [7001000], [[(9, b"\x0c")]]),
        (ng.option(9, b"\x94"), [1 << 40], [1 << 40], [[(9, b"\x94")], [(9, b"\x09")]]),
        (ng.option(14, TWO), [2 * 10**9 + 3000], [3], [[(14, TWO)]]),
        (ng.option(14, TWO), [1000], [1000], [[(14, TWO)], [(9, b"\x09")]]),
        (ng.option(14, b"\xff" * 8), [-(10**6)], [999_000], [[(14, b"\xff" * 8)]]),
        (b"", [-1, 2000], [2], [[]]),
    ],
)  # fmt: skip
def test_other_times(options, times, counts, described, rewritten):
    whole = small(*(ng.enhanced(vxlan(n), 10**6) for n in range(len(times))), options=options)
    octets, summary = rewritten(whole, lambda packets: packets.replace(times=times))
    assert [packet.count for packet in packets_of(octets)] == counts
    assert [interface[2] for interface in interfaces_of(octets)] == described
    assert sum(summary.left_out.values()) == len(times) - len(counts)
    assert summary.packets == len(counts)


def test_longer_packets_have_an_interface_without_a_limit(rewritten):
    raw = IPV4 + bytes(40)
    whole = small(
        ng.enhanced(raw, 1), ng.enhanced(raw + b"a", 2), ng.enhanced(raw + b"bc", 3),
        snaplen=60, linktype=101, options=ng.option(2, b"tun0"),
    )  # fmt: skip
    assert rewritten(whole)[0] == whole  # what was too long before stays
    macs = {"src": "02:00:00:00:00:01", "dst": "02:00:00:00:00:02"}
    octets, _ = rewritten(whole, link="ethernet", **macs)
    assert interfaces_of(octets) == [(101, 60, [(2, b"tun0")]), (1, 0, [(2, b"tun0")])]
    assert [packet.owner for packet in packets_of(octets)] == [1, 1, 1]
    octets, _ = rewritten(whole, lambda packets: packets[:1], name="out.pcapng.gz")
    with pytest.raises(CaptureError, match="snap length"):
        rewritten(whole, snaplen=61)
    assert len(packets_of(rewritten(whole, snaplen=62)[0])) == 3


def test_packets_without_a_head_stay_so_where_they_can(rewritten):
    """A simple block has no time, is of the first interface, and cut where that one cuts."""
    inner = ETHERNET + IPV4
    long = vxlan(2, inner + bytes(10))
    whole = small(ng.simple(vxlan(1)), ng.simple(long[:84], 94), snaplen=84)
    octets, _ = rewritten(whole, lambda packets: packets.decap())
    made = ng.blocks(octets)[2:]
    assert made[0] == ng.blocks(ng.simple(inner))[0]
    # 34 octets of 44 are no packet that was cut after 84.
    assert ng.packet(made[1]) == (0, 0, inner, 44, [])
    octets, _ = rewritten(whole, lambda packets: packets.replace(times=[5000, NO_TIME]))
    assert [block.kind for block in ng.blocks(octets)[2:]] == [ng.ENHANCED, ng.SIMPLE]
    assert packets_of(octets)[0].count == 5


def test_old_packet_blocks_stay_old(rewritten):
    comment = ng.option(1, b"x") + ng.option(3, b"hash") + ng.END
    whole = small(ng.old(vxlan(1), 77, drops=513, options=comment), ng.old(ipip(1), 78, drops=3))
    octets, summary = rewritten(whole, lambda packets: packets.decap())
    first, second = [block for block in ng.blocks(octets) if block.kind == ng.OLD]
    assert struct.unpack_from("<HH", first.body) == (0, 513)
    assert struct.unpack_from("<HH", second.body) == (1, 3)
    assert packets_of(octets)[0][1:] == (77, ETHERNET + IPV4, 34, [(1, b"x")])
    assert summary.dropped == {"hashes of packets that were changed": 1}


def test_wire_lengths_are_those_of_the_batch(rewritten):
    whole = small(ng.enhanced(vxlan(1), 1, 0, 99, options=all_options()))
    octets, _ = rewritten(whole, lambda packets: packets.replace(wire_lengths=[7]))
    (made,), (was,) = packets_of(octets), packets_of(whole)
    assert made.wire == 7
    assert made.octets == was.octets
    assert [code for code, _ in made.options] == [1, 2, 3, 4, 5, 6, 7, 2988, 777, 1]
    assert dict(made.options)[2] == dict(was.options)[2]


def test_a_list_of_options_that_is_none_is_copied_as_it_is(rewritten):
    broken = struct.pack("<HH", 1, 4) + b"good" + struct.pack("<HH", 3, 400) + b"rest"
    behind = ng.END + ng.option(3, b"behind the end")
    whole = small(*(ng.enhanced(vxlan(1), options=options) for options in (broken, behind)))
    octets, summary = rewritten(whole, lambda packets: packets.decap())
    for block, options in zip(ng.blocks(octets)[2:], (broken, behind), strict=True):
        assert block.body.endswith(options)
    assert summary.dropped == {}


def test_what_is_not_to_be_copied_is_not(rewritten):
    whole = small(ng.custom(), ng.custom(ng.PRIVATE), ng.enhanced(b"x"), ng.custom(ng.PRIVATE))
    octets, summary = rewritten(whole)
    assert kinds(octets) == [ng.SECTION, ng.INTERFACE, ng.CUSTOM, ng.ENHANCED]
    assert summary.dropped == {"custom blocks that are not to be copied": 2}


def test_blocks_larger_than_every_buffer(rewritten):
    big = ng.secrets(bytes(5 << 20))
    whole = small(ng.enhanced(b"a"), big, ng.enhanced(bytes(3 << 20), options=ng.option(1, b"x")))
    assert rewritten(whole + big)[0] == whole + big
    octets, _ = rewritten(whole + big, lambda packets: packets.compact())
    assert octets == whole + big


# --- not every batch, not in order, not of the same file ---------------------------------------


def batches_of(octets, size=4096):
    source = capture.open(io.BytesIO(octets), batch_octets=size)
    return source, list(source.batches())


def written(path, like, *batches):
    with capture.create(path, like=like) as sink:
        for packets in batches:
            sink.write(packets)
    return path.read_bytes(), sink.summary


def test_a_batch_in_parts_and_twice(tmp_path):
    whole = everything(repeat=3)
    source, (packets,) = batches_of(whole, 1 << 20)
    path = tmp_path / "out.pcapng"
    parts = [packets[:7], packets[7:7], packets[7:9], packets[9:]]
    octets = int(packets.lengths.sum())
    assert written(path, source, *parts) == (whole, capture.Summary(16, octets, str(path)))
    octets, _ = written(path, source, packets, packets)
    # The blocks around the packets come once, the packets as often as they are written.
    made = ng.blocks(octets)
    assert without_packets(octets) == without_packets(whole)
    assert made[: len(ng.blocks(whole))][-1].kind != ng.NAMES
    assert list(encap.read(path)) == [*packets, *packets]


def test_packets_in_another_order(tmp_path):
    for whole in (everything(repeat=3), WHOLE["sections"], WHOLE["long"]):
        source, batches = batches_of(whole)
        backwards = [packets[::-1] for packets in reversed(batches)]
        octets, summary = written(tmp_path / "out.pcapng", source, *backwards)
        assert list(encap.read(tmp_path / "out.pcapng")) == list(itertools.chain(*backwards))
        if len(batches) == 1:
            assert without_packets(octets) == without_packets(whole)
            assert summary.dropped == {}
        else:
            # What stands before a piece that was written is too late then.
            assert summary.dropped[NOT_GIVEN] > 0
        # Interfaces of a section that has ended cannot be named, and so its packets are plain.
        assert ("options of packets" in summary.dropped) == (whole is WHOLE["sections"])


def test_batches_that_were_not_given_are_missed(tmp_path):
    source, batches = batches_of(WHOLE["sections"])
    octets, summary = written(tmp_path / "out.pcapng", source, *batches[2::3])
    blocks, all_blocks = ng.blocks(octets), ng.blocks(WHOLE["sections"])
    assert all(block in all_blocks for block in blocks)
    assert [block.order for block in blocks if block.kind == ng.SECTION] == [">", "<", ">"]
    missing = len(without_packets(WHOLE["sections"])) - len(without_packets(octets))
    assert summary.dropped == {NOT_GIVEN: missing}
    frames = [frame for packets in batches[2::3] for frame in packets]
    assert list(encap.read(tmp_path / "out.pcapng")) == frames


def test_no_batch_at_all(tmp_path):
    source, batches = batches_of(WHOLE["long"])
    octets, summary = written(tmp_path / "out.pcapng", source)
    # What stands behind the last one, and what that needs.
    assert set(kinds(octets)) == {ng.SECTION, ng.INTERFACE}
    (missing,) = summary.dropped.values()
    others = without_packets(WHOLE["long"])
    assert missing == len([b for b in others if b.kind not in (ng.SECTION, ng.INTERFACE)])
    with capture.open(io.BytesIO(WHOLE["long"])) as source:
        octets, summary = written(tmp_path / "out.pcapng", source)  # it was not read at all
    assert kinds(octets) == [ng.SECTION, ng.INTERFACE]
    assert summary.dropped == {}
    del batches


def test_a_reading_that_was_broken_off(tmp_path):
    with capture.open(io.BytesIO(WHOLE["long"]), batch_octets=4096) as source:
        first = next(source.batches())
        octets, summary = written(tmp_path / "out.pcapng", source, first)
    count = len(octets)
    assert WHOLE["long"].startswith(octets)
    assert count > 3000
    assert summary.dropped == {}


def test_a_file_that_is_cut_short(tmp_path):
    whole = everything(repeat=2)
    for cut in range(60, len(whole), 52):
        path = tmp_path / "out.pcapng"
        source = capture.open(io.BytesIO(whole[:cut]))
        with capture.create(path, like=source) as sink:
            try:
                for packets in source.batches():
                    sink.write(packets)
            except CaptureError:
                assert source.cut
        octets = path.read_bytes()
        assert whole.startswith(octets)
        assert cut - len(octets) < 300 or cut < 120


def test_packets_of_other_files_are_plain(tmp_path):
    source, (packets,) = batches_of(everything(">"), 1 << 20)
    other = encap.read(io.BytesIO(everything(repeat=2)))
    made = Packets.from_frames([b"made"], times=1)
    octets, summary = written(tmp_path / "out.pcapng", source, made, other, packets, made, other)
    found = [block.order for block in ng.blocks(octets) if block.kind == ng.SECTION]
    assert found == [">", ">"]  # of what was there first, and of what is copied
    assert octets.endswith(ng.blocks(everything(">"))[-1].octets)
    assert list(encap.read(tmp_path / "out.pcapng")) == [
        *made, *other, *packets, *made, *other,
    ]  # fmt: skip
    assert summary.dropped["options of packets"] == 2 * 6
    assert summary.dropped["name resolution"] == 2
    assert summary.dropped["options of interfaces"] == 2


def test_what_is_put_together(tmp_path):
    source, batches = batches_of(everything(repeat=40))
    first, second = batches[0][::2], batches[0][1::3]
    joined = Packets.concat([first, second])
    assert joined._record.of is first._record.of
    assert Packets.concat([first.compact(), second])._record.of is first._record.of
    assert Packets.concat(batches)._record is None
    assert pickle.loads(pickle.dumps(first))._record is None
    octets, _ = written(tmp_path / "out.pcapng", source, joined)
    options = [len(packet.options) for packet in packets_of(octets)]
    assert sum(count == 11 for count in options) > 3
    assert list(encap.read(tmp_path / "out.pcapng")) == list(joined)


def test_a_few_packets_let_go_of_the_file(tmp_path):
    whole = small(
        *(ng.enhanced(vxlan(n), n, options=all_options()) for n in range(2000)), ng.names()
    )
    packets = encap.read(io.BytesIO(whole))
    few = packets[packets.lengths > 0][[1999, 5, 5, 7]].compact()
    assert few._record.of.octets.size < 2000
    little = encap.read(io.BytesIO(WHOLE["little"]))
    assert little[:2].compact()._record.of is little._record.of  # which is not much
    encap.write(tmp_path / "few.pcapng", few, like=few)
    octets = (tmp_path / "few.pcapng").read_bytes()
    assert [packet.count for packet in packets_of(octets)] == [1999, 5, 5, 7]
    assert all(len(packet.options) == 10 for packet in packets_of(octets))
    assert kinds(octets)[-1] == ng.NAMES
    encap.write(tmp_path / "again.pcapng", few[[0, 2]], like=packets)
    assert [p.count for p in packets_of((tmp_path / "again.pcapng").read_bytes())] == [1999, 5]


def test_what_like_may_be(tmp_path):
    for wrong in ("in.pcapng", 7, b""):
        with pytest.raises(TypeError, match="like"):
            capture.create(tmp_path / "out.pcap", like=wrong)
    with pytest.raises(FieldError, match="like"):
        capture.create(tmp_path / "out.pcap", like=Packets.from_frames([b"x"]))
    packets = encap.read(VECTORS / "capture" / "nano.pcap")
    for change in (
        packets,
        packets[::2],
        packets.compact(),
        packets.decap(),
        packets.with_ports({}),
    ):
        capture.write(tmp_path / "out", change, like=change)
        assert (tmp_path / "out").read_bytes()[:4] == b"\x4d\x3c\xb2\xa1"


def test_ports_that_are_bound_change_nothing(tmp_path):
    whole = everything(repeat=2)
    with capture.open(io.BytesIO(whole), ports={8473: "vxlan"}) as source:
        batches = [packets.with_ports({1: "gre"}) for packets in source.batches()]
        chosen = [packets[1:][::2].with_ports({2: "vxlan"}) for packets in batches]
        assert written(tmp_path / "out.pcapng", source, *batches)[0] == whole
        octets, _ = written(tmp_path / "out.pcapng", source, *chosen)
    assert without_packets(octets) == without_packets(whole)
    assert list(encap.read(tmp_path / "out.pcapng")) == [f for p in chosen for f in p]


# --- to a file that cannot hold it ------------------------------------------------------------


@pytest.mark.parametrize("how", ["out.pcap", "out"])
@pytest.mark.parametrize("size", [4096, 1 << 20])
def test_what_is_lost_is_counted(how, size, tmp_path):
    whole = everything(repeat=20) + everything(">", repeat=20)[: -len(ng.names())]
    with capture.open(io.BytesIO(whole), batch_octets=size) as source:
        like = {"format": "pcapng"}
        if how == "out.pcap":
            like = {"like": source, "link": "raw"}
        with capture.create(tmp_path / how, **like) as sink:
            for packets in source.batches():
                sink.write(packets[::2])
                sink.write(packets[1::2])
    assert sink.summary.dropped == {
        "options of sections": 2,
        "options of interfaces": 4,
        "options of packets": 3 * 40,
        "name resolution": 3,
        "interface statistics": 40 + 4,
        "custom blocks": 2,
        "decryption secrets": 40,
        "systemd journal": 40,
        "blocks of type 0x80000001": 40,
    }


# --- files of other programs -----------------------------------------------------------------


@pytest.mark.parametrize("name", ["noted.pcapng", "live.pcapng"])
def test_comments_and_interfaces_that_tshark_finds(name, rewritten):
    """In the file as it was, they are found again in what is made of it."""
    lines = (VECTORS / "capture" / "comments.tsv").read_text().splitlines()
    rows = [line.split("\t")[1:] for line in lines if line.startswith(name)]
    whole = (VECTORS / "capture" / name).read_bytes()
    numbers = iter(range(1, len(rows) + 1))
    left = []

    def decap(packets):
        inner = packets.decap()
        mine = [next(numbers) for _ in range(len(packets))]
        left.extend(mine[row] for row in inner.rows)
        return inner

    octets, summary = rewritten(whole, decap)
    described = interfaces_of(octets)
    made, was = packets_of(octets), packets_of(whole)
    assert summary.dropped == {}
    assert len(made) == len(left) == (8 if name == "noted.pcapng" else 3)
    for packet, number in zip(made, left, strict=True):
        _, interface, called, comment = rows[number - 1]
        assert [value.decode() for code, value in packet.options if code == 1] == [comment] * bool(
            comment
        )
        assert packet.count == was[number - 1].count
        # That of the interface, or of the one that is like it but for the link type.
        linktype, snaplen, options = described[packet.owner]
        original = interfaces_of(whole)[int(interface)]
        assert (snaplen, options) == original[1:]
        assert dict(options).get(2, b"unknown").decode() == called
        assert linktype == (101 if interface == "1" else 1)
    kept = [block for block in ng.blocks(octets) if block.kind not in (*ng.PACKETS, ng.INTERFACE)]
    assert kept == [block for block in without_packets(whole) if block.kind != ng.INTERFACE]
