"""The trajectories stage: the teacher plays the training questions, and the dialogues are judged,
filtered and, if configured, rewritten.

Finished rollouts are kept in a ledger, so that an interrupted stage continues where it stopped.
"""

import contextlib
import functools
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from medr_ray.agent.faults import FaultPlan
from medr_ray.agent.tool_features import Rarity
from medr_ray.core.config import EndpointConfig, PipelineConfig
from medr_ray.core.costs import StageCost
from medr_ray.core.placement import find_local_shortage
from medr_ray.core.progress import Bar
from medr_ray.core.records import (
    FilteredTrajectory,
    Question,
    TeachingMode,
    Trajectory,
    hash_fraction,
)
from medr_ray.core.run import Counts, RunDirectory, Stage, StageContext
from medr_ray.llm.reachability import find_role_problems
from medr_ray.llm.roles import open_chat_client
from medr_ray.questions.artifacts import QUESTIONS
from medr_ray.rollouts.worker import PolicyFactory, RolloutRequest
from medr_ray.trajectories.artifacts import TRAJECTORIES
from medr_ray.trajectories.cost_estimate import estimate_trajectory_costs
from medr_ray.trajectories.dataset import SAMPLE_FILE, DialogueEncoder
from medr_ray.trajectories.filtering import Reason, count_reasons, judge_trajectory
from medr_ray.trajectories.process_labels import label_replies
from medr_ray.trajectories.rarity import find_rare_questions
from medr_ray.trajectories.rewriting import Rewrite, apply_rewrites, rewrite_all
from medr_ray.trajectories.role_checks import find_doubtful_roles, find_teacher_problems
from medr_ray.trajectories.specialty_sampling import sample_copies
from medr_ray.trajectories.statistics import (
    StatisticsInput,
    compute_statistics,
    compute_statistics_by_kind,
    count_accepted_by_kind,
)
from medr_ray.trajectories.teacher import EXPLORATION, GUIDED

if TYPE_CHECKING:
    from medr_ray.rollouts.ledger import Ledger


def execute(context: StageContext) -> Counts:
    """Roll out, judge and rewrite the training questions.

    Writes ``trajectories.parquet`` (all of them), ``accepted.jsonl``, ``rejected.jsonl`` (ids and
    every reason) and ``sample.json`` (how often training takes each accepted dialogue).
    """
    all_questions = context.run.read(QUESTIONS)
    played = draw_questions(all_questions, context.config)
    questions = {question.task.task_id: question for question in played}
    _roll_out(context, list(questions.values()))
    ledger = _open_ledger(context)
    judged, tokens = _judge_all(context, questions, ledger.done())
    rewrite_outcomes = _rewrite_accepted(context, questions, judged, tokens)
    judged = [_label(entry, questions) for entry in judged]
    _write_results(context, questions, judged)
    accepted = [entry.trajectory for entry in judged if entry.accepted]
    counts = _count_results(judged, questions) | {
        **_compute_figures(context, questions, accepted, tokens),
        "rewritten": rewrite_outcomes,
        "infrastructure_failures": len(ledger.failures()),
    }
    context.console.print(
        f"trajectories: {counts['accepted']:,} accepted of {len(judged):,} "
        f"({counts['questions_covered']:.0%} of "
        f"{len(questions):,} train questions), {counts['infrastructure_failures']} "
        f"infrastructure failures"
    )
    return counts


def _label(judged: FilteredTrajectory, questions: Mapping[str, Question]) -> FilteredTrajectory:
    """The row with the labels of its replies."""
    trajectory = judged.trajectory
    return replace(judged, labels=label_replies(trajectory, questions[trajectory.question_id]))


def _compute_figures(
    context: StageContext,
    questions: Mapping[str, Question],
    accepted: Sequence[Trajectory],
    tokens: Mapping[str, int],
) -> dict[str, Any]:
    """The figures of the accepted trajectories, of all and by kind, as the manifest has them."""
    rare = find_rare_questions(questions.values(), context.upstream("index"))
    given = StatisticsInput(questions, tokens, rare)
    figures = compute_statistics(accepted, given)
    settings = context.config.trajectories
    style = settings.style if settings.teacher == "rules" else ""
    by_kind = compute_statistics_by_kind(accepted, given, style)
    return {
        "statistics": {name: asdict(figure) for name, figure in figures.items()},
        "statistics_by_kind": {
            group: {
                kind: {name: asdict(figure) for name, figure in kind_figures.items()}
                for kind, kind_figures in kinds.items()
            }
            for group, kinds in by_kind.items()
        },
    }


def _write_results(
    context: StageContext,
    questions: Mapping[str, Question],
    judged: Sequence[FilteredTrajectory],
) -> None:
    directory = context.directory
    settings = context.config.trajectories
    accepted = [entry.trajectory for entry in judged if entry.accepted]
    rejected_rows = [build_rejected_row(entry) for entry in judged if not entry.accepted]
    directory.write(TRAJECTORIES, judged)
    directory.write_jsonl("accepted.jsonl", accepted)
    directory.write_jsonl("rejected.jsonl", rejected_rows)
    specialties = {
        trajectory.trajectory_id: questions[trajectory.question_id].specialty
        for trajectory in accepted
    }
    seed = context.config.run.seed
    copies = sample_copies(specialties, settings.balance, settings.most_copies, seed)
    directory.write_json(SAMPLE_FILE, copies)


