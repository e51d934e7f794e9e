"""Devices over IPsec: which packets, by which association, and what is refused by name."""

from __future__ import annotations

import pickle
import re

import associations as to_try
import numpy as np
import pytest
from associations import AES, SALT, association, batch, changed, packet
from hypothesis import given
from hypothesis import strategies as st

import encap
from encap import tunnels
from encap.tunnels import Policy, Reason, VTITunnel

A, B = "192.0.2.1", "192.0.2.2"
KEY = f"0x{(AES + SALT).hex()}"
STATE = (
    "ip xfrm state add src {} dst {} proto esp spi {:#x} reqid 1 mode tunnel"
    " aead 'rfc4106(gcm(aes))' {} 128 mark 5 flag af-unspec"
)
POLICY = (
    "ip xfrm policy add src {} dst {} dir {} tmpl src {} dst {} proto esp reqid 1 mode tunnel"
    " mark 5"
)
HOST = f"""
ip link add eth0 address 02:00:00:00:00:0a type veth
ip addr add {A}/24 dev eth0
{STATE.format(A, B, 0x1001, KEY)}
{STATE.format(B, A, 0x1002, KEY)}
ip xfrm state add src {A} dst {B} proto ah spi 7 auth 'hmac(sha1)' 0x00 mode transport
{POLICY.format("0.0.0.0/0", "0.0.0.0/0", "out", A, B)}
{POLICY.format("0.0.0.0/0", "0.0.0.0/0", "in", B, A)}
ip link add vti0 type vti local {A} remote {B} key 5
ip addr add 10.0.0.1/24 dev vti0
"""


def pair(**options: object) -> tuple[VTITunnel, VTITunnel]:
    """Both ends of a tunnel."""
    both = (
        association(flag="af-unspec"),
        association(src=B, dst=A, spi=0x1002, flag="af-unspec"),
    )
    return (
        VTITunnel(local=A, remote=B, associations=both, **options),
        VTITunnel(local=B, remote=A, associations=both, **options),
    )


def reasons(result: tunnels.Result) -> list[Reason]:
    return [Reason(int(one)) for one in result.reasons]


def policy(**options: object) -> Policy:
    given = {"dir": "out", "src": "0.0.0.0/0", "dst": "0.0.0.0/0", "tmpl_src": A, "tmpl_dst": B}
    return Policy(**given | options)


def test_packets_of_both_versions_go_both_ways() -> None:
    near, far = pair()
    frames = [packet(60), packet(61, 6), packet(1400), packet(1400, 6)]
    for sender, receiver in ((near, far), (far, near)):
        sent = sender.encap(batch(frames))
        got = receiver.decap(sent.packets)
        assert list(got.packets) == frames
        assert got.packets.rows.tolist() == [0, 1, 2, 3]
        assert set(got.packets.linktypes.tolist()) == {101}


def test_times_and_rows_come_along() -> None:
    near, far = pair()
    times = [5, 6, 7]
    inner = batch([packet(60), b"", packet(62)]).replace(times=times)
    sent = near.encap(inner, link=encap.Ethernet(src=1, dst=2))
    assert sent.rows.tolist() == [0, 2]
    assert reasons(sent) == [Reason.ACCEPTED, Reason.NOT_CARRIED, Reason.ACCEPTED]
    got = far.decap(sent.packets)
    assert got.packets.times.tolist() == [5, 7]
    assert sent.packets.linktypes.tolist() == [1, 1]
    assert sent.packets.columns("path")["path"].tolist() == ["eth/ipv4/esp"] * 2


def test_numbers_go_on_until_the_state_is_forgotten() -> None:
    near, _ = pair()
    numbers = [near.encap(batch([packet(60)] * 2)).packets.columns("esp.seq") for _ in range(2)]
    assert [one["esp.seq"].tolist() for one in numbers] == [[1, 2], [3, 4]]
    near.reset()
    assert near.encap(batch([packet(60)])).packets.columns("esp.seq")["esp.seq"].tolist() == [1]


def test_initialization_vectors_differ_from_device_to_device() -> None:
    sent = [pair()[0].encap(batch([packet(60)])).packets[0] for _ in range(8)]
    assert len(set(sent)) == 8


