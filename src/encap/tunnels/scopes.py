"""What kind of address a column of IPv6 addresses has, as Linux tells them apart.

Source: Linux, __ipv6_addr_type; RFC 4291 section 2.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

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
    def of(cls, addresses: npt.NDArray[np.uint8]) -> Scopes:
        """Of uint8[n, 16]."""
        first, second = addresses[:, 0], addresses[:, 1]
        words = np.ascontiguousarray(addresses).view(">u4")
        low = ~words[:, :3].any(1)
        last = words[:, 3].astype(np.uint32)
        loopback = low & (last == 1)
        compatible = low & (last > 1)
        linklocal = (first == 0xFE) & (second & 0xC0 == 0x80)
        # fec0::/10 was site local, fc00::/7 is unique local: both are unicast.
        local = (first & 0xFE == 0xFC) | (first == 0xFE) & (second & 0x80 != 0)
        middle = (first >= 0x20) & (first < 0xE0)
        unicast = middle | local | loopback | compatible
        return cls(unicast, first == 0xFF, linklocal, loopback, compatible)
