"""The trajectories stage: teacher rollouts over the training questions, judged, filtered, and
worded anew if asked."""

import functools
import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from medr_ray.agent.faults import FaultPlan
from medr_ray.core.config import PipelineConfig
from medr_ray.core.progress import Bar
from medr_ray.core.records import FilteredTrajectory, Question, TeachingMode, Trajectory
from medr_ray.core.run import Counts, RunDirectory, Stage, StageContext
from medr_ray.knowledge.published_reports import is_report
from medr_ray.llm.roles import open_chat_client
from medr_ray.questions.artifacts import QUESTIONS
from medr_ray.rollouts.worker import PolicyFactory, RolloutRequest
from medr_ray.trajectories.artifacts import TRAJECTORIES
from medr_ray.trajectories.dataset import SAMPLE, DialogueEncoder
from medr_ray.trajectories.filtering import Reason, judge_trajectory, reason_counts
from medr_ray.trajectories.rewriting import Rewrite, applied, rewrite_all
from medr_ray.trajectories.specialty_sampling import copies
from medr_ray.trajectories.statistics import passed, statistics
from medr_ray.trajectories.teacher import EXPLORATION, GUIDED

if TYPE_CHECKING:
    from medr_ray.rollouts.ledger import Ledger


def execute(context: StageContext) -> Counts:
    """Roll out, filter, rewrite; write ``trajectories.parquet`` (all), ``accepted.jsonl``,
    ``rejected.jsonl`` (ids and every reason) and ``sample.json`` (how often training takes each
    accepted one)."""
    questions = context.run.read(QUESTIONS)
    train = {question.task.task_id: question for question in questions if question.split == "train"}
    _roll_out(context, list(train.values()))
    ledger = _ledger(context)
    judged, tokens = _judge(context, train, ledger.done())
    rewritten = _rewrite(context, train, judged, tokens)
    accepted = [entry.trajectory for entry in judged if entry.accepted]
    directory, settings = context.directory, context.config.trajectories
    directory.write(TRAJECTORIES, judged)
    directory.write_jsonl("accepted.jsonl", accepted)
    directory.write_jsonl(
        "rejected.jsonl", [rejected_row(entry) for entry in judged if not entry.accepted]
    )
    specialties = {
        trajectory.trajectory_id: train[trajectory.question_id].specialty for trajectory in accepted
    }
    directory.write_json(
        SAMPLE, copies(specialties, settings.balance, settings.most_copies, context.config.run.seed)
    )
    counts = _counts(judged, train) | {
        "statistics": statistics(accepted, tokens),
        "rewritten": rewritten,
        "infrastructure_failures": len(ledger.failures()),
    }
    context.console.print(
        f"trajectories: {counts['accepted']:,} accepted of {len(judged):,} "
        f"({counts['questions_covered']:.0%} of "
        f"{len(train):,} train questions), {counts['infrastructure_failures']} "
        f"infrastructure failures"
    )
    return counts


def plan_requests(questions: Sequence[Question], config: PipelineConfig) -> list[RolloutRequest]:
    """``guided_fraction`` of the rollouts guided (paper section 3.2.2), each decided by a seeded
    hash of its question and number."""
    requests = []
    for question in questions:
        for rollout in range(config.trajectories.rollouts_per_question):
            digest = hashlib.sha256(
                f"{config.run.seed}/{question.task.task_id}/{rollout}".encode()
            ).digest()
            guided = int.from_bytes(digest[:8], "big") / 2**64 < config.trajectories.guided_fraction
            requests.append(rollout_request(question, GUIDED if guided else EXPLORATION, rollout))
    return requests


def rollout_request(question: Question, mode: TeachingMode, rollout: int) -> RolloutRequest:
    """A rollout of a question's task. Only a guided one carries the guidance, so that nothing of
    how a question was made reaches an exploring teacher."""
    guidance = question.guidance if mode == GUIDED else ()
    return RolloutRequest(question.task, mode, rollout, guidance)


def rejected_row(judged: FilteredTrajectory) -> dict[str, Any]:
    """A rejected trajectory with its ids and every reason, code and detail apart."""
    trajectory = judged.trajectory
    reasons = [asdict(Reason.read(text)) for text in judged.reasons]
    return {
        "trajectory_id": trajectory.trajectory_id,
        "question_id": trajectory.question_id,
        "mode": trajectory.mode,
        "rollout": trajectory.rollout,
        "reasons": reasons,
        "trajectory": asdict(trajectory),
    }


def _ledger(context: StageContext) -> "Ledger":
    from medr_ray.rollouts.ledger import Ledger

    rollouts = context.config.rollouts
    return Ledger(context.directory, rollouts.part_size, rollouts.retry_failed)


def _rest_on_reports(questions: Iterable[Question]) -> bool:
    """Whether an article has to be read for any of the questions."""
    return any(is_report(step.clinical) for question in questions for step in question.guidance)