def draw_questions(questions: Iterable[Question], config: PipelineConfig) -> list[Question]:
    """The train questions that are played: all, or ``trajectories.max_questions`` of them, the same
    for a seed in whatever order they come."""
    train = [question for question in questions if question.split == "train"]
    limit = config.trajectories.max_questions
    if limit is None or len(train) <= limit:
        return train
    ranks = {
        question.task.task_id: hash_fraction(f"{config.run.seed}/{question.task.task_id}")
        for question in train
    }
    drawn = set(sorted(ranks, key=lambda task_id: (ranks[task_id], task_id))[:limit])
    return [question for question in train if question.task.task_id in drawn]


def plan_requests(questions: Sequence[Question], config: PipelineConfig) -> list[RolloutRequest]:
    """The rollouts of all questions, ``guided_fraction`` of them guided (paper section 3.2.2)."""
    settings = config.trajectories
    requests = []
    for question in questions:
        for rollout in range(settings.rollouts_per_question):
            # A hash decides, so that a rollout keeps its mode when other questions come or go.
            key = f"{config.run.seed}/{question.task.task_id}/{rollout}"
            is_guided = hash_fraction(key) < settings.guided_fraction
            mode: TeachingMode = GUIDED if is_guided else EXPLORATION
            requests.append(build_rollout_request(question, mode, rollout))
    return requests


def build_rollout_request(question: Question, mode: TeachingMode, rollout: int) -> RolloutRequest:
    """A rollout of a question's task."""
    # An exploring teacher must not learn how the question was made.
    guidance = question.guidance if mode == GUIDED else ()
    return RolloutRequest(question.task, mode, rollout, guidance)


def build_rejected_row(judged: FilteredTrajectory) -> dict[str, Any]:
    """A rejected trajectory with its ids and the code and detail of every reason."""
    trajectory = judged.trajectory
    return {
        "trajectory_id": trajectory.trajectory_id,
        "question_id": trajectory.question_id,
        "mode": trajectory.mode,
        "rollout": trajectory.rollout,
        "reasons": [asdict(Reason.parse(text)) for text in judged.reasons],
        "trajectory": asdict(trajectory),
    }


def _open_ledger(context: StageContext) -> "Ledger":
    from medr_ray.rollouts.ledger import Ledger

    rollouts = context.config.rollouts
    return Ledger(context.directory, rollouts.part_size, rollouts.retry_failed)


def _make_policy_factory(
    config: PipelineConfig, run: RunDirectory, rarity: Rarity | None
) -> PolicyFactory:
    """The teacher's factory; called in every worker."""
    from medr_ray.trajectories.solver.dictionary import NameDictionary
    from medr_ray.trajectories.teacher import ChatTeacherFactory, RulesTeacherFactory

    if config.trajectories.teacher == "llm":
        return ChatTeacherFactory(config, run)
    dictionary = NameDictionary.from_facts(run.stage("facts"))
    return RulesTeacherFactory.from_config(config, dictionary, rarity)


def _roll_out(context: StageContext, questions: Sequence[Question]) -> None:
    """Run the rollouts that the ledger lacks. Failed ones are recorded there with the reason."""
    from medr_ray.rollouts.pool import RolloutPool

    config = context.config
    ledger = _open_ledger(context)
    open_requests = ledger.open_requests(plan_requests(questions, config))
    if not open_requests:
        return
    faults = FaultPlan(config.trajectories.tool_failure_rate, config.run.seed)
    index_uri = context.upstream("index").uri
    make_factory = functools.partial(_make_policy_factory, config, context.run)
    with (
        RolloutPool(config, index_uri, make_factory, faults) as pool,
        Bar(context.console, "trajectories", len(open_requests), "rollouts") as bar,
        # The ledger passes outcomes through as they come, and saves them part by part.
        contextlib.closing(ledger.record(pool.run(open_requests))) as recorded,
    ):
        for _ in recorded:
            bar.advance()


def _judge_all(
    context: StageContext,
    questions: Mapping[str, Question],
    trajectories: Sequence[Trajectory],
) -> tuple[list[FilteredTrajectory], dict[str, int]]:
    """(all trajectories with their verdicts, the number of tokens by trajectory id)."""
    encoder = DialogueEncoder.open(context.config)
    max_tokens = context.config.trajectories.max_tokens
    judged = []
    tokens = {}
    for trajectory in trajectories:
        token_count = encoder.count_tokens(trajectory.messages)
        task = questions[trajectory.question_id].task
        tokens[trajectory.trajectory_id] = token_count
        judged.append(judge_trajectory(trajectory, task, token_count, max_tokens))
    return judged, tokens


