"""The composition root: every stage in order, from PubMed files to the judged model.

Guarantees: a stage runs after all it needs. A finished stage is skipped, and one that was killed
resumes from its parts. What would make a stage fail is looked for in all stages before anything
runs or changes. Results of other settings are set aside before their stage runs and taken back when
the settings return, so manifests never describe results of other inputs, and no plan deletes any.
A second process on the same run directory is refused. Ray is started only when a stage that will
run uses it. Rooms are imported when their stage is planned, not before.
"""

import contextlib
import importlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console

from medr_ray.core.config import PipelineConfig
from medr_ray.core.config.names import check_known
from medr_ray.core.costs import ModelCost, describe_total
from medr_ray.core.earlier_results import (
    find_earlier_results,
    keep_copy,
    set_results_aside,
    take_results_back,
)
from medr_ray.core.errors import ConfigError, InfrastructureError
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
from medr_ray.llm.stage_use import ModelUse, describe_model_use

CONFIG_FILE = "config.yaml"
# Counts on the one line of a skipped stage; `medr STAGE show` prints all.
_MAX_LISTED_COUNTS = 3

# Asked before costly results are made anew; returns whether to go on.
Confirm = Callable[[str], bool]
Report = Callable[[PipelineConfig, RunDirectory, Console], None]


@dataclass(frozen=True)
class PlannedStage:
    """A stage with its fingerprint, and whether it will run. ``reason`` says why it runs or is
    skipped. ``is_taken_back``: earlier results of the same settings are put in use.
    ``is_forced``: it runs although its results may be whole."""

    stage: Stage
    fingerprint: str
    will_run: bool
    reason: str
    is_taken_back: bool = False
    is_forced: bool = False


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
    check_content: bool = False,
) -> list[PlannedStage]:
    """What would happen to each stage. Reads manifests, changes nothing.

    Finished results whose files are missing or have another size are made anew; with
    ``check_content`` also those whose files have other content.
    """
    names = [stage.name for stage in stages]
    first_forced = names.index(from_stage) if from_stage else len(names)
    fingerprints: dict[str, str] = {}
    running: set[str] = set()
    planned = []
    for position, stage in enumerate(stages):
        # In pipeline order, so the fingerprints of all that the stage needs are there.
        fingerprint = compute_fingerprint(stage, config, fingerprints)
        fingerprints[stage.name] = fingerprint
        is_forced = position >= first_forced
        running_needs = [name for name in stage.list_needs(config) if name in running]
        if is_forced:
            # Whether or not the results are up to date.
            reason = f"--from {from_stage}"
        else:
            reason = _find_reason_to_run(stage, run, fingerprint, running_needs, check_content)
        is_taken_back = False
        if reason and not is_forced and not running_needs:
            earlier = find_earlier_results(run, stage.name, fingerprint)
            is_taken_back = earlier is not None and earlier.is_whole(check_content)
        if is_taken_back:
            planned.append(
                PlannedStage(stage, fingerprint, False, "made earlier: taken back", True)
            )
        elif reason:
            running.add(stage.name)
            planned.append(PlannedStage(stage, fingerprint, True, reason, is_forced=is_forced))
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


def select_needed_stages(stages: Sequence[Stage], config: PipelineConfig) -> list[Stage]:
    """The last of ``stages`` and those that it reads under this configuration, directly or through
    others, in their order."""
    needed = {stages[-1].name}
    for stage in reversed(stages):
        if stage.name in needed:
            needed.update(stage.list_needs(config))
    return [stage for stage in stages if stage.name in needed]


def _find_reason_to_run(
    stage: Stage,
    run: RunDirectory,
    fingerprint: str,
    running_needs: Sequence[str],
    check_content: bool,
) -> str:
    """Why the stage must run, "" when it need not. ``running_needs`` are the stages it reads that
    will run."""
    directory = run.stage(stage.name)
    damage = directory.find_damage(check_content)
    if damage:
        return f"not finished: damaged ({damage})"
    manifest = directory.manifest()
    if manifest is None:
        return "not finished yet"
    if manifest["fingerprint"] != fingerprint:
        return "its configuration or inputs changed"
    return f"{', '.join(running_needs)} will run" if running_needs else ""


