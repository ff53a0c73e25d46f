"""A worker actor: opens the index once, then runs many episodes concurrently on its event loop."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from medr_ray.agent.loop import NO_FAULTS, FaultPlan, run_episode
from medr_ray.agent.policies import Policy
from medr_ray.core.config import PipelineConfig
from medr_ray.core.records import Question, Trajectory
from medr_ray.core.run import Directory
from medr_ray.retrieval.retriever import Retriever
from medr_ray.tools.registry import build_tools


@dataclass(frozen=True)
class RolloutTask:
    """One rollout to make: a question, the mode (guided or exploration) and the rollout's number within it."""

    question: Question
    mode: str = "exploration"
    rollout: int = 0

    @property
    def key(self) -> str:
        """What the ledger knows the task by."""
        return f"{self.question.question_id}/{self.mode}/{self.rollout}"


class PolicyFactory(Protocol):
    """Makes the policy of one episode inside the worker. Sent to the worker once; must be picklable."""

    def __call__(self, task: RolloutTask) -> Policy:
        """A fresh policy for this task."""
        ...


class RolloutWorker:
    """Runs episodes. ``index_uri`` is the index stage's directory."""

    def __init__(
        self, config: PipelineConfig, index_uri: str, make_factory: Callable[[], PolicyFactory],
        faults: FaultPlan = NO_FAULTS,
    ) -> None:
        self._config, self._faults = config, faults
        retriever = Retriever.open(Directory(index_uri), config.retrieval, config.models)
        self._tools = build_tools(config.agent.tools, retriever, config.agent.observation_chars)
        self._factory = make_factory()

    async def run(self, task: RolloutTask) -> Trajectory:
        """One episode; raises InfrastructureError as ``run_episode`` does."""
        return await run_episode(
            task.question, self._factory(task), self._tools, self._config.agent,
            mode=task.mode, rollout=task.rollout, faults=self._faults)
