"""Skipping, resuming, re-running and refusing: the pipeline with two toy stages, in process and
killed for real."""

import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console
from support import toy_pipeline

from medr_ray import pipeline
from medr_ray.core.config import PipelineConfig
from medr_ray.core.costs import StageCost
from medr_ray.core.errors import ConfigError, InfrastructureError, LaterVersionError, MedrError
from medr_ray.core.run import StageSize, compute_fingerprint, open_run
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


def earlier_names(root: Path, stage: str) -> list[str]:
    return sorted(path.name for path in (root / "toy" / "earlier" / stage).glob("*"))


def test_results_of_other_settings_are_kept_and_taken_back(tmp_path: Path) -> None:
    run_here(config_for(tmp_path))
    first = data_files(tmp_path / "toy" / "total")
    run_here(config_for(tmp_path, "chains.max_hops=3"))
    second = data_files(tmp_path / "toy" / "total")
    assert len(earlier_names(tmp_path, "total")) == 1
    back = run_here(config_for(tmp_path))
    assert "total: made earlier: taken back" in back
    assert "running" not in back
    assert data_files(tmp_path / "toy" / "total") == first
    again = run_here(config_for(tmp_path, "chains.max_hops=3"))
    assert "running" not in again
    assert data_files(tmp_path / "toy" / "total") == second


def test_going_back_takes_the_later_stages_back_too(tmp_path: Path) -> None:
    run_here(config_for(tmp_path))
    other = run_here(config_for(tmp_path, "graph.steps=1"))
    assert other.count("running") == 2
    back = run_here(config_for(tmp_path))
    assert back.count("taken back") == 2
    assert back.splitlines()[-1] == "report: 72"


def test_what_was_made_anew_by_force_is_kept_and_not_taken_back(tmp_path: Path) -> None:
    config = config_for(tmp_path)
    for _ in range(3):
        run_here(config, from_stage="numbers")
    assert [name.split("-", 1)[1] for name in earlier_names(tmp_path, "numbers")] == [
        "replaced",
        "replaced-2",
    ]
    assert "running" not in run_here(config)


def test_parts_of_a_killed_run_with_other_settings_are_resumed_when_they_return(
    tmp_path: Path,
) -> None:
    log = tmp_path / "log"
    killed = run_process(tmp_path, TOY_KILL="numbers:3", TOY_LOG=str(log))
    assert killed.returncode == -signal.SIGKILL
    run_process(tmp_path, "graph.steps=1", TOY_LOG=str(log))
    log.write_text("")
    done = run_process(tmp_path, TOY_LOG=str(log))
    assert "numbers: finished" in done.stdout, done.stderr
    assert log.read_text().split("\n")[:2] == ["numbers 3", "numbers 4"]


def test_nothing_is_touched_when_a_stage_could_not_run(tmp_path: Path) -> None:
    run_here(config_for(tmp_path))
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    numbers, total = toy_pipeline.toy_stages()
    checked = replace(total, check=lambda config, run: ["there is no tool 'serch': take 'search'"])
    for dry_run in (True, False):
        with pytest.raises(ConfigError, match="total: there is no tool 'serch'"):
            pipeline.run_pipeline(
                config_for(tmp_path, "graph.steps=1"),
                dry_run=dry_run,
                console=Console(file=io.StringIO()),
                stages=[numbers, checked],
                report=toy_pipeline.toy_report,
            )
        assert {path: path.read_bytes() for path in before} == before
        assert not (tmp_path / "toy" / "earlier").exists()
    # A finished stage is not looked at.
    pipeline.run_pipeline(
        config_for(tmp_path),
        console=Console(file=io.StringIO()),
        stages=[numbers, checked],
        report=toy_pipeline.toy_report,
    )


def test_what_went_away_since_the_start_is_named_before_its_stage_begins(tmp_path: Path) -> None:
    numbers, total = toy_pipeline.toy_stages()
    answers = iter([[], ["llm.base_url: nothing answers"]])
    gone = replace(total, check=lambda config, run: next(answers))
    with pytest.raises(InfrastructureError, match="total: llm"):
        pipeline.run_pipeline(
            config_for(tmp_path), console=Console(file=io.StringIO()), stages=[numbers, gone]
        )
    assert open_run(config_for(tmp_path)).stage("numbers").manifest() is not None
    assert open_run(config_for(tmp_path)).stage("total").is_empty()


