"""Policies: which packets go through which association, and which may have come through one.

Source: RFC 4301 section 4.4.1; ip-xfrm(8); Linux, net/xfrm/xfrm_policy.c.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from encap.errors import TunnelError
from encap.tunnels.esp.association import SecurityAssociation
from encap.tunnels.esp.options import EndOption, NetworkOption, number
from encap.tunnels.options import frozen

__all__ = ["Addresses", "Policy", "addresses"]


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
            raise TunnelError(f"dir is in, out or fwd, not {self.dir!r}")
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
        width = 4 if self.src.version == 4 else 16
        found: npt.NDArray[np.bool_] = inside.version == self.src.version
        for network, theirs in ((self.src, inside.src), (self.dst, inside.dst)):
            if network.prefixlen:
                mask = np.frombuffer(network.netmask.packed, np.uint8)
                mine = np.frombuffer(network.network_address.packed, np.uint8)
                found &= (theirs[:, :width] & mask == mine).all(axis=1)
        return found


@dataclass(frozen=True, slots=True)
class Addresses:
    """Addresses of inner packets.

    version: uint8[n], 4 or 6; 0 where there is no whole IP header.
    src, dst: uint8[n, 16], those of IPv4 in the first four octets.
    """

    version: npt.NDArray[np.uint8]
    src: npt.NDArray[np.uint8]
    dst: npt.NDArray[np.uint8]


def addresses(
    data: npt.NDArray[np.uint8], starts: npt.NDArray[np.int64], lengths: npt.NDArray[Any]
) -> Addresses:
    """The addresses of IP packets at `starts` in `data`; int64[n] and lengths of n."""
    count = len(starts)
    version = np.zeros(count, np.uint8)
    src, dst = np.zeros((count, 16), np.uint8), np.zeros((count, 16), np.uint8)
    there = np.flatnonzero(lengths > 0)
    first = data[starts[there]] >> 4
    for number_of, least, at, width in ((4, 20, 12, 4), (6, 40, 8, 16)):
        rows = there[(first == number_of) & (lengths[there] >= least)]
        version[rows] = number_of
        octets = data[starts[rows][:, None] + np.arange(at, at + 2 * width)]
        src[rows, :width], dst[rows, :width] = octets[:, :width], octets[:, width:]
    return Addresses(version, src, dst)

