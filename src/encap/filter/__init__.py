"""Expressions that select packets: compiled once, run over columns.

    vxlan.vni == 42 and inner.ip.src in 10.0.0.0/8 and not inner.tcp.dport in {22, 443}

    expression  condition (("and" | "or") condition)*        "and" binds more tightly than "or"
    condition   "not" condition | "(" expression ")" | test
    test        header | field "?" | option                  whether it is there: vxlan, gre.key?
                field ("==" | "!=" | "<" | "<=" | ">" | ">=") (value | field)
                field "in" (prefix | range | set)
                "path" "like" text                           in which * stands for anything
    range       value ".." value                             both included
    set         "{" (value | prefix | range) ("," ...)* "}"
    option      header ".option[" class "," type "]", of Geneve; others have a type alone
    value       42  0x2a  10.0.0.1  2001:db8::1  02:00:00:00:00:01  2024-05-01T12:30:00.5Z  "text"

Fields have the names that columns have, and `[*]` for every header of a kind: the test holds
when it does for one of them. A comparison with a field that is absent is false, whatever it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from encap.filter.meaning import compiled, names_of
from encap.filter.program import Program
from encap.filter.syntax import parse

if TYPE_CHECKING:
    from encap.packets import Packets

__all__ = ["Filter", "match"]


class Filter:
    """An expression made ready to select packets; immutable, equal when its text is.

    ExpressionError, with the `position` of what is wrong, when `text` is no expression.
    """

    __slots__ = ("_program", "names", "text")

    text: str
    names: tuple[str, ...]
    """The fields and headers that the expression names, in order, each once."""
    _program: Program

    def __init__(self, text: str) -> None:
        if not isinstance(text, str):
            raise TypeError(f"an expression is text, not {type(text).__name__}")
        tree = parse(text)
        put = object.__setattr__
        put(self, "text", text)
        put(self, "names", names_of(tree))
        put(self, "_program", compiled(tree))

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a Filter is immutable: {name} cannot be set")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"a Filter is immutable: {name} cannot be deleted")

    def __eq__(self, other: object) -> bool:
        return self.text == other.text if isinstance(other, Filter) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.text)

    def __repr__(self) -> str:
        return f"Filter({self.text!r})"

    def __reduce__(self) -> tuple[object, ...]:
        return Filter, (self.text,)

    def match(
        self,
        packets: Packets,
        *,
        ports: Mapping[int, str | None] | None = None,
        threads: int | None = None,
    ) -> npt.NDArray[np.bool_]:
        """bool[n]: which packets the expression holds for; see `Packets.match`."""
        bound = packets.with_ports(ports) if ports else packets
        return self._program.match(bound, threads)


@lru_cache(maxsize=128)
def _of_text(text: str) -> Filter:
    """The filter of a text, made when it is first asked for."""
    return Filter(text)


def match(
    packets: Packets,
    expression: str | Filter,
    *,
    ports: Mapping[int, str | None] | None = None,
    threads: int | None = None,
) -> npt.NDArray[np.bool_]:
    """Which packets an expression holds for; see `Packets.match`."""
    if isinstance(expression, str):
        expression = _of_text(expression)
    if not isinstance(expression, Filter):
        raise TypeError(f"an expression is text or a Filter, not {type(expression).__name__}")
    return expression.match(packets, ports=ports, threads=threads)
