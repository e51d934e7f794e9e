"""Putting a batch into tunnels: the headers of a template in front of every packet.

What the template leaves open is filled in as `Packet` does it for one packet, for all rows in one
pass of the core. How a template becomes a plan for the core is in `encap.plan`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from encap import memory
from encap._lib import Batch, ffi, lib, pointer, spread, take_out
from encap.arrays import column, is_one_of
from encap.errors import FieldError
from encap.template_columns import Columns
from encap.templates import Compiled, Wishes, compiled
from encap.walk import port_rules

if TYPE_CHECKING:
    from encap.packet import Packet
    from encap.packets import Packets

__all__ = ["Run", "encap"]

REASONS = {
    lib.ENCAP_NOT_CARRIED: "the template cannot carry what the packet begins with",
    lib.ENCAP_TOO_LONG: "a length would not fit its field",
    lib.ENCAP_CUT: "a checksum needs octets that were not captured",
}
"""Why packets are left out."""
Array = npt.NDArray[Any]


class Asked(NamedTuple):
    """What one call is to do, checked: templates as plans, and the arrays that they want."""

    compiled: tuple[Compiled, ...]
    columns: Columns
    which: npt.NDArray[np.uint8] | None
    skip: bool

    def read(self) -> Iterator[Array]:
        """The caller's arrays, which are read while octets are written."""
        for given in self.columns.arrays.values():
            yield from given if isinstance(given, tuple) else (given,)
        if self.which is not None:
            yield self.which


def encap(
    packets: Packets,
    template: Packet | str | Sequence[Packet | str],
    columns: Mapping[str, Any] | None = None,
    *,
    out: npt.NDArray[np.uint8] | None = None,
    **options: Any,
) -> Packets:
    """The packets behind the headers of a template; see `Packets.encap`."""
    return Run.of(packets, template, columns, **options).packets(out)


def _which(which: npt.ArrayLike | None, templates: int, rows: int) -> npt.NDArray[np.uint8] | None:
    """The template of each row, or None where there is but one."""
    if which is None:
        if templates > 1:
            raise FieldError("with several templates `which` says which one a packet gets")
        return None
    numbers = np.ascontiguousarray(column(which, rows, np.uint8, "which"))
    if rows and int(numbers.max()) >= templates:
        raise FieldError(
            f"which names template {int(numbers.max())}, there are {templates}", field="which"
        )
    return numbers


