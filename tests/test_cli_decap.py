"""`encap decap`: which packets come out, what is said of the others, and what files are left."""

from __future__ import annotations

import errno
import io
import os
import pty
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import encap
from encap import cli
from encap.capture.streams import Writer

ROOT = Path(__file__).parent.parent
OVERLAY = ROOT / "examples" / "overlay.pcap"
COMMAND = [sys.executable, "-m", "encap"]
Decap = Callable[..., tuple[int, encap.Packets, str]]

MACS = {"dst": "02:00:00:00:00:02", "src": "02:00:00:00:00:01"}
IPV4 = {"src": "192.0.2.1", "dst": "192.0.2.2"}
IPV6 = {"src": "2001:db8::1", "dst": "2001:db8::2"}


def outer(**changes: Any) -> encap.Packet:
    return encap.Ethernet(**MACS) / encap.IPv4(**(IPV4 | changes))


def udp(dport: int, **changes: Any) -> encap.Packet:
    return outer(**changes) / encap.UDP(sport=1, dport=dport)


INNER = encap.Ethernet(**MACS) / encap.IPv4(**IPV4) / encap.UDP(sport=1, dport=53) / b"inner"
VXLAN = bytes(udp(4789) / encap.VXLAN(vni=42) / INNER)
PLAIN = bytes(udp(53) / b"plain")
TCP = encap.TCP(sport=1, dport=2)


