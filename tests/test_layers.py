"""What `Layers` says beside columns: spans, counts, slots, offsets; and what it lets one do."""

from __future__ import annotations

from itertools import accumulate

import numpy as np
import pytest
import stacks

import encap
from encap import FieldError, Layers, Packets, Status
from encap.names import MEMBERS, parse_name, split
from encap.registry import HEADERS, header_class

VARIABLE = [
    f"{path}.{name}"
    for path in HEADERS
    for name, field in header_class(path).fields.items()
    if field.variable is not None
]
NAMES = [
    *HEADERS, "ip", "l4", "tunnel", "inner.ipv4", "outer.ipv4", "inner.eth", "outer.eth",
    "inner.ip",
    "inner.l4", "outer.l4",
    "inner.vlan", "outer.vlan", "outer.tunnel", "inner.tunnel", "inner.mpls",
]  # fmt: skip
INDEXED = [f"{name}[{index}]" for name in NAMES for index in (1, 2, -1, -2)]


@pytest.fixture(scope="module")
def packets() -> Packets:
    return Packets.concat([stacks.random_packets(700, 31, change) for change in stacks.CHANGES])


@pytest.fixture(scope="module")
def parsed(packets: Packets) -> list[encap.Packet]:
    linktypes = packets.linktypes.tolist()
    return [
        encap.parse(frame, linktype, strict=False)
        for frame, linktype in zip(packets, linktypes, strict=True)
    ]


@pytest.fixture(scope="module")
def layers(packets: Packets) -> Layers:
    return packets.parse()


def offsets_of(packet: encap.Packet) -> list[int]:
    return [0, *accumulate(header.header_len for header in packet)]


def indices(packet: encap.Packet, name: str) -> list[int]:
    """The headers that a name without an index counts."""
    paths = tuple(header.path for header in packet)
    wanted = parse_name(name)
    return [index for index in split(paths).of(wanted) if paths[index] in wanted.protocols]


@pytest.mark.parametrize("name", VARIABLE)
def test_spans_of_variable_parts(
    name: str, packets: Packets, parsed: list[encap.Packet], layers: Layers
) -> None:
    path, _, part = name.partition(".")
    codec = header_class(path).fields[part].variable
    assert codec is not None
    starts, lengths = layers.span(name)
    assert (starts.dtype, lengths.dtype) == (np.int64, np.uint32)
    there = 0
    for row, packet in enumerate(parsed):
        octets = packets.data[starts[row] : starts[row] + lengths[row]].tobytes()
        found = indices(packet, path)
        broken = packet.broken and found[:1] == [len(packet.headers) - 1]
        if not found or broken:
            assert octets == b""
            continue
        header = packet.headers[found[0]]
        assert octets == codec.build(getattr(header, part)), (row, header)
        there += bool(octets)
    assert there


def test_span_of_a_header_further_in(
    packets: Packets, parsed: list[encap.Packet], layers: Layers
) -> None:
    for name in (
        "ipv4[1].options",
        "inner.ipv4.options",
        "inner.tcp.options",
        "geneve[-1].options",
    ):
        starts, lengths = layers.span(name)
        for row, packet in enumerate(parsed):
            where = name.rpartition(".")[0]
            header = packet[where] if where in packet else None  # noqa: SIM401
            octets = packets.data[starts[row] : starts[row] + lengths[row]].tobytes()
            if header is None or (packet.broken and header is packet.headers[-1]):
                assert octets == b""
            else:
                assert octets == header.fields["options"].variable.build(header.options)
        assert lengths.any()


@pytest.mark.parametrize(
    "name",
    ["geneve.vni", "geneve.nope", "vxlan.options", "ip.options", "tunnel.options", "eth.src"],
)
def test_what_has_no_span(name: str, layers: Layers) -> None:
    with pytest.raises(FieldError, match="variable part"):
        layers.span(name)


@pytest.mark.parametrize("name", ["geneve", "", "nope.options", "options", ".options"])
def test_span_of_no_name(name: str, layers: Layers) -> None:
    with pytest.raises(FieldError):
        layers.span(name)


@pytest.mark.parametrize("name", NAMES)
def test_count(name: str, parsed: list[encap.Packet], layers: Layers) -> None:
    counted = layers.count(name)
    assert counted.dtype == np.uint8
    assert counted.tolist() == [len(indices(packet, name)) for packet in parsed]


@pytest.mark.parametrize("name", [*NAMES, *INDEXED])
def test_slot_offset_and_has(name: str, parsed: list[encap.Packet], layers: Layers) -> None:
    slots, offsets, there = layers.slot(name), layers.offset(name), layers.has(name)
    assert (slots.dtype, offsets.dtype, there.dtype) == (np.int8, np.int32, np.bool_)
    wanted = parse_name(name)
    for row, packet in enumerate(parsed):
        found = indices(packet, name)
        slot = found[wanted.index] if -len(found) <= wanted.index < len(found) else -1
        assert slots[row] == slot
        assert there[row] == (slot >= 0)
        assert offsets[row] == (offsets_of(packet)[slot] if slot >= 0 else -1)


@pytest.mark.parametrize("ask", ["slot", "offset", "count"])
@pytest.mark.parametrize("name", ["vxlan.vni", "tunnel.kind", "tunnel.kind?", "time", "nope", ""])
def test_headers_are_meant_here(ask: str, name: str, layers: Layers) -> None:
    with pytest.raises(FieldError):
        getattr(layers, ask)(name)


