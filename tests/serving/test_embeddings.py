"""Vectors of texts as the search replica makes them."""

import asyncio
from pathlib import Path

import numpy as np
import pytest

from medr_ray.core.config import ModelsConfig
from medr_ray.core.config.retrieval import EncodingConfig
from medr_ray.core.errors import MedrError
from medr_ray.engines.encoder import Encoder
from medr_ray.engines.weights import model_path
from medr_ray.serving.embeddings import TextEmbedder

TEXTS = ["Marfan syndrome is inherited", "Krabbe disease"]


@pytest.mark.slow
def test_documents_and_queries_are_encoded_as_those_of_the_index() -> None:
    models = ModelsConfig()
    try:
        model_path(models.encoder)
    except MedrError as error:
        pytest.skip(str(error))
    encoding = EncodingConfig(document_prefix="passage: ", query_prefix="query: ")
    embedder = TextEmbedder(encoding, models)
    documents = asyncio.run(embedder.embed(TEXTS, "document"))
    queries = asyncio.run(embedder.embed(TEXTS, "query"))
    expected = Encoder(models.encoder, prefix="passage: ")
    assert documents.vectors == pytest.approx(expected.encode(TEXTS), abs=1e-5)
    assert documents.prompt_tokens == expected.count_tokens(TEXTS)
    assert queries.vectors == pytest.approx(
        Encoder(models.encoder, prefix="query: ").encode(TEXTS), abs=1e-5
    )
    assert np.linalg.norm(documents.vectors, axis=1) == pytest.approx(1, abs=1e-5)


def test_an_encoder_that_is_not_there_is_named(tmp_path: Path) -> None:
    embedder = TextEmbedder(EncodingConfig(), ModelsConfig(encoder=str(tmp_path / "none")))
    with pytest.raises(MedrError, match="none"):
        asyncio.run(embedder.embed(TEXTS, "document"))
