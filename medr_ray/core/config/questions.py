"""From facts to verified questions."""

from typing import Annotated

from pydantic import Field, model_validator

from medr_ray.core.config.base import Backend, Operational, Section
from medr_ray.core.config.models import EndpointConfig
from medr_ray.core.config.names import registered_in
from medr_ray.core.config.urls import StorageUri
from medr_ray.core.records import FactSource, Language, literal_values

ShapeName = Annotated[str, registered_in("medr_ray.questions.shapes:SHAPES")]
FACT_SOURCES: tuple[FactSource, ...] = literal_values(FactSource)  # type: ignore[assignment]


class QuestionsConfig(Section):
    """Which questions are asked, and how they are examined."""

    writer: Backend = Field("rules", description="who words the questions")
    back_reader: Backend = Field(
        "rules",
        description="who reads what a model worded back into a plan, which must be the draft's",
    )
    back_reader_model: EndpointConfig | None = Field(
        None, description="chat model of the llm back-reader; null: that of the writer"
    )
    language: Language = Field("en", description="language of the questions")
    shapes: tuple[ShapeName, ...] | None = Field(
        None, min_length=1, description="shapes of questions to ask; null: all (questions.shapes)"
    )
    sources: tuple[FactSource, ...] = Field(
        FACT_SOURCES,
        min_length=1,
        description="registries and tables whose facts are asked",
    )
    min_hops: int = Field(1, ge=1, description="fewest hops of a question")
    max_hops: int = Field(8, ge=1, description="most hops of a question")
    mean_hops: float | None = Field(
        None, ge=1, description="hops to reach on average (paper: 4.2); null: as they come"
    )
    drafts_per_chain: int = Field(
        400, ge=1, description="questions to draft of each chain of steps, at most"
    )
    max_shape_share: float = Field(
        0.3, gt=0, le=1, description="largest share of questions of the same shape"
    )
    max_answer_share: float = Field(
        0.05, gt=0, le=1, description="largest share of questions with the same answer"
    )
    max_entity_share: float = Field(
        0.01,
        gt=0,
        le=1,
        description="largest share of questions that lead over the same drug, company or trial",
    )
    max_hop_share: float = Field(
        1.0, gt=0, le=1, description="largest share of questions with the same number of hops"
    )
    specialty_window: int = Field(
        20,
        ge=1,
        description="candidates of a chain among which the one of the rarest specialty is taken",
    )
    heldout_fraction: float = Field(
        0.3, ge=0, lt=1, description="share of seeds kept for evaluation"
    )
    max_questions: int | None = Field(None, ge=1, description="questions to accept; null: no limit")
    workers: Operational[int] = Field(
        2, ge=1, description="Ray actors that draft and verify questions"
    )
    benchmarks: tuple[StorageUri, ...] = Field(
        (),
        description="paths or URIs of benchmark files that no question may repeat (see "
        "questions.contamination)",
    )
    closed_book: EndpointConfig | None = Field(
        None, description="model whose unaided right answer rejects a question"
    )
    closed_book_attempts: int = Field(
        1, ge=1, description="attempts of that model; one right answer rejects the question"
    )
    calibration: tuple[EndpointConfig, ...] = Field(
        (),
        description="models that measure how hard a question is; several attempts are sampled at "
        "temperature 0.7 where the endpoint says 0",
    )
    calibration_attempts: int = Field(4, ge=1, description="answers of each model to each question")
    calibration_threshold: float = Field(
        0.5,
        gt=0,
        le=1,
        description="share of right answers from which a question is asked harder (paper: 0.5)",
    )
    calibration_rounds: int = Field(
        3, ge=0, description="times a question is made harder before it is given up"
    )

    @model_validator(mode="after")
    def _check_models(self) -> "QuestionsConfig":
        if self.closed_book is not None and not self.closed_book.model:
            raise ValueError(
                "closed_book.model is empty: name the model that the endpoint is to run"
            )
        if self.back_reader_model is not None and not self.back_reader_model.model:
            raise ValueError(
                "back_reader_model.model is empty: name the model that the endpoint is to run"
            )
        models = [(endpoint.base_url, endpoint.model) for endpoint in self.calibration]
        if not all(name for _, name in models):
            raise ValueError(
                "calibration: an endpoint has an empty model: name the model that it is to run"
            )
        if len(set(models)) < len(models):
            raise ValueError("calibration: the same model of the same endpoint is listed twice")
        return self
