"""What tunnels over UDP share: VXLAN and Geneve."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from encap.errors import TunnelError
from encap.fields import Header
from encap.headers.udp import UDP
from encap.tunnels.departing import Wrapping
from encap.tunnels.iptunnel import ip_header, outer_options
from encap.tunnels.options import frozen
from encap.tunnels.outer import check_udp
from encap.tunnels.reasons import Reason
from encap.tunnels.tunnel import Tunnel

if TYPE_CHECKING:
    from encap.tunnels.receiving import Receiving

__all__ = ["OverUDP", "check_frames"]

ETHERNET_LEN = 14
WHOLE = {0x0800: 20, 0x86DD: 40, 0x8100: 4, 0x88A8: 4}
"""EtherTypes, and octets that must stand behind them: an IP header, or a tag."""


@frozen
class OverUDP(Tunnel):
    """A tunnel device over UDP that carries Ethernet frames.

    ttl: None or 0 is 64.
    df: "unset", "set", or "inherit": that of an inner IPv4 packet; set for IPv6.
    udpcsum: the outer checksum over IPv4 is computed; None for what this kind of device does.
    udp6zerocsumtx, udp6zerocsumrx: packets over IPv6 go, or are taken, without a checksum.
    srcport: range of source ports, the second one exclusive.
    """

    df: str = "unset"
    udpcsum: bool | None = None
    udp6zerocsumtx: bool = False
    udp6zerocsumrx: bool = False

    FRAMES: ClassVar = True
    FIELDS: ClassVar[tuple[str, ...]] = ("udp.dport", "inner.eth.src")
    SUMMED: ClassVar = True
    """Outer checksums over IPv4 are computed where nothing is said."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.df not in ("unset", "set", "inherit"):
            raise TunnelError(f"df is 'unset', 'set' or 'inherit', not {self.df!r}")

    @property
    def _port(self) -> int:
        raise NotImplementedError

    def _wrapping(self, *headers: Header) -> Wrapping:
        """IP, UDP and other headers in front of frames."""
        options = outer_options(self)
        options["sport"] = "linux"
        if self.family == "ipv4":
            summed = self.SUMMED if self.udpcsum is None else self.udpcsum
            options["df"] = self.df
        else:
            summed = not self.udp6zerocsumtx
        udp = UDP(dport=self._port, checksum=None if summed else 0)
        return Wrapping([(ip_header(self), udp, *headers)], {}, options, heeds_df=False)

    def _check_udp(self, going: Receiving) -> None:
        check_udp(going, self._port, zero_ok=self.udp6zerocsumrx)


def check_frames(going: Receiving) -> None:
    """Refuses frames without an Ethernet header, or without the IP header that they announce."""
    length = going.said - going.inner
    going.refuse(length < ETHERNET_LEN, Reason.TOO_SHORT)
    going.linktypes = np.broadcast_to(np.uint16(1), (len(going),))
    rows = going.rows(length < ETHERNET_LEN + max(WHOLE.values()))
    ethertype = going.numbers(rows, going.inner[rows] + 12)
    short = np.zeros(len(going), np.bool_)
    for number, least in WHOLE.items():
        short[rows] |= (ethertype == number) & (length[rows] < ETHERNET_LEN + least)
    going.refuse(short, Reason.INNER_FRAME)
