"""The report as titled tables and paragraphs, so that terminal and Markdown say the same thing."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from medr_ray.evaluation.collecting import percent

_BARS = "▁▂▃▄▅▆▇█"
_SHOWN_COUNTS = 4  # figures of a stage on its line; report.json has all
_CURVE_WIDTH = 40  # characters


@dataclass(frozen=True)
class Block:
    """A heading, an optional table (``columns``, ``rows``) and ``notes`` below it."""

    title: str
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    notes: tuple[str, ...] = ()


def sparkline(values: Sequence[float | None], width: int = _CURVE_WIDTH) -> str:
    """A curve in one line, lowest to highest value; a missing value is a space. Longer curves are
    averaged."""
    points = _thinned(values, width)
    known = [value for value in points if value is not None]
    if not known:
        return ""
    low, spread = min(known), max(known) - min(known)
    return "".join(
        " "
        if value is None
        else _BARS[round((value - low) / spread * (len(_BARS) - 1)) if spread else 0]
        for value in points
    )


def _thinned(values: Sequence[float | None], width: int) -> list[float | None]:
    if len(values) <= width:
        return list(values)
    edges = [round(i * len(values) / width) for i in range(width + 1)]
    groups = [[v for v in values[a:b] if v is not None] for a, b in pairwise(edges)]
    return [sum(group) / len(group) if group else None for group in groups]


def blocks(report: dict[str, Any]) -> list[Block]:
    """The report's parts in reading order; parts without data are left out."""
    made = [_evaluation(report), _hops(report), _stages(report), _curves(report), _updates(report)]
    return [block for block in (*made, *_samples(report)) if block is not None]


def _evaluation(report: dict[str, Any]) -> Block | None:
    evaluation = report.get("evaluation")
    if not evaluation:
        return None
    rows = []
    for name, one in models(evaluation).items():
        interval = f"{percent(one['low']).removesuffix(' %')} to {percent(one['high'])}"
        rows.append(
            (
                name,
                percent(one["exact_match"]),
                interval,
                str(one["n"]),
                percent(one["answer_rate"]),
                str(one["unscored"]),
                number(one["tool_calls"], 3),
                number(one["output_tokens"], 3),
            )
        )
    columns = ("weights", "correct", "interval", "n", "answered", "unscored", "calls", "tokens")
    passes = tuple(
        f"{name}: "
        + ", ".join(f"pass@{k} {percent(value)}" for k, value in one["pass_at_k"].items())
        for name, one in models(evaluation).items()
        if "pass_at_k" in one
    )
    return Block(
        "Held-out questions, over HTTP", columns, tuple(rows), (*report["conclusions"], *passes)
    )


def models(evaluation: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The entries of an evaluation that are a model's figures."""
    return {
        name: one
        for name, one in evaluation.items()
        if isinstance(one, dict) and "exact_match" in one
    }


def _hops(report: dict[str, Any]) -> Block | None:
    entries = models(report.get("evaluation", {}))
    hops = sorted({hop for one in entries.values() for hop in one["by_hops"]}, key=int)
    if not hops:
        return None
    rows = tuple(
        (name, *(_hop_cell(one["by_hops"].get(hop)) for hop in hops))
        for name, one in entries.items()
    )
    return Block(
        "Exact match by hops",
        ("weights", *(f"{hop} hop{'s' if hop != '1' else ''}" for hop in hops)),
        rows,
    )


def _hop_cell(cell: dict[str, Any] | None) -> str:
    return f"{percent(cell['exact_match'])} of {cell['n']}" if cell else "-"


def _stages(report: dict[str, Any]) -> Block:
    rows = []
    for name, stage in report["stages"].items():
        figures = [
            f"{key.replace('_', ' ')} {number(value)}"
            for key, value in report[name].items()
            if isinstance(value, int | float) and not isinstance(value, bool)
        ]
        mark = " (resumed)" if stage["resumed"] else ""
        rows.append((name + mark, f"{stage['seconds']:,.1f}", ", ".join(figures[:_SHOWN_COUNTS])))
    machine = report["machine"]
    note = (
        f"{report['seconds']:,.0f} s in all, on {machine['cpus']} CPUs with {machine['memory_gib']:g} GiB. "
        f"Policy {report['policy']}, seed {report['seed']}, run {report['directory']}."
    )
    return Block("Stages", ("stage", "seconds", "figures"), tuple(rows), (note,))


def _curves(report: dict[str, Any]) -> Block | None:
    sft, grpo = report.get("sft", {}), report.get("grpo", {})
    wanted = (
        ("SFT loss", sft.get("loss_curve")),
        ("GRPO reward", grpo.get("reward_mean_curve")),
        ("GRPO exact match", grpo.get("exact_match_curve")),
        ("GRPO entropy", grpo.get("entropy_curve")),
        ("GRPO engine-trainer KL", grpo.get("mismatch_kl_curve")),
    )
    rows = []
    for label, curve in wanted:
        known = [value for value in curve or () if value is not None]
        if known:
            rows.append(
                (
                    label,
                    sparkline(curve or ()),
                    number(known[0]),
                    number(known[-1]),
                    f"{number(min(known))} to {number(max(known))}",
                    str(len(known)),
                )
            )
    columns = ("curve", "course", "first", "last", "range", "points")
    return Block("Training", columns, tuple(rows)) if rows else None


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


def _updates(report: dict[str, Any]) -> Block | None:
    updates = report.get("grpo", {}).get("updates_log")
    if not updates:
        return None
    rows = tuple(tuple(number(line.get(field), 2) for field in _UPDATE_COLUMNS) for line in updates)
    files = len(report["grpo"]["rollout_files"])
    legend = (
        "groups: those whose rewards differ, which teach. KL: between the engine's and the trainer's "
        "probabilities of the same tokens. lost: rollouts that infrastructure failed."
    )
    note = (
        f"Every rollout with its messages, tokens and rewards: {report['directory']}/grpo/rollouts "
        f"({files} file{'s' if files != 1 else ''})."
    )
    return Block("GRPO update by update", tuple(_UPDATE_COLUMNS.values()), rows, (legend, note))


def _samples(report: dict[str, Any]) -> list[Block]:
    found = []
    for sample in report.get("evaluation", {}).get("samples", ()):
        rows = tuple(
            (name, _shown(one["prediction"]), one["verdict"], one["stop_reason"])
            for name, one in sample["models"].items()
        )
        notes = (
            f"Answer: {sample['answer']} ({sample['hops']} hop{'s' if sample['hops'] != 1 else ''})",
        )
        found.append(
            Block(
                f"Sample: {sample['question']}",
                ("weights", "said", "verdict", "ended"),
                rows,
                notes,
            )
        )
    return found


def _shown(prediction: str | None, limit: int = 120) -> str:
    if prediction is None:
        return "(no answer)"
    text = " ".join(prediction.split())
    return text if len(text) <= limit else text[: limit - 1] + "…"


def number(value: Any, digits: int = 4) -> str:
    """A figure as people read it: so many significant digits, thousands separated."""
    if value is None:
        return "-"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        if abs(value) >= 10 ** (digits - 1):
            return f"{value:,.0f}" if digits < 4 else f"{value:,.1f}"
        return f"{value:.{digits}g}"
    return str(value)
