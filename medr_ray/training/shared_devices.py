"""The GPUs of the trainers, for engines that share them."""

import ray
import torch.distributed as dist

from medr_ray.rollouts.engine_placement import TrainerDevice
from medr_ray.training.collectives import world_size


def find_trainer_devices() -> list[TrainerDevice]:
    """The GPUs of every trainer, on every worker. Every worker must call this."""
    context = ray.get_runtime_context()
    own = TrainerDevice(context.get_node_id(), tuple(context.get_accelerator_ids()["GPU"]))
    if world_size() == 1:
        return [own]
    devices: list[TrainerDevice | None] = [None] * world_size()
    dist.all_gather_object(devices, own)
    return [device for device in devices if device is not None]
