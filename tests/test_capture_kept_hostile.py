"""Captures kept whole, whatever they hold: a file that reads comes out, or a CaptureError."""

from __future__ import annotations

import io
import itertools
import mmap
import struct
from collections import Counter

import numpy as np
import pcapng_blocks as ng
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pcapng_blocks import ETHERNET, IPV4, all_options, everything, ipip, vxlan

from encap import capture
from encap._lib import Batch, ffi, lib, pointer
from encap.errors import CaptureError
from encap.packets import NO_TIME, Packets

WHOLE = everything() + everything(">")
CHANGES = {
    "same": lambda packets: packets,
    "copied": lambda packets: packets.compact(),
    "decapsulated": lambda packets: packets.decap(others="keep"),
    "some": lambda packets: packets[::2],
}


def rewrite(octets, change, size=1 << 20):
    """The file, the frames that were written to it, and what has ended the reading."""
    memory, frames, error = io.BytesIO(), [], None
    with (
        capture.open(io.BytesIO(octets), batch_octets=size) as source,
        capture.create(memory, like=source, format="pcapng") as sink,
    ):
        batches = source.batches()
        while error is None:
            try:
                made = change(next(batches))
            except StopIteration:
                break
            except CaptureError as wrong:
                error = wrong
                continue
            before = sum(sink.summary.left_out.values())
            sink.write(made)
            assert sum(sink.summary.left_out.values()) == before
            frames += list(made)
    assert sink.summary.packets == len(frames)
    return memory.getvalue(), frames, error


def check(octets, change):
    """Rewrites a file that may be wrong; what comes out is right."""
    try:
        made, frames, error = rewrite(octets, change)
    except CaptureError:
        return  # wrong before the first packet, or no capture
    again = capture.read(io.BytesIO(made))
    assert again.error is None
    assert list(again) == frames
    assert error is None or isinstance(error, CaptureError)


@pytest.mark.parametrize("change", ["same", "decapsulated"])
def test_every_cut(change):
    for cut in range(len(WHOLE)):
        check(WHOLE[:cut], CHANGES[change])


@pytest.mark.parametrize("change", ["copied", "decapsulated"])
def test_every_flipped_octet(change):
    for at in range(len(WHOLE)):
        octets = bytearray(WHOLE)
        octets[at] ^= (0xFF, 0x01, 0x80, 0x10)[at % 4]
        check(octets, CHANGES[change])


@given(st.data())
def test_damage(data):
    octets = bytearray(WHOLE)
    for _ in range(data.draw(st.integers(1, 5))):
        octets[data.draw(st.integers(0, len(octets) - 1))] = data.draw(st.integers(0, 255))
    check(octets, CHANGES[data.draw(st.sampled_from(sorted(CHANGES)))])


# --- any order of blocks -------------------------------------------------------------------


def block_parts(order, interfaces, number, draw):
    """One more block, and what it is: an interface number and the name of that one."""
    owner = draw(st.integers(0, interfaces - 1))
    kind = draw(
        st.sampled_from(["enhanced", "enhanced", "old", "simple", "stats", "names", "more"])
    )
    frame = draw(st.sampled_from([vxlan(number), ipip(number), ETHERNET + IPV4, b"", b"abc"]))
    options = draw(st.sampled_from([b"", all_options(order), ng.option(3, b"hash", order)]))
    count = draw(st.integers(0, (1 << 64) - 1))
    if kind in ("enhanced", "new"):
        wire = len(frame) + draw(st.integers(0, 9))
        return ng.enhanced(frame, count, owner, wire, order, options)
    if kind == "old":
        return ng.old(frame, count, owner, number, order, options)
    if kind == "simple":
        return ng.simple(frame, order=order)
    if kind == "stats":
        return ng.statistics(owner, order)
    return ng.names(order) if kind == "names" else ng.custom(order=order)


def interface_part(order, number, draw):
    """An interface with a name of its own."""
    options = ng.option(2, b"if%d" % number, order)
    resolution = draw(st.sampled_from([None, 6, 9, 12, 0x94]))
    if resolution is not None:
        options += ng.option(9, bytes([resolution]), order)
    if draw(st.booleans()):
        options += ng.option(13, b"\x04", order)
    if draw(st.booleans()):
        options += ng.option(14, struct.pack(order + "q", draw(st.integers(-9, 9))), order)
    return ng.interface(draw(st.sampled_from([1, 1, 101])), 0, options + ng.END, order)


@st.composite
def files(draw):
    parts = []
    for number in range(draw(st.integers(1, 3))):
        order = draw(st.sampled_from("<>"))
        parts += [ng.section(order), interface_part(order, 100 * number, draw)]
        interfaces = 1
        for block in range(draw(st.integers(0, 25))):
            if draw(st.integers(0, 5)) == 0:
                parts.append(interface_part(order, 100 * number + interfaces, draw))
                interfaces += 1
            parts.append(block_parts(order, interfaces, block, draw))
    return b"".join(parts)


