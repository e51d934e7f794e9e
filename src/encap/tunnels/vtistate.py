"""What a device over IPsec remembers from packet to packet."""

from __future__ import annotations

from dataclasses import dataclass, field

from encap.tunnels.esp.association import SecurityAssociation
from encap.tunnels.esp.live import Live
from encap.tunnels.state import State

__all__ = ["VTIState"]


@dataclass(slots=True)
class VTIState(State):
    """Counters and windows of the associations, beside what every device remembers.

    lives: associations that were used so far.
    """

    lives: dict[SecurityAssociation, Live] = field(default_factory=dict, repr=False)

    def live(self, sa: SecurityAssociation) -> Live:
        """An association at work, made when it is first asked for.

        TunnelError where the library for ciphers is missing.
        """
        if sa not in self.lives:
            self.lives[sa] = Live(sa)
        return self.lives[sa]
