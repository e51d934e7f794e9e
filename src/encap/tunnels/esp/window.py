"""Sequence numbers of an association: those given out, and those that came.

The window moves for genuine packets only. With extended numbers, whether a packet is genuine
depends on the upper word, which depends on where the window stands: so what a batch will do is
foretold, and taken back where a packet turns out to be forged.
Source: RFC 4303 sections 2.2, 3.3.3, 3.4.3 and appendix A; Linux, net/xfrm/xfrm_replay.c.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from encap._lib import ffi, lib, pointer
from encap.tunnels.esp.association import SecurityAssociation

__all__ = ["NEW", "OLD", "SEEN", "Counter", "Window"]

NEW, SEEN, OLD = lib.ENCAP_ESP_NEW, lib.ENCAP_ESP_SEEN, lib.ENCAP_ESP_OLD
"""Verdicts on a number: it may be taken; it came before; it is 0, or left of the window."""

Uint32s = npt.NDArray[np.uint32]
Octets = npt.NDArray[np.uint8]
Genuine = Callable[[int, int, Uint32s], npt.NDArray[np.bool_]]
"""Which of rows [begin, end) are genuine, by the upper words of their numbers."""


class Counter:
    """Numbers for the packets that are sent, from 1 on."""

    __slots__ = ("_last", "_most", "_wraps")

    def __init__(self, sa: SecurityAssociation) -> None:
        self._last = sa.replay_oseq_hi << 32 | sa.replay_oseq if sa.esn else sa.replay_oseq
        self._most = (1 << 64 if sa.esn else 1 << 32) - 1
        self._wraps = "oseq-may-wrap" in sa.extra_flag and not sa.esn

    @property
    def last(self) -> int:
        """The number that was given out last."""
        return self._last

    def take(self, count: int) -> npt.NDArray[np.uint64]:
        """uint64[m]: the next numbers, `count` of them or as many as are left."""
        if not self._wraps:
            count = min(count, self._most - self._last)
        numbers = np.arange(1, count + 1, dtype=np.uint64) + np.uint64(self._last)
        self._last = (self._last + count) & self._most
        return numbers & np.uint64(self._most)


class Window:
    """Which numbers have come: what is kept against replays."""

    __slots__ = ("_state",)

    def __init__(self, sa: SecurityAssociation) -> None:
        top = sa.replay_seq_hi << 32 | sa.replay_seq if sa.esn else sa.replay_seq
        self._state = ffi.new("encap_esp_window *", (top, sa.replay_window, sa.esn))

    @property
    def top(self) -> int:
        """The highest number that came."""
        return int(self._state.top)

    @property
    def bitmap(self) -> int:
        """Which numbers came: bit i for `top - i`."""
        ring, top = lib.ENCAP_ESP_RING, self.top
        numbers = (((top - i) & 0xFFFFFFFF) % ring for i in range(self._state.size))
        return sum(
            (int(self._state.seen[n // 64]) >> n % 64 & 1) << i for i, n in enumerate(numbers)
        )

    def judge(self, numbers: Uint32s, genuine: Genuine) -> tuple[Octets, npt.NDArray[np.bool_]]:
        """uint8[n] verdicts on numbers, and bool[n]: which packets are genuine.

        numbers: uint32[n], as received.  genuine: asked for rows in order; rows whose upper word
        turns out to be another one than was foretold are asked for again.
        """
        count = len(numbers)
        verdicts, true = np.empty(count, np.uint8), np.zeros(count, np.bool_)
        highs = np.zeros(count, np.uint32)
        begin, size = 0, count
        while begin < count:
            end = min(count, begin + size)
            self._replay(self._copy(), numbers, begin, end, None, highs, verdicts)
            true[begin:end] = genuine(begin, end, highs)
            stop = self._replay(self._state, numbers, begin, end, true, highs, verdicts)
            # One row alone is always foretold rightly; so no flood of forged packets makes this
            # look at more than twice as many rows as there are.
            size = 1 if stop < end else 2 * size
            begin = stop
        return verdicts, true

    def _copy(self) -> Any:
        copy = ffi.new("encap_esp_window *")
        ffi.memmove(copy, self._state, ffi.sizeof("encap_esp_window"))
        return copy

    @staticmethod
    def _replay(
        state: Any,
        numbers: Uint32s,
        begin: int,
        end: int,
        genuine: npt.NDArray[np.bool_] | None,
        highs: Uint32s,
        verdicts: Octets,
    ) -> int:
        told = ffi.NULL if genuine is None else pointer(genuine.view(np.uint8), "uint8_t")
        return int(
            lib.encap_esp_replay(
                state,
                pointer(numbers, "uint32_t"),
                begin,
                end,
                told,
                pointer(highs, "uint32_t", writable=True),
                pointer(verdicts, "uint8_t", writable=True),
            )
        )
