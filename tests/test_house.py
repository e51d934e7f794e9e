"""The order of the house: who may import whom, what stays pure, who prints and opens files.

Imports are read from the sources, nothing is imported. Modules are placed by the first
component of their name below `encap`, so a package is one place.
"""

from __future__ import annotations

import ast
import graphlib
import itertools
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

SOURCE = Path(__file__).parent.parent / "src" / "encap"

# Lower may import from upper only; those of one row from each other, without a cycle.
PURE = [
    {"errors"},
    {"fields", "compile", "layout", "addresses", "checksum"},
    {"headers"},
    {"registry", "names"},
    {"packet", "assemble", "show", "verify", "template", "outer", "mtu"},
]
FAST = [
    {"_ffi"},
    {"_lib", "implementations", "memory", "arrays"},
    {"frames", "copies", "packets", "layers", "walk", "columns", "covers"}
    | {"decapsulate", "gather", "options"},
    {"encapsulate", "native", "plan", "planning"}
    | {"template_columns", "template_octets", "templates"}
    | {"checksums", "filter", "rewrite", "fragments", "flow", "oversize"},
    {"capture"},
    {"tunnels"},
    {"devices"},
    {"live", "export", "testing"},
    {"__init__"},  # the public names: the command line alone may use them, like any user
    {"cli"},
    {"__main__"},
]
RANK = {name: rank for rank, row in enumerate(PURE + FAST) for name in row}
PURE_NAMES = set().union(*PURE)
# The script that builds the extension.
APART = {"_core_build"}

FFI_IMPORTERS = {"_lib", "implementations", "memory"}
PRINTERS = {"cli"}
OPENERS = {"cli", "capture", "live"}

# Above the line nothing of the machine is touched: no clock, no chance, no socket, no arrays.
IMPURE = {
    *("_cffi_backend", "cffi", "ctypes", "mmap", "numpy"),
    *("asyncio", "select", "selectors", "socket", "ssl"),
    *("multiprocessing", "subprocess", "tempfile", "threading"),
    *("datetime", "random", "secrets", "time"),
}
REQUIRED = {"numpy"}
OPTIONAL = {
    "cli": {"typer", "rich"},
    "export": {"pyarrow", "pandas", "polars", "dask"},
    "live": {"pyroute2"},
    "capture": {"zstandard"},
    "tunnels": {"cryptography"},
    "testing": {"hypothesis"},
    "_core_build": {"cffi"},
}


class Import(NamedTuple):
    """`name`, imported by a line of a module; `first` when the module's own import runs it."""

    name: str
    line: int
    first: bool


class Module(NamedTuple):
    """A source file as `encap.headers.vxlan`, and its place: `headers`."""

    name: str
    place: str
    path: Path
    tree: ast.Module

    def at(self, line: int) -> str:
        return f"{self.path.relative_to(SOURCE.parent)}:{line}"


def load(path: Path) -> Module:
    parts = path.relative_to(SOURCE).with_suffix("").parts
    place = parts[0]
    if parts[-1] == "__init__":
        parts = parts[:-1]
    tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
    return Module(".".join(("encap", *parts)), place, path, tree)


MODULES = [load(path) for path in sorted(SOURCE.rglob("*.py"))]
NAMES = {module.name for module in MODULES} | {"encap._ffi"}
BY_NAME = {module.name: module for module in MODULES}
every_module = pytest.mark.parametrize("module", MODULES, ids=lambda module: module.name)


def is_type_checking(node: ast.If) -> bool:
    return ast.unparse(node.test) in {"TYPE_CHECKING", "typing.TYPE_CHECKING"}


def statements(body: list[ast.stmt], *, first: bool = True) -> Iterator[tuple[ast.stmt, bool]]:
    """Every statement but those for type checkers, and whether importing the module runs it."""
    for node in body:
        yield node, first
        inside = first and not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        unseen = isinstance(node, ast.If) and is_type_checking(node)
        parts = ["orelse"] if unseen else ["body", "orelse", "finalbody", "handlers", "cases"]
        for part in parts:
            children = getattr(node, part, [])
            for child in children:
                if isinstance(child, ast.ExceptHandler | ast.match_case):
                    yield from statements(child.body, first=inside)
            real = [child for child in children if isinstance(child, ast.stmt)]
            yield from statements(real, first=inside)


