"""How packets arrive through a device over IPsec: fragments joined, opened in order, asked for.

Source: Linux, xfrm_input and vti_rcv_cb; RFC 4301 section 5.2.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from encap.packets import Packets
from encap.tunnels.arriving import Delivery, deliver
from encap.tunnels.esp.ciphers import gather
from encap.tunnels.esp.opening import Opened, open_packets
from encap.tunnels.esp.policy import Addresses
from encap.tunnels.outer import is_address
from encap.tunnels.reasons import Reason
from encap.tunnels.receiving import Array, Int64s, Receiving
from encap.tunnels.result import Result

if TYPE_CHECKING:
    from encap.tunnels.state import State
    from encap.tunnels.vti import VTITunnel

__all__ = ["receive"]

RAW, UDP = 101, 17


class _Arrivals:
    """A receiver that delivers ESP packets as they are, and keeps what stood in front of them.

    tos: uint8[n], of outer headers.  targets: where they were for, uint32[n] or uint8[n, 16].
    in_udp: bool[n], packets in UDP.
    """

    def __init__(self, tunnel: VTITunnel, count: int) -> None:
        self._tunnel = tunnel
        self.tos = np.zeros(count, np.uint8)
        fourth = tunnel.family == "ipv4"
        self.targets: Array = np.zeros(
            count if fourth else (count, 16), np.uint32 if fourth else np.uint8
        )
        self.in_udp = np.zeros(count, np.bool_)

    @property
    def state(self) -> State:
        return self._tunnel.state

    def _receive(self, packets: Packets) -> Receiving:
        return self._tunnel._receive(packets)

    def _in_order(self, stages: Sequence[tuple[Receiving, Int64s]]) -> None:
        self._tunnel._in_order(stages)

    def _inner(self, going: Receiving, rows: Int64s) -> Delivery:
        """From the ESP header to the end of the check value."""
        accepted = np.flatnonzero(going.reasons == 0)
        self.tos[rows[accepted]] = going.tos[accepted]
        self.targets[rows[accepted]] = going.columns[f"{going.family}.dst"][accepted]
        self.in_udp[rows[accepted]] = going.protocol[accepted] == UDP
        begin, packets = going.inner[accepted], going.packets
        lengths = (going.end[accepted] - begin).astype(np.uint32)
        made = packets._derived(
            accepted,
            data=packets.data,
            starts=packets.starts[accepted] + begin,
            lengths=lengths,
            wire_lengths=lengths,
            linktypes=np.broadcast_to(np.uint16(RAW), (len(accepted),)),
        )
        return Delivery(rows[accepted], made)


def receive(tunnel: VTITunnel, packets: Packets) -> Result:
    """What the device delivers; see `VTITunnel.decap`."""
    arrivals = _Arrivals(tunnel, len(packets))
    arrived = deliver(arrivals, packets)
    esp, rows, reasons = arrived.packets, arrived.rows, arrived.reasons
    which = _associations(tunnel, esp, arrivals.targets[rows])
    encapsulated = np.array([sa.encap is not None for sa in tunnel.receiving] or [False])
    mismatch = (which >= 0) & (encapsulated[which] != arrivals.in_udp[rows])
    opened = open_packets(
        [tunnel.state.live(sa) for sa in tunnel.receiving],
        np.where(mismatch, -1, which),
        esp.data,
        esp.starts,
        esp.lengths.astype(np.int64),
        arrivals.tos[rows],
        rfc=tunnel.profile == "rfc",
    )
    opened.reasons[mismatch & (opened.reasons == Reason.NO_STATE)] = Reason.ESP_ENCAP
    _check_policies(tunnel, opened, which)
    reasons[rows] = opened.reasons
    kept = np.flatnonzero(opened.reasons == 0)
    lengths = opened.lengths[kept].astype(np.uint32)
    made = packets._derived(
        rows[kept],
        data=opened.data,
        starts=opened.starts[kept],
        lengths=lengths,
        wire_lengths=lengths,
        linktypes=np.broadcast_to(np.uint16(RAW), (len(kept),)),
        times=esp.times[kept],
    )
    return Result(made, reasons, arrived.replies)


def _associations(tunnel: VTITunnel, esp: Packets, targets: Array) -> npt.NDArray[np.int64]:
    """int64[n]: which of `tunnel.receiving` has destination and SPI of each packet; -1 for none.

    targets: uint32[n] or uint8[n, 16], outer destinations.
    """
    which, rows = np.full(len(esp), -1), np.flatnonzero(esp.lengths >= 4)
    spis = gather(esp.data, esp.starts[rows], 4).view(">u4").ravel()
    # Of several that a packet could come by, the first one counts, as in sending.
    for index, sa in reversed([*enumerate(tunnel.receiving)]):
        which[rows[(spis == sa.spi) & is_address(targets[rows], sa.dst)]] = index
    return which


def _check_policies(tunnel: VTITunnel, opened: Opened, which: npt.NDArray[np.int64]) -> None:
    """Refuses packets that may not have come, or not by that association."""
    policies = tunnel._policies("in")
    if policies is None:
        return
    rows = np.flatnonzero(opened.reasons == 0)
    inside = Addresses(opened.data, opened.starts[rows], opened.lengths[rows])
    undecided = np.ones(len(rows), np.bool_)
    refused = np.zeros(len(rows), np.uint8)
    for policy in policies:
        covered = undecided & policy.covers(inside)
        undecided &= ~covered
        wanted = np.array([policy.wants(sa) for sa in tunnel.receiving], np.bool_)
        refused[covered & ~wanted[which[rows]]] = Reason.TEMPLATE
    refused[undecided] = Reason.NO_POLICY
    opened.reasons[rows] = refused
    for row in rows[refused != 0].tolist():
        opened.data[opened.starts[row] :][: opened.lengths[row]] = 0
