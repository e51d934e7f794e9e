"""What a tunnel that is a port of a bridge says to whoever sent what does not fit.

The answer comes from the address that the packet was for, since a bridge has none of its own.
Source: Linux, skb_tunnel_check_pmtu; RFC 1191 section 4, RFC 4443 sections 2.4 and 3.2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from encap.packets import Packets
from encap.tunnels.inside import Octets
from encap.tunnels.replies import TOO_BIG, errors

if TYPE_CHECKING:
    from encap.tunnels.inside import Bools, Inside, Int64s

__all__ = ["bridge_answerable", "bridge_answers"]

LEAST = {4: 576, 6: 1280}
"""A tunnel that leaves less room is none that a sender could adapt to."""
DONT_FRAGMENT, DF = 0x4000, 2
ICMP, ICMPV6 = 1, 58
ICMP_ERRORS = (3, 4, 5, 11, 12)
REDIRECT = 137


def bridge_answerable(packets: Packets, inside: Inside, room: Int64s) -> Bools:
    """bool[m]: where the sender of an inner packet is told that it is too big.

    room: int64[m], octets of an IP packet that fit.
    """
    octets, ip = Octets(packets, inside.rows), inside.ip
    fourth = inside.ipv4 & (room >= LEAST[4]) & (octets.numbers(ip + 6) == DONT_FRAGMENT)
    source, target = octets.numbers(ip + 12, 4), octets.numbers(ip + 16, 4)
    fourth &= ~_is_group(target) & ~_is_group(source)
    fourth &= (source >> 24 != 0) & (source >> 24 != 127)
    kind = octets.numbers(ip + (octets.numbers(ip, 1) & 0x0F).astype(np.int64) * 4, 1)
    fourth &= ~((octets.numbers(ip + 9, 1) == ICMP) & np.isin(kind, ICMP_ERRORS))
    sixth = inside.ipv6 & (room >= LEAST[6])
    source = octets.numbers(ip + 8, 4) | octets.numbers(ip + 12, 4) | octets.numbers(ip + 16, 4)
    # Neither nobody's address, nor the host's own, nor a group's.
    sixth &= (source | octets.numbers(ip + 20, 4) >> 1 != 0) & (octets.numbers(ip + 8, 1) != 0xFF)
    kind = octets.numbers(ip + 40, 1)
    error = (kind < 128) | (kind == REDIRECT)
    sixth &= ~((octets.numbers(ip + 6, 1) == ICMPV6) & error)
    found: Bools = fourth | sixth
    return found


def _is_group(address: npt.NDArray[np.uint32]) -> Bools:
    """bool[m]: IPv4 addresses of more than one host."""
    found: Bools = (address >> 28 == 0xE) | (address == 0xFFFFFFFF)
    return found


def bridge_answers(packets: Packets, inside: Inside, room: Int64s) -> Packets:
    """One answer for each of these packets, all of which are to get one."""
    octets, made = packets.data, []
    for version, where in ((4, inside.ipv4), (6, inside.ipv6)):
        chosen = inside.chosen(where)
        if not len(chosen.rows):
            continue
        if version == 4:
            flags = np.full(len(chosen.rows), DF, np.uint8)
            columns = {
                "ipv4.ttl": octets[chosen.ip + 8],
                "ipv4.flags": flags,
                "ipv4.tos": flags & 0,
            }
        else:
            columns = {"ipv6.hop_limit": octets[chosen.ip + 7]}
        told = errors(
            packets, chosen.rows, chosen.ip, TOO_BIG, None, version=version, rest=room[where],
            columns=columns,
        )  # fmt: skip
        made.append(told)
    return Packets.concat(made)
