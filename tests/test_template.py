"""Templates: text to packets and back, and what is said about text that is none."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import encap
from encap import (
    ERSPAN,
    GRE,
    TCP,
    UDP,
    VLAN,
    VXLAN,
    EncapError,
    Ethernet,
    ExpressionError,
    FieldError,
    Geneve,
    GeneveOption,
    Header,
    HopByHop,
    IPv4,
    IPv6,
    Option,
    header,
)
from encap.fields import U8, Bits
from encap.headers.options import Octets
from encap.packet import Packet
from encap.registry import DEFAULT, HEADERS, header_class
from encap.template import template, template_text

EXAMPLE = (
    "eth(dst=02:00:00:00:00:02,src=02:00:00:00:00:01)"
    "/ipv4(src=10.0.0.1,dst=10.0.0.2)/udp/vxlan(vni=42)"
)

PACKETS: dict[str, Packet] = {
    EXAMPLE: Ethernet(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
    / IPv4(src="10.0.0.1", dst="10.0.0.2")
    / UDP()
    / VXLAN(vni=42),
    "eth": Packet(Ethernet()),
    "eth/vlan(vid=5,type=0x88b5)/0x0102": Ethernet() / VLAN(vid=5, type=0x88B5) / b"\1\2",
    "ipv6(src=2001:db8::1,dst=::ffff:10.0.0.1)": Packet(
        IPv6(src="2001:db8::1", dst="::ffff:10.0.0.1")
    ),
    "ipv6/hopopt(options=[5:0x0000,1])": IPv6() / HopByHop(options=(Option(5, b"\0\0"), Option(1))),
    "geneve(vni=1,options=[0x0108:0x03:0x11223344])": Packet(
        Geneve(vni=1, options=(GeneveOption(0x0108, 3, bytes.fromhex("11223344")),))
    ),
    "geneve(options=[0x0102:0x80:0x:5,0xffff:0xff:0x00000000,0x01020304])": Packet(
        Geneve(
            options=(
                GeneveOption(0x0102, 0x80, b"", 5),
                GeneveOption(0xFFFF, 0xFF, bytes(4)),
                b"\1\2\3\4",
            )
        )
    ),
    "tcp(flags=0x12,options=[2:0x05b4,1,1,0x0101,0x00,0])": Packet(
        TCP(
            flags=0x12,
            options=(Option(2, b"\5\xb4"), Option(1), Option(1), b"\1\1", b"\0", Option(0)),
        )
    ),
    "gre(flags=0x1000)/eth": GRE(flags=0x1000) / Ethernet(),
    "gre(flags=0x0200,seq=1)/erspan(session_id=7)/eth": GRE(seq=1)
    / ERSPAN(session_id=7)
    / Ethernet(),
    "arp(op=2)": Packet(encap.ARP(op=2)),
    "arp(hlen=1,plen=1,addresses=0x01020304)": Packet(
        encap.ARP(hlen=1, plen=1, addresses=b"\1\2\3\4")
    ),
    "0x0102": Packet(b"\1\2"),
    "0x": Packet(),
}  # fmt: skip


@pytest.mark.parametrize("text", PACKETS)
def test_text_to_packet(text: str) -> None:
    assert template(text) == PACKETS[text]


@pytest.mark.parametrize("text", PACKETS)
def test_packet_to_text_to_packet(text: str) -> None:
    written = template_text(PACKETS[text])
    assert template(written) == PACKETS[text]
    assert template_text(template(written)) == written


def test_what_is_written_is_short() -> None:
    assert template_text(PACKETS[EXAMPLE]) == EXAMPLE
    assert template_text(PACKETS["arp(op=2)"]) == "arp(op=2)"
    assert template_text(Packet(GRE(key=5))) == "gre(flags=0x400,key=5)"


@pytest.mark.parametrize(
    ("text", "same"),
    [
        (" eth ( dst = 02-00-00-00-00-02 , type = 5 ) \n/\tipv4 / 0x01 ",
         "eth(dst=02:00:00:00:00:02,type=0x5)/ipv4/0x01"),
        ("eth()/ipv4()", "eth/ipv4"),
        ("vxlan(vni=0X2A)", "vxlan(vni=42)"),
        ("vxlan(vni=007)", "vxlan(vni=7)"),
        ("ipv4(src=0x0a000001)", "ipv4(src=10.0.0.1)"),
        ("ipv4(dscp=46,ecn=1)", "ipv4(tos=0xb9)"),
        ("ipv4(tos=1,dscp=46)", "ipv4(tos=185)"),
        ("ipv4(dscp=46,tos=1)", "ipv4(tos=185)"),
        ("gre(vsid=5)", "gre(key=0x500)"),
        ("icmp(id=1,seq=2)", "icmp(rest=0x10002)"),
        ("tcp(options=0x01010101)", "tcp(options=[0x01010101])"),
        ("tcp(options=[])", "tcp"),
        ("geneve(options=[264:3])", "geneve(options=[0x0108:0x03:0x])"),
    ],
)  # fmt: skip
def test_other_ways_to_say_the_same(text: str, same: str) -> None:
    assert template(text) == template(same)


def test_what_is_left_out_is_computed() -> None:
    built = encap.parse(bytes(template(EXAMPLE + "/eth/ipv4/udp(dport=9)/0x01")))
    assert built.path == "eth/ipv4/udp/vxlan/eth/ipv4/udp"
    assert built["outer.udp.dport"] == 4789
    checked = template("gre(flags=0x1000)/ipv4")
    assert encap.parse(bytes(IPv4() / checked), 101, verify=True)["gre.checksum"]


@pytest.mark.parametrize(
    ("text", "position", "words"),
    [
        ("", 0, "header's name"),
        ("  ", 2, "header's name"),
        ("eth/", 4, "header's name"),
        ("eth//ipv4", 4, "header's name"),
        ("/eth", 0, "header's name"),
        ("eth ipv4", 4, "'/'"),
        ("eth)", 3, "'/'"),
        ("eth/foo(x=1)", 4, "known are eth, sll"),
        ("Eth", 0, "no header is called 'Eth'"),
        ("eth(", 4, "field's name"),
        ("eth(dst", 7, "'='"),
        ("eth(dst)", 7, "'='"),
        ("eth(dst=", 8, "address"),
        ("eth(dst=)", 8, "address"),
        ("eth(type=1", 10, "',' or ')'"),
        ("eth(type=1 2)", 11, "',' or ')'"),
        ("eth(type=1,)", 11, "field's name"),
        ("eth( nope=1)", 5, "it has dst, src, type"),
        ("ipv4(ttl=1,ttl=2)", 11, "twice"),
        ("ipv4(dscp=1, dscp=2)", 13, "twice"),
        ("ipv4(ttl=x)", 9, "number"),
        ("ipv4(ttl=0x)", 9, "number"),
        ("ipv4(ttl=\u0661)", 9, "number"),
        ("ipv4(ttl=[1])", 9, "number"),
        ("ipv4/0x1", 5, "octets"),
        ("ipv4/0x01/udp", 9, "payload"),
        ("ah(icv=12)", 7, "octets"),
        ("geneve(options=5)", 15, "octets"),
        ("geneve(options=[5])", 16, "octets"),
        ("geneve(options=[1:x])", 18, "number"),
        ("geneve(options=[1:2:3])", 20, "octets"),
        ("geneve(options=[1:2:0x00000000:0:0])", 16, "class:type:0xdata"),
        ("geneve(options=[1:2:0x01020304 1:2])", 31, "',' or ']'"),
        ("geneve(options=[1:2", 19, "',' or ']'"),
        ("geneve(options=[", 16, "option"),
        ("tcp(options=[x])", 13, "number"),
        ("tcp(options=[2:0x05b4:1])", 13, "type:0xdata"),
        ("tcp(options=[2:0x05b])", 15, "octets"),
    ],
)
def test_syntax_errors_say_where(text: str, position: int, words: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        template(text)
    assert caught.value.position == position
    assert words in str(caught.value)
    assert f"character {position}" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("ipv4(ttl=256)", "ttl"),
        ("ipv4(ttl=-1)", "ttl"),
        ("ipv4(dscp=64)", "dscp"),
        ("vxlan(vni=0x1000000)", "vni"),
        ("ipv4(src=10.0.0)", "src"),
        ("ipv4(src=0x0a)", "src"),
        ("ipv6(src=10.0.0.1)", "src"),
        ("eth(dst=1)", "dst"),
        ("geneve(options=[1:2:0x010203])", "data"),
        ("geneve(options=[65536:2])", "option_class"),
        ("geneve(options=[1:2:0x:8])", "reserved"),
        ("tcp(options=[256])", "type"),
        ("ah(icv=0x01)", "icv"),
        ("vxlan(vni=" + "9" * 5000 + ")", "vni"),
        ("vxlan(vni=0x" + "f" * 5000 + ")", "vni"),
    ],
)
def test_values_that_do_not_fit(text: str, field: str) -> None:
    with pytest.raises(FieldError) as caught:
        template(text)
    assert caught.value.field == field


def test_a_template_is_text() -> None:
    for wrong in (b"eth", None, 5):
        with pytest.raises(TypeError):
            template(wrong)  # type: ignore[arg-type]


@header("shim")
class Shim(Header):
    """A user's own header."""

    kind: U8 = 1
    size: Annotated[int | None, Bits(8)] = None
    tail: Annotated[bytes, Octets(most=2)] = b""


