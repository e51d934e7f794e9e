"""Why an endpoint did not take, or did not send, a packet: one enumeration for all tunnels."""

from __future__ import annotations

from enum import IntEnum
from typing import Self

__all__ = ["Reason"]


class Reason(IntEnum):
    """What became of a packet; `Result.reasons` holds these numbers.

    sentence: what it means.  counters: what Linux counts it as, as `nstat` and `ip -s link` name
    it, for IPv4 and IPv6; none where the kernel drops in silence. Some of them move: which ones
    depends on the IP version and on what else the host has been told.

    HELD says what is known of a fragment when it comes. Where another one drops its datagram later,
    in the same batch too, FRAGMENTS is told of that one alone.
    """

    sentence: str
    counters: tuple[str, ...]

    def __new__(cls, number: int, sentence: str = "", counters: str = "") -> Self:
        self = int.__new__(cls, number)
        self._value_ = number
        self.sentence = sentence
        self.counters = tuple(counters.split())
        return self

    ACCEPTED = 0, "accepted"
    HELD = 1, "a fragment: it is kept until its datagram is whole"

    # --- the underlay
    OTHER_HOST = 10, "the frame is for another MAC address"
    OTHER_PROTOCOL = (
        11,
        "the packet is not one of the tunnel's IP version and protocol (raw IP: link type 101)",
    )
    IP_HEADER = 12, "the outer IP header is wrong", "Ip:InHdrErrors Ip6InHdrErrors"
    IP_CHECKSUM = 13, "the outer IPv4 header checksum is wrong", "IpExt:InCsumErrors Ip:InHdrErrors"
    IP_TRUNCATED = (
        14,
        "the outer IP length says more than is there",
        "IpExt:InTruncatedPkts Ip6InTruncatedPkts",
    )
    NOT_OURS = 15, "the outer destination is no address of ours", "Ip:InAddrErrors Ip6InAddrErrors"
    FRAGMENTS = (
        16,
        "fragments that overlap, contradict each other or never became whole",
        "Ip:ReasmFails IpExt:ReasmOverlaps Ip6ReasmFails",
    )
    NO_PROTOCOL = (
        17,
        "nobody takes the protocol that came in UDP",
        "Ip:InUnknownProtos Ip6InUnknownProtos Icmp:OutDestUnreachs Icmp6OutDestUnreachs",
    )
    OTHERS_PROTOCOL = 18, "the protocol that came in UDP is for another part of the host"
    UDP_LENGTH = 20, "the UDP length cannot be", "Udp:InErrors Udp6InErrors"
    UDP_CHECKSUM = (
        21,
        "the UDP checksum is wrong",
        "Udp:InCsumErrors Udp:InErrors Udp6InCsumErrors Udp6InErrors",
    )
    NO_PORT = 22, "no tunnel listens on that UDP port", "Udp:NoPorts Udp6NoPorts"

    # --- the tunnel
    NO_TUNNEL = (
        30,
        "no such tunnel: addresses, key or session are another's, and the sender is told",
        "Icmp:OutDestUnreachs Icmp6OutDestUnreachs",
    )
    UNKNOWN_ID = 70, "no device has that VNI, or takes it from that end"
    UNKNOWN_ENDS = 71, "no tunnel has these ends"
    TOO_SHORT = 31, "the tunnel header, or the packet in it, is cut short"
    CUT_INSIDE = 72, "the options, or the header of the inner frame, are cut short", "rx_dropped"
    VERSION = 32, "the tunnel header has another version"
    RESERVED_BITS = 33, "a bit is set that must be zero"
    NO_ID_FLAG = 73, "the flag that says that there is a VNI is not set"
    CHECKSUM = 34, "the tunnel's checksum is wrong"
    CHECKSUM_FLAG = (
        35,
        "a checksum where none is agreed, or none where one is",
        "rx_errors rx_crc_errors",
    )
    SEQUENCE = 36, "out of sequence: old, or seen before", "rx_errors rx_fifo_errors"
    CRITICAL_OPTION = 37, "an option is critical, and not known", "rx_errors rx_frame_errors"
    INNER_PROTOCOL = 38, "what the tunnel does not carry"
    INNER_TYPE = 74, "an EtherType that the device does not carry", "rx_dropped"
    INNER_FRAME = 39, "the inner header is incomplete", "rx_errors rx_length_errors"
    INNER_TAG = 75, "the VLAN tag of the inner frame is incomplete"
    INNER_SOURCE = (
        40,
        "the inner source MAC address is ours, that of nobody, or that of another endpoint",
    )
    OWN_SOURCE = 76, "the inner source MAC address is the device's own", "rx_errors"
    SPOOFED = 41, "the inner source does not belong to the outer one", "rx_errors"
    ECN = 42, "congestion was met by a packet that cannot say so", "rx_errors rx_frame_errors"

    OPTIONS = 43, "the tunnel's options do not fill their area"

    # --- ESP
    NOT_ESP = 45, "an IKE message or a keepalive, which is the key daemon's"
    ESP_HEADER = 46, "the ESP header is cut short", "XfrmInHdrError"
    NO_STATE = 47, "no security association has that destination and SPI", "XfrmInNoStates"
    ESP_ENCAP = 48, "in UDP where the association is not, or the reverse", "XfrmInStateMismatch"
    REPLAYED = 49, "the sequence number came before", "XfrmInStateSeqError"
    REPLAY_WINDOW = (
        50,
        "the sequence number is 0, or too old to be told from a replay",
        "XfrmInStateSeqError",
    )
    ESP_LENGTH = 51, "the ciphertext is missing, or no whole blocks", "XfrmInStateProtoError"
    ICV = 52, "the integrity check value is wrong", "XfrmInStateProtoError"
    PADDING = 53, "the padding is longer than the packet, or not 1, 2, 3", "XfrmInStateProtoError"
    DUMMY = 54, "no packet: traffic that hides traffic (next header 59)", "XfrmInStateProtoError"
    ESP_CONTENT = 55, "neither an IPv4 nor an IPv6 packet is inside", "XfrmInStateModeError"
    NO_POLICY = 56, "no policy lets such a packet in", "XfrmInNoPols"
    TEMPLATE = 57, "the policy wants another association", "XfrmInTmplMismatch"

    # --- sending
    NOT_CARRIED = 60, "the tunnel does not carry such a packet", "tx_errors tx_dropped"
    NO_DESTINATION = (
        61,
        "nothing says where the packet is to go",
        "tx_errors tx_carrier_errors tx_dropped",
    )
    NO_SOURCE = (
        68,
        "nothing says where the packet comes from: no local, no address of the underlay, no column",
    )
    NO_POLICY_OUT = (
        69,
        "no xfrm policy says how such a packet is to be encrypted",
        "tx_errors tx_carrier_errors",
    )
    TOO_BIG = 62, "the packet does not fit and must not be fragmented", "tx_errors"
    INCOMPLETE = 63, "a checksum or check value needs octets that were not captured"
    LIMIT = 64, "the packet is in as many tunnels as it may be", "tx_errors"
    NO_STATE_OUT = (
        65,
        "no security association takes such a packet",
        "tx_errors tx_carrier_errors XfrmOutNoStates",
    )
    SEQUENCE_END = 66, "all sequence numbers were used", "XfrmOutStateSeqError"
