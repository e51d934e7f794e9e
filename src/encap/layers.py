"""Layers: which header stands where in every packet of a batch, and columns made from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from encap import memory
from encap._lib import Batch, ffi, lib, pointer, spread
from encap.columns import Column, column, slot_column
from encap.errors import FieldError
from encap.layout import Field
from encap.names import GROUPS, OF_PACKETS, parse_name
from encap.registry import header_class
from encap.walk import KINDS, OTHER, PathTable, Status, path_name, port_rules

if TYPE_CHECKING:
    from encap.packets import Packets

__all__ = ["Layers", "of_packets", "parse"]

Array: TypeAlias = npt.NDArray[Any]
RECORD = np.dtype(
    [
        ("kind", np.uint8, 16),
        ("offset", np.uint16, 16),
        ("payload", np.uint32),
        ("end", np.uint32),
        ("status_offset", np.uint32),
        ("count", np.uint8),
        ("status", np.uint8),
        ("status_layer", np.uint8),
        ("reserved", np.uint8),
    ]
)
"""The core's `encap_layers`."""
if RECORD.itemsize != ffi.sizeof("encap_layers"):
    raise ImportError("encap._ffi was built from another version of encap")


class Layers:
    """What `Packets.parse` found: one row a packet.

    `layers["vxlan.vni"]` is a column: IPv4 addresses uint32, IPv6 uint8[n, 16], MAC uint8[n, 6],
    numbers the smallest unsigned integer that holds them, presence bool; 0 where absent.
    """

    __slots__ = ("__weakref__", "_path_ids", "_paths", "_records", "packets")

    packets: Packets
    _records: Array
    _path_ids: npt.NDArray[np.uint16]
    _paths: PathTable

    def __init__(
        self, packets: Packets, records: Array, path_ids: npt.NDArray[np.uint16], paths: PathTable
    ) -> None:
        # The core trusts that there is one of each a packet, so none can be changed for another.
        if not len(packets) == len(records) == len(path_ids):
            raise FieldError("layers have one record and one path id a packet")
        put = object.__setattr__
        put(self, "packets", packets)
        put(self, "_records", records)
        put(self, "_path_ids", path_ids)
        put(self, "_paths", paths)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"Layers are immutable: {name} cannot be set")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"Layers are immutable: {name} cannot be deleted")

    def __len__(self) -> int:
        return len(self.packets)

    def __repr__(self) -> str:
        return f"<Layers: {len(self)} packets, {len(self._paths)} paths>"

    @property
    def paths(self) -> list[str]:
        """Each distinct path in words, in order of first appearance; at most 4096 of them."""
        return self._paths.names()

    @property
    def path_ids(self) -> npt.NDArray[np.uint16]:
        """uint16[n]: the index in `paths` of each packet's path, or 65535; borrowed."""
        view = self._path_ids.view()
        view.flags.writeable = False
        return view

    @property
    def kinds(self) -> npt.NDArray[np.uint8]:
        """uint8[n, 16]: the `Kind` of each header of each packet, then zeros; borrowed."""
        return self._field("kind")

    @property
    def offsets(self) -> npt.NDArray[np.uint16]:
        """uint16[n, 16]: octets from the start of the frame to each header; borrowed.

        What stands behind the last header's offset means nothing.
        """
        return self._field("offset")

    @property
    def depth(self) -> npt.NDArray[np.uint8]:
        """uint8[n]: how many headers each packet has; borrowed."""
        return self._field("count")

    @property
    def status(self) -> npt.NDArray[np.uint8]:
        """uint8[n]: the `Status` of each packet, what stopped its walk; borrowed."""
        return self._field("status")

    @property
    def status_layer(self) -> npt.NDArray[np.uint8]:
        """uint8[n]: which header the status is about, counted from 0; borrowed."""
        return self._field("status_layer")

    @property
    def status_offset(self) -> npt.NDArray[np.uint32]:
        """uint32[n]: octets from the start of the frame to that header; borrowed."""
        return self._field("status_offset")

    @property
    def payload(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint32]]:
        """What follows the last header, up to the innermost length.

        int64[n] starts in `packets.data`, uint32[n] lengths.
        """
        start, end = self._records["payload"], self._records["end"]
        return self.packets.starts + start, np.maximum(end, start) - start

    def _field(self, name: str) -> Array:
        view = self._records[name]
        view.flags.writeable = False
        return view

    def __getitem__(self, name: str) -> Array:
        """The column called `name`. FieldError, with the names that exist, when there is none."""
        if name in OF_PACKETS:
            return self._of_packets(name)
        return self._gather(column(name, *OF_PACKETS))

    def _of_packets(self, name: str) -> Array:
        if name == "path":
            words = np.array([*self.paths, ""], object)
            found = words[np.minimum(self.path_ids, len(self._paths))]
            for row in np.flatnonzero(self.path_ids == OTHER):
                found[row] = path_name(self._records["kind"][row])
            return found
        if name == "status":
            return self.status
        return of_packets(self.packets, name)

    def _gather(self, wanted: Column) -> Array:
        rows, width = len(self), wanted.width
        raw = memory.empty(rows * width, np.uint8)
        slots = np.empty(self._paths.capacity, np.int8)
        lib.encap_find_slots(
            self._paths.pointer, 0, wanted.spec, 1, pointer(slots, "int8_t", writable=True)
        )
        source = Batch(self.packets)
        given = (
            self._paths.pointer,
            ffi.from_buffer("encap_layers[]", self._records) if rows else ffi.NULL,
            pointer(self.path_ids, "uint16_t"),
            pointer(slots, "int8_t"),
            wanted.spec,
            pointer(raw, "uint8_t", writable=True),
        )

        def gather(begin: int, end: int) -> None:
            lib.encap_gather(source.pointer, begin, end, *given)

        spread(gather, rows)
        return wanted.typed(raw)

    def has(self, name: str) -> npt.NDArray[np.bool_]:
        """bool[n]: where the header, or the optional field (`gre.key`), called `name` is there."""
        wanted = column(name)
        if wanted.dtype != np.bool_:
            wanted = column(name + "?")
        return self._gather(wanted)

    def count(self, protocol: str) -> npt.NDArray[np.uint8]:
        """uint8[n]: how many headers of `protocol` (`vlan`, `inner.vlan`, `ip`) each packet has."""
        name = parse_name(protocol)
        if "[" in protocol:
            raise FieldError(f"{protocol!r}: an index names one header alone", field=protocol)
        wanted = slot_column(protocol).spec
        if name.part or wanted.tunnels_only:
            return self._count_each(protocol)
        marks = np.array([wanted.kinds >> kind & 1 for kind in range(len(KINDS))], np.uint8)
        if (self.path_ids == OTHER).any():
            counted: npt.NDArray[np.uint8] = marks[self._records["kind"]].sum(1, dtype=np.uint8)
            return counted
        by_path: npt.NDArray[np.uint8] = marks[self._paths.kinds].sum(1, dtype=np.uint8)
        return by_path[self.path_ids]

    def _count_each(self, protocol: str) -> npt.NDArray[np.uint8]:
        """How many, found by asking for the first, the second, and so on."""
        counted = np.zeros(len(self), np.uint8)
        for index in range(lib.ENCAP_MAX_LAYERS):
            there = self._gather(column(f"{protocol}[{index}]"))
            if not there.any():
                break
            counted += there
        return counted

    def slot(self, name: str) -> npt.NDArray[np.int8]:
        """int8[n]: the index in `kinds` and `offsets` of the header `name`; -1 where absent."""
        return self._gather(slot_column(name))

    def offset(self, name: str) -> npt.NDArray[np.int32]:
        """int32[n]: octets from the start of the frame to the header `name`; -1 where absent."""
        slot = self.slot(name)
        found = self._records["offset"][np.arange(len(self)), np.maximum(slot, 0)]
        return np.where(slot < 0, np.int32(-1), found.astype(np.int32))

    def span(self, name: str) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint32]]:
        """Where a variable part (`geneve.options`, `ipv4.options`, `gre.routing`) stands.

        Gives int64[n] starts in `packets.data` and uint32[n] lengths, 0 where there is none.
        """
        protocol, _, part = name.rpartition(".")
        slot = self.slot(protocol)
        path = parse_name(protocol).protocol
        described = None if path in GROUPS else header_class(path).fields.get(part)
        if described is None or described.variable is None:
            raise FieldError(f"{name!r} is no variable part of a header", field=name)
        rows, safe = np.arange(len(self)), np.maximum(slot, 0)
        start = self._records["offset"][rows, safe].astype(np.int64)
        start += header_class(path).fixed_len
        groups: dict[object, list[Field]] = {}
        for field in header_class(path).fields.values():
            if field.when is not None:
                groups.setdefault(field.when.tests, []).append(field)
        for members in groups.values():
            there = self.has(f"{protocol}.{members[0].name}")
            start += there * (sum(field.bits for field in members) // 8)
        last = safe + 1 >= self._records["count"]
        following = self._records["offset"][rows, np.minimum(safe + 1, 15)]
        end = np.where(last, self._records["payload"], following).astype(np.int64)
        # Of a header that is broken only the fixed part counts.
        stopped = (self.status_layer == slot) & (self.status <= Status.UNSUPPORTED)
        gone = (slot < 0) | (stopped & (self.status != Status.OK)) | (end < start)
        start = np.where(gone, 0, start)
        lengths = np.where(gone, 0, end - start).astype(np.uint32)
        return self.packets.starts + start, lengths

    def option(
        self, name: str, *numbers: int
    ) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.bool_]]:
        """The data of one option: uint8[n, w], and bool[n] where the packet has it.

        name: a header with options: `geneve`, `ipv4`, `inner.tcp`, `hopopt`, `dstopts`.
        numbers: class and type of a Geneve option, the type of another.
        w is the longest there is; shorter ones end in zeros. The first of several counts.
        """
        from encap.options import option

        return option(self, name, numbers)


