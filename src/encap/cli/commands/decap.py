"""`encap decap IN OUT`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from encap.cli import arguments as given
from encap.cli.options import Capture, Dst, FormatOption, LinkOption, Out, Ports, Src

__all__ = ["Others", "Tunnel", "decap"]


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


def decap(
    path: Capture,
    out: Out,
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
    reassemble: Annotated[
        bool,
        typer.Option(
            "--reassemble",
            help="Put fragments of the outermost IP packets together first, as encap reassemble"
            " does; those that belong to no whole one are left out.",
        ),
    ] = False,
    link: LinkOption = None,
    src: Src = None,
    dst: Dst = None,
    format_: FormatOption = None,
    port: Ports = None,
) -> int:
    """Take packets out of their tunnels."""
    wish = given.wish(
        tunnel and str(tunnel),
        id_,
        depth,
        keep=others is Others.keep,
        reassemble=reassemble,
        port=port,
    )
    target = given.target(out, format_, link, src, dst)
    from encap.cli.decap import decap as run_decap

    return run_decap(path, target, wish)
