"""The headers of pcap and pcapng files: octets to values and back.

Source: draft-ietf-opsawg-pcap section 4, draft-ietf-opsawg-pcapng sections 3 and 4.

    pcap file       magic, major | minor, zone, sigfigs, snap length, link type     24 octets
    pcapng block    type, total length, body, options, total length                 multiple of 4
    pcapng option   code | length, value padded to a multiple of 4

Nothing is read or written here, and packets are the matter of the core.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace

from encap.errors import CaptureError

PCAP_HEADER_LEN = 24
MICROSECONDS_MAGIC = 0xA1B2C3D4
NANOSECONDS_MAGIC = 0xA1B23C4D
MODIFIED_MAGIC = 0xA1B2CD34
FCS_KNOWN, FCS_WORDS = 0x0400, 0xF000

SECTION_TYPE = 0x0A0D0D0A
INTERFACE_TYPE = 1
BYTE_ORDER_MAGIC = 0x1A2B3C4D
SECTION_MIN_LEN = 28
INTERFACE_MIN_LEN = 20
OPTION_NAME, OPTION_RESOLUTION, OPTION_FCS_LEN, OPTION_OFFSET = 2, 9, 13, 14

DEFAULT_SNAPLEN = 1 << 18  # what tcpdump writes, and the least that a packet may have
LARGEST_LEN = 1 << 27  # octets of a packet or block; the snap length of USB captures

NANOSECONDS = 10**9


@dataclass(frozen=True, slots=True)
class Interface:
    """Where packets were captured: one for a pcap file, one a description in a pcapng section.

    linktype: LINKTYPE number.  snaplen: octets, 0 for packets that are not cut.
    resolution: units of time a second.  offset: seconds that are added to every time.
    fcs_len: octets of the frame check sequence that ends each frame; None where not said.
    """

    linktype: int
    snaplen: int = 0
    resolution: int = 10**6
    offset: int = 0
    fcs_len: int | None = None
    name: str = ""

    def scale(self) -> tuple[int, int, int, int, int, int, int]:
        """The fields of the core's `encap_interface`."""
        multiplier, divisor, shift = 1, 1, 0
        if self.resolution & (self.resolution - 1) == 0:
            shift = self.resolution.bit_length() - 1
            multiplier = NANOSECONDS if shift == 0 else 1
        elif self.resolution <= NANOSECONDS:
            multiplier = NANOSECONDS // self.resolution
        else:
            divisor = self.resolution // NANOSECONDS
            # No 64-bit count reaches one nanosecond then.
            divisor = divisor if divisor < 1 << 64 else 0
        offset = self.offset * NANOSECONDS
        fits = -(1 << 63) < offset < 1 << 63
        return (
            multiplier,
            divisor,
            offset if fits else 0,
            shift,
            self.snaplen,
            self.linktype,
            not fits,
        )


@dataclass(frozen=True, slots=True)
class PcapHeader:
    """The header of a pcap file.

    flags: the upper 16 bits of the word that ends with the link type.
    minor, zone, sigfigs: the minor version, and what was once meant to say something about time.
    """

    big_endian: bool
    nanoseconds: bool
    snaplen: int
    linktype: int
    flags: int = 0
    minor: int = 4
    zone: int = 0
    sigfigs: int = 0

    @classmethod
    def parse(cls, octets: bytes) -> PcapHeader:
        """The first 24 octets of a pcap file. CaptureError for what is none."""
        for order in "><":
            magic, major, minor, zone, sigfigs, snaplen, link = struct.unpack(
                order + "IHHIIII", octets
            )
            if magic == MODIFIED_MAGIC:
                raise CaptureError(
                    "modified pcap (magic a1b2cd34, by Kuznetzov) is not read: use editcap -F pcap",
                    position=0,
                )
            if magic in (MICROSECONDS_MAGIC, NANOSECONDS_MAGIC):
                break
        else:
            raise CaptureError(f"not a capture: it begins with {octets[:4].hex()}", position=0)
        if major != 2:
            raise CaptureError(f"pcap version {major} is not known, 2 is", position=4)
        nanoseconds, flags = magic == NANOSECONDS_MAGIC, link >> 16
        return cls(order == ">", nanoseconds, snaplen, link & 0xFFFF, flags, minor, zone, sigfigs)

    def __bytes__(self) -> bytes:
        magic = NANOSECONDS_MAGIC if self.nanoseconds else MICROSECONDS_MAGIC
        order, link = ">" if self.big_endian else "<", self.flags << 16 | self.linktype
        fields = (magic, 2, self.minor, self.zone, self.sigfigs, self.snaplen, link)
        return struct.pack(order + "IHHIIII", *fields)

    @property
    def fcs_len(self) -> int | None:
        """Octets of the check sequence that ends each frame; None where that is not said."""
        # The uppermost 4 bits count words of 16 bits, where another one says that they do.
        return (self.flags >> 12) * 2 if self.flags & FCS_KNOWN else None

    def without_fcs(self) -> PcapHeader:
        """The same, saying nothing of check sequences."""
        return replace(self, flags=self.flags & ~(FCS_KNOWN | FCS_WORDS))

    @property
    def interface(self) -> Interface:
        resolution = NANOSECONDS if self.nanoseconds else 10**6
        return Interface(self.linktype, self.snaplen, resolution, fcs_len=self.fcs_len)


