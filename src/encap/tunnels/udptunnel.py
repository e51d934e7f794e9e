"""What tunnels over UDP share: VXLAN and Geneve."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from encap.errors import TunnelError
from encap.fields import Header
from encap.flow import SourcePorts
from encap.headers.ipv4 import IPv4
from encap.headers.ipv6 import IPv6
from encap.headers.udp import UDP
from encap.tunnels.departing import Wrapping
from encap.tunnels.frames import TAG_LEN, TAGS, WHOLE
from encap.tunnels.inside import ETHERNET, ETHERNET_LEN, Inside, Octets
from encap.tunnels.iptunnel import TOS, TTL, number_or, outer_options
from encap.tunnels.metadata import metadata
from encap.tunnels.options import NumberOption, frozen
from encap.tunnels.outer import check_udp
from encap.tunnels.pathmtu import bridge_answerable, bridge_answers
from encap.tunnels.reasons import Reason
from encap.tunnels.sums import numbers_at
from encap.tunnels.tunnel import Tunnel
from encap.tunnels.words import Words, flag, number, text, word_or_number

if TYPE_CHECKING:
    from encap.packets import Packets
    from encap.tunnels.host import Device, Host
    from encap.tunnels.options import IPAddress
    from encap.tunnels.receiving import Bools, Family, Int64s, Receiving

__all__ = ["UDP_WORDS", "OverUDP", "want_id"]

MOST_TAGS = 8
"""How many tags the kernel looks behind."""

UDP_WORDS: Words = {
    "id": number("id"), "vni": number("id"), "remote": text("remote", "any"), "ttl": TTL,
    "hoplimit": TTL, "tos": TOS, "dsfield": TOS, "df": text("df"),
    "flowlabel": word_or_number("flowlabel", inherit="inherit"),
    "label": word_or_number("flowlabel", inherit="inherit"), "dstport": number("dstport"),
    "external": flag("external"), "noexternal": flag("external", value=False),
    "udpcsum": flag("udpcsum"), "noudpcsum": flag("udpcsum", value=False),
    "udp6zerocsumtx": flag("udp6zerocsumtx"), "udp6zerocsumrx": flag("udp6zerocsumrx"),
    "noudp6zerocsumtx": flag("udp6zerocsumtx", value=False),
    "noudp6zerocsumrx": flag("udp6zerocsumrx", value=False),
}  # fmt: skip
"""Options that both devices have."""


@frozen
class OverUDP(Tunnel):
    """A tunnel device over UDP.

    ttl: None or 0 is 64.
    df: "unset", "set", or "inherit": that of an inner IPv4 packet; set for IPv6.
    flowlabel: of the outer IPv6 header; "inherit" takes that of an inner IPv6 packet.
    udpcsum: the outer checksum over IPv4 is computed; None for what this kind of device does.
    udp6zerocsumtx, udp6zerocsumrx: packets over IPv6 go, or are taken, without a checksum.
    external: what each packet gets is said for it alone: by columns, or by the other options,
        which a route or a filter gives then. Packets are taken whatever their VNI and source are,
        of one IP version: that of `local` or `remote`, or of the underlay.
    master: the bridge that the device is a port of, by name. Then, what would have to be cut for
        the underlay is refused, and the sender told, where the sender asked not to have it cut.
    """

    df: str = "unset"
    flowlabel: NumberOption = NumberOption(0, 0xFFFFF, "inherit", default=0)
    udpcsum: bool | None = None
    udp6zerocsumtx: bool = False
    udp6zerocsumrx: bool = False
    external: bool = False
    master: str | None = None

    FRAMES: ClassVar = True
    FIELDS: ClassVar[tuple[str, ...]] = ("udp.dport",)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.df not in ("unset", "set", "inherit"):
            raise TunnelError(f"df is 'unset', 'set' or 'inherit', not {self.df!r}")

    @classmethod
    def _of_device(cls, device: Device, host: Host, arguments: dict[str, Any]) -> dict[str, Any]:
        """What routes and filters say of an external device's packets, and the bridge it is in."""
        found: dict[str, Any] = {}
        if "master" in device.more:
            found["master"] = device.more["master"][0][0]
        if not arguments.get("external"):
            return found
        for word in ("id", "remote"):
            if word in arguments:
                raise TunnelError(f"{device.name}: external and {word} exclude each other")
        said = metadata(device)
        summed = said.pop("csum", False)
        said.pop("keyed", None)
        said.pop("seq", None)
        return found | {
            "local": None, "ttl": None, "tos": 0, "df": "unset", "udpcsum": summed,
            "udp6zerocsumtx": not summed, **said,
        }  # fmt: skip

    @property
    def family(self) -> Family:
        known = [one for one in self._known if one is not None] or self.underlay.addresses
        return "ipv6" if known and all(one.version == 6 for one in known) else "ipv4"

    @property
    def _known(self) -> tuple[IPAddress | None, ...]:
        """Addresses that say which IP version is outside; without any, the underlay's do."""
        return self.remote, self.local

    @property
    @abstractmethod
    def _port(self) -> int:
        """The UDP port that packets are sent to."""

    @property
    def _target_port(self) -> int:
        """The UDP port that packets go to."""
        return self._port

    @property
    def _destination(self) -> IPAddress | None:
        """Where packets go that nothing else says it of."""
        return self.remote

    @property
    def _summed(self) -> bool:
        """Outer checksums over IPv4 are computed."""
        return bool(self.udpcsum)

    @property
    @abstractmethod
    def _source_ports(self) -> SourcePorts | str:
        """How source ports are made of flows."""

    @property
    def _hops(self) -> int:
        """TTL where it is not inherited."""
        return number_or(self.ttl, 0) or 64

    # --- packets out

    def _wrapping(self, *headers: Header) -> Wrapping:
        """IP, UDP and other headers in front of packets."""
        options = outer_options(self)
        options["sport"] = self._source_ports
        local = self.local or self.underlay.source(self.family)
        src, dst = (0 if one is None else int(one) for one in (local, self._destination))
        tos = number_or(self.tos, 0)
        if self.family == "ipv4":
            summed = self._summed
            options["df"] = self.df
            network: Header = IPv4(src=src, dst=dst, ttl=self._hops, tos=tos)
        else:
            summed = not self.udp6zerocsumtx
            label = number_or(self.flowlabel, 0)
            network = IPv6(
                src=src, dst=dst, hop_limit=self._hops, traffic_class=tos, flow_label=label
            )
        udp = UDP(dport=self._target_port, checksum=None if summed else 0)
        return Wrapping([(network, udp, *headers)], {}, options, heeds_df=False)

    def _settle(self, wrapping: Wrapping, packets: Packets) -> None:
        columns = wrapping.columns
        if self.external and self.remote is None and f"{self.family}.dst" not in columns:
            _refuse(wrapping, np.ones(len(packets), np.bool_), Reason.NO_DESTINATION)
        if self.flowlabel == "inherit" and self.family == "ipv6":
            columns.setdefault("ipv6.flow_label", _labels(packets))
        if self.frames:
            _refuse(wrapping, _incomplete(packets), Reason.NOT_CARRIED)

    def _insists(self, packets: Packets, inside: Inside, room: Int64s) -> Bools:
        if self.master is None:
            return np.zeros(len(inside.rows), np.bool_)
        return bridge_answerable(packets, inside, self._inner_room(room))

    def _too_big(self, packets: Packets, inside: Inside, room: Int64s) -> Packets:
        room = self._inner_room(room)
        told = bridge_answerable(packets, inside, room)
        return bridge_answers(packets, inside.chosen(told), room[told])

    def _inner_room(self, room: Int64s) -> Int64s:
        """int64[m]: octets of an IP packet that fit."""
        return room - ETHERNET_LEN if self.frames else room

    # --- packets in

    def _check_udp(self, going: Receiving) -> None:
        check_udp(
            going,
            self._port,
            zero_ok=self.udp6zerocsumrx,
            verify=self.underlay.udp_checksums,
        )


