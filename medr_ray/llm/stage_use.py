"""What a stage used of language models, beside what was estimated before it began.

What was used by then is noted when a stage begins and kept until it has finished, so that a stage
that was killed and resumed counts what it used before, too.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from medr_ray.core.config import PipelineConfig
from medr_ray.core.costs import ModelCost
from medr_ray.core.run import Directory, RunDirectory, Stage
from medr_ray.llm.cache import CACHE_FOLDER, read_usage
from medr_ray.llm.usage import RoleUsage, UsageByRole, subtract_usage

_FORMAT = 1  # of the note


@dataclass(frozen=True)
class ModelUse:
    """What one stage of ``run`` uses. ``before`` is what was used when it began, ``estimates`` what
    was expected then, by role and model; both are empty where no model works for the stage."""

    run: RunDirectory
    note: str
    before: UsageByRole
    estimates: Mapping[tuple[str, str], Mapping[str, Any]]

    @classmethod
    def begin(
        cls, stage: Stage, fingerprint: str, config: PipelineConfig, run: RunDirectory, anew: bool
    ) -> "ModelUse":
        """The use of a stage that begins or is resumed; ``anew``: earlier work on it is no part of
        it."""
        note = f"before-{stage.name}.json"
        costs = stage.estimate_cost(config, run).models
        # Nothing is counted on object storage.
        if not costs or run.free_space() is None:
            return cls(run, note, {}, {})
        folder = run.child(CACHE_FOLDER)
        noted = folder.read_json(note) if folder.exists(note) and not anew else {}
        if noted.get("format") != _FORMAT or noted.get("fingerprint") != fingerprint:
            noted = {
                "format": _FORMAT,
                "fingerprint": fingerprint,
                "before": [[*key, *usage] for key, usage in read_usage(run).items()],
                "estimates": [_describe_estimate(cost) for cost in costs],
            }
            folder.write_json(note, noted)
        before = {(role, model): RoleUsage(*rest) for role, model, *rest in noted["before"]}
        estimates = {(row["role"], row["model"]): row for row in noted["estimates"]}
        return cls(run, note, before, estimates)

    def list_rows(self) -> list[dict[str, Any]]:
        """A row for each role and model: what was used since the stage began, and the estimate."""
        if not self.estimates:
            return []
        used = subtract_usage(read_usage(self.run), self.before)
        rows = []
        for key, estimate in self.estimates.items():
            usage = used.get(key, RoleUsage())
            row = {"role": key[0], "model": key[1], **usage._asdict()}
            row["seconds"] = round(usage.seconds, 2)
            if estimate["usd"] is None:
                row["usd"] = None
            row["estimate"] = {
                name: value for name, value in estimate.items() if name not in ("role", "model")
            }
            rows.append(row)
        return rows

    def end(self) -> None:
        """Forget what was noted: the stage has finished."""
        folder: Directory = self.run.child(CACHE_FOLDER)
        if self.estimates:
            folder.remove(self.note)


def _describe_estimate(cost: ModelCost) -> dict[str, Any]:
    return {
        "role": cost.role,
        "model": cost.endpoint.model,
        "requests": cost.requests,
        "input_tokens": cost.input_tokens,
        "output_tokens": cost.output_tokens,
        "usd": cost.usd,
        "minutes": round(cost.minutes, 1),
        "basis": cost.basis,
    }


def describe_model_use(row: Mapping[str, Any]) -> str:
    """A row of a manifest in words, with the estimate in brackets."""
    estimate = row["estimate"]
    figures = [
        f"{row[name]:,} {label} (estimated {estimate[name]:,})"
        for name, label in (
            ("requests", "requests"),
            ("input_tokens", "input tokens"),
            ("output_tokens", "output tokens"),
        )
    ]
    if row["usd"] is None:
        figures.append("no price set")
    else:
        figures.append(f"{row['usd']:,.4f} USD (estimated {estimate['usd']:,.4f})")
    figures += [
        f"{row[name]:,} {label}"
        for name, label in (("cached", "from the cache"), ("failed", "failed"))
        if row[name]
    ]
    return f"{row['role']} by {row['model']}: {', '.join(figures)}, {row['seconds']:,.0f} s open"
