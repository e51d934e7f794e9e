"""Changes as people write them: `inner.ipv4.src=10.1.0.0/16`, `vxlan.vni=42:43,44:45`.

    FIELD=VALUE                 one value: a number, 0x..., an address, a network
    FIELD=OLD:NEW[,OLD:NEW...]  values or networks, and what becomes of them

Between addresses that have colons themselves stands an arrow, `fd00::/64->fd01::/64`, or each
of the two in brackets, `[fd00::/64]:[fd01::/64]`.
"""

from __future__ import annotations

import re
from ipaddress import ip_network
from typing import Any

from encap.errors import FieldError
from encap.rewrite.mappings import is_network
from encap.rewrite.targets import Target, find_target

__all__ = ["parse_change"]

_NUMBER = re.compile(r"(?:0[xX][0-9a-fA-F]+|\d+)\Z")
_BRACKETS = re.compile(r"\[([^\[\]]*)\]:\[([^\[\]]*)\]\Z")


def parse_change(text: str) -> tuple[str, Any]:
    """A field's name and what becomes of it, as `Packets.rewrite` takes them.

    FieldError for text that says neither, and for a field that there is not.
    """
    name, equals, value = text.partition("=")
    name, value = name.strip(), value.strip()
    if not equals or not name or not value:
        raise FieldError(f"{text!r}: FIELD=VALUE or FIELD=OLD:NEW is needed", field=name)
    target = find_target(name)
    pairs = [_pair(target, part.strip()) for part in value.split(",")]
    if len(pairs) == 1 and pairs[0][0] is None:
        return name, _single(target, pairs[0][1])
    found: dict[Any, Any] = {}
    for old, new in pairs:
        if old is None:
            raise FieldError(f"{text!r}: {new!r} is no OLD:NEW", field=name)
        key = _value(target, old)
        if key in found:
            raise FieldError(f"{text!r}: {old!r} is mapped twice", field=name)
        found[key] = _value(target, new)
    return name, found


def _pair(target: Target, text: str) -> tuple[str | None, str]:
    """What is replaced, or None, and what by."""
    old, arrow, new = text.partition("->")
    if arrow:
        return old.strip(), new.strip()
    bracketed = _BRACKETS.match(text)
    if bracketed:
        return bracketed[1], bracketed[2]
    # Colons are part of MAC and IPv6 addresses; of IPv4 addresses and numbers they are not.
    plain = not target.address_bits or "." in text.partition(":")[0]
    if plain and text.count(":") == 1:
        old, _, new = text.partition(":")
        return old.strip(), new.strip()
    return None, text


def _single(target: Target, text: str) -> Any:
    """One value. It is asked here whether it is an address: it may be two with a colon between."""
    value = _value(target, text)
    if target.address_bits and ":" in text:
        try:
            _check_address(target, text)
        except FieldError as error:
            raise FieldError(
                f"{error}; between OLD and NEW that have colons stands an arrow: OLD->NEW",
                field=target.text,
                value=text,
            ) from None
    return value


def _check_address(target: Target, text: str) -> None:
    """FieldError for what is neither an address nor a network."""
    if not is_network(text) or 48 in target.address_bits:
        target.number(text)
        return
    try:
        ip_network(text, strict=False)  # whether it has bits set is asked for later
    except ValueError as error:
        raise target.error(text, str(error)) from None


def _value(target: Target, text: str) -> Any:
    """A number as such; addresses and networks stay text."""
    if target.address_bits:
        return text
    if not _NUMBER.match(text):
        raise FieldError(
            f"{target.text} becomes a number, decimal or 0x..., not {text!r}", field=target.text
        )
    return int(text, 16 if text[:2] in ("0x", "0X") else 10)
