"""Random calls of `Packets.encap`, and what each must give, by the twin in tunnelled.py."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from random import Random
from typing import Any, NamedTuple

import numpy as np
import stacks
from templates import DECIDING, Templates
from tunnelled import CutError, NotCarriedError, place, put_together, tunnelled

import encap
from encap import FieldError, Header
from encap.assemble import present
from encap.fields import Field
from encap.packet import Packet
from encap.registry import header_class


class Case(NamedTuple):
    """One call of `encap`: what is given to it, and the same a row at a time."""

    templates: list[Packet]
    known: list[Packet]
    """The templates with what is the same for all rows put in."""
    which: list[int]
    """For each row, its template."""
    packets: encap.Packets
    columns: dict[str, Any]
    options: dict[str, Any]
    values: list[dict[str, Any]]
    """For each row, the values of all columns by name."""

    def call(self, **more: Any) -> encap.Packets:
        """What `encap` makes of it."""
        if len(self.templates) == 1:
            return self.packets.encap(self.templates[0], self.columns, **self.options, **more)
        return self.packets.encap(
            self.templates, self.columns, which=self.which, **self.options, **more
        )


class Wanted(NamedTuple):
    """A column that there is to be: its name, its field, and of a view the bits."""

    name: str
    field: Field
    bits: int | None


class Cases:
    """Random calls."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.templates = Templates(self.random)

    def case(self) -> Case:
        random = self.random
        templates = [self.templates.template() for _ in range(random.choice([1, 1, 1, 2, 3]))]
        packets = self.packets(templates)
        rows = len(packets)
        options = self.options(rows)
        columns: dict[str, Any] = {}
        known = [list(template) for template in templates]
        values: list[dict[str, Any]] = [{} for _ in range(rows)]
        for name, field, bits in self.fields(templates):
            numbers = [self.value(field, bits) for _ in range(rows)]
            if random.random() < 0.1:
                numbers = numbers[:1] * rows
                columns[name] = numbers[0]
                for headers in known:
                    place(headers, name, numbers[0])
            else:
                columns[name] = self.array(field, bits, numbers)
            for row, number in zip(values, numbers, strict=True):
                row[name] = number
        which = [random.randrange(len(templates)) for _ in range(rows)]
        packed = [Packet(*headers) for headers in known]
        return Case(templates, packed, which, packets, columns, options, values)

    def packets(self, templates: list[Packet]) -> encap.Packets:
        """Random packets of all link types, now and then so long that lengths hardly fit."""
        random = self.random
        packets = stacks.random_packets(
            random.randrange(1, 14), random.getrandbits(16), random.choice(stacks.CHANGES)
        )
        if random.random() < 0.9:
            return packets
        most = 0xFFFF - len(random.choice(templates))
        lengths = [most + random.choice([-300, -8, -1, 0, 1, 14, 60]) for _ in packets]
        frames = list(packets)
        if random.random() < 0.3:
            frames = [f + bytes(size - len(f)) for f, size in zip(frames, lengths, strict=True)]
        return encap.Packets.from_frames(frames, linktypes=packets.linktypes, wire_lengths=lengths)

    def options(self, rows: int) -> dict[str, Any]:
        """Options, each absent more often than not."""
        random = self.random
        choices: dict[str, list[Any]] = {
            "ttl": ["inherit", random.randrange(256)],
            "tos": ["inherit", random.randrange(256)],
            "ecn": ["copy", "linux"],
            "df": ["set", "unset", "inherit"],
            "ip_id": ["increment", self.numbers(rows, 16)],
            "seq": ["increment", random.getrandbits(32), self.numbers(rows, 32)],
            "udp_checksum": [True, False],
            "sport": [random.randrange(65536), self.numbers(rows, 16)],
        }
        return {
            name: random.choice(some) for name, some in choices.items() if random.random() < 0.3
        }

    def numbers(self, rows: int, bits: int) -> list[int]:
        return [self.random.getrandbits(bits) for _ in range(rows)]

    def fields(self, templates: list[Packet]) -> list[Wanted]:
        """Fields of the templates for which there are to be columns, none of them twice."""
        everywhere = {at: field for template in templates for at, field in _fields_of(template)}
        chance = self.random.choice([0, 0.05, 0.2])
        chosen = []
        for (path, number, name), field in everywhere.items():
            if self.random.random() > chance:
                continue
            text, bits = name, None
            views = [v for v in header_class(path).views.values() if v.field == name]
            if views and self.random.random() < 0.5:
                view = self.random.choice(views)
                text, bits = view.name, view.bits
            chosen.append(Wanted(f"{path}[{number}].{text}", field, bits))
        return chosen

    def value(self, field: Field, bits: int | None) -> Any:
        """A value of a row."""
        if bits is not None:
            return self.random.getrandbits(bits)
        if field.variable is not None:
            geneve = type(field.variable).__name__ == "GeneveOptions"
            return self.templates.geneve_options() if geneve else self.templates.ipv4_options()
        return self.templates.value(field)

    def array(self, field: Field, bits: int | None, numbers: list[Any]) -> Any:
        """The values of all rows as a column."""
        if field.variable is not None:
            return self.spans(numbers) if self.random.random() < 0.5 else numbers
        if field.address is not None:
            table = np.frombuffer(b"".join(numbers), np.uint8).reshape(len(numbers), -1)
            plain = self.random.random() < 0.5 and field.bits == 32
            if self.random.random() < 0.2:
                return numbers
            return table.view(">u4")[:, 0].astype(np.uint32) if plain else table
        return numbers if self.random.random() < 0.3 else np.array(numbers)

    def spans(self, options: list[Any]) -> tuple[Any, Any, Any]:
        """Options as octets, starts and lengths, in any order and with gaps."""
        parts = [b"".join(map(bytes, some)) for some in options]
        data, starts = b"", [0] * len(parts)
        for row in self.random.sample(range(len(parts)), len(parts)):
            data += self.random.randbytes(self.random.randrange(4))
            starts[row] = len(data)
            data += parts[row] + bytes(-len(parts[row]) % 4)
        lengths = [len(part) + -len(part) % 4 for part in parts]
        return (
            np.frombuffer(data, np.uint8), np.array(starts, np.int64), np.array(lengths, np.uint32)
        )  # fmt: skip


