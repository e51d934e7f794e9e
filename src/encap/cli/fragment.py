"""`encap fragment`: packets split as a router would, and a count of those that cannot be."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np

from encap.cli.arguments import Target
from encap.cli.output import Output
from encap.cli.words import count
from encap.errors import FieldError
from encap.packets import Packets

__all__ = ["fragment"]

ROW = re.compile(r"row (\d+)")
IDS = 1 << 32


def fragment(
    path: str,
    target: Target,
    mtu: int,
    layer: str,
    *,
    df: str,
    first_id: int,
    ports: Mapping[int, str | None],
) -> int:
    """Writes `path` to `target`, what is too long in fragments; the exit status."""

    def made(packets: Packets, before: int, threads: int | None) -> Packets:
        """A batch, `before` packets being before it: these give IPv6 fragments their ids."""
        ids = (np.arange(before, before + len(packets)) + first_id) % IDS
        try:
            return packets.fragment(mtu, layer, df=df, ids=ids.astype(np.uint32), threads=threads)
        except FieldError as error:
            text = ROW.sub(lambda row: f"packet {before + int(row[1]):,}", str(error), count=1)
            raise FieldError(text) from error

    # What is wrong with the options is said before any file is opened.
    made(Packets.from_frames([]), 0, 1)
    split = 0
    with Output(path, target, ports) as output:
        for packets in output.batches():
            parts = made(packets, output.read - len(packets), output.threads)
            split += _split(parts)
            output.put(parts)
    return output.finish(f"{count(split, 'packet')} split")


def _split(parts: Packets) -> int:
    """How many packets became several."""
    again = parts.rows[1:] == parts.rows[:-1]
    return int(np.count_nonzero(again[1:] < again[:-1])) + int(again[-1:].sum())
