"""What is put around packets, changed and asked of them: whole captures, one thread."""

import numpy as np
import pytest

from measure_batches import touched
from measure_encap import Work
from measure_filter import EXPRESSION, by_numpy
from measure_rewrite import REWRITTEN, VERDICTS, Rewriting, check_verdicts


@pytest.fixture
def work(batch):
    return Work(batch("plain"))


@pytest.mark.benchmark(group="encap, plain")
@pytest.mark.parametrize("udp_checksum", [False, True])
def test_encap_by_hand(benchmark, work, udp_checksum):
    octets = benchmark(work.by_hand, udp_checksum)
    assert octets == work.limit.packet_octets + len(work.headers) * len(work.packets)


@pytest.mark.benchmark(group="encap, plain")
@pytest.mark.parametrize("udp_checksum", [False, True])
def test_encap_vxlan(benchmark, work, udp_checksum):
    outer = benchmark(work.vxlan, udp_checksum)
    assert outer.decap().compact().equals(work.packets.compact())


@pytest.mark.benchmark(group="encap, plain")
@pytest.mark.parametrize("kind", ["gre", "geneve"])
def test_encap_others(benchmark, work, kind):
    outer = benchmark(getattr(work, kind))
    assert outer.decap().compact().equals(work.packets.compact())


@pytest.mark.benchmark(group="encap, plain")
def test_encap_by_two_threads(benchmark, work):
    outer = benchmark(work.vxlan, True, threads=2)
    assert outer.decap().compact().equals(work.packets.compact())


@pytest.mark.parametrize("name", REWRITTEN)
def test_rewrite_in_place(benchmark, name):
    benchmark.group = f"rewrite, {name}"
    work = Rewriting(name)
    work.check(name)
    benchmark(work.in_place)


@pytest.mark.parametrize("name", REWRITTEN)
def test_rewrite_by_hand(benchmark, name):
    benchmark.group = f"rewrite, {name}"
    benchmark(Rewriting(name).by_hand)


@pytest.mark.parametrize("name", REWRITTEN)
def test_rewrite_with_copy(benchmark, name):
    benchmark.group = f"rewrite, {name}"
    work = Rewriting(name)
    rewritten = benchmark(work.copied, work.out)
    assert np.array_equal(rewritten.lengths, work.source.lengths)


@pytest.mark.parametrize("name", VERDICTS)
def test_verdicts(benchmark, batch, name):
    benchmark.group = f"checksums, {name}"
    packets = batch(name)
    found = benchmark(packets.checksums, threads=1, out=packets.checksums())
    check_verdicts(name, found)


@pytest.mark.benchmark(group="where, vxlan")
def test_where(benchmark, batch):
    packets = batch("vxlan")
    chosen = benchmark(packets.where, EXPRESSION, threads=1)
    assert len(chosen) == by_numpy(packets).sum()


@pytest.mark.benchmark(group="where, vxlan")
def test_match(benchmark, batch):
    packets = batch("vxlan")
    mask = benchmark(packets.match, EXPRESSION, threads=1)
    assert np.array_equal(mask, by_numpy(packets))


@pytest.mark.benchmark(group="flow hash, vxlan")
@pytest.mark.parametrize("algorithm", ["fast", "toeplitz"])
def test_flow_hash(benchmark, batch, algorithm):
    packets = batch("vxlan")
    out = touched(4 * len(packets)).view(np.uint32)
    hashes = benchmark(packets.flow_hash, algorithm=algorithm, threads=1, out=out)
    assert len(np.unique(hashes)) <= 1000
