"""The forwarding table of a VXLAN device, against a table that is looked at one frame at a time."""

from __future__ import annotations

from ipaddress import IPv4Address

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import encap
from encap import MAC, Ethernet, IPv4, TunnelError
from encap.frames import NO_TIME
from encap.tunnels import FDBEntry, Reason, VXLANTunnel, from_commands
from encap.tunnels.forwarding import Learned

SECOND = 1_000_000_000
MINE, REMOTE, THIRD = "192.0.2.1", "192.0.2.2", "192.0.2.3"
BROADCAST = "ff:ff:ff:ff:ff:ff"


def frame(dst: str, src: str = "02:00:00:00:00:99", payload: bytes = b"") -> bytes:
    return bytes(Ethernet(dst=dst, src=src, type=0x88B5) / (payload or bytes(46)))


def host(index: int) -> str:
    return str(MAC(0x0200_0000_0000 + index))


def targets(result: object) -> list[tuple[int, str]]:
    """Row of the input and outer destination of each packet that was sent."""
    packets = result.packets  # type: ignore[attr-defined]
    found = packets.columns("ipv4.dst")["ipv4.dst"].tolist()
    return list(zip(packets.rows.tolist(), [str(IPv4Address(one)) for one in found], strict=True))


def arrive(tunnel: VXLANTunnel, source: str, *senders: str, time: int = NO_TIME) -> list[Reason]:
    """What becomes of frames from some MAC addresses that an endpoint sends here."""
    peer = VXLANTunnel(id=42, local=source, remote=MINE, dstport=4789)
    frames = [frame(host(0), sender) for sender in senders]
    packets = encap.Packets.from_frames(frames, times=time)
    got = tunnel.decap(peer.encap(packets).packets)
    return [Reason(int(one)) for one in got.reasons]


def vtep(**options: object) -> VXLANTunnel:
    known: dict[str, object] = {"id": 42, "local": MINE, "dstport": 4789} | options
    return VXLANTunnel(**known)  # type: ignore[arg-type]


def test_what_was_learned_says_where_frames_go() -> None:
    tunnel = vtep(remote=REMOTE)
    assert arrive(tunnel, THIRD, host(7)) == [Reason.ACCEPTED]
    assert dict(tunnel.state.learned) == {MAC(host(7)): IPv4Address(THIRD)}
    packets = encap.Packets.from_frames([frame(host(7)), frame(host(8)), frame(BROADCAST)])
    assert targets(tunnel.encap(packets)) == [(0, THIRD), (1, REMOTE), (2, REMOTE)]
    arrive(tunnel, REMOTE, host(7))  # it moved
    assert targets(tunnel.encap(packets))[0] == (0, REMOTE)
    tunnel.reset()
    assert len(tunnel.state.learned) == 0


def test_without_learning_nothing_is_learned() -> None:
    tunnel = vtep(remote=REMOTE, learning=False)
    nobody = ["00:00:00:00:00:00", "01:00:5e:00:00:01"]
    assert arrive(tunnel, THIRD, host(7), *nobody) == [Reason.ACCEPTED] * 3
    assert len(tunnel.state.learned) == 0


def test_what_grew_old_is_forgotten() -> None:
    tunnel = vtep(remote=REMOTE, ageing=100)
    arrive(tunnel, THIRD, host(7), time=1000 * SECOND)
    for when, target in ((1099, THIRD), (1198, THIRD), (1298, REMOTE), (1299, REMOTE)):
        packets = encap.Packets.from_frames([frame(host(7))], times=when * SECOND)
        assert targets(tunnel.encap(packets)) == [(0, target)], when


def test_a_batch_may_be_longer_than_an_entry_lives() -> None:
    tunnel = vtep(remote=REMOTE, ageing=100)
    arrive(tunnel, THIRD, host(7), host(8), time=0)
    times = np.array([50, 60, 149, 200, 250, 251]) * SECOND
    frames = [frame(host(index)) for index in (7, 8, 7, 8, 7, 7)]
    got = tunnel.encap(encap.Packets.from_frames(frames, times=times))
    assert [one for _, one in targets(got)] == [THIRD, THIRD, THIRD, REMOTE, REMOTE, REMOTE]


