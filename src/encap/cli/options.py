"""Options that several commands have, written down once, and how typer reads them."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperOption

from encap.errors import FieldError

__all__ = [
    "Capture",
    "Dst",
    "Format",
    "FormatOption",
    "Link",
    "LinkOption",
    "Once",
    "Out",
    "Ports",
    "Src",
]


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


class Link(StrEnum):
    """What all packets written are made to begin with."""

    ethernet = "ethernet"
    raw = "raw"


class Format(StrEnum):
    """How captures are written."""

    pcap = "pcap"
    pcapng = "pcapng"


Capture = Annotated[str, typer.Argument(metavar="IN", help="The capture to read.")]
Out = Annotated[str, typer.Argument(metavar="OUT", help="The capture to write.")]
Ports = Annotated[
    list[str] | None,
    typer.Option(
        "--port",
        metavar="PORT=NAME",
        help="What a UDP destination port carries: 8473=vxlan, 5555=ipip, 6081=none. Repeatable.",
        show_default=False,
    ),
]
FormatOption = Annotated[
    Format | None,
    typer.Option(
        "--format",
        help="Of OUT. Where not given, its name says it, or else it is that of IN.",
        show_default=False,
    ),
]
LinkOption = Annotated[
    Link | None,
    typer.Option(
        "--link",
        help="Write packets of one link type: with an Ethernet header (--src, --dst) where"
        " there is none, or as IP packets without one.",
        show_default=False,
    ),
]
Src = Annotated[str | None, typer.Option("--src", metavar="MAC", help="For --link ethernet.")]
Dst = Annotated[str | None, typer.Option("--dst", metavar="MAC", help="For --link ethernet.")]
