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


Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class Routes:
    """Gateways of destinations: networks and addresses of one IP version, the longest first.

    None in place of a gateway: what is in that network is on the link itself.
    """

    known: tuple[tuple[Network, IPAddress | None], ...] = ()

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
        return cls(tuple(sorted(map(_route, pairs), key=lambda one: -one[0].prefixlen)))

    def near(self, networks: Iterable[Network]) -> Routes:
        """These routes, and networks that are on the link."""
        return Routes.of([*self.known, *((network, None) for network in networks)])

    def next_hops(self, destinations: Halves) -> Halves:
        """The gateways of packets, or their destinations where there are none."""
        if not self.known:
            return destinations
        hops = Halves(*(half.copy() for half in destinations))
        for network, gateway in reversed(self.known):
            if isinstance(network, IPv6Network):
                here = destinations.within(network)
                for half, own in zip(hops, destinations, strict=True):
                    half[here] = own[here]
                if gateway is not None:
                    hops.put(here, gateway)
        return hops

    def next_ipv4_hops(self, destinations: Uint32s) -> Uint32s:
        """uint32[n]: the same for IPv4."""
        hops = destinations.copy()
        for network, gateway in reversed(self.known):
            if isinstance(network, IPv4Network):
                mask, first = np.uint32(int(network.netmask)), np.uint32(int(network[0]))
                here = destinations & mask == first
                hops[here] = destinations[here] if gateway is None else int(gateway)
        return hops


def _route(pair: Any) -> tuple[Network, IPAddress | None]:
    """A network and a gateway. TunnelError for anything else."""
    try:
        network, gateway = pair
        via = None if gateway is None else address("routes", gateway)
        every = "0.0.0.0/0" if via is not None and via.version == 4 else "::/0"
        where = ip_network(every if network == "default" else network)
    except (TypeError, ValueError) as error:
        raise TunnelError(
            f"routes: {pair!r} is no network and gateway: {{'2001:db8::/32': 'fd00::1'}} is what is"
            " wanted, None in place of a gateway for what is on the link"
        ) from error
    if via is not None and where.version != via.version:
        raise TunnelError(f"routes: {pair!r} are of different IP versions")
    return where, via


class RoutesOption(_Option[Routes, Any]):
    """Gateways of destinations, from a mapping or from pairs."""

    def __init__(self) -> None:
        super().__init__(lambda _, value: Routes.of(value), default=())


def routes_of(device: Device, host: Host) -> list[tuple[str, str | None]]:
    """Pairs from a host's `ip route add NETWORK via GATEWAY [dev NAME]` that concern a device.

    Without `dev` it is the device on whose link the gateway is. The networks of its own addresses
    are on the link.
    """
    found: list[tuple[str, str | None]] = [(str(one.network), None) for one in device.addresses]
    for words in host.more.get("route", []):
        said = dict(zip(words[1::2], words[2::2], strict=False))
        gateway = said.get("via", "")
        via = address("via", gateway)
        near = any(via in interface.network for interface in device.addresses)
        if said.get("dev", device.name if near else None) == device.name:
            found.append((words[0], gateway))
    return found
