"""`encap encap IN OUT --with TEMPLATE`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from encap.cli import arguments as given
from encap.cli.options import Capture, FormatOption, Out, Ports

__all__ = ["DontFragment", "Errors", "encap"]


class DontFragment(StrEnum):
    """What --df may be, in the words of `ip link`."""

    set = "set"
    unset = "unset"
    inherit = "inherit"


class Ecn(StrEnum):
    """How the congestion marks of packets are taken over."""

    copy = "copy"
    linux = "linux"


class Errors(StrEnum):
    """What becomes of packets that the template cannot carry."""

    refuse = "raise"
    skip = "skip"


def encap(
    path: Capture,
    out: Out,
    template: Annotated[
        str,
        typer.Option(
            "--with",
            metavar="TEMPLATE",
            help="The headers to put in front of every packet, the outermost first. What is not"
            " given is filled in: lengths, checksums, next protocols, ports.",
        ),
    ],
    column: Annotated[
        list[str] | None,
        typer.Option(
            "--column",
            metavar="FIELD=FIELD",
            help="A field of the template from one of each packet: vxlan.vni=vlan.vid. Repeatable.",
            show_default=False,
        ),
    ] = None,
    sport: Annotated[
        str,
        typer.Option(
            "--sport",
            metavar="NAME|LOW-HIGH",
            help="UDP source ports that the template leaves open are made from the innermost flow:"
            " as RFC 7348 has it (flow), as linux, linux-geneve, ovs, vpp do, or from LOW to HIGH.",
        ),
    ] = "flow",
    udp_checksum: Annotated[
        bool,
        typer.Option(
            "--udp-checksum", help="Compute UDP checksums, those too that the template gives."
        ),
    ] = False,
    no_udp_checksum: Annotated[
        bool,
        typer.Option(
            "--no-udp-checksum",
            help="Write 0 for UDP checksums that the template leaves open; over IPv6 that is for"
            " tunnels.",
        ),
    ] = False,
    ttl: Annotated[
        str | None,
        typer.Option(
            "--ttl",
            metavar="N|inherit",
            help="TTL or hop limit; inherit: that of each packet. Where not given, the template"
            " says it, or it is 64.",
            show_default=False,
        ),
    ] = None,
    tos: Annotated[
        str | None,
        typer.Option(
            "--tos",
            metavar="N|inherit",
            help="Type of service or traffic class; inherit: that of each packet.",
            show_default=False,
        ),
    ] = None,
    ecn: Annotated[
        Ecn | None,
        typer.Option(
            "--ecn",
            help="Congestion marks (ECN) of each packet: copied (RFC 6040), or as Linux does it,"
            " ECT(0) in place of CE.",
            show_default=False,
        ),
    ] = None,
    df: Annotated[
        DontFragment | None,
        typer.Option("--df", help="Don't fragment, of IPv4.", show_default=False),
    ] = None,
    ip_id: Annotated[
        str,
        typer.Option(
            "--ip-id",
            metavar="zero|increment|N",
            help="IPv4 identification: what the template says (0 where nothing), counted from"
            " there, counted from N.",
        ),
    ] = "zero",
    seq: Annotated[
        str | None,
        typer.Option(
            "--seq",
            metavar="increment|N",
            help="Sequence numbers of GRE: counted from the one in the template, or from N.",
            show_default=False,
        ),
    ] = None,
    errors: Annotated[
        Errors,
        typer.Option(
            "--errors",
            help="A packet that the template cannot carry: nothing is written, or it is left out.",
        ),
    ] = Errors.refuse,
    format_: FormatOption = None,
    port: Ports = None,
) -> int:
    """Put packets into tunnels.

    A template names headers, and their fields in brackets:
    ipv4(src=192.0.2.1,dst=192.0.2.2)/udp/vxlan(vni=42)
    """
    wrap = given.wrap(
        template,
        column,
        ip_id=ip_id,
        seq=seq,
        port=port,
        sport=sport,
        ttl=ttl,
        tos=tos,
        udp_checksum=given.either(
            "--udp-checksum", udp_checksum, "--no-udp-checksum", no_udp_checksum
        ),
        ecn=ecn and str(ecn),
        df=df and str(df),
        errors=str(errors),
    )
    target = given.target(out, format_)
    from encap.cli.encap import encap as run_encap

    return run_encap(path, target, wrap)
