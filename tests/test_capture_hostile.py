"""Captures that lie or end too early: garbage gives packets or a CaptureError, nothing else."""

from __future__ import annotations

import io
import resource
import struct
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from encap import capture
from encap._lib import Batch, ffi, lib, pointer
from encap.errors import CaptureError
from encap.packets import Packets

VECTORS = Path(__file__).parent / "vectors" / "capture"
PLAIN = ["micro.pcap", "nano.pcap", "micro.pcapng", "merged.pcapng", "sections.pcapng"]
HEADER = struct.pack("<IHHIIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)
GIB = 1 << 30


def read(octets):
    return capture.read(io.BytesIO(octets))


def streamed(octets):
    """The frames of all batches, and the error that ended them."""
    frames = []
    with capture.open(io.BytesIO(octets), batch_octets=4096) as source:
        try:
            for batch in source.batches():
                frames += list(batch)
        except CaptureError as error:
            return frames, error
    return frames, None


def record(octets, length=None):
    length = len(octets) if length is None else length
    return struct.pack("<IIII", 0, 0, length, length) + octets


def block(kind, body, total=None, trailer=None):
    body += bytes(-len(body) % 4)
    total = len(body) + 12 if total is None else total
    trailer = total if trailer is None else trailer
    return struct.pack("<II", kind, total) + body + struct.pack("<I", trailer)


SECTION = block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1))
INTERFACE = block(1, struct.pack("<HHI", 1, 0, 0))
PACKET = block(6, struct.pack("<IIIII", 0, 0, 0, 4, 4) + b"good")


def boundaries(octets):
    """Where a record of the file ends, and how many packets there are before it."""
    found, at, packets = {}, 0, 0
    if octets[:4] != b"\x0a\x0d\x0d\x0a":
        found[24] = 0
        at = 24
        while at < len(octets):
            at += 16 + struct.unpack_from("<I", octets, at + 8)[0]
            packets += 1
            found[at] = packets
        return found
    while at < len(octets):
        kind, total = struct.unpack_from("<II", octets, at)
        at += total
        packets += kind == 6
        found[at] = packets
    return found


@pytest.mark.parametrize("name", PLAIN)
def test_every_cut(name):
    whole = (VECTORS / name).read_bytes()
    frames = list(capture.read(VECTORS / name))
    ends = boundaries(whole)
    first = 24 if name.endswith("pcap") else 12
    for cut in range(len(whole) + 1):
        if cut < first:
            with pytest.raises(CaptureError):
                read(whole[:cut])
            continue
        packets = read(whole[:cut])
        count = max((number for end, number in ends.items() if end <= cut), default=0)
        assert list(packets) == frames[:count]
        assert (packets.error is None) == (cut in ends), cut
        got, error = streamed(whole[:cut])
        assert got == frames[:count]
        assert (error is None) == (cut in ends)
        if error is not None:
            assert error.record == packets.error.record == count
            last = max((end for end in ends if end <= cut), default=0)
            assert error.position == packets.error.position == last


@pytest.mark.parametrize("length", [(1 << 18) + 1, GIB, (1 << 32) - 1])
def test_pcap_lengths_that_cannot_be(length):
    with pytest.raises(CaptureError, match="length"):
        read(HEADER + record(b"", length))
    packets = read(HEADER + record(b"good") + record(b"bad", length))
    assert list(packets) == [b"good"]
    assert (packets.error.record, packets.error.position) == (1, 44)
    frames, error = streamed(HEADER + record(b"good") + record(b"bad", length))
    assert frames == [b"good"]
    assert (error.record, error.position) == (1, 44)


@pytest.mark.parametrize("kind", [6, 3, 2, 1, 5, 0x0BAD])
@pytest.mark.parametrize("total", [0, 3, 8, 11, 13, 14, 15, 4 * GIB - 4, 4 * GIB - 1, GIB])
def test_pcapng_block_lengths_that_cannot_be(kind, total):
    bad = block(kind, bytes(40), total)
    packets = read(SECTION + INTERFACE + PACKET + bad)
    assert list(packets) == [b"good"]
    assert packets.error.position == len(SECTION + INTERFACE + PACKET)
    with pytest.raises(CaptureError):
        read(SECTION + INTERFACE + bad)


@pytest.mark.parametrize(
    "bad",
    [
        block(6, struct.pack("<IIIII", 0, 0, 0, 5, 5) + b"good"),
        block(6, struct.pack("<IIIII", 0, 0, 0, 0xFFFFFFFF, 4) + b"good"),
        block(6, struct.pack("<IIIII", 1, 0, 0, 4, 4) + b"good"),
        block(6, struct.pack("<IIIII", 0xFFFFFFFF, 0, 0, 4, 4) + b"good"),
        block(2, struct.pack("<HHIIII", 1, 0, 0, 0, 4, 4) + b"good"),
        block(6, bytes(16)),
        block(3, struct.pack("<I", 5) + b"good"),
        block(3, b""),
        block(6, struct.pack("<IIIII", 0, 0, 0, 4, 4) + b"good", trailer=40),
        block(1, b""),
        block(1, struct.pack("<HHIHH", 1, 0, 0, 9, 400)),
        block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 2, 0, -1)),
        block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4E, 1, 0, -1)),
        block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1), total=16),
        block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1), total=30),
        block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1), trailer=32),
    ],
)
def test_pcapng_blocks_that_cannot_be(bad):
    packets = read(SECTION + INTERFACE + PACKET + bad + PACKET)
    assert list(packets) == [b"good"]
    assert packets.error.record == 1
    assert packets.error.position == len(SECTION + INTERFACE + PACKET)
    frames, error = streamed(SECTION + INTERFACE + PACKET + bad + PACKET)
    assert frames == [b"good"]
    assert str(error) == str(packets.error)


