"""VXLAN.  Source: RFC 7348; Linux, drivers/net/vxlan/vxlan_core.c."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from encap.arrays import column
from encap.errors import FieldError, TunnelError
from encap.flow import FORMULAS, SourcePorts
from encap.headers.gpe import UDP_PORT as GPE_PORT
from encap.headers.gpe import VXLANGPE
from encap.headers.vxlan import G_FLAG, I_FLAG, LINUX_PORT, UDP_PORT, VXLAN
from encap.tunnels.bridging import entries
from encap.tunnels.carried import ETHERNET_LINKS, IP_LINKS, of_links
from encap.tunnels.forwarding import (
    Destinations,
    EntriesOption,
    FDBEntry,
    mac_numbers,
    sending,
)
from encap.tunnels.iptunnel import number_or
from encap.tunnels.options import AddressOption, NumberOption, frozen
from encap.tunnels.remcsum import offload
from encap.tunnels.udptunnel import UDP_WORDS, OverUDP, want_id
from encap.tunnels.vxlanreceiving import (
    GBP_BITS,
    GPE_FIELDS,
    check_gpe,
    check_vxlan,
    learn,
)
from encap.tunnels.words import Word, Words, flag, passed, refused, text, word_or_number

if TYPE_CHECKING:
    from encap.fields import Header
    from encap.packets import Packets
    from encap.tunnels.departing import Wrapping
    from encap.tunnels.host import Device, Host
    from encap.tunnels.options import IPAddress
    from encap.tunnels.receiving import Array, Bools, Int64s, Receiver, Receiving

__all__ = ["VXLANTunnel"]

SECOND = 1_000_000_000
HEADER, SOURCE_MAC = (8, 8), (8 + 8 + 6, 6)
"""Where the header is, and the source address of the inner frame behind it, and their octets."""
ETHERNET_MTU = 1500
_NEIGHBOURS = "answers come from a table of neighbours, which there is none of here"
_MARK = {"vxlan.group_policy_id": 0, "vxlan.gbp_dont_learn": 22, "vxlan.gbp_applied": 19}
"""Where in a mark the parts of a group policy are."""


@frozen
class VXLANTunnel(OverUDP):
    """`ip link add type vxlan`: Ethernet frames in UDP.

    id: the VNI; None for external devices alone, whose packets have 0 where nothing says more.
    group: multicast address that frames go to which no entry of the table is for.
    dstport: UDP port at both ends; None or 0 is 8472, as in Linux; 4790 with `gpe`; 4789 in the
        profile "rfc".
    dst_port: the port that packets of an external device go to, where a filter gives another one.
    srcport: lowest source port, and the one behind the highest; None for what the host has for
        connections of its own, 32768 to 60999.
    learning: sources of frames go into the table `state.learned`; None unless external.
    ageing: seconds after which what was learned, and not looked for, is forgotten; 0 for never.
    maxaddress: how many entries the table takes; 0 for any number.
    fdb: entries that stay, as `bridge fdb add` makes them.
    gbp: a group policy goes with packets: see `mark`.
    mark: that of packets whose group policy no column gives. Columns are `mark`, or
        `vxlan.group_policy_id`, `vxlan.gbp_dont_learn` and `vxlan.gbp_applied`.
    gpe: the header says what it carries: IPv4, IPv6 or frames.
    remcsumtx, remcsumrx: the other end, or this one, fills in inner checksums.
    """

    id: NumberOption = NumberOption(0, 0xFFFFFF)
    group: AddressOption = AddressOption()
    dstport: NumberOption = NumberOption(0, 65535)
    dst_port: NumberOption = NumberOption(0, 65535)
    srcport: tuple[int, int] | None = None
    learning: bool | None = None
    ageing: NumberOption = NumberOption(0, 0xFFFFFFFF, default=300)
    maxaddress: NumberOption = NumberOption(0, 0xFFFFFFFF, default=0)
    fdb: EntriesOption = EntriesOption()
    gbp: bool = False
    mark: NumberOption = NumberOption(0, 0xFFFFFFFF, default=0)
    gpe: bool = False
    remcsumtx: bool = False
    remcsumrx: bool = False

    KINDS: ClassVar = ("vxlan",)
    WORDS: ClassVar[Words] = {
        **UDP_WORDS, "local": text("local", "any"), "group": text("group"), "dev": passed(1),
        "srcport": Word("srcport", 2, lambda low, high: (int(low, 0), int(high, 0))),
        "port": Word("srcport", 2, lambda low, high: (int(low, 0), int(high, 0))),
        "learning": flag("learning"), "nolearning": flag("learning", value=False),
        "ageing": word_or_number("ageing", none=0), "gbp": flag("gbp"), "gpe": flag("gpe"),
        "maxaddress": word_or_number("maxaddress", unlimited=0),
        "remcsumtx": flag("remcsumtx"), "noremcsumtx": flag("remcsumtx", value=False),
        "remcsumrx": flag("remcsumrx"), "noremcsumrx": flag("remcsumrx", value=False),
        "proxy": refused(f"proxy: {_NEIGHBOURS}"), "noproxy": passed(),
        "rsc": refused(f"rsc: {_NEIGHBOURS}"), "norsc": passed(),
        "vnifilter": refused("vnifilter: there is one VNI a device, or external"),
        "novnifilter": passed(), "localbypass": passed(), "nolocalbypass": passed(),
        # What is not known is told to programs of the host; packets do not change.
        "l2miss": passed(), "nol2miss": passed(), "l3miss": passed(), "nol3miss": passed(),
    }  # fmt: skip

    def __post_init__(self) -> None:
        super().__post_init__()
        want_id(self.id, external=self.external)
        if self.group is not None and not self.group.is_multicast:
            raise TunnelError(f"group is a multicast address, not {self.group}")
        if self.group is not None and self.remote is not None:
            raise TunnelError("remote and group exclude each other")
        if len({one.version for one in self._known if one is not None}) > 1:
            raise TunnelError("local, remote, group and fdb are not all of one IP version")
        if self.gpe and (self.gbp or self.remcsumtx or self.remcsumrx or self.learning):
            raise TunnelError("gpe excludes gbp, remcsumtx, remcsumrx and learning")
        if self.srcport is not None:
            pair: tuple[Any, ...] = tuple(self.srcport)
            if len(pair) != 2 or not all(
                isinstance(one, int) and 0 <= one < 1 << 16 for one in pair
            ):
                raise TunnelError(f"srcport is two ports, not {self.srcport!r}")

    @classmethod
    def _of_device(cls, device: Device, host: Host, arguments: dict[str, Any]) -> dict[str, Any]:
        found = super()._of_device(device, host, arguments)
        if arguments.get("gpe") and not arguments.get("external"):
            raise TunnelError(f"{device.name}: gpe wants external")
        for word, group in (("group", True), ("remote", False)):
            try:
                if word in arguments and ip_address(arguments[word]).is_multicast != group:
                    raise TunnelError(f"{device.name}: {word} cannot be {arguments[word]}")
            except ValueError as error:
                raise TunnelError(f"{device.name}: {word}: {error}") from error
        if device.mtu is None and "dev" not in device.words:
            device.mtu = ETHERNET_MTU  # of no link that it knows
        default = "remote" in arguments or "group" in arguments
        listed = device.more.get("fdb", [])
        if "dstport" in found:  # of a filter: the device's own is where it listens
            found["dst_port"] = found.pop("dstport")
        return found | {"fdb": entries(listed, default=default, what=device.name)}

    @property
    def _known(self) -> tuple[IPAddress | None, ...]:
        return self.remote, self.group, self.local, *(entry.dst for entry in self.fdb)

    @property
    def frames(self) -> bool:
        return not self.gpe

    @property
    def learns(self) -> bool:
        """Sources of frames are learned."""
        return self.learning if self.learning is not None else not self.external and not self.gpe

    @property
    def _port(self) -> int:
        otherwise = LINUX_PORT if self.profile == "linux" else UDP_PORT
        return number_or(self.dstport, 0) or (GPE_PORT if self.gpe else otherwise)

    @property
    def _target_port(self) -> int:
        return number_or(self.dst_port, 0) or self._port

    @property
    def _destination(self) -> IPAddress | None:
        return self.remote or self.group

    @property
    def _groups(self) -> tuple[IPAddress, ...]:
        return () if self.group is None else (self.group,)

    @property
    def _summed(self) -> bool:
        return self.profile == "linux" if self.udpcsum is None else self.udpcsum

    @property
    def _source_ports(self) -> SourcePorts | str:
        if self.srcport is not None and self.srcport[0] < self.srcport[1]:
            return SourcePorts(self.srcport[0], self.srcport[1] - 1, FORMULAS["linux"].bits)
        return "linux" if self.profile == "linux" else "flow"

    @property
    def _hops(self) -> int:
        to = self._destination
        return number_or(self.ttl, 0) or (1 if to is not None and to.is_multicast else 64)

    @property
    def _ageing(self) -> int:
        """Nanoseconds after which what was learned is forgotten."""
        return number_or(self.ageing, 0) * SECOND

    def _destinations(self) -> Destinations:
        """The entries that stay, that for all other frames included."""
        default = (FDBEntry(mac=0, dst=self._destination),) if self._destination else ()
        return Destinations((*default, *self.fdb), self.family, number_or(self.id, 0), self._port)

    # --- packets out

    def _wrap(self, packets: Packets) -> Wrapping:
        number = number_or(self.id, 0)
        header: Header = VXLANGPE(vni=number) if self.gpe else VXLAN(vni=number)
        wrapping = self._wrapping(header)
        wrapping.whole = self.profile == "rfc"
        if self.frames and not self.external:
            learned = self.state.learned
            if self.fdb or len(learned) or self._destination is None:
                self._forward(wrapping, packets)
        return wrapping

    def _carries(self, packets: Packets) -> Bools:
        # With `gpe` the header tells frames from the rest.
        return of_links(packets, (*IP_LINKS, *ETHERNET_LINKS) if self.gpe else ETHERNET_LINKS)

    def _forward(self, wrapping: Wrapping, packets: Packets) -> None:
        """Says where each frame goes, as the table has it."""
        here = packets.lengths >= 6
        macs = np.zeros(len(packets), np.uint64)
        macs[here] = mac_numbers(packets.data, packets.starts[here])
        to = sending(self._destinations(), self.state.learned, macs, packets.times, self._ageing)
        if not np.array_equal(to.rows, np.arange(len(packets))):
            wrapping.rows = to.rows
        columns = {f"{self.family}.dst": to.dst, "vxlan.vni": to.vni, "udp.dport": to.port}
        wrapping.columns |= {name: one for name, one in columns.items() if one is not None}
        if not number_or(self.ttl, 0) and self.ttl != "inherit":
            group = to.dst >> 28 == 0xE if self.family == "ipv4" else to.dst[:, 0] == 0xFF
            name = "ipv4.ttl" if self.family == "ipv4" else "ipv6.hop_limit"
            wrapping.columns[name] = np.where(group, np.uint8(1), np.uint8(64))

    def _settle(self, wrapping: Wrapping, packets: Packets) -> None:
        super()._settle(wrapping, packets)
        columns = wrapping.columns
        reserved1: Array = np.zeros(len(packets), np.uint32)
        if self.remcsumtx:
            said = offload(packets)
            reserved1 = reserved1 | said.reserved1
            columns.setdefault("vxlan.reserved2", said.reserved2)
        if self.gbp:
            mark = self._marks(columns, len(packets))
            flags = np.where(mark != 0, I_FLAG | G_FLAG, I_FLAG).astype(np.uint8)
            columns.setdefault("vxlan.flags", flags)
            reserved1 = reserved1 | mark & np.uint32(GBP_BITS)
        if self.remcsumtx or self.gbp:
            columns.setdefault("vxlan.reserved1", reserved1)

    def _marks(self, columns: dict[str, Any], count: int) -> Array:
        """uint32[n]: marks of packets, from what columns say of them; these are taken out.

        Source: Linux, vxlan_build_gbp_hdr.
        """
        if "mark" in columns:
            return _numbers("mark", columns.pop("mark"), count, 0xFFFFFFFF)
        if not columns.keys() & _MARK.keys():
            return np.full(count, number_or(self.mark, 0), np.uint32)
        mark: Array = np.zeros(count, np.uint32)
        for name, shift in _MARK.items():
            most = 1 if shift else 0xFFFF
            mark = mark | _numbers(name, columns.pop(name, 0), count, most) << np.uint32(shift)
        return mark

    # --- packets in

    def _ports(self) -> Mapping[int, str | None]:
        return {self._port: "gpe" if self.gpe else "vxlan"}

    @property
    def _fields(self) -> tuple[str, ...]:
        learned = (f"{self.family}.src",) if self.learns else ()
        return (*self.FIELDS, *learned, *(GPE_FIELDS if self.gpe else ()))

    def _receiver(self) -> Receiver:
        return super()._receiver()._replace(peeks=(HEADER, SOURCE_MAC))

    def _check(self, going: Receiving) -> None:
        self._check_udp(going)
        if self.gpe:
            check_gpe(self, going)
        else:
            check_vxlan(self, going)

    def _in_order(self, stages: Sequence[tuple[Receiving, Int64s]]) -> None:
        learn(self, stages)


def _numbers(name: str, value: Any, count: int, most: int) -> Array:
    """uint32[n]: a column of numbers. FieldError for others."""
    numbers = column(value, count, np.uint32, name)
    if count and int(numbers.max()) > most:
        raise FieldError(f"{name} is 0 to {most}, not {int(numbers.max())}", field=name)
    return numbers
