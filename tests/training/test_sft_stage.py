"""The SFT stage with a tiny model: two workers of Ray Train and each backend learn what one in this
process learns."""

import gzip
import io
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from support.small_disk import empty_disk, fill_disk, mount_small_disk
from support.tiny_model import build_tiny_model
from support.train_session import ProcessTrainer, TrainSession

from medr_ray.core.errors import ConfigError, DataError, InfrastructureError
from medr_ray.core.json_text import parse_json
from medr_ray.core.records import FilteredTrajectory, Message, Trajectory, Usage, hash_fraction
from medr_ray.core.run import StageContext, open_run
from medr_ray.core.settings import load_config
from medr_ray.training.checkpoints import save_checkpoint
from medr_ray.training.sft_stage import execute_sft
from medr_ray.trajectories.artifacts import TRAJECTORIES
from medr_ray.trajectories.dataset import SAMPLE_FILE, DialogueEncoder, DialogueExample

FULL_DISK = r"(?s)No space left .*step-00000002 before"

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


def run_sft(root: Path, model: Path, **sft: object) -> tuple[StageContext, dict[str, Any]]:
    """A finished stage and its counts, on the accepted dialogues or the ``data`` given."""
    overrides = {
        f"sft.{key}": value
        for key, value in {
            "epochs": 3,
            "batch_size": 4,
            "checkpoint_every": 2,
            "threads": 1,
            "optimiser": "{learning_rate: 0.003}",
            **sft,
        }.items()
    }
    config = load_config(
        None,
        [
            f"run.root={root}",
            "run.name=sft",
            f"models.policy={model}",
            *(f"{key}={value}" for key, value in overrides.items()),
        ],
    )
    run = open_run(config)
    rows = [accepted(n) for n in range(8)]
    if "data" not in sft:
        run.write(TRAJECTORIES, rows)
        run.stage("trajectories").write_json(
            SAMPLE_FILE, {row.trajectory.trajectory_id: 1 for row in rows}
        )
    context = StageContext(config, run, run.stage("sft"), Console(file=io.StringIO()))
    counts = dict(execute_sft(context))
    assert (context.directory.local / "model" / "model.safetensors").is_file()
    return context, counts


def read_lines(context: StageContext, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in context.directory.read_bytes(name).splitlines()]


def losses(root: Path, model: Path, **sft: object) -> list[float]:
    context, counts = run_sft(root, model, **sft)
    assert counts["examples"] == 8
    return [row["loss"] for row in read_lines(context, "metrics.jsonl")]


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """One worker, in this process."""
    TrainSession().install(monkeypatch)
    monkeypatch.setattr("ray.train.torch.TorchTrainer", ProcessTrainer)


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
    assert losses(tmp_path, model, workers=2) == pytest.approx(plain, rel=0.02)


def test_deepspeed_learns_what_torch_learns(
    plain: list[float], model: Path, tmp_path: Path
) -> None:
    pytest.importorskip("deepspeed", reason="needs the extra [deepspeed]")
    assert losses(tmp_path, model, backend="deepspeed") == pytest.approx(plain, rel=0.05)


def test_two_fsdp2_workers_train_an_adapter(model: Path, tmp_path: Path) -> None:
    peft = pytest.importorskip("peft", reason="needs the extra [lora]")
    from transformers import AutoModelForCausalLM

    context, _ = run_sft(
        tmp_path,
        model,
        workers=2,
        batch_size=2,
        backend="fsdp2",
        activation_checkpointing="true",
        lora="{rank: 2, targets: [q_proj, v_proj]}",
        optimiser="{learning_rate: 0.03}",
    )
    losses = [row["loss"] for row in read_lines(context, "metrics.jsonl")]
    assert losses[-1] < 0.9 * losses[0]

    trained = context.directory.local / "model"
    base = AutoModelForCausalLM.from_pretrained(model)
    adapted = peft.PeftModel.from_pretrained(base, trained / "adapter").merge_and_unload()
    merged = dict(AutoModelForCausalLM.from_pretrained(trained).named_parameters())
    for name, weight in adapted.named_parameters():
        torch.testing.assert_close(weight, merged[name].float(), rtol=0.01, atol=0.01)
    whole = (trained / "model.safetensors").stat().st_size
    adapter = (trained / "adapter" / "adapter_model.safetensors").stat().st_size
    print(f"adapter {adapter} bytes, model {whole} bytes")
    assert adapter < whole / 10