def test_own_headers() -> None:
    known = DEFAULT.extend(headers=[Shim])
    packet = template("eth/shim(kind=2,tail=0x0102)", registry=known)
    assert packet == Ethernet() / Shim(kind=2, tail=b"\1\2")
    assert packet.registry is known
    assert template_text(packet) == "eth/shim(kind=2,tail=0x0102)"
    with pytest.raises(ExpressionError, match="known are"):
        template("eth/shim")
    with pytest.raises(FieldError, match="no text form"):
        template_text(Ethernet() / Shim())
    with pytest.raises(ExpressionError, match=r"geneve, shim"):
        template("eth/shin", registry=known)


def test_packets_without_a_text() -> None:
    frame = bytes(Ethernet() / IPv4(options=b"\1") / UDP())
    with pytest.raises(FieldError, match="it has trailers"):
        template_text(encap.parse(frame + b"padding"))
    with pytest.raises(FieldError, match="cut short"):
        template_text(encap.parse(frame[:35], strict=False))
    # A source route that is not there: what GRE's constructor cannot know to be wrong.
    odd = Packet(GRE(flags=0x0800, routing=b""))
    assert template(template_text(odd)) == odd


@pytest.mark.parametrize("name", HEADERS)
def test_every_header_has_a_text(name: str) -> None:
    kind = header_class(name)
    assert template(name) == Packet(kind())
    assert template_text(Packet(kind())) == name


