"""What a tunnel's options are: checked, and brought to one type, when they are set."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from difflib import get_close_matches
from functools import wraps
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Any, Generic, TypeVar, dataclass_transform, overload

from encap.addresses import MAC
from encap.errors import TunnelError

__all__ = [
    "AddressOption", "AddressesOption", "IPAddress", "KeyOption", "MACOption", "NetworkOption",
    "NetworksOption", "NumberOption", "address", "frozen", "mac",
]  # fmt: skip

IPAddress = IPv4Address | IPv6Address
LONGEST = 128
"""Bits of a number that an error repeats."""
_Value = TypeVar("_Value")
_Given = TypeVar("_Given")
_Network = TypeVar("_Network", IPv4Network, IPv6Network)


_Class = TypeVar("_Class")


@dataclass_transform(kw_only_default=True)
def frozen(cls: type[_Class]) -> type[_Class]:
    """A class of options: a frozen dataclass, made with keywords alone.

    Type checkers are not told that it is frozen: for frozen ones they would look past what an
    option gives to what it takes.
    """
    made = dataclass(frozen=True, kw_only=True)(cls)
    plain: Callable[..., None] = vars(made)["__init__"]
    names = {one.name for one in fields(made) if one.init}  # type: ignore[arg-type]

    @wraps(plain)
    def checked(self: object, *args: object, **options: object) -> None:
        for name in options.keys() - names:
            raise TypeError(f"{cls.__name__} has no option {name!r}{_meant(cls, name, names)}")
        plain(self, *args, **options)

    type.__setattr__(made, "__init__", checked)
    return made


def _meant(cls: type, name: str, names: set[str]) -> str:
    """What is said about a name that is no option: the one that a command's word stands for."""
    word = getattr(cls, "WORDS", {}).get(name.replace("_", "-")) or getattr(cls, "WORDS", {}).get(
        name
    )
    if word is not None and word.argument in names:
        value = f"={word.value()!r}" if not word.follow else ""
        return f": it is {word.argument}{value} here"
    if name == "dev":
        return ": what is below is said by underlay"
    close = get_close_matches(name, names, 1)
    return f"; did you mean {close[0]!r}?" if close else ""


class _Option(Generic[_Value, _Given]):
    """A field of a tunnel that takes more than it gives."""

    def __init__(self, read: Callable[[str, Any], _Value], default: _Given | None = None) -> None:
        self.read, self.default = read, default

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, instance: None, owner: type) -> Any: ...
    @overload
    def __get__(self, instance: object, owner: type) -> _Value: ...
    def __get__(self, instance: object | None, owner: type) -> Any:
        # Asked of the class, it gives the default: that is how dataclasses learn it.
        return self.default if instance is None else instance.__dict__[self.name]

    def __set__(self, instance: object, value: _Given) -> None:
        instance.__dict__[self.name] = self.read(self.name, value)


class AddressOption(_Option[IPAddress | None, str | int | IPAddress | None]):
    """An IP address of either family; None where there is none ("any")."""

    def __init__(self) -> None:
        super().__init__(lambda name, value: None if value is None else address(name, value))


class AddressesOption(_Option[tuple[IPAddress, ...], Iterable[str | int | IPAddress]]):
    """IP addresses of either family."""

    def __init__(self) -> None:
        def read(name: str, value: Any) -> tuple[IPAddress, ...]:
            return tuple(address(name, one) for one in _several(name, value))

        super().__init__(read, ())


class MACOption(_Option[MAC | None, str | int | bytes | MAC | None]):
    """A MAC address, or None."""

    def __init__(self) -> None:
        super().__init__(lambda name, value: None if value is None else mac(name, value))


class NumberOption(_Option[int | str | None, int | str | None]):
    """A number in a range, or one of some words; None where it is left open."""

    def __init__(
        self, least: int, most: int, *words: str, default: int | str | None = None
    ) -> None:
        def read(name: str, value: object) -> int | str | None:
            if value is None or (isinstance(value, str) and value in words):
                return value
            return _number(name, value, least, most, *words)

        super().__init__(read, default)


class KeyOption(_Option[int | None, int | str | None]):
    """A GRE key: a number of 32 bits, or written as an IPv4 address is; None for none."""

    def __init__(self) -> None:
        super().__init__(_key)


class NetworkOption(_Option[_Network, str | _Network]):
    """A prefix of one IP version, with its length."""

    def __init__(self, kind: Callable[[Any], _Network], default: str) -> None:
        def read(name: str, value: Any) -> Any:
            try:
                return kind(value)
            except (TypeError, ValueError) as error:
                raise TunnelError(f"{name} is a prefix of {kind.__name__[:4]}: {error}") from error

        super().__init__(read, default)


class NetworksOption(_Option[tuple[_Network, ...], Iterable[str | _Network]]):
    """Prefixes of one IP version."""

    def __init__(self, kind: Callable[[Any], _Network]) -> None:
        one = NetworkOption(kind, "")

        def read(name: str, value: Any) -> Any:
            return tuple(one.read(name, each) for each in _several(name, value))

        super().__init__(read, ())


def _several(name: str, value: Any) -> Iterable[Any]:
    """What can be gone through, and is no text. TunnelError for anything else."""
    if isinstance(value, str | bytes) or not isinstance(value, Iterable):
        raise TunnelError(f"{name} are several, not {value!r}")
    return value


def _key(name: str, value: object) -> int | None:
    if value is None:
        return None
    if isinstance(value, str):
        try:
            value = int(IPv4Address(value)) if "." in value else int(value, 0)
        except ValueError as error:
            raise TunnelError(f"{name} is a number or a dotted quad, not {value!r}") from error
    return _number(name, value, 0, 0xFFFFFFFF)


def _number(name: str, value: object, least: int, most: int, *words: str) -> int:
    """A number in a range; TunnelError for anything else."""
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        also = "".join(f" or {word!r}" for word in words)
        # Python refuses to write down numbers of thousands of digits.
        long = isinstance(value, int) and value.bit_length() > LONGEST
        said = "a far greater number" if long else repr(value)
        raise TunnelError(f"{name} is {least} to {most}{also}, not {said}")
    return int(value)


def number_or(value: int | str | None, otherwise: int) -> int:
    """An option that is a number, or what stands for its words."""
    return value if isinstance(value, int) else otherwise


def address(name: str, value: object) -> IPAddress:
    """An address of either family, from text or as it is. TunnelError for anything else."""
    if isinstance(value, IPAddress):
        return value
    for family in (IPv4Address, IPv6Address):
        try:
            return family(value)
        except ValueError:
            continue
    raise TunnelError(f"{name} is an IP address, not {value!r}")


def mac(name: str, value: object) -> MAC:
    """A MAC address from what `MAC` takes. TunnelError for anything else."""
    try:
        return value if isinstance(value, MAC) else MAC(value)  # type: ignore[arg-type]
    except ValueError as error:
        raise TunnelError(f"{name}: {error}") from error
