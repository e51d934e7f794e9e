"""The host below a tunnel: what it takes for itself, and how much fits on its link."""

from __future__ import annotations

from encap.errors import TunnelError
from encap.tunnels.options import AddressesOption, IPAddress, MACOption, frozen

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
    udp_checksums: those of outer packets are verified. False takes packets as they were captured
        where they were sent, with checksums that a network card was still to fill in.
    """

    mac: MACOption = MACOption()
    addresses: AddressesOption = AddressesOption()
    mtu: int = 1500
    udp_checksums: bool = True

    def __post_init__(self) -> None:
        if not LEAST_MTU <= self.mtu <= 65535:
            raise TunnelError(f"mtu is {LEAST_MTU} to 65535, not {self.mtu}")

    def source(self, family: str) -> IPAddress | None:
        """The address that packets leave with where a tunnel has none: the first of `addresses`."""
        version = 6 if family == "ipv6" else 4
        return next((one for one in self.addresses if one.version == version), None)
