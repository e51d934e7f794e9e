"""The text form of a packet: headers by path name, their fields by name, a payload.

    eth(dst=02:00:00:00:00:02)/ipv4(src=10.0.0.1,dst=10.0.0.2)/udp/geneve(vni=1)/0x0102

    text     part ("/" part)*
    part     header, or last the payload as 0x octets
    header   name, or name "(" field "=" value ("," field "=" value)* ")"
    value    number: 42, 0x2a            address: 10.0.0.1, 2001:db8::1, 02:00:00:00:00:01
             octets: 0x0102              options: "[" option ("," option)* "]", or octets
    option   Geneve: class:type, class:type:0xdata or class:type:0xdata:reserved
             IPv4, TCP, IPv6: type or type:0xdata           any: 0x octets as they stand

Space may stand between all of these. Fields have the names of the constructors' arguments;
views (`dscp`, `vsid`) work too. What is left out has its default or stays open, so
`gre(flags=0x1000)` asks for a checksum that is computed. There is no other syntax.
"""

from __future__ import annotations

import re
from typing import Any, NoReturn

from encap.errors import EncapError, ExpressionError, FieldError
from encap.fields import Checksum, Field, Header, Next
from encap.headers.geneve import GeneveOption, GeneveOptions
from encap.headers.options import Octets, Option
from encap.names import nearest
from encap.packet import Packet
from encap.registry import DEFAULT, HEADERS, Registry

__all__ = ["template", "template_text"]

_SPACE = re.compile(r"\s*")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_WORD = re.compile(r"[^\s,()\[\]/=]+")
_NUMBER = re.compile(r"-?[0-9]+|0[xX][0-9a-fA-F]+")
_OCTETS = re.compile(r"0[xX]((?:[0-9a-fA-F]{2})*)")
_LONGEST_NUMBER = 80
"""Characters; no field holds a number as long, and Python refuses to print much longer ones."""


def template(text: str, registry: Registry = DEFAULT) -> Packet:
    """The packet that `text` describes, as `template_text` writes it.

    registry: knows the headers, built-in ones and users' own.
    ExpressionError with `position` for what cannot be read and for unknown names; FieldError
    for a value that does not fit, as the header's constructor raises it.
    """
    if not isinstance(text, str):
        raise TypeError(f"a template is text, not {type(text).__name__}")
    return _Reader(text, registry).packet()


