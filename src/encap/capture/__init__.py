"""Captures: pcap and pcapng files, plain or compressed, to packets and back."""

from encap.capture.formats import Interface
from encap.capture.reading import Source, open, read  # noqa: A004  as gzip.open
from encap.capture.writing import Sink, Summary, create, write

__all__ = ["Interface", "Sink", "Source", "Summary", "create", "open", "read", "write"]
