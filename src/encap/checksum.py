"""Checksums of one buffer: the Internet checksum and SCTP's CRC.

Source: RFC 1071 (the sum), RFC 1624 (updating it), RFC 9260 appendix A (CRC32c).

A one's complement sum is arithmetic modulo 65,535 with two zeros: it is 0 only
where every word is 0, and 0xFFFF for every other multiple of 65,535. As 2**16 is 1
modulo 65,535, a whole buffer read as one number has the same remainder as the sum of
its words. That is what makes these functions fast without numpy or C. Many packets
at once are the business of `encap.Packets`.
"""

from __future__ import annotations

from functools import cache
from operator import index
from typing import TYPE_CHECKING

from encap.errors import FieldError

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = [
    "crc32c",
    "fold",
    "internet_checksum",
    "ones_sum",
    "pseudo_header",
    "update",
    "verify",
]

ONES = 0xFFFF
CRC32C_POLYNOMIAL = 0x82F63B78  # 0x1EDC6F41 with its bits reversed, as the octets go by


def _octets(data: Buffer) -> bytes:
    # The type is asked first: nearly all callers have bytes, and a view costs as much as the sum.
    return data if type(data) is bytes else memoryview(data).tobytes()


def fold(total: int) -> int:
    """The 16-bit one's complement sum that `total`, a plain sum of words, stands for.

    Source: RFC 1071 section 1. FieldError where `total` is negative.
    """
    if index(total) < 0:
        raise FieldError(f"a sum cannot be negative: {total}", field="total", value=total)
    return total % ONES or (ONES if total else 0)


def ones_sum(data: Buffer, initial: int = 0) -> int:
    """The one's complement sum of the 16-bit words of `data`, not complemented.

    Source: RFC 1071 section 1. An octet left over at the end is the first of a word.
    initial: an earlier sum, folded or not, of an even number of octets.
    """
    octets = _octets(data)
    return fold((int.from_bytes(octets, "big") << (len(octets) % 2 * 8)) + initial)


def internet_checksum(data: Buffer) -> int:
    """The checksum of `data`, as the number to store in network order.

    Source: RFC 1071 section 1. The checksum field within `data` counts as it stands.
    """
    return ONES - ones_sum(data)


def verify(data: Buffer, initial: int = 0) -> bool:
    """True where `data`, its checksum included, sums up to 0xFFFF.

    Source: RFC 1071 section 1. A stored checksum is right in both forms of zero.
    initial: the sum of a pseudo-header.
    """
    return ones_sum(data, initial) == ONES


def update(checksum: int, old: int | Buffer, new: int | Buffer) -> int:
    """The checksum after the words `old` became `new`: ~(~HC + ~m + m').

    Source: RFC 1624 section 3, equation 3. Where nothing changes, `checksum` stays in
    the form of zero that it has. A UDP checksum of 0 is no checksum: do not update it.

    checksum: 16 bits.  old, new: one 16-bit word each, or equally many octets, an even
    number of them. FieldError where they are not.
    """
    before, bits = _words(old, "old")
    after, bits_after = _words(new, "new")
    if bits != bits_after:
        raise FieldError(f"{bits // 8} octets cannot become {bits_after // 8}", field="new")
    if not 0 <= checksum <= ONES:
        raise FieldError(f"a checksum has 16 bits: {checksum}", field="checksum", value=checksum)
    if before == after:
        return checksum
    return ONES - fold((ONES - checksum) + ((1 << bits) - 1 - before) + after)


def _words(value: int | Buffer, name: str) -> tuple[int, int]:
    """One word, or octets, as a number and how many bits it has."""
    if isinstance(value, int):
        if not 0 <= value <= ONES:
            raise FieldError(f"{name} has 16 bits: {value}", field=name, value=value)
        return value, 16
    octets = _octets(value)
    if len(octets) % 2:
        raise FieldError(f"{name} has {len(octets)} octets, not whole words", field=name)
    return int.from_bytes(octets, "big"), len(octets) * 8


def pseudo_header(src: Buffer, dst: Buffer, protocol: int, length: int) -> bytes:
    """What TCP, UDP and ICMPv6 put before themselves when they are summed.

    Source: RFC 9293 section 3.1, RFC 768 (IPv4, 12 octets); RFC 8200 section 8.1 (IPv6, 40).

    src, dst: addresses, both of 4 octets or both of 16. With a routing header, `dst` is the
    final destination.  protocol: what the checksum belongs to, never an extension header.
    length: octets of header and payload of that protocol. FieldError where one does not fit.
    """
    addresses = _octets(src) + _octets(dst)
    size = len(addresses)
    if size not in (8, 32) or len(_octets(src)) * 2 != size:
        raise FieldError("addresses are both of 4 octets, or both of 16", field="src")
    if not 0 <= protocol <= 0xFF:
        raise FieldError(f"a protocol has 8 bits: {protocol}", field="protocol", value=protocol)
    width = 2 if size == 8 else 4
    if not 0 <= length < 1 << (8 * width):
        raise FieldError(f"a length of {length} does not fit", field="length", value=length)
    if width == 2:
        return b"%b\0%c%b" % (addresses, protocol, length.to_bytes(2, "big"))
    return b"%b%b\0\0\0%c" % (addresses, length.to_bytes(4, "big"), protocol)


@cache
def _crc32c_table() -> tuple[int, ...]:
    table = []
    for octet in range(256):
        crc = octet
        for _ in range(8):
            crc = crc >> 1 ^ (CRC32C_POLYNOMIAL if crc & 1 else 0)
        table.append(crc)
    return tuple(table)


def crc32c(data: Buffer) -> int:
    """The CRC of an SCTP packet whose checksum field is 0, as the number to store there.

    Source: RFC 9260 appendix A. The field is filled in network order like every other;
    this is the usual CRC-32C with its octets reversed, since SCTP sends its lowest first.
    """
    table = _crc32c_table()
    crc = 0xFFFFFFFF
    for octet in _octets(data):
        crc = crc >> 8 ^ table[(crc ^ octet) & 0xFF]
    return int.from_bytes((crc ^ 0xFFFFFFFF).to_bytes(4, "little"), "big")
