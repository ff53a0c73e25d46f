"""``POST /v1/embeddings``: the request and the response."""

import base64
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag
from typing_extensions import TypedDict

from medr_ray.serving.embeddings import Embeddings
from medr_ray.serving.http.schemas.base import HarmlessFields, Integer

if TYPE_CHECKING:
    import numpy as np

# Of one request: some seconds of the encoder on a CPU.
MAX_TEXTS = 256
# Each; what an encoder reads is a hundredth of it, and the rest is tokenised for nothing.
_MAX_CHARACTERS = 32_768

_Text = Annotated[str, Field(min_length=1, max_length=_MAX_CHARACTERS)]


def _name_alternative(value: Any) -> str:
    if not isinstance(value, list):
        return "<text>"
    is_ids = bool(value) and isinstance(value[0], int | float | list)
    return "<token ids>" if is_ids else "<texts>"


class EmbeddingRequest(HarmlessFields):
    """``POST /v1/embeddings``: a vector for each text, of unit length.

    A text that is longer than the encoder reads is cut, as the documents of the index are.
    ``input_type`` says whether the texts are documents or queries, which some encoders tell apart.
    """

    model: str = Field(max_length=256)
    input: Annotated[
        Annotated[_Text, Tag("<text>")]
        | Annotated[list[_Text], Tag("<texts>"), Field(min_length=1, max_length=MAX_TEXTS)],
        Discriminator(
            _name_alternative,
            custom_error_type="token_ids",
            custom_error_message="must be text: the token ids of another model are other words",
        ),
    ]
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: Annotated[Integer, Field(ge=1)] | None = Field(
        None, description="as many as the encoder has, or it is refused"
    )
    input_type: Literal["document", "query"] = "document"

    def list_texts(self) -> list[str]:
        """The texts, of which there may be one or several."""
        return [self.input] if isinstance(self.input, str) else self.input


class EmbeddingItem(TypedDict):
    """The vector of a text: numbers, or base64 of little-endian 32-bit floats."""

    object: Literal["embedding"]
    index: int
    embedding: list[float] | str


class EmbeddingUsage(TypedDict):
    """The tokens that the encoder read."""

    prompt_tokens: int
    total_tokens: int


class EmbeddingList(TypedDict):
    """The response."""

    object: Literal["list"]
    model: str
    data: list[EmbeddingItem]
    usage: EmbeddingUsage


def build_embedding_list(request: EmbeddingRequest, embeddings: Embeddings) -> EmbeddingList:
    """The response with vectors of the asked encoding."""
    format_vector = _encode_base64 if request.encoding_format == "base64" else _list_numbers
    items: list[EmbeddingItem] = [
        {"object": "embedding", "index": index, "embedding": format_vector(vector)}
        for index, vector in enumerate(embeddings.vectors)
    ]
    tokens = embeddings.prompt_tokens
    return {
        "object": "list",
        "model": request.model,
        "data": items,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }


def _list_numbers(vector: "np.ndarray") -> list[float]:
    numbers: list[float] = vector.tolist()
    return numbers


def _encode_base64(vector: "np.ndarray") -> str:
    return base64.b64encode(vector.astype("<f4").tobytes()).decode("ascii")
