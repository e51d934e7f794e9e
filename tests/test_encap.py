"""Encapsulation of batches: row by row what `Packet` builds of the same headers and values."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import encap
from encap import (
    ERSPAN,
    GRE,
    MPLS,
    UDP,
    VLAN,
    VXLAN,
    VXLANGPE,
    DestinationOptions,
    Ethernet,
    FieldError,
    Geneve,
    GeneveOption,
    IPv4,
    IPv6,
    Option,
    Packets,
    Routing,
)

ETH = Ethernet(dst="02:00:00:00:00:02", src="02:00:00:00:00:01")
V4 = IPv4(src="192.0.2.1", dst="192.0.2.2")
V6 = IPv6(src="2001:db8::1", dst="2001:db8::2")
INNER = ETH / IPv4(src="10.0.0.1", dst="10.0.0.2", tos=0xB9, ttl=7, flags=2)
SEGMENTS = Routing(type=4, segments_left=1, data=bytes(4) + bytes(range(16)))

CARRY_ETHERNET = {
    "vxlan": ETH / V4 / UDP(sport=1) / VXLAN(vni=42),
    "vxlan over ipv6": ETH / V6 / UDP(sport=1) / VXLAN(vni=42),
    "group policy": ETH / V4 / UDP(sport=1) / VXLAN(flags=0x88, reserved1=0x48_0007, vni=1),
    "gpe": ETH / V4 / UDP(sport=1) / VXLANGPE(vni=5),
    "geneve": ETH / V4 / UDP(sport=1) / Geneve(vni=5, options=GeneveOption(1, 0x83, b"abcd")),
    "geneve, 252 octets": ETH / V6 / UDP(sport=1)
    / Geneve(options=(GeneveOption(1, 2, bytes(120)), bytes(128))),
    "gre": ETH / V4 / GRE(),
    "gre, all of it": ETH / V4 / GRE(flags=0x1000, key=7, seq=9),
    "gre, odd": ETH / V4 / GRE(flags=0x1800, routing=b"\1\2\3\1\5" + bytes(4))
    / ETH / V4 / GRE(flags=0x1000),
    "nvgre": ETH / V4 / GRE(key=0x1234_5678),
    "erspan II": ETH / V4 / GRE(seq=1) / ERSPAN(session_id=1000, vlan=7),
    "erspan III": ETH / V4 / GRE(seq=1) / ERSPAN(version=2, session_id=5, timestamp=9, p=1),
    "tags": ETH / VLAN(vid=1) / VLAN(vid=2) / V4 / UDP(sport=1) / VXLAN(),
    "ip options": ETH / IPv4(src="1.2.3.4", dst="4.3.2.1", options=[Option(7, bytes(9))]) / GRE(),
    "extensions": ETH / V6 / DestinationOptions() / SEGMENTS / UDP(sport=3) / VXLAN(),
    "nested": ETH / V4 / UDP(sport=2) / VXLAN(vni=1) / ETH / V6 / UDP(sport=2) / Geneve() / ETH
    / V4 / GRE(flags=0x1000),
    "given": ETH / IPv4(src="1.1.1.1", dst="2.2.2.2", total_len=7, checksum=1, protocol=99)
    / UDP(sport=1, dport=2, len=3, checksum=4),
    "raw": V4 / GRE(key=1),
}  # fmt: skip
CARRY_IP = {
    "ipip": ETH / V4,
    "ip6ip": ETH / V6,
    "encapsulation limit": ETH / V6 / DestinationOptions(options=[Option(4, b"\4")]),
    "mpls": ETH / MPLS(label=16, bos=0) / MPLS(label=17),
    "gre": ETH / V4 / GRE(key=7),
    "geneve": ETH / V4 / UDP(sport=1) / Geneve(),
    "gpe": ETH / V4 / UDP(sport=1) / VXLANGPE(),
    "ethernet": ETH,
    "raw": V4,
    "ipip in ipip": ETH / V4 / V6 / V4,
    "in udp": ETH / V4 / UDP(sport=1, dport=5555),
}


def frames(sizes: range = range(80)) -> list[bytes]:
    """Ethernet frames of all small sizes."""
    return [bytes(INNER / UDP(sport=5 + size, dport=53) / bytes(size)) for size in sizes]


def built(template: encap.Packet | Any, frame: bytes, linktype: int = 1) -> bytes:
    return bytes(template / encap.parse(frame, linktype, strict=False))


@pytest.fixture(params=encap.implementations(), autouse=True)
def _implementation(request: pytest.FixtureRequest) -> Iterator[None]:
    with encap.implementation(request.param):
        yield


@pytest.mark.parametrize("name", CARRY_ETHERNET)
def test_ethernet_frames_become_what_packet_builds(name: str) -> None:
    template, inner = CARRY_ETHERNET[name], frames()
    packets = Packets.from_frames(inner, times=np.arange(80))
    made = packets.encap(template)
    assert list(made) == [built(template, frame) for frame in inner]
    assert (made.linktypes == (101 if name == "raw" else 1)).all()
    assert np.array_equal(made.wire_lengths, made.lengths)
    assert np.array_equal(made.times, packets.times)
    assert np.array_equal(made.rows, np.arange(80))


@pytest.mark.parametrize("name", CARRY_IP)
def test_ip_packets_become_what_packet_builds(name: str) -> None:
    template = CARRY_IP[name]
    inner = [frame[14:] for frame in frames()]
    inner += [bytes(V6 / UDP(sport=1, dport=2) / bytes(size)) for size in range(9)]
    packets = Packets.from_frames(inner, linktypes=101)
    assert list(packets.encap(template)) == [built(template, frame, 101) for frame in inner]


def test_frames_of_both_kinds_in_one_batch() -> None:
    inner = frames()
    mixed = [frame[14:] if row % 3 else frame for row, frame in enumerate(inner)]
    linktypes = [101 if row % 3 else 1 for row in range(len(inner))]
    made = Packets.from_frames(mixed, linktypes=linktypes).encap(ETH / V4 / GRE(flags=0x1000))
    for row, frame in enumerate(made):
        assert frame == built(ETH / V4 / GRE(flags=0x1000), mixed[row], linktypes[row])


# --- columns ----------------------------------------------------------------------------------

COLUMNS: dict[str, tuple[str, Any]] = {
    "eth.dst": ("gre", np.arange(480, dtype=np.uint8).reshape(80, 6)),
    "ipv4.src": ("gre", np.arange(80, dtype=np.uint32) * 12345678),
    "ipv4.dst": ("gre", [f"10.0.{row}.1" for row in range(80)]),
    "ipv4.id": ("gre", np.arange(80) * 800),
    "ipv4.dscp": ("gre", np.arange(80) % 64),
    "ipv4.total_len": ("gre", np.arange(80)),
    "ipv4.fragment_offset": ("gre", np.arange(80)),
    "ipv6.src": ("extensions", np.arange(1280, dtype=np.uint16).astype(np.uint8).reshape(80, 16)),
    "ipv6.dst": ("vxlan over ipv6", [f"2001:db8::{row + 1}" for row in range(80)]),
    "ipv6.flow_label": ("vxlan over ipv6", np.arange(80) * 13000),
    "ipv6.traffic_class": ("vxlan over ipv6", np.arange(80)),
    "udp.sport": ("vxlan", np.arange(80) * 819),
    "udp.dport": ("vxlan", np.arange(80)),
    "udp.checksum": ("vxlan", np.arange(80)),
    "vxlan.vni": ("vxlan", np.arange(80) * 209715),
    "vxlan.reserved1": ("group policy", np.arange(80)),
    "vxlan.group_policy_id": ("group policy", np.arange(80) * 800),
    "gpe.vni": ("gpe", np.arange(80)),
    "geneve.vni": ("geneve", np.arange(80)),
    "geneve.oam": ("geneve", np.arange(80) % 2),
    "gre.key": ("gre, all of it", np.arange(80, dtype=np.uint32) * 50_000_000),
    "gre.seq": ("gre, all of it", np.arange(80)),
    "gre.vsid": ("nvgre", np.arange(80)),
    "erspan.session_id": ("erspan II", np.arange(80)),
    "erspan.index": ("erspan II", np.arange(80)),
    "erspan.timestamp": ("erspan III", np.arange(80)),
    "erspan.hw_id": ("erspan III", np.arange(80) % 64),
    "vlan[1].vid": ("tags", np.arange(80)),
    "vlan[-1].pcp": ("tags", np.arange(80) % 8),
    "ipv4[1].src": ("nested", np.arange(80)),
    "ipv4[1].ttl": ("nested", np.arange(80)),
    "eth[1].src": ("nested", np.arange(480, dtype=np.uint16).astype(np.uint8).reshape(80, 6)),
    "ipv6.hop_limit": ("nested", np.arange(80)),
    "ip[2].ttl": ("nested", np.arange(80)),
    "gre[1].protocol": ("gre, odd", np.arange(80)),
}  # fmt: skip


def of(value: Any, row: int) -> Any:
    """What a constructor takes for one row of a column."""
    one = value[row]
    return (
        one.tobytes() if isinstance(one, np.ndarray) else one if isinstance(one, str) else int(one)
    )


@pytest.mark.parametrize("name", COLUMNS)
def test_a_column_gives_each_packet_its_value(name: str) -> None:
    which, values = COLUMNS[name]
    inner = frames()
    template = CARRY_ETHERNET[which]
    made = Packets.from_frames(inner).encap(template, {name: values})
    for row, frame in enumerate(made):
        if name.endswith((".total_len", ".checksum", ".dport", ".protocol")):
            # Open in the template: what `replace` refuses, the constructor takes.
            kind = name.partition(".")[0].partition("[")[0]
            changed = [
                header._with({name.rpartition(".")[2]: of(values, row)})
                if header.path == kind and (index > 3 or "[1]" not in name)
                else header
                for index, header in enumerate(template)
            ]
            expected = encap.Packet(*changed)
        else:
            expected = template.replace({name: of(values, row)})
        assert frame == built(expected, inner[row]), row


def test_all_columns_of_one_template_together() -> None:
    inner = frames()
    names = ("ipv4[1].src", "ipv4[1].ttl", "eth[1].src", "ipv6.hop_limit")
    columns = {name: COLUMNS[name][1] for name in names}
    template = CARRY_ETHERNET["nested"]
    made = Packets.from_frames(inner).encap(template, columns | {"vxlan.vni": 7})
    for row, frame in enumerate(made):
        values = {name: of(column, row) for name, column in columns.items()} | {"vxlan.vni": 7}
        assert frame == built(template.replace(values), inner[row])


OPTIONS = [
    tuple(GeneveOption(0x108, 128 * (row % 5 == 4) + n, bytes(4 * n)) for n in range(row % 4))
    for row in range(80)
]


@pytest.mark.parametrize("spans", [False, True])
def test_geneve_options_of_each_packet(spans: bool) -> None:
    inner = frames()
    outside = ETH / V4 / UDP(sport=1)
    value: Any = OPTIONS
    if spans:
        parts = [b"".join(map(bytes, options)) for options in OPTIONS]
        lengths = np.array([len(part) for part in parts], np.uint32)
        data = np.frombuffer(b"".join(parts), np.uint8)
        value = data, np.cumsum(lengths, dtype=np.int64) - lengths, lengths
    made = Packets.from_frames(inner).encap(outside / Geneve(vni=3), {"geneve.options": value})
    for row, frame in enumerate(made):
        assert frame == built(outside / Geneve(vni=3, options=OPTIONS[row]), inner[row])
    behind = Geneve(vni=3) / ETH / V4 / GRE(flags=0x1000)
    made = Packets.from_frames(inner).encap(outside / behind, {"geneve.options": value})
    for row, frame in enumerate(made):
        told = Geneve(vni=3, options=OPTIONS[row]) / ETH / V4 / GRE(flags=0x1000)
        assert frame == built(outside / told, inner[row])


def test_ipv4_options_of_each_packet() -> None:
    inner = frames()
    options = [(Option(7, bytes(row % 30)),) if row % 2 else () for row in range(80)]
    made = Packets.from_frames(inner).encap(ETH / V4 / GRE(flags=0x1000), {"ipv4.options": options})
    for row, frame in enumerate(made):
        outer = IPv4(src="192.0.2.1", dst="192.0.2.2", options=options[row])
        assert frame == built(ETH / outer / GRE(flags=0x1000), inner[row])


# --- options ------------------------------------------------------------------------------------


def test_source_ports_have_the_entropy_of_the_flow() -> None:
    inner = [bytes(INNER / UDP(sport=port, dport=53) / b"") for port in range(1000)] * 2
    packets = Packets.from_frames(inner)
    template = ETH / V4 / UDP() / VXLAN() / ETH / V6 / UDP() / VXLAN()
    for sport, low, high in (
        ("flow", 49152, 65535), ("linux", 32768, 60998), ("ovs", 32768, 60999), ((7, 9), 7, 9),
    ):  # fmt: skip
        made = packets.encap(template, sport=sport)
        ports = made.columns("udp.sport", "udp[1].sport")
        for column in ports.values():
            assert column.min() >= low
            assert column.max() <= high
            assert np.array_equal(column[:1000], column[1000:])
        assert len(np.unique(ports["udp.sport"])) > min(high - low, 900)
        expected = encap.flow.source_ports(packets.flow_hash(), sport)
        assert np.array_equal(ports["udp.sport"], expected)
    made = packets.encap(template, sport=5)
    assert (made.columns("udp.sport")["udp.sport"] == 5).all()
    column = np.arange(2000)
    made = packets.encap(template, sport=column)
    assert np.array_equal(made.columns("udp[1].sport")["udp[1].sport"], column)


def test_counters() -> None:
    packets = Packets.from_frames(frames())
    made = packets.encap(
        ETH / IPv4(src="1.1.1.1", dst="2.2.2.2", id=65530) / GRE(seq=4),
        ip_id="increment",
        seq="increment",
    )
    layers = made.parse()
    assert np.array_equal(layers["ipv4.id"], (65530 + np.arange(80)) % 65536)
    assert np.array_equal(layers["gre.seq"], 4 + np.arange(80))
    made = packets.encap(ETH / V4 / V4 / GRE(seq=0), seq=2**32 - 3, ip_id=65534)
    assert np.array_equal(made.parse()["ipv4.id"], (65534 + np.arange(80)) % 65536)
    assert np.array_equal(made.parse()["ipv4[1].id"], made.parse()["ipv4.id"])
    made = packets.encap(ETH / V4 / GRE(seq=0), seq=2**32 - 3)
    assert made.parse()["gre.seq"].tolist()[:5] == [2**32 - 3, 2**32 - 2, 2**32 - 1, 0, 1]
    assert not made.parse()["ipv4.id"].any()
    made = packets.encap(ETH / V4 / GRE(seq=0), seq=np.arange(80)[::-1], ip_id=np.arange(80) * 2)
    assert made.parse()["gre.seq"].tolist() == list(range(80))[::-1]
    assert made.parse()["ipv4.id"].tolist() == [2 * row for row in range(80)]


@pytest.mark.parametrize("outer", [V4, V6])
def test_inherited(outer: IPv4 | IPv6) -> None:
    inner = [
        bytes(ETH / IPv4(src="1.1.1.1", dst="2.2.2.2", tos=tos, ttl=9, flags=tos % 4) / b"x")
        for tos in range(256)
    ]
    inner += [bytes(ETH / VLAN(vid=1) / IPv6(src="::1", dst="::2", traffic_class=5, hop_limit=3))]
    inner += [bytes(ETH / encap.ARP())]
    packets = Packets.from_frames(inner)
    template = ETH / outer / UDP(sport=1) / VXLAN()
    columns = ("ip.ttl", f"{outer.path}.dscp", f"{outer.path}.ecn")
    made = packets.encap(template, ttl="inherit", tos="inherit", df="inherit")
    assert all(encap.parse(frame, verify=True) for frame in made)
    ttl, dscp, ecn = made.columns(*columns).values()
    assert ttl.tolist() == [9] * 256 + [3, 64]
    assert (dscp << 2 | ecn).tolist() == [*range(256), 5, 0]
    if outer is V4:
        df = made.columns("ipv4.flags")["ipv4.flags"] >> 1 & 1
        assert df.tolist() == [tos >> 1 & 1 for tos in range(256)] + [1, 0]
    ttl, dscp, ecn = (
        packets.encap(template, ttl=1, tos=0x48, ecn="linux").columns(*columns).values()
    )
    assert set(ttl) == {1}
    assert set(dscp) == {0x12}
    assert ecn.tolist() == [(0, 1, 2, 2)[tos & 3] for tos in range(256)] + [1, 0]
    _, dscp, ecn = packets.encap(template, ecn="copy", tos="inherit").columns(*columns).values()
    assert (dscp << 2 | ecn).tolist() == [*range(256), 5, 0]
    set_ = packets.encap(template, df="set")
    assert all(encap.parse(frame, verify=True) for frame in set_)
    if outer is V4:
        assert set(set_.columns("ipv4.flags")["ipv4.flags"]) == {2}


def test_what_is_named_goes_before_options() -> None:
    packets = Packets.from_frames(frames())
    options = {"ttl": 9, "tos": "inherit", "df": "set", "udp_checksum": True, "ip_id": "increment"}
    columns = {"ipv4.ttl": 5, "ipv4.dscp": 6, "ipv4.flags": 0, "udp.checksum": 0, "ipv4.id": 3}
    template = ETH / V4 / UDP(sport=1) / VXLAN()
    for varying in (False, True):
        given = {n: np.full(80, v) if varying else v for n, v in columns.items()}
        found = packets.encap(template, given, **options).columns(*columns, "ipv4.ecn")  # type: ignore[arg-type]
        assert {name: set(column) for name, column in found.items()} == {
            name: {value} for name, value in (columns | {"ipv4.ecn": 1}).items()
        }


@pytest.mark.parametrize("outer", [V4, V6])
def test_udp_checksums(outer: IPv4 | IPv6) -> None:
    packets = Packets.from_frames(frames())
    template = ETH / outer / UDP(sport=1) / VXLAN()
    assert (
        packets.encap(template, udp_checksum=False).columns("udp.checksum")["udp.checksum"].max()
        == 0
    )
    given = ETH / outer / UDP(sport=1, checksum=0) / VXLAN()
    assert packets.encap(given).columns("udp.checksum")["udp.checksum"].max() == 0
    assert packets.encap(given, udp_checksum=True).equals(packets.encap(template))


def test_a_udp_checksum_of_zero_is_written_as_ones() -> None:
    # Two octets of the payload are chosen so that the sum comes out as all ones.
    inner = frames(range(2, 3))[0]
    template = ETH / V4 / UDP(sport=1) / VXLAN()
    made = encap.parse(bytes(template / encap.parse(inner)))
    value = made["udp.checksum"]
    inner = inner[:-2] + value.to_bytes(2, "big")
    (frame,) = Packets.from_frames([inner]).encap(template)
    assert encap.parse(frame)["udp.checksum"] == 0xFFFF


def test_several_templates() -> None:
    inner = frames()
    names = ["vxlan", "gre, all of it", "nested", "geneve, 252 octets"]
    templates = [CARRY_ETHERNET[name] for name in names]
    which = np.arange(80) * 7 % 4
    packets = Packets.from_frames(inner)
    made = packets.encap(templates, {"gre[0].key": np.arange(80)}, which=which, seq="increment")
    for row, frame in enumerate(made):
        template = templates[which[row]]
        if which[row] == 1:
            template = template.replace({"gre.key": row, "gre.seq": 9 + row})
        assert frame == built(template, inner[row])
    with pytest.raises(FieldError, match="which"):
        packets.encap(templates)
    with pytest.raises(FieldError, match="template 4"):
        packets.encap(templates, which=which + 1)


def test_templates_of_two_link_types() -> None:
    made = Packets.from_frames(frames()).encap(
        [ETH / V4 / GRE(), V4 / GRE()], which=np.arange(80) % 2
    )
    assert made.linktypes.tolist() == [1, 101] * 40
    assert made.decap().equals(Packets.from_frames(frames()))


# --- memory and threads -----------------------------------------------------------------------


def test_results_do_not_depend_on_threads_or_memory() -> None:
    inner = frames(range(60)) * 500
    packets = Packets.from_frames(inner)
    columns = {"vxlan.vni": np.arange(len(inner)) % 2**24}
    one = packets.encap(ETH / V4 / UDP() / VXLAN(), columns, ip_id="increment", threads=1)
    assert packets.encap(ETH / V4 / UDP() / VXLAN(), columns, ip_id="increment", threads=3).equals(
        one
    )
    room = np.full(one.data.size + 10, 0xA5, np.uint8)
    given = packets.encap(ETH / V4 / UDP() / VXLAN(), columns, ip_id="increment", out=room)
    assert given.equals(one)
    assert given.data.base is room
    assert (room[one.data.size :] == 0xA5).all()
    with pytest.raises(FieldError, match="out holds"):
        packets.encap(ETH / V4 / UDP() / VXLAN(), out=room[:-11])
    whole = Packets(room, [0], [100])
    with pytest.raises(FieldError, match="overlap"):
        whole.encap(ETH / V4 / UDP() / VXLAN(), out=whole.data)


def test_no_packets() -> None:
    made = Packets.from_frames([]).encap(ETH / V4 / UDP() / VXLAN(), {"vxlan.vni": []})
    assert len(made) == 0
    assert len(made.decap()) == 0


def test_decap_is_the_inverse() -> None:
    packets = Packets.from_frames(frames())
    for template in CARRY_ETHERNET.values():
        path = template.path
        if path.endswith("udp"):  # whose port says nothing
            continue
        assert packets.encap(template).decap(depth="all").equals(packets)


# --- cut frames ---------------------------------------------------------------------------------


def test_cut_frames_keep_their_true_lengths() -> None:
    whole = frames(range(200, 280))
    cut = Packets.from_frames([f[:100] for f in whole], wire_lengths=[len(f) for f in whole])
    made = cut.encap(ETH / V4 / UDP(sport=1) / VXLAN(), udp_checksum=False)
    expected = Packets.from_frames(whole).encap(
        ETH / V4 / UDP(sport=1) / VXLAN(), udp_checksum=False
    )
    assert list(made) == [frame[:150] for frame in expected]
    assert np.array_equal(made.wire_lengths, expected.lengths)


def test_a_checksum_over_missing_octets_leaves_the_packet_out() -> None:
    whole = frames()
    lengths = [len(f) for f in whole]
    cut = Packets.from_frames(
        [f[:-1] if row % 4 == 1 else f for row, f in enumerate(whole)], wire_lengths=lengths
    )
    made = cut.encap(ETH / V4 / UDP(sport=1) / VXLAN(), {"vxlan.vni": np.arange(80)})
    assert made.rows.tolist() == [row for row in range(80) if row % 4 != 1]
    assert sum(made.left_out.values()) == 20
    assert np.array_equal(made.columns("vxlan.vni")["vxlan.vni"], made.rows)


# --- what cannot be -----------------------------------------------------------------------------

REFUSED: list[tuple[Any, str]] = [
    (ETH / IPv4(src="1.2.3.4") / GRE(), "ipv4.dst is missing"),
    (Ethernet(dst="02:00:00:00:00:01") / V4 / GRE(), "eth.src is missing"),
    (ETH / V4, "ipv4 cannot carry Ethernet"),
    (ETH / V4 / UDP(), "udp cannot carry Ethernet"),
    (ETH / V4 / encap.TCP(), "tcp cannot carry"),
    (ETH / MPLS(), "mpls cannot carry Ethernet"),
    (ETH / V4 / VXLAN(), "ipv4 cannot carry vxlan: no ipv4.protocol is known for it"),
    (UDP(sport=1) / VXLAN(), "no packet begins with udp"),
    (ETH / V4 / UDP() / VXLAN() / b"x", "headers alone"),
    ("eth/ipv4", "missing"),
    ([], "1 to 256 templates"),
    (encap.Packet(*[ETH] * 17), "at most 16 headers"),
]


@pytest.mark.parametrize(("template", "message"), REFUSED)
def test_templates_that_cannot_be_built(template: Any, message: str) -> None:
    with pytest.raises(FieldError, match=message):
        Packets.from_frames(frames()).encap(template)


def test_what_vxlan_cannot_carry() -> None:
    mixed = Packets.from_frames([frames()[5], frames()[0][14:], b""], linktypes=[1, 101, 101])
    vxlan = CARRY_ETHERNET["vxlan"]
    with pytest.raises(FieldError, match="packet 1: vxlan cannot carry IPv4"):
        mixed.encap(vxlan)
    made = mixed.encap(vxlan, errors="skip")
    assert made.rows.tolist() == [0]
    assert list(made.left_out.values()) == [2]
    with pytest.raises(FieldError, match="packet 2: gre cannot carry packets of this link type"):
        mixed.encap(CARRY_ETHERNET["gre"])
    # A number that was given is kept, whatever it says.
    assert len(mixed.encap(ETH / V4 / GRE(protocol=0x1234))) == 3


def test_lengths_that_do_not_fit() -> None:
    most = 65535 - 20 - 8 - 8
    packets = Packets.from_frames([bytes(most), bytes(most + 1)])
    with pytest.raises(FieldError, match="packet 1 has 65500 octets"):
        packets.encap(CARRY_ETHERNET["vxlan"])
    made = packets.encap(CARRY_ETHERNET["vxlan"], errors="skip")
    assert made[0] == built(CARRY_ETHERNET["vxlan"], bytes(most))
    assert made.rows.tolist() == [0]
    assert list(made.left_out) == ["a length would not fit its field"]
    # Behind a length that was given there is no limit but that of the others.
    longer = packets.encap(CARRY_ETHERNET["given"])
    assert longer.lengths.tolist() == [most + 42, most + 43]
    options = [(GeneveOption(1, 1, bytes(4)),), ()]
    geneve = ETH / IPv4(src="1.1.1.1", dst="2.2.2.2", total_len=1) / UDP(sport=1) / Geneve()
    fits = Packets.from_frames([bytes(65535 - 8 - 8 - 8), bytes(65535 - 8 - 8)])
    assert len(fits.encap(geneve, {"geneve.options": options})) == 2
    with pytest.raises(FieldError, match="packet 1"):
        fits.encap(geneve, {"geneve.options": options[:1] * 2})


NONE = np.zeros(99, np.uint8)
WRONG: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"vxlan.vni": np.full(80, 2**24)}, FieldError, "vxlan.vni of packet 0 cannot be 16777216"),
    ({"vxlan.vni": np.arange(79)}, FieldError, "79 values, 80 are needed"),
    ({"vxlan.vni": np.arange(80) * 0.5}, TypeError, "integers"),
    ({"vxlan.vni": -np.arange(80)}, FieldError, "does not fit"),
    ({"vxlan.vni": 2**24}, FieldError, "vni"),
    ({"geneve.vni": 1}, FieldError, "no template has geneve.vni"),
    ({"gre.key": np.arange(80)}, FieldError, "no template has gre.key"),
    ({"vxlan.nothing": 1}, FieldError, "has no field 'nothing'"),
    ({"nothing.vni": 1}, FieldError, "nothing"),
    ({"vxlan": 1}, FieldError, "names no field"),
    ({"ipv4.src": ["1.2.3.4"]}, FieldError, "1 values, 80 are needed"),
    ({"ipv4.src": ["1.2.3.4.5"] * 80}, FieldError, "IPv4 address"),
    ({"eth.src": np.zeros((80, 5), np.uint8)}, FieldError, r"uint8\[n, 6\] is needed"),
    ({"ipv4.options": [b"abc"] * 79}, FieldError, "79 values"),
    ({"ipv4.options": (NONE[:4], np.arange(80), np.full(80, 4))}, FieldError, "outside"),
    ({"ipv4.options": (NONE, np.zeros(80, int), np.full(80, 44))}, FieldError, "has 44 oct"),
    ({"ipv4.tos": np.arange(80), "ipv4.dscp": np.arange(80) % 9}, FieldError, "same field"),
]  # fmt: skip


@pytest.mark.parametrize(("columns", "error", "message"), WRONG)
def test_columns_that_cannot_be(
    columns: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        Packets.from_frames(frames()).encap(CARRY_ETHERNET["vxlan"], columns)


OPTIONS_WRONG: list[tuple[dict[str, Any], type[Exception]]] = [
    ({"sport": "nonsense"}, FieldError), ({"sport": 70000}, FieldError),
    ({"sport": (9, 7)}, FieldError),
    ({"ttl": 256}, FieldError), ({"ttl": "x"}, FieldError), ({"tos": -1}, FieldError),
    ({"ecn": "x"}, FieldError), ({"df": "x"}, FieldError), ({"df": 2}, FieldError),
    ({"ip_id": "x"}, FieldError), ({"ip_id": 65536}, FieldError), ({"ip_id": -1}, FieldError),
    ({"seq": "x"}, FieldError),
    ({"seq": 2**32}, FieldError), ({"errors": "x"}, FieldError),
    ({"ip_id": np.full(80, 65536)}, FieldError),
    ({"which": np.ones(80)}, TypeError), ({"threads": 0}, FieldError),
]  # fmt: skip


@pytest.mark.parametrize(("options", "error"), OPTIONS_WRONG)
def test_options_that_cannot_be(options: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        Packets.from_frames(frames()).encap(ETH / V4 / UDP() / VXLAN(), **options)
