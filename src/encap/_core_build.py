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

ffi = FFI()
ffi.cdef((HERE / "core" / "api.h").read_text())
ffi.set_source(
    "encap._ffi",
    '#include "_core.c"',
    include_dirs=[os.path.relpath(HERE, ROOT)],
    depends=[os.path.relpath(path, ROOT) for path in sorted((HERE / "core").iterdir())]
    + [os.path.relpath(HERE / "_core.c", ROOT)],
    extra_compile_args=[] if sys.platform == "win32" else ["-O3", "-std=c11"],
    py_limited_api=LIMITED,
)

if __name__ == "__main__":
    ffi.compile(tmpdir=str(HERE.parent), verbose=True)
