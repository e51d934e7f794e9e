"""One packet at a time, and the import."""

import pytest

import encap
from measure_files import seconds_of
from measure_packets import seven_layers

one = pytest.mark.benchmark(group="one packet of seven layers")


@one
def test_parse(benchmark):
    frame = bytes(seven_layers())
    assert bytes(benchmark(encap.parse, frame)) == frame


@one
def test_parse_and_verify(benchmark):
    frame = bytes(seven_layers())
    assert bytes(benchmark(encap.parse, frame, verify=True)) == frame


@one
def test_build(benchmark):
    packet = seven_layers()
    assert encap.parse(benchmark(bytes, packet)).path == packet.path


@one
def test_build_as_parsed(benchmark):
    frame = bytes(seven_layers())
    assert benchmark(bytes, encap.parse(frame)) == frame


@one
def test_make_and_build(benchmark):
    assert benchmark(lambda: bytes(seven_layers()))


@one
def test_a_field_by_name(benchmark):
    packet = seven_layers()
    assert str(benchmark(lambda: packet["inner.ipv4.src"])) == "10.0.0.1"


@pytest.mark.parametrize("header", ["Ethernet", "IPv4", "IPv6", "UDP", "TCP", "VXLAN", "GRE"])
def test_one_header(benchmark, header):
    benchmark.group = "one header"
    kind = getattr(encap, header)
    octets = bytes(kind())
    benchmark(kind.parse, octets)


@pytest.mark.parametrize(
    "code", ["import numpy", "import encap", "from encap import Packets, read"]
)
def test_import(benchmark, code):
    """The time includes an interpreter's start: compare with each other."""
    benchmark.group = "import"
    benchmark.pedantic(seconds_of, (code,), rounds=5)
