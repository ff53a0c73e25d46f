"""What serving may ask of the engine beside plain sampling, and what it must not cost the others:
truncation, penalties, biases, constraints, reports, and requests that are poisoned."""

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from support.tiny_model import build_tiny_model

from medr_ray.core.config import EngineConfig
from medr_ray.core.errors import InfrastructureError
from medr_ray.engines.base import (
    Generation,
    Progress,
    Sampling,
    Shaping,
    require_full_distribution,
)
from medr_ray.engines.batching_loop import EngineLoop
from medr_ray.engines.transformers import TransformersEngine

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> TransformersEngine:
    model = build_tiny_model(tmp_path_factory.mktemp("model"))
    return TransformersEngine(
        model, EngineConfig(dtype="float32", device="cpu", threads=1, max_batch=4)
    )


def encode(engine: TransformersEngine, text: str) -> list[int]:
    return engine.renderer.encode_prompt([{"role": "user", "content": text}])


def read_logits(engine: TransformersEngine, ids: list[int]) -> torch.Tensor:
    with torch.inference_mode():
        return engine.model(torch.tensor([ids])).logits[0]


def draw(engine: TransformersEngine, prompt: list[int], count: int, **shaping: Any) -> Counter[int]:
    """The first tokens of ``count`` answers at temperature 1."""
    sampling = Sampling(1, 1.0, seed=0, shaping=Shaping(**shaping))
    return Counter(result.output_ids[0] for result in engine.generate([prompt] * count, sampling))


def test_top_k_and_top_p_draw_from_the_likeliest_tokens_alone(engine: TransformersEngine) -> None:
    prompt = encode(engine, "what is it")
    probabilities = read_logits(engine, prompt)[-1].softmax(-1)
    ordered, ids = probabilities.sort(descending=True)
    drawn = draw(engine, prompt, 300, top_k=3)
    assert set(drawn) == set(ids[:3].tolist())
    for top_p in (0.05, 0.2):
        kept = int((ordered.cumsum(-1) < top_p).sum()) + 1
        assert set(draw(engine, prompt, 300, top_p=top_p)) <= set(ids[:kept].tolist())
    # Among those that are left the shares stay as they were.
    share = float(ordered[0] / ordered[:3].sum())
    assert abs(drawn[int(ids[0])] / 300 - share) < 0.12
    assert draw(engine, prompt, 20, top_p=0.0) == Counter({int(ids[0]): 20})


def test_penalties_and_biases_change_the_logits_as_documented(engine: TransformersEngine) -> None:
    prompt = encode(engine, "what is it")
    shaping = Shaping(
        presence_penalty=0.7,
        frequency_penalty=0.4,
        repetition_penalty=1.3,
        logit_bias={7: 2.5, 9: -100.0},
    )
    (out,) = engine.generate([prompt], Sampling(20, 0.0, shaping=shaping))
    for position, token in enumerate(out.output_ids):
        before = out.output_ids[:position]
        logits = read_logits(engine, [*prompt, *before])[-1].clone()
        for seen in {*prompt, *before}:
            logits[seen] = logits[seen] / 1.3 if logits[seen] > 0 else logits[seen] * 1.3
        for seen, count in Counter(before).items():
            logits[seen] -= 0.4 * count + 0.7
        logits[7] += 2.5
        logits[9] -= 100.0
        assert token == int(logits.argmax())
        expected = float(logits.log_softmax(-1)[token])
        assert out.logprobs[position] == pytest.approx(expected, abs=1e-4)


def test_shaping_of_a_request_leaves_those_beside_it_as_they_are(
    engine: TransformersEngine,
) -> None:
    plain = Sampling(16, 1.0, seed=5)
    prompt = encode(engine, "what is it")
    (alone,) = engine.generate([prompt], plain)
    engine.submit(
        encode(engine, "Marfan"),
        Sampling(30, 1.0, shaping=Shaping(top_p=0.5, frequency_penalty=1.0), top_logprobs=3),
    )
    engine.step()
    (company,) = engine.generate([prompt], plain)
    assert company.output_ids == alone.output_ids
    assert company.logprobs == pytest.approx(alone.logprobs, abs=1e-4)


