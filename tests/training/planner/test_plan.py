"""A plan says what fits, what does not, and which settings make it fit."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from typer.testing import CliRunner

from medr_ray.cli.main import app
from medr_ray.core.config import PipelineConfig
from medr_ray.core.errors import MedrError
from medr_ray.core.run import open_run
from medr_ray.core.settings import load_config
from medr_ray.core.units import GB
from medr_ray.pipeline import load_stages
from medr_ray.training.planner import hosts
from medr_ray.training.planner.plan import TrainingPlan, plan_training
from medr_ray.training.planner.shapes import find_shape, list_public_shapes

CONFIGS = Path(__file__).resolve().parents[3] / "configs"
GPU_RUN = ["models.policy=/models/Qwen3-8B", "ray.gpu=h100", "ray.address=auto"]


@pytest.fixture(autouse=True)
def common_host(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 24 GiB, as README asks for, whatever this machine has."""
    monkeypatch.setattr(hosts, "read_host_memory", lambda: 24 * 2**30)


def configure(overrides: Sequence[str], file: Path | None = None) -> PipelineConfig:
    return load_config(file, list(overrides), environment={})


def plan(stage: str, overrides: Sequence[str]) -> TrainingPlan:
    config = configure(overrides)
    return plan_training(stage, config, open_run(config))  # type: ignore[arg-type]


def read_remedy(problem: str) -> list[str]:
    """The overrides that a problem proposes."""
    text = problem.partition(": set ")[2].partition("; `medr")[0]
    pairs = text.replace("{rank: 16}", "{rank:16}").split(", ")
    return [pair.replace(": ", "=", 1) for pair in pairs]


@pytest.mark.parametrize("name", ["quickstart", "questions", "single-gpu", "cluster", "paper"])
@pytest.mark.parametrize("stage", ["sft", "grpo"])
def test_every_shipped_configuration_fits(name: str, stage: str) -> None:
    config = configure([], CONFIGS / f"{name}.yaml")
    made = plan_training(stage, config, open_run(config))  # type: ignore[arg-type]
    assert made.problems == ()
    assert made.warnings == ()
    assert made.longest_context >= made.longest_planned
    assert all(holder.capacity for holder in made.holders if holder.name != "host")


def test_public_shapes_have_the_parameters_that_their_publishers_print() -> None:
    counts = {name: shape.parameters / 1e9 for name, shape in list_public_shapes().items()}
    expected = {
        "Qwen2.5-32B-Instruct": 32.8,
        "Qwen3-8B": 8.2,
        "Qwen3-4B": 4.0,
        "Qwen3-0.6B": 0.6,
        "smollm2-135m-instruct": 0.135,
    }
    assert counts == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize(
    ("stage", "overrides"),
    [
        ("sft", ["sft.use_gpu=true", "sft.workers=8", "sft.max_tokens=32768"]),
        ("sft", ["sft.use_gpu=true", "sft.max_tokens=4096"]),
        ("sft", ["sft.use_gpu=true", "sft.backend=deepspeed", "sft.max_tokens=9999"]),
        ("grpo", ["grpo.use_gpu=true", "grpo.backend=fsdp2", "grpo.workers=4"]),
        ("grpo", ["grpo.use_gpu=true", "grpo.workers=8", "engine.placement=colocated"]),
    ],
)
def test_what_does_not_fit_names_settings_with_which_it_does(
    stage: str, overrides: list[str]
) -> None:
    settings = [*GPU_RUN, "agent.max_tokens=32768", *overrides]
    made = plan(stage, settings)
    assert made.problems
    remedies = [change for problem in made.problems for change in read_remedy(problem)]
    assert plan(stage, [*settings, *remedies]).problems == ()


def test_a_host_that_is_too_small_is_mended_too() -> None:
    settings = ["sft.max_tokens=8192", "sft.micro_tokens=32768"]
    [problem] = plan("sft", settings).problems
    assert "a host would hold" in problem
    assert plan("sft", [*settings, *read_remedy(problem)]).problems == ()


def test_more_memory_is_asked_for_where_no_setting_helps() -> None:
    made = plan("sft", [*GPU_RUN, "sft.use_gpu=true", "ray.gpu=l4", "sft.workers=64"])
    assert made.problems == () or "set " in made.problems[0]
    host = plan("sft", ["models.policy=/models/Qwen2.5-32B-Instruct"])
    assert "smaller model" in host.problems[0]


def test_longer_dialogues_take_more_until_none_fits() -> None:
    settings = [*GPU_RUN, "sft.use_gpu=true", "sft.backend=fsdp2", "sft.workers=8"]
    made = plan("sft", settings)
    longest = made.longest_context
    assert plan("sft", [*settings, f"sft.max_tokens={longest}"]).problems == ()
    assert plan("sft", [*settings, f"sft.max_tokens={longest + 64}"]).problems


def test_packing_is_planned_as_a_tree() -> None:
    """With few tokens kept for each layer, the mask of a tree is what is largest on a GPU."""
    few = ["sft.use_gpu=true", "sft.activation_checkpointing=true", "sft.micro_tokens=8192"]
    settings = [*GPU_RUN, *few, "sft.max_tokens=256", "sft.tree=false"]

    def count_activations(packing: str) -> float:
        [gpu, _] = plan("sft", [*settings, f"sft.packing={packing}"]).holders
        return next(part.size for part in gpu.parts if part.name == "activations")

    mask = 2 * 8192**2
    assert count_activations("true") > count_activations("false") + 0.9 * mask


def test_branches_of_a_tree_take_more_than_its_tokens_alone() -> None:
    settings = ["sft.max_tokens=512", "sft.micro_tokens=4096"]

    def count_activations(tree: str) -> float:
        [host] = plan("sft", [*settings, f"sft.tree={tree}"]).holders
        return next(part.size for part in host.parts if part.name == "trainer: activations")

    assert count_activations("true") > 1.05 * count_activations("false")


