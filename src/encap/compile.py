"""From the fields of a header to the functions that parse and build it.

One source text a class, compiled with one `exec`: a loop over field objects would
cost ten times as much a packet. Nothing here knows a protocol.
"""

from __future__ import annotations

import struct
from itertools import groupby
from operator import index
from typing import Any

from encap.errors import FieldError, MalformedError, TruncatedError, UnsupportedError
from encap.layout import Check, Field, Length, Own, When, containers

_CODES = {8: "B", 16: "H", 32: "I", 64: "Q"}


def _integer(value: Any, layer: str, field: str) -> int:
    try:
        return index(value)
    except TypeError:
        raise TypeError(f"{layer}.{field} is an integer, not {type(value).__name__}") from None


def _refuse(layer: str, field: str, value: object, allowed: str) -> FieldError:
    return FieldError(
        f"{layer}.{field} cannot be {value!r}: {allowed}", layer=layer, field=field, value=value
    )


def condition(when: When) -> str:
    """The Python expression that is true when the field is there."""
    tests = " and ".join(f"{name} & {mask:#x} == {value:#x}" for name, mask, value in when.tests)
    return f"not ({tests})" if when.negate else tests


class _Words:
    """Fields side by side as the integers and octet strings that `struct` reads."""

    def __init__(self, fields: list[Field]) -> None:
        self.code = ">"
        self.names: list[str] = []  # the variable that holds each container
        self.splits: list[str] = []  # from containers to fields
        self.packed: list[str] = []  # and back
        for alone, run in groupby(fields, lambda field: field.address is not None or field.little):
            if not alone:
                self._integers(list(run))
                continue
            for field in run:
                self._alone(field)
        self.size = struct.calcsize(self.code)

    def _alone(self, field: Field) -> None:
        """A field that shares its octets with no other."""
        if field.address is None:
            self._container(field.name, field.bits, field.name, "little")
            return
        self.code += field.address.code
        self.names.append(field.slot)
        self.packed.append(f"{field.address.zero!r} if {field.slot} is None else {field.slot}")

    def _container(self, holder: str, bits: int, packed: str, order: str = "big") -> None:
        """Reads `bits` bits into the variable `holder`, and writes what `packed` says."""
        self.names.append(holder)
        if order == "big" and bits in _CODES:
            self.code += _CODES[bits]
            self.packed.append(packed)
        else:
            self.code += f"{bits // 8}s"
            self.splits.append(f"{holder} = int.from_bytes({holder}, {order!r})")
            self.packed.append(f"({packed}).to_bytes({bits // 8}, {order!r})")

    def _integers(self, fields: list[Field]) -> None:
        rest = fields
        for count, size in containers([field.bits for field in fields]):
            part, rest = rest[:count], rest[count:]
            if count == 1 and part[0].scale == 1:
                self._container(part[0].name, size, part[0].name)
                continue
            holder, shift, splits, packed = f"w{len(self.names)}", size, [], []
            for field in part:
                shift -= field.bits
                value = f"{holder} >> {shift}" if shift else holder
                if shift + field.bits < size:
                    value = f"{value} & {(1 << field.bits) - 1:#x}"
                times = f" * {field.scale}" if field.scale > 1 else ""
                splits.append(f"{field.name} = ({value}){times}")
                over = f" // {field.scale}" if field.scale > 1 else ""
                packed.append(f"{field.name}{over} << {shift}" if shift else field.name + over)
            self._container(holder, size, " | ".join(packed))
            self.splits += splits


def _groups(fields: list[Field]) -> list[tuple[When, list[Field]]]:
    """Optional fields, those with the same condition together."""
    groups = groupby(fields, lambda field: field.when)
    return [(when, list(group)) for when, group in groups if when is not None]


