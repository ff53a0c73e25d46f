"""A plan as text, as JSON, and as a row of the README's table."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from medr_ray.core.units import GB
from medr_ray.training.planner.holders import Holder
from medr_ray.training.planner.plan import TrainingPlan

_NAME_WIDTH = 26
_MILLION = 1e6
_BILLION = 1e9


def describe_plan(plan: TrainingPlan) -> Iterator[str]:
    """The lines of the plan."""
    shape = plan.shape
    trained = "all trained"
    if plan.trained_parameters != shape.parameters:
        trained = f"{plan.trained_parameters / _MILLION:,.1f} M of an adapter trained"
    yield (
        f"{plan.stage}: {shape.family} of {shape.parameters / _BILLION:,.2f} B parameters, "
        f"{trained} ({shape.where})"
    )
    for holder in plan.holders:
        yield from _describe_holder(holder)
    yield _line("GPUs", f"{plan.gpus:g} at the same time ({plan.gpus_note})")
    yield _line("disk", f"{plan.disk / GB:,.1f} GB: {plan.disk_note}")
    work = plan.work
    yield _line("steps", f"{work.steps:,}, {work.tokens / _MILLION:,.1f} M tokens ({work.basis})")
    if plan.hours is None:
        yield _line("hours", plan.hours_note)
    else:
        yield _line("hours", f"{plan.hours:,.1f} ({plan.hours_note})")
    longest = f"{plan.longest_context:,} tokens" if plan.longest_context else "none"
    yield _line("longest dialogue", f"{longest} would fit; {plan.longest_planned:,} are planned")
    for assumption in plan.assumptions:
        yield _line("assumed", assumption)
    for warning in plan.warnings:
        yield _line("warning", warning)
    for problem in plan.problems:
        yield _line("does not fit", problem)


def _describe_holder(holder: Holder) -> Iterator[str]:
    count = f", {holder.count} of them" if holder.count > 1 else ""
    yield f"  {holder.name}{count}"
    for part in holder.parts:
        if part.size > 0:
            yield f"    {part.name:<{_NAME_WIDTH}}{_format_size(part.size):>10}  {part.note}"
    if holder.capacity is None:
        verdict = f"({holder.source})"
    else:
        state = "too much for" if holder.is_short else "of"
        verdict = f"{state} {holder.capacity / GB:,.1f} GB ({holder.source})"
    yield f"    {'together':<{_NAME_WIDTH}}{_format_size(holder.size):>10}  {verdict}"


def _line(name: str, text: str) -> str:
    return f"  {name:<{_NAME_WIDTH + 2}}{text}"


def _format_size(size: float) -> str:
    return f"{size / GB:,.2f} GB"


def plan_to_json(plan: TrainingPlan) -> dict[str, Any]:
    """The plan as JSON values; sizes in bytes."""
    fields = asdict(plan)
    fields["shape"]["parameters"] = plan.shape.parameters
    for holder, values in zip(plan.holders, fields["holders"], strict=True):
        values["size"] = holder.size
        values["fits"] = not holder.is_short
    fields["fits"] = not plan.problems
    return fields


TABLE_HEAD = (
    "| configuration | stage | model | GPUs | GB a GPU | of | GB a host | disk, GB | steps | "
    "M tokens | hours | longest dialogue |",
    "| --- | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
)


def format_table_rows(name: str, plans: Sequence[TrainingPlan]) -> Iterator[str]:
    """Rows of a Markdown table with ``TABLE_HEAD``."""
    for plan in plans:
        # What vLLM needs within its share of a GPU is no GPU more.
        gpus = [holder for holder in plan.holders if holder.name.startswith("GPU ")]
        [host] = [holder for holder in plan.holders if holder.name == "host"]
        capacities = {holder.capacity for holder in gpus if holder.capacity is not None}
        cells = [
            name,
            plan.stage,
            f"{plan.shape.parameters / _BILLION:.2f} B",
            f"{plan.gpus:g}",
            " and ".join(f"{holder.size / GB:.1f}" for holder in gpus) or "–",
            " and ".join(f"{capacity / GB:.0f}" for capacity in capacities) or "–",
            f"{host.size / GB:.1f}",
            f"{plan.disk / GB:,.1f}",
            f"{plan.work.steps:,}",
            f"{plan.work.tokens / _MILLION:,.2f}",
            "–" if plan.hours is None else f"{plan.hours:,.1f}",
            f"{plan.longest_planned:,} of {plan.longest_context:,}",
        ]
        yield f"| {' | '.join(cells)} |"
