"""A security association: what both ends have agreed on, options named as `ip xfrm state` does.

Source: RFC 4301 section 4.4.2; ip-xfrm(8). What changes with each packet is elsewhere.
"""

from __future__ import annotations

from dataclasses import field
from typing import Any

from encap.errors import TunnelError
from encap.tunnels.esp import algorithms
from encap.tunnels.esp.options import EncapOption, EndOption, WordsOption, number
from encap.tunnels.inside import IPV6_LEAST
from encap.tunnels.options import frozen

__all__ = ["SecurityAssociation"]

MOST_WINDOW = 4096
"""Packets: what the kernel allows, XFRMA_REPLAY_ESN_MAX."""
ESP_LEN, UDP_LEN, TRAILER_LEN = 8, 8, 2


@frozen
class SecurityAssociation:
    """One direction between two endpoints, in tunnel mode.

    src, dst: outer addresses, both of one family.  spi: 256 and more.
    aead: name, key with salt, bits of the check value; or instead of it
    enc: name and key, with auth: name and key, or auth_trunc: name, key, bits of the check value.
        Keys are octets. They appear in no text that is made of this.
    reqid, mark (with mask), if_id: what policies and devices find it by; no mark where None.
    replay_window: packets, 0 to 4096; 0 for none.  replay_seq, replay_oseq and their _hi: where the
        numbers of received and of sent packets stand at the beginning.
    flag: of noecn, decap-dscp, nopmtudisc, af-unspec, esn.
    extra_flag: of dont-encap-dscp, oseq-may-wrap.
    encap: "espinudp", source and destination port.  tfcpad: octets to pad inner packets to.

    TunnelError for what the kernel would not take either.
    """

    src: EndOption = EndOption()
    dst: EndOption = EndOption()
    spi: int = 0
    reqid: int = 0
    aead: tuple[str, bytes, int] | None = field(default=None, repr=False)
    enc: tuple[str, bytes] | None = field(default=None, repr=False)
    auth: tuple[str, bytes] | None = field(default=None, repr=False)
    auth_trunc: tuple[str, bytes, int] | None = field(default=None, repr=False)
    replay_window: int = 0
    replay_seq: int = 0
    replay_oseq: int = 0
    replay_seq_hi: int = 0
    replay_oseq_hi: int = 0
    flag: WordsOption = WordsOption("noecn", "decap-dscp", "nopmtudisc", "af-unspec", "esn")
    extra_flag: WordsOption = WordsOption("dont-encap-dscp", "oseq-may-wrap")
    mark: int | None = None
    mask: int = 0xFFFFFFFF
    if_id: int = 0
    encap: EncapOption = EncapOption()
    tfcpad: int = 0
    _derived: tuple[int, int, int] = field(init=False, repr=False, compare=False, default=(0, 0, 0))

    def __post_init__(self) -> None:
        put = object.__setattr__
        if self.src.version != self.dst.version:
            raise TunnelError(f"src and dst are of one family, not {self.src} and {self.dst}")
        limits = dict.fromkeys(("reqid", "mask", "if_id"), 0xFFFFFFFF)
        limits |= dict.fromkeys(("replay_seq", "replay_oseq"), 0xFFFFFFFF)
        limits |= dict.fromkeys(("replay_seq_hi", "replay_oseq_hi"), 0xFFFFFFFF)
        limits |= {"replay_window": MOST_WINDOW, "tfcpad": 0xFFFF}
        for name, most in limits.items():
            put(self, name, number(name, getattr(self, name), most))
        put(self, "spi", number("spi", self.spi, 0xFFFFFFFF, 256))
        if self.mark is not None:
            put(self, "mark", number("mark", self.mark, 0xFFFFFFFF))
        if "esn" in self.flag and not self.replay_window:
            raise TunnelError("flag esn needs a replay-window")
        put(self, "_derived", self._lengths())

    def _lengths(self) -> tuple[int, int, int]:
        """Octets of the initialization vector, of the check value, and of what padding fills."""
        if self.aead is not None:
            if self.enc or self.auth or self.auth_trunc:
                raise TunnelError("aead stands alone, without enc and auth")
            name, key, bits = _algorithm("aead", self.aead, 3)
            algorithms.aead(name, key, bits)
            return algorithms.AEAD_IV_LEN, bits // 8, 4
        if self.enc is None:
            raise TunnelError("an association has an aead, or an enc")
        name, key = _algorithm("enc", self.enc, 2)
        cipher, icv_len = algorithms.block(name, key), 0
        if self.auth and self.auth_trunc:
            raise TunnelError("auth and auth-trunc are the same thing")
        if self.auth:
            icv_len = algorithms.digest(_algorithm("auth", self.auth, 2)[0], None)[1]
        elif self.auth_trunc:
            name, _, bits = _algorithm("auth-trunc", self.auth_trunc, 3)
            icv_len = algorithms.digest(name, bits)[1]
        return cipher.iv_len, icv_len, max(4, cipher.block_len)

    @property
    def esn(self) -> bool:
        """Sequence numbers have 64 bits, of which 32 are sent (RFC 4303 section 2.2.1)."""
        return "esn" in self.flag

    @property
    def iv_len(self) -> int:
        """Octets of the initialization vector in each packet."""
        return self._derived[0]

    @property
    def icv_len(self) -> int:
        """Octets of the integrity check value behind each packet."""
        return self._derived[1]

    @property
    def align(self) -> int:
        """Octets that each plaintext is a multiple of."""
        return self._derived[2]

    @property
    def header_len(self) -> int:
        """Octets in front of the ciphertext: IP, UDP where there is any, ESP, and the IV."""
        outer = 20 if self.src.version == 4 else 40
        return outer + UDP_LEN * (self.encap is not None) + ESP_LEN + self.iv_len

    def has_mark(self, mark: int) -> bool:
        """Packets with this mark belong here.  Source: Linux, __xfrm_state_lookup."""
        return self.mark is None or mark & self.mask == self.mark

    def mtu(self, link_mtu: int) -> int:
        """Octets of the longest inner packet that fits on such a link.

        Source: Linux, xfrm_state_mtu.
        """
        room = link_mtu - self.header_len - self.icv_len
        longest = room // self.align * self.align - TRAILER_LEN
        return max(longest, IPV6_LEAST) if self.src.version == 6 else longest


def _algorithm(option: str, value: Any, count: int) -> Any:
    """Name, key and perhaps bits, of these types. What is wrong is told without the key."""
    parts = ("a name", "a key of octets", "a number of bits")[:count]
    kinds = (str, bytes, int)[:count]
    whole = isinstance(value, tuple) and len(value) == count
    if not whole or not all(map(isinstance, value, kinds)):
        raise TunnelError(f"{option} is a tuple of {', '.join(parts)}")
    return value
