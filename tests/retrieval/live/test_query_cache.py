"""Equal questions are asked once."""

import asyncio
from collections import Counter

import pytest

from medr_ray.core.errors import InfrastructureError
from medr_ray.retrieval.live.query_cache import QueryCache


def test_those_who_ask_at_once_share_an_answer() -> None:
    calls = Counter[str]()

    async def ask(question: str) -> str:
        calls[question] += 1
        await asyncio.sleep(0)
        return question.upper()

    async def ask_together() -> list[str]:
        cache = QueryCache[str, str](2)
        answers = await asyncio.gather(*(cache.get(question, ask) for question in "aab"))
        return [*answers, await cache.get("a", ask)]

    assert asyncio.run(ask_together()) == ["A", "A", "B", "A"]
    assert calls == {"a": 1, "b": 1}


def test_the_oldest_is_forgotten_first() -> None:
    calls: list[int] = []

    async def ask(question: int) -> int:
        calls.append(question)
        return question

    async def ask_in_turn() -> None:
        cache = QueryCache[int, int](2)
        for question in (1, 2, 3, 3, 2, 1):
            await cache.get(question, ask)

    asyncio.run(ask_in_turn())
    assert calls == [1, 2, 3, 1]


def test_a_failure_is_raised_and_forgotten() -> None:
    answers: list[str | Exception] = [InfrastructureError("down"), "up"]

    async def ask(question: str) -> str:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def ask_twice() -> str:
        cache = QueryCache[str, str](2)
        with pytest.raises(InfrastructureError, match="down"):
            await cache.get("q", ask)
        return await cache.get("q", ask)

    assert asyncio.run(ask_twice()) == "up"


def test_who_gives_up_does_not_end_it_for_others() -> None:
    async def give_up_early() -> str:
        cache, ready = QueryCache[str, str](2), asyncio.Event()

        async def ask(question: str) -> str:
            await ready.wait()
            return "answer"

        patient = asyncio.ensure_future(cache.get("q", ask))
        hasty = asyncio.ensure_future(cache.get("q", ask))
        await asyncio.sleep(0)
        hasty.cancel()
        await asyncio.wait([hasty])
        ready.set()
        return await patient

    assert asyncio.run(give_up_early()) == "answer"
