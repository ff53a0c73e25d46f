"""The part of a GRPO update that only rank 0 runs.

It chooses questions, has them rolled out, scores the rollouts, and gives the engine the new
weights. A rollout that failed because of the infrastructure is excluded and counted. It never
becomes a reward.
"""

import threading
import time
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from medr_ray.core.config import GRPOConfig, PipelineConfig
from medr_ray.core.records import Question, Trajectory
from medr_ray.core.run import Directory
from medr_ray.llm.roles import open_chat_client
from medr_ray.rollouts.engine_placement import TrainerDevice
from medr_ray.rollouts.groups import minimum_viable
from medr_ray.rollouts.outcomes import GroupOutcome, RolloutOutcome
from medr_ray.rollouts.worker import RolloutRequest
from medr_ray.training.artifacts import ScoredRollout
from medr_ray.training.curriculum import Curriculum, hops_by_question
from medr_ray.training.engine_policies import EnginePolicyFactory
from medr_ray.training.experience import score_groups
from medr_ray.training.group_runner import GroupRunner
from medr_ray.training.grpo_job import GRPOJob
from medr_ray.training.heldout import HeldoutEvaluation, HeldoutFigures, choose_heldout
from medr_ray.training.rewards import (
    ExpertPreference,
    ModelPreference,
    RulesPreference,
    compute_rewards,
)
from medr_ray.training.staleness import is_stale, measure_staleness
from medr_ray.training.truncation import count_truncated_by_length, is_truncated
from medr_ray.training.turn_rewards import find_turn_rewards
from medr_ray.training.update_checks import require_usable_rollouts
from medr_ray.training.update_metrics import RolloutFigures
from medr_ray.training.weight_sync import WeightReceiver


@dataclass(frozen=True)
class CollectedRollouts:
    """The scored rollouts of one update, in the order of their questions, and their figures.

    ``curriculum`` is the state of the curriculum once it knew of them. Those of the next update may
    be collected already when this one is learnt.
    """

    rollouts: list[ScoredRollout]
    figures: RolloutFigures
    curriculum: dict[str, Any]


