"""`encap encap`: packets into tunnels, counters going on from batch to batch."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from encap.cli.arguments import Target, Wrap
from encap.cli.output import Output
from encap.errors import FieldError
from encap.names import parse_name
from encap.packet import Packet
from encap.packets import Packets
from encap.registry import HEADERS, header_class
from encap.template import template

__all__ = ["encap"]

EITHER = re.compile(r"\bip\b")
NUMBERED = re.compile(r"\bpacket (\d+)")
Columns = dict[str, Any]
Absent = dict[str, dict[str, int]]
"""By what they get instead, how many packets lack a field."""
NUMBERS = "with 0, having no such field"
PARTS = "with none, having no such field"


def encap(path: str, target: Target, wrap: Wrap) -> int:
    """Writes the packets of `path` behind the headers of a template to `target`; the status."""
    outer = template(wrap.template)
    counters = _counters(outer, wrap)

    def wrapped(packets: Packets, before: int, threads: int | None) -> tuple[Packets, Absent]:
        """A batch, `before` packets being before it, and how many had no field for a column."""
        columns, absent = _of_packets(packets, wrap.columns, threads)
        columns |= _counted(counters, before, len(packets))
        try:
            made = packets.encap(outer, columns, threads=threads, **wrap.options)
        except FieldError as error:
            raise _explained(error, before, wrap.columns) from error
        return made, absent

    # What is wrong with the template is said before any file is opened.
    wrapped(Packets.from_frames([]), 0, 1)
    with Output(path, target, wrap.ports) as output:
        for packets in output.batches():
            made, absent = wrapped(packets, output.read - len(packets), output.threads)
            for instead, fields in absent.items():
                output.count(instead, fields, as_told=True)
            output.put(made)
    return output.finish()


def _counters(outer: Packet, wrap: Wrap) -> dict[str, tuple[int, int]]:
    """The fields that count packets, by name: where each begins, and its largest number.

    FieldError when the template has no such field.
    """
    found: dict[str, tuple[int, int]] = {}
    for option, begin, path, name, most in (
        ("--ip-id", wrap.ip_id, "ipv4", "id", 0xFFFF),
        ("--seq", wrap.seq, "gre", "seq", 0xFFFFFFFF),
    ):
        if begin is None:
            continue
        headers: list[Any] = [header for header in outer.headers if header.path == path]
        starts = {index: getattr(header, name) for index, header in enumerate(headers)}
        there = {index: start for index, start in starts.items() if start is not None}
        if not there:
            need = "gre(seq=0)" if path == "gre" else path
            raise FieldError(f"{option} needs {need} in the template, which is {outer.path}")
        for index, start in there.items():
            found[f"{path}[{index}].{name}"] = (start if isinstance(begin, str) else begin, most)
    return found


def _counted(counters: Mapping[str, tuple[int, int]], begin: int, count: int) -> Columns:
    """The numbers of `count` packets, of which `begin` come before: uint32, or uint16."""
    rows = np.arange(begin, begin + count, dtype=np.uint64)
    return {
        name: ((rows + start) & most).astype(np.min_scalar_type(most))
        for name, (start, most) in counters.items()
    }


def _of_packets(
    packets: Packets, sources: Mapping[str, str], threads: int | None
) -> tuple[Columns, Absent]:
    """Fields of the template from those of each packet, and how many packets lack one."""
    found: Columns = {}
    absent: Absent = {NUMBERS: {}, PARTS: {}}
    for name, source in sources.items():
        if _variable(source):
            found[name], absent[PARTS][source] = _parts(packets, name, source, threads)
            continue
        names = (source, f"{source}?") if "." in source else (source,)
        values = packets.columns(*names, threads=threads)
        if values[source].dtype.kind not in "iub":
            raise FieldError(
                f"--column {name}={source}: {source} is text, {name} is filled with numbers or"
                " addresses"
            )
        found[name] = values[source]
        for there in names[1:]:
            absent[NUMBERS][source] = len(packets) - int(np.count_nonzero(values[there]))
    return found, absent


def _variable(source: str) -> bool:
    """True for a part of a header that is of any length, such as its options."""
    name = parse_name(source)
    if name.field is None or name.presence or name.protocol not in HEADERS:
        return False
    described = header_class(name.protocol).fields.get(name.field)
    return described is not None and described.variable is not None


def _parts(packets: Packets, name: str, source: str, threads: int | None) -> tuple[Any, int]:
    """The options of each packet's own header, as octets and where they stand; how many have none.

    FieldError where the template's are of another header: they would mean something else there.
    """
    to, of = parse_name(name), parse_name(source)
    if (to.protocol, to.field) != (of.protocol, of.field):
        raise FieldError(
            f"--column {name}={source}: {source} is octets of any length, which only"
            f" {of.protocol}.{of.field} can be filled with"
        )
    starts, lengths = packets.parse(threads=threads).span(source)
    return (packets.data, starts, lengths), int(np.count_nonzero(lengths == 0))


def _explained(error: FieldError, before: int, columns: Mapping[str, str]) -> FieldError:
    """An error about a packet of a batch, as one about a packet of the file; one about a column
    with the option that asked for it.
    """

    def in_file(number: re.Match[str]) -> str:
        return f"packet {before + int(number[1]):,}"

    text = NUMBERED.sub(in_file, str(error), count=1)
    if NUMBERED.match(text):
        text += " (--errors skip leaves such packets out)"
    source = columns.get(error.field or "")
    if source is not None:
        text = f"--column {error.field}={source}: {text}"
        four, six = (EITHER.sub(family, source) for family in ("ipv4", "ipv6"))
        if four != source:
            text += f"; {source} is of either family, {four} or {six} of one"
    return FieldError(text)