def told(octets):
    """What each block says, whatever the numbers of interfaces are: for packets and statistics
    what their interface is called and how it counts time.
    """
    interfaces, found = [], []
    for block in ng.blocks(octets):
        if block.kind == ng.SECTION:
            interfaces = []
            found.append(block)
        elif block.kind == ng.INTERFACE:
            known = dict(ng.options(block.body[8:], block.order))
            linktype = struct.unpack_from(block.order + "H", block.body)[0]
            interfaces.append((known[2], known.get(9), known.get(14), linktype))
        elif block.kind == ng.STATISTICS:
            number = struct.unpack_from(block.order + "I", block.body)[0]
            found.append((interfaces[number][:3], block.body[4:]))
        elif block.kind == ng.SIMPLE:
            length = struct.unpack_from(block.order + "I", block.body)[0]
            found.append((interfaces[0], None, block.body[4 : 4 + length]))
        elif block.kind in ng.PACKETS:
            packet = ng.packet(block)
            options = [(c, v) for c, v in packet.options if c not in (2, 3, 19373)]
            found.append((interfaces[packet.owner], packet.count, packet.octets, options))
        else:
            found.append(block)
    return found


@given(files(), st.sampled_from([4096, 1 << 20]), st.sets(st.integers(0, 80)))
def test_any_order_of_blocks(octets, size, dropped):
    """Packets are found at the same places, of interfaces with the same names."""
    number = itertools.count()

    def some(packets):
        mask = np.array([next(number) not in dropped for _ in range(len(packets))], np.bool_)
        return packets[mask]

    made, frames, error = rewrite(octets, some, size)
    assert error is None
    row = itertools.count()
    expected = [item for item in told(octets) if not is_packet(item) or next(row) not in dropped]
    assert told(made) == expected
    assert len(frames) == sum(map(is_packet, expected))


def is_packet(item):
    return isinstance(item, tuple) and not isinstance(item, ng.Block) and len(item) > 2


@given(files(), st.sampled_from([4096, 1 << 20]))
def test_any_order_of_blocks_decapsulated(octets, size):
    inner = {}
    for packets in (capture.read(io.BytesIO(octets)),):
        made = packets.decap(others="keep")
        inner = dict(enumerate(zip(made, made.linktypes.tolist(), strict=True)))
    made, _, error = rewrite(octets, lambda packets: packets.decap(others="keep"), size)
    assert error is None
    was, now = told(octets), told(made)
    assert len(was) == len(now)
    row = itertools.count()
    for before, after in zip(was, now, strict=True):
        if not is_packet(before):
            assert before == after
            continue
        frame, linktype = inner[next(row)]
        assert after[0] == (*before[0][:3], linktype)
        assert after[2] == frame
        if len(before) == 4 and len(after) == 4:
            assert after[1] == before[1]
            assert after[3] == before[3] or after[2] == before[2]


def test_many_interfaces_and_link_types():
    """What one file may cost grows with its size alone."""
    many = b"".join(ng.interface(1, 0, ng.option(2, b"%d" % n)) for n in range(3000))
    rows = b"".join(ng.enhanced(ipip(n), n, n % 3000) for n in range(6000))
    made, frames, error = rewrite(ng.section() + many + rows, lambda packets: packets.decap())
    assert error is None
    assert Counter(map(len, frames)) == {20: 6000}
    again = ng.blocks(made)
    assert sum(block.kind == ng.INTERFACE for block in again) == 6000
    full = ng.section() + ng.interface() * (1 << 16)
    last = full + ng.enhanced(vxlan(1), 1, 65535)
    assert rewrite(last, lambda packets: packets)[0] == last
    with pytest.raises(CaptureError, match="more than 65536 interfaces"):
        rewrite(full + ng.enhanced(ipip(1), 1, 7), lambda packets: packets.decap())


def test_descriptions_that_are_too_much():
    long = ng.interface(1, 0, ng.option(1, bytes(60_000)))
    few, many = ng.section() + long * 200, ng.section() + long * 300
    assert rewrite(few, lambda packets: packets)[0] == few
    octets, _, error = rewrite(many, lambda packets: packets)
    assert "describes its interfaces" in str(error)
    assert many.startswith(octets)


# --- the core, with arrays that lie -----------------------------------------------------------