def test_out_takes_the_octets() -> None:
    near, far = pair()
    out = np.zeros(4096, np.uint8)
    for link in (None, encap.Ethernet(src=1, dst=2)):
        sent = near.encap(batch([packet(60)]), link=link, out=out)
        assert np.shares_memory(sent.packets.data, out)
        assert list(far.decap(sent.packets).packets) == [packet(60)]


def test_what_does_not_fit() -> None:
    near, _ = pair(addresses=("10.0.0.1", "fd00::1"))
    longest = near.sending[0].mtu(1500)
    frames = [packet(longest, df=True), packet(longest + 1, df=True), packet(longest + 1),
              packet(longest + 1, 6)]  # fmt: skip
    sent = near.encap(batch(frames))
    assert reasons(sent) == [Reason.ACCEPTED, Reason.TOO_BIG, Reason.ACCEPTED, Reason.TOO_BIG]
    assert sent.rows.tolist() == [0, 2, 2]
    assert (sent.packets.lengths <= 1500).all()
    assert sent.replies.columns("path")["path"].tolist() == ["ipv4/icmp", "ipv6/icmpv6"]
    told = [int.from_bytes(reply[at : at + 4], "big") for reply, at in zip(
        sent.replies, (24, 44), strict=True)]  # fmt: skip
    assert told == [longest, longest]


def test_fragments_outside_are_joined_in_the_order_of_arrival() -> None:
    near, far = pair()
    sent = near.encap(batch([packet(1460), packet(60), packet(1470), packet(70)]))
    assert len(sent.packets) == 6
    got = far.decap(sent.packets[[0, 2, 1, 3, 4, 5]])
    assert reasons(got) == [Reason.HELD, Reason.ACCEPTED, Reason.ACCEPTED, Reason.HELD,
                            Reason.ACCEPTED, Reason.ACCEPTED]  # fmt: skip
    assert [len(one) for one in got.packets] == [60, 1460, 1470, 70]
    assert far.state.live(far.receiving[0]).window.top == 0  # there is none


def test_a_large_batch_with_fragments_keeps_its_window() -> None:
    """Datagrams that became whole are judged where their last fragment was."""
    sa = association(replay_window=64)
    near = VTITunnel(local=A, remote=B, associations=(sa,))
    far = VTITunnel(local=B, remote=A, associations=(sa,))
    sent = near.encap(batch([packet(1470)] + [packet(60)] * 200))
    assert set(reasons(far.decap(sent.packets))) == {Reason.HELD, Reason.ACCEPTED}


@pytest.mark.parametrize("version", [4, 6])
def test_in_udp(version: int) -> None:
    ends = {4: (A, B), 6: ("2001:db8::1", "2001:db8::2")}[version]
    udp = ("espinudp", 4500, 4500)
    sa = association(src=ends[0], dst=ends[1], flag="af-unspec", encap=udp)
    near = VTITunnel(local=ends[0], remote=ends[1], associations=(sa,))
    far = VTITunnel(local=ends[1], remote=ends[0], associations=(sa,))
    sent = near.encap(batch([packet(60), packet(60, 6)]))
    assert list(far.decap(sent.packets).packets) == [packet(60), packet(60, 6)]
    address = encap.IPv4 if version == 4 else encap.IPv6
    other = [
        bytes(address(src=ends[0], dst=ends[1]) / encap.UDP(sport=4500, dport=port) / octets)
        for port, octets in (
            (4500, b"\xff"), (4500, bytes(4) + b"ike" * 9), (4500, b"\0\0\x10\x01" + bytes(4)),
            (4500, b"\0\0\x10\x02" + bytes(60)), (4501, b"\0\0\x10\x01" + bytes(60)),
        )
    ]  # fmt: skip
    assert reasons(far.decap(batch(other))) == [
        Reason.NOT_ESP, Reason.NOT_ESP, Reason.NOT_ESP, Reason.NO_STATE, Reason.NO_PORT,
    ]  # fmt: skip


