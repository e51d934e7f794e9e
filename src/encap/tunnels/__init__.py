"""Tunnels as the kernel runs them: packets in and out of devices, without a kernel.

from encap import tunnels
vtep = tunnels.VXLANTunnel(id=42, local="192.0.2.1", remote="192.0.2.2", dstport=4789)
sent = vtep.encap(packets)
received = vtep.decap(sent.packets)
"""

from encap.tunnels.commands import from_commands
from encap.tunnels.embedded import SIX_TO_FOUR, Domain, isatap, isatap_ipv4
from encap.tunnels.erspan import ERSPANTunnel
from encap.tunnels.esp import Policy, SecurityAssociation
from encap.tunnels.forwarding import FDBEntry
from encap.tunnels.fou import FOUPort
from encap.tunnels.geneve import GeneveTunnel
from encap.tunnels.gre import GRETAPTunnel, GRETunnel, IP6GRETAPTunnel, IP6GRETunnel
from encap.tunnels.ip6tnl import IP6Tunnel
from encap.tunnels.ipip import IPIPTunnel
from encap.tunnels.profiles import DIFFERENCES, Difference
from encap.tunnels.reasons import Reason
from encap.tunnels.result import Result
from encap.tunnels.sit import SITTunnel
from encap.tunnels.tunnel import Tunnel
from encap.tunnels.underlay import Underlay
from encap.tunnels.vti import VTITunnel
from encap.tunnels.vxlan import VXLANTunnel

__all__ = [
    "DIFFERENCES", "SIX_TO_FOUR", "Difference", "Domain", "ERSPANTunnel", "FDBEntry",
    "FOUPort",
    "GRETAPTunnel", "GRETunnel", "GeneveTunnel", "IP6GRETAPTunnel", "IP6GRETunnel", "IP6Tunnel",
    "IPIPTunnel", "Policy", "Reason", "Result", "SITTunnel", "SecurityAssociation", "Tunnel",
    "Underlay", "VTITunnel", "VXLANTunnel", "from_commands", "isatap", "isatap_ipv4",
]  # fmt: skip


def __dir__() -> list[str]:
    """The public names: what is in modules of its own comes under them."""
    return __all__
