"""What an external device is told about each packet: by a route, or by a filter.

Every route and filter of a device must say the same: to which packets one applies is not looked
at. Where packets differ, columns say so.  Source: ip-route(8), `encap ip`; tc-tunnel_key(8).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from encap.errors import EncapError, TunnelError
from encap.headers.geneve import GeneveOption
from encap.tunnels.words import Word, Words, flag, number, passed, read, text

if TYPE_CHECKING:
    from encap.tunnels.host import Device

__all__ = ["metadata"]


def _options(listed: str) -> tuple[GeneveOption, ...]:
    """Geneve options as iproute2 writes them: `class:type:data,...`, hexadecimal digits."""
    found = []
    for one in listed.split(","):
        parts = one.split(":")
        if len(parts) != 3:
            raise ValueError(one)
        try:
            option = GeneveOption(int(parts[0], 16), int(parts[1], 16), bytes.fromhex(parts[2]))
        except EncapError as error:
            raise TunnelError(f"geneve_opts: {error}") from error
        found.append(option)
    return tuple(found)


_WORDS: Words = {
    "id": number("id"), "dst": text("remote"), "dst_ip": text("remote"), "src": text("local"),
    "src_ip": text("local"), "dst_port": number("dstport"), "tos": number("tos"),
    "tc": number("tos"), "ttl": number("ttl"), "hoplimit": number("ttl"), "csum": flag("csum"),
    "nocsum": flag("csum", value=False), "nofrag": flag("df", "set"),
    "geneve_opts": Word("options", 1, _options), "vxlan_opts": number("mark"),
    "key": flag("keyed"), "seq": flag("seq"),
    # What becomes of a packet behind the action.
    "pipe": passed(), "pass": passed(), "ok": passed(), "continue": passed(),
}  # fmt: skip


def metadata(device: Device) -> dict[str, Any]:
    """Arguments that routes and filters give: `id remote local tos ttl csum df options ...`.

    TunnelError where they differ, or say what is not known.
    """
    what = f"{device.name}: tunnel_key"
    said = [read(iter(words), _WORDS, what) for words in device.more.get("tunnel_key", [])]
    if any(one != said[0] for one in said):
        raise TunnelError(
            f"routes and filters of {device.name} say different things: leave them out, and give"
            " columns that say what each packet gets"
        )
    return said[0] if said else {}
