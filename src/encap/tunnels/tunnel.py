"""What all tunnels have in common: how packets go in and come out, and what is remembered."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import field, fields
from threading import RLock
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

import numpy as np
import numpy.typing as npt

from encap.errors import TunnelError
from encap.fields import Header
from encap.packet import Packet
from encap.packets import Packets
from encap.template import template
from encap.tunnels.arriving import Delivery, deliver, inner_packets
from encap.tunnels.carried import ETHERNET_LINKS, IP_LINKS, of_links
from encap.tunnels.departing import Wrapping, send
from encap.tunnels.extensions import check_extensions
from encap.tunnels.inside import ETHERNET_LEN
from encap.tunnels.options import AddressesOption, AddressOption, MACOption, NumberOption, frozen
from encap.tunnels.profiles import Profile, profile
from encap.tunnels.receiving import Bools, Family, Int64s, Receiver, Receiving
from encap.tunnels.replies import too_big
from encap.tunnels.state import State
from encap.tunnels.underlay import Underlay

if TYPE_CHECKING:
    from encap.tunnels.host import Device, Host
    from encap.tunnels.inside import Inside
    from encap.tunnels.options import IPAddress
    from encap.tunnels.result import Result
    from encap.tunnels.words import Words

__all__ = ["Link", "Tunnel", "batch", "link_headers"]

Link: TypeAlias = Header | Packet | Sequence[Header] | str | None


@frozen
class Tunnel(ABC):
    """A tunnel device as the kernel runs it: frozen options, named as `ip link` names them.

    local, remote: addresses of both ends; both of one family, None for any.
    ttl: of the outer header: a number, "inherit", or None for what this kind of device does.
    tos: DSCP of the outer header, or "inherit". ECN is inherited always (RFC 6040).
    address: MAC address of the device, where it has one.
    addresses: IP addresses of the device: ICMP answers come from them.
    mtu: octets that the device takes; None for what its headers leave of the underlay's MTU.
    underlay: the host below.
    profile: "linux", or "rfc" where the two differ: see `encap.tunnels.DIFFERENCES`.

    Threads may share a tunnel: they take turns.
    """

    local: AddressOption = AddressOption()
    remote: AddressOption = AddressOption()
    ttl: NumberOption = NumberOption(0, 255, "inherit")
    tos: NumberOption = NumberOption(0, 255, "inherit", default=0)
    address: MACOption = MACOption()
    addresses: AddressesOption = AddressesOption()
    mtu: NumberOption = NumberOption(68, 65535)
    underlay: Underlay = Underlay()
    profile: Profile = "linux"
    _state: list[State] = field(default_factory=list, init=False, repr=False, compare=False)
    _lock: RLock = field(default_factory=RLock, init=False, repr=False, compare=False)

    KINDS: ClassVar[tuple[str, ...]] = ()
    """What `ip link add type` calls such a device."""
    WORDS: ClassVar[Words] = {}
    """The options of that command, and what they say here."""
    FAMILY: ClassVar[Family | None] = None
    """The underlay's IP version, where the kind of device says it."""
    FRAMES: ClassVar[bool] = False
    """The device carries Ethernet frames."""
    LEAST_MTU: ClassVar[int] = 0
    """Its MTU is never less, whatever the underlay leaves."""
    FIELDS: ClassVar[tuple[str, ...]] = ()
    """Columns that the receiver looks at, beside those of the outer IP header."""

    def __post_init__(self) -> None:
        profile(self.profile)
        given = {one.version for one in (self.local, self.remote) if one is not None}
        if len(given) > 1:
            raise TunnelError("local and remote are of different IP versions")
        wanted = {"ipv4": {4}, "ipv6": {6}}.get(self.FAMILY or "", {4, 6})
        if not given <= wanted:
            raise TunnelError(f"{type(self).__name__} runs over {self.FAMILY} alone")
        self.reset()

    @property
    def family(self) -> Family:
        """The underlay's IP version, by its path name."""
        if self.FAMILY is not None:
            return self.FAMILY
        known = self.remote or self.local
        return "ipv6" if known is not None and known.version == 6 else "ipv4"

    @property
    def overhead(self) -> int:
        """Octets of the headers in front of a packet, the link's not counted; the most there are.

        Options that packets bring with them are not counted either, nor is the Ethernet header of
        an inner frame, which `encap.mtu.overhead` counts: VXLAN over IPv4 has 36 here, 50 there.
        """
        nothing = Packets.from_frames([])
        wrapping = self._wrap(nothing)
        self._encapsulate(wrapping, nothing)
        return max(sum(header.header_len for header in one) for one in wrapping.templates)

    @property
    def device_mtu(self) -> int:
        """Octets of an IP packet that the device takes: `mtu`, or what the underlay leaves.

        It is what a host's routes go by, and is not enforced: `encap` refuses, or cuts, what does
        not fit the underlay's MTU.
        """
        if isinstance(self.mtu, int):
            return self.mtu
        left = self.underlay.mtu - self.overhead - (ETHERNET_LEN if self.frames else 0)
        return max(left, self.LEAST_MTU)

    @property
    def frames(self) -> bool:
        """True for a device that carries Ethernet frames, False for one that carries IP."""
        return self.FRAMES

    @property
    def state(self) -> State:
        """What the device remembers from packet to packet.

        A copy of a tunnel (`copy`, `pickle`, `dataclasses.replace`) is a new device, which
        remembers nothing yet: two that counted on from one place would use numbers twice.
        """
        return self._state[0]

    def __reduce__(self) -> tuple[Any, ...]:
        """A copy has the same options, and neither state nor the secrets in it."""
        options = {one.name: getattr(self, one.name) for one in fields(self) if one.init}
        return _made, (type(self), options)

    def reset(self) -> None:
        """Forgets it, as a device that was made just now."""
        with self._lock:
            self._state[:] = [self._new_state()]

    def _new_state(self) -> State:
        """What a device remembers that was made just now."""
        return State.of(self.profile)

    @classmethod
    def _of_device(cls, device: Device, host: Host, arguments: dict[str, Any]) -> dict[str, Any]:
        """Arguments that other commands give; `arguments` has those of the device's own."""
        return {}

    # --- packets out

    def encap(
        self,
        packets: Packets,
        columns: Mapping[str, Any] | None = None,
        *,
        link: Link = None,
        threads: int | None = None,
        out: npt.NDArray[np.uint8] | None = None,
    ) -> Result:
        """What the device sends when these packets are routed, or switched, to it.

        packets: raw IP (link type 101), or Ethernet where the device carries frames. TypeError for
            anything but `Packets`.
        link: the header in front of the outer IP header, as `Ethernet(src=..., dst=...)`, or
            several, or text: `eth(src=..., dst=...)`; without it the outer packets are raw IP.
        columns: fields of the outer headers by name, as in `Packets.encap`; they go before what
            the device would write. What a kernel draws at random can be given in this way.
        threads, out: see `Packets.encap`.

        A packet that does not fit is refused, or sent in fragments, as the kernel does. The inner
        TTL stays what it is: forwarding counts it down, not the tunnel.
        """
        headers = link_headers(link)
        with self._lock, self.state.kept():
            return send(self, batch("encap", packets), headers, columns or {}, threads, out)

    def _wrap(self, packets: Packets) -> Wrapping:
        """The headers behind the link's for these packets, and what goes into them.

        Not abstract: devices over IPsec seal packets themselves, and have none.
        """
        raise NotImplementedError

    def _carries(self, packets: Packets) -> Bools:
        """bool[n]: packets of a link type that the device takes."""
        return of_links(packets, ETHERNET_LINKS if self.frames else IP_LINKS)

    def _settle(self, wrapping: Wrapping, packets: Packets) -> None:
        """What follows from the caller's columns, which are in the wrapping now."""

    def _encapsulate(self, wrapping: Wrapping, packets: Packets) -> None:
        """Puts in what stands between IP and the tunnel's own header."""

    def _insists(self, packets: Packets, inside: Inside, room: Int64s) -> Bools:
        """bool[m]: packets that are too big, and refused though the underlay could cut them."""
        return np.zeros(len(inside.rows), np.bool_)

    def _too_big(self, packets: Packets, inside: Inside, room: Int64s) -> Packets:
        """Answers to packets that were refused. room: int64[m], octets that would have fit."""
        sizes = np.unique(room)
        return Packets.concat(
            too_big(self, packets, inside.chosen(room == size), int(size)) for size in sizes
        )

    # --- packets in

    def decap(self, packets: Packets) -> Result:
        """What the device delivers of the packets that the host receives.

        packets: Ethernet frames or raw IP (link types 1 and 101), as the underlay sees them.
            `Packets.from_frames(octets, linktypes=101)` makes them of raw IP: it takes octets for
            Ethernet frames where nothing is said. TypeError for anything but `Packets`.

        Fragments are put together; the datagram comes in the place of its last fragment. The ECN
        bits of the outer header go into the inner one (RFC 6040): only where they do are octets
        copied.
        """
        with self._lock:
            return deliver(self, batch("decap", packets))

    def _ports(self) -> Mapping[int, str | None]:
        """UDP ports by which a walk finds the tunnel's header."""
        return {}

    @property
    def _groups(self) -> tuple[IPAddress, ...]:
        """Multicast addresses that the device listens to."""
        return ()

    @property
    def _fields(self) -> tuple[str, ...]:
        """Columns that this device looks at: `FIELDS`, and what its options add."""
        return self.FIELDS

    def _receive(self, packets: Packets) -> Receiving:
        """Refuses what the host does not take, then what the device does not."""
        going = Receiving(packets, self._receiver(), self._fields, self._ports())
        if self.family == "ipv6":
            check_extensions(going)
        self._unwrap(going)
        self._check(going)
        return going

    def _unwrap(self, going: Receiving) -> None:
        """Takes off what stands between IP and the tunnel's own header."""

    def _receiver(self) -> Receiver:
        """The host that receives; UDP matters to it where a walk is to find the tunnel there."""
        ours = self.underlay.addresses or (() if self.local is None else (self.local,))
        ours = (*ours, *self._groups) if ours else ()
        return Receiver(self.family, self.underlay.mac, ours, bool(self._ports()))

    @abstractmethod
    def _check(self, going: Receiving) -> None:
        """Refuses what the device does not take; says where the inner packets begin."""

    def _in_order(self, stages: Sequence[tuple[Receiving, Int64s]]) -> None:
        """Refuses what depends on the order of arrival, and what is looked at only behind that.

        stages: packets that came whole, those whose fragments were joined, and so on, with the
        rows of the input that they come from.
        """

    def _inner(self, going: Receiving, rows: Int64s) -> Delivery:
        """The inner packets, which come from these rows of the input."""
        return inner_packets(going, rows)


def batch(verb: str, packets: object) -> Packets:
    """The packets that were given to a method. TypeError where they are no batch."""
    if isinstance(packets, Packets):
        return packets
    raise TypeError(
        f"{verb} takes Packets, not {type(packets).__name__}:"
        " Packets.from_frames makes them of frames"
    )


def _made(kind: type[Tunnel], options: dict[str, Any]) -> Tunnel:
    """A tunnel with these options."""
    return kind(**options)


def link_headers(link: Link) -> tuple[Header, ...]:
    """The headers in front of the outer IP header, from what `encap` takes for them."""
    if link is None:
        return ()
    if isinstance(link, Header):
        return (link,)
    return tuple(template(link) if isinstance(link, str) else link)