def of_packets(packets: Packets, name: str) -> Array:
    """What a batch knows without a walk."""
    known: dict[str, Array] = {
        "time": packets.times, "length": packets.lengths, "wire_length": packets.wire_lengths,
    }  # fmt: skip
    return known[name]


Walk: TypeAlias = Callable[[Any, Any, int, int, Any, Any, Any], object]
"""Walks a range of rows: batch, rules, begin, end, paths, layers, path ids."""


def parse(
    packets: Packets,
    *,
    ports: Mapping[int, str | None] | None = None,
    threads: int | None = None,
    out: Layers | None = None,
    walk: Walk = lib.encap_parse,
) -> Layers:
    """The layers of every packet; see `Packets.parse`.

    walk: a kernel that does what `encap_parse` does, and more.
    """
    rows = len(packets)
    if out is not None and not isinstance(out, Layers):
        raise TypeError(f"out must be Layers, not {type(out).__name__}")
    if out is None:
        raw = memory.empty(rows * RECORD.itemsize, np.uint8)
        records = raw.view(RECORD)
        path_ids = memory.empty(rows, np.uint16)
    else:
        records, path_ids = out._records, out._path_ids
        if len(records) < rows:
            raise FieldError(f"out has room for {len(records)} packets, not {rows}", field="out")
        records, path_ids = records[:rows], path_ids[:rows]
    source, known = Batch(packets), port_rules(packets._ports_with(ports))
    target = ffi.from_buffer("encap_layers[]", records) if rows else ffi.NULL
    ids = pointer(path_ids, "uint16_t")

    def walk_rows(begin: int, end: int) -> PathTable:
        paths = PathTable()
        walk(source.pointer, known, begin, end, paths.pointer, target, ids)
        return paths

    tables = spread(walk_rows, rows, threads)
    for part, table in enumerate(tables[1:], 1):
        # Ids in order of first appearance over all rows: what one thread alone would have given.
        mine = slice(rows * part // len(tables), rows * (part + 1) // len(tables))
        lost = np.flatnonzero(path_ids[mine] == OTHER) + mine.start
        path_ids[mine] = tables[0].merge(table)[path_ids[mine]]
        # A table that was full may have missed a path which an earlier one has.
        path_ids[lost] = tables[0].find(records["kind"][lost])
    return Layers(packets, records, path_ids, tables[0])
