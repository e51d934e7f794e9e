"""Policies: which packets go through which association, and which may have come through one.

Source: RFC 4301 section 4.4.1; ip-xfrm(8); Linux, net/xfrm/xfrm_policy.c.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from encap.errors import TunnelError
from encap.tunnels.esp.association import SecurityAssociation
from encap.tunnels.esp.options import EndOption, Network, NetworkOption, number
from encap.tunnels.options import frozen

__all__ = ["Addresses", "Policy"]


@frozen
class Policy:
    """`ip xfrm policy`: packets between two networks, and the association that they want.

    dir: "out", "in" or "fwd".  src, dst: networks of inner addresses, both of one family.
    tmpl_src, tmpl_dst: outer addresses.  reqid, spi: of the association; 0 for any.
    mark (with mask), if_id: what devices find it by; no mark where None.
    priority: the least one counts first.
    """

    dir: str
    src: NetworkOption = NetworkOption()
    dst: NetworkOption = NetworkOption()
    tmpl_src: EndOption = EndOption()
    tmpl_dst: EndOption = EndOption()
    reqid: int = 0
    spi: int = 0
    mark: int | None = None
    mask: int = 0xFFFFFFFF
    if_id: int = 0
    priority: int = 0

    def __post_init__(self) -> None:
        put = object.__setattr__
        if self.dir not in ("in", "out", "fwd"):
            raise TunnelError("dir is in, out or fwd")
        if self.src.version != self.dst.version:
            raise TunnelError(f"src and dst are of one family, not {self.src} and {self.dst}")
        for name in ("reqid", "spi", "mask", "if_id", "priority"):
            put(self, name, number(name, getattr(self, name), 0xFFFFFFFF))
        if self.mark is not None:
            put(self, "mark", number("mark", self.mark, 0xFFFFFFFF))

    def has_mark(self, mark: int) -> bool:
        """Packets with this mark belong here."""
        return self.mark is None or mark & self.mask == self.mark

    def wants(self, sa: SecurityAssociation) -> bool:
        """True for an association that fits the template.  Source: Linux, xfrm_state_ok."""
        return (
            (self.tmpl_src, self.tmpl_dst) == (sa.src, sa.dst)
            and self.reqid in (0, sa.reqid)
            and self.spi in (0, sa.spi)
        )

    def covers(self, inside: Addresses) -> npt.NDArray[np.bool_]:
        """bool[n]: packets between the two networks."""
        return inside.between(self.src, self.dst)


class Addresses:
    """Addresses of inner packets, read when they are asked for.

    data: uint8[m].  starts: int64[n], where packets begin in it.  lengths: n numbers of octets.
    version: uint8[n], 4 or 6; 0 where there is no whole IP header.
    """

    __slots__ = ("_data", "_starts", "version")

    def __init__(
        self,
        data: npt.NDArray[np.uint8],
        starts: npt.NDArray[np.int64],
        lengths: npt.NDArray[Any],
    ) -> None:
        self._data, self._starts = data, starts
        nibble = np.zeros(len(starts), np.uint8)
        there = lengths > 0
        nibble[there] = data[starts[there]] >> 4
        least = np.select([nibble == 4, nibble == 6], [20, 40], 1 << 32)
        self.version = np.where(lengths >= least, nibble, 0).astype(np.uint8)

    def between(self, src: Network, dst: Network) -> npt.NDArray[np.bool_]:
        """bool[n]: packets between two networks of one family."""
        found: npt.NDArray[np.bool_] = self.version == src.version
        at, width = (12, 4) if src.version == 4 else (8, 16)
        for offset, network in ((at, src), (at + width, dst)):
            if network.prefixlen:
                rows = np.flatnonzero(found)
                octets = self._data[self._starts[rows][:, None] + np.arange(offset, offset + width)]
                mask = np.frombuffer(network.netmask.packed, np.uint8)
                mine = np.frombuffer(network.network_address.packed, np.uint8)
                found[rows] = (octets & mask == mine).all(axis=1)
        return found
