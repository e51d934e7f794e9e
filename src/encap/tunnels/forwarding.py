"""The forwarding table of a VXLAN device: behind which endpoint each MAC address is.

Entries that commands made stand in the configuration (`Destinations`); what was learned from
packets is state (`Learned`). One address never has both.
Source: RFC 7348 section 4.1; Linux, vxlan_snoop, vxlan_fdb_create and vxlan_xmit.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, IPv6Address
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from encap._lib import lib, pointer
from encap.addresses import MAC
from encap.errors import TunnelError
from encap.frames import NO_TIME
from encap.tunnels.options import (
    AddressOption,
    IPAddress,
    MACOption,
    NumberOption,
    _Option,
    frozen,
)
from encap.tunnels.sums import numbers_at

__all__ = [
    "Destinations",
    "FDBEntry",
    "Learned",
    "Sending",
    "mac_numbers",
    "packed",
    "same",
    "sending",
]

Array = npt.NDArray[Any]
Bools = npt.NDArray[np.bool_]
Int64s = npt.NDArray[np.int64]
Uint64s = npt.NDArray[np.uint64]
GROUP = 1 << 40
"""The bit of a MAC address, as a number, that says that it is a group's."""


@frozen
class FDBEntry:
    """`bridge fdb add MAC dev X dst ADDRESS [vni N] [port P]`: an entry that stays.

    mac: destination of frames; all zero for frames that no other entry is for.
    dst: the endpoint that they go to; None refuses them.
    vni, port: theirs, where they are not the device's own.

    Several entries for one address, where it is a group's or all zero, each get a copy.
    """

    mac: MACOption = MACOption()
    dst: AddressOption = AddressOption()
    vni: NumberOption = NumberOption(0, 0xFFFFFF)
    port: NumberOption = NumberOption(0, 65535)

    def __post_init__(self) -> None:
        if self.mac is None:
            raise TunnelError("mac is wanted: the frames that the entry is for")

    @property
    def number(self) -> int:
        """The MAC address as a number."""
        return 0 if self.mac is None else int(self.mac)


class EntriesOption(_Option[tuple[FDBEntry, ...], Iterable[FDBEntry]]):
    """Entries of a forwarding table."""

    def __init__(self) -> None:
        super().__init__(_entries, default=())


def _entries(name: str, value: Any) -> tuple[FDBEntry, ...]:
    found = tuple(value) if isinstance(value, Iterable) else (value,)
    if not all(isinstance(one, FDBEntry) for one in found):
        raise TunnelError(f"{name} are of FDBEntry, not {value!r}")
    return found


def mac_numbers(octets: npt.NDArray[np.uint8], at: Int64s) -> Uint64s:
    """uint64[n]: the MAC addresses that stand at places in octets, as numbers.

    The caller knows that six octets are there.
    """
    return numbers_at(octets, at, 6)


def packed(addresses: Iterable[IPAddress | None], family: str) -> Array:
    """Addresses as the columns of outer headers have them: uint32[n], or uint8[n, 16]."""
    known = [0 if one is None else int(one) for one in addresses]
    if family == "ipv4":
        return np.array(known, np.uint32)
    octets = b"".join(one.to_bytes(16, "big") for one in known)
    return np.frombuffer(octets, np.uint8).reshape(-1, 16)


def same(mine: Array, theirs: Array) -> Bools:
    """bool[n]: where two columns of addresses are equal."""
    equal: Bools = mine == theirs
    return equal if equal.ndim == 1 else np.logical_and.reduce(equal, axis=1)


class Sending(NamedTuple):
    """Where packets go: one of these a copy, in the order in which they leave.

    rows: int64[m], rows of the batch.  dst: as columns have addresses.
    vni: uint32[m], port: uint16[m]; None where all have the device's own.
    """

    rows: Int64s
    dst: Array
    vni: Array | None
    port: Array | None


