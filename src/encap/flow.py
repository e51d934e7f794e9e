"""Flows: a hash that is the same for every packet of a conversation, and what is made of it.

A tunnel hides which flow a packet belongs to from the routers in between, so it says it in the
outer UDP source port. What is here: the hash of any IP or Ethernet header over a whole batch, the
ways in which endpoints make source ports of a hash, and a report of how evenly flows spread.

It does not compute Linux's own hash: that is keyed anew at each boot.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import expm1, log1p, sqrt
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from encap import memory
from encap._lib import Batch, ffi, lib, pointer, take_out
from encap._lib import spread as over_threads
from encap.columns import slot_column
from encap.errors import FieldError
from encap.walk import KINDS, PathTable, port_rules

if TYPE_CHECKING:
    from encap.packets import Packets

__all__ = [
    "FORMULAS", "RSS_KEY", "SYMMETRIC_KEY", "SourcePorts", "Spread", "entropy", "flow_hash",
    "source_ports", "spread",
]  # fmt: skip

Uint16s = npt.NDArray[np.uint16]
Uint32s = npt.NDArray[np.uint32]

# --- source ports -----------------------------------------------------------------------------

_FOLDS = {
    "high": lib.ENCAP_FOLD_NONE, "linux": lib.ENCAP_FOLD_LINUX, "low": lib.ENCAP_FOLD_LOW,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class SourcePorts:
    """How an endpoint makes UDP source ports of the hashes of flows.

    low, high: the lowest and the highest port that it uses.
    bits: which bits of the hash choose among them: the "high" ones, the high ones after `linux`
        has added the low ones to them (`hash ^= hash << 16`), or the "low" ones.

    FieldError when they are no ports.
    """

    low: int
    high: int
    bits: str = "high"

    def __post_init__(self) -> None:
        for name in ("low", "high"):
            port = getattr(self, name)
            if not isinstance(port, int) or isinstance(port, bool):
                raise TypeError(f"{name} is a port number, not {type(port).__name__}")
            if not 0 <= port <= 0xFFFF:
                raise FieldError(f"{name} is a port, not {port}", field="sport", value=port)
        if self.low > self.high:
            raise FieldError(f"ports from {self.low} to {self.high}: there are none", field="sport")
        if self.bits not in _FOLDS:
            raise FieldError(
                f"bits is one of {', '.join(_FOLDS)}, not {self.bits!r}", field="sport"
            )

    def __len__(self) -> int:
        """How many ports there are."""
        return self.high - self.low + 1


FORMULAS: dict[str, SourcePorts] = {
    # RFC 7348 section 5: the dynamic range of RFC 6335.
    "flow": SourcePorts(49152, 65535),
    # udp_flow_src_port over net.ipv4.ip_local_port_range, 32768 to 60999 where nobody changed it.
    # Of all but "flow" and "vpp" the upper limit itself is never reached.
    "linux": SourcePorts(32768, 60998, "linux"),
    # drivers/net/geneve.c asks udp_flow_src_port for 1 to 65535.
    "linux-geneve": SourcePorts(1, 65534, "linux"),
    # netdev_tnl_get_src_port of lib/netdev-native-tnl.c, 32768 to 61000.
    "ovs": SourcePorts(32768, 60999),
    # The hash cut to the 16 bits of the field.
    "vpp": SourcePorts(0, 65535, "low"),
}
"""What `sport` may be called, and the ports that it means."""


def _formula(sport: object) -> SourcePorts:
    if isinstance(sport, SourcePorts):
        return sport
    if isinstance(sport, str) and sport in FORMULAS:
        return FORMULAS[sport]
    if isinstance(sport, tuple) and len(sport) == 2:
        return SourcePorts(*sport)
    if isinstance(sport, str | tuple):
        raise FieldError(
            f"sport is one of {', '.join(FORMULAS)}, a port (0 to 65535), or a pair of the"
            f" lowest and the highest one, not {sport!r}",
            field="sport",
            value=sport,
        )
    raise TypeError(f"sport is a name or a pair of ports, not {type(sport).__name__}")


def entropy(sport: str | tuple[int, int] | SourcePorts) -> Any:
    """The core's `encap_entropy` for a name of `FORMULAS`, a pair of ports, or `SourcePorts`.

    FieldError for a name that there is not, or ports that are none.
    """
    ports = _formula(sport)
    return ffi.new("encap_entropy *", (ports.low, len(ports), _FOLDS[ports.bits]))


def source_ports(
    hashes: Uint32s,
    sport: str | tuple[int, int] | SourcePorts = "flow",
    *,
    threads: int | None = None,
    out: Uint16s | None = None,
) -> Uint16s:
    """uint16[n]: the source ports that encapsulation gives packets whose flows have these hashes.

    hashes: uint32[n], as `flow_hash` gives.
    sport: a name of `FORMULAS`, the lowest and the highest port, or `SourcePorts`.
    threads, out: see `flow_hash`.
    """
    given = _hashes(hashes)
    how, count = entropy(sport), len(given)
    taken = take_out(out, count, np.uint16, apart=given)
    made = memory.empty(count, np.uint16) if taken is None else taken
    source, target = pointer(given, "uint32_t"), pointer(made, "uint16_t", writable=True)

    def fill(begin: int, end: int) -> None:
        lib.encap_entropy_ports(source, begin, end, how, target)

    over_threads(fill, count, threads)
    return made


def _hashes(hashes: object) -> Uint32s:
    if not isinstance(hashes, np.ndarray) or hashes.dtype != np.uint32 or hashes.ndim != 1:
        raise TypeError("hashes must be a one-dimensional array of uint32")
    return np.ascontiguousarray(hashes)


# --- hashes --------------------------------------------------------------------------------------

RSS_KEY = bytes.fromhex(
    "6d5a56da255b0ec24167253d43a38fb0d0ca2bcbae7b30b477cb2da38030f20c6a42b73bbeac01fa"
)
"""The key of Microsoft's verification suite, which many drivers have as their default."""
SYMMETRIC_KEY = bytes.fromhex("6d5a" * 20)
"""A key whose period of 16 bits makes both directions equal: Woo and Park, 2012."""

