"""GRPO's trainers with notes of what they do, for tests that disturb them.

Below the root of the run, each trainer leaves the number of its process in
``processes/trainer-RANK``, and in ``learnt-RANK.jsonl`` a line for each update that it begins to
learn: hashes of its examples, and the optimiser's steps before it. Rank 0 leaves in ``phase.json``
what it is at.
"""

import hashlib
import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from support.differing_rewards import let_rewards_differ

if TYPE_CHECKING:
    from medr_ray.training.batches import Example

# Added to each turn and to each phase of an update but the rollouts, so that a kill finds the run
# in any of them.
PAUSE_SECONDS = 0.2

PhaseName = Literal["starting", "rollouts", "learning", "weights", "checkpoint", "export"]


@dataclass(frozen=True)
class Phase:
    """What rank 0 is at, in the update of this number, from 0."""

    update: int
    name: PhaseName


def run_noting_job(settings: dict[str, Any]) -> None:
    """As ``run_grpo_job``, with rewards that always differ within a group, with pauses and with
    notes."""
    from medr_ray.training import grpo
    from medr_ray.training.collectives import get_rank

    root = Path(settings["job"].config.run.root)
    notes = TrainerNotes(root, get_rank())
    notes.note_process()
    notes.note_phase("starting")
    let_rewards_differ()
    slow_engines_down()
    note_phases(notes)
    grpo.grpo_worker(settings)


class TrainerNotes:
    """The notes of the trainer of this rank."""

    def __init__(self, root: Path, rank: int) -> None:
        self._root = root
        self._rank = rank
        self._update = 0

    def note_process(self) -> None:
        folder = self._root / "processes"
        folder.mkdir(exist_ok=True)
        write_whole(folder / f"trainer-{self._rank}", str(os.getpid()))

    def note_phase(self, name: PhaseName, update: int | None = None) -> None:
        """``update``: null for the one of the phase before."""
        if update is not None:
            self._update = update
        if self._rank == 0:
            write_phase(self._root, Phase(self._update, name))

    def note_taught(self, update: int, steps: int, taught: list[str]) -> None:
        note = {"update": update, "steps": steps, "taught": taught, "process": os.getpid()}
        with (self._root / f"learnt-{self._rank}.jsonl").open("a") as file:
            file.write(json.dumps(note) + "\n")


def hash_example(example: "Example") -> str:
    """Of its tokens, and which of them are learnt."""
    return hashlib.sha256(repr((example.ids, example.targets)).encode()).hexdigest()


def write_phase(root: Path, phase: Phase) -> None:
    write_whole(root / "phase.json", json.dumps(asdict(phase)))


def write_whole(path: Path, text: str) -> None:
    """Write a small file, whole or not at all."""
    draft = path.with_name(f".{path.name}")
    draft.write_text(text)
    draft.rename(path)


def slow_engines_down() -> None:
    """Let the engines that this process starts answer later."""
    from support.slow_engine import SlowEngineFactory

    from medr_ray.rollouts import engine_placement

    choose_engine_factory = engine_placement.choose_engine_factory

    def choose_slow_engine_factory(*arguments: Any) -> SlowEngineFactory:
        return SlowEngineFactory(choose_engine_factory(*arguments), PAUSE_SECONDS)

    engine_placement.choose_engine_factory = choose_slow_engine_factory


def note_phases(notes: TrainerNotes) -> None:
    """Let this process note every phase of an update, and pause in it."""
    from medr_ray.training import grpo
    from medr_ray.training.dealing import DealtExamples
    from medr_ray.training.learner import Learner
    from medr_ray.training.rollout_collection import RolloutCollection
    from medr_ray.training.weight_sync import WeightPublisher

    collect = RolloutCollection.collect
    learn = Learner.learn
    publish = WeightPublisher.publish

    def note_and_collect(collection: RolloutCollection, update: int) -> Any:
        notes.note_phase("rollouts", update)
        return collect(collection, update)

    def note_and_learn(learner: Learner, dealt: DealtExamples, update: int) -> Any:
        steps = int(learner._backend.state()["steps"])
        taught = [hash_example(example) for example in dealt.own]
        notes.note_phase("learning", update)
        notes.note_taught(update, steps, taught)
        time.sleep(PAUSE_SECONDS)
        return learn(learner, dealt, update)

    def note_and_publish(
        publisher: WeightPublisher, version: int, only_missing: bool = False
    ) -> Any:
        # Engines that came up again are given weights while rollouts are made.
        if not only_missing:
            notes.note_phase("weights", version - 1)
            time.sleep(PAUSE_SECONDS)
        return publish(publisher, version, only_missing)

    def note_and_save(save: Callable[..., None], name: PhaseName) -> Callable[..., None]:
        def save_after_pause(*arguments: Any, **options: Any) -> None:
            notes.note_phase(name)
            time.sleep(PAUSE_SECONDS)
            save(*arguments, **options)

        return save_after_pause

    RolloutCollection.collect = note_and_collect  # type: ignore[method-assign]
    Learner.learn = note_and_learn  # type: ignore[method-assign]
    WeightPublisher.publish = note_and_publish  # type: ignore[method-assign]
    grpo.save_checkpoint = note_and_save(grpo.save_checkpoint, "checkpoint")
    grpo.save_model = note_and_save(grpo.save_model, "export")
