"""`encap fields [PROTOCOL]`."""

from __future__ import annotations

from typing import Annotated

import typer

__all__ = ["fields"]


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
