"""GRE headers of packets that arrive: read, and refused in the order of Linux's receiver.

    flags (16 bits: C R K S s, recursion (3), flags (5), version (3)) protocol (2)
    checksum (2) reserved (2), with C | key (4), with K | sequence number (4), with S

Source: RFC 2784, RFC 2890; Linux, gre_rcv and gre_parse_header in net/ipv4/gre_demux.c, gre_rcv in
net/ipv6/ip6_gre.c.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from encap.headers.gre import ERSPAN_II, ERSPAN_III, WCCP
from encap.tunnels.reasons import Reason
from encap.tunnels.receiving import Array, Bools, Int64s, Receiving

__all__ = ["ERSPAN", "IPV4", "IPV6", "TEB", "GREHeaders", "has", "read"]

GRE = 47
C, R, K, S = 0x8000, 0x4000, 0x2000, 0x1000
VERSION, ROUND = 0x0007, 0x0078
"""The version, and the bits in front of it that Linux takes for a part of it over IPv4."""
BEYOND = 0x0C00
"""Bits that make a header one of RFC 1701, besides R: RFC 2784 section 2.3."""
IPV4, IPV6, TEB = 0x0800, 0x86DD, 0x6558
ERSPAN = (ERSPAN_II, ERSPAN_III)
LEAST = {"ipv4": 12, "ipv6": 4}
"""Octets that there must be: Linux asks for room for two optional words over IPv4."""
SESSION = 0x3FF


@dataclass(slots=True)
class GREHeaders:
    """The headers of a batch; where a packet was refused they mean nothing.

    flags: uint16[n], C R K S ... version.  protocol: uint16[n], EtherType of what follows.
    key: uint32[n], 0 where there is none; the session of ERSPAN.  keyed: bool[n].
    seq: uint32[n].  length: int64[n], octets.
    erspan: bool[n], where an ERSPAN header follows: not behind type I.
    """

    flags: Array
    protocol: Array
    key: Array
    keyed: Bools
    seq: Array
    length: Int64s
    erspan: Bools


def has(flags: Array, bit: int) -> Bools:
    """bool[n]: where a bit is set."""
    found: Bools = flags & np.uint16(bit) != 0
    return found


def read(going: Receiving, *, linux: bool) -> GREHeaders:
    """The GRE headers of packets, of which those that are wrong are refused."""
    going.refuse(going.protocol != GRE, Reason.OTHER_PROTOCOL)
    room = going.said - going.upper
    going.refuse(room < (LEAST[going.family] if linux else 4), Reason.TOO_SHORT)
    flags, protocol, odd = _first_words(going)
    going.refuse(has(flags, VERSION), Reason.VERSION)
    strange = (ROUND if going.family == "ipv4" else 0) if linux else BEYOND
    going.refuse(has(flags, R | strange), Reason.RESERVED_BITS)
    words = (flags >> 15) + (flags >> 13 & 1) + (flags >> 12 & 1)
    length = 4 + 4 * words.astype(np.int64)
    going.refuse(length > going.end - going.upper, Reason.TOO_SHORT)
    _check_sums(going, flags)
    keyed, key, seq = has(flags, K), going.columns["gre.key"], going.columns["gre.seq"]
    if len(odd):
        key, seq = _words(going, odd, flags, key, seq)
    made = GREHeaders(flags, protocol, key, keyed, seq, length, np.zeros(len(going), np.bool_))
    _redirected(going, made)
    _sessions(going, made)
    return made


def _first_words(going: Receiving) -> tuple[Array, Array, Int64s]:
    """Flags with the version, protocols, and the rows whose headers a walk does not take."""
    columns = going.columns
    flags = columns["gre.flags"].astype(np.uint16) << 3 | columns["gre.version"]
    protocol: Array = columns["gre.protocol"]
    odd = going.rows(going.broken_above())
    odd = odd[going.end[odd] - going.upper[odd] >= 4]
    if len(odd):
        protocol = protocol.copy()
        flags[odd] = going.numbers(odd, going.upper[odd])
        protocol[odd] = going.numbers(odd, going.upper[odd] + 2)
    cut = going.broken_above()
    cut[odd] = False
    going.refuse(cut, Reason.TOO_SHORT)
    return flags, protocol, odd


def _words(
    going: Receiving, odd: Int64s, flags: Array, key: Array, seq: Array
) -> tuple[Array, Array]:
    """Keys and sequence numbers, read by hand where a walk did not read them."""
    key, seq = key.copy(), seq.copy()
    odd = odd[going.reasons[odd] == 0]
    at = going.upper[odd] + 4 + 4 * has(flags[odd], C)
    for words, bit in ((key, K), (seq, S)):
        there = has(flags[odd], bit)
        words[odd[there]] = going.numbers(odd[there], at[there], 4)
        at = at + 4 * there
    return key, seq


def _check_sums(going: Receiving, flags: Array) -> None:
    """Wrong checksums. What a capture cut off cannot be verified."""
    rows = going.rows(has(flags, C) & (going.end == going.said))
    if len(rows):
        sums = going.sums(rows, going.upper[rows], going.end[rows])
        wrong = np.zeros(len(going), np.bool_)
        wrong[rows] = sums != 0xFFFF
        going.refuse(wrong, Reason.CHECKSUM)


def _redirected(going: Receiving, made: GREHeaders) -> None:
    """WCCP carries IP, with or without a header of its own in front of it.

    Whether there is one is told by the first four bits, which are those of IPv4 or are not.
    """
    rows = going.rows((made.flags == 0) & (made.protocol == WCCP))
    if not len(rows):
        return
    at = going.upper[rows] + made.length[rows]
    empty = np.zeros(len(going), np.bool_)
    empty[rows[at >= going.end[rows]]] = True
    going.refuse(empty, Reason.TOO_SHORT)
    rows, at = rows[~empty[rows]], at[~empty[rows]]
    made.protocol = made.protocol.copy()
    made.protocol[rows] = IPV4 if going.family == "ipv4" else IPV6
    made.length[rows] += 4 * (going.numbers(rows, at, 1) >> 4 != 4)


def _sessions(going: Receiving, made: GREHeaders) -> None:
    """ERSPAN's session stands for the key. Type I, behind a header without words, has none."""
    made.erspan = (made.protocol == ERSPAN_II) & (made.length != 4)
    made.erspan |= made.protocol == ERSPAN_III
    if not made.erspan.any():
        return
    going.refuse(made.erspan & (made.length + 4 > going.end - going.upper), Reason.TOO_SHORT)
    if going.family == "ipv4":
        # Here no words make type I, whatever the protocol.
        made.erspan &= made.length != 4
    rows = going.rows(made.erspan)
    at = going.upper[rows] + made.length[rows] + 2
    made.key = made.key.copy()
    made.key[rows] = going.numbers(rows, at) & SESSION
    made.keyed = made.keyed | made.erspan
