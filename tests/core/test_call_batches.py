"""Calls that come together are answered together."""

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from medr_ray.core.call_batches import CallBatcher


def test_calls_that_come_during_a_batch_make_the_next_ones_and_nobody_waits_for_company() -> None:
    batches: list[list[int]] = []
    first_is_answered = threading.Event()

    def answer_batch(numbers: Sequence[int]) -> list[int]:
        batches.append(list(numbers))
        if len(batches) == 1:
            first_is_answered.wait(10)
        return [-number for number in numbers]

    batcher = CallBatcher(answer_batch, most=3)
    with ThreadPoolExecutor(9) as pool:
        first = pool.submit(batcher.answer, 0)
        while not batches:
            pass
        others = [pool.submit(batcher.answer, number) for number in range(1, 9)]
        while len(batcher._waiting) < len(others):
            pass
        first_is_answered.set()
        assert [call.result(10) for call in (first, *others)] == [-number for number in range(9)]
    assert [len(batch) for batch in batches] == [1, 3, 3, 2]


def test_a_failing_batch_fails_its_own_calls_and_the_next_is_answered() -> None:
    def answer_batch(numbers: Sequence[int]) -> list[int]:
        if 13 in numbers:
            raise ValueError("thirteen")
        return list(numbers)

    batcher = CallBatcher(answer_batch, most=4)
    with pytest.raises(ValueError, match="thirteen"):
        batcher.answer(13)
    assert batcher.answer(14) == 14
