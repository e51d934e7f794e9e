"""What one host's iproute2 commands say about its devices.

Commands that make no difference to a tunnel are passed over; what belongs to one and is not known
is refused by name.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from ipaddress import IPv4Interface, IPv6Interface, ip_interface

from encap.errors import TunnelError

__all__ = ["Device", "Host"]

Interface = IPv4Interface | IPv6Interface


@dataclass(slots=True)
class Device:
    """A network device as commands made it.

    kind: what `type` or `mode` calls it.  words: its options.  address: its MAC address.
    addresses: with the prefix that is on the link.
    more: words of other commands about it, by command: `neigh`, `tunnel_key`, `6rd`, `prl`, `fdb`;
        `mode`, where `ip tunnel` made it.
    """

    name: str
    kind: str = ""
    words: list[str] = field(default_factory=list)
    address: str | None = None
    mtu: int | None = None
    addresses: list[Interface] = field(default_factory=list)
    more: dict[str, list[list[str]]] = field(default_factory=dict)


class Host:
    """Devices by name, and what is the whole host's.

    more: words of commands that belong to no device, by command: `fou`, `state`, `policy`.
    """

    def __init__(self, commands: str | Iterable[str]) -> None:
        self.devices: dict[str, Device] = {}
        self.more: dict[str, list[list[str]]] = {}
        lines = commands.splitlines() if isinstance(commands, str) else commands
        for line in lines:
            words = _split(line)
            if words:
                self._run(words)

    def device(self, name: str) -> Device:
        """The device of that name, made where it is new."""
        return self.devices.setdefault(name, Device(name))

    def _run(self, words: list[str]) -> None:
        program, *rest = words
        if program in PASSED:
            return
        while rest and rest[0].startswith("-"):  # ip -6, tc -n
            rest.pop(0)
        for name, command in PROGRAMS.get(program, {}).items():
            said = name.split()
            if len(rest) >= len(said) and all(
                # iproute2 takes any beginning of a word of its own.
                full.startswith(given) and given
                for full, given in zip(said, rest, strict=False)
            ):
                if command is not None:
                    command(self, rest[len(said) :])
                return
        raise TunnelError(f"the command {_named_safely(words)!r} is not known")

    def __repr__(self) -> str:
        return f"<Host: {', '.join(self.devices)}>"


def _split(line: str) -> list[str]:
    """The words of a line, as a shell takes them apart."""
    with suppress(ValueError):
        return shlex.split(line, comments=True)
    raise TunnelError("a quotation mark, or what a backslash is for, is missing in a line")


def _named_safely(words: list[str]) -> str:
    """The beginning of a command, to name it by; of those about IPsec no word that may be a key."""
    program, *rest = words
    if any(_is_short(word, "xfrm") for word in words):
        known = [full for full, word in zip(_XFRM, words, strict=False) if _is_short(word, full)]
        return " ".join(known) or "ip xfrm"
    return " ".join([program, *rest[:2]])


def _is_short(word: str, full: str) -> bool:
    """True for a word, or the beginning of one."""
    return word != "" and full.startswith(word)


def _integer(word: str, name: str) -> int:
    """A word as a number."""
    with suppress(ValueError):
        return int(word)
    raise TunnelError(f"{name} is a number, not {word!r}")


def _add_link(host: Host, words: list[str]) -> None:
    """From `ip link add [link DEVICE] [name] NAME [address MAC] [mtu N] ... type KIND OPTIONS`."""
    rest = iter(words)
    device, below = None, None
    said: dict[str, str] = {}
    for word in rest:
        if word == "type":
            break
        if word in ("link", "address", "mtu", "netns", "txqueuelen", "numtxqueues"):
            said[word] = _next(rest, word)
        else:
            device = host.device(_next(rest, word) if word in ("name", "dev") else word)
    if device is None:
        raise TunnelError(f"ip link add {' '.join(words)}: no device is named")
    device.kind, device.words = next(rest, ""), list(rest)
    below = said.get("link")
    if below is not None:
        device.more["link"] = [[below]]
    device.address = said.get("address", device.address)
    device.mtu = _integer(said["mtu"], "mtu") if "mtu" in said else device.mtu


def _set_link(host: Host, words: list[str]) -> None:
    """From `ip link set [dev] NAME [address MAC] [mtu N] ...`; the rest does not matter here."""
    rest = iter(words)
    name = _next(rest, "set")
    device = host.device(_next(rest, "dev") if name == "dev" else name)
    for word in rest:
        if word == "address":
            device.address = _next(rest, word)
        elif word == "mtu":
            device.mtu = _integer(_next(rest, word), word)
        elif word == "master":
            device.more["master"] = [[_next(rest, word)]]
        elif word == "nomaster":
            device.more.pop("master", None)
        elif word == "type":  # options of a device that is there
            device.words += rest


def _add_tunnel(host: Host, words: list[str]) -> None:
    """From `ip tunnel add NAME mode MODE OPTIONS`."""
    name, *rest = words or [""]
    if name == "name":
        name, *rest = rest or [""]
    if "mode" not in rest[:-1]:
        raise TunnelError(f"ip tunnel add {' '.join(words)}: no mode is given")
    at = rest.index("mode")
    device = host.device(name)
    device.kind, device.words = rest[at + 1], rest[:at] + rest[at + 2 :]
    device.more["mode"] = [[device.kind]]


def _add_address(host: Host, words: list[str]) -> None:
    """From `ip addr add ADDRESS/LENGTH dev NAME`."""
    device = _named(host, words)
    said = words[1] if words[0] == "local" else words[0]
    try:
        device.addresses.append(ip_interface(said))
    except ValueError as error:
        raise TunnelError(f"{said!r} is no IP address") from error


def _add_route(host: Host, words: list[str]) -> None:
    """From `ip route add PREFIX encap ip OPTIONS dev NAME`: what an external device is to write.

    Routes with a gateway are kept for devices that ask for the next hop.
    """
    if "encap" in words:
        at, end = words.index("encap"), words.index("dev") if "dev" in words else len(words)
        if words[at + 1 : at + 2] == ["ip"] or words[at + 1 : at + 2] == ["ip6"]:
            stop = end if end > at else len(words)
            _named(host, words).more.setdefault("tunnel_key", []).append(words[at + 2 : stop])
    elif "via" in words:
        host.more.setdefault("route", []).append(words)


def _add_filter(host: Host, words: list[str]) -> None:
    """From `tc filter add dev NAME egress ... action tunnel_key set OPTIONS [action mirred ...]`.

    A checksum is asked for unless it is told not to be. The device is the one that the packet is
    redirected to, or else the filter's own.
    """
    if "tunnel_key" in words:
        at = words.index("tunnel_key")
        if words[at + 1 : at + 2] == ["set"]:
            said = ["csum", *words[at + 2 :]]
            # An id is a key of GRE here; behind `encap ip` it is one where it is said to be.
            said = ["key", *said] if "id" in said else said
            end = said.index("action") if "action" in said else len(said)
            sent_on = said[end:] if "dev" in said[end:-1] else words
            _named(host, sent_on).more.setdefault("tunnel_key", []).append(said[:end])


def _about(name: str, *verb: str) -> Callable[[Host, list[str]], None]:
    """A command about a device, which is kept as it is, behind its verb if that matters."""

    def command(host: Host, words: list[str]) -> None:
        at = words.index("dev") if "dev" in words else len(words)
        said = [*verb, *words[:at], *words[at + 2 :]]
        _named(host, words).more.setdefault(name, []).append(said)

    return command


def _about_host(name: str) -> Callable[[Host, list[str]], None]:
    """A command about the host, which is kept as it is."""

    def command(host: Host, words: list[str]) -> None:
        host.more.setdefault(name, []).append(words)

    return command


def _named(host: Host, words: list[str]) -> Device:
    """The device behind `dev`."""
    if "dev" not in words[:-1]:
        raise TunnelError(f"{' '.join(words)!r} names no device")
    return host.device(words[words.index("dev") + 1])


def _next(words: Iterator[str], word: str) -> str:
    """The word behind another."""
    found = next(words, None)
    if found is None:
        raise TunnelError(f"{word!r} wants a value")
    return found


_XFRM = ("ip", "xfrm")
PASSED = {"sysctl", "ethtool", "modprobe"}
"""Programs whose settings change nothing in a tunnel."""
PROGRAMS: dict[str, dict[str, Callable[[Host, list[str]], None] | None]] = {
    "ip": {
        "link add": _add_link, "link set": _set_link, "tunnel add": _add_tunnel,
        "tunnel 6rd": _about("6rd"), "tunnel prl": _about("prl"),
        "address add": _add_address, "address replace": _add_address,
        "neighbor add": _about("neigh"), "neighbor replace": _about("neigh"),
        "neighbour add": _about("neigh"), "neighbour replace": _about("neigh"),
        "route add": _add_route, "route replace": _add_route, "route append": _add_route,
        "route": None, "rule": None, "netns": None, "fou add": _about_host("fou"),
        "xfrm state add": _about_host("state"), "xfrm policy add": _about_host("policy"),
        "xfrm state update": _about_host("state"), "xfrm policy update": _about_host("policy"),
    },
    "bridge": {
        "fdb add": _about("fdb", "add"), "fdb append": _about("fdb", "append"),
        "fdb replace": _about("fdb", "replace"),
        "fdb show": None, "link": None, "vlan": None,
    },
    "tc": {"qdisc": None, "filter add": _add_filter},
}  # fmt: skip
"""What each command of a program does; the first one that fits counts."""
