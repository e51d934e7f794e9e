"""ESP in tunnel mode: against the library that does its ciphers, on the same payloads, in batches.

The reference encrypts ready spans of one buffer into another one, with ready nonces, and does
nothing else: no header, no padding, no window. CPU time, for others may use the machine too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from time import process_time

import numpy as np
from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESCCM, AESGCM, ChaCha20Poly1305

import encap
from encap import tunnels
from goals import Figure
from timing import interleaved

COUNT, SIZE, TAG = 4000, 1400, 16
GOAL = 0.7
KEY, SALT, AUTH = bytes(range(16)), bytes(4), bytes(range(32))
ENDS = ("192.0.2.1", "192.0.2.2")
HEADER = bytes(8)
GROUP = "ESP: batches of 1,400-octet packets through a vti device; one thread, CPU time"


def payloads() -> encap.Packets:
    """IPv4 packets of nothing in particular."""
    octets = np.random.default_rng(7).integers(0, 256, (COUNT, SIZE), np.uint8)
    octets[:, 0], octets[:, 1:8] = 0x45, 0
    return encap.Packets(
        octets.reshape(-1), np.arange(COUNT) * SIZE, np.full(COUNT, SIZE), linktypes=101
    )


class Spans:
    """The payloads as the library takes them, and room for what it makes of them."""

    def __init__(self, packets: encap.Packets) -> None:
        self.clear = packets.data.data
        self.sealed = np.zeros(COUNT * (SIZE + TAG), np.uint8).data
        self.back = np.zeros(COUNT * SIZE, np.uint8).data
        numbers = [number.to_bytes(8, "big") for number in range(COUNT)]
        ends = [(at * SIZE, (at + 1) * SIZE) for at in range(COUNT)]
        wide = [(at * (SIZE + TAG), (at + 1) * (SIZE + TAG)) for at in range(COUNT)]
        self.rows = [(n, *a, *b) for n, a, b in zip(numbers, ends, wide, strict=True)]

    def encrypt(self, aead: AESGCM, salt: bytes) -> None:
        into = aead.encrypt_into
        for number, start, end, begin, stop in self.rows:
            into(salt + number, self.clear[start:end], HEADER, self.sealed[begin:stop])

    def decrypt(self, aead: AESGCM, salt: bytes) -> None:
        into = aead.decrypt_into
        for number, start, end, begin, stop in self.rows:
            into(salt + number, self.sealed[begin:stop], HEADER, self.back[start:end])

    def dropped(self, aead: AESGCM, salt: bytes) -> None:
        """The same, every result forgotten at once."""
        encrypt = aead.encrypt
        for number, start, end, _, _ in self.rows:
            encrypt(salt + number, self.clear[start:end], HEADER)

    def encrypt_cbc(self) -> None:
        aes, size = algorithms.AES(KEY), SIZE // 16 * 16
        for number, start, _, begin, _ in self.rows:
            made = Cipher(aes, modes.CBC(number + number)).encryptor()
            octets = made.update(self.clear[start : start + size]) + made.finalize()
            code = hmac.HMAC(AUTH, hashes.SHA256())
            code.update(octets)
            self.sealed[begin : begin + size] = octets
            self.sealed[begin + size : begin + size + TAG] = code.finalize()[:TAG]


def devices(**algorithm: object) -> tuple[tunnels.VTITunnel, tunnels.VTITunnel]:
    """Both ends of a tunnel."""
    near, far = ENDS
    sa = tunnels.SecurityAssociation(src=near, dst=far, spi=0x1001, **algorithm)
    return (
        tunnels.VTITunnel(local=near, remote=far, associations=(sa,)),
        tunnels.VTITunnel(local=far, remote=near, associations=(sa,)),
    )


def check(name: str, packets: encap.Packets, sent: encap.Packets, got: encap.Packets) -> None:
    """What went in came out."""
    if list(got[::97]) != list(packets[::97]) or len(sent) != COUNT or len(got) != COUNT:
        raise SystemExit(f"{name}: packets are not what they were")


def combined(name: str, algorithm: str, key: bytes, aead: AESGCM, salt: bytes) -> Iterator[Figure]:
    """An algorithm that encrypts and authenticates in one."""
    packets = payloads()
    near, far = devices(aead=(algorithm, key, 128))
    sent = near.encap(packets).packets
    check(name, packets, sent, far.decap(sent).packets)
    spans = Spans(packets)
    works: dict[str, Callable[[], object]] = {
        "its encrypt": partial(spans.encrypt, aead, salt),
        "encap": lambda: near.encap(packets),
        "its decrypt": partial(spans.decrypt, aead, salt),
        "decap": lambda: far.decap(sent),
        "dropped": partial(spans.dropped, aead, salt),
    }
    times = interleaved(works, clock=process_time)
    unit = "x cryptography's speed"
    for mine, its in (("encap", "its encrypt"), ("decap", "its decrypt")):
        what = f"`{mine}`, {name}"
        yield Figure.gains(GROUP, what, times, mine, its, unit, GOAL, count=COUNT)
    what = f"`encap`, {name}, results of the library dropped at once"
    yield Figure.gains(GROUP, what, times, "encap", "dropped", unit, count=COUNT)


def separate() -> Iterator[Figure]:
    """AES-CBC with HMAC-SHA-256."""
    packets = payloads()
    near, far = devices(enc=("cbc(aes)", KEY), auth_trunc=("hmac(sha256)", AUTH, 128))
    sent = near.encap(packets).packets
    check("cbc", packets, sent, far.decap(sent).packets)
    spans = Spans(packets)
    works: dict[str, Callable[[], object]] = {
        "its": spans.encrypt_cbc,
        "encap": lambda: near.encap(packets),
        "decap": lambda: far.decap(sent),
    }
    times = interleaved(works, clock=process_time)
    for mine in ("encap", "decap"):
        what = f"`{mine}`, cbc(aes) with hmac(sha256), its encryption"
        yield Figure.gains(
            GROUP, what, times, mine, "its", "x cryptography's speed", GOAL, count=COUNT
        )


def measure() -> Iterator[Figure]:
    yield from combined("gcm(aes), 128", "rfc4106(gcm(aes))", KEY + SALT, AESGCM(KEY), SALT)
    yield from combined("ccm(aes), 128", "rfc4309(ccm(aes))", KEY + SALT[:3], AESCCM(KEY), SALT[:3])
    yield from combined(
        "chacha20,poly1305",
        "rfc7539esp(chacha20,poly1305)",
        KEY + KEY + SALT,
        ChaCha20Poly1305(KEY + KEY),
        SALT,
    )
    yield from separate()
