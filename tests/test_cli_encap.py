"""`encap encap`: what it writes is what the library makes, batch by batch; what it refuses."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import encap
from encap import cli

OVERLAY = Path(__file__).parent.parent / "examples" / "overlay.pcap"
ETH = "eth(src=02:00:00:00:00:01,dst=02:00:00:00:00:02)"
IPV4 = "ipv4(src=192.0.2.1,dst=192.0.2.2)"
IPV6 = "ipv6(src=2001:db8::1,dst=2001:db8::2)"
VXLAN = f"{ETH}/{IPV4}/udp/vxlan(vni=42)"
VNI = ["--column", "vxlan.vni=vlan.vid"]
GRE = f"{ETH}/{IPV4}/gre(key=7,seq=5)"
Encap = Callable[..., tuple[int, encap.Packets, str]]


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """Ethernet frames, and those with VLAN tags among them."""
    path = tmp_path / "plain.pcap"
    encap.write(path, encap.read(OVERLAY).decap("vxlan"))
    return path


@pytest.fixture
def ip(tmp_path: Path) -> Path:
    """IP packets of both versions."""
    path = tmp_path / "ip.pcap"
    inner = encap.read(OVERLAY).decap()
    encap.write(path, inner[(inner.linktypes == 101) & (inner.lengths > 20)])
    return path


@pytest.fixture
def wrap(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Encap:
    """Encapsulates a file: the status, the packets written, the summary."""

    def command(path: Path, template: str, *words: object) -> Any:
        out = tmp_path / "out.pcapng"
        capsys.readouterr()
        given = ["encap", str(path), str(out), "--with", template, *map(str, words)]
        status = cli.main(given)
        read = encap.read(out) if out.exists() else encap.Packets.from_frames([])
        return status, read, capsys.readouterr().err

    return command


def in_small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    from encap.cli import progress

    open_ = progress.open_capture
    monkeypatch.setattr(progress, "open_capture", lambda path: open_(path, batch_octets=4096))


# --- what it writes -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "options"),
    [
        ([], {}),
        (["--sport", "linux"], {"sport": "linux"}),
        (["--sport", "1000-1999"], {"sport": (1000, 1999)}),
        (["--no-udp-checksum"], {"udp_checksum": False}),
        (["--udp-checksum"], {"udp_checksum": True}),
        (["--ttl", "7"], {"ttl": 7}),
        (["--ttl", "inherit", "--tos", "inherit"], {"ttl": "inherit", "tos": "inherit"}),
        (["--tos", "0xb8", "--ecn", "copy"], {"tos": 0xB8, "ecn": "copy"}),
        (["--ecn", "linux"], {"ecn": "linux"}),
        (["--df", "set"], {"df": "set"}),
        (["--df", "inherit"], {"df": "inherit"}),
        (["--ip-id", "increment"], {"ip_id": "increment"}),
        (["--ip-id", "0xfff0"], {"ip_id": 0xFFF0}),
        (["--errors", "skip"], {"errors": "skip"}),
    ],
)
def test_it_writes_what_the_library_makes(
    wrap: Encap, plain: Path, words: list[str], options: dict[str, Any]
) -> None:
    status, packets, err = wrap(plain, VXLAN, *words)
    inner = encap.read(plain)
    expected = inner.encap(encap.template(VXLAN), **options)
    assert status == 0
    assert packets.equals(expected)
    octets = int(expected.lengths.sum())
    assert err == f"encap: 317 packets read, 317 written ({octets:,} octets)\n"
    assert packets.decap().equals(inner)


@pytest.mark.parametrize("threads", ["1", "2"])
def test_batches_make_no_difference(
    wrap: Encap, plain: Path, monkeypatch: pytest.MonkeyPatch, threads: str
) -> None:
    monkeypatch.setenv("ENCAP_THREADS", threads)
    words = ["--ip-id", 65500, "--seq", 2**32 - 10, "--column", "gre.key=vlan.vid"]
    whole = wrap(plain, GRE, *words)
    in_small_batches(monkeypatch)
    assert wrap(plain, GRE, *words)[1].equals(whole[1])
    columns = whole[1].columns("ipv4.id", "gre.seq", "gre.key")
    rows = np.arange(len(whole[1]), dtype=np.uint64)
    assert columns["ipv4.id"].tolist() == ((rows + 65500) % 2**16).tolist()
    assert columns["gre.seq"].tolist() == ((rows + 2**32 - 10) % 2**32).tolist()


def test_counting_begins_where_the_template_says(wrap: Encap, ip: Path) -> None:
    inside = f"{ETH}/ipv4(src=192.0.2.1,dst=192.0.2.2,id=10)/gre(seq=5)/{IPV4}"
    status, packets, _ = wrap(ip, inside, "--ip-id", "increment", "--seq", "increment")
    assert status == 0
    columns = packets.columns("ipv4.id", "ipv4[1].id", "gre.seq")
    rows = np.arange(len(packets))
    for name, begin in [("ipv4.id", 10), ("ipv4[1].id", 0), ("gre.seq", 5)]:
        assert columns[name].tolist() == (rows + begin).tolist()


def test_columns_from_packets(wrap: Encap, plain: Path) -> None:
    inner = encap.read(plain)
    words = ["--column", "vxlan.vni=vlan.vid", "--column", "outer.ipv4.tos = ipv4.tos"]
    status, packets, err = wrap(plain, VXLAN, *words)
    assert status == 0
    vid, there = inner.columns("vlan.vid", "vlan").values()
    assert packets.columns("vxlan.vni")["vxlan.vni"].tolist() == vid.tolist()
    assert f"with 0, having no such field: vlan.vid ({np.count_nonzero(~there)}), ipv4.tos" in err


@pytest.mark.parametrize(
    ("template", "column", "said"),
    [
        (VXLAN, "vxlan.vni=ip.src",
         ("vxlan.vni takes one number a packet, uint32[n], and not uint8[n, 16],"
          " as addresses are; ip.src is of either family, ipv4.src or ipv6.src of one")),
        (VXLAN, "vxlan.vni=ipv4.src",
         "vxlan.vni of packet 672 cannot be 3221225993: 0 to 16777215"),
        (VXLAN, "ipv4.src=inner.ip[1].src",
         ("ipv4.src is an IPv4 address: uint32[n] or uint8[n, 4] is needed, not uint8[n, 16];"
          " inner.ip[1].src is of either family, inner.ipv4[1].src or inner.ipv6[1].src of one")),
        (VXLAN, "eth.src=ipv6.src",
         "eth.src is a MAC address: uint8[n, 6] is needed, not uint8[n, 16]"),
        (VXLAN, "eth.src=vxlan.vni",
         "eth.src is a MAC address: uint8[n, 6] is needed, not uint32[n]"),
        (VXLAN, "ipv4.src=tcp",
         "ipv4.src is an IPv4 address: uint32[n] or uint8[n, 4] is needed, not bool[n]"),
        (VXLAN, "vxlan.vni=path", "path is text, vxlan.vni is filled with numbers or addresses"),
        (VXLAN, "vxlan.vni=time", "vxlan.vni has a value that does not fit uint32"),
        (VXLAN, "ipv4.options=vlan.vid",
         ("ipv4.options are octets of any length: a list of options, or octets with starts and"
          " lengths, are needed, not uint16[n]")),
    ],
    ids=lambda text: text if "=" in text and "/" not in text else "",
)  # fmt: skip
def test_columns_that_do_not_fit(wrap: Encap, template: str, column: str, said: str) -> None:
    """The option is named, and what is wrong with what it was given."""
    status, packets, err = wrap(OVERLAY, template, "--column", column)
    assert (status, len(packets)) == (2, 0)
    assert err == f"encap: --column {column}: {said}\n"


def test_raw_packets_from_a_template_without_ethernet(wrap: Encap, ip: Path) -> None:
    status, packets, _ = wrap(ip, IPV6)
    assert status == 0
    assert set(packets.linktypes.tolist()) == {101}
    assert packets.decap().equals(encap.read(ip))


@pytest.mark.parametrize(
    "inside", ["gre(protocol=5)/vxlan", "udp(dport=5555)/ipv4", "udp(dport=9)"]
)
def test_numbers_in_the_template_are_kept(wrap: Encap, plain: Path, inside: str) -> None:
    inside = inside.replace("ipv4", IPV4 + "/gre")
    status, packets, _ = wrap(plain, f"{IPV4}/{inside}")
    assert (status, len(packets)) == (0, 317)


def test_an_empty_capture(wrap: Encap, tmp_path: Path) -> None:
    encap.write(tmp_path / "empty.pcap", encap.Packets.from_frames([]))
    status, packets, err = wrap(tmp_path / "empty.pcap", VXLAN)
    assert (status, len(packets)) == (0, 0)
    assert "0 packets read, 0 written" in err


def test_pipes(plain: Path) -> None:
    command = [sys.executable, "-m", "encap"]
    wrapped = subprocess.run(
        [*command, "encap", "-", "-", "--with", VXLAN],
        input=plain.read_bytes(), capture_output=True, timeout=60, check=True,
    )  # fmt: skip
    back = subprocess.run(
        [*command, "decap", "-", "-"],
        input=wrapped.stdout, capture_output=True, timeout=60, check=True,
    )  # fmt: skip
    assert back.stdout == plain.read_bytes()


# --- what it refuses --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "Missing option '--with'"),
        (["--with", "frob"], "no header is called 'frob'; known are eth,"),
        (["--with", "IPv4(src=1.2.3.4)"], "'IPv4' (did you mean 'ipv4'?); known"),
        (["--with", "vxlan(vnid=1)"], "'vnid' (did you mean 'vni'?); it has"),
        (["--with", "ipv4(src=1.2.3.4"], "character"),
        (["--with", "vxlan(vni=16777216)"], "vxlan.vni cannot be 16777216"),
        (["--with", ""], "a header's name"),
        (["--with", "ipv4(src=1.2.3.4)/udp/vxlan"], "ipv4.dst is missing"),
        (["--with", f"{VXLAN}/0x0102"], "no payload"),
        (["--with", "0x0102"], "no payload"),
        (["--with", "vxlan"], "no packet begins with vxlan"),
        (["--with", "vlan(vid=5)"], "no packet begins with vlan"),
        (["--with", f"{IPV4}/vxlan"], "ipv4 cannot carry vxlan: no ipv4.protocol is known"),
        (["--with", f"{IPV4}/udp/{IPV4}"], "udp cannot carry ipv4: no udp.dport is known"),
        (["--with", f"{IPV4}/udp"], "udp cannot carry Ethernet frames: no udp.dport"),
        (["--with", VXLAN, "--with", VXLAN], "--with is given twice"),
        (["--with", VXLAN, "--sport", "frob"], "sport is one of flow"),
        (["--with", VXLAN, "--sport", "9-1"], "there are none"),
        (["--with", VXLAN, "--sport", "70000"], "a port (0 to 65535), or a pair"),
        (["--with", f"{IPV4}/tcp/vxlan"], "tcp cannot carry vxlan: as it stands, nothing that is"),
        (["--with", f"{VXLAN}/{IPV4}"], "vxlan cannot carry ipv4: as it stands, eth follows it"),
        (["--with", f"{ETH}/mpls/mpls/{IPV4}"], "mpls cannot carry mpls: bos=0 says"),
        (["--with", VXLAN, "--ttl", "256"], "--ttl '256'"),
        (["--with", VXLAN, "--ttl", "own"], "or inherit, is needed"),
        (["--with", VXLAN, "--tos", "-1"], "--tos '-1'"),
        (["--with", VXLAN, "--df", "1"], "--df"),
        (["--with", VXLAN, "--ip-id", "random"], "or increment, is needed"),
        (["--with", IPV6, "--ip-id", "increment"], "--ip-id needs ipv4 in the template"),
        (["--with", VXLAN, "--seq", "1"], "--seq needs gre(seq=0) in the template"),
        (["--with", VXLAN, "--seq", "4294967296"], "--seq '4294967296'"),
        (["--with", VXLAN, "--udp-checksum", "--no-udp-checksum"], "one of them"),
        (["--with", VXLAN, "--column", "vxlan.vni"], "FIELD=FIELD"),
        (["--with", VXLAN, "--column", "vxlan.vni=frob.vid"], "no protocol is called 'frob'"),
        (["--with", VXLAN, "--column", "vxlan.frob=vlan.vid"], "no field 'frob'"),
        (["--with", VXLAN, "--column", "gre.key=vlan.vid"], "gre.key"),
        (["--with", VXLAN, *VNI, *VNI], "vxlan.vni is given twice"),
        (["--with", VXLAN, "--errors", "ignore"], "--errors"),
    ],
)
def test_wrong_words(
    words: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Said before a file is opened: there is no input here, and the output stays as it was."""
    out = tmp_path / "out.pcap"
    out.write_text("what was there")
    status = cli.main(["encap", str(tmp_path / "missing.pcap"), str(out), *words])
    printed, err = capsys.readouterr()
    assert (status, printed) == (2, "")
    assert err.startswith("encap: ")
    assert err.count("\n") == 1
    assert message in err
    assert out.read_text() == "what was there"
    assert [entry.name for entry in tmp_path.iterdir()] == ["out.pcap"]


