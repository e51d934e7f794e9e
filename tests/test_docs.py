"""The documentation does what it says: its examples run, print what stands below them, and type.

A page is a program: its ```python blocks run in order, in one namespace, beside a copy of
examples/. A ```text block that directly follows one is what it prints; `...` stands for anything.
A comment directly below a `print` at the margin is a line that it prints.
A ```console block whose commands are all `encap ...` is run by a shell, and what stands below a
command is what a terminal shows; its exit status is 0, or 1 for a capture with broken packets.
What cannot run here is ```text, or a console block of other commands.
"""

from __future__ import annotations

import contextlib
import doctest
import importlib
import io
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import encap
from encap import tunnels
from encap.registry import HEADERS, header_class
from encap.tunnels.commands import CLASSES, KINDS

ROOT = Path(__file__).parent.parent
DOCS = sorted((ROOT / "docs").rglob("*.md"))
PAGES = [*ROOT.glob("README.md"), *DOCS]
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PRINTED = re.compile(r"^print\(.*\)\n# (.*)$", re.MULTILINE)
MYPY = """
[mypy]
strict = True
mypy_path = {source}
[mypy-dpkt.*,pandas.*,pyarrow.*,scapy.*]
ignore_missing_imports = True
follow_untyped_imports = False
"""


class Block(NamedTuple):
    """A fenced block: language, text, the line that it starts on, its begin and end."""

    language: str
    text: str
    line: int
    begin: int
    end: int


