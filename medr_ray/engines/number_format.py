"""The number format that a device multiplies matrices in.

bfloat16 halves the memory and doubles the speed where the hardware has instructions for it. A
processor without them computes it in software: a training step of a model of 135M parameters takes
16 times as long as in float32 (80 s and 5 s for 2 x 256 tokens on two cores with AVX2).
"""

import torch

from medr_ray.core.errors import InfrastructureError

# Capabilities of processors that multiply matrices in bfloat16, as ``torch.cpu`` names them: two
# of x86-64, one of Arm.
_BFLOAT16_CAPABILITIES = ("avx512_bf16", "amx_bf16", "bf16")


# In which weights are saved, and travel to engines.
EXPORT_DTYPES = (torch.bfloat16, torch.float32)


def select_export_dtype(device: str) -> torch.dtype:
    """The format in which trained weights are saved and given to engines: float32 where they are
    trained on a CPU, bfloat16 where on a GPU.

    An optimiser step changes a weight by about the learning rate, and near 0.1 the numbers of
    bfloat16 are 0.0005 apart: of steps of 0.0001 most would be rounded away, and neither the
    engines nor the saved model would be what was trained. Models for GPUs are large, and their
    engines compute in bfloat16 in any case.
    """
    return torch.float32 if device == "cpu" else torch.bfloat16


def require_export_dtype(name: str, tensor: torch.Tensor) -> None:
    """Raise InfrastructureError for weights in a format in which they do not travel."""
    if tensor.dtype not in EXPORT_DTYPES:
        raise InfrastructureError(
            f"the weights {name!r} came as {tensor.dtype}; they travel as "
            f"{' or '.join(map(str, EXPORT_DTYPES))}"
        )


def select_dtype(device: str) -> torch.dtype:
    """bfloat16 on a GPU and on a CPU that has instructions for it, float32 on any other CPU.

    ``device`` is a torch device type, such as "cpu" or "cuda".
    """
    if device != "cpu":
        return torch.bfloat16
    capabilities = torch.cpu.get_capabilities()
    has_bfloat16 = any(capabilities.get(name, False) for name in _BFLOAT16_CAPABILITIES)
    return torch.bfloat16 if has_bfloat16 else torch.float32
