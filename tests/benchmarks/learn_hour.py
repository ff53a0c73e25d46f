"""Exact match on held-out questions of 2 to 4 hops over the updates of GRPO, in about an hour on
two cores. ``quick`` takes minutes, most of them for the stages before training, and learns next to
nothing.

The stages are those of ``medr run`` up to GRPO, with ``configs/quickstart.yaml`` and what is set
here, in ``runs/learn_hour`` of the checkout (``runs/learn_hour_quick``) or the folder that
MEDR_BENCH_RUN names. After an end of any kind the same command goes on in this folder, and what is
finished is only printed. The stages before the questions are set as in the quickstart, so a copy of
its folder saves them.

The figures are those that GRPO wrote to its metrics, before its first update and after every few.
The curves are ``learn_hour.svg`` in the folder of the run.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from medr_ray.core.config import PipelineConfig
from medr_ray.core.errors import DataError
from medr_ray.core.measurement import Measurement, build_measurement
from medr_ray.core.run import RunDirectory, open_run
from medr_ray.core.settings import load_config
from medr_ray.evaluation.report.curves import build_heldout_curves, draw_curves
from medr_ray.evaluation.report.records import TrainingLog
from medr_ray.pipeline import load_stages, run_pipeline
from medr_ray.training.artifacts import GRPO_METRICS
from medr_ray.training.metric_rows import MetricRow, read_rows

_CHECKOUT = Path(__file__).resolve().parents[2]
_CONFIG = _CHECKOUT / "configs" / "quickstart.yaml"
_LAST_STAGE = "grpo"
_CURVES = "learn_hour.svg"
_GOAL = 0.6
_PEER = "the SFT model"
_MINUTE = 60
# Those whose questions the teacher answers with this search alone, more often than not.
_SHAPES = (
    "company_to_drug,disease_to_gene,gene_to_inheritance,patent_to_approval,trial_record,"
    "trial_to_approval,trial_to_safety"
)
_QUESTIONS = (
    f"questions.shapes=[{_SHAPES}]",
    "questions.min_hops=2",
    "questions.max_hops=4",
    "questions.drafts_per_chain=150",
)
_ROOM = (  # for a search more than the hops, and what each brings up
    "agent.max_tool_calls=6",
    "agent.max_tokens=2048",
    "trajectories.max_tokens=1536",
    "sft.max_tokens=1536",
    "sft.micro_tokens=1536",
)
_HOUR = (
    "questions.max_questions=500",
    "questions.heldout_fraction=0.45",  # 225 of them
    "sft.max_steps=36",
    "grpo.updates=8",
    "grpo.evaluate_every=4",
    "grpo.evaluation_questions=200",
    "grpo.checkpoint_every=2",
)
_MINUTES = (
    "questions.max_questions=60",
    "questions.heldout_fraction=0.5",
    "sft.max_steps=2",
    "grpo.updates=2",
    "grpo.questions_per_update=2",
    "grpo.group_size=3",
    "grpo.evaluate_every=1",
    "grpo.evaluation_questions=12",
    "grpo.max_empty_updates=9",  # after two steps all rollouts are wrong
)


def measure(quick: bool) -> Iterator[Measurement]:
    config = _configure(quick)
    run_pipeline(config, until_stage=_LAST_STAGE, console=Console(stderr=True))
    run = open_run(config)
    rows = read_rows(run.read_bytes(GRPO_METRICS.path), GRPO_METRICS.path)
    curves = build_heldout_curves(TrainingLog(tuple(rows)))
    run.write_bytes(_CURVES, draw_curves(curves))
    yield from compare_heldout(rows, f"{run.uri}/{_CURVES}")
    yield _add_up_seconds(run)


def _configure(quick: bool) -> PipelineConfig:
    """The quickstart's configuration with what is set here."""
    name = "learn_hour_quick" if quick else "learn_hour"
    folder = Path(os.environ.get("MEDR_BENCH_RUN") or _CHECKOUT / "runs" / name).absolute()
    place = (f"run.root={folder.parent}", f"run.name={folder.name}")
    length = _MINUTES if quick else _HOUR
    return load_config(_CONFIG, [*place, *_QUESTIONS, *_ROOM, *length])


def compare_heldout(rows: Sequence[MetricRow], curves: str) -> Iterator[Measurement]:
    """The last measurement beside the one before the first update: of all questions, and of each
    number of hops. ``curves`` is where the picture is.

    Raises DataError where there are not two.
    """
    before = rows[0]["heldout_before"]
    measured = [row for row in rows if row["heldout_questions"]]
    if not measured or not before or not before["heldout_questions"]:
        raise DataError("no held-out question was answered: see excluded_by in grpo/metrics.jsonl")
    last = measured[-1]
    updates = f"after {last['update']} updates"
    yield build_measurement(
        f"exact match on held-out questions of 2 to 4 hops, {updates}",
        last["heldout_exact_match"],
        before["heldout_exact_match"],
        _PEER,
        goal=_GOAL,
        note=f"{_describe_heldout(last)}; before {_describe_heldout(before)}; curves {curves}",
    )
    for hops, share in sorted(last["heldout_by_hops"].items()):
        share_before = before["heldout_by_hops"].get(hops)
        yield build_measurement(
            f"... of {hops} hops",
            share["exact_match"],
            share_before["exact_match"] if share_before else None,
            _PEER,
            note=f"{_describe_share(share)}; before {_describe_share(share_before)}",
        )


def _describe_heldout(figures: Mapping[str, Any]) -> str:
    return _format_interval(
        figures["heldout_low"], figures["heldout_high"], figures["heldout_questions"]
    )


def _describe_share(share: Mapping[str, Any] | None) -> str:
    if share is None:
        return "not measured"
    return _format_interval(share["low"], share["high"], share["questions"])


def _format_interval(low: float, high: float, count: int) -> str:
    return f"95 % {low:.3f} to {high:.3f}, n = {count}"


def _add_up_seconds(run: RunDirectory) -> Measurement:
    """The minutes of all stages, each of which has its last run's in its manifest."""
    minutes = {}
    for stage in load_stages(_LAST_STAGE):
        manifest = run.stage(stage.name).manifest()
        if manifest is not None:
            minutes[stage.name] = manifest["seconds"] / _MINUTE
    parts = ", ".join(f"{name} {value:.1f}" for name, value in minutes.items())
    return build_measurement(
        "minutes of the run", sum(minutes.values()), lower_is_better=True, unit="min", note=parts
    )
