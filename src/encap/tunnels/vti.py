"""Tunnel devices whose packets go through IPsec: vti, vti6 and the xfrm interface.

    outer IPv4 or IPv6 | UDP, if agreed | ESP ( inner IPv4 or IPv6 )

The device says which packets; policies and associations, found by its key or if_id, say how.
Source: RFC 4301, RFC 4303; Linux, net/ipv4/ip_vti.c, net/ipv6/ip6_vti.c, net/xfrm.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from encap.errors import TunnelError
from encap.tunnels.esp.association import SecurityAssociation
from encap.tunnels.esp.commands import associations, policies
from encap.tunnels.esp.policy import Policy
from encap.tunnels.iptunnel import ADDRESSES
from encap.tunnels.options import KeyOption, NumberOption, frozen
from encap.tunnels.outer import check_udp, is_address
from encap.tunnels.reasons import Reason
from encap.tunnels.tunnel import Link, Tunnel, batch, link_headers
from encap.tunnels.vtistate import VTIState
from encap.tunnels.words import Words, number, text

if TYPE_CHECKING:
    from encap.packets import Packets
    from encap.tunnels.host import Device, Host
    from encap.tunnels.receiving import Receiving
    from encap.tunnels.result import Result

__all__ = ["VTITunnel"]

ESP, UDP = 50, 17
ESP_LEN = 8


@frozen
class VTITunnel(Tunnel):
    """`ip link add type vti`, `vti6` and `xfrm`: IPv4 and IPv6 packets in ESP.

    key, ikey, okey: the mark of associations and policies: of both directions, or of one.
    local, remote: one of them at least, for they say which associations are for sending.
    if_id: makes it an xfrm interface, whose associations and policies have that number instead of a
        mark; packets from another source than `remote` are taken then.
    associations: all of the host that the device may use. What is sent goes by the first one that
        fits; what is received by the one with its destination and SPI.
    policies: which packets the device sends and takes, by which associations; all packets by all
        of them where None.

    `ttl` is that of outer headers, 64 where None; `tos` is not used: TOS is inherited.
    """

    key: KeyOption = KeyOption()
    ikey: KeyOption = KeyOption()
    okey: KeyOption = KeyOption()
    if_id: NumberOption = NumberOption(0, 0xFFFFFFFF, default=0)
    associations: tuple[SecurityAssociation, ...] = ()
    policies: tuple[Policy, ...] | None = None

    KINDS: ClassVar = ("vti", "vti6", "xfrm")
    WORDS: ClassVar[Words] = {
        **ADDRESSES, "key": text("key"), "ikey": text("ikey"), "okey": text("okey"),
        "if_id": number("if_id"), "dev": text("dev"),
    }  # fmt: skip

    def __post_init__(self) -> None:
        super().__post_init__()
        put = object.__setattr__
        for name in ("ikey", "okey"):
            put(self, name, self.key if getattr(self, name) is None else getattr(self, name))
        if self.if_id and (self.ikey is not None or self.okey is not None):
            raise TunnelError("an xfrm interface has an if_id, and no key")
        put(self, "associations", tuple(self.associations))
        if self.policies is not None:
            put(self, "policies", tuple(sorted(self.policies, key=lambda one: one.priority)))
        if self.associations and self.local is None and self.remote is None:
            raise TunnelError("local or remote says which associations are for sending")
        if len(self._ports()) > 1:
            raise TunnelError("the device's associations come to different UDP ports")

    # --- what belongs to the device

    def _owns(self, one: SecurityAssociation | Policy, key: int | None) -> bool:
        """True for what has the device's mark, or its if_id.  Source: Linux, xfrm_if_decode."""
        if self.if_id:
            return one.if_id == self.if_id and one.has_mark(0)
        return not one.if_id and one.has_mark(key or 0)

    @property
    def sending(self) -> tuple[SecurityAssociation, ...]:
        """The associations that packets can be sent by."""
        return tuple(
            one for one in self.associations
            if self._owns(one, self.okey) and self._fits(one.src, one.dst)
        )  # fmt: skip

    @property
    def receiving(self) -> tuple[SecurityAssociation, ...]:
        """The associations that packets can come by."""
        return tuple(
            one for one in self.associations
            if self._owns(one, self.ikey) and self._fits(one.dst, one.src)
        )  # fmt: skip

    def _fits(self, near: object, far: object) -> bool:
        """True for outer addresses that are those of the device."""
        return near == (self.local or near) and far == (self.remote or far)

    def _policies(self, direction: str) -> list[Policy] | None:
        """Those of one direction, in the order in which they count; None for no policies."""
        if self.policies is None:
            return None
        key = self.okey if direction == "out" else self.ikey
        return [one for one in self.policies if one.dir == direction and self._owns(one, key)]

    @classmethod
    def _of_device(cls, device: Device, host: Host, arguments: dict[str, Any]) -> dict[str, Any]:
        arguments.pop("dev", None)
        made: dict[str, Any] = {
            "associations": associations(host.more.get("state", ())),
            "policies": policies(host.more.get("policy", ())),
        }
        if device.kind != "xfrm":
            return made
        # Where its packets go is said by its policies alone.
        for policy in made["policies"]:
            if policy.dir == "out" and policy.if_id == arguments.get("if_id"):
                made |= {"local": str(policy.tmpl_src), "remote": str(policy.tmpl_dst)}
                arguments |= made
        return made

    # --- sizes

    @property
    def overhead(self) -> int:
        """Octets of the outer headers, up to the initialization vector; the most there are."""
        return max((one.header_len for one in self.sending), default=0)

    @property
    def device_mtu(self) -> int:
        """Octets of an IP packet that the device takes; ESP leaves less of the underlay's MTU."""
        if isinstance(self.mtu, int):
            return self.mtu
        outer = 0 if self.if_id else 40 if self.family == "ipv6" else 20
        return self.underlay.mtu - outer

    # --- what is remembered

    @property
    def state(self) -> VTIState:
        """Sequence numbers and windows of each association, and outer fragments."""
        state = self._state[0]
        assert isinstance(state, VTIState)  # noqa: S101  nothing else is put there
        return state

    def _new_state(self) -> VTIState:
        return VTIState.of(self.profile)

    # --- packets

    def encap(
        self,
        packets: Packets,
        columns: Mapping[str, Any] | None = None,
        *,
        link: Link = None,
        threads: int | None = None,
        out: npt.NDArray[np.uint8] | None = None,
    ) -> Result:
        """What the device sends when these packets are routed to it.

        packets: raw IP (link type 101).
        link: see `Tunnel.encap`.
        columns: what a kernel draws at random, one a packet: `ipv4.id`, `esp.iv` as uint8[n, w],
            `fragment.id` of outer IPv6 fragments. Initialization vectors are made of a secret and
            of the sequence number where they are not given, as the kernel makes them.
        threads, out: see `Packets.encap`.
        """
        from encap.tunnels.vtisending import send

        headers = link_headers(link)
        with self._lock, self.state.kept():
            return send(self, batch("encap", packets), headers, columns or {}, threads, out)

    def decap(self, packets: Packets) -> Result:
        """What the device delivers of the packets that the host receives; see `Tunnel.decap`.

        Packets are decrypted into memory of their own, in the order in which they came: the window
        against replays moves with each one that is genuine.
        """
        from encap.tunnels.vtireceiving import receive

        with self._lock:
            return receive(self, batch("decap", packets))

    @property
    def _fields(self) -> tuple[str, ...]:
        ends = (f"{self.family}.src", f"{self.family}.dst")
        return (*ends, "udp.dport") if self._ports() else ends

    def _ports(self) -> Mapping[int, str | None]:
        return {one.encap.dport: "esp" for one in self.receiving if one.encap is not None}

    def _check(self, going: Receiving) -> None:
        # An xfrm interface is told by the association, which has no source in Linux's tables.
        for name, mine in (("dst", self.local), ("src", None if self.if_id else self.remote)):
            if mine is not None:
                theirs = going.columns[f"{going.family}.{name}"]
                going.refuse(~is_address(theirs, mine), Reason.NO_STATE)
        direct, ports = going.protocol == ESP, self._ports()
        if ports:
            # What is without UDP waits meanwhile.
            kept = going.rows(direct)
            going.reasons[kept] = Reason.OTHER_PROTOCOL
            check_udp(going, next(iter(ports)), zero_ok=False)
            self._check_marker(going)
            going.reasons[kept] = 0
            going.inner = np.where(direct, going.upper, going.inner)
        else:
            going.refuse(~direct, Reason.OTHER_PROTOCOL)
        going.refuse(going.end < going.said, Reason.INCOMPLETE)

    @staticmethod
    def _check_marker(going: Receiving) -> None:
        """What is not ESP in UDP: a keepalive, or IKE behind four zeros.

        Source: RFC 3948 sections 2.2 to 2.4; Linux, xfrm4_udp_encap_rcv.
        """
        rows = going.rows()
        length = going.end[rows] - going.inner[rows]
        spi = np.zeros(len(rows), np.uint32)
        long = length > ESP_LEN
        spi[long] = going.numbers(rows[long], going.inner[rows[long]], 4)
        other = np.zeros(len(going), np.bool_)
        other[rows] = spi == 0
        going.refuse(other, Reason.NOT_ESP)
