"""Geneve.  Source: RFC 8926 sections 3.4 and 3.5.

version (2 bits) opt_len (6) | oam (1) critical (1) reserved1 (6) | protocol (2)
vni (3) | reserved2
options (0 to 252): option_class (2) | type | reserved length | data
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from encap.errors import FieldError
from encap.fields import (
    U1,
    U2,
    U6,
    U8,
    U24,
    Bits,
    Check,
    Header,
    Next,
    Own,
    header,
)  # fmt: skip

UDP_PORT = 6081
MAX_OPTIONS_LEN = 252
MAX_OPTION_DATA_LEN = 124
CRITICAL = 0x80
"""The bit of an option's type that forbids an endpoint to ignore it."""


@dataclass(frozen=True, slots=True)
class GeneveOption:
    """One option.  Source: RFC 8926 section 3.5.

    option_class: who defined it.  type: all 8 bits, the critical one included.
    data: a multiple of 4 octets, 124 at the most.  reserved: 3 bits, 0.
    """

    option_class: int
    type: int
    data: bytes = b""
    reserved: int = 0

    def __post_init__(self) -> None:
        for name, most in (("option_class", 0xFFFF), ("type", 0xFF), ("reserved", 7)):
            value = getattr(self, name)
            if not isinstance(value, int):
                raise TypeError(
                    f"a Geneve option's {name} is an integer, not {type(value).__name__}"
                )
            if not 0 <= value <= most:
                raise FieldError(
                    f"a Geneve option's {name} is 0 to {most}, not {value}",
                    layer="geneve", field=name, value=value,
                )  # fmt: skip
        if not isinstance(self.data, bytes):
            raise TypeError(f"a Geneve option's data is bytes, not {type(self.data).__name__}")
        if len(self.data) % 4 or len(self.data) > MAX_OPTION_DATA_LEN:
            raise FieldError(
                f"a Geneve option's data has a multiple of 4 octets up to {MAX_OPTION_DATA_LEN},"
                f" not {len(self.data)}",
                layer="geneve", field="data", value=self.data,
            )  # fmt: skip

    @property
    def critical(self) -> bool:
        """True when an endpoint that does not know the option must drop the packet."""
        return bool(self.type & CRITICAL)

    def __bytes__(self) -> bytes:
        head = self.option_class << 16 | self.type << 8 | self.reserved << 5 | len(self.data) // 4
        return head.to_bytes(4, "big") + self.data


class GeneveOptions:
    """The codec of the options: a tuple of GeneveOption, and of bytes for what is none."""

    default: tuple[GeneveOption | bytes, ...] = ()

    def parse(
        self, data: bytes | memoryview, start: int, stop: int
    ) -> tuple[GeneveOption | bytes, ...]:
        found: list[GeneveOption | bytes] = []
        at = start
        while stop - at >= 4:
            size = (data[at + 3] & 31) * 4
            if size > stop - at - 4:
                break
            found.append(
                GeneveOption(
                    data[at] << 8 | data[at + 1],
                    data[at + 2],
                    bytes(data[at + 4 : at + 4 + size]),
                    data[at + 3] >> 5,
                )
            )
            at += 4 + size
        if at < stop:
            found.append(bytes(data[at:stop]))
        return tuple(found)

    def build(self, value: tuple[GeneveOption | bytes, ...]) -> bytes:
        return b"".join(map(bytes, value))

    def check(self, value: Any, layer: str, field: str) -> tuple[GeneveOption | bytes, ...]:
        options = (value,) if isinstance(value, bytes | GeneveOption) else tuple(value)
        for option in options:
            if not isinstance(option, GeneveOption | bytes):
                raise TypeError(
                    f"{layer}.{field} holds GeneveOption and bytes, not {type(option).__name__}"
                )
        size = len(self.build(options))
        if size % 4 or size > MAX_OPTIONS_LEN:
            raise FieldError(
                f"{layer}.{field} has a multiple of 4 octets up to {MAX_OPTIONS_LEN}, not {size}",
                layer=layer, field=field, value=value,
            )  # fmt: skip
        return options


def _critical(value: Geneve, _: int) -> int:
    """C is the OR of the options' critical bits (RFC 8926 section 3.4)."""
    return int(any(not isinstance(o, bytes) and o.critical for o in value.options))


@header("geneve")
class Geneve(Header):
    """Generic network virtualization encapsulation.  Source: RFC 8926 section 3.4.

    version: 0
    opt_len: octets of the options, a multiple of 4
    oam: 1 in packets for the endpoint itself
    critical: 1 when an option has its critical bit set
    reserved1: 0
    protocol: EtherType of what follows; 0x6558 for Ethernet
    vni: virtual network identifier
    reserved2: 0
    options: tuple of GeneveOption and bytes
    """

    tunnel = True
    length = "8 + opt_len"
    checks = (Check("version", "version == 0", unsupported=True),)

    version: U2 = 0
    opt_len: Annotated[int | None, Bits(6, scale=4), Own(lambda _, size: size - 8)] = None
    oam: U1 = 0
    critical: Annotated[int | None, Bits(1), Own(_critical)] = None
    reserved1: U6 = 0
    protocol: Annotated[int | None, Bits(16), Next("ethertype")] = None
    vni: U24 = 0
    reserved2: U8 = 0
    options: Annotated[tuple[GeneveOption | bytes, ...], GeneveOptions()] = ()