def test_costly_results_are_made_anew_only_with_consent(tmp_path: Path) -> None:
    run_here(config_for(tmp_path))
    numbers, total = toy_pipeline.toy_stages()
    costly = replace(total, estimate_cost=lambda config, run: StageCost("trained weights"))
    questions: list[str] = []

    def run(answer: bool, *overrides: str) -> None:
        def confirm(question: str) -> bool:
            questions.append(question)
            return answer

        pipeline.run_pipeline(
            config_for(tmp_path, *overrides),
            console=Console(file=io.StringIO()),
            stages=[numbers, costly],
            report=toy_pipeline.toy_report,
            confirm=confirm,
        )

    with pytest.raises(ConfigError, match=r"total: trained weights that took 0 s.*--yes"):
        run(False, "chains.max_hops=3")
    assert open_run(config_for(tmp_path)).stage("total").manifest() is not None
    run(True, "chains.max_hops=3")
    assert len(questions) == 2
    # Earlier results cost nothing.
    run(False)
    assert len(questions) == 2


# --- a run owns its folder ------------------------------------------------------------


@pytest.mark.parametrize("name", ["..", ".", ".hidden", "a/b", "", "-rf", "a b"])
def test_a_run_s_name_is_one_folder_of_its_own(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=r"run\.name"):
        load_config(None, [f"run.root={tmp_path}", f"run.name={name}"], environment={})


@pytest.mark.parametrize("place", ["thesis.txt", "total/thesis.txt", "numbers/parts/thesis.txt"])
def test_a_folder_of_somebody_else_is_refused_and_left_as_it_is(tmp_path: Path, place: str) -> None:
    file = tmp_path / "toy" / place
    file.parent.mkdir(parents=True)
    file.write_text("years of work")
    for options in ({}, {"from_stage": "numbers"}):
        with pytest.raises(MedrError, match=r"choose another run\.name"):
            run_here(config_for(tmp_path), **options)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [file]
    assert file.read_text() == "years of work"


def test_a_root_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(ConfigError, match=r"cannot be written .* set run\.root"):
        run_here(config_for(tmp_path / "file"))


def test_files_of_the_user_in_a_run_of_ours_stop_the_stage_of_that_name(tmp_path: Path) -> None:
    run_here(config_for(tmp_path), until_stage="numbers")
    file = tmp_path / "toy" / "total" / "thesis.txt"
    file.parent.mkdir()
    file.write_text("years of work")
    for options in ({}, {"from_stage": "numbers"}):
        with pytest.raises(MedrError, match="holds files that are not a stage's"):
            run_here(config_for(tmp_path), **options)
    assert file.read_text() == "years of work"


def test_a_run_from_before_ownership_and_listed_files_goes_on(tmp_path: Path) -> None:
    run_here(config_for(tmp_path))
    (tmp_path / "toy" / "run.json").unlink()
    for manifest in (tmp_path / "toy").glob("*/manifest.json"):
        content = json.loads(manifest.read_text())
        del content["format"], content["files"]
        manifest.write_text(json.dumps(content))
    assert "running" not in run_here(config_for(tmp_path))
    assert (tmp_path / "toy" / "run.json").is_file()


# --- damage ---------------------------------------------------------------------------


def edit_manifest(stage: Path, **fields: object) -> None:
    path = stage / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda stage: (stage / "parts/part-00002.json").unlink(), "00002.json is missing"),
        (lambda stage: (stage / "parts/part-00002.json").write_text(""), "has 0 bytes and not"),
        (lambda stage: (stage / "manifest.json").write_text("{"), "damaged (manifest.json)"),
        (lambda stage: (stage / "manifest.json").write_text(""), "damaged (manifest.json)"),
        (lambda stage: (stage / "manifest.json").write_text("[]"), "damaged (manifest.json)"),
        (lambda stage: (stage / "manifest.json").write_text("{}"), "damaged (manifest.json)"),
        (lambda stage: (stage / "manifest.json").write_bytes(b"\xff"), "damaged (manifest.json)"),
        (lambda stage: edit_manifest(stage, format="two"), "damaged (manifest.json)"),
        (lambda stage: edit_manifest(stage, files={"a": 5}), "damaged (manifest.json)"),
        (lambda stage: edit_manifest(stage, files=["a"]), "damaged (manifest.json)"),
        (lambda stage: edit_manifest(stage, counts=None), "damaged (manifest.json)"),
    ],
)  # fmt: skip
def test_a_damaged_stage_is_named_and_made_anew(
    tmp_path: Path, damage: Callable[[Path], object], reason: str
) -> None:
    run_here(config_for(tmp_path))
    damage(tmp_path / "toy" / "numbers")
    plan = run_here(config_for(tmp_path), dry_run=True)
    assert "not finished: damaged" in plan
    assert reason in plan
    mended = run_here(config_for(tmp_path))
    assert mended.count("running") == 2
    assert mended.splitlines()[-1] == "report: 72"
    assert "running" not in run_here(config_for(tmp_path))


