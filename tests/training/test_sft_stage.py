"""The SFT stage with a tiny model: two workers of Ray Train and each backend learn what one in this
process learns."""

import io
import json
from pathlib import Path

import pytest
from rich.console import Console
from support.tiny_model import build_tiny_model
from support.train_session import ProcessTrainer, TrainSession

from medr_ray.core.records import FilteredTrajectory, Message, Trajectory, Usage
from medr_ray.core.run import StageContext, open_run
from medr_ray.core.settings import load_config
from medr_ray.training.sft_stage import execute_sft
from medr_ray.trajectories.artifacts import TRAJECTORIES
from medr_ray.trajectories.dataset import SAMPLE_FILE

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("ray_local")]


def accepted(number: int) -> FilteredTrajectory:
    messages = (
        Message("system", "S"),
        Message("user", f"What is the inheritance of disease {number}?"),
        Message("assistant", "<think>look</think>\n<tool_call>{}</tool_call>"),
        Message("user", "result " * number),
        Message(
            "assistant", "<think>dominant</think>\n<answer>Autosomal dominant inheritance</answer>"
        ),
    )
    return FilteredTrajectory(
        Trajectory(
            f"traj-{number}",
            f"q-{number}",
            "guided",
            0,
            messages,
            (),
            (),
            (),
            "x",
            "answered",
            Usage(0, 0, 0),
            None,
        ),
        True,
        (),
    )


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_model(tmp_path_factory.mktemp("model"), context=1024)


def losses(root: Path, model: Path, **sft: object) -> list[float]:
    overrides = {
        f"sft.{key}": value
        for key, value in {
            "epochs": 3,
            "batch_size": 4,
            "checkpoint_every": 2,
            "threads": 1,
            **sft,
        }.items()
    }
    config = load_config(
        None,
        [
            f"run.root={root}",
            "run.name=sft",
            f"models.policy={model}",
            "sft.optimiser={learning_rate: 0.003}",
            *(f"{key}={value}" for key, value in overrides.items()),
        ],
    )
    run = open_run(config)
    rows = [accepted(n) for n in range(8)]
    run.write(TRAJECTORIES, rows)
    run.stage("trajectories").write_json(
        SAMPLE_FILE, {row.trajectory.trajectory_id: 1 for row in rows}
    )
    context = StageContext(config, run, run.stage("sft"), Console(file=io.StringIO()))
    counts = execute_sft(context)
    assert counts["examples"] == 8
    assert (context.directory.local / "model" / "model.safetensors").is_file()
    return [
        json.loads(line)["loss"]
        for line in context.directory.read_bytes("metrics.jsonl").splitlines()
    ]


@pytest.fixture(scope="module")
def plain(model: Path, tmp_path_factory: pytest.TempPathFactory) -> list[float]:
    """What one worker learns with torch alone, in this process."""
    root = tmp_path_factory.mktemp("plain")
    with pytest.MonkeyPatch.context() as patched:
        TrainSession().install(patched)
        patched.setattr("ray.train.torch.TorchTrainer", ProcessTrainer)
        return losses(root, model)


def test_it_learns(plain: list[float]) -> None:
    assert len(plain) == 6
    assert plain[-1] < 0.9 * plain[0]


def test_two_workers_learn_what_one_learns(plain: list[float], model: Path, tmp_path: Path) -> None:
    assert losses(tmp_path, model, workers=2, batch_size=2) == pytest.approx(plain, rel=0.02)


def test_deepspeed_learns_what_torch_learns(
    plain: list[float], model: Path, tmp_path: Path
) -> None:
    pytest.importorskip("deepspeed", reason="needs the extra [deepspeed]")
    assert losses(tmp_path, model, backend="deepspeed") == pytest.approx(plain, rel=0.05)