class Destinations:
    """The entries of the configuration, sorted by MAC address.

    macs: uint64[k], each once; `begin` and `end` say which destinations it has. The last of
        several is the first that was given: the kernel sends copies to the others first.
    dst, vni, port: of all destinations; known: bool, which have an address.
    default: VNI and port of the device.
    """

    __slots__ = ("begin", "default", "dst", "end", "known", "macs", "port", "vni")

    def __init__(self, entries: Iterable[FDBEntry], family: str, vni: int, port: int) -> None:
        by_mac: dict[int, list[FDBEntry]] = {}
        for entry in entries:
            by_mac.setdefault(entry.number, []).append(entry)
        ordered = sorted(by_mac.items())
        counts = np.array([len(found) for _, found in ordered], np.int64)
        flat = [one for _, found in ordered for one in (*found[1:], found[0])]
        self.default = vni, port
        self.macs = np.array([number for number, _ in ordered], np.uint64)
        self.end = np.cumsum(counts)
        self.begin = self.end - counts
        self.dst = packed((one.dst for one in flat), family)
        self.vni = np.array([_or(one.vni, vni) for one in flat], np.uint32)
        self.port = np.array([_or(one.port, 0) or port for one in flat], np.uint16)
        self.known = np.array([one.dst is not None for one in flat], np.bool_)

    def find(self, macs: Uint64s) -> Int64s:
        """int64[n]: which entry an address has, or -1."""
        return _find(self.macs, macs)


def _or(value: int | str | None, otherwise: int) -> int:
    return value if isinstance(value, int) else otherwise


def _find(known: Uint64s, macs: Uint64s) -> Int64s:
    """int64[n]: where among sorted addresses these are, or -1."""
    if not len(known) or not len(macs):
        return np.full(len(macs), -1, np.int64)
    found = np.empty(len(macs), np.int64)
    bits = (3 * len(known)).bit_length()
    table = np.empty(1 << bits, np.uint32)
    if lib.encap_find_keys(
        pointer(known, "uint64_t"), len(known), pointer(table, "uint32_t", writable=True), bits,
        pointer(np.ascontiguousarray(macs), "uint64_t"), len(macs),
        pointer(found, "int64_t", writable=True),
    ):  # fmt: skip
        raise AssertionError("the table has room")
    return found


class Learned:
    """What was learned from packets that arrived: the endpoint behind each MAC address.

    macs: uint64[k], sorted.  sources: as columns have addresses.  used: int64[k], when an entry
    was made or last looked for, in nanoseconds.  now: the latest time of any packet so far.
    """

    __slots__ = ("macs", "now", "sources", "used")

    def __init__(self) -> None:
        self.macs = np.empty(0, np.uint64)
        self.sources: Array = np.empty(0, np.uint32)
        self.used = np.empty(0, np.int64)
        self.now = NO_TIME

    def __len__(self) -> int:
        return len(self.macs)

    def __iter__(self) -> Iterator[tuple[MAC, IPAddress]]:
        """MAC addresses, and the endpoints that they are behind."""
        for number, source in zip(self.macs.tolist(), self.sources.tolist(), strict=True):
            octets = MAC(number.to_bytes(6, "big"))
            yield (
                octets,
                (IPv4Address(source) if isinstance(source, int) else IPv6Address(bytes(source))),
            )

    def __repr__(self) -> str:
        return f"<Learned: {len(self)} addresses>"

    def learn(
        self, macs: Uint64s, sources: Array, times: Int64s, ageing: int, most: int | None
    ) -> None:
        """Takes in where frames came from, the last one of an address counting.

        most: how many entries there may be; where there is no room, new addresses are not learned.
        What grows old makes room at the start of a batch.
        """
        if not len(macs):
            return
        now = self._clock(times)
        self._purge(int(now.min()), ageing)
        at = _find(self.macs, macs)
        known = at >= 0
        if known.all():
            self.sources[at], self.used[at] = sources, now
            return
        if known.any():
            self.sources[at[known]] = sources[known]
            self.used[at[known]] = now[known]
        rows = np.flatnonzero(~known)
        # Of the last occurrence of each address: `unique` gives the first one.
        new, last = np.unique(macs[rows][::-1], return_index=True)
        chosen = rows[len(rows) - 1 - last]
        if most is not None and len(self) + len(new) > most:
            _, first = np.unique(macs[rows], return_index=True)
            kept = np.sort(np.argsort(first, kind="stable")[: max(most - len(self), 0)])
            new, chosen = new[kept], chosen[kept]
        self._insert(new, sources[chosen], now[chosen])

    def _insert(self, macs: Uint64s, sources: Array, used: Int64s) -> None:
        """Adds entries for addresses that have none; sorted."""
        if not len(self):
            self.sources = np.empty((0, *sources.shape[1:]), sources.dtype)
        at = np.searchsorted(self.macs, macs)
        self.macs = np.insert(self.macs, at, macs)
        self.sources = np.insert(self.sources, at, sources, axis=0)
        self.used = np.insert(self.used, at, used)

    def find(self, macs: Uint64s, times: Int64s, ageing: int) -> Int64s:
        """int64[n]: which entry an address has, or -1. Entries that are looked for stay young."""
        if not len(self) or not len(macs):
            return np.full(len(macs), -1, np.int64)
        now = self._clock(times)
        self._purge(int(now.min()), ageing)
        at = _find(self.macs, macs)
        rows = np.flatnonzero(at >= 0)
        if len(rows) and ageing and int(now.max()) - int(self.used.min()) >= ageing:
            at[rows[self._aged(at[rows], now[rows], ageing)]] = -1
            rows = np.flatnonzero(at >= 0)
        self.used[at[rows]] = now[rows]
        return at

    def _aged(self, at: Int64s, now: Int64s, ageing: int) -> Bools:
        """bool[m]: where nobody had asked for an entry for too long."""
        order = np.argsort(at, kind="stable")
        entry, when = at[order], now[order]
        begins = np.concatenate([[True], entry[1:] != entry[:-1]])
        before = np.concatenate([when[:1], when[:-1]])
        late = when - np.where(begins, self.used[entry], before) >= ageing
        # Once it is gone it stays away: a running count, from where each entry begins.
        count = np.cumsum(late)
        base = np.maximum.accumulate(np.where(begins, count - late, 0))
        found = np.empty(len(at), np.bool_)
        found[order] = count > base
        return found

    def _clock(self, times: Int64s) -> Int64s:
        """int64[n]: the times of packets; where there is none, the latest one that is known."""
        # Mostly all have one: no time is the smallest number that there is.
        now = times if int(times.min()) != NO_TIME else np.where(times == NO_TIME, self.now, times)
        latest = int(now.max())
        if self.now == NO_TIME and latest != NO_TIME:
            # What was learned when there was no time yet is as young as can be.
            self.used[self.used == NO_TIME] = latest
            now = np.where(now == NO_TIME, latest, now)
        self.now = max(self.now, latest)
        return now

    def _purge(self, now: int, ageing: int) -> None:
        """Drops what nobody has asked for since `ageing` nanoseconds; 0 keeps all."""
        if not ageing or not len(self) or now == NO_TIME:
            return
        if now - int(self.used.min()) < ageing:
            return
        young = now - self.used < ageing
        self.macs, self.sources = self.macs[young], self.sources[young]
        self.used = self.used[young]


