"""The words and marks of an expression.

A word is whatever stands together: a name, a number, an address, a time. What it means depends on
what it is compared with, so it is read later.
"""

from __future__ import annotations

import re
from typing import NamedTuple, NoReturn

from encap.errors import ExpressionError

__all__ = ["END", "MARK", "TEXT", "WORD", "Token", "fail", "shown", "tokens"]

WORD, TEXT, MARK, END = "word", "text", "mark", "end"

_TOKEN = re.compile(
    r"""(?P<space>[ \t\r\n]+)
      | "(?P<text>[^"]*)"
      | (?P<mark>==|!=|<=|>=|\.\.|[<>(){},]|&(?!&))
      | (?P<word>(?:(?!\.\.)[A-Za-z0-9_.:/+-]|\[[0-9A-Za-z*,\ \t-]*\])+\??)""",
    re.VERBOSE,
)
_HINTS = {
    "&": "'and' joins conditions",
    "|": "'or' joins conditions",
    "!": "'not' negates a condition",
    "=": "'==' compares",
    "'": 'text stands in double quotes (")',
    '"': 'the text has no second quote (")',
    "[": "an index is vlan[1], vlan[-1] or vlan[*]",
}
_LONGEST_SHOWN = 40


class Token(NamedTuple):
    """A piece of an expression: what it is, its text, and the character at which it starts."""

    kind: str
    text: str
    position: int


def shown(text: str) -> str:
    """A piece of an expression as an error quotes it."""
    return repr(text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 3] + "...")


def fail(message: str, position: int) -> NoReturn:
    """Raises the ExpressionError for what stands at `position`."""
    raise ExpressionError(
        f"{message}, at character {position} of the expression", position=position
    )


def tokens(text: str) -> list[Token]:
    """The pieces of `text`, the last one an empty END. ExpressionError where one is none."""
    found, at = [], 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            mark = text[at]
            hint = f": {_HINTS[mark]}" if mark in _HINTS else ""
            fail(f"{mark!r} is not understood{hint}", at)
        kind = str(match.lastgroup)
        if kind != "space":
            found.append(Token(kind, match[kind], at))
        at = match.end()
    found.append(Token(END, "", len(text)))
    return found
