"""Flow hashes: equal to a twin in Python, to published vectors, and the same for one flow only."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from random import Random

import golden
import numpy as np
import pytest
import stacks

import encap
from encap import (
    ICMP,
    SCTP,
    TCP,
    UDP,
    VXLAN,
    Ethernet,
    FieldError,
    Fragment,
    HopByHop,
    IPv4,
    IPv6,
    Packets,
)  # fmt: skip
from encap.flow import FORMULAS, RSS_KEY, SYMMETRIC_KEY, SourcePorts, source_ports, spread
from encap.implementations import implementation, implementations

EXTENSIONS = {"hopopt", "routing", "fragment", "dstopts", "ah"}
MASK = (1 << 64) - 1
EACH = 16
"""One row in as many tries the shortcut behind one that needed a walk."""


@pytest.fixture(params=implementations())
def variant(request: pytest.FixtureRequest) -> Iterator[None]:
    with implementation(request.param):
        yield


# --- the same in Python ------------------------------------------------------------------------


class Flow:
    """What a hash is made of: two addresses, the ports together, the protocol."""

    def __init__(self, addresses: bytes, ports: int, protocol: int) -> None:
        self.addresses, self.ports, self.protocol = addresses, ports, protocol

    def sorted(self) -> Flow:
        half = len(self.addresses) // 2
        ends = [
            (self.addresses[:half], self.ports >> 16),
            (self.addresses[half:], self.ports & 0xFFFF),
        ]
        ends.sort()
        return Flow(ends[0][0] + ends[1][0], ends[0][1] << 16 | ends[1][1], self.protocol)


def flow_at(frame: bytes, kinds: list[str], offsets: list[int], slot: int) -> Flow:
    at = offsets[slot]
    if kinds[slot] == "eth":
        return Flow(frame[at : at + 12], 0, int.from_bytes(frame[at + 12 : at + 14]))
    old = kinds[slot] == "ipv4"
    header = frame[at : at + (20 if old else 40)]
    addresses = header[12:] if old else header[8:]
    protocol, ports = header[9 if old else 6], 0
    if old and int.from_bytes(header[6:8]) & 0x3FFF:
        return Flow(addresses, 0, protocol)
    for kind, begin in zip(kinds[slot + 1 :], offsets[slot + 1 :], strict=False):
        if len(frame) - begin < 4:
            break
        if kind in {"tcp", "udp", "sctp"}:
            ports = int.from_bytes(frame[begin : begin + 4])
        if kind not in EXTENSIONS:
            break
        protocol = frame[begin]
        if kind == "fragment" and int.from_bytes(frame[begin + 2 : begin + 4]) & 0xFFF9:
            break
    return Flow(addresses, ports, protocol)


def mix(value: int, word: int) -> int:
    value = (value ^ word) * 0x9FB21C651E98DF25 & MASK
    return value ^ value >> 32


def fast(flow: Flow | None) -> int:
    flow = flow or Flow(b"", 0, 0)
    size = len(flow.addresses) // 2
    value = 0x2545F4914F6CDD1D + size
    for at in range(0, len(flow.addresses), 8):
        value = mix(value, int.from_bytes(flow.addresses[at : at + 8]))
    value = mix(value, flow.ports << 32 | flow.protocol)
    value = value * 0xD6E8FEB86659FD93 & MASK
    value ^= value >> 29
    return (value * 0x9E3779B97F4A7C15 & MASK) >> 32


def toeplitz(flow: Flow | None, key: bytes) -> int:
    """Bit by bit, as the specification has it."""
    if flow is None or len(flow.addresses) == 12:
        return 0
    octets = flow.addresses + flow.ports.to_bytes(4)
    window, found = int.from_bytes(key), 0
    for at in range(8 * len(octets)):
        if octets[at // 8] >> (7 - at % 8) & 1:
            found ^= window >> (8 * len(key) - 32 - at) & 0xFFFFFFFF
    return found


def flows(packets: Packets, name: str) -> Iterator[Flow | None]:
    """The flow of the header called `name` in every packet, from what the walk has found."""
    layers = packets.parse()
    slots = None if name == "innermost" else layers.slot(name).tolist()
    rows = zip(packets, layers.kinds, layers.offsets.tolist(), layers.depth.tolist(), strict=True)
    for row, (frame, numbers, offsets, depth) in enumerate(rows):
        kinds = [encap.Kind(number).name for number in numbers[:depth]]
        if slots is None:
            hashed = [at for at, kind in enumerate(kinds) if kind in {"ipv4", "ipv6", "eth"}]
            slot = hashed[-1] if hashed else -1
        else:
            slot = slots[row]
        yield flow_at(frame, kinds, offsets[:depth], slot) if slot >= 0 else None


def expected(packets: Packets, name: str, **how: object) -> list[int]:
    made = []
    for flow in flows(packets, name):
        if flow is not None and how.get("l4") is False:
            flow.ports = 0
        if how.get("algorithm") == "toeplitz":
            made.append(toeplitz(flow, SYMMETRIC_KEY if how.get("symmetric") else RSS_KEY))
        elif flow is None and name != "innermost":
            made.append(0)
        else:
            made.append(fast(flow.sorted() if flow and how.get("symmetric") else flow))
    return made


def apart(packets: Packets) -> Packets:
    """The same rows, each so often that the shortcut is tried for it."""
    return packets[np.repeat(np.arange(len(packets)), EACH)]


# --- equal to it ------------------------------------------------------------------------------

WAYS: list[dict[str, object]] = [
    {}, {"symmetric": True}, {"l4": False}, {"algorithm": "toeplitz"},
    {"algorithm": "toeplitz", "symmetric": True}, {"algorithm": "toeplitz", "l4": False},
]  # fmt: skip
LAYERS = ["innermost", "ip", "inner.ip", "outer.ip", "ip[-1]", "ipv4[1]", "ipv6", "eth", "eth[-1]"]


@pytest.mark.usefixtures("variant")
@pytest.mark.parametrize("how", WAYS, ids=str)
@pytest.mark.parametrize("name", LAYERS)
def test_golden_frames(name: str, how: dict[str, object]) -> None:
    packets = golden.every_frame()[::7]
    assert packets.flow_hash(name, **how).tolist() == expected(packets, name, **how)


@pytest.mark.parametrize("change", stacks.CHANGES, ids=lambda change: change.__name__)
def test_the_shortcut_is_the_walk_for_random_stacks(change: stacks.Change) -> None:
    packets = stacks.random_packets(3000, 7, change)
    mine = apart(packets).flow_hash()
    assert mine[::EACH].tolist() == expected(packets, "innermost")
    assert (mine.reshape(-1, EACH) == mine[::EACH, None]).all()


def test_the_shortcut_is_the_walk_for_every_golden_frame() -> None:
    packets = golden.every_frame()
    assert apart(packets).flow_hash()[::EACH].tolist() == expected(packets, "innermost")


def usual_packets() -> list[tuple[bytes, int]]:
    """Frames for which the shortcut is meant, and what differs from them by little."""
    macs = Ethernet(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
    made: list[tuple[bytes, int]] = []
    for tags in range(4):
        for network in (
            IPv4(src="10.0.0.1", dst="10.0.0.2"),
            IPv4(src="10.0.0.1", dst="10.0.0.2", options=bytes(4)),
            IPv6(src="fd00::1", dst="fd00::2"),
            IPv6(src="fd00::1", dst="fd00::2") / HopByHop(),
        ):
            for transport in (
                TCP(sport=1, dport=2), UDP(sport=3, dport=4), SCTP(sport=5, dport=6), ICMP(),
                UDP(sport=7, dport=4789) / VXLAN(vni=8) / macs, encap.ESP(),
            ):  # fmt: skip
                inner = network / transport / b"payload"
                head = macs
                for tag in range(tags):
                    head = head / encap.VLAN(vid=tag)
                made.append((bytes(head / inner), 1))
                if not tags:
                    made.append((bytes(inner), 101))
    return made


def test_the_shortcut_is_the_walk_wherever_a_frame_ends() -> None:
    frames, linktypes = [], []
    for frame, linktype in usual_packets():
        frames += [frame[:size] for size in range(len(frame) + 1)]
        linktypes += [linktype] * (len(frame) + 1)
    packets = Packets.from_frames(frames, linktypes=linktypes)
    assert apart(packets).flow_hash()[::EACH].tolist() == expected(packets, "innermost")


def test_the_shortcut_is_the_walk_whatever_one_octet_says() -> None:
    random = Random(5)
    frames, linktypes = [], []
    for frame, linktype in usual_packets():
        for at in range(min(len(frame), 64)):
            for value in (0, 1, 0x20, 0x40, 0xFF, random.randrange(256)):
                frames.append(frame[:at] + bytes([value]) + frame[at + 1 :])
                linktypes.append(linktype)
    packets = Packets.from_frames(frames, linktypes=linktypes)
    assert apart(packets).flow_hash()[::EACH].tolist() == expected(packets, "innermost")


def test_ports_of_the_caller_count() -> None:
    inner = Ethernet() / IPv4(src="10.0.0.1", dst="10.0.0.2") / UDP(sport=1, dport=2)
    outer = Ethernet() / IPv4(src="1.0.0.1", dst="1.0.0.2") / UDP(sport=3, dport=8473) / VXLAN()
    packets = Packets.from_frames([bytes(outer / inner), bytes(inner)])
    unlike, same = packets.flow_hash(), packets.flow_hash(ports={8473: "vxlan"})
    assert unlike[0] != unlike[1]
    assert same[0] == same[1] == packets.with_ports({8473: "vxlan"}).flow_hash()[0]


# --- what it means ---------------------------------------------------------------------------


def hashes(*packets: encap.Packet | bytes, linktype: int = 1, **how: object) -> list[int]:
    made = Packets.from_frames([bytes(packet) for packet in packets], linktypes=linktype)
    return made.flow_hash(**how).tolist()


def test_it_is_the_same_on_every_machine() -> None:
    """Source ports of captures made with it must not change with a new version unnoticed."""
    tcp = Ethernet() / IPv4(src="10.0.0.1", dst="10.0.0.2") / TCP(sport=1, dport=2)
    udp = Ethernet() / IPv6(src="fd00::1", dst="fd00::2") / UDP(sport=1, dport=2)
    assert hashes(tcp, udp, Ethernet() / b"", b"") == [149219593, 584094972, 1534850293, 2746278431]


def test_all_fragments_of_a_datagram_are_one_flow() -> None:
    ends4, ends6 = {"src": "10.0.0.1", "dst": "10.0.0.2"}, {"src": "fd00::1", "dst": "fd00::2"}
    udp = bytes(UDP(sport=1, dport=2, len=100)) + bytes(24)
    old = [
        Ethernet() / IPv4(**ends4, protocol=17, flags=1) / udp,
        Ethernet() / IPv4(**ends4, protocol=17, flags=1, fragment_offset=4) / bytes(32),
        Ethernet() / IPv4(**ends4, protocol=17, fragment_offset=8) / bytes(36),
    ]
    new = [
        Ethernet() / IPv6(**ends6) / Fragment(next_header=17, more=1) / udp,
        Ethernet() / IPv6(**ends6) / Fragment(next_header=17, offset=4, more=1) / bytes(32),
        Ethernet() / IPv6(**ends6) / Fragment(next_header=17, offset=8) / bytes(36),
    ]
    for fragments in (old, new):
        for algorithm in ("fast", "toeplitz"):
            assert len(set(hashes(*fragments, algorithm=algorithm))) == 1
    whole = Ethernet() / IPv4(**ends4) / UDP(sport=1, dport=2)
    assert hashes(whole)[0] != hashes(old[0])[0]


def test_both_directions() -> None:
    there = Ethernet() / IPv4(src="10.0.0.1", dst="10.0.0.2") / TCP(sport=1, dport=2)
    back = Ethernet() / IPv4(src="10.0.0.2", dst="10.0.0.1") / TCP(sport=2, dport=1)
    other = Ethernet() / IPv4(src="10.0.0.2", dst="10.0.0.1") / TCP(sport=1, dport=2)
    for algorithm in ("fast", "toeplitz"):
        one, two = hashes(there, back, algorithm=algorithm)
        assert one != two
        one, two, three = hashes(there, back, other, algorithm=algorithm, symmetric=True)
        assert one == two
        # Of a Toeplitz hash whose key has a period of 16 bits this is known, and no matter.
        assert (one == three) == (algorithm == "toeplitz")


def test_decapsulation_changes_no_hash() -> None:
    packets = golden.every_frame()
    inner = packets.decap(depth="all")
    before, after = packets.parse()["path"][inner.rows], inner.parse()["path"]
    # What is neither Ethernet nor IP, MPLS say, is not known for what it is without its tunnel.
    kept = np.array([
        path in {"eth", "ipv4", "ipv6"} or (bool(path) and whole.endswith("/" + path))
        for whole, path in zip(before, after, strict=True)
    ])  # fmt: skip
    kept &= inner.parse().status == encap.Status.OK
    assert kept.sum() > 1000
    assert (packets.flow_hash()[inner.rows] == inner.flow_hash())[kept].all()


def test_arp_in_a_tunnel_is_a_flow_of_its_own() -> None:
    outer = Ethernet() / IPv4(src="1.0.0.1", dst="1.0.0.2") / UDP(sport=3, dport=4789) / VXLAN()
    one = Ethernet(src="02:00:00:00:00:01") / encap.ARP()
    two = Ethernet(src="02:00:00:00:00:02") / encap.ARP()
    assert len(set(hashes(outer / one, outer / two))) == 2
    assert len(set(hashes(outer / one, outer / two, layer="ip[-1]"))) == 1


def test_without_such_a_header() -> None:
    plain = Ethernet() / IPv4(src="10.0.0.1", dst="10.0.0.2") / TCP()
    assert hashes(plain, layer="ipv6") == hashes(plain, layer="ipv4[1]") == [0]
    assert hashes(Ethernet() / b"", algorithm="toeplitz") == [0]


# --- published vectors -----------------------------------------------------------------------

# "Verifying the RSS Hash Calculation", Windows driver documentation (Microsoft): destination,
# source, hash over addresses, hash over addresses and TCP ports, with the key that RSS_KEY is.
RSS_SUITE = [
    ("161.142.100.80", 1766, "66.9.149.187", 2794, 0x323E8FC2, 0x51CCC178),
    ("65.69.140.83", 4739, "199.92.111.2", 14230, 0xD718262A, 0xC626B0EA),
    ("12.22.207.184", 38024, "24.19.198.95", 12898, 0xD2D0A5DE, 0x5C2B394A),
    ("209.142.163.6", 2217, "38.27.205.30", 48228, 0x82989176, 0xAFC7327F),
    ("202.188.127.2", 1303, "153.39.163.191", 44251, 0x5D1809C5, 0x10E828A2),
    ("3ffe:2501:200:3::1", 1766, "3ffe:2501:200:1fff::7", 2794, 0x2CC18CD5, 0x40207D3D),
    ("ff02::1", 4739, "3ffe:501:8::260:97ff:fe40:efab", 14230, 0x0F0C461C, 0xDDE51BBF),
    (
        "fe80::200:f8ff:fe21:67cf", 38024, "3ffe:1900:4545:3:200:f8ff:fe21:67cf", 44251,
        0x4B61E985, 0x02D1FEEF,
    ),
]  # fmt: skip


@pytest.mark.usefixtures("variant")
@pytest.mark.parametrize(("dst", "dport", "src", "sport", "addresses", "ports"), RSS_SUITE)
def test_rss_verification_suite(
    dst: str, dport: int, src: str, sport: int, addresses: int, ports: int
) -> None:
    new = ipaddress.ip_address(dst).version == 6
    header = IPv6(src=src, dst=dst) if new else IPv4(src=src, dst=dst)
    packet = Ethernet() / header / TCP(sport=sport, dport=dport)
    for key in (None, RSS_KEY, RSS_KEY + bytes(12), bytearray(RSS_KEY)):
        assert hashes(packet, algorithm="toeplitz", key=key, l4=False) == [addresses]
        assert hashes(packet, algorithm="toeplitz", key=key) == [ports]


# --- arguments -------------------------------------------------------------------------------


def test_threads_do_not_matter() -> None:
    packets = apart(golden.every_frame())
    assert len(packets) > 16 * 8192 // 8
    many = Packets.concat([packets] * 4)
    for layer in ("innermost", "inner.ip"):
        one = many.flow_hash(layer, threads=1)
        assert (one == many.flow_hash(layer, threads=3)).all()


def test_out() -> None:
    packets = golden.every_frame()
    room = np.full(len(packets) + 3, 7, np.uint32)
    made = packets.flow_hash(out=room)
    assert np.shares_memory(made, room)
    assert len(made) == len(packets)
    assert (made == packets.flow_hash()).all()
    assert (room[-3:] == 7).all()
    for wrong in (room[:3], room.astype(np.int64), room[::2], packets.starts.view(np.uint32)):
        with pytest.raises(FieldError):
            packets.flow_hash(out=wrong)
    with pytest.raises(TypeError):
        packets.flow_hash(out=[])


def test_nothing() -> None:
    made = Packets.from_frames([]).flow_hash()
    assert made.dtype == np.uint32
    assert made.shape == (0,)


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"layer": "tcp"}, "a flow is that of"), ({"layer": "tunnel"}, "a flow is that of"),
        ({"layer": "l4"}, "a flow is that of"), ({"layer": "ipv4.src"}, "names a field"),
        ({"layer": "nothing"}, "nothing"), ({"algorithm": "md5"}, "algorithm"),
        ({"key": RSS_KEY}, "no key"), ({"algorithm": "toeplitz", "key": b"short"}, "5 octets"),
        ({"algorithm": "toeplitz", "key": RSS_KEY, "symmetric": True}, "chooses its key"),
        ({"threads": 0}, "threads"), ({"ports": {70000: "vxlan"}}, "port"),
    ],
    ids=str,
)  # fmt: skip
def test_wrong_arguments(how: dict[str, object], words: str) -> None:
    with pytest.raises(FieldError, match=words):
        golden.every_frame().flow_hash(**how)


@pytest.mark.parametrize(
    "how", [{"layer": 3}, {"layer": None}, {"algorithm": "toeplitz", "key": "text" * 10}], ids=str
)
def test_wrong_types(how: dict[str, object]) -> None:
    with pytest.raises(TypeError):
        golden.every_frame().flow_hash(**how)


def hostile(packets: Packets, **changes: object) -> Packets:
    """A batch whose arrays say what no constructor lets pass."""
    made = packets[:]
    for name, value in changes.items():
        object.__setattr__(made, name, value)
    return made


@pytest.mark.usefixtures("variant")
def test_rows_outside_of_the_buffer_are_empty_frames() -> None:
    packets = golden.every_frame()[:64]
    empty = Packets.from_frames([b""] * 64, linktypes=packets.linktypes)
    for starts in (-1, -(1 << 63), (1 << 63) - 1, len(packets.data)):
        wrong = hostile(packets, starts=np.full(64, starts, np.int64))
        for layer in ("innermost", "inner.ip", "eth"):
            assert (wrong.flow_hash(layer) == empty.flow_hash(layer)).all()
    wrong = hostile(packets, lengths=np.full(64, 0xFFFFFFFF, np.uint32))
    assert (wrong.flow_hash() == empty.flow_hash()).all()


# --- evenness --------------------------------------------------------------------------------


def many_flows(count: int) -> Packets:
    """TCP between a few hosts that differ in their lowest bits, ports counted up."""
    frames = np.zeros((count, 54), np.uint8)
    frames[:] = np.frombuffer(
        bytes(Ethernet() / IPv4(src="10.0.0.0", dst="10.0.1.0") / TCP(sport=0, dport=80)), np.uint8
    )
    number = np.arange(count)
    frames[:, 29] = number % 16
    frames[:, 33] = number // 16 % 4
    frames[:, 34:36] = (32768 + number // 64).astype(">u2").view(np.uint8).reshape(-1, 2)
    return Packets(frames.reshape(-1), np.arange(count) * 54, np.full(count, 54))


def test_every_bit_of_a_flow_changes_half_of_the_hash() -> None:
    """Within what chance gives: 2,000 flows, so a deviation of 0.011 for each pair of bits."""
    packets = many_flows(2000)
    before = packets.flow_hash()
    for bit in (*range(8 * 26, 8 * 34), *range(8 * 34, 8 * 38)):
        data = packets.data.reshape(-1, 54).copy()
        data[:, bit // 8] ^= 128 >> bit % 8
        after = Packets(data.reshape(-1), packets.starts, packets.lengths).flow_hash()
        changed = np.unpackbits((before ^ after).view(np.uint8).reshape(-1, 4), axis=1).mean(0)
        assert (abs(changed - 0.5) < 0.06).all(), bit


@pytest.mark.parametrize("shift", [0, 8, 16, 22])
def test_high_and_low_bits_are_spread_alike(shift: int) -> None:
    found = many_flows(100_000).flow_hash()
    assert len(np.unique(found)) > 99_990
    counts = np.bincount(found >> shift & 1023, minlength=1024)
    chi_square = ((counts - counts.mean()) ** 2 / counts.mean()).sum()
    assert abs(chi_square - 1023) < 5 * (2 * 1023) ** 0.5


# --- source ports ----------------------------------------------------------------------------


def port_of(value: int, low: int, high: int, bits: str) -> int:
    if bits == "linux":
        value ^= value << 16 & 0xFFFFFFFF
    if bits == "low":
        value = value << 16 & 0xFFFFFFFF
    return low + (value * (high - low + 1) >> 32)


@pytest.mark.parametrize(
    "sport", [*FORMULAS, (5, 5), (0, 65535), (1024, 2047), SourcePorts(7, 9, "linux")], ids=str
)
def test_source_ports(sport: str | tuple[int, int] | SourcePorts) -> None:
    if isinstance(sport, str):
        ports = FORMULAS[sport]
    else:
        ports = sport if isinstance(sport, SourcePorts) else SourcePorts(*sport)
    values = np.array([0, 1, 0xFFFF, 0x10000, 0x8000_0000, 0xFFFF_FFFF, 0x1234_5678], np.uint32)
    found = source_ports(values, sport)
    assert found.dtype == np.uint16
    low, high = ports.low, ports.high
    assert found.tolist() == [port_of(value, low, high, ports.bits) for value in values.tolist()]
    assert len(ports) == high - low + 1
    room = np.full(9, 1, np.uint16)
    assert np.shares_memory(source_ports(values, sport, out=room), room)
    assert room[:7].tolist() == found.tolist()


def test_kernel_ports_are_in_the_ranges_of_the_formulas() -> None:
    """What Linux chose, keyed as its hash is: the range can be checked, a port cannot."""
    for scenario, formula in (("vxlan", "linux"), ("vxlan6", "linux"), ("geneve", "linux-geneve")):
        outer = golden.half(scenario, "outer", "o")
        columns = outer.columns("udp.sport", "tunnel")
        ports = columns["udp.sport"][columns["tunnel"]]
        assert len(ports)
        assert FORMULAS[formula].low <= ports.min() <= ports.max() <= FORMULAS[formula].high


@pytest.mark.parametrize(
    "sport", ["", "flows", (1,), (1, 2, 3), (2, 1), (-1, 5), (0, 65536)], ids=str
)
def test_wrong_source_ports(sport: object) -> None:
    with pytest.raises(FieldError):
        source_ports(np.zeros(1, np.uint32), sport)


@pytest.mark.parametrize("sport", [7, None, [1, 2], ("1", "2"), (1.0, 2.0), (True, 5)], ids=str)
def test_source_ports_of_wrong_types(sport: object) -> None:
    with pytest.raises(TypeError):
        source_ports(np.zeros(1, np.uint32), sport)
    with pytest.raises(FieldError):
        SourcePorts(1, 2, "middle")


def test_hashes_of_wrong_types() -> None:
    for wrong in ([1], np.zeros(1, np.int64), np.zeros((1, 1), np.uint32), None):
        with pytest.raises(TypeError):
            source_ports(wrong)


# --- how evenly they spread ---------------------------------------------------------------------


def test_many_flows_spread_as_chance_would() -> None:
    found = spread(many_flows(50_000).flow_hash())
    assert (found.packets, found.flows, found.available) == (50_000, 50_000, 16384)
    assert abs(found.deviation) < 4
    assert found.used == pytest.approx(found.expected_used, rel=0.01)
    assert found.mean_flows == pytest.approx(50_000 / 16384)
    assert found.fullest_flows == found.fullest_packets < 20
    assert (found.split, found.outside) == (0, 0)


def test_what_a_spread_counts() -> None:
    """Three flows of two, one and three packets; the last has two ports, one out of range."""
    values = np.array([5, 5, 6, 7, 7, 7], np.uint32)
    ports = np.array([100, 100, 100, 101, 101, 7], np.uint16)
    found = spread(values, (100, 103), ports)
    assert (found.packets, found.flows, found.available, found.used) == (6, 3, 4, 2)
    assert (found.fullest, found.fullest_flows, found.fullest_packets) == (100, 2, 3)
    assert (found.split, found.outside) == (1, 1)
    assert found.mean_flows == 0.75
    assert found.chi_square == pytest.approx((2 - 0.75) ** 2 / 0.75 + 1 / 12 + 2 * 0.75)
    assert found.expected_used == pytest.approx(4 * (1 - 0.75**3))


def test_a_crowded_port_and_flows_in_turn_are_seen() -> None:
    values = np.arange(4000, dtype=np.uint32)
    crowded = spread(values, (0, 99), np.minimum(values % 400, 99).astype(np.uint16))
    dealt = spread(values, (0, 99), (values % 100).astype(np.uint16))
    assert crowded.deviation > 100
    assert dealt.chi_square == 0
    assert dealt.deviation < -5


@pytest.mark.parametrize("count", [0, 1, 2])
@pytest.mark.parametrize("sport", [(5, 5), (5, 6), "flow"], ids=str)
def test_few_flows(count: int, sport: str | tuple[int, int]) -> None:
    found = spread(np.arange(count, dtype=np.uint32) << 31, sport)
    assert found.flows == found.packets == count
    assert (found.fullest is None) == (count == 0)
    assert found.expected_used <= max(count, 0)


def test_wrong_ports() -> None:
    values = np.zeros(2, np.uint32)
    for wrong in ([1, 2], np.zeros(2, np.uint32)):
        with pytest.raises(TypeError):
            spread(values, "flow", wrong)
    with pytest.raises(FieldError):
        spread(values, "flow", np.zeros(3, np.uint16))