@pytest.fixture
def decap(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Decap:
    """Decapsulates frames, or a file: the status, the packets written, the summary."""

    def command(given: object, *words: object, out: str = "out.pcapng") -> Any:
        if not isinstance(given, Path):
            packets = given
            if not isinstance(packets, encap.Packets):
                packets = encap.Packets.from_frames(map(bytes, given), times=10**18)  # type: ignore[call-overload]
            given = tmp_path / "in.pcapng"
            encap.write(given, packets)
        capsys.readouterr()
        status = cli.main(["decap", str(given), str(tmp_path / out), *map(str, words)])
        path = tmp_path / out
        read = encap.read(path) if path.exists() else encap.Packets.from_frames([])
        return status, read, capsys.readouterr().err

    return command


# --- which packets ------------------------------------------------------------------


@pytest.mark.parametrize("others", ["drop", "keep"])
@pytest.mark.parametrize("depth", [1, 2, "all"])
@pytest.mark.parametrize("kind", [None, "vxlan", "geneve", "gre", "erspan", "ipip", "sit"])
def test_it_writes_what_the_library_gives(
    decap: Decap, kind: str | None, depth: int | str, others: str
) -> None:
    words = ["--depth", depth, "--others", others, *(["--tunnel", kind] if kind else [])]
    status, packets, err = decap(OVERLAY, *words)
    expected = encap.read(OVERLAY).decap(kind, depth, others)
    assert packets.equals(expected)
    assert status == 1  # the capture has packets that cannot be opened
    assert err.startswith("encap: 673 packets read, ")
    assert f" {len(expected)} written" in err


def test_all_is_well(decap: Decap) -> None:
    status, packets, err = decap([VXLAN, VXLAN, PLAIN])
    assert status == 0
    assert list(packets) == [bytes(INNER)] * 2
    assert err == (
        f"encap: 3 packets read, 2 decapsulated, 2 written ({2 * len(bytes(INNER))} octets)\n"
        "encap: left out: in no tunnel (1)\n"
    )


def test_kept_as_they_are(decap: Decap) -> None:
    status, packets, err = decap([PLAIN, VXLAN], "--others", "keep", "--tunnel", "geneve")
    assert status == 0
    assert list(packets) == [PLAIN, VXLAN]
    assert "0 decapsulated, 2 written" in err
    assert "kept as they are: in no geneve (2)" in err


def nested(vni: int) -> bytes:
    """VXLAN in Geneve, whose VNI is 9, in GRE whose key is 8."""
    frame = udp(4789) / encap.VXLAN(vni=vni) / INNER
    gre = outer() / encap.GRE(key=8, protocol=0x6558)
    return bytes(gre / udp(6081) / encap.Geneve(vni=9, protocol=0x6558) / frame)


@pytest.mark.parametrize(
    ("words", "rows"),
    [
        (["--id", "8"], [2, 3]),
        (["--id", "42,43"], [0, 1]),
        (["--id", "42", "--id", "0x8"], [0, 2, 3]),
        (["--id", "42", "--tunnel", "vxlan"], [0, 2]),
        (["--id", "9", "--tunnel", "geneve"], [2, 3]),
        (["--id", "9", "--tunnel", "vxlan"], []),
        (["--id", "0"], []),  # no id is not the id 0
    ],
)
def test_ids(decap: Decap, words: list[str], rows: list[int]) -> None:
    frames = [VXLAN, bytes(udp(4789) / encap.VXLAN(vni=43) / INNER), nested(42), nested(43)]
    frames += [PLAIN, bytes(outer() / encap.GRE() / encap.IPv4(**IPV4) / TCP)]
    frames += [bytes(outer() / encap.IPv4(**IPV4) / TCP)]
    kind = words[words.index("--tunnel") + 1] if "--tunnel" in words else None
    packets = encap.Packets.from_frames(frames, times=10**18)
    expected = packets[rows].decap(kind)
    status, found, err = decap(packets, *words)
    assert status == 0
    assert found.equals(expected)
    assert f"{len(rows)} decapsulated" in err

    status, found, err = decap(packets, *words, "--others", "keep")
    expected_frames = list(frames)
    for row, frame in zip(rows, expected, strict=True):
        expected_frames[row] = frame
    assert list(found) == expected_frames
    assert f"{len(rows)} decapsulated, 7 written" in err
    kept = packets.linktypes.copy()
    kept[rows] = expected.linktypes
    assert found.linktypes.tolist() == kept.tolist()


def test_ids_of_an_inner_tunnel_are_asked_for_by_its_kind(decap: Decap) -> None:
    hint = "give --tunnel KIND"
    assert hint in decap([nested(42)], "--id", 42)[2]
    assert hint not in decap([nested(42)], "--id", 42, "--tunnel", "vxlan")[2]
    assert hint not in decap([nested(42)], "--id", 43, "--tunnel", "vxlan")[2]
    assert hint not in decap([VXLAN, PLAIN], "--id", 42)[2]


def test_ids_of_erspan_are_sessions(decap: Decap) -> None:
    status, packets, _ = decap(OVERLAY, "--tunnel", "erspan", "--id", 100)
    assert status == 1
    assert len(packets) == 92
    assert len(decap(OVERLAY, "--tunnel", "gre", "--id", 8)[1]) == 57
    assert len(decap(OVERLAY, "--tunnel", "vxlan", "--id", 43)[1]) == 1


def test_ports(decap: Decap) -> None:
    odd = bytes(udp(8473) / encap.VXLAN(vni=42) / INNER)
    assert list(decap([odd])[1]) == []
    assert list(decap([odd], "--port", "8473=vxlan", "--id", 42)[1]) == [bytes(INNER)]
    assert list(decap([VXLAN], "--port", "4789=none")[1]) == []
    fou = bytes(udp(5555) / bytes(encap.IPv4(**IPV4) / TCP))
    assert list(decap([fou], "--port", "5555=ipip")[1]) == [fou[42:]]


# --- what could not be done -----------------------------------------------------------


def fragment(protocol: int, offset: int = 10) -> bytes:
    return bytes(outer(protocol=protocol, fragment_offset=offset, flags=1) / bytes(40))


def ipv6_fragment(protocol: int) -> bytes:
    begin = encap.Ethernet(**MACS) / encap.IPv6(**IPV6)
    return bytes(begin / encap.Fragment(next_header=protocol, offset=1) / bytes(8))


UNSEEN = {
    "fragment (UDP)": (fragment(17), "fragment"),
    "fragment (GRE)": (fragment(47), "fragment"),
    "fragment (IPIP)": (fragment(4, 0), "fragment"),
    "fragment (VXLAN)": (bytes(udp(4789, flags=1) / bytes(40)), "fragment"),
    "fragment (IPv6)": (ipv6_fragment(17), "fragment"),
    "cut in Ethernet": (VXLAN[:10], "shorter than its first header"),
    "cut after Ethernet": (VXLAN[:20], "cut short after eth"),
    "cut after IPv4": (VXLAN[:40], "cut short after ipv4"),
    "cut after UDP": (VXLAN[:46], "cut short after udp"),
    "VXLAN without I": (bytes(udp(4789) / encap.VXLAN(flags=0) / INNER), "malformed vxlan"),
    "IP version": (bytes(outer(version=5)), "malformed ipv4"),
    "GRE version": (bytes(outer() / encap.GRE(version=2) / bytes(20)), "gre of an unknown version"),
}  # fmt: skip
SEEN = {
    "fragment (TCP)": fragment(6),
    "fragment (ICMP)": fragment(1, 0),
    "fragment (DNS)": bytes(udp(53, flags=1) / bytes(40)),
    "fragment (IPv6)": ipv6_fragment(6),
    "TCP cut": bytes(outer() / TCP)[:40],
    "TCP options cut": bytes(outer() / encap.TCP(sport=1, dport=2, data_offset=15)),
    "ARP": bytes(encap.Ethernet(**MACS, type=0x0806) / bytes(28)),
    "unknown type": bytes(encap.Ethernet(**MACS, type=0x1234) / bytes(46)),
}


@pytest.mark.parametrize("others", ["drop", "keep"])
@pytest.mark.parametrize("name", UNSEEN)
def test_packets_that_a_tunnel_may_be_in(decap: Decap, name: str, others: str) -> None:
    frame, reason = UNSEEN[name]
    status, packets, err = decap([VXLAN, frame], "--others", others)
    assert status == 1
    fate = {"drop": "left out", "keep": "kept as they are"}[others]
    assert f"encap: {fate}, though a tunnel may be in them: {reason} (1)\n" in err
    assert list(packets) == [bytes(INNER), frame][: 2 if others == "keep" else 1]


@pytest.mark.parametrize("name", SEEN)
def test_packets_that_no_tunnel_can_be_in(decap: Decap, name: str) -> None:
    status, packets, err = decap([VXLAN, SEEN[name]])
    assert status == 0
    assert len(packets) == 1
    assert "left out: in no tunnel (1)\n" in err


def test_link_types_that_nobody_knows(decap: Decap) -> None:
    packets = encap.Packets.from_frames([VXLAN, b"?" * 20], linktypes=[1, 147], times=0)
    status, found, err = decap(packets)
    assert status == 1
    assert len(found) == 1
    assert "link type 147 is not known (1)" in err


def test_fragments_inside_a_tunnel_are_no_trouble(decap: Decap) -> None:
    status, packets, _ = decap([udp(4789) / encap.VXLAN(vni=1) / fragment(17)])
    assert (status, list(packets)) == (0, [fragment(17)])


def test_a_file_that_is_cut_short(decap: Decap, tmp_path: Path) -> None:
    path = tmp_path / "cut.pcap"
    encap.write(path, encap.Packets.from_frames([VXLAN] * 3, times=0))
    path.write_bytes(path.read_bytes()[:-1])
    status, packets, err = decap(path)
    assert status == 1
    assert list(packets) == [bytes(INNER)] * 2
    assert f"encap: {path}: the file is cut short" in err


# --- files ----------------------------------------------------------------------------

MIXED = [VXLAN, bytes(outer() / encap.IPv4(**IPV4) / TCP)]


def test_several_link_types_in_a_pcap_file(decap: Decap, tmp_path: Path) -> None:
    (tmp_path / "out.pcap").write_text("what was there")
    encap.write(tmp_path / "mixed.pcap", encap.Packets.from_frames(MIXED, times=0))
    assert cli.main(["decap", str(tmp_path / "mixed.pcap"), str(tmp_path / "out.pcap")]) == 2
    assert (tmp_path / "out.pcap").read_text() == "what was there"
    assert {path.name for path in tmp_path.iterdir()} == {"out.pcap", "mixed.pcap"}


def test_several_link_types_in_a_pipe(tmp_path: Path) -> None:
    """Standard output has no name to be changed: the option is what is named, and works."""
    encap.write(tmp_path / "mixed.pcap", encap.Packets.from_frames(MIXED, times=0))
    octets = (tmp_path / "mixed.pcap").read_bytes()
    command = [sys.executable, "-m", "encap", "decap", "-", "-"]
    done = subprocess.run(command, input=octets, capture_output=True, check=False)
    assert done.returncode == 2
    assert b"give --format pcapng, or give --link" in done.stderr
    assert b"write a .pcapng" not in done.stderr
    command += ["--format", "pcapng"]
    done = subprocess.run(command, input=octets, capture_output=True, check=True)
    assert len(encap.read(io.BytesIO(done.stdout))) == len(MIXED)


def test_the_ways_out_are_named_and_work(
    decap: Decap, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "mixed.pcap"
    encap.write(path, encap.Packets.from_frames(MIXED, times=0))
    assert cli.main(["decap", str(path), str(tmp_path / "out.pcap")]) == 2
    message = capsys.readouterr().err
    for way in (".pcapng", "--format pcapng", "--link ethernet --src MAC --dst MAC", "--link raw"):
        assert way in message
    raw = list(encap.Packets.from_frames(MIXED).decap())
    assert list(decap(path, out="out.pcapng")[1]) == raw
    assert decap(path, "--format", "pcapng", out="noname")[1].linktypes.tolist() == [1, 101]
    status, packets, _ = decap(path, "--link", "raw", out="out.pcap")
    assert status == 0
    assert list(packets) == [raw[0][14:], raw[1]]
    words = ["--link", "ethernet", "--src", MACS["src"], "--dst", MACS["dst"]]
    status, packets, _ = decap(path, *words, out="out.pcap")
    assert status == 0
    assert list(packets)[1] == bytes(encap.Ethernet(**MACS, type=0x0800)) + raw[1]


@pytest.mark.parametrize("words", [[], ["--others", "keep"], ["--id", "42", "--others", "keep"]])
def test_comments_and_other_blocks_stay(decap: Decap, tmp_path: Path, words: list[str]) -> None:
    noted = ROOT / "examples" / "noted.pcapng"
    status, packets, err = decap(noted, *words)
    octets = (tmp_path / "out.pcapng").read_bytes()
    assert status == 0
    for text in (b"two tunnels", b"CLIENT_RANDOM", b"one.example", b"in the middle"):
        assert text in octets
    assert (b"the first packet" in octets) == bool(words)  # which is in no tunnel
    assert "not kept" not in err
    assert set(packets.linktypes.tolist()) == ({1} if "--id" in words else {1, 101})


def test_blocks_that_a_pcap_file_cannot_hold_are_counted(decap: Decap) -> None:
    status, _, err = decap(ROOT / "examples" / "noted.pcapng", "--tunnel", "ipip", out="out.pcap")
    assert status == 0
    assert err.splitlines()[-1] == (
        "encap: not kept: name resolution (1), decryption secrets (1), options of sections (1),"
        " options of packets (1)"
    )


def test_what_cannot_be_written_is_counted(decap: Decap) -> None:
    arp = encap.Ethernet(**MACS, type=0x0806) / bytes(28)
    status, packets, err = decap(
        [VXLAN, udp(4789) / encap.VXLAN(vni=1) / arp], "--link", "raw", out="out.pcap"
    )
    assert status == 1
    assert len(packets) == 1
    assert "encap: not written: not IP (1)\n" in err


def test_bad_addresses(decap: Decap) -> None:
    status, _, err = decap([VXLAN], "--link", "ethernet", "--src", "x", "--dst", MACS["dst"])
    assert (status, err.count("\n")) == (2, 1)
    assert "src must be a MAC address" in err


@pytest.mark.parametrize("out", ["same.pcap", "./same.pcap", "symbolic.pcap", "hard.pcap"])
def test_the_input_is_not_replaced(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], out: str
) -> None:
    same = tmp_path / "same.pcap"
    encap.write(same, encap.Packets.from_frames([VXLAN, PLAIN], times=0))
    before = same.read_bytes()
    (tmp_path / "symbolic.pcap").symlink_to(same)
    (tmp_path / "hard.pcap").hardlink_to(same)
    target = f"{tmp_path}/{out}"
    assert cli.main(["decap", str(same), target]) == 2
    message = f"encap: {target}: the file to write is the one that is being read\n"
    assert capsys.readouterr() == ("", message)
    assert same.read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 3


def test_nor_is_standard_input(tmp_path: Path) -> None:
    same = tmp_path / "same.pcap"
    encap.write(same, encap.Packets.from_frames([VXLAN, PLAIN], times=0))
    before = same.read_bytes()
    with same.open("rb") as stdin, same.open("ab") as stdout:
        for out in (same, "-"):
            command = [*COMMAND, "decap", "-", str(out)]
            done = subprocess.run(
                command, stdin=stdin, stdout=stdout, stderr=-1, timeout=60, check=False
            )
            assert done.returncode == 2
            assert b"being read" in done.stderr
            stdin.seek(0)
    assert same.read_bytes() == before


def test_endings_that_nobody_knows(
    decap: Decap, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    encap.write(tmp_path / "in.pcapng", encap.Packets.from_frames([VXLAN], times=0))
    assert cli.main(["decap", str(tmp_path / "in.pcapng"), str(tmp_path / "o.xyz")]) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"encap: {tmp_path}/o.xyz: the ending .xyz is not known; known are .pcap")
    assert '--format "pcap"' in err
    assert err.count("\n") == 1
    assert [entry.name for entry in tmp_path.iterdir()] == ["in.pcapng"]
    assert len(decap([VXLAN], "--format", "pcap", out="o.xyz")[1]) == 1


@pytest.mark.parametrize("others", ["drop", "keep"])
def test_empty_packets_are_counted(decap: Decap, others: str) -> None:
    empty = bytes(udp(4789) / encap.VXLAN(vni=42))
    status, packets, err = decap([VXLAN, empty, empty, b""], "--others", others)
    assert packets.lengths[1:3].tolist() == [0, 0]
    assert "encap: empty: 2 inner packets of 0 octets\n" in err
    assert status == 1
    assert "empty" not in decap([VXLAN, PLAIN], "--others", others)[2]


@pytest.mark.parametrize(
    ("out", "reason"), [("no/out.pcap", "No such file or directory"), (".", "Is a directory")]
)
def test_files_that_cannot_be_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], out: str, reason: str
) -> None:
    encap.write(tmp_path / "in.pcap", encap.Packets.from_frames([VXLAN], times=0))
    assert cli.main(["decap", str(tmp_path / "in.pcap"), str(tmp_path / out)]) == 2
    assert capsys.readouterr().err == f"encap: {tmp_path / out}: {reason}\n"
    assert [entry.name for entry in tmp_path.iterdir()] == ["in.pcap"]


