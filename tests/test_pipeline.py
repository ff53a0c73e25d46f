"""Skipping, resuming, re-running and refusing: the pipeline with two toy stages, in process and
killed for real."""

import io
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from rich.console import Console
from support import toy_pipeline

from medr_ray import pipeline
from medr_ray.core.config import PipelineConfig
from medr_ray.core.errors import ConfigError, MedrError
from medr_ray.core.run import compute_fingerprint, open_run
from medr_ray.core.settings import load_config
from medr_ray.core.stages import STAGES

TOY = Path(toy_pipeline.__file__)


def config_for(root: Path, *overrides: str) -> PipelineConfig:
    return load_config(None, [f"run.root={root}", "run.name=toy", *overrides], environment={})


def run_here(config: PipelineConfig, uses_ray: bool = False, **options: object) -> str:
    """Run the toy pipeline in this process and return what it printed."""
    printed = io.StringIO()
    pipeline.run_pipeline(
        config,
        console=Console(file=printed, width=200),
        stages=toy_pipeline.toy_stages(uses_ray),
        report=toy_pipeline.toy_report,
        **options,
    )  # type: ignore[arg-type]
    return printed.getvalue()


def run_process(
    root: Path, *overrides: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(TOY), str(root), *overrides],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def data_files(root: Path) -> dict[str, bytes]:
    """Everything but manifests, which hold times, and what names the place and the process."""
    other = ("manifest.json", ".lock", "config.yaml")
    files = (path for path in sorted(root.rglob("*")) if path.is_file() and path.name not in other)
    return {str(path.relative_to(root)): path.read_bytes() for path in files}


def test_a_second_run_skips_every_stage_and_still_reports(tmp_path: Path) -> None:
    first, second = run_here(config_for(tmp_path)), run_here(config_for(tmp_path))
    assert "numbers: running" in first
    assert "running" not in second
    assert "numbers: done earlier, 5 parts" in second
    assert first.splitlines()[-1] == second.splitlines()[-1] == "report: 72"


def test_only_what_a_changed_key_decides_is_made_anew(tmp_path: Path) -> None:
    run_here(config_for(tmp_path))
    later = run_here(config_for(tmp_path, "chains.max_hops=3"))
    assert "numbers: done earlier" in later
    assert later.splitlines()[-1] == "report: 63"
    both = run_here(config_for(tmp_path, "graph.steps=1", "chains.max_hops=3"))
    assert both.count("running") == 2
    assert both.splitlines()[-1] == "report: 13"


def test_from_makes_later_stages_anew_even_when_until_stops_before_them(tmp_path: Path) -> None:
    config = config_for(tmp_path)
    run_here(config)
    run_here(config, from_stage="numbers", until_stage="numbers")
    assert open_run(config).stage("total").manifest() is None
    assert "total: running" in run_here(config)


def test_until_stops_after_its_stage_and_prints_no_report(tmp_path: Path) -> None:
    printed = run_here(config_for(tmp_path), until_stage="numbers")
    assert "total" not in printed
    assert "report" not in printed


def test_a_stage_runs_again_when_what_it_needs_runs_again(tmp_path: Path) -> None:
    config = config_for(tmp_path)
    run_here(config)
    open_run(config).stage("numbers").clear()
    assert "total: running" in run_here(config)


def test_dry_run_says_why_and_changes_nothing(tmp_path: Path) -> None:
    config = config_for(tmp_path)
    assert "not finished yet" in run_here(config, dry_run=True)
    assert not list(tmp_path.iterdir())
    run_here(config)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    printed = run_here(config_for(tmp_path, "chains.max_hops=3"), dry_run=True)
    assert [" ".join(line.split()) for line in printed.splitlines()] == [
        "numbers skip done earlier, 5 parts",
        "total would run its configuration or inputs changed",
    ]
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_an_unknown_stage_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean 'numbers'"):
        run_here(config_for(tmp_path), until_stage="number")
    with pytest.raises(ConfigError, match="comes after"):
        run_here(config_for(tmp_path), from_stage="total", until_stage="numbers")


def test_ray_is_started_only_for_a_stage_that_uses_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = []

    @contextmanager
    def session(config: PipelineConfig) -> Iterator[None]:
        started.append(config)
        yield

    monkeypatch.setattr(pipeline, "_open_ray_session", session)
    run_here(config_for(tmp_path), uses_ray=True)
    assert len(started) == 1
    run_here(config_for(tmp_path), uses_ray=True)
    run_here(config_for(tmp_path, "chains.max_hops=3"), uses_ray=True)
    assert len(started) == 1