_KEY_LEN = 40  # octets: the longest input, two IPv6 addresses and two ports, and 32 bits
_HASHED = {"ipv4", "ipv6", "eth"}


@lru_cache(maxsize=16)
def _toeplitz(key: bytes) -> Uint32s:
    """uint32[36, 256]: what each value of each input octet adds to the hash.

    Bit k of the input, where it is set, adds bits k to k + 31 of the key.
    """
    whole = int.from_bytes(key[:_KEY_LEN], "big")
    windows = [whole >> (8 * _KEY_LEN - 32 - bit) & 0xFFFFFFFF for bit in range(8 * _KEY_LEN - 32)]
    by_octet = np.array(windows, np.uint32).reshape(-1, 8, 1)
    set_bits = np.arange(256, dtype=np.uint32) >> np.arange(7, -1, -1, dtype=np.uint32)[:, None] & 1
    table: Uint32s = np.bitwise_xor.reduce(by_octet * set_bits, axis=1)
    return table


def _table(algorithm: str, key: object, symmetric: bool) -> Uint32s | None:
    if algorithm not in ("fast", "toeplitz"):
        raise FieldError(f"algorithm is 'fast' or 'toeplitz', not {algorithm!r}", field="algorithm")
    if algorithm == "fast":
        if key is not None:
            raise FieldError("the fast hash has no key", field="key")
        return None
    if key is None:
        return _toeplitz(SYMMETRIC_KEY if symmetric else RSS_KEY)
    if symmetric:
        raise FieldError("a symmetric hash chooses its key itself", field="key")
    if not isinstance(key, bytes | bytearray | memoryview):
        raise TypeError(f"key is octets, not {type(key).__name__}")
    if len(bytes(key)) < _KEY_LEN:
        raise FieldError(f"key has {len(bytes(key))} octets, {_KEY_LEN} are needed", field="key")
    return _toeplitz(bytes(key)[:_KEY_LEN])


def _column(layer: str) -> Any:
    if not isinstance(layer, str):
        raise TypeError(f"layer is a name, not {type(layer).__name__}")
    if layer == "innermost":
        return None
    made = slot_column(layer)
    named = {name for kind, name in enumerate(KINDS) if made.spec.kinds >> kind & 1}
    if not named <= _HASHED or made.spec.tunnels_only:
        raise FieldError(
            f"{layer!r}: a flow is that of an ip, ipv4, ipv6 or eth header", field=layer
        )
    return made.spec


