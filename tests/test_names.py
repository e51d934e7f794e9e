"""The public names: lazy in `__init__.py`, typed in `__init__.pyi`, the same in both."""

import ast
import subprocess
import sys
from pathlib import Path

import encap

PACKAGE = Path(encap.__file__).parent


def test_every_public_name_can_be_had() -> None:
    for name in encap.__all__:
        assert getattr(encap, name) is not None


def test_the_stub_lists_the_same_names() -> None:
    tree = ast.parse((PACKAGE / "__init__.pyi").read_text())
    stubbed = {
        alias.asname: node.module
        for node in tree.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    lazy = {name: f"encap.{home}" for name, home in encap._HOME.items()}  # type: ignore[attr-defined]
    assert stubbed == lazy


def test_a_module_does_not_hide_the_function_of_its_name() -> None:
    code = (
        "import encap.implementations, encap.template, encap;"
        "encap.implementations(); encap.template('vxlan(vni=1)')"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_importing_the_package_imports_neither_numpy_nor_the_core() -> None:
    heavy = {"numpy", "encap._ffi", "ipaddress"}
    code = f"import sys, encap; print(sorted({heavy!r} & set(sys.modules)))"
    ran = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert ran.stdout.strip() == "[]"
