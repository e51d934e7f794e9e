"""Random templates for `encap`: any header that it knows, in any order that a walk can follow.

With `clean` only fields are set that no walk stumbles over, so that `decap` finds its way back.
"""

from __future__ import annotations

from random import Random
from typing import Any

from encap import GeneveOption, Header, Option
from encap.fields import Field
from encap.headers.gre import C, R
from encap.packet import Packet
from encap.registry import header_class

_IP = ("ipv4", "ipv6")
_BEHIND_IP = ("udp", "udp", "udp", "gre", "gre", "gre", "ipv4", "ipv6", "ah")
_BEHIND_IPV6 = (*_BEHIND_IP, "hopopt", "dstopts", "routing", "fragment")
FOLLOWERS: dict[str, tuple[str, ...]] = {
    "eth": ("vlan", "mpls", *_IP, *_IP),
    "vlan": ("vlan", "mpls", *_IP),
    "llc": ("vlan", *_IP),
    "mpls": ("mpls", *_IP),
    "sll": ("vlan", *_IP),
    "sll2": ("vlan", *_IP),
    "null": _IP,
    "ipv4": _BEHIND_IP,
    "ipv6": _BEHIND_IPV6,
    **dict.fromkeys(("hopopt", "dstopts", "routing", "fragment", "ah"), _BEHIND_IPV6),
    "udp": ("vxlan", "gpe", "geneve"),
    "vxlan": ("eth",),
    "gpe": ("eth", *_IP),
    "geneve": ("eth", *_IP),
    "gre": ("eth", "eth", "erspan", *_IP, "mpls", "vlan"),
    "erspan": ("eth",),
}
SAFE = {
    "eth": ("dst", "src"),
    "vlan": ("pcp", "dei", "vid"),
    "mpls": ("label", "tc", "ttl"),
    "sll": ("arphrd", "addr"),
    "sll2": ("ifindex", "addr"),
    "ipv4": ("tos", "id", "ttl", "src", "dst"),
    "ipv6": ("traffic_class", "flow_label", "hop_limit", "src", "dst"),
    "routing": ("type", "segments_left"),
    "fragment": ("id",),
    "ah": ("spi", "seq"),
    "udp": ("sport",),
    "vxlan": ("reserved1", "vni", "reserved2"),
    "gpe": ("reserved1", "vni", "reserved2"),
    "geneve": ("oam", "reserved1", "vni", "reserved2"),
    "gre": ("key", "seq"),
    "erspan": ("vlan", "cos", "en", "truncated", "session_id", "index", "timestamp", "sgt"),
}
"""Fields that say nothing of what follows."""
DECIDING = {
    ("gre", "flags"), ("gre", "version"), ("erspan", "version"),
    ("llc", "ssap"), ("llc", "control"), ("routing", "type"), ("routing", "segments_left"),
}  # fmt: skip
"""Fields that say which others there are, or what others mean: no matter of single values."""


