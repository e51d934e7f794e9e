"""`encap reassemble` and `encap decap --reassemble`: what is written, and what is said."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import golden
import pytest

import encap
from encap import cli

ROOT = Path(__file__).parent.parent
OUTER = golden.FOLDER / "vxlan" / "outer.pcap.gz"
INJECTED = golden.FOLDER / "malformed_gre" / "injected.pcap.gz"
Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs the command: its status, what it prints, what it says."""

    def run(*words: object) -> Any:
        capsys.readouterr()
        status = cli.main([*map(str, words)])
        return status, *capsys.readouterr()

    return run


@pytest.mark.parametrize("name", ["out.pcap", "out.pcapng", "out.pcap.gz"])
def test_it_writes_what_the_library_puts_together(
    command: Command, tmp_path: Path, name: str
) -> None:
    status, out, err = command("reassemble", OUTER, tmp_path / name)
    made = encap.read(OUTER).reassemble()
    assert (status, out) == (0, "")
    assert encap.read(tmp_path / name).equals(made)
    octets = int(made.lengths.sum())
    assert err == (
        f"encap: 98 packets read, 4 datagrams put together, 94 written ({octets:,} octets)\n"
    )


def test_options(command: Command, tmp_path: Path) -> None:
    packets = encap.read(OUTER)
    out = tmp_path / "out.pcap"
    assert command("reassemble", OUTER, out, "--times", "first")[0] == 0
    assert encap.read(out).equals(packets.reassemble(times="first"))
    status, _, err = command("reassemble", OUTER, out, "--timeout", "0", "--memory", "1")
    made = packets.reassemble(timeout=0)
    assert encap.read(out).equals(made)
    assert status == (1 if made.left_out else 0)
    assert all(reason in err for reason in made.left_out)
    # Some of the inner fragments are in outer ones, where they cannot be seen.
    assert command("reassemble", OUTER, out, "--layer", "inner", "--overlap", "rfc")[0] == 1
    assert encap.read(out).equals(packets.reassemble("inner", overlap="rfc"))
    assert command("reassemble", OUTER, out, "--layer", "ipv6[1]")[0] == 0
    assert encap.read(out).equals(packets)


def test_what_is_left_out(command: Command, tmp_path: Path) -> None:
    status, _, err = command("reassemble", INJECTED, tmp_path / "out.pcap")
    assert status == 1
    assert err.endswith(
        "encap: left out: overlapping fragments (2), fragments of incomplete datagrams (2),"
        " duplicates of fragments (1)\n"
    )
    # A duplicate alone is no failure: nothing of it is missing.
    train = encap.read(INJECTED)[[23, 24, 25]]
    encap.write(tmp_path / "train.pcap", train)
    status, _, err = command("reassemble", tmp_path / "train.pcap", tmp_path / "out.pcap")
    assert status == 0
    assert "left out: duplicates of fragments (1)" in err
    assert len(encap.read(tmp_path / "out.pcap")) == 1


@pytest.mark.parametrize("name", ["vxlan", "geneve_optn", "sit_nopmtudisc"])
def test_decap(command: Command, tmp_path: Path, name: str) -> None:
    """With fragments put together, all that the kernel delivered comes out."""
    source = golden.FOLDER / name / "outer.pcap.gz"
    out = tmp_path / "out.pcap"
    assert command("decap", source, out)[0] == 1
    status, _, err = command("decap", source, out, "--reassemble")
    assert status == 0
    assert "fragment" not in err
    received = golden.capture(name, "inner_rx")
    assert sorted(encap.read(out)) == sorted(received)


def test_decap_counts_what_belongs_to_nothing(command: Command, tmp_path: Path) -> None:
    status, _, err = command("decap", INJECTED, tmp_path / "out.pcapng", "--reassemble")
    assert status == 1
    assert "fragments of incomplete datagrams (2)" in err
    inner = encap.read(INJECTED).reassemble().decap()
    assert encap.read(tmp_path / "out.pcapng").equals(inner)


def test_batches(command: Command, tmp_path: Path) -> None:
    """Fragments are often in different ones, and the order of a long capture stays."""
    packets = encap.read(OUTER)
    many = encap.Packets.concat([packets] * 3000)
    big = tmp_path / "big.pcap"
    encap.write(big, many)
    status, _, err = command("reassemble", big, tmp_path / "out.pcap")
    assert status == 0
    assert "12,000 datagrams put together" in err
    made = encap.read(tmp_path / "out.pcap")
    assert list(made) == list(packets.reassemble()) * 3000


def test_a_pcapng_keeps_its_blocks(command: Command, tmp_path: Path) -> None:
    source, out = tmp_path / "in.pcapng", tmp_path / "out.pcapng"
    encap.write(source, encap.read(OUTER))
    assert command("reassemble", source, out)[0] == 0
    made = encap.read(source).reassemble()
    assert encap.read(out).equals(made)
    kept = tmp_path / "kept.pcapng"
    with encap.open(source) as capture, encap.create(kept, like=capture) as sink:
        for batch in capture.batches():
            sink.write(batch.reassemble())
    assert kept.read_bytes() == out.read_bytes()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--layer", "udp"], "an IP header"),
        (["--memory", "0"], "--memory 0"),
        (["--timeout", "-1"], "0 or more"),
        (["--overlap", "both"], "both"),
        (["--port", "x"], "--port"),
    ],
)
def test_what_cannot_be_done_leaves_nothing(
    command: Command, tmp_path: Path, words: list[str], said: str
) -> None:
    status, out, err = command("reassemble", OUTER, tmp_path / "out.pcap", *words)
    assert (status, out) == (2, "")
    assert said in err
    assert not list(tmp_path.iterdir())


def test_a_capture_cut_short(command: Command, tmp_path: Path) -> None:
    whole = tmp_path / "whole.pcap"
    encap.write(whole, encap.read(OUTER))
    (tmp_path / "cut.pcap").write_bytes(whole.read_bytes()[:-200])
    packets = encap.read(tmp_path / "cut.pcap")
    status, _, err = command("reassemble", tmp_path / "cut.pcap", tmp_path / "out.pcap")
    assert status == 1
    assert str(packets.error) in err
    assert encap.read(tmp_path / "out.pcap").equals(packets.reassemble().replace(error=None))


def test_through_pipes() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "encap", "reassemble", "-", "-"],
        input=OUTER.read_bytes(), capture_output=True, check=True,
    )  # fmt: skip
    assert b"4 datagrams put together" in done.stderr
    assert len(done.stdout) == 24 + sum(16 + len(frame) for frame in encap.read(OUTER).reassemble())
