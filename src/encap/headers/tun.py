"""What Linux puts in front of a TUN or TAP device's frames.  Source: linux/if_tun.h, virtio_net.h.

    tun_pi          flags (2) | protocol (2)
    virtio_net_hdr  flags | gso_type | hdr_len (2) | gso_size (2) | csum_start (2) | csum_offset (2)

The second may be longer by num_buffers (2). All its numbers, and the flags of the first, are
read as little-endian, the order of the machines in use. No walk enters these headers: which of
them a device has is known to whoever opened it.
"""

from __future__ import annotations

from typing import Annotated

from encap.fields import U8, Bits, Header, Next, header

LE16 = Annotated[int, Bits(16, little=True)]

PKT_STRIP = 1
"""Flag of `TunPI`: the frame did not fit what was read."""
NEEDS_CSUM, DATA_VALID, RSC_INFO = 1, 2, 4
"""Flags of `VirtioNet`."""
GSO_NONE, GSO_TCPV4, GSO_UDP, GSO_TCPV6, GSO_UDP_L4, GSO_ECN = 0, 1, 3, 4, 5, 0x80
"""Values of `gso_type`; the last is a bit beside them."""


@header("tun_pi")
class TunPI(Header):
    """Packet information in front of a frame.  Source: Linux, include/uapi/linux/if_tun.h.

    flags: 1 when the frame was cut
    protocol: EtherType of the frame
    """

    flags: LE16 = 0
    protocol: Annotated[int | None, Bits(16), Next("ethertype")] = None


@header("virtio_net_hdr")
class VirtioNet(Header):
    """Offloads that a frame asks for.  Source: virtio 1.2 section 5.1.6.

    flags: 1 when the checksum is still to be computed, 2 when it has been verified
    gso_type: how to cut the frame: 0 not at all, 1 TCP over IPv4, 4 TCP over IPv6, 5 UDP; 0x80 ECN
    hdr_len: octets of all headers
    gso_size: octets of payload in each piece
    csum_start: where the checksummed part starts, in octets from the start of the frame
    csum_offset: where the checksum stands, in octets from there
    """

    flags: U8 = 0
    gso_type: U8 = GSO_NONE
    hdr_len: LE16 = 0
    gso_size: LE16 = 0
    csum_start: LE16 = 0
    csum_offset: LE16 = 0


@header("virtio_net_hdr_mrg_rxbuf")
class VirtioNetMergeable(Header):
    """Offloads that a frame asks for, and its buffers.  Source: virtio 1.2 section 5.1.6.

    flags: 1 when the checksum is still to be computed, 2 when it has been verified
    gso_type: how to cut the frame: 0 not at all, 1 TCP over IPv4, 4 TCP over IPv6, 5 UDP; 0x80 ECN
    hdr_len: octets of all headers
    gso_size: octets of payload in each piece
    csum_start: where the checksummed part starts, in octets from the start of the frame
    csum_offset: where the checksum stands, in octets from there
    num_buffers: buffers that the frame takes
    """

    flags: U8 = 0
    gso_type: U8 = GSO_NONE
    hdr_len: LE16 = 0
    gso_size: LE16 = 0
    csum_start: LE16 = 0
    csum_offset: LE16 = 0
    num_buffers: LE16 = 0
