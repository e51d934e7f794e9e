"""What the tunnel of a golden scenario does to a packet: templates and options for `encap`.

They follow from the commands, and from what the kernel does that no command says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from commands import Device, Hosts, NoTemplateError

import encap
from encap import (
    ERSPAN,
    GRE,
    GUE,
    UDP,
    VXLAN,
    VXLANGPE,
    DestinationOptions,
    Ethernet,
    Geneve,
    GeneveOption,
    Header,
    IPv4,
    IPv6,
    Option,
)
from encap.headers.erspan import TYPE_III
from encap.headers.gre import ERSPAN_II, C
from encap.headers.ipv6_extensions import ENCAPSULATION_LIMIT
from encap.headers.vxlan import G_FLAG, I_FLAG, LINUX_PORT
from encap.packet import Packet

Columns = dict[str, npt.NDArray[Any]]
Rule = Callable[[encap.Packets, Columns], Columns]
"""From inner packets and the columns that the kernel drew, columns that follow from them."""
Choice = Callable[[encap.Packets], npt.NDArray[np.bool_]]


@dataclass(frozen=True)
class Step:
    """One tunnel device on the way from an inner packet to the wire."""

    templates: tuple[Packet, ...]
    options: Mapping[str, Any]
    """Keyword arguments of `Packets.encap`."""
    drawn: tuple[str, ...]
    """Fields that the kernel draws at random, by name."""
    rules: tuple[Rule, ...]
    choice: Choice | None
    """Which packets get the second template."""
    underlay: str


def steps(scenario: str, host: str) -> list[Step]:
    """From the host's `tun0` down to the wire. NoTemplateError where a template cannot say it."""
    hosts = Hosts(scenario)
    found = [_step(hosts, hosts.device(host))]
    while found[-1].underlay != "eth0":
        found.append(_step(hosts, hosts.device(host, found[-1].underlay)))
    return found


def _step(hosts: Hosts, device: Device) -> Step:
    """What a packet gets at one device."""
    remote = device.text("remote", "any")
    if remote == "any":  # each packet says where to; the next hop is the other host all the same
        remote = next(
            address
            for (host, below), address in hosts.addresses.items()
            if host != device.host and below == "eth0"
        )
    underlay, own, mac = hosts.under(device.host, remote)
    link: list[Header] = []
    drawn: list[str] = []
    if mac is not None:
        link = [Ethernet(src=hosts.macs[device.host, underlay], dst=mac)]
    elif hosts.device(device.host, underlay).kind == "gretap":
        link, drawn = [Ethernet()], ["eth.src", "eth.dst"]
    network, options = _network(device, device.text("local", own), remote)
    headers = _tunnel(device, network[0])
    drawn += _drawn(device, network[0], headers)
    templates = [Packet(*link, *network, *headers)]
    choice = None
    if device.kind == "ip6erspan" and len(network) > 1:
        templates.append(Packet(*link, network[0], *headers))
        choice = _not_ip
    rules = tuple(_rules(hosts, device))
    return Step(tuple(templates), options, tuple(drawn), rules, choice, underlay)


def _network(device: Device, local: str, remote: str) -> tuple[list[Header], dict[str, Any]]:
    """The IP header and what stands directly behind it; options for what it inherits."""
    over_udp = device.kind in ("vxlan", "geneve")
    options: dict[str, Any] = {"ecn": "linux"}
    ttl, tos = device.text("ttl"), device.text("tos", "0")
    if tos == "inherit":
        options["tos"], tos = tos, "0"
    if device.has("external") and device.kind == "geneve" and not ttl:
        ttl = "0"  # a route, or filter, that says nothing says 0
    v6 = ":" in remote
    if ttl == "inherit" or not (ttl or over_udp or v6):
        options["ttl"], ttl = "inherit", ""
    fixed = {"src": local, "dst": remote}
    if v6:
        network: list[Header] = [
            IPv6(**fixed, traffic_class=int(tos, 0), hop_limit=int(ttl or "64", 0))
        ]
        if not over_udp and device.text("encaplimit", "4") != "none":
            limit = int(device.text("encaplimit", "4"))
            network.append(
                DestinationOptions(options=(Option(ENCAPSULATION_LIMIT, bytes([limit])),))
            )
        return network, options
    df = device.text("df", "unset" if over_udp or device.has("external") else "set")
    if device.has("nopmtudisc"):
        df = "unset" if device.kind == "sit" else "inherit"
    options["df"] = df
    return [IPv4(**fixed, tos=int(tos, 0), ttl=int(ttl or "64", 0))], options


