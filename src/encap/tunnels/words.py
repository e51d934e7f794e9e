"""Options as `ip link` and `ip tunnel` write them, and the arguments that they become."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import Any, NamedTuple, TypeAlias

from encap.errors import TunnelError

__all__ = [
    "Word", "Words", "flag", "hexadecimal_or_word", "meant", "number", "passed", "read", "refused",
    "text", "word_or_number",
]  # fmt: skip


class Word(NamedTuple):
    """What one word of a command says: the argument's name, and how many words follow it.

    value: makes the argument of the words that follow.
    """

    argument: str
    follow: int
    value: Callable[..., Any]


Words: TypeAlias = Mapping[str, Word]


def flag(argument: str, value: object = True) -> Word:
    """A word that stands alone."""
    return Word(argument, 0, lambda: value)


def text(argument: str, *none: str) -> Word:
    """A word with a value that is taken as it is; None for some values."""
    return Word(argument, 1, lambda value: None if value in none else value)


def number(argument: str) -> Word:
    """A word with a number, decimal or hexadecimal."""
    return Word(argument, 1, lambda value: int(value, 0))


def word_or_number(argument: str, **words: object) -> Word:
    """A word with a number, or with another word, which stands for a value."""
    return Word(argument, 1, lambda value: words[value] if value in words else int(value, 0))


def hexadecimal_or_word(argument: str, **words: object) -> Word:
    """A word with a hexadecimal number, with or without 0x, or with another word."""
    return Word(argument, 1, lambda value: words[value] if value in words else int(value, 16))


def passed(follow: int = 0) -> Word:
    """A word that changes nothing in a packet."""
    return Word("", follow, lambda *_: None)


def refused(reason: str) -> Word:
    """A word whose meaning is known, and cannot be given."""

    def refuse() -> None:
        raise TunnelError(reason)

    return Word("", 0, refuse)


def meant(word: str, known: Iterable[str]) -> str:
    """A question that names the known word which is most like one that is not."""
    close = get_close_matches(word, known, 1)
    return f"; did you mean {close[0]!r}?" if close else ""


def read(words: Iterator[str], known: Words, what: str, *, once: bool = False) -> dict[str, Any]:
    """Arguments from words. TunnelError for one that is not known, or a value that is none.

    once: an option that is given again with another value is refused, as iproute2 does; of words
        that stand alone the last one counts.
    """
    found: dict[str, Any] = {}
    for word in words:
        if word not in known:
            near = meant(word, known)
            front = word in ("mtu", "up", "down", "txqueuelen", "address")
            hint = "; it stands in front of 'type'" if front else near
            raise TunnelError(f"{what}: the option {word!r} is not known{hint}")
        argument, follow, value = known[word]
        values = [given for _, given in zip(range(follow), words, strict=False)]
        if len(values) < follow:
            raise TunnelError(f"{what}: {word!r} wants a value")
        try:
            made = value(*values)
        except ValueError as error:
            raise TunnelError(f"{what}: {word} cannot be {' '.join(values)!r}") from error
        if once and argument and follow and found.get(argument, made) != made:
            raise TunnelError(f"{what}: duplicate {word!r}: it was said before")
        found[argument] = made
    found.pop("", None)
    return found