@st.composite
def written(draw: st.DrawFn) -> str:
    """Text that looks like a template."""
    kind = header_class(draw(st.sampled_from(list(HEADERS))))
    names = st.sampled_from([*kind.fields, *kind.views, "nope"])
    values = st.sampled_from(
        ["0", "1", "65536", "0x01", "0x0102030405060708", "[]", "[1:2]", "[5:0x00]",
         "[1:2:0x01020304]", "10.0.0.1", "::1", "::1%eth0", "02:00:00:00:00:01", "x", "-1", "",
         "[0x01]", "1" * 5000]
    )  # fmt: skip
    arguments = draw(st.lists(st.tuples(names, values), max_size=3))
    return f"{kind.path}({','.join(f'{name}={value}' for name, value in arguments)})"


@given(
    st.text()
    | st.text("ethipv4dr/(),=[]:0x12 ")
    | st.lists(written(), min_size=1, max_size=3).map("/".join)
)
@example("eth(")
@example("geneve(options=[:::])")
def test_any_text_gives_a_packet_or_our_error(text: str) -> None:
    try:
        packet = template(text)
    except EncapError as error:
        position = getattr(error, "position", 0)
        packet = None
    else:
        position = 0
    assert 0 <= position <= len(text)
    if packet is not None:
        assert template(template_text(packet)) == packet


@given(st.binary(max_size=60), st.sampled_from([1, 101, 113, 276, 108]))
def test_what_is_parsed_has_a_text_or_says_so(data: bytes, linktype: int) -> None:
    packet: Any = encap.parse(data, linktype, strict=False)
    try:
        text = template_text(packet)
    except FieldError:
        return
    assert template(text) == packet


@pytest.mark.parametrize("name", ["csum", "checksums", "Checksum"])
def test_a_checksum_by_another_name(name: str) -> None:
    """The one that is meant is computed, and has no value to be given."""
    with pytest.raises(ExpressionError, match=r"gre\(flags=0x1000\) has one that is computed"):
        template(f"gre(key=7,{name}=1)")
    with pytest.raises(ExpressionError) as wrong:
        template(f"udp({name}=1)")
    assert "computed" not in str(wrong.value)