def test_udp_where_there_should_be_none_and_the_reverse() -> None:
    plain, wrapped = association(), association(encap=("espinudp", 4500, 4500), spi=0x2002)
    near = [VTITunnel(local=A, remote=B, associations=(sa,)) for sa in (plain, wrapped)]
    sent = [one.encap(batch([packet(60)])).packets for one in near]
    swapped = VTITunnel(local=B, remote=A, associations=(
        association(encap=("espinudp", 4500, 4500)), association(spi=0x2002),
    ))  # fmt: skip
    assert reasons(swapped.decap(sent[0])) == [Reason.ESP_ENCAP]
    assert reasons(swapped.decap(sent[1])) == [Reason.ESP_ENCAP]
    none = VTITunnel(local=B, remote=A, associations=(plain,))
    assert reasons(none.decap(sent[1])) == [Reason.OTHER_PROTOCOL]


def test_what_a_capture_cut_off() -> None:
    near, far = pair()
    sent = near.encap(batch([packet(60)])).packets
    cut = encap.Packets(sent.data, sent.starts, sent.lengths - 5, wire_lengths=sent.lengths,
                        linktypes=101)  # fmt: skip
    assert reasons(far.decap(cut)) == [Reason.INCOMPLETE]


def test_other_ends_and_other_numbers() -> None:
    near, far = pair()
    sent = near.encap(batch([packet(60)])).packets
    octets = bytearray(sent[0])
    octets[15] ^= 8  # another source, and the checksum with it
    octets[10:12] = bytes(2)
    octets[10:12] = (0xFFFF - encap.checksum.ones_sum(octets[:20])).to_bytes(2, "big")
    assert reasons(far.decap(batch([bytes(octets)]))) == [Reason.NO_STATE]
    assert reasons(far.decap(changed(sent, 0, 22, 1))) == [Reason.NO_STATE]
    assert reasons(far.decap(changed(sent, 0, -1, 1))) == [Reason.ICV]
    assert reasons(near.decap(sent)) == [Reason.NOT_OURS]


# --- policies and marks


def test_policies_choose_the_association() -> None:
    first, second = association(reqid=1), association(reqid=2, spi=0x2002)
    device = VTITunnel(local=A, remote=B, associations=(first, second), policies=(
        policy(dst="10.0.0.0/31", reqid=1, priority=2),
        policy(dst="10.0.0.2/32", reqid=2, priority=1),
    ))  # fmt: skip
    inner = batch([packet(60), packet(60, 6)])
    sent = device.encap(inner)
    assert sent.packets.columns("esp.spi")["esp.spi"].tolist() == [0x2002]
    assert reasons(sent) == [Reason.ACCEPTED, Reason.NO_POLICY_OUT]


def test_several_associations_keep_the_order() -> None:
    four = association()
    six = association(spi=0x2002, flag="af-unspec", reqid=6)
    both = (policy(), policy(src="::/0", dst="::/0", reqid=6))
    near = VTITunnel(local=A, remote=B, associations=(four, six), policies=both)
    back = (policy(dir="in"), policy(dir="in", src="::/0", dst="::/0", reqid=6))
    far = VTITunnel(local=B, remote=A, associations=(four, six), policies=back)
    frames = [packet(60 + at, 6 if at % 3 else 4) for at in range(30)]
    sent = near.encap(batch(frames))
    assert sent.rows.tolist() == list(range(30))
    assert list(far.decap(sent.packets).packets) == frames


def test_policies_of_the_receiver() -> None:
    near, far = pair()
    sent = near.encap(batch([packet(60), packet(60, 6)])).packets
    wanted = {"tmpl_src": A, "tmpl_dst": B, "dir": "in"}
    for policies, expected in (
        ((), [Reason.NO_POLICY] * 2),
        ((policy(**wanted),), [Reason.ACCEPTED, Reason.NO_POLICY]),
        ((policy(**wanted, reqid=7),), [Reason.TEMPLATE, Reason.NO_POLICY]),
        ((policy(**wanted, src="10.0.0.1/32"),), [Reason.ACCEPTED, Reason.NO_POLICY]),
        ((policy(**wanted, src="10.0.0.7/32"),), [Reason.NO_POLICY, Reason.NO_POLICY]),
        ((policy(**wanted, src="fd00::/64", dst="fd00::2"),), [Reason.NO_POLICY, Reason.ACCEPTED]),
    ):
        device = VTITunnel(local=B, remote=A, associations=far.associations, policies=policies)
        got = device.decap(sent)
        assert reasons(got) == expected
        # What is refused is not left behind in the buffer either.
        for frame, reason in zip((packet(60), packet(60, 6)), expected, strict=True):
            assert (frame[20:] in got.packets.data.tobytes()) == (reason == Reason.ACCEPTED)


