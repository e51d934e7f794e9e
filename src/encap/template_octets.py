"""The part of a template that is the same in every packet: its octets, and where fields stand.

What differs from packet to packet is said by `encap.planning`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from encap.assemble import number_of, present
from encap.errors import FieldError
from encap.fields import Field, Header, Next
from encap.outer import FIRST_OCTETS, leads
from encap.plan import MOST_OPTIONS, Slot
from encap.registry import Registry

__all__ = ["TemplateOctets"]


class TemplateOctets:
    """The headers of a template, for packets that begin with the header called `carried`.

    octets: the headers as they are in every packet, zeros where something varies.
    starts: where each header begins in them, and where the last one ends.
    slots, holes: the columns of fields, and of options with the index of the header that has them.
    """

    def __init__(
        self,
        headers: tuple[Header, ...],
        registry: Registry,
        slots: tuple[Slot, ...],
        carried: str | None,
    ) -> None:
        self.registry, self.carried = registry, carried
        self.holes: list[tuple[int, Slot]] = []
        self.slots: list[Slot] = []
        for slot in slots:
            if slot.field.variable is None:
                self.slots.append(slot)
            elif headers[slot.header].path not in MOST_OPTIONS:
                name = f"{headers[slot.header].path}.{slot.field.name}"
                raise FieldError(f"{name} cannot be a column", field=name)
            else:
                self.holes.append((slot.header, slot))
        self.holes.sort(key=lambda hole: hole[0])
        self.given = {(slot.header, slot.field.name) for slot in slots}
        self.headers = tuple(self._blank(index, header) for index, header in enumerate(headers))
        self._require_addresses()
        parts = [self._octets(index) for index in range(len(self.headers))]
        self.starts = [sum(map(len, parts[:index])) for index in range(len(parts) + 1)]
        self.octets = b"".join(parts)

    def _blank(self, index: int, header: Header) -> Header:
        """The header with zeros where columns go, and without options that are a column."""
        changes: dict[str, Any] = {}
        for name, field in header.fields.items():
            if (index, name) in self.given and field.variable is not None:
                changes[name] = field.variable.default
            elif (index, name) in self.given and field.address is not None:
                changes[name] = field.address.zero
        return header._with(changes) if changes else header

    def _require_addresses(self) -> None:
        for header in self.headers:
            for name, field in header.fields.items():
                if field.address is not None and getattr(header, field.slot) is None:
                    if field.optional:
                        continue
                    raise FieldError(
                        f"{header.path}.{name} is missing: give it in the template or as a column",
                        layer=header.path,
                        field=name,
                    )

    def _octets(self, index: int) -> bytes:
        """The octets of a header, with the next protocol and the port of what follows."""
        header, values, told = self.headers[index], {}, {}
        for name, argument, role, _, _, _, _ in self._open(index):
            if leads(role):
                space = role.space if isinstance(role, Next) else "port"
                told[name] = values[argument] = self._number(index, name, space)
        if index + 1 == len(self.headers):
            self._require_carrying(header, told)
        return header._build(**values)

    def _open(self, index: int) -> Iterator[Any]:
        """The fields of a header that are to be filled in."""
        header = self.headers[index]
        for entry in header.dependent:
            open_ = getattr(header, entry.name) is None and (index, entry.name) not in self.given
            if open_ and present(header, entry.field):
                yield entry

    def _number(self, index: int, name: str, space: str) -> int:
        """What a header says of the one that follows."""
        header = self.headers[index]
        found: int | None
        if index + 1 < len(self.headers):
            found = number_of(header, space, self.headers[index + 1], b"", self.registry)
        else:
            found = None if self.carried is None else self.registry.number(space, self.carried)
            if found is None:
                raise self._cannot_carry(f": no {header.path}.{name} is known for them, so give it")
        return found

    def _require_carrying(self, last: Header, told: dict[str, int]) -> None:
        """FieldError when the last header says that something else follows, or nothing can.

        told: the numbers of what follows that were left open; one that was given is kept, right
        or wrong.
        """
        if not told and any(leads(entry.role) for entry in last.dependent):
            return
        first = memoryview(FIRST_OCTETS.get(self.carried or "", b""))
        follows = last._with(told).follows(self.registry, first)
        if follows is None or follows != self.carried:
            ethernet = follows == "eth" and self.carried in ("ipv4", "ipv6")
            raise self._cannot_carry(": put eth(src=...,dst=...) behind it" if ethernet else "")

    def _cannot_carry(self, why: str) -> FieldError:
        last = self.headers[-1]
        what = {"eth": "Ethernet frames", "ipv4": "IPv4 packets", "ipv6": "IPv6 packets"}.get(
            self.carried or "", "packets of this link type"
        )
        return FieldError(f"{last.path} cannot carry {what}{why}", layer=last.path)

    def _bit(self, index: int, field: Field) -> int:
        """Where a field of a header starts, in bits of the template."""
        header = self.headers[index]
        first = self.starts[index] * 8 + field.offset
        if field.optional:
            first += header.fixed_len * 8 - field.offset
            first += sum(
                other.bits
                for other in header.fields.values()
                if other.optional and other.offset < field.offset and present(header, other)
            )
        return first

    def _hole_at(self, index: int) -> int:
        """Where the options of a header go: at its end."""
        return self.starts[index + 1]

    def _holes_before(self, at: int) -> int:
        """How many holes are in front of template octet `at`."""
        return sum(self._hole_at(index) <= at for index, _ in self.holes)
