"""`encap reassemble`: datagrams in place of their fragments, and a count of those left out."""

from __future__ import annotations

from collections.abc import Mapping

from encap.cli.arguments import Target
from encap.cli.output import LEFT_OUT, Output
from encap.cli.words import count
from encap.fragments import DUPLICATES, Reassembler
from encap.packets import Packets

__all__ = ["Joining", "reassemble"]


class Joining:
    """Reassembly on the way from IN to OUT."""

    def __init__(self, output: Output, reassembler: Reassembler) -> None:
        self._output, self._reassembler = output, reassembler

    def add(self, packets: Packets) -> Packets:
        """The packets and the datagrams that are whole; what `left_out` says is counted."""
        made = self._reassembler.add(packets, threads=self._output.threads)
        self._count(made.left_out)
        return made[:]  # which has left out nothing

    def end(self) -> None:
        """Gives up what waits still."""
        self._count(self._reassembler.flush())

    def _count(self, lost: Mapping[str, int]) -> None:
        # Of a duplicate nothing is missing in OUT.
        twice = {DUPLICATES: lost.get(DUPLICATES, 0)}
        self._output.count(LEFT_OUT, twice, as_told=True)
        self._output.count(LEFT_OUT, {**lost, DUPLICATES: 0})


def reassemble(
    path: str, target: Target, reassembler: Reassembler, ports: Mapping[int, str | None]
) -> int:
    """Writes `path` to `target`, fragments put together; the exit status."""
    with Output(path, target, ports) as output:
        joining = Joining(output, reassembler)
        for packets in output.batches():
            output.put(joining.add(packets))
        joining.end()
    return output.finish(f"{count(reassembler.joined, 'datagram')} put together")
