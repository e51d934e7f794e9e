"""Fragments that are spread over batches: in bounded memory, for a bounded time."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from random import Random
from typing import Any

import numpy as np
import pytest

from encap import NO_TIME, FieldError, Fragment, IPv4, IPv6, Packet, Packets
from encap.fragments import LEAST_MEMORY, OVERLAPS, Reassembler

OCTETS = bytes(range(256)) * 300
SECOND = 10**9
LATE = "fragments not completed in time"
ROOM = "fragments there was no room to keep"
INCOMPLETE = "fragments of incomplete datagrams"
OVERLAP = "overlapping fragments"


def four(number: int, begin: int, end: int, size: int = 48) -> Packet:
    """Octets `begin` to `end` of a datagram of `size` octets."""
    head = IPv4(
        src=number >> 16, dst=1, id=number & 0xFFFF, protocol=99, flags=int(end < size),
        fragment_offset=begin // 8,
    )  # fmt: skip
    return head / OCTETS[begin:end]


def six(number: int, begin: int, end: int, size: int = 48) -> Packet:
    header = Fragment(next_header=99, offset=begin // 8, more=end < size, id=number)
    return IPv6(src=1, dst=2) / header / OCTETS[begin:end]


def raw(packets: Iterable[Packet], times: Any = NO_TIME) -> Packets:
    return Packets.from_frames([bytes(one) for one in packets], linktypes=101, times=times)


def flood(count: int, size: int = 8, first: int = 0) -> Packets:
    """As many first fragments, each of a datagram of its own."""
    packets = raw([four(0, 0, size, 65000)])
    packets = Packets(
        packets.data, np.zeros(count, int), np.full(count, len(packets.data)), linktypes=101
    )
    numbers = np.arange(first, first + count, dtype=np.uint64)
    return packets.compact().rewrite({
        "ipv4.src": (numbers >> 16).astype(np.uint32), "ipv4.id": numbers.astype(np.uint16),
    })  # fmt: skip


def memory_of(reassembler: Reassembler) -> int:
    waiting = reassembler._waiting
    return waiting._log.nbytes + sum(array.nbytes for array in waiting._keep)


# --- from batch to batch -------------------------------------------------------------------------


@pytest.mark.parametrize("make", [four, six])
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_fragments_of_several_batches(make: Any, order: tuple[int, ...]) -> None:
    pieces = [make(7, at, at + 16) for at in (0, 16, 32)]
    other = IPv4() / b"whole"
    reassembler = Reassembler(times="first")
    for turn, piece in enumerate(order):
        made = reassembler.add(raw([other, pieces[piece], other], [turn, turn * 10, turn]))
        if turn < 2:
            assert list(made.rows) == [0, 2]
            assert reassembler.waiting == 1
    assert list(made.rows) == [0, 1, 2]
    assert list(made.times) == [2, 0, 2]
    whole = raw(pieces).reassemble()
    assert made[1] == whole[0]
    assert reassembler.waiting == 0
    assert reassembler.flush() == {}
    assert reassembler.left_out == {}


def test_rows_are_those_of_the_batch_at_hand() -> None:
    reassembler = Reassembler()
    reassembler.add(raw([four(1, 0, 16), four(2, 0, 16)]))
    made = reassembler.add(
        raw([four(1, 16, 32), four(2, 32, 48), four(2, 16, 32), four(1, 32, 48)])
    )
    assert list(made.rows) == [1, 0]


def test_the_batches_need_not_live_on() -> None:
    """What waits is a copy: the memory that it came in may be used again."""
    room = np.empty(100, np.uint8)
    reassembler = Reassembler()
    made = None
    for begin in (32, 0, 16):
        piece = bytes(four(1, begin, begin + 16))
        room[: len(piece)] = np.frombuffer(piece, np.uint8)
        made = reassembler.add(Packets(room, [0], [len(piece)], linktypes=101))
        made = made.compact()
        room[:] = 0xA5
    assert made is not None
    assert list(made) == list(raw(four(1, at, at + 16) for at in (0, 16, 32)).reassemble())


def test_what_is_counted() -> None:
    reassembler = Reassembler()
    made = reassembler.add(raw([four(1, 0, 16), four(1, 0, 16), four(2, 0, 16)]))
    assert made.left_out == {"duplicates of fragments": 1}
    made = reassembler.add(raw([four(1, 8, 24)]))
    assert made.left_out == {OVERLAP: 2}
    assert reassembler.left_out == {"duplicates of fragments": 1, OVERLAP: 2}
    assert repr(reassembler) == "<Reassembler: 1 datagrams are waiting>"
    assert reassembler.flush() == {INCOMPLETE: 1}
    assert reassembler.flush() == {}
    assert reassembler.left_out == {"duplicates of fragments": 1, OVERLAP: 2, INCOMPLETE: 1}


def test_what_comes_after_an_overlap() -> None:
    """RFC 5722 section 4 drops it too; Linux has forgotten the datagram."""
    pieces = [four(1, 0, 16), four(1, 8, 24), four(1, 0, 16), four(1, 16, 32), four(1, 32, 48)]
    for overlap, whole in (("linux", 1), ("rfc", 0)):
        reassembler = Reassembler(overlap=overlap)
        assert sum(len(reassembler.add(raw([piece]))) for piece in pieces) == whole
        assert reassembler.left_out == {OVERLAP: 2 if whole else 5}
        assert reassembler.flush() == {}


# --- time ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "timeout", "seconds"),
    [(four, None, 30), (six, None, 60), (four, 2.5, 2.5), (six, 0, 0)],
)
def test_a_datagram_is_waited_for_so_long(make: Any, timeout: float | None, seconds: float) -> None:
    for late in (0, 1):
        then = int(seconds * SECOND) + late
        reassembler = Reassembler(timeout=timeout)
        start = 5 * SECOND
        assert len(reassembler.add(raw([make(1, 0, 16)], start))) == 0
        assert len(reassembler.add(raw([make(1, 16, 32)], start + then // 2))) == 0
        made = reassembler.add(raw([make(1, 32, 48)], start + then))
        assert len(made) == (not late)
        assert made.left_out == ({LATE: 2} if late else {})
        assert reassembler.waiting == late


def test_one_that_is_late_does_not_spoil_the_next() -> None:
    """Of two with the same id, the first of which lacks a fragment."""
    packets = raw(
        [four(1, 0, 16), four(1, 32, 48), four(1, 0, 16), four(1, 16, 32), four(1, 32, 48)],
        np.array([0, 0, 40, 40, 40]) * SECOND,
    )
    made = packets.reassemble()
    assert len(made) == 1
    assert list(made.rows) == [2]
    assert made.left_out == {LATE: 2}
    without = packets.replace(times=NO_TIME).reassemble()
    assert len(without) == 1
    assert list(without.rows) == [0]
    assert len(packets.reassemble(timeout=float("inf"))) == 1


def test_the_oldest_are_given_up_whoever_comes() -> None:
    reassembler = Reassembler(timeout=1)
    reassembler.add(raw([four(n, 0, 16) for n in range(10)], np.arange(10) * SECOND // 10))
    made = reassembler.add(raw([four(99, 0, 16)], [SECOND + SECOND // 2]))
    assert made.left_out == {LATE: 5}
    assert reassembler.waiting == 6


def test_times_that_cannot_be() -> None:
    """Backwards, none, and as far apart as can be."""
    least, most = NO_TIME + 1, (1 << 63) - 1
    for times in ([most, least], [least, most], [NO_TIME, most], [most, NO_TIME], [5, 3]):
        reassembler = Reassembler(timeout=1 << 40)
        reassembler.add(raw([four(1, 0, 16, 32)], times[:1]))
        made = reassembler.add(raw([four(1, 16, 32, 32)], times[1:]))
        assert len(made) == (times != [least, most])


# --- room ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [8, 1400])
@pytest.mark.parametrize("rows", [997, 100_000])
def test_a_flood_takes_no_more_than_it_may(size: int, rows: int) -> None:
    count = 100_000 if size == 8 else 20_000
    reassembler = Reassembler(memory=LEAST_MEMORY)
    assert memory_of(reassembler) <= LEAST_MEMORY
    before = memory_of(reassembler)
    packets = flood(count, size)
    for at in range(0, count, rows):
        assert len(reassembler.add(packets[at : at + rows])) == 0
    assert memory_of(reassembler) == before
    assert 100 < reassembler.waiting < 5000
    assert reassembler.left_out == {ROOM: count - reassembler.waiting}
    # Those that came last are there.
    last = raw([four(count - 1, size, size + 8, size + 8), four(0, size, size + 8, size + 8)])
    assert len(reassembler.add(last)) == 1
    waiting = reassembler.waiting
    assert reassembler.flush() == {INCOMPLETE: waiting}


def test_giving_up_depends_on_nothing_but_the_order() -> None:
    random = Random(3)
    pieces = []
    for number in range(1500):
        size = random.choice([40, 3000, 20_000])
        cuts = [0, *sorted(random.sample(range(8, size, 8), 3)), size]
        pieces += [four(number, a, b, size) for a, b in pairwise(cuts)]
    last = len(pieces) - 1
    order = np.array([min(last, at + random.randrange(900)) for at in range(len(pieces))])
    packets = raw(pieces)[order]
    results = []
    for rows in (1, 333, len(order)):
        reassembler = Reassembler(memory=LEAST_MEMORY)
        part = packets if rows > 1 else packets[:1000]
        made = [reassembler.add(part[at : at + rows]) for at in range(0, len(part), rows)]
        results.append((Packets.concat(made), dict(reassembler.left_out), reassembler.waiting))
    assert results[1][0].equals(results[2][0])
    assert results[1][1:] == results[2][1:]
    assert results[1][1][ROOM] > 100
    assert results[0][0].equals(results[1][0][: len(results[0][0])])


def test_the_log_is_tidied() -> None:
    """A datagram that waits long stays while much else comes and goes."""
    reassembler = Reassembler(memory=LEAST_MEMORY)
    slow = [four(9, at, min(at + 1400, 60_000), 60_000) for at in range(0, 60_000, 1400)]
    for number, piece in enumerate(slow):
        quick = [four(100 + number, at, at + 1000, 50_000) for at in range(0, 50_000, 1000)]
        made = reassembler.add(raw([piece, *quick[:25]]))
        assert len(made) == (piece is slow[-1])
        assert len(reassembler.add(raw(quick[25:]))) == 1
    assert made[0][20:] == OCTETS[:60_000]
    assert reassembler.left_out == {}
    assert reassembler.flush() == {}


def test_as_many_pieces_as_there_can_be() -> None:
    """In the order that is worst for whoever keeps them sorted."""
    size = 65_504
    packets = raw(four(1, at, at + 8, size) for at in range(0, size, 8))
    rows = np.arange(len(packets))
    mixed = np.argsort(rows * 7919 % len(rows))
    orders = [rows, rows[::-1], np.concatenate([rows[::2], rows[1::2]]), mixed]
    for overlap in OVERLAPS:
        for order in orders:
            reassembler = Reassembler(overlap=overlap)
            made = reassembler.add(packets[order])
            assert [frame[20:] for frame in made] == [OCTETS[:size]]


@pytest.mark.parametrize(
    ("memory", "error"),
    [(LEAST_MEMORY - 1, FieldError), (1 << 38, FieldError), (1e6, TypeError), (None, TypeError)],
)
def test_memory_that_cannot_be(memory: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        Reassembler(memory=memory)


@pytest.mark.parametrize("memory", [LEAST_MEMORY, LEAST_MEMORY + 12345, 1 << 26])
def test_memory_is_all_there_is(memory: int) -> None:
    assert 0.8 * memory <= memory_of(Reassembler(memory=memory)) <= memory


# --- arrays that lie -----------------------------------------------------------------------------


def test_layers_of_other_packets() -> None:
    """Whatever the layers say, nothing outside is read, and every row is somewhere."""
    from encap._lib import Batch, ffi, lib, pointer
    from encap.covers import covers
    from encap.fragments.waiting import Waiting

    random = np.random.default_rng(1)
    frames = [random.bytes(int(size)) for size in random.integers(0, 200, 400)]
    packets = Packets.from_frames(frames)
    records = random.integers(0, 256, 64 * 400, dtype=np.uint8)
    records.reshape(400, 64)[:, :16] %= 30
    layers = ffi.from_buffer("encap_layers[]", records)
    rows = np.arange(400)
    own = random.integers(0, 20, 400).astype(np.uint8)
    slots = random.integers(0, 20, 400).astype(np.uint8)
    times = np.zeros(400, np.int64)
    found = np.zeros((2, 400), np.uint8)
    batch = Batch(packets)
    given = (pointer(rows, "int64_t"), 400)
    targets = [pointer(one, "uint8_t", writable=True) for one in found]
    assert lib.encap_fragments_find(batch.pointer, layers, *given, *targets) == 0
    for wrong in (-1, 400):
        bad = pointer(np.array([wrong]), "int64_t")
        assert lib.encap_fragments_find(batch.pointer, layers, bad, 1, *targets)
    outs = [np.zeros(400, dtype) for dtype in (np.int64, np.uint32, np.uint16, *[np.int64] * 3)]
    kinds = ("int64_t", "uint32_t", "uint16_t", *["int64_t"] * 3)
    pointers = [pointer(a, k, writable=True) for a, k in zip(outs, kinds, strict=True)]
    octets = np.zeros(40_000, np.uint8)
    for own_of, slots_of in ((own, slots), (found[0], found[1])):
        waiting = Waiting.beside(400, "linux", (1, 1))
        touched = np.zeros(400, np.uint32)
        waiting.pointer.touched = pointer(touched, "uint32_t", writable=True)
        room = pointer(octets, "uint8_t", writable=True)
        joined = ffi.new("encap_joined *", (*pointers, 0, room, octets.size, 0))
        assert (
            lib.encap_fragments_add(
                batch.pointer, layers, pointer(times, "int64_t"), given[0],
                pointer(own_of, "uint8_t"), pointer(slots_of, "uint8_t"), 400, covers(),
                waiting.pointer, joined,
            )
            == 0
        )  # fmt: skip
        assert sum(waiting.lost().values()) <= 400


def test_layers_that_lie_do_not_split_outside() -> None:
    from encap._lib import Batch, ffi, lib, pointer
    from encap.covers import covers

    random = np.random.default_rng(2)
    packets = flood(300, 120)
    records = random.integers(0, 256, 64 * 300, dtype=np.uint8)
    records.reshape(300, 64)[:, :16] = random.integers(0, 30, (300, 16))
    records.reshape(300, 64)[:, 60] = random.integers(0, 20, 300)
    layers = ffi.from_buffer("encap_layers[]", records)
    slots = random.integers(-1, 18, 300).astype(np.int8)
    counts, sizes = np.zeros(300, np.uint32), np.zeros(300, np.uint64)
    problems, ids = np.zeros(300, np.uint8), np.zeros(300, np.uint32)
    split = ffi.new("encap_split *", {
        "slots": pointer(slots, "int8_t"), "ids": pointer(ids, "uint32_t"), "mtu": 40,
        "counts": pointer(counts, "uint32_t", writable=True),
        "sizes": pointer(sizes, "uint64_t", writable=True),
        "problems": pointer(problems, "uint8_t", writable=True),
    })  # fmt: skip
    batch = Batch(packets)
    assert lib.encap_split_measure(batch.pointer, layers, 0, 301, split)
    assert lib.encap_split_measure(batch.pointer, layers, 0, 300, split) == 0
    total = int(sizes.sum())
    data = np.zeros(total, np.uint8)
    starts, lengths = np.zeros(int(counts.sum()), np.int64), np.zeros(int(counts.sum()), np.uint32)
    for room in (total, total - 1, 0):
        wrong = lib.encap_split_fill(
            batch.pointer, layers, 0, 300, split, covers(), 0, 0,
            pointer(starts, "int64_t", writable=True), pointer(lengths, "uint32_t", writable=True),
            pointer(data, "uint8_t", writable=True), room,
        )  # fmt: skip
        assert bool(wrong) == (room < total)
    assert int(lengths.sum()) == total
