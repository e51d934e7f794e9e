"""How many more tunnels packets may enter: the encapsulation limits of IPv6 packets.

A packet that has such an option already gets one less in front; one that has 0 enters no tunnel.
Source: RFC 2473 sections 4.1.1 and 5.1; Linux, ip6_tnl_parse_tlv_enc_lim.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from encap.tunnels.inside import IPV6_LEN
from encap.tunnels.sums import numbers_at

if TYPE_CHECKING:
    from encap.packets import Packets
    from encap.tunnels.innerip import Heads

__all__ = ["NO_LIMIT", "Limits"]

Int64s = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
HOP_BY_HOP, ROUTING, FRAGMENT, AUTHENTICATION, DESTINATION = 0, 43, 44, 51, 60
EXTENSIONS = (HOP_BY_HOP, ROUTING, FRAGMENT, AUTHENTICATION, DESTINATION)
LIMIT, LIMIT_LEN = 4, 3
NO_LIMIT = 256
"""In place of a limit, where no option is written."""
STEPS = 256
"""Headers and options of a packet that are looked at: more are nobody's in earnest."""


class Limits(NamedTuple):
    """Limits that packets get.

    given: int64[n], 0 to 255, or `NO_LIMIT`; of packets that get none, the device's own.
    spent: int64[m], rows that may enter no tunnel.  places: int64[m], octets from the start of
        their packets to the options that say so.
    """

    given: Int64s
    spent: Int64s
    places: Int64s

    @classmethod
    def of(cls, packets: Packets, sixth: Bools, heads: Heads, own: int) -> Limits:
        """Of a batch.

        sixth: bool[n], where it has IPv6: headers that a capture cut short give no limit.
        heads: its first octets, 8 at least.
        own: the device's limit.
        """
        given = np.full(len(packets), own, np.int64)
        kind = (heads.numbers(0) >> np.uint64(8)).astype(np.uint8)
        extended = np.zeros(256, np.bool_)
        extended[list(EXTENSIONS)] = True
        rows = np.flatnonzero(sixth & extended[kind] & (packets.lengths >= IPV6_LEN))
        places = _places(packets, rows)
        rows, places = rows[places > 0], places[places > 0]
        at = packets.starts[rows] + places + 2
        found = numbers_at(packets.data, at, 1).astype(np.int64)
        given[rows] = np.maximum(found - 1, 0)
        return cls(given, rows[found == 0], places[found == 0])

    def templates(self) -> tuple[list[int], npt.NDArray[np.uint8]]:
        """The different limits, and for each packet, uint8[n], which of them it gets."""
        present = np.zeros(NO_LIMIT + 1, np.int64)
        present[self.given] = 1
        known = np.flatnonzero(present)
        return known.tolist(), (np.cumsum(present) - 1)[self.given].astype(np.uint8)


def _places(packets: Packets, rows: Int64s) -> Int64s:
    """int64[m]: octets from the start of packets to their limits; 0 where there is none.

    rows: of packets that have a whole IPv6 header.
    """
    data, starts = packets.data, packets.starts[rows]
    size = packets.lengths[rows].astype(np.int64)
    at = np.full(len(rows), IPV6_LEN, np.int64)
    kind = numbers_at(data, starts + 6, 1).astype(np.int64)
    option, end = np.zeros_like(at), np.zeros_like(at)  # within destination options
    places, still = np.zeros_like(at), np.ones(len(rows), np.bool_)

    def octet(which: Int64s, offset: Int64s) -> Int64s:
        return numbers_at(data, starts[which] + offset, 1).astype(np.int64)

    for _ in range(STEPS):
        here = np.flatnonzero(still & (option == 0))
        fits = np.isin(kind[here], EXTENSIONS) & (at[here] + 8 <= size[here])
        still[here[~fits]] = False
        here = here[fits]
        first, units, current = octet(here, at[here]), octet(here, at[here] + 1), kind[here]
        later = octet(here, at[here] + 2) | octet(here, at[here] + 3)
        still[here[(current == FRAGMENT) & (later != 0)]] = False
        length = np.select(
            [current == FRAGMENT, current == AUTHENTICATION],
            [np.int64(8), units * 4 + 8],
            units * 8 + 8,
        )
        inside = current == DESTINATION
        still[here[inside & (at[here] + length > size[here])]] = False
        option[here[inside]] = at[here[inside]] + 2
        kind[here], at[here], end[here] = first, at[here] + length, at[here] + length
        here = np.flatnonzero(still & (option > 0))
        over = option[here] + LIMIT_LEN > end[here]
        option[here[over]] = 0  # on to the next header
        here = here[~over]
        number, length = octet(here, option[here]), octet(here, option[here] + 1)
        found = (number == LIMIT) & (length == 1)
        places[here[found]], still[here[found]] = option[here[found]], False
        option[here] += np.where(number == 0, 1, length + 2)
        if not still.any():
            break
    return places
