"""Builds the report as titled tables and paragraphs, which the terminal and Markdown share."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from medr_ray.evaluation.figures import (
    BenchmarkFigures,
    ModelFigures,
    SlicePart,
    slice_value_sort_key,
)
from medr_ray.evaluation.report.answers import ReportedAnswer
from medr_ray.evaluation.report.formatting import (
    draw_sparkline,
    format_number,
    format_percent,
    shorten_line,
)
from medr_ray.evaluation.report.records import BenchmarkReport, Report, SampleTask, StageSummary
from medr_ray.evaluation.scorers.base import CORRECT, UNSCORED
from medr_ray.questions.review.summary import (
    ReadingFigures,
    ReviewSummary,
    describe_side_notes,
    describe_standing,
)

# Figures of a stage on its line; report.json has all.
_FIGURES_PER_STAGE = 4
# Characters of a question or an answer in a table.
_TEXT_WIDTH = 120
_MODEL_USE_COLUMNS = (
    "role",
    "model",
    "requests",
    "input tokens",
    "output tokens",
    "USD",
    "cached",
    "failed",
    "seconds",
)
_REVIEW_COLUMNS = ("reader", "read", "accepted", "interval", "research", "defects")
_MODEL_COLUMNS = (
    "weights",
    "correct",
    "interval",
    "n",
    "answered",
    "unscored",
)
# Beside those of the shares they would not fit into 80 columns.
_EFFORT_COLUMNS = ("weights", "calls", "tokens", "seconds", "USD", "USD in all")
# Fields of a line of GRPO's metrics, and their headings.
_UPDATE_COLUMNS = {
    "update": "#",
    "reward_mean": "reward",
    "exact_match": "correct",
    "entropy": "entropy",
    "mismatch_kl": "KL",
    "groups_used": "groups",
    "excluded": "lost",
    "rollout_seconds": "roll s",
    "learn_seconds": "learn s",
}


@dataclass(frozen=True)
class Block:
    """A heading, an optional table (``columns``, ``rows``) and ``notes`` below it."""

    title: str
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    notes: tuple[str, ...] = ()


def build_blocks(report: Report) -> list[Block]:
    """The report's parts in reading order; parts without data are left out."""
    blocks = build_figure_blocks(report)
    curves = _build_curves_block(report)
    if curves is not None:
        # Before the lines that they are drawn from.
        place = len(blocks) - bool(report.grpo_updates.lines)
        blocks.insert(place, curves)
    for benchmark in report.benchmarks:
        blocks += [_build_sample_block(sample) for sample in benchmark.samples]
    return blocks


def build_figure_blocks(report: Report) -> list[Block]:
    """The tables of figures alone: without curves and sample answers, which the page for browsers
    shows in its own way."""
    blocks: list[Block] = []
    for benchmark in report.benchmarks:
        blocks += build_benchmark_blocks(benchmark)
    blocks.append(_build_stages_block(report))
    if any(stage.models for stage in report.stages):
        blocks.append(_build_models_block(report))
    if report.review is not None:
        blocks.append(_build_review_block(report.review))
    if report.grpo_updates.lines:
        blocks.append(_build_updates_block(report))
    return blocks


def build_benchmark_blocks(benchmark: BenchmarkReport, prefix: str = "") -> list[Block]:
    """The figures of a benchmark by one scorer: of all attempts, then by their properties.
    ``prefix`` stands before each title."""
    figures = benchmark.figures
    blocks = [_build_benchmark_block(benchmark), _build_effort_block(figures)]
    blocks += _build_slice_blocks(figures)
    return [replace(block, title=f"{prefix}{block.title}") for block in blocks]


def build_question_block(answers: Sequence[ReportedAnswer]) -> Block:
    """How often each model answered each question right, of the attempts that were scored by the
    benchmark's official scorer."""
    models = list(dict.fromkeys(_name_model(answer) for answer in answers))
    outcomes: dict[tuple[str, str], dict[str, list[bool]]] = {}
    texts: dict[tuple[str, str], str] = {}
    for answer in answers:
        key = (answer.benchmark, answer.task.task_id)
        texts[key] = answer.task.text
        of_models = outcomes.setdefault(key, {})
        if answer.scores and answer.scores[0].verdict != UNSCORED:
            is_correct = answer.scores[0].verdict == CORRECT
            of_models.setdefault(_name_model(answer), []).append(is_correct)
    rows = tuple(
        (
            shorten_line(texts[key], _TEXT_WIDTH),
            *(_count_correct(of_models.get(model)) for model in models),
        )
        for key, of_models in outcomes.items()
    )
    note = "Right attempts of scored ones; - where none was scored."
    return Block("By question", ("question", *models), rows, (note,))


def _name_model(answer: ReportedAnswer) -> str:
    return f"{answer.run}: {answer.model}" if answer.run else answer.model


def _count_correct(outcomes: Sequence[bool] | None) -> str:
    return f"{sum(outcomes)} of {len(outcomes)}" if outcomes else "-"


