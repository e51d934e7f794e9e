"""What an association encrypts with, as sealing and opening see it.

A cipher takes plaintexts that lie in one buffer and writes ciphertexts and check values behind
their headers in another one, or does the reverse. Check values are compared in constant time.

What this does not do: lay out packets, look at sequence numbers or padding, decide what is given
out. Whoever opens has to wipe the plaintexts of packets that are not genuine.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from encap._lib import lib, pointer
from encap.errors import TunnelError, missing
from encap.packets import Packets
from encap.tunnels.esp.association import SecurityAssociation

__all__ = [
    "Cipher", "Sealed", "Sent", "Views", "all_but", "copy_clear", "copy_spans", "each", "gather",
    "library", "words",
]  # fmt: skip

Octets = npt.NDArray[np.uint8]
Int64s = npt.NDArray[np.int64]
Uint32s = npt.NDArray[np.uint32]

SLACK = 16
"""Octets that each buffer has behind its end: the library wants room for a block more."""


class Sent(NamedTuple):
    """Packets to be sealed: `clear[clears[i]:clears[i] + sizes[i]]` goes behind `out[headers[i]]`.

    blocks: lays out one block of packets after the other, in order: their plaintexts in `clear`,
        their headers in `out`. It gives the row behind the last one of each; those before have to
        be done with when it is asked for the next.
    clear: may be written over.  headers: where ESP headers begin.
    numbers: uint64[n].  ivs: uint8[n, w].
    """

    sa: SecurityAssociation
    blocks: Iterator[int]
    clear: Octets
    clears: Int64s
    sizes: Int64s
    out: Octets
    headers: Int64s
    numbers: npt.NDArray[np.uint64]
    ivs: Octets

    @property
    def highs(self) -> Uint32s | None:
        """uint32[n]: upper words of the numbers; None where they count for nothing."""
        return (self.numbers >> np.uint64(32)).astype(np.uint32) if self.sa.esn else None


class Sealed(NamedTuple):
    """Packets to be opened: their ESP headers begin at `data[headers[i]]`.

    sizes: octets of each, from its header to the end of its check value. There is a header, an
        initialization vector, one block of ciphertext or more, and a check value.
    clear: takes the plaintexts at `clears[i]`, which stand one behind the other, each with the
        cipher's `lead` octets in front of it.
    highs: uint32[n], the upper words of the numbers, or None.
    """

    data: Octets
    headers: Int64s
    sizes: Int64s
    clear: Octets
    clears: Int64s
    highs: Uint32s | None


class Cipher(Protocol):
    """What an association encrypts with.

    lead: octets in front of each plaintext that `decrypt` needs room for.
    """

    lead: int

    def ivs(self, numbers: npt.NDArray[np.uint64]) -> Octets:
        """uint8[n, w]: the initialization vectors of packets with these sequence numbers."""

    def encrypt(self, sent: Sent) -> None:
        """Writes ciphertexts and check values."""

    def decrypt(self, sealed: Sealed) -> npt.NDArray[np.bool_]:
        """bool[n]: which packets are genuine; the plaintexts of others mean nothing."""


def library(module: str) -> Any:
    """A module of `cryptography`. TunnelError where it is missing."""
    import importlib

    try:
        return importlib.import_module(f"cryptography.{module}")
    except ImportError:
        raise TunnelError(missing("ESP needs a package more", "cryptography", "ipsec")) from None


def each(octets: Octets) -> list[bytes]:
    """The rows of uint8[n, w]; w is not 0."""
    rows = np.ascontiguousarray(octets).view(f"V{octets.shape[1]}")
    found: list[bytes] = rows.ravel().tolist()
    return found


def words(numbers: Uint32s) -> Octets:
    """uint8[n, 4]: numbers in network order."""
    return numbers.astype(">u4").view(np.uint8).reshape(-1, 4)


def gather(data: Octets, starts: Int64s, width: int) -> Octets:
    """uint8[n, width]: the octets from each start on, where so many are there; int64[n] starts."""
    found = np.empty((len(starts), width), np.uint8)
    lengths = np.full(len(starts), width, np.uint32)
    lib.encap_copy_spans(
        pointer(data, "uint8_t"),
        data.size,
        pointer(np.ascontiguousarray(starts), "int64_t"),
        pointer(lengths, "uint32_t"),
        0,
        len(starts),
        width,
        pointer(found.reshape(-1), "uint8_t", writable=True),
    )
    return found


def all_but(places: Int64s, others: list[int]) -> npt.NDArray[np.bool_]:
    """bool[n]: which of `places` are none of the others."""
    if not others:
        return np.ones(len(places), np.bool_)
    return np.isin(places, others, invert=True)


def copy_spans(data: Octets, starts: Int64s, lengths: Int64s, out: Octets) -> None:
    """Copies spans of `data` to `out`, one behind the other."""
    Packets(data, starts, lengths).compact(out=out, threads=1)


class Views:
    """The plaintexts of a block, borrowed.

    Blocks begin at the same place: where their packets are as long as those of the one before, as
    in a bulk transfer, these are the same views, and making them is a tenth of the work.
    """

    def __init__(self, sent: Sent) -> None:
        self._sent = sent
        self._sizes: Int64s | None = None
        self._views: list[memoryview] = []

    def of(self, block: slice) -> list[memoryview]:
        """Those of these rows, which are laid out already."""
        sizes = self._sent.sizes[block]
        if self._sizes is None or not np.array_equal(sizes, self._sizes):
            clear, starts = self._sent.clear.data, self._sent.clears[block]
            ends = (starts + sizes).tolist()
            self._views = [clear[a:b] for a, b in zip(starts.tolist(), ends, strict=True)]
            self._sizes = sizes
        return self._views


def copy_clear(sent: Sent, begins: Int64s) -> None:
    """Lays out all packets, and copies plaintexts as they are to where ciphertexts would begin."""
    clear, out, row = sent.clear.data, sent.out.data, 0
    for end in sent.blocks:
        for start, size, begin in zip(
            sent.clears[row:end].tolist(),
            sent.sizes[row:end].tolist(),
            begins[row:end].tolist(),
            strict=True,
        ):
            out[begin : begin + size] = clear[start : start + size]
        row = end
