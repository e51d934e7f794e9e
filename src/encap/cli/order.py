"""Arguments in another order than a command has them: what is said then.

Nothing is guessed: what a command was given is what it takes. Only where that has failed is it
looked at what the arguments may have been meant as.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from encap.errors import EncapError, ExpressionError, FieldError

__all__ = ["expression_last", "template_first"]


@contextmanager
def expression_last(usage: str, *files: str) -> Iterator[None]:
    """FieldError in place of what is raised where one of `files` is an expression, and no file."""
    try:
        yield
    except (ExpressionError, FileNotFoundError) as error:
        for text in files:
            if not Path(text).exists() and _is_expression(text):
                raise FieldError(
                    f"{text!r} is no file, but an expression: the order is {usage}"
                ) from error
        raise


@contextmanager
def template_first(usage: str, template: str, path: str | None) -> Iterator[None]:
    """FieldError in place of what is raised where a file, or an MTU, is the template, or where
    what should be a file is the MTU or the template.
    """
    try:
        yield
    except (ExpressionError, FileNotFoundError) as error:
        for text in (template, path or ""):
            if text.isdecimal() and not Path(text).exists():
                raise FieldError(
                    f"{text} is no {'template' if text == template else 'file'}: the order is"
                    f" {usage}, and the MTU of a link is an option, --link {text}"
                ) from error
        if isinstance(error, ExpressionError) and Path(template).exists():
            raise FieldError(
                f"{template!r} is a file, no template: the order is {usage}"
            ) from error
        raise


def _is_expression(text: str) -> bool:
    from encap.filter import Filter

    try:
        Filter(text)
    except EncapError:
        return False
    return True
