"""The GRPO loop on a tiny model, without Ray: the rollouts are scripted, the trainer is the real
one."""

import errno
import json
import math
import random
import shutil
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from support.questions import make_question
from support.scripted_rollouts import RecordingEngine, ScriptedPool
from support.small_disk import empty_disk, fill_disk, mount_small_disk
from support.tiny_model import build_tiny_model
from support.train_session import TrainSession

from medr_ray.core.config import PipelineConfig
from medr_ray.core.errors import DataError, InfrastructureError
from medr_ray.core.records import Task, Trajectory
from medr_ray.core.run import Directory
from medr_ray.core.settings import load_config
from medr_ray.training import grpo
from medr_ray.training.artifacts import GRPO_METRICS, GRPO_ROLLOUTS
from medr_ray.training.backends import TrainerBackend
from medr_ray.training.dealing import DealtExamples, deal_rollouts
from medr_ray.training.grpo_job import GRPOJob
from medr_ray.training.learner import Learner
from medr_ray.training.metric_rows import MetricRow
from medr_ray.training.rewards import RulesPreference
from medr_ray.training.rollout_coordinator import (
    CollectedRollouts,
    RolloutCoordinator,
    start_curriculum,
)

FULL_DISK = r"(?s)No space left .*step-00000002 before"
# Three, of which an update takes two: what is chosen depends on what was visited before.
QUESTIONS = tuple(make_question(number, split="train") for number in range(3))
HELDOUT = tuple(make_question(number, hops=1 + number % 2) for number in range(100, 104))
FIGURES = {
    "update",
    "rollouts",
    "reward_mean",
    "exact_match",
    "expert_mean",
    "efficiency_mean",
    "turn_mean",
    "answer_rate",
    "truncated",
    "truncated_by",
    "truncated_by_length",
    "groups",
    "groups_refilled",
    "groups_used",
    "rollouts_unused",
    "stale",
    "staleness_mean",
    "staleness_largest",
    "excluded",
    "excluded_by",
    "level",
    "tool_seconds",
    "rollout_seconds",
    "loss",
    "entropy",
    "mismatch_kl",
    "ratio_mean",
    "ratio_largest",
    "mismatch_share",
    "clip_fraction",
    "clip_low_share",
    "clip_high_share",
    "grad_norm",
    "applied",
    "skipped_steps",
    "tokens",
    "sequences",
    "sequence_tokens",
    "tokens_per_second",
    "mfu",
    "memory_gb",
    "learn_seconds",
    "heldout_questions",
    "heldout_exact_match",
    "heldout_low",
    "heldout_high",
    "heldout_by_hops",
    "heldout_before",
    "sync_seconds",
    "sync_bytes",
}
FAILING = (1,)  # numbers of rollouts: one of each group of the first update


class RecordingLog:
    """Keeps what the driver would be shown."""

    def __init__(self) -> None:
        self.rows: list[MetricRow] = []

    def add_row(self, row: MetricRow) -> None:
        self.rows.append(row)


class Training:
    """One run of the loop in a folder of its own, up to its end."""

    def __init__(
        self,
        folder: Path,
        model: Path,
        monkeypatch: pytest.MonkeyPatch,
        updates: int,
        *overrides: str,
        easy: Sequence[str] = (),
    ) -> None:
        self.folder = folder
        self.folder.mkdir(exist_ok=True)
        self.directory = Directory(str(folder))
        self.session = TrainSession()
        self.session.install(monkeypatch)
        self.engine = RecordingEngine()
        self.pool = ScriptedPool(self.engine, () if easy else FAILING, easy=easy)
        self.config = make_config(updates, *overrides)
        self.log = RecordingLog()
        monkeypatch.setattr(grpo, "start_coordinator", self._start_coordinator)
        grpo.grpo_worker({"job": self._make_job(model)})

    @property
    def metrics(self) -> list[MetricRow]:
        lines = self.directory.read_bytes(GRPO_METRICS.name).splitlines()
        return [json.loads(line) for line in lines]

    @property
    def weights(self) -> dict[str, torch.Tensor]:
        return load_file(self.folder / "model" / "model.safetensors")

    def _start_coordinator(
        self, job: GRPOJob, state: dict[str, Any] | None, trainers: object
    ) -> RolloutCoordinator:
        return RolloutCoordinator(
            job.config.grpo,
            job.questions,
            start_curriculum(job.config, job.questions, state),
            self.pool,
            self.engine,
            RulesPreference(),
            job.heldout,
        )

    def _make_job(self, model: Path) -> GRPOJob:
        return GRPOJob(
            config=self.config,
            questions=QUESTIONS,
            heldout=HELDOUT,
            model_dir=str(model),
            index_uri="",
            directory_uri=str(self.folder),
            output=str(self.folder / "model"),
            pad_id=1,
            log=self.log,
        )


