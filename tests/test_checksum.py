"""The checksums of one buffer, against the RFCs' examples, scapy, and a loop over words."""

from __future__ import annotations

import ipaddress
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from encap import checksum
from encap.errors import FieldError

word = st.integers(0, 0xFFFF)
words = st.lists(word, max_size=40).map(lambda values: b"".join(map(octets_of, values)))


def octets_of(value: int) -> bytes:
    return value.to_bytes(2, "big")


def plain_sum(data: bytes, total: int = 0) -> int:
    """RFC 1071 section 4.1, word by word."""
    padded = data + bytes(len(data) % 2)
    for at in range(0, len(padded), 2):
        total += padded[at] << 8 | padded[at + 1]
        total = (total & 0xFFFF) + (total >> 16)
    return total


def test_example_of_rfc_1071() -> None:
    data = bytes.fromhex("0001 f203 f4f5 f6f7")  # section 3
    assert checksum.ones_sum(data) == 0xDDF2
    assert checksum.internet_checksum(data) == 0x220D
    assert checksum.fold(0x2DDF0) == 0xDDF2


def test_example_of_rfc_1624() -> None:
    # Section 4: where equation 2 of RFC 1141 gives 0xFFFF, this gives 0x0000.
    assert checksum.update(0xDD2F, 0x5555, 0x3285) == 0x0000


def test_an_ipv4_header() -> None:
    # A header whose checksum is known from a capture by Linux.
    header = bytes.fromhex("45000073000040004011 b861 c0a80001c0a800c7")
    assert checksum.verify(header)
    assert checksum.internet_checksum(header[:10] + bytes(2) + header[12:]) == 0xB861


@pytest.mark.parametrize("size", [0, 1, 2, 3, 20, 21, 64, 1499, 1500, 65535, 70000])
def test_random_octets_against_a_loop(size: int) -> None:
    data = random.Random(size).randbytes(size)
    assert checksum.ones_sum(data) == plain_sum(data)
    assert checksum.internet_checksum(data) == plain_sum(data) ^ 0xFFFF


@given(st.binary(max_size=200), st.integers(0, 2**40))
def test_a_sum_equals_the_loop(data: bytes, initial: int) -> None:
    assert checksum.ones_sum(data) == plain_sum(data)
    folded = checksum.fold(initial)
    assert checksum.ones_sum(data, initial) == checksum.ones_sum(data, folded)
    assert checksum.ones_sum(data, folded) == plain_sum(data, folded)


@given(st.binary(max_size=200))
def test_equal_to_scapy(data: bytes) -> None:
    from scapy.utils import checksum as scapy_checksum

    assert checksum.internet_checksum(data) == scapy_checksum(data)


def test_the_two_zeros() -> None:
    assert checksum.ones_sum(b"") == 0
    assert checksum.ones_sum(bytes(64)) == 0
    assert checksum.ones_sum(b"\xff" * 64) == 0xFFFF
    assert checksum.ones_sum(b"\x00\x01\xff\xfe") == 0xFFFF
    assert checksum.internet_checksum(bytes(64)) == 0xFFFF
    assert checksum.internet_checksum(b"\xff" * 64) == 0
    assert checksum.fold(0) == 0
    assert checksum.fold(0xFFFF) == 0xFFFF
    assert checksum.fold(0x10000) == 1


@given(words)
def test_what_was_filled_in_verifies(data: bytes) -> None:
    filled = data + octets_of(checksum.internet_checksum(data))
    assert checksum.verify(filled)
    assert checksum.verify(data[:0] + filled[2:], checksum.ones_sum(filled[:2]))


def test_both_forms_of_zero_verify() -> None:
    # The words before the checksum sum up to 0xFFFF: 0x0000 and 0xFFFF are both right.
    assert checksum.verify(b"\x12\x34\xed\xcb\x00\x00")
    assert checksum.verify(b"\x12\x34\xed\xcb\xff\xff")
    assert not checksum.verify(b"\x12\x34\xed\xcb\x00\x01")
    assert not checksum.verify(bytes(20))


@given(words, words, words, st.randoms(use_true_random=False))
def test_an_update_equals_a_new_sum(
    head: bytes, old: bytes, tail: bytes, chance: random.Random
) -> None:
    new = chance.randbytes(len(old))
    before = checksum.internet_checksum(head + old + tail)
    after = checksum.update(before, old, new)
    if any(head + new + tail):  # nothing but zeros verifies with no checksum of 0x0000
        assert checksum.verify(head + new + tail + octets_of(after))
    assert checksum.update(before, old, old) == before


@given(word, word, word)
def test_words_are_octets(stored: int, old: int, new: int) -> None:
    assert checksum.update(stored, old, new) == checksum.update(
        stored, octets_of(old), octets_of(new)
    )


