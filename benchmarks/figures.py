"""Measures everything that has a goal, and says which goals are met.

    python benchmarks/figures.py [GROUP ...] [--markdown]

The groups are batches, encap, rewrite, filter, fragments, tunnels, esp, files, command and
packets: all without a name.

Needs a quiet machine and a few minutes. Reference and candidate take turns in one process, at
least 15 rounds; what is reported is least time by least time. The table goes to standard output,
all figures to build/bench/figures.json, where groups that are not measured keep what they have.
`--markdown` puts that file into docs/performance.md; alone, it measures nothing.
"""

from __future__ import annotations

import datetime as dt
import importlib
import json
import os
import platform
import sys
from collections.abc import Iterable
from pathlib import Path

from encap import implementations
from goals import Figure, Report, markdown
from workloads import BUILD, PACKETS

GROUPS = (
    "batches",
    "encap",
    "rewrite",
    "filter",
    "fragments",
    "tunnels",
    "esp",
    "files",
    "command",
    "packets",
)
QUIET = 0.5  # processes that run, in the last minute; this one has only begun
RESULTS = BUILD / "figures.json"
PAGE = Path(__file__).resolve().parent.parent / "docs" / "performance.md"
BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"


def machine() -> str:
    """The machine in a line."""
    name = platform.processor() or platform.machine()
    for line in _lines("/proc/cpuinfo"):
        if line.startswith("model name"):
            name = line.partition(":")[2].strip()
            break
    memory = next((line for line in _lines("/proc/meminfo") if line.startswith("MemTotal")), "")
    gib = f", {int(memory.split()[1]) / (1 << 20):.0f} GiB" if memory else ""
    return (
        f"{name}, {os.cpu_count()} cores{gib}, {platform.system()}"
        f" {platform.release().partition('-')[0]}, Python {platform.python_version()},"
        f" core variant {implementations()[-1]}"
    )


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines() if Path(path).exists() else []


def load() -> dict[str, dict[str, object]]:
    return json.loads(RESULTS.read_text()) if RESULTS.exists() else {}


def figures_in(stored: dict[str, object]) -> list[Figure]:
    return [
        Figure(**{name: value for name, value in entry.items() if name != "met"})
        for entry in stored["figures"]
    ]


def put_into_page(results: dict[str, dict[str, object]]) -> None:
    """The tables between the two marks of the page."""
    parts = [
        f"{results[name]['date']}: {results[name]['machine']}. Captures of"
        f" {results[name]['packets']:,} packets; load before {results[name]['load']}.\n\n"
        f"{markdown(figures_in(results[name]))}"
        for name in GROUPS
        if name in results
    ]
    text = PAGE.read_text()
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n\n" + "\n\n".join(parts) + f"\n\n{END}{after}")


def measure(names: Iterable[str]) -> None:
    """Measure these groups, show them, and keep them with those measured before."""
    print(machine())
    if os.getloadavg()[0] > QUIET:
        print(f"the machine is busy, its load is {os.getloadavg()[0]:.1f}: measure again")
    results, missed = load(), 0
    for name in names:
        report, load_before = Report(), os.getloadavg()[0]
        report.add(importlib.import_module(f"measure_{name}").measure())
        results[name] = {
            "date": dt.datetime.now(dt.UTC).date().isoformat(),
            "machine": machine(),
            "packets": PACKETS,
            "load": round(load_before, 1),
            "figures": [figure.as_dict() for figure in report.figures],
        }
        missed += sum(figure.met is False for figure in report.figures)
        RESULTS.write_text(json.dumps(results, indent=1, ensure_ascii=False))
    print(f"\n{missed} goals missed" if missed else "\nall goals met")


def main(words: list[str]) -> int:
    wanted = [word for word in words if word != "--markdown"]
    unknown = [word for word in wanted if word not in GROUPS]
    if unknown:
        print(f"there are {', '.join(GROUPS)}, not {', '.join(unknown)}", file=sys.stderr)
        return 2
    if wanted or not words:
        measure(wanted or GROUPS)
    if "--markdown" in words:
        put_into_page(load())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
