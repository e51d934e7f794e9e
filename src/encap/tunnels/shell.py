"""Commands out of the text of a shell script: what stands on its lines, program by program.

Lines that go on behind a backslash, `;`, `&&`, quotes, comments, `sudo` and `ip netns exec` are
read. What a shell would have to work out, variables and loops, is not.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import NamedTuple

from encap.errors import TunnelError

__all__ = ["Command", "commands"]

NOWHERE = re.compile(r"\d?>>?/dev/null")
VALUED = {"-n", "-netns", "-f", "-family", "-l", "-loops", "-rc", "-rcvbuf"}
"""Options of `ip`, `bridge` and `tc` that have a value."""
NETNS = {"-n", "-netns"}


class Command(NamedTuple):
    """A program and its words, options of the program left out; the namespace that it is for."""

    program: str
    words: list[str]
    netns: str | None = None

    @property
    def name(self) -> str:
        """What it is called in an error; of those about IPsec no word that may be a key."""
        words = (self.program, *self.words)
        if any(_is_short(word, "xfrm") for word in words):
            both = zip(("ip", "xfrm"), words, strict=False)
            return " ".join(full for full, word in both if _is_short(word, full)) or "ip xfrm"
        return " ".join(words[:3])


def _is_short(word: str, full: str) -> bool:
    """True for a word, or the beginning of one."""
    return word != "" and full.startswith(word)


def commands(text: str | Iterable[str]) -> Iterator[Command]:
    """The commands of a script, or of its lines. TunnelError for what is none."""
    whole = text if isinstance(text, str) else "\n".join(line.rstrip("\r\n") for line in text)
    for line in re.sub(r"\\\r?\n", " ", whole).splitlines():
        for words in _split(line):
            if words:
                yield _command(words, None)


def _split(line: str) -> Iterator[list[str]]:
    """The words of each command of a line."""
    words: list[str] = []
    otherwise = False
    for word in _lexed(line):
        if word in (";", "&&", "||", "&"):
            yield [] if otherwise else words
            # What stands behind `||` is for a command that failed: here none does.
            words, otherwise = [], word == "||"
        elif word == "|":
            raise TunnelError("commands that read from a pipe are not known")
        elif not NOWHERE.fullmatch(word):
            words.append(word)
    yield [] if otherwise else words


def _lexed(line: str) -> list[str]:
    """The words of a line, as a shell takes them apart; what stands between commands is a word."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=";&|")
    lexer.whitespace_split = True
    with suppress(ValueError):
        return list(lexer)
    # Outside of the handler: what was met there can have a key in it.
    raise TunnelError("a quotation mark, or what a backslash is for, is missing in a line")


def _command(words: list[str], netns: str | None) -> Command:
    """A command without what only says who runs it, and where."""
    program, *rest = words
    if program == "sudo":
        while rest and rest[0].startswith("-"):
            rest.pop(0)
        return _command(rest, netns) if rest else Command(program, [])
    program = program.rpartition("/")[2]
    while rest and rest[0].startswith("-"):  # ip -6, tc -n NAME
        option = rest.pop(0)
        if option in VALUED and rest:
            value = rest.pop(0)
            netns = value if option in NETNS else netns
    if program == "ip" and len(rest) > 3 and rest[0] == "netns" and rest[1] in ("exec", "e"):
        return _command(rest[3:], rest[2])
    return Command(program, rest, netns)
