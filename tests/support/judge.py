"""What expressions mean, slowly: for each frame apart, over `encap.parse`.

A `Case` is the text of an expression and a function that says of a `Frame` whether it holds. The
text is put together beside the function, so that nothing here reads expressions.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from functools import cache
from ipaddress import IPv4Address, IPv6Address, ip_network
from typing import Any, NamedTuple

import golden
import stacks
from hypothesis import strategies as st

import encap
from encap import MAC, Packets, Status
from encap.errors import DepthError, MalformedError, TruncatedError, UnsupportedError
from encap.registry import HEADERS, header_class

STATUSES = {
    TruncatedError: Status.TRUNCATED, MalformedError: Status.MALFORMED,
    UnsupportedError: Status.UNSUPPORTED, DepthError: Status.DEPTH,
}  # fmt: skip
SIGNS = {
    "==": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt,
    ">=": operator.ge,
}  # fmt: skip
OCCURRENCES = 20
TIME = 1_700_000_000_123_456_789


class Frame:
    """One packet: `frame["inner.ipv4.src"]` is its value, or None where there is none."""

    def __init__(self, octets: bytes, linktype: int, wire_length: int, time: int) -> None:
        known = linktype in stacks.LINKS
        self.packet = encap.parse(octets, linktype, strict=False) if known else None
        self._found: dict[str, Any] = {
            "length": len(octets), "wire_length": wire_length,
            "time": None if time == encap.NO_TIME else time,
            "path": self.packet.path if self.packet else "", "status": self._status(),
        }  # fmt: skip

    def _status(self) -> Status:
        if self.packet is None:
            return Status.UNSUPPORTED
        if self.packet.error is not None:
            return STATUSES[type(self.packet.error)]
        return Status.FRAGMENT if self.packet.incomplete else Status.OK

    def __getitem__(self, name: str) -> Any:
        if name not in self._found:
            try:
                self._found[name] = None if self.packet is None else self.packet[name]
            except KeyError:
                self._found[name] = None
        return self._found[name]

    def option(self, header: str, numbers: tuple[int, ...]) -> bytes | None:
        """The data of the first such option, or None."""
        found = self[header]
        if found is None or self.packet is None:
            return None
        if self.packet.broken and found is self.packet.headers[-1]:
            return None
        for option in found.options:
            if isinstance(option, encap.GeneveOption):
                if (option.option_class, option.type) == numbers:
                    return option.data
            elif isinstance(option, encap.Option) and (option.type,) == numbers:
                return option.data
        return None


@cache
def packets() -> Packets:
    """Frames of a kernel, random ones (as made, damaged, cut, padded), and odd ones."""
    kernel = golden.every_frame()[::60]
    random = [stacks.random_packets(100, 21, change) for change in stacks.CHANGES]
    odd = Packets.from_frames([b"", b"\x45", bytes(13), bytes(60)], linktypes=[1, 101, 1, 147])
    batch = Packets.concat([kernel, *random, odd])
    times = [TIME + row * 10**9 if row % 3 else encap.NO_TIME for row in range(len(batch))]
    return batch.replace(times=times, wire_lengths=batch.lengths + (batch.starts % 2).astype("u4"))


@cache
def frames() -> list[Frame]:
    """The same, each by itself."""
    return frames_of(packets())


def frames_of(batch: Packets) -> list[Frame]:
    columns = (batch.linktypes, batch.wire_lengths, batch.times)
    rows = zip(batch, *(column.tolist() for column in columns), strict=True)
    return [Frame(*row) for row in rows]


Holds = Callable[[Frame], bool]


class Case(NamedTuple):
    """An expression, and what it means."""

    text: str
    holds: Holds


def order(sign: str, left: Any, right: Any) -> bool:
    """How two values compare; of addresses of two families all that holds is that they differ."""
    if left is None or right is None:
        return False
    if isinstance(left, IPv4Address) != isinstance(right, IPv4Address):
        return sign == "!="
    return bool(SIGNS[sign](left, right))


def every(name: str, holds: Callable[[str, Frame], bool]) -> Holds:
    """The test of a name, in which `[*]` is each index in turn."""
    names = [name.replace("[*]", f"[{index}]") for index in range(OCCURRENCES)]
    return lambda frame: any(holds(one, frame) for one in (names if "[*]" in name else names[:1]))


# --- names, and values that they have ------------------------------------------------

_FIELDS = [
    (f"{path}.{name}", field)
    for path in HEADERS
    for name, field in header_class(path).fields.items()
    if field.variable is None
]
_PLACES = ("", "", "", "outer.", "inner.")
_INDICES = ("", "", "", "[0]", "[1]", "[2]", "[-1]", "[-2]", "[*]", "[*]")


def names(*known: str) -> st.SearchStrategy[str]:
    """Any of these names, of any part and with any index."""

    def placed(name: str, place: str, index: str) -> str:
        header, dot, field = name.partition(".")
        return f"{place}{header}{index}{dot}{field}"

    return st.builds(
        placed, st.sampled_from(known), st.sampled_from(_PLACES), st.sampled_from(_INDICES)
    )


_VIEWS = [f"{path}.{name}" for path in HEADERS for name in header_class(path).views]
NUMBERS = names(
    *(name for name, field in _FIELDS if field.address is None), *_VIEWS,
    *("ip.ttl", "ip.protocol", "ip.length", "l4.sport", "l4.dport", "tunnel.id") * 6,
)  # fmt: skip
ADDRESSES = names(
    *("ip.src", "ip.dst", "ipv4.src", "ipv4.dst", "ipv6.src", "ipv6.dst") * 3, "arp.spa", "arp.tpa"
)
MACS = names("eth.src", "eth.dst", "arp.sha", "arp.tha")
HEADER_NAMES = names(*HEADERS, "ip", "l4", "tunnel")


@cache
def most(name: str) -> int:
    """The largest value of a field of numbers."""
    if name.endswith(("length", "tunnel.id")) and "ip" not in name:
        return (1 << 32) - 1
    path, _, field = name.rpartition(".")
    path = path.rpartition(".")[2].partition("[")[0]
    path = {"ip": "ipv4", "l4": "tcp", "tunnel": "gre"}.get(path, path)
    field = {"protocol": "protocol", "length": "total_len"}.get(field, field)
    if path == "gre" and field == "id":
        return (1 << 32) - 1
    kind = header_class(path)
    if field in kind.views:
        return (1 << kind.views[field].bits) - 1
    return kind.fields[field].maximum


@cache
def seen(name: str) -> list[Any]:
    """The values that the frames have by a name, some of many."""
    found = dict.fromkeys(frame[name.replace("[*]", "[0]")] for frame in frames())
    found.pop(None, None)
    return list(found)[:200]


def near(number: int, name: str) -> list[int]:
    return [value for value in (number, number - 1, number + 1) if 0 <= value <= most(name)]


def numbers_for(name: str) -> st.SearchStrategy[int]:
    known = [value for number in seen(name) for value in near(int(number), name)]
    return st.sampled_from([0, 1, most(name), *known]) | st.integers(0, most(name))


def addresses_for(name: str) -> st.SearchStrategy[IPv4Address | IPv6Address]:
    kinds = {"ipv4": IPv4Address, "arp": IPv4Address, "ipv6": IPv6Address}
    wanted = next((kind for path, kind in kinds.items() if path in name), None)
    known = [value for value in seen(name) if wanted is None or isinstance(value, wanted)]
    kind = wanted or (IPv6Address if len(known) % 2 else IPv4Address)
    bits = 32 if kind is IPv4Address else 128
    made = st.sampled_from([0, 1, (1 << bits) - 1]).map(kind)
    return st.sampled_from(known) | made if known else made


# --- tests -----------------------------------------------------------------------------


def written(value: Any) -> st.SearchStrategy[str]:
    """The ways to write a value."""
    if type(value) is int:
        return st.sampled_from([str(value), hex(value), f"0X{value:X}"])
    return st.just(str(value))


def values_for(name: str, sort: str) -> st.SearchStrategy[Any]:
    if sort == "number":
        return numbers_for(name)
    if sort == "address":
        return addresses_for(name)
    known = seen(name) or [MAC(0)]
    return st.sampled_from([MAC(0), MAC((1 << 48) - 1), *known])


@st.composite
def comparisons(draw: st.DrawFn) -> Case:
    """Name sign value"""
    sort = draw(st.sampled_from(["number", "number", "address", "address", "mac"]))
    name = draw({"number": NUMBERS, "address": ADDRESSES, "mac": MACS}[sort])
    value, sign = draw(values_for(name, sort)), draw(st.sampled_from(list(SIGNS)))
    text = f"{name}{draw(st.sampled_from(['', ' ']))}{sign} {draw(written(value))}"
    return Case(text, every(name, lambda one, frame: order(sign, frame[one], value)))


def _prefix(value: Any, length: int) -> Any:
    return ip_network((value, length), strict=False)


@st.composite
def memberships(draw: st.DrawFn) -> Case:
    """Name in { ... }, a range or a prefix"""
    sort = draw(st.sampled_from(["number", "address", "mac"]))
    name = draw({"number": NUMBERS, "address": ADDRESSES, "mac": MACS}[sort])
    checks: list[Callable[[Any], bool]] = []
    members: list[str] = []
    for _ in range(draw(st.sampled_from([1, 1, 2, 3, 20]))):
        low, high = draw(values_for(name, sort)), draw(values_for(name, sort))
        shape = draw(st.sampled_from(["point", "range", "prefix"]))
        if shape == "range" and type(low) is type(high):
            low, high = min(low, high), max(low, high)
            members.append(f"{draw(written(low))}..{draw(written(high))}")
            checks.append(
                lambda v, low=low, high=high: order("<=", low, v) and order("<=", v, high)  # type: ignore[misc]
            )
        elif shape == "prefix" and sort == "address":
            net = _prefix(low, draw(st.integers(0, low.max_prefixlen)))
            members.append(str(net))
            checks.append(lambda v, net=net: v.version == net.version and v in net)  # type: ignore[misc]
        elif shape == "prefix" and sort == "mac":
            length = draw(st.integers(0, 48))
            base = int(low) >> (48 - length) << (48 - length)
            members.append(f"{MAC(base)}/{length}")
            checks.append(
                lambda v, base=base, shift=48 - length: int(v) >> shift == base >> shift  # type: ignore[misc]
            )
        else:
            members.append(draw(written(low)))
            checks.append(lambda v, low=low: order("==", v, low))  # type: ignore[misc]
    alone = len(members) == 1 and ("/" in members[0] or ".." in members[0])
    text = members[0] if alone and draw(st.booleans()) else "{" + ", ".join(members) + "}"

    def holds(one: str, frame: Frame) -> bool:
        value = frame[one]
        return value is not None and any(check(value) for check in checks)

    return Case(f"{name} in {text}", every(name, holds))


@st.composite
def pairs(draw: st.DrawFn) -> Case:
    """Name sign name"""
    kind = draw(st.sampled_from([NUMBERS, ADDRESSES, MACS]))
    left, right = draw(kind), draw(kind)
    if kind is ADDRESSES:
        # Of one family, or of either.
        head = left.rpartition(".")[0]
        path = head.rpartition(".")[2].partition("[")[0]
        right = draw(names(f"{path}.src" if path != "arp" else "arp.tpa", "ip.dst"))
    if "[*]" in left:
        right = right.replace("[*]", "")
    sign = draw(st.sampled_from(list(SIGNS)))
    name = f"{left} {sign} {right}"

    def holds(one: str, frame: Frame) -> bool:
        first, _, second = one.split(" ")
        return order(sign, frame[first], frame[second])

    return Case(name, every(name, holds))


@st.composite
def of_packet(draw: st.DrawFn) -> Case:
    """length, wire_length, time, status"""
    name = draw(st.sampled_from(["length", "wire_length", "time", "status"]))
    known = seen(name)
    if name == "status":
        value, sign = draw(st.sampled_from(list(Status))), draw(st.sampled_from(["==", "!="]))
        word = value.name.lower()
        text = draw(st.sampled_from([word, f'"{word}"', str(int(value))]))
    else:
        value = draw(st.sampled_from(known)) + draw(st.integers(-1, 1))
        value, sign = max(value, 0), draw(st.sampled_from(list(SIGNS)))
        text = str(value)
    return Case(f"{name} {sign} {text}", lambda frame: order(sign, frame[name], value))


def glob(pattern: str, text: str) -> bool:
    """`*` is any text: by trying all of them."""
    if not pattern:
        return not text
    if pattern[0] == "*":
        return any(glob(pattern[1:], text[at:]) for at in range(len(text) + 1))
    return text[:1] == pattern[0] and glob(pattern[1:], text[1:])


@st.composite
def paths(draw: st.DrawFn) -> Case:
    path = draw(st.sampled_from(seen("path")))
    how = draw(st.sampled_from(["==", "!=", "in", "like"]))
    if how == "in":
        other = draw(st.sampled_from(seen("path")))
        return Case(f'path in {{"{path}", "{other}"}}', lambda f: f["path"] in (path, other))
    if how != "like":
        return Case(f'path {how} "{path}"', lambda f: order(how, f["path"], path))
    for _ in range(draw(st.integers(0, 2))):
        begin = draw(st.integers(0, len(path)))
        end = draw(st.integers(begin, min(len(path), begin + 12)))
        begin = path.rfind("/", 0, begin) + 1  # whole layers, which have names
        end = path.find("/", end) if "/" in path[end:] else len(path)
        path = f"{path[:begin]}*{path[end:]}"
    return Case(f'path like "{path}"', lambda f: glob(path, f["path"]))


@st.composite
def kinds(draw: st.DrawFn) -> Case:
    name = draw(names("tunnel.kind"))
    sign = draw(st.sampled_from(["==", "!="]))
    value = draw(st.sampled_from(["vxlan", "gpe", "geneve", "gre", "erspan", "ipv4", "ipv6"]))
    return Case(f"{name} {sign} {value}", every(name, lambda one, f: order(sign, f[one], value)))


@st.composite
def presence(draw: st.DrawFn) -> Case:
    if draw(st.booleans()):
        name = draw(HEADER_NAMES)
        return Case(name, every(name, lambda one, f: f[one] is not None))
    name = draw(NUMBERS | ADDRESSES)
    return Case(name + "?", every(name, lambda one, f: f[one] is not None))


OPTIONS = [
    ("geneve", (0x0102, 0x80)), ("geneve", (0, 0)), ("geneve", (0x0108, 1)), ("tcp", (2,)),
    ("tcp", (8,)), ("tcp", (3,)), ("ipv4", (7,)), ("hopopt", (5,)), ("dstopts", (4,)),
]  # fmt: skip


@cache
def option_data(header: str, numbers: tuple[int, ...]) -> list[bytes]:
    found = {frame.option(header, numbers) for frame in frames()} - {None}
    return sorted(data for data in found if data is not None)[:50]


@st.composite
def options(draw: st.DrawFn) -> Case:
    header, numbers = draw(st.sampled_from(OPTIONS))
    name = draw(names(header))
    text = f"{name}.option[{', '.join(map(hex, numbers))}]"
    data = st.sampled_from([b"", b"\0\0", b"\1\2\3\4", *option_data(header, numbers)])
    how = draw(st.sampled_from(["", "==", "!=", "in"]))
    wanted = {draw(data), draw(data)} if how == "in" else {draw(data)}
    words = ["0x" + one.hex() for one in wanted]

    def holds(one: str, frame: Frame) -> bool:
        found = frame.option(one, numbers)
        if found is None or not how:
            return found is not None
        return (found in wanted) != (how == "!=")

    right = "" if not how else f"{{{','.join(words)}}}" if how == "in" else words[0]
    return Case(f"{text} {how} {right}".strip(), every(name, holds))


TESTS = {
    "comparison": comparisons(), "membership": memberships(), "pair": pairs(),
    "packet": of_packet(), "path": paths(), "kind": kinds(), "presence": presence(),
    "option": options(),
}  # fmt: skip
"""Single tests, by what they are about."""


def _joined(word: str, parts: list[Case]) -> Case:
    holds = [part.holds for part in parts]
    together = all if word == "and" else any
    text = f" {word} ".join(f"({part.text})" for part in parts)
    return Case(text, lambda frame: together(one(frame) for one in holds))


def _not(part: Case) -> Case:
    return Case(f"not ({part.text})", lambda frame: not part.holds(frame))


CASES = st.recursive(
    st.one_of(*TESTS.values()),
    lambda inner: (
        st.builds(_joined, st.sampled_from(["and", "or"]), st.lists(inner, min_size=2, max_size=4))
        | st.builds(_not, inner)
    ),
    max_leaves=6,
)
"""Any expression at all."""