def test_ageing_0_is_for_ever() -> None:
    tunnel = vtep(remote=REMOTE, ageing=0)
    arrive(tunnel, THIRD, host(7), time=0)
    packets = encap.Packets.from_frames([frame(host(7))], times=1 << 62)
    assert targets(tunnel.encap(packets)) == [(0, THIRD)]


def test_a_table_may_be_full() -> None:
    # The entry for all other frames counts too.
    tunnel = vtep(remote=REMOTE, maxaddress=3)
    arrive(tunnel, THIRD, host(9), host(1), host(9), host(5))
    assert [str(mac) for mac, _ in tunnel.state.learned] == [host(1), host(9)]
    assert arrive(tunnel, THIRD, host(5)) == [Reason.ACCEPTED]
    assert len(tunnel.state.learned) == 2


def test_entries_of_the_configuration_do_not_move() -> None:
    entry = FDBEntry(mac=host(7), dst=THIRD)
    tunnel = vtep(remote=REMOTE, fdb=(entry,))
    assert arrive(tunnel, REMOTE, host(7)) == [Reason.INNER_SOURCE]
    assert arrive(tunnel, THIRD, host(7)) == [Reason.ACCEPTED]
    assert len(tunnel.state.learned) == 0


def test_entries_say_vni_and_port_too() -> None:
    entries = (
        FDBEntry(mac=host(7), dst=THIRD, vni=9, port=9999), FDBEntry(mac=host(8), dst=REMOTE),
    )  # fmt: skip
    tunnel = vtep(fdb=entries)
    packets = encap.Packets.from_frames([frame(host(8)), frame(host(7)), frame(host(9))])
    got = tunnel.encap(packets)
    assert got.reasons.tolist() == [0, 0, Reason.NO_DESTINATION]
    columns = got.packets.with_ports({9999: "vxlan"}).columns("vxlan.vni", "udp.dport")
    assert columns["vxlan.vni"].tolist() == [42, 9]
    assert columns["udp.dport"].tolist() == [4789, 9999]


def test_a_frame_for_many_goes_to_each_of_them() -> None:
    zero = [FDBEntry(mac=0, dst=one) for one in (THIRD, "192.0.2.4")]
    tunnel = vtep(remote=REMOTE, fdb=(*zero, FDBEntry(mac=host(7), dst=THIRD)))
    frames = [frame(BROADCAST), frame(host(7)), frame(host(8))]
    sizes = np.array([100, 200, 300], np.uint16)
    got = tunnel.encap(encap.Packets.from_frames(frames), columns={"ipv4.id": sizes})
    each = [THIRD, "192.0.2.4", REMOTE]  # the first one last, as the kernel does it
    assert targets(got) == [*((0, one) for one in each), (1, THIRD), *((2, one) for one in each)]
    assert got.packets.columns("ipv4.id")["ipv4.id"].tolist() == [100] * 3 + [200] + [300] * 3
    assert got.reasons.tolist() == [0, 0, 0]
    inner = got.packets.decap()
    assert [frames[row] for row in got.rows.tolist()] == list(inner)


def test_without_a_destination_nothing_is_sent() -> None:
    tunnel = vtep()
    got = tunnel.encap(encap.Packets.from_frames([frame(BROADCAST), frame(host(3))]))
    assert len(got.packets) == 0
    assert got.counts == {Reason.NO_DESTINATION: 2}
    dropping = vtep(remote=REMOTE, fdb=(FDBEntry(mac=host(3)),))
    got = dropping.encap(encap.Packets.from_frames([frame(BROADCAST), frame(host(3))]))
    assert got.reasons.tolist() == [0, Reason.NO_DESTINATION]


