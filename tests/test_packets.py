"""Packets: bounds are checked when a batch is made, and nothing changes it afterwards."""

from __future__ import annotations

import copy
import gc
import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import encap
import encap.copies as copies_module
from encap import NO_TIME, FieldError, Packets

FRAMES = [b"first", b"", b"the third one", b"4", b"last"]


@pytest.fixture
def packets() -> Packets:
    return Packets.from_frames(
        FRAMES, times=range(10, 15), linktypes=[1, 101, 1, 12, 1], wire_lengths=[9, 0, 99, 1, 4]
    )


# --- making one -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data", [bytes(10), bytearray(10), memoryview(bytes(10)), np.zeros(10, np.uint8)],
    ids=lambda data: type(data).__name__,
)  # fmt: skip
def test_data_is_any_buffer(data: Any) -> None:
    packets = Packets(data, [0, 3, 10], [3, 7, 0])
    assert list(packets) == [bytes(3), bytes(7), b""]
    assert np.shares_memory(packets.data, np.frombuffer(data, np.uint8))


def test_of_a_file_in_memory(tmp_path: Any) -> None:
    path = tmp_path / "octets"
    path.write_bytes(b"0123456789")
    packets = Packets(np.memmap(path, np.uint8, "r"), [2], [3])
    assert packets[0] == b"234"


@pytest.mark.parametrize(
    ("start", "length"),
    [
        (-1, 0), (-1, 5), (-(2**63), 0), (-(2**63), 2**32 - 1), (11, 0), (10, 1), (0, 11), (5, 6),
        (2**63 - 1, 0), (2**63 - 1, 1), (2**63 - 1, 2**32 - 1), (2**32, 0), (2**32 - 1, 1),
        (10, 2**32 - 1), (0, 2**32 - 1), (2**62, 2**31),
    ],
)  # fmt: skip
def test_a_row_outside_of_the_data(start: int, length: int) -> None:
    with pytest.raises(FieldError, match=r"row 1 .* outside"):
        Packets(bytes(10), [0, start], [10, length])
    with pytest.raises(FieldError, match="outside"):
        Packets(b"", [start], [length])


@pytest.mark.parametrize(
    "given",
    [
        {"starts": [2**63]}, {"starts": [2**64]}, {"starts": [-(2**63) - 1]}, {"lengths": [2**32]},
        {"lengths": [-1]}, {"lengths": [2**80]}, {"wire_lengths": [2**32]}, {"wire_lengths": [-1]},
        {"linktypes": [65536]}, {"linktypes": -1}, {"times": 2**63}, {"times": [2**63]},
        {"rows": [2**63]}, {"lengths": []}, {"lengths": [1, 1]}, {"wire_lengths": [1, 1]},
        {"times": [1, 1]}, {"linktypes": [[1]]}, {"starts": [[0]]}, {"rows": []},
    ],
    ids=str,
)  # fmt: skip
def test_a_value_or_shape_that_does_not_fit(given: dict[str, Any]) -> None:
    with pytest.raises(FieldError):
        Packets(bytes(10), **({"starts": [0], "lengths": [1]} | given))


@pytest.mark.parametrize(
    "given",
    [
        {"starts": [0.0]}, {"lengths": [1.5]}, {"starts": ["0"]}, {"lengths": [None]},
        {"starts": None}, {"times": [1.0]}, {"times": "now"}, {"linktypes": None},
        {"rows": ["a"]}, {"data": "text"}, {"data": 5}, {"data": None}, {"data": [1, 2]},
        {"data": np.zeros(10, np.int8)}, {"data": np.zeros((2, 5), np.uint8)},
        {"data": np.zeros(20, np.uint8)[::2]}, {"data": memoryview(bytes(20))[::2]},
        {"color": 1},
    ],
)  # fmt: skip
def test_a_wrong_type(given: dict[str, Any]) -> None:
    with pytest.raises(TypeError):
        Packets(**({"data": bytes(10), "starts": [0], "lengths": [1]} | given))


def test_defaults() -> None:
    packets = Packets(bytes(10), [0, 5], [5, 4])
    assert packets.wire_lengths.tolist() == [5, 4]
    assert packets.times.tolist() == [NO_TIME] * 2
    assert packets.linktypes.tolist() == [1, 1]
    assert packets.rows.tolist() == [0, 1]
    assert packets.error is None
    assert np.isnat(packets.times.view("datetime64[ns]")).all()


