"""What kind of address an IPv6 address is, as Linux tells them apart.

Source: Linux, __ipv6_addr_type; RFC 4291 section 2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from encap.tunnels.halves import Halves

__all__ = ["Scopes"]

Bools = npt.NDArray[np.bool_]


class Scopes(NamedTuple):
    """Of each address, bool[n]: which kind it is.

    unicast: what a host may have: global, link local, unique local, `::1` and `::a.b.c.d`. Neither
        the rest of ::/3, such as `::ffff:a.b.c.d`, nor that of e000::/3 is.
    multicast: of ff00::/8.  linklocal: of fe80::/10.  loopback: `::1`.
    compatible: `::a.b.c.d` but `::` and `::1`.
    """

    unicast: Bools
    multicast: Bools
    linklocal: Bools
    loopback: Bools
    compatible: Bools

    @classmethod
    def of(cls, addresses: Halves) -> Scopes:
        """Of some addresses."""
        upper, lower = addresses
        first = (upper >> np.uint64(48)).astype(np.uint16)
        low = (upper == 0) & (lower <= np.uint64(0xFFFFFFFF))
        loopback, compatible = low & (lower == 1), low & (lower > 1)
        linklocal = first & 0xFFC0 == 0xFE80
        # fec0::/10 was site local, fc00::/7 is unique local: both are unicast.
        local = (first & 0xFE00 == 0xFC00) | linklocal | (first & 0xFFC0 == 0xFEC0)
        middle = (first >= 0x2000) & (first < 0xE000)
        unicast = middle | local | loopback | compatible
        return cls(unicast, first >= 0xFF00, linklocal, loopback, compatible)
