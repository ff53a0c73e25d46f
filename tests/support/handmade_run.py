"""A finished run written by hand: manifests, curves and 40 judged questions for three sets of
weights."""

from pathlib import Path

from rich.console import Console
from support.questions import make_question
from support.run_manifest import write_manifest

from medr_ray.core.config import PipelineConfig
from medr_ray.core.records import Message, Reward, Trajectory, Usage, content_id
from medr_ray.core.run import Counts, RunDirectory, StageContext, open_run
from medr_ray.core.settings import load_config
from medr_ray.evaluation.benchmarks.heldout import BENCHMARK as HELDOUT
from medr_ray.evaluation.runs import (
    AskedBenchmark,
    Attempt,
    EvaluationRun,
    Respondent,
    RunPlan,
    ScorerRecord,
)
from medr_ray.evaluation.runs.weights import OWN_WEIGHTS, locate_weights_run
from medr_ray.evaluation.scorers.base import Score
from medr_ray.evaluation.scorers.rules import RulesScorer
from medr_ray.evaluation.stage import write_tables
from medr_ray.questions.artifacts import QUESTIONS as QUESTIONS_FILE
from medr_ray.training.artifacts import GRPO_ROLLOUTS, ScoredRollout

QUESTIONS = [make_question(number, hops=1 + number % 2) for number in range(40)]
COUNTS: dict[str, Counts] = {
    "corpus": {"citations": 50783},
    "entities": {"rare": 900},
    "index": {"documents": 60000},
    "graph": {"relations": 4000},
    "chains": {"chains": 300},
    "questions": {"accepted": 400},
    "trajectories": {"accepted": 350},
    "sft": {"steps": 3},
    "grpo": {"updates": 2},
}
# One line for each of two updates.
_UPDATE_LINES = [
    {
        "update": update,
        "reward_mean": 0.3 + update / 10,
        "entropy": 0.5,
        "mismatch_kl": 0.001,
        "rollouts": 36,
        "sync_bytes": 85_696,
    }
    for update in range(2)
]
# The rewards of the rollouts of each update; one could not be scored.
UPDATE_REWARDS = [[0.0, 0.2, 0.4, 1.0], [0.0, None, 1.2]]


def _build_rollout(update: int, number: int, reward: float | None) -> ScoredRollout:
    trajectory = Trajectory(
        trajectory_id=f"traj-{update}-{number}",
        question_id="q",
        mode="exploration",
        rollout=number,
        messages=(),
        turns=(),
        tool_events=(),
        documents=(),
        answer=None,
        stop_reason="answered",
        usage=Usage(0, 0, 0),
        cost=None,
    )
    return ScoredRollout(update, "q", trajectory, Reward(reward, reward, 0.0, reward), None)


def fill_evaluation(run: EvaluationRun, right: dict[str, int], unscored: int = 0) -> EvaluationRun:
    """The first ``right[name]`` of the questions answered correctly, the last ``unscored`` not
    scored."""
    scorer = RulesScorer()
    for attempt in run.list_pending():
        number = int(attempt.task.task_id.removeprefix("q-"), 16)
        is_right = number < right[attempt.respondent.name]
        run.keep_answer(attempt, _build_trajectory(attempt, is_right), 1.5)
        if number < len(QUESTIONS) - unscored:
            score = Score("correct" if is_right else "incorrect", float(is_right), scorer="rules")
            run.keep_score(scorer.identity(), attempt, score)
    run.record_scorers({HELDOUT.name: [ScorerRecord(scorer.identity(), scorer.name)]})
    return run


def _build_trajectory(attempt: Attempt, is_right: bool) -> Trajectory:
    answer = "Hepatitis B" if is_right else "<b>no|thing</b>"
    question = Message("user", attempt.task.text)
    reply = Message("assistant", f"<think>I know.</think><answer>{answer}</answer>")
    return Trajectory(
        trajectory_id=content_id("traj", attempt.key),
        question_id=attempt.task.task_id,
        mode=attempt.respondent.name,
        rollout=attempt.rollout,
        messages=(question, reply),
        turns=(),
        tool_events=(),
        documents=(),
        answer=answer,
        stop_reason="answered",
        usage=Usage(100, 50, 2),
        cost=None,
    )


def write_run(
    root: Path, right: dict[str, int], unscored: int = 0
) -> tuple[PipelineConfig, RunDirectory]:
    config = load_config(None, [f"run.root={root}", "run.name=handmade"])
    run = open_run(config)
    for name, counts in COUNTS.items():
        write_manifest(run, name, counts, 10.5)
    run.stage("questions").write(QUESTIONS_FILE, QUESTIONS)
    run.stage("sft").write_jsonl("metrics.jsonl", [{"step": i, "loss": 3.0 - i} for i in range(3)])
    run.stage("grpo").write_jsonl("metrics.jsonl", _UPDATE_LINES)
    for update, rewards in enumerate(UPDATE_REWARDS):
        rollouts = [_build_rollout(update, number, reward) for number, reward in enumerate(rewards)]
        run.stage("grpo").write_part(GRPO_ROLLOUTS, f"update-{update:05d}", rollouts)
    context = StageContext(config, run, run.stage("evaluation"), Console(quiet=True))
    benchmark = AskedBenchmark(
        HELDOUT.name,
        HELDOUT.title,
        HELDOUT.slices,
        "",
        tuple(question.task for question in QUESTIONS),
    )
    respondents = [Respondent(name, OWN_WEIGHTS, name, {"temperature": 0.0}) for name in right]
    plan = RunPlan((benchmark,), tuple(respondents), 1, 0.95, {})
    evaluation = EvaluationRun.plan_run(locate_weights_run(run), plan)
    counts = write_tables(context.directory, fill_evaluation(evaluation, right, unscored))
    write_manifest(run, "evaluation", counts, 20.0)
    return config, run
