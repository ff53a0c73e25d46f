"""The parameters that chat and plain completions share: how to sample, when to stop, whether to
stream."""

from typing import Annotated, Any

from pydantic import Discriminator, Field, Tag

from medr_ray.serving.http.schemas.base import (
    Boolean,
    HarmlessFields,
    Integer,
    Number,
    RequestModel,
)

# Answers of one request: each takes a place in the model's batch.
MAX_CHOICES = 16
# As many as OpenAI's own API takes.
_MAX_STOP_TEXTS = 4
MAX_TOP_LOGPROBS = 20
# Each text is looked for at the end of the answer after every token.
_MAX_STOP_CHARACTERS = 1_000
# OpenAI's clients bias a handful of tokens; this is above its own 300.
_MAX_BIASED_TOKENS = 1_024
_MAX_TOKEN_ID = 2**31 - 1
# Beyond, one repetition decides the answer, and logits leave the range of 16 bits.
_REPETITION_PENALTIES = (0.1, 10.0)

# In a place of an error, names in angle brackets are alternatives and no fields.
_ALTERNATIVE_TEXT = Tag("<text>")
_ALTERNATIVE_LIST = Tag("<list>")


def _name_alternative(value: Any) -> str:
    return "<list>" if isinstance(value, list) else "<text>"


# An empty text is in every text: the answer would end at its first token.
_StopText = Annotated[str, Field(min_length=1, max_length=_MAX_STOP_CHARACTERS)]
_StopTexts = Annotated[list[_StopText], Field(max_length=_MAX_STOP_TEXTS)]
StopSequences = Annotated[
    Annotated[_StopText, _ALTERNATIVE_TEXT] | Annotated[_StopTexts, _ALTERNATIVE_LIST],
    Discriminator(_name_alternative),
]
_TokenId = Annotated[int, Field(ge=0, le=_MAX_TOKEN_ID)]
_Bias = Annotated[Number, Field(ge=-100, le=100)]


class StreamOptions(RequestModel):
    """``include_usage`` adds a last chunk with the token counts."""

    include_usage: Boolean = False
    include_obfuscation: Boolean = Field(
        False, description="padding of the chunks, which are never padded here"
    )


class GenerationRequest(HarmlessFields):
    """The shared parameters, with OpenAI's defaults."""

    model: str = Field(max_length=256)
    temperature: Number = Field(1.0, ge=0, le=2)
    top_p: Number = Field(1.0, ge=0, le=1)
    top_k: Integer = Field(0, ge=-1, le=_MAX_TOKEN_ID, description="0 and -1 mean all tokens")
    presence_penalty: Number = Field(0.0, ge=-2, le=2)
    frequency_penalty: Number = Field(0.0, ge=-2, le=2)
    repetition_penalty: Number = Field(
        1.0, ge=_REPETITION_PENALTIES[0], le=_REPETITION_PENALTIES[1]
    )
    logit_bias: dict[_TokenId, _Bias] = Field(
        default_factory=dict, max_length=_MAX_BIASED_TOKENS, description="by token id"
    )
    seed: Annotated[Integer, Field(ge=-(2**63), lt=2**63)] | None = None
    stop: StopSequences | None = None
    n: Integer = Field(1, ge=1, le=MAX_CHOICES)
    stream: Boolean = False
    stream_options: StreamOptions = Field(default_factory=StreamOptions)

    def collect_sampling(self) -> dict[str, Any]:
        """The shared parameters as those of a ChatJob."""
        stop = [self.stop] if isinstance(self.stop, str) else self.stop or []
        return {
            "model": self.model,
            "temperature": self.temperature,
            "top_p": self.top_p,
            "top_k": max(self.top_k, 0),
            "presence_penalty": self.presence_penalty,
            "frequency_penalty": self.frequency_penalty,
            "repetition_penalty": self.repetition_penalty,
            "logit_bias": self.logit_bias,
            "seed": self.seed,
            "stop": tuple(stop),
            "n": self.n,
        }
