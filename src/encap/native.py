"""Plans as the core reads them: `encap_plan`, with the arrays of a call put in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from encap._lib import ffi, lib, pointer
from encap.flow import SourcePorts, entropy
from encap.plan import Hole, Piece, Plan

__all__ = ["Native", "Spans"]

Array = npt.NDArray[Any]
Spans = tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64], npt.NDArray[np.uint32]]
"""Octets, and where in them each row's part starts and how long it is."""


def _piece(piece: Piece) -> dict[str, int]:
    source = getattr(lib, f"ENCAP_FROM_{piece.source}")
    return {
        "source": source, "mask": piece.mask, "shift": piece.shift,
        "add": piece.add & 0xFFFFFFFF, "hole": piece.hole,
    }  # fmt: skip


class Native:
    """One plan for the core, made once; `bound` puts in what differs from call to call."""

    __slots__ = ("_checks", "_holes", "_keys", "_octets", "_pieces", "_proto", "_words")

    def __init__(self, plan: Plan, ports: SourcePorts | None) -> None:
        pieces = [piece for word in plan.words for piece in word.pieces]
        words, first = [], 0
        for word in plan.words:
            words.append((
                word.at, word.keep, word.covers, word.odd, first, len(word.pieces), word.size,
                word.holes, 0,
            ))  # fmt: skip
            first += len(word.pieces)
        checks = [
            (c.at, c.base, c.covers, c.odd, c.holes, c.payload, c.zero, 0) for c in plan.checks
        ]
        self._octets = ffi.new("uint8_t[]", plan.octets)
        self._words = ffi.new("encap_word[]", words)
        self._checks = ffi.new("encap_check[]", checks)
        self._pieces = ffi.new("encap_piece[]", [_piece(piece) for piece in pieces])
        self._keys = [(at, p.key) for at, p in enumerate(pieces) if p.source == "COLUMN"]
        self._holes: tuple[Hole, ...] = plan.holes
        reads = ("TTL", "DSCP", "ECN", "ECN_LINUX", "DF")
        self._proto = {
            "octets": self._octets, "size": len(plan.octets), "word_count": len(words),
            "piece_count": len(pieces), "check_count": len(checks),
            "hole_count": len(plan.holes), "flow": plan.uses("FLOW"),
            "inherit": plan.uses(*reads), "most": plan.most, "words": self._words,
            "pieces": self._pieces, "checks": self._checks,
        }  # fmt: skip
        if ports is not None:
            self._proto["entropy"] = entropy(ports)[0]

    def bound(self, arrays: Mapping[str, Array | Spans]) -> tuple[Any, list[Any]]:
        """The core's plan over these arrays, by key; and what has to be kept alive with it."""
        plan = ffi.new("encap_plan *", self._proto)
        keep: list[Any] = [self, plan]
        if self._keys:
            plan.pieces = pieces = ffi.new("encap_piece[]", len(self._pieces))
            ffi.memmove(pieces, self._pieces, ffi.sizeof(self._pieces))
            keep.append(pieces)
            for at, key in self._keys:
                array = arrays[key]
                assert isinstance(array, np.ndarray)  # noqa: S101  Columns.fit has seen to it
                keep.append(ffi.from_buffer("uint8_t[]", array) if array.size else ffi.NULL)
                pieces[at].column = keep[-1]
                pieces[at].stride = array.itemsize * (array.shape[1] if array.ndim == 2 else 1)
                pieces[at].width = array.itemsize
        if self._holes:
            holes = ffi.new("encap_hole[]", len(self._holes))
            for at, hole in enumerate(self._holes):
                data, starts, lengths = arrays[hole.key]
                spans = (
                    pointer(data, "uint8_t"), data.size, pointer(starts, "int64_t"),
                    pointer(lengths, "uint32_t"),
                )  # fmt: skip
                holes[at] = (*spans, hole.at, hole.covers, hole.odd)
                keep.append(spans)
            plan.holes = holes
            keep.append(holes)
        return plan, keep
