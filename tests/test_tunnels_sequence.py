"""Which sequence numbers are in order: against the rule itself, one number at a time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from encap.tunnels.sequence import in_order

NUMBERS = st.lists(
    st.one_of(
        st.integers(0, 40),
        st.integers(0xFFFFFFE0, 0xFFFFFFFF),
        st.integers(0x7FFFFFF0, 0x8000000F),
        st.integers(0, 0xFFFFFFFF),
    ),
    max_size=40,
)


def by_the_rule(
    numbers: list[int], expected: int | None, *, restarts: bool
) -> tuple[list[bool], int | None]:
    """As Linux has it: `i_seqno && (s32)(seq - i_seqno) < 0` drops, 0 standing for None."""
    taken = []
    for number in numbers:
        late = expected is None or (number - expected) & 0x80000000 == 0
        taken.append(late)
        if late:
            expected = (number + 1) & 0xFFFFFFFF
            expected = None if restarts and expected == 0 else expected
    return taken, expected


@given(NUMBERS, st.none() | st.integers(1, 0xFFFFFFFF), st.booleans())
@example([0, 0x3FFFFFFF, 0x7FFFFFFE, 0xBFFFFFFD, 0], None, False)
@example([5, 4, 5, 6], 5, True)
@example([0xFFFFFFFF, 7, 3], 0xFFFFFFFE, True)
@example([0xFFFFFFFF, 7, 3], 0xFFFFFFFE, False)
def test_in_order(numbers: list[int], expected: int | None, restarts: bool) -> None:
    taken, after = in_order(np.array(numbers, np.uint32), expected, restarts=restarts)
    assert (taken.tolist(), after) == by_the_rule(numbers, expected, restarts=restarts)


@pytest.mark.parametrize("restarts", [False, True])
def test_a_batch_in_pieces_is_the_same(restarts: bool) -> None:
    random = np.random.default_rng(5)
    steps = random.integers(-3, 5, 3000).astype(np.int64)
    numbers = (0xFFFFFC00 + np.cumsum(steps)).astype(np.uint32)
    whole, last = in_order(numbers, None, restarts=restarts)
    parts, expected = [], None
    for piece in np.array_split(numbers, 37):
        taken, expected = in_order(piece, expected, restarts=restarts)
        parts.append(taken)
    assert np.concatenate(parts).tolist() == whole.tolist()
    assert expected == last
    assert whole[0]
    assert not whole.all()
