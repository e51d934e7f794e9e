"""What a caller gives as the arrays that a batch is made of: checked, converted, read-only."""

from __future__ import annotations

from collections.abc import Container
from typing import Any

import numpy as np
import numpy.typing as npt

from encap.errors import FieldError

__all__ = ["Octets", "column", "is_one_of", "looks", "octets", "read_only", "row_numbers"]

Octets = npt.NDArray[np.uint8]


def octets(data: Any) -> Octets:
    """`data` as a one-dimensional array of octets, borrowed."""
    if isinstance(data, np.ndarray):
        if data.dtype != np.uint8 or data.ndim != 1 or not data.flags.c_contiguous:
            raise TypeError("data must be a contiguous one-dimensional array of uint8")
        return data
    view = memoryview(data)
    if not view.c_contiguous:
        raise TypeError("data must be contiguous")
    return np.frombuffer(view, np.uint8)


def column(value: Any, count: int, dtype: npt.DTypeLike, name: str) -> npt.NDArray[Any]:
    """`value`, one number or one a packet, as a read-only array of `count` elements."""
    kind = np.dtype(dtype)
    try:
        given = np.asarray(value)
    except ValueError:  # lists of different lengths
        raise TypeError(f"{name} must hold integers, one a row") from None
    if given.size and given.dtype.kind not in "iub":
        # Of integers that fit no type of its own numpy makes floats, or objects.
        if isinstance(value, np.ndarray) or not _integers(value):
            raise TypeError(f"{name} must hold integers, not {given.dtype}")
        raise FieldError(f"{name} has a value that does not fit {kind}", field=name)
    limits = np.iinfo(kind)
    # Looking at all of a large array costs as much as some of what is done with it.
    fits = given.dtype == kind
    if given.size and not fits and (int(given.min()) < limits.min or int(given.max()) > limits.max):
        raise FieldError(f"{name} has a value that does not fit {kind}", field=name)
    array = given.astype(kind, copy=False)
    if array.ndim == 0:
        return np.broadcast_to(array, (count,))
    if array.shape != (count,):
        if array.ndim > 1:
            raise FieldError(
                f"{name} takes one number a packet, {kind}[n], and not"
                f" {looks(given)}, as addresses are",
                field=name,
            )
        raise FieldError(f"{name} has {array.size} values, {count} are needed", field=name)
    return read_only(np.ascontiguousarray(array))


def looks(array: npt.NDArray[Any]) -> str:
    """What an array of something for each packet is, in words: `uint8[n, 16]`."""
    return f"{array.dtype}[{', '.join(['n', *map(str, array.shape[1:])])}]"


def is_one_of(value: object, words: Container[str]) -> bool:
    """True for one of some words; an array, which equals nothing as a whole, is none of them."""
    return isinstance(value, str) and value in words


def _integers(value: Any) -> bool:
    return all(isinstance(one, int) for one in np.array(value, object).flat)


def read_only(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """A view through which nothing can be written."""
    view = array.view()
    view.flags.writeable = False
    return view


def row_numbers(index: Any, count: int) -> npt.NDArray[np.int64]:
    """The rows that a mask or an array of integers selects of `count`, as numbers from 0 on.

    IndexError for a row that there is not, FieldError for another shape, TypeError for others.
    """
    rows = np.asarray(index)
    if rows.dtype == np.bool_:
        if rows.shape != (count,):
            raise FieldError(f"a mask of shape {rows.shape} for {count} packets")
        return np.flatnonzero(rows).astype(np.int64, copy=False)
    if rows.size == 0:
        rows = rows.astype(np.int64)
    elif rows.dtype.kind not in "iu":
        raise TypeError(f"packets are selected by integers or a mask, not {rows.dtype}")
    if rows.ndim != 1:
        raise FieldError(f"rows must be one-dimensional, not of shape {rows.shape}")
    if rows.size and not (-count <= int(rows.min()) and int(rows.max()) < count):
        raise IndexError("row out of range")
    rows = rows.astype(np.int64)  # first: adding might not fit a small type
    rows[rows < 0] += count
    return rows
