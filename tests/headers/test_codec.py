"""Every header's codec, held to its description: what is true of one is true of all.

The vectors that others made are in test_vectors.py, malformed octets in test_errors.py.
"""

from __future__ import annotations

import copy
import dataclasses
import importlib
import pickle
from ipaddress import IPv6Address
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from encap.errors import FieldError, MalformedError, TruncatedError, UnsupportedError
from encap.fields import MAC, Field, Header
from encap.headers import geneve, gre
from encap.headers.geneve_options import KNOWN
from encap.headers.ipv6 import IPv6
from encap.headers.options import Octets, Option, Options
from encap.headers.tun import TunPI, VirtioNet, VirtioNetMergeable
from encap.layout import Own, When
from encap.registry import HEADERS, fields_of, header_class

Class = type[Header]

CLASSES: list[Class] = [
    *map(header_class, HEADERS), TunPI, VirtioNet, VirtioNetMergeable, *KNOWN,
]  # fmt: skip
every_class = pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.path)


# --- from descriptions to values ---------------------------------------------------


def announced(when: When | None) -> dict[str, int]:
    """Values of other fields with which a field of this condition may be given."""
    if when is None or (when.sets and when.negate):
        return {}
    name, mask, value = when.tests[0]
    if when.negate:
        return {name: value ^ (mask & -mask)}
    return {name: value for name, _, value in when.tests}


def owned(field: Field) -> bool:
    """Whether the field says something about the rest of the header."""
    return isinstance(field.role, Own)


def example(cls: Class, **given: Any) -> Header:
    return cls(**given)


