"""What a device over IPsec remembers from packet to packet."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from encap.tunnels.esp.association import SecurityAssociation
from encap.tunnels.esp.live import Live
from encap.tunnels.state import State

__all__ = ["VTIState"]


@dataclass(slots=True)
class VTIState(State):
    """Counters and windows of the associations, beside what every device remembers.

    lives: associations that were used so far.
    next_fragment: identification of the next outer IPv6 datagram that is sent in fragments.
    """

    lives: dict[SecurityAssociation, Live] = field(default_factory=dict, repr=False)
    next_fragment: int = 0

    def live(self, sa: SecurityAssociation) -> Live:
        """An association at work, made when it is first asked for.

        TunnelError where the library for ciphers is missing.
        """
        if sa not in self.lives:
            self.lives[sa] = Live(sa)
        return self.lives[sa]

    def take_fragment_ids(self, count: int) -> npt.NDArray[np.uint32]:
        """uint32[count]: the next IPv6 identifications, one after the other."""
        first, self.next_fragment = self.next_fragment, (self.next_fragment + count) & 0xFFFFFFFF
        return (first + np.arange(count)).astype(np.uint32)
