"""Algorithms that encrypt and authenticate in one: AES-GCM, AES-CCM, ChaCha20-Poly1305, AES-GMAC.

    SPI (4) | number (4) | IV (8) | ciphertext | check value (8, 12 or 16)

The nonce is a salt, which belongs to the key, and the IV. Header and, of extended numbers, the
upper word are authenticated; for GMAC all in front of the check value is, and nothing is encrypted.
Source: RFC 4106, RFC 4309, RFC 4543, RFC 7634.
"""

from __future__ import annotations

from itertools import repeat

import numpy as np
import numpy.typing as npt

from encap.errors import TunnelError
from encap.tunnels.esp.algorithms import AEAD_IV_LEN, AEADS
from encap.tunnels.esp.association import ESP_LEN
from encap.tunnels.esp.ciphers import (
    Int64s,
    Octets,
    Sealed,
    Sent,
    Uint32s,
    Views,
    all_but,
    copy_clear,
    copy_spans,
    each,
    gather,
    library,
    words,
)

__all__ = ["Combined", "Gmac"]

FRONT_LEN = ESP_LEN + AEAD_IV_LEN
TAG_LEN = 16  # octets of a check value that was not cut


class Combined:
    """AES-GCM, AES-CCM or ChaCha20-Poly1305; see `ciphers.Cipher`.

    name: as `algorithms.AEADS` has it.  key: with its salt.  base: 8 octets, what IVs are made of.
    """

    lead = 0

    def __init__(self, name: str, key: bytes, icv_len: int, base: bytes) -> None:
        salt_len = AEADS[name].salt_len
        self._key, self._salt = key[:-salt_len], np.frombuffer(key[-salt_len:], np.uint8)
        self._base, self._icv_len = np.frombuffer(base, np.uint8), icv_len
        aead = library("hazmat.primitives.ciphers.aead")
        # Of CCM the library cuts check values itself.
        self._cut = "gcm" in name and icv_len < TAG_LEN
        self._invalid = library("exceptions").InvalidTag
        try:
            if "ccm" in name:
                self._aead = aead.AESCCM(self._key, icv_len)
            elif "chacha20" in name:
                self._aead = aead.ChaCha20Poly1305(self._key)
            else:
                self._aead = aead.AESGCM(self._key)
        except library("exceptions").UnsupportedAlgorithm as error:
            raise TunnelError(f"{name}: {error}") from error

    def ivs(self, numbers: npt.NDArray[np.uint64]) -> Octets:
        """A random base XOR the number.  Source: Linux, crypto/seqiv.c."""
        octets: Octets = numbers.astype(">u8").view(np.uint8).reshape(-1, AEAD_IV_LEN) ^ self._base
        return octets

    def _nonces(self, ivs: Octets) -> list[bytes]:
        wide = np.empty((len(ivs), len(self._salt) + AEAD_IV_LEN), np.uint8)
        wide[:, : len(self._salt)], wide[:, len(self._salt) :] = self._salt, ivs
        return each(wide)

    @staticmethod
    def _headers(octets: Octets, highs: Uint32s | None) -> list[bytes]:
        """What is authenticated beside the ciphertext: SPI, the upper word if any, the number."""
        if highs is not None:
            octets = np.concatenate([octets[:, :4], words(highs), octets[:, 4:]], axis=1)
        return each(octets)

    def encrypt(self, sent: Sent) -> None:
        front = np.empty((len(sent.headers), ESP_LEN), np.uint8)
        front[:, :4] = words(np.array([sent.sa.spi], np.uint32))
        front[:, 4:] = words(sent.numbers.astype(np.uint32))
        nonces, headers = self._nonces(sent.ivs), self._headers(front, sent.highs)
        begins = sent.headers + FRONT_LEN
        stops = (begins + sent.sizes + self._icv_len).tolist()
        starts = begins.tolist()
        out, encrypt, encrypt_into = sent.out.data, self._aead.encrypt, self._aead.encrypt_into
        row, views = 0, Views(sent)
        for end in sent.blocks:
            block = slice(row, end)
            rows = zip(
                nonces[block],
                views.of(block),
                headers[block],
                starts[block],
                stops[block],
                strict=True,
            )
            if self._cut:
                for nonce, clear, header, start, stop in rows:
                    out[start:stop] = encrypt(nonce, clear, header)[: stop - start]
            else:
                for nonce, clear, header, start, stop in rows:
                    encrypt_into(nonce, clear, header, out[start:stop])
            row = end

    def decrypt(self, sealed: Sealed) -> npt.NDArray[np.bool_]:
        front = gather(sealed.data, sealed.headers, FRONT_LEN)
        rows = zip(
            self._nonces(front[:, ESP_LEN:]),
            self._headers(front[:, :ESP_LEN], sealed.highs),
            (sealed.headers + FRONT_LEN).tolist(),
            (sealed.headers + sealed.sizes).tolist(),
            sealed.clears.tolist(),
            (sealed.clears + sealed.sizes - (FRONT_LEN + self._icv_len)).tolist(),
            strict=True,
        )
        data, clear, invalid, forged = sealed.data.data, sealed.clear.data, self._invalid, []
        decrypt_into = self._decrypt_cut if self._cut else self._aead.decrypt_into
        for nonce, header, start, end, begin, stop in rows:
            try:
                decrypt_into(nonce, data[start:end], header, clear[begin:stop])
            except invalid:
                forged.append(begin)
        return all_but(sealed.clears, forged)

    def _decrypt_cut(
        self, nonce: bytes, data: memoryview, header: bytes, clear: memoryview
    ) -> None:
        """GCM with a check value that was cut, which the short way does not know."""
        ciphers, at = library("hazmat.primitives.ciphers"), len(data) - self._icv_len
        mode = ciphers.modes.GCM(nonce, bytes(data[at:]), min_tag_length=self._icv_len)
        decryptor = ciphers.Cipher(ciphers.algorithms.AES(self._key), mode).decryptor()
        decryptor.authenticate_additional_data(header)
        found = decryptor.update(data[:at])
        decryptor.finalize()
        clear[:] = found


