"""``POST /v1/completions``: the request."""

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from medr_ray.serving.http.schemas.base import Boolean, FieldProblem, Integer
from medr_ray.serving.http.schemas.generation import MAX_TOP_LOGPROBS, GenerationRequest
from medr_ray.serving.messages import ChatJob

# A batch of an evaluation harness; they take turns in the model.
MAX_PROMPTS = 64
# Prompts that are in the model at once, so that one client does not fill its queue.
PROMPTS_AT_ONCE = 4
_MAX_TOKEN_ID = 2**31 - 1
_DEFAULT_MAX_TOKENS = 16  # OpenAI's

_Text = Annotated[str, Field(min_length=1)]
_TokenIds = Annotated[list[Annotated[Integer, Field(ge=0, le=_MAX_TOKEN_ID)]], Field(min_length=1)]


def _name_alternative(value: Any) -> str:
    if not isinstance(value, list) or not value:
        return "<text>" if not isinstance(value, list) else "<texts>"
    first = value[0]
    if isinstance(first, list):
        return "<lists of token ids>"
    return "<token ids>" if isinstance(first, int | float) else "<texts>"


Prompt = Annotated[
    Annotated[_Text, Tag("<text>")]
    | Annotated[list[_Text], Tag("<texts>"), Field(min_length=1, max_length=MAX_PROMPTS)]
    | Annotated[_TokenIds, Tag("<token ids>")]
    | Annotated[
        list[_TokenIds], Tag("<lists of token ids>"), Field(min_length=1, max_length=MAX_PROMPTS)
    ],
    Discriminator(_name_alternative),
]


class CompletionRequest(GenerationRequest):
    """``POST /v1/completions``: continues texts, or token ids, without a chat template."""

    prompt: Prompt
    max_tokens: Integer = Field(_DEFAULT_MAX_TOKENS, ge=0, description="0 with echo only")
    logprobs: Annotated[Integer, Field(ge=0, le=MAX_TOP_LOGPROBS)] | None = Field(
        None, description="of the tokens, and of so many alternatives"
    )
    echo: Boolean = False
    best_of: Annotated[Integer, Field(ge=1)] | None = Field(None, description="n, or it is refused")
    suffix: Literal[""] = Field("", description="not supported")

    @model_validator(mode="after")
    def _check_together(self) -> "CompletionRequest":
        if self.max_tokens == 0 and not self.echo:
            raise FieldProblem("max_tokens", "0 is for echo only")
        if self.best_of not in (None, self.n):
            raise FieldProblem("best_of", "not supported, only as many as n")
        if self.stream and len(self.list_prompts()) > PROMPTS_AT_ONCE:
            raise FieldProblem("prompt", f"at most {PROMPTS_AT_ONCE} are streamed together")
        return self

    def list_prompts(self) -> list[str | tuple[int, ...]]:
        """The prompts, of which there may be one or several."""
        if isinstance(self.prompt, str):
            return [self.prompt]
        if isinstance(self.prompt[0], int):
            return [tuple(self.prompt)]  # type: ignore[arg-type]
        return [
            prompt if isinstance(prompt, str) else tuple(prompt)  # type: ignore[arg-type]
            for prompt in self.prompt
        ]

    def to_jobs(self) -> list[ChatJob]:
        """What the model replica is asked for: a job for each prompt."""
        sampling = self.collect_sampling()
        return [
            ChatJob(
                messages=(),
                prompt=prompt,
                max_tokens=self.max_tokens,
                logprobs=self.logprobs is not None,
                top_logprobs=self.logprobs or 0,
                echo=self.echo,
                **sampling,
            )
            for prompt in self.list_prompts()
        ]