def test_other_content_of_the_same_size_is_found_by_verifying(tmp_path: Path) -> None:
    run_here(config_for(tmp_path))
    part = tmp_path / "toy" / "numbers" / "parts" / "part-00002.json"
    part.write_text(part.read_text().translate(str.maketrans("0123456789", "1234567890")))
    assert "running" not in run_here(config_for(tmp_path))
    verified = run_here(config_for(tmp_path), verify=True)
    assert verified.count("running") == 2


@pytest.mark.parametrize("file", ["run.json", "numbers/manifest.json"])
def test_a_run_of_a_later_version_is_refused_and_left_as_it_is(tmp_path: Path, file: str) -> None:
    run_here(config_for(tmp_path))
    path = tmp_path / "toy" / file
    # What a later version writes need not have the fields of this one.
    path.write_text(json.dumps({"format": 99}))
    before = data_files(tmp_path)
    with pytest.raises(LaterVersionError, match=r"format 99.*another run\.name"):
        run_here(config_for(tmp_path, "graph.steps=5"))
    assert data_files(tmp_path) == before


def test_a_damaged_ownership_file_is_written_anew(tmp_path: Path) -> None:
    run_here(config_for(tmp_path))
    path = tmp_path / "toy" / "run.json"
    whole = path.read_text()
    path.write_text("{")
    assert "running" not in run_here(config_for(tmp_path))
    assert path.read_text() == whole


# --- disks ----------------------------------------------------------------------------


def test_a_disk_that_is_too_small_is_named_before_anything_starts(tmp_path: Path) -> None:
    stages = toy_pipeline.toy_stages()
    large = [replace(stages[0], estimate_size=lambda config, run: StageSize(10**18)), stages[1]]
    planned = pipeline.plan_stages(large, config_for(tmp_path), open_run(config_for(tmp_path)))
    config = config_for(tmp_path)
    (problem,) = pipeline.find_problems(planned, config, open_run(config))
    assert "GB free and the stages need 1,000,000,000.0 GB at the same time (numbers" in problem
    assert "set run.root to another disk" in problem
    # Results that are there already need no more space.
    run_here(config)
    again = pipeline.plan_stages(large, config, open_run(config), from_stage="total")
    assert pipeline.find_problems(again, config, open_run(config)) == []


def test_what_a_stage_has_while_it_runs_is_not_added_to_what_the_next_one_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stages = [
        replace(stage, estimate_size=lambda config, run: StageSize(kept=10, temporary=100))
        for stage in toy_pipeline.toy_stages()[:2]
    ]
    config = config_for(tmp_path)
    run = open_run(config)
    planned = pipeline.plan_stages(stages, config, run)
    free = {"bytes": 120}
    monkeypatch.setattr(type(run), "free_space", lambda self: free["bytes"])
    assert pipeline.find_problems(planned, config, run) == []
    free["bytes"] = 119
    assert "at the same time" in pipeline.find_problems(planned, config, run)[0]


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


def test_a_stage_of_its_own_runs_with_those_it_needs_under_the_configuration() -> None:
    stages = pipeline.load_stages("sft")

    def name_needed(*overrides: str) -> list[str]:
        config = load_config(None, list(overrides))
        return [stage.name for stage in pipeline.select_needed_stages(stages, config)]

    assert name_needed() == [stage.name for stage in stages]
    assert name_needed("sft.data=chat.jsonl") == ["sft"]
    index = pipeline.select_needed_stages(pipeline.load_stages("index"), load_config(None, []))
    assert [stage.name for stage in index] == ["corpus", "index"]
