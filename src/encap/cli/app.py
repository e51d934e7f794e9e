"""The commands and their options: what typer reads. The work is done in modules of their own."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperOption

from encap import __version__
from encap.cli import arguments as given
from encap.errors import FieldError

__all__ = ["COMPLAINT", "run"]

# click's own exception, wherever the typer at hand keeps click.
COMPLAINT: Any = typer.BadParameter.__mro__[2]


class Once(TyperCommand):
    """A command that refuses an option given twice, where the last would count in silence."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """As typer does it. FieldError for an option that is not repeatable, and is repeated."""
        _, _, order = self.make_parser(ctx).parse_args(args=list(args))
        seen = set()
        for parameter in order:
            counted = isinstance(parameter, TyperOption) and not parameter.is_flag
            if counted and not parameter.multiple and parameter in seen:
                raise FieldError(f"{parameter.opts[0]} is given twice: give it once")
            seen.add(parameter)
        return super().parse_args(ctx, args)


app = typer.Typer(
    name="encap",
    help="Packets out of tunnels: what a capture holds, and what its tunnels carry.",
    epilog=(
        "IN and OUT are captures, pcap or pcapng, as they are or compressed (.gz, .zst);"
        " - is standard input or output."
        " Exit status: 0 done; 1 done, but the input was cut short or a packet could not be"
        " handled; 2 it could not be done; 141 the reader of the output has gone."
    ),
    add_completion=False,
    pretty_exceptions_enable=False,
)


class Tunnel(StrEnum):
    """What --tunnel may be: the keys of `encap.decapsulate.TUNNELS`, which needs numpy."""

    vxlan = "vxlan"
    gpe = "gpe"
    geneve = "geneve"
    gre = "gre"
    erspan = "erspan"
    ipip = "ipip"
    sit = "sit"
    ip6tnl = "ip6tnl"


class Others(StrEnum):
    """What becomes of packets that are not decapsulated."""

    drop = "drop"
    keep = "keep"


class Link(StrEnum):
    """What all packets written are made to begin with."""

    ethernet = "ethernet"
    raw = "raw"


class Format(StrEnum):
    """How captures are written."""

    pcap = "pcap"
    pcapng = "pcapng"


Capture = Annotated[str, typer.Argument(metavar="IN", help="The capture to read.")]
Ports = Annotated[
    list[str] | None,
    typer.Option(
        "--port",
        metavar="PORT=NAME",
        help="What a UDP destination port carries: 8473=vxlan, 5555=ipip, 6081=none. Repeatable.",
        show_default=False,
    ),
]


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


@app.command(cls=Once)
def info(
    path: Capture,
    json: Annotated[bool, typer.Option("--json", help="One JSON object instead.")] = False,
    top: Annotated[
        int, typer.Option("--top", min=1, help="How many ids of each tunnel to list.")
    ] = 10,
    port: Ports = None,
) -> int:
    """What is in a capture: paths, tunnels and their ids, sizes, times, what is broken."""
    ports = given.ports(port)
    from encap.cli.info import info as run_info

    return run_info(path, as_json=json, top=top, ports=ports)


@app.command(cls=Once)
def decap(
    path: Capture,
    out: Annotated[str, typer.Argument(metavar="OUT", help="The capture to write.")],
    tunnel: Annotated[
        Tunnel | None,
        typer.Option(
            "--tunnel",
            help="Take off the outermost tunnel of this one kind, and all that is around it;"
            " where not given, the outermost of any kind.",
            show_default=False,
        ),
    ] = None,
    id_: Annotated[
        list[str] | None,
        typer.Option(
            "--id",
            metavar="ID[,ID...]",
            help="Only packets whose outermost tunnel (with --tunnel: the outermost of that kind)"
            " has this VNI, GRE key or ERSPAN session. Repeatable.",
            show_default=False,
        ),
    ] = None,
    depth: Annotated[
        str, typer.Option("--depth", metavar="N|all", help="How many tunnels to take off.")
    ] = "1",
    others: Annotated[
        Others,
        typer.Option("--others", help="Packets that are in no such tunnel: left out, or kept."),
    ] = Others.drop,
    link: Annotated[
        Link | None,
        typer.Option(
            "--link",
            help="Write packets of one link type: with an Ethernet header (--src, --dst) where"
            " there is none, or as IP packets without one.",
            show_default=False,
        ),
    ] = None,
    src: Annotated[
        str | None, typer.Option("--src", metavar="MAC", help="For --link ethernet.")
    ] = None,
    dst: Annotated[
        str | None, typer.Option("--dst", metavar="MAC", help="For --link ethernet.")
    ] = None,
    format_: Annotated[
        Format | None,
        typer.Option(
            "--format",
            help="Of OUT. Where not given, its name says it, or else it is that of IN.",
            show_default=False,
        ),
    ] = None,
    port: Ports = None,
) -> int:
    """Take packets out of their tunnels."""
    wish = given.Wish(
        kind=tunnel.value if tunnel else None,
        ids=given.ids(id_),
        depth=given.depth(depth),
        keep=others is Others.keep,
        ports=given.ports(port),
    )
    link_options = given.link(link.value if link else None, src, dst)
    given.check(wish, out)
    from encap.cli.decap import decap as run_decap

    return run_decap(path, out, wish, format=format_.value if format_ else None, **link_options)


@app.command(cls=Once)
def show(
    path: Capture,
    count: Annotated[int, typer.Option("-n", "--count", min=1, help="How many packets.")] = 3,
    skip: Annotated[int, typer.Option("--skip", min=0, help="How many to pass over first.")] = 0,
    port: Ports = None,
) -> int:
    """Packets with all their fields and an annotated hexdump."""
    ports = given.ports(port)
    from encap.cli.show import show as run_show

    return run_show(path, count=count, skip=skip, ports=ports)


@app.command(cls=Once)
def fields(
    protocol: Annotated[
        str | None,
        typer.Argument(
            metavar="PROTOCOL", help="A protocol, or ip, l4, tunnel.", show_default=False
        ),
    ] = None,
) -> int:
    """The names of fields: the protocols, or the columns of one of them."""
    from encap.cli.fields import fields as run_fields

    return run_fields(protocol)


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
