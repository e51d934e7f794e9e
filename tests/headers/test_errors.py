"""Octets that are wrong, values that do not fit, and what follows what."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from encap.errors import FieldError, MalformedError, TruncatedError, UnsupportedError
from encap.fields import Header
from encap.headers.geneve import GeneveOption
from encap.headers.options import Octets, Option
from encap.headers.vxlan import VXLAN
from encap.registry import DEFAULT, header_class

# header, octets, field, its value
MALFORMED = [
    ("ipv4", "65000014" + "00" * 16, "version", 6),
    ("ipv4", "05000014" + "00" * 16, "version", 0),
    ("ipv4", "44000014" + "00" * 16, "ihl", 4),
    ("ipv4", "40000014" + "00" * 16, "ihl", 0),
    ("ipv4", "45000013" + "00" * 16, "total_len", 19),
    ("ipv4", "46000014" + "00" * 20, "total_len", 20),
    ("ipv6", "40000000" + "00" * 36, "version", 4),
    ("tcp", "00" * 12 + "4000" + "00" * 6, "data_offset", 4),
    ("udp", "0000000000070000", "len", 7),
    ("ah", "060000000000000100000001", "len", 0),
    ("vxlan", "0000000000002a00", "flags", 0),
    ("vxlan", "f700000000002a00", "flags", 0xF7),
]  # fmt: skip

# header, octets
UNSUPPORTED = [
    ("gre", "00020800"), ("gre", "00070800"), ("geneve", "4000655800000000"),
    ("geneve", "c000655800000000"), ("gpe", "1c00000300000000"), ("gpe", "3c00000300000000"),
    ("erspan", "0000000000000000"), ("erspan", "3000000000000000"), ("erspan", "f0000000"),
]  # fmt: skip

# header, octets, need: the fixed part is there, what it announces is not
CUT = [
    ("ipv4", "4f00003c" + "00" * 16, 60),
    ("tcp", "00" * 12 + "f000" + "00" * 6, 60),
    ("geneve", "3f00655800000000", 260),
    ("gre", "b0006558", 16),
    ("gre", "80000800", 8),
    ("gre", "40000800", 12),
    ("gre", "0081880b", 8),
    ("gre", "0000883e00", 8),
    ("llc", "aaaa03", 8),
    ("llc", "424200", 4),
    ("arp", "0001080006040001", 28),
    ("arp", "00010800ffff0001", 8 + 4 * 255),
    ("hopopt", "00ff", 2048),
    ("dstopts", "0000", 8),
    ("routing", "00000401", 8),
    ("routing", "00ff0401", 2048),
    ("ah", "06ff00000000000100000001", 1028),
    ("erspan", "10000000", 8),
    ("erspan", "20000000", 12),
    ("erspan", "2000000000000000" + "00000001", 20),
]  # fmt: skip


@pytest.mark.parametrize(("name", "octets", "field", "value"), MALFORMED)
def test_malformed(name: str, octets: str, field: str, value: int) -> None:
    cls = header_class(name)
    wire = b"\xa5\xa5" + bytes.fromhex(octets)
    with pytest.raises(MalformedError) as caught:
        cls.parse(wire, 2)
    error = caught.value
    assert (error.layer, error.offset, error.field, error.value) == (name, 2, field, value)
    twin = pickle.loads(pickle.dumps(error))
    assert (str(twin), twin.field, twin.value) == (str(error), field, value)
    part, problem = cls._parse(wire, 2, len(wire))
    assert isinstance(problem, MalformedError)
    assert getattr(part, field) == value
    assert part._build_fixed() == wire[2 : 2 + cls.fixed_len]


@pytest.mark.parametrize(("name", "octets"), UNSUPPORTED)
def test_unsupported_versions(name: str, octets: str) -> None:
    cls = header_class(name)
    wire = bytes.fromhex(octets)
    with pytest.raises(UnsupportedError) as caught:
        cls.parse(wire)
    assert (caught.value.layer, caught.value.offset) == (name, 0)
    part, _ = cls._parse(wire, 0, len(wire))
    assert part._build_fixed() == wire[: cls.fixed_len]


@pytest.mark.parametrize(("name", "octets", "need"), CUT)
def test_announced_and_not_there(name: str, octets: str, need: int) -> None:
    cls = header_class(name)
    wire = bytes.fromhex(octets)
    with pytest.raises(TruncatedError) as caught:
        cls.parse(wire)
    assert (caught.value.need, caught.value.have) == (need, len(wire))
    for size in range(len(wire), need):
        with pytest.raises(TruncatedError):
            cls.parse(wire.ljust(size, b"\0"))
    assert cls.parse(wire.ljust(need, b"\0")).header_len == need


def test_source_routes_that_do_not_end() -> None:
    endless = bytes.fromhex("4000 0800 0000 0000") + bytes.fromhex("0800 0004 0a000001") * 200
    with pytest.raises(TruncatedError):
        header_class("gre").parse(endless)


@pytest.mark.parametrize(
    ("octets", "options"),
    [
        ("01010200", (Option(1), Option(1), b"\x02\x00")),  # a length below 2
        ("02ff0000", (b"\x02\xff\x00\x00",)),  # beyond the end
        ("01010102", (Option(1), Option(1), Option(1), b"\x02")),  # no length at all
        ("00a5a5a5", (Option(0), b"\xa5\xa5\xa5")),  # behind the end marker
        ("02020000", (Option(2), Option(0), b"\x00")),
    ],
)
@pytest.mark.parametrize("name", ["ipv4", "tcp"])
def test_options_that_are_none_are_kept(name: str, octets: str, options: Any) -> None:
    cls = header_class(name)
    plain = bytearray(bytes(cls()))
    if name == "ipv4":
        plain[0], plain[3] = 0x46, 24
    else:
        plain[12] = 0x60
    wire = bytes(plain) + bytes.fromhex(octets)
    value: Any = cls.parse(wire)
    assert value.options == options
    assert bytes(value) == wire


def test_extension_options_that_are_none_are_kept() -> None:
    value: Any = header_class("hopopt").parse(bytes.fromhex("3b00 00 05ff 000000"))
    assert value.options == (Option(0), b"\x05\xff\0\0\0")


def test_geneve_options_that_are_none_are_kept() -> None:
    wire = bytes.fromhex("0300 6558 00000000  0102 03 01 a1a2a3a4  0102 03 1f")
    value: Any = header_class("geneve").parse(wire)
    assert value.options == (GeneveOption(0x0102, 3, b"\xa1\xa2\xa3\xa4"), wire[16:])
    assert bytes(value) == wire


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("ipv4", {"options": (bytes(41),)}),
        ("tcp", {"options": [Option(5, bytes(39))]}),
        ("ipv4", {"options": [Option(5, bytes(254))]}),
        ("hopopt", {"options": [Option(5, bytes(256))]}),
        ("hopopt", {"options": [Option(5, bytes(255))] * 8}),
        ("geneve", {"options": b"12345"}),
        ("geneve", {"options": [GeneveOption(1, 2, bytes(124))] * 2}),
        ("routing", {"data": b""}),
        ("routing", {"data": bytes(5)}),
        ("routing", {"data": bytes(2052)}),
        ("ah", {"icv": bytes(5)}),
        ("ah", {"icv": bytes(1020)}),
        ("erspan", {"version": 2, "platform": bytes(7)}),
        ("erspan", {"version": 2, "platform": bytes(16)}),
        ("arp", {"hlen": 8, "addresses": bytes(1021)}),
    ],
)
def test_variable_parts_that_do_not_fit(name: str, given: dict[str, Any]) -> None:
    with pytest.raises(FieldError) as caught:
        header_class(name)(**given)
    assert (caught.value.layer, caught.value.field) == (name, list(given)[-1])


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("ipv4", {"options": 5}), ("ipv4", {"options": [5]}), ("geneve", {"options": ["text"]}),
        ("geneve", {"options": None}), ("ah", {"icv": 12}), ("ah", {"icv": "text"}),
        ("routing", {"data": None}), ("gre", {"routing": [1, 2]}), ("eth", {"dst": 1.5}),
    ],
)  # fmt: skip
def test_variable_parts_of_a_wrong_type(name: str, given: dict[str, Any]) -> None:
    with pytest.raises(TypeError):
        header_class(name)(**given)


@pytest.mark.parametrize(
    ("kind", "arguments"),
    [
        (Option, (256,)), (Option, (-1,)), (GeneveOption, (0x10000, 1)), (GeneveOption, (1, 256)),
        (GeneveOption, (1, 1, b"123")), (GeneveOption, (1, 1, bytes(128))),
        (GeneveOption, (1, 1, b"", 8)), (GeneveOption, (-1, 1)),
    ],
)  # fmt: skip
def test_options_that_do_not_fit(kind: Any, arguments: tuple[Any, ...]) -> None:
    with pytest.raises(FieldError):
        kind(*arguments)


@pytest.mark.parametrize("kind", [Option, lambda *a: GeneveOption(1, *a)])
@pytest.mark.parametrize("arguments", [("1",), (1, "text"), (1, 5), (None,)])
def test_options_of_a_wrong_type(kind: Any, arguments: tuple[Any, ...]) -> None:
    with pytest.raises(TypeError):
        kind(*arguments)


@pytest.mark.parametrize("size", range(9))
def test_extension_headers_are_padded_by_options(size: int) -> None:
    """RFC 8200 section 4.2: Pad1 for one octet, PadN for more."""
    cls: Any = header_class("dstopts")
    value = cls(options=(Option(0x1E, bytes(size)),))
    assert value.header_len % 8 == 0
    assert value.header_len - 4 - size < 8
    parsed = cls.parse(bytes(value))
    assert parsed.options == value.options
    assert all(isinstance(option, Option) and option.type <= 1 for option in value.options[1:])


@pytest.mark.parametrize("name", ["ipv4", "tcp"])
@pytest.mark.parametrize("size", range(8))
def test_other_options_are_padded_by_zeros(name: str, size: int) -> None:
    cls: Any = header_class(name)
    value = cls(options=(Option(7, bytes(size)),))
    assert bytes(value)[20:] == (b"\7" + bytes([size + 2]) + bytes(size)).ljust(
        value.header_len - 20, b"\0"
    )
    total = {"total_len": value.header_len} if name == "ipv4" else {}
    assert cls.parse(bytes(cls(options=value.options, **total))).options == value.options


def test_octets_take_any_buffer() -> None:
    cls: Any = header_class("ah")
    assert cls(icv=bytearray(b"abcd")).icv == cls(icv=memoryview(b"abcd")).icv == b"abcd"
    assert Octets().check(b"", "", "") == b""


# --- what follows -------------------------------------------------------------------------


def after(name: str, rest: bytes = b"", **given: Any) -> str | None:
    value: Header = header_class(name)(**given)
    return value.follows(DEFAULT, memoryview(rest))


@pytest.mark.parametrize(
    ("name", "given", "rest", "want"),
    [
        ("eth", {"type": 0x0800}, "", "ipv4"),
        ("eth", {"type": 1500}, "", "llc"),
        ("eth", {"type": 1501}, "", None),
        ("vlan", {"type": 0x9100}, "", "vlan"),
        ("vlan", {"type": 46}, "", "llc"),
        ("sll", {"protocol": 0x86DD}, "", "ipv6"),
        ("sll", {"protocol": 4}, "", "llc"),
        ("sll", {"protocol": 1}, "", None),
        ("sll2", {"protocol": 0x0806}, "", "arp"),
        ("sll2", {"protocol": 1500}, "", None),
        ("null", {}, "", "ipv4"),
        ("null", {"family": 2}, "", "ipv4"),
        ("null", {"family": 0x1E000000}, "", "ipv6"),
        *[("null", {"family": family}, "", "ipv6") for family in (10, 24, 28, 30)],
        ("null", {"family": 0x1E0000}, "", None),
        ("null", {"family": 7}, "", None),
        ("llc", {"pid": 0x0800}, "", "ipv4"),
        ("llc", {"oui": 0x0C, "pid": 0x0800}, "", None),
        ("llc", {"ssap": 0x42}, "", None),
        ("llc", {"pid": 46}, "", None),
        ("arp", {}, "45", None),
        ("mpls", {"bos": 0}, "45", "mpls"),
        ("mpls", {}, "45", "ipv4"),
        ("mpls", {}, "60", "ipv6"),
        ("mpls", {}, "00", None),
        ("mpls", {}, "", None),
        ("hopopt", {"next_header": 43}, "", "routing"),
        ("routing", {"next_header": 44}, "", "fragment"),
        ("dstopts", {"next_header": 59}, "", None),
        ("fragment", {"next_header": 17, "more": 1}, "", "udp"),
        ("fragment", {"next_header": 17, "offset": 1}, "", None),
        ("ah", {"next_header": 50}, "", "esp"),
        ("esp", {}, "45", None),
        ("igmp", {}, "45", None),
        ("sctp", {}, "45", None),
        ("udp", {"dport": 4789}, "", "vxlan"),
        ("udp", {"sport": 4789}, "", None),
        ("udp", {"dport": 4500}, "00000001", "esp"),
        ("udp", {"dport": 4500}, "00000000", None),
        ("udp", {"dport": 4500}, "ff", None),
        ("gre", {"protocol": 0x6558}, "", "eth"),
        ("gre", {"protocol": 0x88BE}, "", "eth"),
        ("gre", {"protocol": 0x88BE, "seq": 1}, "", "erspan"),
        ("gre", {"protocol": 0x22EB}, "", "erspan"),
        ("gre", {"protocol": 0x883E}, "", "ipv4"),
        ("gre", {"protocol": 0x880B, "version": 1}, "", None),
        ("erspan", {}, "45", "eth"),
        ("erspan", {"version": 2}, "45", "eth"),
        ("erspan", {"version": 2, "frame_type": 2}, "45", "ipv4"),
        ("erspan", {"version": 2, "frame_type": 2}, "60", "ipv6"),
        ("erspan", {"version": 2, "frame_type": 2}, "", None),
        ("vxlan", {}, "", "eth"),
        ("gpe", {"next_protocol": 1}, "", "ipv4"),
        ("gpe", {"next_protocol": 2}, "", "ipv6"),
        ("gpe", {"next_protocol": 3}, "", "eth"),
        ("gpe", {"next_protocol": 4}, "", None),
        ("gpe", {"next_protocol": 1, "flags": 8}, "", "eth"),
        ("geneve", {"protocol": 0x6558}, "", "eth"),
        ("geneve", {"protocol": 0x0800}, "", "ipv4"),
    ],
)
def test_what_follows(name: str, given: dict[str, Any], rest: str, want: str | None) -> None:
    assert after(name, bytes.fromhex(rest), **given) == want


@pytest.mark.parametrize(
    ("name", "given", "want"),
    [
        ("eth", {"type": 46}, (60, "length")),
        ("eth", {"type": 0x0800}, None),
        ("vlan", {"type": 0}, (4, "length")),
        ("ipv4", {"total_len": 40}, (40, "total_len")),
        ("ipv4", {"total_len": 0}, None),
        ("ipv6", {"payload_len": 8}, (48, "payload_len")),
        ("ipv6", {"payload_len": 0}, None),
        ("ipv6", {"payload_len": 0, "next_header": 59}, (40, "payload_len")),
        ("udp", {"len": 9}, (9, "len")),
        ("udp", {"len": 0}, None),
        ("vxlan", {}, None),
    ],
)
def test_where_a_length_field_ends(name: str, given: dict[str, Any], want: Any) -> None:
    assert header_class(name)(**given).extent() == want


def test_tunnels() -> None:
    tunnels = {"gre", "erspan", "vxlan", "gpe", "geneve"}
    from encap.registry import HEADERS

    assert {name for name in HEADERS if header_class(name).tunnel} == tunnels


def test_fields_are_given_by_name() -> None:
    with pytest.raises(TypeError, match=r"VXLAN\.__init__\(\) takes 1 positional argument"):
        VXLAN(42)  # type: ignore[misc]
    with pytest.raises(TypeError, match=r"VXLAN\.__init__\(\) got an unexpected keyword"):
        VXLAN(vnid=42)  # type: ignore[call-arg]
