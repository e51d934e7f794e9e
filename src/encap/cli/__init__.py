"""The command `encap`: what is asked, done, printed, and the exit status.

0: done.  1: done, but the input was cut short, or a packet that should have been handled
could not be.  2: it could not be done; one line on standard error says why.  130: interrupted.
141: whoever read the output has closed it (`encap info FILE | head`), which is no complaint.

Nothing but this package prints, and nothing here is imported before it is needed: a
command starts as fast as numpy lets it.
"""

from __future__ import annotations

import io
import os
import re
import sys
from collections.abc import Sequence

from encap.errors import EncapError, missing

__all__ = ["main"]

FAILED, INTERRUPTED, READER_GONE = 2, 130, 141  # the last two as a shell has them of signals
NO_NUMBER = re.compile(r"Input should be a valid integer, .*|'\S*' is not a valid integer\.?")
EXTRAS = ("click", "rich", "typer")
MISSING = missing("the command line needs more packages", "typer rich", "cli")


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status of a command.

    arguments: those of the command, without its name; of the process where not given.
    """
    _prepare_streams()
    try:
        return _main(sys.argv[1:] if arguments is None else arguments)
    except ModuleNotFoundError as absent:
        if (absent.name or "").partition(".")[0] not in EXTRAS:
            raise
        return complain(MISSING)


def _main(arguments: Sequence[str]) -> int:
    from encap.cli.app import COMPLAINT, run

    try:
        status = run(arguments)
        sys.stdout.flush()
    except COMPLAINT as wrong:
        # What pydantic puts in front, which some versions of typer read options with.
        message = wrong.format_message().replace("Value error, ", "")
        message = NO_NUMBER.sub("a whole number is needed", message)
        if message.startswith("No such command") and "Did you mean" not in message:
            message += " `encap --help` lists those that there are."
        if message.startswith("Got unexpected extra argument"):
            message += f": `encap {arguments[0]} --help` says what it takes"
        return complain(message)
    except BrokenPipeError:
        return _reader_gone()
    except OSError as error:
        return complain(describe(error))
    except EncapError as error:
        return complain(str(error))
    except KeyboardInterrupt:
        complain("interrupted")
        return INTERRUPTED
    return status


def _prepare_streams() -> None:
    """None of them closed, and no name of a file that cannot be printed."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115  it stays
        elif mode == "w" and isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def complain(message: str) -> int:
    """Says on standard error, in one line, why it could not be done."""
    print("encap:", " ".join(message.split()), file=sys.stderr)
    return FAILED


def describe(error: OSError) -> str:
    """The operating system's complaint, with the name of the file."""
    reason = error.strerror or str(error)
    return f"{os.fsdecode(error.filename)}: {reason}" if error.filename else reason


def _reader_gone() -> int:
    """Whoever closed the pipe knows: no message, and none from the interpreter's last flush."""
    descriptor = os.open(os.devnull, os.O_WRONLY)
    os.dup2(descriptor, sys.stdout.fileno())
    os.close(descriptor)
    return READER_GONE