def test_a_count_takes_no_index(layers: Layers) -> None:
    with pytest.raises(FieldError, match="index"):
        layers.count("vlan[1]")


def test_payload(packets: Packets, parsed: list[encap.Packet], layers: Layers) -> None:
    starts, lengths = layers.payload
    assert (starts.dtype, lengths.dtype) == (np.int64, np.uint32)
    for row, packet in enumerate(parsed):
        assert packets.data[starts[row] : starts[row] + lengths[row]].tobytes() == packet.payload


def test_words_for_a_row(packets: Packets, layers: Layers) -> None:
    assert len(layers) == len(packets)
    assert repr(layers) == f"<Layers: {len(packets)} packets, {len(layers.paths)} paths>"
    assert set(layers["path"]) == set(layers.paths)
    assert layers.kinds.shape == layers.offsets.shape == (len(packets), 16)


def test_of_no_packets() -> None:
    layers = Packets.from_frames([]).parse(threads=3)
    assert (len(layers), layers.paths) == (0, [])
    counts = (layers.count("ip"), layers.count("inner.ip"), layers.slot("eth"))
    walked = (layers.path_ids, layers.status, layers.depth, layers.status_layer, layers.kinds)
    spans = (*layers.payload, *layers.span("geneve.options"), layers.offset("eth"))
    for array in (*counts, *walked, *spans, layers.has("gre.key"), layers.status_offset):
        assert len(array) == 0


# --- memory used again ------------------------------------------------------------------


def test_out_is_used_again(packets: Packets, layers: Layers) -> None:
    first = packets.parse()
    memory = first.kinds.__array_interface__["data"]
    again = packets[100:300].parse(out=first)
    assert again.kinds.__array_interface__["data"] == memory
    assert np.array_equal(again["path"], layers["path"][100:300])
    assert np.array_equal(again["ipv4.src"], layers["ipv4.src"][100:300])


def test_out_with_too_little_room(packets: Packets) -> None:
    small = packets[:10].parse()
    with pytest.raises(FieldError, match="room"):
        packets.parse(out=small)
    with pytest.raises(TypeError, match="Layers"):
        packets.parse(out=np.zeros(10))  # type: ignore[arg-type]


# --- what the core trusts ---------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["packets", "path_ids", "_records", "_path_ids", "_paths", "kinds"]
)
def test_nothing_can_be_put_in_place_of_another(name: str, packets: Packets) -> None:
    layers = packets[:5].parse()
    with pytest.raises(AttributeError):
        setattr(layers, name, packets)
    with pytest.raises(AttributeError):
        delattr(layers, name)


def test_layers_fit_their_packets(packets: Packets) -> None:
    layers = packets[:5].parse()
    with pytest.raises(FieldError, match="one record"):
        Layers(packets, layers._records, layers._path_ids, layers._paths)


@pytest.mark.parametrize(
    "name", ["path_ids", "kinds", "offsets", "depth", "status", "status_layer"]
)
def test_arrays_are_read_only(name: str, packets: Packets) -> None:
    array = getattr(packets[:5].parse(), name)
    with pytest.raises(ValueError, match="read-only"):
        array[:] = 1


def test_arrays_of_nonsense_are_read_within_bounds(packets: Packets) -> None:
    # Somebody may write to them in spite of all: what comes out is arbitrary, nothing breaks.
    rng = np.random.default_rng(1)
    for _ in range(20):
        layers = packets.parse()
        layers._records.view(np.uint8)[:] = rng.integers(0, 256, len(packets) * 64, np.uint8)
        layers._path_ids[:] = rng.integers(0, 65536, len(packets), np.uint16)
        for name in ("ipv4.src", "ip.src", "gre.key", "inner.eth.dst", "tunnel.id", "vlan[-1]"):
            assert len(layers[name]) == len(packets)


# --- status -----------------------------------------------------------------------------


def test_status_of_made_frames() -> None:
    ip = "450000{:02x}00000000401100000102030405060708"
    frames = {
        Status.OK: bytes.fromhex(ip.format(28) + "0001000200080000"),
        Status.TRUNCATED: bytes.fromhex(ip.format(28) + "00010002"),
        Status.MALFORMED: bytes.fromhex(ip.format(28) + "0001000200070000"),
        Status.UNSUPPORTED: bytes.fromhex(ip.format(36) + "000117c100100000" + "c000655800000000"),
        Status.FRAGMENT: bytes.fromhex("4500001c000020004011000001020304050607080001000200080000"),
        Status.DEPTH: b"".join(
            bytes.fromhex("450000000000000040040000") + bytes(8) for _ in range(17)
        ),
    }
    layers = Packets.from_frames(frames.values(), linktypes=101).parse()
    assert layers.status.tolist() == [*frames]
    assert layers.status_layer.tolist() == [0, 1, 1, 2, 0, 16]
    assert layers.status_offset.tolist() == [0, 20, 20, 28, 0, 320]
    assert layers.paths == [
        "ipv4/udp", "ipv4", "ipv4/udp/geneve", "/".join(["ipv4"] * 16)
    ]  # fmt: skip


def test_tunnel_group_is_of_tunnel_headers_alone(
    parsed: list[encap.Packet], layers: Layers
) -> None:
    counted = layers.count("tunnel")
    for row, packet in enumerate(parsed):
        paths = tuple(header.path for header in packet)
        tunnels = split(paths).tunnels
        assert {paths[index] for index in tunnels} <= set(MEMBERS["tunnel"])
        assert counted[row] == len(tunnels)
