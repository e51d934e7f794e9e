"""Tables for people: as wide as the window, or as wide as need be where nobody has one."""

from __future__ import annotations

from rich.console import Console, RenderableType
from rich.table import Table

__all__ = ["print_all", "table"]

PIPE_WIDTH = 200  # columns where nobody's window says how many there are


def table(*headings: str) -> Table:
    """Without lines, each column as wide as it needs; a heading that is empty has no name."""
    made = Table.grid(padding=(0, 2))
    for heading in headings:
        made.add_column(heading, no_wrap=True)
    made.show_header = any(headings)
    made.header_style = "dim"
    return made


def print_all(*parts: RenderableType) -> None:
    """On standard output, with nothing behind the ends of lines."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=PIPE_WIDTH)
    with console.capture() as text:
        for part in parts:
            console.print(part)
    # Not by the console, which ends the process when a pipe is closed.
    print("\n".join(line.rstrip() for line in text.get().splitlines()))