def test_the_saved_configuration_loads_back_and_holds_no_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEDR_LLM_API_KEY", "sk-do-not-store")
    config = config_for(tmp_path, "graph.steps=2")
    run_here(config)
    assert load_config(tmp_path / "toy" / "config.yaml", environment={}) == config
    assert not [
        path
        for path in tmp_path.rglob("*")
        if path.is_file() and b"sk-do-not-store" in path.read_bytes()
    ]


@pytest.mark.slow
def test_a_run_killed_at_three_points_resumes_to_the_same_data_without_redoing_parts(
    tmp_path: Path,
) -> None:
    """One run is killed before its first part, in the middle of a stage and in the next stage."""
    run_here(config_for(tmp_path / "whole"))
    log = tmp_path / "log"
    for point in ("numbers:0", "numbers:3", "total:0"):
        killed = run_process(tmp_path / "killed", TOY_KILL=point, TOY_LOG=str(log))
        assert killed.returncode == -signal.SIGKILL, point
    resumed = run_process(tmp_path / "killed", TOY_LOG=str(log))
    assert resumed.returncode == 0, resumed.stderr
    assert data_files(tmp_path / "killed") == data_files(tmp_path / "whole")
    assert log.read_text().splitlines() == [*(f"numbers {part}" for part in range(5)), "total"]


@pytest.mark.slow
def test_a_second_process_is_refused_and_a_dead_ones_lock_is_taken_over(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    holder = subprocess.Popen(
        [sys.executable, str(TOY), str(tmp_path)], env=os.environ | {"TOY_HOLD": str(pipe)}
    )
    try:
        assert pipe.read_text() == "holding"
        with pytest.raises(MedrError, match=f"process {holder.pid} on"):
            run_here(config_for(tmp_path))
    finally:
        holder.kill()
        holder.wait()
    assert "report: 72" in run_here(config_for(tmp_path))


def test_every_stage_is_there_under_its_name_with_its_needs_before_it() -> None:
    stages = pipeline.load_stages()
    assert [stage.name for stage in stages] == list(STAGES)
    for position, stage in enumerate(stages):
        assert set(stage.needs) <= {earlier.name for earlier in stages[:position]}
        assert set(stage.sections) <= set(PipelineConfig.model_fields)


def fingerprints(*overrides: str) -> dict[str, str]:
    """The fingerprint of every medical stage under a configuration."""
    config = load_config(None, overrides, environment={})
    computed: dict[str, str] = {}
    for stage in pipeline.load_stages():
        computed[stage.name] = compute_fingerprint(stage, config, computed)
    return computed


@pytest.mark.parametrize(
    "override",
    [
        "llm.timeout_seconds=7",
        "llm.requests_per_minute=7",
        "llm.api_key_env=OTHER",
        "rollouts.workers=1",
        "index.workers=3",
        "graph.workers=3",
        "questions.workers=3",
        "tools.read.seconds=7",
        "tools.web.retries=7",
        "agent.tool_seconds=7",
        "engine.threads=7",
        "grpo.max_failures=7",
        "sft.checkpoint_every=7",
        "evaluation.concurrency=7",
        "serving.port=9000",
    ],
)
def test_what_decides_no_result_leaves_every_fingerprint_as_it_was(override: str) -> None:
    assert fingerprints(override) == fingerprints()


@pytest.mark.parametrize(
    ("override", "stages"),
    [
        ("grpo.optimiser.learning_rate=0.1", {"grpo", "evaluation"}),
        ("evaluation.temperature=0.5", {"evaluation"}),
        ("tools.web.results=7", {"trajectories", "sft", "grpo", "evaluation"}),
        ("sft.batch_size=7", {"sft", "grpo", "evaluation"}),
        (
            "chains.max_hops=3",
            {"chains", "questions", "trajectories", "sft", "grpo", "evaluation"},
        ),
    ],
)
def test_what_decides_a_result_changes_that_stage_and_the_later_ones(
    override: str, stages: set[str]
) -> None:
    before, after = fingerprints(), fingerprints(override)
    assert {name for name in before if before[name] != after[name]} == stages


def test_planning_imports_nothing_heavy() -> None:
    program = (
        "import sys; from medr_ray.pipeline import load_stages; load_stages(); "
        "print(*sorted({'ray', 'torch', 'transformers', 'lancedb', 'ortools'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == ""
