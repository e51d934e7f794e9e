"""From the tree of an expression to the condition that it means; all types are checked here."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial

import numpy as np

from encap.columns import Column, column
from encap.filter import masks
from encap.filter.operands import HEADER, OPTION, PATH, TRUTH, Key, Operand, Source, operand
from encap.filter.program import Program
from encap.filter.ranges import Ranges, WideRanges
from encap.filter.syntax import COMPARISONS, All, Negation, Range, Test, Tree
from encap.filter.syntax import Any as Either
from encap.filter.tokens import TEXT, WORD, Token, fail, shown
from encap.filter.values import NUMBER, Value, octets
from encap.names import GROUPS, OF_PACKETS, nearest
from encap.registry import HEADERS

__all__ = ["compiled", "names_of"]

MOST_COLUMNS = 256
_NAME = re.compile(r"[A-Za-z_]\w*(?:\[[^\]]*\])?(?:\.\w+(?:\[[^\]]*\])?)*\??", re.ASCII)


def compiled(tree: Tree) -> Program:
    """The tree made ready to run. ExpressionError for what makes no sense."""
    meaning = _Meaning(0)
    return Program(meaning.condition(tree), meaning.columns)


def names_of(tree: Tree) -> tuple[str, ...]:
    """The names that an expression has, in order, each once."""
    found: dict[str, None] = {}
    waiting: list[Tree] = [tree]
    while waiting:
        part = waiting.pop()
        if isinstance(part, Negation):
            waiting.append(part.part)
        elif isinstance(part, Test):
            found[part.name.text] = None
            if part.operator in COMPARISONS and _is_name(part.value):
                found[part.value.text] = None
        else:
            waiting += reversed(part.parts)
    return tuple(found)


def _is_name(token: Token) -> bool:
    return token.kind == WORD and _NAME.fullmatch(token.text) is not None


def _like(pattern: str, path: str) -> bool:
    """True when `path` is `pattern`, in which `*` stands for anything."""
    first, *middle = pattern.split("*")
    if not middle:
        return path == pattern
    last = middle.pop()
    if not path.startswith(first) or not path.endswith(last) or len(path) < len(first + last):
        return False
    at, end = len(first), len(path) - len(last)
    for part in middle:
        at = path.find(part, at, end)
        if at < 0:
            return False
        at += len(part)
    return True


def _any(parts: list[masks.Condition]) -> masks.Condition:
    return parts[0] if len(parts) == 1 else masks.AnyOf(tuple(parts))


def _all(parts: list[masks.Condition]) -> masks.Condition:
    return parts[0] if len(parts) == 1 else masks.AllOf(tuple(parts))


class _Meaning:
    """Makes conditions of trees, and gathers the columns that they need.

    occurrence: the index that `[*]` stands for.
    """

    def __init__(self, occurrence: int) -> None:
        self.columns: dict[str, Column] = {}
        self._occurrence = occurrence

    def condition(self, tree: Tree) -> masks.Condition:
        if isinstance(tree, Negation):
            return masks.NotSo(self.condition(tree.part))
        if isinstance(tree, All):
            return masks.AllOf(tuple(map(self.condition, tree.parts)))
        if isinstance(tree, Either):
            return masks.AnyOf(tuple(map(self.condition, tree.parts)))
        found, every = self.test(tree)
        if not every:
            return found
        return masks.Somewhere(found, self.key(column(every)), _Later(tree))

    def key(self, wanted: Key) -> str:
        """By what name the rows have a column, which is gathered from now on."""
        if isinstance(wanted, str):
            return wanted
        self.columns.setdefault(wanted.name, wanted)
        return wanted.name

    def test(self, test: Test) -> tuple[masks.Condition, str]:
        """The condition, and the name of the header of which `[*]` means every one."""
        left = operand(test.name, self._occurrence)
        every = left.every
        if test.mask is not None and left.sort.what != NUMBER:
            fail(f"{left.name} is {left.sort.what}: only numbers have bits (&)", left.position)
        if not test.operator:
            found = self._presence(left)
        elif left.sort is PATH:
            (made,) = left.sources[""].columns
            found = _path(left, test, self.key(made))
        elif left.sort is OPTION:
            found = _option(left, test)
        elif left.sort in (HEADER, TRUTH):
            what = "name one of its fields" if left.sort is HEADER else "nothing is to be compared"
            fail(f"{left.name} is {left.sort.what}: {what}", left.position)
        elif test.operator == "like":
            fail(f"'like' is for path alone: {left.name} is {left.sort.what}", left.position)
        elif test.operator != "in" and test.mask is None and _means_field(left, test.value):
            right = operand(test.value, self._occurrence)
            if every and right.every:
                fail("one [*] is all that a comparison can have", right.position)
            every = every or right.every
            found = self._compared(left, test.operator, right)
        else:
            found = self._against_values(left, test)
        if len(self.columns) > MOST_COLUMNS:
            fail(f"more than {MOST_COLUMNS} columns are needed", left.position)
        return found, every

    def _presence(self, left: Operand) -> masks.Condition:
        if left.sort is OPTION:
            return masks.OptionIs(left.header, left.numbers)
        if left.sort not in (HEADER, TRUTH):
            hint = "" if left.there is None else f"; {left.name}? asks whether it is there"
            fail(f"{left.name} is to be compared with something{hint}", left.position)
        (made,) = left.sources[""].columns
        return masks.Present(self.key(made))

    # --- against values ------------------------------------------------------------

    def _against_values(self, left: Operand, test: Test) -> masks.Condition:
        sort, name = left.sort, left.name
        bits = 0 if test.mask is None else _bits(left, test, test.mask)
        wanted: dict[str, list[tuple[int, int]]] = {}
        if test.operator == "in":
            for value in _members(left, test):
                wanted.setdefault(value.family, []).append((value.low, value.high))
        else:
            _check_order(left, test.operator)
            for value in sort.one(name, test.value):
                least, most = sort.domains[value.family]
                wanted[value.family] = _matching(test.operator, value.low, least, most)
            if test.operator == "!=":
                others = {family: [ends] for family, ends in sort.domains.items()}
                wanted = others | wanted
        parts = [
            self._within(left.sources[family], pairs, sort.domains[family][1], bits)
            for family, pairs in wanted.items()
        ]
        return _any(parts)

    def _within(
        self, source: Source, pairs: list[tuple[int, int]], most: int, bits: int = 0
    ) -> masks.Condition:
        keys = source.columns
        if len(keys) == 2:
            wide = WideRanges(pairs)
            there = self._there(source) if wide.has_zero else ""
            high = self.key(keys[0])
            low = self.key(keys[1]) if wide.needs_low else high
            return masks.WithinWide(high, low, wide, there)
        # No value is above the field's own maximum, so that what reaches it has no end.
        top = int(np.iinfo(source.kind).max)
        ends = [(low, top if high == most else high) for low, high in pairs]
        ranges = Ranges(ends, source.kind)
        there = self._there(source) if ranges.has_zero else ""
        return masks.Within(self.key(keys[0]), ranges, there, bits)

    def _there(self, source: Source) -> str:
        return "" if source.there is None else self.key(source.there)

    # --- against another field ---------------------------------------------------------

    def _compared(self, left: Operand, sign: str, right: Operand) -> masks.Condition:
        families = [family for family in left.sources if family in right.sources]
        differ = families == [""] and left.sort.what != right.sort.what
        if differ or not families:
            hint = f" ({right.name} alone asks for it)" if right.sort is HEADER else ""
            fail(
                f"{left.name} is {left.sort.what}, {right.name} is {right.sort.what}{hint}",
                right.position,
            )
        _check_order(left, sign)
        same = "==" if sign == "!=" else sign
        parts = [self._pair(left.sources[one], same, right.sources[one]) for one in families]
        if sign != "!=":
            return _any(parts)
        there = [masks.Present(self.key(side.there)) for side in (left, right) if side.there]
        return _all([*there, masks.NotSo(_any(parts))])

    def _pair(self, left: Source, sign: str, right: Source) -> masks.Condition:
        """Both values are there and compare so."""
        keys = (tuple(map(self.key, source.columns)) for source in (left, right))
        parts: list[masks.Condition] = [masks.Compared(sign, *keys)]
        there = (source.there for source in (left, right) if source.there)
        return _all(parts + [masks.Present(self.key(one)) for one in there])


class _Later:
    """The condition of a test with `[*]` for a later header: its program, and where the header is.

    Made when a packet is found that has so many.
    """

    def __init__(self, test: Test) -> None:
        self._test = test
        self._made: dict[int, tuple[Program, str]] = {}

    def __call__(self, index: int) -> tuple[Program, str]:
        if index not in self._made:
            meaning = _Meaning(index)
            condition, every = meaning.test(self._test)
            there = meaning.key(column(every))
            self._made[index] = Program(condition, meaning.columns), there
        return self._made[index]


def _means_field(left: Operand, value: Token) -> bool:
    """True when `value` is a field too; where values have names, its dot tells. A word that is
    like no name that there is, such as `ef`, is taken for a value, which it then is not.
    """
    if not _is_name(value):
        return False
    if "." in value.text or "[" in value.text:
        return True
    known = (*HEADERS, *GROUPS, *OF_PACKETS)
    return not left.sort.quoted and (value.text in known or bool(nearest(value.text[:40], known)))


def _bits(left: Operand, test: Test, mask: Token) -> int:
    """The bits that are compared. ExpressionError where there are none, and where a value has
    others, which would never be the same.
    """
    (value,) = left.sort.one(left.name, mask)
    bits = value.low
    if not bits:
        fail(f"{left.name} & 0 is always 0: name the bits to look at", mask.position)
    others = test.operator in ("==", "!=") or test.braces
    for member in test.members if others else ():
        if isinstance(member, Token):
            (found,) = left.sort.one(left.name, member)
            if found.low & ~bits:
                fail(
                    f"{left.name} & {mask.text} is never {shown(member.text)[1:-1]}, which has"
                    " other bits",
                    member.position,
                )
    return bits


def _matching(sign: str, value: int, least: int, most: int) -> list[tuple[int, int]]:
    """What from `least` to `most` compares with `value` so."""
    ranges = {
        "==": [(value, value)],
        "!=": [(least, value - 1), (value + 1, most)],
        "<": [(least, value - 1)],
        "<=": [(least, value)],
        ">": [(value + 1, most)],
        ">=": [(value, most)],
    }
    return [(low, high) for low, high in ranges[sign] if low <= high]


def _check_order(left: Operand, sign: str) -> None:
    if sign not in ("==", "!=") and not left.sort.ordered:
        fail(f"{left.name} is {left.sort.what}: it is equal (==, !=, in) or not", left.position)


def _members(left: Operand, test: Test) -> Iterator[Value]:
    """The values behind `in`."""
    for member in test.members:
        found = left.sort.member(left.name, member)
        if not test.braces and isinstance(member, Token) and not found[0].prefix:
            fail(
                "'in' is for a set, a range or a prefix:"
                f" say {left.name} == {shown(member.text)[1:-1]}",
                member.position,
            )
        yield from found


# --- what is no number ------------------------------------------------------------------


def _single(left: Operand, test: Test) -> Iterator[Token]:
    """The members of a set of which there are no ranges, or the one value."""
    for member in test.members:
        if isinstance(member, Range):
            fail(f"{left.name} is {left.sort.what}: of these are no ranges", member.low.position)
        yield member


def _check_path(token: Token, operator: str) -> None:
    """ExpressionError where no path can be what `token` says."""
    for layer in token.text.split("/") if token.text else ():
        if "*" in layer and operator != "like":
            fail("'*' stands for anything with 'like'", token.position)
        if "*" not in layer and layer not in HEADERS:
            hint = nearest(layer[:40], HEADERS)
            fail(f"no path has {shown(layer)} in it{hint}", token.position)


def _path(left: Operand, test: Test, key: str) -> masks.Condition:
    """The path as a text; its numbers are in the column `key`."""
    if test.operator not in ("==", "!=", "in", "like"):
        fail(f"{left.name} is a text: it is compared by ==, !=, in or like", left.position)
    wanted = []
    for token in _single(left, test):
        if token.kind != TEXT:
            fail(f'{left.name} is a text: write it in quotes ("...")', token.position)
        _check_path(token, test.operator)
        wanted.append(token.text)
    if test.operator == "like":
        return masks.PathIs(key, partial(_like, wanted[0]))
    found = masks.PathIs(key, frozenset(wanted).__contains__)
    return masks.NotSo(found) if test.operator == "!=" else found


def _option(left: Operand, test: Test) -> masks.Condition:
    """What an option holds, as octets."""
    if test.operator not in ("==", "!=", "in"):
        fail(f"{left.name} is octets, which are equal (==, !=, in) or not", left.position)
    wanted = frozenset(octets(left.name, token) for token in _single(left, test))
    return masks.OptionIs(left.header, left.numbers, wanted, others=test.operator == "!=")
