"""Local weights, and the engine that runs them."""

from typing import Literal

from pydantic import Field

from medr_ray.core.config.section import Section


class ModelsConfig(Section):
    """Local weights: ``embedded:NAME`` (see ``medr models fetch``) or a directory in Hugging Face
    format."""

    policy: str = "embedded:smollm2-135m-instruct"
    encoder: str = "embedded:all-minilm-l6-v2"
    trust_remote_code: bool = False


class EngineConfig(Section):
    """How language models are run."""

    dtype: Literal["bfloat16", "float32"] = "bfloat16"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    gpu_share: float = Field(1, gt=0, description="of a GPU, where there is one")
    max_batch: int = Field(
        36, ge=1, description="sequences generated together; each keeps its keys and values"
    )
    threads: int = Field(2, ge=1, description="torch threads of an engine on CPU")