def make_config(updates: int, *overrides: str) -> PipelineConfig:
    return load_config(
        None,
        [
            f"grpo.updates={updates}",
            "grpo.questions_per_update=2",
            "grpo.group_size=4",
            "grpo.checkpoint_every=2",
            "grpo.threads=1",
            "grpo.optimiser={learning_rate: 0.003, warmup_steps: 2, schedule: cosine}",
            *overrides,
        ],
        environment={},
    )


def make_coordinator(
    config: PipelineConfig, pool: ScriptedPool, engine: RecordingEngine
) -> RolloutCoordinator:
    curriculum = start_curriculum(config, QUESTIONS, None)
    return RolloutCoordinator(config.grpo, QUESTIONS, curriculum, pool, engine, RulesPreference())


def without_clock(collected: CollectedRollouts) -> CollectedRollouts:
    return replace(collected, figures=replace(collected.figures, rollout_seconds=0.0))


def without_seconds(rows: list[MetricRow]) -> list[MetricRow]:
    """The rows without what depends on the machine and the hour."""
    measured = {key for key in rows[0] if key.endswith("_seconds")}
    measured |= {"tokens_per_second", "memory_gb"}
    return [{key: value for key, value in row.items() if key not in measured} for row in rows]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_model(tmp_path_factory.mktemp("model"), context=128)