def test_a_full_disk(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(writer: Writer, octets: bytes) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Writer, "write", write)
    path = tmp_path / "out.pcapng"
    assert cli.main(["decap", str(OVERLAY), str(path)]) == 2
    assert capsys.readouterr().err == f"encap: {path}: No space left on device\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("threads", ["1", "2"])
def test_many_batches(decap: Decap, monkeypatch: pytest.MonkeyPatch, threads: str) -> None:
    monkeypatch.setenv("ENCAP_THREADS", threads)
    from encap.cli import progress

    open_ = progress.open_capture
    monkeypatch.setattr(progress, "open_capture", lambda path: open_(path, batch_octets=4096))
    status, packets, err = decap(OVERLAY, "--others", "keep", "--id", 42)
    assert status == 1
    assert len(packets) == 673
    monkeypatch.undo()
    assert packets.equals(decap(OVERLAY, "--others", "keep", "--id", 42)[1])
    assert err == decap(OVERLAY, "--others", "keep", "--id", 42)[2]


@pytest.mark.parametrize("threads", ["1", "2"])
def test_what_goes_wrong_late_leaves_no_file(
    decap: Decap, monkeypatch: pytest.MonkeyPatch, threads: str, tmp_path: Path
) -> None:
    """Of two batches the second has another link type, and the writer is one behind."""
    monkeypatch.setenv("ENCAP_THREADS", threads)
    from encap.cli import progress

    open_ = progress.open_capture
    monkeypatch.setattr(progress, "open_capture", lambda path: open_(path, batch_octets=4096))
    for place in (60, 5000):
        frames = [MIXED[row == place] for row in range(6000)]
        encap.write(tmp_path / "in.pcap", encap.Packets.from_frames(frames, times=0))
        status, _, err = decap(tmp_path / "in.pcap", out="out.pcap")
        assert status == 2
        assert "several (1, 101)" in err
        assert [entry.name for entry in tmp_path.iterdir()] == ["in.pcap"]


