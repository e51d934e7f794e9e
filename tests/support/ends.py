"""Two ends of GRE tunnels, and packets between them."""

from __future__ import annotations

from typing import Any

from encap import (
    UDP,
    Ethernet,
    Header,
    IPv4,
    IPv6,
    Packet,
    Packets,
    tunnels,
)
from encap.tunnels import (
    GRETAPTunnel,
    GRETunnel,
    IP6GRETAPTunnel,
    IP6GRETunnel,
    Reason,
)

A, B = "192.0.2.1", "192.0.2.2"
A6, B6 = "2001:db8::1", "2001:db8::2"
INNER = bytes(Packet(IPv4(src="10.0.0.1", dst="10.0.0.2"), UDP(dport=7), b"hello"))
INNER6 = bytes(Packet(IPv6(src="fd00::1", dst="fd00::2"), UDP(dport=7), b"hello"))
FRAME = bytes(Packet(Ethernet(src=1, dst=2, type=0x800), INNER))
IPV4_DEVICES = (GRETunnel, GRETAPTunnel)
IPV6_DEVICES = (IP6GRETunnel, IP6GRETAPTunnel)
DEVICES: tuple[type[tunnels.Tunnel], ...] = (*IPV4_DEVICES, *IPV6_DEVICES)


def raw(*frames: bytes, **more: Any) -> Packets:
    return Packets.from_frames(frames, linktypes=101, **more)


def ends(cls: type[tunnels.Tunnel], **options: Any) -> tuple[tunnels.Tunnel, tunnels.Tunnel]:
    """Both ends of a tunnel; `near` and `far` are the options of one of them alone."""
    near, far = options.pop("near", {}), options.pop("far", {})
    first, second = (A6, B6) if options.pop("sixth", cls in IPV6_DEVICES) else (A, B)
    return (
        cls(local=first, remote=second, **options, **near),
        cls(local=second, remote=first, **options, **far),
    )


def arriving(*headers: Header | bytes, **outer: Any) -> bytes:
    """A packet from A to B."""
    return bytes(Packet(IPv4(src=A, dst=B, **outer), *headers))


def reasons(tunnel: tunnels.Tunnel, *frames: bytes) -> list[Reason]:
    return [Reason(int(one)) for one in tunnel.decap(raw(*frames)).reasons]


def inner_of(tunnel: tunnels.Tunnel) -> Packets:
    """What such a device carries."""
    return Packets.from_frames([FRAME]) if tunnel.FRAMES else raw(INNER, INNER6)
