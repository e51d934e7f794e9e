"""Writing captures: what is written is what is read, and a file appears when it is whole."""

from __future__ import annotations

import io
import os
import stat
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.utils import RawPcapNgReader, RawPcapReader

from encap import capture
from encap.errors import CaptureError, FieldError
from encap.packets import NO_TIME, Packets

VECTORS = Path(__file__).parent / "vectors" / "capture"
SUFFIXES = [".pcap", ".pcapng", ".pcap.gz", ".pcapng.gz", ".pcap.zst", ".pcapng.zst", ".PCAPNG"]
IPV4 = b"\x45" + bytes(19)
IPV6 = b"\x60" + bytes(39)


def some(count=50, *, linktypes=1, unit=1000):
    random = np.random.default_rng(7)
    frames = [random.bytes(int(size)) for size in random.integers(0, 200, count)]
    times = 1_700_000_000_000_000_000 + np.arange(count) * 1_000_000 + unit
    lengths = [len(frame) + number % 3 for number, frame in enumerate(frames)]
    return Packets.from_frames(frames, times=times, linktypes=linktypes, wire_lengths=lengths)


def names(folder):
    return [path.name for path in folder.iterdir()]


def written(packets, **options):
    file = io.BytesIO()
    summary = capture.write(file, packets, **options)
    file.seek(0)
    return file, summary


def capture_of(path, *batches, **options):
    with capture.create(path, **options) as sink:
        for packets in batches:
            sink.write(packets)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("unit", [1000, 1])
def test_written_then_read_is_the_same(suffix, unit, tmp_path):
    packets, path = some(unit=unit), tmp_path / f"file{suffix}"
    summary = capture.write(path, packets)
    assert capture.read(path).equals(packets)
    octets = int(packets.lengths.sum())
    assert summary == capture.Summary(len(packets), octets, str(path), {})
    assert names(tmp_path) == [path.name]


@pytest.mark.parametrize("suffix", [".pcap", ".pcapng"])
def test_scapy_reads_what_is_written(suffix, tmp_path):
    packets, path = some(), tmp_path / f"file{suffix}"
    capture.write(path, packets)
    with (RawPcapNgReader if suffix == ".pcapng" else RawPcapReader)(str(path)) as reader:
        read = list(reader)
    assert [frame for frame, _ in read] == list(packets)
    assert [meta.wirelen for _, meta in read] == packets.wire_lengths.tolist()
    assert read[0][1].__class__.__name__.startswith("PacketMetadata")


@pytest.mark.parametrize("name", ["micro.pcap", "nano.pcap"])
def test_a_plain_pcap_comes_out_octet_for_octet(name, tmp_path):
    path = tmp_path / name
    with capture.open(VECTORS / name) as source, capture.create(path, like=source) as sink:
        for packets in source.batches():
            sink.write(packets)
    assert path.read_bytes() == (VECTORS / name).read_bytes()


@given(
    st.lists(
        st.tuples(
            st.binary(max_size=80),
            st.integers(0, (1 << 32) * 10**9 - 1),
            st.integers(0, (1 << 32) - 1),
            st.integers(0, 65535),
        ),
        max_size=12,
    ),
    st.booleans(),
)
def test_identity(rows, pcapng):
    frames, times, wires, linktypes = zip(*rows, strict=True) if rows else ((), (), (), ())
    packets = Packets.from_frames(
        frames,
        times=np.array(times, np.int64),
        wire_lengths=np.array(wires, np.int64),
        linktypes=np.array(linktypes if pcapng else linktypes[:1] * len(rows), np.int64),
    )
    file, summary = written(packets, format="pcapng" if pcapng else "pcap")
    assert capture.read(file).equals(packets)
    assert summary.packets == len(packets)


