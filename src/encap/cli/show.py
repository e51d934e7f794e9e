"""`encap show`: single packets with all their fields and an annotated hexdump."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from encap import packet
from encap.cli.output import say
from encap.cli.progress import Input
from encap.cli.words import count as words
from encap.cli.words import time_text
from encap.errors import UnsupportedError
from encap.packets import NO_TIME, Packets

__all__ = ["show"]


def show(path: str, *, count: int, skip: int, ports: Mapping[int, str | None]) -> int:
    """Prints `count` packets of the capture at `path`, those before them passed over."""
    status = shown = 0
    with Input(path) as source:
        for number, packets, row in _rows(source, skip, count):
            shown += 1
            print(_title(number, packets, row))
            linktype = int(packets.linktypes[row])
            try:
                found = packet.parse(packets[row], linktype, strict=False, ports=ports)
                print(found.show(), end="\n\n")
            except UnsupportedError as error:
                print(f"not shown: {error}", end="\n\n")
                status = 1
    if source.failure:
        say(str(source.failure))
    if not shown:
        passed = f", --skip passes over {skip:,}" if skip else ""
        say(f"nothing shown: {words(source.packets, 'packet')} in all{passed}")
        status = 2 if skip else 0  # what was asked for is not there
    return 1 if source.failure else status


def _rows(source: Input, skip: int, wanted: int) -> Iterator[tuple[int, Packets, int]]:
    """The number of each packet in the file, from 0, its batch, and its row there."""
    before = 0
    for packets in source.batches():
        begin, end = max(0, skip - before), min(len(packets), skip + wanted - before)
        for row in range(begin, end):
            yield before + row, packets, row
        before += len(packets)
        if before >= skip + wanted:
            return


def _title(number: int, packets: Packets, row: int) -> str:
    """`packet 7, 2026-11-14T10:00:00.000000000Z, 98 octets`."""
    parts = [f"packet {number:,}"]
    if int(packets.times[row]) != NO_TIME:
        parts.append(time_text(int(packets.times[row])))
    length, wire = int(packets.lengths[row]), int(packets.wire_lengths[row])
    octets = words(length, "octet")
    parts.append(octets if wire == length else f"{octets} of {wire:,}")
    return ", ".join(parts)
