"""`encap fragment IN OUT --mtu OCTETS`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from encap.cli import arguments as given
from encap.cli.options import Capture, Dst, FormatOption, LinkOption, Out, Ports, Src

__all__ = ["DontFragment", "fragment"]


class DontFragment(StrEnum):
    """What becomes of packets that are too long and have DF set."""

    skip = "skip"
    refuse = "raise"
    ignore = "ignore"


def fragment(
    path: Capture,
    out: Out,
    mtu: Annotated[
        int,
        typer.Option(
            "--mtu",
            metavar="OCTETS",
            help="The longest IP packet, counted from its header on: 28 to 65535.",
            show_default=False,
        ),
    ],
    layer: Annotated[
        str,
        typer.Option(
            "--layer",
            metavar="outer|inner|HEADER",
            help="The IP header whose packets are split: the outermost, the innermost, so that each"
            " fragment has tunnel headers of its own, or one by its name, as ipv4[1].",
        ),
    ] = "outer",
    df: Annotated[
        DontFragment,
        typer.Option(
            "--df",
            help="Packets that are too long and have DF set: left out, or nothing is done, or they"
            " are split all the same, DF staying set.",
        ),
    ] = DontFragment.skip,
    ids: Annotated[
        int,
        typer.Option(
            "--ids",
            min=0,
            max=0xFFFFFFFF,
            help="The id of IPv6 fragments of the first packet; each packet after it has the next."
            " IPv4 packets have their own.",
        ),
    ] = 0,
    link: LinkOption = None,
    src: Src = None,
    dst: Dst = None,
    format_: FormatOption = None,
    port: Ports = None,
) -> int:
    """Packets that are too long for a link in fragments, as a router makes them."""
    ports = given.ports(port)
    target = given.target(out, format_, link, src, dst)
    from encap.cli.fragment import fragment as run_fragment

    return run_fragment(path, target, mtu, layer, df=str(df), first_id=ids, ports=ports)