@pytest.mark.parametrize(
    ("options", "mark", "found"),
    [
        ({"key": 5}, {"mark": 5}, True), ({"key": 5}, {"mark": 6}, False),
        ({"key": 5}, {}, True), ({}, {"mark": 5}, False), ({"key": 0x15}, {"mark": 5}, False),
        ({"key": 0x15}, {"mark": 5, "mask": 0xF}, True),
        ({"okey": 5, "ikey": 6}, {"mark": 5}, True),
        ({"okey": 6, "ikey": 5}, {"mark": 5}, False), ({"key": "0.0.0.5"}, {"mark": 5}, True),
        ({"if_id": 9}, {"if_id": 9}, True), ({"if_id": 9}, {}, False), ({}, {"if_id": 9}, False),
    ],
)  # fmt: skip
def test_marks_and_interfaces(options: dict, mark: dict, found: bool) -> None:
    device = VTITunnel(local=A, remote=B, associations=(association(**mark),), **options)
    assert bool(device.sending) == found
    sent = device.encap(batch([packet(60)]))
    assert reasons(sent) == [Reason.ACCEPTED if found else Reason.NO_STATE_OUT]


# --- values and commands


def test_devices_are_values() -> None:
    near, far = pair()
    assert near == pair()[0]
    assert near != far
    assert (AES + SALT).hex() not in repr(near)
    assert pickle.loads(pickle.dumps(association())) == association()


def test_from_commands() -> None:
    device = tunnels.from_commands(HOST, "vti0")
    assert isinstance(device, VTITunnel)
    assert len(device.associations) == 2
    assert [one.spi for one in device.sending] == [0x1001]
    assert [one.spi for one in device.receiving] == [0x1002]
    assert device.device_mtu == 1480
    assert device.overhead == 20 + 8 + 8
    assert device.encap(batch([packet(60)])).packets[0][20:24] == bytes.fromhex("00001001")


@pytest.mark.parametrize(
    "line",
    [
        "ip xfrm state add src 1.2.3.4 dst 1.2.3.5 proto esp spi 300 mode tunnel sel src 1.1.1.1",
        "ip xfrm state add src 1.2.3.4 dst 1.2.3.5 proto esp spi",
        "ip xfrm state add src 1.2.3.4 dst 1.2.3.5 proto esp spi x mode tunnel",
        (
            "ip xfrm state add src 1.2.3.4 dst 1.2.3.5 proto esp spi 300 mode tunnel flag icmp"
            " enc 'cbc(aes)' secretsecretsecr"
        ),
        "ip xfrm state add proto esp spi 300 mode tunnel enc 'cbc(aes)' 0xsecret",
        (
            "ip xfrm state add proto esp spi 300 mode tunnel enc 'cbc(aes)' secret"
            " src 1.2.3.4 dst 1.2.3.5"
        ),
        "ip xfrm policy add src 0.0.0.0/0 dst 0.0.0.0/0 dir out action block",
        "ip xfrm policy add src 0.0.0.0/0 dst 0.0.0.0/0 dir out proto tcp",
        (
            "ip xfrm policy add src 0.0.0.0/0 dst ::/0 dir out tmpl src 1.2.3.4 dst 1.2.3.5"
            " mode tunnel"
        ),
        "ip xfrm policy add dir out tmpl src 1.2.3.4 dst 1.2.3.5 level use",
        "ip link add vti1 type vti local 1.2.3.4 remote ::1",
        "ip link add vti1 type vti fwmark 3",
    ],
)
def test_commands_that_cannot_be_followed(line: str) -> None:
    with pytest.raises(encap.TunnelError) as met:
        tunnels.from_commands(f"{HOST}\n{line}", "vti1" if "vti1" in line else "vti0")
    assert not re.search("secret", str(met.value))