def _tunnel(device: Device, network: Header) -> list[Header]:
    """The headers behind IP."""
    kind = device.kind
    if kind in ("vxlan", "geneve"):
        return _over_udp(device, network)
    if kind not in ("ipip", "sit", "isatap", "ip6tnl") and kind.removeprefix("ip6") not in (
        "gre", "gretap", "erspan",
    ):  # fmt: skip
        raise NoTemplateError(f"a device of type {kind}")
    headers: list[Header] = []
    if device.has("encap"):
        sport = device.text("encap-sport")
        headers.append(
            UDP(
                sport=None if sport == "auto" else int(sport),
                dport=device.number("encap-dport"),
                checksum=None if device.has("encap-csum") else 0,
            )
        )
        headers += [GUE()] if device.text("encap") == "gue" else []
    if kind.endswith("erspan"):
        headers += _erspan(device)
    elif "gre" in kind:
        key = device.number("key", device.number("id")) if device.has_any("key", "id") else None
        summed = device.has("csum") and not device.has("nocsum")
        headers.append(GRE(flags=C if summed else 0, key=key, seq=0 if device.has("seq") else None))
    return headers


def _erspan(device: Device) -> list[Header]:
    """GRE without a key, which is the session; the number of the session is its lower part."""
    version = device.number("erspan_ver", 1)
    session = device.number("key") & 0x3FF
    if version == 0:
        return [GRE(protocol=ERSPAN_II)]
    if version == 1:
        return [GRE(seq=0), ERSPAN(session_id=session, index=device.number("erspan"))]
    direction = int(device.text("erspan_dir") == "egress")
    third = ERSPAN(
        version=TYPE_III, session_id=session, hw_id=device.number("erspan_hwid"), p=1,
        direction=direction, granularity=0, frame_type=0, sgt=0, timestamp=0,
    )  # fmt: skip
    return [GRE(seq=0), third]


def _over_udp(device: Device, network: Header) -> list[Header]:
    """UDP, and VXLAN or Geneve."""
    vni = device.number("id")
    summed = device.kind == "vxlan" or network.path == "ipv6"
    if device.has("external"):
        summed = device.has("csum")
    if device.has("udpcsum"):
        summed = True
    if device.has("noudpcsum") or device.has("udp6zerocsumtx"):
        summed = False
    header: Header
    if device.kind == "geneve":
        header = Geneve(vni=vni, critical=0, options=_geneve_options(device.text("geneve_opts")))
        port = device.number("dstport", 6081)
    else:
        header = VXLANGPE(vni=vni) if device.has("gpe") else VXLAN(vni=vni)
        port = device.number("dstport") or LINUX_PORT
    return [UDP(dport=port, checksum=None if summed else 0), header]


def _geneve_options(text: str) -> tuple[GeneveOption, ...]:
    """Options as iproute2 writes them: `class:type:data`, all in hexadecimal digits."""
    parts = [option.split(":") for option in text.split(",") if option]
    return tuple(
        GeneveOption(int(kind, 16), int(number, 16), bytes.fromhex(data))
        for kind, number, data in parts
    )


def _drawn(device: Device, network: Header, headers: list[Header]) -> Iterator[str]:
    """Names of the fields that the kernel draws at random."""
    if network.path == "ipv4":
        yield "ipv4.id"
    elif device.kind not in ("vxlan", "geneve"):
        yield "ipv6.flow_label"
    for header in headers:
        if isinstance(header, UDP) and header.sport is None:
            yield "udp.sport"
        if isinstance(header, ERSPAN) and header.version == TYPE_III:
            yield "erspan.timestamp"


