"""What an endpoint says back: ICMP errors that quote the packet in question.

They are made as the kernel makes them: IPv4 quotes up to 576 octets of the whole message, IPv6 up
to 1,280.  Source: RFC 792, RFC 1812 section 4.3.2.3, RFC 4443 sections 2.4, 3.1 and 3.2.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from ipaddress import IPv4Address
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from encap._lib import Batch, lib, pointer
from encap.fields import Header
from encap.headers.ethernet import Ethernet
from encap.headers.icmp import FRAGMENTATION_NEEDED, UNREACHABLE
from encap.headers.ipv4 import IPv4
from encap.headers.ipv6 import IPv6
from encap.packet import Packet
from encap.packets import Packets
from encap.tunnels.sums import fold, octet_sums, words

if TYPE_CHECKING:
    from encap.tunnels.inside import Inside
    from encap.tunnels.options import IPAddress
    from encap.tunnels.receiving import Receiving
    from encap.tunnels.tunnel import Tunnel

__all__ = [
    "ETHERNET_LEN", "HOST", "LEAST_MTU", "PORT", "TOO_BIG", "UNKNOWN_OPTION", "WRONG_FIELD",
    "Error", "answers", "errors", "no_replies", "too_big", "unreachable",
]  # fmt: skip

Int64s: TypeAlias = npt.NDArray[np.int64]
DUMMY = IPv4Address("192.0.0.8")
"""The source of an ICMP error of a host that has no IPv4 address.  Source: RFC 7600."""
ETHERNET, ETHERNET_LEN = 1, 14
"""The link type of frames, and the length of their header."""
CONTROL = 0xC0
"""DSCP of what belongs to the network itself: RFC 1812 section 5.3.2.3 (precedence 6)."""
TOS_BITS = 0x1E
"""What an answer keeps of the packet's type of service."""
_MOST = {4: 576, 6: 1280}
LEAST_MTU = {4: 68, 6: 1280}
"""Octets that every link takes, by IP version."""


class Error(NamedTuple):
    """An ICMP error: type and code for IPv4 and for IPv6."""

    ipv4: tuple[int, int]
    ipv6: tuple[int, int]


HOST = Error((UNREACHABLE, 1), (1, 3))
"""The address cannot be reached."""
PORT = Error((UNREACHABLE, 3), (1, 4))
"""Nothing listens there."""
WRONG_FIELD = Error((12, 0), (4, 0))
"""A header has something wrong in it; the second word says where."""
UNKNOWN_OPTION = Error((12, 0), (4, 2))
"""An option that must not be ignored is not known; the second word says where."""
PROTOCOL = Error((UNREACHABLE, 2), (4, 1))
"""Nobody takes what it carries."""
TOO_BIG = Error((UNREACHABLE, FRAGMENTATION_NEEDED), (2, 0))
"""It does not fit, and must not be fragmented."""


@lru_cache
def no_replies() -> Packets:
    """An empty batch."""
    return Packets.from_frames([])


def too_big(tunnel: Tunnel, packets: Packets, inside: Inside, mtu: int | Int64s) -> Packets:
    """Answers to inner packets of which `mtu` octets would have fit; Ethernet for frames.

    mtu: one for all, or int64[n], one for each packet of the batch.
    What no link of its IP version may have is not said: IPv6 senders go no lower than 1,280 octets,
    and Linux does not tell them to; IPv4 ones no lower than 68.  Source: RFC 791 section 3.2, RFC
    8200 section 5; Linux, tnl_update_pmtu.
    """
    room = np.broadcast_to(np.asarray(mtu, np.int64), (len(packets),))
    room = room - (ETHERNET_LEN if tunnel.frames else 0)
    least = np.where(inside.ipv6, LEAST_MTU[6], LEAST_MTU[4])
    return answers(tunnel, packets, inside.chosen(room[inside.rows] >= least), TOO_BIG, room)


def answers(
    tunnel: Tunnel, packets: Packets, inside: Inside, error: Error, rest: int | Int64s = 0
) -> Packets:
    """What the device says to the senders of inner packets, IPv4 and IPv6.

    rest: the second word of the ICMP header, one for all, or int64[n], one for each packet of the
        batch.
    """
    ours = (*tunnel.addresses, *((tunnel.local,) if tunnel.local is not None else ()))
    rest = np.broadcast_to(np.asarray(rest, np.int64), (len(packets),))
    replies = []
    for version, where in ((4, inside.ipv4), (6, inside.ipv6)):
        chosen = inside.chosen(where)
        source = next((one for one in ours if one.version == version), None)
        if version == 4:
            source = source or DUMMY
        if len(chosen.rows) and source is not None:
            told = rest[chosen.rows]
            replies.append(errors(packets, chosen.rows, chosen.ip, error, source, rest=told))
    return Packets.concat(replies)


