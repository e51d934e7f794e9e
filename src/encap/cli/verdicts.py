"""Why packets were not understood to their end, and whether a tunnel may be hidden there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from encap.layers import Layers
from encap.walk import KINDS, Status, port_rules

__all__ = ["Verdict", "hides_tunnel", "verdicts"]

ENDS = ("arp", "icmp", "icmpv6", "igmp", "tcp", "sctp", "esp")
"""Headers behind which no tunnel is looked for."""
NEXT_HEADER = ("ipv6", "hopopt", "routing", "fragment", "dstopts", "ah")
"""Headers that say in `next_header` what follows them."""

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What stopped a walk: its status, the last header there, whether that one is whole.

    linktype: of packets that no header is known for, else 0.
    """

    status: Status
    layer: str
    whole: bool
    linktype: int

    @property
    def name(self) -> str:
        """The status as a word: `truncated`, `malformed`, `unsupported`, `depth`, `fragment`."""
        return self.status.name.lower()

    def __str__(self) -> str:
        if self.status is Status.TRUNCATED:
            if not self.layer:
                return "shorter than its first header"
            return f"cut short {'after' if self.whole else 'in'} {self.layer}"
        if self.status is Status.UNSUPPORTED:
            if not self.layer:
                return f"link type {self.linktype} is not known"
            return f"{self.layer} of an unknown version"
        if self.status is Status.MALFORMED:
            return f"malformed {self.layer}"
        return {Status.DEPTH: "more than 16 headers", Status.FRAGMENT: "fragment"}[self.status]


def last_layer(layers: Layers, rows: Rows) -> npt.NDArray[np.uint8]:
    """The number of the last header of each of these packets, 0 where there is none."""
    depth = layers.depth[rows].astype(np.int64)
    return np.where(depth, layers.kinds[rows, np.maximum(depth - 1, 0)], 0).astype(np.uint8)


def verdicts(layers: Layers, rows: Rows) -> Iterator[tuple[Verdict, Rows]]:
    """Those of `rows` (whose status is not OK) by verdict, in order of their first row."""
    status = layers.status[rows].astype(np.int64)
    whole = layers.status_layer[rows] >= layers.depth[rows]
    unknown = (status == Status.UNSUPPORTED) & (layers.depth[rows] == 0)
    linktype = np.where(unknown, layers.packets.linktypes[rows], 0)
    key = status << 32 | whole.astype(np.int64) << 24
    key |= last_layer(layers, rows).astype(np.int64) << 16 | linktype
    # One verdict, however many packets: the layers of a fragment say where it was, not why.
    key[status == Status.FRAGMENT] = int(Status.FRAGMENT) << 32
    found, first = np.unique(key, return_index=True)
    for value in found[np.argsort(first)].tolist():
        verdict = Verdict(
            Status(value >> 32), KINDS[value >> 16 & 0xFF], bool(value >> 24 & 1), value & 0xFFFF
        )
        yield verdict, rows[key == value]


def hides_tunnel(
    layers: Layers, rows: Rows, ports: Mapping[int, str | None] | None = None
) -> npt.NDArray[np.bool_]:
    """bool: which of `rows` stopped (status not OK) where a tunnel may have followed.

    A TCP header cut short is nothing that a tunnel could be in; a fragment of UDP is.
    """
    last = last_layer(layers, rows)
    hides = ~np.isin(last, [KINDS.index(name) for name in ENDS])
    carried = np.full(len(rows), -1, np.int64)
    for name, field in [("ipv4", "protocol"), *((name, "next_header") for name in NEXT_HEADER)]:
        mine = last == KINDS.index(name)
        if mine.any():
            carried[mine] = layers[f"{name}[-1].{field}"][rows[mine]]
    known = port_rules(layers.packets._ports_with(ports))
    leads_on = np.array([_leads_on(kind) for kind in known.protocol], np.bool_)
    # What a header that cannot be says of the next one is nothing to go by.
    odd = np.isin(layers.status[rows], (Status.MALFORMED, Status.UNSUPPORTED))
    hides &= odd | (carried < 0) | leads_on[carried]
    udp = (last == KINDS.index("udp")) & (layers.status[rows] == Status.FRAGMENT)
    if udp.any():
        dport = layers["udp[-1].dport"][rows[udp]]
        tunnels = [port for port in np.unique(dport).tolist() if _leads_on(known.port[port])]
        hides[udp] = np.isin(dport, tunnels)
    return hides


def _leads_on(kind: int) -> bool:
    """Whether a header of this number, 0 for none, is one that a tunnel may follow, or is one."""
    return kind != 0 and KINDS[kind] not in ENDS
