"""The host below a tunnel: what it takes for itself, and how much fits on its link."""

from __future__ import annotations

from encap.errors import TunnelError
from encap.tunnels.options import IPAddress, MACOption, address, frozen

__all__ = ["Underlay"]

LEAST_MTU = 68
"""RFC 791 section 3.2: every internet module forwards as much."""


@frozen
class Underlay:
    """The link that a tunnel's packets leave by, and the addresses of the host on it.

    mac: frames for other unicast addresses are not ours; None takes all frames.
    addresses: packets for other destinations are not ours; where there are none, the tunnel's
        `local` address alone is.
    mtu: octets of an IP packet that fit on the link.
    """

    mac: MACOption = MACOption()
    addresses: tuple[IPAddress, ...] = ()
    mtu: int = 1500

    def __post_init__(self) -> None:
        known = tuple(address("addresses", one) for one in self.addresses)
        object.__setattr__(self, "addresses", known)
        if not LEAST_MTU <= self.mtu <= 65535:
            raise TunnelError(f"mtu is {LEAST_MTU} to 65535, not {self.mtu}")
