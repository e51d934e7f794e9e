"""One option of a header over all packets of a batch, as a column of octets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from encap import memory
from encap._lib import lib, pointer, spread
from encap.errors import FieldError

if TYPE_CHECKING:
    from encap.layers import Layers

__all__ = ["check_option", "find", "option"]

_FORMATS = {
    "geneve": lib.ENCAP_OPTIONS_GENEVE,
    "ipv4": lib.ENCAP_OPTIONS_TLV,
    "tcp": lib.ENCAP_OPTIONS_TLV,
    "hopopt": lib.ENCAP_OPTIONS_IPV6,
    "dstopts": lib.ENCAP_OPTIONS_IPV6,
}


def check_option(protocol: str, numbers: tuple[int, ...]) -> int:
    """What the core looks for: class and type of a Geneve option, the type of another.

    FieldError where a header of `protocol` has no options, or a number does not fit.
    """
    if protocol not in _FORMATS:
        raise FieldError(
            f"{protocol!r} has no options; those that have are {', '.join(_FORMATS)}",
            field=protocol,
        )
    limits = (0xFFFF, 0xFF) if protocol == "geneve" else (0xFF,)
    if len(numbers) != len(limits):
        what = "a class and a type" if protocol == "geneve" else "a type"
        raise TypeError(f"an option of {protocol} is named by {what}")
    key = 0
    for number, most in zip(numbers, limits, strict=True):
        if not isinstance(number, int):
            raise TypeError(f"an option is named by integers, not {type(number).__name__}")
        if not 0 <= number <= most:
            raise FieldError(f"{number} is not 0 to {most}", layer=protocol, field="type")
        key = key << 8 | number
    return key


def find(
    layers: Layers, name: str, numbers: tuple[int, ...]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint32], npt.NDArray[np.bool_]]:
    """Where the data of one option stand, and how many octets they have; where it is at all.

    int64[n] starts in the data of the batch and uint32[n] lengths, 0 where there is none.
    """
    protocol = name.rpartition(".")[2].partition("[")[0]
    key = check_option(protocol, numbers)
    starts, lengths = layers.span(f"{name}.options")
    rows, data = len(layers), layers.packets.data
    found, sizes = np.zeros(rows, np.int64), np.zeros(rows, np.uint32)
    present = np.zeros(rows, np.uint8)
    octets = pointer(data, "uint8_t")
    given = (pointer(starts, "int64_t"), pointer(lengths, "uint32_t"))
    results = (
        pointer(found, "int64_t", writable=True),
        pointer(sizes, "uint32_t", writable=True),
        pointer(present, "uint8_t", writable=True),
    )

    def look(begin: int, end: int) -> None:
        lib.encap_find_options(
            octets, data.size, *given, begin, end, _FORMATS[protocol], key, *results
        )

    spread(look, rows)
    return found, sizes, present.view(np.bool_)


def option(
    layers: Layers, name: str, numbers: tuple[int, ...]
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.bool_]]:
    """The data of one option in every packet; see `Layers.option`."""
    found, sizes, present = find(layers, name, numbers)
    rows, data = len(layers), layers.packets.data
    width = int(sizes.max(initial=0))
    table = memory.empty(rows * width, np.uint8)
    octets, target = pointer(data, "uint8_t"), pointer(table, "uint8_t", writable=True)
    given = (pointer(found, "int64_t"), pointer(sizes, "uint32_t"))

    def copy(begin: int, end: int) -> None:
        lib.encap_copy_spans(octets, data.size, *given, begin, end, width, target)

    spread(copy, rows)
    return table.reshape(rows, width), present
