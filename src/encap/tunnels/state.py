"""What a tunnel remembers from packet to packet."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Self

import numpy as np
import numpy.typing as npt

from encap.fragments import Reassembler
from encap.tunnels.forwarding import Learned
from encap.tunnels.profiles import Profile

__all__ = ["State"]

_NUMBERS = np.arange(1 << 16, dtype=np.uint16)
"""All that an IPv4 id can be; sums of them wrap, as ids do."""


@dataclass(slots=True)
class State:
    """Counters and tables of a device.

    next_id: IPv4 id of the next packet to be sent.  sent: sequence number of the next one.
    next_fragment: identification of the next IPv6 packet that is sent in fragments.
    received: the next sequence number that is expected; None before the first packet.
    fragments: outer datagrams that are not whole yet.
    learned: the endpoints behind MAC addresses, of a device that learns.
    """

    next_id: int = 0
    next_fragment: int = 0
    sent: int = 0
    received: int | None = None
    fragments: Reassembler = field(default_factory=Reassembler)
    learned: Learned = field(default_factory=Learned)

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Gives back the numbers of packets that were never sent: where an error is raised."""
        before = self.next_id, self.next_fragment, self.sent
        try:
            yield
        except BaseException:
            self.next_id, self.next_fragment, self.sent = before
            raise

    @classmethod
    def of(cls, profile: Profile) -> Self:
        """That of a device made just now. Overlaps of fragments are what its profile has."""
        return cls(fragments=Reassembler(overlap=profile))

    def take_ids(self, count: int) -> npt.NDArray[np.uint16]:
        """uint16[count]: the next IPv4 ids, one after the other."""
        first, self.next_id = self.next_id, (self.next_id + count) & 0xFFFF
        if count <= len(_NUMBERS):
            return _NUMBERS[:count] + np.uint16(first)
        return np.resize(_NUMBERS, count) + np.uint16(first)

    def take_fragment_ids(self, count: int) -> npt.NDArray[np.uint32]:
        """uint32[count]: the next IPv6 identifications, one after the other."""
        first, self.next_fragment = self.next_fragment, (self.next_fragment + count) & 0xFFFFFFFF
        return (first + np.arange(count)).astype(np.uint32)
