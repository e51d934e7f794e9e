"""Addresses as header fields: `MAC`, and descriptors that take text, numbers and octets.

A header stores an address as it parses fastest, and makes the address object when
somebody reads it.
"""

from __future__ import annotations

import re
from dataclasses import FrozenInstanceError
from functools import total_ordering
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Any, ClassVar, Generic, Self, TypeAlias, TypeVar, overload

from encap.errors import FieldError

_MAC_TEXT = re.compile(r"[0-9a-fA-F]{2}([:-][0-9a-fA-F]{2}){5}\Z")


@total_ordering
class MAC:
    """A 48-bit Ethernet address: immutable, ordered, hashable.

    Made from text (`02:00:00:00:00:01`, `02-00-...`), an integer, 6 octets or another MAC.
    FieldError when the value does not fit, TypeError when it is none of these.
    """

    __slots__ = ("packed",)
    packed: bytes

    def __init__(self, value: str | int | bytes | MAC) -> None:
        object.__setattr__(self, "packed", _mac(value, "", ""))

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("a MAC is immutable")

    def __str__(self) -> str:
        return self.packed.hex(":")

    def __repr__(self) -> str:
        return f"MAC('{self}')"

    def __int__(self) -> int:
        return int.from_bytes(self.packed, "big")

    def __bytes__(self) -> bytes:
        return self.packed

    def __eq__(self, other: object) -> bool:
        return self.packed == other.packed if isinstance(other, MAC) else NotImplemented

    def __lt__(self, other: object) -> bool:
        return self.packed < other.packed if isinstance(other, MAC) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.packed)

    def __reduce__(self) -> tuple[object, ...]:
        return MAC, (self.packed,)

    @property
    def is_multicast(self) -> bool:
        """True for a group of stations, and so for all (IEEE 802-2014 section 8.2.2)."""
        return bool(self.packed[0] & 1)


Octets: TypeAlias = bytes | bytearray | memoryview


def _refused(layer: str, field: str, value: object, what: str) -> FieldError:
    where = ".".join(filter(None, (layer, field)))
    where = f"{where}: " if field else ""
    return FieldError(f"{where}{value!r} is no {what}", layer=layer, field=field, value=value)


def _sized(value: int | Octets, octets: int, layer: str, field: str, what: str) -> bytes:
    if isinstance(value, int):
        if not 0 <= value < 1 << 8 * octets:
            raise _refused(layer, field, value, what)
        return value.to_bytes(octets, "big")
    if len(value) != octets:
        raise _refused(layer, field, value, what)
    return bytes(value)


def _mac(value: object, layer: str, field: str) -> bytes:
    if isinstance(value, MAC):
        return value.packed
    if isinstance(value, str):
        if _MAC_TEXT.match(value) is None:
            raise _refused(layer, field, value, "MAC address")
        return bytes.fromhex(value.replace(value[2], ""))
    if isinstance(value, int | Octets):
        return _sized(value, 6, layer, field, "MAC address")
    raise TypeError(f"a MAC address is text, a number or octets, not {type(value).__name__}")


def _ipv4(value: object, layer: str, field: str) -> int:
    if isinstance(value, IPv4Address):
        return int(value)
    if isinstance(value, str):
        try:
            return int(IPv4Address(value))
        except AddressValueError as error:
            raise _refused(layer, field, value, "IPv4 address") from error
    if isinstance(value, int | Octets):
        packed = _sized(value, 4, layer, field, "IPv4 address")
        return int.from_bytes(packed, "big")
    raise TypeError(f"an IPv4 address is text, a number or octets, not {type(value).__name__}")


def _ipv6(value: object, layer: str, field: str) -> bytes:
    if isinstance(value, str):
        try:
            value = IPv6Address(value)
        except AddressValueError as error:
            raise _refused(layer, field, value, "IPv6 address") from error
    if isinstance(value, IPv6Address):
        if value.scope_id is not None:  # which no header has room for
            raise _refused(layer, field, str(value), "IPv6 address: a packet holds no scope")
        return value.packed
    if isinstance(value, int | Octets):
        return _sized(value, 16, layer, field, "IPv6 address")
    raise TypeError(f"an IPv6 address is text, a number or octets, not {type(value).__name__}")


_Value = TypeVar("_Value")
_Given = TypeVar("_Given")


class Address(Generic[_Value, _Given]):
    """A header field that holds an address, or None while it is open.

    Reading it gives a `_Value`; the constructor takes any `_Given`.
    """

    bits: ClassVar[int]
    code: ClassVar[str]  # of `struct`, for what the header stores
    zero: ClassVar[int | bytes]
    what: ClassVar[Any]  # makes the address object of what is stored
    store: ClassVar[staticmethod[[object, str, str], Any]]  # and back: (value, layer, field)

    def __init__(self, default: str | None = None) -> None:
        self.default = default
        self.slot = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self.slot = "_" + name

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...
    @overload
    def __get__(self, instance: object, owner: type) -> _Value | None: ...
    def __get__(self, instance: object | None, owner: type) -> Self | _Value | None:
        if instance is None:
            return self
        stored = getattr(instance, self.slot)
        return None if stored is None else self.what(stored)

    def __set__(self, instance: object, value: _Given | None) -> None:
        raise FrozenInstanceError(f"cannot assign to field {self.slot[1:]!r}")


class MACField(Address[MAC, str | int | bytes | MAC]):
    """A MAC address."""

    bits, code, zero, what, store = 48, "6s", bytes(6), MAC, staticmethod(_mac)


class IPv4Field(Address[IPv4Address, str | int | bytes | IPv4Address]):
    """An IPv4 address."""

    bits, code, zero, what, store = 32, "I", 0, IPv4Address, staticmethod(_ipv4)


class IPv6Field(Address[IPv6Address, str | int | bytes | IPv6Address]):
    """An IPv6 address."""

    bits, code, zero, what, store = 128, "16s", bytes(16), IPv6Address, staticmethod(_ipv6)
