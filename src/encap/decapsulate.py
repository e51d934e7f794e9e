"""Taking tunnels off a batch: only starts and lengths change, no octet does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from encap import memory
from encap._lib import Batch, ffi, lib, pointer, spread, take_out
from encap.errors import FieldError
from encap.walk import port_rules

if TYPE_CHECKING:
    from encap.packets import Packets

__all__ = ["TUNNELS", "decap"]

TUNNELS: dict[str, int] = {
    "gre": lib.ENCAP_TUNNEL_GRE,
    "erspan": lib.ENCAP_TUNNEL_ERSPAN,
    "vxlan": lib.ENCAP_TUNNEL_VXLAN,
    "gpe": lib.ENCAP_TUNNEL_GPE,
    "geneve": lib.ENCAP_TUNNEL_GENEVE,
    "ipip": lib.ENCAP_TUNNEL_IPIP,
    "sit": lib.ENCAP_TUNNEL_SIT,
    "ip6tnl": lib.ENCAP_TUNNEL_IP6TNL,
}
"""What `kind` may be: a tunnel header's path name, or how Linux calls IP in IP."""
_EVERY = sum(TUNNELS.values())
_DTYPES = (np.int64, np.uint32, np.uint32, np.uint16, np.int64)


def _wanted(kind: str | None, depth: int | str, others: str) -> Any:
    for name, value in (("kind", kind or ""), ("others", others)):
        if not isinstance(value, str):
            raise TypeError(f"{name} is text, not {type(value).__name__}")
    if not isinstance(depth, int | str):
        raise TypeError(f"depth is a number or 'all', not {type(depth).__name__}")
    if kind is not None and kind not in TUNNELS:
        raise FieldError(
            f"kind is one of {', '.join(TUNNELS)}, not {kind!r}", field="kind", value=kind
        )
    if depth == "all":
        depth = 255
    if not isinstance(depth, int) or not 1 <= depth <= 255:
        raise FieldError(f"depth is a number from 1 on or 'all', not {depth!r}", field="depth")
    if others not in ("drop", "keep"):
        raise FieldError(f"others is 'drop' or 'keep', not {others!r}", field="others")
    tunnels = _EVERY if kind is None else TUNNELS[kind]
    return ffi.new("encap_wanted *", (tunnels, depth, others == "keep"))


def decap(
    packets: Packets,
    kind: str | None = None,
    depth: int | str = 1,
    others: str = "drop",
    *,
    ports: Mapping[int, str | None] | None = None,
    threads: int | None = None,
    out: npt.NDArray[np.uint8] | None = None,
) -> Packets:
    """The inner packets; see `Packets.decap`."""
    rows = len(packets)
    wanted = _wanted(kind, depth, others)
    known = port_rules(packets._ports_with(ports))
    arrays = [memory.empty(rows, dtype) for dtype in _DTYPES]
    octets = int(packets.lengths.sum(dtype=np.int64)) if out is not None else 0
    target = take_out(out, octets, np.uint8, apart=packets.data)
    source = Batch(packets)
    names = ("int64_t", "uint32_t", "uint32_t", "uint16_t", "int64_t")
    keep = [pointer(a, n, writable=True) for a, n in zip(arrays, names, strict=True)]
    room = ffi.NULL if target is None else pointer(target, "uint8_t", writable=True)
    unwrapped = ffi.new("encap_unwrapped *", (*keep, room, octets))

    def unwrap(begin: int, end: int) -> tuple[int, int]:
        # Inner packets are shorter than outer ones, so each range has room where its rows were.
        at = 0 if target is None else int(packets.lengths[:begin].sum(dtype=np.int64))
        count = lib.encap_decap(source.pointer, known, begin, end, wanted, at, unwrapped)
        return begin, begin + count

    parts = spread(unwrap, rows, threads)
    starts, lengths, wire_lengths, linktypes, origin = (_joined(array, parts) for array in arrays)
    return packets._derived(
        None if len(origin) == rows else origin,
        data=packets.data if target is None else target,
        starts=starts,
        lengths=lengths,
        wire_lengths=wire_lengths,
        linktypes=linktypes,
    )


def _joined(array: npt.NDArray[Any], parts: list[tuple[int, int]]) -> npt.NDArray[Any]:
    """What each range has written, together; moved only where a range before it had room left."""
    end = 0
    for begin, stop in parts:
        if begin != end:
            array[end : end + stop - begin] = array[begin:stop]
        end += stop - begin
    return array[:end]
