"""The number format that a device multiplies matrices in.

bfloat16 halves the memory and doubles the speed where the hardware has instructions for it. A
processor without them computes it in software: a training step of a model of 135M parameters takes
16 times as long as in float32 (80 s and 5 s for 2 x 256 tokens on two cores with AVX2).
"""

import torch

# Capabilities of processors that multiply matrices in bfloat16, as ``torch.cpu`` names them: two
# of x86-64, one of Arm.
_BFLOAT16_CAPABILITIES = ("avx512_bf16", "amx_bf16", "bf16")


def select_dtype(device: str) -> torch.dtype:
    """bfloat16 on a GPU and on a CPU that has instructions for it, float32 on any other CPU.

    ``device`` is a torch device type, such as "cpu" or "cuda".
    """
    if device != "cpu":
        return torch.bfloat16
    capabilities = torch.cpu.get_capabilities()
    has_bfloat16 = any(capabilities.get(name, False) for name in _BFLOAT16_CAPABILITIES)
    return torch.bfloat16 if has_bfloat16 else torch.float32
