"""Language models: local weights, the engine that runs them, and endpoints."""

import re
from typing import Any, Literal, Self

from pydantic import Field, JsonValue, field_validator, model_validator

from medr_ray.core.config.base import Operational, Section
from medr_ray.core.config.urls import ServiceUrl

# Fields of a chat request that are set by other settings or by the one who asks.
_REQUEST_FIELDS = frozenset(
    {"model", "messages", "max_tokens", "max_completion_tokens", "temperature", "stop", "seed"}
    | {"tools", "stream", "n", "response_format"}
)
_HEADER_NAME = re.compile(r"[A-Za-z0-9-]{1,80}")
_VARIABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,80}")


class ModelsConfig(Section):
    """Local weights: ``embedded:NAME`` (see ``medr models fetch``) or a directory in Hugging Face
    format."""

    policy: str = Field(
        "embedded:smollm2-135m-instruct", description="the language model that is trained"
    )
    encoder: str = Field(
        "embedded:all-minilm-l6-v2", description="the model that embeds documents and queries"
    )
    trust_remote_code: bool = Field(
        False, description="run Python code that comes with the weights"
    )


class EngineConfig(Section):
    """How the engine runs a language model."""

    dtype: Literal["auto", "bfloat16", "float32"] = Field(
        "auto",
        description="number format of the weights; auto is bfloat16, and float32 on a CPU without "
        "instructions for bfloat16",
    )
    backend: Operational[Literal["transformers", "vllm"]] = Field(
        "transformers",
        description="library that runs the model; vllm runs in an environment of its own: see "
        "python",
    )
    engines: Operational[int] = Field(
        1, ge=1, description="engines that rollouts are sampled from; each holds the whole weights"
    )
    tensor_parallel: Operational[int] = Field(
        1, ge=1, description="GPUs that one engine spreads the model over; only vllm spreads it"
    )
    python: Operational[str] = Field(
        "",
        description="interpreter of the environment that has vllm, on every machine; empty: "
        ".venv-vllm/bin/python beside the one that runs this",
    )
    placement: Operational[Literal["split", "colocated"]] = Field(
        "split",
        description="GPUs of the engines: their own, or those of the trainers, while which learn "
        "the engines sleep",
    )
    labels: Operational[dict[str, str]] = Field(
        {}, description="labels that a node must have (ray start --labels) to be given an engine"
    )
    start_seconds: Operational[float] = Field(
        900,
        gt=0,
        description="seconds for an engine to start, and for each step in which it takes in new "
        "weights; an engine that takes longer is started again",
    )
    device: Operational[Literal["auto", "cpu", "cuda"]] = Field(
        "auto", description="where the engine runs; auto takes a GPU where there is one"
    )
    gpu_share: Operational[float] = Field(
        1, gt=0, description="GPUs that the engine reserves, where there are any"
    )
    max_batch: Operational[int] = Field(
        36, ge=1, description="sequences generated together; each keeps its keys and values"
    )
    threads: Operational[int] = Field(2, ge=1, description="torch threads of an engine on CPU")


class EndpointConfig(Section):
    """A language model behind an OpenAI-compatible endpoint. Its key is read from ``api_key_env``
    and never stored."""

    base_url: ServiceUrl = Field(
        "http://127.0.0.1:8000/v1", description="address of the endpoint, up to and with /v1"
    )
    model: str = Field("", description="name of the model at the endpoint")
    api_key_env: Operational[str] = Field(
        "MEDR_LLM_API_KEY", description="environment variable that holds the key"
    )
    requests_per_minute: Operational[float] = Field(60.0, gt=0, description="requests per minute")
    tokens_per_minute: Operational[float | None] = Field(
        None, gt=0, description="input and output tokens together per minute; null: no limit"
    )
    input_tokens_per_minute: Operational[float | None] = Field(
        None, gt=0, description="input tokens per minute; null: no limit"
    )
    output_tokens_per_minute: Operational[float | None] = Field(
        None, gt=0, description="output tokens per minute; null: no limit"
    )
    concurrency: Operational[int] = Field(
        8, ge=1, description="open requests over the whole cluster"
    )
    timeout_seconds: Operational[float] = Field(120.0, gt=0, description="seconds for one request")
    retries: Operational[int] = Field(
        4, ge=0, description="retries after a failure that may be temporary"
    )
    max_tokens: int = Field(1024, ge=1, description="output tokens of one reply")
    max_tokens_parameter: Operational[Literal["max_tokens", "max_completion_tokens"]] = Field(
        "max_tokens",
        description="name of the limit in a request; OpenAI's reasoning models take the second",
    )
    temperature: float | None = Field(
        0.0,
        ge=0,
        description="sampling temperature; 0: greedy; null: never sent, for models that refuse it",
    )
    send_seed: Operational[bool] = Field(
        True, description="send seeds; false for endpoints that refuse the field"
    )
    structured_replies: bool = Field(
        False,
        description="ask for JSON by response_format with its schema, where the endpoint knows it",
    )
    extra_body: dict[str, JsonValue] = Field(
        {}, description="further fields of every request, such as reasoning_effort"
    )
    extra_headers: Operational[dict[str, str]] = Field(
        {},
        description="further headers of every request; each value is the name of the environment "
        "variable that holds the header's",
    )
    budget_tokens: Operational[int | None] = Field(
        None, ge=1, description="tokens of the whole run, after which requests stop; null: no limit"
    )
    usd_per_million_input: Operational[float | None] = Field(
        None, ge=0, description="price of a million input tokens in USD"
    )
    usd_per_million_output: Operational[float | None] = Field(
        None, ge=0, description="price of a million output tokens in USD"
    )
    budget_usd: Operational[float | None] = Field(
        None,
        gt=0,
        description="USD of the whole run, after which requests stop; needs both prices",
    )
    cache: Operational[bool] = Field(
        True, description="answer a repeated request from the run's cache"
    )

    def identity(self) -> dict[str, Any]:
        """As of every section. Unset requests for a form are left out: they change nothing, and
        fingerprints of runs from before these settings existed stay the same."""
        identity = super().identity()
        for name in ("extra_body", "structured_replies"):
            if not identity[name]:
                del identity[name]
        return identity

    @field_validator("extra_headers")
    @classmethod
    def _check_extra_headers(cls, variables: dict[str, str]) -> dict[str, str]:
        for header, variable in variables.items():
            # The value is not quoted: it may be the secret itself.
            if not _HEADER_NAME.fullmatch(header) or not _VARIABLE_NAME.fullmatch(variable):
                raise ValueError(
                    "give the name of a header, and the name of the environment variable that "
                    "holds its value (not the value)"
                )
        return variables

    @field_validator("extra_body")
    @classmethod
    def _check_extra_body(cls, body: dict[str, JsonValue]) -> dict[str, JsonValue]:
        own = sorted(body.keys() & _REQUEST_FIELDS)
        if own:
            raise ValueError(f"{', '.join(own)} cannot be set here: the request sets it itself")
        return body

    @model_validator(mode="after")
    def _check_prices(self) -> Self:
        prices = (self.usd_per_million_input, self.usd_per_million_output)
        needs_prices = self.budget_usd is not None or any(price is not None for price in prices)
        if needs_prices and None in prices:
            raise ValueError(
                "set both usd_per_million_input and usd_per_million_output, or neither and no "
                "budget_usd"
            )
        return self
