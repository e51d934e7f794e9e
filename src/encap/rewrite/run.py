"""Changes made to a batch: the core's kernel, its scratch memory, and what it counted."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from encap import memory
from encap._lib import Batch, ffi, lib, pointer, spread, take_out
from encap.arrays import is_one_of
from encap.covers import covers
from encap.errors import FieldError
from encap.rewrite.changes import Change, compile_change
from encap.walk import PathTable, port_rules

if TYPE_CHECKING:
    from encap.packets import Packets

__all__ = ["CAPACITY", "Outcome", "Rewritten", "apply", "in_place", "room_for"]

CAPACITY = 4096
"""Paths that have a program of their own; for those beyond, one is made a packet."""
MOST_ROOM = 1 << 22  # octets of programs
MOST_CHANGES = 4096
CHECKSUMS = {
    "keep": lib.ENCAP_CHECKSUMS_KEEP,
    "update": lib.ENCAP_CHECKSUMS_UPDATE,
    "recompute": lib.ENCAP_CHECKSUMS_RECOMPUTE,
}
LEFT = {
    lib.ENCAP_LEFT_CRC: "sctp.checksum not updated: a fragment, or of unknown length",
    lib.ENCAP_LEFT_SUM: "checksum not recomputed: octets that it covers are missing",
    lib.ENCAP_LEFT_INTEGRITY: "integrity check of ah or esp not updated: it wants a key",
}


class Outcome(NamedTuple):
    """What one change came to, in packets. One with several such headers counts once, as the first
    of these that holds for any of them.
    """

    changed: int
    same: int
    """They had the value already."""
    unmapped: int
    """Their value is not in the mapping."""
    absent: int
    """They have no such field."""


class Rewritten(NamedTuple):
    """Packets that were rewritten, and how often each change applied, by field name."""

    packets: Packets
    outcomes: dict[str, Outcome]
    unused: dict[str, tuple[object, ...]]
    """Of each mapping the keys that matched nothing, in its order: none was there, or a longer
    prefix took all that there were.
    """


class _Counts(NamedTuple):
    """int64[changes, 4] outcomes, int64[3] of what was left, in packets; bool[pairs] of all
    mappings, true where one applied.
    """

    outcomes: npt.NDArray[np.int64]
    lefts: npt.NDArray[np.int64]
    matched: npt.NDArray[np.bool_]


class _Scratch:
    """Room for the paths of one range of rows, and for what the changes come to in each."""

    def __init__(self, room: int) -> None:
        place, program = ffi.sizeof("encap_place"), ffi.sizeof("encap_program")
        capacity = CAPACITY
        while capacity > 1 and capacity * (program + room * place) > MOST_ROOM:
            capacity //= 2
        self.room = room
        self.paths = PathTable(capacity)
        self.programs = ffi.from_buffer(
            "encap_program[]", np.empty((capacity + 1) * program, np.uint8)
        )
        self.layers = ffi.new("encap_layers[]", lib.ENCAP_STRETCH)
        self.path_ids = ffi.new("uint16_t[]", lib.ENCAP_STRETCH)
        self.places = ffi.from_buffer(
            "encap_place[]", np.empty((capacity + 1) * room * place, np.uint8)
        )


_idle: deque[_Scratch] = deque(maxlen=4)  # its ends are atomic, so threads can share it


def _take_scratch(room: int) -> _Scratch:
    """Scratch memory without paths, with room for as many places a path."""
    try:
        scratch = _idle.pop()
    except IndexError:
        return _Scratch(room)
    if scratch.room < room or scratch.paths.capacity > CAPACITY:
        return _Scratch(room)
    scratch.paths.clear()
    return scratch


class _Job:
    """Changes as the core reads them."""

    def __init__(
        self, changes: Sequence[Change], *, checksums: int = 0, trial: bool = False
    ) -> None:
        self.edits = ffi.new("encap_edit[]", len(changes))
        self.keep = [
            change.describe(edit) for change, edit in zip(changes, self.edits, strict=True)
        ]
        self.room = max(1, sum(change.most_places for change in changes))
        self.checksums, self.trial = checksums, trial
        self.count, self.pairs = len(changes), 0
        for change, edit in zip(changes, self.edits, strict=True):
            edit.matched_at = self.pairs
            self.pairs += len(change.keys)

    def run(
        self,
        packets: Packets,
        rules: Any,
        octets: npt.NDArray[np.uint8],
        source: Packets | None = None,
        threads: int | None = None,
    ) -> _Counts:
        """Edits `octets`, which the packets are over, `source` being copied there first."""
        batch, given = Batch(packets), Batch(source) if source is not None else None
        target = pointer(octets, "uint8_t", writable=not self.trial)

        def rewrite(begin: int, end: int) -> _Counts:
            scratch = _take_scratch(self.room)
            matched = np.zeros(self.pairs, np.bool_)  # this range's own: threads share no octet
            pairs = pointer(matched, "uint8_t", writable=True), self.pairs
            job = ffi.new(
                "encap_rewriting *",
                (
                    self.edits,
                    covers(),
                    self.count,
                    self.checksums,
                    self.trial,
                    scratch.room,
                    *pairs,
                ),
            )
            outcomes = np.zeros((self.count, lib.ENCAP_OUTCOMES), np.int64)
            lefts = np.zeros(lib.ENCAP_LEFTS, np.int64)
            failed = lib.encap_rewrite(
                given.pointer if given else ffi.NULL,
                batch.pointer,
                rules,
                begin,
                end,
                job,
                scratch.paths.pointer,
                scratch.layers,
                scratch.path_ids,
                scratch.programs,
                scratch.places,
                target,
                pointer(outcomes.reshape(-1), "uint64_t", writable=True),
                pointer(lefts, "uint64_t", writable=True),
            )
            _idle.append(scratch)
            if failed:
                raise FieldError("an array of this batch was changed while it was copied")
            return _Counts(outcomes, lefts, matched)

        parts = spread(rewrite, len(packets), threads)
        return _Counts(
            sum(part.outcomes for part in parts),  # type: ignore[arg-type]  # there is one
            sum(part.lefts for part in parts),  # type: ignore[arg-type]
            np.logical_or.reduce([part.matched for part in parts]),
        )


def apply(
    packets: Packets,
    changes: Mapping[str, Any],
    checksums: str = "update",
    *,
    missing: str = "skip",
    ports: Mapping[int, str | None] | None = None,
    threads: int | None = None,
    out: npt.NDArray[np.uint8] | str | None = None,
) -> Rewritten:
    """`Packets.rewrite`, and what each change came to."""
    for name, value, known in (
        ("checksums", checksums, tuple(CHECKSUMS)),
        ("missing", missing, ("skip", "raise")),
    ):
        if not is_one_of(value, known):
            raise FieldError(
                f"{name} is {', '.join(known)}; not {value!r}", field=name, value=value
            )
    if not isinstance(changes, Mapping):
        raise TypeError(f"changes are a mapping of names to values, not {type(changes).__name__}")
    if len(changes) > MOST_CHANGES:
        raise FieldError(f"{len(changes)} changes are more than {MOST_CHANGES}", field="changes")
    compiled = [compile_change(text, value, len(packets)) for text, value in changes.items()]
    rules = port_rules(packets._ports_with(ports))
    _refuse_unfit(packets, compiled, rules)
    if missing == "raise":
        _refuse_missing(packets, compiled, rules, threads)
    # Optional fields first: where one stands may depend on fields that are about to change.
    compiled.sort(key=lambda change: not any(one.field.optional for one in change.members))
    job = _Job(compiled, checksums=CHECKSUMS[checksums])
    if isinstance(out, str):
        data, made, source = in_place(packets, out), packets, None
    else:
        data, made, source = *room_for(packets, out), packets
    done = job.run(made, rules, data, source, threads)
    found = {
        change.target.text: Outcome(*row[::-1].tolist())
        for change, row in zip(compiled, done.outcomes, strict=True)
    }
    in_order = {text: found[text] for text in changes}
    unused = _unused(changes, compiled, done.matched)
    return Rewritten(_with_counts(packets, made, in_order, done.lefts), in_order, unused)


def _unused(
    changes: Mapping[str, Any], compiled: Sequence[Change], matched: npt.NDArray[np.bool_]
) -> dict[str, tuple[object, ...]]:
    """The keys of each mapping that matched nothing; `matched` is in the order of `compiled`."""
    found, begin = {}, 0
    for change in compiled:
        end = begin + len(change.keys)
        rows = np.flatnonzero(~matched[begin:end]).tolist()
        found[change.target.text] = {change.keys[row] for row in rows}
        begin = end
    return {
        text: tuple(key for key in given if key in found[text])
        for text, given in changes.items()
        if isinstance(given, Mapping)
    }


def in_place(packets: Packets, out: str) -> npt.NDArray[np.uint8]:
    """The octets of a batch, which may be written to and which no two packets share."""
    if out != "in place":
        raise FieldError(f"out is an array or 'in place', not {out!r}", field="out", value=out)
    if not packets.data.flags.writeable:
        raise FieldError(
            "the octets of this batch are read-only, so it cannot be rewritten in place",
            field="out",
        )
    if _overlap(packets.starts, packets.lengths):
        order = np.argsort(packets.starts, kind="stable")
        order = order[packets.lengths[order] > 0]
        if _overlap(packets.starts[order], packets.lengths[order]):
            raise FieldError(
                "packets of this batch overlap, so it cannot be rewritten in place", field="out"
            )
    return packets.data


def _overlap(starts: npt.NDArray[np.int64], lengths: npt.NDArray[np.uint32]) -> bool:
    """True where a row begins before the one in front of it ends."""
    rows = pointer(starts, "int64_t"), pointer(lengths, "uint32_t")
    return not lib.encap_in_order(*rows, len(starts))


def room_for(
    packets: Packets, out: npt.NDArray[np.uint8] | None
) -> tuple[npt.NDArray[np.uint8], Packets]:
    """Octets for a copy, and the batch over them that it will be."""
    starts = memory.empty(len(packets), np.int64)
    total = lib.encap_pack(
        pointer(packets.lengths, "uint32_t"),
        len(packets),
        pointer(starts, "int64_t", writable=True),
    )
    given = take_out(out, total, np.uint8, apart=packets.data)
    data = memory.empty(total, np.uint8) if given is None else given
    made = packets._derived(
        data=data,
        starts=starts,
        lengths=packets.lengths,
        wire_lengths=packets.wire_lengths,
        linktypes=packets.linktypes,
    )
    return data, made


def _with_counts(
    packets: Packets,
    made: Packets,
    outcomes: Mapping[str, Outcome],
    lefts: npt.NDArray[np.int64],
) -> Packets:
    left = {f"no {name}": found.absent for name, found in outcomes.items() if found.absent}
    left |= {LEFT[reason]: int(count) for reason, count in enumerate(lefts) if count}
    return packets._derived(
        data=made.data,
        starts=made.starts,
        lengths=made.lengths,
        wire_lengths=made.wire_lengths,
        linktypes=made.linktypes,
        left_out=left,
    )


def _refuse_unfit(packets: Packets, changes: Sequence[Change], rules: Any) -> None:
    """FieldError where a packet has a field that cannot hold what it would become."""
    for change in changes:
        for unfit in change.unfit:
            some = packets if unfit.rows is None else packets[unfit.rows]
            probe = Change(change.target, (unfit.member,), values=np.zeros(16, np.uint8))
            done = _Job([probe], trial=True).run(some, rules, some.data)
            count = len(some) - int(done.outcomes[0, lib.ENCAP_ABSENT])
            if count:
                member = unfit.member
                raise change.target.error(
                    unfit.value,
                    f"{count} packets have {member.name}, which cannot hold it",
                )


def _refuse_missing(
    packets: Packets, changes: Sequence[Change], rules: Any, threads: int | None
) -> None:
    """FieldError where a packet lacks a field."""
    done = _Job(changes, trial=True).run(packets, rules, packets.data, threads=threads)
    for change, row in zip(changes, done.outcomes, strict=True):
        absent = int(row[lib.ENCAP_ABSENT])
        if absent:
            raise FieldError(
                f"{change.target.text} is not in {absent} of {len(packets)} packets",
                field=change.target.text,
            )