def test_dtypes(packets: Packets) -> None:
    for batch in (packets, packets[1:], packets[[0]], packets[:0], packets.compact(),
                  Packets.concat([packets, packets]), pickle.loads(pickle.dumps(packets)),
                  packets.replace(times=5), packets.decap(others="keep")):  # fmt: skip
        assert batch.data.dtype == np.uint8
        dtypes = {
            "starts": np.int64, "lengths": np.uint32, "wire_lengths": np.uint32,
            "times": np.int64, "linktypes": np.uint16, "rows": np.int64,
        }  # fmt: skip
        for name, dtype in dtypes.items():
            array = getattr(batch, name)
            assert array.dtype == dtype
            assert array.shape == (len(batch),)
            assert not array.flags.writeable


def test_rows_may_overlap_and_repeat() -> None:
    packets = Packets(b"abcdef", [0, 2, 2, 0], [4, 4, 4, 6])
    assert list(packets) == [b"abcd", b"cdef", b"cdef", b"abcdef"]
    assert len(packets.parse()) == 4


def test_from_frames() -> None:
    packets = Packets.from_frames(iter(FRAMES))
    assert list(packets) == FRAMES
    assert len(Packets.from_frames([])) == 0
    assert list(Packets.from_frames([bytearray(b"ab"), memoryview(b"c")])) == [b"ab", b"c"]
    with pytest.raises(TypeError):
        Packets.from_frames(["text"])  # type: ignore[list-item]
    with pytest.raises(TypeError):
        Packets.from_frames([5])  # type: ignore[list-item]


# --- selecting --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "index",
    [
        slice(None), slice(1, 3), slice(None, None, 2), slice(None, None, -1), slice(9, 20),
        slice(-2, None), [0], [], [4, 0, 0, -1], [-5], np.array([1, 3]), np.array([], np.int64),
        np.array([], np.float64), np.array([True, False, True, False, True]), [False] * 5,
        [True] * 5, np.array([1, 2], np.uint8), np.array([-1], np.int8), np.array([3], np.uint64),
        (0, 2), range(3),
        np.arange(10)[::3][:2],
    ],
    ids=str,
)  # fmt: skip
def test_selection_is_that_of_numpy(index: Any, packets: Packets) -> None:
    chosen = packets[index]
    plain = list(index) if isinstance(index, tuple | range) else index
    if isinstance(plain, list | np.ndarray) and not len(plain):
        plain = np.array([], np.int64)
    rows = np.arange(5)[plain]
    assert list(chosen) == [FRAMES[row] for row in rows]
    assert chosen.rows.tolist() == rows.tolist()
    assert chosen.data is packets.data
    for name in ("times", "wire_lengths", "linktypes", "starts", "lengths"):
        assert getattr(chosen, name).tolist() == getattr(packets, name)[rows].tolist()
    assert len(chosen.parse()) == len(chosen.compact()) == len(rows)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.uint16, np.uint32, np.uint64])
def test_small_integers_select_from_a_large_batch(dtype: type) -> None:
    packets = Packets(bytes(1000), np.arange(1000), np.ones(1000, np.int64))
    assert packets[np.array([3, 100], dtype)].rows.tolist() == [3, 100]
    if np.issubdtype(dtype, np.signedinteger):
        assert packets[np.array([-1], dtype)].rows.tolist() == [999]


@pytest.mark.parametrize("index", [5, -6, 10**30, [5], [-6], [0, 99], np.array([2**63], np.uint64)])
def test_a_row_that_is_not_there(index: Any, packets: Packets) -> None:
    with pytest.raises(IndexError):
        packets[index]


@pytest.mark.parametrize(
    "index", [[True], [True] * 6, np.zeros((5, 5), bool), np.zeros((1, 2), int)]
)
def test_an_index_of_the_wrong_shape(index: Any, packets: Packets) -> None:
    with pytest.raises(FieldError):
        packets[index]


@pytest.mark.parametrize("index", [1.0, "1", None, [1.5], ["a"], b"x", {0: 1}, [None]], ids=str)
def test_an_index_of_the_wrong_type(index: Any, packets: Packets) -> None:
    with pytest.raises(TypeError):
        packets[index]