def test_splitting_halves_the_states() -> None:
    def count_states(workers: int, backend: str) -> float:
        settings = [*GPU_RUN, "sft.use_gpu=true", f"sft.workers={workers}"]
        [gpu, _] = plan("sft", [*settings, f"sft.backend={backend}"]).holders
        names = ("weights", "masters", "optimiser", "gradients")
        return sum(part.size for part in gpu.parts if part.name in names)

    parameters = find_shape("/models/Qwen3-8B").parameters
    assert count_states(4, "torch") == pytest.approx(16 * parameters)
    assert count_states(4, "fsdp2") == pytest.approx(4 * parameters)
    assert count_states(8, "fsdp2") == pytest.approx(2 * parameters)


def test_a_model_that_is_not_here_is_planned_from_a_file(tmp_path: Path) -> None:
    with pytest.raises(MedrError, match=r"--model-config FILE.*Qwen3-8B"):
        find_shape("/models/Unheard-7B")
    file = tmp_path / "config.json"
    text = (CONFIGS.parent / "medr_ray/training/planner/public_shapes.json").read_text()
    file.write_text(json.dumps(json.loads(text)["Qwen3-4B"]["config"]))
    assert find_shape("/models/Unheard-7B", file).hidden == 2560
    file.write_text('{"model_type": "gpt_oss"}')
    with pytest.raises(MedrError, match=r"type gpt_oss has no plan; llama"):
        find_shape("/models/Unheard-7B", file)
    file.write_text('{"model_type": "qwen3", "hidden_size": "many", "num_attention_heads": 2}')
    with pytest.raises(MedrError, match="hidden_size is 'many'"):
        find_shape("/models/Unheard-7B", file)


@pytest.mark.parametrize("stage", ["sft", "grpo"])
def test_what_a_run_wants_of_the_disk_is_what_its_plan_says(stage: str) -> None:
    config = configure(["sft.checkpoint_every=10", "grpo.checkpoint_every=2", *GPU_RUN])
    [declared] = [entry for entry in load_stages() if entry.name == stage]
    size = declared.estimate_size(config, open_run(config))
    made = plan_training(stage, config, open_run(config))  # type: ignore[arg-type]
    assert size.kept + size.temporary == made.disk
    # Two checkpoints are kept while a third is written: weights and two moments in float32.
    assert size.temporary == 3 * 12 * made.trained_parameters
    assert size.kept == 4 * made.shape.parameters  # in float32, on a CPU


@pytest.mark.parametrize("stage", ["sft", "grpo"])
def test_a_run_that_cannot_fit_does_not_start(stage: str, tmp_path: Path) -> None:
    overrides = [f"run.root={tmp_path}", "sft.max_tokens=8192", "sft.micro_tokens=32768"]
    config = configure([*overrides, "agent.max_tokens=8192", "grpo.micro_tokens=32768"])
    [declared] = [entry for entry in load_stages() if entry.name == stage]
    problems = list(declared.check(config, open_run(config)))
    assert [text for text in problems if "a host would hold" in text and "set " in text]


def test_a_model_without_a_plan_runs_with_a_warning(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "gemma3"}')
    config = configure([f"models.policy={tmp_path}"])
    for entry in load_stages():
        if entry.name in ("sft", "grpo"):
            assert not [text for text in entry.check(config, open_run(config)) if "hold" in text]
            assert any("its memory is not planned" in text for text in entry.warn(config))


def test_the_command_prints_parts_json_and_a_table() -> None:
    file = str(CONFIGS / "paper.yaml")
    runner = CliRunner()
    text = runner.invoke(app, ["train", "plan", "-c", file])
    assert text.exit_code == 0, text.output
    for words in ("GPU of a trainer, 8 of them", "activations", "of 141.0 GB (h200)", "assumed"):
        assert words in text.output
    lines = runner.invoke(app, ["train", "plan", "-c", file, "--json"]).output.splitlines()
    sft, grpo = (json.loads(line) for line in lines)
    assert (sft["fits"], grpo["fits"], grpo["gpus"]) == (True, True, 8)
    assert sft["holders"][0]["size"] < 141 * GB
    table = runner.invoke(app, ["train", "plan", "-c", file, "--table"]).output
    assert table.count("\n") == 4
    small = runner.invoke(app, ["train", "plan", "-c", file, "--gpu", "a100-40"])
    assert small.exit_code == 1
    assert "set sft." in small.output
    unknown = runner.invoke(app, ["train", "plan", "-c", file, "--gpu", "h20"])
    assert "did you mean 'h200'?" in str(unknown.exception)


def test_readme_has_the_table_that_the_command_prints(tmp_path: Path) -> None:
    files = [f"configs/{name}.yaml" for name in ("quickstart", "questions", "single-gpu")]
    files += ["configs/cluster.yaml", "configs/paper.yaml"]
    options = [option for file in files for option in ("-c", str(CONFIGS.parent / file))]
    # Where the demo has run, its dialogues would be counted.
    options += ["--set", f"run.root={tmp_path}"]
    printed = CliRunner().invoke(app, ["train", "plan", *options, "--table"]).output
    printed = printed.replace(f"{CONFIGS.parent}/", "")
    readme = (CONFIGS.parent / "README.md").read_text(encoding="utf-8")
    assert [line for line in printed.splitlines() if line not in readme] == []


def test_shipped_configurations_say_what_they_are_held_against() -> None:
    for name in ("single-gpu", "cluster", "paper"):
        assert configure([], CONFIGS / f"{name}.yaml").ray.gpu
