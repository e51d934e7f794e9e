"""A cipher and a hash, one after the other: AES-CBC or none, HMAC-SHA or none.

    SPI (4) | number (4) | IV (16 or 0) | ciphertext | check value

The hash covers all in front of the check value and, of extended numbers, the upper word, which is
not sent.  Source: RFC 3602, RFC 2410, RFC 2404, RFC 4868; RFC 4303 section 2.2.1.
"""

from __future__ import annotations

import hmac
from typing import Any

import numpy as np
import numpy.typing as npt

from encap import memory
from encap.tunnels.esp.association import ESP_LEN
from encap.tunnels.esp.ciphers import (
    SLACK,
    Int64s,
    Octets,
    Sealed,
    Sent,
    Uint32s,
    copy_clear,
    copy_spans,
    each,
    library,
    words,
)

__all__ = ["Separate"]

BLOCK_LEN = 16


class Separate:
    """AES-CBC or no cipher, HMAC or no hash; see `ciphers.Cipher`.

    key: of AES; none where nothing is encrypted.  salt: 16 octets, what IVs are made of.
    digest: name of the hash, or None.
    """

    def __init__(
        self, key: bytes, salt: bytes, digest: str | None, auth_key: bytes, icv_len: int
    ) -> None:
        ciphers = library("hazmat.primitives.ciphers")
        self.lead = BLOCK_LEN if key else 0
        self._salt, self._icv_len = np.frombuffer(salt, "<u8") | np.uint64(1), icv_len
        self._cipher: Any = ciphers.Cipher
        self._modes: Any = ciphers.modes
        self._aes = ciphers.algorithms.AES(key) if key else None
        self._hash: Any = None
        if digest is not None:
            hashes = library("hazmat.primitives.hashes")
            made = library("hazmat.primitives.hmac").HMAC
            self._hash = made(auth_key, getattr(hashes, digest.upper())())

    def ivs(self, numbers: npt.NDArray[np.uint64]) -> Octets:
        """A secret multiple of the number, encrypted.  Source: Linux, crypto/echainiv.c."""
        if self._aes is None:
            return np.empty((len(numbers), 0), np.uint8)
        products = numbers[:, None] * self._salt  # modulo 2**64
        octets = products.astype("<u8").view(np.uint8).reshape(-1)
        encryptor = self._cipher(self._aes, self._modes.ECB()).encryptor()
        return np.frombuffer(encryptor.update(octets), np.uint8).reshape(-1, BLOCK_LEN)

    def encrypt(self, sent: Sent) -> None:
        begins = sent.headers + (ESP_LEN + self.lead)
        ends = begins + sent.sizes
        if self._aes is None:
            copy_clear(sent, begins)
        else:
            self._encrypt(sent, begins)
        if self._hash is not None:
            out, length = sent.out.data, self._icv_len
            found = self._hashes(sent.out, sent.headers, ends, sent.highs)
            for end, value in zip(ends.tolist(), found, strict=True):
                out[end : end + length] = value[:length]

    def _encrypt(self, sent: Sent, begins: Int64s) -> None:
        """Every packet with one encryptor: making one takes four times as long as its work.

        An encryptor goes on with the last block that it gave, so that one is taken out of the
        first block of the next packet again, and the vector put in.
        """
        nothing = self._modes.CBC(bytes(BLOCK_LEN))
        update_into = self._cipher(self._aes, nothing).encryptor().update_into
        firsts = sent.clears[:, None] + np.arange(BLOCK_LEN)
        clear, out, last, row = sent.clear.data, sent.out.data, 0, 0
        for behind in sent.blocks:
            block = slice(row, behind)
            sent.clear[firsts[block]] ^= sent.ivs[block]
            for start, size, begin in zip(
                sent.clears[block].tolist(),
                sent.sizes[block].tolist(),
                begins[block].tolist(),
                strict=True,
            ):
                head = int.from_bytes(clear[start : start + BLOCK_LEN], "big") ^ last
                clear[start : start + BLOCK_LEN] = head.to_bytes(BLOCK_LEN, "big")
                end = begin + size
                update_into(clear[start : start + size], out[begin : end + SLACK])
                last = int.from_bytes(out[end - BLOCK_LEN : end], "big")
            row = behind

    def _hashes(
        self, data: Octets, starts: Int64s, ends: Int64s, highs: Uint32s | None
    ) -> list[bytes]:
        """Check values, not yet cut."""
        view, copy, found = data.data, self._hash.copy, []
        behind = [b""] * len(starts) if highs is None else each(words(highs))
        for start, end, word in zip(starts.tolist(), ends.tolist(), behind, strict=True):
            made = copy()
            made.update(view[start:end])
            if word:
                made.update(word)
            found.append(made.finalize())
        return found

    def decrypt(self, sealed: Sealed) -> npt.NDArray[np.bool_]:
        ends = sealed.headers + sealed.sizes - self._icv_len
        genuine = np.ones(len(ends), np.bool_)
        if self._hash is not None:
            data, length = sealed.data.data, self._icv_len
            found = self._hashes(sealed.data, sealed.headers, ends, sealed.highs)
            for row, (end, value) in enumerate(zip(ends.tolist(), found, strict=True)):
                genuine[row] = hmac.compare_digest(value[:length], data[end : end + length])
        if len(ends):
            self._decrypt(sealed, ends)
        return genuine

    def _decrypt(self, sealed: Sealed, ends: Int64s) -> None:
        """All packets at once: a plaintext is its block deciphered, XOR the block in front."""
        starts = sealed.headers + ESP_LEN
        first = int(sealed.clears[0]) - self.lead
        if self._aes is None:
            copy_spans(sealed.data, starts, ends - starts, sealed.clear[first:])
            return
        total = int((ends - starts).sum())
        blocks = memory.empty(total, np.uint8)
        copy_spans(sealed.data, starts, ends - starts, blocks)
        clear = sealed.clear[first : first + total + SLACK]
        self._cipher(self._aes, self._modes.ECB()).decryptor().update_into(blocks, clear)
        # Vectors are deciphered too, to nothing that means anything.
        clear[BLOCK_LEN:total] ^= blocks[: total - BLOCK_LEN]
