"""IP in IP over IPv4.  Source: RFC 2003, RFC 4023; Linux, net/ipv4/ipip.c."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from encap.errors import TunnelError
from encap.tunnels.carried import IPIP, MPLS_IN_IP, carry, check_carried, protocols
from encap.tunnels.iptunnel import IPV4_WORDS, OverIPv4, ip_header
from encap.tunnels.metadata import metadata
from encap.tunnels.nbma import aim_ipv4
from encap.tunnels.options import frozen
from encap.tunnels.reasons import Reason
from encap.tunnels.routes import RoutesOption, routes_of
from encap.tunnels.words import Words, flag, text

if TYPE_CHECKING:
    from encap.packets import Packets
    from encap.tunnels.departing import Wrapping
    from encap.tunnels.host import Device, Host
    from encap.tunnels.receiving import Receiving

__all__ = ["IPIPTunnel"]

MODES = {
    "ipip": (IPIP,), "ip4ip4": (IPIP,), "ipv4/ipv4": (IPIP,),
    "mplsip": (MPLS_IN_IP,), "mpls/ipv4": (MPLS_IN_IP,),
    "any": (IPIP, MPLS_IN_IP), "any/ipv4": (IPIP, MPLS_IN_IP),
}  # fmt: skip
"""What each mode carries, both ways."""

OF_PACKETS = {"local", "remote", "ttl", "tos"}
"""What a route says of the packets of an external device."""


@frozen
class IPIPTunnel(OverIPv4):
    """`ip link add type ipip`: IPv4, or MPLS, in IPv4.

    mode: "ipip" carries IPv4, "mplsip" MPLS (link type 219), "any" both. `ip link` makes "any"
        where nothing is said, `ip tunnel add ... mode ipip` makes "ipip".
    external: each packet brings with it where it goes: `columns` of `encap` say so, and the
        options say it of all others; they refuse nothing. DF is not set then, but with `nofrag`.
    routes: gateways by destination; without `remote` packets go to them, or to where the inner
        header says.
    """

    mode: str = "any"
    external: bool = False
    nofrag: bool = False
    routes: RoutesOption = RoutesOption()

    KINDS: ClassVar = ("ipip", "ip/ip")
    WORDS: ClassVar[Words] = {**IPV4_WORDS, "mode": text("mode"), "external": flag("external")}

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.mode not in MODES:
            raise TunnelError(f"mode is one of {', '.join(MODES)}, not {self.mode!r}")

    @classmethod
    def _of_device(cls, device: Device, host: Host, arguments: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = {"routes": routes_of(device, host)}
        if "mode" in device.more:  # made by `ip tunnel`
            found["mode"] = "ipip"
        if arguments.get("external"):
            said = metadata(device)
            found |= {
                name: said[name] for name in ("local", "remote", "ttl", "tos") if name in said
            }
            found["nofrag"] = "df" in said
        return found

    def _outer(self) -> dict[str, Any]:
        options = super()._outer()
        if self.external:
            options["df"] = "set" if self.nofrag else "unset"
        return options

    def _wrap(self, packets: Packets) -> Wrapping:
        wrapping = self._wrapping()
        labels = (ip_header(self, protocol=MPLS_IN_IP),)
        carried = protocols(packets)
        carry(wrapping, carried, MODES[self.mode], labels)
        return wrapping

    def _settle(self, wrapping: Wrapping, packets: Packets) -> None:
        super()._settle(wrapping, packets)
        if self.remote is not None or "ipv4.dst" in wrapping.columns:
            return
        if self.external:
            every = np.arange(len(packets), dtype=np.int64)
            wrapping.refuse(every, Reason.NO_DESTINATION, len(packets))
        else:
            aim_ipv4(self.routes, wrapping, packets, protocols(packets))

    def _check(self, going: Receiving) -> None:
        check_carried(going, (IPIP, MPLS_IN_IP))
        if not self.external:
            self._check_ends(going)
        for number in {IPIP, MPLS_IN_IP} - set(MODES[self.mode]):
            going.refuse(going.protocol == number, Reason.INNER_PROTOCOL)
