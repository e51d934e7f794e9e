"""VXLAN, with group policy.  Source: RFC 7348 section 5, draft-smith-vxlan-group-policy-05.

    flags | reserved1 (3) | vni (3) | reserved2

What follows is always an Ethernet frame without its check sequence.
"""

from __future__ import annotations

from typing import Any

from encap.fields import U8, U24, Check, Header, View, header

UDP_PORT = 4789
LINUX_PORT = 8472
"""What Linux uses where no port is given: it is older than the assignment."""
I_FLAG, G_FLAG = 0x08, 0x80


def _has_policy(vxlan: Any) -> bool:
    return bool(vxlan.flags & G_FLAG)


@header("vxlan")
class VXLAN(Header):
    """A virtual LAN over UDP.  Source: RFC 7348 section 5.

    flags: 0x08 (I) says that the VNI is valid, 0x80 (G) that there is a group policy
    reserved1: 0; with G the policy bits and the group
    vni: VXLAN network identifier
    reserved2: 0
    """

    tunnel = True
    checks = (Check("flags", "flags & 0x08"),)
    reserved_bits = {"flags": 0x77}  # noqa: RUF012  nobody writes to it

    flags: U8 = I_FLAG
    reserved1: U24 = 0
    vni: U24 = 0
    reserved2: U8 = 0

    gbp_dont_learn = View("reserved1", 1, 22, when=_has_policy)
    gbp_applied = View("reserved1", 1, 19, when=_has_policy)
    group_policy_id = View("reserved1", 16, when=_has_policy)

    def follows(self, registry: Any, rest: memoryview) -> str | None:
        return "eth"