@pytest.mark.parametrize(
    "options",
    [
        {"if_id": 3, "associations": (association(),), "local": None, "remote": None},
        {"if_id": 3, "key": 4}, {"key": "x"}, {"local": "::1"}, {"if_id": -1},
        {"local": B, "remote": A, "associations": (association(encap=("espinudp", 1, 1)),
                                                   association(encap=("espinudp", 1, 2)))},
    ],
)  # fmt: skip
def test_options_that_do_not_go_together(options: dict) -> None:
    with pytest.raises(encap.TunnelError):
        VTITunnel(**{"local": A, "remote": B, **options})


def test_policies_are_checked() -> None:
    for options in ({"dir": "up"}, {"src": "nowhere"}, {"src": "::/0"}, {"reqid": -1},
                    {"mark": 1 << 32}, {"tmpl_src": "?"}):  # fmt: skip
        with pytest.raises(encap.TunnelError):
            policy(**options)


@pytest.mark.parametrize(
    "columns",
    [{"ipv4.ttl": 3}, {"esp.iv": [[0] * 8]}, {"esp.iv": np.zeros((2, 8), np.uint8)},
     {"esp.iv": np.zeros((1, 7), np.uint8)}, {"ipv4.id": [1, 2]}],
)  # fmt: skip
def test_columns_that_there_are_not(columns: dict) -> None:
    with pytest.raises(encap.FieldError):
        pair()[0].encap(batch([packet(60)]), columns=columns)


@given(st.lists(st.binary(max_size=120), max_size=10), st.sampled_from([1, 101, 113, 147]))
def test_garbage_has_a_reason(octets: list[bytes], linktype: int) -> None:
    udp = association(spi=0x3003, encap=("espinudp", 4500, 4500))
    device = VTITunnel(local=B, remote=A, associations=(association(replay_window=32), udp))
    frames = encap.Packets.from_frames(octets, linktypes=linktype)
    got = device.decap(frames)
    assert len(got.packets) == 0
    assert 0 not in got.reasons
    sent = device.encap(frames)
    assert len(sent.reasons) == len(octets)


@given(st.binary(max_size=80), st.integers(0, 255), st.booleans())
def test_garbage_behind_right_headers_has_a_reason(octets: bytes, tos: int, udp: bool) -> None:
    wrapped = association(spi=0x1002, encap=("espinudp", 4500, 4500))
    device = VTITunnel(local=B, remote=A, associations=(association(replay_window=32), wrapped))
    header = encap.IPv4(src=A, dst=B, tos=tos, protocol=17 if udp else 50)
    body = bytes(encap.UDP(sport=4500, dport=4500) / octets) if udp else octets
    frame = bytes(encap.IPv4(src=A, dst=B, tos=tos, protocol=header.protocol) / body)
    spied = [frame, frame[:20] + bytes.fromhex("00001001") + frame[24:]]
    assert 0 not in device.decap(to_try.batch(spied)).reasons


SECRET = "0x" + "deadbeef" * 5
STRAY = "ip xfrm state add src 192.0.2.1 dst 192.0.2.2 proto esp spi 0x1001 mode tunnel"
POLICY_STRAY = "ip xfrm policy add src 0.0.0.0/0 dst 0.0.0.0/0 dir out"


