"""Geneve options whose meaning is known.  Source: each class names its own.

An option is a `GeneveOption`, octets with a class and a type; a `TypedOption` is what these
octets say, described like a header. `known` goes from the first to the second, `option` back.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, ClassVar, Self

from encap.errors import DecodeError
from encap.fields import U1, U16, U32, U64, Bits, Header, IPv4Field, header
from encap.headers.geneve import GeneveOption

AWS, OVN, CILIUM = 0x0108, 0x0102, 0x014B
"""Option classes, as IANA assigned them."""


class TypedOption(Header):
    """The data of one option: a class decorated by `@header`, `bytes()` of which are the data."""

    __slots__ = ()
    option_class: ClassVar[int]
    type: ClassVar[int]
    """All 8 bits, the critical one included."""

    def option(self) -> GeneveOption:
        """The option as a Geneve header carries it."""
        return GeneveOption(self.option_class, self.type, bytes(self))

    @classmethod
    def of(cls, option: GeneveOption) -> Self | None:
        """What `option` says; None when it is of another kind, or another length."""
        if (option.option_class, option.type) != (cls.option_class, cls.type):
            return None
        try:
            found = cls.parse(option.data)
        except DecodeError:
            return None
        return found if found.option() == option else None


@header("aws_gwlb_eni")
class GatewayLoadBalancerENI(TypedOption):
    """Which endpoint the packet came through.  Source: AWS, gwlbtun.

    id: identifier of the endpoint's elastic network interface
    """

    option_class = AWS
    type = 1

    id: U64 = 0


@header("aws_gwlb_attachment")
class GatewayLoadBalancerAttachment(TypedOption):
    """Which attachment the packet came through.  Source: AWS, gwlbtun.

    id: identifier of the attachment
    """

    option_class = AWS
    type = 2

    id: U64 = 0


@header("aws_gwlb_cookie")
class GatewayLoadBalancerCookie(TypedOption):
    """Which flow the packet belongs to; to be returned unchanged.  Source: AWS, gwlbtun.

    cookie: identifier of the flow
    """

    option_class = AWS
    type = 3

    cookie: U32 = 0


@header("ovn_ports")
class OVNPorts(TypedOption):
    """Logical ports of a packet between hypervisors.  Source: ovn-architecture(7).

    reserved: 0
    ingress: key of the logical port that the packet entered by
    egress: key of the logical port, or the multicast group, that it leaves by
    """

    option_class = OVN
    type = 0x80

    reserved: U1 = 0
    ingress: Annotated[int, Bits(15)] = 0
    egress: U16 = 0


@header("cilium_dsr")
class CiliumDSR(TypedOption):
    """The service that a packet was sent to, for direct server return.  Source: Cilium.

    address: address of the service
    port: port of the service
    padding: 0
    """

    option_class = CILIUM
    type = 0x81

    address: IPv4Field = IPv4Field()
    port: U16 = 0
    padding: U16 = 0


KNOWN: tuple[type[TypedOption], ...] = (
    GatewayLoadBalancerENI,
    GatewayLoadBalancerAttachment,
    GatewayLoadBalancerCookie,
    OVNPorts,
    CiliumDSR,
)
"""The kinds that `known` tries."""


def known(
    option: GeneveOption | bytes, kinds: Iterable[type[TypedOption]] = KNOWN
) -> TypedOption | GeneveOption | bytes:
    """What `option` says, by the first of `kinds` that can read it; itself when none can."""
    if isinstance(option, GeneveOption):
        for kind in kinds:
            found = kind.of(option)
            if found is not None:
                return found
    return option
