"""ESP, as far as it can be read without a key.  Source: RFC 4303 section 2.

    spi (4) | seq (4)

All behind it is payload: initialization vector, encrypted data, integrity check value.
"""

from __future__ import annotations

from encap.fields import U32, Header, header


@header("esp")
class ESP(Header):
    """The start of an encrypted packet.  Source: RFC 4303 section 2.

    spi: security parameters index
    seq: sequence number; the low half where extended ones are in use
    """

    spi: U32 = 0
    seq: U32 = 0
