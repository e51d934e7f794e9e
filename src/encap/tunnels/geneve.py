"""Geneve.  Source: RFC 8926; Linux, drivers/net/geneve.c."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from encap.errors import FieldError, TunnelError
from encap.flow import SourcePorts
from encap.headers.geneve import CRITICAL, UDP_PORT, Geneve, GeneveOption, GeneveOptions
from encap.tunnels.frames import check_ethernet, check_inner, check_own, check_packet
from encap.tunnels.iptunnel import number_or
from encap.tunnels.options import NumberOption, _Option, frozen
from encap.tunnels.outer import is_address
from encap.tunnels.reasons import Reason
from encap.tunnels.udptunnel import UDP_WORDS, OverUDP, want_id
from encap.tunnels.words import Words, flag

if TYPE_CHECKING:
    from encap.packets import Packets
    from encap.tunnels.departing import Wrapping
    from encap.tunnels.host import Device, Host
    from encap.tunnels.receiving import Array, Int64s, Receiving

__all__ = ["GeneveTunnel"]

HEADER_LEN, OPTION_LEN = 8, 4
OPTIONS = "geneve.options"
MOST_MTU = 65465
"""What an external device takes: 65,535 less the headers over IPv6, Ethernet's included."""
ETHERNET, IPV4, IPV6 = 0x6558, 0x0800, 0x86DD
IP_LEN = {IPV4: 20, IPV6: 40}


class GeneveOptionsOption(_Option[tuple[GeneveOption, ...], Iterable[GeneveOption]]):
    """What stands behind the header of each packet."""

    def __init__(self) -> None:
        super().__init__(_options, default=())


def _options(name: str, value: Any) -> tuple[GeneveOption, ...]:
    found = tuple(value) if isinstance(value, Iterable) else (value,)
    if not all(isinstance(one, GeneveOption) for one in found):
        raise TunnelError(f"{name} are of GeneveOption, not {value!r}")
    try:
        Geneve(options=found)
    except FieldError as error:
        raise TunnelError(f"{name}: {error}") from error
    return found


