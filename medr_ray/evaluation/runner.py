"""Answering and judging: every task by every set of weights, over HTTP, each finished part kept.

An episode that ended is never run again, and a judged answer is never judged again. What failed for
reasons of infrastructure leaves no part, so a resumed run tries it afresh.
"""

import asyncio
import contextlib
import functools
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from medr_ray.agent.policies import ChatPolicy, Policy
from medr_ray.agent.tool_features import Rarity
from medr_ray.core.config import PipelineConfig
from medr_ray.core.failure_streak import FailureStreak
from medr_ray.core.progress import Bar
from medr_ray.core.records import EvaluationResult, Task, Trajectory, Usage, from_row
from medr_ray.core.run import StageContext
from medr_ray.evaluation.figures import JudgedAnswer
from medr_ray.evaluation.scorers.base import UNSCORED, Score, Scorer
from medr_ray.llm.completions import ChatResult, parse_completion
from medr_ray.llm.failures import ReportedError, UnreadableReply, explain_failure
from medr_ray.rollouts.outcomes import RolloutOutcome
from medr_ray.rollouts.worker import RolloutRequest

_NO_USAGE = Usage(0, 0, 0)
# A full queue refuses with Retry-After; the client waits so long and asks again.
_CLIENT_RETRIES = 4


@dataclass(frozen=True)
class Endpoint:
    """Where the models are served, and the key to them. Lives in memory only."""

    base_url: str
    key: str


class ServedPolicies:
    """Policies over the served models; a rollout's mode names the weights.

    All policies of a worker share one HTTP client.
    """

    def __init__(self, endpoint: Endpoint, config: PipelineConfig) -> None:
        import openai

        self._endpoint = endpoint
        self._agent = config.agent
        self._temperature = config.evaluation.temperature
        # The pool sends its worker a factory and not this object, so the client is made where it is
        # used: open connections cannot be pickled.
        self._client: Any = openai.AsyncOpenAI(
            base_url=endpoint.base_url,
            api_key=endpoint.key,
            max_retries=_CLIENT_RETRIES,
            # A later answer is of no use: the rollout has passed its own deadline by then.
            timeout=config.agent.seconds,
        )

    def __call__(self, request: RolloutRequest) -> Policy:
        # An evaluation has no teaching modes. The mode carries the name of the weights, which is
        # also the name that they are served under.
        return ChatPolicy(functools.partial(self._request_completion, request.mode))

    async def _request_completion(self, model: str, messages: list[dict[str, str]]) -> ChatResult:
        import openai

        payload = {
            "model": model,
            "messages": messages,
            "temperature": self._temperature,
            "max_tokens": self._agent.max_turn_tokens,
        }
        try:
            create = self._client.chat.completions.with_raw_response.create
            # The package would read the answer by OpenAI's types, and stumble over others.
            response = await create(**payload)
            return parse_completion(response.content, payload)
        except (openai.OpenAIError, ReportedError, UnreadableReply) as error:
            # The name of the key's variable is "": the key is the run's own and in no environment
            # variable.
            raise explain_failure(
                error, self._endpoint.base_url, "", self._endpoint.key, _CLIENT_RETRIES
            ) from None


@dataclass(frozen=True)
class Attempt:
    """One task of a benchmark, given to one set of weights."""

    benchmark: str
    weights: str
    task: Task
    rollout: int

    @property
    def part_file(self) -> str:
        """The name of its part among the answers, and among the verdicts."""
        # Made of all that tells attempts apart, and not of their order: a resumed run finds the
        # part of an attempt whichever of them finished before.
        return f"{self.benchmark}/{self.weights}/{self.task.task_id}-{self.rollout}.json"

    @property
    def rollout_request(self) -> RolloutRequest:
        """What the rollout pool runs."""
        return RolloutRequest(self.task, self.weights, self.rollout)


