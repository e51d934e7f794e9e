"""Which inner IPv4 addresses send most: python examples/top_talkers.py [CAPTURE]

Octets are those of the inner IPv4 packets, header and payload, as their total_len says: neither the
tunnel nor Ethernet is counted. Batch by batch, so that the capture can be larger than memory.
"""

import sys
from collections import Counter
from ipaddress import IPv4Address

import numpy as np

import encap

sent: Counter[int] = Counter()
with encap.open(sys.argv[1] if len(sys.argv) > 1 else "examples/overlay.pcap") as source:
    for packets in source.batches():
        columns = packets.columns("tunnel", "inner.ipv4", "inner.ipv4.src", "inner.ipv4.total_len")
        inner = columns["tunnel"] & columns["inner.ipv4"]
        addresses, which = np.unique(columns["inner.ipv4.src"][inner], return_inverse=True)
        octets = np.bincount(which, columns["inner.ipv4.total_len"][inner])
        for address, size in zip(addresses.tolist(), octets.tolist(), strict=True):
            sent[address] += int(size)

for address, size in sent.most_common(10):
    print(f"{IPv4Address(address)!s:15} {size:10} octets")
