"""What a check gives: one row, the same fields for all checks, null where a check has none."""

from dataclasses import asdict, dataclass
from typing import Any

GB = 1e9


@dataclass(frozen=True)
class CheckFigures:
    """What a check measured. ``problem`` says why it failed, empty where it did not.

    ``tokens`` over ``seconds`` is what was learnt from or synchronised; ``peak`` and ``planned``
    are bytes of one GPU, without the context of CUDA, ``sync_bytes`` those of an update of an
    engine's weights, and ``mfu`` is the share of the GPU's peak speed.
    """

    tokens: int = 0
    seconds: float = 0.0
    peak: float | None = None
    planned: float | None = None
    mfu: float | None = None
    mismatch_kl: float | None = None
    sync_s: float | None = None
    sync_bytes: int | None = None
    problem: str = ""
    device: str = ""


@dataclass(frozen=True)
class CheckRow:
    """One row. ``ok`` is null for a check that was skipped; ``why`` says why it was, or failed."""

    check: str
    device: str
    world: int
    model_shape: str
    tokens: int | None
    seconds: float | None
    peak_gb: float | None
    planned_gb: float | None
    tokens_s: float | None
    mfu: float | None
    mismatch_kl: float | None
    sync_s: float | None
    sync_bytes: int | None
    ok: bool | None
    why: str

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def make_row(
    check: str, device: str, world: int, model_shape: str, figures: CheckFigures
) -> CheckRow:
    """The row of a check that ran to its end."""
    has_time = figures.tokens > 0 and figures.seconds > 0
    return CheckRow(
        check=check,
        device=device,
        world=world,
        model_shape=model_shape,
        tokens=figures.tokens,
        seconds=round(figures.seconds, 3),
        peak_gb=_round_gb(figures.peak),
        planned_gb=_round_gb(figures.planned),
        tokens_s=round(figures.tokens / figures.seconds, 1) if has_time else None,
        mfu=None if figures.mfu is None else round(figures.mfu, 4),
        mismatch_kl=figures.mismatch_kl,
        sync_s=None if figures.sync_s is None else round(figures.sync_s, 3),
        sync_bytes=figures.sync_bytes,
        ok=not figures.problem,
        why=figures.problem,
    )


def make_empty_row(
    check: str, device: str, world: int, model_shape: str, ok: bool | None, why: str
) -> CheckRow:
    """The row of a check that was skipped (``ok`` null) or gave no figures."""
    empty = dict.fromkeys(
        ("tokens", "seconds", "peak_gb", "planned_gb", "tokens_s", "mfu", "mismatch_kl")
    )
    return CheckRow(
        check, device, world, model_shape, **empty, sync_s=None, sync_bytes=None, ok=ok, why=why
    )


def _round_gb(size: float | None) -> float | None:
    return None if size is None else round(size / GB, 3)
