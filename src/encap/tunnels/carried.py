"""What tunnels directly over IP carry: IPv4, IPv6 and MPLS, each by its own protocol number.

A device knows what it is given by the packet's EtherType; a batch by its link type: raw IP of
either version, or MPLS (219), which has no version bits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from encap.tunnels.innerip import Heads, versions
from encap.tunnels.inside import ETHERNET, IPV4_LEN, IPV6_LEN, MPLS
from encap.tunnels.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Iterable

    from encap.fields import Header
    from encap.packets import Packets
    from encap.tunnels.departing import Wrapping
    from encap.tunnels.receiving import Receiving

__all__ = [
    "ETHERNET_LINKS", "IPIP", "IPV6", "IP_LINKS", "MPLS_IN_IP", "carry", "check_carried",
    "of_links", "protocols",
]  # fmt: skip

IPIP, IPV6, MPLS_IN_IP = 4, 41, 137
"""IP protocol numbers.  Source: RFC 2003, RFC 2473, RFC 4023."""
RAW, RAW_IPV4, RAW_IPV6 = (12, 101), 228, 229
ETHERNET_LINKS, IP_LINKS = (ETHERNET,), (*RAW, RAW_IPV4, RAW_IPV6, MPLS)
"""Link types of what devices carry: frames, or IP and MPLS."""
LEAST = {IPIP: IPV4_LEN, IPV6: IPV6_LEN, MPLS_IN_IP: 4}
"""Octets that must be there of each: a header, or one label."""
ETHERTYPES = {IPIP: 0x0800, IPV6: 0x86DD, MPLS_IN_IP: 0x8847}

Uint8s = npt.NDArray[np.uint8]


def of_links(packets: Packets, links: tuple[int, ...]) -> npt.NDArray[np.bool_]:
    """bool[n]: packets of one of these link types."""
    kinds = packets.linktypes
    if kinds.strides == (0,):  # all have the same
        return np.broadcast_to(np.isin(kinds[:1], links).all(), (len(kinds),))
    return np.isin(kinds, links)


def protocols(packets: Packets, heads: Heads | None = None) -> Uint8s:
    """uint8[n]: the protocol number that each packet gets; 0 where it is nothing of that.

    heads: their first octets, where somebody has read them already.
    """
    kinds, version = packets.linktypes, versions(packets, heads)
    if kinds.strides != (0,) or (len(kinds) and kinds[0] not in RAW):
        # What is known is not read; Ethernet and others are neither.
        version[~np.isin(kinds, RAW)] = 0
        version[kinds == RAW_IPV4], version[kinds == RAW_IPV6] = 4, 6
    found = np.zeros(16, np.uint8)
    found[[4, 6]] = IPIP, IPV6
    carried: Uint8s = found[version]
    carried[kinds == MPLS] = MPLS_IN_IP
    short = np.flatnonzero(packets.wire_lengths < IPV6_LEN)
    if len(short):
        least = np.zeros(256, np.uint32)
        least[list(LEAST)] = list(LEAST.values())
        carried[short[packets.wire_lengths[short] < least[carried[short]]]] = 0
    return carried


def carry(
    wrapping: Wrapping, carried: Uint8s, allowed: Iterable[int], mpls: tuple[Header, ...]
) -> None:
    """Refuses what is not allowed; gives MPLS a template of its own.

    carried: uint8[n], from `protocols`.  mpls: the headers in front of labels.
    """
    wrong = np.flatnonzero(~np.isin(carried, tuple(allowed)))
    if len(wrong):
        wrapping.refuse(wrong, Reason.NOT_CARRIED, len(carried))
    labels = carried == MPLS_IN_IP
    if labels.any():
        if wrapping.which is None:
            wrapping.which = np.zeros(len(carried), np.uint8)
        wrapping.which[labels] = len(wrapping.templates)
        wrapping.templates.append(mpls)


def check_carried(going: Receiving, taken: Iterable[int]) -> None:
    """Refuses other protocols, and packets that are cut short; before whose they are is asked.

    Source: Linux, tunnel4_rcv, tunnel64_rcv, tunnelmpls4_rcv and tunnel6_rcv.
    """
    known = tuple(taken)
    going.refuse(~np.isin(going.protocol, known), Reason.OTHER_PROTOCOL)
    least = np.zeros(256, np.int64)
    least[list(LEAST)] = list(LEAST.values())
    going.refuse(going.said - going.inner < least[going.protocol], Reason.TOO_SHORT)
    # They are what the protocol says, whatever their version bits are.
    ethertypes = np.zeros(256, np.uint16)
    ethertypes[list(ETHERTYPES)] = list(ETHERTYPES.values())
    going.carried = ethertypes[going.protocol]
    labels = going.protocol == MPLS_IN_IP
    if labels.any():
        going.linktypes = np.where(labels, np.uint16(MPLS), going.linktypes)