def test_reports_are_the_models_own_log_probabilities(engine: TransformersEngine) -> None:
    """At temperature 1 and before any shaping, of the answer and of the prompt."""
    prompt = encode(engine, "what is it")
    sampling = Sampling(
        12,
        0.4,
        seed=2,
        shaping=Shaping(top_k=5, logit_bias={3: 4.0}),
        top_logprobs=4,
        prompt_logprobs=True,
    )
    engine.generate([prompt], Sampling(1, 0.0))  # the cache has the prompt's states already
    (out,) = engine.generate([prompt], sampling)
    logprobs = read_logits(engine, [*prompt, *out.output_ids]).log_softmax(-1)
    reports = [*out.prompt_reports, *out.reports]
    following = [*prompt[1:], *out.output_ids]
    assert len(reports) == len(following)
    for row, (report, token) in enumerate(zip(reports, following, strict=True)):
        assert report.logprob == pytest.approx(float(logprobs[row, token]), abs=1e-4)
        values, ids = logprobs[row].topk(4)
        assert [alternative for alternative, _ in report.alternatives] == ids.tolist()
        assert [value for _, value in report.alternatives] == pytest.approx(
            values.tolist(), abs=1e-4
        )


def test_a_stream_brings_every_token_and_its_report_once(engine: TransformersEngine) -> None:
    prompt = encode(engine, "what is it")
    sampling = Sampling(24, 0.0, top_logprobs=1)

    async def collect() -> list[Progress | Generation]:
        loop = EngineLoop(engine)
        items = [item async for item in loop.stream(prompt, sampling)]
        loop.close()
        return items

    *pieces, whole = asyncio.run(collect())
    assert isinstance(whole, Generation)
    assert [token for piece in pieces for token in piece.output_ids] == list(whole.output_ids)  # type: ignore[union-attr]
    assert [report for piece in pieces for report in piece.reports] == list(whole.reports)  # type: ignore[union-attr]
    assert "".join(piece.text for piece in pieces) == whole.text
    assert len(pieces) > 1


class OnlyTokens:
    """Lets an answer go on with ``ids`` in turn, and fails after the last."""

    def __init__(self, vocabulary: int, ids: list[int]) -> None:
        self._vocabulary = vocabulary
        self._ids = list(ids)

    def allowed_tokens(self) -> torch.Tensor:
        allowed = torch.zeros(self._vocabulary, dtype=torch.bool)
        allowed[self._ids[0]] = True
        return allowed

    def accept_token(self, token: int) -> None:
        assert self._ids.pop(0) == token


def test_a_constraint_decides_the_tokens_and_fails_its_own_request_alone(
    engine: TransformersEngine,
) -> None:
    prompt = encode(engine, "what is it")
    vocabulary = len(engine.tokenizer)
    constraint = OnlyTokens(vocabulary, [5, 6, 7])
    fine = engine.submit(prompt, Sampling(3, 1.0, shaping=Shaping(constraint=constraint)))
    spent = engine.submit(
        prompt, Sampling(9, 1.0, shaping=Shaping(constraint=OnlyTokens(vocabulary, [5, 6])))
    )
    plain = engine.submit(prompt, Sampling(9, 0.0))
    while not (fine.is_done and spent.is_done and plain.is_done):
        engine.step()
    assert fine.generation is not None
    assert fine.generation.output_ids == (5, 6, 7)
    assert isinstance(spent.failure, IndexError)
    assert plain.generation is not None
    assert plain.generation.output_ids == engine.generate([prompt], Sampling(9, 0.0))[0].output_ids


@pytest.mark.parametrize("ids", [[], [-1], [10**6], [3, 2**40]])
def test_a_prompt_of_no_tokens_of_the_model_is_refused_before_it_joins(
    engine: TransformersEngine, ids: list[int]
) -> None:
    with pytest.raises(ValueError, match="token ids from 0 to"):
        engine.submit(ids, Sampling(1))


