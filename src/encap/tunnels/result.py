"""What comes out of a tunnel, on either side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from encap.tunnels.reasons import Reason

if TYPE_CHECKING:
    from encap.packets import Packets

__all__ = ["Result"]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Result:
    """What a tunnel made of a batch.

    packets: what it sends, or delivers, in the order of the input.
    reasons: uint8[n], one `Reason` for each packet of the input; 0 where it went through.
    replies: packets that the endpoint sends back to where the input came from: raw IP, or Ethernet
        for a device that carries frames.
    """

    packets: Packets
    reasons: npt.NDArray[np.uint8]
    replies: Packets

    def __repr__(self) -> str:
        counts = ", ".join(f"{count} {reason.name}" for reason, count in self.counts.items())
        given = counts or "nothing"
        return f"<Result: {len(self)} packets, {len(self.replies)} replies, of {given}>"

    def __len__(self) -> int:
        """How many packets it sends, or delivers."""
        return len(self.packets)

    def __bool__(self) -> bool:
        """True always: a result is there, whatever is in it."""
        return True

    @property
    def rows(self) -> npt.NDArray[np.int64]:
        """int64[m]: the row of the input that each of `packets` comes from.

        Of a datagram that came in fragments, the one that made it whole.
        """
        return self.packets.rows

    @property
    def counts(self) -> dict[Reason, int]:
        """How many packets of the input met each reason."""
        numbers = np.bincount(self.reasons)
        return {Reason(int(number)): int(numbers[number]) for number in np.flatnonzero(numbers)}
