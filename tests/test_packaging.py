"""What is shipped: names and versions, the sdist, and the wheel that is made from it."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import zipfile
from importlib.metadata import entry_points, metadata
from importlib.metadata import version as installed_version
from pathlib import Path

import pytest

import encap

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
VERSION = PROJECT["version"]


def test_name_and_version() -> None:
    assert installed_version("encap-net") == VERSION == encap.__version__
    assert metadata("encap-net")["Name"] == "encap-net"
    assert f"## {VERSION}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_only_numpy_and_cffi_are_needed() -> None:
    needed = metadata("encap-net").get_all("Requires-Dist") or []
    assert {line.split(">")[0] for line in needed if "extra ==" not in line} == {"cffi", "numpy"}


def test_the_command_is_installed() -> None:
    (command,) = entry_points(group="console_scripts", name="encap")
    assert command.value == "encap.cli:main"


def test_typing_marker() -> None:
    assert (ROOT / "src" / "encap" / "py.typed").read_bytes() == b""


# --- what is built --------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.unsanitized
def test_what_is_built(tmp_path: Path) -> None:
    """One test, since the tests of a file may run in several processes, and each would build."""
    dist = tmp_path / "dist"
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(dist), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (sdist,) = dist.glob("*.tar.gz")
    (wheel,) = dist.glob("*.whl")
    check_sdist(sdist)
    check_tags(wheel)
    check_contents(wheel)
    check_installed(wheel, tmp_path / "site")


def check_sdist(sdist: Path) -> None:
    """The C sources are there, whatever was built from them is not."""
    assert sdist.name == f"encap_net-{VERSION}.tar.gz"
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    core = [ROOT / "src/encap/_core.c", *(ROOT / "src/encap/core").glob("*.[ch]")]
    wanted = {path.relative_to(ROOT).as_posix() for path in core}
    wanted |= {"LICENSE", "Makefile", "setup.py", "pyproject.toml", "src/encap/_core_build.py"}
    wanted |= {"tests/conftest.py", "src/encap/py.typed"}
    assert wanted <= names
    assert not [name for name in names if name.endswith((".so", ".pyc"))]


def check_tags(wheel: Path) -> None:
    """One wheel serves all interpreters, but those without a GIL."""
    name, version, python, abi, _ = wheel.stem.split("-")
    assert (name, version) == ("encap_net", VERSION)
    if sysconfig.get_config_var("Py_GIL_DISABLED"):
        assert abi.endswith("t")
    else:
        assert (python, abi) == ("cp311", "abi3")


def check_contents(wheel: Path) -> None:
    """All modules, the extension and the typing marker; no C sources, no tests."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert {name.partition("/")[0] for name in names} == {
        "encap",
        f"encap_net-{VERSION}.dist-info",
    }
    assert "encap/py.typed" in names
    assert [name for name in names if name.startswith("encap/_ffi.")]
    assert not [name for name in names if name.endswith((".c", ".h", ".pyc"))]
    sources = (path for path in (ROOT / "src").rglob("*.py*") if path.suffix in {".py", ".pyi"})
    modules = {path.relative_to(ROOT / "src").as_posix() for path in sources}
    assert modules == {name for name in names if name.endswith((".py", ".pyi"))}


def check_installed(wheel: Path, site: Path) -> None:
    """The wheel's own files, not those of the source tree, are what is imported."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    script = "import encap, encap._ffi; print(encap.__file__); print(encap._ffi.__file__)"
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | {"PYTHONPATH": str(site)},
        cwd=site,
        capture_output=True,
        text=True,
        check=True,
    )
    assert all(line.startswith(str(site)) for line in done.stdout.splitlines())
