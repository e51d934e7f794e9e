"""What inner packets are: looked at only where something depends on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
import numpy.typing as npt

from encap._lib import lib, pointer

if TYPE_CHECKING:
    from encap.packets import Packets

__all__ = [
    "ETHERNET", "ETHERNET_LEN", "IPV4_LEN", "IPV6_LEAST", "IPV6_LEN", "MPLS", "Inside", "Octets",
]  # fmt: skip

Int64s = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
ETHERNET, ETHERNET_LEN, MPLS = 1, 14, 219
"""Link types, of which the last begins with MPLS labels, and the length of an Ethernet header."""
IPV4, IPV6 = 0x0800, 0x86DD
IPV4_LEN, IPV6_LEN = 20, 40
IPV6_LEAST = 1280
"""Octets that every link of IPv6 takes: RFC 8200 section 5."""
DF = 0x40


class Octets:
    """The octets of some packets of a batch; 0 behind the end of one."""

    __slots__ = ("data", "end")

    def __init__(self, packets: Packets, rows: Int64s) -> None:
        self.data = packets.data
        self.end = packets.starts[rows] + packets.lengths[rows]

    def numbers(self, at: Int64s, octets: int = 2) -> npt.NDArray[np.uint32]:
        """uint32[m]: numbers in network order. at: int64[m], where in the octets, one a packet."""
        spans = np.empty(8 * len(at), np.uint8)
        if len(at):
            lib.encap_copy_spans(
                pointer(self.data, "uint8_t"), self.data.size, pointer(at, "int64_t"),
                pointer(np.clip(self.end - at, 0, octets).astype(np.uint32), "uint32_t"),
                0, len(at), 8, pointer(spans, "uint8_t", writable=True),
            )  # fmt: skip
        return (spans.view(">u8") >> np.uint64(64 - 8 * octets)).astype(np.uint32)


@dataclass(frozen=True, slots=True)
class Inside:
    """Some packets of a batch that begin with Ethernet, or with IP.

    rows: int64[m], which.  ip: int64[m], where in the octets their IP header is.
    ipv4, ipv6: bool[m], which have a whole header of that version there.
    must_stay_whole: bool[m], IPv4 with DF, and IPv6.
    """

    rows: Int64s
    ip: Int64s
    ipv4: Bools
    ipv6: Bools
    must_stay_whole: Bools

    @classmethod
    def of(
        cls, packets: Packets, rows: Int64s, carried: npt.NDArray[np.uint16] | None = None
    ) -> Self:
        """What these rows of a batch are.

        carried: EtherTypes of those that begin with IP, where something else than their first four
        bits says what they are.
        """
        ip, end = packets.starts[rows], packets.starts[rows] + packets.lengths[rows]
        frames = packets.linktypes[rows] == ETHERNET
        ip = ip + ETHERNET_LEN * frames
        data, last = packets.data, max(packets.data.size - 1, 0)
        if not data.size:
            none = np.zeros(len(rows), np.bool_)
            return cls(rows, ip, none, none, none)
        version = data[np.minimum(ip, last)] >> 4
        version[packets.linktypes[rows] == MPLS] = 0
        type_at = np.clip(ip - 2, 0, max(last - 1, 0))
        ethertype = data[type_at].astype(np.uint16) << 8 | data[np.minimum(type_at + 1, last)]
        fourth, sixth = (
            (version == 4, version == 6) if carried is None else (carried == IPV4, carried == IPV6)
        )
        ipv4 = (end - ip >= IPV4_LEN) & np.where(frames, ethertype == IPV4, fourth)
        ipv6 = (end - ip >= IPV6_LEN) & np.where(frames, ethertype == IPV6, sixth)
        df = (data[np.minimum(ip + 6, last)] & DF) != 0
        return cls(rows, ip, ipv4, ipv6, ipv6 | ipv4 & df)

    def chosen(self, where: Bools) -> Inside:
        """Those of them that are meant."""
        return Inside(
            self.rows[where], self.ip[where], self.ipv4[where], self.ipv6[where],
            self.must_stay_whole[where],
        )  # fmt: skip
