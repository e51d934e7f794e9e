"""Docstrings as they are written here, for autodoc.

A line `name: meaning` describes an argument or attribute, and two spaces after a full stop
separate several on a line; a sentence on a line of its own ends them. What is an argument
becomes `:param:`, the rest a list. Everything else is left alone.
"""

from __future__ import annotations

import inspect
import re

from sphinx.application import Sphinx

ITEM = re.compile(r"((?:[a-z]\w*, )*[a-z]\w*): +(?=\S)")
SEVERAL = re.compile(r"(?<=\.)  (?=(?:[a-z]\w*, )*[a-z]\w*: )")


def parameters(found: object) -> set[str]:
    """Names of arguments of a function, or of a class's constructor."""
    if not callable(found):
        return set()
    try:
        return set(inspect.signature(found).parameters)
    except (TypeError, ValueError):
        return set()


def items(lines: list[str]) -> tuple[list[tuple[str, str]], list[str]]:
    """The `name: meaning` lines that a paragraph begins with, and its other lines."""
    found: list[tuple[str, str]] = []
    for number, line in enumerate(lines):
        for part in SEVERAL.split(line):
            match = ITEM.match(part)
            if match:
                found.append((match[1], part[match.end() :]))
                continue
            if not found or (part[0].isupper() and found[-1][1].endswith(".")):
                return found, lines[number:]
            found[-1] = (found[-1][0], f"{found[-1][1]} {part.strip()}")
    return found, []


def rewrite(lines: list[str], names: set[str]) -> list[str]:
    """The docstring in reStructuredText."""
    made: list[str] = []
    paragraph: list[str] = []
    for line in [*lines, ""]:
        if line.strip():
            paragraph.append(line)
            continue
        described, others = items(paragraph)
        for text, meaning in described:
            for name in text.split(", "):
                given = name in names
                if not given and made and made[-1].startswith(":param"):
                    made.append("")  # a list of fields and one of others are apart
                made.append(f":param {name}: {meaning}" if given else f"* ``{name}``: {meaning}")
        made += ["", *others, ""] if described else [*others, ""]
        paragraph = []
    return made


def process(
    app: Sphinx, what: str, name: str, found: object, options: object, lines: list[str]
) -> None:
    """What autodoc calls: `lines` is to be changed."""
    names = parameters(found) if what in {"class", "exception", "function", "method"} else set()
    lines[:] = rewrite(lines, names)


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("autodoc-process-docstring", process)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