def test_two_batches_and_none(tmp_path):
    packets = some()
    with capture.create(tmp_path / "a.pcap") as sink:
        sink.write(packets[:0])
        sink.write(packets[:20])
        sink.write(packets[20:])
        assert sink.summary.packets == 50
    assert capture.read(tmp_path / "a.pcap").equals(packets)
    for suffix in SUFFIXES:
        assert capture.write(tmp_path / f"empty{suffix}", packets[:0]).packets == 0
        assert len(capture.read(tmp_path / f"empty{suffix}")) == 0
    with pytest.raises(ValueError, match="closed"):
        sink.write(packets)


def test_a_frame_larger_than_the_buffer():
    packets = Packets.from_frames([b"a", bytes(3 << 20), b"b"])
    for form in ("pcap", "pcapng"):
        file, _ = written(packets, format=form)
        assert list(capture.read(file)) == list(packets)


# --- link types --------------------------------------------------------------------


def test_mixed_link_types(tmp_path):
    packets = some(linktypes=[1, 101] * 25)
    with pytest.raises(CaptureError, match="pcapng"):
        capture.write(tmp_path / "a.pcap", packets)
    assert names(tmp_path) == []
    capture.write(tmp_path / "a.pcapng", packets)
    assert capture.read(tmp_path / "a.pcapng").equals(packets)
    file, _ = written(packets)  # nothing says the format: the packets do
    assert file.getvalue()[:4] == b"\x0a\x0d\x0d\x0a"
    file, _ = written(packets[::2])
    assert file.getvalue()[:4] == b"\xd4\xc3\xb2\xa1"


def test_a_link_type_that_comes_later(tmp_path):
    packets = some(linktypes=[1] * 25 + [113] * 25)
    with capture.create(tmp_path / "a.pcapng") as sink:
        sink.write(packets[:25])
        sink.write(packets[25:])
        sink.write(packets)
    read = capture.read(tmp_path / "a.pcapng")
    assert read.equals(Packets.concat([packets, packets]))
    with pytest.raises(CaptureError):
        capture_of(tmp_path / "a.pcap", packets[:25], packets[25:])


def mixed():
    frames = [
        bytes(12) + b"\x08\x00" + IPV4,
        bytes(12) + b"\x81\x00\x00\x05\x88\xa8\x00\x06\x86\xdd" + IPV6,
        bytes(12) + b"\x08\x06" + bytes(28),
        bytes(13),
        bytes(12) + b"\x81\x00\x00",
        IPV4,
        IPV6,
        b"\x50",
        b"",
        IPV4,
    ]
    return Packets.from_frames(
        frames, linktypes=[1, 1, 1, 1, 1, 101, 12, 228, 101, 113], times=np.arange(10) * 1000
    )


def test_link_ethernet():
    packets = mixed()
    file, summary = written(packets, link="ethernet", src="02:00:00:00:00:01", dst=b"\2\0\0\0\0\2")
    read = capture.read(file)
    macs = bytes.fromhex("020000000002020000000001")
    frames = [*list(packets)[:5], macs + b"\x08\x00" + IPV4, macs + b"\x86\xdd" + IPV6]
    assert list(read) == frames
    assert read.linktypes.tolist() == [1] * 7
    assert read.wire_lengths.tolist() == [len(frame) for frame in frames]
    assert read.times.tolist() == [number * 1000 for number in range(7)]
    assert summary.left_out == {"not IP": 2, "link type 113": 1}


def test_link_raw():
    file, summary = written(mixed(), link="raw")
    read = capture.read(file)
    assert list(read) == [IPV4, IPV6, IPV4, IPV6, b"\x50", b""]
    assert read.linktypes.tolist() == [101] * 6
    assert summary.left_out == {"not IP": 3, "link type 113": 1}


def test_link_with_nothing_left():
    file, summary = written(mixed()[[9]], link="raw")
    assert (len(capture.read(file)), summary.left_out) == (0, {"link type 113": 1})