class Source:
    """The source text of one header class's functions, and the names it refers to."""

    def __init__(
        self, path: str, fields: list[Field], length: str | None, checks: tuple[Check, ...]
    ) -> None:
        self.path, self.fields, self.length, self.checks = path, fields, length, checks
        self.fixed = [field for field in fields if not field.optional and field.variable is None]
        self.optional = _groups([field for field in fields if field.optional])
        self.variable = [field for field in fields if field.variable is not None]
        self.words = _Words(self.fixed)
        self.names: dict[str, Any] = {
            "integer": _integer, "refuse": _refuse, "Truncated": TruncatedError,
            "Malformed": MalformedError, "Unsupported": UnsupportedError, "new": object.__new__,
            "octets_of": len,  # the name of a field, too
        }  # fmt: skip
        for field in fields:
            self.names[f"default_{field.name}"] = field.default
            if field.variable is not None:
                self.names[f"codec_{field.name}"] = field.variable
            if field.address is not None:
                self.names[f"store_{field.name}"] = field.address.store
            if isinstance(field.role, Own):
                self.names[f"own_{field.name}"] = field.role.value

    def text(self) -> str:
        """Every function, one after the other."""
        return "\n".join(
            [*self._init(), *self._parse(), *self._build(), *self._len(), *self._key()]
        )

    def _struct(self, words: _Words) -> str:
        """Names the reader and writer of `words`."""
        name = f"s{sum(key.startswith('unpack_') for key in self.names)}"
        self.names[f"unpack_{name}"] = struct.Struct(words.code).unpack_from
        self.names[f"pack_{name}"] = struct.Struct(words.code).pack
        return name

    def _init(self) -> list[str]:
        arguments = ", ".join(f"{field.name}=default_{field.name}" for field in self.fields)
        lines = [f"def __init__(self, *, {arguments}):" if arguments else "def __init__(self):"]
        for field in self.fields:
            lines += ["    " + line for line in self._admit(field)]
        for when, group in self.optional:
            lines += ["    " + line for line in self._present(when, group)]
        for field in self.variable:
            if field.when is not None:
                lines += ["    " + line for line in self._refused(field, field.when, field.slot)]
        lines += [f"    set_{field.name}(self, {field.slot})" for field in self.fields]
        return lines

    def _admit(self, field: Field) -> list[str]:
        """Lines that check one argument and bring it to the form it is stored in."""
        name, path = field.name, self.path
        if field.address is not None:
            store = f"store_{name}({name}, {path!r}, {name!r})"
            return [f"{field.slot} = None if {name} is None else {store}"]
        if field.variable is not None:
            checked = f"codec_{name}.check({name}, {path!r}, {name!r})"
            return [f"if {name} is not default_{name}: {name} = {checked}"]
        unfit = f"not 0 <= {name} <= {field.maximum}"
        allowed = f"0 to {field.maximum}"
        if field.scale > 1:
            unfit += f" or {name} % {field.scale}"
            allowed += f" in steps of {field.scale}"
        lines = [
            f"if {name}.__class__ is not int: {name} = integer({name}, {path!r}, {name!r})",
            f"if {unfit}: raise refuse({path!r}, {name!r}, {name}, {allowed!r})",
        ]
        if field.open:
            return [f"if {name} is not None:", *("    " + line for line in lines)]
        return lines

    def _present(self, when: When, group: list[Field]) -> list[str]:
        """Lines that bring optional fields and the bits that announce them together."""
        given = " or ".join(f"{field.slot} is not None" for field in group)
        test = condition(when)
        lines = []
        if when.sets:
            lines.append(f"if ({given}) and not ({test}): {when.tests[0][0]} |= {when.sets:#x}")
        for field in group:
            lines += self._refused(field, when, f"{field.slot} is not None")
        zeros = [
            f"if {field.slot} is None: {field.slot} = {zero!r}"
            for field in group
            for zero in [field.address.zero if field.address else 0]
            if field.role is None
        ]
        return [*lines, f"if {test}:", *("    " + line for line in zeros or ["pass"])]

    def _refused(self, field: Field, when: When, given: str) -> list[str]:
        """Lines that refuse a field that is given though nothing announces it."""
        test = condition(when)
        allowed = f"not there unless {test}"
        refusal = f"refuse({self.path!r}, {field.name!r}, {field.slot}, {allowed!r})"
        return [f"if {given} and not ({test}): raise {refusal}"]

    def _parse(self) -> list[str]:
        path, size = self.path, self.words.size
        lines = [
            "def _parse(cls, buffer, at, end, limit='capture'):",
            f"    if end - at < {size}: raise Truncated({path!r}, at, {size}, end - at, limit)",
            f"    {', '.join(self.words.names)}, = unpack_{self._struct(self.words)}(buffer, at)",
            *("    " + line for line in self.words.splits),
            "    problem = None",
            f"    stop = at + {size}",
        ]
        for number, check in enumerate(self.checks):
            error = f"Malformed({path!r}, at, {check.field!r}, {check.field})"
            if check.unsupported:
                message = f"f'{path} at octet {{at}}: {check.field} {{{check.field}}} is not known'"
                error = f"Unsupported({message}, layer={path!r}, offset=at)"
            lines.append(
                f"    {'if' if not number else 'elif'} not ({check.rule}): problem = {error}"
            )
        lines += self._parse_rest() if self.optional or self.variable else []
        lines.append("    self = new(cls)")
        lines += [f"    set_{field.name}(self, {field.slot})" for field in self.fields]
        return [*lines, "    return self, problem"]

    def _parse_rest(self) -> list[str]:
        """Lines that read what follows the fixed part; nothing of it where there is a problem."""
        size = self.words.size
        absent = [
            f"    {field.slot} = {f'codec_{field.name}.default' if field.variable else None}"
            for field in self.fields
            if field.optional or field.variable
        ]
        needs = [f"need = {size}"]
        reads = []
        for when, group in self.optional:
            words = _Words(group)
            name = self._struct(words)
            needs.append(f"if {condition(when)}: need += {words.size}")
            reads += [
                f"if {condition(when)}:",
                f"    {', '.join(words.names)}, = unpack_{name}(buffer, stop)",
                f"    stop += {words.size}",
                *("    " + split for split in words.splits),
            ]
        if self.length is not None:
            needs.append(f"need = {self.length}")
        for field in self.variable:
            reads.append(f"{field.name} = codec_{field.name}.parse(buffer, stop, at + need)")
        cut = f"Truncated({self.path!r}, at, need, end - at, limit)"
        return [
            *absent,
            "    if problem is None:",
            *("        " + line for line in needs),
            f"        if need > end - at: problem = {cut}",
            "        else:",
            *("            " + line for line in reads),
        ]

    def _build(self) -> list[str]:
        """`_build(self, **open fields)`: the octets, open fields as told or 0."""
        opened = [field.name for field in self.fixed if field.open and field.address is None]
        announced = [f for _, group in self.optional for f in group if f.role is not None]
        opened += [field.name for field in announced]
        lines = [
            f"def _build(self{''.join(f', open_{name}=None' for name in opened)}):",
            *(f"    {field.slot} = self.{field.slot}" for field in self.fields),
        ]
        tail = []
        for when, group in self.optional:
            words = _Words(group)
            name = self._struct(words)
            tail.append(f"    if {condition(when)}: rest += pack_{name}({', '.join(words.packed)})")
        tail += [f"    rest += codec_{field.name}.build({field.name})" for field in self.variable]
        lines += [f"    if {name} is None: {name} = open_{name}" for name in opened]
        lines += [
            f"    if {field.name} is None: {field.name} = own_{field.name}(self, {self.words.size})"
            for field in announced
            if isinstance(field.role, Own)
        ]
        # Whatever announces an optional field must be a number before the conditions are asked.
        owned = [field for field in self.fixed if isinstance(field.role, Own | Length)]
        lines += [
            f"    if {name} is None: {name} = 0"
            for name in opened
            if name not in [field.name for field in owned]
        ]
        lines += ["    rest = b''", *tail] if tail else []
        for field in owned:
            value = f"{self.words.size} + octets_of(rest)" if tail else str(self.words.size)
            if isinstance(field.role, Own):
                value = f"own_{field.name}(self, {value})"
            elif isinstance(field.role, Length) and field.role.of == "payload":
                value = "0"
            lines.append(f"    if {field.name} is None: {field.name} = {value}")
        head = f"pack_{self._struct(self.words)}({', '.join(self.words.packed)})"
        lines.append(f"    return {head} + rest" if tail else f"    return {head}")
        fixed = [
            "def _build_fixed(self):",
            *(f"    {field.slot} = self.{field.slot}" for field in self.fixed),
            *(
                f"    if {field.name} is None: {field.name} = 0"
                for field in self.fixed
                if field.open and field.address is None
            ),
            f"    return {head}",
        ]
        return [*lines, *fixed]

    def _len(self) -> list[str]:
        """`_len(self)`: octets that the header has, without building them where that can be."""
        lines = ["def _len(self):", f"    size = {self.words.size}"]
        tested = {name for when, _ in self.optional for name, _, _ in when.tests}
        lines += [f"    {name} = self.{name}" for name in sorted(tested)]
        for when, group in self.optional:
            octets = sum(field.bits for field in group) // 8
            lines.append(f"    if {condition(when)}: size += {octets}")
        for field in self.variable:
            value = f"self.{field.name}"
            lines.append(f"    if {value}: size += len(codec_{field.name}.build({value}))")
        return [*lines, "    return size"]

    def _key(self) -> list[str]:
        values = ", ".join(f"self.{field.slot}" for field in self.fields)
        return ["def _key(self):", f"    return ({values},)"]