def test_one_frame(packets: Packets) -> None:
    assert packets[2] == packets[-3] == packets[np.int8(2)] == b"the third one"
    assert isinstance(packets[0], bytes)
    view = packets.view(2)
    assert view.readonly
    assert bytes(view) == FRAMES[2]
    assert np.shares_memory(np.frombuffer(view, np.uint8), packets.data)
    with pytest.raises(IndexError):
        packets.view(5)
    with pytest.raises(TypeError):
        packets.view("a")  # type: ignore[arg-type]


def test_iteration(packets: Packets) -> None:
    assert list(packets) == [*iter(packets)] == FRAMES
    assert all(isinstance(frame, bytes) for frame in packets)
    assert b"last" in packets
    assert list(reversed(packets)) == FRAMES[::-1]


def test_rows_are_of_the_batch_that_was_asked(packets: Packets) -> None:
    assert packets[1:][1:].rows.tolist() == [1, 2, 3]
    assert packets[[3, 1]].compact().rows.tolist() == [3, 1]
    assert packets[[3, 1]].with_ports({1: "vxlan"}).rows.tolist() == [3, 1]


# --- not changing -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["data", "starts", "lengths", "wire_lengths", "times", "linktypes", "rows", "error", "x"],
)
def test_nothing_can_be_set(name: str, packets: Packets) -> None:
    with pytest.raises(AttributeError, match=name):
        setattr(packets, name, np.zeros(5))
    with pytest.raises(AttributeError):
        delattr(packets, name)


@pytest.mark.parametrize(
    "name", ["starts", "lengths", "wire_lengths", "times", "linktypes", "rows"]
)
def test_arrays_are_read_only(name: str, packets: Packets) -> None:
    with pytest.raises(ValueError, match="read-only"):
        getattr(packets, name)[0] = 1


@pytest.mark.parametrize("start", [-1, -(2**63), 2**63 - 1, 11, 2**40])
@pytest.mark.parametrize("length", [0, 1, 2**32 - 1])
def test_the_core_checks_rows_again(start: int, length: int) -> None:
    # Somebody may still hold the arrays that a batch was made of, and write to them.
    starts, lengths = np.zeros(3, np.int64), np.full(3, 10, np.uint32)
    packets = Packets(bytes(10), starts, lengths, linktypes=101)
    starts[1], lengths[1] = start, length
    assert packets.parse().depth.tolist() == [0, 0, 0]
    assert packets.columns("ipv4.src")["ipv4.src"].tolist() == [0, 0, 0]
    assert packets.decap().rows.tolist() == []
    kept = packets.decap(others="keep")
    assert kept.lengths[1] == 0
    if length < 2**20:
        room = np.zeros(int(lengths.sum()) + 1, np.uint8)
        packets.decap(others="keep", out=room)
        packets.compact(out=room)


def test_hash_and_equality_are_of_the_object(packets: Packets) -> None:
    other = packets[:]
    assert packets == packets  # noqa: PLR0124
    assert packets != other
    assert len({packets, other, packets}) == 2


def test_a_batch_outlives_what_it_was_made_of() -> None:
    packets = Packets.from_frames([b"abc" * 100] * 100)[::7].compact()[1:]
    gc.collect()
    assert set(packets) == {b"abc" * 100}


# --- equals, concat, replace, compact, pickle ---------------------------------------------


def test_equals(packets: Packets) -> None:
    assert packets.equals(packets[:])
    assert packets.equals(packets.compact())
    assert packets.equals(packets[::-1][::-1])
    assert not packets.equals(packets[1:])
    assert not packets.equals(packets[::-1])
    for change in ({"times": 0}, {"wire_lengths": 100}, {"linktypes": 1}):
        assert not packets.equals(packets.replace(**change))
    assert packets.equals(packets.replace(rows=[5, 4, 3, 2, 1]))
    changed = Packets.concat(
        [Packets.from_frames([b"First"], wire_lengths=9, times=10), packets[1:]]
    )
    assert not packets.equals(changed)
    # The same octets, cut elsewhere.
    assert not Packets(b"abc", [0, 1], [1, 2]).equals(Packets(b"abc", [0, 2], [2, 1]))
    assert Packets.from_frames([]).equals(packets[:0])
    with pytest.raises(TypeError):
        packets.equals(FRAMES)  # type: ignore[arg-type]


