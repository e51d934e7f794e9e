"""ESP: what goes in comes out, and nothing that is not genuine does."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from pathlib import Path

import associations as to_try
import numpy as np
import pytest
from associations import ALGORITHMS, GENUINE, association, batch, changed, frames_of, packet
from hypothesis import given
from hypothesis import strategies as st

import encap
from encap.tunnels import Reason, SecurityAssociation
from encap.tunnels.esp import Live, seal
from encap.tunnels.esp.ciphers import SLACK, Sealed, Sent

VECTORS = json.loads((Path(__file__).parent / "vectors" / "esp" / "published.json").read_text())
SIZES = [20, 21, 22, 23, 24, 28, 40, 255, 256, 257, 1400, 1500, 9000]
ESN = {"flag": "esn", "replay_window": 64}


# --- published packets


def published(vector: dict) -> tuple[SecurityAssociation, bytes, bytes, int]:
    octets, clear = bytes.fromhex(vector["packet"]), bytes.fromhex(vector["clear"])
    options = {}
    for name in ("aead", "enc"):
        if name in vector:
            algorithm, key, *bits = vector[name]
            options[name] = (algorithm, bytes.fromhex(key), *bits)
    if len(vector["number"]) == 16:
        options |= ESN
    spi = int.from_bytes(octets[:4], "big")
    # The kernel refuses the SPIs that are reserved; the ciphers need not.
    sa = SecurityAssociation(src="192.0.2.1", dst="192.0.2.2", spi=max(spi, 256), **options)
    object.__setattr__(sa, "spi", spi)
    return sa, octets, clear, int(vector["number"], 16)


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["origin"])
def test_published_packets_are_made(vector: dict) -> None:
    sa, octets, clear, number = published(vector)
    ivs = np.frombuffer(octets[8 : 8 + sa.iv_len], np.uint8)[None]
    out = np.full(len(octets) + SLACK, 0xA5, np.uint8)
    out[: 8 + sa.iv_len] = np.frombuffer(octets[: 8 + sa.iv_len], np.uint8)
    room = np.frombuffer(clear + bytes(SLACK), np.uint8).copy()
    zero, numbers = np.zeros(1, np.int64), np.array([number], np.uint64)
    sizes = np.array([len(clear)])
    Live(sa).cipher.encrypt(Sent(sa, iter([1]), room, zero, sizes, out, zero, numbers, ivs))
    assert out[: len(octets)].tobytes() == octets
    assert (out[len(octets) :] == 0xA5).all()


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["origin"])
def test_published_packets_are_opened(vector: dict) -> None:
    sa, octets, clear, number = published(vector)
    cipher = Live(sa).cipher
    room = np.zeros(cipher.lead + len(clear) + SLACK, np.uint8)
    high = np.array([number >> 32], np.uint32) if sa.esn else None
    for wrong in (0, 1):
        data = np.frombuffer(octets, np.uint8).copy()
        data[-1] ^= wrong
        found = cipher.decrypt(
            Sealed(data, np.zeros(1, np.int64), np.array([len(octets)]), room,
                   np.array([cipher.lead]), high)
        )  # fmt: skip
        assert found.tolist() == [not wrong or not sa.icv_len]
        if not wrong:
            assert room[cipher.lead :][: len(clear)].tobytes() == clear


def test_a_published_packet_goes_through_whole() -> None:
    vector = next(one for one in VECTORS if one["origin"].endswith("case 7"))
    sa, octets, clear, _ = published(vector)
    sa = SecurityAssociation(src="192.168.123.3", dst="192.168.123.200", spi=sa.spi, enc=sa.enc,
                             replay_oseq=1)  # fmt: skip
    inner = clear[: int.from_bytes(clear[2:4], "big")]
    iv = np.frombuffer(octets[8:24], np.uint8)[None]
    made, _ = seal(Live(sa), batch([inner]), ivs=iv, ids=np.array([0x0905], np.uint16))
    header = bytes.fromhex("4500008c090500004032f91ec0a87b03c0a87bc8")
    assert made[0] == header + octets
    assert frames_of(to_try.opened(Live(sa), made)) == [inner]


# --- there and back


@pytest.mark.parametrize("options", [{}, ESN], ids=["plain", "esn"])
@pytest.mark.parametrize("name", ALGORITHMS)
def test_what_goes_in_comes_out(name: str, options: dict) -> None:
    sa = association(name, **options | {"flag": f"af-unspec {options.get('flag', '')}"})
    frames = [packet(size) for size in SIZES] + [packet(max(size, 40), 6) for size in SIZES]
    outer = to_try.sealed(sa, frames)
    found = to_try.opened(Live(sa), outer)
    assert not found.reasons.any()
    assert frames_of(found) == frames
    assert sa.icv_len == to_try.ICV_LENS[name]
    for frame, made in zip(frames, outer, strict=True):
        clear = len(made) - sa.header_len - sa.icv_len
        assert clear % sa.align == 0
        assert 0 <= clear - len(frame) - 2 < sa.align
        assert frame not in made or name in ("gmac", "null-sha256")


@pytest.mark.parametrize("outer_version", [4, 6])
@pytest.mark.parametrize("in_udp", [False, True])
def test_outer_headers(outer_version: int, in_udp: bool) -> None:
    ends = {4: ("192.0.2.1", "192.0.2.2"), 6: ("2001:db8::1", "2001:db8::2")}[outer_version]
    encaps = {"encap": ("espinudp", 4501, 4500)} if in_udp else {}
    sa = association(src=ends[0], dst=ends[1], flag="af-unspec", **encaps)
    frames = [packet(60, 4, 0xB8), packet(61, 6, 0x03), packet(62, 4, 0x01, df=True)]
    outer = to_try.sealed(sa, frames, ids=np.array([7, 8, 9], np.uint16))
    layers = outer.parse()
    assert set(layers.paths) == {f"ipv{outer_version}/udp/esp" if in_udp else
                                 f"ipv{outer_version}/esp"}  # fmt: skip
    assert layers[f"ipv{outer_version}.dscp"].tolist() == [0xB8 >> 2, 0, 0]
    assert layers[f"ipv{outer_version}.ecn"].tolist() == [0, 2, 1]  # CE is not copied
    if outer_version == 4:
        assert layers["ipv4.id"].tolist() == [7, 0, 0]
        assert layers["ipv4.flags"].tolist() == [0, 2, 2]
    else:
        assert layers["ipv6.flow_label"].tolist() == [0, 0x12345, 0]
    checked = outer.checksums().counts
    assert set(checked) <= {encap.Verdict.GOOD, encap.Verdict.ZERO}
    assert (encap.Verdict.ZERO in checked) == (in_udp and outer_version == 4)
    assert layers["esp.seq"].tolist() == [1, 2, 3]
    if in_udp:
        assert layers["udp.sport"].tolist() == [4501] * 3


@pytest.mark.parametrize(
    ("options", "tos", "wanted"),
    [
        ({}, 0xBB, 0xBA), ({"flag": "noecn"}, 0xBB, 0xB8), ({}, 0xB9, 0xB9),
        ({"extra_flag": "dont-encap-dscp"}, 0xBA, 0x02),
        ({"extra_flag": "dont-encap-dscp", "flag": "noecn"}, 0xBA, 0x00),
    ],
)  # fmt: skip
def test_tos_goes_outside(options: dict, tos: int, wanted: int) -> None:
    outer = to_try.sealed(association(**options), [packet(40, tos=tos)])
    assert outer[0][1] == wanted


def test_ce_goes_outside_as_the_rfc_has_it() -> None:
    assert to_try.sealed(association(), [packet(40, tos=3)], copy_ce=True)[0][1] == 3


def test_df_and_nopmtudisc() -> None:
    assert to_try.sealed(association(), [packet(40, df=True)])[0][6] == 0x40
    made = to_try.sealed(association(flag="nopmtudisc"), [packet(40, df=True)],
                         ids=np.array([5], np.uint16))[0]  # fmt: skip
    assert made[4:8] == bytes([0, 5, 0, 0])


@pytest.mark.parametrize("options", [{}, {"flag": "noecn"}, {"flag": "decap-dscp"}])
@pytest.mark.parametrize("version", [4, 6])
def test_tos_goes_inside(options: dict, version: int) -> None:
    sa = association(flag=f"af-unspec {options.get('flag', '')}")
    for outer_ecn in range(4):
        for inner_ecn in range(4):
            outer = to_try.sealed(sa, [packet(60, version, 0x20 | inner_ecn)])
            marked = changed(outer, 0, 1, outer[0][1] ^ (0xB8 | outer_ecn))
            (got,) = frames_of(to_try.opened(Live(sa), marked))
            ecn = 3 if outer_ecn == 3 and inner_ecn and "noecn" not in sa.flag else inner_ecn
            dscp = 0xB8 if "decap-dscp" in sa.flag else 0x20
            assert got == packet(60, version, dscp | ecn)


def test_ecn_as_the_rfc_has_it() -> None:
    outer = to_try.sealed(association(), [packet(60, tos=0), packet(60, tos=2)])
    marked = changed(changed(outer, 0, 1, 3), 1, 1, 2 ^ 1)
    found = to_try.opened(Live(association()), marked, rfc=True)
    assert found.reasons.tolist() == [Reason.ECN, 0]
    assert frames_of(found) == [packet(60, tos=1)]


def test_padding_against_traffic_analysis() -> None:
    sa = association(tfcpad=300)
    frames = [packet(20), packet(299), packet(300), packet(301), packet(1400)]
    outer = to_try.sealed(sa, frames)
    assert len({len(made) for made in outer[:3]}) == 1
    got = frames_of(to_try.opened(Live(sa), outer))
    assert got == [frame.ljust(300, b"\0") for frame in frames]
    assert len(to_try.sealed(association(tfcpad=9000), [packet(20)])[0]) <= 1500


@given(st.lists(st.tuples(st.integers(20, 400), st.booleans()), max_size=20), st.data())
def test_every_batch_goes_there_and_back(shapes: list, data: st.DataObject) -> None:
    sa = association(data.draw(st.sampled_from(list(ALGORITHMS))), flag="af-unspec")
    frames = [packet(max(size, 40) if six else size, 6 if six else 4) for size, six in shapes]
    assert frames_of(to_try.opened(Live(sa), to_try.sealed(sa, frames))) == frames


def test_blocks_of_any_size_make_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    frames = [packet(20 + size) for size in range(200)]
    for name in ("gcm", "gcm-256-64", "cbc-sha1", "null-sha256", "gmac"):
        sa = association(name)
        whole = seal(Live(sa, bytes(sa.iv_len)), batch(frames))[0]
        monkeypatch.setattr("encap.tunnels.esp.sealing.BLOCK", 300)
        assert list(seal(Live(sa, bytes(sa.iv_len)), batch(frames))[0]) == list(whole)
        monkeypatch.undo()


# --- what is not sent


def test_what_cannot_be_carried() -> None:
    frames = [packet(40), b"", b"\x45" * 19, packet(60, 6), b"\x70" * 60, packet(65535), packet(41)]
    inner = batch(frames)
    cut = encap.Packets(
        inner.data, inner.starts, inner.lengths, wire_lengths=inner.lengths + (np.arange(7) == 6),
        linktypes=101,
    )  # fmt: skip
    made, reasons = seal(Live(association()), cut)
    assert [Reason(int(one)) for one in reasons] == [
        Reason.ACCEPTED, Reason.NOT_CARRIED, Reason.NOT_CARRIED, Reason.NO_STATE_OUT,
        Reason.NOT_CARRIED, Reason.TOO_BIG, Reason.INCOMPLETE,
    ]  # fmt: skip
    assert made.rows.tolist() == [0]


@pytest.mark.parametrize(
    ("options", "sent", "last"),
    [
        ({"replay_oseq": 0xFFFFFFFD}, 2, 0xFFFFFFFF),
        ({"replay_oseq": 0xFFFFFFFD, "extra_flag": "oseq-may-wrap"}, 4, 1),
        ({"replay_oseq": 0xFFFFFFFD, **ESN}, 4, 0x100000001),
        ({"replay_oseq": 0xFFFFFFFD, "replay_oseq_hi": 0xFFFFFFFF, **ESN}, 2, (1 << 64) - 1),
    ],
)
def test_numbers_end(options: dict, sent: int, last: int) -> None:
    live = Live(association(**options))
    made, reasons = seal(live, batch([packet(40)] * 4))
    assert len(made) == sent
    assert set(reasons[sent:].tolist()) <= {Reason.SEQUENCE_END}
    assert live.counter.last == last


# --- what is not genuine


@pytest.mark.parametrize("options", [{}, ESN], ids=["plain", "esn"])
@pytest.mark.parametrize("name", GENUINE)
def test_any_octet_changed_is_noticed(name: str, options: dict) -> None:
    sa = association(name, **options)
    outer = to_try.sealed(sa, [packet(33)])
    for at in range(20 + 4, len(outer[0])):  # behind the SPI, which is not looked at here
        found = to_try.opened(Live(sa), changed(outer, 0, at, 0x40))
        assert found.reasons.tolist() == [Reason.ICV], at
        assert not found.data.any()


@pytest.mark.parametrize("name", ALGORITHMS)
def test_every_cut_is_refused(name: str) -> None:
    sa = association(name)
    outer = to_try.sealed(sa, [packet(33)])
    for size in range(20, len(outer[0])):
        cut = encap.Packets(outer.data, outer.starts, [size], linktypes=101)
        found = to_try.opened(Live(sa), cut)
        assert found.reasons[0] != 0 or name == "cbc"
        if size < 28:
            assert found.reasons.tolist() == [Reason.ESP_HEADER]
        elif size <= 28 + sa.iv_len + sa.icv_len:
            assert found.reasons.tolist() == [Reason.ESP_LENGTH]


def test_another_key_is_noticed() -> None:
    for name in GENUINE:
        sa, other = association(name), ALGORITHMS[name]
        wrong = {key: (value[0], value[1][::-1], *value[2:]) for key, value in other.items()}
        found = to_try.opened(
            Live(SecurityAssociation(src="192.0.2.1", dst="192.0.2.2", spi=0x1001, **wrong)),
            to_try.sealed(sa, [packet(40)]),
        )
        assert found.reasons.tolist() == [Reason.ICV]


def forged(content: bytes, **options: object) -> tuple[Live, encap.Packets]:
    """A packet with a right check value whose plaintext is what is given."""
    sa = association("null-sha256", **options)
    outer = to_try.sealed(sa, [packet(64)])
    made = bytearray(outer[0][:28] + content)
    cipher = Live(sa).cipher
    data = np.frombuffer(bytes(made), np.uint8)
    value = cipher._hashes(data, np.array([20]), np.array([len(made)]), None)[0]
    return Live(sa), batch([bytes(made) + value[: sa.icv_len]])


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"\0", Reason.PADDING), (b"\0\x04", Reason.PADDING), (b"\x01\x01\x04", Reason.PADDING),
        (b"x" * 20 + b"\x14\x04", Reason.PADDING), (b"x" * 40 + b"\xff\x04", Reason.PADDING),
        (packet(20) + b"\0\x3b", Reason.DUMMY), (packet(20) + b"\0\x11", Reason.ESP_CONTENT),
        (packet(20)[:19] + b"\0\x04", Reason.ESP_CONTENT),
        (packet(40, 6)[:39] + b"\0\x29", Reason.ESP_CONTENT),
        (packet(20) + b"\0\x04", Reason.ACCEPTED), (packet(20) + b"\x07\x01\x04", Reason.ACCEPTED),
    ],
)  # fmt: skip
def test_genuine_packets_that_are_wrong(content: bytes, reason: Reason) -> None:
    live, outer = forged(content, replay_window=32)
    found = to_try.opened(live, outer)
    assert found.reasons.tolist() == [reason]
    # A wrong trailer does not move the window, wrong content does: that comes later.
    assert live.window.top == (reason in (Reason.ACCEPTED, Reason.ESP_CONTENT))
    if reason:
        assert not found.data.any()


def test_padding_is_looked_at_where_the_rfc_is_followed() -> None:
    good, bad = packet(20) + b"\x01\x02\x02\x04", packet(20) + b"\x01\x03\x02\x04"
    for content, reason in ((good, 0), (bad, Reason.PADDING)):
        live, outer = forged(content)
        assert to_try.opened(live, outer, rfc=True).reasons.tolist() == [reason]
        live, outer = forged(content)
        assert to_try.opened(live, outer).reasons.tolist() == [0]


@given(st.lists(st.binary(max_size=200), max_size=12), st.data())
def test_garbage_has_a_reason(octets: list[bytes], data: st.DataObject) -> None:
    sa = association(data.draw(st.sampled_from(GENUINE)), replay_window=32)
    outer = batch([bytes(20) + each for each in octets])
    found = to_try.opened(Live(sa), outer)
    assert set(found.reasons.tolist()) <= {
        Reason.ESP_HEADER, Reason.ESP_LENGTH, Reason.ICV, Reason.REPLAY_WINDOW,
    }  # fmt: skip
    assert not found.data.any()


# --- associations


def test_keys_are_nowhere_to_be_read() -> None:
    for name, options in ALGORITHMS.items():
        sa = association(name)
        for text in (repr(sa), str(sa), repr(Live(sa))):
            for value in options.values():
                assert not value[1] or value[1].hex() not in text
                assert repr(value[1])[2:-1] not in text or not value[1]


def test_associations_are_values() -> None:
    sa = association(flag="esn noecn", replay_window=64)
    assert sa == association(flag=["noecn", "esn"], replay_window=64)
    assert sa != association()
    assert hash(sa) == hash(pickle.loads(pickle.dumps(sa)))
    assert pickle.loads(pickle.dumps(sa)) == sa
    with pytest.raises(AttributeError):
        sa.reqid = 7


@pytest.mark.parametrize(
    "options",
    [
        {"spi": 255}, {"spi": 1 << 32}, {"spi": "x"}, {"src": "nobody"}, {"dst": "2001:db8::1"},
        {"flag": "esn"}, {"flag": "fast"}, {"extra_flag": "esn"}, {"replay_window": 4097},
        {"encap": ("espintcp", 1, 2)}, {"encap": ("espinudp", 1)}, {"encap": 7},
        {"encap": ("espinudp", 1, 65536)}, {"mark": -1}, {"tfcpad": 65536},
        {"aead": None}, {"enc": ("cbc(aes)", bytes(16))}, {"auth": ("hmac(sha1)", b"")},
        {"aead": ("rfc4106(gcm(aes))", bytes(20), 127)}, {"aead": ("gcm(aes)", bytes(20), 128)},
        {"aead": ("rfc4106(gcm(aes))", bytes(19), 128)}, {"aead": ("rfc4106(gcm(aes))", "k", 128)},
        {"aead": ("rfc4543(gcm(aes))", bytes(20), 96)}, {"aead": "rfc4106(gcm(aes))"},
        {"aead": None, "enc": ("cbc(aes)", bytes(15))}, {"aead": None, "enc": ("cbc(des)", b"")},
        {"aead": None, "enc": ("ecb(cipher_null)", b"x")},
        {"aead": None, "enc": ("cbc(aes)", bytes(16)), "auth": ("hmac(md5)", b"")},
        {"aead": None, "enc": ("cbc(aes)", bytes(16)), "auth_trunc": ("hmac(sha1)", b"", 168)},
        {"aead": None, "enc": ("cbc(aes)", bytes(16)), "auth_trunc": ("hmac(sha1)", b"", 97)},
        {"aead": None, "enc": ("cbc(aes)", bytes(16)), "auth": ("hmac(sha1)", b"k"),
         "auth_trunc": ("hmac(sha1)", b"k", 96)},
    ],
)  # fmt: skip
def test_what_the_kernel_would_not_take(options: dict) -> None:
    with pytest.raises(encap.TunnelError) as met:
        association(**options)
    assert "\\x00" not in str(met.value)


def test_old_names() -> None:
    new = {"enc": ("cbc(aes)", bytes(16)), "auth": ("hmac(sha256)", bytes(32))}
    old = {"enc": ("aes", bytes(16)), "auth": ("sha256", bytes(32))}
    ends = {"src": "192.0.2.1", "dst": "192.0.2.2", "spi": 256}
    frames = [packet(50)]
    made = to_try.sealed(SecurityAssociation(**ends, **new), frames)
    assert frames_of(to_try.opened(Live(SecurityAssociation(**ends, **old)), made)) == frames


def test_sizes_that_fit() -> None:
    for name in ALGORITHMS:
        for mtu in range(1280, 1330):
            sa = association(name)
            longest = sa.mtu(mtu)
            for size in (longest, longest + 1):
                outer = len(to_try.sealed(sa, [packet(size)])[0])
                assert (outer <= mtu) == (size == longest)


def test_a_missing_library_is_named() -> None:
    """Nothing of it is imported before a packet is to be encrypted."""
    program = """
import sys
sys.modules["cryptography"] = None
from encap import TunnelError, tunnels
sa = tunnels.SecurityAssociation(src="192.0.2.1", dst="192.0.2.2", spi=256,
                                 aead=("rfc4106(gcm(aes))", bytes(20), 128))
device = tunnels.VTITunnel(local="192.0.2.1", remote="192.0.2.2", associations=[sa])
import encap
try:
    device.encap(encap.Packets.from_frames([b"E" + bytes(39)], linktypes=101))
except TunnelError as error:
    print(error)
"""
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True,
                           check=True)  # fmt: skip
    assert 'pip install cryptography, or pip install "encap-net[ipsec]"' in found.stdout