class EvaluationRunner:
    """Runs and judges attempts, and keeps the parts in ``context.directory``.

    ``failures`` says, by the attempt's file, why it has no trajectory.
    """

    def __init__(self, context: StageContext, attempts: Sequence[Attempt]) -> None:
        self._context = context
        self._attempts = attempts
        # Two folders: an answer whose judge failed is judged again without a new episode.
        self._answers = context.directory.child("answers")
        self._verdicts = context.directory.child("verdicts")
        self.failures: dict[str, str] = {}
        self._judge_streak = FailureStreak("answers that were to be judged")

    def list_pending(self) -> list[Attempt]:
        """Attempts without a finished episode."""
        return [
            attempt for attempt in self._attempts if not self._answers.exists(attempt.part_file)
        ]

    def answer_pending(self, endpoint: Endpoint) -> None:
        """Run the pending episodes with ``evaluation.concurrency`` of them in flight.

        One set of weights finishes before the next starts, so that a server that keeps few models
        loaded does not change them all the time.
        """
        # The pool imports Ray, which planning does not need.
        from medr_ray.rollouts.pool import RolloutPool

        pending = self.list_pending()
        config = _limit_to_one_worker(self._context.config)

        def make_policies(rarity: Rarity | None) -> ServedPolicies:
            # In the worker: open connections cannot be sent to it.
            return ServedPolicies(endpoint, config)

        index_uri = self._context.upstream("index").uri
        with (
            RolloutPool(config, index_uri, make_policies, reports=self._context.directory) as pool,
            Bar(self._context.console, "evaluation", len(pending), "answers") as bar,
        ):
            for (_, weights), attempts in _group_by_weights(pending).items():
                # Task ids are unique within a benchmark only, hence one call of run for each.
                attempt_by_key = {attempt.rollout_request.key: attempt for attempt in attempts}
                requests = [attempt.rollout_request for attempt in attempts]
                with contextlib.closing(pool.run(requests)) as outcomes:
                    for outcome in outcomes:
                        self._keep_outcome(attempt_by_key[outcome.request.key], outcome)
                        bar.advance(note=weights)

    def _keep_outcome(self, attempt: Attempt, outcome: RolloutOutcome) -> None:
        if outcome.trajectory is None:
            # No part is written, so that a resumed run tries the attempt again.
            self.failures[attempt.part_file] = f"{outcome.kind}: {outcome.failure}"
            return
        part = {"trajectory": asdict(outcome.trajectory), "seconds": round(outcome.seconds, 3)}
        self._answers.write_json(attempt.part_file, part)

    def judge_answers(self, scorers: Mapping[str, Scorer]) -> list[JudgedAnswer]:
        """Judge all answers, in the order of the attempts. ``scorers`` are by benchmark.

        Raises InfrastructureError when judging fails again and again for the same reason; the
        verdicts until then are kept.
        """
        return asyncio.run(self._judge_all(scorers))

    async def _judge_all(self, scorers: Mapping[str, Scorer]) -> list[JudgedAnswer]:
        # As many as the endpoint may have open. More would only wait in the governor's queue.
        limit = asyncio.Semaphore(self._context.config.llm.concurrency)

        async def judge_within_limit(attempt: Attempt) -> JudgedAnswer:
            async with limit:
                return await self._judge_attempt(scorers[attempt.benchmark], attempt)

        judgements = (judge_within_limit(attempt) for attempt in self._attempts)
        # ``gather`` returns in the order of the attempts, whichever verdict comes first.
        return list(await asyncio.gather(*judgements))

    async def _judge_attempt(self, scorer: Scorer, attempt: Attempt) -> JudgedAnswer:
        if not self._answers.exists(attempt.part_file):
            reason = self.failures.get(attempt.part_file, "not answered")
            return JudgedAnswer(_build_unanswered_result(attempt), None, reason)
        part = self._answers.read_json(attempt.part_file)
        trajectory = from_row(Trajectory, part["trajectory"])
        score = await self._score_once(scorer, attempt, trajectory.answer)
        result = EvaluationResult(
            benchmark=attempt.benchmark,
            model=attempt.weights,
            task_id=attempt.task.task_id,
            rollout=attempt.rollout,
            prediction=trajectory.answer,
            verdict=score.verdict,
            judge=score.judge or score.scorer,
            stop_reason=trajectory.stop_reason,
            usage=trajectory.usage,
            seconds=part["seconds"],
        )
        return JudgedAnswer(result, trajectory, score.reason)

    async def _score_once(self, scorer: Scorer, attempt: Attempt, prediction: str | None) -> Score:
        """The kept score, or a new one, which is kept unless the judge failed."""
        if self._verdicts.exists(attempt.part_file):
            return Score(**self._verdicts.read_json(attempt.part_file))
        score = await scorer.score(attempt.task, prediction)
        if score.verdict == UNSCORED:
            self._judge_streak.record_failure(score.reason)
            self._judge_streak.require_hope()
            return score
        self._judge_streak.record_success()
        self._verdicts.write_json(attempt.part_file, asdict(score))
        return score


def _group_by_weights(attempts: Sequence[Attempt]) -> dict[tuple[str, str], list[Attempt]]:
    """Attempts by (benchmark, weights), in the order in which each first occurs."""
    groups: dict[tuple[str, str], list[Attempt]] = {}
    for attempt in attempts:
        groups.setdefault((attempt.benchmark, attempt.weights), []).append(attempt)
    return groups


def _build_unanswered_result(attempt: Attempt) -> EvaluationResult:
    return EvaluationResult(
        benchmark=attempt.benchmark,
        model=attempt.weights,
        task_id=attempt.task.task_id,
        rollout=attempt.rollout,
        prediction=None,
        # Never incorrect: infrastructure failed, not the model.
        verdict=UNSCORED,
        judge="",
        stop_reason="infrastructure",
        usage=_NO_USAGE,
        seconds=0.0,
    )


def _limit_to_one_worker(config: PipelineConfig) -> PipelineConfig:
    """The configuration with one worker that has all episodes in flight, because episodes wait for
    the model and not for the worker's CPU. Tools are called in the text, as the served models were
    trained to."""
    rollouts = config.rollouts.model_copy(
        update={"workers": 1, "max_workers": 1, "concurrency": config.evaluation.concurrency}
    )
    agent = config.agent.model_copy(update={"tool_calls": "text"})
    return config.model_copy(update={"rollouts": rollouts, "agent": agent})
