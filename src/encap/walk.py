"""What the C walk is told (which header follows which) and what it learns (the paths)."""

from __future__ import annotations

from enum import IntEnum
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from encap._lib import ffi, lib, pointer
from encap.registry import DEFAULT, HEADERS

__all__ = ["KINDS", "OTHER", "Kind", "PathTable", "Status", "port_rules", "rules"]

KINDS = ("", *HEADERS)
"""Path names by the core's number of a header; 0 is none."""
OTHER = lib.ENCAP_PATH_OTHER
"""The path id of packets whose path did not get one of its own."""
CAPACITY = 4096

Kind = IntEnum("Kind", {name: number for number, name in enumerate(HEADERS, 1)})  # type: ignore[misc]
"""The numbers in `tunnel.kind` columns: `Kind(11).name` is a path name."""


class Status(IntEnum):
    """What stopped the walk of a packet."""

    OK = lib.ENCAP_OK
    """Nothing: the known headers end there."""
    TRUNCATED = lib.ENCAP_TRUNCATED
    """A header is cut short, by the capture or by an outer length."""
    MALFORMED = lib.ENCAP_MALFORMED
    """A version, flag or length that cannot be."""
    UNSUPPORTED = lib.ENCAP_UNSUPPORTED
    """A link type, or a version of a protocol, that is not known."""
    DEPTH = lib.ENCAP_DEPTH
    """More than 16 headers."""
    FRAGMENT = lib.ENCAP_INCOMPLETE
    """A fragment: what the datagram carries is not all here, so no tunnel is entered."""


def port_rules(ports: dict[int, str | None]) -> Any:
    """The core's `encap_rules` with UDP ports added or, where None, removed."""
    return rules(tuple(sorted(ports.items())))


@lru_cache(maxsize=64)
def rules(ports: tuple[tuple[int, str | None], ...] = ()) -> Any:
    """The core's `encap_rules`: the default registry's numbers, and `ports`."""
    made = ffi.new("encap_rules *")
    number = {name: kind for kind, name in enumerate(KINDS)}
    number["ip"] = lib.ENCAP_KINDS
    tables = {
        "ethertype": made.ethertype, "port": made.port, "protocol": made.protocol,
        "gpe": made.gpe, "linktype": made.linktype,
    }  # fmt: skip
    for space, table in tables.items():
        for key, name in DEFAULT.table(space).items():
            table[key] = number[name]
    for port, path in ports:
        made.port[port] = number[path] if path else 0
    return made


class PathTable:
    """The distinct paths of some rows, in order of first appearance: the core's `encap_paths`."""

    __slots__ = ("_keep", "_table", "kinds", "pointer")

    def __init__(self, capacity: int = CAPACITY) -> None:
        slots = 4 * capacity  # a power of two when the capacity is one
        self.kinds = np.zeros((capacity, 16), np.uint8)
        self._table = np.zeros(slots, np.uint32)
        self._keep = (
            pointer(self.kinds.reshape(-1).view(np.uint64), "uint64_t", writable=True),
            pointer(self._table, "uint32_t", writable=True),
        )
        self.pointer = ffi.new("encap_paths *", (*self._keep, slots, capacity, 0))

    def __len__(self) -> int:
        return int(self.pointer.count)

    def clear(self) -> None:
        """Forgets every path."""
        if self.pointer.count:
            self._table.fill(0)
            self.pointer.count = 0

    @property
    def capacity(self) -> int:
        """How many paths there is room for."""
        return len(self.kinds)

    def names(self) -> list[str]:
        """Each path in words."""
        return [path_name(row) for row in self.kinds[: len(self)]]

    def merge(self, other: PathTable) -> npt.NDArray[np.uint16]:
        """Adds the paths of `other`; gives the id here for each id there, `OTHER` to itself."""
        here = self._numbers()
        ids = np.full(OTHER + 1, OTHER, np.uint16)
        for number, row in enumerate(other.kinds[: len(other)]):
            key = row.tobytes()
            if key not in here and len(self) < self.capacity:
                here[key] = len(self)
                self.kinds[len(self)] = row
                self.pointer.count += 1
            ids[number] = here.get(key, OTHER)
        return ids

    def find(self, kinds: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint16]:
        """The id of each row of header numbers; `OTHER` where it is not here."""
        here = self._numbers()
        return np.array([here.get(row.tobytes(), OTHER) for row in kinds], np.uint16)

    def _numbers(self) -> dict[bytes, int]:
        return {row.tobytes(): number for number, row in enumerate(self.kinds[: len(self)])}


def path_name(kinds: npt.NDArray[np.uint8]) -> str:
    """The path that a row of header numbers stands for."""
    return _words(kinds.tobytes())


@lru_cache(maxsize=2 * CAPACITY)
def _words(kinds: bytes) -> str:
    return "/".join(KINDS[kind] for kind in kinds if kind)
