"""What an evaluation run is made of: respondents, benchmarks, attempts, answers, and their keys.

A key is a digest of everything that decides an answer, and of nothing else: the question as it is
asked, who answers (endpoint, model, sampling, agent), and the number of the rollout. The right
answer is no part of it, so that a corrected one is scored again and not asked again.
"""

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from medr_ray.core.parts import digest
from medr_ray.core.records import Task, Trajectory

# Hexadecimal digits that tell the versions of a right answer apart: few per task.
_GOLD_CHARACTERS = 8


@dataclass(frozen=True)
class Respondent:
    """Who answers.

    ``name`` is what tables call it, and ``max_tasks`` how many tasks of a benchmark it is asked,
    the first ones; the other fields decide its answers. ``endpoint`` is the base address, or what
    stands for it where the run serves its own weights; ``model`` the name there, or a digest of
    the weights. ``sampling`` holds temperature, token limits and seed. ``agent`` holds the agent's
    settings, tools and index; None where the question is asked plainly, with the prompt of
    ``prompt_digest``.
    """

    name: str
    endpoint: str
    model: str
    sampling: Mapping[str, Any]
    agent: Mapping[str, Any] | None = None
    prompt_digest: str = ""
    max_tasks: int | None = None

    @functools.cached_property
    def identity(self) -> str:
        """Equal for respondents whose answers may stand for each other's."""
        return digest(self.endpoint, self.model, self.sampling, self.agent, self.prompt_digest)


@dataclass(frozen=True)
class AskedBenchmark:
    """A benchmark as it was asked: ``tasks`` in order, cut to the number asked for. ``slices`` are
    names of task metadata that figures are split by, ``source`` describes where the tasks are
    from."""

    name: str
    title: str
    slices: tuple[str, ...]
    source: str
    tasks: tuple[Task, ...]


@dataclass(frozen=True)
class ScorerRecord:
    """A scorer that scored a benchmark: ``identity`` names its folder, ``judge`` the model that
    decided, "" where none did."""

    identity: str
    name: str
    judge: str = ""


@dataclass(frozen=True)
class Attempt:
    """One rollout of one task of a benchmark by one respondent."""

    benchmark: str
    respondent: Respondent
    task: Task
    rollout: int

    @functools.cached_property
    def key(self) -> str:
        """The name of its answer."""
        # Neither the benchmark nor the id of the task: a question that stands in two benchmarks is
        # one question.
        item = (self.task.text, self.task.language)
        return digest(item, self.respondent.identity, self.rollout)

    @functools.cached_property
    def score_key(self) -> str:
        """The name of its scores: that of its answer, and of what counts as right."""
        task = self.task
        gold = digest(task.answer, task.aliases, task.answer_type, task.metadata)
        return f"{self.key}-{gold[:_GOLD_CHARACTERS]}"


@dataclass(frozen=True)
class RunPlan:
    """What is asked of whom, ``rollouts`` times each. ``confidence`` is that of all intervals.
    ``request`` is what a command needs to go on with the run."""

    benchmarks: tuple[AskedBenchmark, ...]
    respondents: tuple[Respondent, ...]
    rollouts: int
    confidence: float
    request: Mapping[str, Any]

    def list_attempts(self) -> Iterator[Attempt]:
        """Every attempt. Respondents come before tasks: a server that keeps one model loaded then
        changes it once for each respondent of a benchmark."""
        for benchmark in self.benchmarks:
            for respondent in self.respondents:
                for task in benchmark.tasks[: respondent.max_tasks]:
                    for rollout in range(self.rollouts):
                        yield Attempt(benchmark.name, respondent, task, rollout)


@dataclass(frozen=True)
class Answer:
    """What came of an attempt. ``seconds`` is wall-clock time."""

    attempt: Attempt
    trajectory: Trajectory
    seconds: float

    @property
    def key(self) -> str:
        return self.attempt.key

    @property
    def benchmark(self) -> str:
        return self.attempt.benchmark

    @property
    def respondent(self) -> str:
        """The name of who answered."""
        return self.attempt.respondent.name

    @property
    def task(self) -> Task:
        return self.attempt.task

    @property
    def rollout(self) -> int:
        return self.attempt.rollout

    @property
    def prediction(self) -> str | None:
        """The answer itself; None where none was given."""
        return self.trajectory.answer

    @property
    def cost(self) -> float | None:
        """In USD; None where it is not known."""
        return self.trajectory.cost