class RolloutCoordinator:
    """Collects the rollouts of each update. Owns the pool and the engines until ``close``."""

    def __init__(
        self,
        config: GRPOConfig,
        questions: Sequence[Question],
        curriculum: Curriculum,
        pool: GroupRunner,
        engines: WeightReceiver,
        expert: ExpertPreference,
        heldout: Sequence[Question] = (),
        shares_devices: bool = False,
    ) -> None:
        self._config = config
        self._shares_devices = shares_devices
        self._questions = {question.task.task_id: question for question in questions}
        self._curriculum = curriculum
        self._pool = pool
        # A pool runs one set of requests at a time. The rollouts of the next update may still run
        # when held-out questions are due.
        self._pool_lock = threading.Lock()
        self.engines = engines
        self._expert = expert
        self._heldout = HeldoutEvaluation(pool, heldout)

    def collect(self, update: int) -> CollectedRollouts:
        """Roll out the next questions with the weights the engines serve, and score them."""
        started = time.monotonic()
        with self._pool_lock:
            outcomes, rollouts = self._run_rollouts(update)
        require_usable_rollouts(update + 1, outcomes, self._config.max_excluded)
        self._curriculum.record_pass_rates(pass_rate_by_question(rollouts))
        trajectories = [rollout.trajectory for rollout in rollouts]
        rewards = [rollout.reward for rollout in rollouts]
        cut_by = Counter(
            trajectory.stop_reason for trajectory in trajectories if is_truncated(trajectory)
        )
        taught = [rollout.trajectory for rollout in rollouts if rollout.advantage is not None]
        staleness_mean, staleness_largest = measure_staleness(taught, update)
        questions = {outcome.request.task.task_id for outcome in outcomes}
        failures = Counter(outcome.kind for outcome in outcomes if outcome.kind)
        figures = RolloutFigures(
            rollouts=len(rollouts),
            reward_mean=_rounded_mean([reward.total for reward in rewards]),
            exact_match=_rounded_mean([reward.task for reward in rewards]),
            expert_mean=_rounded_mean([reward.expert for reward in rewards]),
            efficiency_mean=_rounded_mean([reward.efficiency for reward in rewards]),
            turn_mean=_rounded_mean([reward.turn for reward in rewards]),
            answer_rate=_answer_rate(rollouts),
            truncated=sum(cut_by.values()),
            truncated_by=dict(sorted(cut_by.items())),
            truncated_by_length=count_truncated_by_length(trajectories),
            groups=len(questions),
            groups_refilled=max(0, len(questions) - self._config.questions_per_update),
            groups_used=len({row.group for row in rollouts if row.advantage is not None}),
            rollouts_unused=sum(row.advantage is None for row in rollouts),
            stale=sum(is_stale(row, update, self._config.max_staleness) for row in trajectories),
            staleness_mean=staleness_mean,
            staleness_largest=staleness_largest,
            excluded=len(outcomes) - len(rollouts),
            excluded_by=dict(sorted(failures.items())),
            level=self._curriculum.level,
            tool_seconds=round(
                sum(event.seconds for row in trajectories for event in row.tool_events), 2
            ),
            rollout_seconds=round(time.monotonic() - started, 2),
        )
        return CollectedRollouts(rollouts, figures, self._curriculum.state())

    def measure_heldout(self, update: int) -> HeldoutFigures:
        """How the engines' weights do on held-out questions after ``update`` updates."""
        with self._pool_lock:
            return self._heldout.measure(update)

    def yield_devices(self) -> None:
        """Let the engines sleep, where the trainers learn on the same devices. New weights wake
        them."""
        if self._shares_devices:
            self.engines.sleep()

    def close(self) -> None:
        """End the rollout workers and the engines."""
        try:
            self._pool.close()
        finally:
            # A GPU that nobody uses any more is free for the next attempt.
            self.engines.close()

    def _run_rollouts(self, update: int) -> tuple[list[RolloutOutcome], list[ScoredRollout]]:
        """The outcomes of the update's groups and the scored rollouts among them, both in the order
        of their questions and numbers.

        A question whose group teaches nothing is replaced by the next of the curriculum, up to
        ``grpo.refill`` of them (the dynamic sampling of DAPO, arXiv 2503.14476). Each such group
        adds one question, so which questions run depends on what the groups came to, and not on
        which was first.
        """
        size = self._config.questions_per_update
        chosen = self._curriculum.select_questions(size + self._config.refill, update)
        spare = deque(chosen[size:])
        scored: dict[str, list[ScoredRollout]] = {}

        def replace_group(group: GroupOutcome) -> list[list[RolloutRequest]]:
            rollouts = self._score_rollouts(update, group.outcomes)
            question = group.outcomes[0].request.task.task_id
            scored[question] = rollouts
            teaches = any(rollout.advantage is not None for rollout in rollouts)
            if teaches or not spare:
                return []
            return [self._make_group(spare.popleft(), update)]

        groups = [self._make_group(question, update) for question in chosen[:size]]
        # Without a refill nothing is scored before the end, when all can be scored together.
        finished = self._pool.run_groups(
            groups, self._config.min_group_fraction, replace_group if spare else None
        )
        outcomes = [outcome for group in finished for outcome in group.outcomes]
        # Groups come as they finish. Nothing that follows may depend on which was first.
        outcomes.sort(key=lambda outcome: outcome.request.key)
        if not scored:
            return outcomes, self._score_rollouts(update, outcomes)
        return outcomes, [rollout for question in sorted(scored) for rollout in scored[question]]

    def _make_group(self, question: str, update: int) -> list[RolloutRequest]:
        size = self._config.group_size
        # Numbered through the whole run: a question that comes again gets rollouts of its own.
        numbers = range(update * size, (update + 1) * size)
        task = self._questions[question].task
        return [RolloutRequest(task, rollout=number, keep_cut=True) for number in numbers]

    def _score_rollouts(
        self, update: int, outcomes: Sequence[RolloutOutcome]
    ) -> list[ScoredRollout]:
        trajectories: list[Trajectory] = [
            outcome.trajectory for outcome in outcomes if outcome.trajectory is not None
        ]
        questions = [self._questions[trajectory.question_id] for trajectory in trajectories]
        tasks = [question.task for question in questions]
        shares = [
            find_turn_rewards(trajectory, question)
            for trajectory, question in zip(trajectories, questions, strict=True)
        ]
        rewards = [
            replace(reward, turn=sum(of_turns))
            for reward, of_turns in zip(
                compute_rewards(trajectories, tasks, self._config, self._expert),
                shares,
                strict=True,
            )
        ]
        weight = self._config.turn_reward
        paid = [tuple(weight * share for share in of_turns) for of_turns in shares]
        minimum = minimum_viable(self._config.group_size, self._config.min_group_fraction)
        masks_truncated = self._config.truncated == "masked"
        bound = self._config.max_staleness
        left_out = [
            (masks_truncated and is_truncated(trajectory)) or is_stale(trajectory, update, bound)
            for trajectory in trajectories
        ]
        return score_groups(
            update,
            trajectories,
            rewards,
            minimum,
            left_out,
            self._config.min_spread,
            paid if weight else (),
            self._config.learnt_rollouts,
        )


