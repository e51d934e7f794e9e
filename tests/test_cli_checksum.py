"""`encap checksum`: the table, JSON, what is repaired, what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import golden
import pytest

import encap
from encap import TCP, UDP, Ethernet, IPv4, Packets, Verdict, cli
from encap.cli import checksum as under_test
from encap.cli.checksum import Tally, header_name
from encap.cli.commands.checksum import Fix
from encap.rewrite.fix import WHICH

OVERLAY = Path(__file__).parent.parent / "examples" / "overlay.pcap"
PARTIAL = golden.FOLDER / "dirty_vxlan" / "outer.pcap.gz"
FRAME = Ethernet() / IPv4(src="10.0.0.1", dst="10.0.0.2") / TCP(checksum=1) / b"x"
Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def checksum(capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs the command: its status, what it prints, what it says."""

    def command(*words: object) -> Any:
        capsys.readouterr()
        status = cli.main(["checksum", *map(str, words)])
        return status, *capsys.readouterr()

    return command


def test_the_table(checksum: Command) -> None:
    status, out, err = checksum(PARTIAL)
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].endswith("outer.pcap.gz: 403 checksums in 132 packets")
    assert lines[2].split("  ")[-1] == "first wrong ones"
    assert lines[3].split() == ["all", "205", "57", "127", "14"]
    assert lines[4] == "eth/ipv4/udp/vxlan/eth/ipv4/tcp"
    assert lines[6].split() == ["udp", "16", "9", "30,", "31,", "32"]


def test_json_says_what_the_library_says(checksum: Command) -> None:
    status, out, err = checksum(PARTIAL, "--json")
    found = json.loads(out)
    packets = encap.read(PARTIAL)
    table = packets.checksums()
    assert (status, err, found["input_error"]) == (0, "", None)
    assert (found["packets"], found["checksums"]) == (len(packets), len(table))
    assert found["verdicts"] == {
        verdict.name.lower(): table.counts.get(verdict, 0) for verdict in list(Verdict)[1:]
    }
    for entry in found["paths"]:
        rows = packets.parse()["path"] == entry["path"]
        for header in entry["headers"]:
            mine = table.of(header["name"])
            for name, number in header["verdicts"].items():
                verdict = Verdict[name.upper()]
                where = ((mine == verdict) & rows).nonzero()[0]
                assert number == len(where)
                if verdict != Verdict.GOOD and number:
                    assert header["rows"][name] == where[:10].tolist()


def test_batches_are_added_up() -> None:
    packets = golden.every_frame()
    whole, parts = Tally(), Tally()
    whole.add(packets)
    for begin in range(0, len(packets), 1000):
        parts.add(packets[begin : begin + 1000])
    assert (parts.paths, parts.verdicts) == (whole.paths, whole.verdicts)
    assert parts.verdicts == packets.checksums().counts


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    packets = golden.every_frame()
    whole, few = Tally(), Tally()
    whole.add(packets)
    monkeypatch.setattr(under_test, "MOST_PATHS", 3)
    few.add(packets)
    assert len(few.paths) == 4
    assert few.verdicts == whole.verdicts
    names = {layer.name for layer in few.paths["(others)"].values()}
    assert names >= {"ipv4", "udp", "gre"}
    for tally in (few, whole):
        counted = [
            sum(layer.verdicts.get(Verdict.GOOD, 0) for layer in layers)
            for _, layers in tally.ordered()
        ]
        assert sum(counted) == whole.verdicts[Verdict.GOOD]


def test_paths_without_an_id_of_their_own() -> None:
    """More paths than a batch keeps: their headers are counted by kind."""
    frames = [_stack(number) for number in range(6000)]
    packets = Packets.from_frames(frames, linktypes=229)
    tally = Tally()
    tally.add(packets)
    assert tally.verdicts == packets.checksums().counts
    assert set(tally.paths["(others)"]) == {encap.Kind["udp"].value}


def _stack(number: int) -> bytes:
    """IPv6 with 13 extension headers, of one kind or another: a path for each number."""
    chain = [60 if number >> bit & 1 else 0 for bit in range(13)]
    body = b""
    for index, _ in enumerate(chain):
        following = chain[index + 1] if index + 1 < len(chain) else 17
        body += bytes([following, 0, 1, 4, 0, 0, 0, 0])
    length = len(body) + 8
    head = bytes([0x60, 0, 0, 0]) + length.to_bytes(2, "big") + bytes([chain[0], 64]) + bytes(32)
    return head + body + bytes([0, 1, 0, 2, 0, 8, 1, 2])


