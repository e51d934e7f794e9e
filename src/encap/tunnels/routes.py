"""Where a device's packets go next: gateways by destination, the longest prefix first.

A kernel routes a packet to a device, and the route may name a gateway on its link. A tunnel that
has no `remote` asks for that next hop; here the device has such routes as an option.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from encap.errors import TunnelError
from encap.tunnels.halves import Halves
from encap.tunnels.options import IPAddress, _Option, address

if TYPE_CHECKING:
    from encap.tunnels.host import Device, Host

__all__ = ["Routes", "RoutesOption", "routes_of"]

Uint32s = npt.NDArray[np.uint32]


@dataclass(frozen=True, slots=True)
class Routes:
    """Gateways of destinations: networks and addresses of one IP version, the longest first."""

    known: tuple[tuple[IPv4Network | IPv6Network, IPAddress], ...] = ()

    @classmethod
    def of(cls, given: object) -> Routes:
        """Routes from a mapping, or pairs, of networks and gateways.

        "default" is all of the gateway's IP version. TunnelError for what is no route.
        """
        if isinstance(given, Routes):
            return given
        pairs = given.items() if isinstance(given, Mapping) else given
        if not isinstance(pairs, Iterable) or isinstance(pairs, str):
            raise TunnelError(f"routes are networks and gateways, not {given!r}")
        made = []
        for pair in pairs:
            try:
                network, gateway = pair
                via = address("routes", gateway)
                every = "0.0.0.0/0" if via.version == 4 else "::/0"
                where = ip_network(every if network == "default" else network)
            except (TypeError, ValueError) as error:
                raise TunnelError(f"routes: {pair!r} is no network and gateway") from error
            if where.version != via.version:
                raise TunnelError(f"routes: {pair!r} are of different IP versions")
            made.append((where, via))
        return cls(tuple(sorted(made, key=lambda one: -one[0].prefixlen)))

    def next_hops(self, destinations: Halves) -> Halves:
        """The gateways of packets, or their destinations where there are none."""
        if not self.known:
            return destinations
        hops = Halves(*(half.copy() for half in destinations))
        for network, gateway in reversed(self.known):
            if isinstance(network, IPv6Network):
                hops.put(destinations.within(network), gateway)
        return hops

    def next_ipv4_hops(self, destinations: Uint32s) -> Uint32s:
        """uint32[n]: the same for IPv4."""
        hops = destinations.copy()
        for network, gateway in reversed(self.known):
            if isinstance(network, IPv4Network):
                mask, first = np.uint32(int(network.netmask)), np.uint32(int(network[0]))
                hops[destinations & mask == first] = int(gateway)
        return hops


class RoutesOption(_Option[Routes, Any]):
    """Gateways of destinations, from a mapping or from pairs."""

    def __init__(self) -> None:
        super().__init__(lambda _, value: Routes.of(value), default=())


def routes_of(device: Device, host: Host) -> list[tuple[str, str]]:
    """Pairs from a host's `ip route add NETWORK via GATEWAY [dev NAME]` that concern a device.

    Without `dev` it is the device on whose link the gateway is.
    """
    found = []
    for words in host.more.get("route", []):
        said = dict(zip(words[1::2], words[2::2], strict=False))
        gateway = said.get("via", "")
        via = address("via", gateway)
        near = any(via in interface.network for interface in device.addresses)
        if said.get("dev", device.name if near else None) == device.name:
            found.append((words[0], gateway))
    return found
