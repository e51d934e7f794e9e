"""Reading captures: other programs' files, the corners of both formats, streams."""

from __future__ import annotations

import gzip
import io
import os
import struct
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import zstandard
from scapy.utils import PcapNgReader, RawPcapNgReader, RawPcapReader

from encap import capture
from encap.errors import CaptureError, FieldError
from encap.packets import NO_TIME, Packets

VECTORS = Path(__file__).parent / "vectors" / "capture"
FILES = sorted({line.split("\t")[0] for line in (VECTORS / "tshark.tsv").read_text().splitlines()})
LINKTYPES = {1: 1, 7: 101}  # of Wireshark's encapsulations


def pcap(*records, order="<", magic=0xA1B2C3D4, snaplen=65535, link=1):
    """A pcap file of records (seconds, fraction, octets, wire length)."""
    parts = [struct.pack(order + "IHHIIII", magic, 2, 4, 0, 0, snaplen, link)]
    for seconds, fraction, octets, wire_len in records:
        parts += [struct.pack(order + "IIII", seconds, fraction, len(octets), wire_len), octets]
    return b"".join(parts)


def block(kind, body, order="<"):
    body += bytes(-len(body) % 4)
    total = struct.pack(order + "I", len(body) + 12)
    return struct.pack(order + "I", kind) + total + body + total


def section(order="<", length=-1):
    return block(0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, length), order)


def option(code, value, order="<"):
    return struct.pack(order + "HH", code, len(value)) + value + bytes(-len(value) % 4)


def interface(linktype=1, snaplen=0, options=b"", order="<"):
    return block(1, struct.pack(order + "HHI", linktype, 0, snaplen) + options, order)


def enhanced(octets, count=0, owner=0, wire_len=None, order="<", options=b""):
    wire_len = len(octets) if wire_len is None else wire_len
    head = struct.pack(
        order + "IIIII", owner, count >> 32, count & 0xFFFFFFFF, len(octets), wire_len
    )
    return block(6, head + octets + bytes(-len(octets) % 4) + options, order)


def simple(octets, wire_len=None, order="<"):
    wire_len = len(octets) if wire_len is None else wire_len
    return block(3, struct.pack(order + "I", wire_len) + octets, order)


def read(octets) -> Packets:
    return capture.read(io.BytesIO(octets))


def streamed(octets, batch_octets=4096) -> Packets:
    with capture.open(io.BytesIO(octets), batch_octets=batch_octets) as source:
        return Packets.concat(source.batches())


# --- files of other programs ---------------------------------------------------


@pytest.mark.parametrize("name", FILES)
def test_what_tshark_says(name):
    packets = capture.read(VECTORS / name)
    assert packets.error is None
    rows = [line.split("\t") for line in (VECTORS / "tshark.tsv").read_text().splitlines()]
    rows = [row[1:] for row in rows if row[0] == name]
    assert len(packets) == len(rows)
    for number, (time, length, wire_len, link) in enumerate(rows):
        seconds, _, digits = time.partition(".")
        assert packets.times[number] == int(seconds) * 10**9 + int(digits.ljust(9, "0"))
        assert packets.lengths[number] == int(length)
        assert packets.wire_lengths[number] == int(wire_len)
        assert packets.linktypes[number] == LINKTYPES[int(link)]


@pytest.mark.parametrize("name", FILES)
def test_what_scapy_reads(name, tmp_path):
    octets = (VECTORS / name).read_bytes()
    if name.endswith(".gz"):
        octets = gzip.decompress(octets)
    if name.endswith(".zst"):
        octets = zstandard.ZstdDecompressor().decompress(octets)
    plain = tmp_path / "plain"
    plain.write_bytes(octets)
    kind = RawPcapNgReader if octets[:4] == b"\x0a\x0d\x0d\x0a" else RawPcapReader
    with kind(str(plain)) as reader:
        expected = [frame for frame, _ in reader]
    assert list(capture.read(VECTORS / name)) == expected


