"""The HTTP side."""

from typing import Literal, Self

from pydantic import Field, model_validator

from medr_ray.core.config.base import Operational, Section


class ServingConfig(Section):
    """The HTTP service. It listens on loopback by default; keys come from the environment and from
    a file of hashes."""

    host: Operational[str] = Field("127.0.0.1", description="address to listen on")
    port: Operational[int] = Field(8000, ge=1, le=65535, description="port to listen on")
    model_name: str = Field(
        "medr-model", description="name of the model itself in the OpenAI protocol"
    )
    agent_name: Operational[str] = Field(
        "medr-agent", description="name under which the agent answers, the model with its tools"
    )
    weights: Literal["base", "sft", "grpo"] = Field("grpo", description="weights to serve")
    tool_style: Operational[Literal["auto", "text", "template"]] = Field(
        "auto",
        description="how models are shown the tools of a request: text, the agent's protocol, or "
        "their own chat template; auto: text for trained weights and templates without tools",
    )
    replicas: Operational[int] = Field(1, ge=1, description="copies of the model")
    max_replicas: Operational[int | None] = Field(
        None, ge=1, description="copies that load may bring; replicas when it is empty"
    )
    upscale_seconds: Operational[float] = Field(
        10, ge=0, description="seconds of load before a copy is added"
    )
    downscale_seconds: Operational[float] = Field(
        300, ge=0, description="seconds without load before a copy is taken away"
    )
    num_cpus: Operational[float] = Field(
        1, gt=0, description="logical CPUs that a replica reserves"
    )
    num_gpus: Operational[float] = Field(0, ge=0, description="GPUs that a replica reserves")
    max_batch: Operational[int] = Field(16, ge=1, description="requests generated together")
    max_tokens: int = Field(512, ge=1, description="output tokens that a request may ask for")
    max_queued: Operational[int] = Field(
        64, ge=1, description="waiting requests before more are refused with status 429"
    )
    max_researches: Operational[int] = Field(
        16, ge=1, description="questions researched at once before more are refused with status 429"
    )
    loaded_models: Operational[int] = Field(
        1, ge=1, description="models a replica keeps in memory; the least recently used goes first"
    )
    request_seconds: Operational[float] = Field(
        600, gt=0, description="longest time that a request may take from its first byte to its end"
    )
    idle_seconds: Operational[int] = Field(
        30, ge=1, description="after which a connection without a request is closed"
    )
    drain_seconds: Operational[float] = Field(
        30, ge=0, description="what requests in progress are given to finish when serving ends"
    )
    api_key_env: Operational[str] = Field(
        "MEDR_SERVE_API_KEY",
        description="environment variable that holds the key named default",
    )
    keys_file: Operational[str | None] = Field(
        None,
        description="file of named keys (their hashes), made by `medr serve keys add`; without it "
        "and without the variable no key is required",
    )

    @model_validator(mode="after")
    def _check_replicas(self) -> Self:
        if self.max_replicas is not None and self.max_replicas < self.replicas:
            raise ValueError("max_replicas is less than replicas")
        return self

    @model_validator(mode="after")
    def _check_names(self) -> Self:
        if self.model_name == self.agent_name:
            raise ValueError("model_name and agent_name are the same name")
        return self
