"""What a strict reader may ask of one packet: reserved bits at zero, checksums that are right.

`verdicts` is the twin of core/covers.h and core/verdicts.c: what a checksum covers, where its
datagram ends and what it is worth is the same there.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple

from encap.assemble import present, pseudo_sum
from encap.checksum import ONES, crc32c, fold, ones_sum
from encap.errors import MalformedError
from encap.fields import Checksum, Header
from encap.layout import Dependent

if TYPE_CHECKING:
    from encap.packet import Packet

__all__ = ["Verdict", "refuse_reserved", "verdicts", "wrong_checksum"]


class Verdict(IntEnum):
    """What is to be said of a checksum."""

    NONE = 0
    """There is no such checksum."""
    GOOD = 1
    """It is right."""
    BAD = 2
    """It is wrong."""
    ZERO = 3
    """A UDP checksum of 0, where that may be: there is none."""
    ZERO_ILLEGAL = 4
    """A UDP checksum of 0 over IPv6, which only tunnels may have."""
    PARTIAL = 5
    """The sum of the pseudo header alone: the rest was left to a NIC."""
    UNVERIFIABLE = 6
    """Octets that it covers are missing or not known: a fragment, a frame cut short."""


def refuse_reserved(packet: Packet) -> None:
    """MalformedError for the first reserved field or bit that is not zero."""
    offset = 0
    for header in packet.headers:
        for name, field in header.fields.items():
            mask = header.reserved_bits.get(name, -1 if name.startswith("reserved") else 0)
            value = getattr(header, name)
            if field.bits and mask and value is not None and value & mask:
                raise MalformedError(header.path, offset, name, value)
        offset += header.header_len


def wrong_checksum(packet: Packet) -> str | None:
    """Name of the first checksum, innermost first, that can be checked and is wrong; or None."""
    found = verdicts(packet)
    for index in reversed(found):
        if found[index] in (Verdict.BAD, Verdict.PARTIAL):
            header = packet.headers[index]
            return f"{header.path}.{_checksum_of(header)[0].name}"
    return None


def verdicts(packet: Packet, wire_length: int = 0) -> dict[int, Verdict]:
    """What each checksum of a packet that was parsed is worth, by the index of its header.

    Source: RFC 1071, RFC 768, RFC 8200 section 8.1, RFC 6935 section 5, RFC 9260 section 6.8.
    wire_length: octets that the frame had, where that is more than were captured.
    """
    octets = bytes(packet)
    found = {}
    for reach in _reaches(packet, len(octets), wire_length):
        header = packet.headers[reach.slot]
        for entry in header.dependent:
            role = entry.role
            if isinstance(role, Checksum) and _valid(header, entry, role):
                found[reach.slot] = _judge(packet, octets, reach, entry, role)
    return found


class _Reach(NamedTuple):
    """How far a header reaches, itself and what it carries: octets from the frame's start."""

    slot: int
    at: int
    header_end: int
    end: int
    said: int
    """Where the innermost length says that it ends."""
    unsure: bool
    """True where the IP header in front leaves its length open."""
    fragment: bool
    broken: bool


def _reaches(packet: Packet, size: int, wire_length: int) -> Iterator[_Reach]:
    at, end, said = 0, size, max(size, wire_length)
    unsure = fragment = False
    for index, header in enumerate(packet.headers):
        broken = packet.broken and index == len(packet.headers) - 1
        extent = None if broken else header.extent()
        if header.path in ("ipv4", "ipv6"):
            unsure = extent is None
        if extent is not None:
            said = at + extent[0]
            end, unsure = min(end, said), False
        header_end = at + (header.fixed_len if broken else header.header_len)
        yield _Reach(index, at, header_end, end, said, unsure, fragment, broken)
        fragment = fragment or (not broken and any(header.fragment() or ()))
        at = header_end


def _checksum_of(header: Header) -> tuple[Dependent, Checksum]:
    """The field that is a checksum, of a header that has one."""
    return next((one, one.role) for one in header.dependent if isinstance(one.role, Checksum))


def _valid(header: Header, entry: Dependent, role: Checksum) -> bool:
    """True where the header has a checksum, be it one that says that there is none."""
    if role.valid is not None:
        name, bits = role.valid
        return bool(getattr(header, name) & bits)
    return present(header, entry.field)


def _judge(
    packet: Packet, octets: bytes, reach: _Reach, entry: Dependent, role: Checksum
) -> Verdict:
    header, before = packet.headers[reach.slot], packet.headers[: reach.slot]
    at, end = reach.at, reach.end
    if reach.broken:
        return Verdict.UNVERIFIABLE
    stored = int.from_bytes(octets[at + entry.at : at + entry.at + entry.size], "big")
    if role.covers == "header":
        return _sound(ones_sum(octets[at : reach.header_end]) == ONES)
    if role.zero and not stored:
        return _zero(packet, before, header)
    if reach.fragment:
        return Verdict.UNVERIFIABLE
    cut = reach.said > end
    if role.algorithm == "crc32c":
        field = at + entry.at
        if not cut and stored == crc32c(octets[at:field] + bytes(4) + octets[field + 4 : end]):
            return Verdict.GOOD
        # A NIC starts from 0, as there is no pseudo header.
        return _sound(False, cut or reach.unsure, partial=not stored)
    pseudo = 0
    if role.pseudo:
        number = header.number(packet.registry, "protocol") or 0
        pseudo = fold(pseudo_sum(before, number, reach.said - at))
    good = not cut and ones_sum(octets[at:end], pseudo) == ONES
    return _sound(good, cut or reach.unsure, partial=pseudo != 0 and stored == pseudo)


def _sound(good: bool, unsure: bool = False, partial: bool = False) -> Verdict:
    if good:
        return Verdict.GOOD
    if partial:
        return Verdict.PARTIAL
    return Verdict.UNVERIFIABLE if unsure else Verdict.BAD


def _zero(packet: Packet, before: tuple[Header, ...], udp: Header) -> Verdict:
    """A UDP checksum of 0: over IPv6 it may be that of a tunnel, which a known port tells."""
    network = next((one.path for one in reversed(before) if one.path in ("ipv4", "ipv6")), "")
    tunnel = packet.registry.name("port", getattr(udp, "dport", None)) is not None
    return Verdict.ZERO if network != "ipv6" or tunnel else Verdict.ZERO_ILLEGAL
