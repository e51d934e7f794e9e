"""`encap info`: what a capture holds, as a tree for people or as JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from encap.cli import tables
from encap.cli.progress import Input
from encap.cli.survey import Survey
from encap.cli.words import count, time_text

__all__ = ["info"]

LINK_NAMES = {
    0: "BSD loopback", 1: "Ethernet", 12: "raw IP", 101: "raw IP", 108: "BSD loopback",
    113: "Linux cooked v1", 228: "raw IPv4", 229: "raw IPv6", 276: "Linux cooked v2",
}  # fmt: skip
MOST_LINES = 200  # of the tree of paths


def info(path: str, *, as_json: bool, top: int, ports: Mapping[int, str | None]) -> int:
    """Prints what is in the capture at `path`; the exit status."""
    with Input(path) as source:
        survey = Survey(ports)
        for packets in source.batches():
            survey.add(packets)
        format_ = source.source.format
    failure = None
    if source.failure is not None:
        failure = str(source.failure).removeprefix(f"{source.name}: ")  # which has been said
    if as_json:
        found = {"file": path, "format": format_, **survey.as_json(top), "input_error": failure}
        print(json.dumps(found, indent=2))
    else:
        _print_report(source.name, format_, survey, top, failure)
    return 1 if failure else 0


def _print_report(name: str, format_: str, survey: Survey, top: int, failure: str | None) -> None:
    parts: list[RenderableType] = [
        Text(f"{name}: {format_}, {count(survey.packets, 'packet')}", "bold")
    ]
    if failure:
        parts.append(Text(f"cut short or wrong from there on: {failure}", "red"))
    for part in (_facts(survey), _paths(survey), _tunnels(survey, top), _broken(survey)):
        if part.row_count:
            parts += ["", part]
    tables.print_all(*parts)


def _table(*headings: str) -> Table:
    """The first column for words, those after it for numbers."""
    table = tables.table(*headings)
    for column in table.columns[1:]:
        column.justify = "right"
    return table


def _facts(survey: Survey) -> Table:
    table = Table.grid(padding=(0, 2))
    if not survey.packets:
        return table
    if survey.first is not None and survey.last is not None:
        seconds = (survey.last - survey.first) / 10**9
        table.add_row("time", f"{time_text(survey.first)}, {seconds:,.6f} s to the last packet")
    mean = survey.octets / survey.packets
    sizes = f"{survey.smallest:,} to {survey.largest:,}, {mean:,.1f} on average"
    table.add_row("octets", f"{survey.octets:,} ({sizes})")
    if survey.cut:
        table.add_row(
            "cut", f"{count(survey.cut, 'packet')} by the snap length,"
            f" {survey.wire_octets:,} octets on the wire",
        )  # fmt: skip
    links = [
        f"{LINK_NAMES.get(number, f'type {number}')} ({packets:,})"
        for number, packets in survey.links.most_common()
    ]
    table.add_row("link types", ", ".join(links))
    if survey.fragments:
        table.add_row("fragments", count(survey.fragments, "packet"))
    return table


@dataclass(slots=True)
class _Node:
    """All packets whose path begins with the words up to here."""

    packets: int = 0
    octets: int = 0
    ending: int = 0
    children: dict[str, _Node] = field(default_factory=dict)

    def add(self, path: str, packets: int, octets: int) -> None:
        node = self
        for word in path.split("/"):
            node = node.children.setdefault(word, _Node())
            node.packets += packets
            node.octets += octets
        node.ending += packets

    def rows(self, lead: str = "") -> Iterator[tuple[str, _Node]]:
        """Lines of the tree below this node; a chain without branches is one line."""
        ordered = sorted(self.children.items(), key=lambda item: -item[1].packets)
        for index, (word, child) in enumerate(ordered):
            words, node = [word], child
            while len(node.children) == 1 and not node.ending:
                ((below, node),) = node.children.items()
                words.append(below)
            last = index == len(ordered) - 1
            yield f"{lead}{'└─ ' if last else '├─ '}{'/'.join(words)}", node
            yield from node.rows(lead + ("   " if last else "│  "))


def _paths(survey: Survey) -> Table:
    table = _table("paths", "packets", "octets")
    root = _Node()
    for path, (packets, octets) in survey.paths.items():
        if path:
            root.add(path, packets, octets)
            continue
        unknown, theirs = survey.unknown
        for words, number, size in (
            ("(link type not known)", unknown, theirs),
            ("(too short for a header)", packets - unknown, octets - theirs),
        ):
            if number:
                root.add(words, number, size)
    rows = list(root.rows())
    for words, node in rows[:MOST_LINES]:
        table.add_row(Text(words), f"{node.packets:,}", f"{node.octets:,}")
    if len(rows) > MOST_LINES:
        table.add_row(f"… {len(rows) - MOST_LINES:,} lines more: see --json")
    return table


def _tunnels(survey: Survey, top: int) -> Table:
    table = _table("tunnels", "packets")
    for tunnel in survey.as_json(top)["tunnels"]:
        _add_tunnel(table, tunnel)
    return table


def _add_tunnel(table: Table, tunnel: dict[str, Any]) -> None:
    table.add_row(Text(tunnel["kind"], "bold"), f"{tunnel['headers']:,}")
    for found in tunnel["ids"]:
        table.add_row(f"   id {found['id']}", f"{found['packets']:,}")
    more = tunnel["distinct_ids"] - len(tunnel["ids"])
    if more:
        table.add_row(f"   … {count(more, 'id')} more: see --top")
    if tunnel["ids"] and tunnel["without_id"]:
        table.add_row("   without id", f"{tunnel['without_id']:,}")


def _broken(survey: Survey) -> Table:
    table = _table("not understood to the end", "packets", "first", "")
    for verdict, problem in survey.broken.items():
        why = Text(problem.example if problem.example != str(verdict) else "", "dim")
        table.add_row(Text(str(verdict)), f"{problem.packets:,}", f"{problem.first_row:,}", why)
    if table.columns:
        table.columns[-1].justify = "left"
    return table
