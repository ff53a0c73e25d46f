"""The HTTP side."""

from typing import Literal

from pydantic import Field

from medr_ray.core.config.base import Section


class ServingConfig(Section):
    """The HTTP side. Loopback by default; keys come from the environment variable named here."""

    host: str = "127.0.0.1"
    port: int = Field(8000, ge=1, le=65535)
    model_name: str = "medr-agent"
    weights: Literal["base", "sft", "grpo"] = "grpo"
    replicas: int = Field(1, ge=1)
    num_cpus: float = Field(1, gt=0)
    num_gpus: float = Field(0, ge=0)
    max_batch: int = Field(16, ge=1, description="requests generated together")
    max_tokens: int = Field(512, ge=1, description="most tokens a request may ask for")
    max_queued: int = Field(
        64, ge=1, description="requests waiting before more are refused with status 429"
    )
    loaded_models: int = Field(
        1, ge=1, description="models a replica keeps in memory, least recently used out first"
    )
    api_key_env: str = "MEDR_SERVE_API_KEY"
