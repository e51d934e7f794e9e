"""Packets: many frames over one buffer. What a capture is read into.

A batch is an immutable value: selecting and decapsulating make new starts and
lengths over the same octets, and whatever changes an octet copies.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, SupportsIndex, overload

import numpy as np
import numpy.typing as npt

from encap import memory
from encap._lib import Batch, lib, pointer, spread, take_out
from encap.arrays import Octets, column, octets, read_only, row_numbers
from encap.errors import EncapError, FieldError
from encap.registry import checked_ports

if TYPE_CHECKING:
    from encap.capture.kept import Record
    from encap.checksums import Checksums
    from encap.fields import Header
    from encap.filter import Filter
    from encap.layers import Layers
    from encap.oversize import Oversize
    from encap.packet import Packet

__all__ = ["NO_TIME", "Packets"]

NO_TIME = -(1 << 63)  # nanoseconds: what numpy calls NaT
ETHERNET = 1
_NOTHING: Mapping[str, int] = MappingProxyType({})

Int64s = npt.NDArray[np.int64]
Uint32s = npt.NDArray[np.uint32]
Uint16s = npt.NDArray[np.uint16]


class Packets:
    """Many frames: one buffer of octets, with starts and lengths.

    data: any buffer of octets, or a contiguous uint8 array; borrowed, never copied.
    starts: int64[n], octets from the start of `data`.  lengths: uint32[n], octets captured.
    wire_lengths: uint32[n], octets the frames had on the wire; the lengths where not given.
    times: int64[n], nanoseconds since 1970, or one number for all; `NO_TIME` where not given.
    linktypes: uint16[n], LINKTYPE numbers, or one for all; Ethernet where not given.
    rows: int64[n], the row each packet had in the batch that this one was made from.
    error: what ended the reading of the file that the batch comes from, or None.
    left_out: how many packets the method that made the batch could not give, by reason.

    FieldError when a row lies outside of `data` or an array has another length.
    """

    __slots__ = (
        "__weakref__", "_ports", "_record", "_rows", "data", "error", "left_out", "lengths",
        "linktypes", "starts", "times", "wire_lengths",
    )  # fmt: skip

    data: Octets
    starts: Int64s
    lengths: Uint32s
    wire_lengths: Uint32s
    times: Int64s
    linktypes: Uint16s
    error: EncapError | None
    left_out: Mapping[str, int]
    _rows: Int64s | None
    _ports: dict[int, str | None]
    _record: Record | None  # where in a capture file the rows come from

    def __init__(
        self,
        data: Any,
        starts: npt.ArrayLike,
        lengths: npt.ArrayLike,
        *,
        wire_lengths: npt.ArrayLike | None = None,
        times: npt.ArrayLike = NO_TIME,
        linktypes: npt.ArrayLike = ETHERNET,
        rows: npt.ArrayLike | None = None,
        error: EncapError | None = None,
    ) -> None:
        whole = octets(data)
        count = np.size(starts)
        first = np.ascontiguousarray(column(starts, count, np.int64, "starts"))
        sizes = np.ascontiguousarray(column(lengths, count, np.uint32, "lengths"))
        # A subtraction: `first + sizes` could wrap.
        outside = (first < 0) | (first > whole.size)
        outside |= sizes > whole.size - np.where(outside, whole.size, first)
        if outside.any():
            row = int(outside.argmax())
            raise FieldError(
                f"row {row} (start {first[row]}, length {sizes[row]}) lies outside of the"
                f" {whole.size} octets of data",
                field="starts",
                value=int(first[row]),
            )
        wires = (
            sizes
            if wire_lengths is None
            else column(wire_lengths, count, np.uint32, "wire_lengths")
        )
        self._set(
            whole,
            read_only(first),
            read_only(sizes),
            wire_lengths=np.ascontiguousarray(wires),
            times=column(times, count, np.int64, "times"),
            linktypes=column(linktypes, count, np.uint16, "linktypes"),
            rows=None if rows is None else column(rows, count, np.int64, "rows"),
            error=error,
            ports={},
        )

    def _set(
        self,
        data: Octets,
        starts: Int64s,
        lengths: Uint32s,
        *,
        wire_lengths: Uint32s,
        times: Int64s,
        linktypes: Uint16s,
        rows: Int64s | None,
        error: EncapError | None,
        ports: dict[int, str | None],
        left_out: Mapping[str, int] = _NOTHING,
        record: Record | None = None,
    ) -> None:
        put = object.__setattr__
        put(self, "data", data)
        put(self, "starts", read_only(starts))
        put(self, "lengths", read_only(lengths))
        put(self, "wire_lengths", read_only(wire_lengths))
        put(self, "times", read_only(times))
        put(self, "linktypes", read_only(linktypes))
        put(self, "_rows", rows)
        put(self, "error", error)
        put(self, "left_out", left_out)
        put(self, "_ports", ports)
        put(self, "_record", record)

    @classmethod
    def _make(
        cls,
        data: Octets,
        starts: Int64s,
        lengths: Uint32s,
        *,
        wire_lengths: Uint32s,
        times: Int64s,
        linktypes: Uint16s,
        rows: Int64s | None = None,
        error: EncapError | None = None,
        ports: dict[int, str | None] | None = None,
        left_out: Mapping[str, int] = _NOTHING,
        record: Record | None = None,
    ) -> Packets:
        """A batch from arrays that are known to fit: what the library itself has made."""
        self = cls.__new__(cls)
        self._set(
            data,
            starts,
            lengths,
            wire_lengths=wire_lengths,
            times=times,
            linktypes=linktypes,
            rows=rows,
            error=error,
            ports={} if ports is None else ports,
            left_out=left_out,
            record=record,
        )
        return self

    def _derived(
        self,
        rows: Int64s | None = None,
        *,
        data: Octets,
        starts: Int64s,
        lengths: Uint32s,
        wire_lengths: Uint32s,
        linktypes: Uint16s,
        times: Int64s | None = None,
        left_out: Mapping[str, int] = _NOTHING,
    ) -> Packets:
        """What a method makes of these packets: other octets, and from here all the rest.

        rows: int64[m], the row here that each packet comes from; all rows in order where None.
        times: int64[m], those of the rows where None.
        """
        if times is None:
            times = self.times if rows is None else self.times[rows]
        return self._make(
            data,
            starts,
            lengths,
            wire_lengths=wire_lengths,
            times=times,
            linktypes=linktypes,
            rows=rows,
            error=self.error,
            ports=self._ports,
            left_out=left_out,
            record=self._record if rows is None else self._record_of(rows),
        )

    def _record_of(self, rows: Int64s) -> Record | None:
        return None if self._record is None else self._record.select(rows)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"Packets are immutable: {name} cannot be set; see replace()")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"Packets are immutable: {name} cannot be deleted")

    @classmethod
    def from_frames(
        cls,
        frames: Iterable[bytes | bytearray | memoryview | Packet],
        *,
        times: npt.ArrayLike = NO_TIME,
        linktypes: npt.ArrayLike = ETHERNET,
        wire_lengths: npt.ArrayLike | None = None,
    ) -> Packets:
        """A batch of the given frames, octets or `Packet`, copied together.

        linktypes: what the frames begin with; 1 is Ethernet, 101 raw IP.
        """
        parts = [frame if isinstance(frame, bytes) else _frame(frame) for frame in frames]
        data = np.frombuffer(b"".join(parts), np.uint8)
        lengths = np.fromiter(map(len, parts), np.int64, len(parts))
        return cls(
            data,
            np.cumsum(lengths) - lengths,
            lengths,
            wire_lengths=wire_lengths,
            times=times,
            linktypes=linktypes,
        )

    @classmethod
    def concat(cls, batches: Iterable[Packets]) -> Packets:
        """One batch of all rows in order; octets are copied unless all share one buffer.

        FieldError for batches that are bound to different ports: frames of one would be read
        with those of another.
        """
        parts = list(batches)
        if not parts:
            return cls.from_frames([])
        if any(part._ports != parts[0]._ports for part in parts):
            raise FieldError(
                "the batches are bound to different ports: bind them to the same with with_ports()",
                field="ports",
            )
        record = parts[0]._record and parts[0]._record.joined(parts)
        data = parts[0].data
        if any(part.data is not data for part in parts):
            parts = [part.compact() for part in parts]
            data = np.concatenate([part.data for part in parts])
            bases = np.cumsum([0] + [part.data.size for part in parts])
        else:
            bases = np.zeros(len(parts) + 1, np.int64)
        errors = [part.error for part in parts if part.error is not None]
        return cls._make(
            data,
            np.concatenate([part.starts + base for part, base in zip(parts, bases, strict=False)]),
            np.concatenate([part.lengths for part in parts]),
            wire_lengths=np.concatenate([part.wire_lengths for part in parts]),
            times=np.concatenate([part.times for part in parts]),
            linktypes=np.concatenate([part.linktypes for part in parts]),
            error=errors[0] if errors else None,
            ports=parts[0]._ports,
            record=record,
        )

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def rows(self) -> Int64s:
        """int64[n]: the row each packet had in the batch that this one was made from."""
        rows = self._rows
        if rows is None:
            rows = np.arange(len(self), dtype=np.int64)
            object.__setattr__(self, "_rows", rows)
        return read_only(rows)

    # Before the next one: an array has an __index__ too.
    @overload
    def __getitem__(  # type: ignore[overload-overlap]
        self, index: slice | Sequence[int] | npt.NDArray[Any]
    ) -> Packets: ...
    @overload
    def __getitem__(self, index: SupportsIndex) -> bytes: ...
    def __getitem__(self, index: Any) -> bytes | Packets:
        """One frame as bytes, or the batch of the rows that a slice, mask or array names."""
        if isinstance(index, slice):
            return self._select(index, np.arange(*index.indices(len(self)), dtype=np.int64))
        if hasattr(index, "__index__") and not isinstance(index, np.ndarray):
            return bytes(self.view(index))
        rows = row_numbers(index, len(self))
        return self._select(rows, rows)

    def _select(self, index: Any, rows: Int64s) -> Packets:
        return self._make(
            self.data,
            _taken(self.starts, index),
            _taken(self.lengths, index),
            wire_lengths=_taken(self.wire_lengths, index),
            times=_taken(self.times, index),
            linktypes=self._select_linktypes(index, len(rows)),
            rows=rows,
            error=self.error,
            ports=self._ports,
            record=self._record_of(rows),
        )

    def _piece(self, first: int, last: int) -> Packets:
        """Rows `first` to `last`, to be looked at and dropped: it knows nothing of its origin."""
        piece = slice(first, last)
        return self._make(
            self.data,
            self.starts[piece],
            self.lengths[piece],
            wire_lengths=self.wire_lengths[piece],
            times=self.times[piece],
            linktypes=self.linktypes[piece],
            ports=self._ports,
        )

    def _select_linktypes(self, index: Any, count: int) -> Uint16s:
        # One number that stands for all rows goes on standing for all.
        if self.linktypes.strides == (0,) and len(self):
            return np.broadcast_to(self.linktypes[0], (count,))
        return _taken(self.linktypes, index)

    def view(self, index: SupportsIndex) -> memoryview:
        """The octets of one frame: a read-only view of the buffer, nothing copied."""
        row = operator.index(index)
        if not -len(self) <= row < len(self):
            raise IndexError(f"row {row} of {len(self)} packets")
        start = int(self.starts[row])
        return self.data.data[start : start + int(self.lengths[row])].toreadonly()

    def __iter__(self) -> Iterator[bytes]:
        whole = self.data.data
        for start, length in zip(self.starts.tolist(), self.lengths.tolist(), strict=True):
            yield bytes(whole[start : start + length])

    def __repr__(self) -> str:
        return f"<Packets: {len(self)} frames, {int(self.lengths.sum(dtype=np.int64))} octets>"

    def equals(self, other: Packets) -> bool:
        """True when both hold the same frames, times, wire lengths and link types, in order."""
        if not isinstance(other, Packets):
            raise TypeError(f"equals() compares with Packets, not {type(other).__name__}")
        pairs = (
            (self.lengths, other.lengths),
            (self.wire_lengths, other.wire_lengths),
            (self.times, other.times),
            (self.linktypes, other.linktypes),
        )
        if not all(np.array_equal(mine, theirs) for mine, theirs in pairs):
            return False
        return np.array_equal(self.compact().data, other.compact().data)

    def __reduce__(self) -> tuple[object, ...]:
        compact = self.compact()
        state: dict[str, object] = {
            name: np.array(getattr(compact, name))
            for name in ("wire_lengths", "times", "linktypes", "rows")
        }
        state |= {"error": self.error, "ports": self._ports}
        return _unpickle, (bytes(compact.data), compact.lengths, state)

    def replace(self, **changes: Any) -> Packets:
        """The same frames with other `times`, `wire_lengths`, `linktypes`, `rows` or `error`."""
        known = ("times", "wire_lengths", "linktypes", "rows", "error")
        for name in changes:
            if name not in known:
                raise TypeError(f"replace() takes {', '.join(known)}, not {name}")
        given = {name: changes.get(name, getattr(self, name)) for name in known[:3]}
        if changes.get("rows", self._rows) is not None:
            given["rows"] = changes.get("rows", self._rows)
        made = Packets(
            self.data, self.starts, self.lengths, error=changes.get("error", self.error), **given
        )
        object.__setattr__(made, "_ports", self._ports)
        object.__setattr__(made, "_record", self._record)
        return made

    def compact(self, *, out: Octets | None = None, threads: int | None = None) -> Packets:
        """The same frames back to back in memory of their own.

        out: uint8 array that takes the octets; memory from the pool where not given.
        threads: how many to use; all cores, or ENCAP_THREADS, where not given.
        """
        ends = np.cumsum(self.lengths, dtype=np.int64)
        starts = ends - self.lengths
        total = int(ends[-1]) if len(ends) else 0
        given = take_out(out, total, np.uint8, apart=self.data)
        data = memory.empty(total, np.uint8) if given is None else given
        source = Batch(self)
        targets, target = pointer(starts, "int64_t"), pointer(data, "uint8_t", writable=True)

        def copy(begin: int, end: int) -> None:
            if lib.encap_compact(source.pointer, begin, end, targets, target, total):
                raise FieldError("an array of this batch was changed while it was copied")

        spread(copy, len(self), threads)
        return self._make(
            data,
            starts,
            self.lengths,
            wire_lengths=self.wire_lengths,
            times=self.times,
            linktypes=self.linktypes,
            rows=self._rows,
            error=self.error,
            ports=self._ports,
            record=self._record and self._record.compacted(len(self), total),
        )

    def _ports_with(self, ports: Mapping[int, str | None] | None) -> dict[int, str | None]:
        """The UDP ports bound to the batch, `ports` added."""
        return self._ports | checked_ports(ports) if ports else self._ports

    def with_ports(self, ports: Mapping[int, str | None]) -> Packets:
        """The same batch, for which UDP destination ports mean what `ports` says.

        ports: path names by number (`{8473: "vxlan", 5555: "ipip"}`); None forgets a port.
        """
        made = self._derived(
            data=self.data,
            starts=self.starts,
            lengths=self.lengths,
            wire_lengths=self.wire_lengths,
            linktypes=self.linktypes,
            left_out=self.left_out,
        )
        object.__setattr__(made, "_ports", self._ports_with(ports))
        object.__setattr__(made, "_rows", self._rows)
        return made

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
        ip_id: of every IPv4 header: "zero" leaves what the template says, "increment" counts on
            from it, or a column.
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


def _taken(array: npt.NDArray[Any], index: Any) -> npt.NDArray[Any]:
    """The rows of `array` that a slice, or an array of rows that there are, names; contiguous."""
    if isinstance(index, slice):
        return np.ascontiguousarray(array[index])
    # Memory from the pool, and no second look at rows that have been checked.
    return array.take(index, out=memory.empty(len(index), array.dtype), mode="clip")


def _frame(frame: object) -> bytes:
    """The octets of one frame; a number is no frame, though `bytes` would make one of it."""
    from encap.packet import Packet

    if isinstance(frame, bytearray | memoryview | Packet):
        return bytes(frame)
    raise TypeError(f"a frame is octets or a Packet, not {type(frame).__name__}")


def _unpickle(data: bytes, lengths: Uint32s, state: dict[str, Any]) -> Packets:
    starts = np.cumsum(lengths, dtype=np.int64) - lengths
    octets = np.frombuffer(data, np.uint8)
    return Packets._make(octets, starts, lengths, **state)
