"""Mappings of values and networks as a table that the core searches.

Pairs whose keys look at the same bits are one class, in order of key; the classes are tried with
the longest prefix first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import IPv4Network, IPv6Network, ip_network
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from encap.errors import FieldError
from encap.rewrite.targets import Member, Target, Unfit

__all__ = ["Table", "is_network", "set_network", "tabulate"]

LOW = (1 << 64) - 1
Words = npt.NDArray[np.uint64]


class Pair(NamedTuple):
    """What matches, and what becomes of it, as numbers of 128 bits: (old & keep) | value.

    given: the key of the mapping.
    """

    mask: int
    kinds: int
    key: int
    keep: int
    value: int
    given: object = None


class Table(NamedTuple):
    """The core's `encap_mask[]` and `encap_mapped[]`, a row each, and the keys of the latter."""

    masks: Words
    mapped: Words
    keys: tuple[object, ...]


def is_network(value: object) -> bool:
    """True for what stands for several addresses."""
    return isinstance(value, IPv4Network | IPv6Network) or (isinstance(value, str) and "/" in value)


class _Part(NamedTuple):
    """A key or a value: a number, which of its bits count, and the fields that can have it."""

    number: int
    mask: int
    members: tuple[Member, ...]


def _part(target: Target, given: Any) -> _Part:
    if is_network(given) and 48 not in target.address_bits and target.address_bits:
        return _network(target, given)
    number, members = target.number(given)
    return _Part(number, _all_bits(target, members), members)


def _all_bits(target: Target, members: Iterable[Member]) -> int:
    """The bits of an address, or of any number."""
    return (1 << max(member.address_bits for member in members)) - 1 if target.address_bits else LOW


def _network(target: Target, given: Any) -> _Part:
    try:
        network = ip_network(given)
    except ValueError as error:
        raise target.error(str(given), str(error)) from None
    bits = network.max_prefixlen
    members = target.of_bits(bits)
    if not members:
        raise target.error(str(given), f"it is an IPv{network.version} network")
    mask = int(network.netmask)
    return _Part(target.placed(int(network.network_address), bits), mask, members)


def set_network(target: Target, network: Any) -> tuple[Table, tuple[Member, ...]]:
    """The table that gives addresses the bits of a network and leaves them their own, and the
    fields that it is meant for: those of the network's family.
    """
    to = _network(target, network)
    kinds = sum(member.bit for member in to.members)
    return _table([Pair(0, kinds, 0, _kept(to), to.number)]), to.members


def tabulate(target: Target, given: Mapping[Any, Any]) -> tuple[Table, list[Unfit]]:
    """A mapping as a table, and the values that some of the fields could not hold.

    FieldError for a value that does not fit, an address mapped to another family, a network
    mapped to one of another length, or a key that is there twice; what matches in several ways
    follows the longest prefix.
    """
    pairs, unfit = [], []
    for old, new in given.items():
        key, value = _key(target, old, new), _part(target, new)
        if target.address_bits and key.members != value.members:
            raise target.error(new, f"{old} is of another family")
        if is_network(new) and key.mask != value.mask:
            raise _uneven(target, old, new)
        kinds = 0
        for member in key.members:
            if not target.address_bits and not member.holds(key.number):
                continue  # where a value cannot be, it never matches
            kinds |= member.bit
            if not target.address_bits and not member.holds(value.number):
                unfit.append(Unfit(member, new))
        found = key.number & key.mask
        pairs.append(Pair(key.mask, kinds, found, _kept(value), value.number, old))
    _refuse_twins(target, pairs)
    return _table(pairs), unfit


def _key(target: Target, old: Any, new: Any) -> _Part:
    """What is to be replaced. An error about it does not speak of it as of what replaces it."""
    try:
        return _part(target, old)
    except FieldError as error:
        _, _, why = str(error).partition(": ")
        raise FieldError(
            f"{target.text} is never {old!r}, which is to become {new!r}: {why or error}",
            layer=error.layer,
            field=target.text,
            value=old,
        ) from error


def _uneven(target: Target, old: Any, new: Any) -> FieldError:
    """Hosts of a larger network would meet in a smaller one, or keep bits of the old network."""
    return target.error(
        str(new),
        f"{old} is no network of that length. Networks of one length are mapped, host by host;"
        f" an address without a length takes the place of all of {old}",
    )


def _kept(value: _Part) -> int:
    """The bits that stay as they were: those that the new value does not count."""
    return ~value.mask & (LOW | LOW << 64)


def _refuse_twins(target: Target, pairs: Iterable[Pair]) -> None:
    seen = set()
    for pair in pairs:
        if pair[:3] in seen:
            raise FieldError(f"{target.text}: a value is mapped twice", field=target.text)
        seen.add(pair[:3])


def _class_of(pair: Pair) -> tuple[int, int]:
    return -pair.mask.bit_count(), pair.kinds


def _halves(number: int) -> tuple[int, int]:
    return number >> 64, number & LOW


def _table(pairs: Iterable[Pair]) -> Table:
    masks: list[tuple[int, ...]] = []
    mapped: list[tuple[int, ...]] = []
    keys: list[object] = []
    for _, members in groupby(sorted(pairs, key=_class_of), _class_of):
        rows = sorted(members, key=lambda pair: pair.key)
        first = rows[0]
        begin = len(mapped)
        mapped += [(*_halves(row.key), *_halves(row.keep), *_halves(row.value)) for row in rows]
        masks.append((*_halves(first.mask), begin, len(mapped), first.kinds))
        keys += [row.given for row in rows]
    return Table(
        np.array(masks, np.uint64).reshape(-1, 5),
        np.array(mapped, np.uint64).reshape(-1, 6),
        tuple(keys),
    )