def test_over_ipv6() -> None:
    tunnel = VXLANTunnel(
        id=42, local="2001:db8::1", dstport=4789,
        fdb=(FDBEntry(mac=host(7), dst="2001:db8::7"), FDBEntry(mac=0, dst="ff05::1")),
    )  # fmt: skip
    peer = VXLANTunnel(id=42, local="2001:db8::3", remote="2001:db8::1", dstport=4789)
    arrived = peer.encap(encap.Packets.from_frames([frame(host(0), host(9))]))
    assert not tunnel.decap(arrived.packets).reasons.any()
    frames = [frame(host(index)) for index in (9, 7, 8)]
    got = tunnel.encap(encap.Packets.from_frames(frames)).packets
    columns = got.columns("ipv6.dst", "ipv6.hop_limit")
    assert [bytes(one)[-1] for one in columns["ipv6.dst"]] == [3, 7, 1]
    assert columns["ipv6.hop_limit"].tolist() == [64, 64, 1]


COMMANDS = """
ip link add eth0 address 02:00:00:00:00:0a type veth
ip addr add 192.0.2.1/24 dev eth0
ip link add vx0 type vxlan id 42 local 192.0.2.1 dev eth0 dstport 4789
"""


def test_entries_from_commands() -> None:
    made = from_commands(
        COMMANDS
        + f"""
bridge fdb append 00:00:00:00:00:00 dev vx0 dst {REMOTE}
bridge fdb append 00:00:00:00:00:00 dev vx0 dst {THIRD} self permanent
bridge fdb append 00:00:00:00:00:00 dev vx0 dst {THIRD}
bridge fdb add {host(7)} dev vx0 dst {THIRD} vni 9 port 9999 via eth0
bridge fdb replace {host(7)} dev vx0 dst {REMOTE}
bridge fdb append {host(7)} dev vx0 dst {THIRD}
bridge fdb add {host(8)} dev vx0 master static
""",
        "vx0",
    )
    assert isinstance(made, VXLANTunnel)
    assert made.fdb == (
        FDBEntry(mac=0, dst=REMOTE), FDBEntry(mac=0, dst=THIRD), FDBEntry(mac=host(7), dst=REMOTE),
    )  # fmt: skip


@pytest.mark.parametrize(("lines", "word"), [
    (f"bridge fdb add {host(7)} dev vx0 dst {THIRD}\nbridge fdb add {host(7)} dev vx0 dst {THIRD}",
     "is there"),
    (f"bridge fdb replace 00:00:00:00:00:00 dev vx0 dst {THIRD}", "replace"),
    (f"bridge fdb add {host(7)} dev vx0 dst {THIRD} nhid 7", "nhid"),
    (f"bridge fdb add {host(7)} dev vx0 dst {THIRD} dynamic", "dynamic"),
    (f"bridge fdb add {host(7)} dev vx0 dst 2001:db8::1", "IP version"),
    ("bridge fdb add 02:00 dev vx0 dst 192.0.2.3", "mac"),
    ("bridge fdb add dev vx0", "no address"),
])  # fmt: skip
def test_what_no_table_takes(lines: str, word: str) -> None:
    with pytest.raises(TunnelError, match=word):
        from_commands(COMMANDS + lines, "vx0")


def test_a_remote_is_an_entry() -> None:
    lines = COMMANDS.replace("dev eth0 dstport", f"remote {REMOTE} dstport")
    with pytest.raises(TunnelError, match="append"):
        from_commands(lines + f"bridge fdb add 00:00:00:00:00:00 dev vx0 dst {THIRD}", "vx0")


class Model:
    """The table of the kernel's, a frame at a time: no limit on its size."""

    def __init__(self, ageing: int) -> None:
        self.ageing = ageing
        self.entries: dict[int, list[int]] = {}

    def find(self, mac: int, now: int) -> int | None:
        entry = self.entries.get(mac)
        if entry is None or (self.ageing and now - entry[1] >= self.ageing):
            self.entries.pop(mac, None)
            return None
        entry[1] = now
        return entry[0]

    def learn(self, mac: int, source: int, now: int) -> None:
        self.entries[mac] = [source, now]


