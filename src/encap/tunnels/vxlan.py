"""VXLAN.  Source: RFC 7348; Linux, drivers/net/vxlan/vxlan_core.c."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from encap.headers.vxlan import LINUX_PORT, VXLAN
from encap.tunnels.iptunnel import ADDRESSES, TOS, TTL, number_or
from encap.tunnels.options import NumberOption, frozen
from encap.tunnels.reasons import Reason
from encap.tunnels.udptunnel import OverUDP, check_frames
from encap.tunnels.words import Words, flag, number, text

if TYPE_CHECKING:
    from encap.packets import Packets
    from encap.tunnels.departing import Wrapping
    from encap.tunnels.receiving import Receiving

__all__ = ["VXLANTunnel"]

I_FLAG = 0x08


@frozen
class VXLANTunnel(OverUDP):
    """`ip link add type vxlan`: Ethernet frames in UDP.

    id: the VNI.
    dstport: UDP port at both ends; Linux has its own default, 8472, where nothing else is said.
    learning: frames from MAC addresses that nobody can have are refused.
    """

    id: NumberOption = NumberOption(0, 0xFFFFFF, default=0)
    dstport: NumberOption = NumberOption(0, 65535, default=LINUX_PORT)
    learning: bool = True

    KINDS: ClassVar = ("vxlan",)
    WORDS: ClassVar[Words] = {
        **ADDRESSES, "ttl": TTL, "hoplimit": TTL, "tos": TOS, "dsfield": TOS, "df": text("df"),
        "id": number("id"), "vni": number("id"), "dstport": number("dstport"),
        "udpcsum": flag("udpcsum"), "noudpcsum": flag("udpcsum", value=False),
        "udp6zerocsumtx": flag("udp6zerocsumtx"), "udp6zerocsumrx": flag("udp6zerocsumrx"),
        "noudp6zerocsumtx": flag("udp6zerocsumtx", value=False),
        "noudp6zerocsumrx": flag("udp6zerocsumrx", value=False),
        "learning": flag("learning"), "nolearning": flag("learning", value=False),
    }  # fmt: skip
    FIELDS: ClassVar[tuple[str, ...]] = (
        *OverUDP.FIELDS, "vxlan.flags", "vxlan.reserved1", "vxlan.vni", "vxlan.reserved2",
    )  # fmt: skip

    def _ports(self) -> Mapping[int, str | None]:
        return {self._port: "vxlan"}

    @property
    def _port(self) -> int:
        return number_or(self.dstport, 0) or LINUX_PORT

    def _wrap(self, packets: Packets) -> Wrapping:
        return self._wrapping(VXLAN(vni=number_or(self.id, 0)))

    def _check(self, going: Receiving) -> None:
        self._check_udp(going)
        header = going.inner
        going.refuse(going.said - header < 8, Reason.TOO_SHORT)
        columns = going.columns
        going.refuse(columns["vxlan.flags"] & I_FLAG == 0, Reason.RESERVED_BITS)
        going.refuse(columns["vxlan.vni"] != np.uint32(number_or(self.id, 0)), Reason.NO_TUNNEL)
        if self.profile == "linux":
            reserved = (columns["vxlan.reserved1"] != 0) | (columns["vxlan.reserved2"] != 0)
            going.refuse(reserved | (columns["vxlan.flags"] != I_FLAG), Reason.RESERVED_BITS)
        going.inner = header + 8
        check_frames(going)
        self._check_sources(going)

    def _check_sources(self, going: Receiving) -> None:
        """A frame that has our own address came round in a circle; nobody has 0 or a group's."""
        sources = going.sources()
        if self.address is not None:
            own = np.frombuffer(bytes(self.address), np.uint8)
            going.refuse((sources == own).all(1), Reason.INNER_SOURCE)
        if self.learning:
            nobody = (sources[:, 0] & 1 != 0) | ~sources.any(1)
            going.refuse(nobody, Reason.INNER_SOURCE)
