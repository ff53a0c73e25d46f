"""Judges the figures of GRPO updates: what is worth a warning, and what ends a run."""

from collections import Counter
from collections.abc import Sequence

from medr_ray.core.errors import DataError, InfrastructureError
from medr_ray.rollouts.failure_kinds import STRAGGLER
from medr_ray.rollouts.outcomes import RolloutOutcome
from medr_ray.training.metric_rows import MetricRow


def require_usable_rollouts(update: int, outcomes: Sequence[RolloutOutcome], limit: float) -> None:
    """Raise InfrastructureError when the infrastructure lost more than the share ``limit``
    (``grpo.max_excluded``) of an update's rollouts; ``update`` counts from 1.

    Rollouts are not lost at random, so a policy that learnt from the rest would learn what happens
    to survive. Stragglers do not count: they are cut by choice, from groups that do without them.
    """
    lost = [outcome for outcome in outcomes if outcome.kind not in ("", STRAGGLER)]
    if len(lost) <= limit * len(outcomes):
        return
    kinds = Counter(outcome.kind for outcome in lost)
    reasons = {outcome.kind: outcome.failure for outcome in lost}
    parts = [f"{kind} {count} (such as: {reasons[kind]})" for kind, count in sorted(kinds.items())]
    raise InfrastructureError(
        f"update {update}: the infrastructure lost {len(lost)} of {len(outcomes)} rollouts, more "
        f"than grpo.max_excluded {limit:.0%}: {'; '.join(parts)}. Nothing was learnt from the "
        "rest. Mend the cause and start the stage again: it goes on from its last checkpoint"
    )


def count_empty_updates(history: Sequence[MetricRow]) -> int:
    """How many updates at the end of ``history`` had nothing to learn from."""
    count = 0
    for row in reversed(history):
        if row["groups_used"]:
            break
        count += 1
    return count


def require_progress(history: Sequence[MetricRow], limit: int) -> None:
    """Raise DataError after ``limit`` updates in a row without anything to learn
    (``grpo.max_empty_updates``)."""
    if count_empty_updates(history) < limit:
        return
    parts = [
        f"update {row['update']}: exact match {row['exact_match']} of {row['rollouts']} rollouts, "
        f"{row['excluded']} excluded, {row['truncated']} truncated"
        for row in history[-limit:]
    ]
    raise DataError(
        f"{limit} updates in a row had nothing to learn from (grpo.max_empty_updates): in no group "
        f"did rewards differ. {'; '.join(parts)}. Where all rollouts are right, the questions are "
        "too easy: raise questions.max_hops or lower grpo.raise_at. Where none is, train longer "
        "in sft or take easier questions. Where they are lost, see excluded_by in metrics.jsonl"
    )


def describe_mismatch(row: MetricRow, limit: float) -> str:
    """What to say of an update whose engine and trainer differ by more than ``limit``, a KL in nats
    per token (``grpo.max_mismatch_kl``); "" where they do not."""
    divergence = row["mismatch_kl"]
    # Written so that a value that is no number warns too.
    if divergence is None or divergence <= limit:
        return ""
    return (
        f"update {row['update']}: engine and trainer disagree about the sampled tokens by a KL of "
        f"{divergence:g} (grpo.max_mismatch_kl {limit:g}); the largest ratio is "
        f"{row['ratio_largest']:g}, {row['mismatch_share']:.2%} of the tokens are beyond "
        "grpo.ratio_cap. Check that both have the same chat template, temperature and number "
        "format, lower grpo.optimiser.learning_rate, or take grpo.loss: "
        "truncated"
    )
