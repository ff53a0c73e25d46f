"""The HTTP side."""

from typing import Literal

from pydantic import Field

from medr_ray.core.config.base import Operational, Section


class ServingConfig(Section):
    """The HTTP service. It listens on loopback by default; keys come from the environment."""

    host: Operational[str] = Field("127.0.0.1", description="address to listen on")
    port: Operational[int] = Field(8000, ge=1, le=65535, description="port to listen on")
    model_name: str = Field("medr-agent", description="name of the model in the OpenAI protocol")
    weights: Literal["base", "sft", "grpo"] = Field("grpo", description="weights to serve")
    replicas: Operational[int] = Field(1, ge=1, description="copies of the model")
    num_cpus: Operational[float] = Field(
        1, gt=0, description="logical CPUs that a replica reserves"
    )
    num_gpus: Operational[float] = Field(0, ge=0, description="GPUs that a replica reserves")
    max_batch: Operational[int] = Field(16, ge=1, description="requests generated together")
    max_tokens: int = Field(512, ge=1, description="output tokens that a request may ask for")
    max_queued: Operational[int] = Field(
        64, ge=1, description="waiting requests before more are refused with status 429"
    )
    loaded_models: Operational[int] = Field(
        1, ge=1, description="models a replica keeps in memory; the least recently used goes first"
    )
    api_key_env: Operational[str] = Field(
        "MEDR_SERVE_API_KEY",
        description="environment variable that holds the key; when it is unset, no key is required",
    )
