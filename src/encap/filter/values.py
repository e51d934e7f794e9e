"""Values as an expression writes them: numbers, addresses, prefixes, MACs, times, names, text.

What a field holds is its `Sort`; a value of another sort, or one that the field cannot hold, is an
ExpressionError. Each value is a range of numbers, in the family of headers that has them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import NamedTuple

from encap.addresses import MAC
from encap.errors import FieldError
from encap.filter.syntax import Range
from encap.filter.tokens import TEXT, Token, fail, shown
from encap.names import MEMBERS, nearest
from encap.packets import NO_TIME
from encap.walk import KINDS, Status

__all__ = [
    "KIND",
    "MACS",
    "NUMBER",
    "STATUS",
    "TIME",
    "Sort",
    "Value",
    "address",
    "number",
    "octets",
]

NUMBER = "a number"
LARGEST_TIME = (1 << 63) - 1
MAPPED = 0xFFFF << 32  # ::ffff:0:0/96, as which a column of either family has IPv4 addresses

_NUMBER = re.compile(r"[+-]?[0-9]{1,39}|0[xX][0-9a-fA-F]{1,32}")
_OCTETS = re.compile(r"0[xX]((?:[0-9a-fA-F]{2})*)")
_TIME = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})"
    r"(?:[T ]([0-9]{2}:[0-9]{2})(?:(:[0-9]{2})(?:\.([0-9]{1,9}))?)?(Z|[+-][0-9]{2}:?[0-9]{2})?)?"
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Value(NamedTuple):
    """What a piece of an expression stands for: a number, or with `prefix` a range of them.

    family: "" but for addresses: path name of the header that holds such ones.
    """

    family: str
    low: int
    high: int
    prefix: bool = False


@dataclass(frozen=True, slots=True)
class Sort:
    """What the values of a field are.

    what: in words.  domains: least and most by family.
    read: gives the values that a piece of an expression stands for: of an address as it is mapped,
        one in each family.  FieldError, which says what is wrong, where it is no value.
    quoted: values may stand in quotes.  ordered: some are less than others.
    """

    what: str
    domains: Mapping[str, tuple[int, int]]
    read: Callable[[str], list[Value]]
    quoted: bool = False
    ordered: bool = True

    def values(self, field: str, token: Token) -> list[Value]:
        """What `token` stands for where `field` is compared with it."""
        if token.kind == TEXT and not self.quoted:
            fail(f"{field} is {self.what}: write it without quotes", token.position)
        try:
            found = self.read(token.text)
        except FieldError as error:
            fail(f"{field} is {self.what}{error}", token.position)
        kept = [value for value in found if value.family in self.domains]
        if not kept:
            fail(f"{field} is {self.what}, {shown(token.text)} is none", token.position)
        for value in kept:
            least, most = self.domains[value.family]
            if not least <= value.low <= value.high <= most:
                fail(f"{field} is {least} to {most}, not {shown(token.text)}", token.position)
        return kept

    def one(self, field: str, token: Token) -> list[Value]:
        """The same, but a prefix is an error."""
        found = self.values(field, token)
        if found[0].prefix:
            fail(f"{shown(token.text)} is a prefix: say {field} in {token.text}", token.position)
        return found

    def member(self, field: str, member: Token | Range) -> list[Value]:
        """What a member of a set stands for."""
        if isinstance(member, Token):
            return self.values(field, member)
        found = [
            Value(low.family, low.low, high.low)
            for low in self.one(field, member.low)
            for high in self.one(field, member.high)
            if high.family == low.family
        ]
        if not found:
            fail("a range is of addresses of one family", member.low.position)
        if found[0].low > found[0].high:
            fail(
                f"the range is empty: {shown(member.low.text)} is above {shown(member.high.text)}",
                member.low.position,
            )
        return found


def _point(number: int, family: str = "") -> list[Value]:
    return [Value(family, number, number)]


# --- numbers -------------------------------------------------------------------------


def _integer(text: str) -> int:
    if _NUMBER.fullmatch(text) is None:
        raise FieldError(f", {shown(text)} is none (42, 0x2a)")
    return int(text, 16 if text[:2] in ("0x", "0X") else 10)


def number(most: int) -> Sort:
    """Numbers up to `most`."""
    return Sort(NUMBER, {"": (0, most)}, lambda text: _point(_integer(text)))


def _names(what: str, known: Mapping[str, int], others: Mapping[str, str]) -> Sort:
    """Numbers that have names.

    others: words that people say, and which of the names they mean by them.
    """

    def read(text: str) -> list[Value]:
        value = known.get(text)
        if value is None and _NUMBER.fullmatch(text) and _integer(text) in known.values():
            value = _integer(text)
        if value is not None:
            return _point(value)
        meant = f" (that is {others[text]})" if text in others else nearest(text[:40], known)
        raise FieldError(f", not {shown(text)}{meant}: it is {', '.join(known)}")

    ends = min(known.values()), max(known.values())
    return Sort(what, {"": ends}, read, quoted=True, ordered=False)


STATUS = _names(
    "what stopped the walk", {status.name.lower(): int(status) for status in Status}, {}
)
KIND = _names(
    "a kind of tunnel header",
    {name: KINDS.index(name) for name in MEMBERS["tunnel"]},
    {
        "ipip": "ipv4, the outer header of IP in IP",
        "sit": "ipv4, the outer header of IP in IP",
        "ip6tnl": "ipv6, the outer header of IP in IP",
        "gretap": "gre",
        "vxlangpe": "gpe",
    },
)


# --- addresses ------------------------------------------------------------------------


def _prefix(text: str, bits: int, value: int, length: str) -> tuple[int, int]:
    """The first and the last address behind `text`, which ends in a prefix length."""
    if not re.fullmatch("[0-9]{1,3}", length) or int(length) > bits:
        raise FieldError(f": a prefix is followed by / and 0 to {bits}, not {shown(length)}")
    rest = (1 << bits - int(length)) - 1
    if value & rest:
        raise FieldError(f": {shown(text)} has bits set behind its {int(length)} bits of prefix")
    return value, value | rest


def _split(text: str) -> tuple[str, str | None]:
    head, slash, length = text.partition("/")
    return head, length if slash else None


def _address(text: str) -> list[Value]:
    head, length = _split(text)
    kind, family, bits = (IPv6Address, "ipv6", 128) if ":" in head else (IPv4Address, "ipv4", 32)
    try:
        value = int(kind(head))
    except AddressValueError:
        raise FieldError(f", {shown(text)} is none") from None
    low, high = (value, value) if length is None else _prefix(text, bits, value, length)
    found = [Value(family, low, high, length is not None)]
    if family == "ipv6" and low >> 32 == high >> 32 == 0xFFFF:
        found.append(Value("ipv4", low - MAPPED, high - MAPPED, length is not None))
    return found


def address(*families: str) -> Sort:
    """Addresses of one family, or of either."""
    words = {"ipv4": "an IPv4 address", "ipv6": "an IPv6 address"}
    what = words[families[0]] if len(families) == 1 else "an address"
    bits = {"ipv4": 32, "ipv6": 128}
    domains = {family: (0, (1 << bits[family]) - 1) for family in families}
    return Sort(what, domains, _address)


def _mac(text: str) -> list[Value]:
    """A MAC address, or a prefix of one (`02:00:5e:00:00:00/24`)."""
    head, length = _split(text)
    try:
        value = int(MAC(head))
    except FieldError:
        raise FieldError(f", {shown(text)} is none") from None
    low, high = (value, value) if length is None else _prefix(text, 48, value, length)
    return [Value("", low, high, length is not None)]


MACS = Sort("a MAC address", {"": (0, (1 << 48) - 1)}, _mac)


# --- times ----------------------------------------------------------------------------


def _time(text: str) -> list[Value]:
    if _NUMBER.fullmatch(text):
        return _point(_integer(text))
    match = _TIME.fullmatch(text)
    if match is None:
        raise FieldError(f", {shown(text)} is none (2024-05-01T12:30:00.5Z, or nanoseconds)")
    day, minute, second, fraction, zone = match.groups()
    try:
        moment = datetime.fromisoformat(
            f"{day}T{minute or '00:00'}{second or ':00'}{zone or '+00:00'}"
        )
    except ValueError as error:
        raise FieldError(f", {shown(text)} is none: {error}") from None
    seconds = (moment - _EPOCH) // timedelta(seconds=1)
    return _point(seconds * 10**9 + int((fraction or "0").ljust(9, "0")))


TIME = Sort("a time since 1970", {"": (NO_TIME + 1, LARGEST_TIME)}, _time, quoted=True)


# --- octets -----------------------------------------------------------------------------


def octets(field: str, token: Token) -> bytes:
    """`0x0102` as octets: what an option holds."""
    match = _OCTETS.fullmatch(token.text)
    if match is None:
        fail(f"{field} is octets (0x0102, two digits each)", token.position)
    return bytes.fromhex(match[1])
