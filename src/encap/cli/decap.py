"""`encap decap`: packets out of their tunnels, and a count of all that was left out."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from encap.capture import Sink, create
from encap.cli.arguments import Wish
from encap.cli.progress import Input
from encap.cli.verdicts import hides_tunnel, verdicts
from encap.cli.words import count
from encap.cli.writing import Writing
from encap.errors import CaptureError
from encap.packets import Packets
from encap.walk import KINDS, Status

__all__ = ["decap"]

MOST_TUNNELS = 16
OTHER_ID = "with another id"
Mask = npt.NDArray[np.bool_]


@dataclass(slots=True)
class Tally:
    """What became of the packets.

    empty: those decapsulated that have no octet.
    others: those in no tunnel that was asked for, by reason.
    unseen: those of which that cannot be known, by reason.
    """

    packets: int = 0
    decapsulated: int = 0
    empty: int = 0
    others: Counter[str] = field(default_factory=Counter)
    unseen: Counter[str] = field(default_factory=Counter)


def decap(path: str, out: str, wish: Wish, **options: Any) -> int:
    """Writes what the tunnels of `path` carry to `out`; the exit status."""
    tally = Tally()
    with Input(path) as source:
        with _named(out):
            sink = _create(out, source, **options)
        with sink, Writing(sink, partial(_write, sink, out)) as writing:
            for packets in source.batches():
                writing.put(unwrap(packets, wish, tally))
    _print_summary(sink, source, wish, tally)
    return 1 if source.failure or tally.unseen or sink.summary.left_out else 0


def unwrap(packets: Packets, wish: Wish, tally: Tally) -> Packets:
    """The inner packets of a batch, and those that are kept as they are.

    By one thread: the batch is in the cache of this core, and the other one writes.
    """
    bound = packets.with_ports(wish.ports) if wish.ports else packets
    foreign = _of_other_ids(bound, wish) if wish.ids else None
    if foreign is not None and not foreign.any():
        foreign = None
    others = "keep" if wish.keep else "drop"
    if foreign is None:
        inner = bound.decap(wish.kind, wish.depth, others, threads=1)
    elif wish.keep:
        inner = _restored(bound, bound.decap(wish.kind, wish.depth, others, threads=1), foreign)
    else:
        bound = bound[~foreign]
        inner = bound.decap(wish.kind, wish.depth, others, threads=1)
    left = _left(bound, inner, foreign if wish.keep else None)
    tally.packets += len(packets)
    tally.empty += _empty(bound, inner)
    if foreign is not None:
        tally.others[OTHER_ID] += int(np.count_nonzero(foreign))
    if left.size:
        _explain(bound, left, wish, tally)
    tally.decapsulated = tally.packets - tally.others.total() - tally.unseen.total()
    return inner


def _of_other_ids(packets: Packets, wish: Wish) -> Mask:
    """The packets whose outermost tunnel of the kind that is wanted has none of the ids."""
    found = np.zeros(len(packets), np.bool_)
    rows, rest = np.arange(len(packets)), packets
    for index in range(MOST_TUNNELS):
        kind, number, there = rest.columns(
            f"tunnel[{index}].kind", f"tunnel[{index}].id", f"tunnel[{index}].id?", threads=1
        ).values()
        wanted = kind != 0 if wish.kind is None else kind == KINDS.index(wish.kind)
        found[rows[wanted & ~(there & np.isin(number, wish.ids))]] = True
        deeper = ~wanted & (kind != 0)
        if not deeper.any():
            break
        rows, rest = rows[deeper], rest[deeper]
    return found


def _restored(packets: Packets, inner: Packets, mask: Mask) -> Packets:
    """`inner`, which has every row of `packets`, with the rows of `mask` as they were."""
    return Packets._make(
        packets.data,
        np.where(mask, packets.starts, inner.starts),
        np.where(mask, packets.lengths, inner.lengths),
        wire_lengths=np.where(mask, packets.wire_lengths, inner.wire_lengths),
        times=packets.times,
        linktypes=np.where(mask, packets.linktypes, inner.linktypes),
        ports=packets._ports,
    )


def _left(packets: Packets, inner: Packets, but: Mask | None) -> npt.NDArray[np.int64]:
    """The rows of `packets` that were not decapsulated; those of `but` are known already."""
    if len(inner) == len(packets):
        same = inner.starts == packets.starts
    else:
        same = np.ones(len(packets), np.bool_)
        same[inner.rows] = False
    if but is not None:
        same &= ~but
    return np.flatnonzero(same)


def _empty(packets: Packets, inner: Packets) -> int:
    """How many packets that were decapsulated have no octet."""
    empty = inner.lengths == 0
    if len(inner) == len(packets):
        empty &= inner.starts != packets.starts
    return int(np.count_nonzero(empty))


def _explain(packets: Packets, rows: npt.NDArray[np.int64], wish: Wish, tally: Tally) -> None:
    """Counts the packets that were not decapsulated, with the reasons."""
    layers = packets[rows].parse()
    stopped = np.flatnonzero(layers.status != Status.OK)
    unseen = stopped[hides_tunnel(layers, stopped)] if stopped.size else stopped
    for verdict, members in verdicts(layers, unseen):
        tally.unseen[str(verdict)] += len(members)
    if len(rows) > len(unseen):
        tally.others[f"in no {wish.kind or 'tunnel'}"] += len(rows) - len(unseen)


def _create(out: str, source: Input, **options: Any) -> Sink:
    try:
        return create(out, like=source.source, **options)
    except CaptureError as error:
        # An argument of the library is an option of the same name here.
        raise CaptureError(str(error).replace("format=", "--format ")) from error


def _write(sink: Sink, out: str, packets: Packets) -> None:
    with _named(out):
        _write_or_advise(sink, packets)


def _write_or_advise(sink: Sink, packets: Packets) -> None:
    """Write a batch; what does not fit a pcap file is refused with the ways out."""
    try:
        sink.write(packets)
    except CaptureError as error:
        kinds = set(np.unique(packets.linktypes).tolist()) | set(sink.linktypes)
        if len(kinds) < 2:
            raise
        found = ", ".join(str(kind) for kind in sorted(kinds))
        raise CaptureError(
            f"a pcap file has one link type, the packets to write have several ({found}): write"
            " a .pcapng file (--format pcapng for standard output), or give --link ethernet"
            " --src MAC --dst MAC, or --link raw"
        ) from error


@contextmanager
def _named(out: str) -> Iterator[None]:
    """Errors of the output file have its own name, not that of the one that becomes it."""
    name = "standard output" if out == "-" else out
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), name) from error
    except CaptureError as error:
        raise CaptureError(f"{name}: {error}") from error


def _print_summary(sink: Sink, source: Input, wish: Wish, tally: Tally) -> None:
    """What was done, on standard error."""
    written = sink.summary
    parts = [
        f"{count(tally.packets, 'packet')} read",
        f"{tally.decapsulated:,} decapsulated",
        f"{written.packets:,} written ({count(written.octets, 'octet')})",
    ]
    lines = [", ".join(parts)]
    if tally.empty:
        lines.append(f"empty: {count(tally.empty, 'inner packet')} of 0 octets")
    fate = "kept as they are" if wish.keep else "left out"
    for title, reasons in (
        (fate, tally.others),
        (f"{fate}, though a tunnel may be in them", tally.unseen),
        ("not written", Counter(written.left_out)),
    ):
        if reasons:
            parts = [f"{reason} ({number:,})" for reason, number in reasons.most_common()]
            lines.append(f"{title}: {', '.join(parts)}")
    if tally.others[OTHER_ID] and wish.kind is None:
        lines.append(
            "--id is that of the outermost tunnel: give --tunnel KIND for that of the outermost one"
            " of a kind"
        )
    if source.failure:
        lines.append(str(source.failure))
    for line in lines:
        print("encap:", line, file=sys.stderr)
