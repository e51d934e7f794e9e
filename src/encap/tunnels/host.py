"""What one host's iproute2 commands say about its devices.

Commands that make no difference to a tunnel are passed over; what belongs to one and is not known
is refused by name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from ipaddress import IPv4Interface, IPv6Interface, ip_interface

from encap.errors import TunnelError
from encap.tunnels.shell import Command, commands
from encap.tunnels.words import meant

__all__ = ["Device", "Host"]

Interface = IPv4Interface | IPv6Interface


@dataclass(slots=True)
class Device:
    """A network device as commands made it.

    kind: what `type` or `mode` calls it.  words: its options.  changes: those that other commands
        gave it later.  address: its MAC address.  netns: the namespace that it is in.
    addresses: with the prefix that is on the link.
    more: words of other commands about it, by command: `neigh`, `tunnel_key`, `6rd`, `prl`, `fdb`;
        `mode`, where `ip tunnel` made it.
    """

    name: str
    kind: str = ""
    words: list[str] = field(default_factory=list)
    changes: list[list[str]] = field(default_factory=list)
    netns: str | None = None
    address: str | None = None
    mtu: int | None = None
    addresses: list[Interface] = field(default_factory=list)
    more: dict[str, list[list[str]]] = field(default_factory=dict)


class Host:
    """Devices by name, and what is the whole host's.

    more: words of commands that belong to no device, by command: `fou`, `state`, `policy`.
    """

    def __init__(self, text: str | Iterable[str]) -> None:
        self.devices: dict[str, Device] = {}
        self.more: dict[str, list[list[str]]] = {}
        self._netns: str | None = None
        for command in commands(text):
            self._netns = command.netns
            self._run(command)

    def device(self, name: str) -> Device:
        """The device of that name, made where it is new. TunnelError where there are two."""
        found = self.devices.setdefault(name, Device(name, netns=self._netns))
        if found.netns != self._netns:
            here, there = (one or "the host itself" for one in (self._netns, found.netns))
            raise TunnelError(
                f"{name} is in {there} and in {here}: give the commands of one namespace"
            )
        return found

    def _run(self, command: Command) -> None:
        program, rest, _ = command
        if program in PASSED:
            return
        if program not in PROGRAMS:
            raise TunnelError(_unknown(program))
        for name, run in PROGRAMS[program].items():
            said = name.split()
            if len(rest) >= len(said) and all(
                # iproute2 takes any beginning of a word of its own.
                full.startswith(given) and given
                for full, given in zip(said, rest, strict=False)
            ):
                if run is not None:
                    run(self, rest[len(said) :])
                return
        raise TunnelError(f"the command {command.name!r} is not known")

    def __repr__(self) -> str:
        return f"<Host: {', '.join(self.devices)}>"


def _unknown(program: str) -> str:
    """What is said of a program that is none; a word that may be a key is not repeated."""
    plain = re.fullmatch(r"[A-Za-z][A-Za-z_.+-]*", program)
    named = repr(program) if plain else "a line's first word"
    return (
        f"{named} is no program that is known: {', '.join(PROGRAMS)} are;"
        " variables and loops of a shell are not worked out"
    )


def _add_link(host: Host, words: list[str]) -> None:
    """From `ip link add [link DEVICE] [name] NAME [address MAC] [mtu N] ... type KIND OPTIONS`."""
    rest = iter(words)
    name: str | None = None
    said: dict[str, str] = {}
    for word in rest:
        if word == "type":
            break
        if word in ("name", "dev"):
            name = _next(rest, word)
        elif word in VALUED:
            said[word] = _next(rest, word)
        elif word in ALONE:
            continue
        elif name is None:
            name = word
        else:
            raise TunnelError(f"ip link add {name}: {word!r} is not known{meant(word, VALUED)}")
    if name is None:
        raise TunnelError(f"ip link add {' '.join(words)}: no device is named")
    device = host.device(name)
    device.kind, device.words = next(rest, ""), list(rest)
    device.netns = said.get("netns", device.netns)
    if "link" in said:
        device.more["link"] = [[said["link"]]]
    device.address = said.get("address", device.address)
    device.mtu = _number("mtu", said["mtu"]) if "mtu" in said else device.mtu


def _set_link(host: Host, words: list[str]) -> None:
    """From `ip link set [dev] NAME [address MAC] [mtu N] ...`; the rest does not matter here."""
    rest = iter(words)
    name = _next(rest, "set")
    device = host.device(_next(rest, "dev") if name == "dev" else name)
    for word in rest:
        if word == "address":
            device.address = _next(rest, word)
        elif word == "mtu":
            device.mtu = _number(word, _next(rest, word))
        elif word == "master":
            device.more["master"] = [[_next(rest, word)]]
        elif word == "nomaster":
            device.more.pop("master", None)
        elif word == "netns":
            device.netns = _next(rest, word)
        elif word == "name":
            del host.devices[device.name]
            device.name = _next(rest, word)
            host.devices[device.name] = device
        elif word == "type":
            _change(device, _next(rest, word), list(rest))


def _change(device: Device, kind: str, words: list[str]) -> None:
    """Options of a device that is there."""
    if kind.endswith("_slave"):  # what a bridge is to do with it
        return
    if device.kind not in ("", kind) and "mode" not in device.more:
        raise TunnelError(f"{device.name} is of type {device.kind!r}, not {kind!r}")
    device.changes.append(words)


def _delete(host: Host, words: list[str]) -> None:
    """From `ip link del [dev] NAME`, and `ip tunnel del NAME`: the device is gone."""
    name = next((word for word in words if word not in ("dev", "name")), "")
    host.devices.pop(name, None)


def _add_tunnel(host: Host, words: list[str]) -> None:
    """From `ip tunnel add NAME mode MODE OPTIONS`."""
    name, rest = _tunnel(words)
    if "mode" not in rest[:-1]:
        raise TunnelError(f"ip tunnel add {' '.join(words)}: no mode is given")
    at = rest.index("mode")
    device = host.device(name)
    device.kind, device.words = rest[at + 1], rest[:at] + rest[at + 2 :]
    device.more["mode"] = [[device.kind]]


def _change_tunnel(host: Host, words: list[str]) -> None:
    """From `ip tunnel change NAME OPTIONS`."""
    name, rest = _tunnel(words)
    if "mode" in rest[:-1]:
        at = rest.index("mode")
        rest = rest[:at] + rest[at + 2 :]
    host.device(name).changes.append(rest)


def _tunnel(words: list[str]) -> tuple[str, list[str]]:
    """The name of a tunnel, and its options."""
    name, *rest = words or [""]
    if name == "name":
        name, *rest = rest or [""]
    return name, rest


def _add_address(host: Host, words: list[str]) -> None:
    """From `ip addr add ADDRESS/LENGTH dev NAME`."""
    _named(host, words).addresses.append(_interface(words))


def _delete_address(host: Host, words: list[str]) -> None:
    """From `ip addr del ADDRESS/LENGTH dev NAME`."""
    device, gone = _named(host, words), _interface(words)
    device.addresses = [one for one in device.addresses if one.ip != gone.ip]


def _flush_addresses(host: Host, words: list[str]) -> None:
    """From `ip addr flush dev NAME`."""
    _named(host, words).addresses.clear()


def _interface(words: list[str]) -> Interface:
    """The address that a command begins with. TunnelError for anything else."""
    word = words[1] if words[0] == "local" else words[0]
    try:
        return ip_interface(word)
    except ValueError as error:
        raise TunnelError(f"{word!r} is no IP address") from error


def _number(name: str, word: str) -> int:
    """A number. TunnelError for anything else."""
    try:
        return int(word, 0)
    except ValueError as error:
        raise TunnelError(f"{name} is a number, not {word!r}") from error


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


PASSED = {
    "sysctl", "ethtool", "modprobe", "iptables", "ip6tables", "nft", "set", "echo", "printf",
    "true", ":", "sleep", "ping", "exit",
}  # fmt: skip
"""Programs that make no tunnel: what they do to a packet is done outside of one."""
VALUED = {
    "link", "address", "broadcast", "brd", "mtu", "netns", "txqueuelen", "txqlen", "qlen",
    "numtxqueues", "numrxqueues", "index", "group", "alias", "master", "link-netns",
    "link-netnsid", "gso_max_size", "gso_max_segs", "gro_max_size", "gso_ipv4_max_size",
    "gro_ipv4_max_size", "addrgenmode", "arp", "multicast", "allmulticast", "promisc", "dynamic",
    "trailers", "protodown", "carrier",
}  # fmt: skip
"""Words in front of `type` that have a value."""
ALONE = {"up", "down"}
PROGRAMS: dict[str, dict[str, Callable[[Host, list[str]], None] | None]] = {
    "ip": {
        "link add": _add_link, "link set": _set_link, "link change": _set_link,
        "link replace": _add_link, "link delete": _delete, "link show": None, "link list": None,
        "tunnel add": _add_tunnel, "tunnel change": _change_tunnel, "tunnel delete": _delete,
        "tunnel show": None, "tunnel list": None,
        "tunnel 6rd": _about("6rd"), "tunnel prl": _about("prl"),
        "address add": _add_address, "address replace": _add_address,
        "address change": _add_address, "address delete": _delete_address,
        "address flush": _flush_addresses, "address show": None, "address list": None,
        "neighbor show": None, "neighbour show": None,
        "neighbor add": _about("neigh"), "neighbor replace": _about("neigh"),
        "neighbour add": _about("neigh"), "neighbour replace": _about("neigh"),
        "route add": _add_route, "route replace": _add_route, "route append": _add_route,
        "route": None, "rule": None, "netns": None, "nexthop": None, "monitor": None,
        "maddress": None, "mroute": None, "fou show": None, "fou add": _about_host("fou"),
        "xfrm state add": _about_host("state"), "xfrm policy add": _about_host("policy"),
        "xfrm state update": _about_host("state"), "xfrm policy update": _about_host("policy"),
    },
    "bridge": {
        "fdb add": _about("fdb", "add"), "fdb append": _about("fdb", "append"),
        "fdb replace": _about("fdb", "replace"),
        "fdb show": None, "link": None, "vlan": None, "vni": None, "monitor": None,
    },
    "tc": {"qdisc": None, "class": None, "filter show": None, "filter add": _add_filter},
}  # fmt: skip
"""What each command of a program does; the first one that fits counts."""
