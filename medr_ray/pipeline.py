"""The composition root: every stage in order, from PubMed files to the judged model.

Guarantees: a stage runs after all it needs. A finished stage is skipped, and one that was killed
resumes from its parts. Results to be made anew are discarded before anything runs, so manifests on
disk never describe results of other inputs. A second process on the same run directory is refused.
Ray is started only when a stage that will run uses it. Rooms are imported when their stage is
planned, not before.
"""

import contextlib
import importlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console

from medr_ray.core.config import PipelineConfig
from medr_ray.core.config.names import check_known
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
# Counts on the one line of a skipped stage; `medr STAGE show` prints all.
_MAX_LISTED_COUNTS = 3

Report = Callable[[PipelineConfig, RunDirectory, Console], None]


@dataclass(frozen=True)
class PlannedStage:
    """A stage with its fingerprint, and whether it will run. ``reason`` says why it runs or is
    skipped."""

    stage: Stage
    fingerprint: str
    will_run: bool
    reason: str


# --- planning -------------------------------------------------------------------------


def load_stages(until: str | None = None) -> list[Stage]:
    """The stages in order up to and with ``until``, imported from their rooms."""
    names = list(STAGES)
    if until is not None:
        names = names[: names.index(check_stage_name(until, names)) + 1]
    return [_import_stage(STAGES[name].reference) for name in names]


def check_stage_name(name: str, names: Sequence[str]) -> str:
    """``name`` itself. Raises ConfigError, with the nearest stage, for a name that is none of
    ``names``."""
    try:
        check_known(name, names, "stage")
    except ValueError as error:
        raise ConfigError(str(error)) from None
    return name


def plan_stages(
    stages: Sequence[Stage],
    config: PipelineConfig,
    run: RunDirectory,
    from_stage: str | None = None,
) -> list[PlannedStage]:
    """What would happen to each stage. Reads manifests, changes nothing."""
    names = [stage.name for stage in stages]
    first_forced = names.index(from_stage) if from_stage else len(names)
    fingerprints: dict[str, str] = {}
    running: set[str] = set()
    planned = []
    for position, stage in enumerate(stages):
        # In pipeline order, so the fingerprints of all that the stage needs are there.
        fingerprint = compute_fingerprint(stage, config, fingerprints)
        fingerprints[stage.name] = fingerprint
        if position >= first_forced:
            # Forced, whether or not the results are up to date.
            reason = f"--from {from_stage}"
        else:
            reason = _find_reason_to_run(stage, run, fingerprint, running)
        if reason:
            running.add(stage.name)
            planned.append(PlannedStage(stage, fingerprint, True, reason))
        else:
            counts = _describe_counts(run.stage(stage.name).manifest())
            planned.append(PlannedStage(stage, fingerprint, False, f"done earlier{counts}"))
    return planned


def _import_stage(reference: str) -> Stage:
    """The stage at ``module:attribute``."""
    module, _, attribute = reference.partition(":")
    stage: Stage = getattr(importlib.import_module(module), attribute)
    return stage


def _select_stages(
    stages: Sequence[Stage] | None,
    order: Sequence[str],
    from_stage: str | None,
    until_stage: str | None,
) -> Sequence[Stage]:
    """The stages up to and with ``until_stage``. Raises ConfigError for unknown names, and where
    ``from_stage`` comes after ``until_stage``."""
    last = len(order) - 1
    if until_stage:
        last = order.index(check_stage_name(until_stage, order))
    if from_stage and order.index(check_stage_name(from_stage, order)) > last:
        raise ConfigError(f"--from {from_stage} comes after --until {until_stage}: swap them")
    if stages is not None:
        return stages[: last + 1]
    return load_stages(until_stage)


def _find_reason_to_run(
    stage: Stage, run: RunDirectory, fingerprint: str, running: set[str]
) -> str:
    """Why the stage must run, "" when it need not. ``running`` are the stages before it that will
    run."""
    manifest = run.stage(stage.name).manifest()
    if manifest is None:
        return "not finished yet"
    if manifest["fingerprint"] != fingerprint:
        return "its configuration or inputs changed"
    running_needs = [name for name in stage.needs if name in running]
    return f"{', '.join(running_needs)} will run" if running_needs else ""


