"""`encap rewrite`: what is written, what is said of it, what --dry-run shows, what is refused."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import encap
from encap import cli
from encap.errors import FieldError
from encap.rewrite.text import parse_change

ROOT = Path(__file__).parent.parent
OVERLAY = ROOT / "examples" / "overlay.pcap"
Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def rewrite(capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs the command: its status, what it prints, what it says."""

    def command(*words: object) -> Any:
        capsys.readouterr()
        status = cli.main(["rewrite", *map(str, words)])
        return status, *capsys.readouterr()

    return command


CHANGES = [
    ("vxlan.vni=42", 42), ("vxlan.vni=0x2A", 42), ("vxlan.vni=42:43", {42: 43}),
    ("vxlan.vni = 42 : 0x2b , 44:45", {42: 43, 44: 45}), ("vxlan.vni=42->43", {42: 43}),
    ("ipv4.src=10.0.0.1", "10.0.0.1"), ("inner.ipv4.src=10.1.0.0/16", "10.1.0.0/16"),
    ("ipv4.src=10.0.0.0/8:11.0.0.0/8", {"10.0.0.0/8": "11.0.0.0/8"}),
    ("ip.src=10.0.0.1:10.0.0.2,10.0.0.3->10.0.0.4",
     {"10.0.0.1": "10.0.0.2", "10.0.0.3": "10.0.0.4"}),
    ("ipv6.src=fd00::1", "fd00::1"), ("ipv6[*].dst=fd00::/64", "fd00::/64"),
    ("ipv6.src=fd00::/64->fd01::/64", {"fd00::/64": "fd01::/64"}),
    ("ip.src=[fd00::/64]:[fd01::/64]", {"fd00::/64": "fd01::/64"}),
    ("eth.src=02:00:00:00:00:01", "02:00:00:00:00:01"),
    ("eth.src=02:00:00:00:00:01->02:00:00:00:00:02", {"02:00:00:00:00:01": "02:00:00:00:00:02"}),
]  # fmt: skip


@pytest.mark.parametrize(("text", "value"), CHANGES, ids=[text for text, _ in CHANGES])
def test_changes_as_text(text: str, value: object) -> None:
    assert parse_change(text) == (text.partition("=")[0].strip(), value)


@pytest.mark.parametrize(
    "text",
    ["", "vxlan.vni", "vxlan.vni=", "=5", "vxlan.vni=x", "vxlan.vni=1:2:3", "vxlan.vni=1,2",
     "vxlan.vni=1:2,1:3", "vxlan.vni=-1", "vxlan.nothing=1", "vxlan=1", "time=5", "gre.key?=1",
     "vxlan.vni=42:", "vxlan.vni=1_000"],
)  # fmt: skip
def test_text_that_is_no_change(text: str) -> None:
    with pytest.raises(FieldError):
        parse_change(text)


@pytest.mark.parametrize("name", ["out.pcap", "out.pcapng", "out.pcap.gz"])
def test_it_writes_what_the_library_makes(rewrite: Command, tmp_path: Path, name: str) -> None:
    packets = encap.read(OVERLAY)
    made = packets.pop_vlan().rewrite({"inner.ipv4.src": "10.77.0.0/16", "vxlan.vni": {42: 43}})
    made = made.push_vlan(7, 3).add_trailer(pad_to=60)
    status, out, err = rewrite(
        OVERLAY, tmp_path / name, "--set", "inner.ipv4.src=10.77.0.0/16", "--set",
        "vxlan.vni=42:43", "--push-vlan", "7:3", "--pop-vlan", "--pad", "60",
    )  # fmt: skip
    assert encap.read(tmp_path / name).equals(made.replace())
    assert (status, out) == (0, "")
    assert "673 packets read" in err
    assert "inner.ipv4.src: " in err
    assert "with another value" in err
    assert "no tag to take off" in err


@pytest.mark.parametrize("mode", ["update", "recompute", "keep"])
def test_checksums(rewrite: Command, tmp_path: Path, mode: str) -> None:
    out = tmp_path / "out.pcap"
    rewrite(OVERLAY, out, "--set", "ip[*].ttl=9", "--checksums", mode)
    assert encap.read(out).equals(encap.read(OVERLAY).rewrite({"ip[*].ttl": 9}, mode))


def test_what_nothing_asks_to_change_stays(rewrite: Command, tmp_path: Path) -> None:
    """Octets, times, wire lengths and the file's own: all but the field, and its checksums."""
    out = tmp_path / "out.pcap"
    status, _, err = rewrite(OVERLAY, out, "--set", "sctp.sport=1")
    assert status == 0
    assert out.read_bytes() == OVERLAY.read_bytes()
    assert "sctp.sport: 0 packets changed" in err