def _factory(config: PipelineConfig, run: RunDirectory, articles: bool) -> PolicyFactory:
    """The teacher. By rules it reads ``articles`` only where it has to: the dictionary takes
    seconds."""
    from medr_ray.trajectories.solver.articles import ArticleReader
    from medr_ray.trajectories.teacher import ChatTeacherFactory, RulesTeacherFactory

    if config.trajectories.teacher == "llm":
        return ChatTeacherFactory(config, run)
    return RulesTeacherFactory(
        config.agent.tools,
        config.agent.max_tool_calls,
        ArticleReader.open(run, config.graph.min_confidence) if articles else None,
    )


def _roll_out(context: StageContext, questions: Sequence[Question]) -> None:
    """Run what is not in the ledger yet; what cannot be run is kept there with its reason."""
    from medr_ray.rollouts.pool import RolloutPool

    config, ledger = context.config, _ledger(context)
    waiting = ledger.open_requests(plan_requests(questions, config))
    if not waiting:
        return
    faults = FaultPlan(config.trajectories.tool_failure_rate, config.run.seed)
    index_uri = context.upstream("index").uri
    articles = _rest_on_reports(questions)
    make_factory = functools.partial(_factory, config, context.run, articles)
    with (
        RolloutPool(config, index_uri, make_factory, faults) as pool,
        Bar(context.console, "trajectories", len(waiting), "rollouts") as bar,
    ):
        for _ in ledger.record(pool.run(waiting)):
            bar.advance()


def _judge(
    context: StageContext,
    questions: Mapping[str, Question],
    trajectories: Sequence[Trajectory],
) -> tuple[list[FilteredTrajectory], dict[str, int]]:
    """(the verdicts, tokens of each dialogue by trajectory id)."""
    encoder = DialogueEncoder.open(context.config)
    tokens = {
        trajectory.trajectory_id: encoder.length(trajectory.messages) for trajectory in trajectories
    }
    max_tokens = context.config.trajectories.max_tokens
    return [
        judge_trajectory(
            trajectory,
            questions[trajectory.question_id].task,
            tokens[trajectory.trajectory_id],
            max_tokens,
        )
        for trajectory in trajectories
    ], tokens


def _rewrite(
    context: StageContext,
    questions: Mapping[str, Question],
    judged: list[FilteredTrajectory],
    tokens: dict[str, int],
) -> dict[str, int]:
    """Word the thoughts of the accepted anew, in place; one that would then be rejected stays as it
    was. How many thoughts were rewritten, and why others were not."""
    settings = context.config.trajectories
    if settings.rewrite is None:
        return {}
    dialogues = [
        (entry.trajectory, questions[entry.trajectory.question_id].task)
        for entry in judged
        if entry.accepted
    ]
    with Bar(context.console, "rewriting", len(dialogues), "dialogues") as bar:
        rewritten = rewrite_all(
            dialogues,
            open_chat_client(settings.rewrite, context.run),
            settings.rewrite,
            context.directory,
            bar,
        )
    own: dict[str, list[Rewrite]] = defaultdict(list)
    for each in rewritten:
        own[each.trajectory_id].append(each)
    outcomes: Counter[str] = Counter()
    encoder = DialogueEncoder.open(context.config)
    for place, entry in enumerate(judged):
        rewrites = own[entry.trajectory.trajectory_id]
        changed = applied(entry.trajectory, rewrites)
        length = encoder.length(changed.messages)
        verdict = judge_trajectory(
            changed, questions[changed.question_id].task, length, settings.max_tokens
        )
        if entry.accepted and verdict.accepted:
            judged[place], tokens[changed.trajectory_id] = verdict, length
            outcomes.update(each.outcome for each in rewrites)
        elif entry.accepted:
            outcomes.update(
                f"kept: the dialogue would be rejected ({Reason.read(verdict.reasons[0]).code})"
                for _ in rewrites
            )
    return dict(sorted(outcomes.items()))


def _counts(
    judged: Sequence[FilteredTrajectory], questions: Mapping[str, Question]
) -> dict[str, Any]:
    accepted = [entry.trajectory for entry in judged if entry.accepted]
    events = [event for entry in judged for event in entry.trajectory.tool_events]
    return {
        "train_questions": len(questions),
        "accepted": len(accepted),
        "rejected": len(judged) - len(accepted),
        "questions_covered": round(
            len({trajectory.question_id for trajectory in accepted}) / max(len(questions), 1), 4
        ),
        "reasons": reason_counts(judged),
        "modes": dict(sorted(Counter(trajectory.mode for trajectory in accepted).items())),
        "passed": passed(judged, questions),
        "tools": dict(sorted(Counter(event.tool for event in events).items())),
        "tool_calls_mean": round(
            sum(len(trajectory.tool_events) for trajectory in accepted) / max(len(accepted), 1), 3
        ),
        "simulated_failures": sum(event.simulated_failure for event in events),
    }


def _inputs(config: PipelineConfig) -> Any:
    """The model, where it teaches or reads pages for the agents."""
    model_used = config.trajectories.teacher == "llm" or config.tools.read.extract == "llm"
    return config.llm.identity() if model_used else None


TRAJECTORIES_STAGE = Stage(
    name="trajectories",
    needs=("questions", "index"),
    sections=("agent", "tools", "trajectories", "retrieval", "models"),
    execute=execute,
    inputs=_inputs,
)
