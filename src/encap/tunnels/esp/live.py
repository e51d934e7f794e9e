"""An association at work: its ciphers, and what changes with each packet."""

from __future__ import annotations

import secrets
from typing import NoReturn

from encap.errors import TunnelError
from encap.tunnels.esp import algorithms
from encap.tunnels.esp.association import SecurityAssociation
from encap.tunnels.esp.ciphers import Cipher
from encap.tunnels.esp.combined import Combined, Gmac
from encap.tunnels.esp.separate import Separate
from encap.tunnels.esp.window import Counter, Window

__all__ = ["Live"]


class Live:
    """A security association with its counter, its window and its ciphers.

    salt: octets that initialization vectors are made of, as many as these have; random where None.
        Never the same ones twice with one key.

    counter, window: see there.  TunnelError where the library for ciphers is missing.
    """

    __slots__ = ("cipher", "counter", "sa", "window")

    def __init__(self, sa: SecurityAssociation, salt: bytes | None = None) -> None:
        if salt is None:
            salt = secrets.token_bytes(sa.iv_len)
        if len(salt) != sa.iv_len:
            raise TunnelError(f"salt has {sa.iv_len} octets, not {len(salt)}")
        self.sa = sa
        self.cipher = _cipher(sa, salt)
        self.counter = Counter(sa)
        self.window = Window(sa)

    def __reduce__(self) -> NoReturn:
        """TypeError: a copy would use the same initialization vectors with one key again."""
        raise TypeError("an association at work has no copies")

    def __repr__(self) -> str:
        return f"<ESP {self.sa.src} to {self.sa.dst}, SPI {self.sa.spi:#x}>"


def _cipher(sa: SecurityAssociation, salt: bytes) -> Cipher:
    if sa.aead is not None:
        name, key, _ = sa.aead
        made = Gmac if name == "rfc4543(gcm(aes))" else Combined
        return made(name, key, sa.icv_len, salt)
    digest, auth_key = None, b""
    auth = sa.auth or sa.auth_trunc
    if auth is not None:
        digest, auth_key = algorithms.digest(auth[0], None)[0].digest, auth[1]
    return Separate(sa.enc[1] if sa.enc else b"", salt, digest, auth_key, sa.icv_len)
