"""DSCP and ECN of what leaves ESP.

ESP is no tunnel of RFC 6040 in Linux: an outer CE becomes an inner CE where the inner packet can
say so, and is lost without a drop where it cannot; an outer ECT(1) changes nothing.
Source: RFC 4301 section 5.1.2; Linux, ipip_ecn_decapsulate and ipv4_copy_dscp.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from encap.tunnels.esp.association import SecurityAssociation

__all__ = ["delivered_tos", "write_tos"]

Octets = npt.NDArray[np.uint8]
CE = 3


def delivered_tos(
    sa: SecurityAssociation,
    data: Octets,
    starts: npt.NDArray[np.int64],
    sixth: npt.NDArray[np.bool_],
    outer: Octets,
) -> tuple[Octets, Octets]:
    """uint8[n] each: TOS or traffic class of inner packets, as they are and as they shall be.

    starts: int64[n], where their headers begin in `data`.  sixth: bool[n], those of IPv6.
    outer: uint8[n], the same octet of the outer headers.
    """
    second = data[starts + 1]
    inner = np.where(sixth, data[starts] << 4 | second >> 4, second).astype(np.uint8)
    wanted = inner
    if "decap-dscp" in sa.flag:
        wanted = outer & 0xFC | wanted & 3
    if "noecn" not in sa.flag:
        marked = (outer & 3 == CE) & (wanted & 3 != 0)
        wanted = np.where(marked, wanted | CE, wanted)
    return inner, wanted.astype(np.uint8)


def write_tos(
    data: Octets, starts: npt.NDArray[np.int64], sixth: npt.NDArray[np.bool_], tos: Octets
) -> None:
    """Writes that octet into inner headers; the checksum of IPv4 is moved along (RFC 1624)."""
    at, value = starts[sixth], tos[sixth]
    data[at] = data[at] & 0xF0 | value >> 4
    data[at + 1] = data[at + 1] & 0x0F | value << 4
    at, new = starts[~sixth], tos[~sixth].astype(np.uint32)
    old, checksum = data[at + 1].astype(np.uint32), data[at + 10].astype(np.uint32) << 8
    checksum |= data[at + 11]
    total = (0xFFFF - checksum) + (0xFFFF - old) + new
    total = (total & 0xFFFF) + (total >> 16)
    total = (total & 0xFFFF) + (total >> 16)
    data[at + 1] = new
    data[at + 10], data[at + 11] = (0xFFFF - total) >> 8, (0xFFFF - total) & 0xFF
