"""The CPU variants of sums and copies: equal to Python, and exact to the octet.

Outputs lie in octets of 0xa5, which must still be there afterwards, and inputs end (or
begin) where a page begins (or ends) that cannot be touched: one octet too many is a crash.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from encap.checksum import internet_checksum
from encap.errors import FieldError
from encap.implementations import ffi, implementation, implementations, lib

OCTETS = random.Random(1071).randbytes(1 << 18)
LARGE = [511, 512, 513, 1023, 1500, 1518, 4095, 9000, 65535, 65536, 65537, 131071, 200003]
FILL = 0xA5

Octets = npt.NDArray[np.uint8]
KEPT: WeakKeyDictionary[Any, tuple[Any, ...]] = WeakKeyDictionary()  # what a batch points to

every_variant = pytest.mark.usefixtures("variant")


@pytest.fixture(params=implementations())
def variant(request: pytest.FixtureRequest) -> Iterator[None]:
    with implementation(request.param):
        assert chosen() == request.param
        yield


def address(array: Octets, at: int = 0) -> object:
    return ffi.cast("uint8_t *", array.ctypes.data + at)


@pytest.fixture(scope="module")
def guarded() -> Iterator[Octets]:
    """Room for OCTETS (whole pages), with a page before and behind that cannot be touched."""
    page, size = mmap.PAGESIZE, len(OCTETS)
    block = mmap.mmap(-1, size + 2 * page)
    whole = np.frombuffer(block, np.uint8)
    libc = ctypes.CDLL(None, use_errno=True)
    guards = [ctypes.c_void_p(whole.ctypes.data + at) for at in (0, page + size)]
    for guard in guards:
        assert libc.mprotect(guard, ctypes.c_size_t(page), 0) == 0
    yield whole[page : page + size]
    for guard in guards:
        assert libc.mprotect(guard, ctypes.c_size_t(page), mmap.PROT_READ | mmap.PROT_WRITE) == 0


@every_variant
def test_sums_of_every_length_at_every_alignment() -> None:
    data = ffi.from_buffer("uint8_t[]", OCTETS)
    for start in range(65):
        for size in range(301):
            expected = internet_checksum(OCTETS[start : start + size])
            assert lib.encap_checksum(data + start, size) == expected, (start, size)


@every_variant
def test_sums_of_long_spans() -> None:
    data = ffi.from_buffer("uint8_t[]", OCTETS)
    for start in (0, 1, 31):
        for size in LARGE:
            expected = internet_checksum(OCTETS[start : start + size])
            assert lib.encap_checksum(data + start, size) == expected, (start, size)


@every_variant
@pytest.mark.parametrize("octet", [0x00, 0x7F, 0x80, 0xFF])
def test_extreme_sums(octet: int) -> None:
    """Where lanes would overflow, and the two zeros."""
    data = bytes([octet]) * (1 << 18)
    pointer = ffi.from_buffer("uint8_t[]", data)
    for size in (*range(260), *LARGE, len(data)):
        assert lib.encap_checksum(pointer, size) == internet_checksum(data[:size]), size


@every_variant
def test_a_sum_beyond_4_gib() -> None:
    """A length cut to 32 bits, in steps of octets or of words, would lose these."""
    data = np.zeros((1 << 32) + 70_001, np.uint8)  # address space: a page is made when written
    for at, octet in ((0, 0x12), ((1 << 32) + 2, 0x34), (len(data) - 1, 0x56)):
        data[at] = octet
    assert lib.encap_checksum(address(data), len(data)) == 0xFFFF - (0x1200 + 0x3400 + 0x5600)


@given(data=st.binary(max_size=2000), skip=st.integers(0, 64))
def test_a_sum_equals_python(data: bytes, skip: int) -> None:
    pointer = ffi.from_buffer("uint8_t[]", bytes(skip) + data)
    expected = dict.fromkeys(implementations(), internet_checksum(data))
    sums = {}
    for name in expected:
        with implementation(name):
            sums[name] = lib.encap_checksum(pointer + skip, len(data))
    assert sums == expected


@every_variant
def test_nothing_is_read_outside(guarded: Octets) -> None:
    guarded[:] = np.frombuffer(OCTETS, np.uint8)
    out = np.empty(len(OCTETS), np.uint8)
    for size in (*range(301), *LARGE):
        for start in (0, len(OCTETS) - size):
            data = OCTETS[start : start + size]
            expected = internet_checksum(data)
            assert lib.encap_checksum(address(guarded, start), size) == expected
            copied = lib.encap_copy_checksum(address(guarded, start), size, address(out))
            assert copied == expected
            assert out[:size].tobytes() == data
            assert compact(guarded, [start], [size], [0], out) == 0
            assert out[:size].tobytes() == data


@every_variant
def test_nothing_is_written_outside(guarded: Octets) -> None:
    source = np.frombuffer(OCTETS, np.uint8)
    for size in (*range(301), *LARGE):
        for target in (0, 1, 33, len(OCTETS) - size):
            near = guarded[max(target - 64, 0) : target + size + 64]
            for copy in (copy_with_sum, copy_row):
                near[:] = FILL
                copy(source, 5, size, guarded, target)
                inside = guarded[target : target + size]
                assert inside.tobytes() == OCTETS[5 : 5 + size], (copy, size, target)
                inside[:] = FILL
                assert (near == FILL).all(), (copy, size, target)


def copy_with_sum(source: Octets, start: int, size: int, out: Octets, target: int) -> None:
    expected = internet_checksum(source[start : start + size])
    got = lib.encap_copy_checksum(address(source, start), size, address(out, target))
    assert got == expected


def copy_row(source: Octets, start: int, size: int, out: Octets, target: int) -> None:
    assert compact(source, [start], [size], [target], out) == 0


# --- batches ----------------------------------------------------------------


def batch_of(data: Octets, starts: list[int], lengths: list[int]) -> Any:
    keep = (
        ffi.from_buffer("uint8_t[]", data),
        ffi.new("int64_t[]", starts),
        ffi.new("uint32_t[]", lengths),
    )
    batch = ffi.new(
        "encap_batch *",
        {
            "data": keep[0],
            "size": len(data),
            "starts": keep[1],
            "lengths": keep[2],
            "count": len(starts),
        },
    )
    KEPT[batch] = keep
    return batch


def compact(
    data: Octets, starts: list[int], lengths: list[int], targets: list[int], out: Octets
) -> int:
    batch = batch_of(data, starts, lengths)
    status: int = lib.encap_compact(
        batch, 0, len(starts), ffi.new("int64_t[]", targets), address(out), len(out)
    )
    return status


# Rows that do not lie inside 1,000 octets, and such as just do.
STARTS = [0, 1, 999, 1000, 1001, -1, -(1 << 63), (1 << 63) - 1, 998, 1000, 0, 500]
LENGTHS = [1000, 999, 1, 0, 0, 1, 1, 1, 3, 1, 0xFFFFFFFF, 64]
INSIDE = [True, True, True, True, *[False] * 7, True]


def frames() -> list[bytes]:
    return [
        OCTETS[start : start + length] if inside else b""
        for start, length, inside in zip(STARTS, LENGTHS, INSIDE, strict=True)
    ]


@every_variant
def test_checksums_of_rows() -> None:
    batch = batch_of(np.frombuffer(OCTETS[:1000], np.uint8), STARTS, LENGTHS)
    sums = np.full(len(STARTS), FILL, np.uint16)
    pointer = ffi.from_buffer("uint16_t[]", sums)
    assert lib.encap_checksums(batch, 2, 9, pointer) == 0
    assert sums[:2].tolist() == sums[9:11].tolist() == [FILL, FILL]
    assert lib.encap_checksums(batch, 0, len(STARTS), pointer) == 0
    assert sums.tolist() == [internet_checksum(frame) for frame in frames()]


@every_variant
@pytest.mark.parametrize(("begin", "end"), [(1, 0), (0, 13), (13, 13), (2**64 - 1, 2**64 - 1)])
def test_rows_that_do_not_exist(begin: int, end: int) -> None:
    batch = batch_of(np.frombuffer(OCTETS[:1000], np.uint8), STARTS, LENGTHS)
    sums = ffi.new("uint16_t[]", 16)
    assert lib.encap_checksums(batch, begin, end, sums) != 0
    targets, out = ffi.new("int64_t[]", 16), ffi.new("uint8_t[]", 1000)
    assert lib.encap_compact(batch, begin, end, targets, out, 1000) != 0
    assert not any(sums)
    assert not any(out)


@every_variant
def test_compacted_rows() -> None:
    expected = b"".join(frames())
    ends = np.cumsum([len(frame) for frame in frames()]).tolist()
    out = np.full(len(expected), FILL, np.uint8)
    data = np.frombuffer(OCTETS[:1000], np.uint8)
    assert compact(data, STARTS, LENGTHS, [0, *ends[:-1]], out) == 0
    assert out.tobytes() == expected


@every_variant
@pytest.mark.parametrize("target", [937, 1000, 1001, -1, -(1 << 63), (1 << 63) - 1])
def test_a_row_that_does_not_fit(target: int) -> None:
    out = np.full(1000, FILL, np.uint8)
    data = np.frombuffer(OCTETS, np.uint8)
    assert compact(data, [0, 7, 9], [64, 64, 64], [0, target, 500], out) != 0
    assert out[:64].tobytes() == OCTETS[:64]
    assert (out[64:] == FILL).all()


@every_variant
def test_batches_of_nothing() -> None:
    batch = ffi.new("encap_batch *")
    assert lib.encap_checksums(batch, 0, 0, ffi.NULL) == 0
    assert lib.encap_compact(batch, 0, 0, ffi.NULL, ffi.NULL, 0) == 0
    assert lib.encap_checksum(ffi.NULL, 0) == 0xFFFF
    assert lib.encap_copy_checksum(ffi.NULL, 0, ffi.NULL) == 0xFFFF
    empty = batch_of(np.empty(0, np.uint8), [0, 0], [0, 0])
    empty.data = ffi.NULL
    sums = ffi.new("uint16_t[]", 2)
    assert lib.encap_checksums(empty, 0, 2, sums) == 0
    assert list(sums) == [0xFFFF, 0xFFFF]
    assert lib.encap_compact(empty, 0, 2, ffi.new("int64_t[]", 2), ffi.NULL, 0) == 0


# --- the choice -------------------------------------------------------------


def chosen() -> str:
    name: bytes = ffi.string(lib.encap_implementation_name(lib.encap_implementation_current()))
    return name.decode()


def test_the_best_is_the_default() -> None:
    known = implementations()
    assert known[0] == "generic"
    assert chosen() == (os.environ.get("ENCAP_IMPLEMENTATION") or known[-1])


def test_a_choice_ends_with_its_context() -> None:
    before, best = chosen(), implementations()[-1]
    with implementation("generic") as name:
        assert name == chosen() == "generic"
        with implementation(best):
            assert chosen() == best
        assert chosen() == "generic"
    assert chosen() == before


def test_a_choice_ends_with_an_exception() -> None:
    before = chosen()
    with pytest.raises(ZeroDivisionError), implementation("generic"):
        raise ZeroDivisionError
    assert chosen() == before


def test_unknown_names() -> None:
    with pytest.raises(FieldError, match="generic"):
        implementation("mmx")
    with pytest.raises(TypeError):
        implementation(2)
    count = lib.encap_implementation_count()
    assert lib.encap_implementation_name(count) == ffi.NULL
    assert not lib.encap_implementation_supported(count)
    assert lib.encap_implementation_select(count) != 0


@pytest.mark.parametrize(("value", "expected"), [("generic", "generic"), ("", None), ("mmx", None)])
def test_the_environment_chooses(value: str, expected: str | None) -> None:
    script = (
        "from encap.implementations import ffi, lib, implementations\n"
        "index = lib.encap_implementation_current()\n"
        "print(ffi.string(lib.encap_implementation_name(index)).decode())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | {"ENCAP_IMPLEMENTATION": value},
        capture_output=True,
        text=True,
        check=False,
    )
    if value == "mmx":
        assert done.returncode != 0
        assert "FieldError" in done.stderr
    else:
        assert done.stdout.strip() == (expected or implementations()[-1])
