"""IP in IP over IPv4.  Source: RFC 2003, RFC 4213; Linux, net/ipv4/ipip.c."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from encap.errors import TunnelError
from encap.tunnels.iptunnel import IPV4_WORDS, OverIPv4, short
from encap.tunnels.options import frozen
from encap.tunnels.reasons import Reason
from encap.tunnels.words import Words, text

if TYPE_CHECKING:
    from encap.packets import Packets
    from encap.tunnels.departing import Wrapping
    from encap.tunnels.receiving import Receiving

__all__ = ["IPIPTunnel"]

IPIP, MPLS = 4, 137
IPV4_LEN = 20


@frozen
class IPIPTunnel(OverIPv4):
    """`ip link add type ipip`: IPv4 in IPv4.

    mode: "ipip" carries IPv4, "mplsip" MPLS, "any" both. The kernel's receiver takes either in
        any mode.
    """

    mode: str = "ipip"

    KINDS: ClassVar = ("ipip",)
    WORDS: ClassVar[Words] = {**IPV4_WORDS, "mode": text("mode")}

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.mode not in ("ipip", "mplsip", "any"):
            raise TunnelError(f"mode is 'ipip', 'mplsip' or 'any', not {self.mode!r}")

    def _wrap(self, packets: Packets) -> Wrapping:
        return self._wrapping(protocol=IPIP)

    def _check(self, going: Receiving) -> None:
        going.refuse(~np.isin(going.protocol, (IPIP, MPLS)), Reason.OTHER_PROTOCOL)
        self._check_ends(going)
        least = np.where(going.protocol == IPIP, IPV4_LEN, 4)
        going.refuse(short(going, least), Reason.TOO_SHORT)
