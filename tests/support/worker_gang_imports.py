"""What the processes of ``support.worker_gang`` share: the slow imports."""

import warnings

warnings.filterwarnings("ignore")

import deepspeed.runtime.zero.muon.muon_optimizer  # noqa: E402, F401 (compiles as it is imported)
import peft  # noqa: E402, F401
import torch.distributed.checkpoint  # noqa: E402
import torch.distributed.fsdp  # noqa: E402, F401
import transformers.models.llama.modeling_llama  # noqa: E402, F401

import medr_ray.training.backends.deepspeed_zero  # noqa: E402
import medr_ray.training.backends.fsdp2  # noqa: E402
import medr_ray.training.backends.plain_torch  # noqa: E402
import medr_ray.training.gradients  # noqa: E402, F401