@pytest.mark.unsanitized
def test_a_declared_length_allocates_nothing():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    header = struct.pack("<IHHIIII", 0xA1B2C3D4, 2, 4, 0, 0, 0xFFFFFFFF, 1)
    for octets in (header + record(b"x" * 100, 1 << 27), SECTION + block(5, bytes(40), 1 << 27)):
        assert "cut short" in str(read(octets).error)
        assert "cut short" in str(streamed(octets)[1])
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 32 << 10


@pytest.mark.unsanitized
def test_many_interfaces_take_linear_time_and_end_in_an_error():
    start = time.process_time()
    with pytest.raises(CaptureError, match="interfaces"):
        read(SECTION + INTERFACE * 100_000)
    packets = read((SECTION + INTERFACE) * 20_000 + PACKET)
    assert list(packets) == [b"good"]
    assert time.process_time() - start < 10


@given(st.binary(max_size=400), st.integers(0, 2))
def test_garbage(octets, kind):
    octets = [b"", HEADER, SECTION + INTERFACE][kind] + octets
    try:
        packets = read(octets)
    except CaptureError:
        return
    assert packets.error is None or isinstance(packets.error, CaptureError)
    Packets(packets.data, packets.starts, packets.lengths)  # every row lies inside
    assert streamed(octets)[0] == list(packets)


@given(st.data())
def test_damaged_files(data):
    octets = bytearray((VECTORS / data.draw(st.sampled_from(PLAIN))).read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        octets[data.draw(st.integers(0, len(octets) - 1))] = data.draw(st.integers(0, 255))
    try:
        packets = read(octets)
    except CaptureError:
        return
    Packets(packets.data, packets.starts, packets.lengths)
    assert streamed(octets)[0] == list(packets)


@given(st.binary(max_size=200), st.sampled_from([b"\x1f\x8b\x08\0", b"\x28\xb5\x2f\xfd"]))
def test_compressed_garbage(octets, magic):
    with pytest.raises(CaptureError):
        read(magic + octets)


def test_the_core_writes_no_row_beyond_the_arrays():
    octets = np.frombuffer(HEADER + record(b"ab") * 10, np.uint8)
    columns = {
        "starts": np.full(4, 0xA5, np.int64),
        "lengths": np.full(4, 0xA5, np.uint32),
        "wire_lengths": np.full(4, 0xA5, np.uint32),
        "times": np.full(4, 0xA5, np.int64),
    }
    kinds = {"int64": "int64_t", "uint32": "uint32_t"}
    held = {
        name: pointer(array, kinds[array.dtype.name], writable=True)
        for name, array in columns.items()
    }
    records = ffi.new("encap_records *", {"position": 24, "capacity": 3, **held})
    data = pointer(octets, "uint8_t")
    status = lib.encap_pcap_index(data, octets.size, 0, 1000, 1 << 18, records)
    assert (status, records.count, records.position) == (lib.ENCAP_CAPTURE_FULL, 3, 24 + 3 * 18)
    assert all(array[3] == 0xA5 for array in columns.values())
    records.position = (1 << 64) - 4  # behind the end: nothing to read
    records.count = 0
    status = lib.encap_pcap_index(data, octets.size, 0, 1000, 1 << 18, records)
    assert (status, records.count) == (lib.ENCAP_CAPTURE_MORE, 0)


@pytest.mark.parametrize("function", ["encap_pcap_fill", "encap_pcapng_fill"])
def test_the_core_writes_no_octet_beyond_its_room(function):
    packets = Packets.from_frames([b"abc", b"", b"abcdefgh"])
    times = np.zeros(3, np.int64)
    owners = np.zeros(1, np.uint16)
    sizes = {"encap_pcap_fill": [19, 16, 24], "encap_pcapng_fill": [36, 32, 40]}[function]
    extra = (pointer(owners, "uint16_t"), 0) if function == "encap_pcapng_fill" else ()
    for room in range(sum(sizes) + 10):
        out = np.full(200, 0xA5, np.uint8)
        row = ffi.new("uint64_t *")
        used = getattr(lib, function)(
            Batch(packets).pointer,
            pointer(times, "int64_t"),
            *extra,
            row,
            3,
            0,
            1000,
            pointer(out, "uint8_t", writable=True),
            room,
        )
        expected = sum(1 for number in range(3) if sum(sizes[: number + 1]) <= room)
        assert (row[0], used) == (expected, sum(sizes[:expected]))
        assert (out[used:] == 0xA5).all()
