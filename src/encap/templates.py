"""What a call of `encap` wants of its templates, and the plans that it gets.

Plans are kept: for batches of a few thousand packets making them would cost more than the work.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from encap.arrays import is_one_of
from encap.assemble import present
from encap.errors import FieldError
from encap.fields import Field, View
from encap.flow import SourcePorts, _formula
from encap.names import MEMBERS, parse_name
from encap.native import Native
from encap.outer import LINKTYPES, as_template, require_whole
from encap.packet import Packet, _changed
from encap.plan import CARRIED, Plan, Slot
from encap.planning import compile_plan
from encap.registry import HEADERS, Registry
from encap.template import template as read_template

if TYPE_CHECKING:
    from encap.template_columns import Columns

__all__ = ["Compiled", "Wishes", "compiled"]

ECN = {"copy": "ECN", "linux": "ECN_LINUX"}
"""What `ecn` may be, and the core's name for it."""
DF_BIT = View("flags", 1, 1)
DF = {"set": 1, "unset": 0, "inherit": "inherit"}


@dataclass(frozen=True, slots=True)
class Wishes:
    """The options of a call, as far as they decide about plans.

    columns: names of fields that have a value a packet.  scalars: fields with one value for all.
    ports: how source ports are made of flows, or None.  For the others see `Packets.encap`;
    "column" stands for an array.
    """

    columns: tuple[str, ...]
    scalars: tuple[tuple[str, Any], ...]
    sport: int | str
    ports: SourcePorts | None
    udp_checksum: bool | None
    ttl: int | str | None
    tos: int | str | None
    ecn: str | None
    df: int | str | None
    ip_id: int | str
    seq: int | str | None

    @classmethod
    def of(
        cls,
        given: Columns,
        *,
        sport: Any,
        udp_checksum: bool | None,
        ttl: int | str | None,
        tos: int | str | None,
        ecn: str | None,
        df: bool | int | str | None,
        ip_id: Any,
        seq: Any,
    ) -> Wishes:
        """The options of a call, checked; arrays among them go to `given`."""
        if ecn is not None and not is_one_of(ecn, ECN):
            raise FieldError(f"ecn is one of {', '.join(ECN)}, not {ecn!r}", field="ecn")
        if udp_checksum is not None and not isinstance(udp_checksum, int | np.bool_):
            raise TypeError(f"udp_checksum is True, False or None, not {udp_checksum!r}")
        if isinstance(df, str):
            if df not in DF:
                raise FieldError(f"df is one of {', '.join(DF)}, not {df!r}", field="df")
            df = DF[df]  # type: ignore[assignment]  # a number, or the word itself
        ip_id = given.option("ip_id", ip_id, ("zero", "increment"))
        seq = given.option("seq", seq, ("increment",))
        for name, number, most in (("ip_id", ip_id, 0xFFFF), ("seq", seq, 0xFFFFFFFF)):
            if isinstance(number, int) and not 0 <= number <= most:
                raise FieldError(f"{name} is 0 to {most}, not {number}", field=name, value=number)
        ports = None
        if isinstance(sport, str | tuple | SourcePorts):
            ports, sport = _formula(sport), "flow"
        else:
            sport = given.option("sport", sport, ())
        return cls(
            given.varying, given.scalars, sport, ports,
            None if udp_checksum is None else bool(udp_checksum),
            _number("ttl", ttl, ("inherit",), 255), _number("tos", tos, ("inherit",), 255),
            ecn, None if df is None else _number("df", df, ("inherit",), 1), ip_id, seq,
        )  # fmt: skip


def _number(name: str, value: Any, words: tuple[str, ...], most: int) -> Any:
    """`value`, a number, one of some words, or None."""
    if value is None or is_one_of(value, words):
        return value
    if not isinstance(value, int | np.integer):
        raise FieldError(f"{name} is a number or {words[0]!r}, not {value!r}", field=name)
    if not 0 <= value <= most:
        raise FieldError(f"{name} is 0 to {most}, not {value}", field=name, value=value)
    return int(value)


