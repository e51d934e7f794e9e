"""What the benchmarks share: captures by name, and the modules beside them.

These files show how long things take, and compare runs (`--benchmark-compare`); they assert
results, never times. Goals are measured by figures.py.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import encap
from workloads import capture


@cache
def _read(name: str) -> encap.Packets:
    return encap.read(capture(name))


@pytest.fixture
def batch() -> Callable[[str], encap.Packets]:
    """A whole capture by its name; read once."""
    return _read
