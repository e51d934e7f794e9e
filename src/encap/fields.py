"""Headers from descriptions: `@header` turns annotated fields into a frozen value with a codec.

    @header("vxlan")
    class VXLAN(Header):
        flags: U8 = 0x08
        reserved1: U24 = 0
        vni: U24 = 0
        reserved2: U8 = 0

Everything about a header follows from such a class: parse and build here, the
columns of a batch, rewriting, the bit diagrams and the Hypothesis strategies
elsewhere. This module does not know any protocol, and no packet.
"""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, ClassVar, Self, TypeVar, dataclass_transform

from encap.addresses import MAC, Address, IPv4Field, IPv6Field, MACField
from encap.compile import Source
from encap.errors import DecodeError, FieldError
from encap.layout import (
    Bits,
    Check,
    Checksum,
    Dependent,
    Field,
    Length,
    Next,
    Own,
    Port,
    Role,
    Variable,
    View,
    When,
    when_bit,
)

if typing.TYPE_CHECKING:
    from encap.packet import Packet

__all__ = [
    "MAC", "U1", "U2", "U3", "U4", "U5", "U6", "U7", "U8", "U9", "U10", "U12", "U13", "U16", "U20",
    "U24", "U32", "U64", "Bits", "Check", "Checksum", "Dependent", "Field", "Header", "IPv4Field",
    "IPv6Field", "Length", "MACField", "Next", "Own", "Port", "Role", "Variable", "View", "When",
    "header", "octets", "when_bit",
]  # fmt: skip

U1 = Annotated[int, Bits(1)]
U2 = Annotated[int, Bits(2)]
U3 = Annotated[int, Bits(3)]
U4 = Annotated[int, Bits(4)]
U5 = Annotated[int, Bits(5)]
U6 = Annotated[int, Bits(6)]
U7 = Annotated[int, Bits(7)]
U8 = Annotated[int, Bits(8)]
U9 = Annotated[int, Bits(9)]
U10 = Annotated[int, Bits(10)]
U12 = Annotated[int, Bits(12)]
U13 = Annotated[int, Bits(13)]
U16 = Annotated[int, Bits(16)]
U20 = Annotated[int, Bits(20)]
U24 = Annotated[int, Bits(24)]
U32 = Annotated[int, Bits(32)]
U64 = Annotated[int, Bits(64)]


def octets(data: object) -> bytes | memoryview:
    """`data` as something to index octets of: bytes as they are, other buffers as a view."""
    if isinstance(data, bytes):
        return data
    try:
        return memoryview(data).cast("B")  # type: ignore[arg-type]  # it says so itself
    except TypeError:
        raise TypeError(f"octets are needed, not {type(data).__name__}") from None


