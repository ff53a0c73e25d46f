"""The composition root: every stage in order, from PubMed files to the judged model.

What holds: a stage runs after all it needs; a finished stage is skipped, and one that was killed
resumes from its parts; whatever is to be made anew is discarded before anything runs, so manifests
on disk never describe results of other inputs; a second process on the same run directory is
refused; Ray is started only when a stage that will run uses it. Rooms are imported when their stage
is planned, not before.
"""

import contextlib
import difflib
import importlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console

from medr_ray.core.config import PipelineConfig
from medr_ray.core.errors import ConfigError
from medr_ray.core.lock import run_lock
from medr_ray.core.run import (
    RunDirectory,
    Stage,
    StageContext,
    compute_fingerprint,
    open_run,
    run_stage,
)
from medr_ray.core.settings import dump_yaml
from medr_ray.core.stages import STAGES

CONFIG_FILE = "config.yaml"
_SHOWN_COUNTS = 3  # on one line; `medr STAGE show` prints all

Report = Callable[[PipelineConfig, RunDirectory, Console], None]


@dataclass(frozen=True)
class Step:
    """A stage with its fingerprint and what is to happen: ``reason`` says why it runs or is
    skipped."""

    stage: Stage
    mark: str
    runs: bool
    reason: str


def load_stages(until: str | None = None) -> list[Stage]:
    """The stages in order up to and with ``until``, imported from their rooms."""
    names = list(STAGES)
    chosen = names[: names.index(known_stage(until, names)) + 1] if until else names
    return [_load(STAGES[name].reference) for name in chosen]


def known_stage(name: str, names: Sequence[str]) -> str:
    """``name`` itself. Raises ConfigError, with the nearest stage, for a name that is none of
    ``names``."""
    if name not in names:
        near = difflib.get_close_matches(name, names, n=1, cutoff=0.0)
        raise ConfigError(
            f"unknown stage {name}: did you mean {near[0]}? Stages are {', '.join(names)}"
        )
    return name


def plan(
    stages: Sequence[Stage],
    config: PipelineConfig,
    run: RunDirectory,
    from_stage: str | None = None,
) -> list[Step]:
    """What would happen to each stage. Reads manifests, changes nothing."""
    names = [stage.name for stage in stages]
    first_forced = names.index(from_stage) if from_stage else len(names)
    marks: dict[str, str] = {}
    running: set[str] = set()
    steps = []
    for position, stage in enumerate(stages):
        marks[stage.name] = compute_fingerprint(stage, config, marks)
        reason = _reason_to_run(
            stage, run, marks[stage.name], running, position >= first_forced, from_stage
        )
        if reason:
            running.add(stage.name)
        done = "" if reason else f"done earlier{describe_counts(run.stage(stage.name).manifest())}"
        steps.append(Step(stage, marks[stage.name], bool(reason), reason or done))
    return steps


def run_pipeline(
    config: PipelineConfig,
    from_stage: str | None = None,
    until_stage: str | None = None,
    dry_run: bool = False,
    console: Console | None = None,
    stages: Sequence[Stage] | None = None,
    report: Report | None = None,
) -> None:
    """Run what is not finished yet, up to and with ``until_stage``; then, after the last stage, the
    report.

    ``from_stage`` discards the results of that stage and of all later ones first. ``dry_run``
    prints the plan and changes nothing. ``stages`` and ``report`` replace the medical pipeline's
    own. Raises MedrError.
    """
    console = console or Console()
    order = [stage.name for stage in stages] if stages is not None else list(STAGES)
    selected = _select(stages, order, from_stage, until_stage)
    run = open_run(config)
    if dry_run:
        _print_plan(plan(selected, config, run, from_stage), console)
        return
    with run_lock(run):
        steps = plan(selected, config, run, from_stage)
        run.write_bytes(CONFIG_FILE, dump_yaml(config).encode())
        _discard(steps, order, run, from_stage)
        _execute(steps, config, run, console)
        if selected[-1].name == order[-1]:
            (report or _medical_report)(config, run, console)


