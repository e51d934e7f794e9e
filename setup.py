"""What pyproject.toml cannot say: the cffi extension, and one abi3 wheel for all CPythons."""

import sysconfig

from setuptools import setup

LIMITED = not sysconfig.get_config_var("Py_GIL_DISABLED")

setup(
    cffi_modules=["src/encap/_core_build.py:ffi"],
    options={"bdist_wheel": {"py_limited_api": "cp311"}} if LIMITED else {},
)