def _rules(hosts: Hosts, device: Device) -> Iterator[Rule]:
    """What gives the columns that follow from the inner packets."""
    if device.text("remote", "any") == "any":
        yield _isatap if device.kind == "isatap" else partial(_embedded, _prefix(hosts, device))
    if device.text("flowlabel") == "inherit":
        yield _flow_label
    if device.has("gbp"):
        yield partial(_group_policy, hosts.marks if device.host == "A" else [])
    if device.kind.endswith("erspan") and device.number("erspan_ver", 1):
        yield partial(_mirrored, device.kind == "ip6erspan", device.number("erspan_ver", 1))


def _not_ip(packets: encap.Packets) -> npt.NDArray[np.bool_]:
    """Packets that get no encapsulation limit from ip6erspan."""
    return ~np.isin(packets.columns("eth.type")["eth.type"], (0x0800, 0x86DD))


def _prefix(hosts: Hosts, device: Device) -> int:
    """How many octets stand in front of the IPv4 address that an IPv6 address has in it."""
    for _, length in hosts.matches(
        rf"{device.host}: ip tunnel 6rd dev tun0 6rd-prefix (\S+)/(\d+)"
    ):
        return int(length) // 8
    return 2  # 6to4: RFC 3056 section 2


def _embedded(prefix: int, packets: encap.Packets, _: Columns) -> Columns:
    """6to4 and 6rd: where to, as the IPv6 destination says behind a prefix."""
    target = packets.columns("ipv6.dst")["ipv6.dst"][:, prefix : prefix + 4]
    return {"ipv4.dst": np.ascontiguousarray(target).view(">u4")[:, 0].astype(np.uint32)}


def _isatap(packets: encap.Packets, columns: Columns) -> Columns:
    """ISATAP: the last four octets.  Source: RFC 5214 section 6.1."""
    return _embedded(12, packets, columns)


def _flow_label(packets: encap.Packets, columns: Columns) -> Columns:
    """The label of an inner IPv6 packet; drawn where it has none."""
    inner = packets.columns("ipv6.flow_label")["ipv6.flow_label"]
    return {"ipv6.flow_label": np.where(inner, inner, columns["ipv6.flow_label"])}


def socket_marks(marks: list[int], packets: encap.Packets) -> npt.NDArray[np.uint32]:
    """The mark of a packet's socket: the first UDP datagrams have one each, others none."""
    mark = np.zeros(len(packets), np.uint32)
    datagrams = np.flatnonzero(packets.columns("udp")["udp"])
    mark[datagrams[: len(marks)]] = marks[: len(datagrams)]
    return mark


def _group_policy(marks: list[int], packets: encap.Packets, _: Columns) -> Columns:
    """What a mark makes of the header.

    A mark that has none of the policy's bits announces a policy all the same.
    Source: Linux, vxlan_build_gbp_hdr and VXLAN_GBP_MASK.
    """
    mark = socket_marks(marks, packets)
    flags = np.where(mark, I_FLAG | G_FLAG, I_FLAG).astype(np.uint8)
    return {"vxlan.flags": flags, "vxlan.reserved1": mark & 0x48FFFF}


def _mirrored(v6: bool, version: int, packets: encap.Packets, _: Columns) -> Columns:
    """The class of service, whether the frame was cut, and in type III whether it is short.

    The kernel reads the octets behind an Ethernet header as an IP header of the outer family,
    whatever they are. Over IPv6 it takes an IPv6 fragment for a frame cut short: it measures the
    payload from behind the fragment header.
    Source: Linux, erspan_build_header, erspan_detect_bso, ip6erspan_tunnel_xmit.
    """
    octets = np.array([list(frame[14:16]) for frame in packets], np.uint8)
    service = octets[:, 0] << 4 | octets[:, 1] >> 4 if v6 else octets[:, 1]
    columns: Columns = {"erspan.cos": service >> 5}
    if v6:
        columns["erspan.truncated"] = packets.columns("fragment")["fragment"].astype(np.uint8)
    if version == 2:
        columns["erspan.en"] = (packets.lengths < 60).astype(np.uint8)
    return columns
