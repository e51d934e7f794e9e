"""`encap mtu`: the plan, the report of a capture, and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

import encap
from encap import UDP, Ethernet, IPv4, IPv6, cli
from encap.mtu import plan

OVERLAY = Path(__file__).parent.parent / "examples" / "overlay.pcap"
VXLAN = "eth/ipv4/udp/vxlan"
ENDS = {"src": "10.0.0.1", "dst": "10.0.0.2"}
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs the command in this process: its status, standard output and standard error."""

    def command(*words: object) -> tuple[int, str, str]:
        capsys.readouterr()
        status = cli.main(["mtu", *map(str, words)])
        found = capsys.readouterr()
        return status, found.out, found.err

    return command


def test_a_plan(run: Run) -> None:
    status, said, complaint = run(VXLAN)
    assert (status, complaint) == (0, "")
    assert said.splitlines() == [
        "link MTU            1,500  octets of the longest outer IP packet",
        "  ipv4 header         -20",
        "  udp header           -8",
        "  vxlan header         -8",
        "  inner eth header    -14",
        "overhead               50  octets of all these headers",
        "inner MTU           1,450  octets of the longest inner IP packet",
        "inner frame         1,464  the same with its Ethernet header",
        "TCP MSS, IPv4       1,410  octets of data in an inner segment",
        "TCP MSS, IPv6       1,390  octets of data in an inner segment",
    ]


def test_the_inner_mtu_that_is_wanted(run: Run) -> None:
    assert "\nlink MTU             9,054  " in "\n" + run(VXLAN, "--inner", 9000, "--tags", 1)[1]
    assert "  inner vlan header     -4\n" in run(VXLAN, "--tags", 1)[1]


def test_too_little_for_ipv6(run: Run) -> None:
    assert "none  IPv6 needs an inner MTU of 1,280" in run("ipv4/gre", "--link", 1300)[1]


def test_what_is_carried(run: Run) -> None:
    assert "overhead          24  octets" in run("ipv4/gre")[1]
    assert "overhead               38  octets" in run("ipv4/gre", "--carries", "ethernet")[1]


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    """Three that fit, two that do not, and one that is not IP."""
    frames = [Ethernet() / IPv4(**ENDS) / UDP() / bytes(size) for size in (10, 20, 1422)]
    frames += [
        Ethernet() / IPv4(**ENDS, flags=2) / UDP() / bytes(1423),
        Ethernet() / IPv6() / UDP() / bytes(1452),
        Ethernet(type=0x88B5) / bytes(30),
    ]
    packets = encap.Packets.from_frames([bytes(frame) for frame in frames], times=10**18)
    encap.write(tmp_path / "in.pcap", packets)
    return tmp_path / "in.pcap"


def test_a_capture(run: Run, capture: Path) -> None:
    status, said, _ = run(VXLAN, capture)
    assert status == 0
    assert said.split("\n\n", 1)[1].splitlines() == [
        "6 packets, 2 too long",
        "a link that carries all needs an MTU of 1,550",
        "  1  IPv4 that must not be fragmented: dropped, and the sender is told",
        "  1  IPv6: dropped, and the sender is told",
        "",
        "path          packets  too long  link MTU needed",
        "eth/ipv4/udp        4         1            1,501",
        "eth/ipv6/udp        1         1            1,550",
    ]
    said = run("ipv4", capture, "--link", 9000)[1]
    assert said.endswith("6 packets, 0 too long\n1 packet that the tunnel cannot carry\n")


def test_as_json(run: Run, capture: Path) -> None:
    found = json.loads(run(VXLAN, "--json")[1])
    assert found["inner_mtu"] == plan(VXLAN).inner_mtu == 1450
    assert found["parts"][-1] == ["eth", 14]
    assert "capture" not in found
    found = json.loads(run(VXLAN, capture, "--json")[1])["capture"]
    assert {name: found[name] for name in ("packets", "too_long", "df", "ipv6", "needed")} == {
        "packets": 6, "too_long": 2, "df": 1, "ipv6": 1, "needed": 1550,
    }  # fmt: skip
    assert sum(path["packets"] for path in found["paths"]) == 6


def test_batches_add_up(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = json.loads(run(VXLAN, OVERLAY, "--link", 300, "--json")[1])
    from encap.cli.progress import Input

    batches = Input.batches

    def pieces(self: Input) -> object:
        for packets in batches(self):
            for begin in range(0, len(packets), 50):
                yield packets[begin : begin + 50]

    monkeypatch.setattr(Input, "batches", pieces)
    assert json.loads(run(VXLAN, OVERLAY, "--link", 300, "--json")[1]) == whole


def test_ports_name_the_paths(run: Run) -> None:
    plain = run(VXLAN, OVERLAY, "--link", 300)[1]
    assert "eth/ipv4/udp/geneve" in plain
    assert "eth/ipv4/udp/geneve" not in run(VXLAN, OVERLAY, "--link", 300, "--port", "6081=none")[1]


def test_a_capture_that_is_cut_short(run: Run, capture: Path) -> None:
    capture.write_bytes(capture.read_bytes()[:-5])
    assert run(VXLAN, capture)[0] == 1


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["nothing"], "no header is called"), (["ipv4/esp"], "ESP"), (["ipv4/0x00"], "no payload"),
        (["ipv4/vxlan"], "ipv4 cannot carry vxlan"),
        (["vxlan"], "no packet begins with vxlan"), (["eth/udp/vxlan"], "eth cannot carry udp"),
        ([VXLAN, "--link", "60"], "--link"), ([VXLAN, "--link", "100"], "too little"),
        ([VXLAN, "--link", "70000"], "--link"), ([VXLAN, "--inner", "65500"], "65535"),
        ([VXLAN, "--link", "1500", "--inner", "1400"], "give one"),
        ([VXLAN, "--tags", "99"], "--tags"),
        ([VXLAN, "--carries", "ip"], "carries ethernet"), ([VXLAN, "--carries", "mpls"], "mpls"),
        (["eth/ipv6/udp/vxlan", "--link", "1000"], "1280"), ([], "TEMPLATE"),
        ([VXLAN, "no-such-file.pcap"], "no-such-file.pcap"),
        (["1500", VXLAN], "the order is encap mtu TEMPLATE [IN], and the MTU"),
        ([VXLAN, "1500"], "1500 is no file: the order is"), (["1500"], "--link 1500"),
        ([OVERLAY, VXLAN], "is a file, no template: the order is encap mtu TEMPLATE [IN]"),
    ],
    ids=str,
)  # fmt: skip
def test_what_cannot_be(run: Run, words: list[str], complaint: str) -> None:
    status, said, why = run(*words)
    assert (status, said) == (2, "")
    assert complaint in why
    assert why.startswith("encap: ")
    assert why.count("\n") == 1
