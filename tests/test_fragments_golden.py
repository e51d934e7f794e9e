"""What a Linux kernel sent in fragments, and what it made of fragments that are wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import golden
import numpy as np
import pytest

import encap
from encap.fragments import OVERLAPS
from encap.verify import Verdict

TRAINS: dict[str, list[dict[str, Any]]] = json.loads(
    (Path(__file__).parent / "vectors" / "fragments" / "trains.json").read_text()
)
CAPTURES = [which for which in golden.every_capture() if not which[0].startswith("malformed_")]
ENDLESS = {
    ("esp_cbc_vti6", "inner_rx"): 1,
    ("esp_gcm_vti6", "inner_rx"): 1,
    ("esp_xfrm_gcm", "inner_rx"): 1,
    ("vxlan6", "inner_rx"): 2,
    ("vxlan6_zerocsum", "inner_rx"): 2,
    ("vxlan_df_set", "inner_rx"): 1,
}
"""Captures in which fragments are missing: how many there are of such datagrams. The first one of
each was too long for the tunnel, behind the sender's device."""


def fragments(packets: encap.Packets) -> np.ndarray:
    """Which packets are fragments of the outermost IP layer."""
    return (packets.parse().status == encap.Status.FRAGMENT) & (packets.parse().count("ip") == 1)


@pytest.mark.parametrize("implementation", encap.implementations())
def test_datagrams_are_whole_again(implementation: str) -> None:
    seen = 0
    with encap.implementation(implementation):
        for which in CAPTURES:
            packets = golden.capture(*which)
            made = packets.reassemble()
            seen += len(packets) - len(made)
            assert sum(made.left_out.values()) == ENDLESS.get(which, 0)
            assert not fragments(made).any()
            assert np.array_equal(made.wire_lengths, made.lengths)
            # What the kernel computed over the whole datagram is right again.
            joined = np.isin(made.rows, np.flatnonzero(fragments(packets)))
            assert not (made[joined].checksums().verdict == Verdict.BAD).any()
    assert seen == 982


def test_datagrams_are_those_joined_by_hand() -> None:
    for name in golden.TUNNELS:
        packets = golden.capture(name, "outer")
        if not (packets.linktypes == 1).all() or fragments(packets[packets.match("ipv6")]).any():
            continue
        made, expected = list(packets.reassemble()), list(golden.joined(packets))
        # By hand the IPv4 checksum was left alone.
        assert [frame[:24] + frame[26:] for frame in made] == [
            frame[:24] + frame[26:] for frame in expected
        ]


def test_the_kernels_fragments_are_made_again() -> None:
    """What it sent in fragments, split again as its first fragment was, is what it sent."""
    seen = 0
    for which in CAPTURES:
        packets = golden.capture(*which)
        pieces = packets[fragments(packets)]
        whole = pieces.reassemble()
        layers = pieces.parse()
        ids, sizes = layers["fragment.id"], pieces.lengths - layers.offset("ip")
        again = [
            frame
            for index, row in enumerate(whole.rows)
            for frame in whole[index : index + 1].fragment(int(sizes[row]), ids=ids[row])
        ]
        # Some were sent between those of another datagram.
        assert sorted(again) == sorted(pieces) or which in ENDLESS
        seen += len(again)
    assert seen > 1500


@pytest.mark.parametrize("overlap", OVERLAPS)
@pytest.mark.parametrize("name", TRAINS)
def test_trains_of_fragments(name: str, overlap: str) -> None:
    """What comes out is what came out of the kernel; where it must not, that depends on nothing."""
    injected = golden.capture(name, "injected")
    for train in TRAINS[name]:
        packets = injected[train["rows"]]
        made = packets.reassemble(overlap=overlap)
        overlaps = made.left_out.get("overlapping fragments", 0)
        if "overlapping" in train["label"]:
            either = overlap in ("first", "last") and name != "malformed_ip6tnl"
            assert len(made) == either
            assert overlaps == (0 if either else len(packets))
            assert train["inner"] == []
            continue
        assert overlaps == train["overlaps"] == 0
        assert len(made) == len(train["inner"])
        if not name.startswith("malformed_esp"):
            assert [frame.hex() for frame in made.decap()] == train["inner"]
    whole = injected.reassemble(overlap=overlap)
    assert len(whole) < len(injected)
