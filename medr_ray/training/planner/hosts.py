"""What there is: memory of a GPU and of a host, from this machine or from the configuration."""

import os
from dataclasses import dataclass

from medr_ray.core.config import PipelineConfig
from medr_ray.core.placement import find_cluster_address
from medr_ray.core.units import GB
from medr_ray.training.planner.gpus import GPU, GPUS


@dataclass(frozen=True)
class Hardware:
    """What a plan is held against. ``host_memory`` in bytes; null where nothing says it."""

    gpu: GPU | None
    host_memory: float | None
    host_source: str


def find_hardware(config: PipelineConfig, gpu_name: str | None = None) -> Hardware:
    """The GPU that ``gpu_name`` or ``ray.gpu`` names, else this machine's; the host's memory from
    ``ray.host_memory_gb``, and no more than this machine's where the run starts Ray on it."""
    name = gpu_name or config.ray.gpu
    gpu = GPUS[name] if name else None
    # Importing torch takes seconds.
    if gpu is None and (config.sft.use_gpu or config.grpo.use_gpu):
        gpu = find_local_gpu()
    stated = config.ray.host_memory_gb
    limit = None if stated is None else stated * GB
    if find_cluster_address(config.ray):
        source = "ray.host_memory_gb is not set" if limit is None else "ray.host_memory_gb"
        return Hardware(gpu, limit, source)
    local = read_host_memory()
    if limit is None or local < limit:
        return Hardware(gpu, local, "this machine")
    return Hardware(gpu, limit, "ray.host_memory_gb")


def read_host_memory() -> float:
    """Bytes of memory that this machine or its container has."""
    total = float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    limit = _read_container_limit()
    return total if limit is None else min(total, limit)


def _read_container_limit() -> float | None:
    """The limit of the control group, in which containers run; null where there is none."""
    try:
        with open("/sys/fs/cgroup/memory.max", encoding="ascii") as file:
            text = file.read().strip()
    except OSError:
        return None
    return float(text) if text.isdigit() else None


def find_local_gpu() -> GPU | None:
    """This machine's first GPU; null where it has none. Its speed is that of its type; of an
    unknown type it is 0."""
    import torch

    if not torch.cuda.is_available():
        return None
    properties = torch.cuda.get_device_properties(0)
    words = properties.name.lower().replace("-", " ").split()
    kinds = [gpu for gpu in GPUS.values() if gpu.name.split("-")[0] in words]
    flops = kinds[0].flops if kinds else 0.0
    return GPU(properties.name, float(properties.total_memory), flops, "this machine")
