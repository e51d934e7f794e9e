"""The algorithms of ESP, by the names that `ip xfrm` has for them, and what each needs.

Nothing is encrypted here. Key material is what the kernel takes: for combined algorithms the key
with its salt behind it. What is wrong is told without the value that was given: where two words
are exchanged, it is the key.  Source: Linux, net/xfrm/xfrm_algo.c; RFC 4106, 4309,
4543, 7634, 3602, 2410, 2404, 4868.
"""

from __future__ import annotations

from typing import NamedTuple

from encap.errors import TunnelError

__all__ = ["AEADS", "CIPHERS", "HASHES", "Aead", "Block", "Hash", "aead", "block", "digest"]

AES_KEYS = (16, 24, 32)


class Aead(NamedTuple):
    """An algorithm that encrypts and authenticates.

    key_lens: octets of the key without its salt.  salt_len: octets behind the key.
    icv_bits: the check values that the kernel knows.
    """

    name: str
    key_lens: tuple[int, ...]
    salt_len: int
    icv_bits: tuple[int, ...]


class Block(NamedTuple):
    """An algorithm that only encrypts.  block_len: octets that the plaintext is a multiple of."""

    name: str
    key_lens: tuple[int, ...]
    iv_len: int
    block_len: int


class Hash(NamedTuple):
    """An algorithm that only authenticates.

    digest: its name for `hashlib`.  icv_bits: where no truncation is given.  full_bits: the most.
    """

    name: str
    digest: str
    icv_bits: int
    full_bits: int


AEAD_IV_LEN = 8
"""Of all combined algorithms: the explicit part of the nonce."""

AEADS = {
    known.name: known
    for known in (
        Aead("rfc4106(gcm(aes))", AES_KEYS, 4, (64, 96, 128)),
        Aead("rfc4309(ccm(aes))", AES_KEYS, 3, (64, 96, 128)),
        Aead("rfc4543(gcm(aes))", AES_KEYS, 4, (128,)),
        Aead("rfc7539esp(chacha20,poly1305)", (32,), 4, (128,)),
    )
}
CIPHERS = {
    known.name: known
    for known in (Block("cbc(aes)", AES_KEYS, 16, 16), Block("ecb(cipher_null)", (0,), 0, 1))
}
HASHES = {
    known.name: known
    for known in (
        Hash("hmac(sha1)", "sha1", 96, 160),
        # RFC 4868 has 128; the kernel's `auth` has always had 96, `auth-trunc` says otherwise.
        Hash("hmac(sha256)", "sha256", 96, 256),
        Hash("hmac(sha384)", "sha384", 192, 384),
        Hash("hmac(sha512)", "sha512", 256, 512),
    )
}
_OLD_NAMES = {
    "aes": "cbc(aes)",
    "cipher_null": "ecb(cipher_null)",
    "sha1": "hmac(sha1)",
    "sha256": "hmac(sha256)",
}


def aead(name: str, key: bytes, icv_bits: int) -> Aead:
    """The combined algorithm of that name. TunnelError where key or check value do not fit it."""
    if name not in AEADS:
        raise TunnelError(f"aead is one of {', '.join(AEADS)}")
    known = AEADS[name]
    _check_key(name, len(key) - known.salt_len, known.key_lens, known.salt_len)
    if icv_bits not in known.icv_bits:
        bits = " or ".join(map(str, known.icv_bits))
        raise TunnelError(f"the check value of {name} has {bits} bits")
    return known


def block(name: str, key: bytes) -> Block:
    """The cipher of that name. TunnelError where the key does not fit it."""
    name = _OLD_NAMES.get(name, name)
    if name not in CIPHERS:
        raise TunnelError(f"enc is one of {', '.join(CIPHERS)}")
    known = CIPHERS[name]
    _check_key(name, len(key), known.key_lens, 0)
    return known


def digest(name: str, icv_bits: int | None) -> tuple[Hash, int]:
    """The hash of that name, and the octets of its check value: the default where None.

    TunnelError where the check value cannot be as long.
    """
    name = _OLD_NAMES.get(name, name)
    if name not in HASHES:
        raise TunnelError(f"auth is one of {', '.join(HASHES)}")
    known = HASHES[name]
    bits = known.icv_bits if icv_bits is None else icv_bits
    if not 8 <= bits <= known.full_bits or bits % 8:
        raise TunnelError(
            f"the check value of {name} has 8 to {known.full_bits} bits, whole octets"
        )
    return known, bits // 8


def _check_key(name: str, length: int, known: tuple[int, ...], salt: int) -> None:
    if length not in known:
        lengths = " or ".join(str(each) for each in known)
        behind = f" and {salt} of salt behind it" if salt else ""
        raise TunnelError(
            f"the key of {name} has {lengths} octets{behind}, not {length + salt} in all"
        )
