"""`encap info FILE`."""

from __future__ import annotations

from typing import Annotated

import typer

from encap.cli import arguments as given
from encap.cli.options import Capture, Ports

__all__ = ["info"]


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