@given(word, word, word)
def test_an_update_is_the_equation(stored: int, old: int, new: int) -> None:
    total = (~stored & 0xFFFF) + (~old & 0xFFFF) + new
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    expected = stored if old == new else ~total & 0xFFFF
    assert checksum.update(stored, old, new) == expected


def test_what_does_not_fit() -> None:
    for arguments in [
        (0x10000, 0, 0),
        (-1, 0, 0),
        (0, 0x10000, 0),
        (0, 0, -1),
        (0, b"\0", b"\0"),
        (0, b"\0\0\0\0", b"\0\0"),
    ]:
        with pytest.raises(FieldError):
            checksum.update(*arguments)
    with pytest.raises(FieldError):
        checksum.fold(-1)
    with pytest.raises(FieldError):
        checksum.ones_sum(b"", -1)
    for wrong in ("text", 5, [1, 2], None):
        with pytest.raises(TypeError):
            checksum.ones_sum(wrong)
        with pytest.raises(TypeError):
            checksum.crc32c(wrong)
    with pytest.raises(TypeError):
        checksum.ones_sum(b"\0\1", 1.5)
    with pytest.raises(TypeError):
        checksum.update(0, "ab", "cd")


def test_any_buffer_is_octets() -> None:
    import array

    import numpy as np

    data = bytes(range(64))
    expected = checksum.ones_sum(data)
    for same in (
        bytearray(data),
        memoryview(data),
        np.frombuffer(data, np.uint8),
        array.array("Q", data),  # counted in octets, not in elements
    ):
        assert checksum.ones_sum(same) == expected
    assert checksum.ones_sum(np.empty(0, np.uint8)) == 0
    assert checksum.ones_sum(memoryview(data)[::2]) == checksum.ones_sum(data[::2])


@given(st.ip_addresses(v=4), st.ip_addresses(v=4), st.binary(max_size=100))
def test_the_ipv4_pseudo_header(
    src: ipaddress.IPv4Address, dst: ipaddress.IPv4Address, payload: bytes
) -> None:
    from scapy.layers.inet import IP, in4_chksum

    mine = checksum.pseudo_header(src.packed, dst.packed, 17, len(payload)) + payload
    assert checksum.internet_checksum(mine) == in4_chksum(
        17, IP(src=str(src), dst=str(dst), len=20 + len(payload), ihl=5), payload
    )


@given(st.ip_addresses(v=6), st.ip_addresses(v=6), st.binary(max_size=100))
def test_the_ipv6_pseudo_header(
    src: ipaddress.IPv6Address, dst: ipaddress.IPv6Address, payload: bytes
) -> None:
    from scapy.layers.inet6 import IPv6, in6_chksum

    mine = checksum.pseudo_header(src.packed, dst.packed, 58, len(payload)) + payload
    expected = in6_chksum(58, IPv6(src=str(src), dst=str(dst), plen=len(payload)), payload)
    assert checksum.internet_checksum(mine) == expected


def test_pseudo_headers_octet_for_octet() -> None:
    assert checksum.pseudo_header(b"\x01\x02\x03\x04", b"\x05\x06\x07\x08", 17, 0x1234) == (
        bytes.fromhex("0102030405060708 00 11 1234")
    )
    assert checksum.pseudo_header(bytes(15) + b"\1", bytes(15) + b"\2", 58, 0x12345678) == (
        bytes(15) + b"\1" + bytes(15) + b"\2" + bytes.fromhex("12345678 000000 3a")
    )


@pytest.mark.parametrize(
    ("src", "dst", "protocol", "length"),
    [
        (bytes(4), bytes(16), 17, 8),
        (bytes(3), bytes(5), 17, 8),
        (bytes(5), bytes(5), 17, 8),
        (bytes(4), bytes(4), 256, 8),
        (bytes(4), bytes(4), -1, 8),
        (bytes(4), bytes(4), 17, 65536),
        (bytes(16), bytes(16), 17, 2**32),
        (bytes(16), bytes(16), 17, -1),
    ],
)
def test_pseudo_headers_that_do_not_fit(src: bytes, dst: bytes, protocol: int, length: int) -> None:
    with pytest.raises(FieldError):
        checksum.pseudo_header(src, dst, protocol, length)


def test_crc32c_check_value() -> None:
    # RFC 3720 appendix B.4 lists the octets as they are sent, lowest first.
    assert checksum.crc32c(bytes(32)) == 0xAA36918A
    assert checksum.crc32c(b"\xff" * 32) == 0x43ABA862
    assert checksum.crc32c(bytes(range(32))) == 0x4E79DD46
    assert checksum.crc32c(bytes(range(31, -1, -1))) == 0x5CDB3F11
    assert checksum.crc32c(b"123456789") == 0x839206E3  # the catalogues' 0xE3069283


@given(st.binary(max_size=100))
def test_crc32c_equal_to_scapy(data: bytes) -> None:
    from scapy.layers.sctp import crc32c

    assert checksum.crc32c(data) == crc32c(data)