@dataclass(frozen=True, slots=True)
class Compiled:
    """A template: one plan for each of `CARRIED`, or the error that says why there is none.

    fields: what each column of the call means in it: field and view.
    """

    plans: tuple[Plan | FieldError, ...]
    natives: tuple[Native | None, ...]
    fields: tuple[tuple[str, Field, View | None], ...]
    linktype: int

    def refusal(self, first: bytes, linktype: int) -> FieldError:
        """Why a packet that begins with these octets is not carried."""
        from encap.walk import KINDS, rules

        kind = rules().linktype[linktype] if linktype < 512 else 0
        version = first[0] >> 4 if first else 0
        name = KINDS[kind] if kind < len(KINDS) else {4: "ipv4", 6: "ipv6"}.get(version)
        wanted = name if name in CARRIED else None
        problem = self.plans[CARRIED.index(wanted)]
        return problem if isinstance(problem, FieldError) else FieldError("it is not carried")


def compiled(template: Any, wishes: Wishes) -> tuple[Compiled, ...]:
    """The plans of one template or of several. FieldError for one that nothing can be put in."""
    several = isinstance(template, Sequence) and not isinstance(template, str)
    wanted = tuple(map(_template, template)) if several else (_template(template),)
    if not 1 <= len(wanted) <= 256:
        raise FieldError(f"1 to 256 templates are needed, not {len(wanted)}", field="template")
    # Packets are equal whatever registry they know; what follows what is not.
    return _all_compiled(tuple((one, one.registry) for one in wanted), wishes)


@lru_cache(maxsize=64)
def _all_compiled(
    templates: tuple[tuple[Packet, Registry], ...], wishes: Wishes
) -> tuple[Compiled, ...]:
    wanted = [one for one, _ in templates]
    made = tuple(_compiled(one, wishes) for one in wanted)
    for name in (*wishes.columns, *(name for name, _ in wishes.scalars)):
        if not any(_find(one, name) for one in wanted):
            raise FieldError(f"no template has {name}: {', '.join(p.path for p in wanted)}",
                             field=name)  # fmt: skip
    return made


def _template(given: Any) -> Packet:
    return as_template(_of_text(given) if isinstance(given, str) else given)


@lru_cache(maxsize=64)
def _of_text(text: str) -> Packet:
    return read_template(text)


def _compiled(template: Packet, wishes: Wishes) -> Compiled:
    asked = _Template(template, wishes)
    require_whole(asked.headers, template.registry, asked.is_named)
    plans: list[Plan | FieldError] = []
    for carried in CARRIED:
        try:
            plans.append(compile_plan(asked.headers, template.registry, asked.slots, carried))
        except FieldError as error:
            plans.append(error)
    # What is wrong with the template itself is said at once.
    problems = [plan for plan in plans if isinstance(plan, FieldError)]
    if len(problems) == len(plans):
        raise problems[0]
    linktype = LINKTYPES.get(template.headers[0].path, 101)
    fields = tuple((s.key, s.field, s.view) for s in asked.slots if s.source == "COLUMN")
    natives = [Native(p, wishes.ports) if isinstance(p, Plan) else None for p in plans]
    return Compiled(tuple(plans), tuple(natives), fields, linktype)


def _find(template: Packet, text: str) -> tuple[int, Field, View | None] | None:
    """The header of the template that a name means, the field, and the view; or None."""
    name = parse_name(text)
    if name.protocol not in HEADERS and name.protocol not in MEMBERS:
        template._find(name)  # which says what exists
    if name.field is None or name.presence:
        raise FieldError(f"{text!r} names no field", field=text)
    index = template._find(name)
    if index is None:
        return None
    header = template.headers[index]
    field, view = name.field_in(type(header))
    optional = field.when is not None and field.variable is None
    return None if optional and not present(header, field) else (index, field, view)


