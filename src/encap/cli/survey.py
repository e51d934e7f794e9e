"""What a capture holds, added up batch by batch in bounded memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from encap import packet
from encap.cli.verdicts import Verdict, verdicts
from encap.errors import EncapError
from encap.layers import Layers
from encap.names import GROUPS, split
from encap.packets import NO_TIME, Packets
from encap.walk import KINDS, OTHER, Status

__all__ = ["IdCounts", "Problem", "Survey", "tunnel_kinds"]

MOST_PATHS = 1 << 16
MOST_IDS = 1 << 18
PENDING = 1 << 16  # values that are counted together: counting is sorting
OTHER_PATHS = "(others)"
WITH_ID = tuple(GROUPS["tunnel"]["id"])
HAS_ID = 1 << 32  # above the id, below the header's number


class IdCounts:
    """How many packets each tunnel id has. Those beyond `MOST_IDS` distinct ones go uncounted."""

    def __init__(self) -> None:
        self._keys = np.empty(0, np.int64)
        self._counts = np.empty(0, np.int64)
        self._pending: list[npt.NDArray[np.int64]] = []
        self._waiting = 0

    def add(self, keys: npt.NDArray[np.int64]) -> None:
        self._pending.append(keys)
        self._waiting += len(keys)
        if self._waiting >= PENDING:
            self._merge()

    def _merge(self) -> None:
        keys, counts = np.unique(np.concatenate(self._pending), return_counts=True)
        self._pending, self._waiting = [], 0
        merged, where = np.unique(np.concatenate([self._keys, keys]), return_inverse=True)
        sums = np.zeros(len(merged), np.int64)
        np.add.at(sums, where, np.concatenate([self._counts, counts]))
        if len(merged) > MOST_IDS:  # the rarest are forgotten
            kept = np.sort(np.argpartition(sums, -MOST_IDS)[-MOST_IDS:])
            merged, sums = merged[kept], sums[kept]
        self._keys, self._counts = merged, sums

    def of(self, kind: str) -> tuple[Counter[int], int]:
        """Packets by id of the tunnels called `kind`, the most frequent first; those without."""
        if self._pending:
            self._merge()
        mine = self._keys >> 33 == KINDS.index(kind)
        keys, counts = self._keys[mine], self._counts[mine]
        there = keys & HAS_ID != 0
        order = np.argsort(-counts[there], kind="stable")
        ids = (keys[there][order] & HAS_ID - 1).tolist()
        return Counter(dict(zip(ids, counts[there][order].tolist(), strict=True))), int(
            counts[~there].sum()
        )


@dataclass(slots=True)
class Problem:
    """Packets with one verdict: how many, the row of the first one, and what exactly it has."""

    packets: int
    first_row: int
    example: str


class Survey:
    """What was added up. Sizes and octets are those captured; times are nanoseconds since 1970.

    paths: packets and octets by path.  links: packets by link type.
    unknown: packets and octets of link types that are not known, whose path is empty.
    problems: by verdict, fragments left out.
    """

    def __init__(self, ports: Mapping[int, str | None] | None = None) -> None:
        self._ports = dict(ports or {})
        self._layers: Layers | None = None
        self.packets = self.octets = self.wire_octets = self.cut = 0
        self.smallest = self.largest = 0
        self.first: int | None = None
        self.last: int | None = None
        self.paths: dict[str, list[int]] = {}
        self.unknown = [0, 0]
        self.links: Counter[int] = Counter()
        self.ids = IdCounts()
        self.problems: dict[Verdict, Problem] = {}

    def add(self, packets: Packets) -> None:
        """Count a batch."""
        if not len(packets):
            return
        fits = self._layers is not None and len(self._layers._records) >= len(packets)
        layers = packets.parse(ports=self._ports, out=self._layers if fits else None)
        self._layers = layers
        self._add_sizes(packets)
        self._add_times(packets.times)
        self._add_links(packets)
        deepest = self._add_paths(packets, layers)
        for index in range(deepest):
            self._add_ids(layers, index)
        broken = np.flatnonzero(layers.status != Status.OK)
        if broken.size:
            self._add_problems(packets, layers, broken)
        self.packets += len(packets)

    def _add_sizes(self, packets: Packets) -> None:
        lengths, wires = packets.lengths, packets.wire_lengths
        smallest, largest = int(lengths.min()), int(lengths.max())
        self.smallest = min(self.smallest, smallest) if self.packets else smallest
        self.largest = max(self.largest, largest)
        self.octets += int(lengths.sum(dtype=np.int64))
        self.wire_octets += int(wires.sum(dtype=np.int64))
        self.cut += int(np.count_nonzero(lengths < wires))

    def _add_times(self, times: npt.NDArray[np.int64]) -> None:
        first, last = int(times.min()), int(times.max())
        if first == NO_TIME:
            known = times[times != NO_TIME]
            if not known.size:
                return
            first = int(known.min())
        self.first = first if self.first is None else min(first, self.first)
        self.last = last if self.last is None else max(last, self.last)

    def _add_links(self, packets: Packets) -> None:
        linktypes = packets.linktypes
        if linktypes.strides == (0,):  # one number that stands for all
            self.links[int(linktypes[0])] += len(packets)
            return
        for number, count in zip(*np.unique(linktypes, return_counts=True), strict=True):
            self.links[int(number)] += int(count)

    def _add_paths(self, packets: Packets, layers: Layers) -> int:
        """Counts the paths; the most tunnels that any of them has."""
        ids, paths = layers.path_ids, layers.paths
        counts = np.bincount(ids, minlength=len(paths))
        octets = np.bincount(ids, packets.lengths, minlength=len(paths))
        for path, count, sum_ in zip(paths, counts.tolist(), octets.tolist(), strict=False):
            self._count_path(path, count, int(sum_))
        if len(counts) > OTHER:  # more paths than a batch has numbers for
            rows = np.flatnonzero(ids == OTHER)
            named = layers["path"][rows].tolist()
            paths = paths + named
            for path, length in zip(named, packets.lengths[rows].tolist(), strict=True):
                self._count_path(path, 1, length)
        return max(map(tunnel_count, set(paths)), default=0)

    def _count_path(self, path: str, count: int, octets: int) -> None:
        if path not in self.paths and len(self.paths) >= MOST_PATHS:
            path = OTHER_PATHS
        sums = self.paths.setdefault(path, [0, 0])
        sums[0] += count
        sums[1] += octets

    def _add_ids(self, layers: Layers, index: int) -> None:
        name = f"tunnel[{index}]"
        kind = layers[f"{name}.kind"].astype(np.int64)
        keys = kind << 33 | layers[f"{name}.id?"].astype(np.int64) << 32 | layers[f"{name}.id"]
        # Packets with fewer tunnels have kind 0 here: counted, and never asked for.
        self.ids.add(keys)

    def _add_problems(
        self, packets: Packets, layers: Layers, broken: npt.NDArray[np.int64]
    ) -> None:
        for verdict, rows in verdicts(layers, broken):
            problem = self.problems.get(verdict)
            if problem is None:
                row = int(rows[0])
                example = self._explain(packets, row)
                problem = self.problems[verdict] = Problem(0, self.packets + row, example)
            problem.packets += len(rows)
            if verdict.status is Status.UNSUPPORTED and not verdict.layer:
                self.unknown[0] += len(rows)
                self.unknown[1] += int(packets.lengths[rows].sum(dtype=np.int64))

    def _explain(self, packets: Packets, row: int) -> str:
        """What exactly one packet has, as the parser of single packets says it."""
        linktype = int(packets.linktypes[row])
        try:
            found = packet.parse(packets[row], linktype, strict=False, ports=self._ports)
        except EncapError as error:
            return str(error)
        return str(found.error or "")

    @property
    def fragments(self) -> int:
        """Packets that are fragments, or carry one."""
        return sum(
            problem.packets
            for verdict, problem in self.problems.items()
            if verdict.status is Status.FRAGMENT
        )

    @property
    def broken(self) -> dict[Verdict, Problem]:
        """The problems that are no fragments, the most frequent first."""
        found = [item for item in self.problems.items() if item[0].status is not Status.FRAGMENT]
        return dict(sorted(found, key=lambda item: -item[1].packets))

    def tunnels(self) -> dict[str, int]:
        """Tunnel headers by kind, the most frequent first: a packet may have several."""
        found: Counter[str] = Counter()
        for path, (count, _) in self.paths.items():
            for kind in tunnel_kinds(path):
                found[kind] += count
        return dict(found.most_common())

    def as_json(self, top: int) -> dict[str, Any]:
        """All of it as plain values; `top`: how many ids to list for each kind of tunnel."""
        return {
            "packets": self.packets,
            "octets": self.octets,
            "wire_octets": self.wire_octets,
            "cut_packets": self.cut,
            "sizes": {
                "min": self.smallest,
                "mean": self.octets / self.packets if self.packets else 0.0,
                "max": self.largest,
            },
            "first_ns": self.first,
            "last_ns": self.last,
            "link_types": [
                {"number": number, "packets": count} for number, count in self.links.most_common()
            ],
            "paths": [
                {"path": path, "packets": count, "octets": octets}
                for path, (count, octets) in sorted(self.paths.items(), key=lambda x: -x[1][0])
            ],
            "tunnels": [self._tunnel(kind, count, top) for kind, count in self.tunnels().items()],
            "fragments": self.fragments,
            "problems": [
                {
                    "status": verdict.name,
                    "reason": str(verdict),
                    "packets": problem.packets,
                    "first_row": problem.first_row,
                    "example": problem.example,
                }
                for verdict, problem in self.broken.items()
            ],
        }

    def _tunnel(self, kind: str, count: int, top: int) -> dict[str, Any]:
        ids, without = self.ids.of(kind) if kind in WITH_ID else (Counter[int](), count)
        return {
            "kind": kind,
            "headers": count,
            "without_id": without,
            "distinct_ids": len(ids),
            "ids": [{"id": number, "packets": n} for number, n in ids.most_common(top)],
        }


@lru_cache(maxsize=4096)
def tunnel_count(path: str) -> int:
    """How many tunnels a path has."""
    return len(split(path.split("/")).tunnels)


def tunnel_kinds(path: str) -> list[str]:
    """The tunnels of a path from outside inwards, IP in IP by the names that Linux has for it."""
    names = path.split("/")
    found, network = [], ""
    tunnels = split(names).tunnels
    for index, name in enumerate(names):
        if name in ("ipv4", "ipv6"):
            if index in tunnels:
                found.append(IP_IN_IP[network, name])
            network = name
        elif index in tunnels:
            found.append(name)
    return found


IP_IN_IP = {
    ("ipv4", "ipv4"): "ipip",
    ("ipv4", "ipv6"): "sit",
    ("ipv6", "ipv4"): "ip6tnl",
    ("ipv6", "ipv6"): "ip6tnl",
}
"""How Linux calls IP in IP, by the outer and the inner protocol."""
