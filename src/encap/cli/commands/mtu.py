"""`encap mtu TEMPLATE [IN]`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from encap.cli import arguments as given
from encap.cli.options import Ports
from encap.cli.order import template_first
from encap.errors import FieldError
from encap.mtu import LEAST_IPV4, MOST

__all__ = ["mtu"]


class Carries(StrEnum):
    """What comes behind a template that does not say it."""

    ethernet = "ethernet"
    ip = "ip"


def mtu(
    template: Annotated[
        str,
        typer.Argument(metavar="TEMPLATE", help="The tunnel's headers: eth/ipv4/udp/vxlan."),
    ],
    path: Annotated[
        str | None,
        typer.Argument(
            metavar="IN",
            help="A capture of what is to go into the tunnel: which packets would not fit?",
            show_default=False,
        ),
    ] = None,
    link: Annotated[
        int | None,
        typer.Option(
            "--link",
            metavar="MTU",
            min=LEAST_IPV4,
            max=MOST,
            help="Of the link; 1500 where not given.",
            show_default=False,
        ),
    ] = None,
    inner: Annotated[
        int | None,
        typer.Option(
            "--inner",
            metavar="MTU",
            min=LEAST_IPV4,
            max=MOST,
            help="That is wanted in the tunnel: what must the link have?",
            show_default=False,
        ),
    ] = None,
    carries: Annotated[
        Carries | None,
        typer.Option(
            "--carries",
            help="Where the template leaves it open: GRE and GPE carry IP, Geneve Ethernet.",
            show_default=False,
        ),
    ] = None,
    tags: Annotated[
        int,
        typer.Option(
            "--tags", min=0, max=16, help="VLAN tags of inner frames that are to fit too."
        ),
    ] = 0,
    json: Annotated[bool, typer.Option("--json", help="One JSON object instead.")] = False,
    port: Ports = None,
) -> int:
    """What a tunnel costs: overhead, inner MTU and TCP segment for a link, and what is too long."""
    if link is not None and inner is not None:
        raise FieldError("--link and --inner: give one of them, the other follows")
    ports = given.ports(port)
    from encap.cli.mtu import Asked
    from encap.cli.mtu import mtu as run_mtu

    asked = Asked(template, link, inner, carries and str(carries), tags)
    with template_first("encap mtu TEMPLATE [IN]", template, path):
        return run_mtu(asked, path, as_json=json, ports=ports)
