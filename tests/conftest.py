"""What all tests share: how Hypothesis searches, and which core is under test."""

from __future__ import annotations

from hypothesis import settings

# `make test` finds today what it found yesterday; "thorough" goes looking for more.
settings.register_profile("ci", derandomize=True, deadline=None, database=None)
settings.register_profile("short", settings.get_profile("ci"), max_examples=25)
settings.register_profile("thorough", deadline=None, max_examples=5000)
settings.load_profile("ci")


def pytest_report_header() -> str:
    """Which core is under test: the one built in place, or the sanitized one."""
    from encap import _ffi

    return f"core: {_ffi.__file__}"
