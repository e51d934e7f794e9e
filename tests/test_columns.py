"""Columns hold, for every packet, what `encap.parse` says of it; 0 where a field is absent.

Every field and view of every header, in both ways to a column: out of parsed `Layers` (gather)
and straight from the packets (walk and gather in one pass).
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address
from typing import Any

import golden
import numpy as np
import pytest
import stacks

import encap
from encap import MAC, FieldError, Header, Kind, Packets
from encap.columns import column
from encap.names import GROUPS, MEMBERS, OF_PACKETS
from encap.registry import HEADERS, header_class

LENGTHS = {IPv6Address: 16, MAC: 6}

FIELDS = [
    f"{path}.{name}"
    for path in HEADERS
    for name, field in header_class(path).fields.items()
    if field.variable is None
]
VIEWS = [f"{path}.{name}" for path in HEADERS for name in header_class(path).views]
GROUPED = [f"{group}.{name}" for group, names in GROUPS.items() for name in names]
PLACED = [
    place.format(name)
    for name in (
        "eth.src", "ipv4.src", "ipv6.dst", "ipv4.ttl", "udp.dport", "vlan.vid", "vxlan.vni",
        "gre.key", "mpls.label", "dstopts.next_header",
    )
    for place in ("outer.{}", "inner.{}")
] + [
    f"{part}{path}[{index}].{field}"
    for part in ("", "outer.", "inner.")
    for path, field in (
        ("ipv4", "id"), ("ipv6", "src"), ("eth", "dst"), ("vlan", "vid"), ("gre", "seq"),
        ("ip", "src"), ("ip", "ttl"), ("l4", "sport"), ("tunnel", "id"), ("tunnel", "kind"),
    )
    for index in (0, 1, 2, 3, -1, -2, 15, -16, 999)
]  # fmt: skip
PRESENCE = [
    *(f"{name}?" for name in [*FIELDS, *VIEWS] if not name.startswith("eth.")),
    *(f"{name}?" for name in GROUPED), *HEADERS, *GROUPS,
    "inner.vlan[1]", "inner.tcp", "outer.udp", "ipv4[-2]", "tunnel[1]", "inner.ip", "l4[1]",
    "inner.gre.key?", "outer.tunnel.id?", "ip[1].src?", "tunnel[-1].kind?", "tunnel[1].id?",
]  # fmt: skip


@pytest.fixture(scope="module")
def packets() -> Packets:
    """Frames of a kernel, and random ones: as made, damaged, cut, padded."""
    kernel = golden.every_frame()[::20]
    random = [stacks.random_packets(600, 21, change) for change in stacks.CHANGES]
    odd = Packets.from_frames([b"", b"\x45", bytes(13), bytes(60)], linktypes=[1, 101, 1, 147])
    return Packets.concat([kernel, *random, odd])


@pytest.fixture(scope="module")
def parsed(packets: Packets) -> list[encap.Packet | None]:
    found: list[encap.Packet | None] = []
    for frame, linktype in zip(packets, packets.linktypes.tolist(), strict=True):
        known = linktype in stacks.LINKS
        found.append(encap.parse(frame, linktype, strict=False) if known else None)
    return found


@pytest.fixture(scope="module")
def layers(packets: Packets) -> encap.Layers:
    return packets.parse()


def number(value: object, family: bool) -> int:
    """A value as the number that its column's octets make; of either family as IPv6 addresses."""
    if isinstance(value, str):
        return int(Kind[value])
    if isinstance(value, IPv4Address) and family:
        return 0xFFFF << 32 | int(value)
    return int(value or 0)  # type: ignore[call-overload]


def looked_up(packet: encap.Packet | None, name: str) -> object:
    try:
        return None if packet is None else packet[name]
    except KeyError:
        return None


def plain(array: np.ndarray[Any, Any]) -> list[int]:
    """The rows of a column as numbers."""
    if array.ndim == 1:
        return [int(value) for value in array.tolist()]
    return [int.from_bytes(row.tobytes(), "big") for row in array]


