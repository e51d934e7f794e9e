"""What is no expression is an ExpressionError that says where, and what there is instead."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import encap
from encap import ExpressionError, Filter, Packets
from encap.registry import HEADERS

EMPTY = Packets.from_frames([b"", bytes(60)])


@pytest.mark.parametrize(
    ("text", "position", "said"),
    [
        ("", 0, "a field's name, 'not' or '(' is expected, not the end"),
        ("   ", 3, "not the end"),
        ("not", 3, "not the end"),
        ("vxlan and", 9, "not the end"),
        ("vxlan or or gre", 9, "not 'or'"),
        ("vxlan gre", 6, "'and' or 'or' is expected, not 'gre'"),
        ("vxlan AND gre", 6, "'AND' is written 'and'"),
        ("(vxlan", 6, "')' is expected, not the end, for the '(' at character 0"),
        ("gre or (vxlan gre)", 14, "')' is expected, not 'gre', for the '(' at character 7"),
        ("vxlan)", 5, "there is no '(' for it"),
        ("()", 1, "not ')'"),
        ("(" * 65 + "vxlan", 64, "more than 64 parentheses"),
        ("vxlan.vni = 42", 10, "'==' compares"),
        ("vxlan && gre", 6, "'and' joins conditions"),
        ("vxlan || gre", 6, "'or' joins conditions"),
        ("!vxlan", 0, "'not' negates"),
        ("path == 'eth'", 8, "double quotes"),
        ('path == "eth', 8, "no second quote"),
        ("vlan[1.vid == 1", 4, "an index is vlan[1]"),
        ("vxlan.vni == 42 \u2014 gre", 16, "'\u2014' is not understood"),
        ("vxlan.vni == \u0664\u0662", 13, "is not understood"),
        ("vxlan.vni\u00a0== 42", 9, "is not understood"),
        ("vxlan \x00", 6, "'\\x00' is not understood"),
        # names
        ("vxlann.vni == 1", 0, "did you mean 'vxlan'?"),
        ("vxlan and vxlan.vnj == 1", 10, "did you mean 'vni'?); it has flags"),
        ("ip.addr == 10.0.0.1", 0, "ip has no field 'addr'; it has src, dst, ttl"),
        ("tim > 5", 0, "did you mean 'time'?"),
        ("frame.len > 5", 0, "no protocol is called 'frame'"),
        ("Vxlan", 0, "is no field name"),
        ("42 == vxlan.vni", 0, "the field comes first"),
        ("10.0.0.1 == ip.src", 0, "the field comes first"),
        ("vxlan.vni == x.y.z", 13, "'x.y.z' is no field name"),
        ("x" * 5000, 0, "xxx...' is no field name"),
        ("vlan[1000].vid == 1", 0, "is no field name"),
        ("vlan[*].vid[*] == 1", 0, "is no field name"),
        ("vlan[*].vid == vlan[*].pcp", 15, "one [*] is all that a comparison can have"),
        ("[*] == 1", 0, "is no field name"),
        # what is compared with what
        ("vxlan.vni", 0, "is to be compared with something; vxlan.vni? asks whether"),
        ("length", 0, "length is to be compared"),
        ("vxlan == 42", 0, "vxlan is a header: name one of its fields"),
        ("gre.key? == 1", 0, "gre.key? is true or false"),
        ("ip.protocol == tcp", 15, "tcp is a header (tcp alone asks for it)"),
        ("vxlan.vni == ip.src", 13, "vxlan.vni is a number, ip.src is an address"),
        ("ipv4.src == ipv6.src", 12, "is an IPv6 address"),
        ("vxlan.vni == gre.key?", 13, "gre.key? is true or false"),
        ("vxlan.vni == path", 13, "path is a text"),
        ("1 < ipv4.ttl < 5", 13, "a comparison has two sides"),
        ("ipv4.ttl < 5 < 6", 13, "ipv4.ttl in 1..5"),
        ("ipv4.options == 5", 0, "ask for one, ipv4.option[...]"),
        ("routing.data == 5", 0, "'routing.data' has no fixed length"),
        ("vxlan like", 10, "a value is expected"),
        ('ipv4.src like "10.*"', 0, "'like' is for path alone"),
        # values
        ("vxlan.vni == 16777216", 13, "vxlan.vni is 0 to 16777215"),
        ("vxlan.vni != 0x1000000", 13, "vxlan.vni is 0 to 16777215"),
        ("ipv4.ttl < 256", 11, "ipv4.ttl is 0 to 255"),
        ("ipv4.ttl == -1", 12, "ipv4.ttl is 0 to 255"),
        ("tcp.dport in 1024..65536", 19, "tcp.dport is 0 to 65535"),
        ("tcp.dport in {80, 443, 70000}", 23, "tcp.dport is 0 to 65535"),
        ("vxlan.vni == " + "9" * 5000, 13, "is none (42, 0x2a)"),
        ("vxlan.vni == 0x", 13, "is none"),
        ("vxlan.vni == 4_2", 13, "is none"),
        ("vxlan.vni == 42abc", 13, "'42abc' is none"),
        ("vxlan.vni == 1.5", 13, "'1.5' is none"),
        ('vxlan.vni == "42"', 13, "write it without quotes"),
        ("eth.src == 5", 11, "eth.src is a MAC address, '5' is none"),
        ("eth.src == 02:00:00:00:00", 11, "is none"),
        ("eth.src in 02:00:00:00:00:01/24", 11, "bits set behind its 24 bits"),
        ("ip.src == 5", 10, "ip.src is an address, '5' is none"),
        ("ip.src == 10.0.0.256", 10, "is none"),
        ("ip.src == 10.0.0.01", 10, "is none"),
        ("ip.src == :::", 10, "is none"),
        ("ipv4.src == fe80::1", 12, "ipv4.src is an IPv4 address, 'fe80::1' is none"),
        ("ipv6.src == 10.0.0.1", 12, "ipv6.src is an IPv6 address"),
        ("ip.src == 10.0.0.0/8", 10, "is a prefix: say ip.src in 10.0.0.0/8"),
        ("ip.src in 10.0.0.1/8", 10, "bits set behind its 8 bits"),
        ("ip.src in 10.0.0.0/33", 10, "/ and 0 to 32"),
        ("ip.src in 10.0.0.0/", 10, "/ and 0 to 32"),
        ("ip.src in fe80::/129", 10, "/ and 0 to 128"),
        ("ip.src in 10.0.0.1", 10, "say ip.src == 10.0.0.1"),
        ("ip.src in 10.0.0.9..10.0.0.1", 10, "the range is empty"),
        ("ip.src in 10.0.0.1..fe80::1", 10, "addresses of one family"),
        ("ip.src in 10.0.0.0/8..10.0.0.9", 10, "is a prefix"),
        ("tcp.dport in 5", 13, "say tcp.dport == 5"),
        ("tcp.dport in {}", 14, "a value is expected, not '}'"),
        ("tcp.dport in {80,}", 17, "a value is expected, not '}'"),
        ("tcp.dport in {80 443}", 17, "',' or '}' is expected, not '443'"),
        ("tcp.dport in {80", 16, "',' or '}' is expected, not the end"),
        ("tcp.dport == {80}", 13, "ask for a set or a range with 'in'"),
        ("tcp.dport in 5..", 16, "a value is expected"),
        ("tcp.dport in udp.dport", 13, "'udp.dport' is none"),
        ("time > yesterday", 7, "is none (2024-05-01T12:30:00.5Z"),
        ("time > 2024-13-01", 7, "is none: month must be in 1..12"),
        ("time > 2024-05-01T25:00Z", 7, "is none: hour must be in 0..23"),
        ("time > 9999-01-01", 7, "time is -9223372036854775807 to 9223372036854775807"),
        ("time == length", 8, "'length' is none"),
        ("status == cut", 10, "it is ok, truncated, malformed"),
        ("status == truncate", 10, "did you mean 'truncated'?"),
        ("status == 9", 10, "it is ok, truncated"),
        ("status > ok", 0, "it is equal (==, !=, in) or not"),
        ("tunnel.kind == vlan", 15, "did you mean 'vxlan'?"),
        ("tunnel.kind < gre", 0, "it is equal (==, !=, in) or not"),
        ("tunnel[0].kind < tunnel[1].kind", 0, "it is equal (==, !=, in) or not"),
        ("path == eth", 8, 'write it in quotes ("...")'),
        ('path == "eth/upd"', 8, "no path has 'upd' in it (did you mean 'udp'?)"),
        ('path == "eth/*"', 8, "'*' stands for anything with 'like'"),
        ('path like "eth/vxlam/*"', 10, "did you mean 'vxlan'?"),
        ('path < "eth"', 0, "compared by ==, !=, in or like"),
        ('path in "eth".."ipv4"', 8, "of these are no ranges"),
        ("ipv4.dscp == ef", 13, "ipv4.dscp is a number, 'ef' is none (42, 0x2a)"),
        ("length == wire_lenght", 10, "did you mean 'wire_length'?"),
        ("tcp.dport in [80,443]", 13, "a set stands in braces, as {42, 43}, not '[80,443]'"),
        ("tcp.dport in [80, 443]", 13, "a set stands in braces"),
        ("tcp.dport in (80, 443)", 13, "a set stands in braces"),
        ("vni == 42", 0, "the header is said too: vxlan.vni, gpe.vni, geneve.vni"),
        ("vxlan and src == 10.0.0.1", 10, "ip.src, eth.src, ipv4.src, ipv6.src"),
        ("inner.vni == 1", 0, "'inner.vni' is a field"),
        ("tunnel.kind == ipip", 15, "(that is ipv4, the outer header of IP in IP): it is vxlan"),
        ("tunnel.kind == gretap", 15, "(that is gre)"),
        # bits
        ("tcp.flags &", 11, "a number is expected behind '&'"),
        ("vxlan & gre", 8, "'and' joins conditions"),
        ("tcp.flags & tcp.flags == 1", 12, "a number is expected behind '&'"),
        ("tcp.flags & 2", 13, "are to be compared: tcp.flags & 2 != 0"),
        ("tcp.flags & 2 and vxlan", 14, "are to be compared"),
        ("tcp.flags & 2 & 2 == 2", 14, "are to be compared"),
        ("tcp.flags & 2 == 3", 17, "tcp.flags & 2 is never 3, which has other bits"),
        ("tcp.flags & 2 in {0, 1}", 21, "is never 1"),
        ("tcp.flags & 0 == 0", 12, "tcp.flags & 0 is always 0"),
        ("ipv4.ttl & 256 == 0", 11, "ipv4.ttl is 0 to 255"),
        ("tcp.flags & 2 == udp.sport", 17, "'udp.sport' is none"),
        ("ip.src & 1 == 1", 0, "ip.src is an address: only numbers have bits"),
        ("status & 1 == 1", 0, "only numbers have bits"),
        ("time & 1 == 1", 0, "only numbers have bits"),
        ("tcp & 1 == 1", 0, "tcp is a header: only numbers have bits"),
        ("tcp.option[2] & 1 == 1", 0, "only numbers have bits"),
        # options
        ("geneve.option[1]", 0, "a class and a type, as in geneve.option[0x0108,3]"),
        ("geneve.option[0x10000,3]", 0, "a class and a type"),
        ("geneve.option[0x0108,300]", 0, "300 is not 0 to 255"),
        ("geneve.option[*]", 0, "a class and a type"),
        ("tcp.option[1,2]", 0, "a type, as in tcp.option[2]"),
        ("udp.option[1]", 0, "'udp' has no options; those that have are geneve"),
        ("ipv4.src.option[1]", 0, "names a field where a header is meant"),
        ("vxlann.option[1]", 0, "did you mean 'vxlan'?"),
        ("geneve.option[1,1] < 0x00", 0, "which are equal (==, !=, in) or not"),
        ("geneve.option[1,1] == 5", 22, "is octets (0x0102, two digits each)"),
        ("geneve.option[1,1] == 0x123", 22, "is octets"),
        ("geneve.option[1,1] in 0x00..0x01", 22, "of these are no ranges"),
    ],
)
def test_errors_say_where_and_what(text: str, position: int, said: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        EMPTY.match(text)
    assert caught.value.position == position
    assert said in str(caught.value)
    assert f"at character {position} of the expression" in str(caught.value)
    assert len(str(caught.value)) < 600
    again = pickle.loads(pickle.dumps(caught.value))
    assert (str(again), again.position) == (str(caught.value), position)


def test_there_is_a_limit_to_columns() -> None:
    fields = [f"{part}{name}[{index}].ttl" for part in ("", "outer.", "inner.")
              for name in ("ipv4", "mpls") for index in range(60)]  # fmt: skip
    EMPTY.match(" or ".join(f"{name} == 1" for name in fields[:250]))
    with pytest.raises(ExpressionError, match="more than 256 columns") as caught:
        EMPTY.match(" or ".join(f"{name} == 1" for name in fields))
    assert caught.value.position > 4000


WORDS = [
    *HEADERS, "ip", "l4", "tunnel", "time", "length", "path", "status", "inner.", "outer.", ".",
    "src", "vni", "dport", ".src", ".kind", "[0]", "[-1]", "[*]", "[", "]", "?", "==", "!=", "<",
    "<=", ">=", "=", "in", "like", "and", "or", "not", "(", ")", "{", "}", ",", "..", "/", "-",
    "0", "42", "0x2a", "0x", "10.0.0.1", "10.0.0.0/8", "fe80::1", "::/0", "02:00:00:00:00:01",
    "2024-05-01T12:30Z", '"', '"eth/*"', "*", "geneve.option[1,2]", "truncated", "vxlan", "\n",
    "1" * 50, "e", "\ud800", "\u0130", "\x00", "%", "\\",
]  # fmt: skip


@given(st.lists(st.sampled_from(WORDS), max_size=12), st.sampled_from(["", " "]))
@settings(max_examples=1000)
@example(["ipv4", ".", "option[", "*", "]"], "")
def test_heaps_of_words_are_expressions_or_errors(words: list[str], space: str) -> None:
    verdict(space.join(words))


@given(st.text(max_size=60))
def test_any_text_is_an_expression_or_an_error(text: str) -> None:
    verdict(text)


@pytest.mark.parametrize(
    "text",
    ["(" * 100_000, "not " * 100_000, "vxlan and " * 20_000, "[" * 50_000, "." * 50_000,
     "a" * 200_000, "vlan[" + "*" * 50_000, '"' + "x" * 50_000, "9" * 100_000, "-" * 50_000,
     "tcp.dport in {" + "1," * 50_000, "vxlan or (" * 5000, ":" * 50_000, "a." * 50_000,
     'path like "' + "*/" * 50_000 + '"', "path in {" + '"eth",' * 20_000, "\x00" * 1000,
     "ip.src in 1.1.1.1/" + "1" * 50_000, "geneve.option[" + "1," * 50_000 + "]"],
)  # fmt: skip
def test_hostile_texts_end_soon(text: str) -> None:
    verdict(text)
    verdict(f"vxlan.vni == {text}")


def verdict(text: str) -> None:
    """The text is an expression, which then runs, or an ExpressionError within it."""
    position, said = 0, ""
    try:
        assert EMPTY.match(Filter(text)).shape == (2,)
    except ExpressionError as error:
        position, said = error.position, str(error)
    assert 0 <= position <= len(text)
    assert len(said) < 1000


@pytest.mark.parametrize("name", ["text", "names"])
def test_filters_cannot_be_changed(name: str) -> None:
    made: Any = Filter("vxlan")
    with pytest.raises(AttributeError):
        setattr(made, name, "gre")
    with pytest.raises(AttributeError):
        made.other = 1
    assert encap.Filter is Filter