class Templates:
    """Random templates, from the outermost header inwards."""

    def __init__(self, random: Random, *, clean: bool = False) -> None:
        self.random, self.clean = random, clean

    def template(self, most: int = 16) -> Packet:
        random = self.random
        depth = random.choice([1, 2, 3, 4, 4, 5, 5, 6, 7, 9, 12, 16])
        path = [random.choice(["eth", "eth", "eth", "ipv4", "ipv6", "sll", "sll2", "null"])]
        while len(path) < min(depth, most):
            followers = FOLLOWERS[path[-1]]
            if not self.clean and "vlan" in followers and random.random() < 0.1:
                followers = ("llc",)  # whose length field tells long packets otherwise
            path.append(random.choice(followers))
        if path[-1] == "fragment" and self.clean:
            path[-1] = "dstopts"
        headers = [self.header(path[at], (*path, "")[at + 1]) for at in range(len(path))]
        return Packet(*headers)

    def header(self, path: str, follower: str) -> Header:
        """A header with random values, in front of another one."""
        fields = header_class(path).fields
        given: dict[str, Any] = {}
        make = getattr(self, f"_{path}", None)
        if make is not None:
            given = make(follower)
        for name, field in fields.items():
            if name in given or field.variable is not None or (path, name) in DECIDING:
                continue
            if field.address is not None or self._wanted(path, field):
                given[name] = self.value(field)
        return header_class(path)(**given)

    def _wanted(self, path: str, field: Field) -> bool:
        """True when a field is to have a random value."""
        if field.when is not None:
            return False
        if self.clean:
            return field.name in SAFE.get(path, ()) and self.random.random() < 0.8
        return self.random.random() < (0.03 if field.open else 0.3)

    def value(self, field: Field) -> Any:
        """A random value that a field can hold."""
        if field.address is not None:
            return self.random.randbytes(field.bits // 8)
        edge = self.random.choice([None, None, None, 0, (1 << field.bits) - 1])
        return (self.random.getrandbits(field.bits) if edge is None else edge) * field.scale

    def some(self, names: tuple[str, ...], chance: float) -> dict[str, Any]:
        """Values for some optional fields of a GRE header."""
        chosen = [name for name in names if self.random.random() < chance]
        return {name: self.random.getrandbits(32) for name in chosen}

    # --- what a header needs beside single values -------------------------------------

    def _mpls(self, follower: str) -> dict[str, Any]:
        return {"bos": int(follower != "mpls")}

    def _null(self, follower: str) -> dict[str, Any]:
        return {"family": 30 if follower == "ipv6" else 2 << 24}

    def _llc(self, _: str) -> dict[str, Any]:
        """SNAP, or 3 octets, or 4."""
        if self.random.random() < 0.7:
            return {"ssap": 0xAA, "control": 3, "oui": 0}
        return {"ssap": 0x42, "control": self.random.choice([3, 1])}

    def _ipv4(self, _: str) -> dict[str, Any]:
        if self.random.random() < 0.7:
            return {}
        return {"options": self.ipv4_options()}

    def ipv4_options(self) -> tuple[bytes, ...]:
        words = self.random.randrange(11)
        return (b"\x44" + self.random.randbytes(4 * words - 1),) if words else ()

    def _hopopt(self, _: str) -> dict[str, Any]:
        size = self.random.choice([0, 1, 2, 4, 4, 9, 30])
        return {"options": (Option(self.random.choice([4, 5, 62]), self.random.randbytes(size)),)}

    _dstopts = _hopopt

    def _routing(self, _: str) -> dict[str, Any]:
        addresses = self.random.choice([0, 1, 1, 2, 3])
        data = self.random.randbytes(4 + 16 * addresses)
        return {
            "type": self.random.choice([0, 2, 4, 4, 3, 9]), "data": data,
            "segments_left": self.random.choice([0, 1, 1, addresses]),
        }  # fmt: skip

    def _ah(self, _: str) -> dict[str, Any]:
        return {"icv": self.random.randbytes(4 * self.random.choice([1, 3, 4, 5]))}

    def _geneve(self, _: str) -> dict[str, Any]:
        return {"options": self.geneve_options()}

    def geneve_options(self) -> tuple[GeneveOption | bytes, ...]:
        options: list[GeneveOption | bytes] = []
        room = self.random.choice([0, 0, 4, 8, 20, 60, 252])
        while room >= 4:
            words = min(self.random.choice([0, 1, 2, 5, 31]), room // 4 - 1)
            number = self.random.getrandbits(16)
            kind = self.random.choice([1, 2, 0x80, 0xFF])
            options.append(GeneveOption(number, kind, self.random.randbytes(4 * words)))
            room -= 4 + 4 * words
        return tuple(options)

    def _gre(self, follower: str) -> dict[str, Any]:
        given: dict[str, Any] = self.some(("key", "seq"), 0.5)
        if self.random.random() < 0.5:
            given["flags"] = C
        if follower == "erspan":
            given.setdefault("seq", 7)
        elif not self.clean and self.random.random() < 0.05:
            given |= {"version": 1, "protocol": 0x880B, "ack": self.random.getrandbits(32)}
        if not self.clean and self.random.random() < 0.1:  # source routes, of any length
            size = self.random.choice([1, 4, 7])
            route = b"\1\2\3" + bytes([size]) + self.random.randbytes(size) + bytes(4)
            given |= {"flags": given.get("flags", 0) | R, "routing": route}
        return given

    def _erspan(self, _: str) -> dict[str, Any]:
        random = self.random
        if random.random() < 0.5:
            return {"version": 1, "index": random.getrandbits(20)}
        platform = random.randbytes(8) if random.random() < 0.4 else b""
        return {
            "version": 2, "timestamp": random.getrandbits(32), "sgt": random.getrandbits(16),
            "p": 1, "frame_type": 0, "hw_id": random.getrandbits(6), "platform": platform,
            "direction": random.getrandbits(1), "granularity": random.getrandbits(2),
        }  # fmt: skip
