"""Packets on their way through a tunnel's receiver: each one refused, or still going."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from encap._lib import lib
from encap.layers import Layers, parse
from encap.tunnels.reasons import Reason
from encap.tunnels.received import Family, Receiver, receive
from encap.tunnels.sums import numbers_at, octet_sums
from encap.walk import Kind, Status, port_rules

if TYPE_CHECKING:
    from encap.packets import Packets

__all__ = ["IN_UDP", "Array", "Bools", "Family", "Int64s", "Receiver", "Receiving"]

Array = npt.NDArray[Any]
Bools = npt.NDArray[np.bool_]
Int64s = npt.NDArray[np.int64]

IN_UDP = 0x80
"""A bit of `flags` beside those of the core: the tunnel came in UDP."""


class _Columns(dict[str, Array]):
    """Columns by name; those that were not asked for at first are gathered when they are."""

    __slots__ = ("packets", "ports")

    def __init__(
        self, packets: Packets, ports: Mapping[int, str | None], known: dict[str, Array]
    ) -> None:
        super().__init__(known)
        self.packets, self.ports = packets, ports

    def __missing__(self, name: str) -> Array:
        self |= self.packets.columns(name, ports=self.ports)
        return self[name]


class Receiving:
    """A batch at a tunnel's receiver. Offsets are octets from the start of a frame, int64[n].

    reasons: uint8[n], 0 while a packet is still going; what the host refuses is not from the start.
    columns: fields by name, of the outer headers where they are there. Those that are in `fields`
        cost no walk of their own.
    ip, upper: where the outer IP header begins, and what it carries.
    protocol: uint8[n], what IP carries, behind extension headers.  tos: uint8[n], outside.
    end, said: where the outermost lengths end that were looked at: in the octets that are here,
        and as they say. That of UDP is one where the host is told so.
    flags: uint8[n], what else the core has found; see `ENCAP_BROKEN_ABOVE`.
    peeked: uint64[n] each, numbers that the tunnel wanted of all packets; see `Receiver.peeks`.
    inner: where the inner packet begins; linktypes: uint16[n], what with.
    carried: uint16[n], EtherTypes by which inner packets are taken for IPv4 or IPv6; None where
        they themselves say it.
    header: what a device has read of its own header, for what it looks at later.
    replies: what the endpoint says about packets that it refused.
    """

    __slots__ = (
        "_layers", "carried", "columns", "end", "family", "flags", "header", "inner", "ip",
        "linktypes", "packets", "peeked", "ports", "protocol", "reasons", "replies", "said", "tos",
        "upper",
    )  # fmt: skip

    def __init__(
        self,
        packets: Packets,
        host: Receiver,
        fields: Iterable[str],
        ports: Mapping[int, str | None],
    ) -> None:
        self.packets, self.family, self.ports = packets, host.family, ports
        rules = port_rules(packets._ports_with(ports))
        found, columns = receive(packets, host, tuple(fields), rules)
        self.ip, self.upper, self.end, self.said = found[:4]
        self.protocol, self.tos, self.reasons, self.flags, self.peeked = found[4:]
        self.columns: Mapping[str, Array] = _Columns(packets, ports, columns)
        self.inner = self.upper
        self.carried: Array | None = None
        self.header: Any = None
        self.replies: list[Packets] = []
        self.linktypes: Array = np.broadcast_to(np.uint16(101), (len(packets),))
        self._layers: Layers | None = None

    def __len__(self) -> int:
        return len(self.reasons)

    @property
    def layers(self) -> Layers:
        """What a walk finds, for those who want to know more: it costs one when first asked."""
        if self._layers is None:
            self._layers = parse(self.packets, ports=self.ports)
        return self._layers

    def refuse(self, where: Bools, reason: Reason) -> None:
        """Packets that are still going go no further."""
        if where.any():
            self.reasons[where & (self.reasons == 0)] = reason

    def going(self) -> Bools:
        """bool[n]: packets that were not refused."""
        still: Bools = self.reasons == 0
        return still

    def rows(self, where: Bools | bool = True) -> Int64s:
        """Rows of packets that are still going, of those that are meant."""
        return np.flatnonzero(where & self.going())

    def taken(self, array: Array, rows: Int64s) -> Array:
        """Some rows of an array; itself where they are all, in order as `rows` gives them."""
        return array if len(rows) == len(self) else array[rows]

    def limit(self, said: Int64s) -> None:
        """Packets end where an outer length says, if it is in front of the end so far."""
        self.said = np.minimum(self.said, said)
        self.end = np.minimum(self.end, self.said)

    def enter_udp(self, where: Bools) -> None:
        """Packets in which the tunnel stands in UDP: what is broken there is told from a walk."""
        layers = self.layers
        udp = layers.slot("udp").astype(np.int64)
        slots = udp + 1
        kinds = layers.kinds[np.arange(len(self)), np.clip(slots, 0, 15)]
        slots = slots + (kinds == Kind["gue"].value)
        stopped = (layers.status != Status.OK) & (layers.status != Status.FRAGMENT)
        stopped &= (udp >= 0) & (layers.status_layer == slots)
        whole = self.flags & np.uint8(0xFF ^ lib.ENCAP_BROKEN_ABOVE)
        broken = np.where(stopped, np.uint8(lib.ENCAP_BROKEN_ABOVE), np.uint8(0))
        self.flags = np.where(where, whole | broken | np.uint8(IN_UDP), self.flags)

    def broken_above(self) -> Bools:
        """bool[n]: where the header that IP carries could not be read whole."""
        found: Bools = self.flags & lib.ENCAP_BROKEN_ABOVE != 0
        return found

    def sums(self, rows: Int64s, begin: Int64s, end: Int64s) -> npt.NDArray[np.uint32]:
        """uint32[m]: ones' complement sums of octets of some rows, folded to 16 bits.

        begin, end: of those rows. What lies outside of a row's octets is not summed.
        """
        chosen = self.packets
        lengths = np.clip(end - begin, 0, None)
        spans = chosen._make(
            chosen.data,
            np.ascontiguousarray(chosen.starts[rows] + begin),
            lengths.astype(np.uint32),
            wire_lengths=lengths.astype(np.uint32),
            times=chosen.times[rows],
            linktypes=np.broadcast_to(np.uint16(1), (len(rows),)),
        )
        return octet_sums(spans)

    def numbers(self, rows: Int64s, offsets: Int64s, octets: int = 2) -> Array:
        """uint32[m], or for more than 4 octets uint64[m]: numbers in network order of some rows.

        offsets: of those rows; the caller knows that they lie in front of the row's end.
        """
        value = numbers_at(self.packets.data, self.packets.starts[rows] + offsets, octets)
        return value if octets > 4 else value.astype(np.uint32)
