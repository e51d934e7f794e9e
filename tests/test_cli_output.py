"""What all commands that write a capture share: the summary, the exit status, the file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import encap
from encap.cli.arguments import Target
from encap.cli.output import LEFT_OUT, Output

OVERLAY = Path(__file__).parent.parent / "examples" / "overlay.pcap"


@pytest.fixture
def target(tmp_path: Path) -> Target:
    return Target(str(tmp_path / "out.pcapng"))


def test_all_is_copied(target: Target, capsys: pytest.CaptureFixture[str]) -> None:
    with Output(str(OVERLAY), target) as output:
        for packets in output.batches():
            output.put(packets)
    assert output.finish() == 0
    packets = encap.read(OVERLAY)
    assert encap.read(target.path).equals(packets)
    octets = int(packets.lengths.sum())
    assert capsys.readouterr().err == f"encap: 673 packets read, 673 written ({octets:,} octets)\n"


def test_what_is_counted(target: Target, capsys: pytest.CaptureFixture[str]) -> None:
    """What a method has left out makes the status 1; what was asked for does not."""
    with Output(str(OVERLAY), target) as output:
        for packets in output.batches():
            rest = packets[3:]
            output.count(LEFT_OUT, {"the first": 3, "the last": 0}, as_told=True)
            output.put(rest)
    assert output.finish("670 kept") == 0
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("encap: 673 packets read, 670 kept, 670 written")
    assert lines[1:] == ["encap: left out: the first (3)"]

    with Output(str(OVERLAY), target) as output:
        for packets in output.batches():
            made = packets._derived(
                data=packets.data,
                starts=packets.starts,
                lengths=packets.lengths,
                wire_lengths=packets.wire_lengths,
                linktypes=packets.linktypes,
                left_out={"no tcp": 2, "no udp": 1000, "none at all": 0},
            )
            output.put(made, "left as they were")
        output.remark("a word of advice")
        output.remark("a word of advice")
    assert output.finish() == 1
    assert capsys.readouterr().err.splitlines()[1:] == [
        "encap: left as they were: no udp (1,000), no tcp (2)",
        "encap: a word of advice",
    ]


def test_ports_are_bound(target: Target) -> None:
    with Output(str(OVERLAY), target, {8473: "vxlan"}) as output:
        for packets in output.batches():
            assert packets._ports == {8473: "vxlan"}


def test_whatever_is_raised_leaves_the_output_as_it_was(target: Target, tmp_path: Path) -> None:
    Path(target.path).write_text("what was there")

    def give_up() -> None:
        with Output(str(OVERLAY), target) as output:
            for packets in output.batches():
                output.put(packets)
            raise encap.FieldError("no")

    with pytest.raises(encap.FieldError, match="no"):
        give_up()
    assert Path(target.path).read_text() == "what was there"
    assert [entry.name for entry in tmp_path.iterdir()] == ["out.pcapng"]


def test_an_output_that_cannot_be_made_closes_the_input(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208  names are enough
    target = Target(str(tmp_path / "no" / "out.pcap"))
    with pytest.raises(FileNotFoundError) as caught, Output(str(OVERLAY), target):
        pass
    assert caught.value.filename == target.path
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


@pytest.mark.parametrize(("cores", "threads"), [("1", 1), ("2", 1), ("4", 3)])
def test_one_core_is_left_to_write(
    target: Target, monkeypatch: pytest.MonkeyPatch, cores: str, threads: int
) -> None:
    monkeypatch.setenv("ENCAP_THREADS", cores)
    with Output(str(OVERLAY), target) as output:
        assert output.threads == threads
