"""Packets of several link types as packets of one: what a pcap file can hold.

`ethernet` puts a header before raw IP packets, `raw` takes the header and the VLAN
tags of Ethernet frames away. What cannot be changed is left out, with the reason.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from encap import memory
from encap._lib import Batch, lib, pointer
from encap.errors import FieldError
from encap.packets import Packets

ETHERNET = 1
RAW = 101
RAW_IP = (12, RAW, 228, 229)  # LINKTYPE_RAW in two numbers, IPv4 alone, IPv6 alone
HEADER_LEN = 14
TYPE_OFFSET = 12
TAG_LEN = 4
IPV4, IPV6 = 0x0800, 0x86DD
TAGS = (0x8100, 0x88A8, 0x9100, 0x9200)
ETHERTYPE_OF_VERSION = np.zeros(16, np.uint16)
ETHERTYPE_OF_VERSION[4], ETHERTYPE_OF_VERSION[6] = IPV4, IPV6

LeftOut = dict[str, int]
Mask = npt.NDArray[np.bool_]


def mac(value: object, name: str) -> bytes:
    """The six octets of "02:00:00:00:00:01", of six octets, or of a MAC value."""
    octets = b""
    if isinstance(value, str):
        digits = value.replace("-", ":").split(":")
        if all(len(pair) == 2 and pair.isalnum() and pair.isascii() for pair in digits):
            try:
                octets = bytes.fromhex("".join(digits))
            except ValueError:
                octets = b""
    elif isinstance(value, bytes | bytearray | memoryview) or hasattr(value, "__bytes__"):
        octets = bytes(value)
    elif value is not None:
        raise TypeError(f"{name} must be a MAC address, not {type(value).__name__}")
    if len(octets) != 6:
        raise FieldError(f"{name} must be a MAC address, not {value!r}", field=name, value=value)
    return octets


def _gather(packets: Packets, rows: npt.NDArray[np.int64], offset: int) -> npt.NDArray[np.uint8]:
    """One octet of each of the rows, which must have it."""
    found: npt.NDArray[np.uint8] = packets.data[packets.starts[rows] + offset]
    return found


def _keep(
    packets: Packets, good: Mask, reasons: npt.NDArray[np.object_]
) -> tuple[Packets, LeftOut]:
    """The rows that are good, and how many of the others there are for each reason."""
    left_out: LeftOut = {}
    if good.all():
        return packets, left_out
    for reason in reasons[~good]:
        left_out[reason] = left_out.get(reason, 0) + 1
    return packets[good], left_out


def _reasons(packets: Packets, known: tuple[int, ...]) -> npt.NDArray[np.object_]:
    """Why a row that cannot be changed cannot."""
    reasons = np.full(len(packets), "not IP", np.object_)
    other = ~np.isin(packets.linktypes, known)
    reasons[other] = [f"link type {number}" for number in packets.linktypes[other].tolist()]
    return reasons


def to_ethernet(packets: Packets, dst: bytes, src: bytes) -> tuple[Packets, LeftOut]:
    """Raw IP packets behind an Ethernet header; Ethernet frames as they are."""
    raw = np.isin(packets.linktypes, RAW_IP)
    types = np.zeros(len(packets), np.uint16)
    there = np.flatnonzero(raw & (packets.lengths > 0))
    types[there] = ETHERTYPE_OF_VERSION[_gather(packets, there, 0) >> 4]
    good = (packets.linktypes == ETHERNET) | (types != 0)
    packets, left_out = _keep(packets, good, _reasons(packets, (ETHERNET, *RAW_IP)))
    raw, types = raw[good], types[good]
    if not raw.any():
        return packets, left_out
    return _prepend(packets, raw, types[raw], dst + src), left_out


def _prepend(packets: Packets, raw: Mask, types: npt.NDArray[np.uint16], macs: bytes) -> Packets:
    lengths = packets.lengths + np.where(raw, HEADER_LEN, 0).astype(np.uint32)
    ends = np.cumsum(lengths, dtype=np.int64)
    starts = ends - lengths
    data = memory.empty(int(ends[-1]), np.uint8)
    targets = starts + np.where(raw, HEADER_LEN, 0)
    lib.encap_compact(
        Batch(packets).pointer,
        0,
        len(packets),
        pointer(targets, "int64_t"),
        pointer(data, "uint8_t", writable=True),
        data.size,
    )
    headers = np.empty((len(types), HEADER_LEN), np.uint8)
    headers[:, :TYPE_OFFSET] = np.frombuffer(macs, np.uint8)
    headers[:, TYPE_OFFSET:] = types.astype(">u2").view(np.uint8).reshape(-1, 2)
    data[starts[raw][:, None] + np.arange(HEADER_LEN)] = headers
    return packets._derived(
        data=data,
        starts=starts,
        lengths=lengths,
        wire_lengths=packets.wire_lengths + (lengths - packets.lengths),
        linktypes=np.broadcast_to(np.uint16(ETHERNET), (len(packets),)),
    )


def to_raw(packets: Packets) -> tuple[Packets, LeftOut]:
    """IP packets without the Ethernet header before them; raw IP packets as they are."""
    skip = np.zeros(len(packets), np.uint32)
    ethernet = packets.linktypes == ETHERNET
    good = np.isin(packets.linktypes, RAW_IP)
    rows, at = np.flatnonzero(ethernet), TYPE_OFFSET
    while rows.size:
        rows = rows[packets.lengths[rows] >= at + 2]
        types = _gather(packets, rows, at).astype(np.uint16) << 8 | _gather(packets, rows, at + 1)
        ip = rows[(types == IPV4) | (types == IPV6)]
        good[ip] = True
        skip[ip] = at + 2
        rows = rows[np.isin(types, TAGS)]
        at += TAG_LEN
    kept, left_out = _keep(packets, good, _reasons(packets, (ETHERNET, *RAW_IP)))
    skip = skip[good]
    made = kept._derived(
        data=kept.data,
        starts=kept.starts + skip,
        lengths=kept.lengths - skip,
        # A wire length that is less than what was captured stays as it is, or becomes 0.
        wire_lengths=kept.wire_lengths - np.minimum(skip, kept.wire_lengths),
        linktypes=np.broadcast_to(np.uint16(RAW), (len(kept),)),
    )
    return made, left_out
