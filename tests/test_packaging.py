"""What is shipped: names and versions, the sdist, and the wheel that is made from it."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import zipfile
from importlib.metadata import entry_points, metadata, version
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
VERSION = PROJECT["version"]


def test_name_and_version() -> None:
    assert version("encap-net") == VERSION
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


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist, and the wheel that was made from the sdist alone."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    (path,) = built.glob("*.whl")
    return path


slow = [pytest.mark.slow, pytest.mark.unsanitized, pytest.mark.xdist_group("packaging")]


class TestBuilt:
    pytestmark = slow

    def test_sdist(self, built: Path) -> None:
        (path,) = built.glob("*.tar.gz")
        assert path.name == f"encap_net-{VERSION}.tar.gz"
        with tarfile.open(path) as archive:
            names = {
                str(PurePosixPath(*PurePosixPath(name).parts[1:])) for name in archive.getnames()
            }
        core = (ROOT / "src" / "encap").rglob("*.[ch]")
        wanted = {path.relative_to(ROOT).as_posix() for path in core if path.name != "_ffi.c"}
        wanted |= {"LICENSE", "Makefile", "setup.py", "pyproject.toml", "src/encap/_core_build.py"}
        wanted |= {"tests/conftest.py", "src/encap/py.typed"}
        assert wanted <= names
        assert not [name for name in names if name.endswith((".so", ".pyc"))]

    def test_wheel_is_one_for_all_interpreters(self, wheel: Path) -> None:
        _, _, python, abi, _ = wheel.stem.split("-")
        if sysconfig.get_config_var("Py_GIL_DISABLED"):
            assert abi.endswith("t")
        else:
            assert (python, abi) == ("cp311", "abi3")
        assert wheel.name.startswith(f"encap_net-{VERSION}-")

    def test_wheel_holds_the_package_alone(self, wheel: Path) -> None:
        with zipfile.ZipFile(wheel) as archive:
            names = archive.namelist()
        folders = {name.split("/")[0] for name in names}
        assert folders == {"encap", f"encap_net-{VERSION}.dist-info"}
        assert "encap/py.typed" in names
        assert [name for name in names if name.startswith("encap/_ffi.")]
        assert not [name for name in names if name.endswith((".c", ".h", ".pyc"))]
        sources = {path.relative_to(ROOT / "src").as_posix() for path in modules()}
        assert sources == {name for name in names if name.endswith((".py", ".pyi"))}

    def test_installed_wheel_works(self, wheel: Path, tmp_path: Path) -> None:
        """The wheel's own files, not those of the source tree, are what is imported."""
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(tmp_path)
        script = "import encap, encap._ffi; print(encap.__file__); print(encap._ffi.__file__)"
        done = subprocess.run(
            [sys.executable, "-c", script],
            env=os.environ | {"PYTHONPATH": str(tmp_path)},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
        )
        assert all(line.startswith(str(tmp_path)) for line in done.stdout.splitlines())


def modules() -> list[Path]:
    return [path for path in (ROOT / "src").rglob("*.py*") if path.suffix in {".py", ".pyi"}]
