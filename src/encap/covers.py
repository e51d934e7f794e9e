"""The table from which the core reads where checksums are, and what they cover.

All of it comes from the headers' descriptions: a field whose role is `Checksum`. The octets that a
checksum covers are found in core/covers.h, for which `encap.verify` is the twin.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from encap._lib import ffi, lib
from encap.columns import place_test
from encap.fields import Checksum, Header
from encap.layout import Dependent, When
from encap.registry import DEFAULT, header_class
from encap.walk import KINDS

__all__ = ["checksum_of", "covers"]

CHECKSUMMED = ("ipv4", "icmp", "icmpv6", "igmp", "tcp", "udp", "sctp", "gre")
"""The headers that have a checksum: to ask all of them would take as long as importing numpy."""
_COVERS = {"header": lib.ENCAP_COVERS_HEADER, "rest": lib.ENCAP_COVERS_REST}
_ALGORITHMS = {"internet": lib.ENCAP_INTERNET, "crc32c": lib.ENCAP_CRC32C}


def checksum_of(kind: type[Header]) -> tuple[Dependent, Checksum] | None:
    """The field of a header that is a checksum, and what it covers; None where there is none."""
    for entry in kind.dependent:
        if isinstance(entry.role, Checksum):
            return entry, entry.role
    return None


@lru_cache(maxsize=1)
def covers() -> Any:
    """The core's `encap_cover[]`, by the number of a header."""
    table = ffi.new("encap_cover[]", len(KINDS))
    for path in CHECKSUMMED:
        kind = header_class(path)
        found = checksum_of(kind)
        if found is not None:
            _describe(table[KINDS.index(path)], kind, *found)
    return table


def _describe(cover: Any, kind: type[Header], entry: Dependent, role: Checksum) -> None:
    """Tells the core of one checksum."""
    cover.covers, cover.algorithm = _COVERS[role.covers], _ALGORITHMS[role.algorithm]
    cover.at, cover.size, cover.zero = entry.at, entry.size, role.zero
    if role.pseudo:
        cover.pseudo, cover.protocol = 1, DEFAULT.number("protocol", kind.path)
    when = entry.field.when
    if role.valid is not None:
        name, bits = role.valid
        when = When(((name, bits, bits),))
    if when is not None:
        cover.optional = 1
        place_test(cover.there, kind, when, entry.field.bits)