def blocks(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    return [
        Block(m[1], m[2], text.count("\n", 0, m.start(2)) + 1, m.start(), m.end())
        for m in FENCE.finditer(text)
    ]


def programs(page: Path) -> Iterator[tuple[Block, str | None]]:
    """The Python blocks of a page, each with what it is said to print."""
    text, found = page.read_text(encoding="utf-8"), blocks(page)
    for block, following in pairwise([*found, Block("", "", 0, len(text), 0)]):
        if block.language == "python":
            adjacent = not text[block.end : following.begin].strip()
            printed = following.text if adjacent and following.language == "text" else None
            yield block, printed


def commands(block: Block) -> list[tuple[str, str]]:
    """The commands of a console block, each with the lines below it; [] where it is not for us."""
    lines = block.text.replace("\\\n", " ").splitlines(keepends=True)
    found: list[tuple[str, str]] = []
    for line in lines:
        if line.startswith("$ "):
            found.append((line[2:].rstrip("\n"), ""))
        elif found:
            found[-1] = (found[-1][0], found[-1][1] + line)
    return found if all(re.match(r"encap\b", command) for command, _ in found) else []


def page_name(page: Path) -> str:
    return page.relative_to(ROOT).with_suffix("").as_posix()


def matches(said: str, printed: str) -> bool:
    return doctest.OutputChecker().check_output(said, printed, doctest.ELLIPSIS)


WITH_PYTHON = [page for page in PAGES if any(programs(page))]
WITH_COMMANDS = [
    page for page in PAGES if any(commands(b) for b in blocks(page) if b.language == "console")
]


@pytest.fixture
def beside_examples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory like the repository's root, in which a page may write."""
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("page", WITH_PYTHON, ids=page_name)
def test_python_of_a_page(page: Path, beside_examples: Path) -> None:
    namespace: dict[str, Any] = {"__name__": "__main__"}
    for block, said in programs(page):
        # Empty lines in front, so that a traceback names the line of the page.
        code = compile("\n" * (block.line - 1) + block.text, str(page), "exec", dont_inherit=True)
        with contextlib.redirect_stdout(io.StringIO()) as output:
            exec(code, namespace)
        printed = output.getvalue()
        for line in PRINTED.findall(block.text):
            assert line in printed.splitlines(), f"{page_name(page)}:{block.line} prints\n{printed}"
        if said is not None:
            assert matches(said, printed), f"{page_name(page)}:{block.line} prints\n{printed}"


@pytest.mark.parametrize("page", WITH_COMMANDS, ids=page_name)
def test_commands_of_a_page(page: Path, beside_examples: Path) -> None:
    script = beside_examples / "bin" / "encap"
    script.parent.mkdir()
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m encap "$@"\n')
    script.chmod(0o755)
    path = f"{script.parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"PATH": path, "COLUMNS": "100", "NO_COLOR": "1"}
    for block in blocks(page):
        for command, said in commands(block) if block.language == "console" else []:
            result = subprocess.run(
                command,
                shell=True,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=60,
                check=False,
            )
            where = f"{page_name(page)}:{block.line} {command}"
            assert result.returncode in {0, 1}, f"{where}\n{result.stdout}"
            if said:
                assert matches(said, result.stdout), f"{where} prints\n{result.stdout}"


@pytest.mark.slow
@pytest.mark.unsanitized
def test_examples_are_typed(tmp_path: Path) -> None:
    sources = []
    for page in WITH_PYTHON:
        source = tmp_path / f"{page_name(page).replace('/', '_').replace('-', '_')}.py"
        # One page has a namespace, and a line its number.
        text = ""
        for block, _ in programs(page):
            text += "\n" * (block.line - 1 - text.count("\n")) + block.text
        source.write_text(text, encoding="utf-8")
        sources.append(str(source))
    settings = tmp_path / "mypy.ini"
    settings.write_text(MYPY.format(source=ROOT / "src"), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--config-file", str(settings), *sources],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", HEADERS)
def test_a_diagram_draws_every_bit_once(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "docs" / "_ext"))
    diagram = importlib.import_module("bit_diagram").diagram
    fields = header_class(path).fields.values()
    lines = [line.strip() for line in diagram(header_class(path)).splitlines()]
    boxes = [box for line in lines if line[0] == "|" for box in line[1:-1].split("|")]
    assert sum((len(box) + 1) // 2 for box in boxes) == sum(field.bits for field in fields)
    assert sum(line[0] == "/" for line in lines) == sum(
        field.variable is not None for field in fields
    )
    assert max(map(len, lines)) <= 65


def test_every_public_name_is_in_the_reference() -> None:
    # The page of headers is made from the registry, the others name what they describe.
    described = {header_class(path).__name__ for path in HEADERS}
    for page in (ROOT / "docs" / "reference").glob("*.md"):
        text = page.read_text(encoding="utf-8")
        described |= set(re.findall(r"\.\. (?:auto|py:)\w+:: encap\.(\w+)$", text, re.MULTILINE))
    assert {name for name in encap.__all__ if not name.startswith("__")} - described == set()


def test_every_tunnel_is_in_the_reference() -> None:
    text = (ROOT / "docs" / "reference" / "tunnels.md").read_text(encoding="utf-8")
    described = re.findall(r"\.\. (?:auto|py:)\w+:: encap\.tunnels\.(\w+)$", text, re.MULTILINE)
    assert sorted(described) == sorted(set(described))
    assert set(tunnels.__all__) == set(described)


def test_every_device_has_a_page() -> None:
    folder = ROOT / "docs" / "tunnels"
    pages = {page.stem: page.read_text(encoding="utf-8") for page in folder.glob("*.md")}
    del pages["index"]
    assert pages.keys() == {
        "ipip", "sit", "ip6tnl", "gre", "gretap", "erspan", "vxlan", "geneve", "vti", "fou",
    }  # fmt: skip
    for device in CLASSES:
        assert any(device.__name__ in text for text in pages.values()), device


def test_what_is_not_there_yet_is_not() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    part = text.partition("## What it does not do yet\n")[2].partition("\n## ")[0]
    assert part
    for name in {*HEADERS, *KINDS} - {"esp", "vti"}:  # of ESP it says where it is not read
        assert not re.search(rf"\b{name}\b", part, re.IGNORECASE), name


def test_no_page_is_lost() -> None:
    """Sphinx would say so too, but is not there where tests run."""
    listed = set()
    for page in DOCS:
        for block in re.findall(
            r"^```\{toctree\}\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL
        ):
            names = [line for line in block.splitlines() if line and not line.startswith(":")]
            listed |= {(page.parent / f"{name}.md").resolve() for name in names}
    assert {page.resolve() for page in DOCS} - listed == {ROOT / "docs" / "index.md"}


def test_the_demo_says_what_it_shows() -> None:
    """Its commands, the line before the tree that the broken packets are meant, the right file."""
    recipe = re.search(r"^demo:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert recipe is not None
    lines = recipe[1].splitlines()
    assert all(line.startswith("\t@") for line in lines)
    said = [number for number, line in enumerate(lines) if "broken or odd on purpose" in line]
    assert said[0] < next(number for number, line in enumerate(lines) if "/encap info" in line)
    for path in re.findall(r"build/demo/\w+\.\w+", (ROOT / "docs" / "tutorial.md").read_text()):
        assert path in recipe[1]


def test_generated_pages_say_so() -> None:
    for name in ("headers", "command-line"):
        page = (ROOT / "docs" / "reference" / f"{name}.md").read_text(encoding="utf-8")
        assert "make docs" in page
        assert f"docs/reference/{name}.md" in (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text):
        assert "://" in target or (page.parent / target).exists(), target
