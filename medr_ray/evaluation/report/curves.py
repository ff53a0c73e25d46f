"""The curves of training: what the page draws, and ``learning.svg`` beside the report."""

import io
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from medr_ray.evaluation.report.records import Report, RewardSpread, TrainingLog

# Title, field of the log, name of a step.
_SFT_CURVES = (
    ("SFT loss", "loss", "step"),
    ("SFT loss on dialogues kept apart", "evaluation_loss", "step"),
)
_REWARD_CURVE = ("GRPO reward", "reward_mean", "update")
_HELDOUT_TITLE = "GRPO exact match on held-out questions"
_GRPO_CURVES = (
    ("GRPO exact match of the rollouts", "exact_match", "update"),
    ("GRPO entropy (nats a token)", "entropy", "update"),
    ("GRPO difference between engine and trainer (KL)", "mismatch_kl", "update"),
    ("GRPO share of tokens held at a bound", "clip_fraction", "update"),
    ("GRPO seconds of rollouts", "rollout_seconds", "update"),
    ("GRPO seconds of learning", "learn_seconds", "update"),
)
_COLUMNS = 2  # panels beside each other
_PANEL_INCHES = (4.8, 2.4)  # width and height
_COLOUR = "#3465a4"  # readable on white and on a dark page
_Share = tuple[int, float, float, float]  # after an update: a share, and its interval


@dataclass(frozen=True)
class Curve:
    """Values by step. ``points`` are (step, value), ``band`` (step, low, high) where values spread
    and ``band_meaning`` says what the two are; ``step`` is the noun of a step."""

    title: str
    step: str
    points: tuple[tuple[int, float], ...]
    band: tuple[tuple[int, float, float], ...] = ()
    band_meaning: str = ""


def build_curves(report: Report) -> list[Curve]:
    """The curves that a run has points of."""
    updates = report.grpo_updates
    curves = [_build_curve(report.sft_steps, *curve) for curve in _SFT_CURVES]
    curves.append(_add_spread(_build_curve(updates, *_REWARD_CURVE), report.reward_spreads))
    curves += build_heldout_curves(updates)
    curves += [_build_curve(updates, *curve) for curve in _GRPO_CURVES]
    return [curve for curve in curves if curve.points]


def _build_curve(log: TrainingLog, title: str, field: str, step: str) -> Curve:
    points = [
        (number, float(value))
        for number, value in enumerate(log.curve(field), 1)
        if value is not None
    ]
    return Curve(title, step, tuple(points))


def _add_spread(curve: Curve, spreads: Sequence[RewardSpread]) -> Curve:
    band = tuple((spread.update, spread.low, spread.high) for spread in spreads)
    return Curve(curve.title, curve.step, curve.points, band, "the middle half of the rewards")


def build_heldout_curves(updates: TrainingLog) -> list[Curve]:
    """Exact match on held-out questions over the updates of GRPO, from 0, which is before the
    first: on all of them, and where their hops differ on those of each number. Empty where it was
    not measured."""
    whole: list[_Share] = []
    by_hops: defaultdict[str, list[_Share]] = defaultdict(list)
    for update, figures in _list_heldout(updates):
        exact_match = figures["heldout_exact_match"]
        whole.append((update, exact_match, figures["heldout_low"], figures["heldout_high"]))
        for hops, part in (figures.get("heldout_by_hops") or {}).items():
            by_hops[hops].append((update, part["exact_match"], part["low"], part["high"]))
    shares = {_HELDOUT_TITLE: whole} if whole else {}
    if len(by_hops) > 1:
        for hops in sorted(by_hops, key=int):
            noun = "hop" if hops == "1" else "hops"
            shares[f"{_HELDOUT_TITLE} of {hops} {noun}"] = by_hops[hops]
    return [_build_share_curve(title, points) for title, points in shares.items()]


def _list_heldout(updates: TrainingLog) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """(update, figures) of the measurements; 0 is before the first update."""
    for number, line in enumerate(updates.lines, 1):
        before = line.get("heldout_before")
        if before is not None and before["heldout_questions"]:
            yield number - 1, before
        if line.get("heldout_questions"):
            yield number, line


def _build_share_curve(title: str, shares: Sequence[_Share]) -> Curve:
    points = tuple((update, share) for update, share, _, _ in shares)
    band = tuple((update, low, high) for update, _, low, high in shares)
    return Curve(title, "update", points, band, "the 95 % interval")


def draw_curves(curves: Sequence[Curve]) -> bytes:
    """The curves as one SVG, a panel each; equal curves give equal bytes."""
    # Imported here: it takes a second, and only a report that has curves draws them.
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    rows = -(-len(curves) // _COLUMNS)
    width, height = _PANEL_INCHES
    # Without a fixed salt the names inside an SVG are random.
    with matplotlib.rc_context({"svg.hashsalt": "medr_ray", "svg.fonttype": "none"}):
        figure = Figure(figsize=(width * _COLUMNS, height * rows), layout="constrained")
        canvas = FigureCanvasSVG(figure)
        panels = figure.subplots(rows, _COLUMNS, squeeze=False).flatten()
        for panel, curve in zip(panels, curves, strict=False):
            _draw_panel(panel, curve)
        for panel in panels[len(curves) :]:
            panel.set_axis_off()
        image = io.BytesIO()
        # No date, so that the file changes only with the curves.
        canvas.print_svg(image, metadata={"Date": None, "Creator": None})
    return image.getvalue()


def _draw_panel(panel: Any, curve: Curve) -> None:
    from matplotlib.ticker import MaxNLocator

    steps = [step for step, _ in curve.points]
    values = [value for _, value in curve.points]
    panel.plot(steps, values, color=_COLOUR, marker="o", markersize=3, linewidth=1.4)
    if curve.band:
        band_steps, lows, highs = zip(*curve.band, strict=True)
        panel.fill_between(band_steps, lows, highs, color=_COLOUR, alpha=0.18, linewidth=0)
        panel.set_title(f"{curve.title}\n(band: {curve.band_meaning})", fontsize=8)
    else:
        panel.set_title(curve.title, fontsize=8)
    panel.set_xlabel(curve.step, fontsize=8)
    panel.tick_params(labelsize=7)
    panel.xaxis.set_major_locator(MaxNLocator(integer=True))
    if "exact match" in curve.title:
        # The whole range of a share: a small change is not to look like a large one.
        panel.set_ylim(0, 1)
    panel.grid(alpha=0.25)