def test_an_update_that_fails_ends_the_workers_and_the_engine(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[RolloutCoordinator] = []
    close = RolloutCoordinator.close

    def note_and_close(coordinator: RolloutCoordinator) -> None:
        closed.append(coordinator)
        close(coordinator)

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(RolloutCoordinator, "close", note_and_close)
    monkeypatch.setattr(Directory, "write_part", refuse)
    with pytest.raises(OSError, match="No space"):
        Training(tmp_path / "run", model, monkeypatch, updates=2)
    assert len(closed) == 1


def test_two_updates_learn_publish_and_record(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = Training(tmp_path / "run", model, monkeypatch, updates=2)
    first, second = training.metrics
    assert set(first) == set(second) == FIGURES
    assert [row["number"] for row in training.log.rows] == [1, 2]
    assert [row["update"] for row in training.log.rows] == [1, 2]

    assert [row["rollouts"] for row in (first, second)] == [6, 8]
    assert [row["excluded_by"] for row in (first, second)] == [{"tool": 2}, {}]
    assert [row["exact_match"] for row in (first, second)] == [0.6667, 0.5]
    rollouts = training.directory.read(GRPO_ROLLOUTS)
    for row in (first, second):
        own = [rollout for rollout in rollouts if rollout.update == row["update"] - 1]
        assert len(own) == row["rollouts"] == 8 - row["excluded"]
        assert row["tokens"] == sum(len(rollout.trajectory.turns[0].output_ids) for rollout in own)
        assert row["groups_used"] == 2
        assert row["answer_rate"] == 1.0
        assert row["stale"] == row["staleness_mean"] == row["staleness_largest"] == 0
        assert row["truncated"] == sum(row["truncated_by_length"]) == row["rollouts_unused"] == 0
        assert row["grad_norm"] > 0
        assert 0 < row["entropy"] < math.log(400)
        assert 0 <= row["clip_fraction"] < 1
        assert row["clip_low_share"] + row["clip_high_share"] == pytest.approx(row["clip_fraction"])
        assert row["mismatch_kl"] > 0
        assert row["ratio_largest"] >= row["ratio_mean"]
        assert 0 <= row["mismatch_share"] <= 1

    assert training.engine.versions == [1, 2]
    assert training.engine.is_closed
    assert training.pool.is_closed
    before = load_file(model / "model.safetensors")
    assert any(
        not torch.equal(weight, before[name].float()) for name, weight in training.weights.items()
    )
    for name, weight in training.weights.items():
        assert torch.equal(weight, training.engine.weights[name])


def test_a_disk_that_is_really_full_leaves_the_last_checkpoint_and_the_run_goes_on(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Training(tmp_path / "whole", model, monkeypatch, 4, "grpo.checkpoint_every=1")
    save = grpo.save_checkpoint
    with mount_small_disk(tmp_path / "disk", 16 * 2**20) as disk:

        def fill_and_save(
            backend: TrainerBackend, directory: Directory, step: int, state: dict[str, Any]
        ) -> None:
            if step == 3:
                checkpoint = disk / "run" / "checkpoints" / "step-00000002"
                size = sum(file.stat().st_size for file in checkpoint.iterdir())
                fill_disk(disk, size // 2)
            save(backend, directory, step, state)

        with monkeypatch.context() as patch:
            patch.setattr(grpo, "save_checkpoint", fill_and_save)
            with pytest.raises(InfrastructureError, match=FULL_DISK):
                Training(disk / "run", model, monkeypatch, 4, "grpo.checkpoint_every=1")
        checkpoints = Directory(str(disk / "run")).child("checkpoints")
        assert checkpoints.list_folders() == ["step-00000001", "step-00000002"]
        empty_disk(disk)
        resumed = Training(disk / "run", model, monkeypatch, 4, "grpo.checkpoint_every=1")
        assert without_seconds(resumed.metrics) == without_seconds(whole.metrics)
        for name, weight in resumed.weights.items():
            assert torch.equal(weight, whole.weights[name])


def test_held_out_questions_are_measured_and_change_nothing(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = Training(tmp_path / "plain", model, monkeypatch, updates=3)
    measured = Training(tmp_path / "measured", model, monkeypatch, 3, "grpo.evaluate_every=2")
    shares = [(row["heldout_questions"], row["heldout_exact_match"]) for row in measured.metrics]
    assert shares == [(None, None), (4, 1.0), (None, None)]
    before = measured.metrics[0]["heldout_before"]
    assert (before["heldout_questions"], before["heldout_exact_match"]) == (4, 1.0)
    assert [row["heldout_before"] for row in (*measured.metrics[1:], *plain.metrics)] == [None] * 5
    by_hops = measured.metrics[1]["heldout_by_hops"]
    assert {hops: part["questions"] for hops, part in by_hops.items()} == {"1": 2, "2": 2}
    # The Wilson interval of four of four.
    assert measured.metrics[1]["heldout_low"] == pytest.approx(0.5101, abs=1e-4)
    assert measured.metrics[1]["heldout_high"] == 1.0
    assert all(row["heldout_questions"] is None for row in plain.metrics)
    heldout = {question.task.task_id for question in HELDOUT}
    rollouts = measured.directory.read(GRPO_ROLLOUTS)
    assert not heldout & {rollout.trajectory.question_id for rollout in rollouts}
    for name, weight in measured.weights.items():
        assert torch.equal(weight, plain.weights[name])


def test_with_lora_the_engines_are_given_the_adapter_alone(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Training(tmp_path / "whole", model, monkeypatch, 2)
    training = Training(tmp_path / "run", model, monkeypatch, 2, "grpo.lora={rank: 1}")
    assert training.engine.versions == [1, 2]
    assert training.engine.adapter_scaling == 32.0
    assert {name.rsplit(".", 2)[1] for name in training.engine.weights} == {"lora_A", "lora_B"}
    sizes = [run.metrics[0]["sync_bytes"] for run in (whole, training)]
    print(f"sync bytes: whole weights {sizes[0]}, adapter {sizes[1]}")
    assert 0 < sizes[1] < sizes[0] / 5
    adapter = load_file(training.folder / "model" / "adapter" / "adapter_model.safetensors")
    assert adapter.keys() == training.engine.weights.keys()


def test_a_resumed_run_equals_the_uninterrupted_one(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Training(tmp_path / "whole", model, monkeypatch, updates=4)
    # No checkpoint after the last update: the model itself is written then.
    checkpoint = whole.folder / "checkpoints" / "step-00000002"
    assert list(checkpoint.parent.iterdir()) == [checkpoint]
    assert whole.session.reports == [{"update": 2}]
    state = json.loads((checkpoint / "state.json").read_text(encoding="utf-8"))["state"]
    assert set(state) == {"update", "history", "curriculum"}
    assert state["update"] == 2
    assert without_seconds(state["history"]) == without_seconds(whole.metrics[:2])
    assert set(state["curriculum"]) == {"level", "visits", "recent"}

    shutil.copytree(checkpoint, tmp_path / "resumed" / "checkpoints" / checkpoint.name)
    resumed = Training(tmp_path / "resumed", model, monkeypatch, updates=4)
    assert resumed.engine.versions == [2, 3, 4]
    assert [row["number"] for row in resumed.log.rows] == [3, 4]
    assert without_seconds(resumed.metrics) == without_seconds(whole.metrics)
    assert resumed.weights.keys() == whole.weights.keys()
    for name, weight in resumed.weights.items():
        assert torch.equal(weight, whole.weights[name]), name


@pytest.mark.parametrize(("option", "is_taught"), [("scored", True), ("masked", False)])
def test_truncated_rollouts_are_scored_or_masked_and_counted(option: str, is_taught: bool) -> None:
    engine = RecordingEngine()
    config = make_config(1, f"grpo.truncated={option}")
    pool = ScriptedPool(engine, cut=(1,))
    collected = make_coordinator(config, pool, engine).collect(0)
    cut = [row for row in collected.rollouts if row.trajectory.stop_reason == "max_seconds"]
    others = [row for row in collected.rollouts if row.trajectory.stop_reason == "answered"]
    assert (len(cut), len(others)) == (2, 6)
    assert [row.advantage is not None for row in cut] == [is_taught] * 2
    assert all(row.advantage is not None for row in others)
    # A masked rollout is in no baseline either: two of three are right then, not two of four.
    right = max(row.advantage or 0 for row in others)
    wrong = min(row.advantage or 0 for row in others)
    assert right / (right - wrong) == pytest.approx(1 / 2 if is_taught else 1 / 3, abs=0.05)
    figures = collected.figures
    assert figures.truncated == sum(figures.truncated_by_length) == 2
    assert figures.truncated_by == {"max_seconds": 2}
    assert figures.excluded == 0
    assert figures.rollouts_unused == (0 if is_taught else 2)


@pytest.mark.parametrize("seed", range(5))
def test_groups_that_teach_nothing_are_replaced_whichever_ends_first(seed: int) -> None:
    questions = tuple(make_question(number, split="train") for number in range(12))
    config = make_config(1, "grpo.questions_per_update=4", "grpo.refill=3")
    chosen = start_curriculum(config, questions, None).select_questions(7, 0)
    # Two of the first four and the first of their substitutes teach nothing.
    easy = [chosen[0], chosen[2], chosen[4]]

    def collect(order: random.Random | None) -> CollectedRollouts:
        engine = RecordingEngine()
        pool = ScriptedPool(engine, easy=easy, order=order)
        coordinator = RolloutCoordinator(
            config.grpo,
            questions,
            start_curriculum(config, questions, None),
            pool,
            engine,
            RulesPreference(),
        )
        collected = coordinator.collect(0)
        keys = [request.key for request in pool.requests]
        assert len(keys) == len(set(keys)) == 7 * 4
        return collected

    first = collect(None)
    collected = collect(random.Random(seed))
    assert {row.group for row in collected.rollouts} == set(chosen)
    assert without_clock(collected) == without_clock(first)
    figures = collected.figures
    assert (figures.groups, figures.groups_refilled, figures.groups_used) == (7, 3, 4)
    assert figures.rollouts_unused == 3 * 4
    # The curriculum knows of all of them.
    assert set(collected.curriculum["visits"]) == set(chosen)


def test_no_more_questions_are_drawn_than_the_refill_allows() -> None:
    easy = [question.task.task_id for question in QUESTIONS]
    for refill, groups in ((0, 2), (1, 3), (9, 3)):
        engine = RecordingEngine()
        pool = ScriptedPool(engine, easy=easy)
        config = make_config(1, f"grpo.refill={refill}")
        figures = make_coordinator(config, pool, engine).collect(0).figures
        assert (figures.groups, figures.groups_refilled) == (groups, groups - 2)
        assert figures.groups_used == 0


def test_an_update_that_lost_too_much_to_infrastructure_stops_the_run() -> None:
    engine = RecordingEngine()
    pool = ScriptedPool(engine, failing=(0, 1))
    with pytest.raises(InfrastructureError, match=r"4 of 8 rollouts, .*30%: tool 4 .*down"):
        make_coordinator(make_config(1), pool, engine).collect(0)
    tolerant = make_config(1, "grpo.max_excluded=0.5")
    assert make_coordinator(tolerant, pool, engine).collect(0).figures.excluded == 4


def learn_beside_the_next_rollouts(monkeypatch: pytest.MonkeyPatch, updates: int) -> None:
    """Every update is learnt only after the next one's rollouts have run."""
    learn = Learner.learn
    start = ScriptedPool.__init__
    pools: list[ScriptedPool] = []

    def note_and_start(pool: ScriptedPool, *arguments: Any, **options: Any) -> None:
        start(pool, *arguments, **options)
        pools.append(pool)

    def wait_and_learn(learner: Learner, dealt: DealtExamples, update: int) -> Any:
        deadline = time.monotonic() + 30
        while update + 1 < updates and not pools[-1].has_run(update + 1):
            assert time.monotonic() < deadline, "the next rollouts do not run meanwhile"
            time.sleep(0.01)
        return learn(learner, dealt, update)

    monkeypatch.setattr(ScriptedPool, "__init__", note_and_start)
    monkeypatch.setattr(Learner, "learn", wait_and_learn)


@pytest.mark.parametrize("loss", ["clipped", "truncated"])
def test_the_next_rollouts_run_while_an_update_is_learnt_and_are_never_older_than_one(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, loss: str
) -> None:
    learn_beside_the_next_rollouts(monkeypatch, updates=4)
    options = ("grpo.max_staleness=1", f"grpo.loss={loss}")
    whole = Training(tmp_path / "whole", model, monkeypatch, 4, *options)
    rows = whole.metrics
    assert [row["staleness_mean"] for row in rows] == [0, 1, 1, 1]
    assert [row["staleness_largest"] for row in rows] == [0, 1, 1, 1]
    assert [row["stale"] for row in rows] == [0, 0, 0, 0]
    assert all(row["grad_norm"] > 0 for row in rows)
    assert whole.engine.versions == [1, 2, 3, 4]
    rollouts = whole.directory.read(GRPO_ROLLOUTS)
    for rollout in rollouts:
        version = rollout.trajectory.turns[0].policy_version
        assert version == max(0, rollout.update - 1)

    # A run that was killed: what was begun for the next update is made again, and each planned
    # rollout is learnt from once.
    (checkpoint,) = (whole.folder / "checkpoints").iterdir()
    shutil.copytree(checkpoint, tmp_path / "resumed" / "checkpoints" / checkpoint.name)
    resumed = Training(tmp_path / "resumed", model, monkeypatch, 4, *options)
    assert [row["staleness_mean"] for row in resumed.metrics] == [0, 1, 0, 1]

    def list_trained(training: Training) -> list[tuple[int, str, int]]:
        return [
            (rollout.update, rollout.group, rollout.trajectory.rollout)
            for rollout in training.directory.read(GRPO_ROLLOUTS)
            if rollout.update >= 2
        ]

    assert list_trained(resumed) == list_trained(whole)
    assert len(set(list_trained(whole))) == len(list_trained(whole)) == 16


def test_without_staleness_no_rollout_begins_before_the_update_is_learnt(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    learn = Learner.learn
    counts: list[int] = []

    def count_and_learn(learner: Learner, dealt: DealtExamples, update: int) -> Any:
        time.sleep(0.2)
        counts.append(len(training_pools[0].requests))
        return learn(learner, dealt, update)

    training_pools: list[ScriptedPool] = []
    start = ScriptedPool.__init__

    def note_and_start(pool: ScriptedPool, *arguments: Any, **options: Any) -> None:
        start(pool, *arguments, **options)
        training_pools.append(pool)

    monkeypatch.setattr(ScriptedPool, "__init__", note_and_start)
    monkeypatch.setattr(Learner, "learn", count_and_learn)
    Training(tmp_path / "run", model, monkeypatch, updates=3)
    assert counts == [8, 16, 24]


def test_rollouts_of_older_weights_than_allowed_are_never_learnt_from() -> None:
    engine = RecordingEngine()
    engine.versions.append(3)
    for bound, update, stale in ((0, 3, 0), (0, 4, 8), (1, 4, 0), (1, 5, 8), (1, 2, 8)):
        config = make_config(1, f"grpo.max_staleness={bound}")
        collected = make_coordinator(config, ScriptedPool(engine), engine).collect(update)
        assert collected.figures.stale == stale
        is_taught = [rollout.advantage is not None for rollout in collected.rollouts]
        assert is_taught == [stale == 0] * 8
        assert collected.figures.staleness_largest == (None if stale else update - 3)


def test_updates_that_can_teach_nothing_stop_the_run(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    easy = [question.task.task_id for question in QUESTIONS]
    with pytest.raises(DataError, match=r"2 updates in a row.*update 1: exact match 1.0 of 8"):
        Training(
            tmp_path / "run",
            model,
            monkeypatch,
            4,
            "grpo.max_empty_updates=2",
            easy=easy,
        )
    lines = (tmp_path / "run" / GRPO_METRICS.name).read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    assert [row["groups_used"] for row in rows] == [0, 0]
    assert [row["rollouts_unused"] for row in rows] == [8, 8]


def test_outcomes_are_scored_in_one_order_whichever_group_ends_first() -> None:
    class RecordingPreference(RulesPreference):
        """Keeps the order in which it is given the rollouts."""

        def score(
            self, trajectories: Sequence[Trajectory], tasks: Sequence[Task]
        ) -> list[float | None]:
            keys.extend((trajectory.question_id, trajectory.rollout) for trajectory in trajectories)
            return super().score(trajectories, tasks)

    keys: list[tuple[str, int]] = []
    engine = RecordingEngine()
    config = make_config(1)
    coordinator = RolloutCoordinator(
        config.grpo,
        QUESTIONS,
        start_curriculum(config, QUESTIONS, None),
        ScriptedPool(engine),
        engine,
        RecordingPreference(),
    )
    for update in range(4, 9):
        keys.clear()
        assert len(coordinator.collect(update).rollouts) == 8
        assert keys == sorted(keys)
        # Numbered through the run, so that a question that comes again has new rollouts.
        numbers = range(4 * update, 4 * update + 4)
        assert {number for _, number in keys} == set(numbers)


def test_an_update_with_fewer_examples_than_workers_leaves_the_weights_alone() -> None:
    class Untouched:
        """Fails whatever is called."""

    backend: TrainerBackend = Untouched()  # type: ignore[assignment]
    nothing = deal_rollouts([], world_size=2)[0]
    figures = Learner(backend, make_config(1).grpo, 1).learn(nothing, update=0)
    assert (figures.loss, figures.grad_norm, figures.tokens) == (0.0, 0.0, 0)
    assert figures.entropy is None
    assert figures.mismatch_kl is None
