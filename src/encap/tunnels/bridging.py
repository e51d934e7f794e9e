"""`bridge fdb` commands about a VXLAN device, as entries of its forwarding table.

Source: bridge(8); Linux, vxlan_fdb_add and vxlan_fdb_update.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from encap.errors import TunnelError
from encap.tunnels.forwarding import GROUP, FDBEntry
from encap.tunnels.words import Words, flag, number, passed, read, refused, text

__all__ = ["entries"]

_WORDS: Words = {
    "dst": text("dst"), "vni": number("vni"), "port": number("port"), "via": passed(1),
    "self": flag("self"), "master": flag("master"), "permanent": passed(), "local": passed(),
    "static": passed(), "extern_learn": passed(), "router": passed(),
    "dynamic": refused("dynamic: an entry that grows old is one that is learned"),
}  # fmt: skip


def entries(listed: Iterable[list[str]], *, default: bool, what: str) -> tuple[FDBEntry, ...]:
    """What the commands leave in the table.

    listed: words of each, behind its verb.  default: there is an entry already for all frames that
    no other one is for: the device has a remote, or a group.
    TunnelError where the kernel refuses a command.
    """
    found: list[FDBEntry] = []
    for verb, *words in listed:
        if not words:
            raise TunnelError(f"{what}: bridge fdb {verb} names no address")
        said: dict[str, Any] = read(iter(words[1:]), _WORDS, f"{what}: bridge fdb")
        own, bridge = said.pop("self", False), said.pop("master", False)
        if bridge and not own:
            continue  # the bridge's own table
        entry = FDBEntry(mac=words[0], **said)
        _enter(found, entry, verb, default=default, what=what)
    return tuple(found)


def _enter(found: list[FDBEntry], entry: FDBEntry, verb: str, *, default: bool, what: str) -> None:
    """One command more."""
    many = not entry.number or bool(entry.number & GROUP)
    mine = [one for one in found if one.number == entry.number]
    there = bool(mine) or (default and not entry.number)
    if verb == "add" and there:
        raise TunnelError(f"{what}: bridge fdb add {entry.mac}: it is there; append to it")
    if verb == "replace" and many:
        raise TunnelError(f"{what}: bridge fdb replace {entry.mac}: not for what goes to many")
    if verb == "replace" and mine:
        found[found.index(mine[0])] = entry
    elif not mine or (many and entry not in mine):
        found.append(entry)
