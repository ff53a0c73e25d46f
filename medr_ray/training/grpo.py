"""Group-relative policy optimisation: the loop every Ray Train worker runs.

One update: rank 0 has the current policy roll out groups with real tools, scores them and shares
them; every worker learns from its part; the weights go to the engine, which from then on answers
under the next version. A rollout that infrastructure failed is excluded and counted; it is never a
reward.
"""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
import torch

from medr_ray.agent.policies import EnginePolicy, Policy
from medr_ray.core.config import AgentConfig, PipelineConfig
from medr_ray.core.records import Question
from medr_ray.core.run import Directory
from medr_ray.engines.base import Generation, Sampling
from medr_ray.engines.chat import ChatRenderer
from medr_ray.llm.roles import open_chat_client
from medr_ray.rollouts.groups import minimum_viable
from medr_ray.rollouts.worker import RolloutRequest
from medr_ray.training.artifacts import GRPO_METRICS, GRPO_ROLLOUTS, ScoredRollout
from medr_ray.training.batches import Example, MicroBatch
from medr_ray.training.curriculum import Curriculum, hops_by_question
from medr_ray.training.experience import make_examples, score_groups
from medr_ray.training.losses import POLICY_LOSSES
from medr_ray.training.rewards import (
    ExpertPreference,
    ModelPreference,
    RulesPreference,
    compute_rewards,
)
from medr_ray.training.workers import (
    accumulate_gradients,
    load_backend,
    load_checkpoint,
    rank_and_world,
    save_checkpoint,
    save_model,
    scheduled_learning_rate,
    sum_over_workers,
)


@dataclass(frozen=True)
class GRPOJob:
    """What a worker is given. ``model_dir``: the SFT model; ``directory_uri``: the stage's
    directory."""

    config: PipelineConfig
    questions: tuple[Question, ...]
    model_dir: str
    index_uri: str
    directory_uri: str
    output: str
    pad_id: int
    log: Any


@dataclass(frozen=True)
class EnginePolicyFactory:
    """Policies over the engine actor, sampling at the training temperature."""

    engine: Any
    model_dir: str
    agent: AgentConfig
    temperature: float
    trust_remote_code: bool

    def __call__(self, request: RolloutRequest) -> Policy:
        return EnginePolicy(self._generate, self._renderer(), self.agent, self.temperature)

    async def _generate(self, prompt: list[int], sampling: Sampling) -> Generation:
        return await self.engine.generate.remote(prompt, sampling)

    def _renderer(self) -> ChatRenderer:
        from transformers import AutoTokenizer

        if "renderer" not in self.__dict__:  # once per worker, not per episode
            tokenizer = AutoTokenizer.from_pretrained(
                self.model_dir, trust_remote_code=self.trust_remote_code
            )
            object.__setattr__(self, "renderer", ChatRenderer(tokenizer))
        return self.__dict__["renderer"]


class RolloutSide:
    """Rank 0's half: engine, worker pool, questions, curriculum."""

    def __init__(self, job: GRPOJob) -> None:
        from medr_ray.rollouts.engine_actor import start_engine
        from medr_ray.rollouts.pool import RolloutPool

        config = job.config
        self._job, self._grpo = job, config.grpo
        trust = config.models.trust_remote_code
        self._engine = start_engine(Path(job.model_dir), config.engine, trust)
        factory = EnginePolicyFactory(
            self._engine, job.model_dir, config.agent, config.grpo.temperature, trust
        )
        self._pool = RolloutPool(
            config, job.index_uri, lambda: factory, reports=Directory(job.directory_uri)
        )
        self._tasks = {question.task.task_id: question.task for question in job.questions}
        self._expert = _expert(config)
        self.curriculum = Curriculum(
            hops_by_question(job.questions), config.run.seed, config.grpo.raise_at
        )

    def collect(self, update: int) -> tuple[list[ScoredRollout], dict[str, Any]]:
        """Groups of rollouts of the current policy, scored, and their figures."""
        started = time.monotonic()
        chosen = self.curriculum.select_questions(self._grpo.questions_per_update, update)
        size, share = self._grpo.group_size, self._grpo.min_group_fraction
        groups = [
            [
                RolloutRequest(self._tasks[question_id], rollout=update * size + i)
                for i in range(size)
            ]
            for question_id in chosen
        ]
        finished = self._pool.run_groups(groups, share)
        outcomes = sorted(
            (outcome for group in finished for outcome in group.outcomes),
            key=lambda one: one.request.key,
        )
        trajectories = [
            outcome.trajectory for outcome in outcomes if outcome.trajectory is not None
        ]
        scored_by = compute_rewards(
            trajectories,
            [self._tasks[trajectory.question_id] for trajectory in trajectories],
            self._grpo,
            self._expert,
        )
        scored = score_groups(update, trajectories, scored_by, minimum_viable(size, share))
        self.curriculum.record_pass_rates(_pass_rates(scored))
        figures = _rollout_figures(scored) | {
            "excluded": len(outcomes) - len(trajectories),
            "excluded_by": dict(
                sorted(Counter(outcome.kind for outcome in outcomes if outcome.kind).items())
            ),
            "level": self.curriculum.level,
            "rollout_seconds": round(time.monotonic() - started, 2),
        }
        return scored, figures

    def serve(self, weights: dict[str, torch.Tensor], version: int) -> None:
        """Hand weights to the engine; returns once it answers under ``version``."""
        served = ray.get(self._engine.load_weights.remote(ray.put(weights), version))
        if served != version:
            raise RuntimeError(f"the engine serves version {served} after being given {version}")

    def close(self) -> None:
        self._pool.close()
        ray.kill(self._engine)


