"""``/v1/research`` and ``/v1/diagnose``: the requests."""

from typing import Annotated, Any, Literal

from pydantic import Field

from medr_ray.agent.dialogue import Exchange, ResearchLimits
from medr_ray.serving.http.schemas.base import Boolean, Integer, Number, RequestModel
from medr_ray.serving.research_messages import ResearchJob

_MAX_QUESTION = 4000  # characters: a question, with the case it is about
_MAX_EARLIER = 50  # exchanges; what has no room in front of the model is left out anyway
_MAX_ANSWER = 20_000  # characters
_MAX_NAMES = 200
_Name = Annotated[str, Field(min_length=1, max_length=200)]
_Names = Annotated[list[_Name], Field(max_length=_MAX_NAMES)]


class EarlierExchange(RequestModel):
    """A question of the dialogue so far, and its answer."""

    question: str = Field(min_length=1, max_length=_MAX_QUESTION)
    answer: str = Field("", max_length=_MAX_ANSWER)


class ResearchRequest(RequestModel):
    """``POST /v1/research``. ``model`` is a served name, by default the configured weights;
    ``language`` is that of the question where it is left out. The limits can only be lower than the
    configured ones."""

    question: str = Field(min_length=1, max_length=_MAX_QUESTION, pattern=r"\S")
    language: Literal["en", "zh"] | None = None
    stream: Boolean = True
    model: str | None = Field(None, max_length=200)
    earlier: list[EarlierExchange] = Field(default_factory=list, max_length=_MAX_EARLIER)
    max_tool_calls: Annotated[Integer, Field(ge=1)] | None = None
    seconds: Annotated[Number, Field(gt=0)] | None = None
    temperature: Number = Field(0.0, ge=0, le=2)
    seed: Annotated[Integer, Field(ge=-(2**63), lt=2**63)] | None = None

    def to_job(self, model: str) -> ResearchJob:
        """What the replica is asked for; ``model`` is the name of the weights."""
        return ResearchJob(
            self.question.strip(),
            model,
            self.language,
            tuple(Exchange(entry.question, entry.answer) for entry in self.earlier),
            ResearchLimits(self.max_tool_calls, None, self.seconds),
            self.temperature,
            self.seed,
        )


class DiagnoseRequest(RequestModel):
    """``POST /v1/diagnose``: what the tool ``diagnose`` takes."""

    findings: _Names
    excluded: _Names | None = None
    age: Annotated[Number, Field(ge=0, le=130)] | None = None
    sex: Literal["female", "male"] | None = None
    candidates: _Names | None = None
    results: Annotated[Integer, Field(ge=1, le=50)] | None = None
    evidence: Boolean = False

    def to_arguments(self) -> dict[str, Any]:
        """The arguments of the tool."""
        return self.model_dump(exclude_none=True)
