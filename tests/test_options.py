"""Options as columns, against the options of single packets and against octets made by scapy."""

import numpy as np
import pytest
from scapy.all import IP, TCP, Ether  # type: ignore[import-untyped]

import encap
from encap import UDP, Ethernet, FieldError, Geneve, GeneveOption, IPv4, Packets


def geneve(*options: GeneveOption) -> bytes:
    ends = {"src": "10.0.0.1", "dst": "10.0.0.2"}
    outer = Ethernet(src=1, dst=2) / IPv4(**ends) / UDP() / Geneve(vni=1, options=options)
    return bytes(outer / Ethernet(src=1, dst=2) / IPv4(**ends) / UDP(dport=53))


def test_a_geneve_option_is_found_among_others() -> None:
    cookie = GeneveOption(0x0108, 3, b"\x11\x22\x33\x44")
    frames = [
        geneve(),
        geneve(cookie),
        geneve(GeneveOption(0x0108, 1, bytes(8)), GeneveOption(0x0102, 0x80, b"abcd"), cookie),
        geneve(GeneveOption(0x0108, 3, b"\x55" * 8), cookie),
    ]
    layers = Packets.from_frames(frames).parse()
    data, present = layers.option("geneve", 0x0108, 3)
    assert present.tolist() == [False, True, True, True]
    assert data.dtype == np.uint8
    assert [row.tobytes() for row in data] == [
        bytes(8),
        b"\x11\x22\x33\x44" + bytes(4),
        b"\x11\x22\x33\x44" + bytes(4),
        b"\x55" * 8,
    ]
    nothing, absent = layers.option("geneve", 0x0108, 9)
    assert nothing.shape == (4, 0)
    assert not absent.any()


def test_options_of_tcp_and_ipv4_as_scapy_writes_them() -> None:
    options = [("NOP", None), ("MSS", 1460), ("WScale", 7), ("Timestamp", (1, 2))]
    frame = bytes(Ether() / IP(options=[]) / TCP(options=options))
    layers = Packets.from_frames([frame]).parse()
    assert layers.option("tcp", 2)[0].tobytes() == (1460).to_bytes(2, "big")
    assert layers.option("tcp", 3)[0].tobytes() == b"\x07"
    assert layers.option("inner.tcp", 8)[0].tobytes() == b"\0\0\0\1\0\0\0\2"
    assert not layers.option("ipv4", 7)[1].any()


def test_every_option_agrees_with_the_single_packet() -> None:
    rng = np.random.default_rng(5)
    frames = []
    for _ in range(200):
        body = rng.integers(0, 256, 4 * int(rng.integers(0, 10)), dtype=np.uint8).tobytes()
        body = bytes(octet & 0x83 if at % 4 else 0 for at, octet in enumerate(body))
        frames.append(geneve(body))  # type: ignore[arg-type]
    layers = Packets.from_frames(frames).parse()
    for kind in range(0x84):
        data, present = layers.option("geneve", 0, kind)
        for row, frame in enumerate(frames):
            found = [
                option.data
                for option in encap.parse(frame)[Geneve].options
                if isinstance(option, GeneveOption)
                and (option.option_class, option.type) == (0, kind)
            ]
            assert present[row] == bool(found)
            if found:
                assert data[row].tobytes()[: len(found[0])] == found[0]


def test_what_cannot_be_an_option_is_refused() -> None:
    layers = Packets.from_frames([geneve()]).parse()
    with pytest.raises(FieldError, match="has no options"):
        layers.option("udp", 1)
    with pytest.raises(FieldError):
        layers.option("geneve", 1 << 16, 3)
    with pytest.raises(TypeError):
        layers.option("geneve", 3)
    assert Packets.from_frames([]).parse().option("geneve", 1, 1)[0].shape == (0, 0)