@frozen
class GeneveTunnel(OverUDP):
    """`ip link add type geneve`: Ethernet frames, or IP, in UDP, with options.

    id: the VNI; None for external devices alone, whose packets have 0 where nothing says more.
    remote: the other end. Packets from elsewhere are another tunnel's, unless it is None or the
        device external.
    ttl: None or 0 is 64; an external device sends 0.
    dstport: UDP port at both ends.
    options: what goes with each packet that no column `geneve.options` gives others. In the
        profile "rfc" their kinds are the critical ones that are known on receipt.
    innerprotoinherit: the device carries IP packets, and the header says which version.
    """

    id: NumberOption = NumberOption(0, 0xFFFFFF)
    dstport: NumberOption = NumberOption(0, 65535, default=UDP_PORT)
    options: GeneveOptionsOption = GeneveOptionsOption()
    innerprotoinherit: bool = False

    KINDS: ClassVar = ("geneve",)
    WORDS: ClassVar[Words] = {**UDP_WORDS, "innerprotoinherit": flag("innerprotoinherit")}
    FIELDS: ClassVar[tuple[str, ...]] = (
        *OverUDP.FIELDS, "geneve.version", "geneve.opt_len", "geneve.critical", "geneve.protocol",
        "geneve.vni",
    )  # fmt: skip

    def __post_init__(self) -> None:
        super().__post_init__()
        want_id(self.id, external=self.external)

    @classmethod
    def _of_device(cls, device: Device, host: Host, arguments: dict[str, Any]) -> dict[str, Any]:
        found = super()._of_device(device, host, arguments)
        if not arguments.get("external") and arguments.get("remote") is None:
            raise TunnelError(f"{device.name}: remote, or external, is wanted")
        # The device's own port counts, whatever a route or filter says.
        found.pop("dstport", None)
        return found

    @property
    def device_mtu(self) -> int:
        if self.external and self.mtu is None:
            return MOST_MTU
        return super().device_mtu

    @property
    def frames(self) -> bool:
        return not self.innerprotoinherit

    @property
    def _port(self) -> int:
        return number_or(self.dstport, UDP_PORT)

    @property
    def _source_ports(self) -> SourcePorts | str:
        return "linux-geneve"

    @property
    def _hops(self) -> int:
        ttl = number_or(self.ttl, 0)
        return ttl if self.external else ttl or 64

    # --- packets out

    def _wrap(self, packets: Packets) -> Wrapping:
        # Linux never sets C: a device has no way of saying it.
        critical = 0 if self.profile == "linux" else None
        return self._wrapping(
            Geneve(vni=number_or(self.id, 0), critical=critical, options=self.options)
        )

    def _settle(self, wrapping: Wrapping, packets: Packets) -> None:
        super()._settle(wrapping, packets)
        columns = wrapping.columns
        given = columns.get(OPTIONS)
        if given is None:
            return
        if not isinstance(given, tuple):
            columns[OPTIONS] = _spans(OPTIONS, given, len(packets))
        (headers,) = wrapping.templates
        critical = 0 if self.profile == "linux" else None
        wrapping.templates = [(*headers[:-1], Geneve(vni=number_or(self.id, 0), critical=critical))]

    # --- packets in

    def _ports(self) -> Mapping[int, str | None]:
        return {self._port: "geneve"}

    def _check(self, going: Receiving) -> None:
        self._check_udp(going)
        columns, header = going.columns, going.inner
        protocol = columns["geneve.protocol"]
        going.refuse(going.said - header < HEADER_LEN, Reason.TOO_SHORT)
        going.refuse(columns["geneve.version"] != 0, Reason.VERSION)
        if not self.external:
            going.refuse(
                columns["geneve.vni"] != np.uint32(number_or(self.id, 0)), Reason.UNKNOWN_ID
            )
            if self.remote is not None:
                theirs = columns[f"{going.family}.src"]
                going.refuse(~is_address(theirs, self.remote), Reason.UNKNOWN_ID)
        carried = (ETHERNET, IPV4, IPV6) if self.innerprotoinherit else (ETHERNET,)
        going.refuse(~np.isin(protocol, carried), Reason.INNER_TYPE)
        options = header + HEADER_LEN
        going.inner = options + columns["geneve.opt_len"]
        going.refuse(going.said < going.inner, Reason.CUT_INSIDE)
        frames = protocol == ETHERNET
        check_ethernet(going, frames, Reason.CUT_INSIDE)
        self._check_options(going, options)
        if self.address is not None:
            check_own(going, self.address, frames, Reason.OWN_SOURCE)
        check_inner(going, frames)
        check_packet(going, IP_LEN, protocol)

    def _check_options(self, going: Receiving, begin: Int64s) -> None:
        """Linux drops what says that an option is critical; RFC 8926 wants them to be read."""
        if self.profile == "linux":
            if not self.external:
                going.refuse(going.columns["geneve.critical"] != 0, Reason.CRITICAL_OPTION)
            return
        known = {(one.option_class << 8 | one.type) for one in self.options if one.critical}
        rows = going.rows((going.inner > begin) & (going.inner <= going.end))
        at, end = begin[rows], going.inner[rows]
        malformed, critical = np.zeros((2, len(going)), np.bool_)
        while len(rows):
            # The area is a multiple of 4 octets: the head of an option is always there.
            head = going.numbers(rows, at, OPTION_LEN)
            kind = head >> 8
            critical[rows] |= (kind & CRITICAL != 0) & ~np.isin(kind, list(known))
            at = at + OPTION_LEN + (head & 0x1F).astype(np.int64) * 4
            malformed[rows[at > end]] = True
            more = at < end
            rows, at, end = rows[more], at[more], end[more]
        going.refuse(malformed, Reason.OPTIONS)
        going.refuse(critical, Reason.CRITICAL_OPTION)


def _spans(name: str, listed: Sequence[Any], count: int) -> tuple[Array, Array, Array]:
    """Options of each packet as octets, starts and lengths. FieldError for what cannot be."""
    if len(listed) != count:
        raise FieldError(f"{name} has {len(listed)} values, {count} are needed", field=name)
    codec = GeneveOptions()
    parts = [codec.build(codec.check(one, "geneve", "options")) for one in listed]
    lengths = np.fromiter(map(len, parts), np.uint32, count)
    starts = np.cumsum(lengths, dtype=np.int64) - lengths
    return np.frombuffer(b"".join(parts), np.uint8), starts, lengths
