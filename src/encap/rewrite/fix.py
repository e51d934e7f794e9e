"""Checksums made anew: the bad ones, those that were left to a NIC, or all that are not right."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from encap._lib import Batch, ffi, lib, pointer, spread
from encap.arrays import is_one_of
from encap.covers import covers
from encap.errors import FieldError
from encap.rewrite.run import in_place, room_for
from encap.verify import Verdict
from encap.walk import port_rules

if TYPE_CHECKING:
    from encap.packets import Packets

__all__ = ["WHICH", "Fixed", "apply_fix"]

WHICH = {
    "bad": (Verdict.BAD,),
    "partial": (Verdict.PARTIAL,),
    "all": (Verdict.BAD, Verdict.PARTIAL, Verdict.ZERO_ILLEGAL),
}
"""What is made anew, by the verdict it has."""
LEFT = {
    lib.ENCAP_UNFIXED_FRAGMENT: "checksum not verified: in a fragment",
    lib.ENCAP_UNFIXED_CUT: "checksum not verified: octets that it covers are missing",
    lib.ENCAP_UNFIXED_OPEN: "checksum not verified: the IP length is 0",
    lib.ENCAP_UNFIXED_BROKEN: "checksum not verified: its header cannot be read whole",
}
"""Why packets keep a checksum that is wrong, or may be."""


class Fixed(NamedTuple):
    """Packets that were repaired, and what was done."""

    packets: Packets
    changed: int
    """Packets in which an octet changed."""
    checksums: int
    """Checksums that were made anew."""
    moved: int
    """Checksums that cover one made anew and were moved along."""


def apply_fix(
    packets: Packets,
    which: str = "bad",
    *,
    ports: Mapping[int, str | None] | None = None,
    threads: int | None = None,
    out: npt.NDArray[np.uint8] | str | None = None,
) -> Fixed:
    """`Packets.fix`, and what was done."""
    if not is_one_of(which, WHICH):
        raise FieldError(f"which is {', '.join(WHICH)}; not {which!r}", field="which", value=which)
    if isinstance(out, str):
        data, made, source = in_place(packets, out), packets, None
    else:
        data, made = room_for(packets, out)
        source = Batch(packets)
    rules, batch, table = port_rules(packets._ports_with(ports)), Batch(made), covers()
    target = pointer(data, "uint8_t", writable=True)
    wanted = sum(1 << verdict for verdict in WHICH[which])

    def fix(begin: int, end: int) -> npt.NDArray[np.int64]:
        fixes = ffi.new("encap_fixes *")
        given = source.pointer if source is not None else ffi.NULL
        if lib.encap_fix(given, batch.pointer, rules, table, begin, end, wanted, target, fixes):
            raise FieldError("an array of this batch was changed while it was copied")
        return np.array([fixes.packets, fixes.fixed, fixes.moved, *fixes.left], np.int64)

    changed, fixed, moved, *left = np.sum(spread(fix, len(packets), threads), axis=0).tolist()
    repaired = packets._derived(
        data=made.data,
        starts=made.starts,
        lengths=made.lengths,
        wire_lengths=made.wire_lengths,
        linktypes=made.linktypes,
        left_out={LEFT[reason]: count for reason, count in enumerate(left) if count},
    )
    return Fixed(repaired, changed, fixed, moved)
