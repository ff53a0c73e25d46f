"""The command line as a user meets it: help, errors in one line, exit codes, and what each command
prints."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import typer
import yaml
from support import toy_pipeline
from typer.testing import CliRunner

from medr_ray import pipeline
from medr_ray.cli import stages
from medr_ray.cli.main import app, main
from medr_ray.core.errors import InfrastructureError, MedrError
from medr_ray.core.records import Entity, Relation
from medr_ray.core.run import RunDirectory
from medr_ray.core.stages import STAGES
from medr_ray.graph.artifacts import ENTITIES, RELATIONS

runner = CliRunner()


def commands() -> list[list[str]]:
    """Every command path of the application."""
    root = typer.main.get_command(app)
    paths: list[list[str]] = [[]]
    for name, command in root.commands.items():  # type: ignore[attr-defined]
        paths.append([name])
        paths += [[name, inner] for inner in getattr(command, "commands", {})]
    return paths


@pytest.fixture
def config_file(tmp_path: Path) -> Path:
    file = tmp_path / "config.yaml"
    file.write_text(
        yaml.safe_dump({"run": {"root": str(tmp_path / "runs"), "name": "toy"}}), encoding="utf-8"
    )
    return file


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> None:
    """``medr run`` runs the toy stages."""
    medical = pipeline.run_pipeline

    def run_toy(*arguments: object, **options: object) -> None:
        stages = toy_pipeline.toy_stages()
        medical(*arguments, stages=stages, report=toy_pipeline.toy_report, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(pipeline, "run_pipeline", run_toy)


def exit_code(*arguments: str) -> int | str | None:
    with pytest.raises(SystemExit) as exited:
        main(arguments)
    return exited.value.code


@pytest.mark.parametrize("path", commands(), ids=lambda path: " ".join(path) or "medr")
def test_every_command_has_help_that_says_what_it_does(path: list[str]) -> None:
    result = runner.invoke(app, [*path, "--help"])
    assert result.exit_code == 0
    assert "Usage" in result.output


def test_the_root_lists_a_group_for_each_stage() -> None:
    groups = [group.info.name for group in stages.build_stage_groups()]
    assert groups[:-1] == list(STAGES)[:-1]
    assert groups[-1] == "evaluate"
    listed = {path[0] for path in commands() if path}
    assert {
        "run",
        "report",
        "serve",
        "doctor",
        "config",
        "trace",
        "models",
        "submit",
        "evaluate",
        "sft",
    } <= listed


def test_the_version_is_that_of_the_package(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project = tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert exit_code("--version") == 0
    assert capsys.readouterr().out == f"medr {project['version']}\n"


def test_help_loads_nothing_heavy() -> None:
    program = (
        "import sys\nfrom medr_ray.cli.main import main\n"
        "heavy = {'ray', 'torch', 'transformers', 'pyarrow', 'pydantic'}\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n"
        "    print(sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.usefixtures("toy")
def test_run_prints_progress_and_the_report(
    config_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code("run", "-c", str(config_file), "--set", "graph.steps=2") == 0
    assert capsys.readouterr().out.splitlines()[-1] == "report: 32"
    assert exit_code("run", "-c", str(config_file), "--set", "graph.steps=2", "--dry-run") == 0
    assert "skip" in capsys.readouterr().out


@pytest.mark.usefixtures("toy")
def test_a_wrong_key_is_one_line_and_exit_1(
    config_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code("run", "-c", str(config_file), "--set", "graph.stepz=2") == 1
    captured = capsys.readouterr()
    assert captured.err == (
        "--set graph.stepz: unknown key graph.stepz: did you mean graph.steps?\n"
    )
    assert captured.out == ""


@pytest.mark.parametrize(
    ("raised", "code", "line"),
    [
        (MedrError("no [index] here"), 1, "no [index] here"),
        (OSError(28, "No space left on device", "/r"), 1, "/r: No space left on device: free some"),
        (KeyboardInterrupt(), 130, "the same command goes on: medr run -c"),
    ],
)
def test_errors_and_ctrl_c_become_exit_codes(
    config_file: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    raised: BaseException,
    code: int,
    line: str,
) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise raised

    monkeypatch.setattr(pipeline, "run_pipeline", fail)
    assert exit_code("run", "-c", str(config_file)) == code
    (printed,) = capsys.readouterr().err.strip().splitlines()
    assert line in printed


def test_a_defect_keeps_its_traceback(config_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(pipeline, "run_pipeline", fail)
    with pytest.raises(ZeroDivisionError):
        main(["run", "-c", str(config_file)])


def test_a_missing_option_is_a_usage_error() -> None:
    assert exit_code("run") == 2


def test_a_stage_command_runs_its_stage_and_again_makes_it_anew(
    config_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    called = []
    monkeypatch.setattr(
        pipeline, "run_pipeline", lambda config, *arguments, **options: called.append(arguments)
    )
    assert exit_code("graph", "run", "-c", str(config_file)) == 0
    assert exit_code("evaluate", "run", "-c", str(config_file), "--again") == 0
    assert called == [(None, "graph", False), ("evaluation", "evaluation", False)]


def test_config_show_prints_what_the_run_would_use(
    config_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code("config", "show", "-c", str(config_file), "--set", "graph.steps=9") == 0
    resolved = yaml.safe_load(capsys.readouterr().out)
    assert resolved["graph"]["steps"] == 9
    assert resolved["run"]["name"] == "toy"


def test_config_validate_accepts_and_refuses(config_file: Path) -> None:
    assert exit_code("config", "validate", "-c", str(config_file)) == 0
    assert exit_code("config", "validate", "-c", str(config_file), "--set", "graph.steps=none") == 1
    assert exit_code("config", "validate", "-c", "nowhere.yaml") == 1


def finished_graph(root: Path) -> None:
    graph = RunDirectory(str(root / "runs" / "toy")).stage("graph")
    graph.write(
        RELATIONS,
        [Relation("rel-1", "OMIM:1", "has_onset", "HP:1", "", "", "", 1.0, "rules", ())],
    )
    graph.write(
        ENTITIES,
        [Entity("OMIM:1", "A disease [rare]", "disease", (), "", None, True)],
    )
    graph.write_json(
        "manifest.json",
        {
            "fingerprint": "x",
            "seconds": 12.3,
            "versions": {},
            "counts": {"relations": 1234, "largest_component": 0.5},
        },
    )


def test_an_endpoint_that_went_away_is_one_line_with_the_command_that_goes_on(
    config_file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop(*_: object, **__: object) -> None:
        raise InfrastructureError("10 rollouts in a row failed for the same reason: nobody there")

    monkeypatch.setattr(pipeline, "run_pipeline", stop)
    assert exit_code("run", "-c", str(config_file), "--set", "graph.steps=2") == 1
    assert capsys.readouterr().err == (
        "10 rollouts in a row failed for the same reason: nobody there; what is finished is kept, "
        f"and the same command goes on: medr run -c {config_file} --set graph.steps=2\n"
    )


def test_show_prints_counts_and_rows(config_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    finished_graph(config_file.parent)
    assert exit_code("graph", "show", "-c", str(config_file)) == 0
    printed = capsys.readouterr().out
    assert "1,234" in printed
    assert "largest component" in printed
    assert "has_onset" in printed


def test_show_of_an_unfinished_stage_says_which_command_makes_it(
    config_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code("evaluate", "show", "-c", str(config_file)) == 1
    assert "medr evaluate run" in capsys.readouterr().err


def test_trace_draws_a_tree_and_leaves_brackets_alone(
    config_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    finished_graph(config_file.parent)
    run = config_file.parent / "runs" / "toy"
    assert exit_code("trace", "rel-1", "--run", str(run)) == 0
    assert "A disease [rare] | has_onset | HP:1" in capsys.readouterr().out
    assert exit_code("trace", "rel-1", "--run", run.as_uri()) == 0
    assert exit_code("trace", "rel-1", "--run", str(run), "--set", "run.name=other") == 1
    assert exit_code("trace", "OMIM:1", "-c", str(config_file)) == 0
    assert exit_code("trace", "rel-2", "-c", str(config_file)) == 1
    assert exit_code("trace", "rel-1") == 1


def test_models_list_names_both_and_fetch_refuses_others(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert exit_code("models", "list") == 0
    assert "embedded:smollm2-135m-instruct" in capsys.readouterr().out
    assert exit_code("models", "fetch", "gpt-9") == 1
    assert "known are all-minilm-l6-v2" in capsys.readouterr().err


def test_serve_uses_the_port_asked_for(config_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from medr_ray import serving

    served: list[tuple[str, int]] = []
    monkeypatch.setattr(
        serving,
        "serve_forever",
        lambda config: served.append((config.run.name, config.serving.port)),
    )
    assert exit_code("serve", "-c", str(config_file), "--port", "8123") == 0
    assert served == [("toy", 8123)]


def test_the_installed_command_works_as_a_process() -> None:
    medr = Path(sys.executable).parent / "medr"
    done = subprocess.run(
        [str(medr), "config", "validate", "-c", "nowhere.yaml"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "nowhere.yaml: No such file or directory; give an existing file with -c"
    ]
