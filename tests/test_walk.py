"""The walk in C finds in a frame what `encap.parse` finds: layers, offsets, payload, status.

`encap.packet` and the core's walk are two descriptions of the same walk; here they are held equal
on a kernel's packets and on random ones, whole, damaged, cut and padded.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate
from random import Random
from typing import Any

import golden
import numpy as np
import pytest
import stacks

import encap
from encap import Packets, Status
from encap.errors import DepthError, MalformedError, TruncatedError, UnsupportedError
from encap.registry import DEFAULT, HEADERS
from encap.walk import PathTable

STATUSES = {
    TruncatedError: Status.TRUNCATED, MalformedError: Status.MALFORMED,
    UnsupportedError: Status.UNSUPPORTED, DepthError: Status.DEPTH,
}  # fmt: skip
PORTS = {1000: "vxlan", 2000: "ipip", 4789: None, 3000: "gre"}

every_implementation = pytest.mark.parametrize("implementation", encap.implementations())


@pytest.fixture(params=[1, 2])
def threads(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """One thread, or two even for a few rows."""
    monkeypatch.setattr("encap._lib.ROWS_A_THREAD", 1)
    count: int = request.param
    return count


def parsed(frame: bytes, linktype: int, ports: dict[int, str | None] | None) -> dict[str, Any]:
    """What encap.parse says of one frame, as a row of Layers says it."""
    try:
        packet = encap.parse(frame, linktype, strict=False, ports=ports)
    except UnsupportedError:  # the link type
        return {"path": "", "offsets": [], "payload": (0, len(frame)), "depth": 0,
                "status": Status.UNSUPPORTED, "status_layer": 0, "status_offset": 0}  # fmt: skip
    sizes = [header.header_len for header in packet]
    if packet.broken:
        sizes[-1] = packet.headers[-1].fixed_len
    offsets = [0, *accumulate(sizes)]
    found = {
        "path": packet.path, "offsets": offsets[:-1], "depth": len(packet.headers),
        "payload": (offsets[-1], len(packet.payload)),
        "status": Status.OK, "status_layer": 0, "status_offset": 0,
    }  # fmt: skip
    if packet.error is not None:
        layer = len(packet.headers) - packet.broken
        found |= {
            "status": STATUSES[type(packet.error)],
            "status_layer": layer,
            "status_offset": offsets[layer],
        }
        assert packet.error.offset == offsets[layer]
        assert packet.error.layer == (
            packet.path.split("/")[-1] if packet.broken else packet.error.layer
        )
    elif packet.incomplete:
        layer = max(i for i, header in enumerate(packet) if any(header.fragment() or ()))
        found |= {
            "status": Status.FRAGMENT, "status_layer": layer, "status_offset": offsets[layer],
        }  # fmt: skip
    assert bytes(packet) == frame
    return found


def walked(packets: Packets, layers: encap.Layers) -> Iterator[dict[str, Any]]:
    starts, lengths = layers.payload
    paths, known = layers["path"], layers.paths
    for row in range(len(packets)):
        depth = int(layers.depth[row])
        assert (layers.kinds[row, depth:] == 0).all()
        if layers.path_ids[row] != 65535:
            assert known[layers.path_ids[row]] == paths[row]
        yield {
            "path": paths[row],
            "offsets": layers.offsets[row, :depth].tolist(),
            "depth": depth,
            "payload": (int(starts[row] - packets.starts[row]), int(lengths[row])),
            "status": Status(layers.status[row]),
            "status_layer": int(layers.status_layer[row]),
            "status_offset": int(layers.status_offset[row]),
        }


def hold_equal(
    packets: Packets, threads: int = 1, ports: dict[int, str | None] | None = None
) -> None:
    """Asserts that the walk of a batch, in all CPU variants, is that of its single frames."""
    expected = [
        parsed(frame, linktype, ports)
        for frame, linktype in zip(packets, packets.linktypes.tolist(), strict=True)
    ]
    for name in encap.implementations():
        with encap.implementation(name):
            layers = packets.parse(threads=threads, ports=ports)
        for row, (got, wanted) in enumerate(zip(walked(packets, layers), expected, strict=True)):
            assert got == wanted, f"{name}: row {row}: {packets[row].hex()}"


def test_golden_frames(threads: int) -> None:
    hold_equal(golden.every_frame(), threads)


@pytest.mark.parametrize("change", stacks.CHANGES)
def test_random_frames(change: stacks.Change, threads: int) -> None:
    hold_equal(stacks.random_packets(4000, 1, change), threads)


def test_random_frames_have_every_header_and_every_status() -> None:
    layers = stacks.random_packets(4000, 1).parse()
    assert set(layers.kinds.ravel()) == set(range(len(HEADERS) + 1))
    assert set(layers.status) == set(Status)


def test_damaged_golden_frames() -> None:
    random = Random(5)
    frames = golden.every_frame()
    damaged = [stacks.flipped(random, frame) for frame in frames]
    hold_equal(Packets.from_frames(damaged, linktypes=frames.linktypes))


@pytest.mark.parametrize("change", [stacks.as_it_is, stacks.flipped])
def test_truncated_at_every_length(change: stacks.Change) -> None:
    frames = stacks.random_packets(60, 2, change)
    cuts = [
        (frame[:size], linktype)
        for frame, linktype in zip(frames, frames.linktypes.tolist(), strict=True)
        for size in range(min(len(frame), 200))
    ]
    octets, linktypes = zip(*cuts, strict=True)
    hold_equal(Packets.from_frames(octets, linktypes=linktypes))


def test_each_golden_path_truncated_at_every_length() -> None:
    frames = golden.every_frame()
    _, first = np.unique(frames.parse().path_ids, return_index=True)
    cuts = [
        (frames[row][:size], frames.linktypes[row])
        for row in first.tolist()
        for size in range(min(int(frames.lengths[row]), 160))
    ]
    octets, linktypes = zip(*cuts, strict=True)
    hold_equal(Packets.from_frames(octets, linktypes=linktypes))


def test_frames_of_random_octets() -> None:
    random = Random(3)
    frames = [random.randbytes(random.randrange(80)) for _ in range(3000)]
    linktypes = [random.choice([*stacks.LINKS, 9, 511, 512, 65535]) for _ in frames]
    hold_equal(Packets.from_frames(frames, linktypes=linktypes))


def test_every_linktype_number() -> None:
    frame = stacks.random_packets(1, 7)[0]
    hold_equal(Packets.from_frames([frame] * 600, linktypes=range(600)))
    known = DEFAULT.table("linktype")
    for linktype in (1, 101, 147, 65535):
        status = Packets.from_frames([frame], linktypes=linktype).parse().status
        assert (status[0] == Status.UNSUPPORTED) == (linktype not in known)


def test_every_ethertype_protocol_and_port() -> None:
    def frames(before: str, after: bytes) -> list[bytes]:
        return [
            bytes.fromhex(before) + number.to_bytes(2, "big") + after for number in range(65536)
        ]

    rest = bytes.fromhex("45000040000040004011000001020304") + bytes(60)
    hold_equal(Packets.from_frames(frames("020000000001020000000002", rest)[::7]))
    udp = "45000040000040004011000001020304050607080001"
    hold_equal(Packets.from_frames(frames(udp, b"\0\x2c\0\0" + rest)[3::7], linktypes=101))
    protocols = [rest[:9] + bytes([number]) + rest[10:] for number in range(256)]
    hold_equal(Packets.from_frames(protocols, linktypes=101))


def test_every_first_octet_pair_of_a_tunnel_header() -> None:
    ports = {"vxlan": 4789, "gpe": 4790, "geneve": 6081, "gue": 6080}
    inner = bytes.fromhex("4500001c000000004001000001020304050607080800000000000000") + bytes(40)
    for port in ports.values():
        head = bytes.fromhex("45000400000040004011000001020304050607080001")
        head += port.to_bytes(2, "big") + b"\0\0\0\0"
        frames = [head + bytes([a, b]) + inner for a in range(256) for b in range(0, 256, 15)]
        hold_equal(Packets.from_frames(frames, linktypes=101))
    head = bytes.fromhex("4500040000004000402f00000102030405060708")
    frames = [
        head + flags.to_bytes(2, "big") + protocol + inner
        for flags in range(0, 65536, 5)
        for protocol in (b"\x65\x58", b"\x88\xbe")
    ]
    hold_equal(Packets.from_frames(frames, linktypes=101))


def test_ports_given_with_the_call() -> None:
    random = Random(9)
    head = bytes.fromhex("45000000000040004011000001020304050607080001")
    frames = []
    for port in (1000, 2000, 3000, 4789, 8472):
        for _ in range(100):
            stack = stacks.Stack(random)
            body = stack.header(random.choice(["vxlan", "ipv4", "ipv6", "gre"]))
            frames.append(head + port.to_bytes(2, "big") + b"\0\0\0\0" + body)
    hold_equal(Packets.from_frames(frames, linktypes=101), ports=PORTS)
    bound = Packets.from_frames(frames, linktypes=101).with_ports(PORTS)
    assert bound.parse().paths == bound.parse(ports=PORTS).paths
    assert bound.parse().paths != Packets.from_frames(frames, linktypes=101).parse().paths


def test_frames_in_one_buffer_without_room_between_them() -> None:
    # What is next in memory must not be taken for a part of the frame.
    frames = stacks.random_packets(500, 11, stacks.cut)
    turned = frames[::-1]
    assert list(turned) == list(frames)[::-1]
    hold_equal(turned)
    assert turned.parse()["path"].tolist() == frames.parse()["path"].tolist()[::-1]


# --- path tables --------------------------------------------------------------------


@pytest.fixture(scope="module")
def many_paths() -> Packets:
    """More distinct paths than get an id of their own."""
    random, kinds = Random(13), (0, 43, 60)
    frames = {}
    while len(frames) < 6000:
        chain = tuple(random.choice(kinds) for _ in range(12))
        heads = [bytes([following, 0]) + bytes(6) for following in (*chain[1:], 17)]
        body = b"".join(heads) + bytes.fromhex("0001000200080000")
        frames[chain] = (
            bytes.fromhex("60000000")
            + len(body).to_bytes(2, "big")
            + bytes([chain[0]])
            + bytes(33)
            + body
        )
    return Packets.from_frames(frames.values(), linktypes=101)


def test_more_paths_than_there_is_room_for(many_paths: Packets) -> None:
    layers = many_paths.parse()
    assert len(layers.paths) == 4096
    assert (layers.path_ids[:4096] == np.arange(4096)).all()
    assert (layers.path_ids[4096:] == 65535).all()
    assert (layers["path"] == [encap.parse(frame, 101).path for frame in many_paths]).all()


@pytest.mark.parametrize("order", [1, -1])
def test_results_do_not_depend_on_threads(
    many_paths: Packets, order: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Twice the same rows: what got an id in the first part has it in the second one too.
    monkeypatch.setattr("encap._lib.ROWS_A_THREAD", 1)
    packets = Packets.concat([many_paths, many_paths[::order]])
    alone = packets.parse(threads=1)
    for threads in (2, 3, 7):
        layers = packets.parse(threads=threads)
        assert layers.paths == alone.paths
        assert (layers.path_ids == alone.path_ids).all()
        assert (layers["path"] == alone["path"]).all()


def test_paths_are_in_order_of_first_appearance(threads: int) -> None:
    packets = stacks.random_packets(3000, 17)
    layers = packets.parse(threads=threads)
    words = layers["path"].tolist()
    assert layers.paths == list(dict.fromkeys(words))


def test_a_path_table_that_is_full() -> None:
    table, other = PathTable(4), PathTable(4)
    assert (table.capacity, len(table), table.names()) == (4, 0, [])
    other.kinds[:2, 0] = 1, 2
    other.pointer.count = 2
    ids = table.merge(other)
    assert ids[:2].tolist() == [0, 1]
    assert ids[65535] == 65535
    assert table.names() == ["eth", "sll"]
