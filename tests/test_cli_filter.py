"""`encap filter`: which packets are written, what is said of the others, and what is refused."""

from __future__ import annotations

import gzip
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import encap
from encap import cli

ROOT = Path(__file__).parent.parent
OVERLAY = ROOT / "examples" / "overlay.pcap"
COMMAND = [sys.executable, "-m", "encap", "filter"]
EXPRESSION = "vxlan.vni == 42 and inner.ip.src in 10.0.0.0/8"
Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def filter_(capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs the command: its status, what it prints, what it says."""

    def command(*words: object) -> Any:
        capsys.readouterr()
        status = cli.main(["filter", *map(str, words)])
        return status, *capsys.readouterr()

    return command


@pytest.mark.parametrize("name", ["out.pcap", "out.pcapng", "out.pcap.gz"])
@pytest.mark.parametrize("invert", [False, True])
def test_it_writes_what_the_library_selects(
    filter_: Command, tmp_path: Path, name: str, *, invert: bool
) -> None:
    packets = encap.read(OVERLAY)
    mask = packets.match(EXPRESSION) != invert
    words = ["--invert"] if invert else []
    status, out, err = filter_(OVERLAY, tmp_path / name, EXPRESSION, *words)
    assert status == 0
    assert encap.read(tmp_path / name).equals(packets[mask])
    assert out == ""
    octets, left = int(packets[mask].lengths.sum()), int((~mask).sum())
    reason = "it matches" if invert else "it does not match"
    assert err == (
        f"encap: 673 packets read, {mask.sum()} written ({octets:,} octets)\n"
        f"encap: left out: {reason} ({left})\n"
    )


def test_a_capture_that_matches_as_a_whole_stays_as_it_is(filter_: Command, tmp_path: Path) -> None:
    """Byte order, resolution and snap length, and every block of a pcapng."""
    swapped = tmp_path / "in.pcap"
    records = b"".join(
        (7).to_bytes(4, "big") + nanoseconds.to_bytes(4, "big") + (14).to_bytes(4, "big") * 2
        + bytes(14) for nanoseconds in (1, 999_999_999)
    )  # fmt: skip
    header = bytes.fromhex("a1b23c4d 0002 0004 00000000 00000000 00000777 00000001")
    swapped.write_bytes(header + records)
    for source in (swapped, OVERLAY, *(ROOT / "tests/vectors/capture").glob("*.pcapng")):
        out = tmp_path / f"out{source.suffix}"
        status, _, err = filter_(source, out, "length >= 0")
        assert status == 0
        assert out.read_bytes() == source.read_bytes()
        assert "left out" not in err


def test_count(filter_: Command, tmp_path: Path) -> None:
    expected = int(encap.read(OVERLAY).match(EXPRESSION).sum())
    assert filter_(OVERLAY, EXPRESSION, "--count") == (
        0, f"{expected}\n", "encap: 673 packets read\n",
    )  # fmt: skip
    assert filter_(OVERLAY, EXPRESSION, "--count", "--invert")[1] == f"{673 - expected}\n"
    out = tmp_path / "out.pcap"
    for words, said in (
        ([out, EXPRESSION], f"--count: nothing is written to {out}\n"),
        ([EXPRESSION, "--format", "pcap"], "--count: nothing is written\n"),
    ):
        status, shown, err = filter_(OVERLAY, *words, "--count")
        assert (status, shown) == (0, f"{expected}\n")
        assert said in err
    assert not list(tmp_path.iterdir())


def test_ports(filter_: Command) -> None:
    assert filter_(OVERLAY, "vxlan.vni == 42", "--count")[1] != "0\n"
    others = ["--port", "4789=none", "--port", "8472=none"]
    assert filter_(OVERLAY, "vxlan", "--count", *others)[1] == "0\n"
    assert filter_(OVERLAY, "vxlan", "--count", "--port", "4789=")[0] == 2


@pytest.mark.parametrize(
    ("words", "order"),
    [
        (["vxlan.vni == 42", str(OVERLAY), "out.pcap"], "IN OUT EXPRESSION"),
        (["vxlan.vni == 42", str(OVERLAY), "--count"], "IN EXPRESSION --count"),
        ([str(OVERLAY), "vxlan.vni == 42", "out.pcap"], "IN OUT EXPRESSION"),
    ],
)
def test_arguments_in_another_order(
    filter_: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], order: str
) -> None:
    monkeypatch.chdir(tmp_path)
    status, out, err = filter_(*words)
    assert (status, out) == (2, "")
    said = "'vxlan.vni == 42' is no file, but an expression: the order is encap filter"
    assert err == f"encap: {said} {order}\n"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["out.pcap", "vxlan.vni == 2x"], "'2x' is none (42, 0x2a), at character 13"),
        (["out.pcap", ""], "at character 0"),
        (["out.pcap", "vxlann"], "did you mean 'vxlan'?"),
        (["vxlann", "--count"], "did you mean 'vxlan'?"),
        (["vxlan.vni == 42"], "EXPRESSION is missing"),
        (["out.pcap", "vxlan\udcff"], "'\\udcff' is not understood"),
        (["out.doc", "vxlan"], "out.doc"),
    ],
)
def test_what_cannot_be_done_leaves_nothing(
    filter_: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    status, out, err = filter_(OVERLAY, *words)
    assert (status, out) == (2, "")
    assert said in err
    assert err.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_the_expression_is_read_before_the_file(filter_: Command, tmp_path: Path) -> None:
    assert "at character" in filter_(tmp_path / "none.pcap", tmp_path / "out.pcap", "vxlan ==")[2]


def test_a_capture_cut_short(filter_: Command, tmp_path: Path) -> None:
    whole = OVERLAY.read_bytes()
    (tmp_path / "cut.pcap").write_bytes(whole[: len(whole) // 2])
    packets = encap.read(tmp_path / "cut.pcap")
    assert packets.error is not None
    status, _, err = filter_(tmp_path / "cut.pcap", tmp_path / "out.pcap", "vxlan")
    assert status == 1
    assert encap.read(tmp_path / "out.pcap").equals(packets.where("vxlan"))
    assert str(packets.error) in err
    status, out, err = filter_(tmp_path / "cut.pcap", "vxlan", "--count")
    assert (status, out) == (1, f"{packets.match('vxlan').sum()}\n")
    assert str(packets.error) in err


def test_one_link_type_where_a_pcap_needs_it(filter_: Command, tmp_path: Path) -> None:
    inner = encap.read(OVERLAY).decap()
    encap.write(tmp_path / "in.pcapng", inner)
    status, _, err = filter_(tmp_path / "in.pcapng", tmp_path / "out.pcap", "ip")
    assert status == 2
    assert "--link raw" in err
    assert filter_(tmp_path / "in.pcapng", tmp_path / "out.pcap", "ip", "--link", "raw")[0] in (
        0,
        1,
    )
    assert set(encap.read(tmp_path / "out.pcap").linktypes.tolist()) == {101}


def test_through_pipes() -> None:
    done = subprocess.run(
        [*COMMAND, "-", "-", EXPRESSION], input=gzip.compress(OVERLAY.read_bytes()),
        capture_output=True, check=True,
    )  # fmt: skip
    path = Path("/dev/stdin")
    assert done.stdout[:4] == OVERLAY.read_bytes()[:4]
    found = subprocess.run(
        [*COMMAND, str(path), EXPRESSION, "--count"], input=done.stdout, capture_output=True,
        check=True,
    )  # fmt: skip
    assert int(found.stdout) == encap.read(OVERLAY).match(EXPRESSION).sum()