class Header:
    """What every protocol header is: an immutable value that knows its octets.

    Equal when of one class with equal fields; hashable, picklable, usable with
    `dataclasses.fields`, `asdict` and `replace`.
    """

    __slots__ = ()
    path: ClassVar[str] = ""
    """The name in paths and columns: `vxlan`."""
    fields: ClassVar[dict[str, Field]] = {}
    views: ClassVar[dict[str, View]] = {}
    fixed_len: ClassVar[int] = 0
    """Octets of the part that is always there."""
    dependent: ClassVar[tuple[Dependent, ...]] = ()
    """The fields that a packet fills in where they are open."""
    leads: ClassVar[tuple[str, str] | None] = None
    """The field that says which header follows, and the registry's space of its numbers."""
    length: ClassVar[str | None] = None
    """An expression over the fields for the whole header's length, where it varies."""
    checks: ClassVar[tuple[Check, ...]] = ()
    reserved_bits: ClassVar[Mapping[str, int]] = {}
    """Bits of fields that are to be zero, beside fields whose name begins with `reserved`."""
    bounded: ClassVar[bool] = False
    """True where the class has an `extent` of its own."""
    splits: ClassVar[bool] = False
    """True where the class has a `fragment` of its own."""
    varies: ClassVar[bool] = False
    """True where headers of the class differ in length."""
    tunnel: ClassVar[bool] = False
    """True for headers that end the outer part of a packet."""

    if typing.TYPE_CHECKING:

        @classmethod
        def _parse(
            cls, data: bytes | memoryview, at: int, end: int, limit: str = "capture"
        ) -> tuple[Self, DecodeError | None]: ...
        def _build(self, **opened: int) -> bytes: ...
        def _build_fixed(self) -> bytes: ...
        def _len(self) -> int: ...
        def _key(self) -> tuple[Any, ...]: ...

    @classmethod
    def parse(cls, data: object, offset: int = 0) -> Self:
        """The header that starts at `data[offset]`.

        data: bytes or another buffer of octets.  What follows the header is ignored.
        TruncatedError, MalformedError or UnsupportedError when there is none.
        """
        view = octets(data)
        if not 0 <= offset <= len(view):
            raise FieldError(
                f"offset {offset} lies outside of {len(view)} octets",
                layer=cls.path,
                field="offset",
            )
        value, problem = cls._parse(view, offset, len(view))
        if problem is not None:
            raise problem
        return value

    def __bytes__(self) -> bytes:
        return self._build()

    @property
    def header_len(self) -> int:
        """Octets that `bytes()` gives."""
        return self._len()

    def extent(self) -> tuple[int, str] | None:
        """Octets from the header's start to the end of what it carries, and the field that says it.

        None where no field does.
        """
        return None

    def fragment(self) -> tuple[int, int] | None:
        """Offset (units of 8 octets) and whether more fragments follow, where the header knows."""
        return None

    def number(self, registry: Any, space: str) -> int | None:
        """The number by which a header before this one announces it, or None."""
        found: int | None = registry.number(space, self.path)
        return found

    def follows(self, registry: Any, rest: memoryview) -> str | None:
        """Path name of the header after this one, `rest` being the octets behind it; or None."""
        if self.leads is None:
            return None
        name: str | None = registry.name(self.leads[1], getattr(self, self.leads[0]))
        return name

    def _with(self, changes: Mapping[str, Any]) -> Self:
        """The same header, other fields stored instead; not checked: what `_parse` may give."""
        made = object.__new__(type(self))
        for name, field in self.fields.items():
            value = changes[name] if name in changes else getattr(self, field.slot)
            type(self).__dict__[field.slot].__set__(made, value)
        return made

    def __truediv__(self, other: object) -> Packet:
        from encap.packet import Packet

        return Packet(self) / other

    def __setattr__(self, name: str, value: object) -> None:
        raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")

    def __delattr__(self, name: str) -> None:
        raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")

    def __eq__(self, other: object) -> bool:
        if other.__class__ is not self.__class__:
            return NotImplemented
        return bool(self._key() == other._key())

    def __hash__(self) -> int:
        return hash((type(self), self._key()))

    def __repr__(self) -> str:
        parts = []
        for name, field in self.fields.items():
            value = getattr(self, name)
            if value is not None and value != field.default:
                parts.append(f"{name}={str(value)!r}" if field.address else f"{name}={value!r}")
        return f"{type(self).__name__}({', '.join(parts)})"

    def __reduce__(self) -> tuple[object, ...]:
        return _restore, (type(self), self._key())


def _restore(kind: type[Header], key: tuple[Any, ...]) -> Header:
    """A header from what it stored: the constructor would refuse what only a wire has."""
    self = object.__new__(kind)
    for field, value in zip(kind.fields.values(), key, strict=True):
        kind.__dict__[field.slot].__set__(self, value)
    return self


def meanings(doc: str | None) -> dict[str, str]:
    """The `name: meaning` lines of a header's docstring."""
    found = {}
    for line in (doc or "").splitlines():
        name, colon, meaning = line.strip().partition(": ")
        if colon and name.isidentifier():
            found[name] = meaning
    return found


