"""Which packets are in order: the sequence numbers of GRE.  Source: RFC 2890 section 2.2.

Numbers go round: of two of them the later one is less than half way round ahead of the other.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["in_order"]

Bools = npt.NDArray[np.bool_]
HALF, WHOLE = 1 << 31, 1 << 32
NEAR = 1 << 30
"""Numbers that are all as near as that to one of them cannot be half way round from each other."""


def in_order(
    numbers: npt.NDArray[np.uint32], expected: int | None, *, restarts: bool
) -> tuple[Bools, int | None]:
    """Which packets are later than all that were taken before them, and what is expected next.

    numbers: uint32[n], in the order of arrival.  expected: the least number that is not old; None
    takes any. Gaps pass.
    restarts: behind the last number there is, any is taken: Linux remembers the next number, and
    0 means that it remembers none.
    """
    count = len(numbers)
    if not count:
        return np.zeros(0, np.bool_), expected
    base = np.uint32(int(numbers[0]) if expected is None else expected)
    ahead = (numbers - base).view(np.int32)
    most = int(ahead.max())
    near = most < NEAR and int(ahead.min()) > -NEAR
    if near and (not restarts or int(base) + most < WHOLE - 1):
        # What is expected in front of each packet, counted from `base`.
        wanted = np.zeros(count, np.int32)
        np.maximum.accumulate(ahead[:-1] + 1, out=wanted[1:])
        np.maximum(wanted, 0, out=wanted)
        return ahead >= wanted, (int(base) + max(most + 1, 0)) % WHOLE
    return _one_by_one(numbers.tolist(), expected, restarts)


def _one_by_one(
    numbers: list[int], expected: int | None, restarts: bool
) -> tuple[Bools, int | None]:
    """The same, for numbers that go round, or jump so far that order cannot be told at once."""
    taken = np.zeros(len(numbers), np.bool_)
    for row, number in enumerate(numbers):
        if expected is None or (number - expected) % WHOLE < HALF:
            taken[row] = True
            expected = (number + 1) % WHOLE
            if restarts and not expected:
                expected = None
    return taken, expected
