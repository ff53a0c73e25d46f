"""The stage over real Serve, real HTTP, a real index and tiny models: what it writes, and what it
does not redo."""

import io
from pathlib import Path

import pyarrow as pa
import pytest
from rich.console import Console
from support.questions import make_question
from support.tiny_model import build_tiny_model

from medr_ray.core.config import PipelineConfig
from medr_ray.core.errors import ConfigError, DataError
from medr_ray.core.run import StageContext, open_run
from medr_ray.core.settings import load_config
from medr_ray.evaluation.artifacts import EVALUATION_TRAJECTORIES, RESULTS
from medr_ray.evaluation.judges import UNSCORED, RulesAnswerJudge
from medr_ray.evaluation.runner import Attempt, Endpoint, EvaluationRunner
from medr_ray.evaluation.stage import EVALUATION_STAGE, heldout_tasks
from medr_ray.questions import artifacts
from medr_ray.retrieval.documents import Document
from medr_ray.retrieval.index import COMMON_WORDS, DIMENSIONS, build, to_batch

QUESTIONS = [make_question(number, hops=1 + number % 2) for number in range(3)]


def make_context(root: Path, *more: str) -> StageContext:
    """A run that has finished everything the evaluation needs, in miniature."""
    base = root / "base"
    if not base.exists():
        build_tiny_model(base, context=2048)
    config = load_config(
        None,
        [
            f"run.root={root}",
            "run.name=small",
            f"models.policy={base}",
            "engine.dtype=float32",
            "engine.threads=1",
            "evaluation.weights=[base, sft]",
            "evaluation.concurrency=4",
            "agent.max_turn_tokens=16",
            "agent.prompt=short",
            "retrieval.mode=text",
            "index.embed=none",
            "rollouts.retries=0",
            *more,
        ],
    )
    run = open_run(config)
    return StageContext(config, run, run.stage("evaluation"), Console(file=io.StringIO()))


def fill(context: StageContext) -> None:
    run = context.run
    build_tiny_model(run.local / "sft" / "model", context=2048, seed=1)
    run.write(artifacts.QUESTIONS, [*QUESTIONS, make_question(9, split="train")])
    document = Document(
        "HPO:OMIM:1", "hpo", "Thing 1", "Thing 1 is hepatitis B.", None, (), False, ""
    )
    build(run.stage("index"), [to_batch([document], None, DIMENSIONS)], context.config.index)
    words = pa.table({"word": pa.array([], pa.string()), "documents": pa.array([], pa.int64())})
    run.stage("index").write_table(COMMON_WORDS, words)
    run.stage("index").write_json("manifest.json", {})


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("small")
    fill(make_context(root))
    return root


@pytest.mark.slow
def test_every_heldout_question_is_answered_by_all_weights_and_only_what_is_missing_is_redone(
    ray_local: None,
    small: Path,
) -> None:
    context = make_context(small)
    counts = EVALUATION_STAGE.execute(context)
    results = context.directory.read(RESULTS)
    asked = {(one.model, one.item_id) for one in results}
    assert asked == {(model, q.task.task_id) for model in ("base", "sft") for q in QUESTIONS}
    assert [counts[name]["n"] for name in ("base", "sft")] == [3, 3]
    assert counts["sft_vs_base"]["p_value"] == 1.0
    trajectories = context.directory.read(EVALUATION_TRAJECTORIES)
    assert len({one.trajectory_id for one in trajectories}) == 6
    assert all(one.usage.output_tokens > 0 for one in trajectories)

    kept = {path: path.read_bytes() for path in sorted((small / "small").rglob("answers/*/*.json"))}
    lost = next(iter(kept))
    lost.unlink()
    EVALUATION_STAGE.execute(context)
    assert lost.exists()
    assert all(path.read_bytes() == text for path, text in kept.items() if path != lost)
    rows = context.directory.read(RESULTS)
    assert [(row.model, row.item_id, row.prediction, row.verdict) for row in rows] == [
        (row.model, row.item_id, row.prediction, row.verdict) for row in results
    ]


@pytest.mark.slow
def test_an_unreachable_model_leaves_answers_unscored_and_no_part(
    ray_local: None, small: Path, tmp_path: Path
) -> None:
    context = make_context(small)
    context = StageContext(
        context.config,
        context.run,
        open_run(load_config(None, [f"run.root={tmp_path}"])).stage("evaluation"),
        context.console,
    )
    runner = EvaluationRunner(context, [Attempt("base", question, 0) for question in QUESTIONS])
    runner.answer(Endpoint("http://127.0.0.1:1/v1", "no-key"))
    results, trajectories, unscored = runner.judge(RulesAnswerJudge())
    assert {one.verdict for one in results} == {UNSCORED}
    assert trajectories == []
    assert len(unscored) == 3
    assert "APIConnectionError" in unscored[0]["reason"]
    assert len(runner.pending()) == 3


def test_weights_that_do_not_exist_are_named(small: Path) -> None:
    with pytest.raises(ConfigError, match="grpo"):
        EVALUATION_STAGE.execute(make_context(small, "evaluation.weights=[base, grpo]"))


def test_only_heldout_tasks_are_asked(small: Path) -> None:
    assert [one.task_id for one in heldout_tasks(make_context(small))] == [
        q.task.task_id for q in QUESTIONS
    ]
    assert len(heldout_tasks(make_context(small, "evaluation.max_questions=2"))) == 2


def test_a_run_without_heldout_tasks_is_an_error(tmp_path: Path) -> None:
    context = make_context(tmp_path)
    context.run.write(artifacts.QUESTIONS, [make_question(1, split="train")])
    with pytest.raises(DataError, match="heldout_fraction"):
        heldout_tasks(context)


def test_the_address_of_the_endpoint_does_not_decide_the_results() -> None:
    from medr_ray.core.run import compute_fingerprint

    upstream = dict.fromkeys(EVALUATION_STAGE.needs, "x")
    plain = compute_fingerprint(EVALUATION_STAGE, PipelineConfig(), upstream)
    assert (
        compute_fingerprint(EVALUATION_STAGE, load_config(None, ["serving.port=9000"]), upstream)
        == plain
    )
    assert (
        compute_fingerprint(
            EVALUATION_STAGE, load_config(None, ["evaluation.temperature=1"]), upstream
        )
        != plain
    )
