"""What a host finds in packets, from layers and columns: the twin of the core's pass."""

from __future__ import annotations

from ipaddress import ip_address

import numpy as np

import encap
from encap.checksum import fold, ones_sum
from encap.tunnels.reasons import Reason
from encap.tunnels.received import Receiver

LINKS = {"eth", "sll", "sll2", "null", "vlan"}
EXTENSIONS = {"hopopt", "routing", "fragment", "dstopts", "ah"}
BROKEN, UDP_LENGTH, UDP_ZERO, UDP_CHECKSUM, EXTENDED = 1, 2, 4, 8, 16
STOPS = {encap.Status.TRUNCATED, encap.Status.MALFORMED, encap.Status.UNSUPPORTED,
         encap.Status.DEPTH}  # fmt: skip


class Row:
    """One packet: where its outer headers are, and what a host says of it."""

    def __init__(self, frame: bytes, wire_length: int, layers: encap.Layers, row: int) -> None:
        self.frame = frame
        kinds = [int(kind) for kind in layers.kinds[row]]
        self.words = [encap.Kind(kind).name for kind in kinds if kind]
        payload = int(layers._records["payload"][row])
        self.offsets = [*layers.offsets[row][: len(self.words)].tolist(), payload, payload]
        self.status, self.stopped = layers.status[row], int(layers.status_layer[row])
        self.end, self.said = len(frame), max(len(frame), wire_length)
        self.slot = self._after(0, LINKS)
        self.above = self._after(self.slot + 1, EXTENSIONS)
        self.ip = self.upper = self.protocol = self.tos = self.flags = 0

    def _after(self, slot: int, words: set[str]) -> int:
        while slot < len(self.words) and self.words[slot] in words:
            slot += 1
        return min(slot, len(self.words))

    def stops_at(self, slot: int) -> bool:
        return self.status in STOPS and self.stopped == slot

    def number(self, at: int, octets: int = 2) -> int:
        return int.from_bytes(self.frame[at : at + octets], "big")

    def receive(self, host: Receiver) -> Reason:
        """Fills in what is found, and gives the first reason against the packet."""
        if self.words[self.slot : self.slot + 1] != [host.family]:
            return Reason.OTHER_PROTOCOL
        four = host.family == "ipv4"
        self.ip, self.upper = self.offsets[self.slot], self.offsets[self.above]
        self.tos = self.frame[self.ip + 1] if four else self.number(self.ip) >> 4 & 0xFF
        self.protocol = self._protocol(four)
        self.flags = BROKEN if self.stops_at(self.above) else 0
        reason = self._refusal(host, four)
        if not four and self._is_extended():
            self.flags |= EXTENDED
        if not reason and host.udp and self.protocol == 17:
            self.flags |= self._udp(four)
        return reason

    def _protocol(self, four: bool) -> int:
        if four:
            return self.frame[self.ip + 9]
        if self.above == self.slot + 1:
            return self.frame[self.ip + 6]
        return 59 if self.stops_at(self.above - 1) else self.frame[self.offsets[self.above - 1]]

    def _is_extended(self) -> bool:
        if self.upper == self.ip + 40 and self.protocol != 59:
            return False
        header = self.frame[self.ip + 40 : self.ip + 48]
        alone = self.upper == self.ip + 48 <= self.end and self.frame[self.ip + 6] == 60
        return not alone or header[1:4] + header[5:] != bytes((0, 4, 1, 1, 1, 0))

    def _refusal(self, host: Receiver, four: bool) -> Reason:
        mac = self.frame[:6]
        if (
            host.mac is not None
            and self.words[0] == "eth"
            and not (mac == bytes(host.mac) or mac[0] & 1)
        ):
            return Reason.OTHER_HOST
        if self.stops_at(self.slot):
            return Reason.IP_HEADER
        header = self.frame[self.ip : self.offsets[self.slot + 1]]
        if four and fold(ones_sum(header)) != 0xFFFF:
            return Reason.IP_CHECKSUM
        length = self.number(self.ip + 2) if four else 40 + self.number(self.ip + 4)
        if length and self.ip + length > self.said:
            return Reason.IP_TRUNCATED
        if length:
            self.limit(self.ip + length)
        at, size = (16, 4) if four else (24, 16)
        target = ip_address(self.frame[self.ip + at : self.ip + at + size])
        if host.addresses and target not in host.addresses:
            return Reason.NOT_OURS
        fragment = self.status == encap.Status.FRAGMENT and self.stopped < self.above
        return Reason.HELD if fragment else Reason.ACCEPTED

    def limit(self, said: int) -> None:
        self.said = said
        self.end = min(self.end, said)

    def _udp(self, four: bool) -> int:
        length = self.number(self.upper + 4) if self.upper + 8 <= len(self.frame) else 0
        if self.flags & BROKEN or not 8 <= length <= self.said - self.upper:
            return UDP_LENGTH
        self.limit(self.upper + length)
        if not self.number(self.upper + 6):
            return UDP_ZERO
        if self.end < self.said:
            return 0
        at, size = (12, 8) if four else (8, 32)
        pseudo = self.frame[self.ip + at : self.ip + at + size]
        total = ones_sum(pseudo) + ones_sum(self.frame[self.upper : self.end]) + length + 17
        return 0 if fold(total) == 0xFFFF else UDP_CHECKSUM


def received(packets: encap.Packets, host: Receiver, ports: dict[int, str | None]) -> np.ndarray:
    """int64[n, 8]: the numbers of `Received`, in its order."""
    layers = packets.parse(ports=ports)
    found = []
    for row, frame in enumerate(packets):
        one = Row(frame, int(packets.wire_lengths[row]), layers, row)
        reason = one.receive(host)
        found.append((one.ip, one.upper, one.end, one.said, one.protocol, one.tos, reason,
                      one.flags))  # fmt: skip
    return np.array(found, np.int64).reshape(-1, 8)
