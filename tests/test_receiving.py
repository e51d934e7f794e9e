"""What a host finds in packets: the core's pass against layers, columns and plain arithmetic."""

from __future__ import annotations

from ipaddress import ip_address

import golden
import numpy as np
import pytest
import receiving
from hypothesis import given
from hypothesis import strategies as st

import encap
from encap import MAC, Packets
from encap.implementations import implementation, implementations
from encap.tunnels.reasons import Reason
from encap.tunnels.received import _REASONS, Received, Receiver, receive
from encap.walk import port_rules

NOBODY = MAC("02:00:00:00:00:99")
PORTS: dict[int, str | None] = {5555: "ipv4", 5556: "ipv6"}
HOSTS = [
    Receiver("ipv4", None, (), udp=False),
    Receiver("ipv4", None, (), udp=True),
    Receiver("ipv6", None, (), udp=True),
    Receiver("ipv6", NOBODY, (), udp=False),
    Receiver("ipv4", NOBODY, (ip_address("192.0.2.2"), ip_address("2001:db8::2")), udp=True),
    Receiver("ipv6", None, (ip_address("192.0.2.2"), ip_address("2001:db8::2")), udp=True),
    Receiver("ipv4", None, (ip_address("2001:db8::2"),), udp=True),
]


def found(packets: Packets, host: Receiver) -> np.ndarray:
    made, _ = receive(packets, host, (), port_rules(PORTS))
    return np.stack([array.astype(np.int64) for array in made[:8]], 1).reshape(-1, 8)


def sample() -> Packets:
    """Frames of every kind, and hand-made ones that are wrong."""
    frames = golden.every_frame()
    bad = Packets.concat(
        golden.capture(name, "injected")
        for name, entry in golden.INDEX.items()
        if "injected" in entry["captures"]
    )
    return Packets.concat([frames[:: max(1, len(frames) // 2500)], bad])


FRAMES = sample()


@pytest.mark.parametrize("host", HOSTS)
def test_golden_frames_are_found_as_by_hand(host: Receiver) -> None:
    assert found(FRAMES, host).tolist() == receiving.received(FRAMES, host, PORTS).tolist()


def test_every_reason_and_flag_occurs() -> None:
    mine = [received(FRAMES, host) for host in HOSTS]
    reasons = {Reason(number) for one in mine for number in one.reasons.tolist()}
    assert reasons == {Reason.ACCEPTED, *_REASONS.values()}
    assert np.bitwise_or.reduce([np.bitwise_or.reduce(one.flags) for one in mine]) == 31
    assert np.bitwise_or.reduce(mine[0].flags) == 1  # UDP does not matter to that host


def received(packets: Packets, host: Receiver) -> Received:
    return receive(packets, host, (), port_rules(PORTS))[0]


@given(st.data())
def test_mutated_frames_are_found_as_by_hand(data: st.DataObject) -> None:
    rows = data.draw(st.lists(st.integers(0, len(FRAMES) - 1), min_size=1, max_size=4))
    frames = [bytearray(FRAMES[row]) for row in rows]
    for frame in frames:
        for _ in range(data.draw(st.integers(0, 4))):
            frame[data.draw(st.integers(0, min(len(frame), 100) - 1))] = data.draw(
                st.integers(0, 255)
            )
        del frame[data.draw(st.integers(1, len(frame))) :]
    more = data.draw(st.integers(0, 40))
    batch = Packets.from_frames(
        frames, linktypes=FRAMES.linktypes[rows], wire_lengths=[len(f) + more for f in frames]
    )
    for host in HOSTS:
        expected = receiving.received(batch, host, PORTS)
        for variant in implementations():
            with implementation(variant):
                assert found(batch, host).tolist() == expected.tolist()


@pytest.mark.parametrize("host", HOSTS)
def test_every_truncation_is_found_as_by_hand(host: Receiver) -> None:
    for row in (0, len(FRAMES) // 2, len(FRAMES) - 1):
        frame = FRAMES[row]
        cuts = range(len(frame) + 1)
        batch = Packets.from_frames(
            [frame[:size] for size in cuts],
            linktypes=FRAMES.linktypes[row],
            wire_lengths=[len(frame)] * len(cuts),
        )
        assert found(batch, host).tolist() == receiving.received(batch, host, PORTS).tolist()


def test_columns_come_in_the_same_pass() -> None:
    names = ("ipv4.src", "udp.dport", "inner.eth.src")
    _, columns = receive(FRAMES, HOSTS[1], names, port_rules(PORTS))
    expected = FRAMES.columns(*names, ports=PORTS)
    assert [*columns] == [*expected]
    assert all(np.array_equal(columns[name], expected[name]) for name in names)


@pytest.mark.parametrize("width", [1, 6, 8])
def test_a_number_behind_ip_comes_in_the_same_pass(width: int) -> None:
    mine = received(FRAMES, HOSTS[1]._replace(peeks=((22, width), (0, 2))))
    for row, frame in enumerate(FRAMES):
        at = int(mine.upper[row]) + 22
        there = mine.ip[row] | mine.upper[row] and at + width <= len(frame)
        expected = int.from_bytes(frame[at : at + width], "big") if there else 0
        if mine.reasons[row] != Reason.OTHER_PROTOCOL:
            assert int(mine.peeked[0][row]) == expected


def test_no_rows() -> None:
    assert found(Packets.from_frames([]), HOSTS[0]).shape == (0, 8)


def test_rows_outside_of_the_buffer_are_empty_frames() -> None:
    batch = encap.Packets.from_frames([FRAMES[0]])
    outside = batch._make(
        batch.data, np.array([-1, 1 << 40]), batch.lengths.repeat(2),
        wire_lengths=batch.lengths.repeat(2), times=batch.times.repeat(2),
        linktypes=batch.linktypes.repeat(2),
    )  # fmt: skip
    mine = received(outside, HOSTS[0])
    assert mine.reasons.tolist() == [Reason.OTHER_PROTOCOL] * 2
    assert mine.end.tolist() == [0, 0]