def test_what_could_not_be_updated_is_said(rewrite: Command, tmp_path: Path) -> None:
    ah = encap.IPv4(src="1.1.1.1", dst="2.2.2.2") / encap.AH(icv=bytes(12)) / encap.UDP() / b"x"
    encap.write(tmp_path / "in.pcap", encap.Packets.from_frames([ah], linktypes=101))
    status, _, err = rewrite(tmp_path / "in.pcap", tmp_path / "out.pcap", "--set", "udp.sport=5")
    assert status == 1
    assert "left as they were: integrity check of ah or esp not updated" in err


def test_a_field_that_packets_lack(rewrite: Command, tmp_path: Path) -> None:
    out = tmp_path / "out.pcap"
    status, _, err = rewrite(OVERLAY, out, "--set", "vxlan.vni=1", "--missing", "raise")
    assert status == 2
    assert "vxlan.vni is not in" in err
    assert not out.exists()


def test_dry_run(rewrite: Command, tmp_path: Path) -> None:
    words = ("--set", "inner.ipv4.ttl=9", "--set", "vxlan.vni=42:43")
    before = OVERLAY.read_bytes()
    status, out, err = rewrite(OVERLAY, "-n", *words, "--differences", "2")
    assert status == 0
    assert "nothing written" in err
    assert OVERLAY.read_bytes() == before
    assert not list(tmp_path.iterdir())
    first, *lines = out.splitlines()
    assert first == "packet 2: eth/vlan/vlan/ipv4/icmp, 106 octets"
    assert lines[0].endswith("ipv4.ttl")
    assert lines[1].endswith("ipv4.checksum")
    assert sum(line.startswith("packet") for line in out.splitlines()) == 2
    made = encap.read(OVERLAY).rewrite({"inner.ipv4.ttl": 9, "vxlan.vni": {42: 43}})
    changed = sum(a != b for a, b in zip(encap.read(OVERLAY), made, strict=True))
    assert (
        f"vxlan.vni: {(encap.read(OVERLAY).columns('vxlan.vni')['vxlan.vni'] == 42).sum()}" in err
    )
    assert changed > 0


def test_differences_name_optional_fields(rewrite: Command) -> None:
    """Each where it stands in its header, behind those that are there too."""
    for name, also in (("gre.key", "gre.checksum"), ("gre.seq", "gre.checksum"), ("arp.tpa", "")):
        _, out, _ = rewrite(OVERLAY, "-n", "--set", f"{name}=7", "--differences", "1")
        changed = [line.rsplit("  ", 1)[1] for line in out.splitlines()[1:]]
        assert changed == [also, name] if also else [name]


def test_pairs_that_matched_nothing(rewrite: Command, tmp_path: Path) -> None:
    """In any batch of the file: with it they are many, and each matches something else."""
    packets = encap.read(OVERLAY)
    encap.write(tmp_path / "in.pcap", encap.Packets.concat([packets] * 60))
    words = ("--set", "vxlan.vni=7:8,43:1,42:2,9:9", "--set", "ip.src=10.0.0.0/16:10.9.0.0/16")
    for where in ((tmp_path / "out.pcap",), ("-n", "--differences", "0")):
        status, _, err = rewrite(tmp_path / "in.pcap", *where, *words)
        assert status == 0
        (line,) = (line for line in err.splitlines() if "vxlan.vni" in line)
        assert line.endswith("; matched nothing: 2 of 4 pairs (7, 9)")
        assert err.count("matched nothing") == 1
    many = ",".join(f"{number}:1" for number in range(100, 112))
    _, _, err = rewrite(OVERLAY, "-n", "--differences", "0", "--set", f"vxlan.vni={many}")
    assert err.endswith("; matched nothing: 12 of 12 pairs (100, 101, 102, 103, 104, ...)\n")


def test_dry_run_of_frames_that_grow(rewrite: Command) -> None:
    _, out, err = rewrite(OVERLAY, "--dry-run", "--push-vlan", "5:1:0x88a8", "--differences", "1")
    assert out.splitlines() == [
        "packet 0: eth/vlan/vlan/arp, 50 to 54 octets",
        "  0x000c  +88 a8 20 05  in front of eth.type",
    ]
    assert "673 would be tagged" in err
    _, out, _ = rewrite(OVERLAY, "--dry-run", "--pop-vlan", "--differences", "1")
    assert "  0x000e" in out or "  0x000c" in out
    _, out, _ = rewrite(OVERLAY, "-n", "--set", "eth.src=02:00:00:00:00:01", "--differences", "0")
    assert out == ""


