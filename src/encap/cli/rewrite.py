"""`encap rewrite`: fields, tags and trailers changed, or what would change and how."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from encap.cli.arguments import Rewriting, Target
from encap.cli.differences import describe
from encap.cli.output import Output, say
from encap.cli.progress import Input
from encap.cli.words import count
from encap.packets import Packets
from encap.rewrite import Outcome, apply
from encap.rewrite.frames import NO_TAG, NO_TYPE, UNKNOWN_END
from encap.rewrite.text import parse_change

__all__ = ["preview", "rewrite"]

LEFT = "left as they were"
MOST_NAMED = 5
AS_TOLD = {NO_TAG, NO_TYPE, UNKNOWN_END}
"""Packets that an option has nothing to do with."""


@dataclass(slots=True)
class Work:
    """What is done to each batch, and what it came to.

    outcomes: of each field.  unused: of each mapping, the keys that have matched nothing so far.
    untunnelled: of each field named `inner.`, the packets that have it and are in no tunnel.
    frames: tagged, untagged, cut, padded, those that are of another length.
    """

    wish: Rewriting
    changes: dict[str, object]
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    untunnelled: dict[str, int] = field(default_factory=dict)
    unused: dict[str, tuple[object, ...]] = field(default_factory=dict)
    frames: dict[str, int] = field(default_factory=dict)
    told: dict[str, int] = field(default_factory=dict)
    failed: dict[str, int] = field(default_factory=dict)

    def run(self, packets: Packets, threads: int | None = None) -> Packets:
        """The batch, rewritten as asked for; counted here."""
        wish = self.wish
        if wish.strip_trailer:
            packets = self._framed("cut", packets, packets.strip_trailer(threads=threads))
        if wish.pop_vlan:
            packets = self._framed("untagged", packets, packets.pop_vlan(threads=threads))
        if self.changes:
            packets = self._set(packets, threads)
        if wish.vid is not None:
            tagged = packets.push_vlan(wish.vid, wish.pcp, tpid=wish.tpid, threads=threads)
            packets = self._framed("tagged", packets, tagged)
        if wish.pad is not None:
            padded = packets.add_trailer(pad_to=wish.pad, threads=threads)
            packets = self._framed("padded", packets, padded)
        return packets

    def _set(self, packets: Packets, threads: int | None) -> Packets:
        done = apply(
            packets,
            self.changes,
            self.wish.checksums,
            missing=self.wish.missing,
            threads=threads,
        )
        self._note_untunnelled(packets, threads)
        for name, outcome in done.outcomes.items():
            known = self.outcomes.get(name, Outcome(0, 0, 0, 0))
            self.outcomes[name] = Outcome(*map(sum, zip(known, outcome, strict=True)))
        for name, keys in done.unused.items():
            before = self.unused.get(name, keys)
            self.unused[name] = before if keys == before else _both(before, keys)
        absent = {f"no {name}" for name in self.changes}  # the outcomes have them
        left = {why: n for why, n in done.packets.left_out.items() if why not in absent}
        self._note(left, AS_TOLD)
        return done.packets

    def _note_untunnelled(self, packets: Packets, threads: int | None) -> None:
        """Counts what `inner.` means although nothing is around it: any header of such a packet."""
        asked = {name: f"{name.replace('[*]', '')}?" for name in self.changes if _is_inner(name)}
        if not asked:
            return
        columns = packets.columns("tunnel", *dict.fromkeys(asked.values()), threads=threads)
        for name, presence in asked.items():
            found = int(np.count_nonzero(columns[presence] & ~columns["tunnel"]))
            self.untunnelled[name] = self.untunnelled.get(name, 0) + found

    def _framed(self, what: str, before: Packets, after: Packets) -> Packets:
        """Counts the frames that are of another length, and those that were left alone."""
        changed = int((before.wire_lengths != after.wire_lengths).sum())
        self.frames[what] = self.frames.get(what, 0) + changed
        self._note(after.left_out, AS_TOLD)
        return after

    def _note(self, left: Mapping[str, int], told: set[str]) -> None:
        for reason, number in left.items():
            counts = self.told if reason in told else self.failed
            counts[reason] = counts.get(reason, 0) + number

    def lines(self) -> Iterator[str]:
        """What was changed, a line for each field."""
        for name, outcome in self.outcomes.items():
            parts = [f"{count(outcome.changed, 'packet')} changed"]
            for number, what in (
                (outcome.same, "had the value"),
                (outcome.unmapped, "with another value"),
                (outcome.absent, "without it"),
                (self.untunnelled.get(name, 0), "with it but in no tunnel"),
            ):
                if number:
                    parts.append(f"{number:,} {what}")
            yield f"{name}: {', '.join(parts)}{self._unused(name)}"

    def _unused(self, name: str) -> str:
        """Which values of a mapping there were none of, a few by name."""
        keys = self.unused.get(name, ())
        given = self.changes[name]
        if not keys or not isinstance(given, Mapping):
            return ""
        named = ", ".join(map(str, keys[:MOST_NAMED])) + ", ..." * (len(keys) > MOST_NAMED)
        return f"; matched nothing: {len(keys):,} of {count(len(given), 'pair')} ({named})"


def _is_inner(name: str) -> bool:
    return name.startswith("inner.")


def _both(first: tuple[object, ...], second: tuple[object, ...]) -> tuple[object, ...]:
    kept = set(second)
    return tuple(key for key in first if key in kept)


def _work(wish: Rewriting) -> Work:
    changes: dict[str, object] = {}
    for text in wish.changes:
        name, value = parse_change(text)
        if name in changes:
            raise wish.twice(name)
        changes[name] = value
    return Work(wish, changes)


def rewrite(path: str, target: Target, wish: Rewriting) -> int:
    """Writes the packets of `path`, rewritten, to `target`; the exit status."""
    work = _work(wish)
    # What is wrong with the changes is said before any file is opened.
    _work(wish).run(Packets.from_frames([]), 1)
    with Output(path, target, wish.ports) as output:
        for packets in output.batches():
            output.put(work.run(packets, output.threads), None)
    for line in work.lines():
        output.remark(line)
    output.count(LEFT, work.told, as_told=True)
    output.count(LEFT, work.failed)
    return output.finish(*(f"{number:,} {what}" for what, number in work.frames.items()))


def preview(path: str, wish: Rewriting, *, most: int) -> int:
    """Prints what would change, and how the first `most` packets would differ; the exit status."""
    work, shown = _work(wish), 0
    with Input(path) as source:
        for packets in source.batches():
            first = source.packets - len(packets)
            bound = packets.with_ports(wish.ports) if wish.ports else packets
            made = work.run(bound)
            for row in range(len(packets) if shown < most else 0):
                text = describe(first + row, bound, made, row)
                if text:
                    print(*text, sep="\n")
                    shown += 1
                if shown == most:
                    break
    done = [f"{number:,} would be {what}" for what, number in work.frames.items()]
    left = [f"{LEFT}: {reason} ({number:,})" for reason, number in work.failed.items()]
    failure = [str(source.failure)] if source.failure else []
    read = f"{count(source.packets, 'packet')} read"
    say(", ".join([read, *done, "nothing written"]), *work.lines(), *left, *failure)
    return 1 if source.failure or work.failed else 0
