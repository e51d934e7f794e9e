"""`encap checksum`: what checksums are worth, or a capture in which they are repaired."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from encap.checksums import Checksums
from encap.cli import tables
from encap.cli.arguments import Target
from encap.cli.output import Output
from encap.cli.progress import Input
from encap.cli.words import count
from encap.packets import Packets
from encap.rewrite.fix import apply_fix
from encap.verify import Verdict
from encap.walk import KINDS, OTHER

__all__ = ["repair", "report"]

LEFT = "left as they were"
MOST_PATHS = 1 << 14
OTHER_PATHS = "(others)"
MOST_LINES = 200  # of the table
MOST_ROWS = 10  # examples of each verdict
EXAMPLES = 3  # of them, in the table
WRONG = (Verdict.BAD, Verdict.ZERO_ILLEGAL)
WORDS = {Verdict.ZERO_ILLEGAL: "zero, illegal", Verdict.UNVERIFIABLE: "not verifiable"}


@dataclass(slots=True)
class Layer:
    """The checksums of one header of all packets with one path.

    verdicts: how many of each.  rows: the first packets with each verdict but GOOD.
    """

    name: str
    verdicts: dict[Verdict, int] = field(default_factory=dict)
    rows: dict[Verdict, list[int]] = field(default_factory=dict)

    def add(self, verdict: Verdict, number: int, rows: list[int]) -> None:
        self.verdicts[verdict] = self.verdicts.get(verdict, 0) + number
        known = self.rows.setdefault(verdict, [])
        known += rows[: MOST_ROWS - len(known)]


class Tally:
    """The verdicts of a capture, added up batch by batch in bounded memory.

    paths: the headers with a checksum, by path and by how deep they are; of paths beyond
    `MOST_PATHS`, or without an id of their own, by kind alone.
    """

    def __init__(self) -> None:
        self.packets = self.checksums = 0
        self.verdicts: dict[Verdict, int] = {}
        self.paths: dict[str, dict[int, Layer]] = {}
        self._memory: Checksums | None = None

    def add(self, packets: Packets) -> None:
        """Counts a batch more."""
        fits = self._memory is not None and len(self._memory.layers) >= len(packets)
        found = packets.checksums(out=self._memory if fits else None)
        if not fits:
            self._memory = found
        path = found.layers.path_ids[found.row].astype(np.int64)
        others = np.flatnonzero(path == OTHER)
        # The header's kind stands in for its depth where a path has no id.
        depth = found.layer.astype(np.int64)
        paths = found.layers.paths
        path[others] = len(paths)
        depth[others] = found.kind[others]
        key = (path << 5 | depth) << 3 | found.verdict
        counted = np.bincount(key) if len(key) else np.zeros(0, np.int64)
        for number in np.flatnonzero(counted).tolist():
            verdict = Verdict(number & 7)
            rows = self._examples(found, key, number) if verdict != Verdict.GOOD else []
            layer = self._layer([*paths, ""][number >> 8], number >> 3 & 31)
            layer.add(verdict, int(counted[number]), rows)
            self.verdicts[verdict] = self.verdicts.get(verdict, 0) + int(counted[number])
        self.packets += len(packets)
        self.checksums += len(found)

    def _examples(self, found: Checksums, key: npt.NDArray[np.int64], number: int) -> list[int]:
        """The first rows of the capture with this path, depth and verdict in the batch."""
        mine = np.flatnonzero(key == number)[:MOST_ROWS]
        return [self.packets + row for row in found.row[mine].tolist()]

    def _layer(self, path: str, depth: int) -> Layer:
        if path and (path in self.paths or len(self.paths) < MOST_PATHS):
            layers = self.paths.setdefault(path, {})
            if depth not in layers:
                layers[depth] = Layer(header_name(path, depth))
            return layers[depth]
        if path:
            depth = KINDS.index(path.split("/")[depth])
        return self.paths.setdefault(OTHER_PATHS, {}).setdefault(depth, Layer(KINDS[depth]))

    def ordered(self) -> Iterator[tuple[str, list[Layer]]]:
        """The paths with the most checksums first, the headers of each from the outermost in."""
        most = {path: sum(sum(one.verdicts.values()) for one in layers.values())
                for path, layers in self.paths.items()}  # fmt: skip
        for path in sorted(most, key=lambda path: (path == OTHER_PATHS, -most[path])):
            yield path, [layer for _, layer in sorted(self.paths[path].items())]


def header_name(path: str, depth: int) -> str:
    """The name of a header of a path: `udp`, or `ipv4[1]` where it is the second one."""
    words = path.split("/")
    index = words[:depth].count(words[depth])
    return f"{words[depth]}[{index}]" if index else words[depth]


def report(path: str, *, as_json: bool, ports: Mapping[int, str | None]) -> int:
    """Prints what the checksums of the capture at `path` are worth; the exit status."""
    tally = Tally()
    with Input(path) as source:
        for packets in source.batches():
            tally.add(packets.with_ports(ports) if ports else packets)
    failure = None
    if source.failure is not None:
        failure = str(source.failure).removeprefix(f"{source.name}: ")
    if as_json:
        print(json.dumps({"file": path, **_object(tally), "input_error": failure}, indent=2))
    else:
        _print(source.name, tally, failure)
    return 1 if failure else 0


def repair(path: str, target: Target, which: str, *, ports: Mapping[int, str | None]) -> int:
    """Writes the packets of `path` with checksums made anew to `target`; the exit status."""
    changed = fixed = moved = 0
    with Output(path, target, ports) as output:
        for packets in output.batches():
            done = apply_fix(packets, which, threads=output.threads)
            changed, fixed, moved = (
                changed + done.changed,
                fixed + done.checksums,
                moved + done.moved,
            )
            output.put(done.packets, LEFT)
    if moved:
        output.remark(f"{count(moved, 'outer checksum')} moved along with one inside")
    return output.finish(f"{count(fixed, 'checksum')} made anew in {count(changed, 'packet')}")


def _object(tally: Tally) -> dict[str, Any]:
    return {
        "packets": tally.packets,
        "checksums": tally.checksums,
        "verdicts": _counts(tally.verdicts),
        "paths": [
            {
                "path": path,
                "headers": [
                    {
                        "name": one.name,
                        "verdicts": _counts(one.verdicts),
                        "rows": {v.name.lower(): rows for v, rows in one.rows.items() if rows},
                    }
                    for one in layers
                ],
            }
            for path, layers in tally.ordered()
        ],
    }


def _counts(verdicts: Mapping[Verdict, int]) -> dict[str, int]:
    return {verdict.name.lower(): verdicts.get(verdict, 0) for verdict in list(Verdict)[1:]}


def _print(name: str, tally: Tally, failure: str | None) -> None:
    inside = f"{count(tally.checksums, 'checksum')} in {count(tally.packets, 'packet')}"
    parts: list[RenderableType] = [Text(f"{name}: {inside}", "bold")]
    if failure:
        parts.append(Text(f"cut short or wrong from there on: {failure}", "red"))
    if tally.checksums:
        parts += ["", _table(tally)]
    tables.print_all(*parts)


def _table(tally: Tally) -> Table:
    """A line for each header of each path, a column for each verdict that occurs."""
    seen = [verdict for verdict in Verdict if verdict in tally.verdicts]
    wrong = any(verdict in WRONG for verdict in seen)
    headings = [WORDS.get(verdict, verdict.name.lower()) for verdict in seen]
    lines = tables.table("path", *headings, *["first wrong ones"][: int(wrong)])
    for column in lines.columns[1 : len(seen) + 1]:
        column.justify = "right"
    lines.add_row("all", *_cells(tally.verdicts, seen))
    for path, layers in tally.ordered():
        if lines.row_count > MOST_LINES:
            lines.add_row("… more paths: see --json")
            break
        lines.add_row(Text(path))
        for one in layers:
            rows = sorted(row for verdict in WRONG for row in one.rows.get(verdict, ()))
            text = ", ".join(f"{row:,}" for row in rows[:EXAMPLES])
            lines.add_row(f"   {one.name}", *_cells(one.verdicts, seen), text)
    return lines


def _cells(verdicts: Mapping[Verdict, int], seen: list[Verdict]) -> list[Text]:
    return [
        Text(f"{verdicts[one]:,}", "red" if one in WRONG else "") if one in verdicts else Text("")
        for one in seen
    ]