def _fields(cls: type, defaults: dict[str, Any]) -> list[Field]:
    """The description of a class as a list, with the bit at which each field starts."""
    hints = typing.get_type_hints(cls, include_extras=True)
    said = meanings(cls.__doc__)
    found, at, optional_at = [], 0, 0
    for name in cls.__annotations__:
        hint = hints[name]
        if typing.get_origin(hint) is ClassVar:
            continue
        notes = getattr(hint, "__metadata__", ())
        address = defaults[name] if isinstance(defaults[name], Address) else None
        bits = next((note for note in notes if isinstance(note, Bits)), Bits(0))
        when = next((note for note in notes if isinstance(note, When)), None)
        variable = next((note for note in notes if hasattr(note, "build")), None)
        role = next((note for note in notes if isinstance(note, Role)), None)
        size = address.bits if address else bits.bits
        found.append(
            Field(
                name=name,
                bits=size,
                offset=optional_at if when else at,
                default=address.default if address else defaults[name],
                meaning=said.get(name, ""),
                optional=when is not None and variable is None,
                scale=bits.scale,
                little=bits.little,
                when=when,
                role=role,
                address=address,
                variable=variable,
            )
        )
        at, optional_at = (at, optional_at + size) if when else (at + size, optional_at)
    return found


def _rebind(values: Iterable[Any], made: type) -> None:
    """Lets `super()` in methods find the class that was made in place of theirs."""
    for value in values:
        code = getattr(value, "__code__", None)
        if code is not None and "__class__" in code.co_freevars:
            cell = value.__closure__[code.co_freevars.index("__class__")]
            cell.cell_contents = made


_Class = TypeVar("_Class", bound=type[Header])
# A class's own, and what dataclasses makes for the class that is not kept.
_NOT_COPIED = {"__dict__", "__weakref__", "__setattr__", "__delattr__"}


@dataclass_transform(frozen_default=True, kw_only_default=True)
def header(path: str) -> typing.Callable[[_Class], _Class]:
    """Decorator: compiles an annotated class into a header called `path`."""

    def decorate(cls: _Class) -> _Class:
        defaults = dict(vars(cls))
        fields = _fields(cls, defaults)
        for field in fields:
            if field.variable is not None and defaults[field.name] is None:
                raise TypeError(f"{path}.{field.name}: a variable part has a default")
        # For dataclasses.fields(), asdict() and replace(); its methods would be slower than ours.
        plain = dataclasses.dataclass(frozen=True, init=False, repr=False, eq=False, kw_only=True)(
            cls
        )
        body = {n: v for n, v in vars(plain).items() if n not in _NOT_COPIED}
        for field in fields:
            if field.address is None:
                body.pop(field.name, None)
        source = Source(path, fields, cls.length, cls.checks)
        if "tail_len" in defaults:
            source.names["tail_len"] = defaults["tail_len"]
        body |= {
            "__slots__": tuple(field.slot for field in fields),
            "path": path,
            "fields": {field.name: field for field in fields},
            "views": {name: value for name, value in defaults.items() if isinstance(value, View)},
            "fixed_len": source.words.size,
            "dependent": Dependent.of(fields, source.words.size),
            "bounded": cls.extent is not Header.extent,
            "splits": cls.fragment is not Header.fragment,
            "varies": len(source.fixed) < len(fields),
            "leads": next(
                (
                    (field.name, field.role.space)
                    for field in fields
                    if isinstance(field.role, Next)
                ),
                None,
            ),
        }
        text = compile(source.text(), f"<encap header {path}>", "exec")
        made: Any = type(cls.__name__, cls.__bases__, body)
        _rebind(body.values(), made)
        names = source.names | {
            f"set_{field.name}": made.__dict__[field.slot].__set__ for field in fields
        }
        exec(text, names)  # noqa: S102  our own text, of names that a class has
        for name in ("__init__", "_build", "_build_fixed", "_len", "_key"):
            names[name].__qualname__ = f"{cls.__name__}.{name}"  # what a TypeError calls it
            setattr(made, name, names[name])
        made._parse = classmethod(names["_parse"])
        return typing.cast(_Class, made)

    return decorate
