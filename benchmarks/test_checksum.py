"""Internet checksums of packets of one size, 256 KiB that stay in cache, by CPU variant."""

import numpy as np
import pytest

import encap
from encap._lib import Batch, lib, pointer
from encap.checksum import internet_checksum

ROOM = 1 << 18


@pytest.mark.parametrize("variant", encap.implementations())
@pytest.mark.parametrize("size", [64, 1500, 65535])
def test_checksums(benchmark, size, variant):
    benchmark.group = f"checksum of {size} octets"
    data = np.random.default_rng(1).integers(0, 256, ROOM, dtype=np.uint8)
    count = ROOM // size
    packets = encap.Packets(data, np.arange(count) * size, np.full(count, size))
    batch, sums = Batch(packets), np.zeros(count, np.uint16)
    target = pointer(sums, "uint16_t", writable=True)
    with encap.implementation(variant):
        benchmark(lib.encap_checksums, batch.pointer, 0, count, target)
    benchmark.extra_info["octets"] = size * count
    assert sums[0] == internet_checksum(packets[0])


@pytest.mark.parametrize("size", [20, 1500])
def test_checksum_of_one_buffer(benchmark, size):
    benchmark.group = f"checksum of {size} octets"
    octets = np.random.default_rng(1).integers(0, 256, size, dtype=np.uint8).tobytes()
    assert 0 <= benchmark(internet_checksum, octets) <= 0xFFFF
