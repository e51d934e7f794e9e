"""`encap filter`: the packets that an expression selects, or how many there are."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from encap.cli.arguments import Target
from encap.cli.output import LEFT_OUT, Output, say
from encap.cli.progress import Input
from encap.cli.words import count as words
from encap.filter import Filter
from encap.packets import Packets

__all__ = ["count", "select"]


def select(
    path: str,
    target: Target,
    expression: str,
    *,
    invert: bool,
    ports: Mapping[int, str | None],
) -> int:
    """Writes the packets of `path` that `expression` selects to `target`; the exit status."""
    wanted = Filter(expression)  # before anything is opened
    reason = "it matches" if invert else "it does not match"
    with Output(path, target, ports) as output:
        for packets in output.batches():
            chosen = packets[_chosen(wanted, packets, invert, output.threads)]
            output.count(LEFT_OUT, {reason: len(packets) - len(chosen)}, as_told=True)
            output.put(chosen)
    return output.finish()


def count(path: str, expression: str, *, invert: bool, ports: Mapping[int, str | None]) -> int:
    """Prints how many packets of `path` an expression selects; the exit status."""
    wanted, found = Filter(expression), 0
    with Input(path) as source:
        for packets in source.batches():
            bound = packets.with_ports(ports) if ports else packets
            found += int(np.count_nonzero(_chosen(wanted, bound, invert, None)))
    print(found)
    say(f"{words(source.packets, 'packet')} read", *([str(source.failure)] * bool(source.failure)))
    return 1 if source.failure else 0


def _chosen(
    wanted: Filter, packets: Packets, invert: bool, threads: int | None
) -> npt.NDArray[np.bool_]:
    """Which packets are wanted."""
    found = wanted.match(packets, threads=threads)
    return np.logical_not(found, out=found) if invert else found
