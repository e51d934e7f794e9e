"""`{headers}`: a section for each header, drawn and listed from its one description.

Nothing about a protocol is written here; it all comes from `encap.headers`.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, cast

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

sys.path.insert(0, str(Path(__file__).parent))

from bit_diagram import condition, diagram

from encap.columns import column
from encap.fields import Checksum, Field, Header, Length, Next, Own
from encap.headers.geneve_options import KNOWN, TypedOption
from encap.registry import DEFAULT, HEADERS, header_class

SPACES = {
    "ethertype": ("EtherType", "{:#06x}"),
    "protocol": ("IP protocol", "{}"),
    "port": ("UDP destination port", "{}"),
    "gpe": ("VXLAN-GPE next protocol", "{}"),
    "linktype": ("link type", "{}"),
}


def text_nodes(text: str) -> list[nodes.Node]:
    """Text in which `code` is code."""
    parts = re.split(r"`([^`]+)`", text)
    return [
        nodes.literal(part, part) if odd % 2 else nodes.Text(part) for odd, part in enumerate(parts)
    ]


def paragraph(text: str) -> nodes.paragraph:
    return nodes.paragraph("", "", *text_nodes(text))


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> nodes.table:
    group = nodes.tgroup(cols=len(head))
    group += [nodes.colspec(colwidth=1) for _ in head]
    for part, lines in ((nodes.thead(), [head]), (nodes.tbody(), rows)):
        part.extend(
            nodes.row("", *(nodes.entry("", paragraph(text)) for text in line)) for line in lines
        )
        group += part
    return nodes.table("", group)


def summary(kind: type[Header]) -> str:
    """The docstring without the lines about fields."""
    return " ".join((kind.__doc__ or "").split("\n\n")[0].split())


def default(field: Field) -> str:
    """What a header has where nothing is given."""
    if field.default is not None:
        value = field.default
        big = isinstance(value, int) and value > 9 and field.bits >= 8
        return f"`{value:#x}`" if big and not isinstance(value, bool) else f"`{value!r}`"
    match field.role:
        case Length(of="packet"):
            return "length of header and payload"
        case Length():
            return "length of the payload"
        case Next():
            return "what follows"
        case Checksum():
            return "the checksum" if field.when is None else "absent; the checksum"
        case Own():
            return "from the other fields"
    if field.when is not None:
        return "absent"
    return "0" if field.bits and not field.address else "`None`: to be given"


def dtype(kind: type[Header], name: str) -> str:
    """The dtype of the column."""
    if kind.path not in HEADERS:
        return ""
    found = column(f"{kind.path}.{name}")
    return f"`uint8[n, {found.octets}]`" if found.octets else f"`{found.dtype}`"


def field_rows(kind: type[Header]) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for name, field in kind.fields.items():
        meaning = field.meaning
        if field.when is not None and field.variable is None:
            meaning += f" ({condition(field.when)})".replace(" (if ", " (there if ")
        if field.variable is not None:
            rows.append((f"`{name}`", "varies", default(field), meaning, "see `Layers.span`"))
        else:
            bits = f"{field.bits}" + (f", in units of {field.scale}" if field.scale > 1 else "")
            rows.append((f"`{name}`", bits, default(field), meaning, dtype(kind, name)))
    for name, view in kind.views.items():
        last = view.shift + view.bits - 1
        where = f"bits {view.shift} to {last}" if view.bits > 1 else f"bit {view.shift}"
        meaning = f"view: {where} of `{view.field}`, the lowest being 0"
        rows.append((f"`{name}`", str(view.bits), "", meaning, dtype(kind, name)))
    return rows


def numbers(path: str) -> list[str]:
    """What leads to a header, in the default registry."""
    found = []
    for space, (words, form) in SPACES.items():
        known = [form.format(n) for n, name in DEFAULT.table(space).items() if name == path]
        if known:
            found.append(f"{words} {', '.join(known)}")
    return found


class Headers(SphinxDirective):
    """A section for each header, or for each known Geneve option."""

    option_spec = {"options": directives.flag}  # noqa: RUF012

    def run(self) -> list[nodes.Node]:
        if "options" in self.options:
            return [self.section(kind, public=False) for kind in KNOWN]
        return [self.section(header_class(path), public=True) for path in HEADERS]

    def section(self, kind: type[Header], *, public: bool) -> nodes.section:
        made = nodes.section(ids=[kind.path.replace("_", "-")], names=[kind.path])
        title = nodes.title("", "", *text_nodes(f"`{kind.path}`"), nodes.Text(f" {kind.__name__}"))
        made += [title, paragraph(summary(kind))]
        self.state.document.note_explicit_target(made)
        if public:
            made += paragraph(self.how_found(kind))
            domain = cast(Any, self.env.get_domain("py"))
            domain.note_object(f"encap.{kind.__name__}", "class", made["ids"][0], location=made)
        else:
            option = cast(type[TypedOption], kind)
            number = f"Option class `{option.option_class:#06x}`, type `{option.type:#04x}`;"
            number += f" in `{kind.__module__}`."
            made += paragraph(number)
        text = diagram(kind)
        made += nodes.literal_block(text, text, language="none")
        head = ["field", "bits", "default", "meaning", "column"]
        rows = field_rows(kind)
        if not public:
            head, rows = head[:-1], [row[:-1] for row in rows]
        made += table(head, rows)
        return made

    def how_found(self, kind: type[Header]) -> str:
        leads = numbers(kind.path)
        sentences = [f"Found by {'; '.join(leads)}."] if leads else []
        for rule in kind.checks:
            what = "not supported" if rule.unsupported else "malformed"
            sentences.append(f"The header is {what} unless `{rule.rule}`.")
        if kind.tunnel:
            sentences.append("A tunnel header.")
        return " ".join(sentences) or "Found by what the header before it says."


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("headers", Headers)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
