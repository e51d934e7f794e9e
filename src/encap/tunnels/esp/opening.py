"""Packets taken out of ESP, or the reason why not, in the order in which Linux asks.

Header, association, replay, check value, padding, window, content: what is refused by one is not
looked at by the next, and of what is refused no plaintext is left anywhere.
Source: RFC 4303 section 3.4, RFC 4301 section 5.1.2.1; Linux, xfrm_input and esp_input_done2.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from encap import memory
from encap.tunnels import ecn
from encap.tunnels.esp.association import ESP_LEN, TRAILER_LEN
from encap.tunnels.esp.ciphers import SLACK, Octets, Sealed, gather
from encap.tunnels.esp.live import Live
from encap.tunnels.esp.tos import delivered_tos
from encap.tunnels.esp.window import OLD, SEEN
from encap.tunnels.reasons import Reason

__all__ = ["Opened", "open_packets"]

NO_NEXT_HEADER, IPV4, IPV6 = 59, 4, 41

Array = npt.NDArray[Any]


class Opened(NamedTuple):
    """What came out: row i is `data[starts[i]:][:lengths[i]]` where `reasons[i]` is 0.

    starts: int64[n].  lengths: int64[n].  reasons: uint8[n], `Reason` numbers.
    """

    data: Octets
    starts: Array
    lengths: Array
    reasons: npt.NDArray[np.uint8]


def open_packets(
    lives: Sequence[Live],
    which: Array,
    data: Octets,
    headers: Array,
    sizes: Array,
    tos: npt.NDArray[np.uint8],
    *,
    rfc: bool = False,
) -> Opened:
    """Opens ESP packets with these associations, whose windows move.

    which: int[n], the index in `lives` of each packet's association; -1 where there is none.
    data, headers, sizes: uint8[m]; int64[n] and int64[n], where in it each ESP header begins, and
        how many octets are there up to the end of the check value.
    tos: uint8[n], of the outer IP headers.
    rfc: padding is looked at, and ECN is that of RFC 6040; Linux does neither.
    """
    count = len(headers)
    reasons = np.where(which < 0, Reason.NO_STATE, 0).astype(np.uint8)
    reasons[sizes < ESP_LEN] = Reason.ESP_HEADER
    starts, lengths = np.zeros(count, np.int64), np.zeros(count, np.int64)
    jobs, total = [], 0
    for index, live in enumerate(lives):
        rows = np.flatnonzero((which == index) & (reasons == 0))
        if len(rows):
            job = _Job(live, rows, headers[rows], sizes[rows], total, rfc=rfc)
            jobs.append(job)
            total = job.end
    clear = memory.empty(total + SLACK, np.uint8)
    for job in jobs:
        reasons[job.rows] = job.run(data, clear, tos[job.rows])
        starts[job.rows], lengths[job.rows] = job.clears, job.lengths
    lengths[reasons != 0] = 0
    return Opened(clear[:total], starts, lengths, reasons)


class _Job:
    """The packets of one association; their plaintexts stand in one part of a buffer."""

    def __init__(
        self,
        live: Live,
        rows: Array,
        headers: Array,
        sizes: Array,
        begin: int,
        *,
        rfc: bool,
    ) -> None:
        sa, self._lead = live.sa, live.cipher.lead
        self._live, self.rows, self._headers, self._sizes = live, rows, headers, sizes
        self._rfc = rfc
        self._clear_lens = sizes - (ESP_LEN + sa.iv_len + sa.icv_len)
        # Only blocks of a cipher are asked for: a packet need not be padded to 4 octets.
        self._whole = self._clear_lens > 0
        if self._lead:
            self._whole &= self._clear_lens % self._lead == 0
        taken = np.where(self._whole, self._clear_lens + self._lead, 0)
        ends = begin + np.cumsum(taken)
        self.clears = ends - np.where(self._whole, self._clear_lens, 0)
        self.end = int(ends[-1])
        self.lengths = np.zeros(len(rows), np.int64)
        self._reasons = np.zeros(len(rows), np.uint8)

    def run(self, data: Octets, clear: Octets, tos: Array) -> npt.NDArray[np.uint8]:
        """Opens all; uint8[n], a `Reason` each."""
        numbers = gather(data, self._headers + 4, 4).view(">u4").ravel().astype(np.uint32)

        def genuine(begin: int, end: int, highs: Array) -> npt.NDArray[np.bool_]:
            return self._open(data, clear, begin, end, highs)

        verdicts, _ = self._live.window.judge(numbers, genuine)
        # A number that is not new is the first thing asked for.
        self._reasons[verdicts == SEEN] = Reason.REPLAYED
        self._reasons[verdicts == OLD] = Reason.REPLAY_WINDOW
        self._deliver(clear, tos)
        for row in np.flatnonzero((self._reasons != 0) & self._whole).tolist():
            at = int(self.clears[row])
            clear[at - self._lead : at + int(self._clear_lens[row])] = 0
        return self._reasons

    def _open(
        self, data: Octets, clear: Octets, begin: int, end: int, highs: Array
    ) -> npt.NDArray[np.bool_]:
        """bool[end - begin]: which packets have a right check value and a trailer that can be."""
        rows = begin + np.flatnonzero(self._whole[begin:end])
        reasons = np.full(len(self.rows), Reason.ESP_LENGTH, np.uint8)
        if len(rows):
            esn = self._live.sa.esn
            sealed = Sealed(
                data, self._headers[rows], self._sizes[rows], clear, self.clears[rows],
                highs[rows] if esn else None,
            )  # fmt: skip
            right = self._live.cipher.decrypt(sealed)
            found, lengths = self._trailers(clear, rows)
            reasons[rows] = np.where(right, found, Reason.ICV)
            self.lengths[rows] = lengths
        self._reasons[begin:end] = reasons[begin:end]
        passed: npt.NDArray[np.bool_] = reasons[begin:end] == 0
        return passed

    def _trailers(self, clear: Octets, rows: Array) -> tuple[Array, Array]:
        """What is wrong with the trailers of packets that are genuine; and octets in front."""
        lengths = self._clear_lens[rows]
        last = self.clears[rows] + lengths - 1
        pads = np.where(lengths < TRAILER_LEN, 255, clear[np.maximum(last - 1, 0)]).astype(np.int64)
        bad = pads + TRAILER_LEN >= lengths
        if self._rfc:
            for pad in np.unique(pads[~bad]).tolist():
                those = np.flatnonzero((pads == pad) & ~bad)
                octets = gather(clear, last[those] - 1 - pad, pad)
                bad[those] = (octets != np.arange(1, pad + 1)).any(axis=1)
        found = np.where(clear[last] == NO_NEXT_HEADER, Reason.DUMMY, 0)
        return np.where(bad, Reason.PADDING, found), lengths - TRAILER_LEN - pads

    def _deliver(self, clear: Octets, tos: Array) -> None:
        """Refuses what is no packet, and puts into inner headers what the outer ones say."""
        rows = np.flatnonzero(self._reasons == 0)
        content = clear[self.clears[rows] + self._clear_lens[rows] - 1]
        least = np.select([content == IPV4, content == IPV6], [20, 40], 1 << 32)
        refused = self.lengths[rows] < least
        self._reasons[rows[refused]] = Reason.ESP_CONTENT
        rows, fourth = rows[~refused], (content == IPV4)[~refused]
        starts = self.clears[rows]
        inner = ecn.get_tos(clear, starts, fourth)
        wanted, lost = delivered_tos(self._live.sa, inner, tos[rows], rfc=self._rfc)
        self._reasons[rows[lost]] = Reason.ECN
        changed = (inner != wanted) & ~lost
        ecn.set_tos(clear, starts[changed], fourth[changed], wanted[changed])