@pytest.mark.parametrize(
    "options",
    [
        {"link": "ethernet"},
        {"link": "ethernet", "src": "02:00:00:00:00", "dst": "02:00:00:00:00:02"},
        {"link": "ethernet", "src": "02:00:00:00:00:0g", "dst": "02:00:00:00:00:02"},
        {"link": "ethernet", "src": b"abcde", "dst": "02:00:00:00:00:02"},
        {"link": "token ring"},
        {"format": "erf"},
        {"snaplen": 1 << 32},
        {"snaplen": -1},
    ],
)
def test_options_that_do_not_fit(options, tmp_path):
    with pytest.raises(FieldError):
        capture.create(tmp_path / "a.pcap", **options)
    assert names(tmp_path) == []


# --- times ---------------------------------------------------------------------------


def test_no_digit_is_lost(tmp_path):
    coarse, fine = some(), some(unit=1)
    with pytest.raises(CaptureError, match="nanoseconds=True"):
        capture.write(tmp_path / "a.pcap", fine, nanoseconds=False)
    with pytest.raises(CaptureError, match="nanoseconds=True"):
        capture_of(tmp_path / "a.pcap", coarse, fine)
    assert names(tmp_path) == []
    capture_of(tmp_path / "a.pcap", coarse, fine, nanoseconds=True)
    assert capture.read(tmp_path / "a.pcap").equals(Packets.concat([coarse, fine]))
    with capture.open(VECTORS / "nano.pcap") as like:
        file, _ = written(coarse, like=like)
    assert file.getvalue()[:4] == b"\x4d\x3c\xb2\xa1"


def test_packets_without_a_time_are_written_at_zero():
    packets = some().replace(times=NO_TIME)
    for form in ("pcap", "pcapng"):
        file, summary = written(packets, format=form)
        assert (capture.read(file).times == 0).all()
        assert summary.left_out == {}


def test_times_that_do_not_fit_are_counted():
    times = [-1, 0, NO_TIME, (1 << 32) * 10**9 - 1, (1 << 32) * 10**9, (1 << 63) - 1]
    packets = Packets.from_frames([b"x"] * 6, times=times)
    file, summary = written(packets, format="pcap")
    assert capture.read(file).times.tolist() == [0, 0, times[3]]
    assert sum(summary.left_out.values()) == 3
    file, summary = written(packets, format="pcapng")
    assert capture.read(file).times.tolist() == [0, 0, *times[3:]]
    assert sum(summary.left_out.values()) == 1


# --- what `like` gives ---------------------------------------------------------------


@pytest.mark.parametrize("order", "<>")
def test_like_gives_byte_order_and_snap_length(order, tmp_path):
    header = struct.pack(order + "IHHIIII", 0xA1B23C4D, 2, 4, 0, 0, 300, 101)
    for form in ("pcap", "pcapng"):
        with (
            capture.open(io.BytesIO(header)) as like,
            capture.create(tmp_path / "a", like=like, format=form) as sink,
        ):
            sink.write(some())
        with capture.open(tmp_path / "a") as source:
            assert source.byteorder == {"<": "little", ">": "big"}[order]
            assert (source.snaplen, source.resolution, source.linktype) == (300, 10**9, 1)
        assert capture.read(tmp_path / "a").equals(some())


FCS_WORD = 2 << 28 | 1 << 26  # frames end with check sequences of two words
FRAMES = [bytes([number]) * 60 + bytes(range(4)) for number in range(90)]


def old_pcap(frames, order, link=1, magic=0xA1B2C3D4):
    """A pcap file whose header has a value in every field."""
    head = struct.pack(order + "IHHiIII", magic, 2, 3, -3600, 6, 2000, link)
    records = (struct.pack(order + "IIII", 9, 9, len(f), len(f)) + f for f in frames)
    return head + b"".join(records)


def rewritten(octets, path, change, **options):
    with (
        capture.open(io.BytesIO(octets), batch_octets=4096) as source,
        capture.create(path, **{"like": source, **options}) as sink,
    ):
        for packets in source.batches():
            sink.write(change(packets))
    return sink.summary


