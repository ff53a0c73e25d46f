"""A query's vector does not depend on the queries that are encoded with it."""

import numpy as np
import pytest

from medr_ray.core.config import ModelsConfig
from medr_ray.core.errors import MedrError
from medr_ray.engines.encoder import Encoder
from medr_ray.engines.query_encoder import QueryEncoder

QUERIES = [
    "Marfan syndrome",
    "Which gene is mutated in arterial tortuosity syndrome?",
    "\u9a6c\u51e1\u7efc\u5408\u5f81",
    "the",
    "What is the inheritance of a disease with a very long name that fills the whole batch?",
    "",
]


@pytest.mark.slow
def test_queries_encoded_together_have_the_vectors_they_have_alone() -> None:
    model = ModelsConfig().encoder
    try:
        encoder = QueryEncoder(model)
    except MedrError as error:
        pytest.skip(str(error))
    together = encoder.encode(QUERIES)
    alone = np.concatenate([encoder.encode([query]) for query in QUERIES])
    assert np.array_equal(together, alone)
    # Those of the encoder that made the index, when it has one text at a time.
    assert np.allclose(alone, Encoder(model, batch=1).encode(QUERIES), atol=1e-6)
