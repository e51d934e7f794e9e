"""The cffi script: makes the extension ``encap._ffi`` from ``_core.c`` and ``core/api.h``."""

from __future__ import annotations

import os
import sys
import sysconfig
from pathlib import Path

from cffi import FFI

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
# A free-threaded interpreter has no limited API to build against.
LIMITED = not sysconfig.get_config_var("Py_GIL_DISABLED")


def compiler_options() -> list[str]:
    """These come after CFLAGS on the command line, so an -O given there is left alone."""
    if sys.platform == "win32":
        return []
    return ["-std=c11"] if "-O" in os.environ.get("CFLAGS", "") else ["-std=c11", "-O3"]


def sources() -> list[str]:
    """The parts of the core, from the project's root: editing one builds the extension anew."""
    parts = [HERE / "_core.c", *sorted((HERE / "core").glob("*.[ch]"))]
    return [os.path.relpath(part, ROOT) for part in parts]


ffi = FFI()
ffi.cdef((HERE / "core" / "api.h").read_text(encoding="utf-8"))
ffi.set_source(
    "encap._ffi",
    '#include "_core.c"',
    include_dirs=[os.path.relpath(HERE, ROOT)],
    depends=sources(),
    extra_compile_args=compiler_options(),
    py_limited_api=LIMITED,
)