def _describe_counts(manifest: dict[str, Any] | None) -> str:
    """ ", 50,783 citations, 2 files" from a manifest: its first whole numbers, or "" when it has
    none."""
    counts = manifest.get("counts", {}) if manifest else {}
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
    verify: bool = False,
    confirm: Confirm | None = None,
    only_needed: bool = False,
) -> None:
    """Run what is not finished yet, up to and with ``until_stage``; after the last stage, the
    report. ``only_needed``: of the stages before it only those that it reads, and those that these
    read.

    ``from_stage`` first sets the results of that stage and of all later ones aside. ``dry_run``
    prints the plan and its problems, and changes nothing. ``verify`` compares the content of
    finished files with their manifest. ``confirm`` is asked before trained weights or results that
    were paid for are made anew; without it nobody is. ``stages`` and ``report`` replace those of
    the medical pipeline. Raises MedrError.
    """
    console = console or Console()
    order = [stage.name for stage in stages] if stages is not None else list(STAGES)
    selected = _select_stages(stages, order, from_stage, until_stage)
    if only_needed:
        selected = select_needed_stages(selected, config)
    run = open_run(config)
    if dry_run:
        planned = plan_stages(selected, config, run, from_stage, verify)
        _print_plan(planned, config, run, console)
        _print_warnings(planned, config, console)
        _require_no_problems(planned, config, run)
        return
    # Before the lock, which would make the folder look like one of ours.
    run.claim()
    with run_lock(run):
        planned = plan_stages(selected, config, run, from_stage, verify)
        _require_no_problems(planned, config, run)
        _print_warnings(planned, config, console)
        _require_consent(planned, config, run, confirm)
        # Before anything runs, so that also a run that fails shows what it was configured with.
        run.write_bytes(CONFIG_FILE, dump_yaml(config).encode())
        _arrange_results(planned, order, run, from_stage)
        _run_planned_stages(planned, config, run, console)
        # A run that stops early has no evaluation yet; `medr report` gives the report of any state.
        if selected[-1].name == order[-1]:
            write_report = report or _write_medical_report
            write_report(config, run, console)


def find_problems(
    planned: Sequence[PlannedStage], config: PipelineConfig, run: RunDirectory
) -> list[str]:
    """What would make the stages that will run fail, each with its remedy."""
    problems = [
        f"{step.stage.name}: {problem}"
        for step in planned
        if step.will_run
        for problem in step.stage.check(config, run)
    ]
    # One cause can stop several stages in the same words.
    return [*dict.fromkeys(problems), *_find_lack_of_space(planned, config, run)]


def _find_lack_of_space(
    planned: Sequence[PlannedStage], config: PipelineConfig, run: RunDirectory
) -> Iterator[str]:
    """What the stages to run write at least, where the disk has less.

    A stage that has parts already is left out: how much of it is missing is not known.
    """
    free = run.free_space()
    if free is None:
        return
    sizes = {
        step.stage.name: step.stage.estimate_size(config, run)
        for step in planned
        if step.will_run and run.stage(step.stage.name).is_empty()
    }
    kept = 0
    needed = 0
    for size in sizes.values():
        # What a stage has for itself is gone when the next one runs.
        kept += size.kept
        needed = max(needed, kept + size.temporary)
    if needed > free:
        totals = {name: size.kept + size.temporary for name, size in sizes.items()}
        largest = max(totals, key=lambda name: totals[name])
        yield (
            f"{run.uri} has {free / 1e9:,.1f} GB free and the stages need {needed / 1e9:,.1f} GB "
            f"at the same time ({largest} {totals[largest] / 1e9:,.1f} GB): free some space, or "
            "set run.root to another disk"
        )


def _require_no_problems(
    planned: Sequence[PlannedStage], config: PipelineConfig, run: RunDirectory
) -> None:
    problems = find_problems(planned, config, run)
    if problems:
        raise ConfigError("nothing was started:\n" + "\n".join(problems))


def _require_ready(step: PlannedStage, config: PipelineConfig, run: RunDirectory) -> None:
    """Raises InfrastructureError for what keeps a stage from starting that could start before."""
    problems = find_problems([step], config, run)
    if problems:
        raise InfrastructureError("not started: " + "; ".join(problems))


def _require_consent(
    planned: Sequence[PlannedStage],
    config: PipelineConfig,
    run: RunDirectory,
    confirm: Confirm | None,
) -> None:
    """Ask before costly results are made anew. Raises ConfigError where the answer is no."""
    costs = []
    for step in planned:
        name = step.stage.name
        kind = step.stage.estimate_cost(config, run).product
        directory = run.stage(name)
        if not (step.will_run and kind) or directory.find_damage():
            continue
        manifest = directory.manifest()
        if manifest is not None:
            seconds = f"{manifest.get('seconds', 0):,.0f} s"
            costs.append(f"{name}: {kind} that took {seconds}, because {step.reason}")
    if not costs or confirm is None:
        return
    question = "These results are made anew; what is there is kept under earlier/:\n"
    if not confirm(question + "\n".join(costs)):
        raise ConfigError(
            "nothing was started: " + "; ".join(costs) + "; --yes makes them anew, and "
            "another run.name leaves this run as it is"
        )


