"""ESP beside scapy's: what each makes, the other opens.

Check values of GCM that are cut are more than scapy 2.8 can do.
"""

from __future__ import annotations

import warnings

import associations as to_try
import numpy as np
import pytest
from associations import AES, AUTH, SALT, association, frames_of, packet

from encap.tunnels.esp import Live, seal

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from scapy.layers.inet import IP
    from scapy.layers.inet6 import IPv6
    from scapy.layers.ipsec import ESP
    from scapy.layers.ipsec import SecurityAssociation as Scapys

ALGORITHMS = {
    "gcm": {"crypt_algo": "AES-GCM", "crypt_key": AES + SALT},
    "gcm-256": {"crypt_algo": "AES-GCM", "crypt_key": AES + AES + SALT},
    "ccm": {"crypt_algo": "AES-CCM", "crypt_key": AES + SALT[:3], "crypt_icv_size": 16},
    "gmac": {"crypt_algo": "AES-NULL-GMAC", "crypt_key": AES + SALT},
    "chacha": {"crypt_algo": "CHACHA20-POLY1305", "crypt_key": AES + AES + SALT},
    "cbc-sha1": {"crypt_algo": "AES-CBC", "crypt_key": AES, "auth_algo": "HMAC-SHA1-96",
                 "auth_key": AUTH[:20]},
    "cbc-sha256-128": {"crypt_algo": "AES-CBC", "crypt_key": AES, "auth_algo": "SHA2-256-128",
                       "auth_key": AUTH[:32]},
    "cbc-sha384": {"crypt_algo": "AES-CBC", "crypt_key": AES + AES[:8],
                   "auth_algo": "SHA2-384-192", "auth_key": AUTH[:48]},
    "cbc-sha512": {"crypt_algo": "AES-CBC", "crypt_key": AES, "auth_algo": "SHA2-512-256",
                   "auth_key": AUTH},
    "cbc": {"crypt_algo": "AES-CBC", "crypt_key": AES},
}  # fmt: skip
ESN_HIGH = 3


def scapys(name: str, version: int, esn: bool) -> Scapys:
    outer = IP(src="192.0.2.1", dst="192.0.2.2") if version == 4 else (
        IPv6(src="2001:db8::1", dst="2001:db8::2")
    )  # fmt: skip
    more = {"esn_en": True, "esn": ESN_HIGH} if esn else {}
    return Scapys(ESP, spi=0x1001, tunnel_header=outer, **ALGORITHMS[name], **more)


def ours(name: str, version: int, esn: bool) -> Live:
    options = {"flag": "af-unspec"}
    if version == 6:
        options |= {"src": "2001:db8::1", "dst": "2001:db8::2"}
    if esn:
        options |= {"flag": "af-unspec esn", "replay_window": 64, "replay_seq_hi": ESN_HIGH,
                    "replay_seq": 100, "replay_oseq_hi": ESN_HIGH}  # fmt: skip
    return Live(association(name, **options))


CASES = [(name, version, esn) for name in ALGORITHMS for version in (4, 6) for esn in (False, True)]


@pytest.mark.parametrize(("name", "version", "esn"), CASES)
def test_scapy_opens_what_we_seal(name: str, version: int, esn: bool) -> None:
    frames = [packet(size) for size in (20, 33, 64, 700)]
    made, reasons = seal(ours(name, version, esn), to_try.batch(frames))
    assert not reasons.any()
    other = scapys(name, version, esn)
    for frame, outer in zip(frames, made, strict=True):
        got = other.decrypt((IP if version == 4 else IPv6)(outer), verify=True)
        assert bytes(got) == frame


@pytest.mark.parametrize(("name", "version", "esn"), CASES)
def test_we_open_what_scapy_seals(name: str, version: int, esn: bool) -> None:
    frames = [packet(size) for size in (20, 33, 64, 700)]
    other = scapys(name, version, esn)
    outer = [bytes(other.encrypt(IP(frame), seq_num=101 + at)) for at, frame in enumerate(frames)]
    found = to_try.opened(ours(name, version, esn), to_try.batch(outer))
    assert not found.reasons.any()
    assert frames_of(found) == frames
    assert np.all(found.lengths == [len(frame) for frame in frames])
