"""`encap fragment`: what is written, and what is said."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import encap
from encap import cli

ROOT = Path(__file__).parent.parent
OVERLAY = ROOT / "examples" / "overlay.pcap"
PAYLOAD = encap.UDP(sport=1) / bytes(3000)
FOUR = encap.Ethernet() / encap.IPv4(src="10.0.0.1", dst="10.0.0.2", id=7) / PAYLOAD
SIX = encap.Ethernet() / encap.IPv6(src="fd00::1", dst="fd00::2") / PAYLOAD
DF = encap.Ethernet() / encap.IPv4(src="10.0.0.1", dst="10.0.0.2", flags=2) / PAYLOAD
SHORT = encap.Ethernet() / encap.IPv4(src="10.0.0.1", dst="10.0.0.2") / encap.UDP() / b"short"
Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "in.pcap"
    encap.write(path, encap.Packets.from_frames([FOUR, SIX, SHORT, SIX], times=range(4)))
    return path


@pytest.fixture
def with_df(tmp_path: Path) -> Path:
    path = tmp_path / "df.pcap"
    encap.write(path, encap.Packets.from_frames([SHORT, DF, FOUR], times=range(3)))
    return path


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs `encap fragment`: its status, what it prints, what it says."""

    def run(*words: object) -> Any:
        capsys.readouterr()
        status = cli.main(["fragment", *map(str, words)])
        return status, *capsys.readouterr()

    return run


def in_small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    from encap.cli import progress

    open_ = progress.open_capture
    monkeypatch.setattr(progress, "open_capture", lambda path: open_(path, batch_octets=4096))


@pytest.mark.parametrize("name", ["out.pcap", "out.pcapng", "out.pcap.gz"])
def test_it_writes_what_the_library_makes(
    command: Command, source: Path, tmp_path: Path, name: str
) -> None:
    out = tmp_path / name
    status, shown, err = command(source, out, "--mtu", 1500, "--ids", 5)
    packets = encap.read(source)
    made = packets.fragment(1500, ids=np.arange(5, 9, dtype=np.uint32))
    assert (status, shown) == (0, "")
    assert encap.read(out).equals(made)
    octets = int(made.lengths.sum())
    assert err == f"encap: 4 packets read, 3 packets split, 10 written ({octets:,} octets)\n"
    assert list(made.reassemble()) == list(packets)


def test_ids_do_not_depend_on_batches(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encap.write(tmp_path / "in.pcap", encap.Packets.from_frames([SIX] * 7, times=0))
    assert command(tmp_path / "in.pcap", tmp_path / "whole.pcap", "--mtu", 1280)[0] == 0
    in_small_batches(monkeypatch)
    status, _, err = command(tmp_path / "in.pcap", tmp_path / "parts.pcap", "--mtu", 1280)
    assert status == 0
    assert "7 packets split" in err
    whole, parts = (encap.read(tmp_path / f"{name}.pcap") for name in ("whole", "parts"))
    assert whole.equals(parts)
    assert np.unique(whole.columns("fragment.id")["fragment.id"]).tolist() == list(range(7))


def test_ids_go_round(command: Command, source: Path, tmp_path: Path) -> None:
    assert command(source, tmp_path / "out.pcap", "--mtu", 1500, "--ids", 0xFFFFFFFF)[0] == 0
    ids, there = encap.read(tmp_path / "out.pcap").columns("fragment.id", "fragment").values()
    assert set(ids[there].tolist()) == {0, 2}


def test_df(command: Command, with_df: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.pcap"
    packets = encap.read(with_df)
    status, _, err = command(with_df, out, "--mtu", 1500)
    assert status == 1
    assert "3 packets read, 1 packet split, 4 written" in err
    assert err.endswith("encap: left out: too long, and DF is set (1)\n")
    assert encap.read(out).equals(packets.fragment(1500).replace(error=None))
    assert command(with_df, out, "--mtu", 1500, "--df", "ignore")[0] == 0
    assert encap.read(out).equals(packets.fragment(1500, df="ignore"))
    out.unlink()
    status, _, err = command(with_df, out, "--mtu", 1500, "--df", "raise")
    assert (status, err) == (2, "encap: packet 1: too long, and DF is set\n")
    assert not out.exists()


def test_inner_packets(command: Command, tmp_path: Path) -> None:
    out = tmp_path / "out.pcap"
    status, _, err = command(OVERLAY, out, "--mtu", 68, "--layer", "inner", "--df", "ignore")
    packets = encap.read(OVERLAY)
    ids = np.arange(len(packets), dtype=np.uint32)
    made = packets.fragment(68, "inner", df="ignore", ids=ids)
    assert encap.read(out).equals(made)
    assert status == (1 if made.left_out else 0)
    assert all(f"{reason} ({number:,})" in err for reason, number in made.left_out.items())
    split = np.unique(made.rows, return_counts=True)[1]
    assert f"{int((split > 1).sum())} packets split" in err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "--mtu"),
        (["--mtu", "27"], "mtu is 28 to 65535, not 27"),
        (["--mtu", "x"], "a whole number is needed"),
        (["--mtu", "1500", "--layer", "udp"], "an IP header"),
        (["--mtu", "1500", "--df", "drop"], "drop"),
        (["--mtu", "1500", "--ids", "-1"], "--ids"),
    ],
)
def test_what_cannot_be_done_leaves_nothing(
    command: Command, tmp_path: Path, words: list[str], said: str
) -> None:
    status, shown, err = command(OVERLAY, tmp_path / "out.pcap", *words)
    assert (status, shown) == (2, "")
    assert said in err
    assert not list(tmp_path.iterdir())
