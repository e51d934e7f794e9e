"""Which header follows which: EtherType, IP protocol, UDP port and link type to path names.

A `Registry` is a value that one passes; `DEFAULT` is the one used when none is given.
Header classes are imported when they are first asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING

from encap.errors import FieldError, UnsupportedError
from encap.fields import Field, Header

if TYPE_CHECKING:
    from encap.headers.geneve import GeneveOption
    from encap.headers.geneve_options import TypedOption

__all__ = ["DEFAULT", "HEADERS", "Registry", "fields_of", "header_class"]

HEADERS = {
    "eth": "ethernet.Ethernet",
    "sll": "sll.SLL",
    "sll2": "sll.SLL2",
    "null": "null.Null",
    "llc": "llc.LLC",
    "vlan": "vlan.VLAN",
    "arp": "arp.ARP",
    "mpls": "mpls.MPLS",
    "ipv4": "ipv4.IPv4",
    "ipv6": "ipv6.IPv6",
    "hopopt": "ipv6_extensions.HopByHop",
    "routing": "ipv6_extensions.Routing",
    "fragment": "ipv6_extensions.Fragment",
    "dstopts": "ipv6_extensions.DestinationOptions",
    "ah": "ah.AH",
    "esp": "esp.ESP",
    "icmp": "icmp.ICMP",
    "icmpv6": "icmpv6.ICMPv6",
    "igmp": "igmp.IGMP",
    "tcp": "tcp.TCP",
    "udp": "udp.UDP",
    "sctp": "sctp.SCTP",
    "gue": "gue.GUE",
    "gre": "gre.GRE",
    "erspan": "erspan.ERSPAN",
    "vxlan": "vxlan.VXLAN",
    "gpe": "gpe.VXLANGPE",
    "geneve": "geneve.Geneve",
}
"""Path name to module and class, in the order in which the C core numbers them."""

_SPACES: dict[str, dict[int, str]] = {
    # IEEE Registration Authority; 0x9100 and 0x9200 are in use without being registered.
    "ethertype": {
        0x0800: "ipv4", 0x0806: "arp", 0x86DD: "ipv6", 0x6558: "eth",
        0x8100: "vlan", 0x88A8: "vlan", 0x9100: "vlan", 0x9200: "vlan",
        0x8847: "mpls", 0x8848: "mpls",
    },
    # IANA protocol numbers.
    "protocol": {
        0: "hopopt", 1: "icmp", 2: "igmp", 4: "ipv4", 6: "tcp", 17: "udp", 41: "ipv6",
        43: "routing", 44: "fragment", 47: "gre", 50: "esp", 51: "ah", 58: "icmpv6",
        60: "dstopts", 132: "sctp",
    },
    # UDP destination ports: RFC 7348 and Linux's older choice, RFC 8926, RFC 3948,
    # draft-ietf-intarea-gue section 8.
    "port": {4789: "vxlan", 8472: "vxlan", 4790: "gpe", 6081: "geneve", 4500: "esp", 6080: "gue"},
    # draft-ietf-nvo3-vxlan-gpe section 3.2.
    "gpe": {1: "ipv4", 2: "ipv6", 3: "eth"},
    # The tcpdump group's LINKTYPE_ numbers. Raw IP is told apart by its version.
    "linktype": {
        0: "null", 1: "eth", 12: "ip", 101: "ip", 108: "null", 113: "sll", 228: "ipv4",
        229: "ipv6", 276: "sll2",
    },
}  # fmt: skip

_TUNNELLED = {"ipip": "ipv4", "sit": "ipv6", "ip6tnl": "ipv6"}
"""Names by which people ask for IP directly in UDP, as Linux's fou carries it."""


def header_class(name: str) -> type[Header]:
    """The built-in header called `name`. FieldError with the known ones when there is none."""
    try:
        module, _, kind = HEADERS[name].partition(".")
    except KeyError:
        raise FieldError(
            f"no header is called {name!r}; known are {', '.join(HEADERS)}", field=name
        ) from None
    found: type[Header] = getattr(import_module(f"encap.headers.{module}"), kind)
    return found


def fields_of(name: str) -> tuple[Field, ...]:
    """The fields of the header called `name`, in the order in which they stand on the wire.

    Each has a name, bits, offset (in bits), default, and meaning.
    """
    return tuple(header_class(name).fields.values())


