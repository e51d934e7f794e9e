"""Other addresses inside the tunnels: python examples/readdress.py [CAPTURE [OUT]]

Networks take the place of networks, the bits of hosts stay. Checksums move along, those of the
tunnels around too: what was right is still right, and what was wrong still wrong.
"""

import sys
from pathlib import Path

import encap

packets = encap.read(sys.argv[1] if len(sys.argv) > 1 else "examples/overlay.pcap")
out = Path(sys.argv[2] if len(sys.argv) > 2 else "build/examples/readdressed.pcap")
out.parent.mkdir(parents=True, exist_ok=True)

NETWORKS = {"10.0.0.0/16": "172.16.0.0/16", "10.7.0.0/16": "172.17.0.0/16"}

chosen = packets.where("tunnel and inner.ipv4 and status == ok")
changed = chosen.rewrite({"inner.ipv4.src": NETWORKS, "inner.ipv4.dst": NETWORKS})
encap.write(out, changed)

for name, batch in (("before", chosen), ("after", changed)):
    counts = {verdict.name.lower(): number for verdict, number in batch.checksums().counts.items()}
    print(name, counts)
left = len(changed.where("inner.ip.src in 10.0.0.0/8 or inner.ip.dst in 10.0.0.0/8"))
print(f"{out}: {len(changed)} packets, {left} with an address of before")
