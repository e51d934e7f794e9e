"""The captures of a Linux kernel in tests/vectors/golden, as batches."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

import encap

FOLDER = Path(__file__).parent.parent / "vectors" / "golden"
INDEX: dict[str, dict[str, Any]] = json.loads((FOLDER / "index.json").read_text())


@cache
def capture(scenario: str, name: str) -> encap.Packets:
    """One capture, both directions."""
    return encap.read(FOLDER / scenario / f"{name}.pcap.gz")


def half(scenario: str, name: str, direction: str) -> encap.Packets:
    """The packets that the host sent (`o`) or received (`i`) on that device."""
    packets = capture(scenario, name)
    letters = INDEX[scenario]["captures"][name].encode()
    return packets[np.frombuffer(letters, "S1") == direction.encode()]


def every_capture() -> list[tuple[str, str]]:
    """Scenario and name of each capture there is."""
    return [(scenario, name) for scenario, entry in INDEX.items() for name in entry["captures"]]


@cache
def every_frame() -> encap.Packets:
    """All frames of all captures, each distinct one once: Ethernet and raw IP in one batch."""
    batch = encap.Packets.concat(capture(*which) for which in every_capture())
    seen = dict.fromkeys(zip(batch, batch.linktypes.tolist(), strict=True))
    frames, linktypes = zip(*seen, strict=True)
    return encap.Packets.from_frames(frames, linktypes=linktypes)
