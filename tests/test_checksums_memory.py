"""Verdicts and repairs touch no octet outside of a frame, whatever it holds, wherever it ends."""

from __future__ import annotations

import ctypes
import mmap
from collections.abc import Iterator
from threading import Thread

import golden
import numpy as np
import numpy.typing as npt
import pytest
import stacks

import encap
from encap import GRE, SCTP, TCP, UDP, VXLAN, Ethernet, IPv4, IPv6, Packets, Routing
from encap.implementations import implementation, implementations

ETH = Ethernet(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
V4 = IPv4(src="10.0.0.1", dst="10.0.0.2")
V6 = IPv6(src="fd00::1", dst="fd00::2")
BODY = bytes(range(50))
FRAMES = [
    bytes(packet)
    for packet in (
        ETH / V4 / UDP() / VXLAN(vni=1) / ETH / V4 / TCP(checksum=1) / BODY,
        ETH / V4 / GRE(flags=0x1000) / V6 / UDP(sport=1, dport=2) / BODY[:33],
        ETH / V6 / Routing(type=0, segments_left=1, data=bytes(20)) / TCP() / BODY,
        ETH / V4 / SCTP() / BODY[:7],
    )
]
ROOM = 1 << 16


@pytest.fixture(scope="module")
def guarded() -> Iterator[npt.NDArray[np.uint8]]:
    """Octets with a page before and behind that cannot be touched."""
    page = mmap.PAGESIZE
    block = mmap.mmap(-1, ROOM + 2 * page)
    whole = np.frombuffer(block, np.uint8)
    libc = ctypes.CDLL(None, use_errno=True)
    guards = [ctypes.c_void_p(whole.ctypes.data + at) for at in (0, page + ROOM)]
    for guard in guards:
        assert libc.mprotect(guard, ctypes.c_size_t(page), 0) == 0
    yield whole[page : page + ROOM]
    for guard in guards:
        assert libc.mprotect(guard, ctypes.c_size_t(page), mmap.PROT_READ | mmap.PROT_WRITE) == 0


@pytest.mark.parametrize("variant", implementations())
@pytest.mark.parametrize("frame", FRAMES)
def test_every_truncation_at_both_ends(
    guarded: npt.NDArray[np.uint8], variant: str, frame: bytes
) -> None:
    with implementation(variant):
        for size in range(len(frame) + 1):
            expected = Packets.from_frames([frame[:size]], wire_lengths=[len(frame)])
            found = expected.checksums(threads=1)
            fixed = expected.fix("all", threads=1)
            for start in (0, ROOM - size):
                guarded[start : start + size] = np.frombuffer(frame[:size], np.uint8)
                mine = Packets(guarded, [start], [size], wire_lengths=[len(frame)])
                assert mine.checksums(threads=1).verdict.tolist() == found.verdict.tolist()
                mine.fix("all", out="in place", threads=1)
                assert mine[0] == fixed[0]


@pytest.mark.parametrize("variant", implementations())
def test_frames_of_all_kinds_against_the_end(guarded: npt.NDArray[np.uint8], variant: str) -> None:
    with implementation(variant):
        for packets in (golden.every_frame()[::97], stacks.random_packets(300, 3, stacks.cut)):
            for row in range(len(packets)):
                frame = np.frombuffer(packets[row], np.uint8)
                if not 0 < len(frame) < ROOM:
                    continue
                start = ROOM - len(frame)
                guarded[start:] = frame
                mine = Packets(
                    guarded, [start], [len(frame)], linktypes=packets.linktypes[row : row + 1]
                )
                mine.checksums(threads=1)
                mine.fix("all", out="in place", threads=1)
                assert mine[0] == packets[row : row + 1].fix("all", threads=1)[0]


def test_packets_that_change_meanwhile() -> None:
    """Other verdicts, or other octets; but nothing outside, and nothing that is not one of ours."""
    packets = stacks.random_packets(2000, 6)
    data = packets.data.copy()
    mine = Packets(data, packets.starts, packets.lengths, linktypes=packets.linktypes)
    stop = False

    def change() -> None:
        random = np.random.default_rng(1)
        while not stop:
            data[random.integers(0, data.size, 512)] ^= random.integers(0, 256, 512, np.uint8)

    thread = Thread(target=change)
    thread.start()
    try:
        for _ in range(20):
            assert set(np.unique(mine.checksums().verdict)) <= set(encap.Verdict)
            mine.fix("all", out="in place")
            mine.fix("all")
    finally:
        stop = True
        thread.join()