def cut(packets):
    """The same without the last four octets of each frame."""
    return packets._derived(
        data=packets.data,
        starts=packets.starts,
        lengths=packets.lengths - np.uint32(4),
        wire_lengths=packets.wire_lengths - np.uint32(4),
        linktypes=packets.linktypes,
    )


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("magic", [0xA1B2C3D4, 0xA1B23C4D])
@pytest.mark.parametrize("link", [1, 101 | FCS_WORD, 1 | 0x03FF0000, 7 | 5 << 28])
def test_like_gives_the_whole_header_of_a_pcap_file(order, magic, link, tmp_path):
    octets, path = old_pcap(FRAMES, order, link, magic), tmp_path / "a.pcap"
    for change in (lambda p: p, lambda p: p.compact(), lambda p: p[:1].compact()):
        summary = rewritten(octets, path, change)
        assert path.read_bytes()[:24] == octets[:24]
        assert summary.dropped == {}
    rewritten(octets, path, lambda p: p)
    assert path.read_bytes() == octets
    rewritten(octets[:24], path, lambda p: p)
    assert path.read_bytes() == octets[:24]
    packets = capture.read(io.BytesIO(octets))
    capture.write(path, packets[3:70], like=packets)
    assert path.read_bytes() == octets[:24] + octets[24 + 3 * 80 : 24 + 70 * 80]
    rewritten(octets, path, lambda p: p, nanoseconds=True)
    assert path.read_bytes()[4:24] == octets[4:24]
    rewritten(octets, path, lambda p: p.replace(linktypes=228))
    word = int.from_bytes(path.read_bytes()[20:24], "big" if order == ">" else "little")
    assert word & 0xFFFF == 228
    assert word & FCS_WORD == 0
    assert word & 0x03FF0000 == link & 0x03FF0000


CHECK_SEQUENCE = {"length of the check sequence that ends each frame": 1}


@pytest.mark.parametrize("order", "<>")
def test_a_header_does_not_speak_of_check_sequences_that_have_gone(order, tmp_path):
    octets, path = old_pcap(FRAMES, order, 1 | FCS_WORD), tmp_path / "a.pcap"
    said = octets[:20] + (1).to_bytes(4, "big" if order == ">" else "little")

    def changed(packets):
        """In the last octet of the last one."""
        data = packets.data.copy()
        data[-1] ^= 1
        names = ("starts", "lengths", "wire_lengths", "linktypes")
        return packets._derived(data=data, **{name: getattr(packets, name) for name in names})

    second = len(FRAMES) % 50  # how many rows the second batch has
    for change in (cut, changed, lambda p: cut(p) if len(p) == second else p):
        summary = rewritten(octets, path, change)
        assert path.read_bytes()[:24] == said
        assert summary.dropped == CHECK_SEQUENCE
    # Where the header cannot be corrected, it says nothing of them in the first place.
    memory = io.BytesIO()
    assert rewritten(octets, memory, lambda p: p).dropped == CHECK_SEQUENCE
    assert memory.getvalue()[20:24] == said[20:24]
    # Frames of something else have none.
    with capture.open(io.BytesIO(octets)) as source, capture.create(path, like=source) as sink:
        sink.write(some(3))
        sink.write(next(source.batches()))
    assert path.read_bytes()[20:24] == said[20:24]
    for options in ({"format": "pcapng"}, {"format": "pcapng", "like": None}, {"like": None}):
        assert rewritten(octets, path, lambda p: p, **options).dropped == CHECK_SEQUENCE
    frames = [b"ab", b"abcd", b""]  # shorter than what should end them
    rewritten(old_pcap(frames, order, 1 | FCS_WORD), path, lambda p: p)
    assert path.read_bytes() == old_pcap(frames, order, 1 | FCS_WORD)


