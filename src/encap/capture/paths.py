"""What the names of captures say: a format, a compression, and what to call them in messages."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

from encap.errors import CaptureError

PathOrFile = str | os.PathLike[str] | BinaryIO

FORMATS = {
    ".pcap": "pcap", ".cap": "pcap", ".dmp": "pcap", ".dump": "pcap",
    ".pcapng": "pcapng", ".ntar": "pcapng",
}  # fmt: skip
COMPRESSIONS = {".gz": "gzip", ".zst": "zstd"}


def name_of(path: PathOrFile) -> str:
    """What a capture that is read is called in messages; "" for a file that was given open."""
    if path == "-":
        return "standard input"
    return os.fspath(path) if isinstance(path, str | os.PathLike) else ""


def endings(path: PathOrFile, *, free: bool) -> tuple[str, str]:
    """The format and the compression that a file's name asks for, "" for none.

    CaptureError for an ending that asks for something else, unless the name is `free` to be
    any, or that of a device or a pipe.
    """
    if not isinstance(path, str | os.PathLike):
        return "", ""
    name = Path(os.fspath(path).lower())
    compression = COMPRESSIONS.get(name.suffix, "")
    if compression:
        name = name.with_suffix("")
    ending = name.suffix
    if ending.strip(".") and ending not in FORMATS and not free:
        target = Path(path)
        if target.is_file() or not target.exists():
            raise CaptureError(
                f"the ending {ending} is not known; known are {' '.join(FORMATS)}, each also with"
                f' {" or ".join(COMPRESSIONS)} behind it: for any other name give format="pcap"'
                ' or format="pcapng"'
            )
    return FORMATS.get(ending, ""), compression
