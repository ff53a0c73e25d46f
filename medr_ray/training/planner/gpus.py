"""What types of GPUs hold and compute, as their data sheets say."""

from dataclasses import dataclass

from medr_ray.core.units import GB


@dataclass(frozen=True)
class GPU:
    """``memory`` in bytes; ``flops`` a second are those of dense matrices in bfloat16."""

    name: str
    memory: float
    flops: float
    source: str


_TERA = 1e12

# Memory is the data sheet's, in 10^9 bytes. Drivers report some 5 % more, of which nothing is
# planned: memory that is split into pieces no allocation fits in takes it. Where a data sheet
# prints speed with sparsity, this is half of it.
GPUS = {
    gpu.name: gpu
    for gpu in (
        GPU("h200", 141 * GB, 989 * _TERA, "NVIDIA H200 data sheet, SXM"),
        GPU("h100", 80 * GB, 989 * _TERA, "NVIDIA H100 data sheet, SXM"),
        GPU("a100-80", 80 * GB, 312 * _TERA, "NVIDIA A100 data sheet, 80 GB SXM"),
        GPU("a100-40", 40 * GB, 312 * _TERA, "NVIDIA A100 data sheet, 40 GB"),
        GPU("l40s", 48 * GB, 362 * _TERA, "NVIDIA L40S data sheet"),
        GPU("l4", 24 * GB, 121 * _TERA, "NVIDIA L4 data sheet"),
    )
}