def both(packets: Packets, layers: encap.Layers, name: str) -> Iterator[np.ndarray[Any, Any]]:
    yield layers[name]
    for implementation in encap.implementations():
        with encap.implementation(implementation):
            yield packets.columns(name)[name]


@pytest.mark.parametrize("name", [*FIELDS, *VIEWS])
def test_every_field_and_view(
    name: str, packets: Packets, parsed: list[encap.Packet | None], layers: encap.Layers
) -> None:
    path, _, attribute = name.partition(".")
    expected = []
    for packet in parsed:
        header = next((header for header in packet or () if header.path == path), None)
        expected.append(number(getattr(header, attribute, None), family=False))
    for array in both(packets, layers, name):
        wrong = [
            row for row, (a, b) in enumerate(zip(plain(array), expected, strict=True)) if a != b
        ]
        assert not wrong, f"row {wrong[0]}: {parsed[wrong[0]]!r} {packets[wrong[0]].hex()}"


@pytest.mark.parametrize("name", [*PLACED, *GROUPED])
def test_names_with_a_place(
    name: str, packets: Packets, parsed: list[encap.Packet | None], layers: encap.Layers
) -> None:
    family = (
        name.endswith((".src", ".dst"))
        and name.split(".")[-2].startswith("ip")
        and ("ipv4" not in name and "ipv6" not in name)
    )
    expected = [number(looked_up(packet, name), family) for packet in parsed]
    for array in both(packets, layers, name):
        wrong = [
            row for row, (a, b) in enumerate(zip(plain(array), expected, strict=True)) if a != b
        ]
        assert not wrong, f"row {wrong[0]}: {parsed[wrong[0]]!r} {packets[wrong[0]].hex()}"


@pytest.mark.parametrize("name", PRESENCE)
def test_presence(
    name: str, packets: Packets, parsed: list[encap.Packet | None], layers: encap.Layers
) -> None:
    expected = [looked_up(packet, name.removesuffix("?")) is not None for packet in parsed]
    for array in (*both(packets, layers, name), layers.has(name.removesuffix("?"))):
        assert array.dtype == np.bool_
        wrong = np.flatnonzero(array != expected)
        assert not wrong.size, f"row {wrong[0]}: {parsed[wrong[0]]!r} {packets[wrong[0]].hex()}"


def test_the_frames_have_what_is_asked_for(layers: encap.Layers) -> None:
    missing = [name for name in [*FIELDS, *VIEWS] if not layers.has(name).any()]
    assert missing == []
    assert set(layers.status) == set(encap.Status)


# --- types and memory -----------------------------------------------------------------