@pytest.mark.parametrize("which", Fix)
def test_a_repair_writes_what_the_library_gives(
    checksum: Command, tmp_path: Path, which: Fix
) -> None:
    status, out, err = checksum(PARTIAL, tmp_path / "out.pcap", "--fix", which)
    fixed = encap.read(PARTIAL).fix(str(which))
    assert encap.read(tmp_path / "out.pcap").equals(fixed)
    assert (status, out) == (1, "")
    assert "left as they were: checksum not verified: in a fragment (14)" in err


def test_what_a_repair_says(checksum: Command, tmp_path: Path) -> None:
    capture = tmp_path / "in.pcap"
    encap.write(capture, Packets.from_frames([FRAME, Ethernet() / IPv4(
        src="10.0.0.1", dst="10.0.0.2") / UDP() / b"good"], times=0))  # fmt: skip
    status, _, err = checksum(capture, tmp_path / "out.pcap", "--fix")
    assert status == 0
    assert err == (
        "encap: 2 packets read, 1 checksum made anew in 1 packet, 2 written (101 octets)\n"
    )


@pytest.mark.parametrize(
    "words",
    ["--fix IN OUT", "IN --fix OUT", "IN OUT --fix", "IN OUT --fix bad", "--fix bad IN OUT"],
)
def test_fix_may_do_without_a_word(checksum: Command, tmp_path: Path, words: str) -> None:
    names = {"IN": OVERLAY, "OUT": tmp_path / "out.pcap"}
    status, _, err = checksum(*(names.get(word, word) for word in words.split()))
    assert status == 1
    assert "4 checksums made anew" in err


def test_the_words_are_those_of_the_library() -> None:
    assert [str(one) for one in Fix] == list(WHICH)


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["{IN}", "--fix"], "OUT and --fix go together"),
        (["{IN}", "{OUT}"], "OUT and --fix go together"),
        (["{IN}", "{OUT}", "--fix", "--json"], "--json is for the verdicts"),
        (["{IN}", "--format", "pcap"], "--format is that of OUT"),
        (["{IN}", "{OUT}", "--fix", "bad", "--fix", "all"], "--fix is given twice"),
        (["{IN}", "{IN}", "--fix"], "the one that is being read"),
    ],
)
def test_what_is_refused(
    checksum: Command, tmp_path: Path, words: list[str], complaint: str
) -> None:
    status, out, err = checksum(
        *(word.format(IN=OVERLAY, OUT=tmp_path / "o.pcap") for word in words)
    )
    assert (status, out) == (2, "")
    assert complaint in err
    assert not list(tmp_path.iterdir())


def test_a_capture_that_is_cut_short(checksum: Command, tmp_path: Path) -> None:
    cut = tmp_path / "cut.pcap"
    cut.write_bytes(OVERLAY.read_bytes()[:-5])
    status, out, _ = checksum(cut)
    assert status == 1
    assert "cut short or wrong from there on" in out
    status, out, _ = checksum(cut, "--json")
    assert status == 1
    assert json.loads(out)["input_error"]


def test_no_packets(checksum: Command, tmp_path: Path) -> None:
    empty = tmp_path / "empty.pcap"
    encap.write(empty, Packets.from_frames([]))
    status, out, _ = checksum(empty)
    assert status == 0
    assert out.strip().endswith("0 checksums in 0 packets")


def test_ports(checksum: Command, tmp_path: Path) -> None:
    inner = IPv4(src="10.0.0.1", dst="10.0.0.2") / TCP(checksum=1)
    fou = Ethernet() / IPv4(src="192.0.2.1", dst="192.0.2.2") / UDP(dport=5555) / bytes(inner)
    capture = tmp_path / "in.pcap"
    encap.write(capture, Packets.from_frames([fou], times=0))
    found = json.loads(checksum(capture, "--json", "--port", "5555=ipip")[1])
    assert found["verdicts"]["bad"] == 1
    status, _, err = checksum(capture, tmp_path / "o.pcap", "--fix", "--port", "5555=ipip")
    assert (status, "1 checksum made anew" in err) == (0, True)


def test_names_of_headers() -> None:
    path = "eth/ipv4/udp/vxlan/eth/ipv4/udp"
    assert [header_name(path, depth) for depth in (1, 2, 5, 6)] == [
        "ipv4", "udp", "ipv4[1]", "udp[1]",
    ]  # fmt: skip
