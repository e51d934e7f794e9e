"""MTU arithmetic: what a tunnel costs, what fits into it, and what a link must carry for that.

Counted as Linux counts for its devices. An MTU is the longest IP packet, so an outer Ethernet
header and its tags are never part of it. Where a tunnel carries Ethernet, the inner Ethernet
header costs 14 octets, since only the IP packet behind it counts for the inner MTU. Inner VLAN
tags cost 4 octets each, which no kernel counts: packets at the limit that have one do not fit.

    ipip, sit 20    ip6tnl 40 (48 with an encapsulation limit)    gre 24, and 4 for each of C, K, S
    vxlan 50, over IPv6 70    gpe 36, 56    geneve 50, 70, and its options    gretap 38
    nvgre 42    erspan II 50

Source: RFC 791 and RFC 8200 section 5 for the least MTU, RFC 9293 section 3.7.1 for the MSS;
vxlan_core.c, geneve.c, ip_tunnel.c and ip6_tunnel.c of Linux for what is counted.

Nothing is asked of the network: what a path carries is a matter of its routers. ESP is refused,
since its padding and its check value depend on more than its header.
"""

from __future__ import annotations

from dataclasses import dataclass

from encap.errors import FieldError
from encap.fields import Header
from encap.outer import as_template, require_whole
from encap.packet import MAX_LAYERS, Packet

__all__ = ["Plan", "inner_mtu", "link_mtu", "overhead", "plan", "tcp_mss"]

LEAST_IPV4 = 68
"""Octets that every IPv4 link carries: RFC 791 section 3.2."""
LEAST_IPV6 = 1280
"""Octets that every IPv6 link carries: RFC 8200 section 5."""
MOST = 65535
"""Octets of the longest IP packet that a length field can say."""
ETHERNET_LEN, TAG_LEN = 14, 4
IP_LEN = {4: 20, 6: 40}
TCP_LEN = 20

_LINK = {"eth", "vlan", "sll", "sll2", "null"}
"""Headers in front of the packet that an MTU limits."""
_USUALLY = {"geneve": "ethernet"}
"""What a header carries that says no protocol, where that is not IP."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a tunnel over a link can carry.

    path: the template's headers in words.
    carries: "ethernet" or "ip".
    parts: each header that counts and its octets, the outermost first, with those of the inner
        Ethernet header and its tags.
    overhead: their sum.  link_mtu, inner_mtu: the longest outer and inner IP packet.
    frame_len: the longest inner Ethernet frame, its tags included; None where IP is carried.
    mss_ipv4, mss_ipv6: octets of data in a TCP segment without options; `mss_ipv6` is None where
        less than 1280 octets are left, on which IPv6 cannot run.
    """

    path: str
    carries: str
    parts: tuple[tuple[str, int], ...]
    overhead: int
    link_mtu: int
    inner_mtu: int
    frame_len: int | None
    mss_ipv4: int
    mss_ipv6: int | None


def overhead(template: Packet | Header | str, *, carries: str | None = None, tags: int = 0) -> int:
    """Octets that a tunnel takes from a link's MTU.

    template: the headers that encapsulation puts in front, as a `Packet` or as text. Ethernet and
        tags at its front are the link's and do not count. An Ethernet header at its end is the
        inner one: what comes in then is IP.
    carries: "ethernet" or "ip", where the last header does not say it: Geneve carries Ethernet
        then, GRE and GPE carry IP.
    tags: VLAN tags of inner frames that are to fit too.
    FieldError for a template that is none, or whose headers cannot follow each other as
        `Packets.encap` would build them, for ESP, and for what the last header cannot carry.
    """
    return sum(size for _, size in _parts(_template(template), carries, tags)[0])


def inner_mtu(
    template: Packet | Header | str,
    link_mtu: int = 1500,
    *,
    carries: str | None = None,
    tags: int = 0,
) -> int:
    """Octets of the longest IP packet that fits into the tunnel; arguments as `overhead` has them.

    link_mtu: octets of the longest IP packet on the link.
    FieldError where that is less than such a link has, or too little for the tunnel.
    """
    packet = _template(template)
    least = LEAST_IPV6 if _outer(packet) == "ipv6" else LEAST_IPV4
    _check("link_mtu", link_mtu, least)
    cost = overhead(packet, carries=carries, tags=tags)
    if link_mtu - cost < LEAST_IPV4:
        raise FieldError(
            f"{cost} of {link_mtu} octets are headers: too little is left for IP, which needs"
            f" {LEAST_IPV4}",
            field="link_mtu", value=link_mtu,
        )  # fmt: skip
    return link_mtu - cost


