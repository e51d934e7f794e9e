"""From the text of an expression to its tree: who belongs to whom, not yet what it means."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from encap.filter.tokens import END, MARK, TEXT, WORD, Token, fail, shown, tokens

__all__ = ["COMPARISONS", "All", "Any", "Negation", "Range", "Test", "Tree", "parse"]

DEEPEST = 64
"""Parentheses within parentheses."""

COMPARISONS = ("==", "!=", "<", "<=", ">", ">=")
_KEYWORDS = ("and", "or", "not", "in", "like")


@dataclass(frozen=True, slots=True)
class Range:
    """`low .. high`, both included."""

    low: Token
    high: Token


@dataclass(frozen=True, slots=True)
class Test:
    """A name, and what it is compared with; a name alone asks whether it is there.

    members: the other side of a comparison, or the members of a set; braces: such they are.
    mask: the number whose bits alone are compared: `name & mask == value`.
    """

    name: Token
    operator: str = ""
    members: tuple[Token | Range, ...] = ()
    braces: bool = False
    mask: Token | None = None

    @property
    def value(self) -> Token:
        """The other side of a comparison."""
        (member,) = self.members
        return member.low if isinstance(member, Range) else member


@dataclass(frozen=True, slots=True)
class Negation:
    """The opposite."""

    part: Tree


@dataclass(frozen=True, slots=True)
class All:
    """Every part holds."""

    parts: tuple[Tree, ...]


@dataclass(frozen=True, slots=True)
class Any:
    """Some part holds."""

    parts: tuple[Tree, ...]


Tree: TypeAlias = Test | Negation | All | Any


def parse(text: str) -> Tree:
    """The tree of an expression. ExpressionError, with `position`, where it is none."""
    reader = _Reader(tokens(text))
    tree = reader.either(0)
    token = reader.next
    if token.kind != END:
        closing = " (there is no '(' for it)" if token.text == ")" else ""
        fail(f"'and' or 'or' is expected, not {_what(token)}{closing}", token.position)
    return tree


def _what(token: Token) -> str:
    return "the end" if token.kind == END else shown(token.text)


class _Reader:
    """Reads tokens from left to right; `next` is the one that comes."""

    def __init__(self, given: list[Token]) -> None:
        self._given, self._at = given, 0

    @property
    def next(self) -> Token:
        return self._given[self._at]

    def take(self) -> Token:
        token = self.next
        self._at += token.kind != END
        return token

    def sees(self, kind: str, *texts: str) -> bool:
        """Passes over the next token when it is one of these, and says whether it did."""
        found = self.next.kind == kind and self.next.text in texts
        self._at += found
        return found

    def either(self, depth: int) -> Tree:
        """Conditions with "or" between them."""
        parts = [self.both(depth)]
        while self.sees(WORD, "or"):
            parts.append(self.both(depth))
        return parts[0] if len(parts) == 1 else Any(tuple(parts))

    def both(self, depth: int) -> Tree:
        """Conditions with "and" between them."""
        parts = [self.condition(depth)]
        while self.sees(WORD, "and"):
            parts.append(self.condition(depth))
        return parts[0] if len(parts) == 1 else All(tuple(parts))

    def condition(self, depth: int) -> Tree:
        """("not")* ( "(" expression ")" | test )"""
        negative = False
        while self.sees(WORD, "not"):
            negative = not negative
        opening = self.next
        if self.sees(MARK, "("):
            if depth == DEEPEST:
                fail(f"more than {DEEPEST} parentheses stand in each other", opening.position)
            found = self.either(depth + 1)
            if not self.sees(MARK, ")"):
                fail(
                    f"')' is expected, not {_what(self.next)},"
                    f" for the '(' at character {opening.position}",
                    self.next.position,
                )
        else:
            found = self.test()
        return Negation(found) if negative else found

    def test(self) -> Test:
        """A name, and what it is compared with."""
        name = self.take()
        if name.kind != WORD or name.text in _KEYWORDS:
            fail(f"a field's name, 'not' or '(' is expected, not {_what(name)}", name.position)
        mask = self.mask(name) if self.sees(MARK, "&") else None
        token = self.next
        if token.kind == MARK and token.text in COMPARISONS:
            self.take()
            value = self.value()
            if self.next.kind == MARK and self.next.text in COMPARISONS:
                fail(
                    "a comparison has two sides: join two by 'and', or ask for a range"
                    f" ({shown(name.text)[1:-1]} in 1..5)",
                    self.next.position,
                )
            return Test(name, token.text, (value,), mask=mask)
        if self.sees(WORD, "in"):
            return self.among(name, mask)
        if mask is not None:
            asked = f"{name.text} & {mask.text}"
            fail(
                f"the bits of {shown(asked)} are to be compared: {shown(asked + ' != 0')[1:-1]}",
                token.position,
            )
        if self.sees(WORD, "like"):
            return Test(name, "like", (self.value(),))
        if token.kind == WORD and token.text.lower() in _KEYWORDS and token.text not in _KEYWORDS:
            fail(f"{token.text!r} is written {token.text.lower()!r}", token.position)
        return Test(name)

    def mask(self, name: Token) -> Token:
        """What stands behind `&`: a number, of which only the bits that are set are compared."""
        mask = self.take()
        if mask.kind != WORD or not mask.text[0].isdigit():
            fail(
                f"a number is expected behind '&' ({shown(name.text)[1:-1]} & 2 == 2),"
                f" not {_what(mask)}: 'and' joins conditions",
                mask.position,
            )
        return mask

    def value(self) -> Token:
        """A value, or the name of another field."""
        token = self.take()
        if token.kind not in (WORD, TEXT) or (token.kind == WORD and token.text in _KEYWORDS):
            hint = ": ask for a set or a range with 'in'" if token.text == "{" else ""
            fail(f"a value is expected, not {_what(token)}{hint}", token.position)
        return token

    def among(self, name: Token, mask: Token | None) -> Test:
        """What `in` is followed by: "{" member ("," member)* "}", or a range or prefix alone."""
        token = self.next
        if token.text == "(" or (token.kind == WORD and token.text.startswith("[")):
            fail(f"a set stands in braces, as {{42, 43}}, not {_what(token)}", token.position)
        if not self.sees(MARK, "{"):
            return Test(name, "in", (self.member(),), mask=mask)
        members = [self.member()]
        while self.sees(MARK, ","):
            members.append(self.member())
        if not self.sees(MARK, "}"):
            fail(f"',' or '}}' is expected, not {_what(self.next)}", self.next.position)
        return Test(name, "in", tuple(members), braces=True, mask=mask)

    def member(self) -> Token | Range:
        """A value, or a range."""
        low = self.value()
        return Range(low, self.value()) if self.sees(MARK, "..") else low