def dtype_of(field: Any, header: type[Header], name: str) -> tuple[np.dtype[Any], tuple[int, ...]]:
    view = header.views.get(name)
    if view is not None:
        return np.min_scalar_type((1 << view.bits) - 1), ()
    if field.address is not None and field.bits > 32:
        return np.dtype(np.uint8), (field.bits // 8,)
    return np.min_scalar_type(((1 << field.bits) - 1) * field.scale), ()


def test_types(packets: Packets, layers: encap.Layers) -> None:
    for name in [*FIELDS, *VIEWS]:
        path, _, attribute = name.partition(".")
        header = header_class(path)
        dtype, shape = dtype_of(header.fields.get(attribute), header, attribute)
        for array in (layers[name], packets.columns(name)[name]):
            assert (array.dtype, array.shape) == (dtype, (len(packets), *shape)), name
    types = {
        "ip.src": (np.uint8, 16), "ip.ttl": (np.uint8,), "ip.length": (np.uint16,),
        "l4.sport": (np.uint16,), "tunnel.id": (np.uint32,), "tunnel.kind": (np.uint8,),
        "ipv4.src": (np.uint32,), "eth.src": (np.uint8, 6), "ipv6.src": (np.uint8, 16),
        "ipv4.fragment_offset": (np.uint16,), "geneve.opt_len": (np.uint8,),
        "vxlan.vni": (np.uint32,), "tcp.flags": (np.uint16,), "gre.key?": (np.bool_,),
        "ah.spi": (np.uint32,), "vlan": (np.bool_,),
    }  # fmt: skip
    for name, (kind, *shape) in types.items():
        array = layers[name]
        assert (array.dtype, array.shape[1:]) == (np.dtype(kind), tuple(shape)), name


def test_many_columns_at_once_in_the_order_asked_for(
    packets: Packets, layers: encap.Layers
) -> None:
    names = [*FIELDS, *PLACED, *PRESENCE, *OF_PACKETS, "vxlan.vni", "path"][::-1]
    for threads in (1, 2):
        found = packets.columns(*names, threads=threads)
        assert list(found) == list(dict.fromkeys(names))
        for name, array in found.items():
            assert np.array_equal(array, layers[name]), name


def test_results_do_not_depend_on_threads(
    packets: Packets, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = packets.columns("inner.ip.src", "tunnel.id", "status", threads=1)
    monkeypatch.setattr("encap._lib.ROWS_A_THREAD", 1)
    for threads in (2, 3, 5):
        for name, array in packets.columns(*alone, threads=threads).items():
            assert np.array_equal(array, alone[name])


def test_out_takes_what_an_earlier_call_returned(packets: Packets) -> None:
    names = ("ipv4.src", "inner.eth.dst", "gre.key?", "length")
    first = packets.columns(*names)
    copies = {name: array.copy() for name, array in first.items()}
    for name in names[:3]:
        first[name][:] = 1
    again = packets.columns(*names, out=first)
    for name in names:
        assert np.array_equal(again[name], copies[name])
    assert all(np.shares_memory(again[name], first[name]) for name in names)
    fewer = packets[:10].columns(*names, out=first)
    assert all(len(array) == 10 for array in fewer.values())
    assert np.array_equal(fewer["ipv4.src"], copies["ipv4.src"][:10])


@pytest.mark.parametrize(
    "out",
    [
        np.zeros(5, np.uint32), np.zeros(10**4, np.uint16), np.zeros(10**4, np.int32),
        np.zeros((10**4, 2), np.uint32), np.zeros(10**5, np.uint32)[::2],
        np.zeros(10**4, ">u4"),
    ],
    ids=["short", "narrow", "signed", "wide", "strided", "order"],
)  # fmt: skip
def test_out_that_cannot_serve(out: Any, packets: Packets) -> None:
    with pytest.raises(FieldError, match="out"):
        packets.columns("ipv4.src", out={"ipv4.src": out})


def test_out_that_is_no_array(packets: Packets) -> None:
    with pytest.raises(TypeError, match="list"):
        packets.columns("ipv4.src", out={"ipv4.src": [0] * 10**4})  # type: ignore[dict-item]


def test_out_that_is_read_only(packets: Packets) -> None:
    array = np.zeros(len(packets), np.uint32)
    array.flags.writeable = False
    with pytest.raises(FieldError, match="writable"):
        packets.columns("ipv4.src", out={"ipv4.src": array})


def test_no_packets_and_no_names(packets: Packets) -> None:
    empty = packets[:0]
    layers = empty.parse()
    for name in (*FIELDS, *PRESENCE, *GROUPED, *OF_PACKETS):
        assert len(layers[name]) == 0
        array = empty.columns(name)[name]
        assert array.shape == layers[name].shape
        assert array.dtype == layers[name].dtype
    assert packets.columns() == {}
    assert empty.columns() == {}


def test_of_packets(packets: Packets, layers: encap.Layers) -> None:
    stamped = packets.replace(times=np.arange(len(packets)))
    found = stamped.columns(*OF_PACKETS)
    assert np.array_equal(found["time"], np.arange(len(packets)))
    assert np.array_equal(found["length"], packets.lengths)
    assert np.array_equal(found["wire_length"], packets.wire_lengths)
    assert (found["wire_length"] > found["length"]).any()
    assert np.array_equal(found["status"], layers.status)
    assert found["path"].tolist() == layers["path"].tolist()


def test_more_paths_than_slots_are_kept_for() -> None:
    # Each packet has a path of its own: what a path alone decides is then found a packet at a time.
    frames = []
    for number_of_path in range(5000):
        kinds = [(0, 60)[number_of_path >> bit & 1] for bit in range(13)]
        chain = b"".join(bytes([kind, 0]) + bytes(6) for kind in (*kinds[1:], 17))
        body = chain + number_of_path.to_bytes(2, "big") + bytes.fromhex("000200080000")
        frames.append(
            bytes.fromhex("60000000") + len(body).to_bytes(2, "big") + bytes([kinds[0]])
            + number_of_path.to_bytes(33, "big") + body
        )  # fmt: skip
    packets = Packets.from_frames(frames, linktypes=101)
    layers = packets.parse()
    assert (layers.path_ids == 65535).sum() == 5000 - 4096
    rows = np.arange(5000)
    dstopts = np.array([int(row & 0x1FFF).bit_count() for row in rows])
    assert np.array_equal(layers["udp.sport"], rows)
    assert np.array_equal(packets.columns("udp.sport")["udp.sport"], rows)
    assert np.array_equal(layers.count("dstopts"), dstopts)
    assert np.array_equal(layers.count("ip"), np.ones(5000))
    assert np.array_equal(packets.columns("dstopts[3]")["dstopts[3]"], dstopts > 3)
    assert np.array_equal(layers.slot("udp"), np.full(5000, 14))


# --- names ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "lists"),
    [
        ("vxlan.nope", "vni"), ("vxlan.nope?", "group_policy_id"), ("ip.nope", "ttl"),
        ("nope.vni", "vxlan"), ("nope", "geneve"), ("l4.seq", "sport"), ("tunnel.vni", "id"),
        ("inner.nope.x", "tunnel"),
    ],
)  # fmt: skip
def test_an_unknown_name_lists_those_that_exist(name: str, lists: str, packets: Packets) -> None:
    for ask in (packets.parse().__getitem__, packets.columns, packets.parse().has):
        with pytest.raises(FieldError, match=rf"\b{lists}\b"):
            ask(name)


@pytest.mark.parametrize(
    "name",
    ["", ".", "vxlan.", ".vni", "vxlan..vni", "vxlan.vni ", " vxlan", "VXLAN.vni", "inner.", "x",
     "vxlan[a].vni", "vxlan[].vni", "vxlan[1", "vxlan?", "middle.ipv4.src", "ipv4[1000].src",
     "ipv4.src[1]", "inner.outer.ipv4.src", "time?", "length.x", "vxlan.vni\n", "ipv4.src??"],
)  # fmt: skip
def test_what_is_no_name(name: str, packets: Packets) -> None:
    with pytest.raises(FieldError):
        packets.columns(name)
    with pytest.raises(FieldError):
        packets.parse()[name]


@pytest.mark.parametrize("name", ["geneve.options", "ipv4.options", "gre.routing", "tcp.options?"])
def test_a_variable_part_is_no_column(name: str, packets: Packets) -> None:
    with pytest.raises(FieldError, match="span"):
        packets.columns(name)


@pytest.mark.parametrize("name", [None, 1, b"vxlan.vni", ("vxlan", "vni"), ["vxlan.vni"]])
def test_a_name_is_text(name: Any, packets: Packets) -> None:
    with pytest.raises(TypeError):
        packets.columns(name)
    with pytest.raises(TypeError):
        packets.parse()[name]


def test_all_groups_have_columns() -> None:
    for name in GROUPED:
        assert column(name).dtype == column(f"inner.{name}").dtype
    for group, members in MEMBERS.items():
        assert column(group).spec.kinds == sum(1 << Kind[member] for member in members)
