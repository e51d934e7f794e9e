"""`encap reassemble IN OUT`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from encap.cli import arguments as given
from encap.cli.options import Capture, Dst, FormatOption, LinkOption, Out, Ports, Src
from encap.errors import FieldError

__all__ = ["Overlap", "Times", "reassemble"]

MEBIBYTE = 1 << 20
MOST_MEBIBYTES = 1 << 17


class Overlap(StrEnum):
    """What --overlap may be: the keys of `encap.fragments.OVERLAPS`, which needs numpy."""

    linux = "linux"
    rfc = "rfc"
    first = "first"
    last = "last"


class Times(StrEnum):
    """Whose time a datagram has."""

    first = "first"
    last = "last"


def reassemble(
    path: Capture,
    out: Out,
    layer: Annotated[
        str,
        typer.Option(
            "--layer",
            metavar="outer|inner|HEADER",
            help="The IP header whose datagrams are meant: the outermost, the innermost that can be"
            " seen, or one by its name, as ipv4[1].",
        ),
    ] = "outer",
    overlap: Annotated[
        Overlap,
        typer.Option(
            "--overlap",
            help="Fragments with octets that others have brought: dropped with their datagram as"
            " Linux does, as RFC 5722 says, or for IPv4 what came first or last counts.",
        ),
    ] = Overlap.linux,
    times: Annotated[
        Times, typer.Option("--times", help="The fragment whose time the datagram has.")
    ] = Times.last,
    timeout: Annotated[
        float | None,
        typer.Option(
            "--timeout",
            metavar="SECONDS",
            help="How long the fragments of a datagram are waited for, by their times; 30 for IPv4"
            " and 60 for IPv6 where not given.",
            show_default=False,
        ),
    ] = None,
    memory: Annotated[
        int,
        typer.Option(
            "--memory",
            metavar="MIB",
            help="Mebibytes for fragments that wait for others; when it is full, the datagrams that"
            " began first are given up.",
        ),
    ] = 64,
    link: LinkOption = None,
    src: Src = None,
    dst: Dst = None,
    format_: FormatOption = None,
    port: Ports = None,
) -> int:
    """Datagrams in place of their fragments."""
    if not 1 <= memory <= MOST_MEBIBYTES:
        raise FieldError(f"--memory {memory}: 1 to {MOST_MEBIBYTES} mebibytes")
    ports = given.ports(port)
    target = given.target(out, format_, link, src, dst)
    from encap.cli.reassemble import reassemble as run_reassemble
    from encap.fragments import Reassembler

    reassembler = Reassembler(
        layer, overlap=str(overlap), times=str(times), timeout=timeout, memory=memory * MEBIBYTE
    )
    return run_reassemble(path, target, reassembler, ports)
