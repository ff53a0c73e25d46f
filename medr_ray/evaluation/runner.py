"""Answering and judging: every held-out question by every set of weights, over HTTP, each finished
part kept.

What holds: an episode that ended is never run again, a judged one never judged again; what failed
for reasons of infrastructure leaves no part, so a resumed run tries it afresh.
"""

import asyncio
import functools
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from medr_ray.agent.policies import ChatPolicy, Policy
from medr_ray.core.config import PipelineConfig
from medr_ray.core.progress import Bar
from medr_ray.core.records import EvaluationResult, Task, Trajectory, Usage, from_row
from medr_ray.core.run import Directory, StageContext
from medr_ray.evaluation.judges import UNSCORED, AnswerJudge, Judgement
from medr_ray.llm.completions import ChatResult, read_completion
from medr_ray.llm.failures import UnreadableReply, explain_failure
from medr_ray.rollouts.worker import RolloutTask

BENCHMARK = "heldout"
_NOTHING_USED = Usage(0, 0, 0)
_CLIENT_RETRIES = (
    4  # the served queue refuses with Retry-After when full; the client waits and asks again
)


@dataclass(frozen=True)
class Endpoint:
    """Where the models are served, and the key to them. Lives in memory only."""

    base_url: str
    key: str


class ServedPolicies:
    """Policies over the served models; a task's mode names the weights. One HTTP client for all of
    a worker's."""

    def __init__(self, endpoint: Endpoint, config: PipelineConfig) -> None:
        import openai

        self._endpoint = endpoint
        self._agent, self._temperature = config.agent, config.evaluation.temperature
        self._client: Any = openai.AsyncOpenAI(
            base_url=endpoint.base_url,
            api_key=endpoint.key,
            max_retries=_CLIENT_RETRIES,
            timeout=config.agent.seconds,
        )

    def __call__(self, task: RolloutTask) -> Policy:
        return ChatPolicy(functools.partial(self._complete, task.mode))

    async def _complete(self, model: str, messages: list[dict[str, str]]) -> ChatResult:
        import openai

        payload = {
            "model": model,
            "messages": messages,
            "temperature": self._temperature,
            "max_tokens": self._agent.max_turn_tokens,
        }
        try:
            return read_completion(await self._client.chat.completions.create(**payload), payload)
        except (openai.OpenAIError, UnreadableReply) as error:
            raise explain_failure(
                error, self._endpoint.base_url, "", self._endpoint.key, _CLIENT_RETRIES
            ) from None


@dataclass(frozen=True)
class Attempt:
    """One task put to one set of weights."""

    weights: str
    task: Task
    rollout: int

    @property
    def file(self) -> str:
        return f"{self.weights}/{self.task.task_id}-{self.rollout}.json"


