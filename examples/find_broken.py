"""Which packets cannot be understood to their end: python examples/find_broken.py [CAPTURE]

The batch says which they are, at memory speed; one at a time they say what exactly is wrong.
"""

import sys

import numpy as np

import encap

packets = encap.read(sys.argv[1] if len(sys.argv) > 1 else "examples/overlay.pcap")
layers = packets.parse()
fragments = layers.status == encap.Status.FRAGMENT
broken = (layers.status != encap.Status.OK) & ~fragments

print(f"{len(packets)} packets, {fragments.sum()} fragments, {broken.sum()} broken")
for row in np.flatnonzero(broken).tolist():
    packet = encap.parse(packets[row], int(packets.linktypes[row]), strict=False)
    print(f"row {row}: {packet.path}: {packet.error}")
