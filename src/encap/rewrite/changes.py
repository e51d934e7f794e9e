"""One change as the core reads it: a name, and a value, a column, a network or a mapping.

Whatever cannot be stored is found out here, before an octet is written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Any

import numpy as np
import numpy.typing as npt

from encap import arrays
from encap._lib import ffi, pointer
from encap.errors import FieldError
from encap.fields import MAC, Checksum
from encap.rewrite.mappings import Table, is_network, set_network, tabulate
from encap.rewrite.targets import MAPPED, Member, Target, Unfit, find_target

__all__ = ["Change", "compile_change"]

Octets = npt.NDArray[np.uint8]
CONSTANTS = (int, str, bytes, MAC, IPv4Address, IPv6Address, IPv4Network, IPv6Network)
"""Types of values that stay what they are."""


@dataclass(frozen=True, slots=True)
class Change:
    """What becomes of a field.

    members: those of the target's fields that the value is meant for.
    values: octets as the target's column has them, `stride` apart, 0 where one is for all packets.
    """

    target: Target
    members: tuple[Member, ...]
    unfit: tuple[Unfit, ...] = ()
    values: Octets | None = None
    stride: int = 0
    table: Table | None = None

    def describe(self, edit: Any) -> list[Any]:
        """Fills an `encap_edit`; gives what has to live as long as it."""
        edit.column = self.target.spec_of(self.members)
        edit.every = self.target.name.every
        for member in self.members:
            if isinstance(member.field.role, Checksum):
                edit.checksums |= member.bit
        if self.values is not None:
            edit.values, edit.stride = pointer(self.values, "uint8_t"), self.stride
            return [self.values]
        if self.table is not None:
            masks, mapped, _ = self.table
            edit.masks = ffi.from_buffer("encap_mask[]", masks)
            edit.mapped = ffi.from_buffer("encap_mapped[]", mapped)
            edit.mask_count, edit.mapped_count = len(masks), len(mapped)
        return [self.table]

    @property
    def keys(self) -> tuple[object, ...]:
        """What a mapping replaces, in the order in which the core has it."""
        return () if self.table is None else self.table.keys

    @property
    def most_places(self) -> int:
        """In how many headers of a packet it can apply."""
        return 16 if self.target.name.every else 1


def compile_change(text: str, value: Any, rows: int) -> Change:
    """What `changes[text] = value` asks for in a batch of `rows` packets; see `Packets.rewrite`."""
    target = find_target(text)
    if isinstance(value, Mapping):
        table, unfit = tabulate(target, value)
        return Change(target, target.members, tuple(unfit), table=table)
    if isinstance(value, np.ndarray) and value.ndim:
        return _column(target, value, rows)
    if isinstance(value, Sequence) and not isinstance(value, str | bytes | bytearray):
        return _column(target, _listed(target, value), rows)
    if isinstance(value, np.ndarray):
        value = value.item()
    if isinstance(value, CONSTANTS):
        return _kept_constant(text, value)
    return _constant(target, value)


@lru_cache(maxsize=1024, typed=True)
def _kept_constant(text: str, value: Any) -> Change:
    """The same one as before: batch after batch of a file is asked to become it."""
    return _constant(find_target(text), value)


def _constant(target: Target, value: Any) -> Change:
    """One value, or one network, for all packets."""
    if is_network(value) and target.address_bits:
        table, members = set_network(target, value)
        return Change(target, members, table=table)
    number, members = target.number(value)
    wrong = [] if target.address_bits else [one for one in members if not one.holds(number)]
    unfit = [Unfit(member, value) for member in wrong]
    return Change(target, members, tuple(unfit), values=_octets(target, [number]))


def _octets(target: Target, numbers: Sequence[int]) -> Octets:
    """Numbers as the octets of the target's column."""
    column = target.column
    if column.octets:
        made = b"".join(number.to_bytes(column.octets, "big") for number in numbers)
        return np.frombuffer(made, np.uint8)
    return np.array(numbers, column.dtype).view(np.uint8)


def _listed(target: Target, values: Sequence[Any]) -> npt.NDArray[Any]:
    """Values that are listed, one a packet, as a column."""
    if not target.address_bits:
        return np.array([target.number(value)[0] for value in values], np.uint64)
    octets = _octets(target, [target.number(value)[0] for value in values])
    column = target.column
    return octets.reshape(-1, column.octets) if column.octets else octets.view(column.dtype)


def _column(target: Target, given: npt.NDArray[Any], rows: int) -> Change:
    """A column of one value a packet."""
    column = target.column
    if not column.octets:
        numbers, unfit = _numbers(target, given, rows)
        values, stride = numbers.view(np.uint8), column.dtype.itemsize
        return Change(target, target.members, unfit, values, stride)
    if given.dtype != np.uint8 or given.shape != (rows, column.octets):
        raise FieldError(
            f"{target.text}: the column for it is uint8 of shape ({rows}, {column.octets}),"
            f" not {given.dtype} of shape {given.shape}",
            field=target.text,
        )
    octets = np.ascontiguousarray(given)
    unfit = _other_family(target, octets)
    return Change(target, target.members, unfit, octets.reshape(-1), column.octets)


def _numbers(
    target: Target, given: npt.NDArray[Any], rows: int
) -> tuple[npt.NDArray[Any], tuple[Unfit, ...]]:
    """A column of numbers, in the dtype that columns of the field have."""
    dtype = target.column.dtype
    numbers = given
    if given.dtype != dtype or given.shape != (rows,) or not given.flags.c_contiguous:
        numbers = np.ascontiguousarray(arrays.column(given, rows, dtype, target.text))
    found = [
        (member, wrong) for member in target.members if (wrong := _wrong(member, numbers)).any()
    ]
    if len(found) == len(target.members):
        nowhere = np.logical_and.reduce([wrong for _, wrong in found])
        if nowhere.any():
            raise target.error(int(numbers[nowhere.argmax()]), target.limit())
    unfit = [
        Unfit(member, int(numbers[wrong.argmax()]), np.flatnonzero(wrong))
        for member, wrong in found
    ]
    return numbers, tuple(unfit)


def _wrong(member: Member, numbers: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Where a field cannot hold the number; empty when it can hold them all."""
    # Where their type holds no more they need not be looked at, which takes as long as an edit.
    most = np.iinfo(numbers.dtype).max
    if member.scale == 1 and (most <= member.maximum or numbers.max(initial=0) <= member.maximum):
        return np.empty(0, np.bool_)
    wrong: npt.NDArray[np.bool_] = (numbers > member.maximum) | (numbers % member.scale != 0)
    return wrong


def _other_family(target: Target, octets: Octets) -> tuple[Unfit, ...]:
    """Addresses of IPv6 among those of either family: no IPv4 header holds them."""
    narrow = target.of_bits(32)
    if not narrow:
        return ()
    prefix = np.frombuffer(MAPPED.to_bytes(16, "big")[:12], np.uint8)
    wrong = np.flatnonzero((octets[:, :12] != prefix).any(1))
    return tuple(
        Unfit(member, octets[wrong[0]].tobytes(), wrong) for member in narrow if len(wrong)
    )
