"""From chains to verified questions."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from medr_ray.core.config.base import Backend, Operational, Section
from medr_ray.core.config.models import EndpointConfig
from medr_ray.core.config.names import registered_in
from medr_ray.core.config.urls import StorageUri
from medr_ray.core.records import Language, Paradigm

DirectedPredicate = Annotated[str, registered_in("medr_ray.knowledge.predicates:DIRECTED_NAMES")]


class QuestionsConfig(Section):
    """Composing chains into questions."""

    writer: Backend = Field("rules", description="who words the questions")
    language: Language = Field("en", description="language of the questions")
    min_hops: int = Field(1, ge=1, description="fewest hops of a question")
    max_hops: int = Field(6, ge=1, description="most hops of a question")
    per_seed: int = Field(2, ge=1, description="questions written per seed at most")
    max_predicate_share: float = Field(
        0.4, gt=0, le=1, description="largest share of questions with the same final predicate"
    )
    max_answer_share: float = Field(
        0.1, gt=0, le=1, description="largest share of questions with the same answer"
    )
    max_hop_share: float = Field(
        1.0, gt=0, le=1, description="largest share of questions with the same number of hops"
    )
    sources: tuple[Literal["hpo", "pubmed"], ...] = Field(
        ("hpo", "pubmed"),
        min_length=1,
        description="where every fact of a question must be stated: hpo, annotations that aim to "
        "be complete, or pubmed, any abstract",
    )
    avoid: tuple[DirectedPredicate, ...] = Field(
        (),
        description="steps that no question takes, such as inverse:has_finding, from a finding to "
        "a disease",
    )
    tries: int = Field(
        60,
        ge=0,
        description="hops tried per seed to grow walks beside its chain whose every hop is needed",
    )
    clauses: int = Field(
        2, ge=0, description="facts added about an entity where one hop alone fits several"
    )
    other_hops: bool = Field(
        True, description='allow hops such as "the other disease associated with ..."'
    )
    paradigms: tuple[Paradigm, ...] = Field(
        (
            "lookup",
            "multi_hop",
            "causal",
            "intersection",
            "temporal",
            "comparative",
            "quantitative",
        ),
        min_length=1,
        description="kinds of questions to ask",
    )
    obfuscation: dict[Annotated[int, Field(ge=0, le=3)], Annotated[float, Field(ge=0)]] = Field(
        {0: 1.0},
        min_length=1,
        description="relative weight of each level: 0 plain, 1 shares told as comparisons, "
        "2 start described, 3 both",
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
        models = [(endpoint.base_url, endpoint.model) for endpoint in self.calibration]
        if not all(name for _, name in models):
            raise ValueError(
                "calibration: an endpoint has an empty model: name the model that it is to run"
            )
        if len(set(models)) < len(models):
            raise ValueError("calibration: the same model of the same endpoint is listed twice")
        return self