def unreachable(
    going: Receiving,
    rows: npt.NDArray[np.int64],
    error: Error = PORT,
    pulled: npt.NDArray[np.int64] | None = None,
) -> Packets:
    """Answers to what nobody here listens to, by port or by tunnel; none to what went to many.

    rows: int64[m] of the batch.
    pulled: int64[m], octets that Linux has taken off the IPv4 length before it quotes the header.
    Source: RFC 1122 section 3.2.2, RFC 4443 section 2.4; Linux, icmp_send and icmp6_send.
    """
    packets = going.packets
    frames = packets.linktypes[rows] == 1
    many = frames & (packets.data[packets.starts[rows]] & 1 != 0)
    source = going.columns[f"{going.family}.src"][rows]
    target = going.columns[f"{going.family}.dst"][rows]
    columns = {}
    # What the link has put behind the IP packet is not quoted, what IP has behind UDP is.
    if going.family == "ipv4":
        length = going.columns["ipv4.total_len"][rows].astype(np.int64)
        many |= (target >= 0xE0000000) | (source >= 0xE0000000) | (source == 0)
        columns["ipv4.tos"] = CONTROL | going.tos[rows] & TOS_BITS
    else:
        length = going.columns["ipv6.payload_len"][rows].astype(np.int64) + 40
        many |= (target[:, 0] == 0xFF) | (source[:, 0] == 0xFF) | ~source.any(1)
    rows, length = rows[~many], length[~many]
    ip, end = packets.starts[rows] + going.ip[rows], packets.starts[rows] + packets.lengths[rows]
    end = np.where(length, np.minimum(end, ip + length), end)
    if pulled is not None:
        packets, rows, ip, end = _pulled(packets, rows, ip, end, length - pulled[~many])
    return errors(
        packets, rows, ip, error, None,
        version=4 if going.family == "ipv4" else 6, end=end,
        columns={name: value[~many] for name, value in columns.items()},
    )  # fmt: skip


