"""What all GRE devices have in common: keys, checksums, sequence numbers, for each direction.

Source: RFC 2784, RFC 2890; Linux, net/ipv4/ip_gre.c, net/ipv4/ip_tunnel.c, net/ipv6/ip6_gre.c.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from encap.errors import TunnelError
from encap.fields import Header
from encap.headers.gre import GRE, C
from encap.tunnels.departing import Wrapping
from encap.tunnels.frames import check_frames
from encap.tunnels.greheader import ERSPAN, IPV4, IPV6, TEB, GREHeaders, has, read
from encap.tunnels.greheader import C as C_BIT
from encap.tunnels.greheader import S as S_BIT
from encap.tunnels.inside import ETHERNET_LEN, IPV4_LEN, IPV6_LEN, MPLS, Octets
from encap.tunnels.iptunnel import short
from encap.tunnels.metadata import metadata
from encap.tunnels.neighbours import NeighboursOption, endpoints, neighbours_of
from encap.tunnels.options import KeyOption, frozen
from encap.tunnels.outer import is_address
from encap.tunnels.reasons import Reason
from encap.tunnels.replies import unreachable
from encap.tunnels.routes import RoutesOption, routes_of
from encap.tunnels.sequence import in_order
from encap.tunnels.tunnel import Tunnel
from encap.tunnels.words import Words, flag, passed, text

if TYPE_CHECKING:
    from encap.packets import Packets
    from encap.tunnels.host import Device, Host
    from encap.tunnels.options import IPAddress
    from encap.tunnels.receiving import Array, Bools, Int64s, Receiving

__all__ = ["GRE_FIELDS", "GRE_WORDS", "GREDevice", "other_template"]

LABELS = 0x8847
"""The EtherType of MPLS."""
MOST_TEMPLATES = 255
ERSPAN_LEN = np.array([0, 8, *[12] * 14], np.int64)
"""Octets of an ERSPAN header by what its version says; Linux takes any number for type III."""
OWN = {"remote", "key", "ikey", "okey", "csum", "icsum", "ocsum", "seq", "iseq", "oseq"}
"""Options that an external device does not have."""
TAKEN = {"local", "remote", "ttl", "tos"}
"""Words of routes and filters that are options here, too."""
GRE_FIELDS = ("gre.flags", "gre.version", "gre.protocol", "gre.key", "gre.seq")


def _flags(name: str) -> Words:
    """`csum`, `icsum`, `nocsum` and so on."""
    return {
        f"{no}{way}{name}": flag(f"{way}{name}", value=not no)
        for way in ("", "i", "o")
        for no in ("", "no")
    }


GRE_WORDS: Words = {
    "key": text("key"), "ikey": text("ikey"), "okey": text("okey"), "nokey": flag("key", None),
    **_flags("csum"), **_flags("seq"), "external": flag("external"), "dev": passed(1),
}  # fmt: skip


@frozen
class GREDevice(Tunnel):
    """What is the same in all GRE devices.

    key, csum, seq: a key, a checksum, sequence numbers, in both directions. ikey, icsum and iseq
        say it of what is received, okey, ocsum and oseq of what is sent; None is as both.
    external: each packet brings with it where it goes, and with which key: `columns` of `encap`
        say so. What the options say is for those of which nothing is said; they refuse nothing.
    nofrag: an external device over IPv4 sets DF; it never does otherwise.
    routes: gateways by destination; without `remote` they are the next hops of packets.
    neighbours: by next hop, addresses of the endpoints behind which they are, where there is no
        `remote`: what `ip neigh add HOP lladdr ENDPOINT dev DEVICE` says.
    """

    key: KeyOption = KeyOption()
    ikey: KeyOption = KeyOption()
    okey: KeyOption = KeyOption()
    csum: bool = False
    icsum: bool | None = None
    ocsum: bool | None = None
    seq: bool = False
    iseq: bool | None = None
    oseq: bool | None = None
    external: bool = False
    nofrag: bool = False
    routes: RoutesOption = RoutesOption()
    neighbours: NeighboursOption = NeighboursOption()

    def _both(self, name: str, way: str) -> Any:
        """What an option says of one direction."""
        said = getattr(self, way + name)
        return getattr(self, name) if said is None else said

    @classmethod
    def _of_device(cls, device: Device, host: Host, arguments: dict[str, Any]) -> dict[str, Any]:
        if arguments.get("external"):
            return _told(device, arguments)
        if cls.FRAMES or arguments.get("remote") is not None:
            return {}
        return {"neighbours": neighbours_of(device), "routes": routes_of(device, host)}

    @property
    def device_mtu(self) -> int:
        if (
            self.external
            and self.mtu is None
            and (self.okey is not None or self.ocsum or self.oseq)
        ):
            # What routes and filters say is no matter of the device.
            bare = replace(self, okey=None, ocsum=False, oseq=False)
            return bare.device_mtu
        return super().device_mtu

    # --- packets out

    @abstractmethod
    def _wrapping(self, *headers: Header, protocol: int | None = None) -> Wrapping:
        """IP and other headers in front of packets."""

    def _wrap(self, packets: Packets) -> Wrapping:
        summed = self._both("csum", "o")
        numbered = 0 if self._both("seq", "o") else None
        gre = GRE(flags=C if summed else 0, key=self._both("key", "o"), seq=numbered)
        wrapping = self._wrapping(gre)
        wrapping.reasons = self._incomplete(packets)
        return wrapping

    def _settle(self, wrapping: Wrapping, packets: Packets) -> None:
        """Finds out where packets go, and counts those that know."""
        super()._settle(wrapping, packets)
        reasons = np.zeros(len(packets), np.uint8) if wrapping.reasons is None else wrapping.reasons
        if self.external and "gre.key" in wrapping.columns:
            wrapping.templates = [_with(one, key=0) for one in wrapping.templates]
        if not self.FRAMES:
            _carry_labels(wrapping, packets)
        destination = f"{self.family}.dst"
        if self.remote is None and destination not in wrapping.columns:
            known = np.zeros(len(packets), np.bool_)
            if not (self.FRAMES or self.external):
                wrapping.columns[destination], known = endpoints(
                    self.neighbours, self.routes, packets, self.family
                )
            reasons[~known & (reasons == 0)] = Reason.NO_DESTINATION
        wrapping.reasons = reasons
        if any(isinstance(one, GRE) and one.seq is not None for one in wrapping.templates[0]):
            counted = reasons == 0
            before = np.cumsum(counted) - counted
            wrapping.options["seq"] = (self.state.sent + before).astype(np.uint32)
            self.state.sent = (self.state.sent + int(counted.sum())) & 0xFFFFFFFF

    def _incomplete(self, packets: Packets) -> Array:
        """uint8[n]: `NOT_CARRIED` for other packets than the device takes, and for those that are
        shorter than the IP header they begin with.

        Source: Linux, pskb_inet_may_pull.
        """
        reasons = np.zeros(len(packets), np.uint8)
        reasons[~self._carries(packets)] = Reason.NOT_CARRIED
        link = ETHERNET_LEN if self.FRAMES else 0
        rows = np.flatnonzero(packets.wire_lengths < link + IPV6_LEN)
        if len(rows):
            kinds = self._kinds(packets, rows)
            least = link + IPV4_LEN * (kinds == IPV4) + IPV6_LEN * (kinds == IPV6)
            reasons[rows[packets.wire_lengths[rows] < least]] = Reason.NOT_CARRIED
        return reasons

    def _kinds(self, packets: Packets, rows: Int64s) -> Array:
        """uint32[m]: EtherTypes of what some rows begin with; 0 where that is not known."""
        octets, at = Octets(packets, rows), packets.starts[rows]
        if self.FRAMES:
            return octets.numbers(at + 12)
        version = octets.numbers(at, 1) >> 4
        return np.where(version == 4, IPV4, np.where(version == 6, IPV6, 0)).astype(np.uint32)

    # --- packets in

    @property
    def _groups(self) -> tuple[IPAddress, ...]:
        return (self.remote,) if self.remote is not None and self.remote.is_multicast else ()

    def _check(self, going: Receiving) -> None:
        headers = read(going, linux=self.profile == "linux")
        going.header = headers
        sixth = going.family == "ipv6"
        begin = going.upper + headers.length
        lack = begin > going.said
        if self.FRAMES or sixth:
            lack |= (headers.protocol == TEB) & (going.said - begin < ETHERNET_LEN)
        if sixth:
            going.refuse(lack, Reason.TOO_SHORT)
        strange = self._others(going, headers)
        if self.FRAMES or sixth:
            begin, cut = self._mirrored(going, headers, begin)
            strange |= cut
        self._reject(going, strange)
        going.refuse(lack | (begin > going.said), Reason.TOO_SHORT)
        going.inner = begin
        if self.FRAMES:
            going.refuse(short(going, ETHERNET_LEN), Reason.TOO_SHORT)
            going.linktypes = np.broadcast_to(np.uint16(1), (len(going),))
        else:
            going.carried = headers.protocol
        if self.profile == "linux":
            summed = has(headers.flags, C_BIT)
            going.refuse(summed != self._both("csum", "i"), Reason.CHECKSUM_FLAG)

    def _others(self, going: Receiving, headers: GREHeaders) -> Bools:
        """bool[n]: packets that are for another device, by addresses, key and protocol."""
        other = self._other_protocols(going, headers)
        if self.external:
            return other
        source, target = (going.columns[f"{going.family}.{name}"] for name in ("src", "dst"))
        if self._groups:
            ours = (*self._groups, *(() if self.local is None else (self.local,)))
            other |= ~np.logical_or.reduce([is_address(target, one) for one in ours])
        else:
            for mine, column in ((self.remote, source), (self.local, target)):
                if mine is not None:
                    other |= ~is_address(column, mine)
        key = self._both("key", "i")
        if going.family == "ipv6" or (self.local is None and self.remote is None):
            # No key is the same as one that is 0 here.
            other |= headers.key != np.uint32(key or 0)
        elif key is None:
            other |= headers.keyed
        else:
            other |= ~headers.keyed | (headers.key != np.uint32(key))
        return other

    def _other_protocols(self, going: Receiving, headers: GREHeaders) -> Bools:
        """bool[n]: packets that such a device is not asked about.

        Over IPv6 one device after another is asked, and those of layer 3 take everything.
        """
        mirrored: Bools = np.isin(headers.protocol, ERSPAN)
        other: Bools = headers.protocol != TEB
        if going.family == "ipv6":
            return other & ~mirrored if self.FRAMES else np.zeros(len(going), np.bool_)
        return other if self.FRAMES else mirrored

    def _mirrored(
        self, going: Receiving, headers: GREHeaders, begin: Int64s
    ) -> tuple[Int64s, Bools]:
        """Where frames behind ERSPAN headers begin, and where there is less than that."""
        where = headers.erspan
        if going.family == "ipv6":
            # Linux reads a version there even of type I, which has no header.
            where = np.isin(headers.protocol, ERSPAN)
        cut = np.zeros(len(going), np.bool_)
        if not where.any():
            return begin, cut
        cut = where & (going.said - begin < 4)
        rows = going.rows(where & ~cut & (begin < going.end))
        begin = begin.copy()
        begin[rows] += ERSPAN_LEN[going.numbers(rows, begin[rows], 1) >> 4]
        least = begin + (ETHERNET_LEN if going.family == "ipv6" else 0)
        cut[rows] |= least[rows] > going.said[rows]
        return begin, cut

    def _reject(self, going: Receiving, strange: Bools) -> None:
        """Refuses what no tunnel takes, and says so."""
        rows = going.rows(strange)
        if len(rows):
            going.replies.append(unreachable(going, rows))
            going.refuse(strange, Reason.NO_TUNNEL)

    def _in_order(self, stages: Sequence[tuple[Receiving, Int64s]]) -> None:
        if self._both("seq", "i"):
            self._check_sequence(stages)
        for going, _ in stages:
            if self.FRAMES:
                check_frames(going)
            else:
                protocol = going.header.protocol
                least = IPV4_LEN * (protocol == IPV4) + IPV6_LEN * (protocol == IPV6)
                going.refuse(short(going, least), Reason.INNER_FRAME)

    def _check_sequence(self, stages: Sequence[tuple[Receiving, Int64s]]) -> None:
        """Refuses what has no number, and what is not later than all before it."""
        chosen, numbers, arrived = [], [], []
        for going, origin in stages:
            going.refuse(~has(going.header.flags, S_BIT), Reason.SEQUENCE)
            rows = going.rows()
            chosen.append(rows)
            numbers.append(going.header.seq[rows])
            arrived.append(origin[rows])
        if not stages:
            return
        order = np.argsort(np.concatenate(arrived), kind="stable")
        linux, state = self.profile == "linux", self.state
        taken = np.empty(len(order), np.bool_)
        taken[order], state.received = in_order(
            np.concatenate(numbers)[order], state.received, restarts=linux
        )
        ends = np.cumsum([len(rows) for rows in chosen])
        for (going, _), rows, part in zip(stages, chosen, np.split(taken, ends[:-1]), strict=True):
            old = np.zeros(len(going), np.bool_)
            old[rows[~part]] = True
            going.refuse(old, Reason.SEQUENCE)


def _told(device: Device, arguments: dict[str, Any]) -> dict[str, Any]:
    """What routes and filters tell an external device; its own options say nothing.

    Source: Linux, gre_fb_xmit; iproute2, gre_parse_opt.
    """
    for word in OWN & arguments.keys():
        raise TunnelError(f"{device.name}: external and {word} exclude each other")
    said = metadata(device)
    found = {word: value for word, value in said.items() if word in TAKEN}
    if said.get("keyed"):
        found["okey"] = said.get("id", 0)
    found |= {"ocsum": said.get("csum", False), "oseq": said.get("seq", False)}
    return found | ({"nofrag": True} if "df" in said else {})


def other_template(wrapping: Wrapping, headers: tuple[Header, ...], where: Bools) -> None:
    """Some packets get other headers. TunnelError where too many kinds of them are in a batch."""
    if not where.any():
        return
    number = len(wrapping.templates)
    if number > MOST_TEMPLATES:
        raise TunnelError("too many different encapsulation limits in one batch: send it in pieces")
    wrapping.templates.append(headers)
    which = 0 if wrapping.which is None else wrapping.which
    wrapping.which = np.where(where, number, which).astype(np.uint8)


def _carry_labels(wrapping: Wrapping, packets: Packets) -> None:
    """MPLS, which only its link type tells from IP, gets its own protocol.  Source: RFC 4023."""
    labels = packets.linktypes == MPLS
    if labels.any():
        which = 0 if wrapping.which is None else wrapping.which[np.argmax(labels)]
        other_template(wrapping, _with(wrapping.templates[which], protocol=LABELS), labels)


def _with(headers: tuple[Header, ...], **fields: int) -> tuple[Header, ...]:
    """The headers, with these fields of GRE where they are open."""
    made: list[Header] = []
    for one in headers:
        if isinstance(one, GRE):
            said: dict[str, Any] = {
                "flags": one.flags,
                "protocol": one.protocol,
                "key": one.key,
                "seq": one.seq,
            }
            open_ = {name: value for name, value in fields.items() if said[name] is None}
            made.append(GRE(**said | open_))
        else:
            made.append(one)
    return tuple(made)