class _Reader:
    """Reads one text from left to right; `at` is the character that comes next."""

    def __init__(self, text: str, registry: Registry) -> None:
        self.text, self.registry, self.at = text, registry, 0

    def fail(self, message: str, position: int | None = None) -> NoReturn:
        at = self.at if position is None else position
        raise ExpressionError(f"{message}, at character {at} of the template", position=at)

    def take(self, pattern: re.Pattern[str]) -> str | None:
        """What comes next, behind any space, when `pattern` matches it; None otherwise."""
        self.skip()
        match = pattern.match(self.text, self.at)
        if match is None:
            return None
        self.at = match.end()
        return match.group()

    def skip(self) -> None:
        """Passes over space."""
        match = _SPACE.match(self.text, self.at)
        self.at = match.end() if match else self.at

    def sees(self, mark: str) -> bool:
        """Passes over `mark` when it comes next, and says whether it did."""
        self.skip()
        if not self.text.startswith(mark, self.at):
            return False
        self.at += len(mark)
        return True

    def packet(self) -> Packet:
        parts: list[Header | bytes] = []
        while True:
            self.skip()
            if self.text.startswith(("0x", "0X"), self.at):
                parts.append(self.octets())
                break
            parts.append(self.header())
            if not self.sees("/"):
                break
        self.skip()
        if self.at < len(self.text):
            wanted = (
                "nothing can follow the payload"
                if isinstance(parts[-1], bytes)
                else "'/' is expected"
            )
            self.fail(f"{wanted}, not {self.text[self.at]!r}")
        return Packet(*parts, registry=self.registry)

    def header(self) -> Header:
        self.skip()
        start = self.at
        name = self.take(_NAME)
        if name is None:
            self.fail("a header's name or 0x octets are expected")
        known = dict.fromkeys([*HEADERS, *self.registry._classes])
        if name not in known:
            guess = nearest(name.lower(), known)
            self.fail(f"no header is called {name!r}{guess}; known are {', '.join(known)}", start)
        kind = self.registry.header(name)
        return kind(**self.arguments(kind)) if self.sees("(") else kind()

    def arguments(self, kind: type[Header]) -> dict[str, Any]:
        """Values by field, as the constructor takes them; views put into their fields."""
        given: dict[str, Any] = {}
        views: dict[str, int] = {}
        while not self.sees(")"):
            if (given or views) and not self.sees(","):
                self.fail("',' or ')' is expected")
            name = self.argument(kind, {*given, *views})
            if name in kind.views:
                views[name] = self.number(kind.path, name)
            else:
                given[name] = self.value(kind, kind.fields[name])
        for name, value in views.items():
            view = kind.views[name]
            most = (1 << view.bits) - 1
            if not 0 <= value <= most:
                raise FieldError(
                    f"{kind.path}.{name} cannot be {value}: 0 to {most}",
                    layer=kind.path, field=name, value=value,
                )  # fmt: skip
            whole = given.get(view.field, kind.fields[view.field].default) or 0
            given[view.field] = whole & ~(most << view.shift) | value << view.shift
        return given

    def argument(self, kind: type[Header], before: set[str]) -> str:
        """The name of a field of `kind`, and the sign behind it."""
        self.skip()
        start = self.at
        name = self.take(_NAME)
        if name is None:
            self.fail("a field's name is expected")
        if name not in kind.fields and name not in kind.views:
            known = [*kind.fields, *kind.views]
            guess = nearest(name.lower(), known)
            hint = guess + _computed(kind, guess)
            self.fail(f"{kind.path} has no field {name!r}{hint}; it has {', '.join(known)}", start)
        if name in before:
            self.fail(f"{kind.path}.{name} is given twice", start)
        if not self.sees("="):
            self.fail(f"'=' is expected behind {name!r}")
        return name

    def value(self, kind: type[Header], field: Field) -> Any:
        if field.address is not None:
            return self.address()
        if field.variable is None:
            return self.number(kind.path, field.name)
        if isinstance(field.variable, Octets):
            return self.octets()
        if not self.sees("["):
            return self.octets()
        options: list[object] = []
        while not self.sees("]"):
            if options and not self.sees(","):
                self.fail("',' or ']' is expected")
            options.append(self.option(isinstance(field.variable, GeneveOptions)))
        return options

    def word(self, wanted: str) -> str:
        """A value up to the next space or punctuation mark."""
        found = self.take(_WORD)
        if found is None:
            self.fail(f"{wanted} is expected")
        return found

    def address(self) -> str | bytes:
        """The text of an address, which the constructor checks; or its octets."""
        found = self.word("an address")
        octets = _OCTETS.fullmatch(found)
        return bytes.fromhex(octets[1]) if octets else found

    def number(self, layer: str, field: str) -> int:
        found = self.word("a number")
        return self.integer(found, self.at - len(found), layer, field)

    def integer(self, word: str, position: int, layer: str, field: str) -> int:
        if _NUMBER.fullmatch(word) is None:
            self.fail(f"a number is expected (42, 0x2a), not {word!r}", position)
        if len(word) > _LONGEST_NUMBER:
            raise FieldError(
                f"{layer}.{field} cannot be a number of {len(word)} characters",
                layer=layer, field=field, value=word,
            )  # fmt: skip
        return int(word, 16 if word[:2].lower() == "0x" else 10)

    def octets(self) -> bytes:
        found = self.word("0x octets")
        return self.octets_of(found, self.at - len(found))

    def octets_of(self, word: str, position: int) -> bytes:
        match = _OCTETS.fullmatch(word)
        if match is None:
            self.fail(f"octets are expected (0x0102, two digits each), not {word!r}", position)
        return bytes.fromhex(match[1])

    def option(self, geneve: bool) -> GeneveOption | Option | bytes:
        """One option of a list: numbers and data with colons between them, or octets alone."""
        found = self.word("an option")
        start = self.at - len(found)
        parts, places = found.split(":"), [start]
        for part in parts:
            places.append(places[-1] + len(part) + 1)
        shape = "class:type:0xdata" if geneve else "type:0xdata"
        if len(parts) == 1 and (geneve or _OCTETS.fullmatch(found)):
            return self.octets_of(found, start)
        if len(parts) > (4 if geneve else 2):
            self.fail(f"an option is {shape} or 0x octets, not {found!r}", start)
        numbers = 2 if geneve else 1
        layer = "geneve" if geneve else "option"
        given = [self.integer(parts[n], places[n], layer, "options") for n in range(numbers)]
        data = self.octets_of(parts[numbers], places[numbers]) if len(parts) > numbers else b""
        if not geneve:
            return Option(given[0], data)
        reserved = self.integer(parts[3], places[3], layer, "options") if len(parts) > 3 else 0
        return GeneveOption(given[0], given[1], data, reserved)


