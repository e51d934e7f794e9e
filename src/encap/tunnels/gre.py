"""GRE devices: IP, or whatever else has an EtherType, and Ethernet frames, over IPv4 and IPv6.

Source: RFC 2784, RFC 2890, RFC 7676; Linux, net/ipv4/ip_gre.c and net/ipv6/ip6_gre.c.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from encap.errors import TunnelError
from encap.tunnels.gredevice import GRE_FIELDS, GRE_WORDS, GREDevice
from encap.tunnels.greheader import IPV4
from encap.tunnels.innerip import Heads
from encap.tunnels.inside import ETHERNET_LEN, IPV4_LEN
from encap.tunnels.iptunnel import IPV4_WORDS, OverIPv4
from encap.tunnels.limits import NO_LIMIT
from encap.tunnels.options import frozen
from encap.tunnels.over_ipv6 import IPV6_WORDS, OverIPv6
from encap.tunnels.words import Words, flag

if TYPE_CHECKING:
    from encap.packets import Packets
    from encap.tunnels.departing import Wrapping

__all__ = ["GRETAPTunnel", "GRETunnel", "IP6GRETAPTunnel", "IP6GRETunnel"]

DF = 2
"""The bit of the flags of IPv4."""
IGNORE_DF: Words = {
    "ignore-df": flag("ignore_df"), "noignore-df": flag("ignore_df", value=False),
}  # fmt: skip


@frozen
class _GREOverIPv4(OverIPv4, GREDevice):
    """A GRE device over IPv4.

    ignore_df: DF of inner packets is not looked at: it is never set outside.
    """

    ignore_df: bool = False

    PROTOCOL: ClassVar = 47
    WORDS: ClassVar[Words] = {**IPV4_WORDS, **GRE_WORDS, **IGNORE_DF}
    FIELDS: ClassVar[tuple[str, ...]] = (*GRE_FIELDS, "ipv4.src", "ipv4.dst")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.ignore_df and self.pmtudisc:
            raise TunnelError("ignore_df goes with pmtudisc=False alone")

    def _outer(self) -> dict[str, Any]:
        options = super()._outer()
        if self.external:
            options["df"] = "set" if self.nofrag else "unset"
        elif not self.pmtudisc:
            options["df"] = "unset"
        return options

    def _wrap(self, packets: Packets) -> Wrapping:
        wrapping = super()._wrap(packets)
        if not (self.pmtudisc or self.ignore_df or self.external):
            wrapping.columns["ipv4.flags"] = self._df_inside(packets)
        return wrapping

    def _df_inside(self, packets: Packets) -> npt.NDArray[np.uint8]:
        """uint8[n]: `DF` where an inner IPv4 packet has it, 0 elsewhere."""
        heads = Heads(packets, 24)
        if self.FRAMES:
            fourth, begin = heads.shorts(ETHERNET_LEN - 2) == IPV4, ETHERNET_LEN
        else:
            fourth, begin = heads.numbers(0) >> np.uint64(60) == 4, 0
        flagged = heads.shorts(begin + 6) & np.uint64(0x4000) != 0
        kept = fourth & flagged & (packets.lengths >= begin + IPV4_LEN)
        return np.where(kept, np.uint8(DF), np.uint8(0))


@frozen
class GRETunnel(_GREOverIPv4):
    """`ip link add type gre`: IPv4, IPv6 and more over IPv4.

    Without `remote`, `neighbours` say where packets go.
    """

    KINDS: ClassVar = ("gre",)


@frozen
class GRETAPTunnel(_GREOverIPv4):
    """`ip link add type gretap`: Ethernet frames over IPv4."""

    KINDS: ClassVar = ("gretap",)
    FRAMES: ClassVar = True


@frozen
class _GREOverIPv6(OverIPv6, GREDevice):
    """A GRE device over IPv6."""

    PROTOCOL: ClassVar = 47
    WORDS: ClassVar[Words] = {**IPV6_WORDS, **GRE_WORDS}
    FIELDS: ClassVar[tuple[str, ...]] = (*GRE_FIELDS, "ipv6.src", "ipv6.dst")

    def _wrap(self, packets: Packets) -> Wrapping:
        wrapping = super()._wrap(packets)
        if not self.external:
            self._refuse_and_limit(wrapping, packets)
        return wrapping

    def _outer(self) -> dict[str, Any]:
        options = super()._outer()
        if self.external and self.ttl is None:
            options["ttl"] = "inherit"
        return options

    @property
    def _limit(self) -> int:
        return NO_LIMIT if self.external else super()._limit


@frozen
class IP6GRETunnel(_GREOverIPv6):
    """`ip link add type ip6gre`: IPv4, IPv6 and more over IPv6.

    Without `remote`, `neighbours` say where packets go.
    """

    KINDS: ClassVar = ("ip6gre",)


@frozen
class IP6GRETAPTunnel(_GREOverIPv6):
    """`ip link add type ip6gretap`: Ethernet frames over IPv6."""

    KINDS: ClassVar = ("ip6gretap",)
    FRAMES: ClassVar = True