# --- other data ------------------------------------------------------------------------


LONG_ROW = {
    "messages": [
        {"role": "user", "content": "Tell me more."},
        {"role": "assistant", "content": "long " * 300},
    ]
}


def chat_rows(count: int) -> list[dict[str, Any]]:
    """Questions of which some are asked twice, in OpenAI's form."""
    return [
        {
            "id": f"row-{number}",
            "question_id": f"question-{number // 2}",
            "messages": [
                {"role": "user", "content": f"Inheritance of disease {number // 2}?"},
                # Of a held-out question nobody can know it.
                {
                    "role": "assistant",
                    "content": f"{hash_fraction(str(number // 2)):.12f}",
                    "reasoning_content": "look",
                },
            ],
        }
        for number in range(count)
    ]


def write_lines(path: Path, rows: list[Any]) -> Path:
    lines = (row if isinstance(row, str) else json.dumps(row) for row in rows)
    text = "".join(f"{line}\n" for line in lines).encode()
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
    return path


@pytest.mark.usefixtures("in_process")
def test_a_file_is_learnt_from_and_its_bad_rows_are_set_aside(model: Path, tmp_path: Path) -> None:
    rows = [
        *chat_rows(6),
        "{not JSON",
        {**LONG_ROW, "id": "long"},
        {"id": "alone", "messages": [{"role": "user", "content": "Anybody?"}]},
        "",
        {**chat_rows(1)[0], "id": "twice", "copies": 2, "weight": 0.5},
    ]
    data = write_lines(tmp_path / "chat.jsonl.gz", rows)
    context, counts = run_sft(
        tmp_path / "run", model, data=data, max_tokens=256, epochs=1, batch_size=2
    )
    assert {
        name: counts[name] for name in ("rows", "examples", "bad_rows", "too_long", "steps")
    } == {"rows": 10, "examples": 8, "bad_rows": 2, "too_long": 1, "steps": 4}
    rejected = read_lines(context, "rejected.jsonl")
    assert [(row["line"], row["id"], row["field"]) for row in rejected] == [
        (7, "", "line"),
        (8, "long", "messages"),
        (9, "alone", "messages"),
    ]
    assert rejected[1]["problem"].endswith("tokens, and sft.max_tokens is 256")
    assert all(row["remedy"] for row in rejected)
    examples = context.directory.read_table("examples.parquet").to_pylist()
    assert [example["dialogue_id"] for example in examples].count("twice") == 2
    assert {example["weight"] for example in examples} == {1.0, 0.5}


@pytest.mark.usefixtures("in_process")
def test_a_file_of_another_kind_is_refused(model: Path, tmp_path: Path) -> None:
    data = write_lines(tmp_path / "texts.jsonl", [{"text": "x"}, {"text": "y"}, chat_rows(1)[0]])
    with pytest.raises(DataError, match=r"2 of 3 rows .* line 1: messages is missing; the row has"):
        run_sft(tmp_path / "run", model, data=data)
    damaged = tmp_path / "cut.jsonl.gz"
    whole = gzip.compress(json.dumps(chat_rows(40)).encode())
    damaged.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="its gzip is damaged"):
        run_sft(tmp_path / "run", model, data=damaged)
    data = write_lines(tmp_path / "few.jsonl", [LONG_ROW] * 3)
    with pytest.raises(DataError, match=r"3 of 3 dialogues are longer than sft\.max_tokens"):
        run_sft(tmp_path / "run", model, data=data, max_tokens=256)


