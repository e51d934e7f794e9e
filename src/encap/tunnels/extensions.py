"""What a host does with the extension headers of an outer IPv6 packet before a tunnel sees it.

Options that nobody knows say themselves what is to become of the packet: by the upper two bits of
their type it goes on (0), is dropped (1), or is dropped and answered (2; 3 not for groups).
Source: RFC 8200 sections 4.2 and 4.4; Linux, ip6_parse_tlv and ipv6_rthdr_rcv, with its limits of
eight options a header and seven octets of padding in a row (RFC 8504 section 5.3 allows both).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from encap._lib import lib
from encap.tunnels.inside import IPV6_LEN
from encap.tunnels.reasons import Reason
from encap.tunnels.receiving import Array, Bools, Int64s, Receiving
from encap.tunnels.replies import UNKNOWN_OPTION, WRONG_FIELD, Error, errors

__all__ = ["check_extensions"]

HOP_BY_HOP, ROUTING, FRAGMENT, DESTINATION = 0, 43, 44, 60
EXTENSIONS = (HOP_BY_HOP, ROUTING, FRAGMENT, DESTINATION)
PAD1, PADN, ROUTER_ALERT, JUMBO, HOME_ADDRESS = 0, 1, 5, 0xC2, 0xC9
MOST_OPTIONS, MOST_PADDING = 8, 7


class Fault(NamedTuple):
    """Rows with something wrong, and octets from the IP header at which; what to answer, if so."""

    rows: Int64s
    pointers: Int64s
    error: Error | None


def check_extensions(going: Receiving) -> None:
    """Refuses packets whose extension headers are cut short, wrong, or not to be ignored."""
    rows = going.rows(going.flags & lib.ENCAP_EXTENDED != 0)
    if not len(rows):
        return
    at, kind = going.ip[rows] + IPV6_LEN, going.numbers(rows, going.ip[rows] + 6, 1)
    end = np.minimum(going.upper[rows], going.end[rows])
    still = np.ones(len(rows), np.bool_)
    for _ in range(16):  # a walk finds no more headers than that
        still &= np.isin(kind, EXTENSIONS) & (end - at >= 8)
        here = np.flatnonzero(still)
        if not len(here):
            break
        first = going.numbers(rows[here], at[here])
        units = np.where(kind[here] == FRAGMENT, 0, first & 0xFF)
        size = units.astype(np.int64) * 8 + 8
        whole = size <= end[here] - at[here]
        still[here[~whole]] = False
        here, size, first = here[whole], size[whole], first[whole]
        _check_header(going, rows, at, kind, still)
        kind[here] = first >> 8
        at[here] += size
    cut = np.zeros(len(going), np.bool_)
    cut[rows] = np.isin(kind, EXTENSIONS)
    going.refuse(cut, Reason.IP_HEADER)


def _check_header(going: Receiving, rows: Int64s, at: Int64s, kind: Array, still: Bools) -> None:
    """One extension header of each row that is `still` meant."""
    routing = np.flatnonzero(still & (kind == ROUTING))
    if len(routing):
        left = at[routing] + 3
        more = going.numbers(rows[routing], left, 1) != 0
        _refuse(going, Fault(rows[routing][more], left[more], WRONG_FIELD))
    for number in (HOP_BY_HOP, DESTINATION):
        chosen = np.flatnonzero(still & (kind == number))
        if len(chosen):
            first = at[chosen]
            units = going.numbers(rows[chosen], first + 1, 1).astype(np.int64)
            end = first + units * 8 + 8
            for fault in _options(going, rows[chosen], first + 2, end, number):
                _refuse(going, fault)


def _refuse(going: Receiving, fault: Fault) -> None:
    """Refuses packets, and answers them where that is due: never what was sent to a group."""
    where = np.zeros(len(going), np.bool_)
    where[fault.rows] = True
    where &= going.going()
    going.refuse(where, Reason.IP_HEADER)
    ours = going.columns["ipv6.dst"][fault.rows]
    due = where[fault.rows] & (ours[:, 0] != 0xFF)
    if fault.error is None or not due.any():
        return
    rows = fault.rows[due]
    ip = going.ip[rows]
    rest = fault.pointers[due] - ip
    packets = going.packets
    at, end = packets.starts[rows] + ip, packets.starts[rows] + going.end[rows]
    told = errors(packets, rows, at, fault.error, None, version=6, rest=rest, end=end)
    going.replies.append(told)


def _options(going: Receiving, rows: Int64s, at: Int64s, end: Int64s, header: int) -> list[Fault]:
    """What is wrong with the options of some headers, all of which are whole."""
    count, padding = np.zeros(len(rows), np.int64), np.zeros(len(rows), np.int64)
    bad, asked = np.zeros(len(rows), np.bool_), np.zeros(len(rows), np.bool_)
    known = (ROUTER_ALERT, JUMBO) if header == HOP_BY_HOP else ()
    for _ in range(MOST_OPTIONS * (MOST_PADDING + 1) + MOST_PADDING + 1):
        here = np.flatnonzero((at < end) & ~bad & ~asked)
        if not len(here):
            break
        kind, room = going.numbers(rows[here], at[here], 1), end[here] - at[here]
        second = np.minimum(at[here] + 1, end[here] - 1)
        size = np.where(kind == PAD1, 1, going.numbers(rows[here], second, 1).astype(np.int64) + 2)
        wrong = (size > room) | (kind != PAD1) & (room < 2)
        pad = kind <= PADN
        padding[here] = np.where(pad, padding[here] + size, 0)
        count[here] += ~pad
        wrong |= (padding[here] > MOST_PADDING) | (count[here] > MOST_OPTIONS)
        wrong |= _not_zero(going, rows[here], at[here], np.where(kind == PADN, size, 0), ~wrong)
        action = np.where(pad | np.isin(kind, known), 0, kind >> 6)
        # A mobile node's home address is taken only from those that have told it before.
        wrong |= (action == 1) | (kind == HOME_ADDRESS) & (header == DESTINATION)
        bad[here] = wrong
        asked[here] = (action >= 2) & ~wrong
        at[here] += np.where(wrong | asked[here], 0, size)
    bad |= (at < end) & ~asked  # more options than there may be
    return [Fault(rows[bad], at[bad], None), Fault(rows[asked], at[asked], UNKNOWN_OPTION)]


def _not_zero(going: Receiving, rows: Int64s, at: Int64s, size: Int64s, where: Bools) -> Bools:
    """bool[m]: where PadN has an octet in it that is not 0. size: 0 where there is no PadN."""
    found = np.zeros(len(rows), np.bool_)
    for octet in range(2, MOST_PADDING):
        here = np.flatnonzero(where & (octet < size))
        if len(here):
            found[here] |= going.numbers(rows[here], at[here] + octet, 1) != 0
    return found
