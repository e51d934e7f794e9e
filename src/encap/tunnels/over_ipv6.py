"""What GRE devices over IPv6 share: hop limit, class, flow label, encapsulation limit.

The hosts of the underlay are told how often a packet may yet be put into a tunnel, by an option
in front of what is carried. Source: RFC 2473 sections 4.1.1 and 6; Linux, ip6_tnl_xmit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from encap.errors import TunnelError
from encap.fields import Header
from encap.headers.ipv6_extensions import ENCAPSULATION_LIMIT, DestinationOptions
from encap.headers.options import Option
from encap.tunnels.departing import Wrapping
from encap.tunnels.inside import Inside
from encap.tunnels.iptunnel import ADDRESSES, TOS, TTL, ip_header, number_or, outer_options
from encap.tunnels.options import NumberOption, frozen
from encap.tunnels.tunnel import Tunnel
from encap.tunnels.words import Words, hexadecimal_or_word, word_or_number

if TYPE_CHECKING:
    from encap.packets import Packets
    from encap.tunnels.receiving import Family

__all__ = ["IPV6_WORDS", "OverIPv6"]

IPV6_WORDS: Words = {
    **ADDRESSES, "ttl": TTL, "hoplimit": TTL, "hlim": TTL, "tos": TOS, "dsfield": TOS,
    "tclass": TOS, "tc": TOS, "flowlabel": hexadecimal_or_word("flowlabel", inherit="inherit"),
    "encaplimit": word_or_number("encaplimit", none="none"),
}  # fmt: skip
LABELS = 0xFFFFF


@frozen
class OverIPv6(Tunnel):
    """A tunnel device directly over IPv6.

    ttl, hoplimit: one option with two names; None is 64, 0 inherits the inner one.
    tos, tclass: the same. ECN is inherited with it, or not at all.
    flowlabel: of the outer header, or "inherit"; where it is 0, each flow has a label of its own.
    encaplimit: how many tunnels a packet may yet be put into, or "none" to say nothing of it.
    """

    hoplimit: NumberOption = NumberOption(0, 255, "inherit")
    tclass: NumberOption = NumberOption(0, 255, "inherit")
    flowlabel: NumberOption = NumberOption(0, LABELS, "inherit", default=0)
    encaplimit: NumberOption = NumberOption(0, 255, "none", default=4)

    FAMILY: ClassVar[Family | None] = "ipv6"
    WORDS: ClassVar[Words] = IPV6_WORDS

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, other in (("ttl", "hoplimit"), ("tos", "tclass")):
            said = getattr(self, other)
            if said is None:
                continue
            if getattr(self, name) not in (getattr(type(self), name), said):
                raise TunnelError(f"{name} and {other} are two names of one option, and differ")
            # It is kept under one name, so that equal tunnels are equal.
            object.__setattr__(self, name, said)
            object.__setattr__(self, other, None)

    @property
    def _limits(self) -> tuple[Header, ...]:
        """The header that says how many tunnels there may yet be."""
        if self.encaplimit == "none":
            return ()
        limit = bytes([number_or(self.encaplimit, 4)])
        return (DestinationOptions(options=(Option(ENCAPSULATION_LIMIT, limit),)),)

    def _outer(self) -> dict[str, Any]:
        """Options of `Packets.encap` for the outer header."""
        options = outer_options(self)
        if self.ttl == 0:
            options["ttl"] = "inherit"
        if self.profile == "linux":
            del options["ecn"]
        return options

    def _wrapping(self, *headers: Header, protocol: int | None = None) -> Wrapping:
        """IPv6, the encapsulation limit and other headers in front of packets."""
        label = number_or(self.flowlabel, 0)
        network = ip_header(self, flow_label=label)
        return Wrapping([(network, *self._limits, *headers)], {}, self._outer())

    def _settle(self, wrapping: Wrapping, packets: Packets) -> None:
        """Flow labels, where nobody said which.  Source: RFC 6437; Linux, ip6_make_flowlabel."""
        super()._settle(wrapping, packets)
        said = number_or(self.flowlabel, 0) or "ipv6.flow_label" in wrapping.columns
        if said or self.family != "ipv6":
            return
        labels = packets.flow_hash() & np.uint32(LABELS)
        if self.flowlabel == "inherit":
            inside = Inside.of(packets, np.arange(len(packets), dtype=np.int64))
            inside = inside.chosen(inside.ipv6)
            at = inside.ip[:, None] + np.arange(4)
            inner = packets.data[at].view(">u4")[:, 0].astype(np.uint32) & np.uint32(LABELS)
            labels[inside.rows[inner != 0]] = inner[inner != 0]
        wrapping.columns["ipv6.flow_label"] = labels
