"""Where fragments wait for others: the memory of the core's `encap_fragments`, and its limits."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from encap._lib import ffi, lib, pointer
from encap.errors import FieldError
from encap.fragments.places import LOST, OVERLAPS

__all__ = ["LEAST_MEMORY", "Waiting", "timeouts_ns"]

LEAST_MEMORY = 1 << 20
"""Octets that a `Reassembler` has at the least: some datagrams of the greatest length."""
_TIMEOUTS = (30, 60)
"""Seconds, for IPv4 and IPv6, as Linux has them; RFC 8200 section 4.5 has the latter too."""
_LONGEST_NS = (1 << 63) - 1
_DATAGRAM, _SHARD = ffi.sizeof("encap_datagram"), ffi.sizeof("encap_shard")
_BUCKET = 4


def timeouts_ns(timeout: float | None) -> tuple[int, int]:
    """How long IPv4 and IPv6 fragments wait, in nanoseconds. FieldError for what is no time."""
    if timeout is not None and not isinstance(timeout, int | float):
        raise TypeError(f"timeout is a number of seconds, not {type(timeout).__name__}")
    each = _TIMEOUTS if timeout is None else (timeout, timeout)
    if not all(seconds >= 0 for seconds in each):
        raise FieldError(f"timeout is 0 or more, not {timeout}", field="timeout", value=timeout)
    four, six = (int(min(seconds, 1 << 33) * 10**9) for seconds in each)
    return min(four, _LONGEST_NS), min(six, _LONGEST_NS)


class Waiting:
    """Fragments that wait. `within` keeps them from call to call, `beside` a batch does not."""

    __slots__ = ("_keep", "_log", "joined", "pointer")

    def __init__(
        self, datagrams: int, shards: int, log: int, overlap: str, timeouts: tuple[int, int]
    ) -> None:
        if not isinstance(overlap, str):
            raise TypeError(f"overlap is text, not {type(overlap).__name__}")
        if overlap not in OVERLAPS:
            raise FieldError(
                f"overlap is one of {', '.join(OVERLAPS)}, not {overlap!r}",
                field="overlap",
                value=overlap,
            )
        self.joined = 0  # datagrams, so far
        buckets = 1 << max(0, datagrams - 1).bit_length()
        self._keep: list[npt.NDArray[np.uint8]] = [
            np.empty((datagrams + 1) * _DATAGRAM, np.uint8),
            np.empty((shards + 1) * _SHARD, np.uint8),
            np.zeros(buckets * _BUCKET, np.uint8),
        ]
        # Not from the pool: most of it may never be touched.
        self._log = np.empty(log, np.uint8)
        self.pointer = ffi.new(
            "encap_fragments *",
            {
                "datagrams": _cast(self._keep[0], "encap_datagram *"),
                "shards": _cast(self._keep[1], "encap_shard *"),
                "buckets": _cast(self._keep[2], "uint32_t *"),
                "log": pointer(self._log, "uint8_t", writable=True),
                "log_size": log,
                "most_live": log // 4 * 3,  # so that tidying it is worth the while
                "timeouts": timeouts,
                "datagram_capacity": datagrams + 1,
                "shard_capacity": shards + 1,
                "bucket_mask": buckets - 1,
                "overlap": OVERLAPS[overlap],
            },
        )

    @classmethod
    def within(cls, octets: int, overlap: str, timeouts: tuple[int, int]) -> Waiting:
        """Memory of `octets` in all: half of it for octets of fragments."""
        # A datagram has a bucket, or two: their number is a power of two.
        datagrams = octets // 4 // (_DATAGRAM + 2 * _BUCKET)
        shards = octets // 4 // _SHARD
        return cls(datagrams, shards, octets // 2 // 8 * 8, overlap, timeouts)

    @classmethod
    def beside(cls, rows: int, overlap: str, timeouts: tuple[int, int]) -> Waiting:
        """Room for as many fragments, whose octets stay where they are."""
        return cls(rows, rows, 0, overlap, timeouts)

    @property
    def octets(self) -> int:
        """What the fragments that wait have in the log, more or less."""
        return int(self.pointer.live)

    @property
    def datagrams(self) -> int:
        """How many wait for fragments."""
        return int(self.pointer.waiting)

    def lost(self) -> dict[str, int]:
        """Fragments that are no part of a datagram, by reason; counted anew from here on."""
        counts = {reason: int(self.pointer.lost[number]) for number, reason in LOST.items()}
        ffi.memmove(self.pointer.lost, bytes(ffi.sizeof(self.pointer.lost)), _LOST_SIZE)
        return {reason: count for reason, count in counts.items() if count}

    def flush(self) -> None:
        """Gives up what waits."""
        lib.encap_fragments_flush(self.pointer)


_LOST_SIZE = 8 * lib.ENCAP_LOSTS


def _cast(array: npt.NDArray[np.uint8], kind: str) -> Any:
    return ffi.cast(kind, pointer(array, "uint8_t", writable=True))
