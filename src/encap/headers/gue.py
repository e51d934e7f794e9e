"""Generic UDP encapsulation (GUE).  Source: draft-ietf-intarea-gue-09 section 3; Linux, gue.h.

version (2 bits) control (1) hlen (5) | protocol | flags (2)
optional (0 to 124): what `flags` announces

In version 1 there is no such header: the first bits are those of an IPv4 or IPv6 header, which
follows UDP directly, and so it does in a path.
"""

from __future__ import annotations

from typing import Annotated, Any

from encap.fields import U1, U2, U16, Bits, Check, Header, Next, Own, header
from encap.headers.options import Octets

UDP_PORT = 6080
MAX_OPTIONAL_LEN = 124
PRIVATE = 0x0001
"""The bit of `flags` that says: private flags, 4 octets, stand in `optional`."""
REMCSUM = 0x80000000
"""The private flag of remote checksum offload, which brings 4 octets more."""


@header("gue")
class GUE(Header):
    """Generic UDP encapsulation, version 0.  Source: draft-ietf-intarea-gue-09 section 3.1.

    version: 0
    control: 1 in messages for the endpoint itself, of which `protocol` is the type
    hlen: octets of the optional fields, a multiple of 4
    protocol: IP protocol number of what follows
    flags: which of them there are; 1 private flags, the only ones that Linux knows
    optional: these fields, as octets
    """

    length = "4 + hlen"
    checks = (Check("version", "version == 0", unsupported=True),)

    version: U2 = 0
    control: U1 = 0
    hlen: Annotated[int | None, Bits(5, scale=4), Own(lambda _, size: size - 4)] = None
    protocol: Annotated[int | None, Bits(8), Next("protocol")] = None
    flags: U16 = 0
    optional: Annotated[bytes, Octets(unit=4, most=MAX_OPTIONAL_LEN)] = b""

    def follows(self, registry: Any, rest: memoryview) -> str | None:
        return None if self.control else super().follows(registry, rest)
