"""The section of a pcapng file that is being written, and the interfaces it describes.

Source: draft-ietf-opsawg-pcapng sections 4.1 and 4.2.

An interface is one of the file that is copied, one made of such a one for packets that are
not as it says, or a plain one for packets of which nothing but the link type is known.
"""

from __future__ import annotations

import struct
from typing import Any

import numpy as np

from encap._lib import ffi
from encap.capture.blocks import LENGTH_OFFSET, UNKNOWN_LEN, derived_interface, section_len
from encap.capture.formats import build_interface, build_section, parse_interface
from encap.capture.output import Output, Snaplen
from encap.errors import CaptureError

MOST_INTERFACES = 1 << 16  # of one section: what numbers of 16 bits can name
SNAPLEN_OFFSET = 12  # in an interface description
SCALE = ("multiplier", "divisor", "offset", "shift", "snaplen", "linktype", "timeless")


class _Table:
    """An array of C structures that grows."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self.array: Any = ffi.new(f"{kind}[]", 8)
        self.count = 0

    def append(self, fields: dict[str, int]) -> int:
        """Its index."""
        if self.count == len(self.array):
            grown = ffi.new(f"{self._kind}[]", 2 * self.count)
            ffi.memmove(grown, self.array, ffi.sizeof(self.array))
            self.array = grown
        self.array[self.count] = fields
        self.count += 1
        return self.count - 1


class SectionWriter:
    """Writes headers of sections and interfaces.

    number: of the section in the file that is copied; 0 for one that was begun here, None
    before any.  linktypes: of all interfaces of the file so far.
    """

    def __init__(self, output: Output, snaplen: Snaplen) -> None:
        self._output, self._snaplen = output, snaplen
        self.number: int | None = None
        self.order = "<"
        self.linktypes: dict[int, None] = {}
        self._start = 0
        self._length: int | None = None

    def begin_plain(self, order: str) -> None:
        """Begin a section that is no copy."""
        self.begin(build_section(order), order, 0)

    def begin(self, header: bytes, order: str, number: int) -> None:
        """Begin a section with this header."""
        self.end()
        self._length = section_len(header, order)
        if self._length is not None and not self._output.writer.patchable:
            # It will be known at the end, and could not be corrected then.
            unknown = UNKNOWN_LEN.to_bytes(8, "big")
            header = header[:LENGTH_OFFSET] + unknown + header[LENGTH_OFFSET + 8 :]
            self._length = None
        self._output.put(header)
        self._start = self._output.position
        self._header_len = len(header)
        self.order, self.number = order, number
        self.count = 0
        self.descriptions: list[bytes] = []  # of the interfaces that are copied
        self.scales, self.owners = _Table("encap_interface"), _Table("encap_owner")
        self.variants = _Table("encap_owner")
        self.plain = np.zeros(1 << 16, np.uint16)  # link type to number
        self._plain: set[int] = set()

    def end(self) -> None:
        """End the section: correct the length that its header says."""
        length = self._output.position - self._start
        if self.number is not None and self._length not in (None, length):
            octets = struct.pack(self.order + "q", length)
            position = self._start - self._header_len + LENGTH_OFFSET
            self._output.writer.patch(position, octets)

    def _describe(self, block: bytes, linktype: int) -> int:
        number = self.count
        if number == MOST_INTERFACES:
            raise CaptureError(f"a section cannot describe more than {MOST_INTERFACES} interfaces")
        self._output.put(block)
        self.linktypes[linktype] = None
        self.count += 1
        return number

    def copy_interface(self, block: bytes) -> None:
        """Describe an interface of the section that is copied, as it was."""
        interface = parse_interface(block, self.order)
        number = self._describe(block, interface.linktype)
        self.descriptions.append(block)
        self.scales.append(dict(zip(SCALE, interface.scale(), strict=True)))
        fields = {"number": number, "linktype": interface.linktype}
        self.owners.append(fields | {"fcs_len": interface.fcs_len or 0})

    def derive_interface(self, origin: int, linktype: int, changes: int) -> None:
        """Describe one like `origin`, which is copied, for packets that are not as it says."""
        block = derived_interface(self.descriptions[origin], self.order, linktype, changes)
        owner = self.owners.array[origin]
        fields = {"number": self._describe(block, linktype), "next": owner.next}
        owner.next = 1 + self.variants.append(fields | {"linktype": linktype, "changes": changes})

    def plain_interfaces(self, kinds: list[int], *, nanoseconds: bool) -> None:
        """Describe an interface for each of the link types that has none yet."""
        for linktype in kinds:
            if linktype in self._plain:
                continue
            position = self._output.position + SNAPLEN_OFFSET
            snaplen = self._snaplen.written(position, self.order)
            block = build_interface(linktype, snaplen, self.order, nanoseconds=nanoseconds)
            self.plain[linktype] = self._describe(block, linktype)
            self._plain.add(linktype)
