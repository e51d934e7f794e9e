"""What a strict reader may ask of one packet: reserved bits at zero, checksums that are right."""

from __future__ import annotations

from typing import TYPE_CHECKING

from encap.assemble import compute, present
from encap.errors import MalformedError
from encap.fields import Checksum, Header

if TYPE_CHECKING:
    from encap.packet import Packet


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
    """Name of the first checksum, innermost first, that can be checked and is wrong; or None.

    Not checked: those of fragments, of packets that are cut short, and a UDP checksum of 0.
    """
    if packet.incomplete or packet.broken:
        return None
    body, trailers = packet.payload, dict(packet.trailers)
    for index in range(len(packet.headers) - 1, -1, -1):
        header = packet.headers[index]
        octets = bytes(header)
        name = _wrong(packet, index, header, octets, body)
        if name is not None:
            return name
        body = octets + body + trailers.get(index, b"")
    return None


def _wrong(packet: Packet, index: int, header: Header, octets: bytes, body: bytes) -> str | None:
    for name, _, role, _, field, at, size in header.dependent:
        given = getattr(header, name)
        if not isinstance(role, Checksum) or given is None or not present(header, field):
            continue
        if role.zero and given == 0:
            continue
        extent = header.extent()
        short = extent is not None and extent[0] > len(octets) + len(body)
        if role.covers == "rest" and (short or _short(packet, index, octets, body)):
            continue
        blank = octets[:at] + bytes(size) + octets[at + size :]
        right = compute(role, packet.headers[:index], header, blank, body, packet.registry)
        # A one's complement sum has two zeros.
        if given != right and {given, right} != {0, 0xFFFF}:
            return f"{header.path}.{name}"
    return None


def _short(packet: Packet, index: int, octets: bytes, body: bytes) -> bool:
    """True when a header in front says that there were more octets than there are."""
    size = len(octets) + len(body)
    trailers = dict(packet.trailers)
    for outer in range(index - 1, -1, -1):
        header = packet.headers[outer]
        size += len(trailers.get(outer + 1, b"")) + header.header_len
        extent = header.extent()
        if extent is not None and extent[0] > size:
            return True
    return False
