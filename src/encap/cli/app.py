"""The commands, together: what typer is given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from encap import __version__
from encap.cli.commands.checksum import Checksum, checksum
from encap.cli.commands.decap import decap
from encap.cli.commands.encap import encap
from encap.cli.commands.fields import fields
from encap.cli.commands.filter import filter as filter_
from encap.cli.commands.fragment import fragment
from encap.cli.commands.info import info
from encap.cli.commands.mtu import mtu
from encap.cli.commands.reassemble import reassemble
from encap.cli.commands.rewrite import rewrite
from encap.cli.commands.show import show
from encap.cli.options import Once

__all__ = ["COMPLAINT", "app", "run"]

# click's own exception, wherever the typer at hand keeps click.
COMPLAINT: Any = typer.BadParameter.__mro__[2]

app = typer.Typer(
    name="encap",
    help="Packets out of tunnels and into them: what a capture holds, and what its tunnels carry.",
    epilog=(
        "IN and OUT are captures, pcap or pcapng, as they are or compressed (.gz, .zst);"
        " - is standard input or output."
        " Exit status: 0 done; 1 done, but the input was cut short or a packet could not be"
        " handled; 2 it could not be done; 141 the reader of the output has gone."
    ),
    add_completion=False,
    context_settings={"help_option_names": ["--help", "-h"]},
    pretty_exceptions_enable=False,
)

# In the order in which help lists them.
for command in (
    info,
    show,
    fields,
    decap,
    filter_,
    encap,
    rewrite,
    checksum,
    reassemble,
    fragment,
    mtu,
):
    app.command(cls=Checksum if command is checksum else Once)(command)


@app.callback(invoke_without_command=True)
def _options(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Say which version.")] = False,
) -> None:
    if version:
        typer.echo(f"encap {__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit(2)


def run(arguments: Sequence[str]) -> int:
    """The exit status of the command that `arguments` ask for. COMPLAINT when they cannot be."""
    command = typer.main.get_command(app)
    try:
        # Not `command.main`, which has a status of its own for a pipe that is closed.
        with command.make_context("encap", list(arguments)) as context:
            return int(command.invoke(context) or 0)
    except typer.Exit as done:
        return int(done.exit_code)
    except typer.Abort:
        raise KeyboardInterrupt from None
