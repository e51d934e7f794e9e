"""MPLS label stack entries.  Source: RFC 3032 section 2.1, RFC 5462 section 3.

    label (20 bits) tc (3) bos (1) ttl (8)

Nothing in a label says what it carries: below the last one, IP is told by its version.
"""

from __future__ import annotations

from typing import Any

from encap.fields import U1, U3, U8, U20, Header, header


def by_version(rest: memoryview) -> str | None:
    """Path name of the IP header that starts with `rest`, by its first four bits; or None."""
    version = rest[0] >> 4 if len(rest) else 0
    return {4: "ipv4", 6: "ipv6"}.get(version)


@header("mpls")
class MPLS(Header):
    """One entry of a label stack.  Source: RFC 3032 section 2.1.

    label: label value; 0 to 15 have meanings of their own
    tc: traffic class
    bos: 1 at the bottom of the stack; 0 has to be said where another entry follows
    ttl: time to live
    """

    label: U20 = 0
    tc: U3 = 0
    bos: U1 = 1
    ttl: U8 = 64

    def follows(self, registry: Any, rest: memoryview) -> str | None:
        return by_version(rest) if self.bos else "mpls"
