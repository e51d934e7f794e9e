"""The commands of the golden scenarios: which tunnel devices they make, over which addresses.

A small reading of iproute2's words: exactly the options that scenarios with clear text use. Any
other one is a `NoTemplateError`, and so is a device that no template can stand for.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import golden

COMMANDS: dict[str, list[str]] = json.loads((golden.FOLDER / "commands.json").read_text())

FLAGS = {
    "csum", "encap-csum", "encap-remcsum", "external", "gbp", "gpe", "innerprotoinherit", "nocsum",
    "nopmtudisc", "noudpcsum", "remcsumrx", "remcsumtx", "seq", "udp6zerocsumrx", "udp6zerocsumtx",
    "udpcsum",
}  # fmt: skip
VALUED = {
    "df", "dst_ip", "dst_port", "dst", "dstport", "encap", "encap-dport", "encap-sport",
    "encaplimit", "erspan", "erspan_dir", "erspan_hwid", "erspan_ver", "flowlabel", "geneve_opts",
    "hoplimit", "id", "key", "local", "mode", "remote", "src", "src_ip", "tclass", "tos", "ttl",
}  # fmt: skip
SAME = {
    "dst": "remote", "dst_ip": "remote", "dst_port": "dstport", "hoplimit": "ttl", "src": "local",
    "src_ip": "local", "tclass": "tos",
}  # fmt: skip
"""Words that another command, or device, has for an option."""


class NoTemplateError(Exception):
    """A scenario asks for what no template says."""


@dataclass(frozen=True)
class Device:
    """A tunnel device as a host made it."""

    host: str
    name: str
    kind: str
    options: Mapping[str, str]

    def has(self, flag: str) -> bool:
        return flag in self.options

    def has_any(self, *flags: str) -> bool:
        return any(map(self.has, flags))

    def text(self, name: str, otherwise: str = "") -> str:
        return self.options.get(name, otherwise)

    def number(self, name: str, otherwise: int = 0) -> int:
        return int(self.options.get(name, str(otherwise)), 0)


def options(words: str) -> dict[str, str]:
    """Options and their values; "" for one without. NoTemplateError for one not known here."""
    found: dict[str, str] = {}
    rest = iter(words.split())
    for word in rest:
        if word in FLAGS:
            found[word] = ""
        elif word in VALUED:
            found[SAME.get(word, word)] = next(rest)
        else:
            raise NoTemplateError(f"{word!r} in {words!r}")
    return found


class Hosts:
    """The hosts of a scenario, as its commands made them."""

    def __init__(self, scenario: str) -> None:
        self.lines = COMMANDS[scenario]
        self.marks = [int(mark) for (mark,) in self.matches(r"A: setsockopt SO_MARK (\d+)")]
        self.addresses = {
            (host, device): address
            for host, address, device in self.matches(
                r"(\w): ip addr add (\S+)/\d+ dev (\S+)(?: nodad)?"
            )
        }
        veth = r"host: ip link add (\w+) netns (\w) address (\S+) type veth "
        veth += r"peer name (\w+) netns (\w) address (\S+)"
        self.macs: dict[tuple[str, str], str] = {}
        for one, host, mac, other, peer, peer_mac in self.matches(veth):
            self.macs |= {(host, one): mac, (peer, other): peer_mac}

    def matches(self, pattern: str) -> Iterator[tuple[str, ...]]:
        """The groups of every line that is like this."""
        for line in self.lines:
            found = re.fullmatch(pattern, line)
            if found:
                yield found.groups()

    def device(self, host: str, name: str = "tun0") -> Device:
        """A tunnel device. NoTemplateError when nothing makes one by this name."""
        made = [*self.matches(rf"{host}: ip link add {name} type (\S+) ?(.*)")]
        made += self.matches(rf"{host}: ip tunnel add {name} mode (\S+) ?(.*)")
        if len(made) != 1:
            raise NoTemplateError(f"{name} of {host} is made by {len(made)} commands")
        ((kind, words),) = made
        return Device(host, name, kind, options(words) | self.each_packet(host, name))

    def tags(self, host: str, name: str = "tun0") -> Iterator[tuple[int, int]]:
        """EtherType and id of the tags that VLAN devices push, from `name` down to the wire."""
        command = (
            rf"{host}: ip link add link (\S+) name {name} type vlan (?:proto (\S+) )?id (\d+).*"
        )
        for below, protocol, number in self.matches(command):
            yield 0x88A8 if protocol == "802.1ad" else 0x8100, int(number)
            yield from self.tags(host, below)

    def each_packet(self, host: str, name: str) -> dict[str, str]:
        """What routes, filters and neighbours say for a packet: the same for all of them here."""
        route = rf"{host}: ip (?:-6 )?route add \S+ encap ip (.*) dev {name}"
        said = [options(words) for (words,) in self.matches(route)]
        route = rf"{host}: RTM_NEWROUTE \S+ dev {name} encap ip (.*) geneve_opts \[(.*)\]"
        for words, listed in self.matches(route):
            parts = re.findall(r"'(?:0x)?([0-9a-f]*)'", listed)
            triples = (":".join(parts[at : at + 3]) for at in range(0, len(parts), 3))
            said.append(options(words) | {"geneve_opts": ",".join(triples)})
        verdict = rf"{host}: tc filter add dev {name} .* action tunnel_key set (.*)"
        # tc asks for a checksum unless it is told not to, a route does not.
        said += [{"csum": ""} | options(words) for (words,) in self.matches(verdict)]
        neighbour = rf"{host}: ip neigh add \S+ lladdr (\S+) dev {name}"
        said += [{"remote": remote} for (remote,) in self.matches(neighbour)]
        if any(one != said[0] for one in said):
            raise NoTemplateError(f"packets of {name} differ: {said}")
        return said[0] if said else {}

    def under(self, host: str, remote: str) -> tuple[str, str, str | None]:
        """How the host reaches an address: its device, that device's own address, the MAC there."""
        routes = self.matches(rf"{host}: ip route add (\S+)/24 via (\S+)")
        gateways = dict(routes)
        hop = gateways.get(network_of(remote) + "0", remote)
        for (owner, device), own in self.addresses.items():
            if owner == host and network_of(own) == network_of(hop):
                place = next(place for place, address in self.addresses.items() if address == hop)
                return device, own, self.macs.get(place)
        raise NoTemplateError(f"{host} does not reach {remote}")


def network_of(address: str) -> str:
    """All but the last number: every network here is a /24, or a /64 written short."""
    cut = max(address.rfind("."), address.rfind(":"))
    return address[: cut + 1]
