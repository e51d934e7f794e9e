"""Times of several things that take turns, so that what disturbs the machine disturbs all."""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping
from statistics import median
from time import perf_counter

ROUNDS = 15


class Times:
    """Seconds by name, one a round."""

    def __init__(self, rounds: Mapping[str, list[float]]) -> None:
        self.rounds = rounds

    def __getitem__(self, name: str) -> float:
        """The least seconds: what the work costs when nothing disturbs it."""
        return min(self.rounds[name])

    def ratio(self, name: str, reference: str) -> float:
        """Least by least."""
        return self[name] / self[reference]

    def median_ratio(self, name: str, reference: str) -> float:
        pairs = zip(self.rounds[name], self.rounds[reference], strict=True)
        return median(mine / its for mine, its in pairs)


def interleaved(
    works: Mapping[str, Callable[[], object]],
    rounds: int = ROUNDS,
    clock: Callable[[], float] = perf_counter,
) -> Times:
    """The times of all `works`, each called once a round, after a round that does not count."""
    for work in works.values():
        work()
    times: dict[str, list[float]] = {name: [] for name in works}
    gc.collect()
    gc.disable()
    try:
        for _ in range(rounds):
            for name, work in works.items():
                begin = clock()
                work()
                times[name].append(clock() - begin)
    finally:
        gc.enable()
    return Times(times)
