"""Arguments that make no sense: an EncapError or a TypeError, from whatever method they reach."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from encap import TCP, UDP, VXLAN, EncapError, Ethernet, IPv4, Packets

TEMPLATE = (
    "eth(src=02:00:00:00:00:01,dst=02:00:00:00:00:02)"
    "/ipv4(src=10.0.0.1,dst=10.0.0.2)/udp/vxlan(vni=42)"
)
MANY = np.zeros(3, np.int64)
RAGGED = [[1], [2, 3], [4]]
INNER = Ethernet(src=b"\x02" * 6, dst=b"\x04" * 6) / IPv4(src="10.0.0.1", dst="10.0.0.2")
FRAME = bytes(INNER / TCP(sport=1, dport=2) / b"abc")


def packets() -> Packets:
    return Packets.from_frames([FRAME] * 3)


WRONG: dict[str, Callable[[Packets], Any]] = {
    "ports that are text": lambda p: p.parse(ports="vxlan"),  # type: ignore[arg-type]
    "ports that are an array": lambda p: p.rewrite({"ipv4.ttl": 1}, ports=MANY),  # type: ignore[arg-type]
    "columns in a list": lambda p: p.encap(TEMPLATE, ["vxlan.vni"]),  # type: ignore[arg-type]
    "lists of different lengths": lambda p: p.encap(TEMPLATE, {"vxlan.vni": RAGGED}),
    "tags of different lengths": lambda p: p.push_vlan(RAGGED),  # type: ignore[arg-type]
    "an array for ttl": lambda p: p.encap(TEMPLATE, ttl=MANY),  # type: ignore[arg-type]
    "an array for df": lambda p: p.encap(TEMPLATE, df=MANY),  # type: ignore[arg-type]
    "an array for ecn": lambda p: p.encap(TEMPLATE, ecn=MANY),  # type: ignore[arg-type]
    "an array for errors": lambda p: p.encap(TEMPLATE, errors=MANY),  # type: ignore[arg-type]
    "a word for udp_checksum": lambda p: p.encap(TEMPLATE, udp_checksum="off"),  # type: ignore[arg-type]
    "an array for checksums": lambda p: p.rewrite({}, checksums=MANY),  # type: ignore[arg-type]
    "an array for which": lambda p: p.fix(MANY),  # type: ignore[arg-type]
    "an array for pad_to": lambda p: p.add_trailer(pad_to=MANY),  # type: ignore[arg-type]
    "a trailer of dates": lambda p: p.add_trailer(MANY.view("M8[ns]")),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("call", WRONG.values(), ids=WRONG)
def test_an_error_of_ours_or_a_type_error(call: Callable[[Packets], Any]) -> None:
    with pytest.raises((EncapError, TypeError)):
        call(packets())


@pytest.mark.parametrize("name", ["ttl", "tos", "sport"])
def test_a_number_of_numpy_is_a_number(name: str) -> None:
    given: Any = {name: np.int64(40)}
    plain: Any = {name: 40}
    made = packets().encap(TEMPLATE, **given)
    assert list(made) == list(packets().encap(TEMPLATE, **plain))


WRITERS: dict[str, Callable[[Packets], Any]] = {
    "rewrite": lambda p: p.rewrite({"ipv4[*].ttl": 7}, out="in place"),
    "fix": lambda p: p.fix("bad", out="in place"),
}


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
def test_starts_that_change_meanwhile_lead_nowhere(write: Callable[[Packets], Any]) -> None:
    rows = 2048
    frame = bytearray(bytes(INNER / UDP(dport=4789) / VXLAN(vni=1) / (INNER / TCP() / b"abc")))
    frame[24] ^= 0xFF  # the checksum is wrong
    around = np.full(3 * rows * len(frame), 0xA5, np.uint8)
    data = around[rows * len(frame) : 2 * rows * len(frame)]
    whole = np.arange(rows, dtype=np.int64) * len(frame)
    starts = whole.copy()
    batch = Packets(data, starts, np.full(rows, len(frame), np.uint32))
    stop = threading.Event()

    def disturb() -> None:
        while not stop.is_set():
            starts[:] = whole + rows * len(frame)
            starts[:] = whole

    other = threading.Thread(target=disturb)
    other.start()
    try:
        for _ in range(40):
            starts[:] = whole
            data[:] = np.frombuffer(bytes(frame) * rows, np.uint8)
            try:
                write(batch)
            except EncapError:
                continue  # it was seen in time
    finally:
        stop.set()
        other.join()
    assert (around[: rows * len(frame)] == 0xA5).all()
    assert (around[2 * rows * len(frame) :] == 0xA5).all()
