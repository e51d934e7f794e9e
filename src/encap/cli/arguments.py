"""What options say, as values. FieldError, in words of the command line, for what cannot be."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from encap.errors import FieldError
from encap.names import GROUPS
from encap.registry import checked_ports, header_class

__all__ = [
    "Rewriting", "Target", "Wish", "Wrap", "depth", "either", "ids", "ports", "rewriting",
    "target", "wish", "wrap",
]  # fmt: skip

NO_IDS = ("ipip", "sit", "ip6tnl")
LARGEST_ID = (1 << 32) - 1
LARGEST_PORT = 65535


@dataclass(frozen=True, slots=True)
class Wish:
    """Which tunnels to take off, and what becomes of packets that are in none of them."""

    kind: str | None = None
    ids: tuple[int, ...] = ()
    depth: int | str = 1
    keep: bool = False
    reassemble: bool = False
    ports: dict[int, str | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Wrap:
    """What to put in front of packets.

    template: text.  columns: fields of the template, and of the packet, that gives each.
    ip_id, seq: where counting begins, "increment" where the template says it; None: no counting.
    options: those of `Packets.encap` that are the same for every batch.
    """

    template: str
    columns: dict[str, str] = field(default_factory=dict)
    ip_id: int | str | None = None
    seq: int | str | None = None
    options: dict[str, Any] = field(default_factory=dict)
    ports: dict[int, str | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Target:
    """The capture to write: OUT, and the options of `encap.create` that say how."""

    path: str
    format: str | None = None
    link: str | None = None
    src: str | None = None
    dst: str | None = None


@dataclass(frozen=True, slots=True)
class Rewriting:
    """What `rewrite` changes: fields as text, FIELD=VALUE; a tag to put on, where `vid` is one."""

    changes: tuple[str, ...] = ()
    vid: int | None = None
    pcp: int = 0
    tpid: int = 0x8100
    pop_vlan: bool = False
    strip_trailer: bool = False
    pad: int | None = None
    checksums: str = "update"
    missing: str = "skip"
    ports: dict[int, str | None] = field(default_factory=dict)

    @staticmethod
    def twice(name: str) -> FieldError:
        """What is raised for a field that is set twice."""
        return FieldError(f"--set: {name} is set twice")


def ports(texts: Iterable[str] | None) -> dict[int, str | None]:
    """`["8473=vxlan", "6081=none"]` as UDP ports and what they carry."""
    found: dict[int, str | None] = {}
    for text in texts or ():
        number, _, name = text.partition("=")
        port = _number(number, LARGEST_ID)
        if port is None or not name:
            raise FieldError(f"--port {text!r}: PORT=NAME is needed, as in 8473=vxlan")
        if port > LARGEST_PORT:
            raise FieldError(f"--port {text!r}: a port is 0 to {LARGEST_PORT}, {port} is no port")
        if port in found:
            raise FieldError(f"--port: {port} is given twice")
        found[port] = None if name == "none" else name
        try:
            checked_ports(found)
        except FieldError as error:
            raise FieldError(f"--port {text!r}: {error}, or none") from None
    return found


def ids(texts: Iterable[str] | None) -> tuple[int, ...]:
    """`["42,43", "0x2a"]` as numbers, in order, each once."""
    found: dict[int, None] = {}
    for text in ",".join(texts or ()).split(",") if texts else ():
        number = _number(text.strip(), LARGEST_ID)
        if number is None:
            raise FieldError(
                f"--id {text!r}: the ids of tunnels are numbers, 0 to {LARGEST_ID},"
                " several with commas between"
            )
        found[number] = None
    return tuple(found)


def depth(text: str) -> int | str:
    """How many tunnels: a number, or "all"."""
    number = _number(text, 255)
    if text != "all" and not number:
        raise FieldError(f"--depth {text!r}: a number from 1 to 255, or all, is needed")
    return number or text


def wish(
    kind: str | None,
    id_: Iterable[str] | None,
    depth_: str,
    *,
    keep: bool,
    reassemble: bool,
    port: Iterable[str] | None,
) -> Wish:
    """What `decap` was asked for."""
    asked = Wish(kind, ids(id_), depth(depth_), keep, reassemble, ports(port))
    if asked.ids and kind in NO_IDS:
        raise FieldError(f"--id: tunnels of kind {kind} have no id")
    if asked.ids and kind is not None:
        most = header_class(kind).fields[GROUPS["tunnel"]["id"][kind]].maximum
        if max(asked.ids) > most:
            raise FieldError(f"--id {max(asked.ids)}: the ids of {kind} are 0 to {most}")
    return asked


def target(
    path: str,
    format_: str | None = None,
    link: str | None = None,
    src: str | None = None,
    dst: str | None = None,
) -> Target:
    """OUT, and what was said of it."""
    if link == "ethernet" and not (src and dst):
        raise FieldError("--link ethernet needs --src and --dst, the MAC addresses to write")
    if link != "ethernet" and (src or dst):
        raise FieldError("--src and --dst are for --link ethernet")
    if path == "-" and sys.stdout.isatty():
        raise FieldError("a capture is not written to a terminal: give a file, or a pipe")
    # Members of enumerations are texts, but not plain ones.
    return Target(path, format_ and str(format_), link and str(link), src, dst)


def wrap(
    template: str,
    column: Iterable[str] | None,
    *,
    ip_id: str,
    seq: str | None,
    port: Iterable[str] | None,
    sport: str,
    ttl: str | None,
    tos: str | None,
    **options: Any,
) -> Wrap:
    """What `encap` was asked for. `options` go to the library as they are, but for None."""
    asked = options | {
        "sport": source_ports(sport),
        "ttl": _or_word("--ttl", ttl, "inherit", 255),
        "tos": _or_word("--tos", tos, "inherit", 255),
    }
    return Wrap(
        template,
        columns(column),
        None if ip_id == "zero" else _or_word("--ip-id", ip_id, "increment", LARGEST_PORT),
        _or_word("--seq", seq, "increment", LARGEST_ID),
        {name: value for name, value in asked.items() if value is not None},
        ports(port),
    )


def rewriting(
    changes: Iterable[str] | None,
    *,
    push_vlan: str | None,
    ports: dict[int, str | None],
    **rest: Any,
) -> Rewriting:
    """What `rewrite` was asked for."""
    vid, pcp, tpid = None, 0, 0x8100
    if push_vlan is not None:
        words, limits = push_vlan.split(":"), (0xFFF, 7, LARGEST_PORT)
        numbers = [_number(word, most) for word, most in zip(words, limits, strict=False)]
        if len(words) > len(limits) or None in numbers:
            raise FieldError(f"--push-vlan {push_vlan!r}: VID, VID:PCP or VID:PCP:TPID is needed")
        vid, pcp, tpid = [number or 0 for number in numbers] + [0, 0x8100][len(numbers) - 1 :]
    asked = Rewriting(tuple(changes or ()), vid, pcp, tpid, **rest, ports=ports)
    if not (asked.changes or push_vlan or asked.pop_vlan or asked.strip_trailer or asked.pad):
        raise FieldError("nothing to do: give --set, --push-vlan, --pop-vlan or the like")
    return asked


def columns(texts: Iterable[str] | None) -> dict[str, str]:
    """`["vxlan.vni=vlan.vid"]` as fields to fill, and what each is filled with."""
    found: dict[str, str] = {}
    for text in texts or ():
        name, _, source = (word.strip() for word in text.partition("="))
        if not name or not source:
            raise FieldError(f"--column {text!r}: FIELD=FIELD is needed: vxlan.vni=vlan.vid")
        if name in found:
            raise FieldError(f"--column: {name} is given twice")
        found[name] = source
    return found


def either(on: str, is_on: bool, off: str, is_off: bool) -> bool | None:
    """What two options that exclude each other say together; None where neither is given."""
    if is_on and is_off:
        raise FieldError(f"{on} and {off}: one of them")
    return is_on if is_on or is_off else None


def source_ports(text: str) -> str | tuple[int, int]:
    """The name of a way to make source ports, or the lowest and the highest one."""
    low, dash, high = text.partition("-")
    found = _number(low, LARGEST_PORT), _number(high if dash else low, LARGEST_PORT)
    return text if found[0] is None or found[1] is None else (found[0], found[1])


def _or_word(option: str, text: str | None, word: str, most: int) -> int | str | None:
    """A number, or the one word that may stand in its place; None where nothing was given."""
    if text is None or text == word:
        return text
    number = _number(text, most)
    if number is None:
        raise FieldError(f"{option} {text!r}: a number from 0 to {most}, or {word}, is needed")
    return number


def _number(text: str, most: int) -> int | None:
    """A decimal number, or a hexadecimal one behind 0x; None for anything else."""
    digits, base = (text[2:], 16) if text[:2] in ("0x", "0X") else (text, 10)
    if not digits.isascii() or not digits.isalnum() or len(digits) > 20:
        return None
    try:
        number = int(digits, base)
    except ValueError:
        return None
    return number if number <= most else None