def examples(cls: Class) -> list[Header]:
    """The default, one for each optional group, and one with each variable part filled."""
    found = [cls()]
    for field in cls.fields.values():
        if field.variable is None and field.when is not None and not owned(field):
            value = 1 if field.address is None else b"\1" * (field.bits // 8)
            found.append(example(cls, **announced(field.when), **{field.name: value}))
        if field.variable is not None:
            found.append(filled(cls, field))
    return found


def filled(cls: Class, field: Field) -> Header:
    codec = field.variable
    if cls is gre.GRE:  # what stands there must be a list of source routes that ends
        return example(cls, flags=gre.R, routing=bytes.fromhex("0800 0004 0a000001 00000000"))
    if cls.path == "arp":
        return example(cls, hlen=2, plen=1, addresses=b"abcdef")
    value: Any
    if isinstance(codec, Options):
        value = (Option(1 if codec.extra == 0 else 7, b"abc"),)
    elif isinstance(codec, Octets):
        value = bytes(range(1, 1 + max(codec.unit - codec.head % codec.unit, 1)))
    else:
        value = (geneve.GeneveOption(0x0102, 0x80, b"abcd", 5), geneve.GeneveOption(1, 2))
    return example(cls, **announced(field.when), **{field.name: value})


def strategy(field: Field) -> st.SearchStrategy[Any]:
    codec = field.variable
    if isinstance(codec, Octets):
        first = -codec.head % codec.unit
        sizes = [s for s in range(first, 41, codec.unit) if s <= (codec.most or 40)]
        return st.sampled_from(sizes).flatmap(lambda n: st.binary(min_size=n, max_size=n))
    if isinstance(codec, Options):
        kinds = st.integers(2, 255)
        options = st.builds(Option, kinds, st.binary(max_size=8))
        return st.lists(options | st.sampled_from([Option(1)]), max_size=3).map(tuple)
    if codec is not None:
        data = st.integers(0, 4).flatmap(lambda n: st.binary(min_size=4 * n, max_size=4 * n))
        sixteen, eight = st.integers(0, 0xFFFF), st.integers(0, 255)
        option = st.builds(geneve.GeneveOption, sixteen, eight, data, st.integers(0, 7))
        return st.lists(option, max_size=3).map(tuple)
    most = field.maximum // field.scale
    number = st.sampled_from([0, most]) | st.integers(0, most)
    return number.map(lambda value: value * field.scale)


@st.composite
def values(draw: st.DrawFn, cls: Class) -> Header:
    """A value as somebody could construct it, with lengths left open."""
    checked = {check.field for check in cls.checks}
    counted = {name for name, field in cls.fields.items() if owned(field)}
    given: dict[str, Any] = {}
    for name, field in cls.fields.items():
        if name not in counted | checked and draw(st.booleans()):
            given[name] = draw(strategy(field))
    if cls.path == "erspan":
        given["version"] = draw(st.sampled_from([1, 2]))
    if cls is gre.GRE:
        given.pop("routing", None)
        given["flags"] = given.get("flags", 0) & ~gre.R
        assume(given.get("protocol") != gre.WCCP)
    if cls.path == "arp":
        hlen, plen = given.get("hlen", 6), given.get("plen", 4)
        if (hlen, plen) != (6, 4):
            given = {name: value for name, value in given.items() if name[1:] not in ("ha", "pa")}
            given["addresses"] = draw(st.binary(min_size=0)).ljust(2 * (hlen + plen), b"x")
            given["addresses"] = given["addresses"][: 2 * (hlen + plen)]
        else:
            given.pop("addresses", None)
    for name in list(given):
        when = cls.fields[name].when
        if when is not None and not when.sets and not holds(cls, when, given):
            del given[name]
    try:
        return cls(**given)
    except FieldError:
        assume("ack" not in given and "platform" not in given)
        raise


def holds(cls: Class, when: When, given: dict[str, Any]) -> bool:
    fields = cls.fields
    found = [given.get(n, fields[n].default) & mask == value for n, mask, value in when.tests]
    return all(found) != when.negate


def poke(octets: bytes, field: Field, value: int) -> bytes:
    """`octets` with `value` written where the description of a fixed field says."""
    size = 8 * len(octets)
    shift = size - field.offset - field.bits
    whole = int.from_bytes(octets, "big") & ~(((1 << field.bits) - 1) << shift)
    return (whole | value << shift).to_bytes(len(octets), "big")


@st.composite
def wire(draw: st.DrawFn, cls: Class) -> bytes:
    """Octets that often are this header: noise, now and then with sound values where it matters."""
    octets = draw(st.binary(min_size=cls.fixed_len, max_size=cls.fixed_len + 120))
    sound = cls()
    parsed = cls.parse(bytes(sound))
    for name in {check.field for check in cls.checks}:
        field = cls.fields[name]
        if draw(st.integers(0, 9)):
            octets = poke(octets, field, getattr(parsed, name) // field.scale)
    return octets


def stored(value: Header) -> dict[str, Any]:
    return {name: getattr(value, name) for name in value.fields}


def number(field: Field, value: Any) -> int:
    """A field's value as the bits on the wire."""
    if field.little:
        return int.from_bytes(value.to_bytes(field.bits // 8, "little"), "big")
    return int(value) // field.scale


# --- what the description says ------------------------------------------------------


@every_class
def test_is_described(cls: Class) -> None:
    assert "Source: " in (cls.__doc__ or "")
    assert "Source: " in (importlib.import_module(cls.__module__).__doc__ or "")
    for field in cls.fields.values():
        assert field.meaning, f"{cls.path}.{field.name} has no line in the docstring"
    fixed = [f for f in cls.fields.values() if not f.optional and f.variable is None]
    assert sum(field.bits for field in fixed) == 8 * cls.fixed_len
    at = 0
    for field in fixed:
        assert field.offset == at
        at += field.bits


@pytest.mark.parametrize("name", HEADERS)
def test_is_registered_under_its_name(name: str) -> None:
    assert header_class(name).path == name
    assert fields_of(name) == tuple(header_class(name).fields.values())


@every_class
def test_is_a_dataclass(cls: Class) -> None:
    value = cls()
    assert [field.name for field in dataclasses.fields(value)] == list(cls.fields)  # type: ignore[arg-type]
    assert dataclasses.asdict(value).keys() == cls.fields.keys()  # type: ignore[call-overload]
    for name, field in cls.fields.items():
        if field.role is None and name != "version" and field.bits and not field.address:
            changed = dataclasses.replace(value, **{name: field.maximum})  # type: ignore[type-var]
            assert getattr(changed, name) == field.maximum
            break
    with pytest.raises(TypeError):
        cls(nobody=1)
    with pytest.raises(AttributeError):
        setattr(value, next(iter(cls.fields)), 1)
    with pytest.raises(AttributeError):
        value.nobody = 1  # type: ignore[attr-defined]


# --- values: range, equality, text --------------------------------------------------


@every_class
def test_limits(cls: Class) -> None:
    for name, field in cls.fields.items():
        if field.variable is not None:
            continue
        others = announced(field.when)
        for value in (0, field.maximum):
            made = cls(**others, **{name: value})
            got = getattr(made, name)
            assert (int(got) if not isinstance(got, bytes) else got) == value
            if not (owned(field) and field.optional):
                parsed, _ = cls._parse(bytes(made), 0, len(bytes(made)))
                assert int(getattr(parsed, name)) == value
        wrong = [field.maximum + 1, -1, *([field.scale // 2] if field.scale > 1 else [])]
        for value in wrong:
            with pytest.raises(FieldError) as caught:
                cls(**others, **{name: value})
            assert (caught.value.layer, caught.value.field) == (cls.path, name)
            assert caught.value.value == value
            assert name in str(caught.value)
        for nonsense in (1.5, [], object()):
            with pytest.raises(TypeError):
                cls(**others, **{name: nonsense})
        if not field.open:
            with pytest.raises(TypeError):
                cls(**{name: None})


@pytest.mark.parametrize("address", ["fe80::1%eth0", IPv6Address("fe80::1%3")])
def test_a_scope_that_no_packet_holds_is_refused(address: Any) -> None:
    with pytest.raises(FieldError, match="scope"):
        IPv6(src=address)


@every_class
def test_a_field_that_nothing_announces_is_refused(cls: Class) -> None:
    for name, field in cls.fields.items():
        when = field.when
        if when is None or (when.sets and len(when.tests) == 1):
            continue
        others = {n: value ^ (mask & -mask) for n, mask, value in when.tests}
        if when.negate:
            others = {n: value for n, _, value in when.tests}
        value: Any = 0 if field.variable is None else b"12345678"
        with pytest.raises(FieldError) as caught:
            cls(**others, **{name: value})
        assert caught.value.field == name


@every_class
def test_values_are_values(cls: Class) -> None:
    for value in examples(cls):
        for twin in (
            pickle.loads(pickle.dumps(value)),
            copy.copy(value),
            copy.deepcopy(value),
            cls(**{name: got for name, got in stored(value).items() if got is not None}),
        ):
            assert twin == value
            assert hash(twin) == hash(value)
            assert type(twin) is type(value)
        assert value != object()
        assert value.header_len == len(bytes(value))
    assert len(set(examples(cls))) == len(examples(cls))


@every_class
def test_repr_is_an_expression(cls: Class) -> None:
    names = {cls.__name__: cls, "Option": Option, "GeneveOption": geneve.GeneveOption, "MAC": MAC}
    for value in examples(cls):
        assert eval(repr(value), names) == value
        parsed = cls.parse(bytes(value))
        assert eval(repr(parsed), names) == parsed


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.path)
@given(data=st.data())
def test_what_is_built_parses_to_the_same(cls: Class, data: st.DataObject) -> None:
    value = data.draw(values(cls))
    octets = bytes(value)
    assert value.header_len == len(octets)
    assert value._build_fixed()[:1] != b"" or not cls.fixed_len
    parsed = cls.parse(octets + b"\x45what follows")
    assert bytes(parsed) == octets
    for name, got in stored(value).items():
        if got is not None and cls.fields[name].variable is None:
            assert getattr(parsed, name) == got


# --- octets: identity, ownership of bits, truncation ----------------------------------


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.path)
@given(data=st.data())
def test_what_parses_is_built_the_same(cls: Class, data: st.DataObject) -> None:
    octets = data.draw(wire(cls))
    value, problem = cls._parse(octets, 0, len(octets))
    if problem is None:
        built = bytes(value)
        assert octets.startswith(built)
        assert value.header_len == len(built)
        assert cls.parse(built) == value
        assert pickle.loads(pickle.dumps(value)) == value
        assert cls.parse(bytearray(b"..") + octets, 2) == value
    else:
        assert isinstance(problem, MalformedError | UnsupportedError | TruncatedError)
        assert problem.layer == cls.path
        assert value._build_fixed() == octets[: cls.fixed_len]
        with pytest.raises(type(problem)):
            cls.parse(octets)


@every_class
def test_each_bit_belongs_to_one_field(cls: Class) -> None:
    """Of what is always there: the field that owns a bit changes by it, no other one does."""
    fixed = [f for f in cls.fields.values() if not f.optional and f.variable is None]
    base = bytes(cls())
    before, _ = cls._parse(base, 0, len(base))
    for field in fixed:
        for bit in range(field.bits):
            at = field.offset + bit
            octets = bytearray(base)
            octets[at // 8] ^= 0x80 >> at % 8
            after, _ = cls._parse(bytes(octets), 0, len(octets))
            for other in fixed:
                change = number(other, getattr(before, other.name))
                change ^= number(other, getattr(after, other.name))
                assert change == (1 << field.bits - 1 - bit if other is field else 0), other.name
            assert after._build_fixed() == octets[: cls.fixed_len]


@every_class
def test_each_optional_bit_belongs_to_one_field(cls: Class) -> None:
    for value in examples(cls):
        base = bytes(value)
        before = cls.parse(base)
        present = [
            field
            for field in cls.fields.values()
            if field.optional and getattr(before, field.name) is not None
        ]
        at = 8 * cls.fixed_len
        for field in present:
            for bit in range(field.bits):
                octets = bytearray(base + bytes(8))  # platform of ERSPAN appears by a bit
                octets[at // 8] ^= 0x80 >> at % 8
                after = cls.parse(octets)
                for other in present:
                    change = number(other, getattr(before, other.name))
                    change ^= number(other, getattr(after, other.name))
                    assert change == (1 << field.bits - 1 - bit if other is field else 0)
                at += 1


@every_class
def test_every_truncation(cls: Class) -> None:
    for value in examples(cls):
        octets = bytes(value)
        whole = cls.parse(octets)
        for size in range(len(octets)):
            with pytest.raises(TruncatedError) as caught:
                cls.parse(octets[:size])
            error = caught.value
            assert (error.layer, error.offset, error.have) == (cls.path, 0, size)
            assert error.limit == "capture"
            assert error.need > size
            assert size >= cls.fixed_len or error.need == cls.fixed_len
            with pytest.raises(TruncatedError) as caught:
                cls.parse(b"..." + octets[:size], 3)
            assert (caught.value.offset, caught.value.have) == (3, size)
            if size >= cls.fixed_len:
                part, problem = cls._parse(octets, 0, size, "total_len")
                assert isinstance(problem, TruncatedError)
                assert problem.limit == "total_len"
                for name, field in cls.fields.items():
                    if field.variable is not None:
                        assert getattr(part, name) == field.variable.default
                    else:
                        want = None if field.optional else getattr(whole, name)
                        assert getattr(part, name) == want


@every_class
def test_bad_offsets_and_types(cls: Class) -> None:
    octets = bytes(cls())
    for offset in (-1, -len(octets), len(octets) + 1, 1 << 80):
        with pytest.raises(FieldError):
            cls.parse(octets, offset)
    with pytest.raises(TruncatedError):
        cls.parse(octets, len(octets))
    for nonsense in (None, "text", 5, [1, 2]):
        with pytest.raises(TypeError):
            cls.parse(nonsense)
    with pytest.raises(TypeError):
        cls.parse(octets, "0")  # type: ignore[arg-type]


@every_class
def test_any_buffer_of_octets(cls: Class) -> None:
    value = cls()
    octets = bytes(value) * 2
    parsed = cls.parse(octets)
    for buffer in (bytearray(octets), memoryview(octets), memoryview(octets).cast("H")):
        assert cls.parse(buffer) == parsed
    changing = bytearray(octets)
    kept = cls.parse(changing)
    changing[:] = b"\xa5" * len(changing)
    assert kept == parsed


@every_class
def test_following_and_extent_never_fail(cls: Class) -> None:
    from encap.registry import DEFAULT

    for value in examples(cls):
        for rest in (b"", b"\x45", b"\x60", b"\xff" * 8):
            for one in (value, cls.parse(bytes(value))):
                name = one.follows(DEFAULT, memoryview(rest))
                assert name is None or name in HEADERS
        extent = cls.parse(bytes(value)).extent()
        assert extent is None or extent[0] >= 0
