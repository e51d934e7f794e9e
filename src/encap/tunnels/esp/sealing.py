"""Packets put into ESP, as Linux does it in tunnel mode.

    outer IPv4 or IPv6 | UDP, if agreed | SPI, number, IV | packet, padding, trailer | check value

Source: RFC 4303 section 3.3, RFC 4301 section 5.1.2, RFC 3948 section 3.4; Linux, esp_output and
xfrm_outer_mode_output.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from encap import memory
from encap._lib import Batch, ffi, lib, pointer
from encap.errors import FieldError
from encap.headers.ipv4 import IPv4
from encap.headers.ipv6 import IPv6
from encap.headers.udp import UDP
from encap.packets import Packets
from encap.tunnels.esp.association import SecurityAssociation
from encap.tunnels.esp.ciphers import SLACK, Octets, Sent
from encap.tunnels.esp.live import Live
from encap.tunnels.reasons import Reason

__all__ = ["seal"]

RAW = 101  # link type
MOST_LEN = 65535
PROTOCOL, UDP_PROTOCOL = 50, 17
BLOCK = 1 << 20
"""Octets of plaintext that are laid out before they are encrypted: they shall stay in a cache."""

Array = npt.NDArray[Any]


def seal(
    live: Live,
    packets: Packets,
    *,
    ivs: Octets | None = None,
    ids: npt.NDArray[np.uint16] | None = None,
    ttl: int = 64,
    mtu: int = 1500,
    copy_ce: bool = False,
) -> tuple[Packets, npt.NDArray[np.uint8]]:
    """The packets in ESP, as raw IP, and uint8[n]: a `Reason` for each one, 0 where it went.

    packets: IPv4 and IPv6 packets, without a link header.
    ivs: uint8[n, w], one a packet, where they shall not be made as the kernel makes them.
    ids: uint16[n], IPv4 identifications for packets without DF; 0 where None.
    ttl: of the outer header.  mtu: of the link, which limits `tfcpad`.
    copy_ce: an inner CE is copied; Linux sends ECT(0) for it.
    """
    given = None if ivs is None else _given(ivs, len(packets), live.sa)
    sizes = _clear_sizes(live.sa, packets.lengths.astype(np.int64), mtu)
    reasons, rows, numbers = _numbered(live, packets, sizes)
    sizes = sizes[rows]
    lengths = sizes + (live.sa.header_len + live.sa.icv_len)
    ends = np.cumsum(lengths)
    targets, total = ends - lengths, int(lengths.sum())
    data = memory.empty(total + SLACK, np.uint8)
    made = live.cipher.ivs(numbers) if given is None else given[rows]
    drawn = np.zeros(len(rows), np.uint16) if ids is None else ids[rows]
    clears, cuts, room = _blocks(sizes)
    template = _template(live.sa, ttl, mtu, copy_ce=copy_ce)
    keep = (
        numbers, np.ascontiguousarray(drawn), np.ascontiguousarray(made), targets, clears,
    )  # fmt: skip
    clear = np.empty(room + SLACK, np.uint8)
    live.cipher.encrypt(
        Sent(
            live.sa, _lay(packets[rows], template, keep, cuts, clear, data), clear, clears, sizes,
            data, targets + int(template.outer_size), numbers, keep[2],
        )
    )  # fmt: skip
    if live.sa.encap is not None and live.sa.src.version == 6:
        _sum_udp(data, targets, lengths)
    sent = packets._derived(
        rows,
        data=data[:total],
        starts=targets,
        lengths=lengths.astype(np.uint32),
        wire_lengths=lengths.astype(np.uint32),
        linktypes=np.broadcast_to(np.uint16(RAW), (len(rows),)),
    )
    return sent, reasons


def _numbered(
    live: Live, packets: Packets, sizes: Array
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64], npt.NDArray[np.uint64]]:
    """Why packets are not sent; int64[m], the rows of those that are; uint64[m], their numbers."""
    reasons = _carried(live.sa, packets)
    # The length of an IPv6 header is not part of what its own length counts.
    front = live.sa.header_len - (0 if live.sa.src.version == 4 else 40)
    reasons[(reasons == 0) & (sizes + front + live.sa.icv_len > MOST_LEN)] = Reason.TOO_BIG
    rows = np.flatnonzero(reasons == 0)
    numbers = live.counter.take(len(rows))
    reasons[rows[len(numbers) :]] = Reason.SEQUENCE_END
    return reasons, rows[: len(numbers)], numbers


def _carried(sa: SecurityAssociation, packets: Packets) -> npt.NDArray[np.uint8]:
    """uint8[n]: why packets cannot be carried, 0 where they can."""
    reasons = np.full(len(packets), Reason.NOT_CARRIED, np.uint8)
    there = packets.lengths > 0
    version = np.zeros(len(packets), np.uint8)
    version[there] = packets.data[packets.starts[there]] >> 4
    for family, least in ((4, 20), (6, 40)):
        known = (version == family) & (packets.lengths >= least)
        fits = family == sa.src.version or "af-unspec" in sa.flag
        reasons[known] = 0 if fits else Reason.NO_STATE_OUT
    cut = packets.lengths < packets.wire_lengths
    reasons[(reasons == 0) & cut] = Reason.INCOMPLETE
    return reasons


def _pad_to(sa: SecurityAssociation, mtu: int) -> int:
    return max(0, min(sa.tfcpad, sa.mtu(mtu)))


def _clear_sizes(sa: SecurityAssociation, lengths: Array, mtu: int) -> Array:
    """int64[n]: octets of the plaintexts, with padding and trailer."""
    padded = np.maximum(lengths, _pad_to(sa, mtu)) + 2
    sizes: Array = (padded + sa.align - 1) // sa.align * sa.align
    return sizes


def _given(ivs: Octets, count: int, sa: SecurityAssociation) -> Octets:
    if ivs.dtype != np.uint8 or ivs.shape != (count, sa.iv_len):
        raise FieldError(f"ivs is uint8[{count}, {sa.iv_len}], not {ivs.dtype}{list(ivs.shape)}")
    return ivs


def _template(sa: SecurityAssociation, ttl: int, mtu: int, *, copy_ce: bool) -> Any:
    """What all packets have in common, for the core."""
    protocol = PROTOCOL if sa.encap is None else UDP_PROTOCOL
    if sa.src.version == 4:
        outer = bytes(IPv4(src=sa.src, dst=sa.dst, ttl=ttl, protocol=protocol))
    else:
        outer = bytes(IPv6(src=sa.src, dst=sa.dst, hop_limit=ttl, next_header=protocol))
    if sa.encap is not None:
        outer += bytes(UDP(sport=sa.encap.sport, dport=sa.encap.dport))
    flags = lib.ENCAP_ESP_NO_ECN * ("noecn" in sa.flag)
    flags |= lib.ENCAP_ESP_NO_DF * ("nopmtudisc" in sa.flag)
    flags |= lib.ENCAP_ESP_NO_DSCP * ("dont-encap-dscp" in sa.extra_flag)
    flags |= lib.ENCAP_ESP_COPY_CE * copy_ce
    return ffi.new(
        "encap_esp *",
        (
            outer.ljust(48, b"\0"), len(outer), sa.spi, sa.iv_len, sa.icv_len, sa.align,
            _pad_to(sa, mtu), flags,
        ),
    )  # fmt: skip


def _blocks(sizes: Array) -> tuple[Array, list[int], int]:
    """Plaintexts in blocks, whose octets are used again by the next one.

    int64[n]: where each begins in its block; the rows behind each block; octets of the longest.
    """
    ends = np.cumsum(sizes)
    which = (ends - sizes) // BLOCK
    firsts = np.flatnonzero(np.diff(which, prepend=-1))
    base = (ends - sizes)[firsts]
    cuts = np.append(firsts[1:], len(sizes))
    clears = ends - sizes - np.repeat(base, np.diff(cuts, prepend=0))
    room = int((ends[cuts - 1] - base).max()) if len(sizes) else 0
    return clears, cuts.tolist() if len(sizes) else [], room


def _lay(
    packets: Packets,
    template: Any,
    keep: tuple[Array, ...],
    cuts: list[int],
    clear: Octets,
    data: Octets,
) -> Iterator[int]:
    """Lays out block after block; see `Sent.blocks`.  keep: the arrays of `encap_esp_rows`."""
    kinds = ("uint64_t", "uint16_t", "uint8_t", "int64_t", "int64_t")
    arrays = [pointer(array, kind) for array, kind in zip(keep, kinds, strict=True)]
    rows, source, begin = ffi.new("encap_esp_rows *", arrays), Batch(packets), 0
    room, out = pointer(clear, "uint8_t", writable=True), pointer(data, "uint8_t", writable=True)
    for end in cuts:
        if lib.encap_esp_lay(
            source.pointer, begin, end, template, rows, room, len(clear), out, len(data)
        ):
            raise FieldError("an array of this batch was changed while it was read")
        yield end
        begin = end


def _sum_udp(data: Octets, starts: Array, lengths: Array) -> None:
    """Writes UDP checksums over IPv6, which must not be without (RFC 8200 section 8.1)."""
    sizes = (lengths - 40).astype(np.uint32)
    segments = Packets(data, starts + 40, sizes)
    found = np.empty(len(starts), np.uint16)
    addresses = Packets(data, starts + 8, np.full(len(starts), 32))
    pseudo = np.empty(len(starts), np.uint16)
    for batch, sums in ((segments, found), (addresses, pseudo)):
        if lib.encap_checksums(
            Batch(batch).pointer, 0, len(batch), pointer(sums, "uint16_t", writable=True)
        ):
            raise FieldError("an array of this batch was changed while it was read")
    # The complement of each is a sum; lengths and protocol are the rest of the pseudo header.
    total = (0xFFFF - found.astype(np.uint32)) + (0xFFFF - pseudo.astype(np.uint32))
    total += sizes + UDP_PROTOCOL
    total = (total & 0xFFFF) + (total >> 16)
    total = (total & 0xFFFF) + (total >> 16)
    checksum = 0xFFFF - total
    checksum[checksum == 0] = 0xFFFF
    data[starts + 46], data[starts + 47] = checksum >> 8, checksum & 0xFF
