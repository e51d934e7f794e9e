"""Which header is meant, which packets are fragments there, and words for what fails."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from encap._lib import Batch, ffi, lib, pointer
from encap.errors import FieldError
from encap.names import parse_name
from encap.walk import Status

if TYPE_CHECKING:
    from encap.layers import Layers

__all__ = ["DUPLICATES", "LOST", "OVERLAPS", "UNSPLIT", "Found", "find", "ip_header"]

OVERLAPS: dict[str, int] = {
    "linux": lib.ENCAP_OVERLAP_LINUX,
    "rfc": lib.ENCAP_OVERLAP_RFC,
    "first": lib.ENCAP_OVERLAP_FIRST,
    "last": lib.ENCAP_OVERLAP_LAST,
}
"""What `overlap` may be."""
DUPLICATES = "duplicates of fragments"
"""Why `left_out` counts fragments that lack nothing: their octets came before."""
LOST: dict[int, str] = {
    lib.ENCAP_LOST_CUT: "fragments with octets missing",
    lib.ENCAP_LOST_MALFORMED: "malformed fragments",
    lib.ENCAP_LOST_LONG: "fragments of more than 65,535 octets together",
    lib.ENCAP_LOST_CHAIN: "first fragments without all headers",
    lib.ENCAP_LOST_DUPLICATE: DUPLICATES,
    lib.ENCAP_LOST_OVERLAP: "overlapping fragments",
    lib.ENCAP_LOST_END: "fragments that disagree on the length",
    lib.ENCAP_LOST_ECN: "fragments that disagree on ECN",
    lib.ENCAP_LOST_AROUND: "fragments too long together for a header around them",
    lib.ENCAP_LOST_TIME: "fragments not completed in time",
    lib.ENCAP_LOST_ROOM: "fragments there was no room to keep",
    lib.ENCAP_LOST_INCOMPLETE: "fragments of incomplete datagrams",
}
"""Why a fragment is not part of a datagram, as `left_out` has it."""
UNSPLIT: dict[int, str] = {
    lib.ENCAP_UNSPLIT_DF: "too long, and DF is set",
    lib.ENCAP_UNSPLIT_CUT: "too long, and cut by the capture",
    lib.ENCAP_UNSPLIT_ROOM: "too long, and not 8 octets fit behind the headers",
    lib.ENCAP_UNSPLIT_LONG: "more than 65,535 octets",
    lib.ENCAP_UNSPLIT_TWICE: "too long, and an IPv6 fragment already",
    lib.ENCAP_UNSPLIT_CHAIN: "headers longer than the first fragment",
}
"""Why a packet is not split, as `left_out` has it."""

_SAID = {"outer": "ip[0]", "inner": "ip[-1]"}
_NONE = 255

Int64s = npt.NDArray[np.int64]
Uint8s = npt.NDArray[np.uint8]


def ip_header(layer: str) -> str:
    """The name of the IP header that `layer` means. FieldError where it means another one."""
    if not isinstance(layer, str):
        raise TypeError(f"layer is text, not {type(layer).__name__}")
    name = parse_name(_SAID.get(layer, layer))
    if name.protocol not in ("ip", "ipv4", "ipv6") or name.field is not None:
        raise FieldError(
            f"layer is 'outer', 'inner' or an IP header (ipv4[1], inner.ip), not {layer!r}",
            field="layer",
            value=layer,
        )
    return name.text


class Found:
    """Fragments: their rows, and in which slots of their layers stands what says so.

    rows: int64[m].  own: uint8[m], the header with the offset.  slots: uint8[m], its IP header.
    """

    __slots__ = ("own", "rows", "slots")

    def __init__(self, rows: Int64s, own: Uint8s, slots: Uint8s) -> None:
        self.rows, self.own, self.slots = rows, own, slots


def find(layers: Layers, header: str) -> Found:
    """The packets in which the IP header called `header` is that of a fragment."""
    # A walk that meets a fragment never ends well: it says so, or what stopped it behind.
    rows = np.flatnonzero(layers.status != Status.OK)
    own, slots = np.empty(len(rows), np.uint8), np.empty(len(rows), np.uint8)
    batch = Batch(layers.packets)
    records = ffi.from_buffer("encap_layers[]", layers._records) if len(layers) else ffi.NULL
    if lib.encap_fragments_find(
        batch.pointer,
        records,
        pointer(rows, "int64_t"),
        len(rows),
        pointer(own, "uint8_t", writable=True),
        pointer(slots, "uint8_t", writable=True),
    ):
        raise FieldError("an array of this batch was changed while it was read")
    wanted = layers.slot(header)[rows] if len(rows) else rows
    here = np.flatnonzero((own != _NONE) & (slots == wanted))
    return Found(rows[here], own[here], slots[here])