def checked_ports(ports: Mapping[int, str | None] | None) -> dict[int, str | None]:
    """`ports` as path names: FieldError for a port or a name that cannot be."""
    found: dict[int, str | None] = {}
    if ports is not None and not isinstance(ports, Mapping):
        raise TypeError(f"ports are a mapping of numbers to names, not {type(ports).__name__}")
    for port, said in (ports or {}).items():
        if not isinstance(port, int):
            raise TypeError(f"a port is an integer, not {type(port).__name__}")
        if not 0 <= port <= 65535:
            raise FieldError(f"a port is 0 to 65535, not {port}", field="ports", value=port)
        name = None if said is None else _TUNNELLED.get(said, said)
        if name is not None and name not in HEADERS:
            known = ", ".join([*HEADERS, *_TUNNELLED])
            raise FieldError(f"ports: {name!r} is none of {known}", field="ports", value=name)
        found[port] = name
    return found


class Registry:
    """Which header follows which number, and the classes of the headers: immutable.

    headers: users' own header classes, by path name.
    geneve_options: users' own kinds of Geneve options, tried before the built-in ones.
    The spaces are `ethertype`, `protocol`, `port`, `gpe` and `linktype`.
    """

    __slots__ = ("_classes", "_geneve_options", "_numbers", "_spaces")

    def __init__(
        self,
        spaces: Mapping[str, Mapping[int, str]] = MappingProxyType(_SPACES),
        headers: Iterable[type[Header]] = (),
        geneve_options: Iterable[type[TypedOption]] = (),
    ) -> None:
        self._geneve_options = tuple(geneve_options)
        self._spaces = {space: dict(table) for space, table in spaces.items()}
        self._classes = {cls.path: cls for cls in headers}
        # The first number that leads to a name is the one to write.
        self._numbers = {
            space: {name: number for number, name in reversed(table.items())}
            for space, table in self._spaces.items()
        }

    def name(self, space: str, number: int | None) -> str | None:
        """Path name of what follows `number`, or None."""
        return self._spaces[space].get(number)  # type: ignore[arg-type]  # None has no name

    def number(self, space: str, name: str) -> int | None:
        """The number to write when the header called `name` follows, or None."""
        return self._numbers[space].get(name)

    def header(self, name: str) -> type[Header]:
        """The class of the header called `name`."""
        found = self._classes.get(name)
        if found is None:
            found = self._classes[name] = header_class(name)
        return found

    def geneve_option(self, option: GeneveOption | bytes) -> TypedOption | GeneveOption | bytes:
        """What an option of a Geneve header says; itself when nobody knows it."""
        from encap.headers.geneve_options import KNOWN, known

        return known(option, (*self._geneve_options, *KNOWN))

    def table(self, space: str) -> Mapping[int, str]:
        """All numbers of a space and what follows them."""
        return MappingProxyType(self._spaces[space])

    def first(self, linktype: int, data: bytes | memoryview) -> str:
        """Path name of a frame's first header. UnsupportedError for an unknown link type."""
        if not isinstance(linktype, int):
            raise TypeError(
                "a link type is a number, such as 1 (Ethernet) or 101 (raw IP),"
                f" not {type(linktype).__name__}"
            )
        name = self._spaces["linktype"].get(linktype)
        if name is None:
            raise UnsupportedError(f"link type {linktype} is not known")
        if name == "ip":
            return "ipv6" if len(data) and data[0] >> 4 == 6 else "ipv4"
        return name

    def extend(
        self,
        *,
        ports: Mapping[int, str | None] | None = None,
        ethertypes: Mapping[int, str] | None = None,
        protocols: Mapping[int, str] | None = None,
        headers: Iterable[type[Header]] = (),
        geneve_options: Iterable[type[TypedOption]] = (),
    ) -> Registry:
        """A registry that knows more: numbers, header classes and Geneve options of one's own.

        ports: UDP destination ports; None in place of a name removes one.
        """
        own = list(headers)
        names = {cls.path for cls in (*own, *self._classes.values())} - HEADERS.keys()
        spaces = {space: dict(table) for space, table in self._spaces.items()}
        given = {"port": ports or {}, "ethertype": ethertypes or {}, "protocol": protocols or {}}
        for space, table in given.items():
            known = {n: None if name in names else name for n, name in table.items()}
            for number, name in (checked_ports(known) if space == "port" else known).items():
                if name is None:
                    spaces[space].pop(number, None)
                else:
                    header_class(name)
                    spaces[space][number] = name
            spaces[space] |= {n: name for n, name in table.items() if name in names and name}
        options = (*geneve_options, *self._geneve_options)
        return Registry(spaces, [*self._classes.values(), *own], options)


DEFAULT = Registry()
"""The built-in numbers."""