def name_figures(figures: BenchmarkFigures) -> str:
    """What a table of the benchmark is called: its title, and who scored where that is recorded."""
    if not figures.scorer:
        return f"{figures.title}, over HTTP"
    judge = f" ({figures.judge})" if figures.judge else ""
    return f"{figures.title}, scored by {figures.scorer}{judge}"


def _build_benchmark_block(benchmark: BenchmarkReport) -> Block:
    figures = benchmark.figures
    rows = tuple(_build_model_row(model) for model in figures.models)
    repeats = [_describe_repeats(model) for model in figures.models if model.pass_at_k]
    values = [_describe_value(model) for model in figures.models if model.value is not None]
    notes = (*benchmark.conclusions, *values, *repeats)
    return Block(name_figures(figures), _MODEL_COLUMNS, rows, notes)


def _build_model_row(model: ModelFigures) -> tuple[str, ...]:
    match = model.exact_match
    low = format_percent(match.low).removesuffix(" %")
    return (
        model.model,
        format_percent(match.value),
        f"{low} to {format_percent(match.high)}",
        str(match.n),
        format_percent(model.answer_rate),
        str(model.unscored),
    )


def _build_effort_block(figures: BenchmarkFigures) -> Block:
    """What an attempt takes on average; without columns that nothing is known of."""
    rows = [
        (
            model.model,
            format_number(model.tool_calls, 3),
            format_number(model.output_tokens, 3),
            format_number(model.seconds, 3),
            format_number(model.usd, 3),
            format_number(model.total_usd, 3),
        )
        for model in figures.models
    ]
    kept = [
        place
        for place, cells in enumerate(zip(*rows, strict=True))
        if any(cell != "-" for cell in cells)
    ]
    title = name_figures(figures) if figures.scorer else figures.title
    return Block(
        f"{title}: what an attempt takes",
        tuple(_EFFORT_COLUMNS[place] for place in kept),
        tuple(tuple(row[place] for place in kept) for row in rows),
    )


def _describe_repeats(model: ModelFigures) -> str:
    estimates = [
        f"pass@{estimate.k} {format_percent(estimate.value)}" for estimate in model.pass_at_k
    ]
    if model.majority is not None:
        estimates.append(f"most frequent answer right {format_percent(model.majority)}")
    return f"{model.model}: {', '.join(estimates)}; {model.attempts:,} attempts"


def _describe_value(model: ModelFigures) -> str:
    value = model.value
    if value is None or value.value is None:
        return f"{model.model}: nothing measured"
    low = format_number(value.low, 3)
    return (
        f"{model.model}: mean score {format_number(value.value, 3)} "
        f"({low} to {format_number(value.high, 3)}, {_count_noun(value.n, 'task')})"
    )


def _build_slice_blocks(figures: BenchmarkFigures) -> list[Block]:
    """A table for each slice of the benchmark: models by values."""
    # A dictionary, not a set: in the order of the benchmark's slices, each once.
    names = dict.fromkeys(part.name for model in figures.models for part in model.slices)
    blocks = [_build_slice_block(figures, name) for name in names]
    return [block for block in blocks if block is not None]


def _build_slice_block(figures: BenchmarkFigures, name: str) -> Block | None:
    matches: dict[str, dict[str, SlicePart]] = {}
    for model in figures.models:
        parts = [part for each in model.slices if each.name == name for part in each.parts]
        matches[model.model] = {part.value: part for part in parts}
    # Of all models together, so that their rows have the same columns.
    values = {value for by_value in matches.values() for value in by_value}
    if not values:
        return None
    ordered = sorted(values, key=slice_value_sort_key)
    rows = tuple(
        (model, *(_format_part(by_value.get(value)) for value in ordered))
        for model, by_value in matches.items()
    )
    columns = ("weights", *(_label_slice_value(name, value) for value in ordered))
    title = name_figures(figures) if figures.scorer else figures.title
    return Block(f"{title}: exact match by {name}", columns, rows)


def _format_part(part: SlicePart | None) -> str:
    if part is None or not part.exact_match.n:
        return "-"
    text = f"{format_percent(part.exact_match.value)} of {part.exact_match.n}"
    if part.mean_score is None:
        return text
    return f"{text}; mean score {format_number(part.mean_score.value, 3)}"


def _label_slice_value(name: str, value: str) -> str:
    """The heading of a column: "1 hop" and "2 hops" for numbers of hops, else the value itself."""
    if not (value.isdecimal() and name.endswith("s")):
        return value
    return f"{value} {name.removesuffix('s')}" if value == "1" else f"{value} {name}"


def _build_stages_block(report: Report) -> Block:
    rows = tuple(_build_stage_row(stage) for stage in report.stages)
    machine = report.machine
    note = (
        f"{report.seconds:,.0f} s in all, "
        f"on {machine.cpus} CPUs with {machine.memory_gib:g} GiB. "
        f"Policy {report.policy}, seed {report.seed}, run {report.directory}."
    )
    return Block("Stages", ("stage", "seconds", "figures"), rows, (note,))


