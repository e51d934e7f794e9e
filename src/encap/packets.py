"""Packets: many frames over one buffer. What a capture is read into, and what can be done with it.

A batch is an immutable value: selecting and decapsulating make new starts and
lengths over the same octets, and whatever changes an octet copies. Every method here is that of
a module of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from encap.arrays import Octets
from encap.frames import NO_TIME, Frames, Uint32s

if TYPE_CHECKING:
    from encap.checksums import Checksums
    from encap.fields import Header
    from encap.filter import Filter
    from encap.layers import Layers
    from encap.oversize import Oversize
    from encap.packet import Packet

__all__ = ["NO_TIME", "Packets"]


class Packets(Frames):
    """Many frames: one buffer of octets, with starts and lengths.

    data: any buffer of octets, or a contiguous uint8 array; borrowed, never copied.
    starts: int64[n], octets from the start of `data`.  lengths: uint32[n], octets captured.
    wire_lengths: uint32[n], octets the frames had on the wire; the lengths where not given.
    times: int64[n], nanoseconds since 1970, or one number for all; `NO_TIME` where not given.
    linktypes: uint16[n], LINKTYPE numbers, or one for all; Ethernet where not given.
    rows: int64[n], the row each packet had in the batch that this one was made from.
    error: what ended the reading of the file that the batch comes from, or None.
    left_out: how many packets the method that made the batch could not do as asked, by reason: they
        are missing, or for methods that change packets stand as they were. What a selection, a
        filter or `decap` leaves out as told is not counted; `rows` says what is there.

    FieldError when a row lies outside of `data` or an array has another length.
    """

    __slots__ = ()

    def parse(
        self,
        *,
        ports: Mapping[int, str | None] | None = None,
        threads: int | None = None,
        out: Layers | None = None,
    ) -> Layers:
        """Which header stands where in every packet; never fails for a bad one.

        ports: UDP destination ports to know beside the defaults; see `with_ports`.
        threads: how many to use; the result does not depend on it.
        out: what an earlier call returned, whose memory is used again (and so changes).
        """
        from encap.layers import parse

        return parse(self, ports=ports, threads=threads, out=out)

    def columns(
        self,
        *names: str,
        ports: Mapping[int, str | None] | None = None,
        threads: int | None = None,
        out: Mapping[str, npt.NDArray[Any]] | None = None,
    ) -> dict[str, npt.NDArray[Any]]:
        """One array a name, one row a packet, in the order asked for: parse and gather in one pass.

        names: `vxlan.vni`, `inner.ipv4.src`, `gre.key?`; the dtypes are those of `Layers`.
        ports, threads: see `parse`.  out: arrays by name to write to, as an earlier call returned.
        FieldError, with the names that exist, for one that does not.
        """
        from encap.gather import columns

        return columns(self, names, ports=ports, threads=threads, out=out)

    def match(
        self,
        expression: str | Filter,
        *,
        ports: Mapping[int, str | None] | None = None,
        threads: int | None = None,
    ) -> npt.NDArray[np.bool_]:
        """bool[n]: which packets an expression holds for.

        expression: `vxlan.vni == 42 and inner.ip.src in 10.0.0.0/8`, or a `Filter` made of it.
        ports, threads: see `parse`.
        A comparison with a field that a packet lacks is false.  ExpressionError, with the
        `position` of what is wrong, for a text that is no expression.
        """
        from encap.filter import match

        return match(self, expression, ports=ports, threads=threads)

    def where(
        self,
        expression: str | Filter,
        *,
        ports: Mapping[int, str | None] | None = None,
        threads: int | None = None,
    ) -> Packets:
        """The packets that an expression holds for, over the same octets; see `match`."""
        return self[self.match(expression, ports=ports, threads=threads)]

    def decap(
        self,
        kind: str | None = None,
        depth: int | str = 1,
        others: str = "drop",
        *,
        ports: Mapping[int, str | None] | None = None,
        threads: int | None = None,
        out: Octets | None = None,
    ) -> Packets:
        """The inner packets: same octets, other starts and lengths; `rows` says where each was.

        kind: the tunnel whose header goes, with all before it: `vxlan`, `gpe`, `geneve`, `gre`,
            `erspan`, or for IP in IP `ipip`, `sit`, `ip6tnl`; the outermost tunnel where None.
        depth: how many tunnels to take off at the most, or "all".
        others: packets without such a tunnel are left out ("drop") or stay as they are ("keep").
        ports, threads: see `parse`.
        out: uint8 array with room for all octets of the batch; the inner packets are then copied
            into it in the same pass, and the result is a batch over it.

        An inner packet ends where the outer lengths end. Inner Ethernet frames have link type 1,
        IP packets (and what else GRE may carry) 101, PPP 9.
        """
        from encap.decapsulate import decap

        return decap(self, kind, depth, others, ports=ports, threads=threads, out=out)

    def reassemble(
        self,
        layer: str = "outer",
        *,
        overlap: str = "linux",
        times: str = "last",
        timeout: float | None = None,
        ports: Mapping[int, str | None] | None = None,
        threads: int | None = None,
        out: Octets | None = None,
    ) -> Packets:
        """The packets, datagrams in place of their fragments; octets are copied if there are any.

        A datagram stands where the fragment was that made it whole, behind the link header and the
        tunnel of its first fragment, whose row is in `rows` if it came first. Fragments that belong
        to none are left out, counted in `left_out` by reason.

        layer: the IP header whose datagrams are meant: "outer", "inner" (the last one that can be
            seen: no tunnel is entered in a fragment), `ipv4[1]`. The lengths of headers around it
            grow, UDP and GRE checksums around it are made anew unless there are none.
        overlap: a fragment with octets that came before is a duplicate, or drops its datagram:
            "linux" does what Linux does, where one is a duplicate that lies within octets that came
            in order; for "rfc" only the same octets again are one, and what comes later of a
            datagram that was dropped is dropped too (RFC 5722). "first" and "last" say for IPv4
            which octets count, and mean "rfc" for IPv6.
        times: that of the fragment that came "first" or "last".
        timeout: seconds after its first fragment, by the packets' times, in which a datagram must
            be whole; 30 for IPv4 and 60 for IPv6 where None.
        ports, threads: see `parse`.
        out: uint8 array with room for all octets of the batch.

        Fragments belong together by addresses, id and, for IPv4, protocol, and by the VLAN ids,
        MPLS labels and tunnel ids in front (addresses, of tunnels without an id). Trailers are cut
        off. IPv4 keeps the first fragment's options and flags but MF, and its checksum as right or
        wrong as it was. IPv6 loses the Fragment header; atomic fragments stay as they are
        (RFC 6946).
        """
        from encap.fragments import reassemble

        return reassemble(
            self, layer, overlap=overlap, times=times, timeout=timeout, ports=ports,
            threads=threads, out=out,
        )  # fmt: skip

    def fragment(
        self,
        mtu: int,
        layer: str = "outer",
        *,
        df: str = "skip",
        ids: npt.ArrayLike = 0,
        ports: Mapping[int, str | None] | None = None,
        threads: int | None = None,
        out: Octets | None = None,
    ) -> Packets:
        """The packets, in fragments where they are too long; `rows` repeats for these.

        mtu: octets of the longest IP packet, 28 to 65,535.
        layer: the IP header whose datagrams are split: "outer", "inner", `ipv4[1]`. Each fragment
            has what stands in front of it, with lengths and checksums as for `reassemble`.
        df: packets that are too long and have DF set are left out ("skip"), refused ("raise" a
            FieldError), or split, DF staying as it is ("ignore").
        ids: of IPv6 fragments: the first of them, counted on, or one a packet. IPv4 has its own.
        ports, threads: see `parse`.
        out: uint8 array that takes the octets; memory from the pool where not given.

        All but the last fragment of a packet are as long as they can be, a multiple of 8 octets.
        Later IPv4 fragments have the options whose copy flag is set; IPv6 fragments have all
        headers up to the last routing header, or hop-by-hop options (RFC 8200 section 4.5).
        Trailers are cut off. What is too long and cannot be split is left out, counted in
        `left_out` by reason. Packets that need not be split, or have no such header, stay as they
        are.
        """
        from encap.fragments import fragment

        return fragment(
            self, mtu, layer, df=df, ids=ids, ports=ports, threads=threads, out=out
        )  # fmt: skip

    def flow_hash(
        self,
        layer: str = "innermost",
        *,
        algorithm: str = "fast",
        key: bytes | None = None,
        symmetric: bool = False,
        l4: bool = True,
        ports: Mapping[int, str | None] | None = None,
        threads: int | None = None,
        out: Uint32s | None = None,
    ) -> Uint32s:
        """uint32[n]: a hash of each packet's flow, the same for all packets of one.

        layer: whose flow. "innermost" is that of the last IP header, or of an Ethernet header
            behind it; `ip`, `inner.ip`, `outer.ipv6`, `ipv4[1]`, `eth[-1]` name one. Packets
            without such a header have 0.
        algorithm: "fast", or "toeplitz" as network cards compute it (RSS), for which a packet
            without IP has 0.
        key: 40 octets or more for Toeplitz; that of Microsoft's verification suite where None.
        symmetric: both directions of a conversation have the same hash.
        l4: ports of TCP, UDP and SCTP count; they never do in fragments.
        ports, threads: see `parse`.  out: uint32 array to write to.

        The fast hash covers addresses, IP protocol and ports, and without IP the MAC addresses
        and the EtherType. It is the same on every machine and is not keyed.
        """
        from encap.flow import flow_hash

        return flow_hash(
            self,
            layer,
            algorithm=algorithm,
            key=key,
            symmetric=symmetric,
            l4=l4,
            ports=ports,
            threads=threads,
            out=out,
        )

    def encap(
        self,
        template: Packet | str | Sequence[Packet | str],
        columns: Mapping[str, Any] | None = None,
        *,
        sport: Any = "flow",
        udp_checksum: bool | None = None,
        ttl: int | str | None = None,
        tos: int | str | None = None,
        ecn: str | None = None,
        df: bool | int | str | None = None,
        ip_id: Any = "zero",
        seq: Any = None,
        which: npt.ArrayLike | None = None,
        errors: str = "raise",
        ports: Mapping[int, str | None] | None = None,
        threads: int | None = None,
        out: Octets | None = None,
    ) -> Packets:
        """The packets behind the headers of a template: row i is `bytes(template / packet i)`.

        template: headers alone, a `Packet` or its text, whose open fields are filled in: lengths,
            checksums, ports, what follows what; the last header says what each packet begins with.
            Several templates in a list: `which` says which one a packet gets.
        columns: values by field name of the template (`vxlan.vni`, `ipv4[1].dst`), one for all or
            an array of one a packet: numbers, IPv4 addresses as uint32, others as uint8[n, 16] and
            uint8[n, 6], or lists of what a constructor takes. `geneve.options` and `ipv4.options`:
            a list, or a tuple of octets, int64 starts and uint32 lengths, as `Layers.span` gives.
            What is named here goes before the options below.
        sport: every open UDP source port: "flow" has the entropy of the packet's innermost flow,
            in the range of RFC 7348; so have "linux", "linux-geneve", "ovs", "vpp" and a pair of
            ports, see `encap.flow.FORMULAS`; or a number, or a column.
        udp_checksum: None computes those that are open, True all, False writes 0 in open ones.
        ttl, tos: of every IP header of the template: a number, or "inherit": those of the packet's
            first IP header; 64 and 0 where it has none. None leaves what the template says.
        ecn: "copy" takes the ECN bits of that header (RFC 6040 section 4.1, normal mode),
            "linux" too, but writes ECT(0) for CE, whatever `tos` is.
        df: 1 or "set", 0 or "unset", "inherit": DF of an IPv4 packet, set for IPv6.
        ip_id: of every IPv4 header: "zero" leaves what the template says, which is 0 where it says
            nothing, "increment" counts on from it, a number from there, or a column.
        seq: of GRE headers that have a sequence number: "increment" counts on from what the
            template says, a number from there, or a column.
        which: the index of its template for each packet.
        errors: "raise" a FieldError for a packet that cannot be built, or "skip" it. What is
            skipped is counted in `left_out`, and so are packets cut by a snap length where a
            checksum would need what is missing, which are always left out.
        ports, threads: see `parse`.
        out: uint8 array that takes the octets; memory from the pool where not given.

        Lengths are those on the wire, where packets are cut too. FieldError, before anything is
        written, for a template that cannot be built, a value that does not fit its field, and a
        column for a field that the template lacks.
        """
        from encap.encapsulate import encap

        return encap(
            self, template, columns, sport=sport, udp_checksum=udp_checksum, ttl=ttl, tos=tos,
            ecn=ecn, df=df, ip_id=ip_id, seq=seq, which=which, errors=errors, ports=ports,
            threads=threads, out=out,
        )  # fmt: skip

    def oversize(
        self,
        template: Packet | Header | str,
        link_mtu: int = 1500,
        *,
        carries: str | None = None,
        threads: int | None = None,
    ) -> Oversize:
        """Which packets would be too long for a link in the tunnel that `template` makes.

        template, carries: as `encap.mtu.overhead` has them.  link_mtu: octets of the longest IP
        packet on the link.  threads: see `parse`.

        Of an Ethernet frame, a tunnel that carries IP takes the IP packet in it; to an IP packet,
        a tunnel that carries Ethernet adds the Ethernet header that it would need.
        """
        from encap.oversize import oversize

        return oversize(self, template, link_mtu, carries=carries, threads=threads)

    def rewrite(
        self,
        changes: Mapping[str, Any],
        checksums: str = "update",
        *,
        missing: str = "skip",
        ports: Mapping[int, str | None] | None = None,
        threads: int | None = None,
        out: Octets | str | None = None,
    ) -> Packets:
        """The packets with fields set; nothing else differs but the checksums that cover them.

        changes: by field name (`inner.ipv4.src`, `vlan[-1].vid`, `ipv4[*].ttl` for each of them)
            one value, an array of one a packet as `columns` gives it, a network whose bits are
            set while the host's stay ("10.1.0.0/16"), or a mapping of values or networks to such
            ({42: 43}, {"10.1.0.0/16": "10.2.0.0/16"}; the longest prefix counts). Made in order.
        checksums: "update" moves each by what changed (RFC 1624), so that a right one is right
            and a wrong one as wrong as before; "recompute" makes those over changed octets anew;
            "keep" leaves them.  A UDP checksum of 0 stays 0, one that is itself set is kept.
        missing: packets without the field are left as they are and counted in `left_out` ("skip"),
            or nothing is written at all ("raise").
        ports, threads: see `parse`.
        out: uint8 array that takes the octets, or "in place": those of this batch are changed.

        FieldError, before anything is written, for a name that there is not and a value that does
        not fit. Lengths, ports and protocol numbers are changed as octets: nothing moves.
        """
        from encap.rewrite import apply

        return apply(
            self, changes, checksums, missing=missing, ports=ports, threads=threads, out=out
        ).packets

    def checksums(
        self,
        *,
        ports: Mapping[int, str | None] | None = None,
        threads: int | None = None,
        out: Checksums | None = None,
    ) -> Checksums:
        """A verdict for every checksum of every layer: of IPv4, TCP, UDP, ICMP, IGMP, SCTP and GRE.

        Where a datagram ends is what the innermost length around it says; fragments, and what is
        not all captured, cannot be verified. Nothing fails for a bad packet.

        ports, threads: see `parse`.
        out: what an earlier call returned, whose memory is used again (and so changes).
        """
        from encap.checksums import checksums

        return checksums(self, ports=ports, threads=threads, out=out)

    def fix(
        self,
        which: str = "bad",
        *,
        ports: Mapping[int, str | None] | None = None,
        threads: int | None = None,
        out: Octets | str | None = None,
    ) -> Packets:
        """The packets with checksums made anew; no other octet changes.

        which: those whose verdict is BAD ("bad"), those that were left to a NIC ("partial"), or
            all that are not right ("all"), a UDP checksum of 0 over IPv6 that may not be among
            them; one that may be stays 0.
        ports, threads: see `parse`.
        out: uint8 array that takes the octets, or "in place": those of this batch are changed.

        An outer checksum that covers one made anew is moved along, so that it is as right as it
        was; one that was wrong is judged again. What cannot be verified is left, and `left_out`
        counts the packets by the reason.
        """
        from encap.rewrite.fix import apply_fix

        return apply_fix(self, which, ports=ports, threads=threads, out=out).packets

    def push_vlan(
        self,
        vid: npt.ArrayLike,
        pcp: npt.ArrayLike = 0,
        dei: npt.ArrayLike = 0,
        tpid: npt.ArrayLike = 0x8100,
        *,
        threads: int | None = None,
        out: Octets | None = None,
    ) -> Packets:
        """The frames with a VLAN tag more, in front of those they have; octets are copied.

        vid, pcp, dei, tpid: numbers, or arrays of one a packet: 12, 3 and 1 bits, and the
            EtherType that announces the tag.
        Frames that begin with anything else than Ethernet or Linux cooked (version 1) stay as they
        are, counted in `left_out`.  threads, out: see `rewrite`.
        """
        from encap.rewrite.frames import push_vlan

        return push_vlan(self, vid, pcp, dei, tpid, threads=threads, out=out)

    def pop_vlan(self, *, threads: int | None = None, out: Octets | None = None) -> Packets:
        """The frames without their outermost VLAN tag; octets are copied.

        Tags of frames inside a tunnel are not touched. Frames without a tag stay as they are,
        counted in `left_out`.  threads, out: see `rewrite`.
        """
        from encap.rewrite.frames import pop_vlan

        return pop_vlan(self, threads=threads, out=out)

    def strip_trailer(self, *, threads: int | None = None) -> Packets:
        """The frames without what is behind the packet's end: padding, a trailer, a check sequence.

        The end is the one that the outermost length gives: that of IPv4, IPv6 or LLC. Frames in
        which none does stay as they are, counted in `left_out`. Only lengths change, no octet is
        copied.
        """
        from encap.rewrite.frames import strip_trailer

        return strip_trailer(self, threads=threads)

    def add_trailer(
        self,
        octets: bytes | None = None,
        *,
        pad_to: int = 60,
        threads: int | None = None,
        out: Octets | None = None,
    ) -> Packets:
        """The frames with octets behind them: those given, or zeros up to `pad_to` octets in all.

        Of a frame that the capture has cut only the wire length grows; `left_out` counts them.
        threads, out: see `rewrite`.
        """
        from encap.rewrite.frames import add_trailer

        return add_trailer(self, octets, pad_to=pad_to, threads=threads, out=out)
