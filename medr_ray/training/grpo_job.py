"""The job that the GRPO stage gives to its Ray Train workers, and how one of them does it.

The driver imports this module, so it imports no torch.
"""

from dataclasses import dataclass
from typing import Any

from medr_ray.core.config import PipelineConfig
from medr_ray.core.records import Question
from medr_ray.training.metrics_log import MetricsLog


@dataclass(frozen=True)
class GRPOJob:
    """One training run.

    ``questions`` are learnt from, ``heldout`` are only measured. ``model_dir`` is the SFT model,
    ``directory_uri`` the stage's directory, ``output`` the folder for the trained model, and
    ``pad_id`` the token that fills up short sequences.
    ``engine_places`` is what ``engine_placement.reserve_places`` gave.
    """

    # The whole configuration, because rollout workers open the agent's tools from it (search
    # index, live sources, page reading), each of which has a section of its own.
    config: PipelineConfig
    questions: tuple[Question, ...]
    heldout: tuple[Question, ...]
    model_dir: str
    index_uri: str
    directory_uri: str
    output: str
    pad_id: int
    log: MetricsLog
    engine_places: Any = None


def run_grpo_job(settings: dict[str, Any]) -> None:
    """``train_loop_per_worker``; ``settings["job"]`` is a GRPOJob."""
    # Imported here, because the driver needs none of it, and would wait for seconds before Ray
    # Train may start.
    from medr_ray.training.grpo import grpo_worker

    grpo_worker(settings)