def test_concat(packets: Packets) -> None:
    other = Packets.from_frames([b"x", b"yy"], times=3, linktypes=101)
    joined = Packets.concat([packets[1:], other, packets[:0], other[::-1]])
    assert list(joined) == [*FRAMES[1:], b"x", b"yy", b"yy", b"x"]
    assert joined.times.tolist() == [11, 12, 13, 14, 3, 3, 3, 3]
    assert joined.linktypes.tolist() == [101, 1, 12, 1, 101, 101, 101, 101]
    assert joined.wire_lengths.tolist() == [0, 99, 1, 4, 1, 2, 2, 1]
    assert joined.rows.tolist() == list(range(8))
    assert joined.decap(others="keep").equals(joined)


def test_concat_of_one_buffer_copies_nothing(packets: Packets) -> None:
    joined = Packets.concat([packets[3:], packets[:2]])
    assert joined.data is packets.data
    assert list(joined) == [*FRAMES[3:], *FRAMES[:2]]


def test_concat_of_nothing(packets: Packets) -> None:
    assert len(Packets.concat([])) == 0
    assert len(Packets.concat(iter([packets[:0], Packets.from_frames([])]))) == 0
    assert Packets.concat([packets]).equals(packets)


def test_concat_of_batches_with_ports(packets: Packets) -> None:
    bound = packets.with_ports({5: "vxlan"})
    assert Packets.concat([bound, bound[1:]])._ports_with(None) == {5: "vxlan"}
    with pytest.raises(FieldError, match="different ports"):
        Packets.concat([packets, bound])


def test_concat_adds_up_what_was_left_out(packets: Packets) -> None:
    first = packets.rewrite({"vxlan.vni": 1})
    second = packets[:2].rewrite({"vxlan.vni": 1, "gre.key": 2})
    joined = Packets.concat([first, packets, second])
    assert first.left_out == {"no vxlan.vni": 5}
    assert joined.left_out == {"no vxlan.vni": 7, "no gre.key": 2}
    assert Packets.concat([packets]).left_out == {}


def test_what_was_left_out_stays_with_the_batch(packets: Packets) -> None:
    made = packets.rewrite({"vxlan.vni": 1})
    again = pickle.loads(pickle.dumps(made))
    for same in (again, made.compact(), made.replace(times=5), made.with_ports({5: "vxlan"})):
        assert same.left_out == made.left_out == {"no vxlan.vni": 5}
    assert made[:3].left_out == {}  # a selection has left nothing out
    assert pickle.loads(pickle.dumps(packets)).left_out == {}


def test_concat_keeps_the_first_error(packets: Packets) -> None:
    errors = [encap.CaptureError("one"), encap.CaptureError("two")]
    joined = Packets.concat([packets, *(packets.replace(error=error) for error in errors)])
    assert joined.error is errors[0]


def test_replace(packets: Packets) -> None:
    error = encap.CaptureError("cut")
    made = packets.replace(times=[5, 4, 3, 2, 1], linktypes=101, rows=range(5), error=error)
    assert made.times.tolist() == [5, 4, 3, 2, 1]
    assert made.linktypes.tolist() == [101] * 5
    assert made.error is error
    assert made.data is packets.data
    assert packets.times.tolist() == [10, 11, 12, 13, 14]
    assert made.replace(error=None).error is None
    assert packets[1:].replace(times=0).rows.tolist() == [1, 2, 3, 4]
    ports = packets.with_ports({5: "vxlan"}).replace(times=0)
    assert ports._ports_with(None) == {5: "vxlan"}
    with pytest.raises(TypeError, match="data"):
        packets.replace(data=b"")
    with pytest.raises(FieldError):
        packets.replace(times=[1])


def test_compact(packets: Packets) -> None:
    chosen = packets[[4, 2, 1, 2]]
    made = chosen.compact()
    assert made.equals(chosen)
    assert bytes(made.data) == b"".join(chosen)
    assert not np.shares_memory(made.data, packets.data)
    room = np.full(100, 0xA5, np.uint8)
    made = chosen.compact(out=room)
    assert made.equals(chosen)
    assert np.shares_memory(made.data, room)
    assert (room[made.data.size :] == 0xA5).all()
    assert len(packets[:0].compact(out=np.empty(0, np.uint8))) == 0


