"""The captures of a Linux kernel in tests/vectors/golden, as batches."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

import encap
from encap.checksum import ones_sum

FOLDER = Path(__file__).parent.parent / "vectors" / "golden"
INDEX: dict[str, dict[str, Any]] = json.loads((FOLDER / "index.json").read_text())


@cache
def capture(scenario: str, name: str) -> encap.Packets:
    """One capture, both directions."""
    return encap.read(FOLDER / scenario / f"{name}.pcap.gz")


def half(scenario: str, name: str, direction: str) -> encap.Packets:
    """The packets that the host sent (`o`) or received (`i`) on that device."""
    packets = capture(scenario, name)
    letters = INDEX[scenario]["captures"][name].encode()
    return packets[np.frombuffer(letters, "S1") == direction.encode()]


def every_capture() -> list[tuple[str, str]]:
    """Scenario and name of each capture there is."""
    return [(scenario, name) for scenario, entry in INDEX.items() for name in entry["captures"]]


@cache
def every_frame() -> encap.Packets:
    """All frames of all captures, each distinct one once: Ethernet and raw IP in one batch."""
    batch = encap.Packets.concat(capture(*which) for which in every_capture())
    seen = dict.fromkeys(zip(batch, batch.linktypes.tolist(), strict=True))
    frames, linktypes = zip(*seen, strict=True)
    return encap.Packets.from_frames(frames, linktypes=linktypes)


CLOSED = {
    **dict.fromkeys(
        (name for name in INDEX if name.startswith("esp_")), "encrypted: a walk ends at esp"
    ),
    "vxlan_remcsum": "remote checksum offload changes octets on the way",
    **dict.fromkeys(("l2tp_ip", "l2tp_udp"), "L2TPv3 has a header of its own"),
    "dirty_vxlan": "the receiver's tap saw segments joined that were apart on the wire",
}
"""Tunnels that a walk does not enter, or whose captures cannot be equal."""
APART = {
    "dev_": "devices, not tunnels",
    "ecn_decap_": "the receiver rewrites the ECN bits of what it delivers",
    "gue_ipip_remcsum": "checksums are left to the receiver: tunnels know that, templates do not",
    "malformed_": "hand-made frames: what a kernel refuses is no matter of decapsulation",
}
"""Scenarios of another kind, by how their names begin."""

TAGGED = {
    "dirty_vlan": [5], "vlan_8021q": [5], "vlan_8021q_0": [0], "vlan_8021ad": [100],
    "vlan_qinq": [100, 5],
}  # fmt: skip
"""Scenarios of VLAN devices, and the ids that they push, the outermost first."""
TUNNELS = [
    name
    for name, entry in INDEX.items()
    if "outer" in entry["captures"]
    and name not in TAGGED
    and name not in CLOSED
    and not name.startswith(tuple(APART))
]


def ports(name: str) -> dict[int, str]:
    """UDP ports of the scenario, where they say what follows."""
    entry = INDEX[name]
    if name.startswith("fou_"):
        return {entry["port"]: "gre" if entry["kind"] == "gre" else "ipip"}
    if entry["kind"] in {"vxlan", "geneve"}:
        return {entry["port"]: "gpe" if name == "vxlan_gpe" else entry["kind"]}
    return {}


def joined(packets: encap.Packets) -> encap.Packets:
    """The same frames, fragments of an outer IPv4 datagram joined where the last one was.

    Ethernet without tags; on its own here, so that nothing of the library proves itself.
    """
    if not (packets.linktypes == 1).all():
        return packets
    parts: dict[bytes, dict[int, bytes]] = {}
    frames = []
    for frame in packets:
        if frame[12:14] == b"\x08\x00" and int.from_bytes(frame[20:22], "big") & 0x3FFF:
            key = frame[18:20] + frame[26:34] + frame[23:24]
            field, header = int.from_bytes(frame[20:22], "big"), frame[:34]
            total = int.from_bytes(frame[16:18], "big")
            parts.setdefault(key, {})[(field & 0x1FFF) * 8] = frame[34 : 14 + total]
            if field & 0x2000:
                continue
            body = b"".join(octets for _, octets in sorted(parts.pop(key).items()))
            size = (20 + len(body)).to_bytes(2, "big")
            frame = header[:16] + size + header[18:20] + b"\0\0" + header[22:] + body  # noqa: PLW2901
        frames.append(frame)
    assert not parts, "a fragment is missing"
    return encap.Packets.from_frames(frames)


def fragments_of(frame: bytes, mtu: int) -> list[bytes]:
    """The frame as the kernel sends it over a link with this MTU: in pieces where it must be.

    Ethernet without tags, or IPv4 without options; anything else passes as it is.
    """
    at = 14 if frame[12:14] == b"\x08\0" else 0
    if len(frame) - at <= mtu or frame[at] != 0x45 or frame[at + 6] & 0x40:
        return [frame]
    step = (mtu - 20) // 8 * 8
    body, pieces = frame[at + 20 :], []
    for offset in range(0, len(body), step):
        part = body[offset : offset + step]
        more = 0x2000 if offset + step < len(body) else 0
        header = bytearray(frame[at : at + 20])
        header[2:4] = (20 + len(part)).to_bytes(2, "big")
        header[6:8] = (more | offset // 8).to_bytes(2, "big")
        header[10:12] = bytes(2)
        header[10:12] = (0xFFFF - ones_sum(header)).to_bytes(2, "big")
        pieces.append(frame[:at] + header + part)
    return pieces


def without(frames: list[bytes], kept: list[bytes]) -> list[bytes]:
    """The frames that stand between those of `kept`, which are among them in order."""
    wanted, left = iter(kept), []
    ahead = next(wanted, None)
    for frame in frames:
        if frame == ahead:
            ahead = next(wanted, None)
        else:
            left.append(frame)
    assert ahead is None, "not a part in the same order"
    return left