def _describe_counts(manifest: dict[str, Any] | None) -> str:
    """ ", 50,783 citations, 2 files" from a manifest: its first whole numbers, or "" when it has
    none."""
    counts = manifest["counts"] if manifest else {}
    whole_numbers = [
        (name, value)
        for name, value in counts.items()
        if isinstance(value, int) and not isinstance(value, bool)
    ]
    return "".join(
        f", {value:,} {name.replace('_', ' ')}"
        for name, value in whole_numbers[:_MAX_LISTED_COUNTS]
    )


# --- running --------------------------------------------------------------------------


def run_pipeline(
    config: PipelineConfig,
    from_stage: str | None = None,
    until_stage: str | None = None,
    dry_run: bool = False,
    console: Console | None = None,
    stages: Sequence[Stage] | None = None,
    report: Report | None = None,
) -> None:
    """Run what is not finished yet, up to and with ``until_stage``; after the last stage, the
    report.

    ``from_stage`` first discards the results of that stage and of all later ones. ``dry_run``
    prints the plan and changes nothing. ``stages`` and ``report`` replace those of the medical
    pipeline. Raises MedrError.
    """
    console = console or Console()
    order = [stage.name for stage in stages] if stages is not None else list(STAGES)
    selected = _select_stages(stages, order, from_stage, until_stage)
    run = open_run(config)
    if dry_run:
        _print_plan(plan_stages(selected, config, run, from_stage), console)
        return
    with run_lock(run):
        planned = plan_stages(selected, config, run, from_stage)
        # Before anything runs, so that also a run that fails shows what it was configured with.
        run.write_bytes(CONFIG_FILE, dump_yaml(config).encode())
        _discard_results(planned, order, run, from_stage)
        _run_planned_stages(planned, config, run, console)
        # A run that stops early has no evaluation yet; `medr report` gives the report of any state.
        if selected[-1].name == order[-1]:
            write_report = report or _write_medical_report
            write_report(config, run, console)


def _discard_results(
    planned: Sequence[PlannedStage],
    order: Sequence[str],
    run: RunDirectory,
    from_stage: str | None,
) -> None:
    """Empty every stage whose finished results are about to be replaced.

    Unfinished parts stay, to resume from. So do the parts of an incremental stage, which checks
    them itself.
    """
    # All later stages, also those after the last one that runs: their results are out of date.
    forced = order[order.index(from_stage) :] if from_stage else ()
    for name in forced:
        run.stage(name).clear()
    for step in planned:
        directory = run.stage(step.stage.name)
        is_finished = directory.manifest() is not None
        if step.will_run and is_finished and not step.stage.incremental:
            directory.clear()


def _run_planned_stages(
    planned: Sequence[PlannedStage], config: PipelineConfig, run: RunDirectory, console: Console
) -> None:
    fingerprints = {step.stage.name: step.fingerprint for step in planned}
    with contextlib.ExitStack() as exit_stack:
        ray_is_up = False
        for step in planned:
            name = step.stage.name
            if not step.will_run:
                console.print(f"{name}: {step.reason}", highlight=False)
                continue
            if step.stage.uses_ray and not ray_is_up:
                # Once for all stages: starting Ray takes seconds. The stack ends it after the last
                # one.
                exit_stack.enter_context(_open_ray_session(config))
                ray_is_up = True
            console.print(f"[bold]{name}[/bold]: running", highlight=False)
            context = StageContext(config, run, run.stage(name), console)
            manifest = run_stage(step.stage, context, step.fingerprint, fingerprints)
            resumed = " (resumed)" if manifest["resumed"] else ""
            seconds = f"{manifest['seconds']:,.1f} s"
            console.print(f"{name}: finished in {seconds}{resumed}", highlight=False)


@contextlib.contextmanager
def _open_ray_session(config: PipelineConfig) -> Iterator[None]:
    from medr_ray.core.session import ray_session

    with ray_session(config.ray):
        yield


def _print_plan(planned: Sequence[PlannedStage], console: Console) -> None:
    for step in planned:
        action = "would run" if step.will_run else "skip"
        console.print(f"{step.stage.name:<13} {action:<10} {step.reason}", highlight=False)


def _write_medical_report(config: PipelineConfig, run: RunDirectory, console: Console) -> None:
    from medr_ray.evaluation.report import print_report, write_report

    print_report(write_report(config, run), console)