@pytest.mark.parametrize(
    "out",
    [np.zeros(5, np.uint8), np.zeros(99, np.int8), np.zeros(99, np.uint8)[::2],
     np.zeros((99, 99), np.uint8), np.frombuffer(bytes(99), np.uint8)],
    ids=["short", "signed", "strided", "square", "read-only"],
)  # fmt: skip
def test_out_that_cannot_serve(out: Any, packets: Packets) -> None:
    with pytest.raises(FieldError, match="out"):
        packets.compact(out=out)


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_compact_in_threads(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("encap._lib.ROWS_A_THREAD", 1)
    rng = np.random.default_rng(1)
    data = rng.integers(0, 256, 5000, np.uint8)
    starts = rng.integers(0, 4000, 300)
    packets = Packets(data, starts, rng.integers(0, 1000, 300))
    for name in encap.implementations():
        with encap.implementation(name):
            assert bytes(packets.compact(threads=threads).data) == b"".join(packets)


@pytest.mark.parametrize("threads", [0, -1, 1.5, "2"])
def test_threads_that_cannot_be(threads: Any, packets: Packets) -> None:
    for call in (packets.parse, packets.compact, packets.decap):
        with pytest.raises((FieldError, TypeError)):
            call(threads=threads)


@pytest.mark.parametrize(
    "copied", [lambda p: pickle.loads(pickle.dumps(p)), copy.copy, copy.deepcopy]
)
def test_copies(copied: Any, packets: Packets) -> None:
    error = encap.CaptureError("cut", record=4)
    chosen = packets.replace(error=error).with_ports({7: "geneve", 4789: None})[[3, 0, 2]]
    made = copied(chosen)
    assert made.equals(chosen)
    assert made.rows.tolist() == [3, 0, 2]
    assert made._ports_with(None) == {7: "geneve", 4789: None}
    assert (str(made.error), made.error.record) == (str(error), 4)
    assert made.data.size == chosen.lengths.sum()
    assert copied(packets[:0]).equals(packets[:0])


def test_words(packets: Packets) -> None:
    assert repr(packets) == "<Packets: 5 frames, 23 octets>"


# --- any arrays -------------------------------------------------------------------------


numbers = st.one_of(
    st.integers(-3, 70), st.integers(2**32 - 3, 2**32 + 3), st.integers(2**63 - 5, 2**63 + 5),
    st.integers(-(2**63) - 2, -(2**63) + 2),
)  # fmt: skip


@given(st.binary(max_size=64), st.lists(st.tuples(numbers, numbers), max_size=6))
def test_whatever_the_arrays_say(data: bytes, spans: list[tuple[int, int]]) -> None:
    starts, lengths = ([*column] for column in zip(*spans, strict=True)) if spans else ([], [])
    inside = all(
        0 <= start <= len(data) and 0 <= length <= len(data) - start for start, length in spans
    )
    try:
        packets = Packets(data, starts, lengths, linktypes=101)
    except FieldError:
        assert not inside
        return
    assert inside
    frames = [data[start : start + length] for start, length in spans]
    assert list(packets) == frames
    assert list(packets.compact()) == frames
    assert packets.parse().depth.tolist() == [
        len(encap.parse(frame, 101, strict=False).headers) for frame in frames
    ]


def test_frames_may_be_packets_and_other_buffers_but_not_numbers() -> None:
    packet = encap.Ethernet(src=1, dst=2) / bytes(46)
    batch = Packets.from_frames([packet, bytearray(b"ab"), memoryview(b"c")])
    assert list(batch) == [bytes(packet), b"ab", b"c"]
    with pytest.raises(TypeError, match="a frame is octets or a Packet, not int"):
        Packets.from_frames([5])  # type: ignore[list-item]


def test_a_row_too_far_says_how_many_there_are() -> None:
    with pytest.raises(IndexError, match="row 7 of 1 packets"):
        Packets.from_frames([b"a"])[7]


def test_names_in_a_list_are_a_type_error_that_says_so() -> None:
    with pytest.raises(TypeError, match="name is text, not list"):
        Packets.from_frames([b"a"]).columns(["vxlan.vni"])  # type: ignore[arg-type]


def test_a_length_changed_behind_the_batch_is_not_copied_in_silence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lengths = np.array([2, 2], np.uint32)
    batch = Packets(b"abcdef", np.array([0, 2]), lengths)
    take_out = copies_module.take_out

    def grow(*arguments: Any, **named: Any) -> Any:
        lengths[1] = 4  # after the room was counted
        return take_out(*arguments, **named)

    monkeypatch.setattr(copies_module, "take_out", grow)
    with pytest.raises(FieldError, match="was changed while it was copied"):
        batch.compact()
