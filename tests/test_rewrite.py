"""Fields of many packets set: the octets are those of `Packet.replace`, and checksums follow.

What an update must keep is the residual of each checksum: the one's complement sum of all that it
covers, itself and the pseudo header included. A right checksum has 0xFFFF, a wrong one what it had.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import golden
import pytest
import stacks

import encap
from encap import Packets
from encap.assemble import present, pseudo_sum
from encap.checksum import crc32c, fold, ones_sum
from encap.fields import Checksum

CHANGES: list[dict[str, Any]] = [
    {"outer.ipv4.src": "192.0.2.1", "inner.ipv4.dst": "198.51.100.7"},
    {"ipv4[*].ttl": 9, "ipv6[*].hop_limit": 3, "ipv4[*].dst": "255.255.255.255"},
    {"ipv6[*].src": "2001:db8::1", "ipv6[-1].dst": "2001:db8::ffff"},
    {"ipv4[*].src": 0, "ipv4[*].id": 0xFFFF, "ip.ttl": 255},
    {"l4.sport": 1, "l4[-1].dport": 65000},
    {"tcp.seq": 0xFFFFFFFF, "tcp.flags": 0x1FF, "tcp.window": 0, "tcp.urgent": 7},
    {"eth[*].src": "02:00:00:00:00:07", "vlan[*].vid": 7, "vlan[-1].pcp": 5, "eth.dst": 1},
    {"vxlan.vni": 42, "geneve.vni": 43, "gpe.vni": 44, "gre.key": 45, "gre.seq": 46},
    {"vxlan.group_policy_id": 7, "gre.vsid": 0xABCDEF, "gre.flow_id": 1, "erspan.session_id": 9},
    {"ipv4[*].dscp": 46, "ipv4[*].ecn": 1, "ipv6[*].dscp": 8, "ipv6.flow_label": 0xFEDCB},
    {"icmp.code": 1, "icmp.rest": 0x01020304, "icmpv6.seq": 9, "igmp.group": "224.0.0.9"},
    {"mpls[*].label": 16, "mpls.ttl": 1, "erspan.index": 3, "erspan.timestamp": 1, "arp.op": 2},
    {"inner.eth.dst": "ff:ff:ff:ff:ff:ff", "outer.udp.sport": 7, "fragment.id": 5, "geneve.oam": 1},
    {"sctp.verification_tag": 77, "esp.spi": 5, "ah.seq": 5, "outer.ip[-1].ttl": 2},
    {"tunnel.id": 1, "tunnel[-1].id": 2, "sll.arphrd": 5, "sll2.packet_type": 9},
]


@pytest.fixture(scope="module")
def packets() -> Packets:
    """Frames of a kernel, and random ones: as made, damaged, cut, padded."""
    kernel = golden.every_frame()[::31]
    random = [stacks.random_packets(400, 77, change) for change in stacks.CHANGES]
    odd = Packets.from_frames([b"", b"\x45", bytes(13), bytes(60)], linktypes=[1, 101, 1, 147])
    return Packets.concat([kernel, *random, odd])


def parsed(packets: Packets) -> Iterator[encap.Packet | None]:
    for frame, linktype in zip(packets, packets.linktypes.tolist(), strict=True):
        known = linktype in stacks.LINKS
        yield encap.parse(frame, linktype, strict=False) if known else None


def indices(packet: encap.Packet, text: str) -> list[str]:
    """The names, each with an index of its own, that one with [*] stands for."""
    if "[*]" not in text:
        return [text]
    names = [text.replace("[*]", f"[{index}]") for index in range(16)]
    return [name for name in names if has(packet, name)]


def has(packet: encap.Packet, name: str) -> bool:
    try:
        return packet[name] is not None
    except KeyError:
        return False


def replaced(packet: encap.Packet, changes: Mapping[str, Any]) -> bytes:
    """The octets with fields set, checksums as they were."""
    for text, value in changes.items():
        for name in indices(packet, text):
            if has(packet, name):
                packet = packet.replace({name: value})
    return bytes(packet)


def again(old: encap.Packet, octets: bytes) -> encap.Packet:
    """Octets parsed as a packet that begins like another."""
    return encap.packet._walk(octets, old.headers[0].path if old.headers else None, old.registry)


class Sums:
    """Where the checksums of one packet are, and what they are worth."""

    def __init__(self, packet: encap.Packet) -> None:
        self.found: list[tuple[str, int, int, Any]] = []
        self.octets = bytes(packet)
        trailers = dict(packet.trailers)
        body, end = packet.payload, len(self.octets) - sum(len(t) for t in trailers.values())
        for index in range(len(packet.headers) - 1, -1, -1):
            header = packet.headers[index]
            broken = packet.broken and index == len(packet.headers) - 1
            octets = header._build_fixed() if broken else bytes(header)
            end -= len(octets) + (len(body) if index == len(packet.headers) - 1 else 0)
            for name, _, role, _, field, at, size in header.dependent:
                if isinstance(role, Checksum) and present(header, field):
                    value = self.worth(packet, index, role, octets, body, at)
                    self.found.append((f"{index}.{name}", end + at, size, value))
            body = octets + body + trailers.get(index, b"")

    @staticmethod
    def worth(
        packet: encap.Packet, index: int, role: Checksum, octets: bytes, body: bytes, at: int
    ) -> Any:
        """What an update keeps: how wrong a checksum is, or that it is none."""
        header = packet.headers[index]
        if role.valid and not getattr(header, role.valid[0]) & role.valid[1]:
            return "none", octets[at : at + 2]
        if role.algorithm == "crc32c":
            return "crc", octets, body
        stored = int.from_bytes(octets[at : at + 2], "big")
        if role.zero and not stored:
            return ("zero",)
        covered = octets if role.covers == "header" else octets + body
        pseudo = 0
        if role.pseudo:
            number = header.number(packet.registry, "protocol") or 0
            pseudo = pseudo_sum(packet.headers[:index], number, length(packet, index, covered))
        if pseudo and stored == fold(pseudo) and not packet.incomplete:
            return ("partial",)
        return "sum", fold(ones_sum(covered, pseudo)) % 0xFFFF


def length(packet: encap.Packet, index: int, covered: bytes) -> int:
    """What the pseudo header says: the length that there would be, had nothing been cut."""
    header = packet.headers[index]
    if isinstance(header, encap.UDP) and header.len:
        return header.len
    return len(covered)


def differences(old: bytes, new: bytes) -> set[int]:
    assert len(old) == len(new)
    return {at for at, pair in enumerate(zip(old, new, strict=True)) if pair[0] != pair[1]}


def check_updated(old: encap.Packet, new: bytes, changes: Mapping[str, Any]) -> None:
    """`new` is `old` with changes made and every checksum as right or wrong as before."""
    expected = replaced(old, changes)
    before = Sums(old)
    places = {at for _, start, size, _ in before.found for at in range(start, start + size)}
    assert differences(expected, new) <= places, "an octet changed that nobody asked for"
    if expected == bytes(old):
        assert new == bytes(old)
        return
    changed = again(old, new)
    if changed.path != old.path or changed.trailers != old.trailers:
        return  # a port led to another header: then the sums are about other octets
    after = Sums(changed)
    for (name, start, size, was), (_, _, _, now) in zip(before.found, after.found, strict=True):
        if was[0] == "crc":
            check_crc(old, was, now)
        elif was[0] == "sum" and now[0] != "sum":
            # By chance it became what it would be as a partial one, or was moved to zero.
            assert now[0] == "partial"
        else:
            assert was == now, (name, start, size)


def check_crc(old: encap.Packet, was: Any, now: Any) -> None:
    """A CRC that was right is right; one that could not be known is as it was."""
    (_, octets, body), (_, made, _) = was, now
    right = crc32c(octets[:8] + bytes(4) + body).to_bytes(4, "big") == octets[8:12]
    if right and octets[8:12] != bytes(4) and not old.incomplete:
        assert crc32c(made[:8] + bytes(4) + body).to_bytes(4, "big") == made[8:12]


@pytest.mark.parametrize("changes", CHANGES, ids=lambda changes: next(iter(changes)))
def test_update(changes: dict[str, Any], packets: Packets) -> None:
    made = packets.rewrite(changes)
    for old, new in zip(parsed(packets), made, strict=True):
        if old is not None:
            check_updated(old, new, changes)


@pytest.mark.parametrize("changes", CHANGES, ids=lambda changes: next(iter(changes)))
def test_keep(changes: dict[str, Any], packets: Packets) -> None:
    made = packets.rewrite(changes, checksums="keep")
    for old, new in zip(parsed(packets), made, strict=True):
        assert old is None or new == replaced(old, changes)


@pytest.mark.parametrize("changes", CHANGES, ids=lambda changes: next(iter(changes)))
def test_what_was_right_is_right(changes: dict[str, Any]) -> None:
    frames = golden.every_frame()[::7]
    for mode in ("update", "recompute"):
        for old, new in zip(parsed(frames), frames.rewrite(changes, mode), strict=True):
            assert old is not None
            now = again(old, new)
            # Where a port led to another header, fragments within are no longer in the way.
            if now.path == old.path and encap.verify.wrong_checksum(old) is None:
                assert encap.verify.wrong_checksum(now) is None