def test_like_gives_format_and_link_type_to_an_empty_file():
    header = struct.pack("<IHHIIII", 0xA1B2C3D4, 2, 4, 0, 0, 300, 101)
    with capture.open(io.BytesIO(header)) as like:
        file, _ = written(some(0), like=like)
    assert file.getvalue()[:4] == header[:4]
    with capture.open(file) as source:
        assert source.linktype == 101
    with capture.open(VECTORS / "micro.pcapng") as like:
        file, _ = written(some(), like=like)
    assert file.getvalue()[:4] == b"\x0a\x0d\x0d\x0a"


@pytest.mark.parametrize("form", ["pcap", "pcapng"])
def test_a_snap_length_is_never_too_small(form, tmp_path):
    header = struct.pack("<IHHIIII", 0xA1B2C3D4, 2, 4, 0, 0, 100, 1)
    small, large = Packets.from_frames([bytes(90)]), Packets.from_frames([bytes(150), bytes(120)])
    path = tmp_path / "a"
    with (
        capture.open(io.BytesIO(header)) as like,
        capture.create(path, like=like, format=form) as sink,
    ):
        sink.write(small)
        sink.write(large)
    with capture.open(path) as source:
        assert source.snaplen == 150
    assert capture.read(path).lengths.tolist() == [90, 150, 120]
    file, _ = written(large, snaplen=150, format=form)
    with capture.open(file) as source:
        assert source.snaplen == 150
    with pytest.raises(CaptureError, match="snap length"):
        written(large, snaplen=100, format=form)
    with capture.open(io.BytesIO(header)) as like, capture.create(io.BytesIO(), like=like) as sink:
        sink.write(small)
        sink.write(large)  # what cannot be corrected has room from the beginning


# --- files -----------------------------------------------------------------------------


def test_a_file_is_replaced_when_whole(tmp_path):
    path = tmp_path / "a.pcap"
    path.write_bytes(b"old")
    with pytest.raises(TypeError):
        capture_of(path, some(), "what is no batch")
    assert (path.read_bytes(), names(tmp_path)) == (b"old", ["a.pcap"])
    capture.write(path, some())
    assert capture.read(path).equals(some())
    assert names(tmp_path) == ["a.pcap"]
    with capture.open(path) as source, capture.create(path) as sink:
        assert sink.atomic
        for packets in source.batches():  # from a file to itself
            sink.write(packets[:10])
        assert sink.linktypes == source.linktypes
    assert capture.read(path).equals(some()[:10])


def test_errors_have_the_name_that_was_asked_for(tmp_path, monkeypatch):
    """Not that of the file which is to become it."""
    path = tmp_path / "no" / "such" / "x.pcap"
    with pytest.raises(FileNotFoundError) as caught:
        capture.write(path, some())
    assert caught.value.filename == str(path)
    assert str(path) in str(caught.value)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError) as caught:
        capture.write("no/such/x.pcap", some())
    assert caught.value.filename == "no/such/x.pcap"
    sink = capture.create("x.pcap")
    (tmp_path / "x.pcap").mkdir()
    with pytest.raises(IsADirectoryError) as caught:
        sink.close()
    assert caught.value.filename == str(tmp_path / "x.pcap")
    assert caught.value.filename2 is None
    assert names(tmp_path) == ["x.pcap"]


@pytest.mark.parametrize("name", ["in.pcap", "in.pcap.gz"])
def test_a_file_is_not_written_like_itself(name, tmp_path):
    path, link, hard = tmp_path / name, tmp_path / "link.pcap", tmp_path / "hard.pcap"
    capture.write(path, some())
    link.symlink_to(path)
    hard.hardlink_to(path)
    before = path.read_bytes()
    with capture.open(path) as source:
        for target in (path, link, hard, str(tmp_path / "." / name)):
            with pytest.raises(CaptureError, match="being read"):
                capture.create(target, like=source)
        with path.open("ab") as file, pytest.raises(CaptureError, match="being read"):
            capture.create(file, like=source)
        capture.write(tmp_path / "other.pcap", some(), like=source)
        capture.write(io.BytesIO(), some(), like=source)
    assert path.read_bytes() == before
    assert len(names(tmp_path)) == 4
    with path.open("rb") as file, pytest.raises(CaptureError, match="being read"):
        capture.create(path, like=capture.open(file))
    capture.write(path, some(3), like=source)  # it is read no longer
    assert len(capture.read(hard)) == 50