def test_scapy_agrees_on_the_times_of_several_interfaces():
    with PcapNgReader(str(VECTORS / "merged.pcapng")) as reader:
        expected = [round(packet.time * 10**9) for packet in reader]
    assert capture.read(VECTORS / "merged.pcapng").times.tolist() == expected


@pytest.mark.parametrize("name", FILES)
def test_every_way_to_read_is_the_same(name):
    path = VECTORS / name
    packets = capture.read(path)
    assert capture.read(str(path)).equals(packets)
    with path.open("rb") as file:
        assert capture.read(file).equals(packets)
    assert read(path.read_bytes()).equals(packets)
    assert streamed(path.read_bytes()).equals(packets)
    if path.suffix in (".pcap", ".pcapng"):
        assert capture.read(path, mmap=True).equals(packets)
    else:
        with pytest.raises(FieldError):
            capture.read(path, mmap=True)


def test_kuznetzovs_format_is_named():
    with pytest.raises(CaptureError, match="Kuznetzov"):
        capture.read(VECTORS / "modified.pcap")


# --- pcap ------------------------------------------------------------------------


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize(("magic", "unit"), [(0xA1B2C3D4, 1000), (0xA1B23C4D, 1)])
def test_pcap_byte_orders_and_resolutions(order, magic, unit):
    octets = pcap((1, 999_999, b"abc", 60), (2**32 - 1, 1, b"", 0), order=order, magic=magic)
    packets = read(octets)
    assert list(packets) == [b"abc", b""]
    assert packets.times.tolist() == [10**9 + 999_999 * unit, (2**32 - 1) * 10**9 + unit]
    assert packets.wire_lengths.tolist() == [60, 0]
    with capture.open(io.BytesIO(octets)) as source:
        assert source.format == "pcap"
        assert source.byteorder == {"<": "little", ">": "big"}[order]
        assert source.resolution == 10**9 // unit
        assert (source.linktype, source.linktypes, source.snaplen) == (1, (1,), 65535)


def test_pcap_captured_more_than_the_wire_had_is_kept():
    packets = read(pcap((0, 0, b"abcdef", 4)))
    assert (packets.lengths[0], packets.wire_lengths[0]) == (6, 4)


def test_pcap_check_sequence_bits_of_the_link_type():
    octets = pcap((0, 0, b"abcdef", 6), link=2 << 28 | 1 << 26 | 1)
    assert list(read(octets)) == [b"abcdef"]
    with capture.open(io.BytesIO(octets)) as source:
        assert (source.linktype, source.fcs_len) == (1, 4)
    with capture.open(io.BytesIO(pcap(link=2 << 28 | 1))) as source:
        assert source.fcs_len is None


def test_pcap_version_and_magic():
    octets = bytearray(pcap())
    octets[4] = 3
    with pytest.raises(CaptureError, match="version 3"):
        read(octets)
    for wrong in (b"", b"\xd4", b"GIF89a" * 10, pcap()[:23]):
        with pytest.raises(CaptureError):
            read(wrong)


# --- pcapng ----------------------------------------------------------------------


@pytest.mark.parametrize("order", "<>")
def test_pcapng_blocks(order):
    old = struct.pack(order + "HHIIII", 0, 7, 0, 5, 3, 9) + b"old"
    octets = (
        section(order)
        + block(0x0BAD, b"unknown", order)
        + interface(1, 4, order=order)
        + enhanced(b"first", (1 << 32) + 2, order=order, options=option(1, b"hello", order))
        + block(5, bytes(12), order)
        + simple(b"cut.", 90, order)
        + simple(b"abc", 3, order)
        + block(2, old, order)
    )
    for packets in (read(octets), streamed(octets)):
        assert list(packets) == [b"first", b"cut.", b"abc", b"old"]
        assert packets.wire_lengths.tolist() == [5, 90, 3, 9]
        assert packets.times.tolist() == [((1 << 32) + 2) * 1000, NO_TIME, NO_TIME, 5000]


