"""Packets that are too long for a link split into fragments."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from encap._lib import Batch, ffi, lib, pointer, spread, take_out
from encap.arrays import column
from encap.covers import covers
from encap.errors import FieldError
from encap.fragments.places import UNSPLIT, ip_header
from encap.layers import Layers, parse
from encap.memory import empty
from encap.walk import Kind

if TYPE_CHECKING:
    from encap.packets import Packets

__all__ = ["fragment"]

DF = ("skip", "raise", "ignore")
LEAST_MTU, MOST_MTU = 28, 65535  # a header of 20 octets and 8 of payload; what a length can say
_CHANGED = "an array of this batch was changed while it was read"

Array = npt.NDArray[Any]
Octets = npt.NDArray[np.uint8]


class _Split:
    """The core's `encap_split` for a batch: how it is to be split, and what that comes to.

    counts: uint32[n], what each packet becomes.  sizes: uint64[n], octets of all that.
    problems: uint8[n], enum encap_unsplit.
    """

    __slots__ = ("_keep", "counts", "layers", "pointer", "problems", "records", "sizes", "slots")

    def __init__(self, layers: Layers, header: str, mtu: int, *, ignore_df: bool) -> None:
        rows = len(layers)
        self.layers, self.slots = layers, layers.slot(header)
        self.counts = empty(rows, np.uint32)
        self.sizes = empty(rows, np.uint64)
        self.problems = empty(rows, np.uint8)
        self.records = ffi.from_buffer("encap_layers[]", layers._records) if rows else ffi.NULL
        self._keep: list[Array] = []
        self.pointer = ffi.new(
            "encap_split *",
            {
                "slots": pointer(self.slots, "int8_t"),
                "mtu": mtu,
                "ignore_df": ignore_df,
                "counts": pointer(self.counts, "uint32_t", writable=True),
                "sizes": pointer(self.sizes, "uint64_t", writable=True),
                "problems": pointer(self.problems, "uint8_t", writable=True),
            },
        )

    def measure(self, threads: int | None) -> None:
        batch = Batch(self.layers.packets)

        def measure(begin: int, end: int) -> None:
            lib.encap_split_measure(batch.pointer, self.records, begin, end, self.pointer)

        spread(measure, len(self.layers), threads)

    def number(self, ids: npt.ArrayLike) -> None:
        """Gives IPv6 packets that are split their ids: one a row, or counted on from the first."""
        rows = len(self.layers)
        numbers = column(ids, rows, np.uint32, "ids")
        if np.ndim(ids) == 0:
            kinds = self.layers.kinds[np.arange(rows), np.maximum(self.slots, 0)]
            numbered = (self.counts > 1) & (kinds == Kind["ipv6"])
            numbers = (np.cumsum(numbered) - numbered + numbers).astype(np.uint32)
        numbers = np.ascontiguousarray(numbers)
        self._keep = [numbers]
        self.pointer.ids = pointer(numbers, "uint32_t")

    def fill(self, data: Octets, threads: int | None) -> tuple[Array, Array]:
        """Writes all parts one behind the other; int64 where each starts, uint32 how long it is."""
        parts = np.concatenate([[0], np.cumsum(self.counts, dtype=np.int64)])
        ends = np.concatenate([[0], np.cumsum(self.sizes, dtype=np.int64)])
        starts, lengths = empty(int(parts[-1]), np.int64), empty(int(parts[-1]), np.uint32)
        batch, table = Batch(self.layers.packets), covers()
        targets = (
            pointer(starts, "int64_t", writable=True), pointer(lengths, "uint32_t", writable=True),
            pointer(data, "uint8_t", writable=True), len(data),
        )  # fmt: skip

        def fill(begin: int, end: int) -> None:
            at = int(parts[begin]), int(ends[begin])
            if lib.encap_split_fill(
                batch.pointer, self.records, begin, end, self.pointer, table, *at, *targets
            ):
                raise FieldError(_CHANGED)

        spread(fill, len(self.layers), threads)
        return starts, lengths


def fragment(
    packets: Packets,
    mtu: int,
    layer: str = "outer",
    *,
    df: str = "skip",
    ids: npt.ArrayLike = 0,
    ports: Mapping[int, str | None] | None = None,
    threads: int | None = None,
    out: Octets | None = None,
) -> Packets:
    """The packets, those too long in fragments; see `Packets.fragment`."""
    header, longest = ip_header(layer), operator.index(mtu)
    if not LEAST_MTU <= longest <= MOST_MTU:
        raise FieldError(f"mtu is {LEAST_MTU} to {MOST_MTU}, not {mtu}", field="mtu", value=mtu)
    if not isinstance(df, str):
        raise TypeError(f"df is text, not {type(df).__name__}")
    if df not in DF:
        raise FieldError(f"df is one of {', '.join(DF)}, not {df!r}", field="df", value=df)
    layers = parse(packets, ports=ports, threads=threads)
    split = _Split(layers, header, longest, ignore_df=df == "ignore")
    split.measure(threads)
    if df == "raise":
        _refuse_df(split)
    split.number(ids)
    if out is None and (split.counts == 1).all():
        return _as_they_are(packets)
    total = int(split.sizes.sum())
    given = take_out(out, total, np.uint8, apart=packets.data)
    data = empty(total, np.uint8) if given is None else given
    starts, lengths = split.fill(data, threads)
    rows = np.repeat(np.arange(len(packets)), split.counts)
    whole = np.repeat(split.counts == 1, split.counts)
    return packets._derived(
        rows,
        data=data,
        starts=starts,
        lengths=lengths,
        wire_lengths=np.where(whole, packets.wire_lengths[rows], lengths),
        linktypes=packets._select_linktypes(rows, len(rows)),
        left_out=_problems(split),
    )


def _refuse_df(split: _Split) -> None:
    """FieldError for the first packet that must not be split."""
    wrong = split.problems == lib.ENCAP_UNSPLIT_DF
    if wrong.any():
        row = int(wrong.argmax())
        raise FieldError(f"row {row}: {UNSPLIT[lib.ENCAP_UNSPLIT_DF]}", layer="ipv4", field="flags")


def _problems(split: _Split) -> dict[str, int]:
    counts = np.bincount(split.problems, minlength=lib.ENCAP_UNSPLITS)
    return {reason: int(counts[number]) for number, reason in UNSPLIT.items() if counts[number]}


def _as_they_are(packets: Packets) -> Packets:
    return packets._derived(
        data=packets.data,
        starts=packets.starts,
        lengths=packets.lengths,
        wire_lengths=packets.wire_lengths,
        linktypes=packets.linktypes,
    )
