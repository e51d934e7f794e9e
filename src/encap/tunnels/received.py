"""What a host finds in packets before a tunnel sees them: one pass of the core over a batch.

The order of the checks is the kernel's, so that a packet with several faults meets the same
reason.  Source: Linux, ip_rcv_core, ip6_rcv_core, udp_rcv; RFC 1122 section 3.2.1, RFC 768.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from encap import memory
from encap._lib import Batch, ffi, lib, pointer, spread
from encap.addresses import MAC
from encap.columns import Column, column
from encap.gather import give_back, results, specs_of, take_scratch
from encap.tunnels.options import IPAddress
from encap.tunnels.reasons import Reason

if TYPE_CHECKING:
    from encap.packets import Packets

__all__ = ["Family", "Received", "Receiver", "receive"]

Family = Literal["ipv4", "ipv6"]
Array = npt.NDArray[Any]

_FAMILIES = {"ipv4": lib.ENCAP_IPV4, "ipv6": lib.ENCAP_IPV6}
_REASONS = {
    lib.ENCAP_REFUSED_NO_IP: Reason.OTHER_PROTOCOL,
    lib.ENCAP_REFUSED_OTHER_HOST: Reason.OTHER_HOST,
    lib.ENCAP_REFUSED_IP_HEADER: Reason.IP_HEADER,
    lib.ENCAP_REFUSED_IP_CHECKSUM: Reason.IP_CHECKSUM,
    lib.ENCAP_REFUSED_IP_LENGTH: Reason.IP_TRUNCATED,
    lib.ENCAP_REFUSED_NOT_OURS: Reason.NOT_OURS,
    lib.ENCAP_REFUSED_FRAGMENT: Reason.HELD,
}
_ALIGNED = 64  # octets: an array starts on a cache line
_DTYPES = (*(np.int64,) * 4, *(np.uint8,) * 4)


class Receiver(NamedTuple):
    """The host that receives.

    mac: frames for other unicast addresses are not its own; None takes all.
    addresses: IP packets for others are not its own; where there are none, all are.
    udp: UDP headers are checked, and end packets.
    peeks: numbers that are wanted, too, two at the most: how many octets behind the beginning of
        what IP carries each stands, and how many it has, 8 at the most.
    """

    family: Family
    mac: MAC | None
    addresses: tuple[IPAddress, ...]
    udp: bool
    peeks: tuple[tuple[int, int], ...] = ()


class Received(NamedTuple):
    """What was found; offsets are octets from the start of each frame.

    ip, upper: int64[n], where the outer IP header is and what it carries.
    end, said: int64[n], where the lengths end, in what is here and as they say.
    protocol, tos: uint8[n], of the outer IP header; the protocol behind extension headers.
    reasons: uint8[n], the first check of the host that each packet does not pass; 0 where none.
    flags: uint8[n], `ENCAP_BROKEN_ABOVE` and the like.
    peeked: uint64[n] each, the numbers that were wanted; 0 where one is not all there.
    """

    ip: npt.NDArray[np.int64]
    upper: npt.NDArray[np.int64]
    end: npt.NDArray[np.int64]
    said: npt.NDArray[np.int64]
    protocol: npt.NDArray[np.uint8]
    tos: npt.NDArray[np.uint8]
    reasons: npt.NDArray[np.uint8]
    flags: npt.NDArray[np.uint8]
    peeked: tuple[npt.NDArray[np.uint64], ...]


@lru_cache(maxsize=64)
def _native(host: Receiver) -> tuple[Any, Any]:
    """The host as the core's `encap_receiver`, and what has to be kept alive with it."""
    version = 4 if host.family == "ipv4" else 6
    ours = [one.packed for one in host.addresses if one.version == version]
    addresses = ffi.new("uint8_t[]", b"".join(ours))
    made = ffi.new("encap_receiver *")
    made.addresses, made.address_count = addresses, len(ours)
    made.any_address = not host.addresses
    for number, (at, width) in enumerate(host.peeks):
        made.peek_at[number], made.peek_width[number] = at, width
    made.family, made.udp = _FAMILIES[host.family], host.udp
    if host.mac is not None:
        made.mac, made.has_mac = bytes(host.mac), 1
    for number, reason in _REASONS.items():
        made.reasons[number] = reason
    return made, addresses


@lru_cache(maxsize=64)
def _wanted(names: tuple[str, ...]) -> tuple[tuple[Column, ...], Any]:
    """Columns by name, and side by side as the core takes them."""
    wanted = tuple(column(name) for name in names)
    return wanted, specs_of(wanted)


def receive(
    packets: Packets, host: Receiver, names: Sequence[str], rules: Any
) -> tuple[Received, dict[str, Array]]:
    """What the host finds in packets, and columns of theirs, in one pass over memory.

    names: of fields.  rules: which header follows which, from `port_rules`.
    """
    wanted, specs = _wanted(tuple(names))
    rows = len(packets)
    columns, targets = results(wanted, rows, None)
    made, found = _arrays(rows, len(host.peeks))
    (known, _), source, outs = _native(host), Batch(packets), ffi.new("uint8_t *[]", targets)

    def fill(begin: int, end: int) -> None:
        scratch = take_scratch()
        scratch.receive(source, rules, begin, end, specs, outs, known, found)
        give_back(scratch)

    spread(fill, rows)
    return made, columns


def _arrays(rows: int, peeks: int) -> tuple[Received, Any]:
    """Room for what is found, all in one piece, and where it is for the core."""
    dtypes = (*_DTYPES, *(np.uint64,) * peeks)
    sizes = [-(-rows * np.dtype(dtype).itemsize // _ALIGNED) * _ALIGNED for dtype in dtypes]
    block = memory.empty(sum(sizes), np.uint8)
    base, at = pointer(block, "uint8_t", writable=True), 0
    arrays, places = [], []
    for size, dtype in zip(sizes, dtypes, strict=True):
        arrays.append(block[at : at + size].view(dtype)[:rows])
        places.append(ffi.cast("void *", base + at) if rows else ffi.NULL)
        at += size
    fixed = len(_DTYPES)
    found = ffi.new("encap_received *", (*places[:fixed], places[fixed:]))
    ip, upper, end, said, protocol, tos, reasons, flags = arrays[:fixed]
    peeked = tuple(arrays[fixed:])
    return Received(ip, upper, end, said, protocol, tos, reasons, flags, peeked), found
