"""Packets and octets of each VXLAN network: python examples/count_by_vni.py [CAPTURE]"""

import sys

import numpy as np

import encap

packets = encap.read(sys.argv[1] if len(sys.argv) > 1 else "examples/overlay.pcap")
columns = packets.columns("vxlan", "vxlan.vni", "length")
there = columns["vxlan"]  # a header's name is True where it is

vnis, which = np.unique(columns["vxlan.vni"][there], return_inverse=True)
counts = np.bincount(which)
octets = np.bincount(which, columns["length"][there])
for vni, count, size in zip(vnis, counts, octets, strict=True):
    print(f"VNI {vni}: {count} packets, {size:.0f} octets")
