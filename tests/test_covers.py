"""What the core is told of checksums comes from the headers' descriptions."""

from __future__ import annotations

from encap._lib import lib
from encap.covers import CHECKSUMMED, checksum_of, covers
from encap.registry import header_class
from encap.walk import KINDS


def test_one_row_for_each_header_with_a_checksum() -> None:
    found = [path for path, cover in zip(KINDS, covers(), strict=True) if cover.covers]
    assert found == ["ipv4", "icmp", "icmpv6", "igmp", "tcp", "udp", "sctp", "gre"]


def test_the_headers_that_are_asked_are_those_that_have_a_checksum() -> None:
    assert tuple(path for path in KINDS if path and checksum_of(header_class(path))) == CHECKSUMMED


def test_where_the_field_is_and_what_it_covers() -> None:
    """Offsets of RFC 791, 792, 4443, 2236, 9293, 768, 9260 and 2784."""
    said = {
        path: (cover.at, cover.size, cover.covers == lib.ENCAP_COVERS_HEADER, cover.pseudo)
        for path, cover in zip(KINDS, covers(), strict=True)
        if cover.covers
    }
    assert said == {
        "ipv4": (10, 2, True, 0),
        "icmp": (2, 2, False, 0),
        "icmpv6": (2, 2, False, 1),
        "igmp": (2, 2, False, 0),
        "tcp": (16, 2, False, 1),
        "udp": (6, 2, False, 1),
        "sctp": (8, 4, False, 0),
        "gre": (4, 2, False, 0),
    }


def test_only_udp_says_by_zero_that_there_is_none() -> None:
    assert [path for path, c in zip(KINDS, covers(), strict=True) if c.zero] == ["udp"]


def test_only_the_checksum_bit_says_that_gre_has_one() -> None:
    """The routing bit brings the field too, but nothing valid in it: RFC 1701."""
    there = covers()[KINDS.index("gre")].there
    assert (there.at, there.mask, there.value, there.negate) == (0, 0x8000, 0x8000, 0)


def test_protocol_numbers_of_pseudo_headers() -> None:
    numbers = {path: cover.protocol for path, cover in zip(KINDS, covers(), strict=True)}
    assert {path: number for path, number in numbers.items() if number} == {
        "icmpv6": 58,
        "tcp": 6,
        "udp": 17,
    }


def test_headers_without_a_checksum_have_none() -> None:
    assert checksum_of(header_class("vxlan")) is None