@pytest.mark.parametrize(
    "line",
    [
        f"{STRAY} aead {SECRET} 'rfc4106(gcm(aes))' 128",
        f"{STRAY} aead 'rfc4106(gcm(aes))' 128 {SECRET}",
        f"{STRAY} aead 'rfc4106(gcm(aes))' {SECRET}zz 128",
        f"{STRAY} aead 'rfc4106(gcm(aes))' {SECRET} {SECRET}zz",
        f"{STRAY} aead 'rfc4106(gcm(aes))' {SECRET} 12x",
        f"{STRAY} {SECRET}",
        f"{STRAY} enc {SECRET} 'cbc(aes)'",
        f"{STRAY} enc 'cbc(aes)' 0x{AES.hex()} auth {SECRET} 'hmac(sha1)'",
        f"{STRAY} auth-trunc 'hmac(sha1)' {SECRET}",
        f"{STRAY} aead 'rfc4106(gcm(aes))' {KEY} 128 encap {SECRET} 1 2 0.0.0.0",
        f"{STRAY} aead 'rfc4106(gcm(aes))' {KEY} 128 flag {SECRET}",
        f"{STRAY} aead 'rfc4106(gcm(aes))' {KEY} 128 reqid {SECRET}",
        f"{STRAY} aead 'rfc4106(gcm(aes))' {KEY} 128 src {SECRET}",
        f"{STRAY} aead 'rfc4106(gcm(aes))' '{SECRET} 128",
        f"ip xfrm state frobnicate {SECRET}",
        f"ip xfrm state {SECRET}",
        f"ip x s {SECRET}",
        f"ip xfrm {SECRET}",
        f"ip -n ns xfrm state add {SECRET}",
        f"doas ip xfrm state add aead 'rfc4106(gcm(aes))' {SECRET} 128",
        f"{POLICY_STRAY} {SECRET}",
        f"{POLICY_STRAY} priority {SECRET}zz",
        f"{POLICY_STRAY} tmpl src {SECRET} dst {B} proto esp mode tunnel",
        f"{POLICY_STRAY} tmpl src {A} dst {B} proto esp level {SECRET}",
        f"{POLICY_STRAY.replace('out', SECRET)} tmpl src {A} dst {B} proto esp mode tunnel",
        f"{POLICY_STRAY.replace('0.0.0.0/0', SECRET)} tmpl src {A} dst {B} proto esp mode tunnel",
    ],
)
def test_no_error_has_a_word_in_it_that_may_be_a_key(line: str) -> None:
    with pytest.raises(encap.TunnelError) as met:
        tunnels.from_commands(f"{HOST}\n{line}", "vti0")
    error: BaseException | None = met.value
    known = {SECRET[2:10], str(int(SECRET, 16))[:12]}
    while error is not None:
        for text in (str(error), repr(error), repr(error.args), repr(vars(error))):
            assert not any(one in text for one in known), text
        error = error.__cause__ or error.__context__


def test_the_words_of_python_are_not_quoted_either() -> None:
    for options in (
        {"aead": (SECRET, b"rfc4106(gcm(aes))", 128)},
        {"aead": ("rfc4106(gcm(aes))", AES + SALT, int(SECRET, 16))},
        {"aead": None, "enc": (SECRET, AES)},
        {"spi": SECRET},
        {"src": SECRET},
        {"reqid": int(SECRET, 16)},
    ):
        with pytest.raises(encap.TunnelError) as met:
            association(**options)
        assert SECRET[2:10] not in repr(met.value)
        assert str(int(SECRET, 16)) not in repr(met.value)


def test_an_update_takes_the_place_of_an_association() -> None:
    other = f"0x{(AES[::-1] + SALT).hex()}"
    update = STATE.format(A, B, 0x1001, other).replace("state add", "state update")
    made = tunnels.from_commands(f"{HOST}\n{update}", "vti0")
    assert isinstance(made, VTITunnel)
    assert [one.spi for one in made.sending] == [0x1001]
    assert made.sending[0].aead == ("rfc4106(gcm(aes))", AES[::-1] + SALT, 128)


def test_an_association_is_found_by_destination_and_number() -> None:
    """Linux, xfrm_state_lookup: address, SPI and protocol together."""
    others = ("192.0.2.2", "192.0.2.3", "198.51.100.7")
    shared = [
        association(dst=dst, aead=("rfc4106(gcm(aes))", bytes([at] * 16) + SALT, 128))
        for at, dst in enumerate(others[:2])
    ]
    frame = packet(60)
    sent = [
        VTITunnel(local=A, remote=sa.dst, associations=(sa,)).encap(batch([frame])).packets[0]
        for sa in shared
    ]
    strange = batch(sent[:1]).rewrite({"ipv4.dst": others[2]})[0]
    receiver = VTITunnel(remote=A, associations=shared)
    got = receiver.decap(batch([*sent, strange]))
    assert reasons(got) == [Reason.ACCEPTED, Reason.ACCEPTED, Reason.NO_STATE]
    assert list(got.packets) == [frame, frame]
