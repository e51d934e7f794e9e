"""`encap rewrite IN OUT --set 'FIELD=VALUE'`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from encap.cli import arguments as given
from encap.cli.options import Capture, Dst, FormatOption, LinkOption, Ports, Src
from encap.errors import FieldError

__all__ = ["rewrite"]


class Checksums(StrEnum):
    """What becomes of the checksums that cover what was changed."""

    update = "update"
    recompute = "recompute"
    keep = "keep"


class Missing(StrEnum):
    """What becomes of packets that lack a field."""

    skip = "skip"
    refuse = "raise"


def rewrite(
    path: Capture,
    out: Annotated[
        str | None,
        typer.Argument(
            metavar="OUT",
            help="The capture to write; with --dry-run there is none.",
            show_default=False,
        ),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="FIELD=VALUE",
            help="A field and what becomes of it: a value (vxlan.vni=42), a network, whose host"
            " bits are kept (inner.ipv4.src=10.1.0.0/16), or OLD:NEW pairs of either"
            " (vxlan.vni=42:43,44:45), with an arrow where they have colons themselves"
            " (ipv6.src=fd00::/64->fd01::/64). The fields are those of encap fields; ipv4[*].ttl is"
            " each. Repeatable.",
            show_default=False,
        ),
    ] = None,
    push_vlan: Annotated[
        str | None,
        typer.Option(
            "--push-vlan",
            metavar="VID[:PCP[:TPID]]",
            help="Put a VLAN tag in front of those there are: 5, 5:3, 5:3:0x88a8.",
            show_default=False,
        ),
    ] = None,
    pop_vlan: Annotated[
        bool, typer.Option("--pop-vlan", help="Take the outermost VLAN tag off.")
    ] = False,
    strip_trailer: Annotated[
        bool,
        typer.Option("--strip-trailer", help="Cut off what is behind the packets' own end."),
    ] = False,
    pad: Annotated[
        int | None,
        typer.Option(
            "--pad",
            metavar="OCTETS",
            min=1,
            max=1500,
            help="Fill shorter frames up with zeros: 60 as on Ethernet.",
            show_default=False,
        ),
    ] = None,
    checksums: Annotated[
        Checksums,
        typer.Option(
            "--checksums",
            help="Those that cover what is changed: moved by the difference, so that wrong ones"
            " stay wrong; made anew; or left as they are.",
        ),
    ] = Checksums.update,
    missing: Annotated[
        Missing,
        typer.Option(
            "--missing", help="Packets without such a field: left as they are, or nothing is done."
        ),
    ] = Missing.skip,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", "-n", help="Say what would change, and how the first packets would differ."
        ),
    ] = False,
    differences: Annotated[
        int,
        typer.Option("--differences", min=0, help="How many packets --dry-run shows."),
    ] = 3,
    link: LinkOption = None,
    src: Src = None,
    dst: Dst = None,
    format_: FormatOption = None,
    port: Ports = None,
) -> int:
    """Set fields, put VLAN tags on or take them off, and bring the checksums along.

    First tags and trailers are taken off, then fields are set, then tags and padding put on.
    """
    wish = given.rewriting(
        set_,
        push_vlan=push_vlan,
        pop_vlan=pop_vlan,
        strip_trailer=strip_trailer,
        pad=pad,
        checksums=checksums.value,
        missing=missing.value,
        ports=given.ports(port),
    )
    if dry_run:
        from encap.cli.output import nothing_written
        from encap.cli.rewrite import preview

        nothing_written("--dry-run", out, link, src, dst, format_)
        return preview(path, wish, most=differences)
    if out is None:
        raise FieldError("OUT is missing: give IN and OUT, or --dry-run")
    target = given.target(out, format_, link, src, dst)
    from encap.cli.rewrite import rewrite as run_rewrite

    return run_rewrite(path, target, wish)
