"""Judges the figures of GRPO updates: what is worth a warning, and what ends a run."""

from medr_ray.training.metrics_log import MetricRow


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
