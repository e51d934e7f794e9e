"""`encap mtu`: what a tunnel costs, and which packets of a capture would not fit into it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from encap.cli.progress import Input
from encap.cli.tables import print_all, table
from encap.cli.words import count
from encap.mtu import ETHERNET_LEN, LEAST_IPV6, Plan, link_mtu, plan
from encap.oversize import Oversize, PathSize

__all__ = ["Asked", "mtu"]

DEFAULT_LINK_MTU = 1500
KINDS = {
    "df": "IPv4 that must not be fragmented: dropped, and the sender is told",
    "fragmentable": "IPv4 that a router may fragment, and a bridge will not",
    "ipv6": "IPv6: dropped, and the sender is told",
    "other": "neither: dropped",
    "fragments": "of the IP packets, fragments already: each is judged by its own length",
}
"""The counts of `Oversize`, and what they mean to who reads them."""


class Asked(NamedTuple):
    """What the command was given."""

    template: str
    link: int | None
    inner: int | None
    carries: str | None
    tags: int


@dataclass
class Totals:
    """The reports of all batches of a capture, added up."""

    packets: int = 0
    too_long: int = 0
    not_carried: int = 0
    needed: int = 0
    df: int = 0
    fragmentable: int = 0
    ipv6: int = 0
    other: int = 0
    fragments: int = 0
    paths: dict[str, PathSize] = field(default_factory=dict)

    def add(self, found: Oversize) -> None:
        """Counts one batch more."""
        for name in ("packets", "too_long", "not_carried", *KINDS):
            setattr(self, name, getattr(self, name) + getattr(found, name))
        self.needed = max(self.needed, found.needed)
        for one in found.paths:
            before = self.paths.get(one.path, PathSize(one.path, 0, 0, 0))
            self.paths[one.path] = PathSize(
                one.path,
                before.packets + one.packets,
                before.too_long + one.too_long,
                max(before.longest, one.longest),
            )

    def ordered(self) -> list[PathSize]:
        """The paths with the most packets that are too long first."""
        return sorted(self.paths.values(), key=lambda one: (-one.too_long, one.path))


def mtu(asked: Asked, path: str | None, *, as_json: bool, ports: Mapping[int, str | None]) -> int:
    """Prints the plan, and of a capture what would not fit into it; the exit status."""
    link = DEFAULT_LINK_MTU if asked.link is None else asked.link
    if asked.inner is not None:
        link = link_mtu(asked.template, asked.inner, carries=asked.carries, tags=asked.tags)
    made = plan(asked.template, link, carries=asked.carries, tags=asked.tags)
    totals, status = None, 0
    if path is not None:
        totals = Totals()
        with Input(path) as source:
            for packets in source.batches():
                bound = packets.with_ports(ports) if ports else packets
                totals.add(bound.oversize(asked.template, link, carries=asked.carries))
        status = 1 if source.failure else 0
    if as_json:
        print(json.dumps(_object(made, totals), indent=2))
        return status
    parts: list[RenderableType] = [_plan(made)]
    if totals is not None:
        parts += ["", *_report(totals)]
    print_all(*parts)
    return status


def _object(made: Plan, totals: Totals | None) -> dict[str, Any]:
    found = asdict(made) | {"parts": [list(part) for part in made.parts]}
    if totals is not None:
        found["capture"] = asdict(totals) | {"paths": [asdict(one) for one in totals.ordered()]}
    return found


def _plan(made: Plan) -> Table:
    """From the link inwards: each row says by itself what its number is of."""
    lines = table("", "", "")
    lines.columns[1].justify = "right"
    lines.add_row("link MTU", f"{made.link_mtu:,}", "octets of the longest outer IP packet")
    of_frame = 0
    if made.frame_len is not None:
        of_frame = 1 + (made.frame_len > made.inner_mtu + ETHERNET_LEN)
    for number, (name, octets) in enumerate(made.parts):
        inner = "inner " if number >= len(made.parts) - of_frame else ""
        lines.add_row(f"  {inner}{name} header", f"-{octets:,}")
    lines.add_row("overhead", f"{made.overhead:,}", "octets of all these headers")
    lines.add_row(
        Text("inner MTU", "bold"),
        Text(f"{made.inner_mtu:,}", "bold"),
        "octets of the longest inner IP packet",
    )
    if made.frame_len is not None:
        lines.add_row("inner frame", f"{made.frame_len:,}", "the same with its Ethernet header")
    lines.add_row("TCP MSS, IPv4", f"{made.mss_ipv4:,}", "octets of data in an inner segment")
    if made.mss_ipv6 is None:
        lines.add_row("TCP MSS, IPv6", "none", f"IPv6 needs an inner MTU of {LEAST_IPV6:,}")
    else:
        lines.add_row("TCP MSS, IPv6", f"{made.mss_ipv6:,}", "octets of data in an inner segment")
    return lines


def _report(totals: Totals) -> list[RenderableType]:
    """What of a capture does not fit, by what becomes of it and by path."""
    parts: list[RenderableType] = [
        Text(f"{count(totals.packets, 'packet')}, {totals.too_long:,} too long", "bold")
    ]
    if totals.not_carried:
        parts.append(f"{count(totals.not_carried, 'packet')} that the tunnel cannot carry")
    if not totals.too_long:
        return parts
    parts.append(f"a link that carries all needs an MTU of {totals.needed:,}")
    kinds = table("", "")
    kinds.columns[0].justify = "right"
    for name, meaning in KINDS.items():
        if getattr(totals, name):
            kinds.add_row(f"  {getattr(totals, name):,}", meaning)
    paths = table("path", "packets", "too long", "link MTU needed")
    for column in paths.columns[1:]:
        column.justify = "right"
    for one in totals.ordered():
        if one.too_long:
            row = (f"{one.packets:,}", f"{one.too_long:,}", f"{one.longest:,}")
            paths.add_row(Text(one.path), *row)
    return [*parts, kinds, "", paths]