frames_of = st.lists(
    st.tuples(st.integers(0, 5), st.integers(1, 3), st.integers(0, 60)), min_size=1, max_size=12
)


@given(st.lists(st.tuples(st.booleans(), frames_of), max_size=6), st.sampled_from([0, 40, 100]))
def test_batches_are_what_single_frames_are(
    batches: list[tuple[bool, list[tuple[int, int, int]]]], ageing: int
) -> None:
    table, model, now = Learned(), Model(ageing), 1000
    for learning, entries in batches:
        times = now + np.cumsum([step for _, _, step in entries])
        now = int(times[-1])
        macs = np.array([mac for mac, _, _ in entries], np.uint64)
        sources = np.array([source for _, source, _ in entries], np.uint32)
        if learning:
            table.learn(macs, sources, times, ageing, None)
            for mac, source, when in zip(macs, sources, times, strict=True):
                model.learn(int(mac), int(source), int(when))
            continue
        at = table.find(macs, times, ageing)
        found = [int(table.sources[one]) if one >= 0 else None for one in at]
        expected = [model.find(int(m), int(w)) for m, w in zip(macs, times, strict=True)]
        assert found == expected


def test_times_may_be_missing() -> None:
    table = Learned()
    none, two = np.array([NO_TIME]), np.array([2 * SECOND])
    table.learn(np.array([1], np.uint64), np.array([7], np.uint32), none, SECOND, None)
    table.learn(np.array([2], np.uint64), np.array([8], np.uint32), two, SECOND, None)
    both = np.array([1, 2], np.uint64)
    assert (table.find(both, np.array([NO_TIME, NO_TIME]), SECOND) >= 0).all()
    assert (table.find(both, np.array([4, 4]) * SECOND, SECOND) < 0).all()
    assert repr(table) == "<Learned: 0 addresses>"


def test_an_inner_packet_that_is_cut_is_not_read() -> None:
    tunnel = vtep(remote=REMOTE)
    peer = VXLANTunnel(id=42, local=REMOTE, remote=MINE, dstport=4789, udpcsum=False)
    whole = peer.encap(
        encap.Packets.from_frames([bytes(Ethernet(src=host(9), dst=host(1)) / IPv4(protocol=99))])
    ).packets
    for length in range(36, int(whole.lengths[0])):
        cut = encap.Packets.from_frames(
            [whole[0][:length]], linktypes=101, wire_lengths=whole.wire_lengths
        )
        assert len(tunnel.decap(cut).reasons) == 1


@given(st.lists(st.sampled_from(["whole", "first", "last"]), max_size=12), st.integers(0, 3))
def test_what_is_learned_does_not_depend_on_where_batches_end(kinds: list[str], most: int) -> None:
    """Fragments too: a datagram is there with the one that makes it whole."""
    wire: list[bytes] = []
    for number, kind in enumerate(kinds):
        source = f"192.0.2.{100 + number}"
        peer = VXLANTunnel(id=42, local=source, remote=MINE, dstport=4789)
        sent = peer.encap(
            encap.Packets.from_frames([frame(host(0), host(number % 3 + 1), bytes(1000))])
        ).packets
        pieces = list(sent.fragment(600))
        wire += {"whole": list(sent), "first": pieces, "last": pieces[::-1]}[kind]
        if kind != "whole" and len(wire) > len(pieces):
            # Another packet comes between the pieces.
            wire[-len(pieces) - 1], wire[-1] = wire[-1], wire[-len(pieces) - 1]
    packets = encap.Packets.from_frames(wire, linktypes=101)
    together, alone = (vtep(maxaddress=most) for _ in range(2))
    together.decap(packets)
    for row in range(len(packets)):
        alone.decap(packets[row : row + 1])
    assert list(together.state.learned) == list(alone.state.learned)
