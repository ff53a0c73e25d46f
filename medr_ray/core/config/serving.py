"""The HTTP side."""

from typing import Literal

from pydantic import Field

from medr_ray.core.config.base import Operational, Section


class ServingConfig(Section):
    """The HTTP side. Loopback by default; keys come from the environment variable named here."""

    host: Operational[str] = "127.0.0.1"
    port: Operational[int] = Field(8000, ge=1, le=65535)
    model_name: str = "medr-agent"
    weights: Literal["base", "sft", "grpo"] = "grpo"
    replicas: Operational[int] = Field(1, ge=1)
    num_cpus: Operational[float] = Field(1, gt=0)
    num_gpus: Operational[float] = Field(0, ge=0)
    max_batch: Operational[int] = Field(16, ge=1, description="requests generated together")
    max_tokens: int = Field(512, ge=1, description="most tokens a request may ask for")
    max_queued: Operational[int] = Field(
        64, ge=1, description="requests waiting before more are refused with status 429"
    )
    loaded_models: Operational[int] = Field(
        1, ge=1, description="models a replica keeps in memory, least recently used out first"
    )
    api_key_env: Operational[str] = "MEDR_SERVE_API_KEY"
