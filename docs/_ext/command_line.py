"""`{command-line}`: every command with its arguments and options, as the command line has them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import typer
from docutils import nodes
from header_pages import paragraph, table
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from encap.cli.app import app


class CommandLine(SphinxDirective):
    """A section for each command."""

    def run(self) -> list[nodes.Node]:
        group: Any = typer.main.get_command(app)
        made: list[nodes.Node] = [paragraph(group.help), paragraph(group.epilog)]
        return [*made, *(self.section(group, name) for name in group.commands)]

    def section(self, group: Any, name: str) -> nodes.section:
        command = group.commands[name]
        made = nodes.section(ids=[f"encap-{name}"], names=[f"encap {name}"])
        made += [nodes.title("", "", nodes.literal("", f"encap {name}")), paragraph(command.help)]
        self.state.document.note_explicit_target(made)
        words = [p.metavar for p in command.params if p.param_type_name == "argument"]
        usage = " ".join(["encap", name, "[OPTIONS]", *words])
        made += nodes.literal_block(usage, usage, language="none")
        made += table(["argument", "meaning"], rows(command))
        return made


def rows(command: Any) -> Iterator[tuple[str, str]]:
    """Each argument and what it means, as `--help` says it."""
    context = command.make_context(command.name, [], resilient_parsing=True)
    for parameter in command.params:
        words, meaning = parameter.get_help_record(context)
        argument = parameter.param_type_name == "argument"
        yield f"`{parameter.metavar if argument else words}`", meaning


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("command-line", CommandLine)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