class Gmac(Combined):
    """AES-GMAC: packets are authenticated, and not encrypted.  Source: RFC 4543 section 3."""

    @staticmethod
    def _covered(
        data: Octets, starts: Int64s, ends: Int64s, highs: Uint32s | None
    ) -> list[memoryview | bytes]:
        """What is authenticated: SPI, the upper word if any, and all up to the check value."""
        view, spans = data.data, zip(starts.tolist(), ends.tolist(), strict=True)
        if highs is None:
            return [view[start:end] for start, end in spans]
        return [
            b"".join((view[start : start + 4], word, view[start + 4 : end]))
            for (start, end), word in zip(spans, each(words(highs)), strict=True)
        ]

    def encrypt(self, sent: Sent) -> None:
        begins = sent.headers + FRONT_LEN
        ends = begins + sent.sizes
        copy_clear(sent, begins)
        covered = self._covered(sent.out, sent.headers, ends, sent.highs)
        made = map(self._aead.encrypt, self._nonces(sent.ivs), repeat(b""), covered)
        out = sent.out.data
        for end, tag in zip(ends.tolist(), made, strict=True):
            out[end : end + TAG_LEN] = tag

    def decrypt(self, sealed: Sealed) -> npt.NDArray[np.bool_]:
        ends = sealed.headers + sealed.sizes - TAG_LEN
        nonces = self._nonces(gather(sealed.data, sealed.headers + ESP_LEN, AEAD_IV_LEN))
        covered = self._covered(sealed.data, sealed.headers, ends, sealed.highs)
        data, decrypt, invalid, forged = sealed.data.data, self._aead.decrypt, self._invalid, []
        for nonce, octets, end in zip(nonces, covered, ends.tolist(), strict=True):
            try:
                decrypt(nonce, data[end : end + TAG_LEN], octets)
            except invalid:
                forged.append(end)
        genuine = all_but(ends, forged)
        if len(ends):
            starts = sealed.headers + FRONT_LEN
            copy_spans(sealed.data, starts, ends - starts, sealed.clear[sealed.clears[0] :])
        return genuine
