"""What a name to be rewritten means: the fields that it stands for, and which values they hold."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from operator import index
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from encap.columns import Column, field_column
from encap.errors import FieldError
from encap.fields import Field, Header, View
from encap.names import GROUPS, OF_PACKETS, Name, known_protocol, parse_name
from encap.registry import header_class
from encap.walk import KINDS

__all__ = ["MAPPED", "Member", "Target", "Unfit", "find_target"]

MAPPED = 0xFFFF << 32
"""What stands in front of an IPv4 address in 128 bits: ::ffff:a.b.c.d."""


class Member(NamedTuple):
    """One of the fields that a name stands for: that of one kind of header."""

    kind: type[Header]
    field: Field
    view: View | None

    @property
    def bit(self) -> int:
        """The kind of header as a bit, 1 << the core's number of it."""
        return 1 << KINDS.index(self.kind.path)

    @property
    def name(self) -> str:
        """`vxlan.vni`."""
        return f"{self.kind.path}.{self.view.name if self.view else self.field.name}"

    @property
    def maximum(self) -> int:
        """The largest number that it holds."""
        return (1 << self.view.bits) - 1 if self.view else self.field.maximum

    @property
    def scale(self) -> int:
        """Numbers are multiples of it."""
        return 1 if self.view else self.field.scale

    @property
    def address_bits(self) -> int:
        """How long an address it is; 0 for a number."""
        return self.field.bits if self.field.address is not None else 0

    def holds(self, number: int) -> bool:
        """True when a number can be stored."""
        return 0 <= number <= self.maximum and number % self.scale == 0


class Unfit(NamedTuple):
    """A value that one of a name's fields cannot hold, should a packet have that one.

    rows: int64, the packets that it is for; all of them where None.
    """

    member: Member
    value: object
    rows: npt.NDArray[np.int64] | None = None


@dataclass(frozen=True, slots=True)
class Target:
    """A name, its column, and the fields that it stands for."""

    name: Name
    column: Column
    members: tuple[Member, ...]

    @property
    def text(self) -> str:
        """The name as it was given."""
        return self.name.text

    @property
    def address_bits(self) -> tuple[int, ...]:
        """How long the addresses are that it stands for: (32, 128) for `ip.src`; () for numbers."""
        return tuple(member.address_bits for member in self.members if member.address_bits)

    def error(self, value: object, why: str) -> FieldError:
        """What is raised for a value that cannot be."""
        return FieldError(
            f"{self.text} cannot become {value!r}: {why}",
            layer=self.members[0].kind.path,
            field=self.text,
            value=value,
        )

    def limit(self) -> str:
        """What the fields hold, in words."""
        parts = [
            f"{member.name} holds 0 to {member.maximum}"
            + (f" in steps of {member.scale}" if member.scale > 1 else "")
            for member in self.members
        ]
        return ", ".join(parts)

    def number(self, value: Any) -> tuple[int, tuple[Member, ...]]:
        """A value as a number of up to 128 bits, and the fields that it is meant for.

        An IPv4 address that `ip.src` is to become is meant for the field of IPv4 headers alone.
        FieldError when no field holds it, TypeError when it is no such value at all.
        """
        if isinstance(value, np.integer):
            value = int(value)
        if not self.address_bits:
            if isinstance(value, str | bytes | float):
                raise TypeError(f"{self.text} becomes a number, not {type(value).__name__}")
            number = index(value)
            if not any(member.holds(number) for member in self.members):
                raise self.error(value, self.limit())
            return number, self.members
        if len(self.members) == 1:
            return self._address(value), self.members
        return self._either(value)

    def _address(self, value: Any) -> int:
        member = self.members[0]
        address = member.field.address
        if address is None:
            raise AssertionError(f"{member.name} is no address")
        if isinstance(value, IPv4Address | IPv6Address) and value.max_prefixlen != address.bits:
            raise self.error(str(value), f"it is an IPv{value.version} address")
        try:
            stored = address.store(value, "", "")
        except FieldError as error:
            raise self.error(value, str(error)) from None
        except TypeError as error:
            raise TypeError(f"{self.text}: {error}") from None
        return int.from_bytes(stored, "big") if isinstance(stored, bytes) else int(stored)

    def _either(self, value: Any) -> tuple[int, tuple[Member, ...]]:
        """An address of either family."""
        if not isinstance(value, str | bytes | IPv4Address | IPv6Address):
            raise TypeError(
                f"{self.text} becomes an address, as text or octets, not {type(value).__name__}"
            )
        try:
            address = ip_address(value)
        except ValueError:
            raise self.error(value, "that is no IP address") from None
        if isinstance(address, IPv6Address) and address.scope_id is not None:
            raise self.error(value, "a packet holds no scope")
        return self.placed(int(address), address.max_prefixlen), self.of_bits(address.max_prefixlen)

    def of_bits(self, bits: int) -> tuple[Member, ...]:
        """The fields that are addresses of so many bits."""
        return tuple(member for member in self.members if member.address_bits == bits)

    def placed(self, number: int, bits: int) -> int:
        """An address of so many bits as the number that stands for it among those of a column."""
        return MAPPED | number if bits == 32 and self.column.octets == 16 else number

    def spec_of(self, members: Iterable[Member]) -> Any:
        """The core's `encap_column`, by value, with the fields of these members alone."""
        return _spec(self.text, sum({member.bit for member in members}))[0]


@lru_cache(maxsize=1024)
def _spec(text: str, kinds: int) -> Any:
    """The core's `encap_column` of a name, with the fields of headers of these kinds alone."""
    spec = field_column(parse_name(text, every=True)).spec
    kept = [spec.fields[i] for i in range(spec.field_count) if kinds >> spec.fields[i].kind & 1]
    # Those kept move to the front: none is written over before it was read.
    for place, one in enumerate(kept):
        spec.fields[place] = one
    spec.field_count = len(kept)
    return spec


@lru_cache(maxsize=1024)
def find_target(text: str) -> Target:
    """The fields that a name stands for. FieldError when it names none that can be set."""
    name = parse_name(text, every=True)
    known_protocol(name)
    if text in OF_PACKETS or name.field is None:
        raise FieldError(f"{text!r} names no field, so it has no value to be set", field=text)
    if name.presence or (name.protocol == "tunnel" and name.field == "kind"):
        raise FieldError(f"{text!r} is no field of a packet: it cannot be set", field=text)
    column = field_column(name)
    members = GROUPS[name.protocol][name.field] if name.protocol in GROUPS else (name.protocol,)
    kinds = [header_class(member) for member in members]
    return Target(name, column, tuple(Member(kind, *name.field_in(kind)) for kind in kinds))
