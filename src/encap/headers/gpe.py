"""VXLAN with the generic protocol extension.  Source: draft-ietf-nvo3-vxlan-gpe-13 section 3.

reserved0 (2 bits) version (2) flags (4: I P B O) | reserved1 (2) | next_protocol
vni (3) | reserved2
"""

from __future__ import annotations

from typing import Annotated, Any

from encap.fields import (
    U2,
    U4,
    U8,
    U16,
    U24,
    Bits,
    Check,
    Header,
    Next,
    header,
)  # fmt: skip

UDP_PORT = 4790
I_FLAG, P_FLAG, B_FLAG, O_FLAG = 8, 4, 2, 1


@header("gpe")
class VXLANGPE(Header):
    """VXLAN that says what it carries.  Source: draft-ietf-nvo3-vxlan-gpe-13 section 3.

    reserved0: 0
    version: 0
    flags: 8 (I) says that the VNI is valid, 4 (P) that `next_protocol` is; 2 (B) BUM, 1 (O) OAM
    reserved1: 0
    next_protocol: 1 IPv4, 2 IPv6, 3 Ethernet; without P Ethernet follows
    vni: VXLAN network identifier
    reserved2: 0
    """

    tunnel = True
    checks = (Check("version", "version == 0", unsupported=True),)

    reserved0: U2 = 0
    version: U2 = 0
    flags: U4 = I_FLAG | P_FLAG
    reserved1: U16 = 0
    next_protocol: Annotated[int | None, Bits(8), Next("gpe")] = None
    vni: U24 = 0
    reserved2: U8 = 0

    def follows(self, registry: Any, rest: memoryview) -> str | None:
        return super().follows(registry, rest) if self.flags & P_FLAG else "eth"
