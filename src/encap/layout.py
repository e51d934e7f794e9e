"""What a field is: its bits, when it is there, and what it depends on.

A header's annotations are read once into a list of `Field`; parse and build, the
columns of a batch, the bit diagrams and the Hypothesis strategies are made from it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, Protocol

from encap.addresses import Address


class Bits(NamedTuple):
    """An unsigned integer of `bits` bits; its value counts units of `scale`.

    little: the least significant octet comes first; such a field is whole octets.
    """

    bits: int
    scale: int = 1
    little: bool = False


class When(NamedTuple):
    """A field that is there only when `(field & mask) == value` holds for every test.

    With `sets`, giving the field sets those bits of the first test's field; with `negate` one of
    the tests must fail instead. A variable part that comes with it may be empty all the same.
    """

    tests: tuple[tuple[str, int, int], ...]
    sets: int = 0
    negate: bool = False


def when_bit(field: str, bit: int) -> When:
    """There when `bit` of `field` is set, and giving the field sets it."""
    return When(((field, bit, bit),), sets=bit)


class Length(NamedTuple):
    """Counts octets: of `packet`, the header and all it carries, or of the `payload` alone."""

    of: str


class Next(NamedTuple):
    """Says which header follows, by a number of the registry's `space`."""

    space: str


class Checksum(NamedTuple):
    """Covers the `header`, or the header and the `rest` of the datagram; `pseudo` adds the pseudo
    header of the IP header in front. `algorithm` is `internet` or `crc32c`. A checksum that comes
    out as 0 is written as `zero`. With `valid` the field is one only where those bits of a field
    are set, though it may be there without.
    """

    covers: str
    pseudo: bool = False
    algorithm: str = "internet"
    zero: int = 0
    valid: tuple[str, int] | None = None


class Port(NamedTuple):
    """A UDP port: the one by which the header that follows is known, or with `known` False any."""

    known: bool


class Own(NamedTuple):
    """Follows from the header alone: `value(header, header_len)`."""

    value: Callable[[Any, int], int]


Role = Length | Next | Checksum | Port | Own


class Variable(Protocol):
    """The codec of a variable part: a tuple of values, or octets."""

    default: Any
    """What a header has where this part could not be read."""

    def check(self, value: Any, layer: str, field: str) -> Any:
        """`value` as the header keeps it: FieldError or TypeError when it cannot be."""

    def parse(self, data: bytes | memoryview, start: int, stop: int) -> Any:
        """What stands in `data[start:stop]`; never fails: what cannot be read is kept as octets."""

    def build(self, value: Any) -> bytes:
        """The octets of what `parse` or `check` gave."""


class Field(NamedTuple):
    """One field of a header.

    bits: width (0 for a variable part).  offset: bits from the start of the header; for an
    optional field, from the start of the first optional one.  default: None is open.
    meaning: one phrase.  scale: octets (or what else) a unit of the value stands for on the wire.
    little: the least significant octet comes first.
    """

    name: str
    bits: int
    offset: int
    default: Any
    meaning: str = ""
    optional: bool = False
    scale: int = 1
    little: bool = False
    when: When | None = None
    role: Role | None = None
    address: Address[Any, Any] | None = None
    variable: Variable | None = None

    @property
    def open(self) -> bool:
        """True when the field may be None: filled in when a packet is built, or absent."""
        return self.default is None

    @property
    def maximum(self) -> int:
        """The largest value that fits."""
        return ((1 << self.bits) - 1) * self.scale

    @property
    def slot(self) -> str:
        """The name of the attribute that stores it."""
        return "_" + self.name if self.address else self.name


class Dependent(NamedTuple):
    """A field that a packet can fill in, from what follows or from what it carries."""

    name: str
    argument: str
    """What `_build` calls it."""
    role: Role
    maximum: int
    field: Field
    at: int
    """Octets from the header's start, for whole octets that no optional field stands before."""
    size: int

    @classmethod
    def of(cls, fields: Iterable[Field], fixed_len: int) -> tuple[Dependent, ...]:
        """Those among `fields`."""
        return tuple(
            cls(
                field.name,
                f"open_{field.name}",
                field.role,
                field.maximum,
                field,
                field.offset // 8 + (fixed_len if field.optional else 0),
                field.bits // 8,
            )
            for field in fields
            if isinstance(field.role, Length | Next | Checksum | Port)
        )


class View:
    """A part of another field by a name of its own: readable, rewritable, no argument.

    when: in which headers it means something, and is shown; it can be read in all.
    """

    def __init__(
        self, field: str, bits: int, shift: int = 0, when: Callable[[Any], bool] | None = None
    ) -> None:
        self.field, self.bits, self.shift, self.when = field, bits, shift, when
        self.name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, instance: object | None, owner: type) -> Any:
        if instance is None:
            return self
        whole = getattr(instance, self.field)
        return None if whole is None else whole >> self.shift & (1 << self.bits) - 1


class Check(NamedTuple):
    """A rule that a header on the wire must keep: a Python expression over its fields.

    `field` is named in the error when the rule is broken; `unsupported` makes it an
    UnsupportedError (a version that is not known) instead of a MalformedError.
    """

    field: str
    rule: str
    unsupported: bool = False


def containers(widths: list[int]) -> list[tuple[int, int]]:
    """Cuts consecutive bit fields into as few 8, 16, 32 and 64-bit integers as can be.

    Integers of 24, 40, 48 and 56 bits, which cost more, are used where nothing else will do.
    Gives (fields, bits) for each integer, in order.
    """
    best: list[tuple[int, list[tuple[int, int]]] | None] = [(0, [])]
    for end in range(1, len(widths) + 1):
        found = None
        for begin in range(end):
            size, before = sum(widths[begin:end]), best[begin]
            if size in range(8, 65, 8) and before is not None:
                cost = before[0] + (1 if size in (8, 16, 32, 64) else 100)
                if found is None or cost < found[0]:
                    found = (cost, [*before[1], (end - begin, size)])
        best.append(found)
    last = best[-1]
    if last is None:
        raise TypeError(f"fields of {widths} bits do not fill whole integers")
    return last[1]
