"""Associations and policies out of the words behind `ip xfrm state add` and `ip xfrm policy add`.

What is no ESP in tunnel mode is passed over: no tunnel device uses it. A word that is not known is
refused by its place: any word may be a key that was put where it does not belong, and keys appear
in no text.  Source: ip-xfrm(8); iproute2, ip/xfrm_state.c and ip/xfrm_policy.c.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any

from encap.errors import TunnelError
from encap.tunnels.esp.association import SecurityAssociation
from encap.tunnels.esp.policy import Policy

__all__ = ["associations", "policies"]

_NUMBERS = {
    "spi": "spi", "reqid": "reqid", "replay-window": "replay_window", "replay-seq": "replay_seq",
    "replay-oseq": "replay_oseq", "replay-seq-hi": "replay_seq_hi",
    "replay-oseq-hi": "replay_oseq_hi", "if_id": "if_id", "tfcpad": "tfcpad",
}  # fmt: skip
_FLAGS = {
    "flag": ("noecn", "decap-dscp", "nopmtudisc", "af-unspec", "esn", "wildrecv", "icmp", "align4"),
    "extra-flag": ("dont-encap-dscp", "oseq-may-wrap"),
}
_ESP = {"esp", "50"}


def associations(lines: Iterable[list[str]]) -> tuple[SecurityAssociation, ...]:
    """Those that lines of words make."""
    found = (_state(_Words("ip xfrm state", line)) for line in lines)
    made = [SecurityAssociation(**one) for one in found if one]
    # `update` takes the place of what the kernel would find.
    return tuple({(one.dst, one.spi, one.mark, one.mask): one for one in made}.values())


def policies(lines: Iterable[list[str]]) -> tuple[Policy, ...]:
    """Those that lines of words make."""
    found = (_policy(_Words("ip xfrm policy", line)) for line in lines)
    return tuple(Policy(**one) for one in found if one)


class _Words:
    """Words of a command, one after the other."""

    def __init__(self, command: str, words: list[str]) -> None:
        self._command, self._words, self._at = command, words, 0

    def __iter__(self) -> Iterator[str]:
        while self._at < len(self._words):
            yield self.take("")

    def take(self, before: str) -> str:
        """The next word, which stands behind `before`."""
        if self._at == len(self._words):
            raise self.wrong(f"{before!r} wants a value")
        self._at += 1
        return self._words[self._at - 1]

    def while_in(self, known: Iterable[str]) -> Iterator[str]:
        """The next words, as long as they are among these."""
        while self._at < len(self._words) and self._words[self._at] in known:
            yield self.take("")

    def number(self, before: str) -> int:
        """The next word as a number, decimal or hexadecimal."""
        word = self.take(before)
        # Raised behind the failed attempt, whose own error has the word in it.
        with suppress(ValueError):
            return int(word, 0)
        raise self.wrong(f"{before} is not given as a number")

    def key(self, before: str) -> bytes:
        """The next word as key material: digits behind 0x, or its characters."""
        word = self.take(before)
        with suppress(ValueError):
            return bytes.fromhex(word[2:]) if word.startswith("0x") else word.encode()
        raise self.wrong(f"the key of {before} is no hexadecimal number of octets")

    def mark(self, found: dict[str, Any]) -> None:
        """`mark MARK [mask MASK]`."""
        found["mark"] = self.number("mark")
        for word in self.while_in(("mask",)):
            found["mask"] = self.number(word)

    def whole(self, found: dict[str, Any], *wanted: str) -> dict[str, Any]:
        """What was found, which has to have these."""
        for name in wanted:
            if name not in found:
                raise self.wrong(f"{name.replace('_', ' ')} is to be given")
        return found

    def wrong(self, what: str) -> TunnelError:
        """An error; the command is not quoted, for it has keys in it."""
        return TunnelError(f"{self._command}: {what}")

    def unknown(self) -> TunnelError:
        """An error for the word that was taken last."""
        return self.wrong(f"argument {self._at} is not known here, or not with this value")


def _state(words: _Words) -> dict[str, Any]:
    """Arguments of an association; none where it is not one for a tunnel device."""
    found: dict[str, Any] = {}
    said = {"mode": "transport", "proto": ""}
    for word in words:
        if word in _NUMBERS:
            found[_NUMBERS[word]] = words.number(word)
        elif word in ("src", "dst"):
            found[word] = words.take(word)
        elif word in said:
            said[word] = words.take(word)
        elif word in ("enc", "auth"):
            found[word] = (words.take(word), words.key(word))
        elif word in ("auth-trunc", "aead"):
            name, key = words.take(word), words.key(word)
            found[word.replace("-", "_")] = (name, key, words.number(word))
        elif word in _FLAGS:
            found[word.replace("-", "_")] = " ".join(words.while_in(_FLAGS[word]))
        elif word == "mark":
            words.mark(found)
        elif word == "encap":
            kind, sport, dport = words.take(word), words.number(word), words.number(word)
            found["encap"] = (kind, sport, dport)
            words.take(word)  # the address that a NAT changed, which only transport mode uses
        else:
            raise words.unknown()
    if said["mode"] != "tunnel" or said["proto"] not in _ESP:
        return {}
    return words.whole(found, "src", "dst")


def _policy(words: _Words) -> dict[str, Any]:
    """Arguments of a policy; none where it wants no ESP in tunnel mode."""
    found: dict[str, Any] = {}
    said: dict[str, str] = {}
    for word in words:
        if word in ("src", "dst"):
            found[word] = _prefix(words.take(word))
        elif word == "dir":
            found[word] = words.take(word)
        elif word in ("priority", "if_id"):
            found[word] = words.number(word)
        elif word == "mark":
            words.mark(found)
        elif word in ("action", "ptype") and words.take(word) in ("allow", "main"):
            continue
        elif word == "tmpl" and not said:
            said = _template(words, found)
        else:
            raise words.unknown()
    if said.get("mode") != "tunnel" or said.get("proto") not in _ESP:
        return {}
    return words.whole(found, "dir", "src", "dst", "tmpl_src", "tmpl_dst")


def _prefix(word: str) -> str:
    """A network: iproute2 takes host bits, and `any`."""
    return {"any": "0.0.0.0/0", "default": "0.0.0.0/0"}.get(word, word)


def _template(words: _Words, found: dict[str, Any]) -> dict[str, str]:
    """What follows `tmpl`: addresses and numbers go to `found`; mode and protocol come back."""
    said = {"mode": "transport", "proto": "esp"}
    for word in words.while_in(("src", "dst", "proto", "spi", "mode", "reqid", "level")):
        if word in ("src", "dst"):
            found[f"tmpl_{word}"] = words.take(word)
        elif word in ("spi", "reqid"):
            found[word] = words.number(word)
        elif word == "level":
            if words.take(word) != "required":
                raise words.wrong("a template is required, or there is no tunnel")
        else:
            said[word] = words.take(word)
    return said
