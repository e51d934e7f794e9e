"""Makes overlay.pcap from a folder of captures: python examples/make_overlay.py FOLDER [OUT]

FOLDER has a folder for each scenario, with outer.pcap, or injected.pcap where malformed
packets were sent. Packets of more than 600 octets are left out: they are bulk data.
"""

import sys
from pathlib import Path

import numpy as np

import encap

SCENARIOS = (
    "ipip",
    "sit",
    "gre_key_csum_seq",
    "vlan_qinq",
    "erspan_v1",
    "vxlan",
    "vxlan6",
    "vxlan_vlan",
    "geneve_optn",
    "nest_vxlan_in_gretap",
)
MALFORMED = "malformed_vxlan"
LARGEST_LEN = 600  # octets
STEP_NS = 1_000_000


def collect(folder: Path) -> encap.Packets:
    """The packets of all scenarios in order of time, the malformed ones at the end."""
    parts = [encap.read(folder / name / "outer.pcap") for name in SCENARIOS]
    packets = encap.Packets.concat(part[part.lengths <= LARGEST_LEN] for part in parts)
    packets = packets[np.argsort(packets.times, kind="stable")]
    # These have no times of their own.
    injected = encap.read(folder / MALFORMED / "injected.pcap")
    times = packets.times[-1] + STEP_NS * np.arange(1, len(injected) + 1)
    return encap.Packets.concat([packets, injected.replace(times=times)])


def main(folder: str, out: str = "examples/overlay.pcap") -> None:
    summary = encap.write(out, collect(Path(folder)), nanoseconds=False)
    print(f"{summary.packets} packets, {summary.octets} octets: {out}")


if __name__ == "__main__":
    main(*sys.argv[1:])
