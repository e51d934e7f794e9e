"""A figure beside its goal, and how figures are shown."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field

from timing import Times


@dataclass(frozen=True, slots=True)
class Figure:
    """One thing measured.

    measured: least time by least time of the reference, or what `unit` says.
    goal: what it may be at the most, or with `at_least` what it has to be; None: for information.
    median: of the ratios of each round, where there is one.
    ns: nanoseconds a packet (or a call) of what was measured and of the reference.
    """

    group: str
    what: str
    measured: float
    unit: str
    goal: float | None = None
    at_least: bool = False
    median: float | None = None
    ns: tuple[float, float] | None = None

    @classmethod
    def costs(
        cls,
        group: str,
        what: str,
        times: Times,
        mine: str,
        reference: str,
        unit: str,
        goal: float | None = None,
        *,
        count: int,
    ) -> Figure:
        """How often the time of `reference` the work `mine` takes, each done `count` times."""
        return cls(
            group,
            what,
            times.ratio(mine, reference),
            unit,
            goal,
            median=times.median_ratio(mine, reference),
            ns=(times[mine] * 1e9 / count, times[reference] * 1e9 / count),
        )

    @classmethod
    def gains(
        cls,
        group: str,
        what: str,
        times: Times,
        mine: str,
        reference: str,
        unit: str = "x faster",
        goal: float | None = None,
        *,
        count: int,
    ) -> Figure:
        """How often the work `mine` is done in the time of `reference`, each done `count` times."""
        return cls(
            group,
            what,
            times.ratio(reference, mine),
            unit,
            goal,
            at_least=True,
            median=times.median_ratio(reference, mine),
            ns=(times[mine] * 1e9 / count, times[reference] * 1e9 / count),
        )

    @property
    def met(self) -> bool | None:
        if self.goal is None:
            return None
        return self.measured >= self.goal if self.at_least else self.measured <= self.goal

    def as_dict(self) -> dict[str, object]:
        return asdict(self) | {"met": self.met}

    @property
    def cells(self) -> tuple[str, str, str, str, str]:
        """What, goal, measured, met, time beside the reference's: as words."""
        goal = ""
        if self.goal is not None:
            goal = f"{'≥' if self.at_least else '≤'} {_number(self.goal)}"
        met = {True: "yes", False: "**no**", None: ""}[self.met]
        times = "" if self.ns is None else " / ".join(_time(value) for value in self.ns)
        return self.what, goal, f"{_number(self.measured)} {self.unit}", met, times


@dataclass
class Report:
    """Figures, shown as they come."""

    figures: list[Figure] = field(default_factory=list)

    def add(self, figures: Iterable[Figure]) -> None:
        for figure in figures:
            if not self.figures or self.figures[-1].group != figure.group:
                print(f"\n{figure.group}")
            what, goal, measured, met, times = figure.cells
            print(f"  {what:54} {measured:>22}  {goal:10} {met.strip('*'):4} {times}", flush=True)
            self.figures.append(figure)


def _number(value: float) -> str:
    """Three figures, and no more than the number has."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.2f}" if value < 10 else f"{value:.1f}"


def _time(ns: float) -> str:
    for limit, divisor, unit in ((1e4, 1.0, "ns"), (1e7, 1e3, "µs")):
        if ns < limit:
            return f"{_number(ns / divisor)} {unit}"
    return f"{_number(ns / 1e6)} ms"


def markdown(figures: Iterable[Figure]) -> str:
    """A table a group."""
    lines: list[str] = []
    group = ""
    for figure in figures:
        if figure.group != group:
            group = figure.group
            lines += [
                "",
                f"**{group}**",
                "",
                "| | goal | measured | met | its time / the reference's |",
                "|---|--:|--:|---|--:|",
            ]
        lines.append("| " + " | ".join(figure.cells) + " |")
    return "\n".join(lines).strip()