@pytest.mark.parametrize(
    "words",
    [[], ["--set", "vxlan.vni"], ["--set", "vxlan.vni=99999999"], ["--set", "nothing.x=1"],
     ["--set", "vxlan.vni=1", "--set", "vxlan.vni=2"], ["--push-vlan", "4096"],
     ["--push-vlan", "x"], ["--push-vlan", "1:8"], ["--push-vlan", "1:2:3:4"], ["--pad", "0"],
     ["--push-vlan", "1", "--push-vlan", "2"], ["--checksums", "fix", "--pop-vlan"]],
    ids=str,
)  # fmt: skip
def test_what_cannot_be(rewrite: Command, tmp_path: Path, words: list[str]) -> None:
    out = tmp_path / "out.pcap"
    status, _, err = rewrite(OVERLAY, out, *words)
    assert status == 2
    assert err
    assert not out.exists()


def test_dry_run_or_a_file(rewrite: Command, tmp_path: Path) -> None:
    out = tmp_path / "out.pcap"
    status, shown, err = rewrite(OVERLAY, out, "-n", "--pop-vlan")
    assert (status, shown) == rewrite(OVERLAY, "-n", "--pop-vlan")[:2]
    assert f"encap: --dry-run: nothing is written to {out}\n" in err
    assert (
        "--dry-run: nothing is written\n"
        in rewrite(OVERLAY, "-n", "--pop-vlan", "--link", "raw")[2]
    )
    assert not out.exists()
    assert rewrite(OVERLAY, "--pop-vlan")[0] == 2
    assert rewrite(tmp_path / "none.pcap", tmp_path / "out.pcap", "--pop-vlan")[0] == 2


def test_the_input_is_never_written_over(rewrite: Command, tmp_path: Path) -> None:
    mine = tmp_path / "in.pcap"
    mine.write_bytes(OVERLAY.read_bytes())
    status, _, _ = rewrite(mine, mine, "--set", "ipv4.ttl=1")
    assert status == 2
    assert mine.read_bytes() == OVERLAY.read_bytes()


def test_in_a_pipe(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "encap", "rewrite", "-", "-", "--set", "ip.ttl=7"]
    with OVERLAY.open("rb") as source:
        done = subprocess.run(command, stdin=source, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    (tmp_path / "out.pcap").write_bytes(done.stdout)
    assert encap.read(tmp_path / "out.pcap").equals(encap.read(OVERLAY).rewrite({"ip.ttl": 7}))


def test_a_capture_cut_short(rewrite: Command, tmp_path: Path) -> None:
    cut = tmp_path / "cut.pcap"
    cut.write_bytes(OVERLAY.read_bytes()[:-9])
    status, _, err = rewrite(cut, tmp_path / "out.pcap", "--set", "ip.ttl=7")
    assert status == 1
    assert "672 written" in err
    assert rewrite(cut, "-n", "--set", "ip.ttl=7")[0] == 1


def test_what_is_in_no_tunnel_is_counted(rewrite: Command, tmp_path: Path) -> None:
    """`inner.` means all headers there; with a name that says nothing of tunnels, no word of it."""
    tunnel, field = encap.read(OVERLAY).columns("tunnel", "inner.ipv4.ttl?").values()
    for name in ("inner.ipv4.ttl", "inner.ipv4[*].ttl"):
        for where in ((tmp_path / "out.pcap",), ("-n", "--differences", "0")):
            err = rewrite(OVERLAY, *where, "--set", f"{name}=9")[2]
            assert f"{int((field & ~tunnel).sum())} with it but in no tunnel" in err
    assert "tunnel" not in rewrite(OVERLAY, "-n", "--set", "ipv4.ttl=9")[2]


@pytest.mark.parametrize(
    "change",
    ["ipv6.src=fd00::/64:fd01::/64", "ipv6.src=fd00::1:fd00::2", "ip.src=fd00::1:fd01::/64",
     "eth.src=02:00:00:00:00:01:02:00:00:00:00:02"],
)  # fmt: skip
def test_colons_that_cannot_be_told_apart(rewrite: Command, change: str) -> None:
    status, _, err = rewrite(OVERLAY, "-n", "--set", change)
    assert status == 2
    assert change.partition("=")[0] in err
    assert "between OLD and NEW that have colons stands an arrow: OLD->NEW" in err
    err = rewrite(OVERLAY, "-n", "--set", "ipv6.src=fd00::1/64")[2]
    assert "has host bits set" in err
    assert "arrow" not in err