@pytest.mark.usefixtures("in_process")
def test_held_out_questions_are_not_learnt_and_the_best_weights_are_saved(
    model: Path, tmp_path: Path
) -> None:
    data = write_lines(tmp_path / "chat.jsonl", chat_rows(24))
    context, counts = run_sft(
        tmp_path / "run",
        model,
        data=data,
        evaluation_fraction=0.3,
        evaluate_every=1,
        early_stop=2,
        epochs=40,
        optimiser="{learning_rate: 0.01}",
        dtype="float32",
    )
    rows = context.directory.read_table("examples.parquet").to_pylist()
    held_out = {row["dialogue_id"] for row in rows if row["is_evaluation"]}
    learnt = {row["dialogue_id"] for row in rows if not row["is_evaluation"]}
    assert (len(held_out), len(learnt)) == (counts["evaluation_examples"], counts["examples"])
    # Both rows of a question are on one side.
    assert {int(name[4:]) // 2 for name in held_out}.isdisjoint(
        {int(name[4:]) // 2 for name in learnt}
    )
    history = read_lines(context, "metrics.jsonl")
    losses_by_step = {row["step"]: row["evaluation_loss"] for row in history}
    best = min(losses_by_step, key=lambda step: losses_by_step[step])
    assert counts["best_step"] == best
    assert len(history) == best + 2 < 40 * 6  # two evaluations without a smaller loss
    assert measure_held_out_loss(context) == pytest.approx(losses_by_step[best], rel=1e-4)
    # So it is not the model of the last step.
    assert losses_by_step[max(losses_by_step)] > 1.001 * losses_by_step[best]
    assert not (context.directory.local / "best").exists()


def measure_held_out_loss(context: StageContext) -> float:
    """The loss of the saved model on the held-out dialogues, with transformers alone."""
    import torch
    from transformers import AutoModelForCausalLM

    saved = AutoModelForCausalLM.from_pretrained(
        context.directory.local / "model", dtype=torch.float32
    )
    total, tokens = 0.0, 0
    for row in context.directory.read_table("examples.parquet").to_pylist():
        if not row["is_evaluation"]:
            continue
        ids = torch.tensor([row["ids"]])
        logprobs = saved(input_ids=ids).logits[0, :-1].log_softmax(-1)
        taken = logprobs.gather(1, ids[0, 1:, None])[:, 0]
        mask = torch.tensor(row["mask"][1:])
        total -= float(taken[mask].sum().detach())
        tokens += int(mask.sum())
    return total / tokens


@pytest.mark.usefixtures("in_process")
def test_the_split_stays_when_other_rows_come_and_roles_can_be_chosen(
    model: Path, tmp_path: Path
) -> None:
    settings = {"evaluation_fraction": 0.3, "epochs": 1, "max_steps": 1}
    sides = []
    for count in (24, 30):
        data = write_lines(tmp_path / f"{count}.jsonl", chat_rows(count))
        context, _ = run_sft(tmp_path / str(count), model, data=data, **settings)
        rows = context.directory.read_table("examples.parquet").to_pylist()
        sides.append({row["dialogue_id"]: row["is_evaluation"] for row in rows})
    assert sides[0].items() <= sides[1].items()
    data = write_lines(tmp_path / "24.jsonl", chat_rows(24))
    context, _ = run_sft(
        tmp_path / "user", model, data=data, learn_from="[user]", epochs=1, max_steps=1
    )
    tokenizer = DialogueEncoder.open(context.config)
    row = context.directory.read_table("examples.parquet").to_pylist()[0]
    example = DialogueExample("", tuple(row["ids"]), tuple(row["mask"]))
    assert [text for text, is_learnt in tokenizer.decode_runs(example) if is_learnt] == [
        "Inheritance of disease 0?"
    ]


def test_an_early_stop_needs_held_out_dialogues() -> None:
    with pytest.raises(ConfigError, match="early_stop needs an evaluation_fraction above 0"):
        load_config(None, ["sft.early_stop=2"])


def test_two_workers_evaluate_what_one_evaluates(model: Path, tmp_path: Path) -> None:
    data = write_lines(tmp_path / "chat.jsonl", chat_rows(10))
    settings = {"data": data, "evaluation_fraction": 0.3, "evaluate_every": 2, "epochs": 2}
    histories = []
    for workers in (1, 2):
        context, _ = run_sft(tmp_path / str(workers), model, workers=workers, **settings)
        rows = read_lines(context, "metrics.jsonl")
        histories.append([row.get("evaluation_loss") for row in rows])
    assert histories[1] == [
        loss if loss is None else pytest.approx(loss, rel=0.02) for loss in histories[0]
    ]
    assert sum(loss is not None for loss in histories[0]) >= 2


def test_a_training_that_diverges_stops_with_its_last_two_checkpoints_whole(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    TrainSession().install(monkeypatch)
    monkeypatch.setattr("ray.train.torch.TorchTrainer", ProcessTrainer)
    with pytest.raises(DataError, match=r"not finite in 3 steps in a row .*sft\.optimiser\."):
        losses(tmp_path, model, optimiser="{learning_rate: 1.0e+30}", epochs=10, checkpoint_every=1)
    stage = tmp_path / "sft" / "sft"
    rows = [
        parse_json(line, "metrics") for line in (stage / "metrics.jsonl").read_bytes().splitlines()
    ]
    assert [row["applied"] for row in rows[-3:]] == [False] * 3
    assert [row["skipped_steps"] for row in rows[-3:]] == [1, 2, 3]
    assert rows[-4]["applied"]
    assert not (stage / "model").exists()
    whole = sorted((stage / "checkpoints").glob("*/state.json"))
    assert [parse_json(path.read_bytes(), "state")["step"] for path in whole] == [
        len(rows) - 2,
        len(rows) - 1,
    ]


def test_a_disk_that_is_really_full_leaves_the_last_checkpoint_and_training_goes_on(
    plain: list[float], model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    TrainSession().install(monkeypatch)
    monkeypatch.setattr("ray.train.torch.TorchTrainer", ProcessTrainer)
    with mount_small_disk(tmp_path / "disk", 16 * 2**20) as disk:
        checkpoints = disk / "sft" / "sft" / "checkpoints"

        def fill_and_save(backend: Any, directory: Any, step: int, state: Any) -> None:
            if step == 4:
                files = (checkpoints / "step-00000002").iterdir()
                fill_disk(disk, sum(file.stat().st_size for file in files) // 2)
            save_checkpoint(backend, directory, step, state)

        with monkeypatch.context() as patch:
            patch.setattr("medr_ray.training.sft.save_checkpoint", fill_and_save)
            with pytest.raises(InfrastructureError, match=FULL_DISK):
                losses(disk, model)
        assert [path.name for path in checkpoints.iterdir()] == ["step-00000002"]
        empty_disk(disk)
        assert losses(disk, model) == plain


@pytest.mark.usefixtures("in_process")
def test_the_best_weights_outlive_a_kill_and_are_the_model_in_the_end(
    model: Path, tmp_path: Path
) -> None:
    settings = {
        "data": write_lines(tmp_path / "chat.jsonl", chat_rows(24)),
        "evaluation_fraction": 0.3,
        "evaluate_every": 1,
        "checkpoint_every": 1,
        "early_stop": 2,
        "epochs": 40,
        "optimiser": "{learning_rate: 0.01}",
    }
    whole, counts = run_sft(tmp_path / "whole", model, **settings)
    best = counts["best_step"]

    def save_and_end(backend: Any, directory: Any, step: int, state: Any) -> None:
        save_checkpoint(backend, directory, step, state)
        if step == best + 1:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("medr_ray.training.sft.save_checkpoint", save_and_end)
        with pytest.raises(KeyboardInterrupt):
            run_sft(tmp_path / "killed", model, **settings)
    # As a kill leaves it while better weights would take the place of the best ones.
    folder = tmp_path / "killed" / "sft" / "sft"
    (folder / "best").rename(folder / ".best.replaced")
    (folder / ".best.0123abcd.partial").mkdir()
    resumed, counts = run_sft(tmp_path / "killed", model, **settings)
    assert (counts["best_step"], counts["steps"]) == (best, best + 2)
    models = [context.directory.local / "model" for context in (whole, resumed)]
    assert models[0].joinpath("model.safetensors").read_bytes() == (
        models[1].joinpath("model.safetensors").read_bytes()
    )
    assert not [path for path in folder.iterdir() if "best" in path.name]


def test_resuming_with_another_number_of_workers_trains_every_dialogue_once(
    plain: list[float], model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saves = 0

    def fail_at_the_third_step(*arguments: Any) -> None:
        nonlocal saves
        saves += 1
        save_checkpoint(*arguments)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        TrainSession().install(patch)
        patch.setattr("ray.train.torch.TorchTrainer", ProcessTrainer)
        patch.setattr("medr_ray.training.sft.save_checkpoint", fail_at_the_third_step)
        with pytest.raises(KeyboardInterrupt):
            losses(tmp_path, model, checkpoint_every=3)
    assert saves == 1
    assert losses(tmp_path, model, workers=2) == pytest.approx(plain, rel=0.02)
