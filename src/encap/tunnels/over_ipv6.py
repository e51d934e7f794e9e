"""What tunnels directly over IPv6 share: hop limit, class, flow label, encapsulation limit.

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
from encap.tunnels.carried import IPV6, protocols
from encap.tunnels.departing import Wrapping
from encap.tunnels.fou import FOU_WORDS, FOUDevice
from encap.tunnels.innerip import SOURCE, Heads
from encap.tunnels.inside import ETHERNET_LEN, IPV6_LEAST, IPV6_LEN, Inside
from encap.tunnels.iptunnel import ADDRESSES, TOS, TTL, ip_header, number_or, outer_options
from encap.tunnels.limits import NO_LIMIT, Limits
from encap.tunnels.options import NumberOption, frozen
from encap.tunnels.reasons import Reason
from encap.tunnels.replies import WRONG_FIELD, answers
from encap.tunnels.words import Words, hexadecimal_or_word, passed, word_or_number

if TYPE_CHECKING:
    from encap.packets import Packets
    from encap.tunnels.receiving import Family

__all__ = ["IPV6_WORDS", "OverIPv6"]

IPV6_WORDS: Words = {
    **ADDRESSES, **FOU_WORDS, "ttl": TTL, "hoplimit": TTL, "hlim": TTL, "tos": TOS, "dsfield": TOS,
    "dev": passed(1),
    "tclass": TOS, "tc": TOS, "flowlabel": hexadecimal_or_word("flowlabel", inherit="inherit"),
    "encaplimit": word_or_number("encaplimit", none="none"),
}  # fmt: skip
LABELS = 0xFFFFF
ETHERTYPE = 0x86DD


@frozen
class OverIPv6(FOUDevice):
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
    LEAST_MTU: ClassVar[int] = IPV6_LEAST
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
        limits = _limit(self._limit, protocol)
        network = ip_header(
            self,
            flow_label=number_or(self.flowlabel, 0),
            next_header=None if limits else protocol,
        )
        wrapping = Wrapping([(network, *limits, *headers)], {}, self._outer())
        wrapping.always = IPV6_LEAST + (ETHERNET_LEN if self.FRAMES else 0)
        return wrapping

    @property
    def _limit(self) -> int:
        """How many tunnels packets may yet enter that do not say so themselves."""
        return NO_LIMIT if self.encaplimit == "none" else number_or(self.encaplimit, 4)

    def _refuse_and_limit(
        self, wrapping: Wrapping, packets: Packets, heads: Heads | None = None
    ) -> None:
        """Limits of packets that have one already; refuses those that may enter no more tunnels.

        What comes from the other end is refused, too: it goes round in a circle.
        heads: the first 24 octets of IP packets, where they were read already.
        Source: RFC 2473 section 4.1; Linux, prepare_ip6gre_xmit_ipv6.
        """
        inner = _behind_ethernet(packets) if self.FRAMES else packets
        heads = heads or Heads(inner, SOURCE + 16)
        if self.FRAMES:
            kind = Heads(packets, 16).shorts(ETHERNET_LEN - 2)
            sixth = (kind == ETHERTYPE) & (inner.lengths >= IPV6_LEN)
        else:
            sixth = protocols(packets, heads) == IPV6
        if not sixth.any():
            return
        if self.remote is not None:
            circles = np.flatnonzero(sixth & heads.addresses(SOURCE).are(self.remote))
            wrapping.refuse(circles, Reason.NOT_CARRIED, len(packets))
        limits = Limits.of(inner, sixth, heads, self._limit)
        if len(limits.spent):
            gone = wrapping.refuse(limits.spent, Reason.LIMIT, len(packets))
            rest = np.zeros(len(packets), np.int64)
            rest[limits.spent] = limits.places + 2
            told = answers(self, packets, Inside.of(packets, gone), WRONG_FIELD, rest)
            wrapping.replies.append(told)
        known, which = limits.templates()
        if known != [self._limit]:
            network, *behind = wrapping.templates[0]
            behind = behind[len(_limit(self._limit)) :]
            wrapping.templates = [(network, *_limit(one), *behind) for one in known]
            wrapping.which = which

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


def _limit(limit: int, protocol: int | None = None) -> tuple[Header, ...]:
    """The header that says how many tunnels there may yet be, in front of a protocol."""
    if limit == NO_LIMIT:
        return ()
    option = Option(ENCAPSULATION_LIMIT, bytes([limit]))
    return (DestinationOptions(options=(option,), next_header=protocol),)


def _behind_ethernet(frames: Packets) -> Packets:
    """What the Ethernet headers of frames carry."""
    header = np.minimum(frames.lengths, ETHERNET_LEN)
    return frames._make(
        frames.data,
        frames.starts + header,
        frames.lengths - header,
        wire_lengths=frames.wire_lengths - header,
        times=frames.times,
        linktypes=frames.linktypes,
    )