def grpo_worker(settings: dict[str, Any]) -> None:
    """``train_loop_per_worker``; ``settings["job"]`` is a GRPOJob."""
    job: GRPOJob = settings["job"]
    grpo, seed = job.config.grpo, job.config.run.seed
    rank, _ = rank_and_world()
    torch.manual_seed(seed)
    trust = job.config.models.trust_remote_code
    backend = load_backend(Path(job.model_dir), grpo, grpo.optimiser, grpo.temperature, trust)
    state = load_checkpoint(backend) or {"update": 0, "history": [], "curriculum": None}
    side = RolloutSide(job) if rank == 0 else None
    if state["update"]:
        weights = backend.export_weights()
        if side:
            side.curriculum = Curriculum.resume(
                hops_by_question(job.questions), seed, grpo.raise_at, state["curriculum"]
            )
            side.serve(weights, state["update"])
    directory = Directory(job.directory_uri)
    for update in range(state["update"], grpo.updates):
        scored, figures = _share(side.collect(update) if side else None)
        learnt = _learn(backend, scored, job, update)
        weights, started = backend.export_weights(), time.monotonic()
        if side:
            side.serve(weights, update + 1)
            directory.write_part(GRPO_ROLLOUTS, f"update-{update:05d}", scored)
        row = {
            "update": update + 1,
            **figures,
            **learnt,
            "sync_seconds": round(time.monotonic() - started, 2),
        }
        state = {
            "update": update + 1,
            "history": [*state["history"], row],
            "curriculum": side.curriculum.state() if side else None,
        }
        if rank == 0:
            job.log.append.remote({**row, "number": update + 1})
        if (update + 1) % grpo.checkpoint_every == 0 and update + 1 < grpo.updates:
            save_checkpoint(backend, state, {"update": update + 1})
    if side:
        side.close()
    save_model(backend, Path(job.model_dir), Path(job.output), trust)
    if rank == 0:
        directory.write_jsonl(GRPO_METRICS.name, state["history"])


def _share(own: Any) -> Any:
    """Rank 0's experience, on every worker."""
    from ray.train.collective import broadcast_from_rank_zero

    if rank_and_world()[1] == 1:
        return own
    return ray.get(broadcast_from_rank_zero([ray.put(own)] if own is not None else None)[0])


def _learn(
    backend: Any, scored: Sequence[ScoredRollout], job: GRPOJob, update: int
) -> dict[str, Any]:
    """One optimiser step over the update's examples; its figures, averaged over all workers'
    tokens."""
    grpo, started = job.config.grpo, time.monotonic()
    rank, world = rank_and_world()
    examples = [example for rollout in scored for example in make_examples(rollout)]
    tokens = sum(len(example.targets) for example in examples)
    if len(examples) < world:
        return {
            "loss": 0.0,
            "entropy": None,
            "mismatch_kl": None,
            "ratio_mean": None,
            "clip_fraction": None,
            "grad_norm": 0.0,
            "tokens": tokens,
            "learn_seconds": 0.0,
        }
    sums = torch.zeros(4, dtype=torch.float64)
    policy_loss = POLICY_LOSSES[grpo.loss]

    def loss_of(batch: MicroBatch, logprobs: torch.Tensor, entropies: torch.Tensor) -> torch.Tensor:
        result = policy_loss(logprobs, batch.logprobs, batch.advantages, grpo)
        sums.add_(
            torch.stack([entropies.sum(), result.divergence, result.ratio, result.clipped])
            .double()
            .cpu()
        )
        return result.loss / tokens

    own: list[Example] = examples[rank::world]
    loss, *totals = sum_over_workers(
        accumulate_gradients(backend, own, grpo.micro_tokens, job.pad_id, loss_of), *sums.tolist()
    )
    norm = backend.step(scheduled_learning_rate(grpo.optimiser, update, grpo.updates))
    entropy, divergence, ratio, clipped = (round(total / tokens, 6) for total in totals)
    return {
        "loss": round(loss, 6),
        "entropy": entropy,
        "mismatch_kl": divergence,
        "ratio_mean": ratio,
        "clip_fraction": clipped,
        "grad_norm": round(norm, 4),
        "tokens": tokens,
        "learn_seconds": round(time.monotonic() - started, 2),
    }


def _pass_rates(scored: Sequence[ScoredRollout]) -> dict[str, float]:
    groups: dict[str, list[float]] = {}
    for rollout in scored:
        groups.setdefault(rollout.group, []).append(rollout.reward.task or 0.0)
    return {group: sum(tasks) / len(tasks) for group, tasks in groups.items()}


def _rollout_figures(scored: Sequence[ScoredRollout]) -> dict[str, Any]:
    totals = [rollout.reward.total for rollout in scored if rollout.reward.total is not None]
    tasks = [rollout.reward.task for rollout in scored if rollout.reward.task is not None]
    return {
        "rollouts": len(scored),
        "reward_mean": round(sum(totals) / len(totals), 4) if totals else None,
        "exact_match": round(sum(tasks) / len(tasks), 4) if tasks else None,
        "answer_rate": round(
            sum(rollout.trajectory.answer is not None for rollout in scored) / max(len(scored), 1),
            4,
        ),
        "groups_used": len({rollout.group for rollout in scored if rollout.advantage is not None}),
    }


def _expert(config: PipelineConfig) -> ExpertPreference:
    if config.grpo.expert == "rules":
        return RulesPreference()
    return ModelPreference(open_chat_client(config.llm))
