"""Tunnels out of the very commands that would make them."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Interface, IPv6Interface, ip_address
from typing import Any

from encap.errors import TunnelError
from encap.tunnels.erspan import ERSPANTunnel
from encap.tunnels.fou import FOUDevice, fou_ports
from encap.tunnels.geneve import GeneveTunnel
from encap.tunnels.gre import GRETAPTunnel, GRETunnel, IP6GRETAPTunnel, IP6GRETunnel
from encap.tunnels.host import Device, Host
from encap.tunnels.ip6tnl import IP6Tunnel
from encap.tunnels.ipip import IPIPTunnel
from encap.tunnels.sit import SITTunnel
from encap.tunnels.tunnel import Tunnel
from encap.tunnels.underlay import Underlay
from encap.tunnels.vti import VTITunnel
from encap.tunnels.vxlan import VXLANTunnel
from encap.tunnels.words import read

__all__ = ["from_commands"]

CLASSES: tuple[type[Tunnel], ...] = (
    ERSPANTunnel, GRETAPTunnel, GRETunnel, GeneveTunnel, IP6GRETAPTunnel, IP6GRETunnel, IP6Tunnel,
    IPIPTunnel, SITTunnel, VTITunnel, VXLANTunnel,
)  # fmt: skip
KINDS = {kind: one for one in CLASSES for kind in one.KINDS}
"""What `type` and `mode` call each kind of tunnel."""


def from_commands(
    commands: str | Iterable[str], device: str, *, mac: str | bytes | None = None
) -> Tunnel:
    """The tunnel that one host's iproute2 commands make.

    commands: lines of text, or a list of them: `ip link`, `ip tunnel`, `ip addr`, `ip neigh`,
        `ip route ... encap`, `ip fou`, `ip xfrm`, `bridge fdb`, `tc ... tunnel_key`. Other routes,
        rules, next hops, `sysctl`, `ethtool`, `iptables`, `echo` and the like are passed over.
        Lines may go on behind a backslash, commands stand behind `;`, `&&` and `sudo`, and in
        `ip netns exec NAME`; variables and loops of a shell are not worked out.
    device: its name in them.
    mac: MAC address of the device where no command says it: a kernel draws one.

    Addresses, MAC addresses and MTUs of the other devices say what the host below is.
    TunnelError for a device that they do not make, and for an option that is not known.
    """
    return _made(Host(commands), device, mac)


def _made(host: Host, name: str, mac: str | bytes | None = None) -> Tunnel:
    """A device of a host as a tunnel."""
    device = host.devices.get(name)
    if device is None or not device.kind:
        made = [one.name for one in host.devices.values() if one.kind in KINDS]
        there = f": {', '.join(made)} is made" if made else ""
        raise TunnelError(f"no command makes a device {name!r}{there}")
    if device.kind not in KINDS:
        raise TunnelError(
            f"{name} is of type {device.kind!r}, not one of {', '.join(sorted(KINDS))}"
        )
    kind = KINDS[device.kind]
    arguments: dict[str, Any] = {}
    for words in (device.words, *device.changes):
        arguments |= read(iter(words), kind.WORDS, f"{name} ({device.kind})", once=True)
    arguments |= kind._of_device(device, host, arguments)
    if issubclass(kind, FOUDevice) and ("fou" in host.more or "encap_type" in arguments):
        arguments["fou_ports"] = fou_ports(host.more.get("fou", ()))
    if kind.FRAMES and device.address is None:
        device.address = mac.hex(":") if isinstance(mac, bytes) else mac
    return kind(
        **arguments,
        address=device.address if kind.FRAMES else None,
        addresses=tuple(one.ip for one in device.addresses),
        mtu=device.mtu,
        underlay=_underlay(host, device, arguments),
    )


def _underlay(host: Host, device: Device, arguments: dict[str, Any]) -> Underlay:
    """What is below a device: all other addresses of the host, and the link to the other end."""
    others = [
        one
        for one in host.devices.values()
        if one is not device and one.addresses and one.netns == device.netns
    ]
    addresses = tuple(interface.ip for one in others for interface in one.addresses)
    ends = {arguments.get("local"), arguments.get("remote")}
    words = device.words
    named = words[words.index("dev") + 1] if "dev" in words[:-1] else None
    for one in others:
        for interface in one.addresses:
            if (
                one.name == named
                or str(interface.ip) in ends
                or any(end is not None and _within(end, interface) for end in ends)
            ):
                # The one on the link comes first: a device without an address of its own uses it.
                ours = (interface.ip, *(other for other in addresses if other != interface.ip))
                return Underlay(mac=_mac(one), addresses=ours, mtu=_mtu(host, one))
    return Underlay(addresses=addresses)


def _within(end: str, interface: IPv4Interface | IPv6Interface) -> bool:
    """True for an address of the interface's network."""
    try:
        return ip_address(end) in interface.network  # never, for one of another version
    except ValueError as error:
        raise TunnelError(f"{end!r} is no IP address") from error


def _mac(device: Device) -> str | None:
    """The MAC address of a device that has one."""
    kind = KINDS.get(device.kind)
    return device.address if kind is None or kind.FRAMES else None


def _mtu(host: Host, device: Device) -> int:
    """What fits on a device: a tunnel takes its headers off what is below it."""
    if device.mtu is not None:
        return device.mtu
    return _made(host, device.name).device_mtu if device.kind in KINDS else 1500
