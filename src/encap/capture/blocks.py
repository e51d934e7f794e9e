"""Blocks of pcapng as octets: what they are called, and interface descriptions made of others.

Source: draft-ietf-opsawg-pcapng sections 3.5, 4.1, 4.2 and 4.7.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from encap._lib import lib
from encap.capture.formats import (
    INTERFACE_TYPE,
    OPTION_FCS_LEN,
    OPTION_OFFSET,
    OPTION_RESOLUTION,
    SECTION_TYPE,
    build_block,
)

LENGTH_OFFSET = 16  # of the length of a section in its header
SECTION_OPTIONS, INTERFACE_OPTIONS = 24, 16  # where they begin
UNKNOWN_LEN = (1 << 64) - 1
OPTIONS_PRIVATE = (19372, 19373)  # of somebody who does not want them to be copied
END_OF_OPTIONS = bytes(4)
PRIVATE_BLOCK = "custom blocks that are not to be copied"

NAMES = {
    4: "name resolution",
    5: "interface statistics",
    9: "systemd journal",
    10: "decryption secrets",
    0x0BAD: "custom blocks",
    0x40000BAD: PRIVATE_BLOCK,
}
OPTIONS_OF = {SECTION_TYPE: "options of sections", INTERFACE_TYPE: "options of interfaces"}
# What is in the packets and in the headers of every format.
COMMON = (OPTION_RESOLUTION, OPTION_OFFSET)


def name_of_type(kind: int) -> str:
    """What a block is called in summaries."""
    return NAMES.get(kind, f"blocks of type {kind:#010x}")


def options_of(octets: bytes, order: str) -> Iterator[tuple[int, bytes]]:
    """The code and all octets of each option, padding too; up to the end, or to what is none."""
    at = 0
    while len(octets) - at >= 4:
        code, length = struct.unpack_from(order + "HH", octets, at)
        end = at + 4 + length + -length % 4
        if code == 0 or end > len(octets):
            return
        yield code, octets[at:end]
        at = end


def says_more(block: bytes, order: str) -> bool:
    """Whether a section or interface header has options that say more than every format does."""
    start = SECTION_OPTIONS if block[:4] == SECTION_TYPE.to_bytes(4, "big") else INTERFACE_OPTIONS
    return any(code not in COMMON for code, _ in options_of(block[start:-4], order))


def section_len(header: bytes, order: str) -> int | None:
    """Octets of the section behind its header; None where that is not said."""
    length = int.from_bytes(header[LENGTH_OFFSET:][:8], "big" if order == ">" else "little")
    return None if length == UNKNOWN_LEN else length


def derived_interface(block: bytes, order: str, linktype: int, changes: int) -> bytes:
    """The description of an interface for packets of which not all is true that it says.

    block: the description that it is made of.  linktype: that of the packets.
    changes: the ENCAP_OWNER_ bits of what does not hold for them.
    """
    old, reserved, snaplen = struct.unpack(order + "H2sI", block[8:INTERFACE_OPTIONS])
    left = set(OPTIONS_PRIVATE)
    if changes & lib.ENCAP_OWNER_FCS or old != linktype:
        left.add(OPTION_FCS_LEN)
    if changes & lib.ENCAP_OWNER_TIME:
        left |= {OPTION_RESOLUTION, OPTION_OFFSET}
    if changes & lib.ENCAP_OWNER_SNAPLEN:
        snaplen = 0
    known = options_of(block[INTERFACE_OPTIONS:-4], order)
    options = b"".join(octets for code, octets in known if code not in left)
    if changes & lib.ENCAP_OWNER_TIME:
        options += struct.pack(order + "HHB3x", OPTION_RESOLUTION, 1, 9)
    body = struct.pack(order + "H2sI", linktype, reserved, snaplen) + options
    return build_block(INTERFACE_TYPE, body + (END_OF_OPTIONS if options else b""), order)