# --- as a process ---------------------------------------------------------------------


def process(*words: object, **options: Any) -> subprocess.CompletedProcess[bytes]:
    command = [*COMMAND, *map(str, words)]
    return subprocess.run(command, capture_output=True, timeout=60, check=False, **options)


def test_pipes() -> None:
    with OVERLAY.open("rb") as file:
        done = process("decap", "-", "-", "--format", "pcapng", stdin=file)
    assert done.returncode == 1
    assert b"673 packets read" in done.stderr
    shown = process("info", "-", input=done.stdout)
    assert shown.returncode == 0
    assert b"standard input: pcapng, 565 packets" in shown.stdout
    assert shown.stderr == b""


def test_standard_output_by_its_name() -> None:
    done = process("decap", OVERLAY, "/dev/stdout", "--format", "pcapng")
    assert done.returncode == 1
    assert b"565 packets" in process("info", "-", input=done.stdout).stdout


def test_packets_go_through_a_pipe_as_they_come(tmp_path: Path) -> None:
    encap.write(tmp_path / "two.pcap", encap.Packets.from_frames([VXLAN] * 2, times=0))
    octets, header, record = (tmp_path / "two.pcap").read_bytes(), 24, 16 + len(VXLAN)
    command = [*COMMAND, "decap", "-", "-"]
    with subprocess.Popen(command, stdin=-1, stdout=-1, stderr=-1, bufsize=0) as running:
        assert running.stdin is not None
        assert running.stdout is not None
        assert running.stderr is not None
        running.stdin.write(octets[: header + record])
        expected = header + 16 + len(bytes(INNER))
        got = b""
        while len(got) < expected:  # while the input is still open
            got += running.stdout.read(expected - len(got))
        assert got.endswith(bytes(INNER))
        running.stdin.write(octets[header + record :])
        running.stdin.close()
        assert running.stdout.read().endswith(bytes(INNER))
        assert b"2 decapsulated" in running.stderr.read()
    assert running.returncode == 0


