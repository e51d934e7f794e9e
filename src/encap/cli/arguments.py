"""What options say, as values. FieldError, in words of the command line, for what cannot be."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass, field

from encap.errors import FieldError
from encap.registry import checked_ports

__all__ = ["Wish", "check", "depth", "ids", "link", "ports"]

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
    ports: dict[int, str | None] = field(default_factory=dict)


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
            raise FieldError(f"--id {text!r}: numbers are needed, from 0 to {LARGEST_ID}")
        found[number] = None
    return tuple(found)


def depth(text: str) -> int | str:
    """How many tunnels: a number, or "all"."""
    number = _number(text, 255)
    if text != "all" and not number:
        raise FieldError(f"--depth {text!r}: a number from 1 to 255, or all, is needed")
    return number or text


def link(name: str | None, src: str | None, dst: str | None) -> dict[str, str | None]:
    """The options of `encap.create` that say what every packet begins with."""
    if name == "ethernet" and not (src and dst):
        raise FieldError("--link ethernet needs --src and --dst, the MAC addresses to write")
    if name != "ethernet" and (src or dst):
        raise FieldError("--src and --dst are for --link ethernet")
    return {"link": name, "src": src, "dst": dst}


def check(wish: Wish, out: str) -> None:
    """FieldError for what can never be done."""
    if wish.ids and wish.kind in NO_IDS:
        raise FieldError(f"--id: tunnels of kind {wish.kind} have no id")
    if out == "-" and sys.stdout.isatty():
        raise FieldError("a capture is not written to a terminal: give a file, or a pipe")


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
