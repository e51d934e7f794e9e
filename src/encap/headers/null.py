"""The loopback header of BSD and macOS.  Source: the tcpdump group's LINKTYPE_NULL.

    family (4)

LINKTYPE_LOOP is the same in network byte order.
"""

from __future__ import annotations

from typing import Any

from encap.fields import U32, Header, header

IPV4_FAMILY = 2
IPV6_FAMILIES = (10, 24, 28, 30)
"""AF_INET6 of Linux; NetBSD, OpenBSD; FreeBSD, DragonFly; macOS."""


@header("null")
class Null(Header):
    """A loopback header.  Source: the tcpdump group's LINKTYPE_NULL.

    family: address family in the byte order of the machine that captured, read here as big-endian
    """

    family: U32 = IPV4_FAMILY << 24

    def follows(self, registry: Any, rest: memoryview) -> str | None:
        family = self.family
        if family > 0xFFFF:  # written by a little-endian machine
            family = int.from_bytes(family.to_bytes(4, "big"), "little")
        if family == IPV4_FAMILY:
            return "ipv4"
        return "ipv6" if family in IPV6_FAMILIES else None
