"""Checks of an engine beside the trainer: five updates of reinforcement with real sampling and new
weights, and the start of vLLM."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from medr_ray.core.config import EngineConfig, GRPOConfig
from medr_ray.core.records import Reward, Trajectory, Turn, Usage
from medr_ray.engines.base import Engine, Generation, Sampling
from medr_ray.engines.local_engine import LocalEngine
from medr_ray.engines.weight_checksum import WeightChecksum
from medr_ray.training.artifacts import ScoredRollout
from medr_ray.training.backends import TrainerBackend, make_backend
from medr_ray.training.dealing import deal_rollouts
from medr_ray.training.experience import score_groups
from medr_ray.training.export import pack_buckets
from medr_ray.training.learner import Learner
from medr_ray.training.smoke.rows import CheckFigures
from medr_ray.training.smoke.setup import SmokeSetup, read_model_config

_UPDATES = 5
_PROMPTS = 2
_GROUP_SIZE = 4
_PROMPT_TOKENS = 32
_BATCH = _PROMPTS * _GROUP_SIZE
_VLLM_SHARE = 0.4  # of the GPU that the trainer is on, too


@dataclass(frozen=True)
class _Sync:
    """New weights that an engine took in."""

    seconds: float
    size: int


def measure_updates(setup: SmokeSetup, rank: int, tokens: int) -> CheckFigures:
    """Five updates: an engine samples up to ``tokens`` tokens behind each of eight prompts, the
    trainer learns from them, and the engine is given the new weights.

    The reward is the share of even token ids: it costs nothing to compute, and differs.
    """

    async def run() -> CheckFigures:
        # Made in the event loop that uses it.
        engine = LocalEngine(setup.model_dir, EngineConfig(threads=1, max_batch=_BATCH))
        try:
            return await _run_updates(setup, engine, tokens, _UPDATES)
        finally:
            engine.close()

    return asyncio.run(run())


def measure_vllm(setup: SmokeSetup, rank: int, tokens: int) -> CheckFigures:
    """vLLM starts in its own environment beside the trainer, and one update as above; ``seconds``
    are those of its start."""
    import ray

    from medr_ray.engines.factory import ConfiguredEngineFactory
    from medr_ray.engines.remote_engine import start_remote_engine

    config = EngineConfig(backend="vllm", gpu_share=_VLLM_SHARE, max_batch=_BATCH)
    ray.init("local", num_gpus=setup.gpus, include_dashboard=False, log_to_driver=False)
    try:
        started = time.monotonic()
        engine = start_remote_engine(
            ConfiguredEngineFactory(str(setup.model_dir), config), {"CPU": 1, "GPU": _VLLM_SHARE}
        )
        seconds = time.monotonic() - started
        try:
            figures = asyncio.run(_run_updates(setup, engine, tokens, 1))
        finally:
            engine.close()
    finally:
        ray.shutdown()
    return replace(figures, tokens=0, seconds=seconds)


async def _run_updates(
    setup: SmokeSetup, engine: Engine, tokens: int, updates: int
) -> CheckFigures:
    grpo = GRPOConfig(
        use_gpu=bool(setup.gpus),
        updates=updates,
        questions_per_update=_PROMPTS,
        group_size=_GROUP_SIZE,
        threads=1,
        tree=False,  # prompts are drawn apart: nothing is shared
    )
    device = torch.device(setup.device)
    backend = make_backend(setup.model_dir, grpo, grpo.optimiser, device, grpo.temperature)
    learner = Learner(backend, grpo, 0)
    syncs: list[_Sync] = []
    divergences: list[float] = []
    learnt = 0
    seconds = 0.0
    for update in range(updates):
        rollouts = await _sample_rollouts(engine, setup, update, tokens)
        figures = learner.learn(deal_rollouts(rollouts, 1)[0], update)
        learnt += figures.tokens
        seconds += figures.learn_seconds
        if figures.mismatch_kl is not None:
            divergences.append(figures.mismatch_kl)
        syncs.append(await _give_weights(backend, engine, update + 1))
    version = await engine.get_version()
    largest = max(divergences, default=0.0)
    return CheckFigures(
        tokens=learnt,
        seconds=seconds,
        mismatch_kl=largest,
        sync_s=sum(sync.seconds for sync in syncs) / len(syncs),
        sync_bytes=syncs[-1].size,
        problem=_judge_updates(version, updates, learnt, largest, grpo.max_mismatch_kl),
    )


def _judge_updates(version: int, updates: int, learnt: int, divergence: float, limit: float) -> str:
    if version != updates:
        return f"the engine serves version {version} after {updates} updates"
    if not learnt:
        return "nothing was learnt from"
    if divergence > limit:
        return f"the KL of engine and trainer is {divergence:g} nats per token, above {limit:g}"
    return ""


async def _sample_rollouts(
    engine: Engine, setup: SmokeSetup, update: int, tokens: int
) -> list[ScoredRollout]:
    """Groups of answers to random prompts, with their advantages."""
    vocabulary = read_model_config(setup.tiny)["vocab_size"]
    generator = torch.Generator().manual_seed(update)
    prompts = [
        torch.randint(vocabulary, (_PROMPT_TOKENS,), generator=generator).tolist()
        for _ in range(_PROMPTS)
    ]
    requests = [prompt for prompt in prompts for _ in range(_GROUP_SIZE)]
    answers = await asyncio.gather(
        *(
            engine.generate(prompt, Sampling(max_tokens=tokens, seed=index))
            for index, prompt in enumerate(requests)
        )
    )
    trajectories = [
        _make_trajectory(index, prompt, answer)
        for index, (prompt, answer) in enumerate(zip(requests, answers, strict=True))
    ]
    rewards = [_count_even(answer.output_ids) for answer in answers]
    return score_groups(update, trajectories, rewards, minimum=2)


def _make_trajectory(index: int, prompt: Sequence[int], answer: Generation) -> Trajectory:
    turn = Turn(tuple(prompt), answer.output_ids, answer.logprobs, answer.version)
    return Trajectory(
        trajectory_id=str(index),
        question_id=str(index // _GROUP_SIZE),
        mode="exploring",
        rollout=index % _GROUP_SIZE,
        messages=(),
        turns=(turn,),
        tool_events=(),
        documents=(),
        answer=None,
        stop_reason="answered",
        usage=Usage(len(prompt), len(answer.output_ids), 1),
        cost=None,
    )


def _count_even(ids: Sequence[int]) -> Reward:
    share = sum(1 for token in ids if token % 2 == 0) / max(1, len(ids))
    return Reward(task=share, expert=None, efficiency=None, total=share)


async def _give_weights(backend: TrainerBackend, engine: Engine, version: int) -> _Sync:
    """Send the trainer's weights to the engine, a bucket at a time."""
    started = time.monotonic()
    checksum = WeightChecksum()
    size = 0
    await engine.begin_weights(version)
    for bucket in pack_buckets(backend.stream_weights()):
        for name, tensor in bucket.items():
            checksum.add(name, tensor)
            size += tensor.nbytes
        await engine.add_weights(bucket)
    await engine.finish_weights(checksum.hexdigest())
    return _Sync(time.monotonic() - started, size)
