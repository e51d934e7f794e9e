"""The command line: what it prints, writes and leaves out, and the status it ends with."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import encap
from encap import cli
from encap.cli import arguments, survey
from encap.cli.commands.decap import Tunnel
from encap.decapsulate import TUNNELS
from encap.names import GROUPS, OF_PACKETS, parse_name
from encap.registry import HEADERS, header_class

ROOT = Path(__file__).parent.parent
OVERLAY = ROOT / "examples" / "overlay.pcap"
Result = tuple[int, str, str]
Run = Callable[..., Result]

MACS = {"dst": "02:00:00:00:00:02", "src": "02:00:00:00:00:01"}
IPV4 = {"src": "192.0.2.1", "dst": "192.0.2.2"}


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command in this process: its status, standard output and standard error."""

    def command(*words: object) -> Result:
        capsys.readouterr()
        status = cli.main([str(word) for word in words])
        found = capsys.readouterr()
        return status, found.out, found.err

    return command


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Writes frames to a capture and gives its path."""

    def capture(*frames: object, name: str = "in.pcap", linktype: int = 1) -> Path:
        packets = encap.Packets.from_frames(map(bytes, frames), linktypes=linktype, times=10**18)  # type: ignore[call-overload]
        encap.write(tmp_path / name, packets)
        return tmp_path / name

    return capture


def outer(**changes: Any) -> encap.Packet:
    return encap.Ethernet(**MACS) / encap.IPv4(**(IPV4 | changes))


def inner(**changes: Any) -> encap.Packet:
    return encap.Ethernet(**MACS) / encap.IPv4(**IPV4) / encap.UDP(sport=1, dport=53) / b"inner"


def vxlan(vni: int = 42, dport: int = 4789) -> encap.Packet:
    return outer() / encap.UDP(sport=1, dport=dport) / encap.VXLAN(vni=vni) / inner()


# --- what cannot be done ---------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["frob"], "No such command 'frob'. `encap --help` lists those that there are."),
        (["overlay.pcap"], "`encap --help` lists"),
        (["info"], "Missing argument"),
        (["info", "a", "b"], "unexpected extra argument"),
        (["info", "a", "--frob"], "No such option"),
        (["info", "a", "--top", "0"], "--top"),
        (["info", "a", "--port", "vxlan"], "PORT=NAME"),
        (["info", "a", "--port", "=vxlan"], "PORT=NAME"),
        (["info", "a", "--port", "4789="], "PORT=NAME"),
        (["info", "a", "--port", "65536=vxlan"], "a port is 0 to 65535"),
        (["info", "a", "--port", "9" * 20 + "=vxlan"], "PORT=NAME"),
        (["info", "a", "--port", "-1=vxlan"], "PORT=NAME"),
        (["info", "a", "--port", "1=frob"], "'frob' is none of eth,"),
        (["info", "a", "--port", "1=vxlan", "--port", "1=gre"], "given twice"),
        (["info", "a", "--top", "1", "--top", "2"], "--top is given twice"),
        (["show", "a", "-n", "1", "--count", "2"], "-n is given twice"),
        (["show", "a", "-n", "0"], "'-n'"),
        (["show", "a", "-n", "x"], "'-n' / '--count': a whole number is needed"),
        (["show", "a", "5"], "(5): `encap show --help` says what it takes"),
        (["fields", "VXLAN"], "protocol [index] . field, in small letters"),
        (["filter", "a"], "EXPRESSION is missing: give IN, OUT and EXPRESSION"),
        (["filter", "a", "--count"], "or IN, EXPRESSION and --count"),
        (["filter", "a", "b", 'inner.path == "x"'], "path belongs to the packet as a whole"),
        (["rewrite", "a", "b", "--set", "ip.src=fd00::1:fd00::2"], "stands an arrow: OLD->NEW"),
        (["show", "a", "--skip", "-1"], "--skip"),
        (["decap", "a"], "Missing argument 'OUT'"),
        (["decap", "a", "b", "--tunnel", "frob"], "--tunnel"),
        (["decap", "a", "b", "--tunnel", "vxlan", "--tunnel", "geneve"], "--tunnel is given twice"),
        (["decap", "a", "b", "--id", "frob"], "--id 'frob'"),
        (["decap", "a", "b", "--id", "1,,2"], "--id ''"),
        (["decap", "a", "b", "--id", "4294967296"], "are numbers, 0 to 4294967295"),
        (["decap", "a", "b", "--id", "-1"], "--id '-1': the ids of tunnels are numbers"),
        (["decap", "a", "b", "--id", "16777216", "--tunnel", "vxlan"], "vxlan are 0 to 16777215"),
        (["decap", "a", "b", "--id", "7,1024", "--tunnel", "erspan"], "erspan are 0 to 1023"),
        (["decap", "a", "b", "--id", "1", "--tunnel", "sit"], "have no id"),
        (["decap", "a", "b", "--depth", "0"], "--depth"),
        (["decap", "a", "b", "--depth", "256"], "--depth"),
        (["decap", "a", "b", "--depth", "some"], "--depth"),
        (["decap", "a", "b", "--others", "eat"], "--others"),
        (["decap", "a", "b", "--link", "ethernet"], "--src and --dst"),
        (["decap", "a", "b", "--link", "raw", "--src", MACS["src"]], "are for --link ethernet"),
        (["decap", "a", "b", "--format", "text"], "--format"),
    ],
)
def test_wrong_words(
    run: Run, words: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    status, out, err = run(*words)
    assert (status, out) == (2, "")
    assert err.startswith("encap: ")
    assert err.count("\n") == 1
    assert message in err
    assert list(tmp_path.iterdir()) == []


def test_a_kind_of_tunnel_that_there_is_not(run: Run) -> None:
    kinds = ", ".join(repr(str(kind)) for kind in Tunnel)
    assert run("decap", "a", "b", "--tunnel", "vxlna") == (
        2, "", f"encap: Invalid value for '--tunnel': 'vxlna' is not one of {kinds}.\n",
    )  # fmt: skip


def test_what_may_be_repeated(run: Run, tmp_path: Path) -> None:
    assert run("info", OVERLAY, "--json", "--json")[0] == 0
    words = ["--id", "42", "--id", "43", "--port", "1=gre", "--port", "2=gre"]
    assert run("decap", OVERLAY, tmp_path / "out.pcapng", *words)[0] == 1


@pytest.mark.parametrize("command", ["info", "show", "decap"])
def test_files_that_cannot_be_read(run: Run, command: str, tmp_path: Path) -> None:
    out = [tmp_path / "out.pcap"] if command == "decap" else []
    text, empty = tmp_path / "text", tmp_path / "empty"
    text.write_text("this is no capture, and it is long enough to be one")
    empty.touch()
    for path, message in [
        (tmp_path / "missing", "No such file"),
        (tmp_path, "Is a directory"),
        (text, "not a capture"),
        (empty, "empty"),
    ]:
        status, printed, err = run(command, path, *out)
        assert (status, printed) == (2, "")
        assert err.startswith(f"encap: {path}: ")
        assert message in err
        assert err.count("\n") == 1
    assert not (tmp_path / "out.pcap").exists()


def test_a_file_that_is_wrong_before_its_first_packet(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "wrong.pcap"
    path.write_bytes(OVERLAY.read_bytes()[:24] + b"\xff" * 64)
    for words in (["info", path], ["decap", path, tmp_path / "out.pcap"]):
        status, out, err = run(*words)
        assert (status, out) == (2, "")
        assert "length that cannot be" in err
    assert [entry.name for entry in tmp_path.iterdir()] == ["wrong.pcap"]


def forget_the_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("encap.cli.")]:
        monkeypatch.delitem(sys.modules, name)


@pytest.mark.parametrize("missing", ["typer", "rich"])
def test_without_the_extras(run: Run, missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == missing]:
        monkeypatch.setitem(sys.modules, name, None)
    forget_the_command_line(monkeypatch)
    monkeypatch.setitem(sys.modules, missing, None)
    status, out, err = run("info", OVERLAY)
    assert (status, out) == (2, "")
    assert err.count("\n") == 1
    assert 'pip install typer rich, or pip install "encap-net[cli]"' in err


def test_other_modules_that_are_missing_are_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    forget_the_command_line(monkeypatch)
    monkeypatch.setitem(sys.modules, "enum", None)
    with pytest.raises(ModuleNotFoundError, match="enum"):
        cli.main(["--version"])


def test_interrupted(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(encap.Packets, "decap", interrupt)
    assert run("decap", OVERLAY, tmp_path / "out.pcap") == (130, "", "encap: interrupted\n")
    assert list(tmp_path.iterdir()) == []


def test_a_terminal_gets_no_capture(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    status, out, err = run("decap", OVERLAY, "-")
    assert (status, out) == (2, "")
    assert "terminal" in err


# --- what it says of itself --------------------------------------------------------


def test_version_and_help(run: Run) -> None:
    assert run("--version") == (0, f"encap {encap.__version__}\n", "")
    status, out, _ = run("--help")
    assert status == 0
    assert run() == (2, out, "")
    for command in ("info", "decap", "show", "fields"):
        assert command in out
        status, text, _ = run(command, "--help")
        assert status == 0
        assert ("--port" in text) == (command != "fields")
        assert run(command, "-h") == (0, text, "")


def test_tunnels_are_those_of_the_library() -> None:
    assert {tunnel.value for tunnel in Tunnel} == set(TUNNELS)
    assert set(arguments.NO_IDS) == set(TUNNELS) - set(survey.WITH_ID)


def test_numbers() -> None:
    assert arguments.ids(["42,0x2B", " 7 ,42"]) == (42, 43, 7)
    assert arguments.ids(None) == ()
    assert arguments.depth("all") == "all"
    assert arguments.depth("3") == 3
    assert arguments.ports(["8473=vxlan", "5555=ipip", "6081=none"]) == {
        8473: "vxlan",
        5555: "ipip",
        6081: None,
    }
    for wrong in ("0x", "1_0", "\u0661", "1e3", "+1", "0b1", "1" * 21):
        with pytest.raises(encap.FieldError):
            arguments.ids([wrong])


# --- info --------------------------------------------------------------------------


def information(run: Run, *words: object) -> dict[str, Any]:
    status, out, _ = run("info", *words, "--json")
    assert status in {0, 1}
    found: dict[str, Any] = json.loads(out)
    assert status == (found["input_error"] is not None)
    return found


def test_info_agrees_with_packets_one_by_one(run: Run) -> None:
    found = information(run, OVERLAY, "--top", 100)
    packets = encap.read(OVERLAY)
    parsed = [encap.parse(frame, strict=False) for frame in packets]
    paths = Counter(packet.path for packet in parsed)
    assert {entry["path"]: entry["packets"] for entry in found["paths"]} == paths
    assert sum(entry["octets"] for entry in found["paths"]) == found["octets"]
    assert found["packets"] == len(packets)
    assert found["octets"] == sum(map(len, packets))
    assert found["sizes"] == {
        "min": min(map(len, packets)),
        "mean": sum(map(len, packets)) / len(packets),
        "max": max(map(len, packets)),
    }
    assert found["first_ns"] == packets.times[0]
    assert found["last_ns"] == packets.times[-1]
    assert found["link_types"] == [{"number": 1, "packets": len(packets)}]
    vnis = Counter(
        header.vni for packet in parsed for header in packet if isinstance(header, encap.VXLAN)
    )
    tunnels = {entry["kind"]: entry for entry in found["tunnels"]}
    assert tunnels["vxlan"]["headers"] == vnis.total()
    assert {entry["id"]: entry["packets"] for entry in tunnels["vxlan"]["ids"]} == vnis
    assert tunnels["gre"]["distinct_ids"] == 2
    assert tunnels["erspan"]["ids"] == [{"id": 100, "packets": 92}]
    assert tunnels["ipip"] == {
        "kind": "ipip", "headers": 31, "without_id": 31, "distinct_ids": 0, "ids": [],
    }  # fmt: skip
    broken = [packet.error for packet in parsed if packet.error is not None]
    assert sum(entry["packets"] for entry in found["problems"]) == len(broken)
    assert str(broken[0]) in [entry["example"] for entry in found["problems"]]
    assert found["fragments"] == (packets.parse().status == encap.Status.FRAGMENT).sum()


def test_info_does_not_depend_on_batches(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = information(run, OVERLAY)
    from encap.cli import progress

    open_ = progress.open_capture
    monkeypatch.setattr(progress, "open_capture", lambda path: open_(path, batch_octets=4096))
    monkeypatch.setattr(survey, "PENDING", 50)
    assert information(run, OVERLAY) == whole


def test_info_as_a_tree(run: Run) -> None:
    status, out, err = run("info", OVERLAY)
    assert (status, err) == (0, "")
    for text in (
        "pcap, 673 packets",
        "└─ arp",
        "vxlan/eth",
        "id 3232235777",
        "malformed vxlan",
        "Ethernet (673)",
        "fragments   48 packets",
        "vxlan at octet 42: flags cannot be 0",
    ):
        assert text in out
    assert "id 0" not in run("info", OVERLAY, "--top", 1)[1]


def test_info_of_a_capture_without_packets(run: Run, tmp_path: Path) -> None:
    encap.write(tmp_path / "none.pcap", encap.Packets.from_frames([]))
    found = information(run, tmp_path / "none.pcap")
    assert found["packets"] == found["octets"] == 0
    assert found["first_ns"] is None
    status, out, _ = run("info", tmp_path / "none.pcap")
    assert (status, out.strip()) == (0, f"{tmp_path / 'none.pcap'}: pcap, 0 packets")


def test_info_of_a_file_that_is_cut_short(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "cut.pcap"
    path.write_bytes(OVERLAY.read_bytes()[:1000])
    found = information(run, path)
    assert found["packets"] == 12
    assert "cut short" in found["input_error"]
    status, out, _ = run("info", path)
    assert status == 1
    assert "cut short" in out
    path.write_bytes(OVERLAY.read_bytes()[:30])  # in its first record
    assert information(run, path)["packets"] == 0


def test_info_of_odd_packets(run: Run, tmp_path: Path) -> None:
    packets = encap.Packets.from_frames(
        [bytes(vxlan()), b"", b"?" * 60, bytes(vxlan())[:40]],
        linktypes=[1, 101, 147, 1],
        wire_lengths=[len(vxlan()), 0, 60, 100],
    )
    encap.write(tmp_path / "odd.pcapng", packets)
    found = information(run, tmp_path / "odd.pcapng")
    assert found["cut_packets"] == 1
    assert found["wire_octets"] == len(vxlan()) + 160
    assert {entry["number"] for entry in found["link_types"]} == {1, 101, 147}
    reasons = {entry["reason"]: entry["first_row"] for entry in found["problems"]}
    assert reasons == {
        "shorter than its first header": 1,
        "link type 147 is not known": 2,
        "cut short after ipv4": 3,
    }
    status, out, _ = run("info", tmp_path / "odd.pcapng")
    assert status == 0
    tree = [line.split()[1:] for line in out.splitlines() if line.startswith(("├", "└"))]
    assert ["(link", "type", "not", "known)", "1", "60"] in tree
    assert ["(too", "short", "for", "a", "header)", "1", "0"] in tree
    assert "cut         1 packet by the snap length" in out


def test_info_of_frames_that_are_too_short(run: Run, write: Callable[..., Path]) -> None:
    out = run("info", write(bytes(13), b"", bytes(vxlan())))[1]
    assert "not known" not in out
    line = next(line for line in out.splitlines() if "(too short for a header)" in line)
    assert line.split()[-2:] == ["2", "13"]


def test_info_knows_other_ports(run: Run, write: Callable[..., Path]) -> None:
    path = write(vxlan(dport=8473))
    assert information(run, path)["tunnels"] == []
    assert information(run, path, "--port", "8473=vxlan")["tunnels"][0]["kind"] == "vxlan"


def test_many_ids_are_counted_in_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(survey, "MOST_IDS", 100)
    monkeypatch.setattr(survey, "PENDING", 64)
    counts = survey.IdCounts()
    kind = int(encap.Kind["vxlan"])
    base = kind << 33 | survey.HAS_ID
    for start in range(0, 1000, 50):
        counts.add(np.concatenate([base + np.arange(start, start + 50), np.full(20, base | 7)]))
    ids, without = counts.of("vxlan")
    assert without == 0
    assert len(ids) <= 100 + 64
    assert ids.most_common(1)[0] == (7, 401)
    assert counts.of("geneve") == (Counter(), 0)


def test_many_paths_are_counted_in_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    frames = []
    for _ in range(6000):  # more than a batch has numbers for
        kinds = rng.integers(0, 3, 12)
        types = [(0x8100, 0x8847, 0x8100)[kind] for kind in kinds]
        frame, is_mpls = bytearray(12), False
        for kind in types:
            frame += b"\0\0\0\0" if is_mpls else kind.to_bytes(2, "big") + b"\0\0"
            is_mpls = is_mpls or kind == 0x8847
        frames.append(bytes(frame) + bytes(int(rng.integers(0, 40))))
    packets = encap.Packets.from_frames(frames)
    monkeypatch.setattr(survey, "MOST_PATHS", 5)
    found = survey.Survey()
    found.add(packets)
    assert len(found.paths) <= 6
    assert sum(count for count, _ in found.paths.values()) == len(packets)
    assert sum(octets for _, octets in found.paths.values()) == int(packets.lengths.sum())


def test_paths_without_a_number_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from encap import walk

    monkeypatch.setattr(walk.PathTable.__init__, "__defaults__", (4,))
    found, packets = survey.Survey(), encap.read(OVERLAY)
    found.add(packets)
    assert Counter({path: count for path, (count, _) in found.paths.items()}) == Counter(
        encap.parse(frame, strict=False).path for frame in packets
    )


# --- show --------------------------------------------------------------------------


def test_show(run: Run) -> None:
    status, out, err = run("show", OVERLAY, "-n", 2, "--skip", 554)
    assert (status, err) == (0, "")
    packets = encap.read(OVERLAY)
    for row in (554, 555):
        assert f"packet {row}, 20" in out
        assert encap.parse(packets[row]).show() in out
    assert "packet 556" not in out
    assert out.count("packet ") >= 2


def test_show_goes_over_batches_and_ends(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from encap.cli import progress

    open_ = progress.open_capture
    monkeypatch.setattr(progress, "open_capture", lambda path: open_(path, batch_octets=4096))
    status, out, _ = run("show", OVERLAY, "-n", 60, "--skip", 630)
    assert status == 0
    assert out.count("\npacket ") + out.startswith("packet ") == 43


def test_show_of_nothing(run: Run, tmp_path: Path) -> None:
    """It is said, and there is no such packet to be shown; an empty capture has all that it has."""
    said = "encap: nothing shown: 673 packets in all, --skip passes over 673\n"
    assert run("show", OVERLAY, "--skip", 673) == (2, "", said)
    encap.write(tmp_path / "empty.pcap", encap.Packets.from_frames([]))
    empty = run("show", tmp_path / "empty.pcap")
    assert empty == (0, "", "encap: nothing shown: 0 packets in all\n")


def test_show_of_a_file_that_is_cut_short(run: Run, tmp_path: Path) -> None:
    cut = tmp_path / "cut.pcap"
    cut.write_bytes(OVERLAY.read_bytes()[:-5])
    status, out, err = run("show", cut, "--skip", 671)
    assert status == 1
    assert "packet 671, " in out
    assert "record 672" in err
    status, out, err = run("show", cut, "--skip", 672)
    assert (status, out) == (1, "")
    assert err.count("\n") == 2


def test_show_of_what_nobody_knows(run: Run, write: Callable[..., Path]) -> None:
    status, out, _ = run("show", write(b"?" * 20, linktype=147))
    assert status == 1
    assert "not shown: link type 147 is not known" in out
    status, out, _ = run("show", write(bytes(vxlan(dport=8473))[:45]), "--port", "8473=vxlan")
    assert status == 0
    assert "45 octets" in out
    assert "vxlan" in out


# --- fields ------------------------------------------------------------------------


def test_fields_lists_what_there_is(run: Run) -> None:
    status, out, err = run("fields")
    assert (status, err) == (0, "")
    first = {line.split(" ")[0] for line in out.splitlines()}
    assert {*HEADERS, *GROUPS, *OF_PACKETS} <= first
    assert "[outer.|inner.] protocol [index] . field" in out
    assert "A virtual LAN over UDP." in out


def is_optional(protocol: str, full: str) -> bool:
    if protocol in GROUPS:
        return False
    return parse_name(full).field_in(header_class(protocol))[0].optional


@pytest.mark.parametrize("name", [*HEADERS, *GROUPS])
def test_fields_are_columns(run: Run, name: str) -> None:
    """Every name that is listed is one, of that dtype; a name that is optional may be absent."""
    status, out, _ = run("fields", name)
    assert status == 0
    rows = [line.split(maxsplit=3) for line in out.splitlines() if line.startswith(f"{name}.")]
    packets = encap.read(OVERLAY)
    listed = set()
    for full, *words in rows:
        listed.add(full.partition(".")[2])
        text = " ".join(words)
        if "no column: layers.span" in text:
            assert len(packets.parse().span(full)) == 2
            continue
        column = packets.columns(full)[full]
        width = f"[n, {column.shape[1]}]" if column.ndim > 1 else ""
        assert f"{column.dtype}{width} " in text
        assert (f" {full}? " in text) == is_optional(name, full)
    if name in GROUPS:
        assert listed == set(GROUPS[name])
    else:
        kind = header_class(name)
        assert listed == {*kind.fields, *kind.views}


def test_fields_of_packets(run: Run) -> None:
    layers = encap.read(OVERLAY).parse()
    out = run("fields", "time")[1]
    for name in OF_PACKETS:
        line = next(line for line in out.splitlines() if line.startswith(name + " "))
        assert line.split()[1] == str(layers[name].dtype)
    assert {line.split()[0] for line in out.splitlines()[1:]} == set(OF_PACKETS)


def test_fields_forgives(run: Run) -> None:
    expected = run("fields", "ip")
    assert run("fields", "ip.") == run("fields", "inner.ip.src") == expected
    assert run("fields", "vxlan[1].vni") == run("fields", "vxlan")
    status, out, err = run("fields", "vxlna")
    assert (status, out) == (2, "")
    assert err.startswith("encap: 'vxlna': no protocol is called 'vxlna' (did you mean 'vxlan'?)")
    assert err.count("\n") == 1
    assert run("fields", "?")[0] == 2
