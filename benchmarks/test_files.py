"""Files in memory: read at once, batch by batch, to columns, decapsulated; beside bare copying."""

import numpy as np
import pytest

import encap
from measure_batches import NINE
from measure_files import (
    CHUNK,
    copy_through,
    decap_file,
    in_memory,
    index_only,
    read_through,
    stream_columns,
)  # fmt: skip

pytestmark = pytest.mark.benchmark(group="a file of vxlan")


@pytest.fixture(scope="module")
def files():
    with in_memory("vxlan") as paths:
        yield paths


@pytest.fixture(scope="module")
def chunk():
    return bytearray(CHUNK)


def test_read_loop(benchmark, files, chunk):
    benchmark(read_through, files[0], chunk)


def test_copy_loop(benchmark, files, chunk):
    source, target = files
    benchmark(copy_through, source, target, chunk)
    assert target.stat().st_size == source.stat().st_size


def test_read(benchmark, files):
    assert benchmark(encap.read, files[0]).error is None


def test_batches(benchmark, files):
    benchmark(index_only, files[0])


def test_columns_batch_by_batch(benchmark, files):
    whole = encap.read(files[0]).columns(*NINE)
    columns = {name: np.zeros_like(column) for name, column in whole.items()}
    count = benchmark(stream_columns, files[0], columns)
    assert count == len(whole["tunnel.id"])
    assert np.array_equal(columns["tunnel.id"], whole["tunnel.id"])


def test_decap_batch_by_batch(benchmark, files):
    source, target = files
    benchmark(decap_file, source, target)
    assert encap.read(target).equals(encap.read(source).decap())
