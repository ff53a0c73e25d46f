"""One replica's behaviour without Ray: what is refused, what is generated together, how a stream
ends."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest
from support.scripted_engine import ScriptedEngine

from medr_ray.core.errors import InfrastructureError
from medr_ray.serving.messages import (
    ChatJob,
    ChatTurn,
    Completion,
    Delta,
    Opening,
    Refusal,
    StreamItem,
)
from medr_ray.serving.model import ModelServer
from medr_ray.serving.model_cache import ModelCache

ASK = (ChatTurn("user", "what is it"),)


def make_server(
    model: Path,
    text: str = "the answer is search",
    capacity: int = 1,
    gather: int = 0,
) -> tuple[ModelServer, list[ScriptedEngine]]:
    from transformers import AutoTokenizer

    engines: list[ScriptedEngine] = []

    def load(directory: Path) -> ScriptedEngine:
        engines.append(
            ScriptedEngine(
                AutoTokenizer.from_pretrained(directory), lambda prompt: text, gather=gather
            )
        )
        return engines[-1]

    copy = model.parent / "copy"
    if not copy.exists():
        copy.symlink_to(model)
    cache = ModelCache(
        {"agent": str(model), "base": str(model), "other": str(copy)}, load, capacity
    )
    return ModelServer(cache, max_tokens=64), engines


async def complete_all(server: ModelServer, *jobs: ChatJob) -> list[Completion]:
    replies = asyncio.gather(*(server.complete(job) for job in jobs))
    completions = await asyncio.wait_for(replies, 60)
    assert all(isinstance(completion, Completion) for completion in completions)
    return completions  # type: ignore[return-value]


async def collect_stream(server: ModelServer, job: ChatJob) -> list[StreamItem]:
    return [item async for item in server.stream(job)]


def join_text(items: Sequence[StreamItem]) -> str:
    return "".join(item.text for item in items if isinstance(item, Delta))


def test_jobs_that_arrive_together_are_generated_together_however_they_sample(
    tiny_model: Path,
) -> None:
    # One that answered them one after the other would never end: see ``gather``.
    server, engines = make_server(tiny_model, gather=6)

    async def complete_and_stream() -> tuple[list[Completion], list[StreamItem]]:
        jobs = (ChatJob("agent", ASK, 20 + i, i / 5, seed=i) for i in range(5))
        return await asyncio.gather(
            complete_all(server, *jobs), collect_stream(server, ChatJob("agent", ASK))
        )

    completions, streamed = asyncio.run(complete_and_stream())
    assert (
        {completion.choices[0].text for completion in completions}
        == {"the answer is search"}
        == {join_text(streamed)}
    )
    assert max(engines[0].together) == 6
    counters = asyncio.run(server.statistics())
    assert (counters["most_running"], counters["running"]) == (6, 0)


def test_a_short_request_beside_a_long_one_gets_what_it_asked_for(tiny_model: Path) -> None:
    server, _ = make_server(tiny_model)
    short, long = asyncio.run(
        complete_all(server, ChatJob("agent", ASK, 2, 0.0), ChatJob("agent", ASK, 40, 0.0))
    )
    assert (short.output_tokens, short.choices[0].finish_reason) == (2, "length")
    assert long.choices[0].text.startswith(short.choices[0].text)
    assert long.choices[0].finish_reason == "stop"


def test_names_of_one_directory_share_an_engine_and_the_least_used_one_makes_room(
    tiny_model: Path,
) -> None:
    server, engines = make_server(tiny_model, capacity=1)

    async def ask_in_turn() -> None:
        await complete_all(server, ChatJob("agent", ASK), ChatJob("base", ASK))
        assert len(engines) == 1
        await complete_all(server, ChatJob("other", ASK))
        await complete_all(server, ChatJob("agent", ASK))

    asyncio.run(ask_in_turn())
    assert len(engines) == 3
    assert asyncio.run(server.statistics())["models_loaded"] == 1


def test_a_model_that_must_make_room_waits_for_the_running_one_and_is_not_kept_out(
    tiny_model: Path,
) -> None:
    server, engines = make_server(tiny_model, capacity=1)
    jobs = [ChatJob(name, ASK) for name in ("agent", "other", "agent", "other", "agent")]
    assert len(asyncio.run(complete_all(server, *jobs))) == 5
    assert len(engines) == 5  # in the order they came: none overtakes one that waits for room


@pytest.mark.parametrize(
    ("job", "status", "code"),
    [
        (ChatJob("gpt-4", ASK), 404, "model_not_found"),
        (ChatJob("agent", ASK, max_tokens=65), 422, "max_tokens_too_large"),
        (ChatJob("agent", (ChatTurn("user", "word " * 600),)), 400, "context_length_exceeded"),
        (
            ChatJob("agent", (ChatTurn("user", "word " * 480),), max_tokens=64),
            400,
            "context_length_exceeded",
        ),
    ],
)
def test_wrong_requests_are_refused_with_their_reason(
    tiny_model: Path,
    job: ChatJob,
    status: int,
    code: str,
) -> None:
    server, engines = make_server(tiny_model)
    refused = asyncio.run(server.complete(job))
    assert isinstance(refused, Refusal)
    assert (refused.status, refused.code) == (status, code)
    assert asyncio.run(collect_stream(server, job)) == [refused]
    assert not engines


def test_a_stream_opens_with_its_prompt_and_closes_with_its_usage(tiny_model: Path) -> None:
    server, _ = make_server(tiny_model)
    items = asyncio.run(collect_stream(server, ChatJob("agent", ASK)))
    (whole,) = asyncio.run(complete_all(server, ChatJob("agent", ASK)))
    assert isinstance(items[0], Opening)
    assert len([item for item in items if isinstance(item, Delta)]) > 1
    assert join_text(items) == whole.choices[0].text
    closing = items[-1]
    assert isinstance(closing, Completion)
    assert (closing.prompt_tokens, closing.output_tokens) == (
        items[0].prompt_tokens,
        whole.output_tokens,
    )


def test_a_stream_nobody_reads_any_more_stops_generating(tiny_model: Path) -> None:
    server, engines = make_server(tiny_model, " ".join(["word"] * 50))

    async def read_two_and_leave() -> None:
        items = server.stream(ChatJob("agent", ASK))
        for _ in range(2):
            await anext(items)
        await items.aclose()  # type: ignore[attr-defined]
        await complete_all(server, ChatJob("agent", ASK, 2, 0.0))

    asyncio.run(read_two_and_leave())
    assert len(engines[0].together) < 20  # of the 50 steps the whole stream would have taken


def test_a_failing_engine_fails_its_requests_and_takes_new_ones(tiny_model: Path) -> None:
    server, engines = make_server(tiny_model)

    async def fail_and_go_on() -> None:
        await complete_all(server, ChatJob("agent", ASK))
        engines[0].failing = RuntimeError("out of memory")
        with pytest.raises(InfrastructureError, match="out of memory"):
            await collect_stream(server, ChatJob("agent", ASK))
        (done,) = await complete_all(server, ChatJob("agent", ASK))
        assert done.choices[0].text == "the answer is search"

    asyncio.run(fail_and_go_on())
