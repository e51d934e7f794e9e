"""Tunnels as the kernel runs them: packets in and out of devices, without a kernel.

from encap import tunnels
vtep = tunnels.VXLANTunnel(id=42, local="192.0.2.1", remote="192.0.2.2", dstport=4789)
sent = vtep.encap(packets)
received = vtep.decap(sent.packets)
"""

from encap.tunnels.commands import from_commands
from encap.tunnels.erspan import ERSPANTunnel
from encap.tunnels.esp import Policy, SecurityAssociation
from encap.tunnels.forwarding import FDBEntry
from encap.tunnels.geneve import GeneveTunnel
from encap.tunnels.gre import GRETAPTunnel, GRETunnel, IP6GRETAPTunnel, IP6GRETunnel
from encap.tunnels.ipip import IPIPTunnel
from encap.tunnels.profiles import DIFFERENCES, Difference
from encap.tunnels.reasons import Reason
from encap.tunnels.result import Result
from encap.tunnels.tunnel import Tunnel
from encap.tunnels.underlay import Underlay
from encap.tunnels.vti import VTITunnel
from encap.tunnels.vxlan import VXLANTunnel

__all__ = [
    "DIFFERENCES", "Difference", "ERSPANTunnel", "FDBEntry", "GRETAPTunnel", "GRETunnel",
    "GeneveTunnel", "IP6GRETAPTunnel", "IP6GRETunnel", "IPIPTunnel", "Policy", "Reason", "Result",
    "SecurityAssociation", "Tunnel", "Underlay", "VTITunnel", "VXLANTunnel", "from_commands",
]  # fmt: skip