class Kept:
    """An `encap_kept` over octets that end where a page does that nobody may read."""

    def __init__(self, octets, packets, others, origins=None):
        page = mmap.PAGESIZE
        size = -(-len(octets) // page) * page
        self.room = mmap.mmap(-1, size)
        self.octets = np.frombuffer(self.room, np.uint8)[size - len(octets) :]
        self.octets[:] = np.frombuffer(octets, np.uint8)
        self.arrays = [np.array(a, np.int64) for a in (packets, others, origins or [])]
        self.interfaces = ffi.new("encap_interface[]", [(1000, 1, 0, 0, 0, 1, 0)] * 2)
        self.owners = ffi.new("encap_owner[]", [{"number": n, "linktype": 1} for n in range(2)])
        self.variants = ffi.new("encap_owner[]", 2)
        pointers = [pointer(a, "int64_t") for a in self.arrays]
        self.state = ffi.new("encap_kept *", {"octets": pointer(self.octets, "uint8_t")})
        self.state.packets, self.state.others = pointers[:2]
        self.state.origins = pointers[2] if origins else ffi.NULL
        self.state.size, self.state.packet_count = len(octets), len(packets)
        self.state.other_count, self.state.until = len(others), len(octets)
        self.state.interfaces, self.state.owners = self.interfaces, self.owners
        self.state.variants, self.state.interface_count = self.variants, 2

    def fill(self, packets, room=1 << 12):
        out = np.full(room + 16, 0xA5, np.uint8)
        times = np.ascontiguousarray(packets.times)
        self.state.end = len(packets)
        status = lib.encap_kept_fill(
            Batch(packets).pointer,
            pointer(times, "int64_t"),
            0,
            self.state,
            pointer(out, "uint8_t", writable=True),
            room,
        )
        assert self.state.used <= room
        assert (out[self.state.used :] == 0xA5).all()
        return status, out[: self.state.used].tobytes()


BODY = ng.names() + ng.enhanced(b"abcde", 5, 1, options=all_options()) + ng.custom()


def one(frame=b"abcde"):
    return Packets.from_frames([frame], times=5000)


def test_the_core_copies_blocks():
    kept = Kept(BODY, [36], [0, len(BODY) - 36])
    status, octets = kept.fill(one())
    assert status == lib.ENCAP_KEPT_DONE
    # The frame has other octets as far as addresses go, so the private option is left out.
    private = ng.option(19373, struct.pack("<I", 32473) + b"private", fill=b"\xee")
    assert len(octets) == len(BODY) - len(private)
    assert (kept.state.written, kept.state.written_octets, kept.state.dropped_private) == (1, 5, 1)


def test_the_core_writes_no_octet_beyond_its_room():
    whole = Kept(BODY, [36], [0, len(BODY) - 36]).fill(one())[1]
    for room in range(len(BODY) + 60):
        kept, parts = Kept(BODY, [36], [0, len(BODY) - 36]), []
        for _ in range(5):
            status, octets = kept.fill(one(), room)
            parts.append(octets)
            if status == lib.ENCAP_KEPT_DONE or not octets:
                break
        assert b"".join(parts) == (whole if status == lib.ENCAP_KEPT_DONE else b"".join(parts))
        assert status in (lib.ENCAP_KEPT_DONE, lib.ENCAP_KEPT_ROOM)
        assert status == lib.ENCAP_KEPT_DONE or kept.state.need > room


@given(
    st.lists(st.integers(-(1 << 63), (1 << 63) - 1) | st.integers(0, len(BODY)), max_size=3),
    st.lists(st.integers(-(1 << 63), (1 << 63) - 1) | st.integers(0, len(BODY)), max_size=3),
    st.lists(st.integers(-(1 << 63), (1 << 63) - 1) | st.integers(0, 3), min_size=1, max_size=1),
    st.integers(0, len(BODY)),
)
def test_the_core_reads_nothing_outside_whatever_the_arrays_say(packets, others, origins, cut):
    status, _ = Kept(BODY[cut:], packets, others, origins).fill(one())
    assert status in range(lib.ENCAP_KEPT_DONE, lib.ENCAP_KEPT_WRONG + 1)
    Kept(BODY[: len(BODY) - cut], packets, others).fill(one(b""))


def test_interfaces_that_name_each_other_in_a_circle():
    kept = Kept(BODY, [36], [])
    kept.owners[1] = {"number": 1, "next": 1, "linktype": 7}
    kept.variants[0] = {"number": 5, "next": 2, "linktype": 8}
    kept.variants[1] = {"number": 6, "next": 1, "linktype": 9}
    for count in range(3):
        kept.state.variant_count = count
        assert kept.fill(one())[0] == lib.ENCAP_KEPT_OWNER
    assert (kept.state.wanted, kept.state.wanted_linktype) == (1, 1)


def test_packets_without_a_time_and_interfaces_of_none():
    body = ng.enhanced(b"x", (1 << 64) - 1, 0)
    kept = Kept(body, [0], [])
    packets = Packets.from_frames([b"y"], times=NO_TIME)
    assert kept.fill(packets) == (lib.ENCAP_KEPT_DONE, ng.enhanced(b"y", (1 << 64) - 1, 0))
    for interface in ({"timeless": 1}, {"divisor": 0}, {"divisor": 1, "multiplier": 0}):
        kept = Kept(body, [0], [])
        kept.interfaces[0] = interface
        assert kept.fill(one(b"y"))[0] == lib.ENCAP_KEPT_OWNER
        assert kept.state.wanted_changes == lib.ENCAP_OWNER_TIME