def _build_stage_row(stage: StageSummary) -> tuple[str, ...]:
    figures = [
        f"{name.replace('_', ' ')} {format_number(value)}"
        for name, value in stage.counts.items()
        # ``bool`` is a subclass of ``int``.
        if isinstance(value, int | float) and not isinstance(value, bool)
    ]
    suffix = " (resumed)" if stage.resumed else ""
    shown_figures = ", ".join(figures[:_FIGURES_PER_STAGE])
    return (stage.name + suffix, f"{stage.seconds:,.1f}", shown_figures)


def _build_models_block(report: Report) -> Block:
    rows = tuple(_build_model_use_row(row) for stage in report.stages for row in stage.models)
    note = (
        "Used, and in brackets estimated before the stage began. Seconds are those that requests "
        "were open, added up; what came from the cache was paid for before."
    )
    return Block("Language models", _MODEL_USE_COLUMNS, rows, (note,))


def _build_model_use_row(row: Mapping[str, Any]) -> tuple[str, ...]:
    estimate = row["estimate"]
    pairs = [
        f"{row[name]:,} ({estimate[name]:,})"
        for name in ("requests", "input_tokens", "output_tokens")
    ]
    usd = "-" if row["usd"] is None else f"{row['usd']:,.2f} ({estimate['usd']:,.2f})"
    counts = (f"{row['cached']:,}", f"{row['failed']:,}", f"{row['seconds']:,.0f}")
    return (row["role"], row["model"], *pairs, usd, *counts)


def _build_review_block(review: ReviewSummary) -> Block:
    rows = [_build_review_row(name, figures) for name, figures in review.by_reviewer.items()]
    if len(rows) != 1:
        rows.append(_build_review_row("together", review.together))
    notes = (
        f"Accepted by readers: {describe_standing(review)}.",
        "Together: accepted is what nobody refused, research what nobody calls no research "
        "question. The interval is Clopper and Pearson's, 95 %.",
        *describe_side_notes(review),
    )
    return Block("Questions as readers judge them", _REVIEW_COLUMNS, tuple(rows), notes)


def _build_review_row(name: str, figures: ReadingFigures) -> tuple[str, ...]:
    accepted = figures.accepted
    low = format_percent(accepted.low).removesuffix(" %")
    return (
        name,
        str(accepted.n),
        format_percent(accepted.value),
        f"{low} to {format_percent(accepted.high)}",
        format_percent(figures.research.value),
        ", ".join(f"{code} {count}" for code, count in figures.defects.items()) or "-",
    )


def _build_curves_block(report: Report) -> Block | None:
    curves = {
        "SFT loss": report.sft_steps.curve("loss"),
        "GRPO reward": report.grpo_updates.curve("reward_mean"),
        "GRPO exact match": report.grpo_updates.curve("exact_match"),
        "GRPO entropy": report.grpo_updates.curve("entropy"),
        "GRPO engine-trainer KL": report.grpo_updates.curve("mismatch_kl"),
    }
    # ``_build_curve_row`` takes the first and the last point, so a curve needs at least one.
    rows = [_build_curve_row(label, curve) for label, curve in curves.items() if _has_points(curve)]
    if not rows:
        return None
    return Block("Training", ("curve", "course", "first", "last", "range", "points"), tuple(rows))


def _has_points(curve: Sequence[float | None]) -> bool:
    """Whether a curve has a point at all."""
    return any(value is not None for value in curve)


def _build_curve_row(label: str, curve: Sequence[float | None]) -> tuple[str, ...]:
    values = [value for value in curve if value is not None]
    return (
        label,
        draw_sparkline(curve),
        format_number(values[0]),
        format_number(values[-1]),
        f"{format_number(min(values))} to {format_number(max(values))}",
        str(len(values)),
    )


def _build_updates_block(report: Report) -> Block:
    rows = tuple(
        tuple(format_number(line.get(field), 2) for field in _UPDATE_COLUMNS)
        for line in report.grpo_updates.lines
    )
    legend = (
        "groups: those whose rewards differ, which teach. KL: between the engine's and the "
        "trainer's probabilities of the same tokens. lost: rollouts that infrastructure failed."
    )
    files = len(report.rollout_files)
    note = (
        f"Every rollout with its messages, tokens and rewards: {report.directory}/grpo/rollouts "
        f"({_count_noun(files, 'file')})."
    )
    notes = [legend, note]
    sent = report.grpo_updates.lines[-1].get("sync_bytes")
    if sent is not None:
        notes.insert(1, f"Each update sent the engines {format_number(sent)} bytes of weights.")
    return Block("GRPO update by update", tuple(_UPDATE_COLUMNS.values()), rows, tuple(notes))


def _build_sample_block(sample: SampleTask) -> Block:
    task = sample.task
    rows = tuple(
        (
            answer.model,
            _shorten_prediction(answer.prediction),
            answer.verdict,
            answer.stop_reason,
        )
        for answer in sample.answers
    )
    hops = f" ({_count_noun(task.hops, 'hop')})" if task.hops is not None else ""
    note = f"Answer: {task.answer}{hops}"
    return Block(f"Sample: {task.text}", ("weights", "said", "verdict", "ended"), rows, (note,))


def _shorten_prediction(prediction: str | None) -> str:
    return "(no answer)" if prediction is None else shorten_line(prediction, _TEXT_WIDTH)


def _count_noun(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