def flow_hash(
    packets: Packets,
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
    """The hash of every packet's flow; see `Packets.flow_hash`."""
    rows = len(packets)
    column, table = _column(layer), _table(algorithm, key, symmetric)
    words = ffi.NULL if table is None else pointer(table, "uint32_t")
    wanted = ffi.new("encap_flow_wanted *", (words, bool(l4), bool(symmetric)))
    source, known = Batch(packets), port_rules(packets._ports_with(ports))
    taken = take_out(out, rows, np.uint32, apart=packets.data)
    made = memory.empty(rows, np.uint32) if taken is None else taken
    target = pointer(made, "uint32_t", writable=True)

    def fill(begin: int, end: int) -> None:
        paths = slots = ffi.NULL
        if column is not None:
            table = PathTable()
            room = np.empty(table.capacity, np.int8)
            paths, slots = table.pointer, pointer(room, "int8_t", writable=True)
        given = (wanted, ffi.NULL if column is None else column, paths, slots, target)
        lib.encap_flow_hash(source.pointer, known, begin, end, *given)

    over_threads(fill, rows, threads)
    return made


# --- evenness ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Spread:
    """How evenly flows spread over source ports, and so over the paths of a network.

    packets, flows: how many there are; flows are told apart by their hashes.
    available, used: ports that could be used, and those that are.
    expected_used: how many an ideal hash would use, on average over all such hashes.
    fullest: the port with the most flows, the lowest of several; None without flows.
    fullest_flows, fullest_packets: how many flows and packets it has.
    mean_flows: flows a port has on average.
    chi_square: Pearson's, over all available ports.
    deviation: how far that is from what an ideal hash gives, in standard deviations. Up to 3 is
        chance; far above it some ports are crowded; far below it flows were dealt out in turn.
    split: flows seen with more than one port: their packets may overtake each other.
    outside: packets whose port is none of the available ones.
    """

    packets: int
    flows: int
    available: int
    used: int
    expected_used: float
    fullest: int | None
    fullest_flows: int
    fullest_packets: int
    mean_flows: float
    chi_square: float
    deviation: float
    split: int
    outside: int


def spread(
    hashes: Uint32s,
    sport: str | tuple[int, int] | SourcePorts = "flow",
    ports: Uint16s | None = None,
) -> Spread:
    """How the flows that `hashes` tell apart spread over UDP source ports.

    hashes: uint32[n], one a packet, as `Packets.flow_hash` gives.
    sport: the ports that there are, and how one is made of a hash; see `source_ports`.
    ports: uint16[n], the ports that the packets have in a capture, to judge who chose them;
        `sport` then says between which ports the choice was.
    """
    given, known = _hashes(hashes), _formula(sport)
    taken = source_ports(given, known) if ports is None else _ports(ports, given)
    pairs = np.unique(given.astype(np.uint64) << np.uint64(16) | taken)
    flows, times = np.unique(pairs >> np.uint64(16), return_counts=True)
    within = (taken >= known.low) & (taken <= known.high)
    members = (pairs & np.uint64(0xFFFF)).astype(np.int64)
    members = members[(members >= known.low) & (members <= known.high)]
    counts = np.bincount(members - known.low, minlength=len(known))
    fullest = int(counts.argmax()) + known.low if len(members) else None
    chi_square, deviation = _chi_square(counts)
    return Spread(
        packets=len(given),
        flows=len(flows),
        available=len(known),
        used=int(np.count_nonzero(counts)),
        expected_used=_expected_used(len(members), len(known)),
        fullest=fullest,
        fullest_flows=int(counts.max()),
        fullest_packets=0 if fullest is None else int(np.count_nonzero(taken == fullest)),
        mean_flows=len(members) / len(known),
        chi_square=chi_square,
        deviation=deviation,
        split=int(np.count_nonzero(times > 1)),
        outside=int(np.count_nonzero(~within)),
    )


def _ports(ports: object, hashes: Uint32s) -> Uint16s:
    if not isinstance(ports, np.ndarray) or ports.dtype != np.uint16:
        raise TypeError("ports must be an array of uint16")
    if ports.shape != hashes.shape:
        raise FieldError(f"{len(hashes)} hashes, ports of shape {ports.shape}", field="ports")
    return ports


def _expected_used(flows: int, ports: int) -> float:
    """How many of `ports` are hit by `flows` that choose independently."""
    if ports == 1:
        return float(flows > 0)
    return -ports * expm1(flows * log1p(-1 / ports))


def _chi_square(counts: npt.NDArray[np.int64]) -> tuple[float, float]:
    """Pearson's statistic of counts that should be equal, and its distance from the mean.

    Mean and variance are exact for any number of flows, so few flows over many ports are judged
    rightly; the usual approximation needs about five a port.
    """
    ports, flows = len(counts), int(counts.sum())
    if ports == 1 or flows < 2:
        return 0.0, 0.0
    chi_square = float((counts.astype(np.float64) ** 2).sum()) * ports / flows - flows
    variance = 2 * (ports - 1) * (flows - 1) / flows
    return chi_square, (chi_square - (ports - 1)) / sqrt(variance)