def _rewrite_accepted(
    context: StageContext,
    questions: Mapping[str, Question],
    judged: list[FilteredTrajectory],
    tokens: dict[str, int],
) -> dict[str, int]:
    """Rewrite the thoughts of the accepted dialogues; return the number of thoughts by outcome.

    Updates ``judged`` and ``tokens`` in place. A dialogue that would then be rejected stays as it
    was.
    """
    settings = context.config.trajectories
    if settings.rewrite is None:
        return {}
    rewrites_by_id = _request_rewrites(context, questions, judged, settings.rewrite)
    outcomes: Counter[str] = Counter()
    encoder = DialogueEncoder.open(context.config)
    for index, entry in enumerate(judged):
        if not entry.accepted:
            continue
        rewrites = rewrites_by_id[entry.trajectory.trajectory_id]
        changed = apply_rewrites(entry.trajectory, rewrites)
        token_count = encoder.count_tokens(changed.messages)
        task = questions[changed.question_id].task
        verdict = judge_trajectory(changed, task, token_count, settings.max_tokens)
        if verdict.accepted:
            judged[index] = verdict
            tokens[changed.trajectory_id] = token_count
            outcomes.update(rewrite.outcome for rewrite in rewrites)
        else:
            code = Reason.parse(verdict.reasons[0]).code
            outcomes.update([f"kept: the dialogue would be rejected ({code})"] * len(rewrites))
    return dict(sorted(outcomes.items()))


def _request_rewrites(
    context: StageContext,
    questions: Mapping[str, Question],
    judged: Sequence[FilteredTrajectory],
    endpoint: EndpointConfig,
) -> Mapping[str, list[Rewrite]]:
    """The rewrites of the accepted dialogues, by trajectory id; an empty list for any other id."""
    dialogues = [
        (entry.trajectory, questions[entry.trajectory.question_id].task)
        for entry in judged
        if entry.accepted
    ]
    client = open_chat_client(endpoint, context.run, "rewriter")
    with Bar(context.console, "rewriting", len(dialogues), "dialogues") as bar:
        rewrites = rewrite_all(dialogues, client, endpoint, context.directory, bar)
    rewrites_by_id: dict[str, list[Rewrite]] = defaultdict(list)
    for rewrite in rewrites:
        rewrites_by_id[rewrite.trajectory_id].append(rewrite)
    return rewrites_by_id


def _count_results(
    judged: Sequence[FilteredTrajectory], questions: Mapping[str, Question]
) -> dict[str, Any]:
    """The counts of the stage's manifest that need no tokens."""
    accepted = [entry.trajectory for entry in judged if entry.accepted]
    events = [event for entry in judged for event in entry.trajectory.tool_events]
    covered_questions = {trajectory.question_id for trajectory in accepted}
    accepted_calls = sum(len(trajectory.tool_events) for trajectory in accepted)
    modes = Counter(trajectory.mode for trajectory in accepted)
    tools = Counter(event.tool for event in events)
    return {
        "train_questions": len(questions),
        "accepted": len(accepted),
        "rejected": len(judged) - len(accepted),
        "questions_covered": round(len(covered_questions) / max(len(questions), 1), 4),
        "reasons": count_reasons(judged),
        "modes": dict(sorted(modes.items())),
        "passed": count_accepted_by_kind(judged, questions),
        "tools": dict(sorted(tools.items())),
        "tool_calls_mean": round(accepted_calls / max(len(accepted), 1), 3),
        "simulated_failures": sum(event.simulated_failure for event in events),
    }


def _stage_inputs(config: PipelineConfig) -> Any:
    """The identity of the chat model when the stage depends on it, as teacher or as the extractor
    of pages that agents read; a change of it makes the stage stale."""
    uses_model = config.trajectories.teacher == "llm" or config.tools.read.extract == "llm"
    return config.llm.identity() if uses_model else None


def _find_problems(config: PipelineConfig, run: RunDirectory) -> Iterator[str]:
    # Imported here, because tools are slow to import and planning is not to wait for them.
    from medr_ray.engines.model_template import find_model_template_problems
    from medr_ray.rollouts.schedule import describe_worker_need
    from medr_ray.tools.registry import find_tool_problems

    yield from find_tool_problems(config)
    shortage = find_local_shortage([describe_worker_need(config.rollouts)], config.ray)
    if shortage:
        yield shortage
    # Its tokenizer counts the tokens of a dialogue.
    yield from find_model_template_problems(config.models.policy, config.models.trust_remote_code)
    yield from find_teacher_problems(config)
    yield from find_role_problems(config, "trajectories")


def _estimate_cost(config: PipelineConfig, run: RunDirectory) -> StageCost:
    models = tuple(estimate_trajectory_costs(config, run))
    return StageCost("dialogues of a language model" if models else "", models)


TRAJECTORIES_STAGE = Stage(
    name="trajectories",
    needs=("questions", "facts", "index"),
    sections=("agent", "tools", "trajectories", "retrieval", "models"),
    execute=execute,
    inputs=_stage_inputs,
    check=_find_problems,
    warn=find_doubtful_roles,
    estimate_cost=_estimate_cost,
)