def absolute(module: Module, node: ast.ImportFrom) -> str:
    """What `from ...x import` means, written in full."""
    if not node.level:
        return node.module or ""
    package = module.name.split(".")
    ups = node.level - (module.path.name == "__init__.py")
    kept = package[: len(package) - ups] if ups else package
    return ".".join([*kept, node.module] if node.module else kept)


def imports(module: Module) -> Iterator[Import]:
    """What a module imports. `from encap import rewrite` means the module, where it is one."""
    for node, first in statements(module.tree.body):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, node.lineno, first)
        elif isinstance(node, ast.ImportFrom):
            origin = absolute(module, node)
            for alias in node.names:
                full = f"{origin}.{alias.name}"
                yield Import(full if full in NAMES else origin, node.lineno, first)


def place_of(name: str) -> str:
    """The place that `encap.headers.vxlan` belongs to; that of `encap` itself is `__init__`."""
    return f"{name}.__init__".split(".")[1]


def is_ours(name: str) -> bool:
    return name.partition(".")[0] == "encap"


def test_there_is_a_house() -> None:
    assert len(MODULES) > 10


@every_module
def test_every_module_has_a_place(module: Module) -> None:
    assert module.place in RANK.keys() | APART, (
        f"{module.name} has no place yet: put {module.place!r} into PURE or FAST of {__file__}, "
        "in the row below everything that it imports"
    )


@every_module
def test_imports_go_upwards(module: Module) -> None:
    if module.place not in RANK:
        return
    wrong = [
        f"{module.at(found.line)} imports {found.name}"
        for found in imports(module)
        if found.first
        and is_ours(found.name)
        and RANK.get(place_of(found.name), sys.maxsize) > RANK[module.place]
    ]
    assert not wrong, f"{module.place} stands above what it imports"


def test_no_module_imports_itself_by_a_detour() -> None:
    """What a module imports from its own package's `__init__` counts too."""
    graph = {
        module.name: {
            found.name for found in imports(module) if found.first and found.name in BY_NAME
        }
        for module in MODULES
        if module.place not in APART
    }
    graphlib.TopologicalSorter(graph).prepare()


def test_the_script_that_builds_the_core_stands_alone() -> None:
    for module in MODULES:
        for found in imports(module):
            assert found.name != "encap._core_build", module.at(found.line)
            assert module.place != "_core_build" or not is_ours(found.name), module.at(found.line)


@every_module
def test_the_upper_half_is_pure(module: Module) -> None:
    """Inside functions too: a header never needs an array, a clock or a socket."""
    if module.place not in PURE_NAMES:
        return
    wrong = [
        f"{module.at(found.line)} imports {found.name}"
        for found in imports(module)
        if found.name.split(".")[0] in IMPURE
        or (is_ours(found.name) and place_of(found.name) not in PURE_NAMES)
    ]
    assert not wrong


@every_module
def test_only_the_door_imports_the_extension(module: Module) -> None:
    if module.place in FFI_IMPORTERS:
        return
    wrong = [module.at(found.line) for found in imports(module) if found.name == "encap._ffi"]
    assert not wrong


@every_module
def test_importing_needs_only_numpy(module: Module) -> None:
    """Extras are imported inside functions, or by the one place that is nothing without them."""
    known = sys.stdlib_module_names | REQUIRED | OPTIONAL.get(module.place, set()) | {"encap"}
    if module.place in PURE_NAMES:
        known -= REQUIRED
    wrong = [
        f"{module.at(found.line)} imports {found.name}"
        for found in imports(module)
        if found.first and found.name.split(".")[0] not in known
    ]
    assert not wrong


def calls(module: Module, names: set[str]) -> list[str]:
    """Where any of `names` is called, plainly or as somebody's method: `open`, `path.read_text`."""
    return [
        f"{module.at(node.lineno)} calls {ast.unparse(node.func)}"
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in names
    ]


