"""IPv4 addresses inside IPv6 addresses: 6to4, 6rd and ISATAP.

    6to4      2002 | IPv4 address (32 bits) | subnet (16) | interface (64)
    6rd       prefix (n) | IPv4 address without its first m bits | subnet | interface (64)
    ISATAP    prefix (64) | 0000 or 0200 | 5efe | IPv4 address (32)

Source: RFC 3056 section 2, RFC 5969 section 4, RFC 5214 section 6.1.

6to4 is 6rd with the prefix 2002::/16 and all 32 bits. Each function takes one address, or a column
of them as batches have it: uint32[n] for IPv4, uint8[n, 16] for IPv6.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Any, TypeAlias, overload

import numpy as np
import numpy.typing as npt

from encap.errors import TunnelError
from encap.tunnels.halves import Halves
from encap.tunnels.options import NetworkOption, frozen

__all__ = ["SIX_TO_FOUR", "Domain", "isatap", "isatap_ipv4"]

Uint8s: TypeAlias = npt.NDArray[np.uint8]
Uint32s: TypeAlias = npt.NDArray[np.uint32]
Bools: TypeAlias = npt.NDArray[np.bool_]
MOST = 64
"""Bits of an IPv6 address that may be used up in front of the interface identifier."""
ISATAP = 0x00005EFE
GLOBAL = 0x02000000
"""The bit of an interface identifier that says that it is unique in the world."""

NOT_GLOBAL = tuple(
    IPv4Network(network)
    for network in (
        "0.0.0.0/8", "10.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
        "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "224.0.0.0/4",
        "255.255.255.255/32",
    )
)  # fmt: skip
"""Addresses that are not unique in the world.  Source: Linux, __ipv6_isatap_ifid."""


@frozen
class Domain:
    """The sites of a 6rd domain, or of 6to4: an IPv6 prefix for every IPv4 address.

    prefix: what all of their IPv6 addresses begin with.
    relay_prefix: what all of their IPv4 addresses begin with; these bits are left out of the IPv6
        addresses.

    TunnelError where host bits are set, or where prefix and address together take more than 64
    bits.
    """

    prefix: NetworkOption[IPv6Network] = NetworkOption(IPv6Network, "2002::/16")
    relay_prefix: NetworkOption[IPv4Network] = NetworkOption(IPv4Network, "0.0.0.0/0")

    def __post_init__(self) -> None:
        if self.length > MOST:
            raise TunnelError(
                f"a 6rd prefix of {self.prefix.prefixlen} bits and {self.bits} bits of an IPv4"
                f" address are more than {MOST} together"
            )

    @property
    def bits(self) -> int:
        """Bits of an IPv4 address that stand in an IPv6 address."""
        return 32 - self.relay_prefix.prefixlen

    @property
    def length(self) -> int:
        """Length of a site's prefix, in bits."""
        return self.prefix.prefixlen + self.bits

    @overload
    def sites(self, ipv4: Uint32s) -> Uint8s: ...
    @overload
    def sites(self, ipv4: IPv4Address | str | int) -> IPv6Network: ...
    def sites(self, ipv4: Any) -> Any:
        """The prefix of the site at an IPv4 address.

        ipv4: one address; or uint32[n], for which uint8[n, 16] comes back, all bits behind the
            prefix 0. Bits of `relay_prefix` are not looked at.
        """
        upper = int(self.prefix.network_address) >> 64
        mask = (1 << self.bits) - 1
        if not isinstance(ipv4, np.ndarray):
            within = int(_ipv4(ipv4)) & mask
            return IPv6Network(((upper | within << (64 - self.length)) << 64, self.length))
        made = np.zeros((len(ipv4), 16), np.uint8)
        halves = (ipv4.astype(np.uint64) & np.uint64(mask)) << np.uint64(64 - self.length)
        made[:, :8] = (halves | np.uint64(upper)).astype(">u8").view(np.uint8).reshape(-1, 8)
        return made

    @overload
    def ipv4(self, ipv6: Uint8s) -> tuple[Uint32s, Bools]: ...
    @overload
    def ipv4(self, ipv6: IPv6Address | str | int) -> IPv4Address | None: ...
    def ipv4(self, ipv6: Any) -> Any:
        """The IPv4 address that an IPv6 address of the domain stands for.

        ipv6: one address, and None comes back where it is not of the domain; or uint8[n, 16], for
            which uint32[n] and bool[n] come back: the addresses, and which are of the domain.
        """
        if not isinstance(ipv6, np.ndarray):
            one = _ipv6(ipv6)
            within = int(one) >> 64 >> (64 - self.length) & ((1 << self.bits) - 1)
            fixed = int(self.relay_prefix.network_address)
            return IPv4Address(fixed | within) if one in self.prefix else None
        return self.within(Halves.of(ipv6))

    def within(self, ipv6: Halves) -> tuple[Uint32s, Bools]:
        """uint32[n] and bool[n]: the IPv4 addresses in some addresses, and which are of the domain.

        Source: Linux, check_6rd.
        """
        shift, mask = np.uint64(64 - self.length), np.uint64((1 << self.bits) - 1)
        found = (ipv6.upper >> shift & mask).astype(np.uint32)
        found |= np.uint32(int(self.relay_prefix.network_address))
        return found, ipv6.within(self.prefix)


