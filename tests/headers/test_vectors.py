"""Headers that others made: Linux, scapy, and the texts of RFCs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from scapy.contrib import erspan as scapy_erspan
from scapy.contrib import geneve as scapy_geneve
from scapy.contrib import igmp as scapy_igmp
from scapy.contrib import mpls as scapy_mpls
from scapy.layers import inet, inet6, ipsec, l2, sctp, tuntap, vxlan

from encap.fields import U32, Header, header
from encap.headers import tun
from encap.headers.ah import AH
from encap.headers.arp import ARP
from encap.headers.erspan import ERSPAN
from encap.headers.esp import ESP
from encap.headers.ethernet import Ethernet
from encap.headers.geneve import Geneve, GeneveOption
from encap.headers.geneve_options import (
    KNOWN,
    CiliumDSR,
    GatewayLoadBalancerAttachment,
    GatewayLoadBalancerCookie,
    GatewayLoadBalancerENI,
    OVNPorts,
    TypedOption,
    known,
)
from encap.headers.gpe import VXLANGPE
from encap.headers.gre import GRE
from encap.headers.icmp import ICMP
from encap.headers.icmpv6 import ICMPv6
from encap.headers.igmp import IGMP
from encap.headers.ipv4 import IPv4
from encap.headers.ipv6 import IPv6
from encap.headers.ipv6_extensions import DestinationOptions, Fragment, HopByHop, Routing
from encap.headers.llc import LLC
from encap.headers.mpls import MPLS
from encap.headers.null import Null
from encap.headers.options import Option
from encap.headers.sctp import SCTP
from encap.headers.sll import SLL, SLL2
from encap.headers.tcp import TCP
from encap.headers.udp import UDP
from encap.headers.vlan import VLAN
from encap.headers.vxlan import VXLAN
from encap.registry import DEFAULT, header_class

LINUX = json.loads((Path(__file__).parent.parent / "vectors/headers/linux.json").read_text())
MAC_A, MAC_B = "02:11:22:33:44:55", "06:aa:bb:cc:dd:ee"
V6_A, V6_B = "2001:db8::1:2", "fe80::ff00:1"


def class_of(name: str) -> type[Header]:
    kinds = {cls.path: cls for cls in (tun.TunPI, tun.VirtioNet)}
    return kinds.get(name) or header_class(name)


def plain(value: object) -> object:
    """A field's value as it stands in the JSON file."""
    if isinstance(value, tuple):
        return [
            [option.option_class, option.type, option.data.hex()]
            if isinstance(option, GeneveOption)
            else [option.type, option.data.hex()]
            for option in value
        ]
    return value if value is None or isinstance(value, int) else str(value)


@pytest.mark.parametrize("vector", LINUX, ids=lambda vector: vector["origin"].partition(":")[0])
def test_linux_sent_this(vector: dict[str, Any]) -> None:
    octets = bytes.fromhex(vector["octets"])
    cls = class_of(vector["header"])
    value = cls.parse(octets + b"\x45behind it")
    assert {name: plain(getattr(value, name)) for name in vector["fields"]} == vector["fields"]
    assert bytes(value) == octets


