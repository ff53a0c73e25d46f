"""The trajectories stage: teacher rollouts over the training questions, judged and filtered."""

import functools
import hashlib
from collections import Counter
from collections.abc import Sequence

from medr_ray.agent.loop import FaultPlan
from medr_ray.core.config import PipelineConfig
from medr_ray.core.progress import Bar
from medr_ray.core.records import FilteredTrajectory, Question, Trajectory
from medr_ray.core.run import Counts, Directory, Stage, StageContext
from medr_ray.rollouts.worker import PolicyFactory, RolloutTask
from medr_ray.trajectories.teacher import EXPLORATION, GUIDED


def execute(context: StageContext) -> Counts:
    """Roll out, filter, write ``trajectories.parquet`` (all) and ``accepted.jsonl`` / ``rejected.jsonl``."""
    questions = context.upstream("questions").read_records("questions.parquet", Question)
    train = [one for one in questions if one.split == "train"]
    tasks = plan_tasks(train, context.config)
    failures = _roll_out(context, tasks)
    trajectories = _ledger(context).done()
    judged = _judge(context, train, trajectories)
    directory = context.directory
    directory.write_records("trajectories.parquet", FilteredTrajectory, judged)
    directory.write_jsonl("accepted.jsonl", [one.trajectory for one in judged if one.accepted])
    directory.write_jsonl("rejected.jsonl", [one for one in judged if not one.accepted])
    counts = _counts(judged, len(train), failures)
    context.console.print(
        f"trajectories: {counts['accepted']:,} accepted of {len(judged):,} ({counts['questions_covered']:.0%} of "
        f"{len(train):,} train questions), {counts['infrastructure_failures']} infrastructure failures")
    return counts


def plan_tasks(questions: Sequence[Question], config: PipelineConfig) -> list[RolloutTask]:
    """``guided_fraction`` of the rollouts guided (paper section 3.2.2), chosen by a seeded hash of the question."""
    tasks = []
    for question in questions:
        for rollout in range(config.trajectories.rollouts_per_question):
            digest = hashlib.sha256(f"{config.run.seed}/{question.question_id}/{rollout}".encode()).digest()
            guided = int.from_bytes(digest[:8], "big") / 2**64 < config.trajectories.guided_fraction
            tasks.append(RolloutTask(question, GUIDED if guided else EXPLORATION, rollout))
    return tasks


def _ledger(context: StageContext):  # type: ignore[no-untyped-def]
    from medr_ray.rollouts.ledger import Ledger

    return Ledger(context.directory, context.config.rollouts.part_size)


def _factory(config: PipelineConfig, run: Directory) -> PolicyFactory:
    from medr_ray.trajectories.teacher import ChatTeacherFactory, RulesTeacherFactory

    return ChatTeacherFactory(config, run) if config.trajectories.teacher == "llm" else RulesTeacherFactory(
        config.agent.tools)


def _roll_out(context: StageContext, tasks: Sequence[RolloutTask]) -> dict[str, str]:
    """Run what is not in the ledger yet; returns the failures by task key."""
    from medr_ray.rollouts.pool import RolloutPool

    config, ledger = context.config, _ledger(context)
    waiting = ledger.open_tasks(tasks)
    if not waiting:
        return {}
    failures = {}
    faults = FaultPlan(config.trajectories.tool_failure_rate, config.run.seed)
    index_uri = context.upstream("index").uri
    with (
        RolloutPool(config, index_uri, functools.partial(_factory, config, context.run), faults) as pool,
        Bar(context.console, "trajectories", len(waiting), "rollouts") as bar,
    ):
        for outcome in ledger.record(pool.run(waiting)):
            bar.advance()
            if outcome.trajectory is None:
                failures[outcome.task.key] = outcome.failure
    return failures


def _judge(
    context: StageContext, questions: Sequence[Question], trajectories: Sequence[Trajectory],
) -> list[FilteredTrajectory]:
    from medr_ray.trajectories.dataset import DialogueEncoder
    from medr_ray.trajectories.filtering import judge_trajectory

    by_id = {question.question_id: question for question in questions}
    encoder = DialogueEncoder.open(context.config)
    limit = context.config.trajectories.max_tokens
    return [
        judge_trajectory(one, by_id[one.question_id], encoder.length(one.messages) > limit) for one in trajectories]


def _counts(judged: Sequence[FilteredTrajectory], questions: int, failures: dict[str, str]) -> dict[str, object]:
    accepted = [one.trajectory for one in judged if one.accepted]
    events = [event for one in judged for event in one.trajectory.tool_events]
    return {
        "train_questions": questions,
        "accepted": len(accepted),
        "rejected": len(judged) - len(accepted),
        "questions_covered": round(len({one.question_id for one in accepted}) / max(questions, 1), 4),
        "reasons": dict(sorted(Counter(reason for one in judged for reason in one.reasons).items())),
        "modes": dict(sorted(Counter(one.mode for one in accepted).items())),
        "tools": dict(sorted(Counter(event.tool for event in events).items())),
        "tool_calls_mean": round(sum(len(one.tool_events) for one in accepted) / max(len(accepted), 1), 3),
        "simulated_failures": sum(event.simulated_failure for event in events),
        "infrastructure_failures": len(failures),
    }


TRAJECTORIES = Stage(
    name="trajectories", needs=("questions", "index"), sections=("agent", "trajectories", "retrieval", "models", "llm"),
    execute=execute)