def want_id(number_: int | str | None, *, external: bool) -> None:
    """TunnelError for a device that has no VNI, and is not told one with each packet."""
    if number_ is None and not external:
        raise TunnelError("id (the VNI) is wanted, or external: packets bring theirs with them")


def _refuse(wrapping: Wrapping, where: Bools, reason: Reason) -> None:
    """Packets that have no reason yet to stay get one."""
    if not where.any():
        return
    if wrapping.reasons is None:
        wrapping.reasons = np.zeros(len(where), np.uint8)
    wrapping.reasons[where & (wrapping.reasons == 0)] = reason


def _labels(packets: Packets) -> np.ndarray[Any, np.dtype[np.uint32]]:
    """uint32[n]: flow labels of IPv6 packets and of those in frames; 0 for all others."""
    rows = np.arange(len(packets), dtype=np.int64)
    inside = Inside.of(packets, rows)
    words = Octets(packets, rows).numbers(inside.ip, 4)
    return np.where(inside.ipv6, words & np.uint32(0xFFFFF), np.uint32(0))


def _incomplete(packets: Packets) -> Bools:
    """bool[n]: frames without an Ethernet header, or without the IP header that they announce.

    Source: Linux, skb_vlan_inet_prepare.
    """
    found = np.zeros(len(packets), np.bool_)
    least = ETHERNET_LEN + MOST_TAGS * TAG_LEN + max(WHOLE.values())
    rows = np.flatnonzero((packets.wire_lengths < least) & (packets.linktypes == ETHERNET))
    if not len(rows):
        return found
    # Most of them have no tag, and room for any IP header.
    first = numbers_at(packets.data, packets.starts[rows] + (ETHERNET_LEN - 2), 2)
    doubtful = packets.lengths[rows] < ETHERNET_LEN + max(WHOLE.values())
    for tag in TAGS:
        doubtful |= first == tag
    rows = rows[doubtful]
    if not len(rows):
        return found
    octets, length = Octets(packets, rows), packets.wire_lengths[rows].astype(np.int64)
    at = packets.starts[rows] + ETHERNET_LEN - 2
    kind = octets.numbers(at)
    for _ in range(MOST_TAGS):
        tagged = np.logical_or.reduce([kind == tag for tag in TAGS])
        if not tagged.any():
            break
        at = at + TAG_LEN * tagged
        kind = octets.numbers(at)
    needed = at + 2 - packets.starts[rows]
    for number_, whole in WHOLE.items():
        needed += whole * (kind == number_)
    found[rows] = length < needed
    return found
