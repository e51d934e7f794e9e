"""The window against replays: as the kernel's, packet by packet, and foretold or not."""

from __future__ import annotations

from dataclasses import dataclass, field

import associations as to_try
import numpy as np
import pytest
from associations import association, batch, changed, frames_of, packet
from hypothesis import given
from hypothesis import strategies as st

import encap
from encap.tunnels import Reason
from encap.tunnels.esp import Live
from encap.tunnels.esp.window import NEW, OLD, SEEN, Window

ESN = {"flag": "esn"}


@dataclass
class Model:
    """The rules of RFC 4303 and of xfrm_replay.c, with every number that came remembered.

    There is no ring and no bit: numbers are 64 bits wide, with extended ones or without.
    """

    size: int
    esn: bool
    top: int = 0
    seen: set[int] = field(default_factory=set)

    def high(self, seq: int) -> int:
        top, high = self.top & 0xFFFFFFFF, self.top >> 32
        bottom = (top - self.size + 1) & 0xFFFFFFFF
        if not self.esn:
            return 0
        if top >= self.size - 1:
            return (high + (seq < bottom)) & 0xFFFFFFFF
        return (high - (seq >= bottom)) & 0xFFFFFFFF

    def judge(self, seq: int, genuine: bool) -> tuple[int, int]:
        high = self.high(seq)
        number = high << 32 | seq
        if self.esn and high == 0xFFFFFFFF and not self.top >> 32:
            number -= 1 << 64  # from before the first one
        verdict = NEW
        if self.size:
            first = not seq and (not self.esn or self.top < self.size - 1)
            if first or number <= self.top - self.size:
                verdict = OLD
            elif number in self.seen:
                verdict = SEEN
            elif genuine:
                self.seen.add(number)
                self.top = max(self.top, number)
        return verdict, high


def numbers_around(*middles: int) -> st.SearchStrategy[int]:
    near = st.tuples(st.sampled_from(middles), st.integers(-70, 5000)).map(sum)
    return near.map(lambda number: number & 0xFFFFFFFF)


@given(
    st.sampled_from([0, 1, 2, 31, 32, 33, 64, 128, 4095, 4096]),
    st.booleans(),
    st.sampled_from([0, 5, 60, 0x7FFFFFFF, 0xFFFFFFF0, 0x1_00000005, 0xABCD_FFFFFFFE]),
    st.lists(
        st.tuples(numbers_around(0, 0xFFFFFFF0, 0x7FFFFFFF) | st.integers(0, 80), st.booleans()),
        max_size=60,
    ),
)
def test_verdicts_are_the_model_s(
    size: int, esn: bool, top: int, train: list[tuple[int, bool]]
) -> None:
    if esn and not size:
        size = 1
    top = top if esn else top & 0xFFFFFFFF
    sa = association(
        replay_window=size, flag="esn" if esn else "", replay_seq=top & 0xFFFFFFFF,
        replay_seq_hi=top >> 32,
    )  # fmt: skip
    window, model, asked = Window(sa), Model(size, esn, top), []

    def genuine(begin: int, end: int, highs: np.ndarray) -> np.ndarray:
        asked.append(end - begin)
        # A packet is genuine for its own upper word alone.
        return np.array([
            train[row][1] and int(highs[row]) == right[row] for row in range(begin, end)
        ], np.bool_)  # fmt: skip

    right, wanted = [], []
    for seq, good in train:
        right.append(model.high(seq))
        wanted.append(model.judge(seq, good)[0])
    numbers = np.array([seq for seq, _ in train], np.uint32)
    verdicts, true = window.judge(numbers, genuine)
    assert verdicts.tolist() == wanted
    assert true.tolist() == [good for _, good in train]
    if size:
        assert window.top == model.top
        bits = [model.top - i in model.seen for i in range(size)]
        assert window.bitmap == sum(bit << i for i, bit in enumerate(bits))
    # However often what was foretold proves wrong, no row is looked at more than a few times.
    assert sum(asked) <= 3 * len(train) + 1