@pytest.mark.parametrize("name", ["a.cap", "a.dmp", "a.DUMP.gz", "a", "a.gz", "a.b/a", ".a"])
def test_endings_of_pcap(name, tmp_path):
    (tmp_path / "a.b").mkdir()
    capture.write(tmp_path / name, some())
    with capture.open(tmp_path / name) as source:
        assert source.format == "pcap"
        assert (source.size is None) == name.endswith(".gz")


@pytest.mark.parametrize("name", ["s.pcap.bz2", "s.pcpng", "o.xyz", "o.xyz.gz", "a.pcap.1"])
def test_endings_that_nobody_knows(name, tmp_path):
    with pytest.raises(CaptureError, match=r"\.pcap .* \.pcapng .*\.zst .*format="):
        capture.write(tmp_path / name, some())
    with capture.open(VECTORS / "micro.pcap") as like, pytest.raises(CaptureError):
        capture.create(tmp_path / name, like=like)
    assert names(tmp_path) == []
    capture.write(tmp_path / name, some(), format="pcapng")
    assert capture.read(tmp_path / name).equals(some())


def test_pipes_have_any_ending(tmp_path):
    os.mkfifo(tmp_path / "a.fifo")
    reading = os.open(tmp_path / "a.fifo", os.O_RDONLY | os.O_NONBLOCK)
    with os.fdopen(reading, "rb", buffering=0) as file:
        capture.write(tmp_path / "a.fifo", some(5))
        assert capture.read(io.BytesIO(file.read(1 << 16))).equals(some(5))


def test_permissions_are_those_of_any_new_file(tmp_path):
    before = os.umask(0o027)
    try:
        capture.write(tmp_path / "a.pcap", some())
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a.pcap").stat().st_mode) == 0o640


def test_links_and_devices_stay_what_they_are(tmp_path):
    (tmp_path / "link.pcap").symlink_to("target.pcap")
    capture.write(tmp_path / "link.pcap", some())
    assert (tmp_path / "link.pcap").is_symlink()
    assert capture.read(tmp_path / "target.pcap").equals(some())
    capture.write("/dev/null", some())
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)
    with pytest.raises(FileNotFoundError):
        capture.write(tmp_path / "missing" / "a.pcap", some())


def test_standard_output_gets_each_batch_at_once(monkeypatch):
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as source, os.fdopen(writing, "w") as file:
        monkeypatch.setattr(sys, "stdout", file)
        with capture.create("-") as sink:
            packets = some()
            assert not sink.atomic
            sink.write(packets[:1])
            assert len(os.read(source.fileno(), 1 << 16)) == 24 + 16 + int(packets.lengths[0])
            sink.write(packets[1:2])
            assert len(os.read(source.fileno(), 1 << 16)) == 16 + int(packets.lengths[1])
        assert sink.summary.path == "-"
        assert not file.closed


def test_what_is_no_file():
    with pytest.raises(TypeError):
        capture.create(7)
    with pytest.raises(TypeError):
        capture.create(io.StringIO())
    with pytest.raises(TypeError, match=r"not list: Packets\.from_frames"):
        capture.write(io.BytesIO(), [b"frame"])


def test_a_failing_end_leaves_nothing(tmp_path, monkeypatch):
    def fail(_):
        raise OSError(28, "No space left on device")

    sink = capture.create(tmp_path / "a.pcap")
    sink.write(some())
    monkeypatch.setattr("encap.capture.streams.Writer.flush", fail)
    with pytest.raises(OSError, match="space"):
        sink.close()
    assert names(tmp_path) == []