@pytest.mark.parametrize("words", [["info"], ["show", "-n", 600], ["decap", "--format", "pcapng"]])
def test_a_reader_that_has_gone(words: list[object]) -> None:
    read, write = os.pipe()
    os.close(read)
    out = ["-"] if words[0] == "decap" else []
    command = [*COMMAND, *map(str, [*words, OVERLAY, *out])]
    done = subprocess.run(command, stdout=write, stderr=-1, timeout=60, check=False)
    os.close(write)
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.parametrize(
    ("words", "status"),
    [("info IN", 0), ("info -", 2), ("decap IN OUT", 1), ("decap IN - --format pcapng", 1)],
)
def test_streams_that_are_closed(tmp_path: Path, words: str, status: int) -> None:
    command = words.replace("IN", str(OVERLAY)).replace("OUT", str(tmp_path / "out.pcapng"))
    script = f'exec "$0" -m encap {command} <&- >&- 2>&-'
    done = subprocess.run(["sh", "-c", script, sys.executable], timeout=60, check=False)
    assert done.returncode == status


def test_names_that_cannot_be_printed(tmp_path: Path) -> None:
    path = os.path.join(os.fsencode(tmp_path), b"\xff\xe9.pcap")  # noqa: PTH118
    Path(os.fsdecode(path)).write_bytes(OVERLAY.read_bytes())
    environment = os.environ | {"PYTHONIOENCODING": "ascii"}
    command = [*COMMAND, "info", path]
    done = subprocess.run(command, capture_output=True, env=environment, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"673 packets" in done.stdout


def test_status_and_message_of_a_process(tmp_path: Path) -> None:
    done = process("info", tmp_path / "missing")
    assert done.returncode == 2
    assert done.stderr.decode() == f"encap: {tmp_path / 'missing'}: No such file or directory\n"


def test_a_bar_only_where_somebody_looks(tmp_path: Path) -> None:
    out = tmp_path / "out.pcapng"
    ours, theirs = pty.openpty()
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "80"}
    command = [*COMMAND, "decap", str(OVERLAY), str(out)]
    done = subprocess.run(
        command, stderr=theirs, stdout=-1, env=environment, timeout=60, check=False
    )
    os.close(theirs)
    shown = b""
    while piece := _read(ours):
        shown += piece
    os.close(ours)
    assert done.returncode == 1
    assert b"\x1b[" in shown
    assert b"overlay.pcap" in shown
    assert b"565 written" in shown
    assert b"\x1b[" not in process("decap", OVERLAY, out).stderr


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError:  # what Linux says when nobody has the other side any more
        return b""


