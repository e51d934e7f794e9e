"""What tunnels directly over IP share: the outer header, and whose packet it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from encap.fields import Header
from encap.headers.ipv4 import IPv4
from encap.headers.ipv6 import IPv6
from encap.tunnels.departing import Wrapping
from encap.tunnels.fou import FOU_WORDS, FOUDevice
from encap.tunnels.options import frozen, number_or
from encap.tunnels.outer import is_address
from encap.tunnels.reasons import Reason
from encap.tunnels.tunnel import Tunnel
from encap.tunnels.words import Words, flag, hexadecimal_or_word, passed, text, word_or_number

if TYPE_CHECKING:
    from encap.tunnels.receiving import Array, Bools, Family, Receiving

__all__ = [
    "ADDRESSES", "IPV4_WORDS", "OverIPv4", "check_ends", "ip_header", "number_or", "outer_options",
]  # fmt: skip

ADDRESSES: Words = {"local": text("local", "any"), "remote": text("remote", "any")}
TTL = word_or_number("ttl", inherit="inherit", auto=None)
TOS = hexadecimal_or_word("tos", inherit="inherit")
IPV4_WORDS: Words = {
    **ADDRESSES, "ttl": TTL, "hoplimit": TTL, "hlim": TTL, "tos": TOS, "dsfield": TOS,
    "dev": passed(1),
    **FOU_WORDS, "pmtudisc": flag("pmtudisc"), "nopmtudisc": flag("pmtudisc", value=False),
}  # fmt: skip


def outer_options(tunnel: Tunnel) -> dict[str, Any]:
    """What `Packets.encap` is to inherit: ECN as the profile has it, TOS and TTL if asked."""
    options: dict[str, Any] = {"ecn": "linux" if tunnel.profile == "linux" else "copy"}
    if tunnel.tos == "inherit":
        options["tos"] = "inherit"
    if tunnel.ttl == "inherit":
        options["ttl"] = "inherit"
    return options


def ip_header(tunnel: Tunnel, **fields: Any) -> Header:
    """The outer IP header of a tunnel, as far as its options say it."""
    ttl, tos = number_or(tunnel.ttl, 64), number_or(tunnel.tos, 0)
    local = tunnel.local or tunnel.underlay.source(tunnel.family)
    source, target = (0 if one is None else int(one) for one in (local, tunnel.remote))
    if tunnel.family == "ipv4":
        return IPv4(src=source, dst=target, ttl=ttl or 64, tos=tos, **fields)
    return IPv6(src=source, dst=target, hop_limit=ttl or 64, traffic_class=tos, **fields)


@frozen
class OverIPv4(FOUDevice):
    """A tunnel device directly over IPv4.

    ttl: None or 0 inherits the inner one.
    pmtudisc: DF is set in the outer header; otherwise it is that of an inner IPv4 packet.
    """

    pmtudisc: bool = True

    FAMILY: ClassVar[Family | None] = "ipv4"
    WORDS: ClassVar[Words] = IPV4_WORDS
    FIELDS: ClassVar[tuple[str, ...]] = ("ipv4.src", "ipv4.dst")

    def _outer(self) -> dict[str, Any]:
        """Options of `Packets.encap` for the outer header."""
        options = outer_options(self)
        if not self.ttl:
            options["ttl"] = "inherit"
        options["df"] = "set" if self.pmtudisc else "inherit"
        return options

    def _wrapping(self, *headers: Header, protocol: int | None = None) -> Wrapping:
        """IPv4 and other headers in front of packets."""
        return Wrapping([(ip_header(self, protocol=protocol), *headers)], {}, self._outer())

    def _check_ends(self, going: Receiving) -> None:
        """Refuses packets between other addresses."""
        check_ends(self, going)


def check_ends(tunnel: Tunnel, going: Receiving) -> None:
    """Refuses packets between other addresses than a tunnel's."""
    for column, mine in (("src", tunnel.remote), ("dst", tunnel.local)):
        if mine is not None:
            theirs = going.columns[f"{going.family}.{column}"]
            going.refuse(~is_address(theirs, mine), Reason.UNKNOWN_ENDS)


def short(going: Receiving, least: Array | int) -> Bools:
    """bool[n]: where an inner packet has fewer octets than this."""
    found: Bools = going.said - going.inner < least
    return found
