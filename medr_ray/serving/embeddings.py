"""Vectors of texts by the retriever's encoder: what answers such requests, and the encoder itself.

Documents and queries are encoded as those of the index are, with its prefixes, pooling and length,
so that the vectors can be compared with the index and with each other.
"""

import asyncio
import functools
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from medr_ray.core.config import ModelsConfig
from medr_ray.core.config.retrieval import EncodingConfig

if TYPE_CHECKING:
    import numpy as np

    from medr_ray.engines.encoder import Encoder

# The served name of the encoder.
ENCODER_NAME = "medr-encoder"
# Texts that are encoded together: more do not go faster on a CPU, and hold more memory.
_BATCH = 16

InputType = Literal["document", "query"]


@dataclass(frozen=True)
class Embeddings:
    """A unit vector for each text, float32 of shape (texts, dimensions), and how many tokens the
    encoder read."""

    vectors: "np.ndarray"
    prompt_tokens: int


class EmbeddingBackend(Protocol):
    """What makes vectors of texts."""

    async def embed(self, texts: Sequence[str], input_type: InputType) -> Embeddings:
        """Vectors in the order of the texts."""
        ...


class TextEmbedder:
    """The encoders of documents and queries, which may be one, loaded when they are first used.

    They work in a thread of their own: neither the event loop nor searches wait for them.
    """

    def __init__(self, encoding: EncodingConfig, models: ModelsConfig) -> None:
        self._encoding = encoding
        self._models = models
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="embedder")

    async def embed(self, texts: Sequence[str], input_type: InputType) -> Embeddings:
        """Vectors in the order of the texts. Raises MedrError when the encoder is not there."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._executor, self._embed_texts, texts, input_type)

    def _embed_texts(self, texts: Sequence[str], input_type: InputType) -> Embeddings:
        encoder = self._document_encoder if input_type == "document" else self._query_encoder
        return Embeddings(encoder.encode(texts), encoder.count_tokens(texts))

    @functools.cached_property
    def _document_encoder(self) -> "Encoder":
        return self._load_encoder(self._models.encoder, self._encoding.document_prefix)

    @functools.cached_property
    def _query_encoder(self) -> "Encoder":
        is_same = not self._encoding.query_encoder
        if is_same and self._encoding.query_prefix == self._encoding.document_prefix:
            return self._document_encoder
        model = self._encoding.query_encoder or self._models.encoder
        return self._load_encoder(model, self._encoding.query_prefix)

    def _load_encoder(self, model: str, prefix: str) -> "Encoder":
        from medr_ray.engines.encoder import Encoder

        return Encoder(
            model,
            batch=_BATCH,
            threads=1,
            pooling=self._encoding.pooling,
            max_tokens=self._encoding.max_tokens,
            prefix=prefix,
        )
