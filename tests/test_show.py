"""The text faces of a packet: `print(packet)` and `packet.show()`."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import encap
from encap import Ethernet, FieldError, Header, IPv4, header
from encap.fields import U8, U16
from encap.packet import Packet
from encap.registry import HEADERS, header_class
from encap.show import Table, line, table
from encap.template import template

OVERLAY = template(
    "eth(dst=02:00:00:00:00:02,src=02:00:00:00:00:01)/ipv4(src=10.0.0.1,dst=10.0.0.2)"
    "/udp(sport=49152)/geneve(vni=42,options=[0x0108:3:0x11223344,1:2:0x01020304])"
    "/eth/vlan(vid=5)/ipv6(src=::1,dst=::2)/tcp(sport=1,dport=443,options=[2:0x05b4])/0x414243"
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ipv4(src=10.0.0.1,dst=10.0.0.2)/udp(sport=49152)/vxlan(vni=42)/0x0102",
         "ipv4 10.0.0.1 > 10.0.0.2 ttl 64 / udp 49152 > ? / vxlan vni 42 / 2 octets"),
        ("eth(dst=02:00:00:00:00:02)/vlan(vid=5)/arp",
         "eth ? > 02:00:00:00:00:02 / vlan vid 5 / arp 0.0.0.0 > 0.0.0.0 op 1"),
        ("ipv6(src=::1,dst=::2)/tcp(sport=1,dport=2,flags=0x12,options=[1,1,1,1])",
         "ipv6 ::1 > ::2 hop_limit 64 / tcp 1 > 2 flags ACK,SYN options 4"),
        ("gre(key=5)/erspan(session_id=7)", "gre key 5 / erspan session_id 7"),
        ("gre", "gre"),
        ("mpls(label=16)/mpls(ttl=3)", "mpls label 16 ttl 64 / mpls label 0 ttl 3"),
        ("icmp/0x00", "icmp type 8 code 0 / 1 octet"),
        ("esp(spi=1,seq=2)", "esp spi 1 seq 2"),
        ("ipv4(src=1.1.1.1,dst=2.2.2.2,flags=1,fragment_offset=185)",
         "ipv4 1.1.1.1 > 2.2.2.2 ttl 64 fragment at 1480, more follow"),
        ("fragment(offset=1,id=9)", "fragment id 9 fragment at 8"),
        ("0x", "0 octets"),
    ],
)  # fmt: skip
def test_line(text: str, expected: str) -> None:
    packet = template(text)
    assert line(packet) == expected
    assert str(packet) == expected


def test_line_says_what_is_behind_and_what_is_wrong() -> None:
    frame = bytes(Ethernet() / IPv4(src="10.0.0.1", dst="10.0.0.2", protocol=6) / bytes(6))
    text = line(encap.parse(frame + bytes(20), strict=False))
    assert text.endswith(
        " / 6 octets / trailer 20 octets / error: tcp at octet 34 needs 20 octets,"
        " 6 are there (limit: ipv4.total_len)"
    )


@header("shim")
class Shim(Header):
    """A user's own header.

    kind: what it is
    """

    kind: U8 = 1
    size: U8 = 2
    flags: U16 = 0


def test_line_of_a_header_it_does_not_know() -> None:
    assert line(Packet(Shim())) == "shim"
    assert line(Packet(Shim(size=3, flags=16))) == "shim size 3 flags 0x10"


def test_table_has_every_field() -> None:
    text = table(OVERLAY)
    for part in OVERLAY:
        assert f"\n{part.path}: {type(part).__name__}, " in "\n" + text
        for name in part.fields:
            if getattr(part, name) is not None:
                assert f"\n  {name} " in text


def test_table_rows() -> None:
    lines = table(OVERLAY).splitlines()

    def row(start: str) -> list[str]:
        found = next(text for text in lines if text.strip().startswith(start))
        return found.split()

    assert lines[0] == "eth: Ethernet, 14 octets at 0"
    assert "geneve: Geneve, 24 octets at 42 (0x2a)" in lines
    assert row("type ")[1:3] == ["0x0800", "(open)"]
    assert row("total_len ")[1:4] == ["137", "(0x89)", "(open)"]
    assert row("vni ")[1:3] == ["42", "(0x2a)"]
    assert row("options    2 ")[1] == "2"
    assert row("0x0108:") == [
        "0x0108:0x03:0x11223344",
        "GatewayLoadBalancerCookie(cookie=287454020)",
    ]
    assert row("0x0001:") == ["0x0001:0x02:0x01020304"]
    assert row("2:") == ["2:0x05b4"]
    assert row("dscp ")[1:] == ["0", "in", "tos"]
    assert "payload: 3 octets at 148 (0x94)" in lines


def test_hexdump_marks_where_headers_start() -> None:
    lines = table(OVERLAY).splitlines()
    dump = lines[-10:]
    assert dump[0] == (
        "0000  02 00 00 00 00 02 02 00  00 00 00 01 08 00 45 00  ..............E.  eth@0 ipv4@14"
    )
    assert dump[2].endswith("udp@34 geneve@42")
    assert dump[-1].startswith("0090  ")
    assert dump[-1].endswith("ABC" + " " * 11 + "payload@148")
    octets = "".join(text[6:54].replace(" ", "") for text in dump)
    assert bytes.fromhex(octets) == bytes(OVERLAY)


def test_many_marks_in_one_row() -> None:
    text = table(template("mpls(bos=0)/mpls(bos=0)/mpls(bos=0)/mpls/0x01"))
    assert "mpls@0 mpls@4 mpls@8\n" + " " * 74 + "mpls@12" in text


def test_trailers_and_errors() -> None:
    frame = bytes(Ethernet() / IPv4(protocol=6) / b"\1") + b"trail"
    text = table(encap.parse(frame, strict=False))
    assert "payload: 1 octet at 34 (0x22)\n" in text
    assert "trailer of ipv4: 5 octets at 35 (0x23)\n" in text
    assert "error: tcp at octet 34 needs 20 octets" in text
    assert "payload@34 trailer@35" in text


def test_a_header_cut_short() -> None:
    frame = bytes(Ethernet() / IPv4(options=b"\1\1\1\1"))[:36]
    text = table(encap.parse(frame, strict=False))
    assert "ipv4: IPv4, 20 octets at 14 (0xe), cut short\n" in text
    assert "payload: 2 octets at 34 (0x22)\n" in text


def test_long_values_are_cut_and_counted() -> None:
    packet = Packet(template(f"ah(icv=0x{'ab' * 40})")[0])
    assert f"icv          0x{'ab' * 16}... (40 octets)" in table(packet)


def test_a_table_repeats_itself_at_a_prompt() -> None:
    shown = OVERLAY.show()
    assert isinstance(shown, Table)
    assert repr(shown) == str(shown) == table(OVERLAY)
    assert "\x1b" not in shown


def test_what_cannot_be_built_has_a_line_but_no_table() -> None:
    packet = IPv4() / bytes(70000)
    assert line(packet).endswith("70000 octets")
    with pytest.raises(FieldError, match="total_len"):
        table(packet)


@pytest.mark.parametrize("name", HEADERS)
def test_every_header_can_be_shown(name: str) -> None:
    packet = Packet(header_class(name)(), b"\1\2")
    assert line(packet).startswith(name)
    for text in table(packet).splitlines():
        assert len(text) <= 100
        assert text == text.rstrip()


@given(st.binary(max_size=200), st.sampled_from([0, 1, 101, 108, 113, 276]))
def test_whatever_parses_can_be_shown(data: bytes, linktype: int) -> None:
    packet = encap.parse(data, linktype, strict=False)
    assert "\n" not in line(packet)
    assert all(len(text) <= 100 for text in table(packet).splitlines())


@pytest.mark.parametrize(
    ("text", "there", "gone"),
    [
        ("gre(key=7)/ipv4(src=10.0.0.1,dst=10.0.0.2)", "key", "vsid flow_id payload_len call_id"),
        ("gre(protocol=0x6558,key=7)/eth(src=02:00:00:00:00:01,dst=02:00:00:00:00:02)",
         "key vsid flow_id", "payload_len call_id routing"),
        ("gre(version=1,protocol=0x880b,key=7)", "payload_len call_id", "vsid flow_id routing"),
        ("gre", "protocol", "key checksum routing"),
        ("icmp(type=8)", "rest id seq", "mtu"),
        ("icmp(type=3,code=4)", "rest mtu", "id seq"),
        ("icmp(type=3,code=1)", "rest", "id seq mtu"),
        ("icmp(type=13)", "rest id seq", "mtu"),
        ("icmpv6(type=128)", "rest id seq", "mtu"),
        ("icmpv6(type=2)", "rest mtu", "id seq"),
        ("icmpv6(type=135)", "rest", "id seq mtu"),
        ("vxlan", "vni", "gbp_dont_learn gbp_applied group_policy_id"),
        ("vxlan(flags=0x88)", "vni gbp_dont_learn gbp_applied group_policy_id", ""),
    ],
)  # fmt: skip
def test_views_are_shown_where_they_mean_something(text: str, there: str, gone: str) -> None:
    outer = "ipv6(src=::1,dst=::2)" if "icmpv6" in text else "ipv4(src=1.1.1.1,dst=1.1.1.2)"
    around = f"{outer}/udp/" if text.startswith("vxlan") else f"{outer}/"
    path = text.partition("(")[0]
    inner = "eth(src=02:00:00:00:00:01,dst=02:00:00:00:00:02)" if path == "vxlan" else ""
    packet = template(around + text + (f"/{inner}" if inner else ""))
    lines = str(packet.show()).partition(f"\n{path}: ")[2].partition("\n\n")[0].splitlines()
    names = {line.split()[0] for line in lines[1:] if line.startswith("  ") and line[2] != " "}
    assert names >= set(there.split())
    assert not names & set(gone.split())


def test_a_view_can_be_read_all_the_same() -> None:
    assert encap.GRE(key=0x0701).flow_id == 1
    assert encap.ICMP(type=3, rest=5).seq == 5
