"""`encap fields`: the names of columns, from the descriptions that columns are made from."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from encap.cli.tables import print_all, table
from encap.columns import column
from encap.fields import Field, Header
from encap.layout import View
from encap.names import GROUPS, MEMBERS, OF_PACKETS, known_protocol, parse_name
from encap.registry import HEADERS, header_class

__all__ = ["fields"]

PACKETS = {
    "time": ("int64", "nanoseconds since 1970"),
    "length": ("uint32", "octets that were captured"),
    "wire_length": ("uint32", "octets that the packet had on the wire"),
    "path": ("object", "its headers in words: eth/ipv4/udp/vxlan"),
    "status": ("uint8", "what stopped the walk, an encap.Status"),
}
"""Of the packet itself, by name: dtype and meaning."""
KIND = "which header it is, an encap.Kind"
HOW = (
    "A name reads [outer.|inner.] protocol [index] . field: inner.ipv4.src, vlan[1].vid, vlan[-1]."
    " A protocol alone (vxlan), and an optional field with ? (gre.key?), say whether it is there."
)


def fields(name: str | None) -> int:
    """Prints the fields of the protocol called `name`, or all protocols; the exit status."""
    if name is None:
        print_all(_protocols(), "", _groups(), "", _of_packets(), "", Text(HOW))
        return 0
    asked = parse_name(name.rstrip("."))
    if asked.protocol in OF_PACKETS:
        print_all(_of_packets())
        return 0
    known_protocol(asked, *OF_PACKETS)
    if asked.protocol in GROUPS:
        print_all(Text(", ".join(MEMBERS[asked.protocol]), "bold"), "", _group(asked.protocol))
    else:
        kind = header_class(asked.protocol)
        print_all(Text(f"{kind.__name__}: {_summary(kind)}", "bold"), "", _fields(kind))
    return 0


def _summary(kind: type[Header]) -> str:
    """The docstring without the lines about fields."""
    return " ".join((kind.__doc__ or "").split("\n\n")[0].split())


def _table(*headings: str) -> Table:
    """The last column is text, which may need several lines."""
    made = table(*headings)
    made.columns[-1].no_wrap = False
    return made


def _protocols() -> Table:
    made = _table("protocol", "class", "")
    for name in HEADERS:
        kind = header_class(name)
        made.add_row(Text(name, "bold"), kind.__name__, Text(_summary(kind)))
    return made


def _groups() -> Table:
    made = _table("several protocols", "fields", "")
    for name, members in MEMBERS.items():
        made.add_row(Text(name, "bold"), ", ".join(GROUPS[name]), Text(", ".join(members)))
    return made


def _of_packets() -> Table:
    made = _table("of the packet", "dtype", "")
    for name in OF_PACKETS:
        made.add_row(Text(name, "bold"), *PACKETS[name])
    return made


def _group(group: str) -> Table:
    made = _table("column", "dtype", "stands for")
    for name, members in GROUPS[group].items():
        full = f"{group}.{name}"
        stands_for = ", ".join(f"{member}.{field}" for member, field in members.items())
        made.add_row(Text(full, "bold"), _dtype(full), Text(stands_for or KIND))
    return made


def _fields(kind: type[Header]) -> Table:
    made = _table("column", "bits", "dtype", "if present", "meaning")
    made.columns[1].justify = "right"
    for name, field in kind.fields.items():
        full = f"{kind.path}.{name}"
        if field.variable is not None:
            meaning = f'{field.meaning}; no column: layers.span("{full}")'
            made.add_row(Text(full, "bold"), "", "", "", Text(meaning))
            continue
        scale = f", in units of {field.scale} octets on the wire" if field.scale > 1 else ""
        _add(made, full, field.bits, field, field.meaning + scale)
    for name, view in kind.views.items():
        _add(made, f"{kind.path}.{name}", view.bits, kind.fields[view.field], _part(view))
    return made


def _add(made: Table, full: str, bits: int, field: Field, meaning: str) -> None:
    presence = f"{full}?" if field.optional else ""
    made.add_row(Text(full, "bold"), str(bits), _dtype(full), presence, Text(meaning))


def _part(view: View) -> str:
    last = view.shift + view.bits - 1
    where = f"bits {view.shift} to {last}" if view.bits > 1 else f"bit {view.shift}"
    return f"{where} of {view.field}, the lowest being 0"


def _dtype(full: str) -> Text:
    found = column(full)
    return Text(f"uint8[n, {found.octets}]" if found.octets else str(found.dtype))
