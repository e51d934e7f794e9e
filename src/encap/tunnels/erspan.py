"""ERSPAN: mirrored frames in GRE.  Source: draft-foschiano-erspan-03; Linux, include/net/erspan.h.

erspan_ver 0 is type I, without a header of its own, 1 is type II, 2 is type III. The key is the
session: GRE's own is never sent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from encap.errors import TunnelError
from encap.fields import Header
from encap.frames import NO_TIME
from encap.headers.erspan import ERSPAN, TYPE_III
from encap.headers.gre import ERSPAN_II, GRE
from encap.tunnels.departing import Wrapping
from encap.tunnels.gredevice import (
    GRE_FIELDS,
    GRE_WORDS,
    GREDevice,
    other_template,
)
from encap.tunnels.greheader import ERSPAN as MIRRORED
from encap.tunnels.innerip import Heads
from encap.tunnels.inside import ETHERNET_LEN
from encap.tunnels.iptunnel import IPV4_WORDS, OverIPv4, number_or
from encap.tunnels.options import NumberOption, frozen
from encap.tunnels.over_ipv6 import IPV6_WORDS, OverIPv6
from encap.tunnels.words import Words, number, text

if TYPE_CHECKING:
    from encap.packets import Packets
    from encap.tunnels.greheader import GREHeaders
    from encap.tunnels.receiving import Bools, Family, Receiving

__all__ = ["ERSPANTunnel"]

Array = npt.NDArray[Any]
SESSIONS, INDICES, ENGINES = 0x3FF, 0xFFFFF, 0x3F
LEAST_FRAME, MOST_FRAME = 60, 1514
"""Shorter and longer frames are marked in type III."""
IN_FRAME, SHORT, OVERSIZED = 3, 1, 2
"""Values of `en`: type II says that a tag is in the frame, type III how long the frame is."""
VLAN, IPV4, IPV6 = 0x8100, 0x0800, 0x86DD
TICK = 100_000
"""Nanoseconds of a step of the time stamp: granularity 0."""
LIMITED = "erspan_ver {} wants key (the session, 0 to 1023) and seq, and no checksum"


@frozen
class ERSPANTunnel(OverIPv4, OverIPv6, GREDevice):
    """`ip link add type erspan`, and `ip6erspan`: mirrored frames, over IPv4 or IPv6.

    key: the session, where erspan_ver is 1 or 2; these want seq, too.
    erspan_ver: 0, 1 or 2.
    erspan: the index of the port, in version 1.
    erspan_dir, erspan_hwid: direction, "ingress" or "egress", and engine, in version 2.

    Frames that are longer than the device takes are cut, and marked. The time stamp of version 2
    is that of the packet.
    """

    erspan_ver: NumberOption = NumberOption(0, 2, default=1)
    erspan: NumberOption = NumberOption(0, INDICES, default=0)
    erspan_dir: str = "ingress"
    erspan_hwid: NumberOption = NumberOption(0, ENGINES, default=0)

    KINDS: ClassVar = ("erspan", "ip6erspan")
    PROTOCOL: ClassVar = 47
    FAMILY: ClassVar[Family | None] = None
    FRAMES: ClassVar = True
    WORDS: ClassVar[Words] = {
        **IPV4_WORDS, **IPV6_WORDS, **GRE_WORDS, "erspan_ver": number("erspan_ver"),
        "erspan": number("erspan"), "erspan_dir": text("erspan_dir"),
        "erspan_hwid": number("erspan_hwid"),
    }  # fmt: skip
    FIELDS: ClassVar[tuple[str, ...]] = (
        *GRE_FIELDS, "ipv4.src", "ipv4.dst", "ipv6.src", "ipv6.dst",
    )  # fmt: skip

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.erspan_dir not in ("ingress", "egress"):
            raise TunnelError(f"erspan_dir is 'ingress' or 'egress', not {self.erspan_dir!r}")
        if self.external:
            raise TunnelError("external is not there for ERSPAN: give a session and an end")
        if self.family == "ipv6" and not self.erspan_ver:
            raise TunnelError("erspan_ver is 1 or 2 over IPv6")
        if self.erspan_ver:
            self._check_words()

    def _check_words(self) -> None:
        """TunnelError where GRE has other words than a sequence number, and a session."""
        for way in "io":
            key, summed = self._both("key", way), self._both("csum", way)
            session = key is not None and key <= SESSIONS
            if not session or summed or not self._both("seq", way):
                raise TunnelError(LIMITED.format(self.erspan_ver))

    def _other_protocols(self, going: Receiving, headers: GREHeaders) -> Bools:
        if self.family == "ipv6":
            return super()._other_protocols(going, headers)
        other: Bools = ~np.isin(headers.protocol, MIRRORED)
        return other

    def _outer(self) -> dict[str, Any]:
        return (OverIPv6 if self.family == "ipv6" else OverIPv4)._outer(self)

    def _wrapping(self, *headers: Header, protocol: int | None = None) -> Wrapping:
        if self.family == "ipv4":
            return OverIPv4._wrapping(self, *headers)
        return OverIPv6._wrapping(self, *headers)

    def _wrap(self, packets: Packets) -> Wrapping:
        version = number_or(self.erspan_ver, 1)
        session = (self._both("key", "o") or 0) & SESSIONS
        if not version:
            headers: tuple[Header, ...] = (GRE(protocol=ERSPAN_II),)
        elif version == 1:
            headers = GRE(seq=0), ERSPAN(session_id=session, index=number_or(self.erspan, 0))
        else:
            third = ERSPAN(
                version=TYPE_III, session_id=session, hw_id=number_or(self.erspan_hwid, 0), p=1,
                direction=int(self.erspan_dir == "egress"), granularity=0, frame_type=0, sgt=0,
                timestamp=0,
            )  # fmt: skip
            headers = GRE(seq=0), third
        wrapping = self._wrapping(*headers)
        wrapping.reasons = self._incomplete(packets)
        if len(packets):
            self._describe(wrapping, packets, version)
        return wrapping

    def _describe(self, wrapping: Wrapping, packets: Packets, version: int) -> None:
        """What the header says about each frame, which is cut where it is too long.

        Source: Linux, erspan_build_header, erspan_build_header_v2 and erspan_detect_bso.
        """
        most = self.device_mtu + ETHERNET_LEN
        cut = packets.wire_lengths > most
        if cut.any():
            wrapping.packets = packets = packets._derived(
                data=packets.data,
                starts=packets.starts,
                lengths=np.minimum(packets.lengths, most).astype(np.uint32),
                wire_lengths=np.minimum(packets.wire_lengths, most).astype(np.uint32),
                linktypes=packets.linktypes,
            )
        if version:
            frames = _Frames(packets, sixth=self.family == "ipv6")
            wrapping.columns |= frames.said(cut, version)
        if self.family == "ipv6":
            self._refuse_and_limit(wrapping, packets)
            self._without_limit(wrapping, _Frames(packets, sixth=True))

    def _without_limit(self, wrapping: Wrapping, frames: _Frames) -> None:
        """Frames without IP get neither an encapsulation limit nor a class.

        Source: Linux, ip6erspan_tunnel_xmit.
        """
        other = ~np.isin(frames.kind, (IPV4, IPV6))
        network, *_ = wrapping.templates[0]
        said = {name: getattr(network, name) for name in network.fields}
        plain = type(network)(**said | {"traffic_class": 0})
        other_template(wrapping, (plain, *wrapping.templates[0][-2:]), other)


class _Frames:
    """What ERSPAN says about frames: read from their first octets, as far as they are there.

    The octets behind an Ethernet header are read as those of an IP header of the outer family,
    whatever they are.

    kind: uint64[n], EtherTypes.
    """

    def __init__(self, packets: Packets, *, sixth: bool) -> None:
        self.packets, self.sixth = packets, sixth
        self.heads = Heads(packets, 24)
        self.kind = self.heads.shorts(12)

    def said(self, cut: Array, version: int) -> dict[str, Array]:
        """Fields of the header, as columns. cut: bool[n], frames that were."""
        behind = self.heads.shorts(14).astype(np.uint16)
        tos = behind >> 4 & 0xFF if self.sixth else behind & 0xFF
        tagged = self.kind == VLAN
        columns: dict[str, Array] = {
            "erspan.cos": (tos >> 5).astype(np.uint8),
            "erspan.vlan": np.where(tagged, behind & 0xFFF, 0).astype(np.uint16),
            "erspan.truncated": (cut | self._shorter() if self.sixth else cut).astype(np.uint8),
        }
        lengths = self.packets.wire_lengths
        if version == 1:
            columns["erspan.en"] = np.where(tagged, IN_FRAME, 0).astype(np.uint8)
        else:
            size = np.where(lengths < LEAST_FRAME, SHORT, 0)
            columns["erspan.en"] = np.where(lengths > MOST_FRAME, OVERSIZED, size).astype(np.uint8)
            times = self.packets.times
            ticks = np.where(times == NO_TIME, 0, times // TICK) & 0xFFFFFFFF
            columns["erspan.timestamp"] = ticks.astype(np.uint32)
        return columns

    def _shorter(self) -> Array:
        """bool[n]: frames shorter than their IP header says.

        The payload of IPv6 is measured from behind a fragment header.
        Source: Linux, ip6erspan_tunnel_xmit.
        """
        lengths = self.packets.wire_lengths.astype(np.int64) - ETHERNET_LEN
        fragment = (self.kind == IPV6) & (self.heads.shorts(20) >> np.uint64(8) == 44)
        headers = 40 + 8 * fragment.astype(np.int64)
        short: Array = (self.kind == IPV4) & (self.heads.shorts(16).astype(np.int64) > lengths)
        short |= (self.kind == IPV6) & (self.heads.shorts(18).astype(np.int64) > lengths - headers)
        return short
