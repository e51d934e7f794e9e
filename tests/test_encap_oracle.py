"""`Packets.encap` against its twin in Python: random templates, columns and options, row by row.

The twin (tests/support/tunnelled.py) makes each row with `Packet`, one header after the other.
"""

from __future__ import annotations

import numpy as np
import pytest
import stacks
from cases import Case, Cases, expected, hopeless
from hypothesis import event, given
from hypothesis import strategies as st

import encap
from encap import GRE, Ethernet, FieldError, IPv4
from encap.packet import Packet

seeds = st.integers(0, 1 << 32)
LINKTYPES = {"eth": 1, "sll": 113, "sll2": 276, "null": 0}
APART = "columns of the template share octets in a way that is not supported"
"""What is said of columns that the core cannot write."""


def made_of(case: Case, **more: object) -> encap.Packets | FieldError:
    """What `encap` makes of a call, or what it says of it."""
    try:
        return case.call(**more)
    except FieldError as error:
        return error


@pytest.mark.parametrize("implementation", encap.implementations())
@given(seed=seeds)
def test_every_row_is_what_packet_builds(implementation: str, seed: int) -> None:
    case = Cases(seed).case()
    with encap.implementation(implementation):
        made = made_of(case, errors="skip")
    if isinstance(made, FieldError):
        event(str(made)[:40])
        assert APART in str(made) or hopeless(case), made
        return
    wanted = expected(case, list(made))
    event("some rows" if wanted.rows else "no rows")
    assert list(made) == wanted.frames
    assert made.rows.tolist() == wanted.rows
    assert sum((made.left_out or {}).values()) == wanted.refused + wanted.cut
    first = [case.templates[case.which[row]][0].path for row in wanted.rows]
    assert made.linktypes.tolist() == [LINKTYPES.get(path, 101) for path in first]
    source = case.packets[made.rows]
    grown = made.lengths - source.lengths
    wires = np.maximum(source.wire_lengths, source.lengths)
    assert (made.wire_lengths == wires + grown).all()


@given(seed=seeds)
def test_what_cannot_be_built_raises(seed: int) -> None:
    case = Cases(seed).case()
    made = made_of(case)
    wanted = expected(case, [] if isinstance(made, FieldError) else list(made))
    if isinstance(made, FieldError):
        assert wanted.refused or APART in str(made)
    else:
        assert not wanted.refused
        assert list(made) == wanted.frames


@given(seed=seeds, threads=st.integers(1, 4))
def test_into_memory_of_ones_own(seed: int, threads: int) -> None:
    case = Cases(seed).case()
    fresh = made_of(case, errors="skip")
    if isinstance(fresh, FieldError):
        return
    room = np.full(int(fresh.lengths.sum()) + 100, 0xA5, np.uint8)
    made = made_of(case, errors="skip", out=room, threads=threads)
    assert isinstance(made, encap.Packets)
    assert made.equals(fresh)
    assert made.data.base is room or not len(made.data)
    assert (room[-100:] == 0xA5).all()


@pytest.mark.parametrize("change", stacks.CHANGES, ids=lambda change: change.__name__)
def test_counters_run_on_over_threads_and_packets_left_out(change: stacks.Change) -> None:
    some = stacks.random_packets(4000, 5, change)
    packets = encap.Packets.concat([some] * 6)
    columns = {"gre.key": np.arange(len(packets), dtype=np.uint32)}
    template = Packet(
        Ethernet(src="02:00:00:00:00:01", dst="02:00:00:00:00:02"),
        IPv4(src="192.0.2.1", dst="192.0.2.2", id=65_000),
        GRE(key=0, seq=(1 << 32) - 100),
    )

    def made(threads: int) -> encap.Packets:
        return packets.encap(
            template, columns, seq="increment", ip_id="increment", errors="skip", threads=threads
        )

    once = made(1)
    assert len(once) < len(packets)
    for threads in (2, 3, 7):
        assert made(threads).equals(once)
    fields = once.columns("ipv4.id", "gre.key", "gre.seq")
    count = np.arange(len(once))
    assert (fields["gre.seq"] == (count - 100 & 0xFFFFFFFF)).all()
    assert (fields["ipv4.id"] == (count + 65_000 & 0xFFFF)).all()
    assert (fields["gre.key"] == once.rows).all()


@pytest.mark.parametrize("field", ["gre.flags", "gre.version", "erspan.version"])
def test_what_says_which_fields_there_are_is_one_for_all(field: str) -> None:
    template = "ipv4(src=10.0.0.1,dst=10.0.0.2)/gre(seq=1)/erspan"
    packets = encap.Packets.from_frames([bytes(60)] * 2)
    value = encap.template(template)[field]
    with pytest.raises(FieldError, match=f"{field} cannot be a column: it says whether there is"):
        packets.encap(template, {field: [value, value]})
    assert packets.encap(template, {field: value}).equals(packets.encap(template))


def test_the_result_cannot_be_written_over_what_is_read() -> None:
    packets = encap.Packets.from_frames([bytes(60)] * 8)
    template = "ipv4(src=10.0.0.1,dst=10.0.0.2)/udp/geneve"
    room = np.zeros(4096, np.uint8)
    octets, starts = room[:4], room[8:72].view(np.int64)
    lengths = np.full(8, 4, np.uint32)
    for columns in (
        {"geneve.vni": room[:32].view(np.uint32)},
        {"geneve.options": (octets, np.zeros(8, np.int64), lengths)},
        {"geneve.options": (octets.copy(), starts, lengths)},
    ):
        assert len(packets.encap(template, columns)) == 8
        with pytest.raises(FieldError, match="overlap"):
            packets.encap(template, columns, out=room)
    with pytest.raises(FieldError, match="overlap"):
        packets.encap([template, template], which=room[:8], out=room)