class EvaluationRunner:
    """Runs and judges attempts into ``context.directory``; ``failures`` tells why an attempt has no
    trajectory."""

    def __init__(self, context: StageContext, attempts: Sequence[Attempt]) -> None:
        self._context, self._attempts = context, attempts
        self._answers, self._verdicts = (
            context.directory.child("answers"),
            context.directory.child("verdicts"),
        )
        self.failures: dict[str, str] = {}

    def pending(self) -> list[Attempt]:
        """Attempts without a finished episode, weights by weights."""
        return [one for one in self._attempts if not self._answers.exists(one.file)]

    def answer(self, endpoint: Endpoint) -> None:
        """Run the pending episodes with ``evaluation.concurrency`` of them in flight; weights take
        turns."""
        from medr_ray.rollouts.pool import RolloutPool

        pending = self.pending()
        config = _pool_config(self._context.config)
        factory = functools.partial(ServedPolicies, endpoint, config)
        with (
            RolloutPool(
                config,
                self._context.upstream("index").uri,
                factory,
                reports=self._context.directory,
            ) as pool,
            Bar(self._context.console, "evaluation", len(pending), "answers") as bar,
        ):
            for name in dict.fromkeys(one.weights for one in pending):
                tasks = {
                    RolloutTask(a.task, a.weights, a.rollout).key: a
                    for a in pending
                    if a.weights == name
                }
                for outcome in pool.run(
                    RolloutTask(a.task, a.weights, a.rollout) for a in tasks.values()
                ):
                    attempt = tasks[outcome.task.key]
                    if outcome.trajectory is None:
                        self.failures[attempt.file] = f"{outcome.kind}: {outcome.failure}"
                    else:
                        part = {
                            "trajectory": asdict(outcome.trajectory),
                            "seconds": round(outcome.seconds, 3),
                        }
                        self._answers.write_json(attempt.file, part)
                    bar.advance(note=name)

    def judge(
        self, judge: AnswerJudge
    ) -> tuple[list[EvaluationResult], list[Trajectory], list[dict[str, Any]]]:
        """Judge what was answered: (results, trajectories, unscored attempts with their reasons),
        in given order."""
        return asyncio.run(self._judge(judge))

    async def _judge(
        self,
        judge: AnswerJudge,
    ) -> tuple[list[EvaluationResult], list[Trajectory], list[dict[str, Any]]]:
        limit = asyncio.Semaphore(self._context.config.llm.concurrency)

        async def one(attempt: Attempt) -> tuple[EvaluationResult, Trajectory | None, str]:
            async with limit:
                return await self._judged(judge, attempt)

        rows = await asyncio.gather(*(one(attempt) for attempt in self._attempts))
        unscored = [
            {
                "model": result.model,
                "item_id": result.item_id,
                "rollout": result.rollout,
                "reason": reason,
            }
            for result, _, reason in rows
            if result.verdict == UNSCORED
        ]
        return [row[0] for row in rows], [row[1] for row in rows if row[1] is not None], unscored

    async def _judged(
        self, judge: AnswerJudge, attempt: Attempt
    ) -> tuple[EvaluationResult, Trajectory | None, str]:
        if not self._answers.exists(attempt.file):
            reason = self.failures.get(attempt.file, "not answered")
            return _unanswered(attempt), None, reason
        part = self._answers.read_json(attempt.file)
        trajectory = from_row(Trajectory, part["trajectory"])
        judgement = await _kept_judgement(self._verdicts, attempt, trajectory, judge)
        result = EvaluationResult(
            benchmark=BENCHMARK,
            model=attempt.weights,
            item_id=attempt.task.task_id,
            rollout=attempt.rollout,
            prediction=trajectory.answer,
            verdict=judgement.verdict,
            judge=judgement.judge,
            stop_reason=trajectory.stop_reason,
            usage=trajectory.usage,
            seconds=part["seconds"],
        )
        return result, trajectory, judgement.reason


async def _kept_judgement(
    verdicts: Directory,
    attempt: Attempt,
    trajectory: Trajectory,
    judge: AnswerJudge,
) -> Judgement:
    if verdicts.exists(attempt.file):
        return Judgement(**verdicts.read_json(attempt.file))
    judgement = await judge.judge(attempt.task, trajectory.answer)
    if judgement.verdict != UNSCORED:
        verdicts.write_json(attempt.file, asdict(judgement))
    return judgement


def _unanswered(attempt: Attempt) -> EvaluationResult:
    return EvaluationResult(
        benchmark=BENCHMARK,
        model=attempt.weights,
        item_id=attempt.task.task_id,
        rollout=attempt.rollout,
        prediction=None,
        verdict=UNSCORED,
        judge="",
        stop_reason="infrastructure",
        usage=_NOTHING_USED,
        seconds=0.0,
    )


def _pool_config(config: PipelineConfig) -> PipelineConfig:
    """One worker with all episodes in flight: episodes wait for the model, not for the worker's
    CPU. The served models were trained on calls in the text."""
    rollouts = config.rollouts.model_copy(
        update={"workers": 1, "max_workers": 1, "concurrency": config.evaluation.concurrency}
    )
    agent = config.agent.model_copy(update={"tool_calls": "text"})
    return config.model_copy(update={"rollouts": rollouts, "agent": agent})