def test_a_forged_packet_moves_nothing() -> None:
    sa = association(replay_window=32)
    outer = to_try.sealed(sa, [packet(40 + number) for number in range(100)])
    train = encap.Packets.concat([changed(outer[[99]], 0, -1, 1), outer[[0, 99, 99, 67, 68, 68]]])
    live = Live(sa)
    assert [Reason(int(one)) for one in to_try.opened(live, train).reasons] == [
        Reason.ICV, Reason.ACCEPTED, Reason.ACCEPTED, Reason.REPLAYED, Reason.REPLAY_WINDOW,
        Reason.ACCEPTED, Reason.REPLAYED,
    ]  # fmt: skip
    assert live.window.top == 100


def test_a_replay_is_a_replay_before_it_is_a_forgery() -> None:
    sa = association(replay_window=32)
    outer = to_try.sealed(sa, [packet(40)])
    live = Live(sa)
    to_try.opened(live, outer)
    assert to_try.opened(live, changed(outer, 0, -1, 1)).reasons.tolist() == [Reason.REPLAYED]
    cut = encap.Packets(outer.data, outer.starts, [30], linktypes=101)
    assert to_try.opened(live, cut).reasons.tolist() == [Reason.REPLAYED]


@pytest.mark.parametrize("name", ["gcm", "gcm-192-96", "gmac", "cbc-sha256", "chacha", "ccm"])
def test_the_upper_word_counts_and_is_not_sent(name: str) -> None:
    start = {"replay_oseq": 0xFFFFFFF0, "replay_oseq_hi": 6}
    sender = association(name, replay_window=64, **ESN, **start)
    frames = [packet(40 + number) for number in range(40)]
    outer = to_try.sealed(sender, frames)
    order = np.random.default_rng(1).permutation(40)
    near = association(name, replay_window=64, **ESN, replay_seq=0xFFFFFFF0, replay_seq_hi=6)
    far = association(name, replay_window=64, **ESN, replay_seq=0xFFFFFFF0, replay_seq_hi=7)
    for receiver, known in ((near, True), (far, False)):
        live = Live(receiver)
        found = to_try.opened(live, outer[order])
        if known:
            assert frames_of(found) == [frames[at] for at in order]
            assert live.window.top == 7 << 32 | 24
        else:
            assert set(found.reasons.tolist()) == {Reason.ICV}


def test_forged_numbers_do_not_lead_astray() -> None:
    """What foretold numbers would be after packets that turn out to be forged is taken back."""
    start = {"replay_oseq": 0xFFFFFF00, "replay_oseq_hi": 0}
    sa = association(replay_window=64, **ESN, **start)
    frames = [packet(40) for _ in range(600)]
    outer = to_try.sealed(sa, frames)
    parts = []
    for row in range(len(outer)):
        forged = changed(outer[[row]], 0, -1, 0x80)
        parts += [changed(forged, 0, 24 + row % 3, 0x77), outer[[row]]]
    live = Live(association(replay_window=64, **ESN, replay_seq=0xFFFFFF00))
    found = to_try.opened(live, encap.Packets.concat(parts))
    assert (found.reasons[1::2] == 0).all()
    assert (found.reasons[::2] != 0).all()


def test_state_is_kept_from_batch_to_batch() -> None:
    sa = association(replay_window=32, **ESN)
    outer = to_try.sealed(sa, [packet(40 + number) for number in range(90)])
    order = np.random.default_rng(2).integers(0, 90, 300)
    train = outer[np.sort(order + np.random.default_rng(3).integers(-40, 1, 300)).clip(0)]
    one, many = Live(sa), Live(sa)
    whole = to_try.opened(one, train).reasons.tolist()
    each = [int(to_try.opened(many, train[[row]]).reasons[0]) for row in range(len(train))]
    assert whole == each
    assert len(set(whole)) > 1


def test_sizes_of_windows_and_numbers_stay_inside() -> None:
    live = Live(association(replay_window=4096, flag="esn", replay_seq=5))
    assert live.window.bitmap == 0
    assert to_try.opened(live, batch([])).reasons.tolist() == []
