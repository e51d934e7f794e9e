"""What encap is compared with in C: limit/*.c, compiled for this very machine."""

from __future__ import annotations

import os
import shlex
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from cffi import FFI

import encap
from workloads import BUILD

SOURCES = Path(__file__).resolve().parent / "limit"
RECORD = np.dtype(
    [(name, np.uint32) for name in ("src", "dst", "id", "inner_src", "inner_dst")]
    + [(name, np.uint16) for name in ("sport", "dport", "inner")]
    + [(name, np.uint8) for name in ("tunnel", "protocol")]
    + [("unused", np.uint32)]
)
KINDS = ("none", "vxlan", "geneve", "gre", "ipv4", "ipv6")
"""What encap calls the tunnels that the yardstick counts from 0."""
AHEAD = 16
"""How many packets ahead memory is fetched where it is cold."""
HEADERS_LEN = 50
"""Ethernet, IPv4, UDP and VXLAN: what the yardstick puts before a packet."""

ffi = FFI()
ffi.cdef((SOURCES / "limit.h").read_text())


@cache
def lib() -> Any:
    """The yardstick's functions, compiled when the source is newer."""
    built, newest = BUILD / "limit.so", max(p.stat().st_mtime for p in SOURCES.iterdir())
    if not built.exists() or built.stat().st_mtime < newest:
        BUILD.mkdir(parents=True, exist_ok=True)
        partial = built.with_suffix(f".{os.getpid()}")
        flags = ["-std=gnu11", "-O3", "-march=native", "-shared", "-fPIC"]
        compiler = shlex.split(os.environ.get("CC", "cc"))
        subprocess.run([*compiler, *flags, *sorted(SOURCES.glob("*.c")), "-o", partial], check=True)
        partial.replace(built)
    return ffi.dlopen(str(built))


def pointer(array: npt.NDArray[Any], kind: str) -> Any:
    return ffi.from_buffer(f"{kind}[]", array)


class Limit:
    """The yardstick over one batch; results go to arrays that are there already."""

    def __init__(self, packets: encap.Packets) -> None:
        self.lib = lib()
        self.count = len(packets)
        self.packet_octets = int(packets.lengths.sum(dtype=np.int64))
        self._keep = (
            pointer(packets.data, "uint8_t"),
            pointer(packets.starts, "int64_t"),
            pointer(packets.lengths, "uint32_t"),
        )
        data, starts, lengths = self._keep
        given = (data, packets.data.size, starts, lengths, self.count)
        self.batch = ffi.new("limit_batch *", given)
        self.records = np.zeros(self.count, RECORD)
        self.starts = np.zeros(self.count, np.int64)
        self.lengths = np.zeros(self.count, np.uint32)
        self.sums = np.zeros(self.count, np.uint16)

    def walk(self, count: int | None = None, ahead: int = AHEAD, times: int = 1) -> None:
        records = pointer(self.records, "limit_record")
        for _ in range(times):
            self.lib.limit_walk(self.batch, count or self.count, ahead, records)

    def decap(self, out: npt.NDArray[np.uint8], ahead: int = AHEAD // 2) -> int:
        starts, lengths = pointer(self.starts, "int64_t"), pointer(self.lengths, "uint32_t")
        target = pointer(out, "uint8_t")
        octets: int = self.lib.limit_decap(self.batch, ahead, target, out.size, starts, lengths)
        return octets

    def encap(
        self,
        headers: bytes,
        vnis: npt.NDArray[np.uint32],
        out: npt.NDArray[np.uint8],
        *,
        udp_checksum: bool = False,
        ahead: int = AHEAD // 2,
        times: int = 1,
    ) -> int:
        """The packets in VXLAN, one behind the other in `out`; returns their octets.

        headers: Ethernet, IPv4, UDP and VXLAN, whose lengths, id, checksums and source port are 0.
        vnis: one a packet.
        udp_checksum: of the outer UDP, summed while copying; else it stays 0.
        """
        if len(headers) != HEADERS_LEN or len(vnis) < self.count:
            raise ValueError(f"{HEADERS_LEN} octets of headers and a VNI a packet are needed")
        if out.size < self.packet_octets + HEADERS_LEN * self.count:
            raise ValueError("the packets do not fit")
        kernel = self.lib.limit_encap_summed if udp_checksum else self.lib.limit_encap
        given = ffi.from_buffer("uint8_t[]", headers), pointer(vnis, "uint32_t")
        tunnel = ffi.new("limit_tunnel *", given)
        starts, lengths = pointer(self.starts, "int64_t"), pointer(self.lengths, "uint32_t")
        target, octets = pointer(out, "uint8_t"), 0
        for _ in range(times):
            octets = kernel(self.batch, tunnel, ahead, target, out.size, starts, lengths)
        return octets

    def rewrite(self, mask: int, ahead: int = AHEAD, times: int = 1) -> None:
        """Outer and inner IPv4 addresses xor `mask`, in the packets' own memory."""
        for _ in range(times):
            self.lib.limit_rewrite(self.batch, ahead, mask, self._keep[0])

    def checksums(self, variant: str, times: int = 1) -> None:
        kernel = getattr(self.lib, f"limit_checksums_{variant}")
        sums = pointer(self.sums, "uint16_t")
        for _ in range(times):
            kernel(self.batch, sums)


def copy(source: npt.NDArray[np.uint8], target: npt.NDArray[np.uint8]) -> None:
    """memcpy: what any reading and writing of the same octets costs at the least."""
    lib().limit_copy(pointer(source, "uint8_t"), source.size, pointer(target, "uint8_t"))
