"""`encap decap`: packets out of their tunnels, and a count of all that was left out."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from encap.cli.arguments import Target, Wish
from encap.cli.output import LEFT_OUT, Output
from encap.cli.reassemble import Joining
from encap.cli.verdicts import hides_tunnel, verdicts
from encap.cli.words import count
from encap.fragments import Reassembler
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


def decap(path: str, target: Target, wish: Wish) -> int:
    """Writes what the tunnels of `path` carry to `target`; the exit status."""
    tally = Tally()
    with Output(path, target, wish.ports) as output:
        joining = Joining(output, Reassembler()) if wish.reassemble else None
        for packets in output.batches():
            whole = joining.add(packets) if joining else packets
            output.put(unwrap(whole, wish, tally))
        if joining:
            joining.end()
    _explain_all(output, wish, tally)
    return output.finish(f"{tally.decapsulated:,} decapsulated")


def unwrap(packets: Packets, wish: Wish, tally: Tally) -> Packets:
    """The inner packets of a batch, and those that are kept as they are.

    By one thread: the batch is in the cache of this core, and the other one writes.
    """
    foreign = _of_other_ids(packets, wish) if wish.ids else None
    if foreign is not None and not foreign.any():
        foreign = None
    tally.packets += len(packets)
    if foreign is not None:
        tally.others[OTHER_ID] += int(np.count_nonzero(foreign))
        if not wish.keep:
            packets, foreign = packets[~foreign], None
    inner = packets.decap(wish.kind, wish.depth, "keep" if wish.keep else "drop", threads=1)
    if foreign is not None:
        inner = _restored(packets, inner, foreign)
    left = _left(packets, inner, foreign)
    tally.empty += _empty(packets, inner)
    if left.size:
        _explain(packets, left, wish, tally)
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
    return packets._derived(
        data=packets.data,
        starts=np.where(mask, packets.starts, inner.starts),
        lengths=np.where(mask, packets.lengths, inner.lengths),
        wire_lengths=np.where(mask, packets.wire_lengths, inner.wire_lengths),
        linktypes=np.where(mask, packets.linktypes, inner.linktypes),
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


def _explain_all(output: Output, wish: Wish, tally: Tally) -> None:
    """For the summary: what became of the packets that no inner one was written of."""
    if tally.empty:
        output.remark(f"empty: {count(tally.empty, 'inner packet')} of 0 octets")
    fate = "kept as they are" if wish.keep else LEFT_OUT
    output.count(fate, tally.others, as_told=True)
    output.count(f"{fate}, though a tunnel may be in them", tally.unseen)
    if tally.others[OTHER_ID] and wish.kind is None:
        output.remark(
            "--id is that of the outermost tunnel: give --tunnel KIND for that of the outermost one"
            " of a kind"
        )
