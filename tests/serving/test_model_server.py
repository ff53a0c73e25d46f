"""One replica's behaviour without Ray: what is refused, what is generated together, how a stream ends."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest
from support.scripted_engine import ScriptedEngine

from medr_ray.serving.batching import PreparedJob
from medr_ray.serving.jobs import ChatJob, Completion, Delta, Opening, Refusal, StreamItem
from medr_ray.serving.model import ModelServer
from medr_ray.serving.shelf import ModelShelf

ASK = (("user", "what is it"),)


def make_server(
    model: Path, text: str = "the answer is search", keep: int = 1,
) -> tuple[ModelServer, list[ScriptedEngine]]:
    from transformers import AutoTokenizer

    engines: list[ScriptedEngine] = []

    def load(directory: Path) -> ScriptedEngine:
        engines.append(ScriptedEngine(AutoTokenizer.from_pretrained(directory), lambda prompt: text))
        return engines[-1]

    copy = model.parent / "copy"
    if not copy.exists():
        copy.symlink_to(model)
    shelf = ModelShelf({"agent": str(model), "base": str(model), "other": str(copy)}, load, keep)
    return ModelServer(shelf, max_tokens=64), engines


def completed(server: ModelServer, *jobs: ChatJob) -> list[Completion]:
    prepared = [server.prepare(job) for job in jobs]
    assert all(isinstance(one, PreparedJob) for one in prepared)
    return asyncio.run(server.generate(prepared))  # type: ignore[arg-type]


def test_jobs_that_sample_alike_share_one_engine_call(tiny_model: Path) -> None:
    server, engines = make_server(tiny_model)
    done = completed(server, *(ChatJob("agent", ASK, max_tokens=20 + i, temperature=0.0, seed=i) for i in range(5)))
    assert len(engines[0].calls) == 1
    assert {one.text for one in done} == {"the answer is search"}


def test_seeded_samples_and_other_temperatures_are_generated_apart(tiny_model: Path) -> None:
    server, engines = make_server(tiny_model)
    completed(server, ChatJob("agent", ASK, 8, 1.0, seed=1), ChatJob("agent", ASK, 8, 1.0, seed=1),
              ChatJob("agent", ASK, 8, 0.5), ChatJob("agent", ASK, 8, 1.0), ChatJob("agent", ASK, 8, 1.0))
    assert sorted(len(prompts) for prompts, _ in engines[0].calls) == [1, 1, 1, 2]


def test_a_short_request_beside_a_long_one_gets_what_it_asked_for(tiny_model: Path) -> None:
    server, _ = make_server(tiny_model)
    short, long = completed(server, ChatJob("agent", ASK, 2, 0.0), ChatJob("agent", ASK, 40, 0.0))
    assert (short.output_tokens, short.finish_reason) == (2, "length")
    assert long.text.startswith(short.text)
    assert long.finish_reason == "stop"


def test_names_of_one_directory_share_an_engine_and_the_least_used_one_makes_room(tiny_model: Path) -> None:
    server, engines = make_server(tiny_model, keep=1)
    completed(server, ChatJob("agent", ASK), ChatJob("base", ASK))
    assert len(engines) == 1
    completed(server, ChatJob("other", ASK))
    completed(server, ChatJob("agent", ASK))
    assert len(engines) == 3
    assert server.statistics()["models_loaded"] == 1


@pytest.mark.parametrize(("job", "status", "code"), [
    (ChatJob("gpt-4", ASK), 404, "model_not_found"),
    (ChatJob("agent", ASK, max_tokens=65), 422, "max_tokens_too_large"),
    (ChatJob("agent", (("user", "word " * 600),)), 400, "context_length_exceeded"),
    (ChatJob("agent", (("user", "word " * 480),), max_tokens=64), 400, "context_length_exceeded"),
])
def test_wrong_requests_are_refused_with_their_reason(
    tiny_model: Path, job: ChatJob, status: int, code: str,
) -> None:
    server, engines = make_server(tiny_model)
    refused = server.prepare(job)
    assert isinstance(refused, Refusal)
    assert (refused.status, refused.code) == (status, code)
    assert not engines


async def collected(server: ModelServer, job: ChatJob) -> list[StreamItem]:
    return [item async for item in server.stream(job)]


def text_of(items: Sequence[StreamItem]) -> str:
    return "".join(item.text for item in items if isinstance(item, Delta))


def test_a_stream_opens_with_its_prompt_and_closes_with_its_usage(tiny_model: Path) -> None:
    server, _ = make_server(tiny_model)
    items = asyncio.run(collected(server, ChatJob("agent", ASK)))
    assert isinstance(items[0], Opening)
    assert text_of(items).strip() == "the answer is search"
    closing = items[-1]
    assert isinstance(closing, Completion)
    assert closing.prompt_tokens == items[0].prompt_tokens
    assert closing.output_tokens > 0


def test_a_stream_stops_before_the_stop_sequence(tiny_model: Path) -> None:
    server, engines = make_server(tiny_model, "the answer is search and much more")
    items = asyncio.run(collected(server, ChatJob("agent", ASK, stop=("is sea",))))
    assert text_of(items) == "the answer "
    assert engines[0].cancelled is not None
    assert engines[0].cancelled.is_set()


def test_a_stream_nobody_reads_any_more_stops_generating(tiny_model: Path) -> None:
    server, engines = make_server(tiny_model, " ".join(["word"] * 100_000))

    async def read_two_and_leave() -> None:
        items = server.stream(ChatJob("agent", ASK))
        for _ in range(2):
            await anext(items)
        await items.aclose()  # type: ignore[attr-defined]

    asyncio.run(read_two_and_leave())
    completed(server, ChatJob("agent", ASK, 2, 0.0))  # the engine is free again
    assert len(engines[0].streamed) < 100_000


def test_a_failing_generation_ends_the_stream_with_its_error(tiny_model: Path) -> None:
    server, engines = make_server(tiny_model)
    completed(server, ChatJob("agent", ASK))

    def broken(*_: object) -> object:
        raise RuntimeError("out of memory")
        yield

    engines[0].stream = broken  # type: ignore[method-assign, assignment]
    with pytest.raises(RuntimeError, match="out of memory"):
        asyncio.run(collected(server, ChatJob("agent", ASK)))