def start_coordinator(
    job: GRPOJob,
    curriculum_state: dict[str, Any] | None,
    trainers: Sequence[TrainerDevice] = (),
) -> RolloutCoordinator:
    """Start the engines and the rollout workers.

    ``curriculum_state`` is that of a checkpoint; None at a fresh start. ``trainers`` are the GPUs
    that engines under ``engine.placement: colocated`` share.
    """
    # Only rank 0 gets here; the other workers need neither the pool nor the engines.
    from medr_ray.rollouts.engine_placement import open_fleet
    from medr_ray.rollouts.pool import RolloutPool

    config = job.config
    trust_remote_code = config.models.trust_remote_code
    # Before anything is started: what fails here leaves nothing behind.
    curriculum = start_curriculum(config, job.questions, curriculum_state)
    run_uri, _, _ = job.directory_uri.rpartition("/")
    expert = open_expert(config, Directory(run_uri))
    reports = Directory(job.directory_uri)
    fleet = open_fleet(
        job.model_dir,
        config.engine,
        trust_remote_code,
        job.engine_places,
        trainers,
        config.run.seed,
        config.grpo.adapter_rank,
    )
    factory = EnginePolicyFactory(
        fleet.open_client(),
        job.model_dir,
        config.agent,
        config.grpo.temperature,
        trust_remote_code,
        config.run.seed,
    )
    try:
        pool = RolloutPool(
            config,
            job.index_uri,
            lambda rarity: factory,
            reports=reports,
            may_begin=fleet.is_serving,
        )
    except BaseException:
        fleet.close()
        raise
    return RolloutCoordinator(
        config.grpo,
        job.questions,
        curriculum,
        pool,
        fleet,
        expert,
        choose_heldout(job.heldout, config.grpo.evaluation_questions, config.run.seed),
        shares_devices=config.engine.placement == "colocated",
    )


def start_curriculum(
    config: PipelineConfig, questions: Sequence[Question], state: dict[str, Any] | None
) -> Curriculum:
    """The curriculum over ``questions``, continued from ``state`` where there is one."""
    hops = hops_by_question(questions)
    if state is None:
        return Curriculum(hops, config.run.seed, config.grpo.raise_at)
    return Curriculum.resume(hops, config.run.seed, config.grpo.raise_at, state)


def open_expert(config: PipelineConfig, run: Directory) -> ExpertPreference:
    """The expert preference that ``grpo.expert`` names. What it uses counts in ``run``, so that a
    budget of the run covers it; on object storage nothing can be counted."""
    if config.grpo.expert == "rules":
        return RulesPreference()
    is_local = run.free_space() is not None
    return ModelPreference(open_chat_client(config.llm, run if is_local else None, "preference"))


def pass_rate_by_question(rollouts: Sequence[ScoredRollout]) -> dict[str, float]:
    """The share of each question's rollouts that answered it exactly."""
    matches: dict[str, list[float]] = {}
    for rollout in rollouts:
        matches.setdefault(rollout.group, []).append(rollout.reward.task or 0.0)
    return {question: sum(values) / len(values) for question, values in matches.items()}


def _rounded_mean(values: Sequence[float | None]) -> float | None:
    """The mean of what was scored, null where nothing was."""
    scored = [value for value in values if value is not None]
    return round(sum(scored) / len(scored), 4) if scored else None


def _answer_rate(rollouts: Sequence[ScoredRollout]) -> float:
    answered = sum(rollout.trajectory.answer is not None for rollout in rollouts)
    return round(answered / max(len(rollouts), 1), 4)
