"""`encap filter IN OUT 'EXPRESSION'`."""

from __future__ import annotations

from typing import Annotated

import typer

from encap.cli import arguments as given
from encap.cli.options import Capture, Dst, FormatOption, LinkOption, Ports, Src
from encap.cli.order import expression_last
from encap.errors import FieldError

__all__ = ["filter"]


def filter(  # noqa: A001  as the command is called
    path: Capture,
    out: Annotated[
        str | None,
        typer.Argument(
            metavar="OUT",
            help="The capture to write; with --count there is none.",
            show_default=False,
        ),
    ] = None,
    expression: Annotated[
        str | None,
        typer.Argument(
            metavar="EXPRESSION",
            help="Which packets: 'vxlan.vni == 42 and inner.ip.src in 10.0.0.0/8'."
            " The fields are those of encap fields.",
            show_default=False,
        ),
    ] = None,
    invert: Annotated[
        bool, typer.Option("--invert", help="The other packets: those that do not match.")
    ] = False,
    count: Annotated[
        bool,
        typer.Option(
            "--count",
            help="Print how many there are, and write no file: encap filter IN EXPRESSION --count.",
        ),
    ] = False,
    link: LinkOption = None,
    src: Src = None,
    dst: Dst = None,
    format_: FormatOption = None,
    port: Ports = None,
) -> int:
    """Packets that an expression selects, as they are."""
    ports = given.ports(port)
    if out is None:
        raise FieldError(
            "EXPRESSION is missing: give IN, OUT and EXPRESSION, or IN, EXPRESSION and --count"
        )
    if count:
        from encap.cli.filter import count as run_count
        from encap.cli.output import nothing_written

        unused, wanted = (None, out) if expression is None else (out, expression)
        nothing_written("--count", unused, link, src, dst, format_)
        with expression_last("encap filter IN EXPRESSION --count", path):
            return run_count(path, wanted, invert=invert, ports=ports)
    if expression is None:
        raise FieldError(
            "OUT or EXPRESSION is missing: give IN, OUT and EXPRESSION, or IN, EXPRESSION and"
            " --count"
        )
    target = given.target(out, format_, link, src, dst)
    from encap.cli.filter import select

    with expression_last("encap filter IN OUT EXPRESSION", path, out):
        return select(path, target, expression, invert=invert, ports=ports)
