"""Templates: what encapsulation puts in front of packets, and which stacks of headers can be that.

Whether the last header can carry a packet is not asked here: that depends on the packet.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

from encap.errors import FieldError
from encap.fields import Header, Next, Port
from encap.packet import Packet
from encap.registry import Registry
from encap.template import template as read_template

__all__ = ["FIRST_OCTETS", "LINKTYPES", "as_template", "leads", "require_whole"]

LINKTYPES = {"eth": 1, "sll": 113, "sll2": 276, "null": 0, "ipv4": 101, "ipv6": 101}
"""The link type of packets that begin with a header; with no other can one begin."""
FIRST_OCTETS = {"eth": bytes(14), "ipv4": b"\x45", "ipv6": b"\x60"}
"""What a header that says nothing of what follows it may tell by."""


def as_template(given: Packet | Header | str) -> Packet:
    """A template in any of its forms as a `Packet` of headers alone.

    FieldError when it has none, or has more; ExpressionError for text that is no template.
    """
    if isinstance(given, str):
        given = read_template(given)
    if isinstance(given, Header):
        given = Packet(given)
    if not isinstance(given, Packet):
        raise TypeError(f"a template is a Packet or its text, not {type(given).__name__}")
    if not given.headers or given.payload or given.trailers or given.broken:
        raise FieldError(
            "a template is made of headers alone: at least one, and no payload", field="template"
        )
    return given


def leads(role: object) -> bool:
    """True for the role of a field that says which header follows."""
    return isinstance(role, Next) or (isinstance(role, Port) and role.known)


def require_whole(
    headers: Sequence[Header],
    registry: Registry,
    varies: Callable[[int, str], bool] | None = None,
) -> None:
    """FieldError when nobody who reads a packet would find all headers of a template.

    Numbers that are given, in the template or as a column, are kept, right or wrong.

    varies: whether the field of that name, in the header of that index, is given as a column.
    """
    first = headers[0].path
    if first not in LINKTYPES:
        raise FieldError(
            f"no packet begins with {first}: the template is to begin with {', '.join(LINKTYPES)}",
            layer=first,
        )
    for index, (header, follower) in enumerate(pairwise(headers)):
        if varies is None or not any(varies(index, name) for name in header.fields):
            _require_carrying(header, follower, registry)
        for name, _, role, _, field, _, _ in header.dependent:
            space = role.space if isinstance(role, Next) else "port"
            if (
                not leads(role)
                or getattr(header, name) is not None
                or follower.path == "llc"
                or follower.number(registry, space) is not None
                or (varies and varies(index, field.name))
            ):
                continue
            raise FieldError(
                f"{header.path} cannot carry {follower.path}: no {header.path}.{name} is known for"
                " it, so give it, or what is to stand between the two",
                layer=header.path,
                field=name,
            )


def _require_carrying(header: Header, follower: Header, registry: Registry) -> None:
    """FieldError for a header that says nothing of what follows, when that is never `follower`."""
    if any(leads(entry.role) for entry in header.dependent):
        return
    found = header.follows(registry, memoryview(FIRST_OCTETS.get(follower.path, b"")))
    if found == follower.path:
        return
    why = f"as it stands, {found or 'nothing that is known'} follows it"
    if header.path == follower.path == "mpls":
        why = "bos=0 says that another entry of the stack follows"
    raise FieldError(f"{header.path} cannot carry {follower.path}: {why}", layer=header.path)
