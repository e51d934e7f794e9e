"""UDP.  Source: RFC 768.

sport (2) | dport (2) | len (2) | checksum (2)
"""

from __future__ import annotations

from typing import Annotated, Any

from encap.fields import Bits, Check, Checksum, Header, Length, Port, header

ESP_PORT = 4500
"""ESP and IKE in UDP.  Source: RFC 3948 section 2."""


@header("udp")
class UDP(Header):
    """A UDP header.  Source: RFC 768.

    sport: source port
    dport: destination port, which says what follows
    len: octets of the header and all that follows; 0 only in jumbograms (RFC 2675)
    checksum: of pseudo header, header and payload; 0 says that there is none
    """

    checks = (Check("len", "len == 0 or len >= 8"),)

    sport: Annotated[int | None, Bits(16), Port(known=False)] = None
    dport: Annotated[int | None, Bits(16), Port(known=True)] = None
    len: Annotated[int | None, Bits(16), Length("packet")] = None
    checksum: Annotated[int | None, Bits(16), Checksum("rest", pseudo=True, zero=0xFFFF)] = None

    def extent(self) -> tuple[int, str] | None:
        return (self.len, "len") if self.len else None

    def follows(self, registry: Any, rest: memoryview) -> str | None:
        name: str | None = registry.name("port", self.dport)
        if name == "esp" and (len(rest) < 4 or not any(rest[:4])):
            return None  # a NAT keepalive, or IKE behind its four zeros (RFC 3948 section 2)
        if name == "gue" and len(rest) and rest[0] >> 6 == 1:
            return {4: "ipv4", 6: "ipv6"}.get(rest[0] >> 4)  # version 1 has no header of its own
        return name