def test_what_starting_costs() -> None:
    """Neither is imported before it is needed."""
    code = textwrap.dedent("""
        import sys
        from encap.cli import main
        assert main(["--version"]) == 0
        assert "numpy" not in sys.modules and "rich" not in sys.modules
        main(["decap", sys.argv[1], "/dev/null", "--format", "pcapng"])
        assert "rich" not in sys.modules
    """)
    done = subprocess.run(
        [sys.executable, "-c", code, OVERLAY], capture_output=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr


MEASURE = """
    import resource, sys
    from encap.cli import main
    import encap.cli.decap, encap.cli.info, encap.cli.app
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert main(sys.argv[1:]) == 0
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, file=sys.stderr)
"""


@pytest.mark.unsanitized
@pytest.mark.slow
@pytest.mark.parametrize("command", ["info", "decap"])
def test_memory_is_bounded(command: str, tmp_path: Path) -> None:
    frame = VXLAN + bytes(1000)
    packets = encap.Packets.from_frames([frame] * 1000, times=np.arange(1000) * 1000)
    with encap.create(tmp_path / "in.pcap") as sink:
        for _ in range(120):  # 130 MB
            sink.write(packets)
    out = [tmp_path / "out.pcap"] if command == "decap" else []
    words = [sys.executable, "-c", textwrap.dedent(MEASURE), command, tmp_path / "in.pcap", *out]
    done = subprocess.run(words, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    grown = int(done.stderr.split()[-1])  # KiB on Linux
    assert grown < 60 * 1024