class Run:
    """One call on one batch.

    problems: uint8[n], which of the core's `ENCAP_NO_PROBLEM` ... each packet has; known once
        `packets` was called.
    """

    @classmethod
    def of(
        cls,
        packets: Packets,
        template: Packet | str | Sequence[Packet | str],
        columns: Mapping[str, Any] | None = None,
        *,
        sport: Any = "flow",
        udp_checksum: bool | None = None,
        ttl: int | str | None = None,
        tos: int | str | None = None,
        ecn: str | None = None,
        df: bool | int | str | None = None,
        ip_id: Any = "zero",
        seq: Any = None,
        which: npt.ArrayLike | None = None,
        errors: str = "raise",
        ports: Mapping[int, str | None] | None = None,
        threads: int | None = None,
    ) -> Run:
        """A call as `Packets.encap` has it, checked; nothing is written yet."""
        if not is_one_of(errors, ("raise", "skip")):
            raise FieldError(f"errors is 'raise' or 'skip', not {errors!r}", field="errors")
        if columns is not None and not isinstance(columns, Mapping):
            raise TypeError(
                f"columns are a mapping of names to values, not {type(columns).__name__}"
            )
        rows = len(packets)
        given = Columns(rows, columns or {})
        wishes = Wishes.of(
            given, sport=sport, udp_checksum=udp_checksum, ttl=ttl, tos=tos, ecn=ecn, df=df,
            ip_id=ip_id, seq=seq,
        )  # fmt: skip
        made = compiled(template, wishes)
        given.fit(field for one in made for field in one.fields)
        asked = Asked(made, given, _which(which, len(made), rows), errors == "skip")
        return cls(packets, asked, port_rules(packets._ports_with(ports)), threads)

    def __init__(self, packets: Packets, asked: Asked, rules: Any, threads: int | None) -> None:
        self.source, self.asked, self.rules, self.threads = packets, asked, rules, threads
        self.rows = len(packets)
        self.batch = Batch(packets)
        self.lengths = memory.empty(self.rows, np.uint32)
        self.wire_lengths = memory.empty(self.rows, np.uint32)
        self.problems = memory.empty(self.rows, np.uint8)
        bound = [
            (ffi.NULL, []) if native is None else native.bound(asked.columns.arrays)
            for one in asked.compiled
            for native in one.natives
        ]
        table = ffi.new("encap_plan *[]", [plan for plan, _ in bound])
        which = ffi.NULL if asked.which is None else pointer(asked.which, "uint8_t")
        self.builder = ffi.new("encap_builder *", (table, which, len(asked.compiled)))
        arrays = (
            pointer(self.lengths, "uint32_t", writable=True),
            pointer(self.wire_lengths, "uint32_t", writable=True),
            pointer(self.problems, "uint8_t", writable=True),
        )
        self.built = ffi.new("encap_built *", (ffi.NULL, *arrays, ffi.NULL, 0))
        self._keep = bound, table, which, arrays

    def packets(self, out: npt.NDArray[np.uint8] | None) -> Packets:
        measured = spread(self._measure, self.rows, self.threads)
        if any(troubled for _, _, troubled in measured):
            return self._without_troubled(out)
        total = sum(size for _, size, _ in measured)
        given = None
        for array in (self.source.data, *self.asked.read()):
            given = take_out(out, total, np.uint8, apart=array)
        data = memory.empty(total, np.uint8) if given is None else given
        starts = memory.empty(self.rows, np.int64)
        built, places_of_c = self.built, (pointer(starts, "int64_t"), pointer(data, "uint8_t"))
        built.starts, built.octets, built.size = *places_of_c, data.size
        at, places = 0, {}
        for begin, size, _ in measured:
            places[begin] = at
            at += size

        def fill(begin: int, end: int) -> None:
            if lib.encap_build_fill(
                self.batch.pointer, self.rules, self.builder, begin, end, places[begin], built
            ):
                raise FieldError("an array of this batch was changed while it was encapsulated")

        spread(fill, self.rows, self.threads)
        return self.source._derived(
            data=data,
            starts=starts,
            lengths=self.lengths,
            wire_lengths=self.wire_lengths,
            linktypes=self._linktypes(),
        )

    def _measure(self, begin: int, end: int) -> tuple[int, int, int]:
        """Where a range begins, how many octets it becomes, and how many rows cannot be built."""
        troubled = ffi.new("uint64_t *")
        size = lib.encap_build_measure(
            self.batch.pointer, self.rules, self.builder, begin, end, self.built, troubled
        )
        return begin, int(size), int(troubled[0])

    def _linktypes(self) -> npt.NDArray[np.uint16]:
        """What the packets begin with now."""
        first = np.array([one.linktype for one in self.asked.compiled], np.uint16)
        if self.asked.which is None or (first == first[0]).all():
            return np.broadcast_to(first[0], (self.rows,))
        return first[self.asked.which]

    def _without_troubled(self, out: npt.NDArray[np.uint8] | None) -> Packets:
        """The packets that can be built; FieldError for the first that must be and cannot."""
        refused = (self.problems != lib.ENCAP_NO_PROBLEM) & (self.problems != lib.ENCAP_CUT)
        if refused.any() and not self.asked.skip:
            raise self._refusal(int(refused.argmax()))
        numbers, counts = np.unique(self.problems, return_counts=True)
        left_out = {
            REASONS[number]: count
            for number, count in zip(numbers.tolist(), counts.tolist(), strict=True)
            if number != lib.ENCAP_NO_PROBLEM
        }
        rows = np.flatnonzero(self.problems == lib.ENCAP_NO_PROBLEM)
        which = None if self.asked.which is None else self.asked.which[rows]
        asked = self.asked._replace(columns=self.asked.columns.select(rows), which=which)
        made = Run(self.source[rows], asked, self.rules, self.threads).packets(out)
        return self.source._derived(
            rows,
            data=made.data,
            starts=made.starts,
            lengths=made.lengths,
            wire_lengths=made.wire_lengths,
            linktypes=made.linktypes,
            left_out=left_out,
        )

    def _refusal(self, row: int) -> FieldError:
        """Why a row cannot be built."""
        number = 0 if self.asked.which is None else int(self.asked.which[row])
        if self.problems[row] == lib.ENCAP_NOT_CARRIED:
            problem = self.asked.compiled[number].refusal(
                self.source.view(row)[:1].tobytes(), int(self.source.linktypes[row])
            )
            return FieldError(f"packet {row}: {problem}", layer=problem.layer, field=problem.field)
        size = max(int(self.source.lengths[row]), int(self.source.wire_lengths[row]))
        return FieldError(
            f"packet {row} has {size} octets: with the headers of the template"
            f" {REASONS[int(self.problems[row])]}",
            value=size,
        )