@every_module
def test_only_the_command_line_prints(module: Module) -> None:
    if module.place not in PRINTERS:
        assert not calls(module, {"print", "input", "breakpoint"})


@every_module
def test_only_captures_and_the_command_line_open_files(module: Module) -> None:
    if module.place not in OPENERS | {"_core_build"}:
        names = {"open", "read_text", "read_bytes", "write_text", "write_bytes"}
        assert not calls(module, names)


@every_module
def test_every_module_says_what_it_is_for(module: Module) -> None:
    assert ast.get_docstring(module.tree), f"{module.name} has no docstring"


# --- the core -----------------------------------------------------------------------

CORE = sorted((SOURCE / "core").glob("*.[ch]"))


def code_of(path: Path) -> str:
    """A C source without its comments and strings."""
    text = path.read_text(encoding="utf-8")
    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"', " ", text, flags=re.DOTALL)


def test_the_core_includes_all_its_parts() -> None:
    included = re.findall(r'#include "core/(.+)"', (SOURCE / "_core.c").read_text())
    assert len(included) == len(set(included))
    assert {path.name for path in CORE if path.suffix == ".c"} <= set(included)


@pytest.mark.parametrize("path", CORE, ids=lambda path: path.name)
def test_the_core_allocates_nothing_and_knows_no_python(path: Path) -> None:
    forbidden = r"\b(malloc|calloc|realloc|alloca|free|printf|fprintf|abort|exit|Py[A-Z_]\w*)\b"
    assert not re.findall(forbidden, code_of(path))


def test_the_interface_holds_declarations_only() -> None:
    code = code_of(SOURCE / "core" / "api.h")
    assert not re.findall(r"#\s*(?:include|if\w*)\b|\bstatic\b|\binline\b", code)


def test_exported_names() -> None:
    """Every function of the interface is `encap_<noun>_<verb>` or shorter, never without prefix."""
    code = code_of(SOURCE / "core" / "api.h")
    functions = re.findall(r"\b(\w+)\s*\([^()]*\)\s*;", code)
    assert functions
    assert [name for name in functions if not re.fullmatch(r"encap(_[a-z0-9]+)+", name)] == []


# --- these checks themselves -------------------------------------------------------


def module_of(text: str, name: str = "encap.rewrite") -> Module:
    place = name.split(".")[1]
    return Module(name, place, SOURCE / f"{place}.py", ast.parse(text))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("import encap.flow", [("encap.flow", True)]),
        ("from encap import errors", [("encap.errors", True)]),
        ("from encap import Packets", [("encap", True)]),
        ("from . import errors", [("encap.errors", True)]),
        ("from .errors import EncapError", [("encap.errors", True)]),
        (
            "try:\n    import zlib\nexcept ImportError:\n    import bz2",
            [("zlib", True), ("bz2", True)],
        ),
        ("class A:\n    import zlib", [("zlib", True)]),
        ("def f():\n    import zlib", [("zlib", False)]),
        ("class A:\n    def f(self):\n        with x:\n            import zlib", [("zlib", False)]),
        ("if TYPE_CHECKING:\n    import zlib\nelse:\n    import bz2", [("bz2", True)]),
    ],
)
def test_imports_are_found(text: str, expected: list[tuple[str, bool]]) -> None:
    assert [(found.name, found.first) for found in imports(module_of(text))] == expected


def test_order_is_enforced() -> None:
    with pytest.raises(AssertionError, match="stands above"):
        test_imports_go_upwards(module_of("from encap.rewrite import x", "encap.fields"))
    with pytest.raises(AssertionError, match="stands above"):
        test_imports_go_upwards(module_of("from encap import Packets", "encap.tunnels"))
    with pytest.raises(AssertionError, match="no place"):
        test_every_module_has_a_place(module_of("", "encap.utils"))
    with pytest.raises(AssertionError):
        test_the_upper_half_is_pure(module_of("def f():\n    import time", "encap.fields"))
    test_imports_go_upwards(module_of("from encap.errors import x", "encap.fields"))


def test_no_name_stands_twice() -> None:
    rows = PURE + FAST
    assert not any(first & second for first, second in itertools.combinations(rows, 2))
