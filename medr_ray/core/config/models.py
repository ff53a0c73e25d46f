"""Language models: local weights, the engine that runs them, and endpoints."""

from typing import Literal, Self

from pydantic import Field, model_validator

from medr_ray.core.config.base import Operational, Section


class ModelsConfig(Section):
    """Local weights: ``embedded:NAME`` (see ``medr models fetch``) or a directory in Hugging Face
    format."""

    policy: str = "embedded:smollm2-135m-instruct"
    encoder: str = "embedded:all-minilm-l6-v2"
    trust_remote_code: bool = False


class EngineConfig(Section):
    """How language models are run."""

    dtype: Literal["bfloat16", "float32"] = "bfloat16"
    device: Operational[Literal["auto", "cpu", "cuda"]] = "auto"
    gpu_share: Operational[float] = Field(1, gt=0, description="of a GPU, where there is one")
    max_batch: Operational[int] = Field(
        36, ge=1, description="sequences generated together; each keeps its keys and values"
    )
    threads: Operational[int] = Field(2, ge=1, description="torch threads of an engine on CPU")


class EndpointConfig(Section):
    """An OpenAI-compatible endpoint. The key is read from ``api_key_env`` and never stored."""

    base_url: str = "http://127.0.0.1:8000/v1"
    model: str = ""
    api_key_env: Operational[str] = "MEDR_LLM_API_KEY"
    requests_per_minute: Operational[float] = Field(60.0, gt=0)
    tokens_per_minute: Operational[float | None] = Field(
        None, gt=0, description="input and output together"
    )
    input_tokens_per_minute: Operational[float | None] = Field(None, gt=0)
    output_tokens_per_minute: Operational[float | None] = Field(None, gt=0)
    concurrency: Operational[int] = Field(8, ge=1)
    timeout_seconds: Operational[float] = Field(120.0, gt=0)
    retries: Operational[int] = Field(4, ge=0)
    max_tokens: int = Field(1024, ge=1)
    temperature: float = Field(0.0, ge=0)
    budget_tokens: Operational[int | None] = Field(
        None, ge=1, description="hard stop over the whole run"
    )
    usd_per_million_input: Operational[float | None] = Field(
        None, ge=0, description="price of a million prompt tokens"
    )
    usd_per_million_output: Operational[float | None] = Field(
        None, ge=0, description="price of a million output tokens"
    )
    budget_usd: Operational[float | None] = Field(
        None, gt=0, description="hard stop over the whole run; needs the prices"
    )
    cache: Operational[bool] = True

    @model_validator(mode="after")
    def _prices_are_known(self) -> Self:
        prices = (self.usd_per_million_input, self.usd_per_million_output)
        if (
            self.budget_usd is not None or any(one is not None for one in prices)
        ) and None in prices:
            raise ValueError(
                "set both usd_per_million_input and usd_per_million_output, or neither and no budget_usd"
            )
        return self
