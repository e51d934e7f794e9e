"""DSCP and ECN of what leaves ESP.

For Linux ESP is no tunnel of RFC 6040: an outer CE becomes an inner CE where the inner packet can
say so, and is lost without a drop where it cannot; an outer ECT(1) changes nothing.
Source: RFC 4301 section 5.1.2; Linux, ipip_ecn_decapsulate and ipv4_copy_dscp.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from encap.tunnels import ecn
from encap.tunnels.esp.association import SecurityAssociation

__all__ = ["delivered_tos"]

Octets = npt.NDArray[np.uint8]
CE = 3


def delivered_tos(
    sa: SecurityAssociation, inner: Octets, outer: Octets, *, rfc: bool
) -> tuple[Octets, npt.NDArray[np.bool_]]:
    """uint8[n], the TOS or traffic class that inner packets get; bool[n], which must be dropped.

    inner, outer: uint8[n], what both headers say.  rfc: as RFC 6040 has it, not as Linux does it.
    """
    wanted: npt.NDArray[Any] = inner
    lost = np.zeros(len(inner), np.bool_)
    if "decap-dscp" in sa.flag:
        wanted = outer & 0xFC | wanted & 3
    if "noecn" not in sa.flag:
        if rfc:
            bits = ecn.received(inner, outer)
            lost = bits == ecn.DROP
        else:
            marked = (outer & 3 == CE) & (inner & 3 != ecn.NOT_ECT)
            bits = np.where(marked, np.uint8(CE), inner & 3)
        wanted = wanted & 0xFC | bits & 3
    return wanted.astype(np.uint8), lost