SIX_TO_FOUR = Domain()
"""2002::/16 and a whole IPv4 address.  Source: RFC 3056 section 2."""


@overload
def isatap(
    ipv4: Uint32s, prefix: IPv6Network | str = ..., *, unique: bool | None = ...
) -> Uint8s: ...
@overload
def isatap(
    ipv4: IPv4Address | str | int, prefix: IPv6Network | str = ..., *, unique: bool | None = ...
) -> IPv6Address: ...
def isatap(
    ipv4: Any, prefix: IPv6Network | str = "fe80::/64", *, unique: bool | None = None
) -> Any:
    """The ISATAP address of an IPv4 address.

    ipv4: one address; or uint32[n], for which uint8[n, 16] comes back.
    prefix: of 64 bits.
    unique: whether the identifier says that it is unique in the world (0200:5efe); None for what
        the address itself says: private ones, and those of no host, are not.

    TunnelError for a prefix of another length.  Source: RFC 5214 section 6.1.
    """
    network = IPv6Network(prefix)
    if network.prefixlen != MOST:
        raise TunnelError(f"an ISATAP prefix has {MOST} bits, not {network.prefixlen}")
    if not isinstance(ipv4, np.ndarray):
        one = int(_ipv4(ipv4))
        return IPv6Address(isatap(np.array([one], np.uint32), network, unique=unique).tobytes())
    made = np.empty((len(ipv4), 16), np.uint8)
    made[:, :8] = np.frombuffer(network.network_address.packed[:8], np.uint8)
    world = is_global(ipv4) if unique is None else np.full(len(ipv4), unique)
    word = np.where(world, GLOBAL | ISATAP, ISATAP)
    made[:, 8:12] = word.astype(">u4").view(np.uint8).reshape(-1, 4)
    made[:, 12:] = ipv4.astype(">u4").view(np.uint8).reshape(-1, 4)
    return made


@overload
def isatap_ipv4(ipv6: Uint8s) -> tuple[Uint32s, Bools]: ...
@overload
def isatap_ipv4(ipv6: IPv6Address | str | int) -> IPv4Address | None: ...
def isatap_ipv4(ipv6: Any) -> Any:
    """The IPv4 address in an ISATAP address, whatever its prefix.

    ipv6: one address, and None comes back where it is no ISATAP address; or uint8[n, 16], for
        which uint32[n] and bool[n] come back: the last 32 bits, and which are of ISATAP.
    Source: RFC 5214 section 6.1; Linux, ipv6_addr_is_isatap.
    """
    if not isinstance(ipv6, np.ndarray):
        one = int(_ipv6(ipv6))
        known = (one >> 32 & 0xFFFFFFFF) | GLOBAL == GLOBAL | ISATAP
        return IPv4Address(one & 0xFFFFFFFF) if known else None
    return identified(Halves.of(ipv6))


def identified(ipv6: Halves) -> tuple[Uint32s, Bools]:
    """uint32[n] and bool[n]: the last 32 bits of some addresses, and which are of ISATAP."""
    above = (ipv6.lower >> np.uint64(32)).astype(np.uint32)
    return ipv6.words(), above | np.uint32(GLOBAL) == np.uint32(GLOBAL | ISATAP)


def is_global(ipv4: Uint32s) -> Bools:
    """bool[n]: addresses that one host in the world has. ipv4: uint32[n]."""
    found = np.ones(len(ipv4), np.bool_)
    for network in NOT_GLOBAL:
        found &= (ipv4 & np.uint32(int(network.netmask))) != np.uint32(int(network[0]))
    return found


def _ipv4(value: Any) -> IPv4Address:
    """One address. TunnelError for anything else."""
    try:
        return IPv4Address(value)
    except ValueError as error:
        raise TunnelError(f"no IPv4 address: {value!r}") from error


def _ipv6(value: Any) -> IPv6Address:
    """One address. TunnelError for anything else."""
    try:
        return IPv6Address(value)
    except ValueError as error:
        raise TunnelError(f"no IPv6 address: {value!r}") from error
