"""Which weights answer which benchmarks, and how they are judged."""

from typing import Annotated, Literal

from pydantic import Field

from medr_ray.core.config.base import Backend, Operational, Section
from medr_ray.core.config.models import EndpointConfig
from medr_ray.core.config.names import registered_in

# No benchmark has a colon, a slash or a dot in its name: that is a file or a module.
BenchmarkName = Annotated[
    str, registered_in("medr_ray.evaluation.benchmarks:BENCHMARKS", unless=":/.")
]


class EvaluationConfig(Section):
    """Which weights answer which benchmarks, over HTTP."""

    benchmarks: tuple[BenchmarkName, ...] = Field(
        ("heldout",),
        min_length=1,
        description="names of benchmarks in medr_ray/evaluation/benchmarks, alone or with their "
        "file (gaia:/data/gaia.jsonl), files of your own questions, or package.module:attribute",
    )
    benchmark_files: Operational[dict[str, str]] = Field(
        {}, description="file or folder of each benchmark that is named without one"
    )
    weights: tuple[Literal["base", "sft", "grpo"], ...] = Field(
        ("base", "sft", "grpo"), description="weights to compare, in training order"
    )
    max_questions: int | None = Field(
        None, ge=1, description="questions to ask of each benchmark; null: all"
    )
    max_base_questions: int | None = Field(
        None,
        ge=1,
        description="questions to ask of the base weights, the first ones of each benchmark: they "
        "rarely answer, and take longest to find that out; null: as many as of the others",
    )
    rollouts: int = Field(
        1, ge=1, description="attempts per question; all count, and more give pass@k"
    )
    concurrency: Operational[int] = Field(16, ge=1, description="open requests to the served model")
    endpoint: Operational[EndpointConfig | None] = Field(
        None, description="another model to evaluate by `medr evaluate run --benchmark`; null: none"
    )
    temperature: float = Field(0.0, ge=0, description="sampling temperature; 0: greedy")
    dtype: Literal["auto", "engine", "bfloat16", "float32"] = Field(
        "auto",
        description="number format that the weights answer in; engine is engine.dtype, as in "
        "rollouts; auto is float32 on a CPU, where answers in bfloat16 change with the requests in "
        "the same batch, and engine.dtype on a GPU",
    )
    judge: Backend = Field("rules", description="who judges the answers")
    confidence: float = Field(0.95, gt=0, lt=1, description="confidence level of the intervals")
