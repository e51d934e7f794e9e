"""`encap checksum IN [OUT --fix]`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import typer

from encap.cli import arguments as given
from encap.cli.options import Capture, FormatOption, Once, Ports
from encap.errors import FieldError

__all__ = ["Checksum", "Fix", "checksum"]


class Fix(StrEnum):
    """Which checksums are made anew: the keys of `encap.rewrite.fix.WHICH`, which needs numpy."""

    bad = "bad"
    partial = "partial"
    all = "all"


class Checksum(Once):
    """The command, whose --fix may do without a word: it is `bad` then."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """As typer does it."""
        said: list[str] = []
        for index, word in enumerate(args):
            said.append(word)
            if word == "--fix" and args[index + 1 : index + 2] not in [[one] for one in Fix]:
                said.append(Fix.bad)
        return super().parse_args(ctx, said)


def checksum(
    path: Capture,
    out: Annotated[
        str | None,
        typer.Argument(
            metavar="OUT", help="The capture to write, repaired; with --fix.", show_default=False
        ),
    ] = None,
    fix: Annotated[
        Fix | None,
        typer.Option(
            "--fix",
            metavar="[bad|partial|all]",
            help="Make checksums anew: the bad ones (where nothing is said), those that were left"
            " to a NIC, or all that are not right.",
            show_default=False,
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object instead.")] = False,
    format_: FormatOption = None,
    port: Ports = None,
) -> int:
    """What the checksums of all layers are worth; or a capture in which they are right."""
    ports = given.ports(port)
    if (fix is None) != (out is None):
        raise FieldError("OUT and --fix go together: encap checksum IN OUT --fix")
    if out is None:
        if format_ is not None:
            raise FieldError("--format is that of OUT, which there is not")
        from encap.cli.checksum import report

        return report(path, as_json=json, ports=ports)
    if json:
        raise FieldError("--json is for the verdicts, without OUT")
    target = given.target(out, format_)
    from encap.cli.checksum import repair

    return repair(path, target, str(fix), ports=ports)
