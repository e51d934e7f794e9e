"""IPv4 and IPv6 datagrams out of their fragments, and packets split into fragments.

`Packets.reassemble` and `Packets.fragment` are for one batch; a `Reassembler` keeps fragments
from one batch to the next, in bounded memory and for a bounded time.

What this does not do: look at checksums, answer with ICMP, follow a clock. Times are those of the
packets. Source: RFC 791 section 3.2, RFC 8200 section 4.5, RFC 5722, RFC 6946.
"""

from __future__ import annotations

from encap.fragments.joining import Reassembler, reassemble
from encap.fragments.places import DUPLICATES, OVERLAPS
from encap.fragments.splitting import fragment
from encap.fragments.waiting import LEAST_MEMORY

__all__ = ["DUPLICATES", "LEAST_MEMORY", "OVERLAPS", "Reassembler", "fragment", "reassemble"]