def _arrange_results(
    planned: Sequence[PlannedStage],
    order: Sequence[str],
    run: RunDirectory,
    from_stage: str | None,
) -> None:
    """Set aside what is about to be replaced, and put earlier results of the same settings in use.

    Unfinished parts of the same settings stay, to resume from. So do the parts of an incremental
    stage, which checks them itself; of its finished results a copy is kept.
    """
    # All later stages, also those after the last one that runs: their results are out of date.
    forced = order[order.index(from_stage) :] if from_stage else ()
    steps = {step.stage.name: step for step in planned}
    for name in forced:
        if name not in steps:
            set_results_aside(run, name, are_replaced=True)
    for step in planned:
        if step.will_run or step.is_taken_back:
            _make_room(step, run)


def _make_room(step: PlannedStage, run: RunDirectory) -> None:
    """Prepare the folder of a stage that will run or whose earlier results are taken back."""
    name = step.stage.name
    directory = run.stage(name)
    directory.require_ours()
    is_damaged = bool(directory.find_damage())
    is_finished = not is_damaged and directory.manifest() is not None
    is_same = directory.fingerprint() == step.fingerprint
    if step.will_run and is_same and not is_finished and not is_damaged and not step.is_forced:
        # Parts to resume from.
        return
    if step.will_run and step.stage.incremental and not step.is_forced and not is_damaged:
        if is_finished:
            keep_copy(run, name)
        return
    set_results_aside(run, name, are_replaced=is_same)
    earlier = find_earlier_results(run, name, step.fingerprint)
    if earlier is not None and not step.is_forced and not earlier.find_damage():
        # Finished ones of the same settings, or parts to resume from.
        take_results_back(run, name, step.fingerprint)


def _run_planned_stages(
    planned: Sequence[PlannedStage], config: PipelineConfig, run: RunDirectory, console: Console
) -> None:
    fingerprints = {step.stage.name: step.fingerprint for step in planned}
    with contextlib.ExitStack() as exit_stack:
        ray_is_up = False
        has_run_stages = False
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
            if has_run_stages:
                # Hours after the first check: an endpoint or a disk may be gone.
                _require_ready(step, config, run)
            has_run_stages = True
            console.print(f"[bold]{name}[/bold]: running", highlight=False)
            context = StageContext(config, run, run.stage(name), console)
            use = ModelUse.begin(step.stage, step.fingerprint, config, run, step.is_forced)
            manifest = run_stage(step.stage, context, step.fingerprint, fingerprints, use.list_rows)
            use.end()
            resumed = " (resumed)" if manifest["resumed"] else ""
            seconds = f"{manifest['seconds']:,.1f} s"
            console.print(f"{name}: finished in {seconds}{resumed}", highlight=False)
            for row in manifest.get("models", ()):
                console.print(f"  {describe_model_use(row)}", highlight=False, markup=False)


@contextlib.contextmanager
def _open_ray_session(config: PipelineConfig) -> Iterator[None]:
    from medr_ray.core.placement import Need, require_room
    from medr_ray.core.session import ray_session

    with ray_session(config.ray):
        # Ray Data waits for ever for its first CPU. Heads of clusters often have none.
        require_room([Need("a task of Ray Data", {"CPU": 1})], config.ray)
        yield


def _print_plan(
    planned: Sequence[PlannedStage], config: PipelineConfig, run: RunDirectory, console: Console
) -> None:
    """What would happen to each stage, and what its language models would use."""
    costs: list[ModelCost] = []
    for step in planned:
        action = "would run" if step.will_run else "skip"
        console.print(f"{step.stage.name:<13} {action:<10} {step.reason}", highlight=False)
        if not step.will_run:
            continue
        for cost in step.stage.estimate_cost(config, run).models:
            costs.append(cost)
            line = f"{'':<13} {cost.describe()}"
            console.print(line, highlight=False, markup=False, soft_wrap=True)
    if len(costs) > 1:
        total = f"language models together: {describe_total(costs)}"
        console.print(total, highlight=False, markup=False, soft_wrap=True)


def find_warnings(planned: Sequence[PlannedStage], config: PipelineConfig) -> list[str]:
    """What would run in the stages that will, but hardly as it is meant."""
    return [
        f"{step.stage.name}: {warning}"
        for step in planned
        if step.will_run
        for warning in step.stage.warn(config)
    ]


def _print_warnings(
    planned: Sequence[PlannedStage], config: PipelineConfig, console: Console
) -> None:
    for warning in find_warnings(planned, config):
        console.print(f"warning: {warning}", style="yellow", markup=False, soft_wrap=True)


def _write_medical_report(config: PipelineConfig, run: RunDirectory, console: Console) -> None:
    from medr_ray.evaluation.report import print_report, write_report

    print_report(write_report(config, run), console)
