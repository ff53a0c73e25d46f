"""What a training stage needs before it can start: its model, its libraries, a place on the cluster
and on the disk."""

import importlib.util
from collections.abc import Iterator
from typing import Literal

from medr_ray.core.config import PipelineConfig, TrainerConfig
from medr_ray.core.errors import MedrError
from medr_ray.core.placement import Need, find_cluster_address, find_local_shortage
from medr_ray.core.run import RunDirectory, StageSize


def find_trainer_problems(
    section: Literal["sft", "grpo"], trainer: TrainerConfig, config: PipelineConfig
) -> Iterator[str]:
    """What keeps a training stage from starting."""
    from medr_ray.engines.model_template import find_model_template_problems
    from medr_ray.engines.weights import model_path

    try:
        model_path(config.models.policy)
    except MedrError as error:
        yield f"models.policy: {error}"
    # An agent's dialogues have a system message; other data may do without.
    with_system = section == "grpo" or config.sft.data is None
    yield from find_model_template_problems(
        config.models.policy, config.models.trust_remote_code, with_system
    )
    if trainer.backend == "deepspeed" and importlib.util.find_spec("deepspeed") is None:
        yield f"{section}.backend: deepspeed is not installed: pip install 'medr-ray[deepspeed]'"
    yield from find_label_problems(section, config)
    shortage = find_local_shortage(list_needs(section, config), config.ray)
    if shortage:
        yield shortage
    yield from _find_lack_of_memory(section, config)


def find_label_problems(section: Literal["sft", "grpo"], config: PipelineConfig) -> Iterator[str]:
    """Labels that no node can have, because the run starts its own instance of Ray."""
    if find_cluster_address(config.ray):
        return
    labels_by_key = {"sft.labels": config.sft.labels}
    if section == "grpo":
        labels_by_key = {
            "grpo.labels": config.grpo.labels,
            "engine.labels": config.engine.labels,
        }
    for key, labels in labels_by_key.items():
        if labels:
            yield (
                f"{key}: without ray.address a run starts an instance of Ray of its own, whose "
                "node has no labels: name a cluster, or leave them out"
            )


def _find_lack_of_memory(section: Literal["sft", "grpo"], config: PipelineConfig) -> list[str]:
    """What a GPU or a host would not hold."""
    from medr_ray.training.planner.plan import find_plan_problems

    try:
        return find_plan_problems(section, config)
    except MedrError:
        # The model is not there, which is said above, or is of a kind that has no plan, which is
        # warned of.
        return []


def warn_of_training(section: Literal["sft", "grpo"], config: PipelineConfig) -> Iterator[str]:
    """What of a training stage would run, but hardly as it is meant."""
    from medr_ray.training.planner.plan import find_plan_warnings

    yield from find_plan_warnings(section, config)


def list_needs(section: Literal["sft", "grpo"], config: PipelineConfig) -> list[Need]:
    """What the stage must have at the same time: the trainers, and for GRPO the engine and a
    rollout worker beside them."""
    trainer = config.sft if section == "sft" else config.grpo
    resources: dict[str, float] = {"CPU": trainer.cpus_per_worker}
    if trainer.use_gpu:
        resources["GPU"] = trainer.gpus_per_worker
    settings = {
        "CPU": [f"{section}.workers", f"{section}.cpus_per_worker"],
        "GPU": [f"{section}.{key}" for key in ("workers", "gpus_per_worker", "use_gpu")],
    }
    workers = Need(
        f"the workers of {section}",
        resources,
        trainer.workers,
        settings,
        count_setting=f"{section}.workers",
    )
    needs = [workers]
    if section == "sft":
        return needs
    # Imported here, because a worker's tools are slow to import and planning is not to wait.
    from medr_ray.rollouts.engine_placement import describe_engine_need
    from medr_ray.rollouts.schedule import describe_worker_need

    # The engines take GPUs where there are any, which trainers on GPUs show.
    needs.append(describe_engine_need(config.engine, trainer.use_gpu))
    needs.append(describe_worker_need(config.rollouts))
    return needs


def estimate_training_size(
    section: Literal["sft", "grpo"], config: PipelineConfig, run: RunDirectory
) -> StageSize:
    """The trained model, and beside it the checkpoints until the stage is done, as planned."""
    from medr_ray.training.planner.plan import count_disk_bytes, estimate_work
    from medr_ray.training.planner.shapes import find_shape

    try:
        shape = find_shape(config.models.policy)
    except MedrError:
        # ``check`` and ``warn`` say so.
        return StageSize()
    disk = count_disk_bytes(section, config, shape, estimate_work(section, config, run).steps)
    return StageSize(kept=disk.model, temporary=disk.checkpoints)