class _Template:
    """One template with the wishes put in: constants in its headers, and slots for what varies.

    What is named as a column goes before options that would give the same field.
    """

    def __init__(self, template: Packet, wishes: Wishes) -> None:
        self.template, self.wishes = template, wishes
        self.headers = list(template.headers)
        self.slots: list[Slot] = []
        self.named: list[tuple[int, Field, View | None]] = []
        for text, value in wishes.scalars:
            found = _find(template, text)
            if found is not None:
                header = self.headers[found[0]]
                self.headers[found[0]] = _changed(header, parse_name(text), value)
                self.named.append(found)
        for text in wishes.columns:
            found = _find(template, text)
            if found is not None:
                self._require_free(text, *found)
                self.slots.append(Slot(*found, "COLUMN", key=text))
                self.named.append(found)
        for index in range(len(self.headers)):
            self._wish(index)

    def _require_free(self, text: str, index: int, field: Field, _: View | None) -> None:
        """FieldError for a field that says which others there are: all packets have the same."""
        header = self.headers[index]
        for other in header.fields.values():
            if other.when is not None and field.name in {name for name, _, _ in other.when.tests}:
                raise FieldError(
                    f"{text} cannot be a column: it says whether there is a {other.name}",
                    layer=header.path, field=text,
                )  # fmt: skip

    def _wish(self, index: int) -> None:
        """What the options want of one header."""
        path = self.headers[index].path
        if path in ("ipv4", "ipv6"):
            self._of_ip(index, path)
        elif path == "udp":
            self._of_udp(index)
        elif path == "gre":
            self._of_gre(index)

    def _of_ip(self, index: int, path: str) -> None:
        wishes = self.wishes
        self._put(index, "ttl" if path == "ipv4" else "hop_limit", wishes.ttl, "TTL")
        if wishes.tos == "inherit":
            self._vary(index, "dscp", "DSCP")
            if wishes.ecn is None:
                self._vary(index, "ecn", "ECN")
        elif isinstance(wishes.tos, int):
            self._set(index, "dscp", wishes.tos >> 2)
            self._set(index, "ecn", wishes.tos & 3)
        if wishes.ecn is not None:
            self._vary(index, "ecn", ECN[wishes.ecn])
        if path == "ipv4":
            self._put(index, "df", wishes.df, "DF")
            self._of_id(index)

    def _of_id(self, index: int) -> None:
        header: Any = self.headers[index]
        if self.wishes.ip_id == "column":
            self._vary(index, "id", "COLUMN", key="ip_id")
        elif self.wishes.ip_id != "zero":
            start = header.id if self.wishes.ip_id == "increment" else self.wishes.ip_id
            self._vary(index, "id", "ROW", int(start))

    def _of_udp(self, index: int) -> None:
        header: Any = self.headers[index]
        if self.wishes.udp_checksum or (
            self.wishes.udp_checksum is not None and header.checksum is None
        ):
            self._set(index, "checksum", None if self.wishes.udp_checksum else 0)
        if header.sport is None:
            if isinstance(self.wishes.sport, int):
                self._set(index, "sport", self.wishes.sport)
            elif self.wishes.sport == "column":
                self._vary(index, "sport", "COLUMN", key="sport")
            else:
                self._vary(index, "sport", "FLOW")

    def _of_gre(self, index: int) -> None:
        header: Any = self.headers[index]
        if self.wishes.seq is None or header.seq is None:
            return
        if self.wishes.seq == "column":
            self._vary(index, "seq", "COLUMN", key="seq")
        else:
            start = header.seq if self.wishes.seq == "increment" else self.wishes.seq
            self._vary(index, "seq", "ROW", int(start))

    def _put(self, index: int, name: str, value: int | str | None, source: str) -> None:
        """A number for all packets, or what a packet gives."""
        if value == "inherit":
            self._vary(index, name, source)
        elif isinstance(value, int):
            self._set(index, name, value)

    def is_named(self, index: int, name: str) -> bool:
        """True when a column gives the field or view, or a part of it."""
        field, view = self._field(index, name)
        return any(
            index == other
            and field.name == theirs.name
            and _bits(field, view) & _bits(theirs, part)
            for other, theirs, part in self.named
        )

    def _field(self, index: int, name: str) -> tuple[Field, View | None]:
        kind = type(self.headers[index])
        view = DF_BIT if name == "df" else kind.views.get(name)
        return kind.fields[view.field if view else name], view

    def _set(self, index: int, name: str, value: int | None) -> None:
        """The same number in all packets."""
        if self.is_named(index, name):
            return
        header: Any = self.headers[index]
        field, view = self._field(index, name)
        if view is not None:
            rest = getattr(header, field.name) & ~_bits(field, view)
            value = rest | (value or 0) << view.shift
        checked = type(header)(**{field.name: value})
        self.headers[index] = header._with({field.name: getattr(checked, field.name)})

    def _vary(self, index: int, name: str, source: str, add: int = 0, key: str = "") -> None:
        """A field, or a view of one, that is not the same in every packet."""
        if not self.is_named(index, name):
            self.slots.append(Slot(index, *self._field(index, name), source, add, key))


def _bits(field: Field, view: View | None) -> int:
    """The bits of a field that are meant, as a mask."""
    return (1 << view.bits) - 1 << view.shift if view else (1 << max(field.bits, 1)) - 1
