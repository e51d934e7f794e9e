"""Variable parts: options as type, length, value (those of IPv4, TCP and IPv6), and plain octets.

A list of options is a tuple of `Option` and bytes. What cannot be read (a length that
overruns, octets after the end marker) is kept as bytes, so nothing is lost.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from encap.errors import FieldError


@dataclass(frozen=True, slots=True)
class Option:
    """One option: its type and its data, which excludes type and length."""

    type: int
    data: bytes = b""

    def __post_init__(self) -> None:
        if not isinstance(self.type, int):
            raise TypeError(f"an option's type is an integer, not {type(self.type).__name__}")
        if not 0 <= self.type <= 255:
            raise FieldError(f"an option's type is 0 to 255, not {self.type}", field="type")
        if not isinstance(self.data, bytes):
            raise TypeError(f"an option's data is bytes, not {type(self.data).__name__}")


class Options:
    """The codec of a tuple of options.

    single: types that are one octet alone.  end: the type after which nothing counts, or None.
    counts_itself: true where the length covers type and length too (IPv4, TCP).
    unit, most: the whole is padded to a multiple of `unit` and may have at most `most` octets.
    head: octets in front of the options that count for the multiple.
    """

    default: tuple[Option | bytes, ...] = ()

    def __init__(
        self,
        single: tuple[int, ...],
        end: int | None,
        *,
        counts_itself: bool,
        unit: int = 4,
        most: int = 40,
        head: int = 0,
    ) -> None:
        self.single, self.end, self.extra = single, end, 2 if counts_itself else 0
        self.unit, self.most, self.head = unit, most, head

    def parse(self, data: bytes | memoryview, start: int, stop: int) -> tuple[Option | bytes, ...]:
        found: list[Option | bytes] = []
        at = start
        while at < stop:
            kind = data[at]
            if kind in self.single:
                found.append(Option(kind))
                at += 1
                if kind == self.end:
                    break
                continue
            size = data[at + 1] - self.extra if at + 1 < stop else -1
            if size < 0 or size > stop - at - 2:
                break
            found.append(Option(kind, bytes(data[at + 2 : at + 2 + size])))
            at += 2 + size
        if at < stop:
            found.append(bytes(data[at:stop]))
        return tuple(found)

    def build(self, value: tuple[Option | bytes, ...]) -> bytes:
        parts = []
        for option in value:
            if isinstance(option, bytes):
                parts.append(option)
            elif option.type in self.single and not option.data:
                parts.append(bytes((option.type,)))
            else:
                parts.append(bytes((option.type, len(option.data) + self.extra)) + option.data)
        return b"".join(parts)

    def check(self, value: Any, layer: str, field: str) -> tuple[Option | bytes, ...]:
        options = (value,) if isinstance(value, bytes) else tuple(value)
        for option in options:
            if not isinstance(option, Option | bytes):
                raise TypeError(
                    f"{layer}.{field} holds Option and bytes, not {type(option).__name__}"
                )
            if isinstance(option, Option) and len(option.data) + self.extra > 255:
                raise FieldError(
                    f"{layer}.{field}: {len(option.data)} octets do not fit an option",
                    layer=layer, field=field, value=option,
                )  # fmt: skip
        size = len(self.build(options))
        missing = -(size + self.head) % self.unit
        if missing:
            options += self.parse(self.pad(missing), 0, missing)
        if size + missing > self.most:
            raise FieldError(
                f"{layer}.{field} has {size + missing} octets, {self.most} are allowed",
                layer=layer, field=field, value=value,
            )  # fmt: skip
        return options

    def pad(self, count: int) -> bytes:
        """The octets that fill up `count`."""
        return bytes(count)


class Octets:
    """The codec of octets that are kept as they are.

    unit, head: with `head` octets in front, there is always a multiple of `unit`.
    most: how many there may be; None where nothing limits them.
    """

    default = b""

    def __init__(self, unit: int = 1, head: int = 0, most: int | None = None) -> None:
        self.unit, self.head, self.most = unit, head, most

    def parse(self, data: bytes | memoryview, start: int, stop: int) -> bytes:
        return bytes(data[start:stop])

    def build(self, value: bytes) -> bytes:
        return value

    def check(self, value: Any, layer: str, field: str) -> bytes:
        if not isinstance(value, bytes | bytearray | memoryview):
            raise TypeError(f"{layer}.{field} is octets, not {type(value).__name__}")
        found = bytes(value)
        size = len(found)
        if self.most is not None and size > self.most:
            allowed = f"{self.most} are allowed"
        elif (size + self.head) % self.unit:
            allowed = f"a multiple of {self.unit} is needed, counting {self.head} in front"
        else:
            return found
        raise FieldError(
            f"{layer}.{field} has {size} octets, {allowed}", layer=layer, field=field, value=found
        )
