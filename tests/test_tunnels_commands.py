"""Whatever commands say, a tunnel comes of them or an error of ours."""

from __future__ import annotations

import hosts
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from encap import MAC, TunnelError, tunnels

SCRIPTS = [hosts.commands(name, host) for name in sorted(hosts.HOSTS) for host in "AB"]
SCRIPTS = [lines for lines in SCRIPTS if any("tun0" in line for line in lines)]
WORDS = sorted({word for lines in SCRIPTS for line in lines for word in line.split()})
STRANGE = [
    "", "'", '"', "\\", "#", "-1", "0", "0x", "0xzz", "9" * 5000, "0x" + "f" * 5000, "1e3", "nan",
    "any", "inherit", "::", "::1/129", "1.2.3.4/33", "1.2.3", "256.0.0.1", "ff:ff", "\udcff", "é",
    "٣", "65536", "4294967296", "18446744073709551616", "1,2", "1:2:3", "/", "10.0.0.1/24/8",
]  # fmt: skip

words = st.sampled_from(WORDS) | st.sampled_from(STRANGE) | st.text(max_size=8)


@st.composite
def mutated(draw: st.DrawFn) -> list[str]:
    """A host's commands with some words changed, exchanged, left out or put in."""
    lines = list(draw(st.sampled_from(SCRIPTS)))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(lines) - 1))
        said = lines[at].split(" ")
        place = draw(st.integers(0, len(said) - 1))
        way = draw(st.integers(0, 4))
        if way == 0:
            said[place] = draw(words)
        elif way == 1:
            said = said[:place] + said[place + 1 :]
        elif way == 2:
            said.insert(place, draw(words))
        elif way == 3:
            said = said[:place]
        else:
            other = draw(st.integers(0, len(said) - 1))
            said[place], said[other] = said[other], said[place]
        lines[at] = " ".join(said)
    return lines


@given(lines=mutated(), mac=st.sampled_from([None, "02:00:00:00:00:01", "zz", b"123456"]))
@settings(deadline=None, max_examples=300)
def test_commands_give_a_tunnel_or_an_error_of_ours(lines: list[str], mac: str | bytes) -> None:
    try:
        made = tunnels.from_commands(lines, "tun0", mac=mac)
    except TunnelError:
        return
    assert isinstance(made, tunnels.Tunnel)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("ip link add x mtu many type veth", "mtu is a number, not 'many'"),
        ("ip link set x mtu ''", "mtu is a number, not ''"),
        ("ip link set tun0 mtu 67", "mtu is 68 to 65535, not 67"),
        ("ip link set 'x mtu 1500", "a quotation mark"),
        ("ip addr add 10.0.0.300/24 dev tun0", "'10.0.0.300/24' is no IP address"),
        ("ip addr add local dev tun0", "is no IP address"),
        ("ip addr add dev tun0", "is no IP address"),
        ("ip frobnicate tun0 up now", "'ip frobnicate tun0' is not known"),
        ("frobnicate", "'frobnicate' is no program that is known"),
        (
            f"ip link add tun0 type vxlan id {'0x' + 'f' * 5000}",
            "id is 0 to 16777215, not a far greater",
        ),
    ],
)
def test_what_is_wrong_is_named(line: str, message: str) -> None:
    made = "ip link add tun0 type vxlan id 1 remote 192.0.2.2 dstport 4789"
    with pytest.raises(TunnelError, match=message):
        tunnels.from_commands([made, line], "tun0")


def test_the_mac_address_that_a_kernel_would_draw() -> None:
    line = "ip link add tun0 type vxlan id 1 remote 192.0.2.2 dstport 4789"
    for mac in ("02:00:00:00:00:07", bytes.fromhex("020000000007")):
        assert tunnels.from_commands(line, "tun0", mac=mac).address == MAC("02:00:00:00:00:07")
