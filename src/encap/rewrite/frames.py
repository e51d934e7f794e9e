"""Octets put into frames and taken out of them: VLAN tags, trailers.

Wire lengths are corrected by what was added or removed. Lengths inside the packets do not count
such octets, so they stay as they are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from encap import arrays, memory
from encap._lib import Batch, lib, pointer, spread, take_out
from encap.errors import FieldError
from encap.headers.ethernet import MAX_LENGTH
from encap.headers.ipv6 import NO_NEXT_HEADER
from encap.registry import DEFAULT, header_class
from encap.walk import KINDS, Status

if TYPE_CHECKING:
    from encap.layers import Layers
    from encap.packets import Packets

__all__ = ["add_trailer", "pop_vlan", "push_vlan", "strip_trailer"]

TYPE_AT = {"eth": 12, "sll": 14}
"""Where the EtherType stands that a tag is put in front of, by what frames begin with."""
NO_TYPE = "no EtherType to put a tag in front of"
NO_TAG = "no tag to take off"
UNKNOWN_END = "no length says where the packet ends"
CUT = "cut by the capture: its end is not there"
LONGEST = np.iinfo(np.uint32).max
_IPV4, _IPV6 = KINDS.index("ipv4"), KINDS.index("ipv6")
TYPE_IN = {KINDS.index("eth"): 12, KINDS.index("vlan"): 2}
"""Where link headers have their EtherType, which up to 1500 is a length instead."""
LINKS = [KINDS.index(name) for name in ("eth", "vlan", "sll", "sll2", "null")]
BROKEN = (Status.TRUNCATED, Status.MALFORMED, Status.UNSUPPORTED)

Octets = npt.NDArray[np.uint8]
Int64s = npt.NDArray[np.int64]
Uint32s = npt.NDArray[np.uint32]
Bools = npt.NDArray[np.bool_]


class _Cut(NamedTuple):
    """What is done to each frame: `removed` octets go at `at`, `inserted` of `octets` come."""

    at: Int64s
    removed: Int64s
    inserted: Int64s
    octets: Octets
    """uint8[n, w], or uint8[w] for all."""


def _splice(
    packets: Packets,
    cut: _Cut,
    wire_lengths: Int64s,
    left_out: dict[str, int],
    threads: int | None,
    out: Octets | None,
) -> Packets:
    """The frames with other octets, copied."""
    lengths = packets.lengths + cut.inserted - cut.removed
    if len(lengths) and int(max(lengths.max(), wire_lengths.max())) > LONGEST:
        raise FieldError(f"a frame would have more than {LONGEST} octets")
    ends = np.cumsum(lengths, dtype=np.int64)
    starts = ends - lengths
    total = int(ends[-1]) if len(ends) else 0
    given = take_out(out, total, np.uint8, apart=packets.data)
    data = memory.empty(total, np.uint8) if given is None else given
    source, octets = Batch(packets), np.ascontiguousarray(cut.octets)
    numbers = [np.ascontiguousarray(one, np.uint32) for one in cut[:3]]
    at = [pointer(one, "uint32_t") for one in numbers]
    width = octets.shape[-1]
    text = (pointer(octets.reshape(-1), "uint8_t"), width if octets.ndim == 2 else 0, width)
    target = (pointer(starts, "int64_t"), pointer(data, "uint8_t", writable=True), total)

    def copy(begin: int, end: int) -> None:
        if lib.encap_splice(source.pointer, begin, end, *at, *text, *target):
            raise FieldError("an array of this batch was changed while it was copied")

    spread(copy, len(packets), threads)
    return packets._derived(
        data=data,
        starts=starts,
        lengths=lengths.astype(np.uint32),
        wire_lengths=wire_lengths.astype(np.uint32),
        linktypes=packets.linktypes,
        left_out={reason: count for reason, count in left_out.items() if count},
    )


def push_vlan(
    packets: Packets,
    vid: npt.ArrayLike,
    pcp: npt.ArrayLike = 0,
    dei: npt.ArrayLike = 0,
    tpid: npt.ArrayLike = 0x8100,
    *,
    threads: int | None = None,
    out: Octets | None = None,
) -> Packets:
    """Frames with one tag more; see `Packets.push_vlan`."""
    rows = len(packets)
    fields = header_class("vlan").fields
    tag = np.zeros((rows, 2), ">u2")
    tag[:, 0] = _checked(tpid, rows, "tpid", MAX_LENGTH + 1, 0xFFFF)
    for name, value, shift in (("pcp", pcp, 13), ("dei", dei, 12), ("vid", vid, 0)):
        tag[:, 1] |= _checked(value, rows, name, 0, fields[name].maximum) << shift
    at = _type_offset(packets)
    tagged = (at >= 0) & (packets.lengths >= at + 2)
    added = np.where(tagged, 4, 0)
    cut = _Cut(np.where(tagged, at, 0), np.zeros_like(added), added, tag.view(np.uint8))
    left = {NO_TYPE: rows - int(tagged.sum())}
    wires = packets.wire_lengths.astype(np.int64) + added
    return _splice(packets, cut, wires, left, threads, out)


def _checked(value: Any, rows: int, name: str, least: int, most: int) -> npt.NDArray[np.uint16]:
    """One number, or one a packet, within limits."""
    numbers = arrays.column(value, rows, np.uint16, name)
    if numbers.size and not (least <= int(numbers.min()) and int(numbers.max()) <= most):
        raise FieldError(f"{name} is {least} to {most}", layer="vlan", field=name)
    return numbers


def _type_offset(packets: Packets) -> Int64s:
    """Where the EtherType of each frame stands; -1 where there is none to be moved."""
    table = np.full(1 << 16, -1, np.int64)
    for number, name in DEFAULT.table("linktype").items():
        table[number] = TYPE_AT.get(name, -1)
    at: Int64s = table[packets.linktypes]
    return at


def pop_vlan(packets: Packets, *, threads: int | None = None, out: Octets | None = None) -> Packets:
    """Frames without their outermost tag; see `Packets.pop_vlan`."""
    layers = packets.parse(threads=threads)
    tagged = (layers.kinds[:, 1] == KINDS.index("vlan")) & (_type_offset(packets) >= 0)
    # The type in front goes with the tag; the one behind takes its place.
    at = np.where(tagged, layers.offsets[:, 1].astype(np.int64) - 2, 0)
    gone = np.where(tagged, 4, 0)
    cut = _Cut(at, gone, np.zeros_like(gone), np.zeros(1, np.uint8))
    wires = np.maximum(packets.wire_lengths, packets.lengths) - gone
    left = {NO_TAG: len(packets) - int(tagged.sum())}
    return _splice(packets, cut, wires, left, threads, out)


def strip_trailer(packets: Packets, *, threads: int | None = None) -> Packets:
    """Frames that end where their packets do; see `Packets.strip_trailer`."""
    end = _packet_ends(packets.parse(threads=threads))
    known = end >= 0
    left = len(packets) - int(known.sum())
    return packets._derived(
        data=packets.data,
        starts=packets.starts,
        lengths=_cut_to(packets.lengths, end),
        wire_lengths=_cut_to(packets.wire_lengths, end),
        linktypes=packets.linktypes,
        left_out={UNKNOWN_END: left} if left else {},
    )


def _cut_to(lengths: Uint32s, end: Int64s) -> Uint32s:
    return np.where(end >= 0, np.minimum(lengths, end), lengths).astype(np.uint32)


def _packet_ends(layers: Layers) -> Int64s:
    """Where the packet in each frame ends, by the outermost length there is; -1: none says it."""
    kinds, rows, packets = layers.kinds, np.arange(len(layers)), layers.packets
    end = np.full(len(layers), -1, np.int64)
    # The last of the link headers has a type, or a length in its place.
    linked = np.logical_and.accumulate(np.isin(kinds, LINKS), axis=1).sum(1)
    for kind, at in TYPE_IN.items():
        mine = np.flatnonzero((linked > 0) & (kinds[rows, np.maximum(linked, 1) - 1] == kind))
        start = layers.offsets[mine, linked[mine] - 1].astype(np.int64)
        length = _be16(packets, mine, start + at)
        end[mine] = np.where(length <= MAX_LENGTH, start + at + 2 + length, -1)
    says = np.isin(kinds, (_IPV4, _IPV6))
    slot = says.argmax(1)
    broken = (layers.status_layer == slot) & np.isin(layers.status, BROKEN)
    found = says.any(1) & ~broken & (end < 0)
    for kind, at, base in ((_IPV4, 2, 0), (_IPV6, 4, 40)):
        mine = np.flatnonzero(found & (kinds[rows, slot] == kind))
        start = layers.offsets[mine, slot[mine]].astype(np.int64)
        length = _be16(packets, mine, start + at)
        valid = length > 0
        if kind == _IPV6:  # a length of 0 is one where nothing follows
            valid |= _octet(packets, mine, start + 6) == NO_NEXT_HEADER
        end[mine] = np.where(valid, start + base + length, -1)
    return end


def _octet(packets: Packets, rows: Int64s, at: Int64s) -> Int64s:
    found: Int64s = packets.data[packets.starts[rows] + at].astype(np.int64)
    return found


def _be16(packets: Packets, rows: Int64s, at: Int64s) -> Int64s:
    return _octet(packets, rows, at) << 8 | _octet(packets, rows, at + 1)


def add_trailer(
    packets: Packets,
    octets: bytes | None = None,
    *,
    pad_to: int = 60,
    threads: int | None = None,
    out: Octets | None = None,
) -> Packets:
    """Frames with octets behind them; see `Packets.add_trailer`."""
    lengths = packets.lengths.astype(np.int64)
    wires = np.maximum(packets.wire_lengths, lengths)
    if octets is None:
        if not isinstance(pad_to, int | np.integer):
            raise TypeError(f"pad_to is a number of octets, not {type(pad_to).__name__}")
        if not 0 <= pad_to <= MAX_LENGTH:
            raise FieldError(f"pad_to is 0 to {MAX_LENGTH}", field="pad_to", value=pad_to)
        added = np.maximum(pad_to - wires, 0)
        trailer = np.zeros(max(1, pad_to), np.uint8)
    else:
        trailer = arrays.octets(octets)
        added = np.full(len(packets), len(trailer), np.int64)
        trailer = trailer if len(trailer) else np.zeros(1, np.uint8)
    whole = wires == lengths
    cut = _Cut(lengths, np.zeros_like(added), np.where(whole, added, 0), trailer)
    left = {CUT: int((~whole & (added > 0)).sum())}
    return _splice(packets, cut, wires + added, left, threads, out)
