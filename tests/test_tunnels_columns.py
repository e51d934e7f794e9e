"""Columns that cannot be are refused as `Packets.encap` refuses them, and nothing is used up."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from encap import (
    DestinationOptions,
    EncapError,
    FieldError,
    IPv4,
    IPv6,
    Option,
    Packet,
    Packets,
)
from encap.tunnels import (
    GRETunnel,
    IP6GRETunnel,
    IP6Tunnel,
    IPIPTunnel,
    SecurityAssociation,
    Tunnel,
    VTITunnel,
)

V4 = {"local": "192.0.2.1", "remote": "192.0.2.2"}
V6 = {"local": "2001:db8::1", "remote": "2001:db8::2"}
BATCH = Packets.from_frames(
    [bytes(Packet(IPv4(src="10.0.0.1", dst="10.0.0.2", protocol=59)) / bytes(200))] * 3,
    linktypes=101,
)


@pytest.mark.parametrize("value", [(1, 2, 3), (1, 2), (1,), (), (b"", [0], [0, 0, 0])])
def test_tuples_are_no_columns(value: tuple[Any, ...]) -> None:
    with pytest.raises((TypeError, EncapError)):
        GRETunnel(**V4).encap(BATCH, columns={"ipv4.id": value})


@pytest.mark.parametrize("value", [[[1], [2, 3], 4], [1 << 70, 2, 3], [None] * 3, ["a"] * 3])
def test_lists_of_anything_are_no_columns(value: list[Any]) -> None:
    with pytest.raises((TypeError, EncapError)):
        GRETunnel(**V4).encap(BATCH, columns={"ipv4.id": value})


def test_initialization_vectors_are_one_array() -> None:
    sa = SecurityAssociation(src="192.0.2.1", dst="192.0.2.2", spi=0x1000,
                             aead=("rfc4106(gcm(aes))", bytes(range(20)), 128))  # fmt: skip
    tunnel = VTITunnel(**V4, associations=(sa,))
    tunnel.encap(BATCH)
    before = tunnel.state.next_id
    for wrong in ((np.zeros(8, np.uint8), np.zeros(4, np.uint8)), (), [[1], []], [b"a"], 5):
        with pytest.raises(FieldError):
            tunnel.encap(BATCH, columns={"esp.iv": wrong})
    with pytest.raises(FieldError):
        tunnel.encap(BATCH, columns={"esp.iv": np.zeros((len(BATCH), 7), np.uint8)})
    assert tunnel.state.next_id == before


@pytest.mark.parametrize(
    "tunnel",
    [GRETunnel(**V4, seq=True), IP6GRETunnel(**V6, seq=True), IPIPTunnel(**V4)],
    ids=lambda one: type(one).__name__,
)
def test_a_call_that_fails_uses_no_numbers(tunnel: Tunnel) -> None:
    name = "ipv4.ttl" if tunnel.family == "ipv4" else "ipv6.hop_limit"
    tunnel.encap(BATCH)
    before = (tunnel.state.sent, tunnel.state.next_id, tunnel.state.next_fragment)
    for columns, out in (({name: -1}, None), ({}, np.empty(3, np.uint8))):
        with pytest.raises(EncapError):
            tunnel.encap(BATCH, columns=columns, out=out)
        after = (tunnel.state.sent, tunnel.state.next_id, tunnel.state.next_fragment)
        assert after == before


@pytest.mark.parametrize("value", [[[Option(4, b"a")]] * 3, [1, 2, 3], [b"abcdef"] * 3])
def test_octets_of_extension_headers_are_no_column(value: list[Any]) -> None:
    template = Packet(IPv6(src="::1", dst="::2"), DestinationOptions())
    with pytest.raises((FieldError, TypeError)):
        BATCH.encap(template, {"dstopts.options": value})
    with pytest.raises((FieldError, TypeError)):
        IP6Tunnel(**V6).encap(BATCH, columns={"dstopts.options": value})
