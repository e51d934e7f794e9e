"""`encap`, then `decap`: the identity, for every packet and every template that has a way back."""

from __future__ import annotations

from random import Random

import stacks
from hypothesis import assume, event, given
from hypothesis import strategies as st
from templates import Templates

import encap
from encap.packet import Packet

IP = ("ipv4", "ipv6")
BEHIND_IP = ("hopopt", "dstopts", "routing", "fragment", "ah")
TUNNELS = ("gre", "erspan", "vxlan", "gpe", "geneve")


def tunnels(template: Packet) -> int:
    """How many tunnels the headers are, IP inside being one more; 0 when the last is in none."""
    path = template.path.split("/")
    count, network = 0, False
    for name, follower in zip(path, [*path[1:], "ipv4"], strict=True):
        network = network or name in IP
        if name in TUNNELS:
            count += (name, follower) != ("gre", "erspan")
            network = False
        elif network and follower in IP:
            count += 1
    return count if path[-1] in (*TUNNELS, *IP, *BEHIND_IP) else 0


@given(seed=st.integers(0, 1 << 32), change=st.sampled_from(stacks.CHANGES))
def test_decap_gives_back_what_encap_was_given(seed: int, change: stacks.Change) -> None:
    random = Random(seed)
    template = Templates(random, clean=True).template(most=15)
    depth = tunnels(template)
    assume(depth)
    packets = stacks.random_packets(random.randrange(1, 30), random.getrandbits(16), change)
    try:
        outer = packets.encap(template, errors="skip")
    except encap.FieldError as error:
        assert "cannot carry" in str(error)  # noqa: PT017  some templates take nothing
        return
    inner = outer.decap(depth=depth)
    event(f"{len(inner)} rows" if len(inner) < 2 else "more rows")
    assert inner.rows.tolist() == list(range(len(outer)))
    given_ = packets[outer.rows]
    assert list(inner) == list(given_)
    assert (inner.wire_lengths == given_.wire_lengths).all()
