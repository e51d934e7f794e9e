"""The pool never gives out memory that somebody still sees, and keeps no more than its limit."""

from __future__ import annotations

import gc
import os
import sys
import threading

import numpy as np
import pytest

from encap import memory

LARGE = memory.SMALLEST


def pool(limit: int = 1 << 28) -> memory._Pool:
    return memory._Pool(limit)


def address(array: np.ndarray) -> int:
    return array.ctypes.data


@pytest.mark.parametrize("count", [0, 1, 1000, LARGE // 8 - 1, LARGE // 8, LARGE])
def test_empty_is_an_array_to_write_to(count: int) -> None:
    array = memory.empty(count, np.int64)
    assert array.shape == (count,)
    assert array.dtype == np.int64
    array[:] = 7
    assert (array == 7).all()


def test_large_arrays_begin_on_a_huge_page() -> None:
    assert address(memory.empty(LARGE, np.uint8)) % memory.HUGE == 0


def test_a_dropped_block_is_used_again() -> None:
    mine = pool()
    first = mine.take(LARGE)
    where = address(first)
    del first
    assert address(mine.take(LARGE)) == where


def test_a_block_that_fits_badly_is_not_used() -> None:
    mine = pool()
    big = mine.take(64 * memory.HUGE)
    where = address(big)
    del big
    small = mine.take(LARGE)
    assert address(small) != where
    assert address(mine.take(50 * memory.HUGE)) == where


@pytest.mark.parametrize(
    "derived",
    [
        lambda array: array[5:],
        lambda array: array.view(np.uint16),
        lambda array: array.reshape(-1, 2),
        memoryview,
        lambda array: np.frombuffer(memoryview(array), np.uint8),
        lambda array: array[::2].view()[3:],
    ],
    ids=["slice", "dtype", "shape", "memoryview", "frombuffer", "strided"],
)
def test_a_view_keeps_its_block(derived) -> None:
    mine = pool()
    array = mine.take(LARGE)
    where = address(array)
    view = derived(array)
    del array
    gc.collect()
    other = mine.take(LARGE)
    assert address(other) != where
    del view
    gc.collect()
    assert address(mine.take(LARGE)) == where


def test_no_more_is_kept_than_the_limit() -> None:
    mine = pool(3 * memory.HUGE)
    arrays = [mine.take(memory.HUGE) for _ in range(5)]
    del arrays
    held = mine.take(memory.HUGE)
    assert sum(len(block) for block in mine._free) <= 3 * memory.HUGE
    assert len(held) == memory.HUGE


def test_a_pool_of_nothing_reuses_nothing() -> None:
    mine = pool(0)
    array = mine.take(LARGE)
    del array
    mine.take(LARGE)
    assert mine._free == []


def test_who_comes_meanwhile_gets_fresh_memory() -> None:
    # As a thread does, or a finalizer in the middle of another call.
    mine = pool()
    array = mine.take(LARGE)
    where = address(array)
    del array
    with mine._taking:
        assert address(mine.take(LARGE)) != where


def test_threads_never_share_a_block() -> None:
    mine, wrong = pool(), []
    start = threading.Barrier(8)

    def work(number: int) -> None:
        start.wait()
        for _ in range(60):
            array = mine.take(LARGE)
            array[:: 1 << 12] = number
            if not (array[:: 1 << 12] == number).all():
                wrong.append(number)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert not wrong


if hasattr(os, "fork"):

    @pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
    def test_a_forked_child_writes_to_its_own_memory() -> None:
        array = memory.empty(LARGE, np.uint8)
        array[:] = 1
        child = os.fork()
        if child == 0:
            array[:] = 2
            os._exit(0)
        os.waitpid(child, 0)
        assert (array == 1).all()