def test_packets_that_the_template_cannot_carry(
    wrap: Encap, plain: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The message has the number of the packet in the file, whatever the batches."""
    frames = list(encap.read(plain))
    before = plain.read_bytes()
    raw = bytes(encap.template(f"{IPV4}/udp(sport=1,dport=2)"))
    kinds = [1] * len(frames) + [101]
    mixed = encap.Packets.from_frames([*frames, raw], linktypes=kinds, times=0)
    encap.write(tmp_path / "mixed.pcapng", mixed)
    in_small_batches(monkeypatch)
    status, packets, err = wrap(tmp_path / "mixed.pcapng", VXLAN)
    assert (status, len(packets)) == (2, 0)
    assert err.startswith("encap: packet 317: vxlan cannot carry IPv4 packets: put eth(")
    assert err.endswith("(--errors skip leaves such packets out)\n")
    assert plain.read_bytes() == before

    status, packets, err = wrap(tmp_path / "mixed.pcapng", VXLAN, "--errors", "skip")
    assert (status, len(packets)) == (1, 317)
    assert "encap: left out: " in err
    assert err.endswith(" (1)\n")


def test_packets_cut_by_a_snap_length(wrap: Encap, plain: Path, tmp_path: Path) -> None:
    """A checksum that needs missing octets leaves the packet out; without it nothing does."""
    packets = encap.read(plain)
    lengths = packets.lengths.copy()
    lengths[3] -= 1
    cut = encap.Packets(
        packets.data, packets.starts, lengths, wire_lengths=packets.lengths, times=packets.times
    )
    encap.write(tmp_path / "cut.pcap", cut)
    status, packets, err = wrap(tmp_path / "cut.pcap", VXLAN)
    assert (status, len(packets)) == (1, 316)
    assert "left out: a checksum needs octets that were not captured (1)" in err
    status, packets, err = wrap(tmp_path / "cut.pcap", VXLAN, "--no-udp-checksum")
    assert (status, len(packets)) == (0, 317)
    assert int(packets.wire_lengths[3]) == int(packets.lengths[3]) + 1


def test_a_packet_that_would_be_too_long(wrap: Encap, tmp_path: Path) -> None:
    frame = encap.read(OVERLAY)[0] + bytes(65_500)
    encap.write(tmp_path / "long.pcap", encap.Packets.from_frames([frame], times=0))
    status, packets, err = wrap(tmp_path / "long.pcap", VXLAN)
    assert (status, len(packets)) == (2, 0)
    assert "packet 0 has" in err
    assert wrap(tmp_path / "long.pcap", VXLAN, "--errors", "skip")[0] == 1


def test_a_capture_that_is_cut_short(wrap: Encap, plain: Path) -> None:
    plain.write_bytes(plain.read_bytes()[:-1])
    status, packets, err = wrap(plain, VXLAN)
    assert (status, len(packets)) == (1, 316)
    assert "the file is cut short" in err


def test_options_from_packets(wrap: Encap, tmp_path: Path) -> None:
    """Each packet's own options stand in front of it once more; those without any get none."""
    packets = encap.read(OVERLAY)
    there = packets.columns("geneve")["geneve"]
    chosen = packets[there | (np.arange(len(packets)) < 3)]
    encap.write(tmp_path / "in.pcap", chosen)
    template = f"{ETH}/{IPV4}/udp/geneve(vni=7)"
    words = ["--column", "geneve.options=geneve.options"]
    status, made, err = wrap(tmp_path / "in.pcap", template, *words)
    assert status == 0
    starts, lengths = chosen.parse().span("geneve.options")
    options = (chosen.data, starts, lengths)
    assert made.equals(chosen.encap(template, {"geneve.options": options}))
    assert lengths.any()
    none = int((lengths == 0).sum())
    assert f"with none, having no such field: geneve.options ({none})" in err
    status, _, err = wrap(OVERLAY, template, "--column", "geneve.options=inner.tcp.options")
    assert status == 2
    assert "which only tcp.options can be filled with" in err
