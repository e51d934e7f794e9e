"""Packets rewritten: fields set, and the checksums that cover them brought along.

A result is a batch over copied octets, in which nothing differs but what was asked for and the
checksums over it; no packet becomes longer or shorter here.
"""

from encap.rewrite.run import Outcome, Rewritten, apply

__all__ = ["Outcome", "Rewritten", "apply"]
