"""What the context managers of captures have in common: they only want to know how it ended."""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self

__all__ = ["Context"]


class Context(ABC):
    """A context manager that is itself what `with` gives."""

    __slots__ = ()

    @abstractmethod
    def _leave(self, *, failed: bool) -> None:
        """The context has ended; `failed` says that something was raised in it."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._leave(failed=kind is not None)