def _pulled(
    packets: Packets,
    rows: npt.NDArray[np.int64],
    ip: npt.NDArray[np.int64],
    end: npt.NDArray[np.int64],
    length: npt.NDArray[np.int64],
) -> tuple[Packets, npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """These packets in memory of their own, with another IPv4 length, whatever the checksum."""
    octets = np.empty(int(packets.lengths[rows].sum(dtype=np.int64)), np.uint8)
    made = packets[rows].compact(out=octets)
    moved = made.starts - packets.starts[rows]
    at = ip + moved + 2
    octets[at], octets[at + 1] = length >> 8 & 0xFF, length & 0xFF
    return made, np.arange(len(rows), dtype=np.int64), ip + moved, end + moved


def errors(
    packets: Packets,
    rows: Int64s,
    ip: Int64s,
    error: Error,
    source: IPAddress | None,
    *,
    version: int = 4,
    rest: int | Int64s = 0,
    end: Int64s | None = None,
    columns: Mapping[str, Any] | None = None,
) -> Packets:
    """One answer for each of some packets, back to where it came from.

    rows: int64[m] of `packets`.  ip: int64[m], where in the octets their IP headers are, of the
    version of `source`.  source: None where each answer comes from where the packet was for, of
    that `version`.  rest: the second word of the ICMP header, one for all or for each.
    end: int64[m], where in the octets the packets end, if not with their frames.
    columns: further fields of the answers, one for each packet.
    Frames are answered by frames, with the MAC addresses exchanged. What must not be answered is
    not: see `answerable`.
    """
    version = version if source is None else source.version
    fourth, size = version == 4, 4 if version == 4 else 16
    if end is None:
        end = packets.starts[rows] + packets.lengths[rows]
    due = np.flatnonzero(answerable(packets, ip, end, fourth))
    rest = np.broadcast_to(np.asarray(rest, np.int64), (len(rows),))[due]
    rows, ip, end = rows[due], ip[due], end[due]
    quoted = np.minimum(end - ip, _MOST[version] - (28 if fourth else 48))
    octets, at = packets.data, ip + (12 if fourth else 8)
    ends = octets[at[:, None] + np.arange(2 * size)]
    sender, target = ends[:, :size], ends[:, size:]
    if source is not None:
        target = np.broadcast_to(np.frombuffer(source.packed, np.uint8), target.shape)
    heads = np.zeros((len(rows), 8), np.uint8)
    heads[:, :2] = error.ipv4 if fourth else error.ipv6
    heads[:, 4:] = rest.astype(">u4").view(np.uint8).reshape(-1, 4)
    messages = _messages(packets, rows, ip, quoted, heads)
    if fourth:
        network: Header = IPv4(src=0, dst=0, tos=CONTROL, protocol=1)
        initial = np.zeros(len(rows), np.uint32)
    else:
        network = IPv6(src="::", dst="::", next_header=58)
        initial = words(sender) + words(target) + 58 + messages.lengths
    _write_checksums(messages, initial)
    fields = {f"ipv{version}.dst": sender, f"ipv{version}.src": np.ascontiguousarray(target)}
    fields |= {name: value[due] for name, value in (columns or {}).items()}
    return _sent(messages, network, fields, packets, rows)


def _sent(
    messages: Packets, network: Header, fields: dict[str, Any], packets: Packets, rows: Int64s
) -> Packets:
    """ICMP messages behind IP headers, and behind that of Ethernet where they answer frames."""
    frames = packets.linktypes[rows] == ETHERNET
    kinds = [np.flatnonzero(kind) for kind in (frames, ~frames)]
    parts = []
    for chosen in filter(len, kinds):
        link: list[Header] = []
        columns = {name: value[chosen] for name, value in fields.items()}
        if frames[chosen[0]]:
            link.append(Ethernet(src=0, dst=0))
            macs = packets.data[packets.starts[rows[chosen]][:, None] + np.arange(12)]
            columns |= {"eth.dst": macs[:, 6:], "eth.src": macs[:, :6]}
        parts.append(messages[chosen].encap(Packet(*link, network), columns))
    if len(parts) < len(kinds):
        return parts[0] if parts else no_replies()
    return Packets.concat(parts)[np.argsort(np.concatenate(kinds))]


def answerable(packets: Packets, ip: Int64s, end: Int64s, fourth: bool) -> npt.NDArray[np.bool_]:
    """bool[m]: packets that an ICMP error may answer, by where in the octets they begin and end.

    Not: ICMP errors themselves, later fragments, and what comes from no single host.
    Source: RFC 1122 section 3.2.2, RFC 4443 section 2.4 (e).
    """
    octets, last = packets.data, max(packets.data.size - 1, 0)
    if fourth:
        upper = ip + (octets[ip] & 15).astype(np.int64) * 4
        first, carried, mine = octets[ip + 12], octets[ip + 9], 1
        host = (first != 0) & (first != 127) & (first < 224)
        host &= (octets[ip + 6] & 0x1F == 0) & (octets[ip + 7] == 0)
        kind = octets[np.minimum(upper, last)]
        error = np.isin(kind, (3, 4, 5, 11, 12))
    else:
        upper = ip + 40
        source = octets[(ip + 8)[:, None] + np.arange(16)]
        carried, mine = octets[ip + 6], 58
        host = (source[:, 0] != 0xFF) & source.any(1)
        error = octets[np.minimum(upper, last)] < 128
    found: npt.NDArray[np.bool_] = host & ~((carried == mine) & ((upper >= end) | error))
    return found


def _messages(
    packets: Packets,
    rows: Int64s,
    starts: Int64s,
    lengths: Int64s,
    heads: npt.NDArray[np.uint8],
) -> Packets:
    """Heads, and behind each what is quoted of its packet, as raw octets of IP's payload.

    heads: uint8[m, 8].
    """
    width = heads.shape[1]
    total = lengths + width
    at = np.cumsum(total) - total
    data = np.empty(int(total.sum()), np.uint8)
    spans = _spans(packets, rows, packets.data, starts, lengths)
    if len(rows):
        source, room = Batch(spans), pointer(data, "uint8_t", writable=True)
        targets = pointer(at + width, "int64_t")
        if lib.encap_compact(source.pointer, 0, len(rows), targets, room, data.size):
            raise AssertionError("what is quoted lies inside of its packet")
        data[at[:, None] + np.arange(width)] = heads
    return _spans(packets, rows, data, at, total)


def _spans(
    packets: Packets,
    rows: Int64s,
    data: npt.NDArray[np.uint8],
    starts: Int64s,
    lengths: Int64s,
) -> Packets:
    """Octets as raw packets, with the times of the rows that they come from."""
    sizes = lengths.astype(np.uint32)
    return packets._make(
        data, starts, sizes, wire_lengths=sizes, times=packets.times[rows],
        linktypes=np.broadcast_to(np.uint16(101), (len(rows),)),
    )  # fmt: skip


def _write_checksums(messages: Packets, initial: npt.NDArray[np.uint32]) -> None:
    """Writes the ICMP checksums, which are 0 so far. initial: uint32[n], pseudo header sums."""
    sums = octet_sums(messages) + initial
    checksums = 0xFFFF - fold(sums)
    data = messages.data
    at = messages.starts + 2
    data[at], data[at + 1] = checksums >> 8, checksums & 0xFF