class Expected(NamedTuple):
    """What a call must give: the rows that are built, their octets, and how many are left out."""

    rows: list[int]
    frames: list[bytes]
    refused: int
    """Rows that the template cannot carry, or whose lengths do not fit."""
    cut: int
    """Rows for which a checksum would need octets that were not captured."""


def expected(case: Case, made: list[bytes]) -> Expected:
    """What the twin makes of each row. Source ports that follow from the flow come from `made`."""
    found = Expected([], [], 0, 0)
    refused = cut = 0
    for row, frame in enumerate(case.packets):
        number = len(found.rows)
        octets = made[number] if number < len(made) else b""
        try:
            found.frames.append(_Row(case, row, frame).built(number, octets))
        except CutError:
            cut += 1
        except (NotCarriedError, FieldError):
            refused += 1
        else:
            found.rows.append(row)
    return found._replace(refused=refused, cut=cut)


class _Row:
    """One row of a call."""

    def __init__(self, case: Case, row: int, frame: bytes) -> None:
        self.case, self.row, self.frame = case, row, frame
        self.linktype = int(case.packets.linktypes[row])
        self.template = case.known[case.which[row]]
        self.values = dict(case.values[row])
        self.flow_ports: set[int] = set()
        self.options = {
            name: value
            for name, value in case.options.items()
            if name not in ("sport", "ip_id", "seq")
        }

    def built(self, number: int, made: bytes) -> bytes:
        """Its octets, the packet being the one of that number among those built."""
        for path, field, option, bits in (("ipv4", "id", "ip_id", 16), ("gre", "seq", "seq", 32)):
            for index, header in self.headers(path):
                first, given = getattr(header, field), self.case.options.get(option)
                name = f"{path}[{index}].{field}"
                if given is None or first is None or name in self.values:
                    continue
                if isinstance(given, list):
                    value = given[self.row]
                else:
                    value = (first if given == "increment" else given) + number
                self.values[name] = value & (1 << bits) - 1
        self.source_ports(made)
        built = tunnelled(
            self.template, self.frame, self.linktype, self.values,
            wire_length=int(self.case.packets.wire_lengths[self.row]), **self.options,
        )  # fmt: skip
        # One flow, one port, in every tunnel of it: RFC 7348 section 5.
        assert len(self.flow_ports) <= 1
        assert not made or all(port >= 49152 for port in self.flow_ports)
        return built

    def headers(self, path: str) -> list[tuple[int, Any]]:
        """The headers of a kind in the template, and which they are."""
        return list(enumerate(header for header in self.template if header.path == path))

    def source_ports(self, made: bytes) -> None:
        """The UDP source ports that the template leaves open."""
        whole = put_together(self.template, self.frame, self.linktype, self.values, **self.options)
        places = [at for at, header in enumerate(whole) if header.path == "udp"]
        for index, header in self.headers("udp"):
            name = f"udp[{index}].sport"
            if name in self.values or header.sport is not None:
                continue
            at = sum(before.header_len for before in whole[: places[index]])
            port = self.case.options.get("sport")
            if port is None:
                port = int.from_bytes(made[at : at + 2], "big")
                self.flow_ports.add(port)
            self.values[name] = port[self.row] if isinstance(port, list) else port


def hopeless(case: Case) -> bool:
    """True when a template carries nothing that any packet can begin with."""
    firsts = ((bytes(14), 1), (b"\x45" * 20, 101), (b"\x60" * 40, 101), (b"", 113))
    return not all(any(_carries(t, *first) for first in firsts) for t in case.known)


def _carries(template: Packet, frame: bytes, linktype: int) -> bool:
    try:
        put_together(template, frame, linktype, {})
    except NotCarriedError:
        return False
    return True


def _fields_of(template: Packet) -> Iterator[tuple[tuple[str, int, str], Field]]:
    """What may be a column: header, which of them, and field."""
    for path, number, header in _numbered(template):
        for name, field in header.fields.items():
            wide = field.bits > 32 and field.address is None
            if wide or (path, name) in DECIDING or not present(header, field):
                continue
            if field.variable is None or path in ("ipv4", "geneve"):
                yield (path, number, name), field


def _numbered(template: Packet) -> Iterator[tuple[str, int, Header]]:
    counts: Counter[str] = Counter()
    for header in template:
        yield header.path, counts[header.path], header
        counts[header.path] += 1
