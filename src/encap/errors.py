"""Every exception of encap. Imports nothing of the package.

Octets from outside that are wrong raise a `DecodeError`, what the caller asks for
and cannot have raises one of the others. Wrong Python types raise `TypeError`, and
`OSError` passes through. All of them pickle.
"""

from __future__ import annotations


def missing(what: str, packages: str, extra: str) -> str:
    """What is said where packages of an extra are missing: their own names too, which any index
    has.
    """
    return f'{what}: pip install {packages}, or pip install "encap-net[{extra}]"'


class EncapError(Exception):
    """What every exception of encap is."""

    def __reduce__(self) -> tuple[object, ...]:
        # Keyword-only attributes would be lost by the default, which calls the class with `args`.
        return _restore, (type(self), self.args, dict(vars(self)))


def _restore(
    kind: type[EncapError], args: tuple[object, ...], state: dict[str, object]
) -> EncapError:
    error = kind.__new__(kind, *args)
    error.args = args
    vars(error).update(state)
    return error


class DecodeError(EncapError, ValueError):
    """Octets from outside are wrong.

    layer: path name of the header that could not be read.
    offset: octets from the start of the frame to where the trouble is.
    """

    def __init__(self, message: str = "", *, layer: str = "", offset: int = 0) -> None:
        super().__init__(message)
        self.layer = layer
        self.offset = offset


class TruncatedError(DecodeError):
    """A header is cut short: `need` octets, `have` are there, `limit` names what ended them."""

    def __init__(
        self,
        layer: str = "",
        offset: int = 0,
        need: int = 0,
        have: int = 0,
        limit: str = "capture",
    ) -> None:
        super().__init__(
            f"{layer} at octet {offset} needs {need} octets, {have} are there (limit: {limit})",
            layer=layer,
            offset=offset,
        )
        self.need = need
        self.have = have
        self.limit = limit


class MalformedError(DecodeError):
    """A field has a value that cannot be: `field` names it, `value` is what it holds."""

    def __init__(
        self, layer: str = "", offset: int = 0, field: str = "", value: object = None
    ) -> None:
        super().__init__(
            f"{layer} at octet {offset}: {field} cannot be {value!r}", layer=layer, offset=offset
        )
        self.field = field
        self.value = value


class UnsupportedError(DecodeError):
    """A link type, or a version of a protocol, that is not known."""


class DepthError(DecodeError):
    """More headers than a packet may have."""


class FieldError(EncapError, ValueError):
    """The caller's value, or field name, does not fit."""

    def __init__(
        self, message: str = "", *, layer: str = "", field: str = "", value: object = None
    ) -> None:
        super().__init__(message)
        self.layer = layer
        self.field = field
        self.value = value


class ExpressionError(EncapError, ValueError):
    """The text of a filter or a template is wrong at `position` (characters from its start)."""

    def __init__(self, message: str = "", *, position: int = 0) -> None:
        super().__init__(message)
        self.position = position


class ChecksumError(EncapError):
    """A checksum is wrong, where verification was asked for."""


class CaptureError(EncapError):
    """A capture file is wrong: in its `record` (from 0), at octet `position` of the file."""

    def __init__(
        self, message: str = "", *, record: int | None = None, position: int | None = None
    ) -> None:
        super().__init__(message)
        self.record = record
        self.position = position


class TunnelError(EncapError):
    """A tunnel's configuration cannot work."""
