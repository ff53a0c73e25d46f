"""What a request may ask of the model beside a plain answer, over a tiny model: several answers,
log-probabilities, completions, forms; and what is refused by its name."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from medr_ray.core.config import EngineConfig
from medr_ray.engines.base import ALL_CAPABILITIES
from medr_ray.engines.transformers import TransformersEngine
from medr_ray.serving import job_preparation
from medr_ray.serving.messages import (
    ChatJob,
    ChatTurn,
    Choice,
    Completion,
    Delta,
    Opening,
    Refusal,
    StreamItem,
)
from medr_ray.serving.model import ModelServer
from medr_ray.serving.model_cache import ModelCache

pytestmark = pytest.mark.slow
ASK = (ChatTurn("user", "what is it"),)
SCHEMA = {
    "type": "object",
    "properties": {
        "gene": {"type": "string", "maxLength": 8},
        "score": {"type": "integer", "minimum": 0, "maximum": 9},
    },
    "required": ["gene", "score"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def engine(tiny_model: Path) -> TransformersEngine:
    config = EngineConfig(dtype="float32", device="cpu", threads=1, max_batch=8)
    return TransformersEngine(tiny_model, config)


def make_server(engine: TransformersEngine, model: Path, **options: Any) -> ModelServer:
    cache = ModelCache({"agent": str(model)}, lambda _: engine, 1)
    return ModelServer(cache, max_tokens=128, **options)


@pytest.fixture
def server(engine: TransformersEngine, tiny_model: Path) -> ModelServer:
    return make_server(engine, tiny_model)


def complete(server: ModelServer, job: ChatJob) -> Completion:
    reply = asyncio.run(server.complete(job))
    assert isinstance(reply, Completion), reply
    return reply


def refuse(server: ModelServer, job: ChatJob) -> Refusal:
    reply = asyncio.run(server.complete(job))
    assert isinstance(reply, Refusal)

    async def read_first() -> StreamItem:
        return await anext(server.stream(job))

    assert asyncio.run(read_first()) == reply
    return reply


def join_stream(server: ModelServer, job: ChatJob) -> Completion:
    """The stream put together as a client does it."""

    async def collect() -> list[StreamItem]:
        return [item async for item in server.stream(job)]

    opening, *items, ending = asyncio.run(collect())
    assert isinstance(opening, Opening)
    assert isinstance(ending, Completion)
    choices = []
    for choice in ending.choices:
        deltas = [item for item in items if isinstance(item, Delta) and item.index == choice.index]
        logprobs = tuple(token for delta in deltas for token in delta.logprobs)
        choices.append(
            Choice(
                choice.index,
                "".join(delta.text for delta in deltas),
                choice.finish_reason,
                "".join(delta.thought for delta in deltas),
                logprobs=logprobs if job.logprobs else None,
            )
        )
    return Completion(tuple(choices), opening.prompt_tokens, ending.output_tokens)


def test_n_answers_differ_have_seeds_of_their_own_and_read_the_prompt_once(
    server: ModelServer, engine: TransformersEngine
) -> None:
    engine.reset()
    read: list[tuple[int, ...]] = []
    watch = engine.model.get_decoder().register_forward_pre_hook(
        lambda _, __, given: read.append(tuple(given["input_ids"].shape)), with_kwargs=True
    )
    several = complete(server, ChatJob("agent", ASK, 12, 1.0, seed=7, n=4))
    watch.remove()
    assert read[0] == (1, several.prompt_tokens)
    assert sum(rows * width for rows, width in read) < several.prompt_tokens + 4 * 13
    assert [choice.index for choice in several.choices] == [0, 1, 2, 3]
    assert len({choice.text for choice in several.choices}) == 4
    for number, choice in enumerate(several.choices):
        alone = complete(server, ChatJob("agent", ASK, 12, 1.0, seed=7 + number))
        assert alone.choices[0].text == choice.text
    assert several.output_tokens == 48


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"n": 3, "seed": 1},
        {"logprobs": True, "top_logprobs": 2, "n": 2, "seed": 3},
        {"stop": ("a", "e"), "seed": 5},
        {"prompt": "Marfan", "messages": (), "echo": True, "seed": 5},
        {"response_format": SCHEMA, "seed": 2},
    ],
)
def test_a_stream_put_together_is_the_whole_answer(
    server: ModelServer, more: dict[str, Any]
) -> None:
    job = ChatJob(**{"model": "agent", "messages": ASK, "max_tokens": 40, **more, "seed": 4})
    whole = complete(server, job)
    streamed = join_stream(server, job)
    assert [(choice.text, choice.finish_reason) for choice in streamed.choices] == [
        (choice.text, choice.finish_reason) for choice in whole.choices
    ]
    assert (streamed.prompt_tokens, streamed.output_tokens) == (
        whole.prompt_tokens,
        whole.output_tokens,
    )
    for left, right in zip(streamed.choices, whole.choices, strict=True):
        assert (left.logprobs is None) == (right.logprobs is None)
        ids = [token.token_id for token in left.logprobs or ()]
        assert ids == [token.token_id for token in right.logprobs or ()]


def test_a_client_that_leaves_ends_all_choices(
    server: ModelServer, engine: TransformersEngine
) -> None:
    async def read_two_and_leave() -> None:
        items = server.stream(ChatJob("agent", ASK, 100, 1.0, n=4))
        for _ in range(3):
            await anext(items)
        await items.aclose()  # type: ignore[attr-defined]
        await asyncio.wait_for(server.complete(ChatJob("agent", ASK, 1, 0.0)), 30)

    asyncio.run(read_two_and_leave())
    assert asyncio.run(server.statistics())["running"] == 0
    assert not engine._running


def test_log_probabilities_come_with_tokens_and_bytes_that_make_up_the_text(
    server: ModelServer, engine: TransformersEngine
) -> None:
    completion = complete(
        server, ChatJob("agent", ASK, 24, 1.0, seed=3, logprobs=True, top_logprobs=5)
    )
    (choice,) = completion.choices
    assert choice.logprobs is not None
    spelt = b"".join(token.content for token in choice.logprobs)
    assert spelt.decode("utf-8", "replace") == choice.text
    for token in choice.logprobs:
        assert token.text == token.content.decode("utf-8", "replace")
        assert len(token.alternatives) == 5
        values = [alternative.logprob for alternative in token.alternatives]
        assert values == sorted(values, reverse=True)
        if token.token_id == token.alternatives[0].token_id:
            assert token.logprob == pytest.approx(token.alternatives[0].logprob)
    plain = complete(server, ChatJob("agent", ASK, 24, 1.0, seed=3))
    assert plain.choices[0].logprobs is None
    assert plain.choices[0].text == choice.text


def test_an_echoed_prompt_has_its_log_probabilities(
    server: ModelServer, engine: TransformersEngine
) -> None:
    """What evaluation harnesses score continuations with: no token to generate, or one."""
    text = "Marfan syndrome inheritance"
    for max_tokens in (0, 1):
        completion = complete(
            server,
            ChatJob("agent", (), max_tokens, 0.0, prompt=text, echo=True, logprobs=True),
        )
        (choice,) = completion.choices
        assert choice.logprobs is not None
        ids = engine.tokenizer(text)["input_ids"]
        logprobs = choice.logprobs[: len(ids)]
        assert [token.token_id for token in logprobs] == ids
        assert logprobs[0].logprob is None
        with torch.inference_mode():
            expected = engine.model(torch.tensor([ids])).logits[0].log_softmax(-1)
        for position, token in enumerate(logprobs[1:]):
            value = float(expected[position, token.token_id])
            assert token.logprob == pytest.approx(value, abs=1e-4)
        assert choice.text.startswith(text)
        assert completion.output_tokens == max_tokens
        assert len(choice.logprobs) in (len(ids) + max_tokens, len(ids))
    by_ids = complete(
        server, ChatJob("agent", (), 0, 0.0, prompt=tuple(ids), echo=True, logprobs=True)
    )
    assert by_ids.choices[0].text == text
    assert by_ids.prompt_tokens == len(ids)


def test_a_prompt_is_continued_as_it_stands(
    server: ModelServer, engine: TransformersEngine
) -> None:
    text = "<|im_start|>user\nwhat is it<|im_end|>\n<|im_start|>assistant\n"
    assert complete(server, ChatJob("agent", (), 12, 0.0, prompt=text)) == complete(
        server, ChatJob("agent", ASK, 12, 0.0)
    )


def test_an_answer_has_the_form_of_a_schema_whatever_the_model_would_say(
    server: ModelServer,
) -> None:
    job = ChatJob("agent", ASK, 100, 1.0, seed=1, n=4, response_format=SCHEMA)
    for choice in complete(server, job).choices:
        value = json.loads(choice.text)
        assert set(value) == {"gene", "score"}
        assert value["score"] in range(10)
        assert choice.finish_reason == "stop"


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"logit_bias": {10**6: 1.0}}, "logit_bias"),
        ({"prompt": (10**6,)}, "prompt"),
        ({"prompt": ()}, "prompt"),
        ({"prompt": ""}, "prompt"),
        ({"prompt": "word " * 400}, "prompt"),
        ({"prompt": (1,) * 600}, "prompt"),
        ({"max_tokens": 129}, "max_tokens"),
        ({"response_format": {"type": "nothing"}}, "response_format"),
        ({"messages": (ChatTurn("user", "x" * 20_000),)}, "messages"),
    ],
)
def test_what_the_model_cannot_do_is_refused_by_name(
    server: ModelServer, more: dict[str, Any], param: str
) -> None:
    refusal = refuse(server, ChatJob(**{"model": "agent", "messages": ASK, **more}))
    assert refusal.param == param
    assert refusal.status in (400, 422)


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"top_p": 0.5}, "top_p"),
        ({"top_k": 5}, "top_k"),
        ({"presence_penalty": 1.0}, "presence_penalty"),
        ({"frequency_penalty": 1.0}, "frequency_penalty"),
        ({"repetition_penalty": 1.2}, "repetition_penalty"),
        ({"logit_bias": {1: 1.0}}, "logit_bias"),
        ({"logprobs": True}, "logprobs"),
        ({"response_format": SCHEMA}, "response_format"),
    ],
)
def test_what_an_engine_cannot_do_is_refused_by_name(
    engine: TransformersEngine, tiny_model: Path, more: dict[str, Any], param: str
) -> None:
    plain = make_server(engine, tiny_model, capabilities=frozenset())
    refusal = refuse(plain, ChatJob(**{"model": "agent", "messages": ASK, **more}))
    assert (refusal.code, refusal.param) == ("unsupported_parameter", param)
    complete(plain, ChatJob("agent", ASK, 2, 1.0, seed=1, stop=("x",), n=2))
    able = make_server(engine, tiny_model, capabilities=ALL_CAPABILITIES)
    complete(able, ChatJob(**{"model": "agent", "messages": ASK, "max_tokens": 60, **more}))


def test_without_llguidance_a_form_is_refused_by_name(
    server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_preparation, "can_constrain", lambda: False)
    refusal = refuse(server, ChatJob("agent", ASK, response_format=SCHEMA))
    assert refusal.param == "response_format"
    assert "pip install 'medr-ray[structured]'" in refusal.message


def test_a_poisoned_choice_fails_its_request_and_no_other(
    server: ModelServer, engine: TransformersEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The constraint of one answer of several fails in the middle."""
    from medr_ray.engines.constraints import GrammarConstraint

    def fail(constraint: GrammarConstraint, token: int) -> None:
        raise ValueError("too complex")

    monkeypatch.setattr(GrammarConstraint, "accept_token", fail)

    async def ask_together() -> list[Any]:
        jobs = [
            ChatJob("agent", ASK, 12, 0.0),
            ChatJob("agent", ASK, 12, 1.0, n=3, response_format=SCHEMA),
            ChatJob("agent", ASK, 9, 0.0),
        ]
        return await asyncio.gather(*map(server.complete, jobs), return_exceptions=True)

    first, failed, last = asyncio.run(ask_together())
    assert "too complex" in str(failed)
    assert isinstance(first, Completion)
    assert isinstance(last, Completion)
    assert first.choices[0].text.startswith(last.choices[0].text)
