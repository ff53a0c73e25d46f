"""Trajectories: 500 dialogues by the rules teacher, how many are accepted, and what they look like
beside the paper's.

Questions and index are those of a finished run: ``runs/questions`` of the checkout (``medr
questions generate -c configs/questions.yaml``), or the one MEDR_BENCH_RUN names; the agent and the
filter are set as configs/questions.yaml sets them. Guided and exploring as
``trajectories.guided_fraction`` says, with simulated tool failures; the real tools and the real
loop, in this process. ``--quick`` takes fewer questions.

The paper's figures are of other questions, of a far larger corpus and of a model as the teacher.
"""

import asyncio
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from medr_ray.agent.episode_loop import run_episode
from medr_ray.agent.faults import FaultPlan
from medr_ray.core.config import PipelineConfig
from medr_ray.core.measurement import Measurement, build_measurement, skip_measurement
from medr_ray.core.records import FilteredTrajectory, Question, Trajectory
from medr_ray.core.run import RunDirectory
from medr_ray.core.settings import load_config
from medr_ray.questions.artifacts import QUESTIONS
from medr_ray.rollouts.worker import RolloutRequest
from medr_ray.tools.registry import open_tools
from medr_ray.trajectories.dataset import DialogueEncoder
from medr_ray.trajectories.filtering import count_reasons, judge_trajectory
from medr_ray.trajectories.rarity import find_rare_questions
from medr_ray.trajectories.stage import plan_requests
from medr_ray.trajectories.statistics import (
    NUMBERS,
    PAPER_FIGURES,
    StatisticsInput,
    compute_statistics,
    count_accepted_by_kind,
)
from medr_ray.trajectories.teacher import RulesTeacherFactory

_CHECKOUT = Path(__file__).resolve().parents[2]
_DIALOGUES, _QUICK = 500, 45
_GOAL = 0.7  # accepted, and each of them is right and read in a tool response


def measure(quick: bool) -> Iterator[Measurement]:
    run = RunDirectory(os.environ.get("MEDR_BENCH_RUN") or str(_CHECKOUT / "runs" / "questions"))
    if run.stage("questions").manifest() is None or run.stage("index").manifest() is None:
        yield skip_measurement(
            "trajectories accepted",
            "",
            "medr questions generate -c configs/questions.yaml, or MEDR_BENCH_RUN",
        )
        return
    config = load_config(_CHECKOUT / "configs" / "questions.yaml")
    questions = run.read(QUESTIONS)
    train = [
        question
        for question in sorted(questions, key=lambda question: question.task.task_id)
        if question.split == "train"
    ]
    requests = plan_requests(train, config)[: _QUICK if quick else _DIALOGUES]
    started = time.perf_counter()
    trajectories = asyncio.run(_teach(requests, config, run))
    seconds = time.perf_counter() - started
    encoder = DialogueEncoder.open(config)
    tokens = {
        trajectory.trajectory_id: encoder.count_tokens(trajectory.messages)
        for trajectory in trajectories
    }
    by_id = {question.task.task_id: question for question in train}
    judged = [
        judge_trajectory(
            trajectory,
            by_id[trajectory.question_id].task,
            tokens[trajectory.trajectory_id],
            config.trajectories.max_tokens,
        )
        for trajectory in trajectories
    ]
    yield from _accepted(judged, by_id, seconds)
    rare = find_rare_questions(train, run.stage("index"))
    given = StatisticsInput(by_id, tokens, rare)
    yield from _figures([result.trajectory for result in judged if result.accepted], given)


async def _teach(
    requests: Sequence[RolloutRequest], config: PipelineConfig, run: RunDirectory
) -> list[Trajectory]:
    """The dialogues, one after another: a search keeps a core busy anyway."""
    toolbox = open_tools(config, run.stage("index"))
    factory = RulesTeacherFactory.from_config(config, rarity=toolbox.rarity)
    faults = FaultPlan(config.trajectories.tool_failure_rate, config.run.seed)
    return [
        await run_episode(
            request.task,
            factory(request),
            toolbox.tools,
            config.agent,
            mode=request.mode,
            rollout=request.rollout,
            faults=faults,
        )
        for request in requests
    ]


def _accepted(
    judged: Sequence[FilteredTrajectory],
    questions: Mapping[str, Question],
    seconds: float,
) -> Iterator[Measurement]:
    reasons = ", ".join(f"{reason} {count:,}" for reason, count in count_reasons(judged).items())
    yield build_measurement(
        "trajectories accepted",
        sum(result.accepted for result in judged) / len(judged),
        goal=_GOAL,
        note=f"of {len(judged):,}; the others: {reasons}",
    )
    groups = count_accepted_by_kind(judged, questions)
    for group in ("mode", "paradigm", "hops"):
        for kind, (accepted, every) in groups[group].items():
            name = f"{kind} hops" if group == "hops" else kind
            yield build_measurement(f"  of {name}", accepted / every, note=f"{accepted} of {every}")
    covered = [kind for kind, (accepted, _) in groups["specialty"].items() if accepted]
    yield build_measurement(
        "specialties with an accepted one",
        len(covered),
        note=", ".join(
            f"{kind} {accepted}/{every}" for kind, (accepted, every) in groups["specialty"].items()
        ),
    )
    yield build_measurement("dialogues", len(judged) / seconds, unit="/s", note="one process")


def _figures(accepted: Sequence[Trajectory], given: StatisticsInput) -> Iterator[Measurement]:
    for name, figure in compute_statistics(accepted, given).items():
        paper = PAPER_FIGURES.get(name)
        beside = "" if paper is None else f"; the paper has {paper:g}"
        yield build_measurement(
            f"{name}, mean" if name in NUMBERS else f"{name}, share",
            figure.value,
            note=f"of {figure.n:,}{beside}",
        )