def test_logits_that_are_not_finite_fail_their_request_and_leave_nothing_behind(
    engine: TransformersEngine,
) -> None:
    """A prompt with the poisoned token becomes NaN. Later requests get its row of the cache."""
    engine.reset()
    # As many as rows. The longest makes every row read positions that its own tokens do not reach.
    healthy = [encode(engine, text) for text in ("what is it", "x", "the answer", "so " * 90)]
    expected = [engine.generate([prompt], Sampling(12, 0.0))[0].output_ids for prompt in healthy]
    used = {token for ids in (*healthy, *expected) for token in ids}
    poison = min(set(range(len(engine.tokenizer))) - used)
    poisoned = [*healthy[0], *[poison] * 60]
    weights = engine.model.get_input_embeddings().weight
    kept = weights[poison].detach().clone()
    with torch.no_grad():
        weights[poison] = float("nan")
    try:
        beside = [engine.submit(prompt, Sampling(12, 0.0)) for prompt in healthy[:3]]
        bad = engine.submit(poisoned, Sampling(12, 1.0))
        while not all(request.is_done for request in (*beside, bad)):
            engine.step()
        # The row that is given away last. The longest prompt is read before the others, which
        # would be padded to its length beside it.
        with pytest.raises(InfrastructureError, match="not finite"):
            engine.generate([poisoned], Sampling(1, 0.0))
        long = engine.submit(healthy[3], Sampling(40, 0.0))
        engine.step()
        later = engine.generate(healthy[:3], Sampling(12, 0.0))
        while not long.is_done:
            engine.step()
    finally:
        with torch.no_grad():
            weights[poison] = kept
    assert isinstance(bad.failure, InfrastructureError)
    assert "not finite" in str(bad.failure)
    assert [request.generation and request.generation.output_ids for request in beside] == (
        expected[:3]
    )
    assert [result.output_ids for result in later] == expected[:3]


def test_a_prompt_that_cannot_be_read_fails_alone(
    engine: TransformersEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The forward pass fails whenever the prompt is in it, as for want of memory."""
    engine.reset()
    prompts = [encode(engine, text) for text in ("what is it", "Marfan", "x")]
    expected = [engine.generate([prompt], Sampling(8, 0.0))[0].output_ids for prompt in prompts]
    engine.reset()
    run_model = engine._run_model

    def run_but_one(first: int, lengths: list[int], new_ids: list[list[int]]) -> torch.Tensor:
        if any(len(ids) > 60 for ids in new_ids):
            raise MemoryError("too long")
        return run_model(first, lengths, new_ids)

    monkeypatch.setattr(engine, "_run_model", run_but_one)

    async def ask_all() -> list[Any]:
        loop = EngineLoop(engine)
        long = encode(engine, "word " * 60)
        asked = [prompts[0], long, *prompts[1:]]
        return await asyncio.gather(
            *(loop.generate(prompt, Sampling(8, 0.0)) for prompt in asked), return_exceptions=True
        )

    first, failed, *others = asyncio.run(ask_all())
    assert isinstance(failed, InfrastructureError)
    assert "too long" in str(failed)
    assert [first.output_ids, *(answer.output_ids for answer in others)] == expected


def test_training_refuses_to_sample_from_a_changed_distribution(tmp_path: Path) -> None:
    from medr_ray.engines.factory import ConfiguredEngineFactory
    from medr_ray.rollouts.engine_actor import EngineServer

    config = EngineConfig(dtype="float32", device="cpu", threads=1)
    server = EngineServer(ConfiguredEngineFactory(str(build_tiny_model(tmp_path)), config))
    plain = Sampling(2, 1.0, seed=1)
    require_full_distribution(plain)
    truncated = Sampling(2, 1.0, seed=1, shaping=Shaping(top_p=0.9))

    async def sample_both() -> None:
        await server.admit()
        assert len((await server.generate([1, 2, 3], plain)).output_ids) == 2
        with pytest.raises(ValueError, match="full distribution"):
            await server.generate([1, 2, 3], truncated)

    asyncio.run(sample_both())
