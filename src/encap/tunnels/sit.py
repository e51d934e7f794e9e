"""IPv6 over IPv4: point to point, 6to4, 6rd and ISATAP; IPv4 and MPLS too.

Without a `remote` the outer destination follows from the inner one: an IPv4 address stands in it,
or in that of the next hop (`encap.tunnels.embedded`), and on the way in the addresses of both
headers must belong together.
Source: RFC 4213, RFC 3056, RFC 5969, RFC 5214; Linux, net/ipv6/sit.c.
"""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from encap.errors import TunnelError
from encap.tunnels.carried import IPIP, IPV6, MPLS_IN_IP, carry, check_carried, protocols
from encap.tunnels.embedded import Domain
from encap.tunnels.inside import IPV4_LEN, IPV6_LEAST, Octets
from encap.tunnels.iptunnel import IPV4_WORDS, OverIPv4, ip_header
from encap.tunnels.nbma import aim, check_sources
from encap.tunnels.options import AddressesOption, NetworkOption, NetworksOption, frozen
from encap.tunnels.reasons import Reason
from encap.tunnels.routes import RoutesOption, routes_of
from encap.tunnels.words import Words, flag, read, text

if TYPE_CHECKING:
    from encap.packets import Packets
    from encap.tunnels.departing import Wrapping
    from encap.tunnels.host import Device, Host
    from encap.tunnels.receiving import Receiving

__all__ = ["SITTunnel"]

MODES = {
    "ip6ip": (IPV6,), "ipv6/ipv4": (IPV6,), "ipip": (IPIP,), "ip4ip4": (IPIP,),
    "ipv4/ipv4": (IPIP,), "mplsip": (MPLS_IN_IP,), "mpls/ipv4": (MPLS_IN_IP,),
    "any": (IPIP, IPV6, MPLS_IN_IP), "any/ipv4": (IPIP, IPV6, MPLS_IN_IP),
}  # fmt: skip
"""What each mode takes in. A device sends all of it in any mode."""
DF = 2
EVERY = (IPIP, IPV6, MPLS_IN_IP)
SIXRD: Words = {
    "6rd-prefix": text("sixrd_prefix"), "6rd-relay_prefix": text("sixrd_relay_prefix"),
    "6rd-reset": flag("sixrd_prefix", "2002::/16"),
}  # fmt: skip
Uint8s = npt.NDArray[np.uint8]


@frozen
class SITTunnel(OverIPv4):
    """`ip link add type sit`: IPv6, IPv4 or MPLS in IPv4.

    mode: "ip6ip" takes IPv6 in, "ipip" IPv4, "mplsip" MPLS (link type 219), "any" all of them;
        any mode sends them all. `ip link` makes "any" where nothing is said, `ip tunnel` "ip6ip".
    isatap: addresses are those of ISATAP.
    sixrd_prefix, sixrd_relay_prefix: the 6rd domain (`6rd-prefix`, `6rd-relay_prefix`) of a device
        without `remote`; 6to4 where nothing is said.
    prl: addresses of the routers that an ISATAP device believes.
    prefixes: networks on the link of an ISATAP device, beside fe80::/64.
    routes: gateways by destination, where there is no `remote`.
    """

    mode: str = "any"
    isatap: bool = False
    sixrd_prefix: NetworkOption[IPv6Network] = NetworkOption(IPv6Network, "2002::/16")
    sixrd_relay_prefix: NetworkOption[IPv4Network] = NetworkOption(IPv4Network, "0.0.0.0/0")
    prl: AddressesOption = AddressesOption()
    prefixes: NetworksOption[IPv6Network] = NetworksOption(IPv6Network)
    routes: RoutesOption = RoutesOption()

    KINDS: ClassVar = ("sit", "ipv6/ip", "isatap")
    PROTOCOL: ClassVar = 41
    LEAST_MTU: ClassVar = IPV6_LEAST
    WORDS: ClassVar[Words] = {
        **IPV4_WORDS, **SIXRD, "mode": text("mode"), "isatap": flag("isatap"),
    }  # fmt: skip

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.mode not in MODES:
            raise TunnelError(f"mode is one of {', '.join(MODES)}, not {self.mode!r}")
        if any(one.version == 6 for one in self.prl):
            raise TunnelError("prl: routers are known by their IPv4 addresses")
        self.domain  # noqa: B018  # a domain that cannot be is refused here

    @property
    def domain(self) -> Domain:
        """The 6rd domain that the addresses of a device without `remote` are of."""
        return Domain(prefix=self.sixrd_prefix, relay_prefix=self.sixrd_relay_prefix)

    @classmethod
    def _of_device(cls, device: Device, host: Host, arguments: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = {
            "routes": routes_of(device, host),
            "prefixes": [one.network for one in device.addresses if one.version == 6],
        }
        if "mode" in device.more:  # made by `ip tunnel`
            found |= {"mode": "ip6ip", "isatap": device.kind == "isatap"}
        for said in device.more.get("6rd", []):
            known = read(iter(said), SIXRD, f"{device.name} (6rd)")
            found |= {"sixrd_relay_prefix": "0.0.0.0/0", **known}
        routers: list[str] = []
        for said in device.more.get("prl", []):
            for word, router in zip(said[::2], said[1::2], strict=False):
                if word in ("prl-default", "prl-nodefault"):
                    routers.append(router)
                elif word == "prl-delete" and router in routers:
                    routers.remove(router)
                else:
                    raise TunnelError(f"{device.name} (prl): {word} {router} cannot be")
        return {**found, "prl": tuple(routers)}

    # --- packets out

    def _wrap(self, packets: Packets) -> Wrapping:
        carried = protocols(packets)
        wrapping = self._wrapping()
        wrapping.always = IPV6_LEAST if self.pmtudisc else 65535
        carry(wrapping, carried, EVERY, (ip_header(self, protocol=MPLS_IN_IP),))
        self._set_df(wrapping, packets, carried)
        return wrapping

    def _settle(self, wrapping: Wrapping, packets: Packets) -> None:
        super()._settle(wrapping, packets)
        if (self.remote is None or self.isatap) and "ipv4.dst" not in wrapping.columns:
            aim(self, wrapping, packets)

    def _set_df(self, wrapping: Wrapping, packets: Packets, carried: Uint8s) -> None:
        """DF is never that of IPv6, and not set where the path has no room for 1,280 octets."""
        if self.pmtudisc and self.underlay.mtu - IPV4_LEN >= IPV6_LEAST:
            return
        wrapping.options["df"] = "unset"
        rows = np.flatnonzero(carried == IPIP)
        if len(rows):
            del wrapping.options["df"]
            own = Octets(packets, rows).numbers(packets.starts[rows] + 6, 1) >> 5 & DF
            flags = np.zeros(len(packets), np.uint8)
            flags[rows] = DF if self.pmtudisc else own
            wrapping.columns["ipv4.flags"] = flags

    # --- packets in

    @property
    def _fields(self) -> tuple[str, ...]:
        inner = ("ipv6.src", "ipv6.dst") if self.isatap or self.remote is None else ()
        return *self.FIELDS, *inner

    def _check(self, going: Receiving) -> None:
        check_carried(going, EVERY)
        self._check_ends(going)
        for number in set(EVERY) - set(MODES[self.mode]):
            going.refuse(going.protocol == number, Reason.INNER_PROTOCOL)
        if self.isatap or self.remote is None:
            check_sources(self, going)
