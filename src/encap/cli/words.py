"""Numbers and times as people read them."""

from __future__ import annotations

from datetime import UTC, datetime

__all__ = ["count", "time_text"]


def count(number: int, thing: str) -> str:
    """`1,234 packets`."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def time_text(nanoseconds: int) -> str:
    """UTC, as ISO 8601 has it, to the nanosecond."""
    seconds, rest = divmod(nanoseconds, 10**9)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"
