"""Associations to try out, and packets that go through them."""

from __future__ import annotations

from typing import Any

import numpy as np

import encap
from encap.tunnels import SecurityAssociation
from encap.tunnels.esp import Live, Opened, open_packets, seal

AES = bytes(range(16))
SALT = bytes.fromhex("a0b1c2d3")
AUTH = bytes(range(64))
ALGORITHMS: dict[str, dict[str, Any]] = {
    "gcm": {"aead": ("rfc4106(gcm(aes))", AES + SALT, 128)},
    "gcm-192-96": {"aead": ("rfc4106(gcm(aes))", AES + AES[:8] + SALT, 96)},
    "gcm-256": {"aead": ("rfc4106(gcm(aes))", AES + AES + SALT, 128)},
    "gcm-256-64": {"aead": ("rfc4106(gcm(aes))", AES + AES + SALT, 64)},
    "ccm": {"aead": ("rfc4309(ccm(aes))", AES + SALT[:3], 128)},
    "ccm-256-96": {"aead": ("rfc4309(ccm(aes))", AES + AES + SALT[:3], 96)},
    "ccm-64": {"aead": ("rfc4309(ccm(aes))", AES + SALT[:3], 64)},
    "gmac": {"aead": ("rfc4543(gcm(aes))", AES + SALT, 128)},
    "chacha": {"aead": ("rfc7539esp(chacha20,poly1305)", AES + AES + SALT, 128)},
    "cbc-sha1": {"enc": ("cbc(aes)", AES), "auth": ("hmac(sha1)", AUTH[:20])},
    "cbc-sha256": {"enc": ("cbc(aes)", AES + AES), "auth": ("hmac(sha256)", AUTH[:32])},
    "cbc-sha256-128": {"enc": ("cbc(aes)", AES), "auth_trunc": ("hmac(sha256)", AUTH[:32], 128)},
    "cbc-sha384": {"enc": ("cbc(aes)", AES + AES[:8]), "auth": ("hmac(sha384)", AUTH[:48])},
    "cbc-sha512": {"enc": ("cbc(aes)", AES), "auth": ("hmac(sha512)", AUTH)},
    "cbc": {"enc": ("cbc(aes)", AES)},
    "null-sha256": {"enc": ("ecb(cipher_null)", b""), "auth": ("hmac(sha256)", AUTH[:32])},
}
"""By a name of ours; keys of all lengths, check values of all lengths."""
ICV_LENS = {
    "gcm": 16, "gcm-256": 16, "gcm-192-96": 12, "gcm-256-64": 8, "ccm": 16, "ccm-256-96": 12,
    "ccm-64": 8,
    "gmac": 16, "chacha": 16, "cbc-sha1": 12, "cbc-sha256": 12, "cbc-sha256-128": 16,
    "cbc-sha384": 24, "cbc-sha512": 32, "cbc": 0, "null-sha256": 12,
}  # fmt: skip
GENUINE = [name for name in ALGORITHMS if name != "cbc"]
"""Those that authenticate."""


def association(name: str = "gcm", **options: Any) -> SecurityAssociation:
    given = {"src": "192.0.2.1", "dst": "192.0.2.2", "spi": 0x1001, **ALGORITHMS[name], **options}
    return SecurityAssociation(**given)


def packet(size: int, version: int = 4, tos: int = 0, df: bool = False) -> bytes:
    """An IP packet of so many octets, right enough for a tunnel."""
    body = bytes(at * 7 & 0xFF for at in range(size))
    if version == 6:
        header = encap.IPv6(src="fd00::1", dst="fd00::2", traffic_class=tos, flow_label=0x12345,
                            payload_len=size - 40, next_header=59)  # fmt: skip
    else:
        header = encap.IPv4(src="10.0.0.1", dst="10.0.0.2", tos=tos, total_len=size,
                            flags=2 * df, protocol=253, checksum=0)  # fmt: skip
        octets = bytearray(bytes(header))
        octets[10:12] = (0xFFFF - encap.checksum.ones_sum(octets)).to_bytes(2, "big")
        return bytes(octets) + body[20:]
    return bytes(header) + body[40:]


def batch(frames: list[bytes]) -> encap.Packets:
    return encap.Packets.from_frames(frames, linktypes=101)


def sealed(sa: SecurityAssociation, frames: list[bytes], **options: Any) -> encap.Packets:
    """The packets in ESP, none left out."""
    made, reasons = seal(Live(sa), batch(frames), **options)
    assert not reasons.any()
    return made


def opened(live: Live, outer: encap.Packets, **options: Any) -> Opened:
    """What comes out of raw IP packets with a plain outer header."""
    front = live.sa.header_len - live.sa.iv_len - 8
    tos = outer.data[outer.starts + 1] if live.sa.src.version == 4 else (
        outer.data[outer.starts] << 4 | outer.data[outer.starts + 1] >> 4
    )  # fmt: skip
    return open_packets(
        [live], np.zeros(len(outer), np.int64), outer.data, outer.starts + front,
        outer.lengths.astype(np.int64) - front, tos, **options,
    )  # fmt: skip


def frames_of(found: Opened) -> list[bytes]:
    """What was accepted, in order."""
    return [
        found.data[start : start + length].tobytes()
        for start, length, reason in zip(found.starts, found.lengths, found.reasons, strict=True)
        if not reason
    ]


def changed(outer: encap.Packets, row: int, at: int, value: int) -> encap.Packets:
    """The batch with one octet of one packet XOR a value."""
    data = outer.data.copy()
    data[outer.starts[row] + (at if at >= 0 else int(outer.lengths[row]) + at)] ^= value
    return encap.Packets(data, outer.starts, outer.lengths, linktypes=101)
