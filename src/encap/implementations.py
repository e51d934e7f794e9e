"""The CPU variants of the C core: which there are, and which is used.

The choice belongs to the process, not to a thread: it is for tests, measurements and
hunting a fault, and results do not depend on it. The environment variable
ENCAP_IMPLEMENTATION makes it when the core is loaded.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from encap._ffi import ffi, lib
from encap.errors import FieldError

__all__ = ["ffi", "implementation", "implementations", "lib"]

ENVIRONMENT = "ENCAP_IMPLEMENTATION"


def _supported() -> dict[str, int]:
    """The number of each variant that this machine has, best last."""
    return {
        ffi.string(lib.encap_implementation_name(index)).decode(): index
        for index in range(lib.encap_implementation_count())
        if lib.encap_implementation_supported(index)
    }


def implementations() -> tuple[str, ...]:
    """The names of the variants that this machine can run: "generic" first, the best last."""
    return tuple(_supported())


def implementation(name: str) -> AbstractContextManager[str]:
    """A context in which the variant `name` is used, in all threads.

    Raises FieldError where this machine has no such variant.
    """
    return _use(_index(name))


def _index(name: str) -> int:
    known = _supported()
    if not isinstance(name, str):
        raise TypeError(f"an implementation has a name, not {type(name).__name__}")
    if name not in known:
        raise FieldError(
            f"no implementation {name!r} on this machine; there are {', '.join(known)}",
            field="implementation",
            value=name,
        )
    return known[name]


@contextmanager
def _use(index: int) -> Iterator[str]:
    before = lib.encap_implementation_current()
    lib.encap_implementation_select(index)
    try:
        yield ffi.string(lib.encap_implementation_name(index)).decode()
    finally:
        lib.encap_implementation_select(before)


if os.environ.get(ENVIRONMENT):
    lib.encap_implementation_select(_index(os.environ[ENVIRONMENT]))
