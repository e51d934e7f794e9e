"""Linux cooked captures, versions 1 and 2.  Source: the tcpdump group's LINKTYPE_LINUX_SLL, _SLL2.

    SLL   packet_type (2) | arphrd (2) | addr_len (2) | addr (8) | protocol (2)
    SLL2  protocol (2) | reserved (2) | ifindex (4) | arphrd (2) | packet_type | addr_len | addr (8)

They stand where a capture on any interface has no link layer of its own.
"""

from __future__ import annotations

from typing import Annotated, Any

from encap.fields import U8, U16, U32, U64, Bits, Header, Next, header
from encap.headers.ethernet import MAX_LENGTH

LLC_FRAME = 0x0004
"""Linux's number for frames with an IEEE 802.2 LLC header (LINUX_SLL_P_802_2)."""
TO_US, BROADCAST, MULTICAST, TO_OTHERS, FROM_US = range(5)
"""Values of `packet_type`."""


def _follows(registry: Any, protocol: int | None) -> str | None:
    """What follows: up to 1500, Linux's own numbers stand where others have a length."""
    if protocol is not None and protocol <= MAX_LENGTH:
        return "llc" if protocol == LLC_FRAME else None
    name: str | None = registry.name("ethertype", protocol)
    return name


@header("sll")
class SLL(Header):
    """A Linux cooked header, version 1.  Source: the tcpdump group's LINKTYPE_LINUX_SLL.

    packet_type: 0 to us, 1 broadcast, 2 multicast, 3 between others, 4 sent by us
    arphrd: what the interface is, as Linux's ARPHRD_ numbers; 1 is Ethernet
    addr_len: octets of the sender's link-layer address; may be above 8
    addr: that address, from the left; the rest is padding
    protocol: EtherType of what follows, or one of Linux's own numbers below 1536
    """

    packet_type: U16 = TO_US
    arphrd: U16 = 1
    addr_len: U16 = 6
    addr: U64 = 0
    protocol: Annotated[int | None, Bits(16), Next("ethertype")] = None

    def follows(self, registry: Any, rest: memoryview) -> str | None:
        return _follows(registry, self.protocol)


@header("sll2")
class SLL2(Header):
    """A Linux cooked header, version 2.  Source: the tcpdump group's LINKTYPE_LINUX_SLL2.

    protocol: EtherType of what follows, or one of Linux's own numbers below 1536
    reserved: 0
    ifindex: number of the interface on the machine that captured
    arphrd: what the interface is, as Linux's ARPHRD_ numbers; 1 is Ethernet
    packet_type: 0 to us, 1 broadcast, 2 multicast, 3 between others, 4 sent by us
    addr_len: octets of the sender's link-layer address; may be above 8
    addr: that address, from the left; the rest is padding
    """

    protocol: Annotated[int | None, Bits(16), Next("ethertype")] = None
    reserved: U16 = 0
    ifindex: U32 = 0
    arphrd: U16 = 1
    packet_type: U8 = TO_US
    addr_len: U8 = 6
    addr: U64 = 0

    def follows(self, registry: Any, rest: memoryview) -> str | None:
        return _follows(registry, self.protocol)