@pytest.mark.parametrize(
    ("resolution", "count", "ns"),
    [
        (None, 7, 7000),
        (0, 3, 3 * 10**9),
        (3, 5, 5 * 10**6),
        (9, 1 << 62, 1 << 62),
        (9, 1 << 63, NO_TIME),
        (12, 10**15 + 999, 10**12),
        (28, (1 << 64) - 1, 1),
        (29, (1 << 64) - 1, 0),
        (127, (1 << 64) - 1, 0),
        (0x80, 3, 3 * 10**9),
        (0x80 | 10, 1025, 10**9 + 10**9 // 1024),
        (0x80 | 31, (5 << 31) + 12345, 5 * 10**9 + (12345 * 10**9 >> 31)),
        (0x80 | 32, (1 << 64) - 1, ((1 << 64) - 1) * 10**9 >> 32),
        (0x80 | 33, (1 << 64) - 1, ((1 << 64) - 1) * 10**9 >> 33),
        (0x80 | 63, (1 << 64) - 1, ((1 << 64) - 1) * 10**9 >> 63),
        (0x80 | 64, (1 << 64) - 1, ((1 << 64) - 1) * 10**9 >> 64),
        (0x80 | 95, (1 << 64) - 1, ((1 << 64) - 1) * 10**9 >> 95),
        (0x80 | 127, (1 << 64) - 1, 0),
        (6, (1 << 64) - 1, NO_TIME),
        (0, (1 << 64) - 1, NO_TIME),
        (0x80 | 1, (1 << 64) - 1, NO_TIME),
    ],
)
def test_pcapng_time_is_exact(resolution, count, ns):
    options = b"" if resolution is None else option(9, bytes([resolution]))
    octets = section() + interface(options=options) + enhanced(b"x", count)
    assert read(octets).times.tolist() == [ns if ns < 1 << 63 else NO_TIME]


@pytest.mark.parametrize(
    ("offset", "ns"),
    [
        (5, 5 * 10**9 + 1000),
        (-5, -5 * 10**9 + 1000),
        ((1 << 63) - 1, NO_TIME),
        (-(1 << 63), NO_TIME),
        (9223372036, 9223372036 * 10**9 + 1000),
    ],
)
@pytest.mark.parametrize("order", "<>")
def test_pcapng_time_offset(offset, ns, order):
    options = option(14, struct.pack(order + "q", offset), order)
    octets = section(order) + interface(options=options, order=order)
    assert read(octets + enhanced(b"x", 1, order=order)).times.tolist() == [ns]


def test_pcapng_time_that_only_the_offset_takes_out_of_range():
    options = option(9, b"\x09") + option(14, struct.pack("<q", 9223372036))
    octets = section() + interface(options=options)
    octets += enhanced(b"x", 854775807) + enhanced(b"x", 854775808)
    assert read(octets).times.tolist() == [(1 << 63) - 1, NO_TIME]


def test_pcapng_interfaces_have_their_own_link_type_resolution_and_start_again():
    octets = (
        section()
        + interface(1)
        + interface(101, options=option(9, b"\x09") + option(2, b"tun0") + option(0, b""))
        + enhanced(b"a", 1, 0)
        + enhanced(b"b", 1, 1)
        + section(">")
        + interface(113, order=">")
        + enhanced(b"c", 1, 0, order=">")
    )
    for packets in (read(octets), streamed(octets)):
        assert packets.linktypes.tolist() == [1, 101, 113]
        assert packets.times.tolist() == [1000, 1, 1000]
    with capture.open(io.BytesIO(octets)) as source:
        list(source.batches())
        assert source.linktypes == (1, 101, 113)
        assert source.linktype is None
        assert [item.linktype for item in source.interfaces] == [113]
    with pytest.raises(CaptureError, match="not described"):
        read(section() + interface() + section() + enhanced(b"x"))


def test_interface_attributes():
    options = option(2, b"eth0") + option(13, b"\x04") + option(9, b"\x8a")
    with capture.open(io.BytesIO(section() + interface(1, 96, options))) as source:
        (only,) = source.interfaces
        assert (only.name, only.fcs_len, only.resolution, only.snaplen) == ("eth0", 4, 1024, 96)
        assert (source.fcs_len, source.resolution, source.snaplen) == (4, 1024, 96)
        assert list(source.batches()) == []


def test_many_interfaces():
    octets = section() + b"".join(interface(number) for number in range(300))
    octets += enhanced(b"x", owner=299) + enhanced(b"y", owner=0)
    assert read(octets).linktypes.tolist() == [299, 0]


# --- sources -----------------------------------------------------------------------


def frames_of(count, seed=1):
    random = np.random.default_rng(seed)
    return [random.bytes(int(size)) for size in random.integers(0, 300, count)]


@pytest.mark.parametrize("form", ["pcap", "pcapng"])
def test_batches_of_any_size_are_the_file(form, tmp_path):
    packets = Packets.from_frames(frames_of(2000), times=np.arange(2000) * 1000)
    path = tmp_path / f"file.{form}"
    capture.write(path, packets)
    for size in (4096, 5000, 1 << 16, 1 << 22):
        with capture.open(path, batch_octets=size) as source:
            assert source.size == path.stat().st_size
            batches = list(source.batches())
        assert Packets.concat(batches).equals(packets)
        assert all(batch.data.size <= size for batch in batches)
    with pytest.raises(FieldError):
        capture.open(path, batch_octets=1)


def test_a_record_larger_than_a_batch():
    frames = [b"a", bytes(200_000), b"b", bytes(100_000)]
    octets = pcap(*((0, 0, frame, len(frame)) for frame in frames))
    assert list(streamed(octets)) == frames
    assert list(read(octets)) == frames


def test_a_pipe_delivers_what_is_there():
    reading, writing = os.pipe()
    octets = pcap((1, 0, b"first", 5), (2, 0, b"second", 6))
    os.write(writing, octets[: 24 + 16 + 5 + 3])
    with os.fdopen(reading, "rb") as file, capture.open(file) as source:
        batches = source.batches()
        assert list(next(batches)) == [b"first"]
        os.write(writing, octets[24 + 16 + 5 + 3 :])
        assert list(next(batches)) == [b"second"]
        os.close(writing)
        assert list(batches) == []
        assert (source.size, source.cut) == (None, False)


def test_a_pipe_that_is_cut():
    reading, writing = os.pipe()
    os.write(writing, pcap((1, 0, b"first", 5), (2, 0, b"second", 6))[:-1])
    os.close(writing)
    with os.fdopen(reading, "rb") as file, capture.open(file) as source:
        batches = source.batches()
        assert list(next(batches)) == [b"first"]
        with pytest.raises(CaptureError, match="cut short") as caught:
            next(batches)
        assert source.cut
    assert (caught.value.record, caught.value.position) == (1, 24 + 16 + 5)


def test_standard_input(monkeypatch):
    octets = pcap((1, 0, b"first", 5))
    reading, writing = os.pipe()
    os.write(writing, octets)
    os.close(writing)
    with os.fdopen(reading) as file:
        monkeypatch.setattr("sys.stdin", file)
        assert list(capture.read("-")) == [b"first"]


def test_a_large_pipe_is_read_whole(tmp_path):
    packets = Packets.from_frames(frames_of(20_000))
    path = tmp_path / "large.pcap"
    capture.write(path, packets)
    reading, writing = os.pipe()

    def feed():
        with os.fdopen(writing, "wb") as file:
            file.write(path.read_bytes())

    thread = threading.Thread(target=feed)
    thread.start()
    with os.fdopen(reading, "rb") as file:
        assert list(capture.read(file)) == list(packets)
    thread.join()


def test_file_objects_from_where_they_stand(tmp_path):
    path = tmp_path / "prefixed"
    path.write_bytes(b"prefix" + pcap((1, 0, b"first", 5)))
    for mapped in (False, True):
        with path.open("rb") as file:
            file.seek(6)
            assert list(capture.read(file, mmap=mapped)) == [b"first"]
    with gzip.open(VECTORS / "micro.pcap.gz") as file:
        assert capture.read(file).equals(capture.read(VECTORS / "micro.pcap"))

    class Plain:
        def __init__(self, octets):
            self.read = io.BytesIO(octets).read

    assert list(capture.read(Plain(pcap((1, 0, b"first", 5))))) == [b"first"]
    with pytest.raises(TypeError):
        capture.read(7)
    with pytest.raises(TypeError), path.open(encoding="latin1") as text:
        capture.read(text)
    with pytest.raises(FileNotFoundError):
        capture.read(tmp_path / "missing.pcap")


@pytest.mark.parametrize("name", ["micro.pcap.gz", "micro.pcap.zst"])
def test_compressed_members_in_a_row_and_damage(name):
    whole = (VECTORS / name).read_bytes()
    expected = capture.read(VECTORS / "micro.pcap")
    tail = pcap((1, 0, b"more", 4))[24:]
    again = gzip.compress(tail) if name.endswith("gz") else zstandard.compress(tail)
    assert list(read(whole + again)) == [*expected, b"more"]
    assert list(read(whole + b"\0" * 100))[:6] == list(expected)
    for end in range(4, len(whole)):
        try:
            packets = read(whole[:end])
        except CaptureError:
            continue
        assert isinstance(packets.error, CaptureError)
        assert list(packets) == list(expected)[: len(packets)]
    with pytest.raises(CaptureError):
        read(whole[:12] + b"\xff" * 60)


def test_ports_are_bound():
    octets = pcap((0, 0, b"x", 1))
    assert capture.read(io.BytesIO(octets), ports={8473: "vxlan"})._ports == {8473: "vxlan"}
    with capture.open(io.BytesIO(octets), ports={8473: "vxlan", 5555: "ipip"}) as source:
        assert [part._ports for part in source.batches()] == [{8473: "vxlan", 5555: "ipv4"}]
    with pytest.raises(FieldError, match="99999"):
        capture.open(io.BytesIO(octets), ports={99999: "vxlan"})


def test_errors_name_the_file(tmp_path, monkeypatch):
    text, cut, wrong = tmp_path / "text", tmp_path / "cut.pcap", tmp_path / "wrong.pcap"
    text.write_bytes(b"this is no capture, and long enough to be one")
    cut.write_bytes(pcap((0, 0, b"x", 1), (0, 0, b"xy", 2))[:-1])
    wrong.write_bytes(pcap((0, 0, b"x", 1))[:24] + b"\xff" * 40)
    for path in (text, str(text)):
        for function in (capture.read, capture.open):
            with pytest.raises(CaptureError) as raised:
                function(path)
            assert str(raised.value).startswith(f"{text}: not a capture")
            assert raised.value.position == 0
    with pytest.raises(CaptureError, match=f"^{wrong}: .* cannot be"):
        capture.read(wrong)
    error = capture.read(cut).error
    assert str(error).startswith(f"{cut}: the file is cut short")
    assert (error.record, error.position) == (1, 41)
    with capture.open(cut) as source, pytest.raises(CaptureError, match=f"^{cut}: ") as raised:
        list(source.batches())
    assert (raised.value.record, raised.value.position) == (1, 41)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"")))
    with pytest.raises(CaptureError, match=r"^standard input: an empty file"):
        capture.read("-")
    with pytest.raises(CaptureError, match=r"^an empty file"):
        capture.read(io.BytesIO())
