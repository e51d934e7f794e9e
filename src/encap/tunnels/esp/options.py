"""Options of associations and policies: checked, and brought to one type, when they are set.

No error quotes a value: where words are exchanged or left out, it may be a key.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable
from contextlib import suppress
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any, NamedTuple

from encap.errors import TunnelError
from encap.tunnels.options import IPAddress, _Option, address

__all__ = ["Encap", "EncapOption", "EndOption", "Network", "NetworkOption", "WordsOption", "number"]

Network = IPv4Network | IPv6Network


class Encap(NamedTuple):
    """`encap espinudp SPORT DPORT`.  Source: RFC 3948 section 2."""

    type: str
    sport: int
    dport: int


class _Required:
    """Asked of the class there is no value, so that dataclasses know of no default."""

    def __get__(self, instance: object | None, owner: type) -> Any:
        if instance is None:
            raise AttributeError
        return instance.__dict__[self.name]  # type: ignore[attr-defined]


class EndOption(_Required, _Option[IPAddress, str | int | IPAddress]):
    """An IP address of either family, which has to be given."""

    def __init__(self) -> None:
        super().__init__(_end)


class NetworkOption(_Required, _Option[Network, str | Network]):
    """A network of either family, which has to be given."""

    def __init__(self) -> None:
        super().__init__(_network)


class WordsOption(_Option[frozenset[str], str | Iterable[str]]):
    """Some of these words, in one text or one by one."""

    def __init__(self, *known: str) -> None:
        def read(name: str, value: Any) -> frozenset[str]:
            words = frozenset(value.split() if isinstance(value, str) else value)
            if words - frozenset(known):
                raise TunnelError(f"{name} is of {', '.join(known)}")
            return words

        super().__init__(read, ())


class EncapOption(_Option[Encap | None, tuple[str, int, int] | None]):
    """Encapsulation in UDP: its type and both ports; None for none."""

    def __init__(self) -> None:
        super().__init__(_encap)


def number(name: str, value: Any, most: int, least: int = 0) -> int:
    """A number in that range. TunnelError for anything else."""
    with suppress(TypeError):
        found = operator.index(value)
        if least <= found <= most:
            return found
    raise TunnelError(f"{name} is a number, {least} to {most}")


def _end(name: str, value: Any) -> IPAddress:
    with suppress(TunnelError):
        return address(name, value)
    raise TunnelError(f"{name} is no IP address")


def _network(name: str, value: Any) -> Network:
    if isinstance(value, Network):
        return value
    with suppress(ValueError):
        return ip_network(value)
    raise TunnelError(f"{name} is no network")


def _encap(name: str, value: Any) -> Encap | None:
    if value is None:
        return None
    try:
        kind, sport, dport = value
    except (TypeError, ValueError):
        raise TunnelError(f"{name} is a type, a source and a destination port") from None
    if kind != "espinudp":
        raise TunnelError(f"{name} is espinudp alone")
    return Encap(kind, number("sport", sport, 0xFFFF), number("dport", dport, 0xFFFF))