def link_mtu(
    template: Packet | Header | str,
    inner_mtu: int = 1500,
    *,
    carries: str | None = None,
    tags: int = 0,
) -> int:
    """Octets that a link must carry so that IP packets of `inner_mtu` octets fit into the tunnel.

    At least 1280 where the link is IPv6. Arguments as `overhead` has them. FieldError where no IP
    packet would be long enough.
    """
    packet = _template(template)
    _check("inner_mtu", inner_mtu, LEAST_IPV4)
    needed = inner_mtu + overhead(packet, carries=carries, tags=tags)
    if needed > MOST:
        raise FieldError(
            f"an outer packet of {needed} octets is more than IP can have: {MOST}",
            field="inner_mtu", value=inner_mtu,
        )  # fmt: skip
    return max(needed, LEAST_IPV6) if _outer(packet) == "ipv6" else needed


def tcp_mss(mtu: int, version: int = 4) -> int:
    """Octets of data in a TCP segment over IPv4 or IPv6, neither with options.

    The maximum segment size that an endpoint announces: RFC 9293 section 3.7.1. Options of TCP
    (timestamps: 12 octets) take from the data, not from the MSS.
    """
    if version not in IP_LEN:
        raise FieldError(f"an IP version is 4 or 6, not {version!r}", field="version")
    _check("mtu", mtu, LEAST_IPV4 if version == 4 else LEAST_IPV6)
    return mtu - IP_LEN[version] - TCP_LEN


def plan(
    template: Packet | Header | str,
    link_mtu: int = 1500,
    *,
    carries: str | None = None,
    tags: int = 0,
) -> Plan:
    """All of it for one tunnel and one link; arguments and errors as `inner_mtu` has them."""
    packet = _template(template)
    inner = inner_mtu(packet, link_mtu, carries=carries, tags=tags)
    parts, carried = _parts(packet, carries, tags)
    ethernet = carried == "ethernet"
    return Plan(
        path=packet.path,
        carries=carried,
        parts=tuple(parts),
        overhead=link_mtu - inner,
        link_mtu=link_mtu,
        inner_mtu=inner,
        frame_len=inner + ETHERNET_LEN + TAG_LEN * tags if ethernet else None,
        mss_ipv4=tcp_mss(inner),
        mss_ipv6=tcp_mss(inner, 6) if inner >= LEAST_IPV6 else None,
    )


def _template(given: Packet | Header | str) -> Packet:
    """A template in any of its forms: a stack of headers that a packet can have."""
    packet = as_template(given)
    require_whole(packet.headers, packet.registry)
    return packet


def _check(name: str, value: object, least: int, most: int = MOST) -> None:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{name} is a number, not {type(value).__name__}")
    if not least <= value <= most:
        raise FieldError(f"{name} is {least} to {most}, not {value}", field=name, value=value)


def _outer(packet: Packet) -> str | None:
    """The path name of the IP header that the link sees."""
    return next((h.path for h in packet.headers if h.path in ("ipv4", "ipv6")), None)


def _parts(packet: Packet, carries: str | None, tags: int) -> tuple[list[tuple[str, int]], str]:
    """The headers that count with their octets, and what the last one carries."""
    _check("tags", tags, 0, MAX_LAYERS)
    first = next(
        (at for at, header in enumerate(packet.headers) if header.path not in _LINK),
        len(packet.headers),
    )
    counted = packet.headers[first:]
    if any(header.path == "esp" for header in counted):
        raise FieldError(
            "what ESP adds depends on its algorithms and on each packet's length", layer="esp"
        )
    parts = [(header.path, header.header_len) for header in counted]
    carried = _carried(packet, carries)
    if carried == "ethernet":
        parts.append(("eth", ETHERNET_LEN))
        if tags:
            parts.append(("vlan", TAG_LEN * tags))
    elif tags:
        raise FieldError("only Ethernet frames have tags, and IP is carried", field="tags")
    return parts, carried


def _carried(packet: Packet, asked: str | None) -> str:
    """What comes behind the last header: "ethernet" or "ip"."""
    if asked not in (None, "ethernet", "ip"):
        raise FieldError(f"carries is 'ethernet' or 'ip', not {asked!r}", field="carries")
    last, registry = packet.headers[-1], packet.registry
    name = last.follows(registry, memoryview(b""))
    possible = ["ethernet" if name == "eth" else "ip"]
    if name is None and last.leads is not None and last.path not in _LINK:
        field, space = last.leads
        if getattr(last, field) is None and registry.number(space, "eth") is not None:
            possible = ["ip", "ethernet"]
    if asked is None:
        usually = _USUALLY.get(last.path, "ip")
        return usually if usually in possible else possible[0]
    if asked not in possible:
        raise FieldError(
            f"{last.path} carries {possible[0]} here, not {asked}", layer=last.path, field="carries"
        )
    return asked
