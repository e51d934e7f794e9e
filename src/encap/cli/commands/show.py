"""`encap show FILE`."""

from __future__ import annotations

from typing import Annotated

import typer

from encap.cli import arguments as given
from encap.cli.options import Capture, Ports

__all__ = ["show"]


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
