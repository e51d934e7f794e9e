"""Verdicts: what every checksum of every layer of a batch is worth.

What a checksum covers and when it is right is core/covers.h and core/verdicts.c; for one packet
`encap.verify` says the same. Nothing is repaired here: see `Packets.fix`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from encap import memory
from encap._lib import lib, pointer
from encap.arrays import read_only
from encap.covers import covers
from encap.errors import FieldError
from encap.layers import Layers, parse
from encap.verify import Verdict

if TYPE_CHECKING:
    from encap.packets import Packets

__all__ = ["Checksums", "checksums"]

SLOTS = lib.ENCAP_MAX_LAYERS
if len(Verdict) != lib.ENCAP_VERDICTS:
    raise ImportError("encap._ffi was built from another version of encap")


class Checksums:
    """Every checksum of a batch: one entry each, by row, and within a packet from the outermost in.

    `row`, `layer`, `kind`, `offset` and `verdict` are arrays of equal length, read-only, made when
    they are first asked for; `of("inner.tcp")` has one verdict a packet.
    """

    # No slots: cached_property wants a dictionary.
    layers: Layers
    """The layers of the same packets, from the same walk."""

    def __init__(self, layers: Layers, verdicts: npt.NDArray[np.uint8]) -> None:
        if verdicts.shape != (len(layers) * SLOTS,):
            raise FieldError("there are 16 verdicts a packet")
        self.layers = layers
        self._verdicts = verdicts

    def __len__(self) -> int:
        return len(self._entries)

    def __repr__(self) -> str:
        said = ", ".join(f"{count} {verdict.name}" for verdict, count in self.counts.items())
        return f"<Checksums: {len(self)} in {len(self.layers)} packets: {said or 'none'}>"

    @cached_property
    def _entries(self) -> npt.NDArray[np.int64]:
        """Row * 16 + slot of each."""
        return np.flatnonzero(self._verdicts != Verdict.NONE)

    @cached_property
    def row(self) -> npt.NDArray[np.int64]:
        """int64[m]: the row of the packet."""
        return read_only(self._entries // SLOTS)

    @cached_property
    def layer(self) -> npt.NDArray[np.uint8]:
        """uint8[m]: which header of its packet it is in, counted from 0."""
        return read_only((self._entries % SLOTS).astype(np.uint8))

    @cached_property
    def kind(self) -> npt.NDArray[np.uint8]:
        """uint8[m]: the `Kind` of that header."""
        return read_only(self.layers.kinds[self.row, self.layer])

    @cached_property
    def offset(self) -> npt.NDArray[np.uint16]:
        """uint16[m]: octets from the start of the frame to that header."""
        return read_only(self.layers.offsets[self.row, self.layer])

    @cached_property
    def verdict(self) -> npt.NDArray[np.uint8]:
        """uint8[m]: the `Verdict`, never NONE."""
        return read_only(self._verdicts[self._entries])

    @cached_property
    def counts(self) -> dict[Verdict, int]:
        """How many there are of each verdict that occurs."""
        counted = np.bincount(self.verdict, minlength=len(Verdict))
        return {verdict: int(counted[verdict]) for verdict in Verdict if counted[verdict]}

    def of(self, name: str) -> npt.NDArray[np.uint8]:
        """uint8[n]: the `Verdict` of the header called `name` (`udp`, `inner.tcp`, `ipv4[-1]`).

        NONE where a packet has no such header, or the header no checksum. FieldError for a name
        that there is not, or of a field.
        """
        slot = self.layers.slot(name)
        found = self._verdicts.reshape(-1, SLOTS)[np.arange(len(slot)), np.maximum(slot, 0)]
        return np.where(slot < 0, np.uint8(Verdict.NONE), found)


def checksums(
    packets: Packets,
    *,
    ports: Mapping[int, str | None] | None = None,
    threads: int | None = None,
    out: Checksums | None = None,
) -> Checksums:
    """A verdict for every checksum; see `Packets.checksums`."""
    size = len(packets) * SLOTS
    if out is not None and not isinstance(out, Checksums):
        raise TypeError(f"out must be Checksums, not {type(out).__name__}")
    if out is None:
        verdicts = memory.empty(size, np.uint8)
    elif len(out._verdicts) < size:
        raise FieldError(
            f"out has room for {len(out._verdicts) // SLOTS} packets, not {len(packets)}",
            field="out",
        )
    else:
        verdicts = out._verdicts[:size]
    target, table = pointer(verdicts, "uint8_t", writable=True), covers()

    def judge(batch: Any, rules: Any, begin: int, end: int, *walked: Any) -> None:
        lib.encap_judge(batch, rules, table, begin, end, *walked, target)

    layers = parse(
        packets, ports=ports, threads=threads, out=None if out is None else out.layers, walk=judge
    )
    return Checksums(layers, verdicts)