def describe_counts(manifest: dict[str, Any] | None) -> str:
    """ ", 50,783 citations, 2 files" from a manifest: its first whole numbers, or "" where it has
    none."""
    counts = manifest["counts"] if manifest else {}
    whole = [
        (name, value)
        for name, value in counts.items()
        if isinstance(value, int) and not isinstance(value, bool)
    ]
    return "".join(f", {value:,} {name.replace('_', ' ')}" for name, value in whole[:_SHOWN_COUNTS])


def _load(reference: str) -> Stage:
    module, _, attribute = reference.partition(":")
    stage: Stage = getattr(importlib.import_module(module), attribute)
    return stage


def _select(
    stages: Sequence[Stage] | None,
    order: Sequence[str],
    from_stage: str | None,
    until_stage: str | None,
) -> Sequence[Stage]:
    last = order.index(known_stage(until_stage, order)) if until_stage else len(order) - 1
    if from_stage and order.index(known_stage(from_stage, order)) > last:
        raise ConfigError(f"--from {from_stage} comes after --until {until_stage}: swap them")
    return stages[: last + 1] if stages is not None else load_stages(until_stage)


def _reason_to_run(
    stage: Stage,
    run: RunDirectory,
    mark: str,
    running: set[str],
    forced: bool,
    from_stage: str | None,
) -> str:
    """Why the stage must run, "" when it need not."""
    if forced:
        return f"--from {from_stage}"
    manifest = run.stage(stage.name).manifest()
    if manifest is None:
        return "not finished yet"
    if manifest["fingerprint"] != mark:
        return "its configuration or inputs changed"
    anew = [name for name in stage.needs if name in running]
    return f"{', '.join(anew)} will run" if anew else ""


def _discard(
    steps: Sequence[Step], order: Sequence[str], run: RunDirectory, from_stage: str | None
) -> None:
    """Empty every stage whose finished results are about to be replaced; unfinished parts stay, to
    resume from, and so do the parts of an incremental stage, which judges them itself."""
    for name in order[order.index(from_stage) :] if from_stage else ():
        run.stage(name).clear()
    for step in steps:
        directory = run.stage(step.stage.name)
        if step.runs and directory.manifest() is not None and not step.stage.incremental:
            directory.clear()


def _execute(
    steps: Sequence[Step], config: PipelineConfig, run: RunDirectory, console: Console
) -> None:
    marks = {step.stage.name: step.mark for step in steps}
    with contextlib.ExitStack() as opened:
        ray_is_up = False
        for step in steps:
            name = step.stage.name
            if not step.runs:
                console.print(f"{name}: {step.reason}", highlight=False)
                continue
            if step.stage.uses_ray and not ray_is_up:
                opened.enter_context(_ray(config))
                ray_is_up = True
            console.print(f"[bold]{name}[/bold]: running", highlight=False)
            context = StageContext(config, run, run.stage(name), console)
            manifest = run_stage(step.stage, context, step.mark, marks)
            resumed = " (resumed)" if manifest["resumed"] else ""
            console.print(
                f"{name}: finished in {manifest['seconds']:,.1f} s{resumed}", highlight=False
            )


@contextlib.contextmanager
def _ray(config: PipelineConfig) -> Iterator[None]:
    from medr_ray.core.session import ray_session

    with ray_session(config.ray):
        yield


def _print_plan(steps: Sequence[Step], console: Console) -> None:
    for step in steps:
        verdict = "would run" if step.runs else "skip"
        console.print(f"{step.stage.name:<13} {verdict:<10} {step.reason}", highlight=False)


def _medical_report(config: PipelineConfig, run: RunDirectory, console: Console) -> None:
    from medr_ray.evaluation.report import print_report, write_report

    write_report(config, run)
    print_report(run, console)