# Made by scapy of the values given to it, and by us: (scapy's, ours).
SCAPY = [
    (
        l2.Ether(dst=MAC_A, src=MAC_B, type=0x88B5),
        Ethernet(dst=MAC_A, src=MAC_B, type=0x88B5),
    ),
    (
        l2.CookedLinux(pkttype=4, lladdrtype=772, lladdrlen=6, src=b"abcdefgh", proto=0x86DD),
        SLL(
            packet_type=4, arphrd=772, addr_len=6,
            addr=int.from_bytes(b"abcdefgh", "big"), protocol=0x86DD,
        ),
    ),
    (
        l2.CookedLinuxV2(
            proto=0x0800, ifindex=7, lladdrtype=1, pkttype=3, lladdrlen=6, src=b"abcdefgh"
        ),
        SLL2(
            protocol=0x0800, ifindex=7, arphrd=1, packet_type=3, addr_len=6,
            addr=int.from_bytes(b"abcdefgh", "big"),
        ),
    ),
    (l2.Loopback(type=0x1E), Null(family=0x1E000000)),  # as little-endian machines have it
    (l2.LLC(dsap=0x42, ssap=0x43, ctrl=0x13), LLC(dsap=0x42, ssap=0x43, control=0x13)),
    (
        l2.LLC(dsap=0xAA, ssap=0xAA, ctrl=3) / l2.SNAP(OUI=0x00000C, code=0x2000),
        LLC(oui=0x0C, pid=0x2000),
    ),
    (l2.Dot1Q(prio=5, dei=1, vlan=0xABC, type=0x86DD), VLAN(pcp=5, dei=1, vid=0xABC, type=0x86DD)),
    (
        l2.ARP(op=2, hwsrc=MAC_A, psrc="10.1.2.3", hwdst=MAC_B, pdst="10.4.5.6"),
        ARP(op=2, sha=MAC_A, spa="10.1.2.3", tha=MAC_B, tpa="10.4.5.6"),
    ),
    (scapy_mpls.MPLS(label=0xABCDE, cos=5, s=0, ttl=77), MPLS(label=0xABCDE, tc=5, bos=0, ttl=77)),
    (
        inet.IP(
            tos=0xB9, len=1234, id=0x4567, flags="DF", frag=0x1ABC, ttl=9, proto=132,
            chksum=0x1234, src="192.0.2.33", dst="198.51.100.7",
            options=[inet.IPOption_Router_Alert(), inet.IPOption_NOP(), inet.IPOption_EOL()],
        ),
        IPv4(
            tos=0xB9, total_len=1234, id=0x4567, flags=2, fragment_offset=0x1ABC, ttl=9,
            protocol=132, checksum=0x1234, src="192.0.2.33", dst="198.51.100.7",
            options=(Option(148, b"\0\0"), Option(1), Option(0)),
        ),
    ),
    (
        inet6.IPv6(tc=0xA5, fl=0x12345, plen=777, nh=50, hlim=3, src=V6_A, dst=V6_B),
        IPv6(
            traffic_class=0xA5, flow_label=0x12345, payload_len=777, next_header=50, hop_limit=3,
            src=V6_A, dst=V6_B,
        ),
    ),
    (
        inet6.IPv6ExtHdrHopByHop(nh=17, options=[inet6.Jumbo(jumboplen=100000)]),
        HopByHop(next_header=17, options=(Option(0xC2, (100000).to_bytes(4, "big")),)),
    ),
    (
        inet6.IPv6ExtHdrHopByHop(nh=58, options=[inet6.RouterAlert(value=1)]),
        HopByHop(next_header=58, options=(Option(5, b"\0\1"),)),
    ),
    (
        inet6.IPv6ExtHdrDestOpt(
            nh=43, options=[inet6.HBHOptUnknown(otype=0x1E, optdata=b"twelve octet")]
        ),
        DestinationOptions(next_header=43, options=(Option(0x1E, b"twelve octet"),)),
    ),
    (
        inet6.IPv6ExtHdrRouting(nh=6, type=0, segleft=1, addresses=[V6_A]),
        Routing(
            next_header=6, type=0, segments_left=1, data=bytes(4) + bytes(IPv6(dst=V6_A))[24:]
        ),
    ),
    (
        inet6.IPv6ExtHdrFragment(nh=17, res1=0xA5, offset=0x1555, res2=2, m=1, id=0xDEADBEEF),
        Fragment(next_header=17, reserved=0xA5, offset=0x1555, reserved2=2, more=1, id=0xDEADBEEF),
    ),
    (
        ipsec.AH(nh=6, payloadlen=4, spi=0x12345678, seq=99, icv=b"twelve octet"),
        AH(next_header=6, spi=0x12345678, seq=99, icv=b"twelve octet"),
    ),
    (ipsec.ESP(spi=0x12345678, seq=0xFFFFFFFE), ESP(spi=0x12345678, seq=0xFFFFFFFE)),
    (
        inet.ICMP(type=8, code=0, id=0x1234, seq=7, chksum=0xABCD),
        ICMP(type=8, code=0, checksum=0xABCD, rest=0x12340007),
    ),
    (
        inet6.ICMPv6PacketTooBig(code=1, mtu=1280, cksum=0xABCD),
        ICMPv6(type=2, code=1, checksum=0xABCD, rest=1280),
    ),
    (
        scapy_igmp.IGMP(type=0x16, mrcode=20, chksum=0x1234, gaddr="239.1.2.3"),
        IGMP(type=0x16, max_resp=20, checksum=0x1234, group="239.1.2.3"),
    ),
    (
        inet.TCP(
            sport=0xABCD, dport=443, seq=0x12345678, ack=0x9ABCDEF0, reserved=5, flags="NFA",
            window=0x1234, chksum=0x5678, urgptr=9, options=[("MSS", 1460), ("NOP", None)] * 2,
        ),
        TCP(
            sport=0xABCD, dport=443, seq=0x12345678, ack=0x9ABCDEF0, reserved=5, flags=0x111,
            window=0x1234, checksum=0x5678, urgent=9,
            options=(Option(2, b"\x05\xb4"), Option(1)) * 2,
        ),
    ),
    (
        inet.UDP(sport=0xABCD, dport=4789, len=99, chksum=0x1234),
        UDP(sport=0xABCD, dport=4789, len=99, checksum=0x1234),
    ),
    (
        sctp.SCTP(sport=5000, dport=6000, tag=0xCAFEBABE, chksum=0x01020304),
        SCTP(sport=5000, dport=6000, verification_tag=0xCAFEBABE, checksum=0x01020304),
    ),
    (
        l2.GRE(
            chksum_present=1, key_present=1, seqnum_present=1, chksum=0x1234, key=5,
            sequence_number=6, proto=0x6558,
        ),
        GRE(protocol=0x6558, checksum=0x1234, key=5, seq=6),
    ),
    (
        l2.GRE_PPTP(payload_len=0x1122, call_id=0x3344, seqnum_present=1, acknum_present=1,
                    seqence_number=7, ack_number=8),
        GRE(flags=0x610, version=1, protocol=0x880B, key=0x11223344, seq=7, ack=8),
    ),
    (
        scapy_erspan.ERSPAN_II(
            ver=1, vlan=0xABC, cos=5, en=2, t=1, session_id=0x2AA, reserved=0x123, index=0xFEDCB
        ),
        ERSPAN(
            version=1, vlan=0xABC, cos=5, en=2, truncated=1, session_id=0x2AA, reserved=0x123,
            index=0xFEDCB,
        ),
    ),
    (
        scapy_erspan.ERSPAN_III(
            ver=2, vlan=0xABC, cos=5, bso=2, t=1, session_id=0x2AA, timestamp=0x12345678,
            sgt_other=0xCAFE, p=1, ft=2, hw=0x2A, d=1, gra=2, o=0,
        ),
        ERSPAN(
            version=2, vlan=0xABC, cos=5, en=2, truncated=1, session_id=0x2AA,
            timestamp=0x12345678, sgt=0xCAFE, p=1, frame_type=2, hw_id=0x2A, direction=1,
            granularity=2, o=0,
        ),
    ),
    (
        vxlan.VXLAN(flags=0x08, reserved1=0x123456, vni=0xABCDEF, reserved2=0x77),
        VXLAN(flags=8, reserved1=0x123456, vni=0xABCDEF, reserved2=0x77),
    ),
    (
        vxlan.VXLAN(flags=0x88, gpflags=0x48, gpid=0x1234, vni=7),
        VXLAN(flags=0x88, reserved1=0x481234, vni=7),
    ),
    (
        vxlan.VXLAN(flags=0x0C, reserved0=0, NextProtocol=3, vni=0xABCDEF),
        VXLANGPE(next_protocol=3, vni=0xABCDEF),
    ),
    (
        scapy_geneve.GENEVE(
            version=0, optionlen=3, oam=1, critical=1, reserved=0x2A, proto=0x0800, vni=0xABCDEF,
            reserved2=0x11,
            options=[scapy_geneve.GeneveOptions(
                classid=0x0108, type=0x81, reserved=5, length=2, data=b"8 octets"
            )],
        ),
        Geneve(
            oam=1, reserved1=0x2A, protocol=0x0800, vni=0xABCDEF, reserved2=0x11,
            options=(GeneveOption(0x0108, 0x81, b"8 octets", 5),),
        ),
    ),
    (
        tuntap.LinuxTunPacketInfo(flags=1, type=0x86DD),
        tun.TunPI(flags=1, protocol=0x86DD),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("theirs", "ours"), SCAPY, ids=lambda value: type(value).__name__)
def test_scapy_builds_the_same(theirs: Any, ours: Header) -> None:
    octets = bytes(theirs)
    assert bytes(ours) == octets
    parsed = type(ours).parse(octets)
    assert bytes(parsed) == octets
    for name in ours.fields:
        if getattr(ours, name) is not None and ours.fields[name].variable is None:
            assert getattr(parsed, name) == getattr(ours, name)


def test_scapy_was_asked_about_every_header() -> None:
    from encap.registry import HEADERS

    # It does not know GUE.
    assert {ours.path for _, ours in SCAPY} >= set(HEADERS) - {"gue"}


# --- drawn in a text ------------------------------------------------------------------


def test_rfc_1701_source_routes() -> None:
    """Section 2: a list of entries (family, offset, length, routing), ended by one of zeros."""
    routes = bytes.fromhex("0800 00 04 c0000201 0800 04 04 c0000202 00000000")
    octets = bytes.fromhex("4000 0800 0000 0000") + routes
    value = GRE.parse(octets + b"\x45")
    assert (value.checksum, value.offset, value.routing) == (0, 0, routes)
    assert bytes(value) == octets


def test_wccp_redirect_header_is_told_from_ipv4() -> None:
    head = bytes.fromhex("0000 883e")
    assert GRE.parse(head + bytes.fromhex("00010000 45000014")).routing == bytes.fromhex("00010000")
    assert GRE.parse(head + bytes.fromhex("45000014")).routing == b""


def test_rfc_7637_nvgre() -> None:
    value = GRE.parse(bytes.fromhex("2000 6558 abcdef 42"))
    assert (value.vsid, value.flow_id) == (0xABCDEF, 0x42)


def test_rfc_2637_pptp() -> None:
    value = GRE.parse(bytes.fromhex("2081 880b 0010 002a 00000005"))
    assert (value.version, value.payload_len, value.call_id, value.ack) == (1, 16, 42, 5)
    assert value.seq is None


def test_erspan_iii_platform() -> None:
    head = bytes.fromhex("2000 0064 00000001 0000 0001")
    value = ERSPAN.parse(head + b"\x0c octets" + b"behind")
    assert (value.o, value.platform) == (1, b"\x0c octets")
    assert bytes(ERSPAN(version=2, session_id=100, timestamp=1, platform=value.platform)) == (
        head + value.platform
    )


def test_arp_of_other_sizes() -> None:
    """RFC 7042 lists EUI-64: 8 octets; AX.25 (htype 3) has 7."""
    octets = bytes.fromhex("0003 00cc 07 04 0001") + bytes(range(22))
    value = ARP.parse(octets + b"behind")
    assert (value.sha, value.tpa, value.addresses) == (None, None, bytes(range(22)))
    assert bytes(value) == octets


def test_llc_numbered_frames_have_two_octets_of_control() -> None:
    value = LLC.parse(bytes.fromhex("04 04 00 01 e0"))
    assert (value.control, value.control_extended, value.header_len) == (0, 1, 4)
    assert LLC.parse(bytes.fromhex("aaaa00 01 000000 0800")).oui is None


def test_group_policy() -> None:
    """draft-smith-vxlan-group-policy-05: G, D and A bits, and 16 bits of group."""
    value = VXLAN.parse(bytes.fromhex("88 48 1234 00002a 00"))
    assert (value.gbp_dont_learn, value.gbp_applied, value.group_policy_id) == (1, 1, 0x1234)


def test_bits_inside_the_first_octet_of_gpe() -> None:
    """draft-ietf-nvo3-vxlan-gpe: R R Ver Ver I P B O."""
    value, problem = VXLANGPE._parse(bytes.fromhex("9a00000100002a00"), 0, 8)
    assert (value.reserved0, value.version, value.flags) == (2, 1, 0b1010)
    assert problem is not None


# --- Geneve options -------------------------------------------------------------------


OPTIONS = [
    ("0108 01 02 0123456789abcdef", GatewayLoadBalancerENI(id=0x0123456789ABCDEF)),
    ("0108 02 02 fedcba9876543210", GatewayLoadBalancerAttachment(id=0xFEDCBA9876543210)),
    ("0108 03 01 deadbeef", GatewayLoadBalancerCookie(cookie=0xDEADBEEF)),
    ("0102 80 01 0005 8001", OVNPorts(ingress=5, egress=0x8001)),
    ("014b 81 02 0a010203 1f90 0000", CiliumDSR(address="10.1.2.3", port=8080)),
]


@pytest.mark.parametrize(("octets", "value"), OPTIONS)
def test_known_geneve_options(octets: str, value: TypedOption) -> None:
    wire = bytes.fromhex(octets)
    (option,) = Geneve.parse(bytes.fromhex(f"{len(wire) // 4:02x}00 0800 000000 00") + wire).options
    assert known(option) == value
    assert DEFAULT.geneve_option(option) == value
    assert value.option() == option
    assert bytes(value.option()) == wire


def test_gateway_load_balancer_needs_32_octets() -> None:
    """AWS documents an overhead of 20 + 8 + 8 + 32 octets."""
    options = tuple(value.option() for _, value in OPTIONS[:3])
    assert Geneve(options=options).header_len == 8 + 32


def test_every_known_option_has_a_vector() -> None:
    assert {type(value) for _, value in OPTIONS} == set(KNOWN)


@pytest.mark.parametrize(
    "option",
    [
        GeneveOption(0x0108, 4, bytes(8)),  # no such type
        GeneveOption(0x0108, 1, bytes(4)),  # too short
        GeneveOption(0x0108, 1, bytes(12)),  # too long
        GeneveOption(0x0108, 1, bytes(8), reserved=1),  # would be lost
        b"\x01\x08\x01\x02",
    ],
)
def test_what_is_not_known_stays_as_it_is(option: GeneveOption | bytes) -> None:
    assert known(option) is option
    assert DEFAULT.geneve_option(option) is option


def test_options_of_ones_own() -> None:
    @header("tenant")
    class Tenant(TypedOption):
        """A tenant.  Source: here.

        number: which
        """

        option_class = 0x0108
        type = 3
        number: U32 = 0

    option = Tenant(number=7).option()
    registry = DEFAULT.extend(geneve_options=[Tenant])
    assert registry.geneve_option(option) == Tenant(number=7)
    assert registry.extend(ports={9: "vxlan"}).geneve_option(option) == Tenant(number=7)
    assert DEFAULT.geneve_option(option) == GatewayLoadBalancerCookie(cookie=7)
    assert known(option, [Tenant]) == Tenant(number=7)