def section_order(octets: bytes) -> str:
    """The byte order of a section, ">" or "<", from the 12 octets that it begins with."""
    for order in "><":
        if struct.unpack(order + "I", octets[8:12])[0] == BYTE_ORDER_MAGIC:
            return order
    raise CaptureError(f"the byte-order magic of a section is {octets[8:12].hex()}")


def check_section(block: bytes, order: str) -> None:
    """CaptureError for a whole section header that is wrong or of another version."""
    total, major = struct.unpack(order + "4xI4xH", block[:14])
    if len(block) < SECTION_MIN_LEN or struct.unpack(order + "I", block[-4:])[0] != total:
        raise CaptureError("the lengths at both ends of a section header differ")
    if major != 1:
        raise CaptureError(f"pcapng version {major} is not known, 1 is")


def parse_interface(block: bytes, order: str) -> Interface:
    """A whole interface description block. CaptureError where its options do not fit."""
    if len(block) < INTERFACE_MIN_LEN:
        raise CaptureError("an interface description is too short")
    linktype, snaplen = struct.unpack(order + "H2xI", block[8:16])
    options = parse_options(block[16:-4], order)
    resolution, offset, fcs_len = 10**6, 0, None
    if value := options.get(OPTION_RESOLUTION):
        exponent = value[0] & 0x7F
        resolution = 2**exponent if value[0] & 0x80 else 10**exponent
    if len(value := options.get(OPTION_OFFSET, b"")) == 8:
        (offset,) = struct.unpack(order + "q", value)
    if value := options.get(OPTION_FCS_LEN):
        # Bits, says the text; octets, says its example of 4. No sequence has under 8 bits.
        fcs_len = value[0] // 8 if value[0] % 8 == 0 else value[0]
    name = options.get(OPTION_NAME, b"").decode("utf-8", "replace")
    return Interface(linktype, snaplen, resolution, offset, fcs_len, name)


def parse_options(octets: bytes, order: str) -> dict[int, bytes]:
    """The first option of each code. CaptureError where one overruns the block."""
    options: dict[int, bytes] = {}
    at = 0
    while len(octets) - at >= 4:
        code, length = struct.unpack_from(order + "HH", octets, at)
        if code == 0:
            return options
        if length > len(octets) - at - 4:
            raise CaptureError(f"option {code} of {length} octets overruns its block")
        options.setdefault(code, octets[at + 4 : at + 4 + length])
        at += 4 + length + -length % 4
    return options


def build_block(kind: int, body: bytes, order: str) -> bytes:
    """A pcapng block around `body`, whose length is a multiple of 4."""
    length = struct.pack(order + "I", len(body) + 12)
    return struct.pack(order + "I", kind) + length + body + length


def build_section(order: str) -> bytes:
    """A section header of unknown length, without options."""
    return build_block(SECTION_TYPE, struct.pack(order + "IHHq", BYTE_ORDER_MAGIC, 1, 0, -1), order)


def build_interface(linktype: int, snaplen: int, order: str, *, nanoseconds: bool) -> bytes:
    """An interface description in microseconds or nanoseconds; its snap length is at octet 12."""
    options = b""
    if nanoseconds:
        options = struct.pack(order + "HHB3xHH", OPTION_RESOLUTION, 1, 9, 0, 0)
    return build_block(
        INTERFACE_TYPE, struct.pack(order + "HHI", linktype, 0, snaplen) + options, order
    )
