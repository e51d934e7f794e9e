"""The kernels over whole captures, one thread, beside a memcpy of the same octets."""

import numpy as np
import pytest

from measure_batches import NINE, TUNNELS, touched

captures = pytest.mark.parametrize("name", [*TUNNELS, "deep"])


@pytest.fixture
def packets(batch, name, benchmark):
    benchmark.group = name
    found = batch(name)
    benchmark.extra_info["packets"] = len(found)
    return found


@captures
def test_memcpy(benchmark, packets, name):
    target = touched(packets.data.size)
    benchmark(np.copyto, target, packets.data)
    assert np.array_equal(target, packets.data)


@captures
def test_walk(benchmark, packets, name):
    layers = packets.parse(threads=1)
    found = benchmark(packets.parse, threads=1, out=layers)
    assert not found.status.any()


@captures
def test_walk_by_two_threads(benchmark, packets, name):
    layers = packets.parse(threads=1)
    found = benchmark(packets.parse, threads=2, out=layers)
    assert not found.status.any()


@captures
def test_columns(benchmark, packets, name):
    columns = packets.columns(*NINE, threads=1)
    found = benchmark(packets.columns, *NINE, threads=1, out=columns)
    assert found["tunnel.kind"].all()


@captures
def test_decap_to_views(benchmark, packets, name):
    inner = benchmark(packets.decap, threads=1)
    assert len(inner) == len(packets)


@captures
def test_decap_with_copy(benchmark, packets, name):
    buffer = touched(packets.data.size)
    inner = benchmark(packets.decap, threads=1, out=buffer)
    assert inner.equals(packets.decap())


@captures
def test_compact(benchmark, packets, name):
    views, buffer = packets.decap(), touched(packets.data.size)
    inner = benchmark(views.compact, threads=1, out=buffer)
    assert inner.equals(views)
