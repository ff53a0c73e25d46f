"""The stage over real Serve, real HTTP, a real index and tiny models: what it writes, and what it
does not redo."""

from pathlib import Path

import pytest
from support.evaluation_run import QUESTIONS, fill_run, make_context
from support.questions import make_question

from medr_ray.core.config import PipelineConfig
from medr_ray.core.errors import ConfigError, DataError
from medr_ray.core.run import compute_fingerprint
from medr_ray.core.settings import load_config
from medr_ray.evaluation.artifacts import EVALUATION_RESULTS, EVALUATION_TRAJECTORIES
from medr_ray.evaluation.benchmarks.heldout import BENCHMARK as HELDOUT
from medr_ray.evaluation.runs.asking import answer_pending
from medr_ray.evaluation.runs.planning import load_benchmark_tasks
from medr_ray.evaluation.runs.weights import choose_dtype, describe_endpoints, open_pool
from medr_ray.evaluation.stage import EVALUATION_STAGE, plan_weights, score_weights
from medr_ray.questions import artifacts


@pytest.fixture(scope="module")
def small_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("small")
    fill_run(make_context(root))
    return root


@pytest.mark.slow
def test_every_heldout_question_is_answered_by_all_weights_and_only_what_is_missing_is_redone(
    ray_local: None,
    small_run: Path,
) -> None:
    context = make_context(small_run)
    counts = EVALUATION_STAGE.execute(context)
    results = context.directory.read(EVALUATION_RESULTS)
    answered = {(result.benchmark, result.model, result.task_id) for result in results}
    assert answered == {
        ("heldout", model, question.task.task_id)
        for model in ("base", "sft")
        for question in QUESTIONS
    }
    assert [counts[name]["n"] for name in ("base", "sft")] == [3, 3]
    assert counts["sft_vs_base"]["p_value"] == 1.0
    trajectories = context.directory.read(EVALUATION_TRAJECTORIES)
    assert len({trajectory.trajectory_id for trajectory in trajectories}) == 6
    assert all(trajectory.usage.output_tokens > 0 for trajectory in trajectories)

    files = sorted((small_run / "small").glob("evaluations/weights/answers/*.json"))
    content_by_path = {path: path.read_bytes() for path in files}
    lost = next(iter(content_by_path))
    lost.unlink()
    EVALUATION_STAGE.execute(context)
    assert lost.exists()
    assert all(path.read_bytes() == text for path, text in content_by_path.items() if path != lost)
    rows = context.directory.read(EVALUATION_RESULTS)
    assert [(row.model, row.task_id, row.prediction, row.verdict) for row in rows] == [
        (row.model, row.task_id, row.prediction, row.verdict) for row in results
    ]


@pytest.mark.slow
def test_an_unreachable_model_leaves_answers_unscored_and_pending(
    ray_local: None, small_run: Path
) -> None:
    context = make_context(small_run, "evaluation.temperature=0.5")
    run = plan_weights(context.config, context.run, [HELDOUT])
    endpoints = describe_endpoints(context.config, "http://127.0.0.1:1/v1", "no-key")
    index = context.upstream("index")
    with open_pool(context.config, index, endpoints, context.directory) as run_requests:
        assert answer_pending(run, run_requests, context.console) == 0
    score_weights(context, run, [HELDOUT])
    (figures,) = run.figures()
    assert [model.unscored for model in figures.models] == [3, 3]
    answers = run.judged_answers("heldout", run.scorers["heldout"][0].identity)
    assert [answer.trajectory for answer in answers] == [None] * 6
    assert "127.0.0.1:1" in answers[0].reason
    assert len(run.list_pending()) == 6


def test_weights_that_do_not_exist_are_named(small_run: Path) -> None:
    with pytest.raises(ConfigError, match="grpo"):
        EVALUATION_STAGE.execute(make_context(small_run, "evaluation.weights=[base, grpo]"))


def test_only_heldout_tasks_are_asked(small_run: Path) -> None:
    context = make_context(small_run)
    tasks = load_benchmark_tasks(HELDOUT, context.config, context.run)
    assert tasks == [question.task for question in QUESTIONS]
    limited = make_context(small_run, "evaluation.max_questions=2").config
    assert len(load_benchmark_tasks(HELDOUT, limited, context.run)) == 2


def test_a_run_without_heldout_tasks_is_an_error(tmp_path: Path) -> None:
    context = make_context(tmp_path)
    context.run.write(artifacts.QUESTIONS, [make_question(1, split="train")])
    with pytest.raises(DataError, match="heldout_fraction"):
        load_benchmark_tasks(HELDOUT, context.config, context.run)


def test_the_address_of_the_endpoint_does_not_decide_the_results() -> None:
    upstream = dict.fromkeys(EVALUATION_STAGE.needs, "x")
    default = compute_fingerprint(EVALUATION_STAGE, PipelineConfig(), upstream)
    other_port = load_config(None, ["serving.port=9000"])
    assert compute_fingerprint(EVALUATION_STAGE, other_port, upstream) == default
    other_temperature = load_config(None, ["evaluation.temperature=1"])
    assert compute_fingerprint(EVALUATION_STAGE, other_temperature, upstream) != default


@pytest.mark.parametrize(
    ("settings", "dtype"),
    [
        ([], "float32"),  # on a CPU
        (["serving.num_gpus=1"], "bfloat16"),
        (["evaluation.dtype=engine"], "bfloat16"),
        (["evaluation.dtype=float32", "serving.num_gpus=1"], "float32"),
    ],
)
def test_weights_answer_in_the_configured_format(settings: list[str], dtype: str) -> None:
    assert choose_dtype(load_config(None, ["engine.dtype=bfloat16", *settings])) == dtype
