"""IPv4, IPv6 and MPLS over IPv6.  Source: RFC 2473; Linux, net/ipv6/ip6_tunnel.c.

Behind the outer header a destination option says how many more tunnels the packet may enter:

    next_header | 0 | 4 | 1 | limit | 1 | 1 | 0             RFC 2473 section 5.1
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from encap.errors import TunnelError
from encap.tunnels.arriving import Delivery, inner_packets
from encap.tunnels.carried import IPIP, IPV6, MPLS_IN_IP, carry, check_carried, protocols
from encap.tunnels.departing import Wrapping
from encap.tunnels.halves import Halves
from encap.tunnels.innerip import DESTINATION, SOURCE, Heads
from encap.tunnels.inside import IPV6_LEAST, Inside
from encap.tunnels.iptunnel import check_ends, outer_options
from encap.tunnels.options import frozen
from encap.tunnels.over_ipv6 import IPV6_WORDS, OverIPv6
from encap.tunnels.reasons import Reason
from encap.tunnels.replies import HOST, answers
from encap.tunnels.routes import RoutesOption, routes_of
from encap.tunnels.scopes import Scopes
from encap.tunnels.words import Words, text

if TYPE_CHECKING:
    from encap.packets import Packets
    from encap.tunnels.host import Device, Host
    from encap.tunnels.receiving import Int64s, Receiving

__all__ = ["IP6Tunnel"]

MODES = {
    "ip6ip6": (IPV6,), "ipv6/ipv6": (IPV6,),
    "ipip6": (IPIP,), "ip4ip6": (IPIP,), "ip/ipv6": (IPIP,), "ipv4/ipv6": (IPIP,),
    "any": (IPIP, IPV6, MPLS_IN_IP), "any/ipv6": (IPIP, IPV6, MPLS_IN_IP),
}  # fmt: skip
"""What each mode carries, both ways."""


@frozen
class IP6Tunnel(OverIPv6):
    """`ip link add type ip6tnl`: IPv4, IPv6 or MPLS in IPv6.

    dscp: "inherit" gives inner packets the outer DSCP on receipt; None keeps theirs.
    mode: "ip6ip6" carries IPv6, "ipip6" IPv4, "any" both, and MPLS (link type 219).
    routes: gateways by destination, None for what is on the link, where there is no `remote`:
        packets go to the next hop.
    """

    dscp: str | None = None
    mode: str = "any"
    routes: RoutesOption = RoutesOption()

    KINDS: ClassVar = ("ip6tnl", *MODES)
    PROTOCOL: ClassVar = 41
    FIELDS: ClassVar[tuple[str, ...]] = ("ipv6.src", "ipv6.dst")
    LEAST_MTU: ClassVar = IPV6_LEAST
    WORDS: ClassVar[Words] = {**IPV6_WORDS, "mode": text("mode"), "dscp": text("dscp")}

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.mode not in MODES:
            raise TunnelError(f"mode is one of {', '.join(MODES)}, not {self.mode!r}")
        if self.dscp not in (None, "inherit"):
            raise TunnelError(f"dscp is 'inherit' or None, not {self.dscp!r}")

    @classmethod
    def _of_device(cls, device: Device, host: Host, arguments: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = {"routes": routes_of(device, host)}
        if "mode" in device.more:  # `ip tunnel` names it there
            found["mode"] = device.kind
        return found

    # --- packets out

    def _wrap(self, packets: Packets) -> Wrapping:
        heads = Heads(packets, SOURCE + 16)
        wrapping = self._wrapping()
        wrapping.fragments_outside = self.profile == "rfc"
        self._refuse_and_limit(wrapping, packets, heads)
        (labels,) = self._wrapping(protocol=MPLS_IN_IP).templates
        carry(wrapping, protocols(packets, heads), MODES[self.mode], labels)
        return wrapping

    def _settle(self, wrapping: Wrapping, packets: Packets) -> None:
        super()._settle(wrapping, packets)
        if self.remote is None and "ipv6.dst" not in wrapping.columns:
            self._find_targets(wrapping, packets)
        if self.local is None and "ipv6.src" not in wrapping.columns:
            every = np.arange(len(packets), dtype=np.int64)
            self._lose(wrapping, packets, every)

    def _outer(self) -> dict[str, Any]:
        # Other than GRE over IPv6, this device writes ECN bits as those over IPv4 do.
        return {**super()._outer(), "ecn": outer_options(self)["ecn"]}

    def _find_targets(self, wrapping: Wrapping, packets: Packets) -> None:
        """Sends IPv6 packets to their next hops; nothing says where others go.

        Source: Linux, ip6_tnl_xmit and ip6_tnl_get_cap.
        """
        heads = Heads(packets, DESTINATION + 16)
        hops = self.routes.next_hops(heads.addresses(DESTINATION))
        sixth = protocols(packets, heads) == IPV6
        target = Halves(*(half * sixth for half in hops))
        wrapping.columns["ipv6.dst"] = target.column()
        scopes = Scopes.of(target)
        lost = ~(scopes.unicast | scopes.multicast) | scopes.loopback | scopes.linklocal
        self._lose(wrapping, packets, np.flatnonzero(lost))

    def _lose(self, wrapping: Wrapping, packets: Packets, rows: Int64s) -> None:
        """Refuses packets that nothing takes anywhere, and says so to their senders."""
        gone = wrapping.refuse(rows, Reason.NO_DESTINATION, len(packets))
        wrapping.replies.append(answers(self, packets, Inside.of(packets, gone), HOST))

    # --- packets in

    def _check(self, going: Receiving) -> None:
        check_carried(going, (IPIP, IPV6, MPLS_IN_IP))
        check_ends(self, going)
        for number in {IPIP, IPV6, MPLS_IN_IP} - set(MODES[self.mode]):
            going.refuse(going.protocol == number, Reason.INNER_PROTOCOL)
        source = Halves.of(going.columns["ipv6.src"])
        if self.remote is None or self.local is None:
            theirs, ours = Scopes.of(source), Scopes.of(Halves.of(going.columns["ipv6.dst"]))
            loose = ~theirs.unicast | ~(ours.unicast | ours.multicast)
            for scopes in (theirs, ours):
                loose |= scopes.loopback | scopes.linklocal
            going.refuse(loose, Reason.UNKNOWN_ENDS)
        for one in self.underlay.addresses:
            if one.version == 6:
                going.refuse(source.are(one), Reason.UNKNOWN_ENDS)

    def _inner(self, going: Receiving, rows: Int64s) -> Delivery:
        return inner_packets(going, rows, dscp=self.dscp == "inherit")
