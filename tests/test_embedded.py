"""IPv4 addresses inside IPv6 addresses, one at a time and in columns."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from encap.errors import TunnelError
from encap.tunnels import SIX_TO_FOUR, Domain, isatap, isatap_ipv4
from encap.tunnels.halves import Halves
from encap.tunnels.scopes import Scopes

WORDS = st.integers(0, 0xFFFFFFFF)
WHOLES = st.integers(0, (1 << 128) - 1)


def column(*addresses: str | int) -> np.ndarray:
    octets = b"".join(IPv6Address(one).packed for one in addresses)
    return np.frombuffer(octets, np.uint8).reshape(-1, 16)


@st.composite
def domains(draw: st.DrawFn) -> Domain:
    relay = draw(st.integers(0, 32))
    length = draw(st.integers(0, 32 + relay))
    prefix = draw(WHOLES) >> (128 - length) << (128 - length)
    fixed = draw(WORDS) >> (32 - relay) << (32 - relay)
    return Domain(prefix=IPv6Network((prefix, length)), relay_prefix=IPv4Network((fixed, relay)))


def test_6to4_is_as_rfc_3056_has_it() -> None:
    assert SIX_TO_FOUR.sites("192.0.2.1") == IPv6Network("2002:c000:201::/48")
    assert SIX_TO_FOUR.ipv4("2002:c000:201::1") == IPv4Address("192.0.2.1")
    assert SIX_TO_FOUR.ipv4("2001:db8::1") is None


def test_6rd_is_as_rfc_5969_has_it() -> None:
    """Its example: 10.0.0.0/8 is what all have in common, 24 bits follow a prefix of 32."""
    domain = Domain(prefix="2001:db8::/32", relay_prefix="10.0.0.0/8")
    assert domain.sites("10.100.100.1") == IPv6Network("2001:db8:6464:100::/56")
    assert domain.ipv4("2001:db8:6464:100::9") == IPv4Address("10.100.100.1")
    assert (domain.bits, domain.length) == (24, 56)


def test_lengths_that_are_no_whole_octets() -> None:
    domain = Domain(prefix="2001:db0::/29", relay_prefix="172.16.0.0/13")
    site = domain.sites("172.23.255.254")
    # 29 bits of the prefix, then the 19 bits 111 11111111 11111110.
    assert site == IPv6Network("2001:db7:fffe::/48")
    assert domain.ipv4(site.network_address) == IPv4Address("172.23.255.254")


@pytest.mark.parametrize(
    ("ipv4", "expected"),
    [
        ("10.0.0.1", "fe80::5efe:a00:1"),
        ("192.0.2.1", "fe80::5efe:c000:201"),
        ("8.8.8.8", "fe80::200:5efe:808:808"),
    ],
)
def test_isatap_identifiers_say_whether_they_are_unique(ipv4: str, expected: str) -> None:
    assert isatap(ipv4) == IPv6Address(expected)
    assert isatap_ipv4(expected) == IPv4Address(ipv4)


def test_isatap_as_asked() -> None:
    made = isatap("10.0.0.1", "2001:db8::/64", unique=True)
    assert made == IPv6Address("2001:db8::200:5efe:a00:1")
    assert isatap_ipv4("2001:db8::100:5efe:a00:1") is None


@given(domains(), st.lists(WORDS, max_size=20))
def test_there_and_back_in_any_domain(domain: Domain, words: list[int]) -> None:
    fixed, mask = int(domain.relay_prefix[0]), int(domain.relay_prefix.hostmask)
    numbers = np.array([fixed | word & mask for word in words], np.uint32)
    sites = domain.sites(numbers)
    back, of = domain.ipv4(sites)
    assert back.tolist() == numbers.tolist()
    assert of.all()
    for number, site in zip(numbers.tolist(), sites, strict=True):
        one = domain.sites(number)
        assert one.network_address.packed == site.tobytes()
        assert domain.ipv4(one.network_address) == IPv4Address(number)


@given(domains(), st.lists(WHOLES, min_size=1, max_size=20))
def test_a_column_is_what_each_address_is(domain: Domain, wholes: list[int]) -> None:
    inside = [int(domain.prefix[0]) | whole & int(domain.prefix.hostmask) for whole in wholes]
    every = [*wholes, *inside]
    found, of = domain.ipv4(column(*every))
    last, identified = isatap_ipv4(column(*every))
    for row, whole in enumerate(every):
        one = domain.ipv4(whole)
        assert bool(of[row]) == (one is not None)
        assert one is None or int(one) == found[row]
        one = isatap_ipv4(whole)
        assert bool(identified[row]) == (one is not None)
        assert one is None or int(one) == last[row]


@given(st.lists(WORDS, max_size=20), st.sampled_from([None, True, False]))
def test_isatap_in_columns(words: list[int], unique: bool | None) -> None:
    made = isatap(np.array(words, np.uint32), "fd00:1::/64", unique=unique)
    for word, octets in zip(words, made, strict=True):
        assert isatap(word, "fd00:1::/64", unique=unique).packed == octets.tobytes()


@pytest.mark.parametrize(
    ("prefix", "relay"),
    [
        ("2001:db8::/33", "0.0.0.0/0"),
        ("2001:db8::1/32", "0.0.0.0/0"),
        ("2001:db8::/32", "10.0.0.1/8"),
        ("10.0.0.0/8", "0.0.0.0/0"),
        ("", "0.0.0.0/0"),
    ],
)
def test_domains_that_cannot_be(prefix: str, relay: str) -> None:
    with pytest.raises(TunnelError, match=r"6rd|prefix of"):
        Domain(prefix=prefix, relay_prefix=relay)


def test_what_is_no_address() -> None:
    for call in (SIX_TO_FOUR.sites, SIX_TO_FOUR.ipv4, isatap, isatap_ipv4):
        with pytest.raises(TunnelError, match="address"):
            call("nonsense")
    with pytest.raises(TunnelError, match="64 bits"):
        isatap("10.0.0.1", "fe80::/48")


@given(st.lists(WHOLES, max_size=20), st.integers(0, 128), WHOLES)
def test_halves_are_the_addresses(wholes: list[int], length: int, first: int) -> None:
    network = IPv6Network((first >> (128 - length) << (128 - length), length))
    inside = [int(network[0]) | whole & int(network.hostmask) for whole in wholes]
    addresses = [IPv6Address(one) for one in [*wholes, *inside]]
    halves = Halves.of(column(*map(int, addresses)))
    assert halves.column().tolist() == column(*map(int, addresses)).tolist()
    assert halves.within(network).tolist() == [one in network for one in addresses]
    assert halves.are(network[0]).tolist() == [one == network[0] for one in addresses]


SCOPES = {
    "::": "", "::1": "unicast loopback", "::192.0.2.1": "unicast compatible",
    "::ffff:1.2.3.4": "", "64:ff9b::1": "", "2001:db8::1": "unicast", "dfff::1": "unicast",
    "e000::1": "", "fd00::1": "unicast", "fe00::1": "", "fe80::1": "unicast linklocal",
    "febf::1": "unicast linklocal", "fec0::1": "unicast", "ff02::1": "multicast",
}  # fmt: skip
"""Addresses, and what Linux's __ipv6_addr_type says of them."""


def test_scopes() -> None:
    scopes = Scopes.of(Halves.of(column(*SCOPES)))
    for row, (address, expected) in enumerate(SCOPES.items()):
        found = [name for name, where in scopes._asdict().items() if where[row]]
        assert sorted(found) == sorted(expected.split()), address
