"""The course of the learning rate over the steps of a training run."""

import math

from medr_ray.core.config import OptimiserConfig


def scheduled_learning_rate(
    optimiser_config: OptimiserConfig, step: int, total_steps: int
) -> float:
    """The learning rate of a step.

    It rises linearly to the configured rate, then stays constant or falls to zero as a cosine.
    ``step`` counts from 0, so the last step is ``total_steps - 1``.
    """
    # The first step has a rate above zero: a step at zero would learn nothing.
    if step < optimiser_config.warmup_steps:
        return optimiser_config.learning_rate * (step + 1) / optimiser_config.warmup_steps
    if optimiser_config.schedule == "constant":
        return optimiser_config.learning_rate
    progress = (step - optimiser_config.warmup_steps) / max(
        1, total_steps - optimiser_config.warmup_steps
    )
    return optimiser_config.learning_rate * 0.5 * (1 + math.cos(math.pi * progress))
