"""From any tunnel into VXLAN: python examples/into_vxlan.py [CAPTURE [OUT]]

Endpoints stay; the id of each packet's outermost tunnel becomes its VNI. Frames alone, since
VXLAN carries no bare IP packets, and those whose id fits 24 bits.
"""

import sys
from pathlib import Path

import numpy as np

import encap

packets = encap.read(sys.argv[1] if len(sys.argv) > 1 else "examples/overlay.pcap")
out = Path(sys.argv[2] if len(sys.argv) > 2 else "build/examples/vxlan.pcap")
out.parent.mkdir(parents=True, exist_ok=True)

inner = packets.decap()
columns = packets.columns("tunnel.id", "eth.src", "eth.dst", "ipv4", "ipv4.src", "ipv4.dst")
columns = {name: column[inner.rows] for name, column in columns.items()}  # of the inner packets
fits = (inner.linktypes == 1) & columns["ipv4"] & (columns["tunnel.id"] < 1 << 24)

addresses = {name: columns[name][fits] for name in ("eth.src", "eth.dst", "ipv4.src", "ipv4.dst")}
outer = inner[fits].encap(
    "eth/ipv4/udp/vxlan", addresses | {"vxlan.vni": columns["tunnel.id"][fits]}
)
encap.write(out, outer)

vnis, counts = np.unique(outer.columns("vxlan.vni")["vxlan.vni"], return_counts=True)
for vni, count in zip(vnis, counts, strict=True):
    print(f"VNI {vni}: {count} packets")
print(f"{out}: {len(outer)} of {len(packets)} packets, {outer.lengths.sum()} octets")
