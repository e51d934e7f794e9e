"""ARP.  Source: RFC 826.

    htype (2) | ptype (2) | hlen | plen | op (2) | sha (6) | spa (4) | tha (6) | tpa (4)

Addresses of other sizes are kept as octets.
"""

from __future__ import annotations

from typing import Annotated

from encap.fields import U8, U16, Header, IPv4Field, MACField, When, header
from encap.headers.options import Octets

REQUEST, REPLY = 1, 2

ETHERNET_AND_IPV4 = When((("hlen", 0xFF, 6), ("plen", 0xFF, 4)))
OTHERS = When(ETHERNET_AND_IPV4.tests, negate=True)


@header("arp")
class ARP(Header):
    """An address resolution message.  Source: RFC 826.

    htype: kind of link; 1 is Ethernet
    ptype: EtherType of the protocol whose addresses are resolved
    hlen: octets of a hardware address
    plen: octets of a protocol address
    op: 1 request, 2 reply
    sha: sender's hardware address; this and the next three are there when hlen is 6 and plen is 4
    spa: sender's protocol address
    tha: target's hardware address
    tpa: target's protocol address
    addresses: the four addresses as octets, where they have other sizes
    """

    length = "8 + 2 * (hlen + plen)"

    htype: U16 = 1
    ptype: U16 = 0x0800
    hlen: U8 = 6
    plen: U8 = 4
    op: U16 = REQUEST
    sha: Annotated[MACField, ETHERNET_AND_IPV4] = MACField()
    spa: Annotated[IPv4Field, ETHERNET_AND_IPV4] = IPv4Field()
    tha: Annotated[MACField, ETHERNET_AND_IPV4] = MACField()
    tpa: Annotated[IPv4Field, ETHERNET_AND_IPV4] = IPv4Field()
    addresses: Annotated[bytes, OTHERS, Octets(most=4 * 255)] = b""
