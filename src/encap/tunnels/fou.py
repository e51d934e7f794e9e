"""Tunnels in UDP: `encap fou` and `encap gue` of devices that are otherwise directly over IP.

Foo over UDP has no header of its own: the port says what follows. Generic UDP encapsulation has
one, which does. What a host takes is said by its ports, `ip fou add`, and not by the device.
Source: Linux, net/ipv4/fou_core.c; draft-ietf-intarea-gue-09.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from encap._lib import lib
from encap.errors import TunnelError
from encap.fields import Header
from encap.headers.gue import GUE, PRIVATE, REMCSUM
from encap.headers.udp import UDP
from encap.registry import DEFAULT
from encap.tunnels.guereceiving import open_gue
from encap.tunnels.options import NumberOption, frozen, number_or
from encap.tunnels.outer import UDP as UDP_PROTOCOL
from encap.tunnels.outer import UDP_LEN
from encap.tunnels.reasons import Reason
from encap.tunnels.receiving import IN_UDP
from encap.tunnels.remcsum import partial_sums
from encap.tunnels.replies import PORT, PROTOCOL, unreachable
from encap.tunnels.tunnel import Tunnel
from encap.tunnels.words import Words, flag, number, read, text, word_or_number

if TYPE_CHECKING:
    from encap.packets import Packets
    from encap.tunnels.departing import Wrapping
    from encap.tunnels.receiving import Receiving

__all__ = ["FOU_WORDS", "FOUDevice", "FOUPort", "fou_ports"]

FOU_WORDS: Words = {
    "encap": text("encap_type", "none"), "noencap": flag("encap_type", None),
    "encap-sport": word_or_number("encap_sport", auto=0), "encap-dport": number("encap_dport"),
    "encap-csum": flag("encap_csum"), "noencap-csum": flag("encap_csum", value=False),
    "encap-udp6-csum": flag("encap_udp6_csum"),
    "noencap-udp6-csum": flag("encap_udp6_csum", value=False),
    "encap-remcsum": flag("encap_remcsum"), "noencap-remcsum": flag("encap_remcsum", value=False),
}  # fmt: skip
NAMES = {"ipip": 4, "ipencap": 4, "ipv6": 41, "gre": 47, "mpls-in-ip": 137}
"""IP protocols by the names that /etc/protocols has."""
PORT_WORDS: Words = {
    "port": number("port"), "ipproto": word_or_number("ipproto", **NAMES), "gue": flag("gue"),
}  # fmt: skip
GRE = 47
SILENT = (0, 1, 2, 4, 6, 17, 41, 50, 51, 108)
"""Protocols that the host has a use for, or passes to one that says nothing."""
IN_FRONT = ("ipv4", "ipv6", "hopopt", "dstopts", "routing")
"""Headers behind which UDP comes."""


@frozen
class FOUPort:
    """`ip fou add port N ipproto P`, or `ip fou add port N gue`: where the host takes tunnels.

    ipproto: the IP protocol that follows UDP.  gue: a GUE header follows, which says it.
    """

    port: NumberOption = NumberOption(1, 65535)
    ipproto: NumberOption = NumberOption(1, 255)
    gue: bool = False

    def __post_init__(self) -> None:
        if self.port is None:
            raise TunnelError("port is wanted: where the host listens")
        if self.gue == (self.ipproto is not None):
            raise TunnelError("a port takes either gue or one ipproto")

    @property
    def follows(self) -> str | None:
        """The path name of what a walk finds behind UDP."""
        if self.gue:
            return "gue"
        return DEFAULT.name("protocol", self.ipproto if isinstance(self.ipproto, int) else None)


def fou_ports(commands: Iterable[list[str]]) -> tuple[FOUPort, ...]:
    """The ports that `ip fou add` made, from the words behind it."""
    return tuple(FOUPort(**read(iter(words), PORT_WORDS, "ip fou add")) for words in commands)


@frozen
class FOUDevice(Tunnel):
    """A device directly over IP, that can be put into UDP.

    encap_type: "fou" or "gue" sends in UDP; the option `encap`, whose name is that of a method.
    encap_sport: source port; 0 ("auto") has the entropy of each packet's flow.
    encap_dport: destination port.
    encap_csum, encap_udp6_csum: the UDP checksum is computed over IPv4, over IPv6.
    encap_remcsum: with GUE, inner checksums that are left to a network card are left to the
        receiver (remote checksum offload).
    fou_ports: where the host takes tunnels in UDP, whatever the device sends; None is encap_dport
        for what the device sends, where it sends in UDP. Packets directly over IP are always taken.
    """

    encap_type: str | None = None
    encap_sport: NumberOption = NumberOption(0, 65535, default=0)
    encap_dport: NumberOption = NumberOption(0, 65535, default=0)
    encap_csum: bool = False
    encap_udp6_csum: bool = False
    encap_remcsum: bool = False
    fou_ports: tuple[FOUPort, ...] | None = None

    PROTOCOL: ClassVar[int] = 4
    """What follows UDP, where only the device's own kind says it."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.encap_type not in (None, "fou", "gue"):
            raise TunnelError(f"encap_type is 'fou', 'gue' or None, not {self.encap_type!r}")
        if self.encap_type is not None and not self.encap_dport:
            raise TunnelError(f"encap_type {self.encap_type!r} wants encap_dport")
        if self.encap_remcsum and self.encap_type != "gue":
            raise TunnelError("encap_remcsum goes with encap_type 'gue' alone")
        if self.fou_ports is not None:
            object.__setattr__(self, "fou_ports", tuple(self.fou_ports))

    @property
    def _listening(self) -> tuple[FOUPort, ...]:
        """Where the host takes tunnels in UDP."""
        if self.fou_ports is not None:
            return self.fou_ports
        if self.encap_type is None:
            return ()
        if self.encap_type == "gue":
            return (FOUPort(port=self.encap_dport, gue=True),)
        return (FOUPort(port=self.encap_dport, ipproto=self.PROTOCOL),)

    # --- packets out

    def _encapsulate(self, wrapping: Wrapping, packets: Packets) -> None:
        super()._encapsulate(wrapping, packets)
        if self.encap_type is None:
            return
        wrapping.options["sport"] = "linux"
        made = wrapping.templates
        wrapping.templates = [self._in_udp(headers, b"") for headers in made]
        if self.encap_remcsum:
            self._offload(wrapping, made, packets)

    def _in_udp(self, headers: tuple[Header, ...], private: bytes) -> tuple[Header, ...]:
        """Headers with UDP, and for GUE its own, behind those of IP."""
        at = next((at for at, one in enumerate(headers) if one.path not in IN_FRONT), len(headers))
        fourth = headers[0].path == "ipv4"
        summed, name = self.encap_csum if fourth else self.encap_udp6_csum, "next_header"
        if fourth and at == 1:
            name = "protocol"
        protocol: int | None = getattr(headers[at - 1], name)
        network = (*headers[: at - 1], headers[at - 1]._with({name: None}))
        udp = UDP(
            sport=number_or(self.encap_sport, 0) or None,
            dport=number_or(self.encap_dport, 0),
            checksum=None if summed else 0,
        )
        if self.encap_type == "fou":
            return (*network, udp, *headers[at:])
        gue = GUE(protocol=protocol, flags=PRIVATE if private else 0, optional=private)
        return (*network, udp, gue, *headers[at:])

    def _offload(
        self, wrapping: Wrapping, made: list[tuple[Header, ...]], packets: Packets
    ) -> None:
        """Templates for packets whose checksum is left to the receiver: one for each place of it.

        Source: Linux, gue_build_header; draft-herbert-remotecsumoffload-02.
        """
        starts, offsets = partial_sums(packets)
        lengths = [sum(one.header_len for one in headers) for headers in made]
        plain = [sum(one.header_len for one in headers if one.path in IN_FRONT) for headers in made]
        which = np.zeros(len(packets), np.int64) if wrapping.which is None else wrapping.which
        more = np.array(lengths, np.int64) - np.array(plain, np.int64)
        places = np.where(offsets > 0, (starts + more[which]) << 16 | (offsets + more[which]), -1)
        found, which_new = np.unique(
            np.stack([which.astype(np.int64), places], 1), axis=0, return_inverse=True
        )
        if len(found) > 256:
            raise TunnelError("inner checksums stand in more than 256 places")
        wrapping.templates = [
            self._in_udp(made[one], _private(place)) for one, place in found.tolist()
        ] or [self._in_udp(headers, _private(0)) for headers in made]
        wrapping.which = which_new.reshape(-1).astype(np.uint8) if len(found) > 1 else None

    # --- packets in

    def _ports(self) -> Mapping[int, str | None]:
        return {int(one.port or 0): one.follows for one in self._listening}

    def _receive(self, packets: Packets) -> Receiving:
        going = super()._receive(packets)
        nobody = (going.reasons == Reason.OTHER_PROTOCOL) & (going.flags & IN_UDP != 0)
        others = np.isin(going.protocol, SILENT)
        going.reasons[nobody] = Reason.NO_PROTOCOL
        going.reasons[nobody & others] = Reason.OTHERS_PROTOCOL
        rows = np.flatnonzero(nobody)
        if len(rows) and self.family == "ipv4":
            told = rows[~others[rows]]
            # The length in the quoted header is what is left behind the headers in UDP.
            ip = going.ip[told]
            header = (going.numbers(told, ip, 1) & 15).astype(np.int64) * 4
            pulled = going.upper[told] - ip - header
            for error, where in ((PORT, going.protocol[told] == GRE),
                                 (PROTOCOL, going.protocol[told] != GRE)):  # fmt: skip
                if where.any():
                    answers = unreachable(going, told[where], error, pulled[where])
                    going.replies.append(answers)
        return going

    def _unwrap(self, going: Receiving) -> None:
        super()._unwrap(going)
        ports = self._listening
        udp = going.protocol == UDP_PROTOCOL
        if not ports or not udp.any():
            return
        going.refuse(udp & (going.flags & lib.ENCAP_UDP_LENGTH != 0), Reason.UDP_LENGTH)
        if self.underlay.udp_checksums:
            going.refuse(udp & (going.flags & lib.ENCAP_UDP_CHECKSUM != 0), Reason.UDP_CHECKSUM)
        self._knock(going, udp)
        inner = going.upper + UDP_LEN
        protocol = np.zeros(len(going), np.uint8)
        for one in ports:
            mine = udp & (going.columns["udp.dport"] == np.uint16(one.port or 0))
            if one.gue:
                open_gue(going, mine, protocol, inner)
            else:
                protocol[mine] = one.ipproto or 0
        going.protocol = np.where(udp, protocol, going.protocol)
        going.upper = np.where(udp, inner, going.upper)
        going.inner = going.upper
        going.enter_udp(udp)

    def _knock(self, going: Receiving, udp: np.ndarray[Any, np.dtype[np.bool_]]) -> None:
        """Refuses packets for ports at which nobody listens; who sent them is told so."""
        known = np.zeros(len(going), np.bool_)
        for one in self._listening:
            known |= going.columns["udp.dport"] == np.uint16(one.port or 0)
        other = udp & ~known
        rows = going.rows(other)
        if len(rows):
            going.replies.append(unreachable(going, rows))
            going.refuse(other, Reason.NO_PORT)


def _private(place: int) -> bytes:
    """Private flags and fields of remote checksum offload; nothing where it is not used."""
    if place < 0:
        return b""
    return REMCSUM.to_bytes(4, "big") + place.to_bytes(4, "big")
