"""Tunnels of overlay networks: packets in, packets out, and every field as a column.

    import encap
    packets = encap.read("overlay.pcap")
    inner = packets.decap()
    columns = packets.columns("vxlan.vni", "inner.ipv4.src", "inner.tcp.dport")

Names are imported when they are first used; `__init__.pyi` lists them with their types.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType

_HOMES = {
    "errors": (
        "CaptureError ChecksumError DecodeError DepthError EncapError ExpressionError FieldError"
        " MalformedError TruncatedError TunnelError UnsupportedError"
    ),
    "addresses": "MAC",
    "registry": "Registry fields_of",
    "fields": "Header header",
    "packet": "Packet parse",
    "packets": "NO_TIME Packets",
    "layers": "Layers",
    "checksums": "Checksums",
    "verify": "Verdict",
    "walk": "Kind Status",
    "filter": "Filter",
    "capture": "Summary create open read write",
    "implementations": "implementation implementations",
    "template": "template",
    "headers.ethernet": "Ethernet",
    "headers.sll": "SLL SLL2",
    "headers.null": "Null",
    "headers.llc": "LLC",
    "headers.vlan": "VLAN",
    "headers.arp": "ARP",
    "headers.mpls": "MPLS",
    "headers.ipv4": "IPv4",
    "headers.ipv6": "IPv6",
    "headers.ipv6_extensions": "DestinationOptions Fragment HopByHop Routing",
    "headers.ah": "AH",
    "headers.esp": "ESP",
    "headers.icmp": "ICMP",
    "headers.icmpv6": "ICMPv6",
    "headers.igmp": "IGMP",
    "headers.tcp": "TCP",
    "headers.udp": "UDP",
    "headers.sctp": "SCTP",
    "headers.gue": "GUE",
    "headers.gre": "GRE",
    "headers.erspan": "ERSPAN",
    "headers.vxlan": "VXLAN",
    "headers.gpe": "VXLANGPE",
    "headers.geneve": "Geneve GeneveOption",
    "headers.options": "Option",
}
_HOME = {name: module for module, names in _HOMES.items() for name in names.split()}
__version__ = "0.1.0"
__all__ = ["__version__", *_HOME]  # noqa: PLE0604  they are strings


class _Package(ModuleType):
    """This package: a function keeps its name when the module that it lives in has the same."""

    def __setattr__(self, name: str, value: object) -> None:
        if name in _HOME and isinstance(value, ModuleType):
            return
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __getattr__(name: str) -> object:
    module = _HOME.get(name)
    if module is None:
        raise AttributeError(f"module 'encap' has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(f"encap.{module}"), name)
    return found


def __dir__() -> list[str]:
    return sorted(__all__)