def _computed(kind: type[Header], guess: str) -> str:
    """How a header is asked for a checksum that is there by a flag only, where `guess` is that one:
    a number is taken as it is, right or wrong.
    """
    for name, field in kind.fields.items():
        if isinstance(field.role, Checksum) and field.when and repr(name) in guess:
            flag, _, _ = field.when.tests[0]
            return f"; {kind.path}({flag}={field.when.sets:#06x}) has one that is computed"
    return ""


# --- and back ----------------------------------------------------------------------


def template_text(packet: Packet) -> str:
    """The text from which `template` makes `packet` again: fields that differ from their defaults.

    FieldError for a packet that has no such text: one with trailers, a header cut short, or
    values that no constructor accepts.
    """
    parts = [_header_text(header) for header in packet.headers]
    if packet.payload or not parts:
        parts.append("0x" + packet.payload.hex())
    text = "/".join(parts)
    if packet.trailers or packet.broken:
        reason = "it has trailers" if packet.trailers else "its last header is cut short"
        raise FieldError(f"the packet has no text form: {reason}")
    try:
        again = template(text, packet.registry)
    except EncapError as error:
        raise FieldError(f"the packet has no text form: {error}") from error
    if again != packet:
        raise FieldError(f"the packet has no text form: {text} makes another one")
    return text


def _header_text(header: Header) -> str:
    fields = header.fields
    values = {name: getattr(header, name) for name in fields}
    given = {n: v for n, v in values.items() if v not in (None, fields[n].default)}
    for name in [name for name in given if fields[name].when is not None]:
        without = {n: v for n, v in given.items() if n != name}
        if _makes(without, header):  # the zero of a field that another one announces
            given = without
    words = [f"{name}={value_text(fields[name], value)}" for name, value in given.items()]
    return f"{header.path}({','.join(words)})" if words else header.path


def _makes(given: dict[str, Any], header: Header) -> bool:
    try:
        return type(header)(**given) == header
    except FieldError:
        return False


def value_text(field: Field, value: Any) -> str:
    """A field's value as a template has it."""
    if isinstance(value, bytes):
        return "0x" + value.hex()
    if isinstance(value, tuple):
        return f"[{','.join(map(option_text, value))}]"
    return hex(value) if in_hex(field) else str(value)


def in_hex(field: Field) -> bool:
    """True for numbers that people know by their hexadecimal digits."""
    if field.address is not None or field.variable is not None:
        return False
    ethertype = isinstance(field.role, Next) and field.role.space == "ethertype"
    return (
        ethertype or isinstance(field.role, Checksum) or (field.name == "flags" and field.bits > 3)
    )


def option_text(option: object) -> str:
    """An option as a template has it."""
    if isinstance(option, bytes):
        return "0x" + option.hex()
    if isinstance(option, GeneveOption):
        text = f"{option.option_class:#06x}:{option.type:#04x}:0x{option.data.hex()}"
        return f"{text}:{option.reserved}" if option.reserved else text
    if not isinstance(option, Option):
        return str(option)  # of a codec that only its header knows
    return f"{option.type}:0x{option.data.hex()}" if option.data else str(option.type)
