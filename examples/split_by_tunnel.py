"""The inner packets, one capture for each tunnel: python examples/split_by_tunnel.py [IN [FOLDER]]

A tunnel is its kind and its id: VNI, GRE key, ERSPAN session.
"""

import sys
from pathlib import Path

import numpy as np

import encap

packets = encap.read(sys.argv[1] if len(sys.argv) > 1 else "examples/overlay.pcap")
folder = Path(sys.argv[2] if len(sys.argv) > 2 else "build/examples")
folder.mkdir(parents=True, exist_ok=True)

columns = packets.columns("tunnel.kind", "tunnel.id")
for kind in np.unique(columns["tunnel.kind"]):
    if not kind:  # in no tunnel
        continue
    of_kind = columns["tunnel.kind"] == kind
    for number in np.unique(columns["tunnel.id"][of_kind]):
        inner = packets[of_kind & (columns["tunnel.id"] == number)].decap()
        # pcapng, since a tunnel may carry frames and IP packets.
        path = folder / f"{encap.Kind(int(kind)).name}-{number}.pcapng"
        summary = encap.write(path, inner)
        print(f"{path}: {summary.packets} packets")