def sending(
    destinations: Destinations, learned: Learned, macs: Uint64s, times: Int64s, ageing: int
) -> Sending:
    """Where frames for these addresses go; those that nothing is known of are left out."""
    entry, found = destinations.find(macs), learned.find(macs, times, ageing)
    # One table of all entries: those that stay, those that were learned, and nothing at all.
    fixed, known, (vni, port) = len(destinations.macs), len(learned), destinations.default
    more = np.arange(known + 1) + len(destinations.dst)
    begins = np.concatenate([destinations.begin, more])
    counts = np.concatenate([destinations.end - destinations.begin, np.ones(known + 1, np.int64)])
    counts[-1] = 0
    other = int(destinations.find(np.zeros(1, np.uint64))[0])
    slot = np.where(found >= 0, found + fixed, other if other >= 0 else fixed + known)
    slot = np.where(entry >= 0, entry, slot)
    at, count, rows = begins[slot], counts[slot], np.arange(len(macs), dtype=np.int64)
    if not (count == 1).all():
        rows = np.repeat(rows, count)
        at = at[rows] + np.arange(len(rows)) - (np.cumsum(count) - count)[rows]
    if not destinations.known.all():
        going = np.concatenate([destinations.known, np.ones(known, np.bool_)])[at]
        rows, at = rows[going], at[going]
    dst = np.concatenate([destinations.dst, learned.sources]) if known else destinations.dst
    return Sending(
        rows, dst[at], _numbers(destinations.vni, vni, known, at),
        _numbers(destinations.port, port, known, at),
    )  # fmt: skip


def _numbers(numbers: Array, default: int, more: int, at: Int64s) -> Array | None:
    """Numbers of destinations, all others having the device's own; None where all have it."""
    if (numbers == default).all():
        return None
    found: Array = np.concatenate([numbers, np.full(more, default, numbers.dtype)])[at]
    return found
