"""ESP in tunnel mode: packets encrypted and authenticated between two endpoints.

A `SecurityAssociation` is what both ends agreed on. `VTITunnel` is what one uses; here is what it
is made of: algorithms, sequence numbers and windows, sealing and opening of whole batches. The
ciphers are those of the package `cryptography`, which is not imported before one is needed.

What this does not do: transport mode, negotiate keys, count lifetimes.
Source: RFC 4303, RFC 4301; Linux, net/xfrm.
"""

from __future__ import annotations

from encap.tunnels.esp.association import SecurityAssociation
from encap.tunnels.esp.live import Live
from encap.tunnels.esp.opening import Opened, open_packets
from encap.tunnels.esp.options import Encap
from encap.tunnels.esp.policy import Policy
from encap.tunnels.esp.sealing import seal

__all__ = ["Encap", "Live", "Opened", "Policy", "SecurityAssociation", "open_packets", "seal"]
